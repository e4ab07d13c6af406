/** Ring buffers that user space fills and programs drain. */
import { SkepError } from "../../base/index.ts";
import type { Owner } from "../../kernel/index.ts";
import { LinuxUserRing } from "../../kernel/linux/index.ts";
import { MapHandle } from "../maps/base.ts";
import type { Codec, Given } from "../values/codec.ts";
import type { KernelMap } from "../../kernel/index.ts";

/** A record that is being written. Programs wait for it: submit or discard it soon. */
export interface Reservation {
  /** The record's bytes in the ring, live; no longer to be touched once the record is submitted or discarded. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Hands the record over to programs. */
  submit(): void;
  /** Takes it back: programs pass over it. */
  discard(): void;
}

/** How long to wait when there is some room, but not enough: the kernel tells of any. */
const RETRY_MS = 1;

/** Writes records into a user ring buffer. One a map. */
export class UserRingProducer<T> implements Owner {
  private readonly name: string;
  private readonly ring: LinuxUserRing;
  private readonly codec: Codec<T>;
  private readonly waiting = new Set<() => void>();
  private isClosed = false;

  constructor(name: string, ring: LinuxUserRing, codec: Codec<T>) {
    this.name = name;
    this.ring = ring;
    this.codec = codec;
  }

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.ring.ringBytes;
  }

  /** Bytes that no program has read yet, headers included. */
  get pendingBytes(): number {
    return this.ring.pendingBytes;
  }

  /** Room for a record of `size` bytes; undefined when the ring is full now. Throws RangeError for what never fits. */
  reserve(size: number): Reservation | undefined {
    const { ring } = this;
    const offset = ring.reserve(size);
    if (offset === undefined) return undefined;
    let isDone = false;
    const commit = (discard: boolean): void => {
      if (isDone) throw new SkepError("closed", `record in map ${this.name}: was submitted or discarded before`);
      isDone = true;
      ring.commit(offset, discard);
    };
    return {
      bytes: ring.bytes.subarray(offset, offset + size),
      view: new DataView(ring.view.buffer, ring.view.byteOffset + offset, size),
      submit: () => commit(false),
      discard: () => commit(true),
    };
  }

  /** Writes a value; false when the ring is full now. A program sees it when it drains the ring. */
  push(value: Given<T>): boolean {
    const record = this.reserve(this.codec.byteLength(value));
    if (record === undefined) return false;
    try {
      this.codec.write(record.view, 0, value);
    } catch (error) {
      record.discard();
      throw error;
    }
    record.submit();
    return true;
  }

  /** Writes a value, waiting for room as long as it takes. Throws the signal's reason when aborted. */
  async send(value: Given<T>, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    while (!this.push(value)) {
      signal?.throwIfAborted();
      await this.room(signal);
      signal?.throwIfAborted();
      if (this.isClosed)
        throw new SkepError("closed", `producer of map ${this.name}: closed while a record waited for room`);
    }
  }

  private room(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const done = (): void => {
        cancel();
        clearTimeout(timer);
        this.waiting.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.ring.whenWritable(() => {
        timer = setTimeout(done, RETRY_MS);
      });
      this.waiting.add(done);
      signal?.addEventListener("abort", done, { once: true });
    });
  }

  /** Ends what waits for room. What was submitted stays in the ring. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const done of this.waiting) done();
    this.ring.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A ring buffer from user space to programs. Linux 6.1. */
export class UserRingBufferMap<T> extends MapHandle {
  private readonly codec: Codec<T>;

  constructor(map: KernelMap, codec: Codec<T>) {
    super(map);
    this.codec = codec;
  }

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.spec.maxEntries;
  }

  /** A producer, for the caller to close. `codec` writes other records than the map's own. */
  producer(): UserRingProducer<T>;
  producer<U>(codec: Codec<U>): UserRingProducer<U>;
  producer<U>(codec?: Codec<U>): UserRingProducer<T> | UserRingProducer<U> {
    const ring = new LinuxUserRing(this.linuxMap("a producer"));
    return codec === undefined
      ? new UserRingProducer<T>(this.name, ring, this.codec)
      : new UserRingProducer<U>(this.name, ring, codec);
  }
}
