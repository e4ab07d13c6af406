/**
 * Maps of the running kernel. A map keeps its attributes, key and value in native memory of its own, so that one lookup is one
 * system call and one copy; whole maps are read in batches.
 */
import { SkepError } from "../../base/index.ts";
import { BpfCmd, MapFlags, MapType, UpdateFlags } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import type { EntryChunk, KernelMap } from "../kernel.ts";
import { bpfFailure } from "./bpf.ts";
import { MapBatchAttr, MapElemAttr } from "./bpf-attr.ts";
import { Errno } from "../errno.ts";
import type { OwnedFd } from "./fd.ts";
import { SharedMapMemory } from "./map-memory.ts";
import { NativeMemory, setU64 } from "./memory.ts";
import { pin } from "./pins.ts";
import { bpfSyscall } from "./sys.ts";

const perCpuTypes: ReadonlySet<number> = new Set([
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_PERCPU_HASH,
  MapType.PERCPU_CGROUP_STORAGE,
]);
const arrayTypes: ReadonlySet<number> = new Set([MapType.ARRAY, MapType.PERCPU_ARRAY]);
/** Types that hold entries with values that user space can read. */
const listableTypes: ReadonlySet<number> = new Set([
  MapType.HASH,
  MapType.ARRAY,
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.STACK_TRACE,
  MapType.LRU_HASH,
  MapType.LRU_PERCPU_HASH,
  MapType.LPM_TRIE,
  MapType.ARRAY_OF_MAPS,
  MapType.HASH_OF_MAPS,
  MapType.CGROUP_STORAGE,
  MapType.PERCPU_CGROUP_STORAGE,
]);
/** The others list one by one: a stack trace has no batch command before 6.19, tries and maps of maps gain nothing. */
const batchTypes: ReadonlySet<number> = new Set([
  MapType.HASH,
  MapType.ARRAY,
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_HASH,
  MapType.LRU_PERCPU_HASH,
]);

/** What old kernels and types without batch commands answer: unknown command, or no such operation. */
const noBatchErrnos: ReadonlySet<number> = new Set([Errno.EINVAL, Errno.ENOTSUPP, Errno.EOPNOTSUPP]);

/** Batch commands that do not list. */
const writesBatch: ReadonlySet<number> = new Set([BpfCmd.MAP_UPDATE_BATCH, BpfCmd.MAP_DELETE_BATCH]);

/** Most entries of one batch, and the most bytes that its buffer starts with. */
const BATCH_ENTRIES = 8192;
const BATCH_BYTES = 4 << 20;

/** Bytes of one value as user space sees it. */
export function userValueSize(spec: MapSpec, possibleCpus: number): number {
  return perCpuTypes.has(spec.type) ? ((spec.valueSize + 7) & ~7) * possibleCpus : spec.valueSize;
}

/** Flags of elements that mean the value of one CPU, or one value for all: both take a plain value. */
const ONE_VALUE = UpdateFlags.CPU | UpdateFlags.ALL_CPUS;
/** Flags that the batch commands take for elements; with others, elements are written one by one. */
const BATCH_FLAGS = UpdateFlags.LOCK | ONE_VALUE;

/** Low half of flags of elements; the high half is a CPU. */
function lowFlags(flags: number): number {
  return flags % 0x1_0000_0000;
}

/** Where reading in batches stands. */
interface BatchCursor {
  /** What the kernel goes on from; undefined at the start. */
  token: Uint8Array | undefined;
  entries: number;
  done: boolean;
}

/** Buffer of the batch commands: resumption token, keys, values. */
interface BatchBuffer {
  readonly memory: NativeMemory;
  readonly entries: number;
  readonly keysAt: number;
  readonly valuesAt: number;
}

/** A map of the running kernel. */
export class LinuxMap implements KernelMap {
  readonly spec: MapSpec;
  readonly userValueSize: number;
  /** Owned by this map. */
  readonly fd: OwnedFd;
  private readonly memory: NativeMemory;
  private readonly keyAt: number;
  private readonly nextKeyAt: number;
  private readonly valueAt: number;
  private batchBuffer: BatchBuffer | undefined;
  /** Undefined until the kernel was asked. */
  private hasBatch: boolean | undefined;
  private shared: SharedMapMemory | undefined;
  /** struct_ops: the value that registers it, in the kernel's layout, with the descriptors of its programs. Set by loading. */
  structOpsValue: Uint8Array | undefined;

