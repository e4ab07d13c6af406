/** Maps of keys and values: hashes, arrays, and what else has both. */
import { SyscallError } from "../../base/index.ts";
import { UpdateFlags } from "../../isa/index.ts";
import type { EntryChunk, KernelMap } from "../../kernel/index.ts";
import { type Codec, encodeValue, type Given } from "../values/codec.ts";
import { MapHandle } from "./base.ts";

/** What {@link TypedMap.set} does with a key that is there, or not: sets it `"any"` way, only when there is none, only when there is one. */
export type UpdateMode = "any" | "noexist" | "exist";

const modes: Readonly<Record<UpdateMode, number>> = {
  any: UpdateFlags.ANY,
  noexist: UpdateFlags.NOEXIST,
  exist: UpdateFlags.EXIST,
};

/** How an element is accessed. */
export interface AccessOptions {
  /** Take the `bpf_spin_lock` in the value, so that no program writes half of it meanwhile. */
  readonly lock?: boolean;
}

/** How an element is set. */
export interface SetOptions extends AccessOptions {
  /** Default `"any"`. */
  readonly mode?: UpdateMode;
}

/** Keys as they are read (`K`), and as they may be given (`In`). */
export interface KeyCodec<K, In = Given<K>> {
  /** Bytes. */
  readonly size: number;
  read(view: DataView, offset: number): K;
  write(view: DataView, offset: number, key: In): void;
}

/** Entries of one update batch that are put together at once. */
const SET_ENTRIES = 4096;

/** What the kernel answers when it has no such operation for a map. */
const unsupported: ReadonlySet<string> = new Set(["EINVAL", "ENOTSUPP", "EOPNOTSUPP"]);

