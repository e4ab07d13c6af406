/**
 * Reads a ring buffer map in place. The kernel maps the data twice in a row (kernel/bpf/ringbuf.c), so a record that wraps is
 * contiguous; the consumer's position is stored once a batch, in one atomic store that also orders our reads before it.
 */
import { SkepError, UnsupportedError } from "../../base/index.ts";
import { MapFlags, MapType, RingbufHeader } from "../../isa/index.ts";
import type { RecordHandler, RingReader } from "../kernel.ts";
import type { RecordSource, RecordWindow } from "../records.ts";
import { type OwnedFd, duplicateFd } from "./fd.ts";
import type { LinuxMap } from "./maps.ts";
import { blankMemory, mapMemory } from "./memory.ts";
import { Mmap, type PollHandle, type Readiness, pageSize, pollReadable, readiness, viewMemory } from "./sys.ts";

/** A window is at most an eighth of the ring, and the record that goes beyond. */
const WINDOW_SHIFT = 3;

/** Reader of a `BPF_MAP_TYPE_RINGBUF`. One reader a map: readers would share, and move, one position. */
export class LinuxRingReader implements RingReader, RecordSource {
  private readonly name: string;
  /** Of our own, so that waiting and mapping outlive the map's owner. */
  private readonly fd: OwnedFd;
  private readonly consumerAddress: number;
  private readonly producerAddress: number;
  /** Bytes of the producer's page and the doubled data. */
  private readonly producerSize: number;
  private readonly mask: number;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly headers: Int32Array;
  private readonly consumer: BigInt64Array;
  private readonly producer: BigInt64Array;
  private readonly polls = new Set<PollHandle>();
  private ready: Readiness | undefined;
  private position: number;
  private closed = false;

  constructor(map: LinuxMap) {
    if (map.spec.type !== MapType.RINGBUF) {
      throw new TypeError(`map ${map.spec.name}: type ${map.spec.type} is no ring buffer (${MapType.RINGBUF})`);
    }
    if ((map.spec.flags & MapFlags.RB_OVERWRITE) !== 0) {
      throw new UnsupportedError(
        `map ${map.spec.name}`,
        "a ring whose new records push out old ones (BPF_F_RB_OVERWRITE) cannot be read in place: create it without the flag",
      );
    }
    this.name = map.spec.name;
    const size = map.spec.maxEntries;
    const page = pageSize();
    this.fd = duplicateFd(map.fd, `reader of map ${map.spec.name}`);
    const fd = this.fd.value;
    this.mask = size - 1;
    this.producerSize = page + 2 * size;
    this.consumerAddress = mapMemory(
      `${map.spec.name}, consumer`,
      page,
      Mmap.PROT_READ | Mmap.PROT_WRITE,
      Mmap.MAP_SHARED,
      fd,
      0,
    );
    this.producerAddress = mapMemory(
      `${map.spec.name}, data`,
      this.producerSize,
      Mmap.PROT_READ,
      Mmap.MAP_SHARED,
      fd,
      page,
    );
    this.consumer = new BigInt64Array(viewMemory(this.consumerAddress, 8));
    const produced = viewMemory(this.producerAddress, this.producerSize);
    this.producer = new BigInt64Array(produced, 0, 1);
    this.bytes = new Uint8Array(produced, page);
    this.view = new DataView(produced, page);
    this.headers = new Int32Array(produced, page);
    this.position = Number(Atomics.load(this.consumer, 0));
  }

