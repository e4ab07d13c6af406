/** Ring buffers and perf buffers as maps that are read. */
import type { KernelMap } from "../../kernel/index.ts";
import { LinuxPerfBufferReader, LinuxRingReader, type PerfBufferOptions } from "../../kernel/linux/index.ts";
import { type Descriptor, MapHandle, descriptorOf } from "../maps/base.ts";
import { ReferenceMap } from "../maps/references.ts";
import { indexCodec } from "../maps/typed-map.ts";
import type { Codec } from "../values/codec.ts";
import type { Decode, EventBatch } from "./batch.ts";
import { EventReader, type ReaderOptions } from "./event-reader.ts";

/** What makes events of records: a codec, or any function. */
export type EventDecoder<T> = Codec<T> | Decode<T>;

/** As a function. */
export function decodeWith<T>(decoder: EventDecoder<T>): Decode<T> {
  return typeof decoder === "function" ? decoder : decoder.read;
}

/** Records as copies of their bytes: where nothing says what they are. */
export const decodeBytes: Decode<Uint8Array> = (view, offset, end) =>
  new Uint8Array(view.buffer, view.byteOffset + offset, end - offset).slice();

function decodeRecord<T>(decoder: EventDecoder<T>, record: Uint8Array): T {
  return decodeWith(decoder)(new DataView(record.buffer, record.byteOffset, record.byteLength), 0, record.byteLength);
}

/** Reader of a ring buffer. */
export class RingBufferReader<T> extends EventReader<T> {
  constructor(map: LinuxRingMap, decoder: EventDecoder<T>, options: ReaderOptions = {}) {
    super(map.spec.name, new LinuxRingReader(map), decodeWith(decoder), options);
  }
}

/** Readers of a map that are open: they end with it. */
class OpenReaders {
  private readonly readers = new Set<EventReader<unknown>>();

  add<R extends EventReader<unknown>>(reader: R): R {
    for (const one of this.readers) if (one.closed) this.readers.delete(one);
    this.readers.add(reader);
    return reader;
  }

  close(): void {
    for (const reader of this.readers) reader.close();
    this.readers.clear();
  }
}

/** A map of the running kernel, as its readers need it. */
type LinuxRingMap = ConstructorParameters<typeof LinuxRingReader>[0];

/** Options of {@link PerfBufferReader}. */
export interface PerfReaderOptions extends ReaderOptions, PerfBufferOptions {}

/** Reader of a perf buffer: a ring for each CPU, so that events of different CPUs come in no common order. */
export class PerfBufferReader<T> extends EventReader<T> {
  constructor(map: LinuxRingMap, decoder: EventDecoder<T>, options: PerfReaderOptions = {}) {
    const source = new LinuxPerfBufferReader(map, options);
    super(map.spec.name, source, decodeWith(decoder), options, options.timestamps === true);
  }

  /** Records that the kernel dropped because a ring was full, as far as read; more are told with the next record that fits. */
  override get lost(): number {
    return super.lost ?? 0;
  }
}

/**
 * A ring buffer: `for await (const event of map)` reads it from where the last reader stopped, and closes its reader when the loop is left.
 * One reader at a time: there is one position.
 */
export class RingBufferMap<T> extends MapHandle implements AsyncIterable<T> {
  private readonly decoder: EventDecoder<T>;
  private readonly readers = new OpenReaders();

  constructor(map: KernelMap, decoder: EventDecoder<T>) {
    super(map);
    this.decoder = decoder;
  }

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.spec.maxEntries;
  }

  /** A record's bytes as an event. */
  decode(record: Uint8Array): T {
    return decodeRecord(this.decoder, record);
  }

  /** A reader, for the caller to close, at the latest closed with the map; `decoder` reads its records otherwise than the map's own. */
  reader(options?: ReaderOptions): RingBufferReader<T>;
  reader<U>(options: ReaderOptions, decoder: EventDecoder<U>): RingBufferReader<U>;
  reader<U>(options: ReaderOptions = {}, decoder?: EventDecoder<U>): RingBufferReader<T | U> {
    return this.readers.add(new RingBufferReader<T | U>(this.linuxMap("a reader"), decoder ?? this.decoder, options));
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.reader()[Symbol.asyncIterator]();
  }

  /** Records in batches, read by a reader of its own, which is closed when the loop is left. */
  batches(options?: ReaderOptions): AsyncIterableIterator<EventBatch<T>> {
    return this.reader(options).batches();
  }

  /** Also closes its readers: loops that wait for events end. */
  override close(): void {
    this.readers.close();
    super.close();
  }
}

/** A perf event array: events that programs send to user space, a ring a CPU; or counters that programs read. */
export class PerfEventArrayMap<T> extends ReferenceMap<number> implements AsyncIterable<T> {
  private readonly decoder: EventDecoder<T>;
  private readonly readers = new OpenReaders();

  constructor(map: KernelMap, decoder: EventDecoder<T>) {
    super(map, indexCodec(map));
    this.decoder = decoder;
  }

  /** A record's bytes as an event. */
  decode(record: Uint8Array): T {
    return decodeRecord(this.decoder, record);
  }

  /** A reader of the rings of all CPUs, for the caller to close: it puts its own events into the map. */
  reader(options?: PerfReaderOptions): PerfBufferReader<T>;
  reader<U>(options: PerfReaderOptions, decoder: EventDecoder<U>): PerfBufferReader<U>;
  reader<U>(options: PerfReaderOptions = {}, decoder?: EventDecoder<U>): PerfBufferReader<T | U> {
    return this.readers.add(new PerfBufferReader<T | U>(this.linuxMap("a reader"), decoder ?? this.decoder, options));
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.reader()[Symbol.asyncIterator]();
  }

  /** Records in batches, each of one CPU, read by a reader of its own, which is closed when the loop is left. */
  batches(options?: PerfReaderOptions): AsyncIterableIterator<EventBatch<T>> {
    return this.reader(options).batches();
  }

  /** Also closes its readers: loops that wait for events end. */
  override close(): void {
    this.readers.close();
    super.close();
  }

  /** Puts a perf event at an index, for `bpf_perf_event_read`. It stays as long as its descriptor is open. */
  override set(index: number, event: Descriptor): void {
    super.set(index, descriptorOf(event));
  }
}