/** An error with what it was about in front. */
function about(error: unknown, what: string): unknown {
  if (error instanceof Error && (error instanceof TypeError || error instanceof RangeError)) {
    error.message = `${what}: ${error.message}`;
  }
  return error;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * A map from keys to values, both in the types of the program: a hash, an LRU hash, an array, storage of cgroups. Every call
 * is a system call and sees the map as it is now; iteration reads a few thousand entries a call, each when it comes to it, so the
 * map may be changed meanwhile.
 */
export class TypedMap<K, V, In = Given<K>> extends MapHandle implements Iterable<[K, V]> {
  protected readonly keyCodec: KeyCodec<K, In>;
  protected readonly valueCodec: Codec<V>;
  private readonly keyBytes: Uint8Array;
  private readonly keyView: DataView;

  constructor(map: KernelMap, key: KeyCodec<K, In>, value: Codec<V>) {
    super(map);
    this.keyCodec = key;
    this.valueCodec = value;
    this.keyBytes = new Uint8Array(map.spec.keySize);
    this.keyView = viewOf(this.keyBytes);
  }

  /** A key as bytes, valid until the next call. */
  protected encodeKey(key: In): Uint8Array {
    try {
      this.keyCodec.write(this.keyView, 0, key);
    } catch (error) {
      throw about(error, `map ${this.name}: key`);
    }
    return this.keyBytes;
  }

  protected encodeValue(value: Given<V>): Uint8Array {
    try {
      return encodeValue(this.valueCodec, value);
    } catch (error) {
      throw about(error, `map ${this.name}: value`);
    }
  }

  protected decode(bytes: Uint8Array): V {
    return this.valueCodec.read(viewOf(bytes), 0, bytes.byteLength);
  }

  /** The value of a key; undefined when there is none. */
  get(key: In, options: AccessOptions = {}): V | undefined {
    const bytes = this.kernelMap.lookup(this.encodeKey(key), options.lock === true ? UpdateFlags.LOCK : 0);
    return bytes === undefined ? undefined : this.decode(bytes);
  }

  /** Whether there is a value for a key. */
  has(key: In): boolean {
    return this.kernelMap.lookup(this.encodeKey(key)) !== undefined;
  }

  /**
   * Sets the value of a key. False when the mode forbids it: the key is there (`"noexist"`), or is not (`"exist"`). Throws SkepError
   * (`map-full`) when the map has no room.
   */
  set(key: In, value: Given<V>, options: SetOptions | UpdateMode = "any"): boolean {
    const { mode = "any", lock = false } = typeof options === "string" ? { mode: options } : options;
    const bytes = this.encodeValue(value);
    const flags = modes[mode] | (lock ? UpdateFlags.LOCK : 0);
    return this.kernelMap.updateIf(this.encodeKey(key), bytes, flags);
  }

  /** Removes a key; false when it was not there. */
  delete(key: In): boolean {
    return this.kernelMap.delete(this.encodeKey(key));
  }

  /**
   * Removes a key and returns its value, in one step: no program writes in between. Kernels before 5.14, and maps other than hashes, read
   * first and remove then.
   */
  take(key: In): V | undefined {
    const bytes = this.encodeKey(key);
    let taken: Uint8Array | undefined;
    try {
      taken = this.kernelMap.take(bytes);
    } catch (error) {
      if (!(error instanceof SyscallError) || !unsupported.has(error.errnoName)) throw error;
      taken = this.kernelMap.lookup(bytes);
      if (taken !== undefined && !this.kernelMap.delete(bytes)) taken = undefined;
    }
    return taken === undefined ? undefined : this.decode(taken);
  }

  /** Values of several keys, undefined where there is none. */
  getMany(keys: Iterable<In>): (V | undefined)[] {
    return Array.from(keys, (key) => this.get(key));
  }

  /** Sets many entries, a few thousand a system call. Stops at the first that does not fit, and throws. */
  setMany(entries: Iterable<readonly [In, Given<V>]>, options: AccessOptions = {}): void {
    const flags = options.lock === true ? UpdateFlags.LOCK : 0;
    const keySize = this.spec.keySize;
    const valueSize = this.kernelMap.userValueSize;
    const keys = new Uint8Array(SET_ENTRIES * keySize);
    const values = new Uint8Array(SET_ENTRIES * valueSize);
    const [keyView, valueView] = [viewOf(keys), viewOf(values)];
    let count = 0;
    const flush = (): void => {
      if (count === 0) return;
      const chunk = { count, keys: keys.subarray(0, count * keySize), values: values.subarray(0, count * valueSize) };
      this.kernelMap.updateMany(chunk, flags);
      count = 0;
    };
    for (const [key, value] of entries) {
      try {
        this.keyCodec.write(keyView, count * keySize, key);
        this.valueCodec.write(valueView, count * valueSize, value);
      } catch (error) {
        throw about(error, `map ${this.name}`);
      }
      if (++count === SET_ENTRIES) flush();
    }
    flush();
  }

  /** Removes many keys, a few thousand a system call; returns how many were there. */
  deleteMany(keys: Iterable<In>): number {
    const all = [...keys];
    const bytes = new Uint8Array(all.length * this.spec.keySize);
    all.forEach((key, i) => bytes.set(this.encodeKey(key), i * this.spec.keySize));
    return this.kernelMap.deleteMany(bytes);
  }

  /** Entries as bytes, a few thousand a piece, each read when it is asked for: the fastest way through large maps. */
  chunks(): Generator<EntryChunk, void, undefined> {
    return this.kernelMap.scan();
  }

  /** Keys and values in the kernel's order. */
  *entries(): Generator<[K, V], void, undefined> {
    const { keyCodec, valueCodec } = this;
    const keySize = this.spec.keySize;
    const valueSize = this.kernelMap.userValueSize;
    for (const { count, keys, values } of this.kernelMap.scan()) {
      const [keyView, valueView] = [viewOf(keys), viewOf(values)];
      for (let i = 0; i < count; i++) {
        yield [keyCodec.read(keyView, i * keySize), valueCodec.read(valueView, i * valueSize)];
      }
    }
  }

  [Symbol.iterator](): Generator<[K, V], void, undefined> {
    return this.entries();
  }

  /** Keys in the kernel's order. */
  *keys(): Generator<K, void, undefined> {
    for (const { count, keys } of this.kernelMap.scan()) {
      const view = viewOf(keys);
      for (let i = 0; i < count; i++) yield this.keyCodec.read(view, i * this.spec.keySize);
    }
  }

  /** Values in the kernel's order. */
  *values(): Generator<V, void, undefined> {
    const valueSize = this.kernelMap.userValueSize;
    for (const { count, values } of this.kernelMap.scan()) {
      const view = viewOf(values);
      for (let i = 0; i < count; i++) yield this.valueCodec.read(view, i * valueSize);
    }
  }

  /** All entries at once: somewhat faster than the iterators. */
  toArray(): [K, V][] {
    return this.decodeChunks(this.kernelMap.chunks());
  }

  /** Removes all entries and returns them, each in one step, so that no count made meanwhile is lost (kernel 5.6). */
  takeAll(): [K, V][] {
    return this.decodeChunks(this.kernelMap.takeChunks());
  }

  private decodeChunks(chunks: readonly EntryChunk[]): [K, V][] {
    const { keyCodec, valueCodec } = this;
    const keySize = this.spec.keySize;
    const valueSize = this.kernelMap.userValueSize;
    const entries: [K, V][] = [];
    for (const { count, keys, values } of chunks) {
      const [keyView, valueView] = [viewOf(keys), viewOf(values)];
      for (let i = 0; i < count; i++) {
        entries.push([keyCodec.read(keyView, i * keySize), valueCodec.read(valueView, i * valueSize)]);
      }
    }
    return entries;
  }

  /** Number of entries now: reads them all, since the kernel keeps no count. */
  get size(): number {
    let size = 0;
    for (const { count } of this.kernelMap.scan()) size += count;
    return size;
  }

  /** Removes all entries. */
  clear(): void {
    this.kernelMap.clear();
  }
}

/** Keys of arrays: indexes. */
export function indexCodec(map: KernelMap): KeyCodec<number> {
  const { maxEntries } = map.spec;
  return {
    size: 4,
    read: (view, offset) => view.getUint32(offset, true),
    write: (view, offset, index) => {
      if (!Number.isInteger(index)) throw new TypeError(`an index is wanted, not ${String(index)}`);
      if (index < 0 || index >= maxEntries) throw new RangeError(`index ${index}: the map has ${maxEntries} entries`);
      view.setUint32(offset, index, true);
    },
  };
}

/** An array: all indexes are there from the start, with zeros, and none can be removed. An index outside is a RangeError. */
export class ArrayMap<V> extends TypedMap<number, V> {
  constructor(map: KernelMap, value: Codec<V>) {
    super(map, indexCodec(map), value);
  }

  override get size(): number {
    return this.spec.maxEntries;
  }

  override delete(index: number): never {
    throw new TypeError(`map ${this.name}: index ${index} of an array cannot be removed: set it to what empty means`);
  }
}