  constructor(spec: MapSpec, fd: OwnedFd, possibleCpus: number) {
    this.spec = spec;
    this.fd = fd;
    this.userValueSize = userValueSize(spec, possibleCpus);
    const keyRoom = (spec.keySize + 7) & ~7;
    this.keyAt = MapBatchAttr.SIZE;
    this.nextKeyAt = this.keyAt + keyRoom;
    this.valueAt = this.nextKeyAt + keyRoom;
    this.memory = new NativeMemory(this.valueAt + this.userValueSize);
  }

  private get isArray(): boolean {
    return arrayTypes.has(this.spec.type);
  }

  private element(command: number, valueAt: number, flags: number): number {
    const { view, address } = this.memory;
    view.setUint32(MapElemAttr.MAP_FD, this.fd.value, true);
    view.setUint32(MapElemAttr.MAP_FD + 4, 0, true);
    // Of maps without keys the kernel wants no address either.
    setU64(view, MapElemAttr.KEY, this.spec.keySize === 0 ? 0 : address + this.keyAt);
    setU64(view, MapElemAttr.VALUE, valueAt === 0 ? 0 : address + valueAt);
    setU64(view, MapElemAttr.FLAGS, flags);
    return bpfSyscall(command, address, MapElemAttr.SIZE);
  }

  private failure(command: number, result: number): Error {
    return bpfFailure(command, -result, `map ${this.spec.name}`);
  }

  private full(): SkepError {
    const { name, maxEntries } = this.spec;
    return new SkepError("map-full", `map ${name}: full: it holds ${maxEntries} entries, the most it was created for`);
  }

  private setKey(key: Uint8Array): void {
    // Before the key is looked at: a closed map has no memory to write to.
    void this.fd.value;
    if (key.length !== this.spec.keySize) {
      throw new RangeError(`map ${this.spec.name}: a key has ${this.spec.keySize} bytes, not ${key.length}`);
    }
    this.memory.bytes.set(key, this.keyAt);
  }

  /** Bytes of a value that is read or written with these flags. */
  private sizeWith(flags: number): number {
    return (lowFlags(flags) & ONE_VALUE) === 0 ? this.userValueSize : this.spec.valueSize;
  }

  private setValue(value: Uint8Array, flags: number): void {
    const size = this.sizeWith(flags);
    if (value.length !== size) {
      throw new RangeError(`map ${this.spec.name}: a value has ${size} bytes, not ${value.length}`);
    }
    this.memory.bytes.set(value, this.valueAt);
  }

  lookup(key: Uint8Array, flags: number = 0): Uint8Array | undefined {
    this.setKey(key);
    const result = this.element(BpfCmd.MAP_LOOKUP_ELEM, this.valueAt, flags);
    if (result === -Errno.ENOENT) return undefined;
    if (result < 0) throw this.failure(BpfCmd.MAP_LOOKUP_ELEM, result);
    return this.memory.bytes.slice(this.valueAt, this.valueAt + this.sizeWith(flags));
  }

  update(key: Uint8Array, value: Uint8Array, flags: number = 0): void {
    const result = this.tryUpdate(key, value, flags);
    if (result < 0) throw this.failure(BpfCmd.MAP_UPDATE_ELEM, result);
  }

  /** Whether a key was set: false when `BPF_NOEXIST` finds it there, or `BPF_EXIST` does not. */
  updateIf(key: Uint8Array, value: Uint8Array, flags: number): boolean {
    const result = this.tryUpdate(key, value, flags);
    const wanted = lowFlags(flags);
    if (result === -Errno.EEXIST && (wanted & UpdateFlags.NOEXIST) !== 0) return false;
    if (result === -Errno.ENOENT && (wanted & UpdateFlags.EXIST) !== 0) return false;
    if (result < 0) throw this.failure(BpfCmd.MAP_UPDATE_ELEM, result);
    return true;
  }

  private tryUpdate(key: Uint8Array, value: Uint8Array, flags: number): number {
    this.setKey(key);
    this.setValue(value, flags);
    const result = this.element(BpfCmd.MAP_UPDATE_ELEM, this.valueAt, flags);
    if (result === -Errno.E2BIG) throw this.full();
    return result;
  }

