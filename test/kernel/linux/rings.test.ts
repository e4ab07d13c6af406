import { afterAll, beforeAll, expect, test } from "vitest";
import { MapType, ProgType } from "../../../src/isa/index.ts";
import { type LinuxKernel, type RingReader, openLinuxKernel } from "../../../src/kernel/index.ts";
import type { LinuxObject } from "../../../src/kernel/linux/load.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { LinuxPerfBufferReader } from "../../../src/kernel/linux/perfbuffer.ts";
import type { LinuxRingReader } from "../../../src/kernel/linux/ring.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";
import { bytesOf, mapSpec, object, program } from "./support.ts";

const RING_BYTES = 4096;

/** Test-run with {number, what}: reserves 32 bytes, writes the number, then submits (0) or discards (1). */
const reserve = `
  r6 = *(u64 *)(r1 + 0)
  r7 = *(u64 *)(r1 + 8)
  r1 = MAP(ring)
  r2 = 32
  r3 = 0
  call bpf_ringbuf_reserve#131
  if r0 == 0 goto full
  *(u64 *)(r0 + 0) = r6
  r1 = r0
  r2 = 0
  if r7 != 0 goto discard
  call bpf_ringbuf_submit#132
  r0 = 0
  exit
discard:
  call bpf_ringbuf_discard#133
  r0 = 0
  exit
full:
  r0 = 1
  exit`;

/** Test-run with {number}: puts 24 bytes that start with the number into the perf event array. */
const output = `
  r6 = r1
  r7 = *(u64 *)(r1 + 0)
  r2 = 0
  *(u64 *)(r10 - 24) = r7
  *(u64 *)(r10 - 16) = r2
  *(u64 *)(r10 - 8) = r2
  r2 = MAP(events)
  r3 = 0xffffffff ll
  r4 = r10
  r4 += -24
  r5 = 24
  r1 = r6
  call bpf_perf_event_output#25
  exit`;

function context(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(96);
  values.forEach((value, i) => bytes.set(bytesOf(value, 8), i * 8));
  return bytes;
}

/** Drains and returns the first eight bytes of each record as a number. */
function numbers(reader: RingReader, limit?: number): number[] {
  const found: number[] = [];
  reader.drain((_, view, offset) => void found.push(Number(view.getBigUint64(offset, true))), limit);
  return found;
}

describeWith(["linux", "root", "bpf"], "ring buffers", () => {
  guardLeaks();
  let kernel: LinuxKernel;
  let loaded: LinuxObject;
  let reader: LinuxRingReader;
  const put = (number: number, discard = 0): number => loaded.program("reserve").testRun(context(number, discard));

  beforeAll(() => {
    kernel = openLinuxKernel();
    loaded = kernel.load(
      object(
        [program("reserve", reserve, { type: ProgType.RAW_TRACEPOINT })],
        [mapSpec("ring", MapType.RINGBUF, { keySize: 0, valueSize: 0, maxEntries: RING_BYTES })],
      ),
    );
    reader = kernel.ringReader(loaded.map("ring"));
  });
  afterAll(() => {
    reader.close();
    loaded.close();
  });

  test("records come in order, through many turns of the ring", () => {
    let next = 0;
    for (let round = 0; round < 60; round++) {
      const wanted = Array.from({ length: 1 + (round % 97) }, () => next++);
      for (const number of wanted) expect(put(number)).toBe(0);
      expect(numbers(reader)).toEqual(wanted);
    }
    expect(next * 40).toBeGreaterThan(RING_BYTES * 10);
  });

  test("discarded records are passed over", () => {
    for (let i = 0; i < 30; i++) put(i, i % 3);
    expect(numbers(reader)).toEqual(Array.from({ length: 10 }, (_, i) => i * 3));
    put(1, 1);
    expect(numbers(reader)).toEqual([]);
    expect(reader.pendingBytes).toBe(0);
  });

  test("a full ring refuses, and takes again once read", () => {
    let taken = 0;
    while (put(taken) === 0) taken++;
    expect(taken).toBe(Math.floor(RING_BYTES / 40));
    expect(numbers(reader, 5)).toEqual([0, 1, 2, 3, 4]);
    expect(put(taken)).toBe(0);
    expect(numbers(reader)).toHaveLength(taken - 4);
  });

  test("an exception ends the drain after its record", () => {
    for (let i = 0; i < 4; i++) put(i);
    let calls = 0;
    const fail = (): void => {
      if (calls++ === 1) throw new Error("enough");
    };
    expect(() => reader.drain(fail)).toThrow("enough");
    expect(numbers(reader)).toEqual([2, 3]);
  });

  test("calls back when records come, and no more once stopped", async () => {
    let woken = 0;
    const got: number[] = [];
    const first = await new Promise<number>((resolve) => {
      const stop = reader.onReadable(() => {
        woken++;
        got.push(...numbers(reader));
        if (got.length < 3) put(got.length);
        else {
          stop();
          // A promise must go on from within the callback.
          resolve(woken);
        }
      });
      put(0);
    });
    expect(got).toEqual([0, 1, 2]);
    put(9);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(woken).toBe(first);
    expect(numbers(reader)).toEqual([9]);
  });

  test("closing within a handler ends the drain; kept views read zeros", () => {
    const other = kernel.ringReader(loaded.map("ring"));
    for (let i = 1; i <= 3; i++) put(i);
    let kept: Uint8Array | undefined;
    const handed = other.drain((bytes) => {
      kept = bytes;
      other.close();
    });
    expect(handed).toBe(1);
    expect(kept!.every((byte) => byte === 0)).toBe(true);
    expect(() => other.drain(() => undefined)).toThrow("used after it was closed");
    expect(numbers(reader)).toHaveLength(3);
  });

  test("a map of another type is refused", () => {
    using hash = kernel.load(object([], [mapSpec("hash", MapType.HASH)]));
    expect(() => kernel.ringReader(hash.map("hash"))).toThrow("map hash: type 1 is no ring buffer (27)");
  });
});

describeWith(["linux", "root", "bpf"], "perf buffers", () => {
  guardLeaks();

  test("records come in order of their CPU, wrapped ones whole, lost ones counted", async () => {
    using kernel = openLinuxKernel();
    using loaded = kernel.load(
      object(
        [program("output", output)],
        [mapSpec("events", MapType.PERF_EVENT_ARRAY, { valueSize: 4, maxEntries: 0 })],
      ),
    );
    using reader = new LinuxPerfBufferReader(loaded.map("events"), { pagesPerCpu: 1 });
    const put = (number: number): number => loaded.program("output").testRun(context(number));
    let next = 1;
    for (let round = 0; round < 20; round++) {
      const wanted = Array.from({ length: 50 }, () => next++);
      for (const number of wanted) expect(put(number)).toBe(0);
      // The process may move to another CPU between the records.
      expect(numbers(reader).toSorted((a, b) => a - b)).toEqual(wanted);
    }
    expect(reader.lost).toBe(0);
    let offered = 0;
    for (; offered < 1000; offered++) put(offered);
    let seen = numbers(reader).length;
    // A CPU reports what it lost with its next record that fits; the process may have been on several.
    for (const cpu of machine.onlineCpus) {
      loaded.program("output").run({ context: context(offered), cpu });
      offered++;
    }
    seen += numbers(reader).length;
    expect(seen + reader.lost).toBe(offered);
    expect(reader.lost).toBeGreaterThan(0);

    const woken = new Promise<void>((resolve) => {
      const stop = reader.onReadable(() => {
        stop();
        resolve();
      });
    });
    put(7);
    await woken;
    expect(numbers(reader)).toEqual([7]);
  });
});
