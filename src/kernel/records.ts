/** Records of rings as they lie in memory: found by a reader, looked at by its user, then given back to the kernel. */
import type { Owner } from "./kernel.ts";

/** Records that were found and not yet released. Reused: {@link RecordSource.fill} overwrites it. */
export class RecordWindow {
  /** Most records. */
  readonly capacity: number;
  count = 0;
  /** What the records lie in: a whole ring, or a place where a record that wraps was put together. */
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
  /** First byte of each record's data. */
  readonly offsets: Uint32Array;
  /** Bytes of each record's data. */
  readonly sizes: Uint32Array;
  /** Position in the ring behind each record. */
  readonly ends: Float64Array;
  /** Position behind all that was looked at. */
  end = 0;
  /** Records that the kernel says it dropped, since the last window that had any. */
  lost = 0;
  /** CPU that wrote the records; -1 when the ring is shared by all. */
  cpu = -1;
  /** Nanoseconds of CLOCK_MONOTONIC at which each record was written, when the source has them. */
  readonly times: BigUint64Array | undefined;

  constructor(capacity: number, withTimes: boolean = false) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError(`a batch of ${capacity} records`);
    this.capacity = capacity;
    this.offsets = new Uint32Array(capacity);
    this.sizes = new Uint32Array(capacity);
    this.ends = new Float64Array(capacity);
    this.times = withTimes ? new BigUint64Array(capacity) : undefined;
  }
}

/** Where records come from, in windows that stay valid until they are released. One user at a time. */
export interface RecordSource extends Owner {
  /** Looks for records that are there now, at most the window's capacity; returns how many. What the window had is to be released first. */
  fill(window: RecordWindow): number;
  /** Gives the first `count` records of a window back to the kernel, which may overwrite them then; all of them by default. */
  release(window: RecordWindow, count?: number): void;
  /** Calls back once, when there may be records to read; at once when there are some. Returns what cancels it. */
  whenReadable(callback: () => void): () => void;
  /** Records that the kernel said it dropped; undefined where it does not say. */
  readonly lost: number | undefined;
  /** Bytes that wait to be read, headers included. */
  readonly pendingBytes: number;
  /** Bytes given back to the kernel so far, headers included. */
  readonly releasedBytes: number;
  /** Bytes of the ring, of one CPU's where each has its own. */
  readonly ringBytes: number;
}
