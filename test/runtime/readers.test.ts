import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Btf, BtfBuilder, BtfIntEncoding } from "../../src/btf/index.ts";
import { MapType, ProgType } from "../../src/isa/index.ts";
import { type LinuxKernel, openLinuxKernel } from "../../src/kernel/index.ts";
import { type LinuxObject, machine } from "../../src/kernel/linux/index.ts";
import { type MapSpec, readObject } from "../../src/object/index.ts";
import {
  type ArrayMap,
  type EventBatch,
  type PerfEventArrayMap,
  RingBufferMap,
  RingBufferReader,
  type UserRingBufferMap,
  codecFor,
  decodeBytes,
  mergeEvents,
  typedMap,
} from "../../src/runtime/index.ts";
import { bytesOf, mapSpec, numberOf, object, program } from "../kernel/linux/support.ts";
import { guardLeaks } from "../leaks.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith, missing } from "../support/needs.ts";

const RING_BYTES = 4096;

/** Test-run with {number, what, bytes}: reserves a record, writes the number at its start, then submits (0) or discards (1) it. */
const reserve = (ring: string, size: number): string => `
  r6 = *(u64 *)(r1 + 0)
  r7 = *(u64 *)(r1 + 8)
  r1 = MAP(${ring})
  r2 = ${size}
  r3 = 0
  call bpf_ringbuf_reserve#131
  if r0 == 0 goto full
  *(u64 *)(r0 + 0) = r6
  r1 = 1953460070
  *(u64 *)(r0 + 8) = r1
  r1 = r0
  r2 = 0
  if r7 != 0 goto discard
  call bpf_ringbuf_submit#132
  goto out
discard:
  call bpf_ringbuf_discard#133
out:
  r0 = 0
  exit
full:
  r0 = 1
  exit`;

/** Test-run with {number}: sends 24 bytes that begin with it to this CPU's perf buffer. */
const output = `
  r6 = r1
  r1 = *(u64 *)(r6 + 0)
  *(u64 *)(r10 - 24) = r1
  r1 = 1953460070
  *(u64 *)(r10 - 16) = r1
  r1 = 0
  *(u64 *)(r10 - 8) = r1
  r1 = r6
  r2 = MAP(perf)
  r3 = 4294967295 ll
  r4 = r10
  r4 += -24
  r5 = 24
  call bpf_perf_event_output#25
  r0 = 0
  exit`;

interface Event {
  readonly number: bigint;
  readonly text: string;
}

function types(): { btf: Btf; event: number } {
  const b = new BtfBuilder();
  const event = b.struct("event", 24, [
    { name: "number", typeId: b.int("unsigned long long", 8), bitOffset: 0 },
    { name: "text", typeId: b.array(b.int("char", 1, BtfIntEncoding.SIGNED), 8), bitOffset: 64 },
  ]);
  return { btf: Btf.parse(b.finish()), event };
}

