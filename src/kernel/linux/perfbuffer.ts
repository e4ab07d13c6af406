/**
 * Reads a perf event array in place: the way out for kernels without ring buffers (before 5.8), and for programs that write to one
 * anyway. Each CPU has a ring of its own, so records of different CPUs come in no common order.
 */
import { SkepError } from "../../base/index.ts";
import { MapType } from "../../isa/index.ts";
import type { RecordHandler, RingReader } from "../kernel.ts";
import { Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import type { LinuxMap } from "./maps.ts";
import { blankMemory, getU64, mapMemory } from "./memory.ts";
import { PerfSample, PerfSoftware, PerfType, enablePerfEvent, perfFailure, tryPerfEventOpen } from "./perf.ts";
import { Mmap, type PollHandle, pageSize, pollReadable, viewMemory } from "./sys.ts";

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
}

/** Reader of a `BPF_MAP_TYPE_PERF_EVENT_ARRAY`. Records end in up to 7 bytes of padding, as the kernel aligns them. */
export class LinuxPerfBufferReader implements RingReader {
  private readonly name: string;
  private readonly rings: CpuRing[] = [];
  private readonly mappedBytes: number;
  private readonly mask: number;
  private readonly polls = new Set<PollHandle>();
  /** Where a record that wraps is put together; grows to the longest. */
  private joined = new Uint8Array(256);
  private joinedView = new DataView(this.joined.buffer);
  private lostCount = 0;
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
      sampleType: PerfSample.RAW,
      period: 1,
      wakeupEvents: 1,
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
          this.lostCount += getU64(from, at + LOST_COUNT_OFFSET);
          continue;
        }
        handed++;
        handler(wraps ? this.joined : bytes, from, at + HEADER_BYTES + 4, from.getUint32(at + HEADER_BYTES, true));
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
    for (const ring of this.rings) {
      ring.event.close();
      blankMemory(ring.address, this.mappedBytes);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