  /** Whether a bloom filter may hold a value: false is certain. */
  hasValue(value: Uint8Array): boolean {
    void this.fd.value;
    this.setValue(value, 0);
    const result = this.element(BpfCmd.MAP_LOOKUP_ELEM, this.valueAt, 0);
    if (result === -Errno.ENOENT) return false;
    if (result < 0) throw this.failure(BpfCmd.MAP_LOOKUP_ELEM, result);
    return true;
  }

  /** The key that follows one (undefined starts) in the kernel's order; undefined at the end. A key that is gone starts over. */
  nextKey(key?: Uint8Array): Uint8Array | undefined {
    void this.fd.value;
    if (key !== undefined) this.setKey(key);
    const { keySize } = this.spec;
    const result = this.toNextKey(key === undefined);
    if (result === -Errno.ENOENT) return undefined;
    if (result < 0) throw this.failure(BpfCmd.MAP_GET_NEXT_KEY, result);
    return this.memory.bytes.slice(this.nextKeyAt, this.nextKeyAt + keySize);
  }

  private toNextKey(first: boolean): number {
    const { view, address } = this.memory;
    view.setUint32(MapElemAttr.MAP_FD, this.fd.value, true);
    view.setUint32(MapElemAttr.MAP_FD + 4, 0, true);
    setU64(view, MapElemAttr.KEY, first ? 0 : address + this.keyAt);
    setU64(view, MapElemAttr.VALUE, address + this.nextKeyAt);
    setU64(view, MapElemAttr.FLAGS, 0);
    return bpfSyscall(BpfCmd.MAP_GET_NEXT_KEY, address, MapElemAttr.SIZE);
  }

  delete(key: Uint8Array): boolean {
    this.setKey(key);
    const result = this.element(BpfCmd.MAP_DELETE_ELEM, 0, 0);
    if (result === -Errno.ENOENT) return false;
    if (result < 0) throw this.failure(BpfCmd.MAP_DELETE_ELEM, result);
    return true;
  }

  /** Reads and deletes a key in one step. Hash maps: Linux 5.14; queues and stacks (keys of no bytes): 4.20. */
  take(key: Uint8Array): Uint8Array | undefined {
    this.setKey(key);
    const result = this.element(BpfCmd.MAP_LOOKUP_AND_DELETE_ELEM, this.valueAt, 0);
    if (result === -Errno.ENOENT) return undefined;
    if (result < 0) throw this.failure(BpfCmd.MAP_LOOKUP_AND_DELETE_ELEM, result);
    return this.memory.bytes.slice(this.valueAt, this.valueAt + this.userValueSize);
  }

  /** Sets many entries, in batches where the kernel has them (Linux 5.6). Stops at the first that does not fit, and throws. */
  updateMany(chunk: EntryChunk, flags: number = 0): void {
    const { keySize } = this.spec;
    const valueSize = this.sizeWith(flags);
    if (chunk.keys.length !== chunk.count * keySize || chunk.values.length !== chunk.count * valueSize) {
      throw new RangeError(
        `map ${this.spec.name}: ${chunk.count} entries have ${chunk.count * keySize} bytes of keys and ` +
          `${chunk.count * valueSize} of values, not ${chunk.keys.length} and ${chunk.values.length}`,
      );
    }
    void this.fd.value;
    const inBatches =
      this.hasBatch !== false && batchTypes.has(this.spec.type) && (lowFlags(flags) & ~BATCH_FLAGS) === 0;
    const buffer = inBatches ? this.batch(this.usualBatchEntries) : undefined;
    for (let done = 0; done < chunk.count;) {
      const key = done * keySize;
      const value = done * valueSize;
      if (buffer === undefined) {
        this.update(chunk.keys.subarray(key, key + keySize), chunk.values.subarray(value, value + valueSize), flags);
        done++;
        continue;
      }
      const count = Math.min(buffer.entries, chunk.count - done);
      buffer.memory.bytes.set(chunk.keys.subarray(key, key + count * keySize), buffer.keysAt);
      buffer.memory.bytes.set(chunk.values.subarray(value, value + count * valueSize), buffer.valuesAt);
      const result = this.batchCommand(BpfCmd.MAP_UPDATE_BATCH, buffer, true, count, flags);
      if (result < 0) {
        if (done === 0 && noBatchErrnos.has(-result)) {
          this.hasBatch = false;
          this.updateMany(chunk, flags);
          return;
        }
        if (result === -Errno.E2BIG) throw this.full();
        throw this.failure(BpfCmd.MAP_UPDATE_BATCH, result);
      }
      done += count;
    }
  }

