/**
 * What runs a `BpfObject`: the running Linux kernel (kernel/linux) or the software kernel. Everything above this interface
 * works on either without knowing. Owners (`KernelMap`, `KernelProgram`, `Link`, `RingReader`) hold kernel resources: whoever
 * holds one closes it; use after close throws; closing twice does nothing.
 */
import type { SkepError } from "../base/index.ts";
import type { Btf } from "../btf/index.ts";
import type { AttachSpec, BpfObject, MapSpec, ProgramSpec } from "../object/index.ts";

/** Something that holds a resource of the kernel. */
export interface Owner {
  /** Gives the resource back. Does nothing the second time. */
  close(): void;
  [Symbol.dispose](): void;
}

/** Entries in one piece: `count` keys and as many values, one after the other. */
export interface EntryChunk {
  readonly count: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

/** A loaded map. Keys and values are raw bytes of the spec's sizes; per-CPU values are one 8-byte-aligned slot a possible CPU, concatenated. */
export interface KernelMap extends Owner {
  readonly spec: MapSpec;
  /** Bytes of one value as user space sees it: valueSize, or for per-CPU maps the aligned size times the possible CPUs. */
  readonly userValueSize: number;
  /** `flags`: `UpdateFlags.LOCK`; `UpdateFlags.CPU` plus CPU * 2^32 reads one value of `valueSize` bytes (kernel 7.0). */
  lookup(key: Uint8Array, flags?: number): Uint8Array | undefined;
  /** `flags`: `UpdateFlags.*`; those of CPUs take a value of `valueSize` bytes. */
  update(key: Uint8Array, value: Uint8Array, flags?: number): void;
  /** As `update`, but false instead of an error when `NOEXIST` finds the key there or `EXIST` does not. */
  updateIf(key: Uint8Array, value: Uint8Array, flags: number): boolean;
  /** False when there was no such key. */
  delete(key: Uint8Array): boolean;
  /** Reads and deletes a key in one step: hash maps (kernel 5.14), queues and stacks (whose keys have no bytes). */
  take(key: Uint8Array): Uint8Array | undefined;
  /** Whether a bloom filter may hold a value. */
  hasValue(value: Uint8Array): boolean;
  /** The key that follows one (undefined starts) in the kernel's order; undefined at the end. */
  nextKey(key?: Uint8Array): Uint8Array | undefined;
  /** Sets many entries, in batches where the kernel has them. Stops at the first that does not fit, and throws. */
  updateMany(chunk: EntryChunk, flags?: number): void;
  /** Deletes many keys, one behind the other; returns how many were there. */
  deleteMany(keys: Uint8Array): number;
  /** All entries at this moment, in the kernel's order, by batch operations where the kernel has them. The arrays are copies. */
  entries(): { key: Uint8Array; value: Uint8Array }[];
  keys(): Uint8Array[];
  /** As `entries()`, in a few large pieces: for maps of a hundred thousand entries, where an object for each would cost more than reading them. */
  chunks(): EntryChunk[];
  /** As `chunks()`, each piece read when it is asked for; the map may be written to in between. */
  scan(): Generator<EntryChunk, void, undefined>;
  /** Takes all entries out of a hash map, each in one step. */
  takeChunks(): EntryChunk[];
  /** Deletes all keys; arrays are zeroed. */
  clear(): void;
}

/** A loaded program. */
export interface KernelProgram extends Owner {
  readonly spec: ProgramSpec;
  /** Runs it once by `BPF_PROG_TEST_RUN` with this context; returns r0. */
  testRun(context?: Uint8Array): number;
  /** Kernel statistics: needs `enableStats`. Nanoseconds and count since load, and the sizes of the program. */
  info(): ProgramInfo;
}

/** From `BPF_OBJ_GET_INFO_BY_FD`. */
export interface ProgramInfo {
  readonly id: number;
  readonly tag: string;
  readonly runTimeNs: number;
  readonly runCount: number;
  readonly recursionMisses: number;
  /** Instructions after the kernel's rewriting. */
  readonly translatedInsns: number;
  readonly jitedBytes: number;
  readonly verifiedInsns: number;
}

/** An attachment: gone when closed or when the process ends, however it ends. */
export interface Link extends Owner {
  readonly spec: AttachSpec;
}

/**
 * Called for each record: `bytes` and `view` cover the whole ring, the record is `[offset, offset + size)` and is valid only during the call
 * (no allocation per record). Throwing stops the drain after this record.
 */
export type RecordHandler = (bytes: Uint8Array, view: DataView, offset: number, size: number) => void;

/** Reads a ring buffer map in the kernel's order. */
export interface RingReader extends Owner {
  /** Hands over what is there now, at most `limit` records. Returns how many. */
  drain(handler: RecordHandler, limit?: number): number;
  /** Calls back when records are waiting (the kernel woke us); returns a stop function. */
  onReadable(callback: () => void): () => void;
}

/** Everything loaded from one object. Closing closes its maps and programs, not links. */
export interface LoadedObject extends Owner {
  readonly object: BpfObject;
  /** Programs that were left out, see {@link LoadOptions.partial}; empty or absent when all are loaded. */
  readonly refused?: ReadonlyMap<string, SkepError>;
  map(name: string): KernelMap;
  program(name: string): KernelProgram;
}

/** Options of {@link Kernel.load}. */
export interface LoadOptions {
  /** Overrides `maxEntries` of maps by name before creation. */
  readonly maxEntries?: ReadonlyMap<string, number>;
  /** Directory of a bpffs for maps that are pinned by name; default `/sys/fs/bpf`. */
  readonly pinPath?: string;
  /** Maps to take instead of creating them, by the object's names. They must fit, and stay their owner's to close. */
  readonly reuse?: ReadonlyMap<string, KernelMap>;
  /** bpffs mounted with delegated rights: a token made of it is used for every command (kernel 6.9). */
  readonly tokenPath?: string;
  /** Types that CO-RE relocations are resolved against, instead of the running kernel's. */
  readonly coreBtf?: Btf;
  /** Lines `CONFIG_NAME=value` that go before the kernel's own configuration. */
  readonly kconfig?: string;
  /** Loaded programs that freplace and tracing programs of the object refer to, by program name: id of the target program. */
  readonly targetPrograms?: ReadonlyMap<string, number>;
  /**
   * Programs that this kernel does not take are left out instead of failing the whole load: objects have alternatives for several
   * kernels. What all need, maps and types, must still be there; so must one program.
   */
  readonly partial?: boolean;
  /** Verifier log wanted even on success (level 1 or 2), handed over here per program. */
  readonly log?: { readonly level: 1 | 2; readonly sink: (program: string, log: string) => void };
}

/** A kernel that takes objects. */
export interface Kernel extends Owner {
  readonly name: "linux" | "soft";
  /** Creates maps, fills and freezes them, loads BTF and programs. All or nothing: on an error everything made is closed. Throws VerifierError with the whole log. */
  load(object: BpfObject, options?: LoadOptions): LoadedObject;
  /** Attaches a program. Throws UnsupportedError when this kernel cannot (and says which option it lacks), SyscallError else. */
  attach(program: KernelProgram, spec: AttachSpec): Link;
  /**
   * Takes programs off all these places at once: when it resolves none of them runs there any more, and the links are closed. Much
   * faster than closing one after the other, since each close of a tracepoint or probe waits for grace periods of the kernel (about
   * 90 ms); what then remains to be freed is freed in the background, and by the end of the process at the latest.
   */
  detach(links: readonly Link[]): Promise<void>;
  ringReader(map: KernelMap): RingReader;
  /** CPUs that may ever be online: the number of slots of per-CPU values. */
  readonly possibleCpus: number;
  /** Turns on run-time statistics of programs until the owner is closed. */
  enableStats(): Owner;
}
