/** Which class of the library a map of each type is, and with which types. */
import { MapType } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";

/** What {@link mapTypeText} asks for, when it is needed. */
export interface MapTypeParts {
  /** The TypeScript of a type of the object's BTF; of raw bytes when there is none. */
  readonly reference: (typeId: number | undefined) => string;
  /** The type of records. */
  readonly event: () => string;
  /** Notes that a class is imported, and returns its name. */
  readonly use: (name: string) => string;
}

type Text = (map: MapSpec, parts: MapTypeParts) => string;

const plain =
  (name: string): Text =>
  (_, { use }) =>
    use(name);
const keyed =
  (name: string): Text =>
  ({ keyTypeId, valueTypeId }, { reference, use }) =>
    `${use(name)}<${reference(keyTypeId)}, ${reference(valueTypeId)}>`;
/** Keys are indexes, or say nothing. */
const valued =
  (name: string, keys: string = ""): Text =>
  ({ valueTypeId }, { reference, use }) =>
    `${use(name)}<${keys}${reference(valueTypeId)}>`;
const byKey =
  (name: string): Text =>
  ({ keyTypeId }, { reference, use }) =>
    `${use(name)}<${reference(keyTypeId)}>`;
const records =
  (name: string): Text =>
  (_, { event, use }) =>
    `${use(name)}<${event()}>`;
const ofMaps =
  (key: (map: MapSpec, parts: MapTypeParts) => string): Text =>
  (map, parts) => {
    const inner = map.inner === undefined ? parts.use("MapHandle") : mapTypeText(map.inner, parts);
    return `${parts.use("MapOfMaps")}<${key(map, parts)}, ${inner}>`;
  };

const texts: Readonly<Record<number, Text>> = {
  [MapType.HASH]: keyed("TypedMap"),
  [MapType.LRU_HASH]: keyed("TypedMap"),
  [MapType.ARRAY]: valued("ArrayMap"),
  [MapType.PERCPU_HASH]: keyed("PerCpuMap"),
  [MapType.LRU_PERCPU_HASH]: keyed("PerCpuMap"),
  [MapType.PERCPU_ARRAY]: valued("PerCpuMap", "number, "),
  [MapType.CGROUP_STORAGE]: keyed("TypedMap"),
  [MapType.PERCPU_CGROUP_STORAGE]: keyed("PerCpuMap"),
  [MapType.LPM_TRIE]: valued("LpmTrieMap"),
  [MapType.QUEUE]: valued("QueueMap"),
  [MapType.STACK]: valued("QueueMap"),
  [MapType.BLOOM_FILTER]: valued("BloomFilterMap"),
  [MapType.STACK_TRACE]: plain("StackTraceMap"),
  [MapType.PROG_ARRAY]: plain("ProgramArrayMap"),
  [MapType.CGROUP_ARRAY]: plain("CgroupArrayMap"),
  [MapType.ARRAY_OF_MAPS]: ofMaps(() => "number"),
  [MapType.HASH_OF_MAPS]: ofMaps(({ keyTypeId }, { reference }) => reference(keyTypeId)),
  [MapType.DEVMAP]: plain("DeviceMap"),
  [MapType.DEVMAP_HASH]: plain("DeviceMap"),
  [MapType.CPUMAP]: plain("CpuMap"),
  [MapType.XSKMAP]: plain("XskMap"),
  [MapType.SOCKMAP]: (_, { use }) => `${use("SocketMap")}<number>`,
  [MapType.REUSEPORT_SOCKARRAY]: (_, { use }) => `${use("SocketMap")}<number>`,
  [MapType.SOCKHASH]: byKey("SocketMap"),
  [MapType.SK_STORAGE]: valued("LocalStorageMap"),
  [MapType.INODE_STORAGE]: valued("LocalStorageMap"),
  [MapType.TASK_STORAGE]: valued("LocalStorageMap"),
  [MapType.CGRP_STORAGE]: valued("LocalStorageMap"),
  [MapType.STRUCT_OPS]: plain("StructOpsMap"),
  [MapType.ARENA]: plain("ArenaMap"),
  [MapType.RINGBUF]: records("RingBufferMap"),
  [MapType.PERF_EVENT_ARRAY]: records("PerfEventArrayMap"),
  [MapType.USER_RINGBUF]: valued("UserRingBufferMap"),
};

/** The type of a map's property, such as `TypedMap<number, bigint>`. */
export function mapTypeText(map: MapSpec, parts: MapTypeParts): string {
  return (texts[map.type] ?? plain("MapHandle"))(map, parts);
}
