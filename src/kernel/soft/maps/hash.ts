/**
 * Hash tables in the memory of the virtual machine, where compiled code can walk them too. Chains of elements hang from buckets; an element
 * is its key, a hidden word each for the next element and the hash, and its value or the values of all CPUs.
 */
import { UpdateFlags } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import { Errno } from "../../errno.ts";
import { type MapHost, SoftMap, checkUpdateFlags, roundUp } from "./map.ts";

/** Elements that are allocated at a time. */
const CHUNK = 256;
const MOST_BUCKETS = 1 << 20;

/** `BPF_MAP_TYPE_HASH`, `_PERCPU_HASH`, and with another choice of what to give up, the LRU ones. */
export class HashMap extends SoftMap {
  private readonly buckets: number;
  private readonly mask: number;
  private readonly keyBytes: number;
  private readonly elementBytes: number;
  private readonly cpuBytes: number;
  private readonly chunks: number[] = [];
  private readonly free: number[] = [];
  private allocated = 0;
  /** Entries that are there. */
  protected used = 0;
  private readonly cpus: number;

  constructor(spec: MapSpec, id: number, host: MapHost) {
    super(spec, id, host);
    let buckets = 1;
    while (buckets < spec.maxEntries && buckets < MOST_BUCKETS) buckets *= 2;
    this.mask = buckets - 1;
    this.buckets = host.memory.allocate(buckets * 4);
    host.memory.forbid(this.buckets, buckets * 4);
    this.cpus = this.isPerCpu ? host.possibleCpus : 1;
    this.keyBytes = roundUp(spec.keySize);
    // Eight bytes that nobody may touch behind each value.
    this.cpuBytes = this.valueStride + 8;
    this.elementBytes = this.keyBytes + 8 + this.cpuBytes * this.cpus;
  }

  close(): void {
    for (const chunk of this.chunks) this.host.memory.release(chunk, this.elementBytes * CHUNK);
    this.host.memory.release(this.buckets, (this.mask + 1) * 4);
  }

  /** Entries that are there. */
  get size(): number {
    return this.used;
  }

  protected hash(key: Uint8Array): number {
    let h = 0x9e37_79b9;
    for (let i = 0; i < key.length; i += 4) {
      const word = key[i]! | ((key[i + 1] ?? 0) << 8) | ((key[i + 2] ?? 0) << 16) | ((key[i + 3] ?? 0) << 24);
      h = Math.imul(h ^ word, 0x85eb_ca6b);
      h ^= h >>> 13;
    }
    h = Math.imul(h, 0xc2b2_ae35);
    return (h ^ (h >>> 16)) | 0;
  }

  private headerOf(element: number): number {
    return (element + this.keyBytes) >>> 2;
  }

  /** Offset of an element's value. */
  protected valueAt(element: number, cpu: number): number {
    return element + this.keyBytes + 8 + cpu * this.cpuBytes;
  }

  /** The element of a key; 0 when there is none. */
  protected find(key: Uint8Array, hash: number = this.hash(key)): number {
    const { words, bytes } = this.host.memory;
    const { keySize } = this.spec;
    for (let e = words[(this.buckets >>> 2) + (hash & this.mask)]!; e !== 0; e = words[this.headerOf(e)]!) {
      if (words[this.headerOf(e) + 1] !== hash) continue;
      let same = 0;
      while (same < keySize && bytes[e + same] === key[same]) same++;
      if (same === keySize) return e;
    }
    return 0;
  }

  /** An element that is in no chain. */
  protected newElement(): number {
    const free = this.free.pop();
    if (free !== undefined) return free;
    const { memory } = this.host;
    if (this.allocated % CHUNK === 0) {
      const chunk = memory.allocate(this.elementBytes * CHUNK);
      memory.forbid(chunk, this.elementBytes * CHUNK);
      this.chunks.push(chunk);
    }
    const element = this.chunks.at(-1)! + (this.allocated % CHUNK) * this.elementBytes;
    this.allocated++;
    memory.permit(element, this.spec.keySize, "read");
    for (let cpu = 0; cpu < this.cpus; cpu++)
      memory.permit(this.valueAt(element, cpu), this.spec.valueSize, "read-write");
    return element;
  }

  protected unlink(element: number): void {
    const { words } = this.host.memory;
    let at = (this.buckets >>> 2) + (words[this.headerOf(element) + 1]! & this.mask);
    while (words[at] !== element) at = this.headerOf(words[at]!);
    words[at] = words[this.headerOf(element)]!;
  }

  protected linkElement(element: number, hash: number): void {
    const { words } = this.host.memory;
    const bucket = (this.buckets >>> 2) + (hash & this.mask);
    words[this.headerOf(element)] = words[bucket]!;
    words[this.headerOf(element) + 1] = hash;
    words[bucket] = element;
  }

  lookup(key: Uint8Array): number {
    const element = this.find(key);
    if (element === 0) return 0;
    this.touched(element);
    return this.valueAt(element, this.isPerCpu ? this.host.cpu() : 0);
  }

