/** bpf(2) on maps: creation and freezing. Elements are read and written by `LinuxMap`, which keeps its attributes prepared. */
import { SkepError, UnsupportedError } from "../../base/index.ts";
import { mapTakesBtf } from "../../btf/index.ts";
import { BpfCmd, MAP_TYPE_SINCE, MapFlags, MapType, OBJ_NAME_LENGTH } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { bpf, bpfFailure, bpfOrThrow } from "./bpf.ts";
import { MapCreateAttr, MapElemAttr } from "./bpf-attr.ts";
import { Errno, errnoName } from "../errno.ts";
import { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import { raiseMemlock } from "./memlock.ts";
import { kernelObjectName } from "./object-name.ts";
import { type Attributes, callAttributes } from "./scratch.ts";
import { pageSize } from "./sys.ts";

/** Descriptors and ids that a map's creation takes besides its spec. */
export interface MapCreation {
  /** The object's BTF. */
  readonly btfFd?: number | undefined;
  /** Maps of maps: one that is like the inner ones. */
  readonly innerMapFd?: number | undefined;
  readonly tokenFd?: number | undefined;
  /** struct_ops: the value's type in the kernel's BTF, and the BTF of the module that holds it. */
  readonly kernelValueTypeId?: number | undefined;
  readonly kernelValueBtfFd?: number | undefined;
  /** SHA-256 of the program that alone may use it. */
  readonly programHash?: Uint8Array | undefined;
  /** Told when the kernel took the map only without BTF, and why. */
  readonly onUntyped?: (errnoName: string) => void;
}

function attributesOf(spec: MapSpec, creation: MapCreation, flags: number, withBtf: boolean): Attributes {
  const { innerMapFd, tokenFd, kernelValueTypeId, kernelValueBtfFd, programHash } = creation;
  const A = MapCreateAttr;
  const isNew = tokenFd !== undefined || kernelValueBtfFd !== undefined;
  const size = programHash !== undefined ? A.SIZE_WITH_EXCL_PROG : isNew ? A.SIZE_WITH_TOKEN : A.SIZE;
  const attributes = callAttributes(size)
    .u32(A.MAP_TYPE, spec.type)
    .u32(A.KEY_SIZE, spec.keySize)
    .u32(A.VALUE_SIZE, spec.valueSize)
    .u32(A.MAX_ENTRIES, spec.maxEntries)
    .name(A.MAP_NAME, OBJ_NAME_LENGTH, kernelObjectName(spec.kernelName ?? spec.name));
  let allFlags = flags;
  if (spec.numaNode !== undefined) {
    allFlags |= MapFlags.NUMA_NODE;
    attributes.u32(A.NUMA_NODE, spec.numaNode);
  }
  if (spec.mapExtra !== undefined) attributes.u64(A.MAP_EXTRA, spec.mapExtra);
  if (innerMapFd !== undefined) attributes.u32(A.INNER_MAP_FD, innerMapFd);
  if (tokenFd !== undefined) {
    allFlags |= MapFlags.TOKEN_FD;
    attributes.u32(A.MAP_TOKEN_FD, tokenFd);
  }
  if (kernelValueTypeId !== undefined) attributes.u32(A.BTF_VMLINUX_VALUE_TYPE_ID, kernelValueTypeId);
  if (kernelValueBtfFd !== undefined) {
    allFlags |= MapFlags.VTYPE_BTF_OBJ_FD;
    attributes.u32(A.VALUE_TYPE_BTF_OBJ_FD, kernelValueBtfFd);
  }
  if (programHash !== undefined)
    attributes.input(A.EXCL_PROG_HASH, programHash).u32(A.EXCL_PROG_HASH_SIZE, programHash.length);
  if (withBtf) {
    attributes.u32(A.BTF_FD, creation.btfFd ?? 0);
    if (kernelValueTypeId === undefined)
      attributes.u32(A.BTF_KEY_TYPE_ID, spec.keyTypeId ?? 0).u32(A.BTF_VALUE_TYPE_ID, spec.valueTypeId ?? 0);
  }
  return attributes.u32(A.MAP_FLAGS, allFlags);
}

/** What no other attributes would mend. */
const final: ReadonlySet<number> = new Set([Errno.EPERM, Errno.ENOMEM, Errno.EMFILE, Errno.ENFILE]);

/**
 * Creates a map. BTF only describes its entries to other tools, so when the kernel refuses the map with it, the map is made
 * without; and maps of global data go without mmap(2) on kernels before 5.5. Throws SyscallError, or UnsupportedError for a type that
 * this kernel lacks.
 */
export function createMap(spec: MapSpec, creation: MapCreation = {}): OwnedFd {
  raiseMemlock();
  const isDescribed =
    creation.btfFd !== undefined &&
    (creation.kernelValueTypeId !== undefined || ((spec.valueTypeId ?? 0) !== 0 && mapTakesBtf(spec.type)));
  const attempt = (flags: number, withBtf: boolean): number =>
    bpf(BpfCmd.MAP_CREATE, attributesOf(spec, creation, flags, withBtf));
  const first = attempt(spec.flags, isDescribed);
  let result = first;
  if (result < 0 && isDescribed && creation.kernelValueTypeId === undefined && !final.has(-result)) {
    result = attempt(spec.flags, false);
    if (result >= 0) creation.onUntyped?.(errnoName(-first));
  }
  const canGoWithoutMmap = spec.initialValue !== undefined && (spec.flags & MapFlags.MMAPABLE) !== 0;
  if (result === -Errno.EINVAL && canGoWithoutMmap && !machine.atLeast(5, 5)) {
    result = attempt(spec.flags & ~MapFlags.MMAPABLE, false);
  }
  // The first refusal is the one that was meant: the map without BTF may lack just that.
  if (result < 0) throw creationFailure(spec, -first);
  return new OwnedFd(result, `map ${spec.name}`);
}

/** One reason for EINVAL: what the kernel demands of some types, and whether this map breaks it. */
interface Demand {
  readonly types: readonly number[];
  broken(spec: MapSpec): boolean;
  readonly demand: string;
}

const M = MapType;
const arrays = [M.ARRAY, M.PERCPU_ARRAY, M.PROG_ARRAY, M.PERF_EVENT_ARRAY, M.CGROUP_ARRAY, M.ARRAY_OF_MAPS] as const;
const rings = [M.RINGBUF, M.USER_RINGBUF] as const;
const storages = [M.SK_STORAGE, M.INODE_STORAGE, M.TASK_STORAGE, M.CGRP_STORAGE] as const;

/** The kernel's `map_alloc_check`s, those that people run into. */
const demands: readonly Demand[] = [
  {
    types: arrays,
    broken: ({ keySize }) => keySize !== 4,
    demand: "its keys are indexes: they must have 4 bytes",
  },
  {
    types: [M.PROG_ARRAY, M.PERF_EVENT_ARRAY, M.CGROUP_ARRAY, M.ARRAY_OF_MAPS, M.HASH_OF_MAPS],
    broken: ({ valueSize }) => valueSize !== 4,
    demand: "its values are descriptors: they must have 4 bytes",
  },
  {
    types: rings,
    broken: ({ keySize, valueSize }) => keySize !== 0 || valueSize !== 0,
    demand: "a ring buffer has neither keys nor values: their sizes must be 0",
  },
  {
    types: rings,
    broken: ({ maxEntries }) =>
      maxEntries === 0 || maxEntries % pageSize() !== 0 || (maxEntries & (maxEntries - 1)) !== 0,
    demand: "the size of a ring buffer (max_entries) must be a power of two and a multiple of the page",
  },
  {
    types: [...storages, M.CGROUP_STORAGE, M.PERCPU_CGROUP_STORAGE, M.ARENA],
    broken: ({ type, maxEntries }) => (type === M.ARENA ? maxEntries === 0 : maxEntries !== 0),
    demand: "local storage has no number of entries (max_entries 0); an arena has one of pages",
  },
  {
    types: [...storages, M.LPM_TRIE],
    broken: ({ flags }) => (flags & MapFlags.NO_PREALLOC) === 0,
    demand: "it must not be allocated in advance: set BPF_F_NO_PREALLOC",
  },
  {
    types: storages,
    broken: ({ keyTypeId, valueTypeId }) => (keyTypeId ?? 0) === 0 || (valueTypeId ?? 0) === 0,
    demand: "local storage needs BTF of its key and value: compile the object with -g",
  },
  {
    types: [M.ARENA],
    broken: ({ flags }) => (flags & MapFlags.MMAPABLE) === 0,
    demand: "an arena is shared with user space: set BPF_F_MMAPABLE",
  },
  {
    types: [M.BLOOM_FILTER, M.QUEUE, M.STACK],
    broken: ({ keySize }) => keySize !== 0,
    demand: "it has no keys: their size must be 0",
  },
];

function creationFailure(spec: MapSpec, errno: number): Error {
  const failure = bpfFailure(BpfCmd.MAP_CREATE, errno, `map ${spec.name}`);
  if (errno !== Errno.EINVAL || !(failure instanceof SkepError)) return failure;
  const typeName = Object.entries(MapType).find(([, type]) => type === spec.type)?.[0] ?? String(spec.type);
  const since = MAP_TYPE_SINCE[typeName]?.split(".").map(Number);
  if (since !== undefined && !machine.atLeast(since[0]!, since[1]!)) {
    const [major, minor] = machine.kernelVersion;
    return new UnsupportedError(
      `map ${spec.name} of type ${typeName}`,
      `needs Linux ${since.join(".")}, and this is ${major}.${minor}`,
      { cause: failure },
    );
  }
  const counted: readonly number[] = [...storages, M.CGROUP_STORAGE, M.PERCPU_CGROUP_STORAGE];
  const why =
    demands.find(({ types, broken }) => types.includes(spec.type) && broken(spec))?.demand ??
    (spec.maxEntries === 0 && !counted.includes(spec.type)
      ? "it needs a number of entries (max_entries)"
      : spec.numaNode !== undefined
        ? `NUMA node ${spec.numaNode} may not exist or not be online`
        : undefined);
  if (why !== undefined) failure.message += `: type ${typeName}: ${why}`;
  return failure;
}

/** Makes a map read-only for user space; the verifier then takes the values of read-only maps as constants. Linux 5.2. */
export function freezeMap(fd: number, name: string): void {
  bpfOrThrow(BpfCmd.MAP_FREEZE, callAttributes(MapElemAttr.SIZE).u32(MapElemAttr.MAP_FD, fd), `map ${name}`);
}
