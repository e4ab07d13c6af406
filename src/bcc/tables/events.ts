/** Tables that send records to user space: perf buffers and ring buffers, by callbacks as in BCC or as async iterables. */
import { SkepError } from "../../base/index.ts";
import { type RecordSource, RecordWindow } from "../../kernel/index.ts";
import { LinuxMap, LinuxPerfBufferReader, LinuxRingReader } from "../../kernel/linux/index.ts";
import type { PerfEventArrayMap, RingBufferMap } from "../../runtime/index.ts";
import { openCounter } from "../counters.ts";
import { Table, type TableHost } from "./table.ts";

/** Called for each record of a perf buffer: which CPU wrote it, its bytes (the callback's to keep) and their number. */
export type PerfCallback = (cpu: number, data: Uint8Array, size: number) => void;
/** Called with the number of records that a CPU's ring had no room for. */
export type LostCallback = (lost: number, cpu: number) => void;
/** Called for each record of a ring buffer: what was given when it was opened, the record's bytes (the callback's to keep) and their number. */
export type RingCallback = (ctx: unknown, data: Uint8Array, size: number) => unknown;

/** Options of {@link PerfEventTable.openPerfBuffer}. */
export interface PerfBufferSettings {
  /** Pages of each CPU's ring: a power of two. Default 8. */
  readonly pageCnt?: number;
  readonly lostCb?: LostCallback;
  /** Records between wakeups. Default 1. */
  readonly wakeupEvents?: number;
}

/** Records that are looked at before timers and signals have their turn. */
const WINDOW_RECORDS = 1024;

/** An opened buffer, as polling wants it. */
export interface OpenBuffer {
  /** Hands over what is there; returns how many. */
  consume(): number;
  /** Calls back once when there may be records; returns what cancels it. */
  whenReadable(callback: () => void): () => void;
  close(): void;
}

/** What opened buffers belong to, so that the program polls and closes them. */
export interface EventHost extends TableHost {
  addBuffer(kind: "perf" | "ring", buffer: OpenBuffer): void;
  removeBuffer(buffer: OpenBuffer): void;
}

function linuxMap(table: Table): LinuxMap {
  const { kernelMap } = table.map;
  if (kernelMap instanceof LinuxMap) return kernelMap;
  throw new SkepError("unsupported", `table ${table.name}: only tables of the running kernel have readers`);
}

interface PendingRecord {
  readonly cpu: number;
  readonly data: Uint8Array;
}

function fill(source: RecordSource, window: RecordWindow): number {
  return source.fill(window);
}

/** Windows that are handed over at once: a flood of records cannot keep a poll from returning. */
const MOST_WINDOWS = 64;

/**
 * A reader whose records are handed to callbacks. Records are copied out of the ring before, so that it has room again while callbacks run;
 * those behind one whose callback throws are kept for the next time.
 */
function bufferOf(
  source: RecordSource,
  deliver: (record: PendingRecord) => void,
  lost?: (count: number, cpu: number) => void,
): OpenBuffer {
  const window = new RecordWindow(WINDOW_RECORDS);
  let pending: PendingRecord[] = [];
  let next = 0;
  let closed = false;
  return {
    consume(): number {
      let count = 0;
      for (let turn = 0; turn < MOST_WINDOWS && !closed; turn++) {
        for (; next < pending.length && !closed; count++) deliver(pending[next++]!);
        if (closed) break;
        const found = fill(source, window);
        if (found === 0) break;
        const { bytes, cpu, offsets, sizes } = window;
        pending = Array.from({ length: found }, (_, i) => {
          return { cpu, data: bytes.slice(offsets[i]!, offsets[i]! + sizes[i]!) };
        });
        next = 0;
        source.release(window);
        if (window.lost > 0) lost?.(window.lost, cpu);
      }
      return count;
    },
    whenReadable(callback): () => void {
      if (next >= pending.length) return source.whenReadable(callback);
      const soon = setImmediate(callback);
      return () => clearImmediate(soon);
    },
    close(): void {
      closed = true;
      source.close();
    },
  };
}