  /** Deletes many keys, one after the other in `keys`; returns how many were there. In batches where the kernel has them (Linux 5.6). */
  deleteMany(keys: Uint8Array): number {
    const { keySize } = this.spec;
    const count = keys.length / keySize;
    if (!Number.isInteger(count)) {
      throw new RangeError(`map ${this.spec.name}: ${keys.length} bytes are no number of keys of ${keySize} bytes`);
    }
    void this.fd.value;
    const inBatches = this.hasBatch !== false && batchTypes.has(this.spec.type) && !this.isArray;
    const buffer = inBatches ? this.batch(this.usualBatchEntries) : undefined;
    let deleted = 0;
    for (let done = 0; done < count;) {
      if (buffer === undefined) {
        if (this.delete(keys.subarray(done * keySize, (done + 1) * keySize))) deleted++;
        done++;
        continue;
      }
      const most = Math.min(buffer.entries, count - done);
      buffer.memory.bytes.set(keys.subarray(done * keySize, (done + most) * keySize), buffer.keysAt);
      const result = this.batchCommand(BpfCmd.MAP_DELETE_BATCH, buffer, true, most);
      if (result < 0 && result !== -Errno.ENOENT) {
        if (done === 0 && noBatchErrnos.has(-result)) {
          this.hasBatch = false;
          return this.deleteMany(keys);
        }
        throw this.failure(BpfCmd.MAP_DELETE_BATCH, result);
      }
      // The kernel stops at a key that is not there.
      const gone = result < 0 ? this.memory.view.getUint32(MapBatchAttr.COUNT, true) : most;
      deleted += gone;
      done += result < 0 ? gone + 1 : most;
    }
    return deleted;
  }

  entries(): { key: Uint8Array; value: Uint8Array }[] {
    const entries: { key: Uint8Array; value: Uint8Array }[] = [];
    const keySize = this.spec.keySize;
    const valueSize = this.userValueSize;
    for (const { count, keys, values } of this.chunks()) {
      for (let i = 0; i < count; i++) {
        entries.push({
          key: keys.subarray(i * keySize, (i + 1) * keySize),
          value: values.subarray(i * valueSize, (i + 1) * valueSize),
        });
      }
    }
    return entries;
  }

  keys(): Uint8Array[] {
    const found: Uint8Array[] = [];
    const keySize = this.spec.keySize;
    for (const { count, keys } of this.chunks()) {
      for (let i = 0; i < count; i++) found.push(keys.subarray(i * keySize, (i + 1) * keySize));
    }
    return found;
  }

  /**
   * All entries at this moment in a few large pieces: for maps of a hundred thousand entries, where an object for each would
   * cost more than reading them. The arrays are copies.
   */
  chunks(): EntryChunk[] {
    this.requireListable();
    if (this.spec.maxEntries === 0) return [];
    return this.readBatches(BpfCmd.MAP_LOOKUP_BATCH) ?? this.readOneByOne();
  }

  /**
   * As {@link chunks}, each piece read when it is asked for. The map may be written to in between: entries that stay are seen once, at the
   * state of when they were read; of maps without batch commands all are read at the start.
   */
  *scan(): Generator<EntryChunk, void, undefined> {
    this.requireListable();
    if (this.spec.maxEntries === 0) return;
    const cursor: BatchCursor = { token: undefined, entries: this.usualBatchEntries, done: false };
    const usesBatches = this.hasBatch !== false && batchTypes.has(this.spec.type);
    while (usesBatches && !cursor.done) {
      const chunk = this.readBatch(BpfCmd.MAP_LOOKUP_BATCH, cursor);
      if (chunk === undefined) break;
      if (chunk.count > 0) yield chunk;
    }
    if (!cursor.done) yield* this.readOneByOne();
  }