  drain(handler: RecordHandler, limit: number = Infinity): number {
    this.requireOpen();
    const { bytes, view, headers, mask, consumer, producer } = this;
    let handed = 0;
    // After the position is stored the kernel may have written more without waking us, seeing the old position: look again.
    for (let found = true; found && handed < limit;) {
      found = false;
      // A part of the ring at a time, so that programs fill it again while the rest is worked on.
      const end = Math.min(Number(Atomics.load(producer, 0)), this.position + (this.ringBytes >> WINDOW_SHIFT));
      let position = this.position;
      try {
        while (position < end && handed < limit) {
          const start = position & mask;
          const header = Atomics.load(headers, start >> 2);
          // The highest bit, so busy records are negative. What follows one waits for it: records come in the order of reservation.
          if (header < 0) break;
          const length = header & RingbufHeader.LENGTH_MASK;
          position += (length + RingbufHeader.SIZE + 7) & ~7;
          found = true;
          if ((header & RingbufHeader.DISCARD_BIT) !== 0) continue;
          handed++;
          handler(bytes, view, start + RingbufHeader.SIZE, length);
          if (this.closed) return handed;
        }
      } finally {
        // The handler may have closed this reader: then there is nothing to store to.
        if (position !== this.position && !this.closed) {
          this.position = position;
          Atomics.store(consumer, 0, BigInt(position));
        }
      }
    }
    return handed;
  }

  fill(window: RecordWindow): number {
    this.requireOpen();
    const { headers, mask, producer } = this;
    const { offsets, sizes, ends, capacity } = window;
    window.bytes = this.bytes;
    window.view = this.view;
    // A part of the ring, so that programs fill the rest while the window is looked at.
    const part = this.position + (this.ringBytes >> WINDOW_SHIFT);
    const end = Math.min(Number(Atomics.load(producer, 0)), part);
    let position = this.position;
    let count = 0;
    while (position < end && count < capacity) {
      const start = position & mask;
      const header = Atomics.load(headers, start >> 2);
      if (header < 0) break;
      const length = header & RingbufHeader.LENGTH_MASK;
      position += (length + RingbufHeader.SIZE + 7) & ~7;
      if ((header & RingbufHeader.DISCARD_BIT) !== 0) continue;
      offsets[count] = start + RingbufHeader.SIZE;
      sizes[count] = length;
      ends[count] = position;
      count++;
    }
    window.count = count;
    window.end = position;
    // Nothing to look at, and discarded records need nobody to release them.
    if (count === 0) this.advance(position);
    return count;
  }

  release(window: RecordWindow, count: number = window.count): void {
    if (this.closed || window.count === 0) return;
    if (count >= window.count) this.advance(window.end);
    else if (count > 0) this.advance(window.ends[count - 1]!);
  }

  private advance(position: number): void {
    if (position <= this.position) return;
    this.position = position;
    Atomics.store(this.consumer, 0, BigInt(position));
  }

  whenReadable(callback: () => void): () => void {
    this.requireOpen();
    const ready = (this.ready ??= readiness(this.fd.value, "readable"));
    ready.wait(callback);
    return () => ready.cancel();
  }

  /** Undefined: the kernel does not count what did not fit. Programs see that `bpf_ringbuf_reserve` gives them nothing, and may count it. */
  get lost(): undefined {
    return undefined;
  }

  get releasedBytes(): number {
    return this.position;
  }

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.mask + 1;
  }

  /** Bytes that wait to be read, headers included. */
  get pendingBytes(): number {
    this.requireOpen();
    return Number(Atomics.load(this.producer, 0)) - this.position;
  }

  onReadable(callback: () => void): () => void {
    this.requireOpen();
    const poll = pollReadable(this.fd.value, callback);
    this.polls.add(poll);
    return () => {
      if (this.polls.delete(poll)) poll.close();
    };
  }

  private requireOpen(): void {
    if (this.closed) throw new SkepError("closed", `ring reader of map ${this.name}: used after it was closed`);
  }

  /** Unmaps. Views that a handler kept then read zeros. The map may be closed before or after. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const poll of this.polls) poll.close();
    this.polls.clear();
    this.ready?.close();
    this.fd.close();
    blankMemory(this.producerAddress, this.producerSize);
    blankMemory(this.consumerAddress, pageSize());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
