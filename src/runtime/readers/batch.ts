/** Several records at once, in place: the fastest way to read a ring. */
import { SkepError } from "../../base/index.ts";
import type { RecordWindow } from "../../kernel/index.ts";

/** Makes an event of a record: a codec's `read`, or any function. The record is `[offset, end)` of the view, valid during the call. */
export type Decode<T> = (view: DataView, offset: number, end: number) => T;

/** The records that were waiting, up to a number. Valid until the next batch is asked for or the reader is closed; then its methods throw. */
export class EventBatch<T> implements Iterable<T> {
  private readonly decode: Decode<T>;
  private window: RecordWindow | undefined;
  /** Number of records. */
  readonly count: number;
  /** Records that the kernel dropped since the last batch, where it tells (perf buffers); 0 elsewhere. */
  readonly lost: number;
  /** CPU that wrote the records of a perf buffer; undefined for ring buffers, which all CPUs share. */
  readonly cpu: number | undefined;

  constructor(window: RecordWindow, decode: Decode<T>) {
    this.window = window;
    this.decode = decode;
    this.count = window.count;
    this.lost = window.lost;
    this.cpu = window.cpu < 0 ? undefined : window.cpu;
  }

  private get records(): RecordWindow {
    if (this.window !== undefined) return this.window;
    throw new SkepError("closed", "batch of events: used after the next one was asked for or the reader was closed");
  }

  private at(index: number): RecordWindow {
    const { records } = this;
    if (index >= 0 && index < this.count) return records;
    throw new RangeError(`event ${index}: the batch has ${this.count}`);
  }

  /** What the records lie in, with {@link EventBatch.offset} and {@link EventBatch.byteLength}: for loops that read fields in place. */
  get view(): DataView {
    return this.records.view;
  }

  /** As {@link EventBatch.view}, bytes. */
  get buffer(): Uint8Array {
    return this.records.bytes;
  }

  /** First byte of a record in {@link EventBatch.view}. */
  offset(index: number): number {
    return this.at(index).offsets[index]!;
  }

  /** Bytes of a record. Perf buffers add up to 7 to what the program wrote. */
  byteLength(index: number): number {
    return this.at(index).sizes[index]!;
  }

  /** A record's bytes, in place: they change once the batch is released. */
  bytes(index: number): Uint8Array {
    const { bytes, offsets, sizes } = this.at(index);
    return bytes.subarray(offsets[index]!, offsets[index]! + sizes[index]!);
  }

  /** When a record was written, in nanoseconds of CLOCK_MONOTONIC; undefined unless the reader was made with `timestamps`. */
  timestampNs(index: number): bigint | undefined {
    return this.at(index).times?.[index];
  }

  /** A record, decoded. */
  event(index: number): T {
    const { view, offsets, sizes } = this.at(index);
    return this.decode(view, offsets[index]!, offsets[index]! + sizes[index]!);
  }

  /** All records, decoded. The events are the caller's to keep. */
  events(): T[] {
    const events: T[] = [];
    this.forEach((event) => void events.push(event));
    return events;
  }

  /** Calls back with each record, decoded. */
  forEach(callback: (event: T, index: number) => void): void {
    const { view, offsets, sizes } = this.records;
    const { decode, count } = this;
    for (let i = 0; i < count; i++) callback(decode(view, offsets[i]!, offsets[i]! + sizes[i]!), i);
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let i = 0; i < this.count; i++) yield this.event(i);
  }

  /** Ends the batch's life; called by its reader. */
  release(): void {
    this.window = undefined;
  }
}
