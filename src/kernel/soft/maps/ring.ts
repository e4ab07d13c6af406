/** Ring buffers: `BPF_MAP_TYPE_RINGBUF`, with the kernel's layout of records (kernel/bpf/ringbuf.c). */
import { RingbufFlags, RingbufHeader, RingbufQuery } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import { Errno } from "../../errno.ts";
import { type MapHost, SoftMap } from "./map.ts";

/** The largest record (RINGBUF_MAX_RECORD_SZ of the kernel). */
const MOST_RECORD = 2 ** 30 - 1;

/** A ring buffer. A record that reaches beyond the end of the ring lies behind it, as in the kernel, which maps the ring twice. */
export class RingMap extends SoftMap {
  private readonly data: number;
  private readonly mask: number;
  private producer = 0;
  private consumer = 0;
  private readonly wakeups = new Set<() => void>();

  constructor(spec: MapSpec, id: number, host: MapHost) {
    super(spec, id, host);
    this.mask = spec.maxEntries - 1;
    this.data = host.memory.allocate(2 * spec.maxEntries);
    host.memory.forbid(this.data, 2 * spec.maxEntries);
  }

  close(): void {
    this.host.memory.release(this.data, 2 * this.spec.maxEntries);
    this.wakeups.clear();
  }

  lookup(): number {
    return 0;
  }
  update(): number {
    return -Errno.ENOTSUPP;
  }
  delete(): number {
    return -Errno.ENOTSUPP;
  }
  nextKey(): undefined {
    return undefined;
  }
  read(): number {
    return -Errno.ENOTSUPP;
  }

  /** Room for a record of `size` bytes, which the program may write to; 0 when there is none. */
  reserve(size: number): number {
    if (size > MOST_RECORD) return 0;
    const length = (size + RingbufHeader.SIZE + 7) & ~7;
    if (length > this.spec.maxEntries || this.producer + length - this.consumer > this.mask) return 0;
    const start = this.data + (this.producer & this.mask);
    const { memory } = this.host;
    memory.view.setUint32(start, (size | RingbufHeader.BUSY_BIT) >>> 0, true);
    memory.view.setUint32(start + 4, 0, true);
    this.producer += length;
    memory.permit(start + RingbufHeader.SIZE, size, "read-write");
    return start + RingbufHeader.SIZE;
  }

  /** Gives a record to readers, or takes it back. */
  commit(record: number, flags: number, discard: boolean): void {
    const { memory } = this.host;
    const header = record - RingbufHeader.SIZE;
    const size = memory.view.getUint32(header, true) & RingbufHeader.LENGTH_MASK;
    memory.forbid(record, size);
    memory.view.setUint32(header, discard ? (size | RingbufHeader.DISCARD_BIT) >>> 0 : size, true);
    // Readers that have seen all before are waiting.
    const isNext = header === this.data + (this.consumer & this.mask);
    if ((flags & RingbufFlags.FORCE_WAKEUP) !== 0 || (isNext && (flags & RingbufFlags.NO_WAKEUP) === 0))
      for (const wake of this.wakeups) wake();
  }

  /** `bpf_ringbuf_output`. */
  output(from: number, size: number, flags: number): number {
    const record = this.reserve(size);
    if (record === 0) return -Errno.EAGAIN;
    this.host.memory.bytes.copyWithin(record, from, from + size);
    this.commit(record, flags, false);
    return 0;
  }

  /** `bpf_ringbuf_query`. */
  query(what: number): number {
    switch (what) {
      case RingbufQuery.AVAIL_DATA:
        return this.producer - this.consumer;
      case RingbufQuery.RING_SIZE:
        return this.spec.maxEntries;
      case RingbufQuery.CONS_POS:
        return this.consumer;
      case RingbufQuery.PROD_POS:
        return this.producer;
      default:
        return 0;
    }
  }

  /** Hands over records that are ready, at most `limit`; returns how many. */
  drain(handler: (bytes: Uint8Array, view: DataView, offset: number, size: number) => void, limit: number): number {
    let handed = 0;
    while (this.consumer < this.producer && handed < limit) {
      const { bytes, view } = this.host.memory;
      const start = this.data + (this.consumer & this.mask);
      const header = view.getUint32(start, true);
      if (header >= RingbufHeader.BUSY_BIT) break;
      const size = header & RingbufHeader.LENGTH_MASK;
      this.consumer += (size + RingbufHeader.SIZE + 7) & ~7;
      if ((header & RingbufHeader.DISCARD_BIT) !== 0) continue;
      handed++;
      handler(bytes, view, start + RingbufHeader.SIZE, size);
    }
    return handed;
  }

  /** Calls back when a record is ready and readers had seen all before; returns a stop function. */
  onRecord(callback: () => void): () => void {
    this.wakeups.add(callback);
    return () => this.wakeups.delete(callback);
  }
}
