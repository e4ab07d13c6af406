/** A map of the software kernel as user space holds it. */
import { SkepError, SyscallError } from "../../base/index.ts";
import { UpdateFlags } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { Errno, errnoName } from "../errno.ts";
import type { EntryChunk, KernelMap } from "../kernel.ts";
import type { SoftMap } from "./maps/map.ts";
import { BloomFilter } from "./maps/queue.ts";

/** Entries of a piece of {@link KernelMap.scan}. */
const PIECE = 4096;

/** What a `SoftMap` does, with errors as exceptions. */
export class SoftMapHandle implements KernelMap {
  readonly spec: MapSpec;
  readonly userValueSize: number;
  private readonly inside: SoftMap;
  private readonly onClose: () => void;
  private closed = false;

  constructor(map: SoftMap, onClose: () => void) {
    this.spec = map.spec;
    this.userValueSize = map.userValueSize;
    this.inside = map;
    this.onClose = onClose;
  }

  /** The map itself. Throws SkepError code `closed` after {@link close}. */
  get map(): SoftMap {
    if (this.closed) throw new SkepError("closed", `map ${this.spec.name}: is closed`);
    return this.inside;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.onClose();
  }
  [Symbol.dispose](): void {
    this.close();
  }

  private fail(command: string, result: number): never {
    throw new SyscallError(`bpf(${command})`, -result, errnoName(-result), `map ${this.spec.name}`);
  }

  private check(key: Uint8Array, value?: Uint8Array): void {
    const { name, keySize } = this.spec;
    if (key.length !== keySize) throw new RangeError(`map ${name}: a key has ${keySize} bytes, not ${key.length}`);
    if (value !== undefined && value.length !== this.userValueSize)
      throw new RangeError(`map ${name}: a value has ${this.userValueSize} bytes, not ${value.length}`);
  }

  lookup(key: Uint8Array, flags: number = 0): Uint8Array | undefined {
    const { map } = this;
    this.check(key);
    const result = flags === 0 ? map.read(key) : -Errno.EINVAL;
    if (result === -Errno.ENOENT) return undefined;
    return typeof result === "number" ? this.fail("BPF_MAP_LOOKUP_ELEM", result) : result;
  }

  private tryUpdate(key: Uint8Array, value: Uint8Array, flags: number): number {
    const { map } = this;
    this.check(key, value);
    const result = map.write(key, value, flags);
    if (result === -Errno.E2BIG) {
      const { name, maxEntries } = this.spec;
      throw new SkepError("map-full", `map ${name}: full: it holds ${maxEntries} entries, the most it was created for`);
    }
    return result;
  }

  update(key: Uint8Array, value: Uint8Array, flags: number = 0): void {
    const result = this.tryUpdate(key, value, flags);
    if (result < 0) this.fail("BPF_MAP_UPDATE_ELEM", result);
  }

  updateIf(key: Uint8Array, value: Uint8Array, flags: number): boolean {
    const result = this.tryUpdate(key, value, flags);
    if (result === -Errno.EEXIST && (flags & UpdateFlags.NOEXIST) !== 0) return false;
    if (result === -Errno.ENOENT && (flags & UpdateFlags.EXIST) !== 0) return false;
    if (result < 0) this.fail("BPF_MAP_UPDATE_ELEM", result);
    return true;
  }

  delete(key: Uint8Array): boolean {
    const { map } = this;
    this.check(key);
    const result = map.delete(key);
    if (result === -Errno.ENOENT) return false;
    return result < 0 ? this.fail("BPF_MAP_DELETE_ELEM", result) : true;
  }

  take(key: Uint8Array): Uint8Array | undefined {
    const { map } = this;
    this.check(key);
    const result = map.take(key);
    if (result === -Errno.ENOENT) return undefined;
    return typeof result === "number" ? this.fail("BPF_MAP_LOOKUP_AND_DELETE_ELEM", result) : result;
  }

  hasValue(value: Uint8Array): boolean {
    const { map } = this;
    if (!(map instanceof BloomFilter)) this.fail("BPF_MAP_LOOKUP_ELEM", -Errno.EINVAL);
    return map.has(value) === 0;
  }

  nextKey(key?: Uint8Array): Uint8Array | undefined {
    const { map } = this;
    if (key !== undefined) this.check(key);
    return map.nextKey(key);
  }

  updateMany(chunk: EntryChunk, flags: number = 0): void {
    const { keySize, name } = this.spec;
    if (chunk.keys.length !== chunk.count * keySize || chunk.values.length !== chunk.count * this.userValueSize)
      throw new RangeError(`map ${name}: ${chunk.count} entries have other sizes than these keys and values`);
    for (let i = 0; i < chunk.count; i++) {
      const value = chunk.values.subarray(i * this.userValueSize, (i + 1) * this.userValueSize);
      this.update(chunk.keys.subarray(i * keySize, (i + 1) * keySize), value, flags);
    }
  }

  deleteMany(keys: Uint8Array): number {
    const { keySize, name } = this.spec;
    if (keys.length % keySize !== 0)
      throw new RangeError(`map ${name}: ${keys.length} bytes are no number of keys of ${keySize} bytes`);
    let deleted = 0;
    for (let at = 0; at < keys.length; at += keySize) if (this.delete(keys.subarray(at, at + keySize))) deleted++;
    return deleted;
  }

  entries(): { key: Uint8Array; value: Uint8Array }[] {
    const out: { key: Uint8Array; value: Uint8Array }[] = [];
    for (const key of this.keys()) {
      const value = this.lookup(key);
      if (value !== undefined) out.push({ key, value });
    }
    return out;
  }

  keys(): Uint8Array[] {
    const { map } = this;
    const out: Uint8Array[] = [];
    for (let key = map.nextKey(undefined); key !== undefined; key = map.nextKey(key)) out.push(key);
    return out;
  }

  chunks(): EntryChunk[] {
    return [...this.scan()];
  }

  *scan(): Generator<EntryChunk, void, undefined> {
    const entries = this.entries();
    const { keySize } = this.spec;
    for (let from = 0; from < entries.length; from += PIECE) {
      const piece = entries.slice(from, from + PIECE);
      const keys = new Uint8Array(piece.length * keySize);
      const values = new Uint8Array(piece.length * this.userValueSize);
      for (const [i, { key, value }] of piece.entries()) {
        keys.set(key, i * keySize);
        values.set(value, i * this.userValueSize);
      }
      yield { count: piece.length, keys, values };
    }
  }

  takeChunks(): EntryChunk[] {
    const chunks = this.chunks();
    for (const { keys } of chunks) this.deleteMany(keys);
    return chunks;
  }

  clear(): void {
    for (const key of this.keys()) {
      if (this.map.delete(key) === -Errno.EINVAL) this.update(key, new Uint8Array(this.userValueSize));
    }
  }
}
