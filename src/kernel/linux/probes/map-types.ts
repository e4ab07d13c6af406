/** Map types: the smallest map of each type is created. */
import { BtfBuilder, BtfIntEncoding, BtfKind } from "../../../btf/index.ts";
import { BpfCmd, MAP_TYPE_SINCE, MapFlags, MapType } from "../../../isa/index.ts";
import { bpf } from "../bpf.ts";
import { MapCreateAttr as A } from "../bpf-attr.ts";
import { loadBtf } from "../bpf-prog.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { hasKernelBtf, kernelBtf } from "../kernel-btf.ts";
import { raiseMemlock } from "../memlock.ts";
import { callAttributes } from "../scratch.ts";
import { pageSize } from "../sys.ts";
import { type ProbeAnswer, type Requirement, answerOf, missingEnumerator, no, yes } from "./answer.ts";
import { constantOf, mapTypeName } from "./names.ts";
import { structOpsIn } from "./struct-ops.ts";

/** A map to be tried; four-byte keys and values and one entry where nothing else is said. */
export interface MapTrial {
  readonly type: number;
  readonly keySize?: number;
  readonly valueSize?: number;
  readonly maxEntries?: number;
  readonly flags?: number;
  readonly innerMapFd?: number;
  readonly btfFd?: number;
  readonly keyTypeId?: number;
  readonly valueTypeId?: number;
  readonly mapExtra?: number;
  /** `btf_vmlinux_value_type_id` of struct_ops maps. */
  readonly kernelTypeId?: number;
}

/** Creates a map: a descriptor with its owner, or the errno. */
export function openMapTrial(trial: MapTrial): OwnedFd | number {
  raiseMemlock();
  const attributes = callAttributes(A.SIZE)
    .u32(A.MAP_TYPE, trial.type)
    .u32(A.KEY_SIZE, trial.keySize ?? 4)
    .u32(A.VALUE_SIZE, trial.valueSize ?? 4)
    .u32(A.MAX_ENTRIES, trial.maxEntries ?? 1)
    .u32(A.MAP_FLAGS, trial.flags ?? 0)
    .u32(A.INNER_MAP_FD, trial.innerMapFd ?? 0)
    .u32(A.BTF_FD, trial.btfFd ?? 0)
    .u32(A.BTF_KEY_TYPE_ID, trial.keyTypeId ?? 0)
    .u32(A.BTF_VALUE_TYPE_ID, trial.valueTypeId ?? 0)
    .u32(A.BTF_VMLINUX_VALUE_TYPE_ID, trial.kernelTypeId ?? 0)
    .u64(A.MAP_EXTRA, trial.mapExtra ?? 0);
  const result = bpf(BpfCmd.MAP_CREATE, attributes);
  return result < 0 ? -result : new OwnedFd(result, "probing map");
}

/** Creates a map and hands it over, or the errno. */
export function withMapTrial<T>(trial: MapTrial, body: (fd: number) => T): T | number {
  const opened = openMapTrial(trial);
  if (typeof opened === "number") return opened;
  try {
    return body(opened.value);
  } finally {
    opened.close();
  }
}

function tryMap(trial: MapTrial): number {
  return withMapTrial(trial, () => 0);
}

/** Sizes by type, where they differ from the usual ones. */
const shapes: ReadonlyMap<number, () => Omit<MapTrial, "type">> = new Map<number, () => Omit<MapTrial, "type">>([
  [MapType.STACK_TRACE, () => ({ valueSize: 8 })],
  // A prefix length and one byte.
  [MapType.LPM_TRIE, () => ({ keySize: 5, flags: MapFlags.NO_PREALLOC })],
  // Cgroup id and attach type.
  [MapType.CGROUP_STORAGE, () => ({ keySize: 16, maxEntries: 0 })],
  [MapType.PERCPU_CGROUP_STORAGE, () => ({ keySize: 16, maxEntries: 0 })],
  [MapType.QUEUE, () => ({ keySize: 0 })],
  [MapType.STACK, () => ({ keySize: 0 })],
  [MapType.BLOOM_FILTER, () => ({ keySize: 0 })],
  [MapType.REUSEPORT_SOCKARRAY, () => ({ valueSize: 8 })],
  [MapType.RINGBUF, () => ({ keySize: 0, valueSize: 0, maxEntries: pageSize() })],
  [MapType.USER_RINGBUF, () => ({ keySize: 0, valueSize: 0, maxEntries: pageSize() })],
  [MapType.ARENA, () => ({ keySize: 0, valueSize: 0, flags: MapFlags.MMAPABLE })],
]);