  /**
   * Takes all entries out of a hash map: each is read and deleted in one step, so no count made meanwhile is lost. Kernels before
   * 5.6 read first and delete then.
   */
  takeChunks(): EntryChunk[] {
    this.requireListable();
    if (this.isArray) throw new TypeError(`map ${this.spec.name}: an array keeps its entries: use clear()`);
    const taken = this.readBatches(BpfCmd.MAP_LOOKUP_AND_DELETE_BATCH);
    if (taken !== undefined) return taken;
    const chunks = this.readOneByOne();
    for (const { count, keys } of chunks) {
      for (let i = 0; i < count; i++) this.delete(keys.subarray(i * this.spec.keySize, (i + 1) * this.spec.keySize));
    }
    return chunks;
  }

  clear(): void {
    if (this.isArray) {
      const most = this.usualBatchEntries;
      const values = new Uint8Array(most * this.userValueSize);
      for (let start = 0; start < this.spec.maxEntries; start += most) {
        const count = Math.min(most, this.spec.maxEntries - start);
        const keys = new Uint8Array(Uint32Array.from({ length: count }, (_, i) => start + i).buffer);
        this.updateMany({ count, keys, values: values.subarray(0, count * this.userValueSize) });
      }
      return;
    }
    this.takeChunks();
  }

  private requireListable(): void {
    void this.fd.value;
    if (!listableTypes.has(this.spec.type) || (this.spec.flags & MapFlags.WRONLY) !== 0) {
      throw new TypeError(`map ${this.spec.name}: a map of type ${this.spec.type} has no entries to list`);
    }
  }

  private batch(minimumEntries: number): BatchBuffer {
    const had = this.batchBuffer;
    if (had !== undefined && had.entries >= minimumEntries) return had;
    had?.memory.free();
    this.batchBuffer = undefined;
    const tokenRoom = (Math.max(this.spec.keySize, 8) + 7) & ~7;
    const keysRoom = (minimumEntries * this.spec.keySize + 7) & ~7;
    const buffer: BatchBuffer = {
      memory: new NativeMemory(tokenRoom + keysRoom + minimumEntries * this.userValueSize),
      entries: minimumEntries,
      keysAt: tokenRoom,
      valuesAt: tokenRoom + keysRoom,
    };
    this.batchBuffer = buffer;
    return buffer;
  }

  private get usualBatchEntries(): number {
    const fitting = Math.max(64, Math.floor(BATCH_BYTES / (this.spec.keySize + this.userValueSize)));
    return Math.max(1, Math.min(BATCH_ENTRIES, fitting, this.spec.maxEntries));
  }

  /** Makes one batch call on a buffer; `count` is then in the attributes. */
  private batchCommand(command: number, buffer: BatchBuffer, first: boolean, count: number, flags = 0): number {
    const { view, address } = this.memory;
    const base = buffer.memory.address;
    setU64(view, MapBatchAttr.IN_BATCH, first ? 0 : base);
    setU64(view, MapBatchAttr.OUT_BATCH, writesBatch.has(command) ? 0 : base);
    setU64(view, MapBatchAttr.KEYS, base + buffer.keysAt);
    setU64(view, MapBatchAttr.VALUES, base + buffer.valuesAt);
    view.setUint32(MapBatchAttr.COUNT, count, true);
    view.setUint32(MapBatchAttr.MAP_FD, this.fd.value, true);
    setU64(view, MapBatchAttr.ELEM_FLAGS, flags);
    setU64(view, MapBatchAttr.FLAGS, 0);
    return bpfSyscall(command, address, MapBatchAttr.SIZE);
  }

  /** Reads all entries by a batch command; undefined when this kernel has none for this map. */
  private readBatches(command: number): EntryChunk[] | undefined {
    if (this.hasBatch === false || !batchTypes.has(this.spec.type)) return undefined;
    const chunks: EntryChunk[] = [];
    const cursor: BatchCursor = { token: undefined, entries: this.usualBatchEntries, done: false };
    while (!cursor.done) {
      const chunk = this.readBatch(command, cursor);
      if (chunk === undefined) return undefined;
      if (chunk.count > 0) chunks.push(chunk);
    }
    return chunks;
  }

