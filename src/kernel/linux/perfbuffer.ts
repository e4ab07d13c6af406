/**
 * Reads a perf event array in place: the way out for kernels without ring buffers (before 5.8), and for programs that write to one
 * anyway. Each CPU has a ring of its own, so records of different CPUs come in no common order.
 */
import { SkepError } from "../../base/index.ts";
import { MapType } from "../../isa/index.ts";
import type { RecordHandler, RingReader } from "../kernel.ts";
import type { RecordSource, RecordWindow } from "../records.ts";
import { Errno } from "../errno.ts";
import type { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import type { LinuxMap } from "./maps.ts";
import { blankMemory, getU64, mapMemory } from "./memory.ts";
import { PerfSample, PerfSoftware, PerfType, enablePerfEvent, perfFailure, tryPerfEventOpen } from "./perf.ts";
import { Mmap, type PollHandle, pageSize, pollReadable, viewMemory, watchReadable } from "./sys.ts";

/** 64-bit index in `struct perf_event_mmap_page` of the positions: byte offsets 1024 and 1032. */
const HEAD_INDEX = 128;
const TAIL_INDEX = 129;

/** `struct perf_event_header`: u32 type, u16 misc, u16 size. */
const HEADER_BYTES = 8;
const SIZE_OFFSET = 6;
const RECORD_LOST = 2;
const RECORD_SAMPLE = 9;
/** In a lost record: u64 id, u64 count. */
const LOST_COUNT_OFFSET = 16;

/** Options of {@link LinuxPerfBufferReader}. */
export interface PerfBufferOptions {
  /** Size of each CPU's ring: a power of two. Default 64. */
  readonly pagesPerCpu?: number;
  /** Records carry the time at which they were written. */
  readonly timestamps?: boolean;
  /** Records that are written before a reader is woken. Default 1. */
  readonly wakeupEvents?: number;
}

/** The ring of one CPU. */
interface CpuRing {
  readonly cpu: number;
  readonly event: OwnedFd;
  readonly address: number;
  readonly positions: BigInt64Array;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  tail: number;
  /** Position up to which lost records were counted: what is not released is looked at again. */
  counted: number;
}

/** Reader of a `BPF_MAP_TYPE_PERF_EVENT_ARRAY`. Records end in up to 7 bytes of padding, as the kernel aligns them. */
export class LinuxPerfBufferReader implements RingReader, RecordSource {
  private readonly name: string;
  private readonly rings: CpuRing[] = [];
  private readonly mappedBytes: number;
  private readonly timestamps: boolean;
  private readonly wakeupEvents: number;
  private readonly mask: number;
  private readonly polls = new Set<PollHandle>();
  /** Where a record that wraps is put together; grows to the longest. */
  private joined = new Uint8Array(256);
  private joinedView = new DataView(this.joined.buffer);
  private lostCount = 0;
  /** Bytes between a sample's header and its raw data's size. */
  private readonly headBytes: number;
  /** Ring that the next window starts to look at, so that no CPU waits for another. */
  private nextRing = 0;
  /** Ring of the window that is out. */
  private windowRing: CpuRing | undefined;
  /** The last window had told of what was lost. */
  private reportedLost = false;
  private watches: ReturnType<typeof watchReadable>[] | undefined;
  private waiting: (() => void) | undefined;
  private closed = false;

  constructor(map: LinuxMap, options: PerfBufferOptions = {}) {
    if (map.spec.type !== MapType.PERF_EVENT_ARRAY) {
      throw new TypeError(
        `map ${map.spec.name}: type ${map.spec.type} is no perf event array (${MapType.PERF_EVENT_ARRAY})`,
      );
    }
    const pages = options.pagesPerCpu ?? 64;
    if (pages < 1 || (pages & (pages - 1)) !== 0) throw new RangeError(`pagesPerCpu: ${pages} is no power of two`);
    this.name = map.spec.name;
    const dataBytes = pages * pageSize();
    this.mappedBytes = pageSize() + dataBytes;
    this.mask = dataBytes - 1;
    this.timestamps = options.timestamps === true;
    this.wakeupEvents = options.wakeupEvents ?? 1;
    this.headBytes = HEADER_BYTES + (this.timestamps ? 8 : 0);
    try {
      for (const cpu of machine.onlineCpus) {
        if (cpu < map.spec.maxEntries) this.openRing(map, cpu);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  private openRing(map: LinuxMap, cpu: number): void {
    const what = `output of map ${this.name} on CPU ${cpu}`;
    const event = tryPerfEventOpen({
      type: PerfType.SOFTWARE,
      config: PerfSoftware.BPF_OUTPUT,
      sampleType: PerfSample.RAW | (this.timestamps ? PerfSample.TIME : 0),
      monotonicTimes: this.timestamps,
      period: 1,
      wakeupEvents: this.wakeupEvents,
      pid: -1,
      cpu,
      what,
    });
    if (typeof event === "number") {
      // The CPU went offline after the list was made.
      if (event === -Errno.ENODEV) return;
      throw perfFailure(what, -event);
    }
    let address: number;
    try {
      const { PROT_READ, PROT_WRITE, MAP_SHARED } = Mmap;
      address = mapMemory(what, this.mappedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, event.value);
    } catch (error) {
      event.close();
      throw error;
    }
    const buffer = viewMemory(address, this.mappedBytes);
    this.rings.push({
      cpu,
      event,
      address,
      positions: new BigInt64Array(buffer, 0, TAIL_INDEX + 1),
      bytes: new Uint8Array(buffer, pageSize()),
      view: new DataView(buffer, pageSize()),
      tail: 0,
      counted: 0,
    });
    const key = new Uint8Array(4);
    const value = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, cpu, true);
    new DataView(value.buffer).setUint32(0, event.value, true);
    map.update(key, value);
    enablePerfEvent(event);
  }

  /** Records that the kernel dropped because a ring was full, as far as read. */
  get lost(): number {
    return this.lostCount;
  }

  drain(handler: RecordHandler, limit: number = Infinity): number {
    if (this.closed) throw new SkepError("closed", `perf buffer reader of map ${this.name}: used after it was closed`);
    let handed = 0;
    for (const ring of this.rings) {
      if (handed >= limit || this.closed) break;
      handed += this.drainRing(ring, handler, limit - handed);
    }
    return handed;
  }

  private drainRing(ring: CpuRing, handler: RecordHandler, limit: number): number {
    const { bytes, view, positions } = ring;
    const { mask } = this;
    const head = Number(Atomics.load(positions, HEAD_INDEX));
    let tail = ring.tail;
    let handed = 0;
    try {
      while (tail < head && handed < limit) {
        // Headers are 8 bytes long and aligned, so they never wrap.
        const start = tail & mask;
        const type = view.getUint32(start, true);
        const size = view.getUint16(start + SIZE_OFFSET, true);
        const wraps = start + size > mask + 1;
        tail += size;
        if (type !== RECORD_SAMPLE && type !== RECORD_LOST) continue;
        if (wraps) this.join(bytes, start, size);
        const from = wraps ? this.joinedView : view;
        const at = wraps ? 0 : start;
        if (type === RECORD_LOST) {
          this.countLost(ring, tail, getU64(from, at + LOST_COUNT_OFFSET));
          continue;
        }
        handed++;
        const rawAt = at + this.headBytes;
        handler(wraps ? this.joined : bytes, from, rawAt + 4, from.getUint32(rawAt, true));
        if (this.closed) break;
      }
    } finally {
      if (tail !== ring.tail && !this.closed) {
        ring.tail = tail;
        Atomics.store(positions, TAIL_INDEX, BigInt(tail));
      }
    }
    return handed;
  }

  /** Records of one CPU at a time; one that wraps makes a window of its own. */
  fill(window: RecordWindow): number {
    if (this.closed) throw new SkepError("closed", `perf buffer reader of map ${this.name}: used after it was closed`);
    window.count = 0;
    if (this.reportedLost) {
      this.reportedLost = false;
      window.lost = 0;
    }
    const { rings } = this;
    for (let i = 0; i < rings.length; i++) {
      const ring = rings[(this.nextRing + i) % rings.length]!;
      if (this.fillFrom(ring, window) === 0) continue;
      this.nextRing = (this.nextRing + i + 1) % rings.length;
      this.windowRing = ring;
      this.reportedLost = true;
      break;
    }
    return window.count;
  }

  private fillFrom(ring: CpuRing, window: RecordWindow): number {
    const { bytes, view, positions } = ring;
    const { mask, headBytes } = this;
    const head = Number(Atomics.load(positions, HEAD_INDEX));
    let tail = ring.tail;
    let count = 0;
    window.bytes = bytes;
    window.view = view;
    window.cpu = ring.cpu;
    while (tail < head && count < window.capacity) {
      const start = tail & mask;
      const type = view.getUint32(start, true);
      const size = view.getUint16(start + SIZE_OFFSET, true);
      const wraps = start + size > mask + 1;
      if (wraps && (type === RECORD_SAMPLE || type === RECORD_LOST)) {
        // What was found before it lies elsewhere.
        if (count > 0) break;
        this.join(bytes, start, size);
      }
      const from = wraps ? this.joinedView : view;
      const at = wraps ? 0 : start;
      tail += size;
      if (type === RECORD_LOST) {
        window.lost += this.countLost(ring, tail, getU64(from, at + LOST_COUNT_OFFSET));
      }
      if (type !== RECORD_SAMPLE) continue;
      window.offsets[count] = at + headBytes + 4;
      window.sizes[count] = from.getUint32(at + headBytes, true);
      window.ends[count] = tail;
      if (window.times !== undefined && this.timestamps) {
        window.times[count] = from.getBigUint64(at + HEADER_BYTES, true);
      }
      count++;
      if (!wraps) continue;
      window.bytes = this.joined;
      window.view = this.joinedView;
      break;
    }
    window.count = count;
    window.end = tail;
    if (count === 0) this.advance(ring, tail);
    return count;
  }

  release(window: RecordWindow, count: number = window.count): void {
    const ring = this.windowRing;
    if (this.closed || ring === undefined || window.count === 0) return;
    if (count >= window.count) this.advance(ring, window.end);
    else if (count > 0) this.advance(ring, window.ends[count - 1]!);
  }

  /** Adds a record of losses that ends at a position, the first time. Returns what it added. */
  private countLost(ring: CpuRing, end: number, lost: number): number {
    if (end <= ring.counted) return 0;
    ring.counted = end;
    this.lostCount += lost;
    return lost;
  }

  private advance(ring: CpuRing, tail: number): void {
    if (tail <= ring.tail) return;
    ring.tail = tail;
    Atomics.store(ring.positions, TAIL_INDEX, BigInt(tail));
  }

  /** The rings stay watched: perf tells of a record once, and to whoever asks first. */
  whenReadable(callback: () => void): () => void {
    if (this.closed) throw new SkepError("closed", `perf buffer reader of map ${this.name}: used after it was closed`);
    this.watches ??= this.rings.map((ring) => watchReadable(ring.event.value, () => this.wake()));
    const watches = this.watches;
    this.waiting = callback;
    for (const watch of watches) watch.hold(true);
    if (this.hasPending) setImmediate(() => this.wake());
    return () => {
      this.waiting = undefined;
      for (const watch of watches) watch.hold(false);
    };
  }

  private wake(): void {
    const callback = this.waiting;
    if (callback === undefined || this.closed) return;
    this.waiting = undefined;
    for (const watch of this.watches ?? []) watch.hold(false);
    callback();
  }

  get pendingBytes(): number {
    return this.rings.reduce((sum, ring) => sum + Number(Atomics.load(ring.positions, HEAD_INDEX)) - ring.tail, 0);
  }

  get releasedBytes(): number {
    return this.rings.reduce((sum, ring) => sum + ring.tail, 0);
  }

  /** Bytes of each CPU's ring. */
  get ringBytes(): number {
    return this.mask + 1;
  }

  private join(bytes: Uint8Array, start: number, size: number): void {
    if (this.joined.length < size) {
      this.joined = new Uint8Array(size * 2);
      this.joinedView = new DataView(this.joined.buffer);
    }
    const first = bytes.length - start;
    this.joined.set(bytes.subarray(start));
    this.joined.set(bytes.subarray(0, size - first), first);
  }

  private get hasPending(): boolean {
    return this.rings.some(({ positions, tail }) => Number(Atomics.load(positions, HEAD_INDEX)) !== tail);
  }

  /**
   * perf forgets a wakeup as soon as anyone polls for it (`perf_poll`), and epoll polls when a descriptor is added: what came
   * before that, and what a callback left unread, is asked for here, since no wakeup would tell of it.
   */
  onReadable(callback: () => void): () => void {
    if (this.closed) throw new SkepError("closed", `perf buffer reader of map ${this.name}: used after it was closed`);
    let stopped = false;
    let asking: NodeJS.Immediate | undefined;
    const ask = (): void => {
      if (asking !== undefined) clearImmediate(asking);
      asking = undefined;
      if (stopped || this.closed || !this.hasPending) return;
      callback();
      askLater();
    };
    const askLater = (): void => {
      if (!stopped && !this.closed) asking ??= setImmediate(ask);
    };
    const polls = this.rings.map((ring) => pollReadable(ring.event.value, ask));
    for (const poll of polls) this.polls.add(poll);
    askLater();
    return () => {
      stopped = true;
      if (asking !== undefined) clearImmediate(asking);
      for (const poll of polls) if (this.polls.delete(poll)) poll.close();
    };
  }

  /** Closes the events, which takes them out of the map. Views that a handler kept then read zeros. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const poll of this.polls) poll.close();
    this.polls.clear();
    for (const watch of this.watches ?? []) watch.close();
    this.waiting = undefined;
    for (const ring of this.rings) {
      ring.event.close();
      blankMemory(ring.address, this.mappedBytes);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
