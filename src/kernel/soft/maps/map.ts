/** Maps of the software kernel, as programs and user space see them. */
import { MapFlags, MapType, UpdateFlags } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import type { VmMemory } from "../../../vm/index.ts";
import { Errno } from "../../errno.ts";

/** What maps need of the kernel they are in. */
export interface MapHost {
  readonly memory: VmMemory;
  /** CPUs whose values per-CPU maps have. */
  readonly possibleCpus: number;
  /** The CPU that the running program is on. */
  cpu(): number;
  /** A map by its id, for maps of maps. */
  mapById(id: number): SoftMap | undefined;
  /** What programs know a map by, as an offset; 0 for none of this id. */
  tokenOf(id: number): number;
}

/** Operations that a type does not have answer this. */
export const NOT_SUPPORTED: number = -Errno.ENOTSUPP;

/**
 * A map. Operations return 0 or a negative errno. Values that programs get are offsets in the memory of the virtual machine, 0 for none;
 * user space reads and writes copies. Keys are `spec.keySize` bytes.
 */
export abstract class SoftMap {
  readonly spec: MapSpec;
  readonly id: number;
  protected readonly host: MapHost;
  /** Bytes between the values of two CPUs, or of one value, as user space sees them. */
  readonly valueStride: number;

  constructor(spec: MapSpec, id: number, host: MapHost) {
    this.spec = spec;
    this.id = id;
    this.host = host;
    this.valueStride = roundUp(spec.valueSize);
  }

  /** Whether each CPU has a value of its own. */
  get isPerCpu(): boolean {
    return perCpu.has(this.spec.type);
  }

  /** Bytes of a value as user space sees it. */
  get userValueSize(): number {
    return this.isPerCpu ? this.valueStride * this.host.possibleCpus : this.spec.valueSize;
  }

  /** `bpf_map_lookup_elem`: offset of the value (of this CPU), 0 when there is none. */
  abstract lookup(key: Uint8Array): number;
  /** `bpf_map_update_elem`: the value (of this CPU) is `spec.valueSize` bytes. */
  abstract update(key: Uint8Array, value: Uint8Array, flags: number): number;
  /** `bpf_map_delete_elem`. */
  abstract delete(key: Uint8Array): number;
  /** `BPF_MAP_GET_NEXT_KEY`: the key behind one, the first for undefined and for keys that are not there; undefined at the end. */
  abstract nextKey(key: Uint8Array | undefined): Uint8Array | undefined;
  /** `BPF_MAP_LOOKUP_ELEM`: a copy of all of the value, or a negative errno. */
  abstract read(key: Uint8Array): Uint8Array | number;
  /** Gives memory back. */
  abstract close(): void;

  /** `BPF_MAP_UPDATE_ELEM`: the value is `userValueSize` bytes. */
  write(key: Uint8Array, value: Uint8Array, flags: number): number {
    // No value has a lock.
    return (flags & UpdateFlags.LOCK) === 0 ? this.writeAll(key, value, flags) : -Errno.EINVAL;
  }

  /** Writes the value of each CPU, where each has one. */
  protected writeAll(key: Uint8Array, value: Uint8Array, flags: number): number {
    return this.update(key, value, flags);
  }

  /** `BPF_MAP_LOOKUP_AND_DELETE_ELEM`. */
  take(_key: Uint8Array): Uint8Array | number {
    return NOT_SUPPORTED;
  }

  /** `bpf_map_push_elem`. */
  push(_value: Uint8Array, _flags: number): number {
    return -Errno.EINVAL;
  }

  /** `bpf_map_pop_elem` and `bpf_map_peek_elem`: a copy of the value, or a negative errno. */
  pop(_remove: boolean): Uint8Array | number {
    return -Errno.EINVAL;
  }

  /** `bpf_map_lookup_percpu_elem`. */
  lookupCpu(_key: Uint8Array, _cpu: number): number {
    return 0;
  }

  /** Entries in the order of `nextKey`, for `bpf_for_each_map_elem`: offsets of the key and of this CPU's value. */
  *slots(): Generator<{ readonly key: Uint8Array; readonly value: number }> {
    for (let key = this.nextKey(undefined); key !== undefined; key = this.nextKey(key)) {
      const value = this.lookup(key);
      if (value !== 0) yield { key, value };
    }
  }
}

const perCpu: ReadonlySet<number> = new Set([
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_PERCPU_HASH,
  MapType.PERCPU_CGROUP_STORAGE,
]);

/** To the next multiple of eight. */
export function roundUp(size: number): number {
  return (size + 7) & ~7;
}

/** Flags of an update that every map checks in the same way: the errno they give for a key that is there or not; 0 to go on. */
export function checkUpdateFlags(flags: number, exists: boolean, hasLock: boolean = false): number {
  const plain = flags & ~UpdateFlags.LOCK;
  if (plain > UpdateFlags.EXIST) return -Errno.EINVAL;
  if ((flags & UpdateFlags.LOCK) !== 0 && !hasLock) return -Errno.EINVAL;
  if (exists && plain === UpdateFlags.NOEXIST) return -Errno.EEXIST;
  if (!exists && plain === UpdateFlags.EXIST) return -Errno.ENOENT;
  return 0;
}

/** Flags of creation that a type knows, besides what all know. */
export function flagsAllowed(spec: MapSpec, known: number): boolean {
  const always = MapFlags.RDONLY | MapFlags.WRONLY | MapFlags.RDONLY_PROG | MapFlags.WRONLY_PROG | MapFlags.NUMA_NODE;
  return (spec.flags & ~(always | known)) === 0;
}