/** Types whose entries are kept beside an object of the kernel: they need BTF and have no entries of their own. */
const storages: ReadonlySet<number> = new Set([
  MapType.SK_STORAGE,
  MapType.INODE_STORAGE,
  MapType.TASK_STORAGE,
  MapType.CGRP_STORAGE,
]);

const mapsOfMaps: ReadonlySet<number> = new Set([MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS]);

const options: Readonly<Record<string, readonly string[]>> = {
  CGROUP_STORAGE: ["CONFIG_CGROUP_BPF"],
  PERCPU_CGROUP_STORAGE: ["CONFIG_CGROUP_BPF"],
  CGROUP_ARRAY: ["CONFIG_CGROUPS"],
  CGRP_STORAGE: ["CONFIG_CGROUPS"],
  STACK_TRACE: ["CONFIG_PERF_EVENTS"],
  DEVMAP: ["CONFIG_NET"],
  DEVMAP_HASH: ["CONFIG_NET"],
  SK_STORAGE: ["CONFIG_NET"],
  SOCKMAP: ["CONFIG_INET"],
  SOCKHASH: ["CONFIG_INET"],
  REUSEPORT_SOCKARRAY: ["CONFIG_INET"],
  CPUMAP: ["CONFIG_NET"],
  XSKMAP: ["CONFIG_XDP_SOCKETS"],
  INODE_STORAGE: ["CONFIG_BPF_LSM"],
  STRUCT_OPS: ["CONFIG_DEBUG_INFO_BTF", "CONFIG_BPF_JIT"],
  ARENA: ["CONFIG_MMU", "CONFIG_BPF_JIT"],
};

function tryStorage(type: number): number {
  const types = new BtfBuilder();
  const int = types.int("int", 4, BtfIntEncoding.SIGNED);
  const btf = loadBtf(types.finish());
  if (!("fd" in btf)) return btf.errno;
  try {
    return tryMap({
      type,
      maxEntries: 0,
      flags: MapFlags.NO_PREALLOC,
      btfFd: btf.fd.value,
      keyTypeId: int,
      valueTypeId: int,
    });
  } finally {
    btf.fd.close();
  }
}

function probeStructOpsMap(what: string, requirement: Requirement): ProbeAnswer {
  if (!hasKernelBtf()) return no(`${what}: needs the kernel's BTF, which it does not give`, requirement);
  const btf = kernelBtf();
  let errno: number = Errno.ENOENT;
  for (const name of structOpsIn(btf)) {
    const kernelTypeId = btf.findByName(`bpf_struct_ops_${name}`, BtfKind.STRUCT);
    const valueSize = kernelTypeId === undefined ? undefined : btf.sizeOf(kernelTypeId);
    if (kernelTypeId === undefined || valueSize === undefined) continue;
    // The map must name some BTF as well, though its types come from the kernel's.
    const own = new BtfBuilder();
    own.int("int", 4, BtfIntEncoding.SIGNED);
    const loaded = loadBtf(own.finish());
    if (!("fd" in loaded)) return answerOf(loaded.errno, "loading BTF", requirement);
    errno = tryMap({ type: MapType.STRUCT_OPS, valueSize, btfFd: loaded.fd.value, kernelTypeId });
    loaded.fd.close();
    if (errno === 0) return yes(`${what} for ${name}: success`);
  }
  return errno === Errno.ENOENT
    ? no(`${what}: the kernel's BTF has no struct that programs may implement`, requirement)
    : answerOf(errno, what, requirement);
}

/** Can maps of this type (`MapType.*`) be created? */
export function probeMapType(mapType: number): ProbeAnswer {
  const constant = constantOf(MapType, mapType);
  const requirement: Requirement =
    constant === undefined ? {} : { since: MAP_TYPE_SINCE[constant], options: options[constant] ?? [] };
  const what = `creating a map of type ${mapTypeName(mapType)}`;
  // The kernel has two names for the deprecated storages, one of them with a suffix.
  if (constant !== undefined && !constant.endsWith("CGROUP_STORAGE")) {
    const absent = missingEnumerator(`BPF_MAP_TYPE_${constant}`, requirement);
    if (absent !== undefined) return absent;
  }
  if (storages.has(mapType)) return answerOf(tryStorage(mapType), what, requirement);
  if (mapType === MapType.STRUCT_OPS) return probeStructOpsMap(what, requirement);
  if (mapsOfMaps.has(mapType)) {
    const errno = withMapTrial({ type: MapType.HASH }, (innerMapFd) => tryMap({ type: mapType, innerMapFd }));
    return answerOf(errno, what, requirement);
  }
  return answerOf(tryMap({ type: mapType, ...shapes.get(mapType)?.() }), what, requirement);
}
