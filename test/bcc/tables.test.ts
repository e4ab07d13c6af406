/** Tables of programs in BCC's dialect, on the running kernel. */
import { mkdtempSync, rmSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ArrayTable,
  BPF,
  HashTable,
  LpmTable,
  MapsTable,
  PerCpuTable,
  PerfEventTable,
  PerfSWConfig,
  PerfType,
  ProgramTable,
  QueueTable,
  RingTable,
  StackTable,
  Table,
} from "../../src/bcc/index.ts";
import { machine } from "../../src/kernel/linux/index.ts";
import { guardLeaks } from "../leaks.ts";
import { describeUnless, describeWith } from "../support/needs.ts";
import { cgroupMissing, useCgroup } from "../support/cgroup.ts";

const SOURCE = `
struct key_t { u32 pid; char comm[16]; };
struct value_t { u64 count; s32 last; u8 flags; };
struct nested_t { struct key_t who; u16 ports[3]; u8 raw[4]; int bits:3; int more:5; };
BPF_HASH(plain);
BPF_HASH(typed, struct key_t, struct value_t, 100);
BPF_HASH(nested, struct nested_t, u32);
BPF_ARRAY(array, u64, 8);
BPF_HISTOGRAM(dist);
BPF_PERCPU_HASH(per_cpu, u32, u64);
BPF_PERCPU_ARRAY(slots, struct value_t, 4);
BPF_TABLE("lru_hash", u32, u64, lru, 16);
struct net_t { u32 prefixlen; u8 addr[4]; };
BPF_LPM_TRIE(nets, struct net_t, u32, 64);
BPF_QUEUE(queue, u64, 3);
BPF_STACK(stack, struct value_t, 3);
BPF_STACK_TRACE(stacks, 128);
BPF_PROG_ARRAY(jumps, 4);
BPF_CGROUP_ARRAY(cgroups, 2);
BPF_TABLE("array", int, u64, inner, 4);
BPF_ARRAY_OF_MAPS(outer, "inner", 4);
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_PERF_ARRAY(counters, 64);
BPF_HASH(stack_ids, u32, int);

struct event_t { u64 ts; u32 pid; u32 seq; char comm[16]; };

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
  u32 pid = bpf_get_current_pid_tgid() >> 32;
  struct event_t event = {};
  int id;
  if (pid != OWN_PID) return 0;
  event.ts = bpf_ktime_get_ns();
  event.pid = pid;
  event.seq = args->who;
  bpf_get_current_comm(&event.comm, sizeof(event.comm));
  events.perf_submit(args, &event, sizeof(event));
  ring.ringbuf_output(&event, sizeof(event), 0);
  per_cpu.increment(pid);
  dist.increment(bpf_log2l(event.seq));
  id = stacks.get_stackid(args, BPF_F_USER_STACK);
  stack_ids.update(&pid, &id);
  jumps.call(args, 1);
  return 0;
}

int jumped(struct tracepoint__syscalls__sys_enter_getpriority *args) {
  int index = 3;
  array.atomic_increment(index);
  return 0;
}
`;

/** Lets the program run, on each of some numbers. */
function work(...numbers: number[]): void {
  for (const number of numbers) {
    try {
      getPriority(number);
    } catch {
      // There is no such process; the call was made all the same.
    }
  }
}

const needs = ["linux", "root", "bpf", "tracefs", "vmlinuxBtf"] as const;