const { btf, event } = types();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWith(["linux", "root", "bpf"], "readers of ring buffers", () => {
  guardLeaks();
  let kernel: LinuxKernel;
  let loaded: LinuxObject;
  let ring: RingBufferMap<Event>;
  const ringSpec = (name: string): ReturnType<typeof mapSpec> =>
    mapSpec(name, MapType.RINGBUF, { keySize: 0, valueSize: 0, maxEntries: RING_BYTES, valueTypeId: event });
  const put = (number: number, discard = 0, name = "small"): number => {
    const context = new Uint8Array(16);
    context.set(bytesOf(number, 8));
    context.set(bytesOf(discard, 8), 8);
    return loaded.program(name).testRun(context);
  };
  const collect = async (map: AsyncIterable<Event>, count: number, each?: (n: number) => void): Promise<number[]> => {
    const found: number[] = [];
    for await (const { number, text } of map) {
      expect(text).toBe("foot");
      found.push(Number(number));
      each?.(Number(number));
      if (found.length >= count) break;
    }
    return found;
  };

  beforeAll(() => {
    kernel = openLinuxKernel();
    const options = { type: ProgType.RAW_TRACEPOINT };
    loaded = kernel.load(
      object(
        [
          program("small", reserve("ring", 24), options),
          program("big", reserve("ring", 2040), options),
          program("second", reserve("ring2", 24), options),
        ],
        [ringSpec("ring"), ringSpec("ring2")],
      ),
    );
    ring = typedMap(loaded.map("ring"), ringSpec("ring"), btf) as RingBufferMap<Event>;
  });
  afterAll(() => loaded.close());
  // What a test left unread.
  beforeEach(() => {
    using reader = ring.reader();
    reader.read();
  });

  test("events one by one, as they come, discarded ones left out", async () => {
    for (let i = 0; i < 6; i++) put(i, i % 2);
    let more = 6;
    const timer = setInterval(() => put(more, more++ % 2), 2);
    expect(await collect(ring, 8)).toEqual([0, 2, 4, 6, 8, 10, 12, 14]);
    clearInterval(timer);
  });

  test("a loop that is left takes no more than it saw; the next one goes on", async () => {
    for (let i = 0; i < 10; i++) put(i);
    expect(await collect(ring, 3)).toEqual([0, 1, 2]);
    expect(await collect(ring, 2)).toEqual([3, 4]);
    using reader = ring.reader({ keepOpen: true });
    expect(await collect(reader, 2)).toEqual([5, 6]);
    expect(reader.read(2).map(({ number }) => number)).toEqual([7n, 8n]);
    expect(await collect(reader, 1)).toEqual([9]);
  });

  test("nothing is taken while the loop works: what does not fit is refused at its source", async () => {
    // The kernel leaves at least a byte free.
    const fits = Math.floor((RING_BYTES - 1) / 32);
    for (let i = 0; i < fits; i++) expect(put(i)).toBe(0);
    expect(put(999)).toBe(1);
    let worked = 0;
    for await (const { number } of ring) {
      // The event that is worked on still fills its place, those before it gave theirs back.
      expect(put(1000 + worked) + put(999)).toBe(worked === 0 ? 2 : 1);
      worked++;
      if (Number(number) === 20) break;
    }
    expect(worked).toBe(21);
  });

  test("batches: views in place until the next batch is asked for", async () => {
    for (let i = 0; i < 10; i++) put(i, i === 4 ? 1 : 0);
    let kept: EventBatch<Event> | undefined;
    const numbers: number[] = [];
    for await (const batch of ring.batches({ batchSize: 4 })) {
      if (kept !== undefined) expect(() => kept!.event(0)).toThrow("used after the next one was asked for");
      kept = batch;
      expect(batch.count).toBeLessThanOrEqual(4);
      expect(batch.lost).toBe(0);
      expect(batch.cpu).toBeUndefined();
      for (let i = 0; i < batch.count; i++) {
        expect(batch.byteLength(i)).toBe(24);
        const number = batch.view.getUint32(batch.offset(i), true);
        expect(numberOf(batch.bytes(i), 0, 8)).toBe(number);
        expect(batch.event(i)).toEqual({ number: BigInt(number), text: "foot" });
        numbers.push(number);
      }
      expect(batch.events()).toEqual([...batch]);
      expect(() => batch.event(batch.count)).toThrow(`the batch has ${batch.count}`);
      if (numbers.length === 9) break;
    }
    expect(numbers).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9]);
    expect(() => kept!.bytes(0)).toThrow("batch of events");
  });

  test("big records, wrapping many times", async () => {
    let sent = 0;
    using reader = new RingBufferReader(loaded.map("ring"), decodeBytes, { keepOpen: true });
    for (let round = 0; round < 50; round++) {
      expect(put(sent++, 0, "big")).toBe(0);
      if (round % 3 === 0) put(0, 1, "small");
      const [bytes] = reader.read();
      expect([bytes!.length, numberOf(bytes!, 0, 8)]).toEqual([2040, round]);
    }
    expect(reader.lost).toBeUndefined();
    expect(reader.pendingBytes).toBe(0);
  });

  test("a record that is shorter than its type is an error that names both", async () => {
    put(1);
    const b = new BtfBuilder();
    const long = b.struct("long_event", 64, [{ name: "x", typeId: b.int("unsigned int", 4), bitOffset: 0 }]);
    const other = Btf.parse(b.finish());
    using reader = ring.reader({}, codecFor(other, long));
    await expect(reader[Symbol.asyncIterator]().next()).rejects.toThrow(
      "events of map ring: struct long_event: has 64 bytes, there are 24",
    );
    expect(reader.closed).toBe(true);
  });

  test("abort ends a wait with its reason, at once also when it came before", async () => {
    const control = new AbortController();
    setTimeout(() => control.abort(new Error("enough")), 20);
    const reader = ring.reader({ signal: control.signal });
    await expect(collect(reader, 1)).rejects.toThrow("enough");
    expect(reader.closed).toBe(true);
    await expect(collect(ring.reader({ signal: control.signal }), 1)).rejects.toThrow("enough");
    await expect(collect(ring.reader({ signal: AbortSignal.timeout(10) }), 1)).rejects.toThrow(/timeout/);
  });

  test("closing ends a wait; a reader that is closed is at its end", async () => {
    const reader = ring.reader();
    const waiting = collect(reader, 5);
    await sleep(10);
    put(7);
    await sleep(10);
    reader.close();
    reader.close();
    expect(await waiting).toEqual([7]);
    expect(await reader.batches().next()).toEqual({ done: true, value: undefined });
    expect(() => reader.read()).toThrow("events of map ring: read after the reader was closed");
  });

  test("two loops over one reader are refused", async () => {
    using reader = ring.reader({ keepOpen: true });
    const first = reader[Symbol.asyncIterator]().next();
    await expect(reader[Symbol.asyncIterator]().next()).rejects.toThrow("two loops read the same reader");
    put(1);
    expect((await first).value).toEqual({ number: 1n, text: "foot" });
  });

  test("timers and signals have their turn while a ring never empties", async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const started = performance.now();
    put(0);
    let events = 0;
    for await (const found of ring) {
      expect(found.text).toBe("foot");
      put(++events);
      if (performance.now() - started > 150) break;
    }
    clearInterval(timer);
    expect(events).toBeGreaterThan(50);
    expect(ticks).toBeGreaterThan(1);
  });

  test("several rings as one stream", async () => {
    const second = typedMap(loaded.map("ring2"), ringSpec("ring2"), btf) as RingBufferMap<Event>;
    const readers = { ring: ring.reader(), other: second.reader() };
    let count = 0;
    const timer = setInterval(() => {
      put(count);
      put(100 + count++, 0, "second");
    }, 1);
    const seen = { ring: [] as number[], other: [] as number[] };
    for await (const { source, event: found } of mergeEvents(readers)) {
      seen[source].push(Number(found.number));
      if (seen.ring.length + seen.other.length >= 20) break;
    }
    clearInterval(timer);
    expect(readers.ring.closed && readers.other.closed).toBe(true);
    expect(seen.ring).toEqual(seen.ring.map((_, i) => i));
    expect(seen.other).toEqual(seen.other.map((_, i) => 100 + i));
    expect(Math.abs(seen.ring.length - seen.other.length)).toBeLessThanOrEqual(1);
  });

  test("losses are what the program counts", () => {
    let dropped = 3n;
    using reader = ring.reader({ lost: () => dropped });
    expect(reader.lost).toBe(3);
    dropped = 4n;
    expect(reader.lost).toBe(4);
    expect(reader.ringBytes).toBe(RING_BYTES);
  });
});

