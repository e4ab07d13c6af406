/** Any table: what `b.table(name)` gives, whose type only the program knows. */
import type { Given } from "../../runtime/index.ts";
import type { HistogramOptions } from "../histogram.ts";
import type { PerfBufferSettings, PerfCallback, RingCallback } from "./events.ts";
import type { StackFrame } from "./stack.ts";
import type { Table } from "./table.ts";

/**
 * A table of which only the running program knows the type. Which of these methods it has depends on that: those of a perf buffer are not
 * those of a hash. `K` and `V` are what the caller knows its keys and values (or events) to be.
 */
export interface AnyTable<K = unknown, V = unknown> extends Table, Iterable<[K, V]>, AsyncIterable<V> {
  /** Hashes, arrays, per-CPU tables, LPM tries, maps of maps. */
  get(key: Given<K>): V | undefined;
  /** All with keys; programs, cgroups, sockets and maps by their descriptors. */
  set(key: Given<K>, value: unknown): void;
  has(key: Given<K>): boolean;
  delete(key: Given<K>): boolean;
  items(): [K, V][];
  keys(): K[];
  values(): V[];
  clear(): void;
  zero(): void;
  readonly length: number;
  /** Hashes and arrays of counters. */
  increment(key: Given<K>, by?: number | bigint): void;
  itemsLookupBatch(): [K, V][];
  itemsLookupAndDeleteBatch(): [K, V][];
  itemsUpdateBatch(keys: readonly Given<K>[], values: readonly Given<V>[]): void;
  itemsDeleteBatch(keys?: readonly Given<K>[]): number;
  printLog2Hist(valType?: string, options?: HistogramOptions): void;
  printLinearHist(valType?: string, options?: HistogramOptions): void;
  printJsonHist(valType?: string, options?: HistogramOptions): void;
  log2HistLines(valType?: string, options?: HistogramOptions): string[];
  linearHistLines(valType?: string, options?: HistogramOptions): string[];
  jsonHists(valType?: string, options?: HistogramOptions): Record<string, unknown>[];
  /** Arrays. */
  clearItem(index: number): void;
  /** Per-CPU tables: here `V` is the value of one CPU. */
  getvalue(key: Given<K>): V[] | undefined;
  reduce(key: Given<K>, reducer: (sum: V, value: V) => V): V | undefined;
  sum(key: Given<K>): V | undefined;
  sums(): [K, V][];
  max(key: Given<K>): V | undefined;
  average(key: Given<K>): number | undefined;
  /** Perf buffers. */
  openPerfBuffer(callback: PerfCallback, settings?: PerfBufferSettings): void;
  openPerfEvent(evType: number, evConfig: number | bigint, pid?: number): void;
  /** Ring buffers. */
  openRingBuffer(callback: RingCallback, ctx?: unknown): void;
  /** Both. */
  event(data: Uint8Array): V;
  events(settings?: { readonly pageCnt?: number; readonly signal?: AbortSignal }): AsyncIterableIterator<V>;
  closeBuffer(): void;
  /** Stacks. */
  walk(stackId: number): StackFrame[];
  walk<T>(stackId: number, resolve: (frame: StackFrame) => T): T[];
  /** Queues and stacks of values. */
  push(value: Given<V>, flags?: number): void;
  pop(): V | undefined;
  peek(): V | undefined;
}
