/** Arrays: entries that are always there, and arrays of what is no data: maps, programs, descriptors. */
import { UpdateFlags } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import { Errno } from "../../errno.ts";
import { type MapHost, SoftMap, checkUpdateFlags, roundUp } from "./map.ts";

/** The index that a key holds. */
function indexOf(key: Uint8Array): number {
  return (key[0]! | (key[1]! << 8) | (key[2]! << 16) | (key[3]! << 24)) >>> 0;
}

function keyOf(index: number): Uint8Array {
  return new Uint8Array(new Uint32Array([index]).buffer);
}

abstract class IndexedMap extends SoftMap {
  nextKey(key: Uint8Array | undefined): Uint8Array | undefined {
    const index = key === undefined ? -1 : indexOf(key);
    if (index >= this.spec.maxEntries) return keyOf(0);
    return index + 1 < this.spec.maxEntries ? keyOf(index + 1) : undefined;
  }

  protected index(key: Uint8Array): number {
    const index = indexOf(key);
    return index < this.spec.maxEntries ? index : -1;
  }
}

/** `BPF_MAP_TYPE_ARRAY` and `_PERCPU_ARRAY`. Values lie one behind the other, as the kernel's do; CPU after CPU. */
export class ArrayMap extends IndexedMap {
  /** Offset of the first value. */
  readonly base: number;
  private readonly bytes: number;
  private readonly cpuBytes: number;

  constructor(spec: MapSpec, id: number, host: MapHost) {
    super(spec, id, host);
    this.cpuBytes = this.valueStride * spec.maxEntries + 8;
    this.bytes = this.isPerCpu ? this.cpuBytes * host.possibleCpus : this.cpuBytes;
    this.base = host.memory.allocate(this.bytes);
    this.restrict("read-write");
  }

  /** Programs may read, or also write, the values and nothing between them. */
  restrict(access: "read" | "read-write"): void {
    const { memory } = this.host;
    memory.forbid(this.base, this.bytes);
    for (let at = this.base; at < this.base + this.bytes; at += this.cpuBytes) {
      const end = at + this.valueStride * this.spec.maxEntries;
      if (this.spec.valueSize % 8 === 0) memory.permit(at, end - at, access);
      else
        for (let value = at; value < end; value += this.valueStride) memory.permit(value, this.spec.valueSize, access);
    }
  }

  close(): void {
    this.host.memory.release(this.base, this.bytes);
  }

  private at(index: number, cpu: number): number {
    return this.base + cpu * this.cpuBytes + index * this.valueStride;
  }

  lookup(key: Uint8Array): number {
    return this.lookupCpu(key, this.isPerCpu ? this.host.cpu() : 0);
  }

  override lookupCpu(key: Uint8Array, cpu: number): number {
    const index = this.index(key);
    return index < 0 || cpu >= this.host.possibleCpus ? 0 : this.at(index, cpu);
  }

  private check(key: Uint8Array, flags: number): number {
    if ((flags & ~UpdateFlags.LOCK) > UpdateFlags.EXIST) return -Errno.EINVAL;
    if (this.index(key) < 0) return -Errno.E2BIG;
    return checkUpdateFlags(flags, true);
  }

  update(key: Uint8Array, value: Uint8Array, flags: number): number {
    const error = this.check(key, flags);
    if (error === 0) this.host.memory.bytes.set(value.subarray(0, this.spec.valueSize), this.lookup(key));
    return error;
  }

  protected override writeAll(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (!this.isPerCpu) return this.update(key, value, flags);
    const error = this.check(key, flags);
    if (error !== 0) return error;
    const { bytes } = this.host.memory;
    for (let cpu = 0; cpu < this.host.possibleCpus; cpu++) {
      const from = cpu * this.valueStride;
      bytes.set(value.subarray(from, from + this.valueStride), this.lookupCpu(key, cpu));
    }
    return 0;
  }

  delete(): number {
    return -Errno.EINVAL;
  }

  read(key: Uint8Array): Uint8Array | number {
    if (this.index(key) < 0) return -Errno.ENOENT;
    const { bytes } = this.host.memory;
    if (!this.isPerCpu) {
      const at = this.lookup(key);
      return bytes.slice(at, at + this.spec.valueSize);
    }
    const out = new Uint8Array(this.userValueSize);
    for (let cpu = 0; cpu < this.host.possibleCpus; cpu++) {
      const at = this.lookupCpu(key, cpu);
      out.set(bytes.subarray(at, at + this.valueStride), cpu * this.valueStride);
    }
    return out;
  }
}

/** What an array of descriptors holds. */
export interface DescriptorKind {
  /** Whether an id is one of the kind that belongs here. */
  accepts(id: number): boolean;
  /** User space may read the ids back. */
  readonly readable: boolean;
  /** What programs get for an id, as an offset: maps of maps. */
  lookup?(id: number): number;
}

/**
 * Arrays of descriptors: maps, programs, perf events, devices. An entry is what user space put there by its id; programs get what it
 * stands for, or nothing.
 */
export class DescriptorArray extends IndexedMap {
  private readonly ids: Int32Array;
  private readonly kind: DescriptorKind;

  constructor(spec: MapSpec, id: number, host: MapHost, kind: DescriptorKind) {
    super(spec, id, host);
    this.ids = new Int32Array(spec.maxEntries);
    this.kind = kind;
  }

  close(): void {
    this.ids.fill(0);
  }

  /** The id at an index; 0 for none. */
  idAt(index: number): number {
    return index < this.ids.length ? this.ids[index]! : 0;
  }

  lookup(key: Uint8Array): number {
    const id = this.idAt(indexOf(key));
    return id === 0 ? 0 : (this.kind.lookup?.(id) ?? 0);
  }

  update(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags !== UpdateFlags.ANY) return -Errno.EINVAL;
    const index = this.index(key);
    if (index < 0) return -Errno.E2BIG;
    const id = indexOf(value);
    if (!this.kind.accepts(id)) return -Errno.EBADF;
    this.ids[index] = id;
    return 0;
  }

  delete(key: Uint8Array): number {
    const index = this.index(key);
    if (index < 0) return -Errno.E2BIG;
    if (this.ids[index] === 0) return -Errno.ENOENT;
    this.ids[index] = 0;
    return 0;
  }

  read(key: Uint8Array): Uint8Array | number {
    if (!this.kind.readable) return NOT_READABLE;
    const index = this.index(key);
    if (index < 0 || this.ids[index] === 0) return -Errno.ENOENT;
    const value = new Uint8Array(this.spec.valueSize);
    value.set(keyOf(this.ids[index]!));
    return value;
  }
}

const NOT_READABLE = -Errno.ENOTSUPP;

/** Bytes that an array of this spec takes. */
export function arrayBytes(spec: MapSpec): number {
  return roundUp(spec.valueSize) * spec.maxEntries;
}