  /**
   * The next entries, copied; undefined when this kernel has no batch command for this map, which the first call tells. Entries of one
   * hash bucket come in one piece under its lock (`__htab_map_lookup_and_delete_batch`), so none comes twice however the map
   * changes meanwhile.
   */
  private readBatch(command: number, cursor: BatchCursor): EntryChunk | undefined {
    const { keySize } = this.spec;
    void this.fd.value;
    for (;;) {
      const buffer = this.batch(cursor.entries);
      const first = cursor.token === undefined;
      if (cursor.token !== undefined) buffer.memory.bytes.set(cursor.token);
      const result = this.batchCommand(command, buffer, first, buffer.entries);
      if (result === -Errno.ENOSPC) {
        // One bucket holds more than the whole buffer.
        cursor.entries = buffer.entries * 2;
        continue;
      }
      if (result < 0 && result !== -Errno.ENOENT) {
        if (first && noBatchErrnos.has(-result)) {
          this.hasBatch = false;
          return undefined;
        }
        throw this.failure(command, result);
      }
      this.hasBatch = true;
      cursor.done = result === -Errno.ENOENT;
      const { bytes } = buffer.memory;
      cursor.token = bytes.slice(0, buffer.keysAt);
      const count = this.memory.view.getUint32(MapBatchAttr.COUNT, true);
      return {
        count,
        keys: bytes.slice(buffer.keysAt, buffer.keysAt + count * keySize),
        values: bytes.slice(buffer.valuesAt, buffer.valuesAt + count * this.userValueSize),
      };
    }
  }

  /**
   * Key after key. When the key that iteration stands on is deleted meanwhile, the kernel starts over from the first; keys seen
   * before are then passed over, and a map that changes faster than it can be read ends after a bounded number of steps.
   */
  private readOneByOne(): EntryChunk[] {
    const { bytes } = this.memory;
    const { keySize } = this.spec;
    const seen = new Set<string>();
    const keys: Uint8Array[] = [];
    const values: Uint8Array[] = [];
    const mostSteps = this.spec.maxEntries * 4 + 1024;
    for (let step = 0; step < mostSteps; step++) {
      const result = this.toNextKey(step === 0);
      if (result === -Errno.ENOENT) break;
      if (result < 0) throw this.failure(BpfCmd.MAP_GET_NEXT_KEY, result);
      bytes.copyWithin(this.keyAt, this.nextKeyAt, this.nextKeyAt + keySize);
      const key = bytes.slice(this.keyAt, this.keyAt + keySize);
      const name = Buffer.from(key.buffer).toString("latin1");
      if (seen.has(name)) continue;
      seen.add(name);
      const value = this.lookup(key);
      if (value === undefined) continue;
      keys.push(key);
      values.push(value);
    }
    return keys.length === 0 ? [] : [{ count: keys.length, keys: joined(keys), values: joined(values) }];
  }

  /**
   * The map's own memory, where programs see what is written at once and the other way round: the value of a one-entry array, all
   * values of a larger one (each at a multiple of 8 bytes), the pages of an arena. Of a frozen map a copy, which nobody can change
   * there. The view is the same each time; after `close()` it reads zeros. Throws UnsupportedError for maps without `MMAPABLE`.
   */
  mapMemory(): Uint8Array {
    const fd = this.fd.value;
    const { spec } = this;
    if (spec.frozen === true) return this.lookup(new Uint8Array(spec.keySize)) ?? new Uint8Array(spec.valueSize);
    this.shared ??= new SharedMapMemory(spec, fd, spec.type === MapType.ARENA ? Number(spec.mapExtra ?? 0n) : 0);
    return spec.type === MapType.ARENA || spec.maxEntries !== 1
      ? this.shared.bytes
      : this.shared.bytes.subarray(0, spec.valueSize);
  }

  /** Where {@link mapMemory} lies in this process, and in programs when it is an arena's; undefined until it was asked for. */
  get memoryAddress(): number | undefined {
    return this.shared?.address;
  }

  /** Keeps the map beyond this process under a path of a bpffs. Throws SkepError when that is taken, UnsupportedError when it is no bpffs. */
  pin(path: string): void {
    pin(this.fd, path);
  }

  close(): void {
    if (this.fd.isClosed) return;
    this.fd.close();
    this.memory.free();
    this.batchBuffer?.memory.free();
    this.batchBuffer = undefined;
    this.shared?.close();
    this.shared = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.length * (pieces[0]?.length ?? 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
