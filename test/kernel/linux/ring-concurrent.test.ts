import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { MapType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";
import { bytesOf, mapSpec, numberOf, object, program } from "./support.ts";

/**
 * At each system call of process `pids[0]`: takes a number from `sequence`, and puts it into the ring twice, with its
 * complement; every third record is discarded. What does not fit is counted in `lost`.
 */
const produce = `
  call bpf_get_current_pid_tgid#14
  r0 >>= 32
  r6 = r0
  r1 = 0
  *(u32 *)(r10 - 4) = r1
  r2 = r10
  r2 += -4
  r1 = MAP(pids)
  call bpf_map_lookup_elem#1
  if r0 == 0 goto out
  r1 = *(u64 *)(r0 + 0)
  if r1 != r6 goto out
  r2 = r10
  r2 += -4
  r1 = MAP(sequence)
  call bpf_map_lookup_elem#1
  if r0 == 0 goto out
  r7 = *(u64 *)(r0 + 0)
  r1 = r7
  r1 += 1
  *(u64 *)(r0 + 0) = r1
  r1 = MAP(ring)
  r2 = 40
  r3 = 0
  call bpf_ringbuf_reserve#131
  if r0 == 0 goto full
  *(u64 *)(r0 + 0) = r7
  r1 = r7
  r1 ^= -1
  *(u64 *)(r0 + 32) = r1
  r1 = r0
  r2 = 0
  r3 = r7
  r3 %= 3
  if r3 == 2 goto discard
  call bpf_ringbuf_submit#132
  goto out
discard:
  call bpf_ringbuf_discard#133
  goto out
full:
  r2 = r10
  r2 += -4
  r1 = MAP(lost)
  call bpf_map_lookup_elem#1
  if r0 == 0 goto out
  r1 = 1
  lock *(u64 *)(r0 + 0) += r1
out:
  r0 = 0
  exit`;

const one = (name: string): ReturnType<typeof mapSpec> => mapSpec(name, MapType.ARRAY, { maxEntries: 1 });

describeWith(["linux", "root", "bpf", "tracefs"], "a ring that is written while it is read", () => {
  guardLeaks();

  test.each([
    ["small, with losses", 4096],
    ["large", 16 << 20],
  ])("%s: every record is whole, in order, and read or counted as lost", async (_, ringBytes) => {
    using kernel = openLinuxKernel();
    const ring = mapSpec("ring", MapType.RINGBUF, { keySize: 0, valueSize: 0, maxEntries: ringBytes });
    using loaded = kernel.load(
      object(
        [program("produce", produce, { type: ProgType.RAW_TRACEPOINT })],
        [ring, one("pids"), one("sequence"), one("lost")],
      ),
    );
    using reader = kernel.ringReader(loaded.map("ring"));
    const zero = bytesOf(0, 4);
    let last = -1;
    let count = 0;
    let torn = 0;
    let disordered = 0;
    const drain = (): void => {
      reader.drain((_bytes, view, offset, size) => {
        const number = view.getUint32(offset, true);
        if (size !== 40 || view.getUint32(offset + 32, true) !== ~number >>> 0 || number % 3 === 2) torn++;
        if (number <= last) disordered++;
        last = number;
        count++;
      });
    };
    // Copies byte by byte: two system calls each.
    const child = spawn("sh", ["-c", "read go; exec dd if=/dev/zero of=/dev/null bs=1 count=100000 2>/dev/null"], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    loaded.map("pids").update(zero, bytesOf(child.pid!, 8));
    const stop = reader.onReadable(drain);
    const link = kernel.attach(loaded.program("produce"), { kind: "raw-tracepoint", name: "sys_enter" });
    try {
      const ended = once(child, "exit");
      child.stdin.end("go\n");
      await ended;
    } finally {
      link.close();
      stop();
    }
    drain();
    const made = numberOf(loaded.map("sequence").lookup(zero)!);
    const lost = numberOf(loaded.map("lost").lookup(zero)!);
    // The kernel passes over some calls: a program does not run within itself on one CPU.
    expect(made).toBeGreaterThan(100_000);
    expect({ torn, disordered }).toEqual({ torn: 0, disordered: 0 });
    const discarded = Math.floor(made / 3);
    if (lost === 0) expect(count).toBe(made - discarded);
    else expect(count).toBeLessThan(made - lost);
    expect(reader.pendingBytes).toBe(0);
  });
});
