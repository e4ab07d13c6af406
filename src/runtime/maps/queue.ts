/** Maps without keys: queues, stacks and bloom filters. */
import { SkepError } from "../../base/index.ts";
import { UpdateFlags } from "../../isa/index.ts";
import type { KernelMap } from "../../kernel/index.ts";
import { type Codec, decodeValue, encodeValue, type Given } from "../values/codec.ts";
import { MapHandle } from "./base.ts";

const NO_KEY = new Uint8Array(0);

/** A queue (first in, first out) or a stack (last in, first out) of values. Linux 4.20. */
export class QueueMap<V> extends MapHandle {
  private readonly codec: Codec<V>;

  constructor(map: KernelMap, value: Codec<V>) {
    super(map);
    this.codec = value;
  }

  /** Adds a value; false when there is no room. `replaceOldest`: the oldest one makes room. */
  push(value: Given<V>, options: { readonly replaceOldest?: boolean } = {}): boolean {
    const flags = options.replaceOldest === true ? UpdateFlags.EXIST : UpdateFlags.ANY;
    try {
      this.kernelMap.update(NO_KEY, encodeValue(this.codec, value), flags);
      return true;
    } catch (error) {
      if (error instanceof SkepError && error.code === "map-full") return false;
      throw error;
    }
  }

  /** Takes the next value out; undefined when there is none. */
  pop(): V | undefined {
    const bytes = this.kernelMap.take(NO_KEY);
    return bytes === undefined ? undefined : decodeValue(this.codec, bytes);
  }

  /** The next value, which stays; undefined when there is none. */
  peek(): V | undefined {
    const bytes = this.kernelMap.lookup(NO_KEY);
    return bytes === undefined ? undefined : decodeValue(this.codec, bytes);
  }

  /** Takes values out until there are none, or `limit` of them. */
  *drain(limit: number = Infinity): Generator<V, void, undefined> {
    for (let count = 0; count < limit; count++) {
      const value = this.pop();
      if (value === undefined) return;
      yield value;
    }
  }
}

/** A set that may say yes by mistake, never no. Values cannot be removed. Linux 5.16. */
export class BloomFilterMap<V> extends MapHandle {
  private readonly codec: Codec<V>;

  constructor(map: KernelMap, value: Codec<V>) {
    super(map);
    this.codec = value;
  }

  /** Adds a value. */
  add(value: Given<V>): void {
    this.kernelMap.update(NO_KEY, encodeValue(this.codec, value));
  }

  /** Whether the value may have been added; false is certain. */
  has(value: Given<V>): boolean {
    return this.kernelMap.hasValue(encodeValue(this.codec, value));
  }
}