describeWith(["linux", "root", "bpf"], "readers of perf buffers", () => {
  guardLeaks();
  const spec = mapSpec("perf", MapType.PERF_EVENT_ARRAY, { valueSize: 4, maxEntries: machine.possibleCpus.length });
  const load = (kernel: LinuxKernel): LinuxObject => kernel.load(object([program("output", output)], [spec]));
  const put = (loaded: LinuxObject, number: number, cpu: number): void => {
    loaded.program("output").run({ context: bytesOf(number, 8), cpu });
  };

  test("events with their CPU and time, wrapped ones whole", async () => {
    using kernel = openLinuxKernel();
    using loaded = load(kernel);
    const perf = typedMap(loaded.map("perf"), spec, undefined, {
      event: codecFor(btf, event),
    }) as PerfEventArrayMap<Event>;
    using reader = perf.reader({ pagesPerCpu: 1, timestamps: true, keepOpen: true });
    let sent = 0;
    let last = 0n;
    for (let round = 0; round < 40; round++) {
      const wanted = new Map<bigint, number>();
      for (let i = 0; i < 30; i++, sent++) {
        const cpu = machine.onlineCpus[sent % machine.onlineCpus.length]!;
        put(loaded, sent, cpu);
        wanted.set(BigInt(sent), cpu);
      }
      for await (const batch of reader.batches()) {
        for (let i = 0; i < batch.count; i++) {
          const { number, text } = batch.event(i);
          expect(text).toBe("foot");
          expect(wanted.get(number)).toBe(batch.cpu);
          wanted.delete(number);
          const time = batch.timestampNs(i)!;
          if (round > 0) expect(time).toBeGreaterThan(last);
        }
        if (wanted.size === 0) {
          last = batch.timestampNs(batch.count - 1)!;
          // Of the round's last batch; other CPUs may have written later.
          last -= 50_000_000n;
          break;
        }
      }
      expect(wanted.size).toBe(0);
    }
    expect(reader.lost).toBe(0);
  });

  test("one by one, waiting; what was lost is told once", async () => {
    using kernel = openLinuxKernel();
    using loaded = load(kernel);
    const perf = typedMap(loaded.map("perf"), spec, undefined, {
      event: codecFor(btf, event),
    }) as PerfEventArrayMap<Event>;
    using reader = perf.reader({ pagesPerCpu: 1, keepOpen: true });
    const cpu = machine.onlineCpus[0]!;
    let next = 0;
    const timer = setInterval(() => put(loaded, next++, cpu), 1);
    const found: bigint[] = [];
    for await (const { number } of reader) {
      found.push(number);
      if (found.length === 20) break;
    }
    clearInterval(timer);
    expect(found).toEqual(found.map((_, i) => BigInt(i)));
    reader.read();
    let offered = 0;
    for (; offered < 500; offered++) put(loaded, offered, cpu);
    let seen = reader.read(10).length;
    put(loaded, offered++, cpu);
    let told = 0;
    for await (const batch of reader.batches()) {
      seen += batch.count;
      told += batch.lost;
      if (reader.pendingBytes === 0 || batch.count + seen > 600) break;
      if (told > 0) break;
    }
    seen += reader.read().length;
    expect(told).toBe(reader.lost);
    expect(seen + reader.lost).toBe(offered);
  });
});

