/** bpf(2) on maps: creation and freezing. Elements are read and written by `LinuxMap`, which keeps its attributes prepared. */
import { BpfCmd, MapType, OBJ_NAME_LENGTH } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { bpf, bpfFailure, bpfOrThrow } from "./bpf.ts";
import { MapCreateAttr, MapElemAttr } from "./bpf-attr.ts";
import { Errno } from "./errno.ts";
import { OwnedFd } from "./fd.ts";
import { raiseMemlock } from "./memlock.ts";
import { kernelObjectName } from "./object-name.ts";
import { type Attributes, callAttributes } from "./scratch.ts";

/** Types whose keys and values the kernel refuses to describe by BTF (no `map_check_btf`). */
const typesWithoutBtf: ReadonlySet<number> = new Set([
  MapType.PERF_EVENT_ARRAY,
  MapType.CGROUP_ARRAY,
  MapType.STACK_TRACE,
  MapType.ARRAY_OF_MAPS,
  MapType.HASH_OF_MAPS,
  MapType.DEVMAP,
  MapType.DEVMAP_HASH,
  MapType.CPUMAP,
  MapType.XSKMAP,
  MapType.SOCKMAP,
  MapType.SOCKHASH,
  MapType.QUEUE,
  MapType.STACK,
  MapType.RINGBUF,
]);

function attributesOf(spec: MapSpec, btfFd: number | undefined): Attributes {
  const attributes = callAttributes(MapCreateAttr.SIZE)
    .u32(MapCreateAttr.MAP_TYPE, spec.type)
    .u32(MapCreateAttr.KEY_SIZE, spec.keySize)
    .u32(MapCreateAttr.VALUE_SIZE, spec.valueSize)
    .u32(MapCreateAttr.MAX_ENTRIES, spec.maxEntries)
    .u32(MapCreateAttr.MAP_FLAGS, spec.flags)
    .name(MapCreateAttr.MAP_NAME, OBJ_NAME_LENGTH, kernelObjectName(spec.name));
  if (btfFd === undefined) return attributes;
  return attributes
    .u32(MapCreateAttr.BTF_FD, btfFd)
    .u32(MapCreateAttr.BTF_KEY_TYPE_ID, spec.keyTypeId ?? 0)
    .u32(MapCreateAttr.BTF_VALUE_TYPE_ID, spec.valueTypeId ?? 0);
}

/**
 * Creates a map. BTF only describes its entries to other tools, so when the kernel refuses the map with it, the map is made
 * without. Throws SyscallError.
 */
export function createMap(spec: MapSpec, btfFd?: number): OwnedFd {
  raiseMemlock();
  const described = btfFd !== undefined && (spec.valueTypeId ?? 0) !== 0 && !typesWithoutBtf.has(spec.type);
  let result = bpf(BpfCmd.MAP_CREATE, attributesOf(spec, described ? btfFd : undefined));
  if (result < 0 && described && result !== -Errno.EPERM && result !== -Errno.ENOMEM) {
    result = bpf(BpfCmd.MAP_CREATE, attributesOf(spec, undefined));
  }
  if (result < 0) throw bpfFailure(BpfCmd.MAP_CREATE, -result, `map ${spec.name}`);
  return new OwnedFd(result, `map ${spec.name}`);
}

/** Makes a map read-only for user space; the verifier then takes the values of read-only maps as constants. Linux 5.2. */
export function freezeMap(fd: number, name: string): void {
  bpfOrThrow(BpfCmd.MAP_FREEZE, callAttributes(MapElemAttr.SIZE).u32(MapElemAttr.MAP_FD, fd), `map ${name}`);
}