describeWith(needs, "tables", () => {
  guardLeaks();
  let b: BPF;
  const lines: string[] = [];
  beforeAll(() => {
    b = new BPF({
      text: SOURCE,
      cflags: [`-DOWN_PID=${process.pid}`],
      print: (line) => void lines.push(line),
    });
  });
  afterAll(() => b.close());

  test("have the class of their type", () => {
    const classes = {
      plain: HashTable,
      array: ArrayTable,
      per_cpu: PerCpuTable,
      slots: PerCpuTable,
      lru: HashTable,
      nets: LpmTable,
      queue: QueueTable,
      stack: QueueTable,
      stacks: StackTable,
      jumps: ProgramTable,
      outer: MapsTable,
      events: PerfEventTable,
      ring: RingTable,
    };
    for (const [name, type] of Object.entries(classes)) expect(b.table(name), name).toBeInstanceOf(type);
    expect(b.table("plain", HashTable).typeName).toBe("HASH");
    expect(() => b.table("plain", ArrayTable)).toThrow(new TypeError("table plain: is HashTable, not ArrayTable"));
    expect(b.table("plain")).toBe(b.get("plain"));
  });

  test("a name that there is not has the nearest one", () => {
    expect(() => b.table("plan")).toThrow("table plan: the program has none of that name (did you mean plain?)");
  });

  test("a hash of integers", () => {
    const table = b.table<bigint, bigint>("plain");
    table.set(1, 10n);
    table.set(2n, 20);
    table.increment(2);
    table.increment(3, 5n);
    expect(table.get(1)).toBe(10n);
    expect(table.get(9)).toBeUndefined();
    expect(table.has(2)).toBe(true);
    expect(table.items().toSorted()).toEqual([
      [1n, 10n],
      [2n, 21n],
      [3n, 5n],
    ]);
    expect(table.keys().toSorted()).toEqual([1n, 2n, 3n]);
    expect(table.values().toSorted((a, c) => Number(a - c))).toEqual([5n, 10n, 21n]);
    expect([...table].length).toBe(3);
    expect(table.length).toBe(3);
    expect(table.delete(3)).toBe(true);
    expect(table.delete(3)).toBe(false);
    table.zero();
    expect(table.items().toSorted()).toEqual([
      [1n, 0n],
      [2n, 0n],
    ]);
    table.clear();
    expect(table.length).toBe(0);
  });

  test("batches", () => {
    const table = b.table<bigint, bigint>("plain");
    table.itemsUpdateBatch([1, 2, 3, 4], [10, 20, 30, 40]);
    expect(table.itemsLookupBatch().length).toBe(4);
    expect(table.itemsDeleteBatch([1, 9])).toBe(1);
    expect(table.itemsLookupAndDeleteBatch().toSorted()).toEqual([
      [2n, 20n],
      [3n, 30n],
      [4n, 40n],
    ]);
    expect(table.length).toBe(0);
    table.itemsUpdateBatch([1], [2]);
    expect(table.itemsDeleteBatch()).toBe(1);
    expect(() => table.itemsUpdateBatch([1, 2], [1])).toThrow(
      new RangeError("table plain: 2 keys and 1 values were given"),
    );
  });

  test("structs are objects", () => {
    const table = b.table<{ pid: number; comm: string }, { count: bigint; last: number; flags: number }>("typed");
    table.set({ pid: 7, comm: "bash" }, { count: 1n, last: -2 });
    expect(table.get({ pid: 7, comm: "bash" })).toEqual({ count: 1n, last: -2, flags: 0 });
    expect(table.items()).toEqual([
      [
        { pid: 7, comm: "bash" },
        { count: 1n, last: -2, flags: 0 },
      ],
    ]);
    expect(() => table.set({ pid: 7, com: "x" } as never, {})).toThrow("did you mean comm");
    expect(() => table.increment({ pid: 7, comm: "bash" })).toThrow("table typed: its values are no counters");
    expect(table.maxEntries).toBe(100);
  });

  test("an array: indexes from the end, and deleting is zeroing", () => {
    const table = b.table<number, bigint>("array");
    table.set(0, 5);
    table.set(-1, 7);
    expect(table.get(7)).toBe(7n);
    expect(table.get(-1)).toBe(7n);
    expect(table.items().map(([, value]) => value)).toEqual([5n, 0n, 0n, 0n, 0n, 0n, 0n, 7n]);
    expect(table.delete(0)).toBe(true);
    expect(table.get(0)).toBe(0n);
    expect([table.has(7), table.has(8)]).toEqual([true, false]);
    expect(() => table.clearItem(8)).toThrow(new RangeError("table array: index 8: it has 8 entries"));
    expect(() => table.set(8, 1)).toThrow(RangeError);
    table.clear();
    expect(table.values()).toEqual(Array.from({ length: 8 }, () => 0n));
    expect(table.length).toBe(8);
  });

  test("values of CPUs", () => {
    const cpus = machine.possibleCpus.length;
    const table = b.table<number, bigint>("per_cpu");
    const values = Array.from({ length: cpus }, (_, cpu) => BigInt(cpu + 1));
    table.set(1, values);
    expect(table.getvalue(1)).toEqual(values);
    expect(table.get(1)).toEqual(values);
    expect(table.sum(1)).toBe(BigInt((cpus * (cpus + 1)) / 2));
    expect(table.max(1)).toBe(BigInt(cpus));
    expect(table.average(1)).toBe((cpus + 1) / 2);
    expect(table.reduce(1, (a, c) => (a > c ? a : c))).toBe(BigInt(cpus));
    expect([table.sum(2), table.max(2), table.average(2), table.getvalue(2)]).toEqual(
      Array.from({ length: 4 }, () => undefined),
    );
    table.increment(1, 10);
    expect(table.getvalue(1)![0]).toBe(11n);
    expect(table.sums()).toEqual([[1, BigInt((cpus * (cpus + 1)) / 2 + 10)]]);
    expect(table.delete(1)).toBe(true);
    expect(table.length).toBe(0);

    const slots = b.table<number, { count: bigint; last: number; flags: number }>("slots");
    slots.set(
      2,
      Array.from({ length: cpus }, () => ({ count: 2n, last: 1 })),
    );
    expect(slots.sum(2)).toEqual({ count: BigInt(2 * cpus), last: cpus, flags: 0 });
    expect(() => slots.max(2)).toThrow("table slots: its values are no integers");
    slots.delete(2);
    expect(slots.sum(2)).toEqual({ count: 0n, last: 0, flags: 0 });
  });

  test("prefixes", () => {
    const table = b.table("nets", LpmTable<number>);
    table.set("10.0.0.0/8", 1);
    table.set({ prefixlen: 16, addr: Uint8Array.of(10, 1, 0, 0) }, 2);
    expect(table.get("10.1.2.3")).toBe(2);
    expect(table.get("10.2.2.3")).toBe(1);
    expect(table.get("11.2.2.3")).toBeUndefined();
    expect(table.keys().map(({ text }) => text)).toEqual(["10.1.0.0/16", "10.0.0.0/8"]);
    expect(table.delete("10.1.0.0/16")).toBe(true);
    expect(table.length).toBe(1);
  });

  test("queues and stacks", () => {
    const queue = b.table<unknown, bigint>("queue");
    for (const value of [1, 2, 3]) queue.push(value);
    expect(() => queue.push(4)).toThrow(new RangeError("table queue: it is full: 3 values"));
    queue.push(4, 2);
    expect(queue.peek()).toBe(2n);
    expect(queue.pop()).toBe(2n);
    expect(queue.values()).toEqual([3n, 4n]);
    expect(queue.pop()).toBeUndefined();
    const stack = b.table<unknown, { count: bigint }>("stack");
    stack.push({ count: 1n });
    stack.push({ count: 2n });
    expect(stack.pop()).toMatchObject({ count: 2n });
    expect(stack.values()).toMatchObject([{ count: 1n }]);
  });

  test("maps in maps", () => {
    const outer = b.table("outer", MapsTable<number>);
    const inner = b.table<number, bigint>("inner");
    inner.set(2, 42n);
    outer.set(1, inner);
    expect(outer.items().map(([index]) => index)).toEqual([1]);
    using found = outer.get(1)!;
    expect((found as unknown as { get(index: number): bigint }).get(2)).toBe(42n);
    expect(outer.delete(1)).toBe(true);
    expect(outer.get(0)).toBeUndefined();
  });

  test("keys and values as text", () => {
    const table = b.table("nested");
    const key = {
      who: { pid: 255, comm: "sh" },
      ports: [1, 2, 3],
      raw: Uint8Array.of(65, 66, 0, 0),
      bits: 2,
      more: -1,
    };
    const text = '{ { 0xff "sh" } [ 0x1 0x2 0x3 ] "AB" 0x2 0x1f }';
    expect(table.keySprintf(key)).toBe(text);
    expect(table.keyScanf(text)).toEqual(key);
    expect(table.keyScanf('{ { 010 "" } [ 1 0x2 3 ] "" 0 0 }')).toMatchObject({ who: { pid: 8, comm: "" } });
    expect(table.leafSprintf(31)).toBe("0x1f");
    expect(table.leafScanf(" 42 ")).toBe(42);
    expect(() => table.leafScanf("x")).toThrow('leaf of table nested: offset 0: a number is wanted in "x"');
    expect(() => table.leafScanf("0x1ffffffff")).toThrow("a number of 32 bits is wanted");
    expect(() => table.keyScanf('{ { 1 "12345678901234567" }')).toThrow("a text of at most 16 bytes");
    expect(() => table.leafScanf("1 2")).toThrow("the end is wanted");
  });

  test("layouts", () => {
    expect(b.decodeTable("nested").split("\n").slice(1).join("\n")).toBe(
      [
        "  struct {",
        "    struct {",
        "      unsigned int pid;",
        "      char[16] comm;",
        "    } who;",
        "    unsigned short[3] ports;",
        "    unsigned char[4] raw;",
        "    int bits:3;",
        "    int more:5;",
        "  } key;",
        "  unsigned int value;",
      ].join("\n"),
    );
    expect(b.decodeTable("typed", { sizeInfo: true })).toMatch(
      /^Layout of BPF map typed \(type HASH, FD \d+, ID \d+\):\n {2}struct \{\n {4}\[0 \+4\] unsigned int pid;\n/,
    );
  });

  test("records by callbacks, decoded by their struct", async () => {
    const [events, ring] = [b.table("events"), b.table("ring")];
    await expect(b.perfBufferPoll(10)).rejects.toThrow("perf buffers: none is open");
    const seen: unknown[] = [];
    const given = {};
    events.openPerfBuffer((cpu, data, size) => {
      expect(size).toBe(data.length);
      expect(machine.onlineCpus).toContain(cpu);
      seen.push(events.event(data));
    });
    ring.openRingBuffer((ctx, data, size) => {
      expect([ctx, size]).toEqual([given, 32]);
      seen.push(ring.event(data));
    }, given);
    work(1_000_001);
    expect(await b.perfBufferPoll(5000)).toBe(1);
    expect(await b.ringBufferPoll(5000)).toBe(1);
    const event = { ts: expect.any(BigInt), pid: process.pid, seq: 1_000_001, comm: expect.any(String) };
    expect(seen).toEqual([event, event]);
    expect(await b.perfBufferPoll(20)).toBe(0);
    work(1_000_002, 1_000_003);
    expect([b.perfBufferConsume(), b.ringBufferConsume()]).toEqual([2, 2]);
    events.closeBuffer();
    ring.closeBuffer();
  });

  test("a callback that throws leaves what is behind it for the next time", () => {
    const ring = b.table("ring");
    const seen: number[] = [];
    ring.openRingBuffer((_, data) => {
      const { seq } = ring.event(data) as { seq: number };
      seen.push(seq);
      if (seq === 1_000_001) throw new Error("enough");
    });
    work(1_000_001, 1_000_002);
    expect(() => b.ringBufferConsume()).toThrow("enough");
    expect(b.ringBufferConsume()).toBe(1);
    expect(seen).toEqual([1_000_001, 1_000_002]);
    ring.closeBuffer();
  });

  test("losses are told", () => {
    const events = b.table("events");
    let [lost, got] = [0, 0];
    events.openPerfBuffer(() => void got++, { pageCnt: 1, lostCb: (count) => void (lost += count) });
    for (let i = 0; i < 300; i++) work(1_000_001);
    b.perfBufferConsume();
    // Told with the next record that fits.
    for (let i = 0; i < 50; i++) work(1_000_001);
    b.perfBufferConsume();
    expect(lost).toBeGreaterThan(100);
    expect(got + lost).toBe(350);
    events.closeBuffer();
    expect(() => events.openPerfBuffer(() => {}, { pageCnt: 3 })).toThrow("pageCnt 3 is no power of two");
  });

  test("records as an async iterable", async () => {
    const seen: unknown[] = [];
    // What earlier tests left.
    b.table("ring").openRingBuffer(() => {});
    b.ringBufferConsume();
    b.table("ring").closeBuffer();
    for (const name of ["events", "ring"]) {
      const events = b.table<never, { seq: number }>(name).events({ signal: AbortSignal.timeout(5000) });
      work(1_000_004, 1_000_005);
      for await (const event of events) {
        seen.push(event.seq);
        if (event.seq === 1_000_005) break;
      }
    }
    expect(seen).toEqual([1_000_004, 1_000_005, 1_000_004, 1_000_005]);
  });

  test("a poll ends when its time is over, and when the program is closed", async () => {
    using own = new BPF({ text: "BPF_PERF_OUTPUT(events);" });
    own.table("events").openPerfBuffer(() => {});
    const waiting = own.perfBufferPoll();
    await expect(own.perfBufferPoll()).rejects.toThrow("are polled already");
    own.close();
    expect(await waiting).toBe(0);
  });

  test("stacks, with names", () => {
    b.table("stack_ids").clear();
    work(1_000_001);
    const id = Number(b.table<number, number>("stack_ids").get(process.pid));
    const stacks = b.table("stacks");
    expect(id).toBeGreaterThanOrEqual(0);
    expect(stacks.has(id as never)).toBe(true);
    const frames = stacks.walk(id);
    expect(frames.length).toBeGreaterThan(0);
    const names = stacks.walk(id, (frame) => BPF.sym(frame, process.pid, { showModule: true, showOffset: true }));
    expect(names).toContainEqual(
      expect.stringMatching(/^node::os::GetPriority\(v8::FunctionCallbackInfo<v8::Value> const&\)\+/),
    );
    const plain = stacks.walk(id, (frame) => BPF.sym(frame, process.pid, { demangle: false }));
    expect(plain).toContainEqual(expect.stringMatching(/^_ZN4node2os/));
    // Code that Node made is in no file.
    for (const name of names) expect(name).not.toMatch(/[0-9a-f]-[0-9a-f]/);
    expect(names[0]).toMatch(/getpriority\+0x[0-9a-f]+ \[libc[^\]]*\]$/);
    expect(stacks.walk(-14)).toEqual([]);
    stacks.clear();
    expect(stacks.walk(id)).toEqual([]);
  });

  test("programs to jump to", () => {
    const [jumps, array] = [b.table("jumps"), b.table<number, bigint>("array")];
    array.clear();
    work(1_000_001);
    expect(array.get(3)).toBe(0n);
    const fn = b.loadFunc("jumped", BPF.TRACEPOINT);
    jumps.set(1 as never, fn);
    expect(jumps.items()).toEqual([[1, fn.program.info().id]]);
    work(1_000_001, 1_000_001);
    expect(array.get(3)).toBe(2n);
    jumps.clear();
    expect(jumps.items()).toEqual([]);
  });

  test("histograms", () => {
    const dist = b.table("dist");
    dist.clear();
    work(...Array.from({ length: 5 }, () => 1_000_001), 600_000);
    lines.length = 0;
    dist.printLog2Hist("usecs", { stripLeadingZero: true });
    expect(lines).toEqual([
      "     usecs               : count     distribution",
      "    524288 -> 1048575    : 6        |****************************************|",
    ]);
    lines.length = 0;
    dist.printLinearHist("slot", { stripLeadingZero: true });
    expect(lines[1]).toBe("        20         : 6        |****************************************|");
  });

  test("counters for programs", () => {
    const counters = b.table("counters");
    counters.openPerfEvent(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK);
    counters.openPerfEvent(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK);
    counters.closeBuffer();
  });

  test("tables have ids and descriptors until the program is closed", () => {
    const own = new BPF({ text: "BPF_HASH(counts);" });
    const table = own.table("counts");
    expect(table).toBeInstanceOf(Table);
    expect([table.getFd() > 2, table.id > 0, own.tableNames]).toEqual([true, true, ["counts"]]);
    own.close();
    own.close();
    expect(() => table.items()).toThrow(/closed/);
    expect(() => own.table("counts")).toThrow("table counts: used after its program was closed");
  });

  describeUnless(cgroupMissing(), "cgroups", () => {
    const cgroup = useCgroup();

    test("by path", () => {
      const table = b.table("cgroups");
      table.set(0 as never, cgroup);
      expect(table.delete(0 as never)).toBe(true);
    });
  });
});