describeWith(["linux", "root", "bpf", "tracefs"], "a ring that is written while it is read by batches", () => {
  guardLeaks();

  /** At each system call of a process: a number in order, its complement, or a count of what did not fit. */
  const produce = `
    call bpf_get_current_pid_tgid#14
    r0 >>= 32
    r6 = r0
    r1 = 0
    *(u32 *)(r10 - 4) = r1
    r2 = r10
    r2 += -4
    r1 = MAP(state)
    call bpf_map_lookup_elem#1
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    if r1 != r6 goto out
    r8 = r0
    r7 = *(u64 *)(r0 + 8)
    r1 = r7
    r1 += 1
    *(u64 *)(r0 + 8) = r1
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
    call bpf_ringbuf_submit#132
    goto out
  full:
    r1 = *(u64 *)(r8 + 16)
    r1 += 1
    *(u64 *)(r8 + 16) = r1
  out:
    r0 = 0
    exit`;

  test.each([
    ["small", 4096],
    ["large", 8 << 20],
  ])("%s: every record is whole, in order, and read or counted", async (_, ringBytes) => {
    using kernel = openLinuxKernel();
    const spec = mapSpec("ring", MapType.RINGBUF, { keySize: 0, valueSize: 0, maxEntries: ringBytes });
    using loaded = kernel.load(
      object(
        [program("produce", produce, { type: ProgType.RAW_TRACEPOINT })],
        [spec, mapSpec("state", MapType.ARRAY, { valueSize: 24, maxEntries: 1 })],
      ),
    );
    const child = spawn("sh", ["-c", "read go; exec dd if=/dev/zero of=/dev/null bs=1 count=50000 2>/dev/null"], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    const zero = bytesOf(0, 4);
    const state = new Uint8Array(24);
    state.set(bytesOf(child.pid!, 8));
    loaded.map("state").update(zero, state);
    const counts = (): { made: number; lost: number } => {
      const value = loaded.map("state").lookup(zero)!;
      return { made: numberOf(value, 8, 8), lost: numberOf(value, 16, 8) };
    };
    const control = new AbortController();
    const ring = new RingBufferMap(loaded.map("ring"), decodeBytes);
    const seen = { last: -1, count: 0, torn: 0, disordered: 0 };
    const look = (batch: EventBatch<Uint8Array>): void => {
      for (let i = 0; i < batch.count; i++) {
        const at = batch.offset(i);
        const number = batch.view.getUint32(at, true);
        if (batch.byteLength(i) !== 40 || batch.view.getUint32(at + 32, true) !== ~number >>> 0) seen.torn++;
        if (number <= seen.last) seen.disordered++;
        seen.last = number;
        seen.count++;
      }
    };
    const reading = (async () => {
      for await (const batch of ring.batches({ signal: control.signal, lost: () => counts().lost })) look(batch);
    })();
    const link = kernel.attach(loaded.program("produce"), { kind: "raw-tracepoint", name: "sys_enter" });
    const ended = once(child, "exit");
    child.stdin.end("go\n");
    await ended;
    link.close();
    await sleep(30);
    control.abort(new Error("done"));
    await expect(reading).rejects.toThrow("done");
    const { made, lost } = counts();
    expect(made).toBeGreaterThan(50_000);
    expect({ torn: seen.torn, disordered: seen.disordered }).toEqual({ torn: 0, disordered: 0 });
    // Numbers are not taken atomically, so that a call on another CPU may have counted twice.
    expect(seen.count).toBe(made - lost);
  });
});

describeWith(["linux", "root", "bpf"], "user ring buffers", () => {
  guardLeaks();

  const spec = mapSpec("ring", MapType.USER_RINGBUF, {
    keySize: 0,
    valueSize: 0,
    maxEntries: 4096,
    valueTypeId: event,
  });

  test("records are laid out as programs read them; a full ring refuses, waits, is aborted", async ({ skip }) => {
    if (!machine.atLeast(6, 1)) skip("needs Linux 6.1");
    using kernel = openLinuxKernel();
    using loaded = kernel.load(object([], [spec]));
    const map = typedMap(loaded.map("ring"), spec, btf) as UserRingBufferMap<Event>;
    using producer = map.producer();
    const fits = Math.floor(4096 / 32);
    for (let i = 0; i < fits; i++) expect(producer.push({ number: BigInt(i), text: "x" })).toBe(true);
    expect(producer.push({ number: 1n, text: "x" })).toBe(false);
    expect(producer.pendingBytes).toBe(4096);
    expect(() => producer.reserve(4096)).toThrow("a record of 4096 bytes does not fit a ring of 4096");
    const control = new AbortController();
    setTimeout(() => control.abort(new Error("enough")), 20);
    await expect(producer.send({ number: 1n, text: "" }, { signal: control.signal })).rejects.toThrow("enough");
    const waiting = producer.send({ number: 1n, text: "" });
    setTimeout(() => producer.close(), 10);
    await expect(waiting).rejects.toThrow("closed while a record waited for room");
    expect(() => producer.push({ number: 1n, text: "" })).toThrow("used after it was closed");
  });

  test("programs read what was submitted, and make room for who waits", async ({ skip }) => {
    if (!machine.atLeast(6, 1)) skip("needs Linux 6.1");
    const reason = missing("clang");
    if (reason !== undefined) skip(reason);
    using kernel = openLinuxKernel();
    const source = readObject(compileProgram("user-ring"));
    using loaded = kernel.load(source);
    const objectBtf = Btf.parse(source.btf!);
    const specOf = (name: string): MapSpec => source.maps.find((map) => map.name === name)!;
    const ring = typedMap(loaded.map("ring"), specOf("ring"), objectBtf) as UserRingBufferMap<Uint8Array>;
    const totals = typedMap(loaded.map("totals"), specOf("totals"), objectBtf) as ArrayMap<{
      count: bigint;
      sum: bigint;
    }>;
    using producer = ring.producer(
      codecFor<{ amount: bigint; note: string }>(objectBtf, objectBtf.structByName("order")!.id),
    );
    const drained = (): number => loaded.program("drain").testRun(new Uint8Array(0)) | 0;
    for (let amount = 1n; amount <= 10n; amount++) producer.push({ amount, note: "buy" });
    producer.reserve(24)!.discard();
    const late = producer.reserve(24)!;
    producer.push({ amount: 1000n, note: "buy" });
    // What follows a record that is still written waits for it.
    drained();
    expect(totals.get(0)).toEqual({ count: 10n, sum: 55n });
    late.view.setBigUint64(0, 100n, true);
    late.view.setUint32(8, 0x797562, true);
    late.submit();
    drained();
    expect(totals.get(0)).toEqual({ count: 12n, sum: 1155n });
    // Many turns of the ring.
    let sent = 0n;
    const sending = (async () => {
      for (; sent < 2000n; sent++) await producer.send({ amount: 1n, note: "buy" });
    })();
    const timer = setInterval(drained, 1);
    await sending;
    clearInterval(timer);
    drained();
    expect(totals.get(0)).toEqual({ count: 2012n, sum: 3155n });
    expect(producer.pendingBytes).toBe(0);
  });

  test("a value that does not fit its type leaves no record behind", ({ skip }) => {
    if (!machine.atLeast(6, 1)) skip("needs Linux 6.1");
    using kernel = openLinuxKernel();
    using loaded = kernel.load(object([], [spec]));
    const map = typedMap(loaded.map("ring"), spec, btf) as UserRingBufferMap<Event>;
    using producer = map.producer();
    expect(() => producer.push({ number: -1n, text: "" })).toThrow("struct event.number");
    const record = producer.reserve(24)!;
    record.discard();
    expect(() => record.submit()).toThrow("was submitted or discarded before");
  });
});
