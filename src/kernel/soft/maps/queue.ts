/** Maps without keys: queues, stacks and Bloom filters. */
import { MapType, UpdateFlags } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import { Errno } from "../../errno.ts";
import { type MapHost, NOT_SUPPORTED, SoftMap } from "./map.ts";

abstract class KeylessMap extends SoftMap {
  lookup(): number {
    return 0;
  }
  delete(): number {
    return -Errno.EINVAL;
  }
  nextKey(): undefined {
    return undefined;
  }
  close(): void {}
}

/** `BPF_MAP_TYPE_QUEUE` and `_STACK`. */
export class QueueMap extends KeylessMap {
  private values: Uint8Array[] = [];

  override push(value: Uint8Array, flags: number): number {
    if (flags !== UpdateFlags.ANY && flags !== UpdateFlags.EXIST) return -Errno.EINVAL;
    if (this.values.length === this.spec.maxEntries) {
      // BPF_EXIST: the oldest makes room.
      if (flags !== UpdateFlags.EXIST) return -Errno.E2BIG;
      this.values.shift();
    }
    this.values.push(value.slice(0, this.spec.valueSize));
    return 0;
  }

  override pop(remove: boolean): Uint8Array | number {
    const isStack = this.spec.type === MapType.STACK;
    const value = isStack ? this.values.at(-1) : this.values[0];
    if (value === undefined) return -Errno.ENOENT;
    if (remove && isStack) this.values.pop();
    else if (remove) this.values.shift();
    return value;
  }

  update(_key: Uint8Array, value: Uint8Array, flags: number): number {
    return this.push(value, flags);
  }
  read(): Uint8Array | number {
    const value = this.pop(false);
    return typeof value === "number" ? value : value.slice();
  }
  override take(): Uint8Array | number {
    return this.pop(true);
  }
  override close(): void {
    this.values = [];
  }
}

/** `BPF_MAP_TYPE_BLOOM_FILTER`: what was pushed is found; of what was not, few are. */
export class BloomFilter extends KeylessMap {
  private readonly bits: Uint32Array;
  private readonly mask: number;
  private readonly functions: number;

  constructor(spec: MapSpec, id: number, host: MapHost) {
    super(spec, id, host);
    this.functions = Number(spec.mapExtra ?? 0n) || 5;
    // As many bits as the kernel takes: entries * functions / ln 2, a power of two, 64 at least.
    let bits = 64;
    while (bits < (spec.maxEntries * this.functions * 7) / 5 && bits < 2 ** 31) bits *= 2;
    this.mask = bits - 1;
    this.bits = new Uint32Array(bits / 32);
  }

  private *places(value: Uint8Array): Generator<number> {
    for (let seed = 0; seed < this.functions; seed++) {
      let h = Math.imul(seed + 1, 0x9e37_79b9);
      for (let i = 0; i < this.spec.valueSize; i++) h = Math.imul(h ^ value[i]!, 0x0100_0193);
      h ^= h >>> 15;
      h = Math.imul(h, 0x85eb_ca6b);
      yield (h ^ (h >>> 13)) & this.mask;
    }
  }

  override push(value: Uint8Array, flags: number): number {
    if (flags !== UpdateFlags.ANY) return -Errno.EINVAL;
    for (const at of this.places(value)) this.bits[at >>> 5]! |= 1 << (at & 31);
    return 0;
  }

  /** `bpf_map_peek_elem`: 0 when the value may be in it. */
  has(value: Uint8Array): number {
    for (const at of this.places(value)) if ((this.bits[at >>> 5]! & (1 << (at & 31))) === 0) return -Errno.ENOENT;
    return 0;
  }

  update(_key: Uint8Array, value: Uint8Array, flags: number): number {
    return this.push(value, flags);
  }
  read(): number {
    return -Errno.EINVAL;
  }
  override delete(): number {
    return NOT_SUPPORTED;
  }
}