describeWith(needs, "tables of several programs", () => {
  guardLeaks();
  const pins = mkdtempSync("/sys/fs/bpf/skep-test-");
  afterAll(() => rmSync(pins, { recursive: true, force: true }));

  test("one that is pinned is the same for who comes later", () => {
    const text = `BPF_TABLE_PINNED("hash", u32, u64, kept, 64, "${join(pins, "kept")}");`;
    {
      using first = new BPF({ text });
      first.table<number, bigint>("kept").set(1, 11n);
    }
    using second = new BPF({ text });
    expect(second.table<number, bigint>("kept").items()).toEqual([[1, 11n]]);
  });

  test("one that is public is found by name", () => {
    using owner = new BPF({ text: `BPF_TABLE_PUBLIC("hash", u32, u64, shared_counts, 64);` });
    using user = new BPF({ text: `BPF_TABLE("extern", u32, u64, shared_counts, 64);` });
    owner.table<number, bigint>("shared_counts").set(1, 2n);
    expect(user.table<number, bigint>("shared_counts").get(1)).toBe(2n);
  });

  test("one that nobody has", () => {
    expect(() => new BPF({ text: `BPF_TABLE("extern", u32, u64, nobodys, 64);` })).toThrow(
      "table nobodys: no program of this process has made it public",
    );
  });
});