/** What tables of records have in common. */
abstract class RecordTable<T, M extends PerfEventArrayMap<T> | RingBufferMap<T>>
  extends Table<M>
  implements AsyncIterable<T>
{
  protected readonly eventHost: EventHost;
  private opened: OpenBuffer | undefined;

  constructor(map: M, spec: Table["spec"], host: EventHost) {
    super(map, spec, host);
    this.eventHost = host;
  }

  /** A record as the struct that the program sends; its bytes where nothing says what that is. */
  event(data: Uint8Array): T {
    return this.map.decode(data);
  }

  abstract [Symbol.asyncIterator](): AsyncIterableIterator<T>;

  protected open(kind: "perf" | "ring", buffer: OpenBuffer): void {
    this.opened = buffer;
    this.eventHost.addBuffer(kind, buffer);
  }

  /** Closes what was opened: callbacks are not called any more. */
  closeBuffer(): void {
    if (this.opened === undefined) return;
    this.eventHost.removeBuffer(this.opened);
    this.opened.close();
    this.opened = undefined;
  }
}

/** A perf buffer (`BPF_PERF_OUTPUT`), or counters that programs read (`BPF_PERF_ARRAY`). */
export class PerfEventTable<T> extends RecordTable<T, PerfEventArrayMap<T>> {
  private readonly counters = new Map<number, { close(): void }>();

  /**
   * Opens a ring for each CPU; `callback` gets each record when the program is polled. Opening again replaces the callback. Throws RangeError
   * unless `pageCnt` is a power of two.
   */
  openPerfBuffer(callback: PerfCallback, settings: PerfBufferSettings = {}): void {
    const { pageCnt = 8, lostCb, wakeupEvents = 1 } = settings;
    if (pageCnt < 1 || !Number.isInteger(pageCnt) || (pageCnt & (pageCnt - 1)) !== 0)
      throw new RangeError(`table ${this.name}: pageCnt ${pageCnt} is no power of two`);
    this.closeBuffer();
    const reader = new LinuxPerfBufferReader(linuxMap(this), { pagesPerCpu: pageCnt, wakeupEvents });
    this.open(
      "perf",
      bufferOf(reader, ({ cpu, data }) => callback(cpu, data, data.length), lostCb),
    );
  }

  /** Records as events, in rings of its own: a loop over them needs neither callbacks nor polling, and closes them when it is left. */
  events(settings: { readonly pageCnt?: number; readonly signal?: AbortSignal } = {}): AsyncIterableIterator<T> {
    const { pageCnt = 8, signal } = settings;
    const reader = this.map.reader({ pagesPerCpu: pageCnt, ...(signal === undefined ? {} : { signal }) });
    return reader[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.events();
  }

  /** Puts a counter of each CPU into the table (`PERF_TYPE_*` and its config), for `perf_read` and `perf_counter_value`. */
  openPerfEvent(evType: number, evConfig: number | bigint, pid: number = -1): void {
    for (const [cpu, counter] of openCounter(linuxMap(this), evType, evConfig, pid)) {
      this.counters.get(cpu)?.close();
      this.counters.set(cpu, counter);
    }
  }

  /** Closes rings and counters. */
  override closeBuffer(): void {
    super.closeBuffer();
    for (const counter of this.counters.values()) counter.close();
    this.counters.clear();
  }
}

/** A ring buffer (`BPF_RINGBUF_OUTPUT`). */
export class RingTable<T> extends RecordTable<T, RingBufferMap<T>> {
  /** `callback` gets each record when the program is polled. Opening again replaces it. */
  openRingBuffer(callback: RingCallback, ctx?: unknown): void {
    this.closeBuffer();
    const reader = new LinuxRingReader(linuxMap(this));
    this.open(
      "ring",
      bufferOf(reader, ({ data }) => void callback(ctx, data, data.length)),
    );
  }

  /** Records as events: a loop over them needs neither callbacks nor polling. */
  events(settings: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<T> {
    return this.map.reader(settings)[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.events();
  }
}
