/**
 * Writes a user ring buffer in place: user space produces, and a program reads with `bpf_user_ringbuf_drain`. The layout is that of a ring
 * buffer with the roles changed: the consumer's page is the kernel's, the producer's page and the data are ours (kernel/bpf/ringbuf.c).
 */
import { SkepError } from "../../base/index.ts";
import { MapType, RingbufHeader } from "../../isa/index.ts";
import type { Owner } from "../kernel.ts";
import { type OwnedFd, duplicateFd } from "./fd.ts";
import type { LinuxMap } from "./maps.ts";
import { blankMemory, mapMemory } from "./memory.ts";
import { Mmap, type Readiness, pageSize, readiness, viewMemory } from "./sys.ts";

/** Producer of a `BPF_MAP_TYPE_USER_RINGBUF`, Linux 6.1. One a map: producers would share, and move, one position. */
export class LinuxUserRing implements Owner {
  private readonly name: string;
  private readonly fd: OwnedFd;
  private readonly consumerAddress: number;
  private readonly producerAddress: number;
  private readonly producerSize: number;
  private readonly mask: number;
  private readonly consumer: BigInt64Array;
  private readonly producer: BigInt64Array;
  private readonly headers: Int32Array;
  /** The data, twice in a row. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private position: number;
  private ready: Readiness | undefined;
  private closed = false;

  constructor(map: LinuxMap) {
    const { name, type, maxEntries } = map.spec;
    if (type !== MapType.USER_RINGBUF) {
      throw new TypeError(`map ${name}: type ${type} is no user ring buffer (${MapType.USER_RINGBUF})`);
    }
    this.name = name;
    const page = pageSize();
    const { PROT_READ, PROT_WRITE, MAP_SHARED } = Mmap;
    this.mask = maxEntries - 1;
    this.producerSize = page + 2 * maxEntries;
    this.fd = duplicateFd(map.fd, `producer of map ${name}`);
    const fd = this.fd.value;
    this.consumerAddress = mapMemory(`${name}, consumer`, page, PROT_READ, MAP_SHARED, fd, 0);
    const write = PROT_READ | PROT_WRITE;
    this.producerAddress = mapMemory(`${name}, data`, this.producerSize, write, MAP_SHARED, fd, page);
    this.consumer = new BigInt64Array(viewMemory(this.consumerAddress, 8));
    const produced = viewMemory(this.producerAddress, this.producerSize);
    this.producer = new BigInt64Array(produced, 0, 1);
    this.headers = new Int32Array(produced, page);
    this.bytes = new Uint8Array(produced, page);
    this.view = new DataView(produced, page);
    this.position = Number(Atomics.load(this.producer, 0));
  }

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.mask + 1;
  }

  /** Bytes that no program has read yet, headers included. */
  get pendingBytes(): number {
    this.requireOpen();
    return this.position - Number(Atomics.load(this.consumer, 0));
  }

  /**
   * Room for a record of `size` bytes: its offset in {@link LinuxUserRing.bytes}, where it is in one piece; undefined when the ring is full.
   * Programs wait for it until it is submitted or discarded. Throws RangeError for what never fits.
   */
  reserve(size: number): number | undefined {
    this.requireOpen();
    const total = (size + RingbufHeader.SIZE + 7) & ~7;
    if (!Number.isInteger(size) || size < 0 || total > this.ringBytes) {
      throw new RangeError(`map ${this.name}: a record of ${size} bytes does not fit a ring of ${this.ringBytes}`);
    }
    if (this.ringBytes - this.pendingBytes < total) return undefined;
    const start = this.position & this.mask;
    Atomics.store(this.headers, start >> 2, size | RingbufHeader.BUSY_BIT);
    // The page offset of the kernel's records has no use here.
    this.headers[(start >> 2) + 1] = 0;
    this.position += total;
    Atomics.store(this.producer, 0, BigInt(this.position));
    return start + RingbufHeader.SIZE;
  }

  /** Hands a reserved record over; `discard`: programs pass over it. */
  commit(offset: number, discard: boolean = false): void {
    this.requireOpen();
    const at = (offset - RingbufHeader.SIZE) >> 2;
    const size = Atomics.load(this.headers, at) & RingbufHeader.LENGTH_MASK;
    Atomics.store(this.headers, at, discard ? size | RingbufHeader.DISCARD_BIT : size);
  }

  /** Calls back once, when programs have made room; perhaps less than is wanted. Returns what cancels it. */
  whenWritable(callback: () => void): () => void {
    this.requireOpen();
    const ready = (this.ready ??= readiness(this.fd.value, "writable"));
    ready.wait(callback);
    return () => ready.cancel();
  }

  private requireOpen(): void {
    if (this.closed) throw new SkepError("closed", `producer of map ${this.name}: used after it was closed`);
  }

  /** Unmaps. Views that are still held read zeros, and what is written to them is lost. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.ready?.close();
    this.fd.close();
    blankMemory(this.producerAddress, this.producerSize, true);
    blankMemory(this.consumerAddress, pageSize());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