  override lookupCpu(key: Uint8Array, cpu: number): number {
    const element = this.find(key);
    if (element === 0 || cpu >= this.cpus) return 0;
    this.touched(element);
    return this.valueAt(element, cpu);
  }

  /** A program or user space has asked for an element. */
  protected touched(_element: number): void {}

  /** Takes an element out of the table; what pointed to it sees what it held until it is used again. */
  protected remove(element: number): void {
    this.unlink(element);
    this.free.unshift(element);
    this.used--;
  }

  protected put(key: Uint8Array, flags: number, fill: (element: number, old: number) => void): number {
    const hash = this.hash(key);
    const old = this.find(key, hash);
    const error = checkUpdateFlags(flags, old !== 0);
    if (error !== 0) return error;
    const { memory } = this.host;
    if (old !== 0 && this.isPerCpu) {
      fill(old, old);
      this.touched(old);
      return 0;
    }
    if (old === 0 && this.used >= this.spec.maxEntries) return -Errno.E2BIG;
    // A new element also for a key that is there: who holds the old value keeps seeing it.
    const element = this.newElement();
    memory.bytes.set(key.subarray(0, this.spec.keySize), element);
    fill(element, 0);
    if (old !== 0) this.remove(old);
    this.linkElement(element, hash);
    this.used++;
    return 0;
  }

  update(key: Uint8Array, value: Uint8Array, flags: number): number {
    const { valueSize } = this.spec;
    const cpu = this.isPerCpu ? this.host.cpu() : 0;
    return this.put(key, flags, (element, old) => {
      const { bytes } = this.host.memory;
      // A new element is zero on all other CPUs.
      if (old === 0)
        for (let c = 0; c < this.cpus; c++)
          bytes.fill(0, this.valueAt(element, c), this.valueAt(element, c) + this.valueStride);
      bytes.set(value.subarray(0, valueSize), this.valueAt(element, cpu));
    });
  }

  protected override writeAll(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (!this.isPerCpu) return this.update(key, value, flags);
    return this.put(key, flags, (element) => {
      const { bytes } = this.host.memory;
      for (let cpu = 0; cpu < this.cpus; cpu++) {
        bytes.set(value.subarray(cpu * this.valueStride, (cpu + 1) * this.valueStride), this.valueAt(element, cpu));
      }
    });
  }

  delete(key: Uint8Array): number {
    const element = this.find(key);
    if (element === 0) return -Errno.ENOENT;
    this.remove(element);
    return 0;
  }

  protected copy(element: number): Uint8Array {
    const { bytes } = this.host.memory;
    const out = new Uint8Array(this.userValueSize);
    if (!this.isPerCpu)
      out.set(bytes.subarray(this.valueAt(element, 0), this.valueAt(element, 0) + this.spec.valueSize));
    else {
      for (let cpu = 0; cpu < this.cpus; cpu++) {
        const at = this.valueAt(element, cpu);
        out.set(bytes.subarray(at, at + this.valueStride), cpu * this.valueStride);
      }
    }
    return out;
  }

  read(key: Uint8Array): Uint8Array | number {
    const element = this.find(key);
    return element === 0 ? -Errno.ENOENT : this.copy(element);
  }

  override take(key: Uint8Array): Uint8Array | number {
    const element = this.find(key);
    if (element === 0) return -Errno.ENOENT;
    const value = this.copy(element);
    this.remove(element);
    return value;
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | undefined {
    const { words, bytes } = this.host.memory;
    let bucket = 0;
    const element = key === undefined ? 0 : this.find(key);
    if (element !== 0) {
      const next = words[this.headerOf(element)]!;
      if (next !== 0) return bytes.slice(next, next + this.spec.keySize);
      bucket = (words[this.headerOf(element) + 1]! & this.mask) + 1;
    }
    for (; bucket <= this.mask; bucket++) {
      const first = words[(this.buckets >>> 2) + bucket]!;
      if (first !== 0) return bytes.slice(first, first + this.spec.keySize);
    }
    return undefined;
  }

  /** All elements in the order of the table. */
  protected *elements(): Generator<number> {
    const { words } = this.host.memory;
    for (let bucket = 0; bucket <= this.mask; bucket++) {
      for (let e = words[(this.buckets >>> 2) + bucket]!; e !== 0; e = words[this.headerOf(e)]!) yield e;
    }
  }
}

/** Flags that mean nothing but a plain update. */
export const PLAIN_UPDATES: ReadonlySet<number> = new Set([UpdateFlags.ANY, UpdateFlags.NOEXIST, UpdateFlags.EXIST]);

/** `BPF_MAP_TYPE_HASH_OF_MAPS`: values are ids of maps, programs get the maps. */
export class HashOfMaps extends HashMap {
  override lookup(key: Uint8Array): number {
    const at = super.lookup(key);
    return at === 0 ? 0 : this.host.tokenOf(this.host.memory.view.getUint32(at, true));
  }

  override update(key: Uint8Array, value: Uint8Array, flags: number): number {
    const id = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
    return this.host.mapById(id) === undefined ? -Errno.EBADF : super.update(key, value, flags);
  }
}
