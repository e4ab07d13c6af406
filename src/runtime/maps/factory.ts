/** From a map of the kernel to the class that its type has, with codecs from the object's BTF. */
import { type Btf, BtfKind } from "../../btf/index.ts";
import { MapType } from "../../isa/index.ts";
import type { KernelMap } from "../../kernel/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { type EventDecoder, PerfEventArrayMap, RingBufferMap, decodeBytes } from "../readers/rings.ts";
import { UserRingBufferMap } from "../readers/user-ring.ts";
import { type Codec, bytesCodec } from "../values/codec.ts";
import { type CodecOptions, codecFor } from "../values/codec-for.ts";
import type { MapHandle } from "./base.ts";
import { lpmCodec, LpmTrieMap } from "./lpm.ts";
import { PerCpuMap } from "./per-cpu.ts";
import { BloomFilterMap, QueueMap } from "./queue.ts";
import { CgroupArrayMap, CpuMap, DeviceMap, MapOfMaps, ProgramArrayMap, SocketMap, XskMap } from "./references.ts";
import { ArenaMap, StructOpsMap } from "./special.ts";
import { StackTraceMap } from "./stacks.ts";
import { LocalStorageMap } from "./storage.ts";
import { ArrayMap, type KeyCodec, TypedMap, indexCodec } from "./typed-map.ts";

/** Options of {@link typedMap}. */
export interface TypedMapOptions extends CodecOptions {
  /** Instead of what BTF says. */
  readonly key?: Codec;
  readonly value?: Codec;
  /** What records of ring buffers and perf buffers are; default: the map's value type, or bytes. */
  readonly event?: EventDecoder<unknown>;
}

/** What a maker knows. */
interface Parts {
  readonly map: KernelMap;
  readonly spec: MapSpec;
  readonly btf: Btf | undefined;
  readonly options: TypedMapOptions;
  /** Made when asked for: maps without keys have no codec of them. */
  readonly key: () => Codec;
  readonly value: () => Codec;
}

/** The codec of a type, if there is one and it is as long as the map says; else bytes. */
function codecOr(btf: Btf | undefined, typeId: number | undefined, size: number, options: CodecOptions): Codec {
  if (btf === undefined || typeId === undefined || typeId === 0 || btf.sizeOf(typeId) !== size)
    return bytesCodec(size) as Codec;
  return codecFor(btf, typeId, options);
}

/** Numbers of 32 bits, for maps whose keys they are whatever the number of entries. */
const numberKeys: KeyCodec<number> = {
  size: 4,
  read: (view, offset) => view.getUint32(offset, true),
  write: (view, offset, key) => {
    if (!Number.isInteger(key) || key < 0 || key > 0xffff_ffff) throw new RangeError(`${key} is no 32-bit number`);
    view.setUint32(offset, key, true);
  },
};

/** Values of perf event arrays are descriptors, which many declare as `int`: that says nothing of the records. */
function eventDecoder({ spec, btf, options }: Parts): EventDecoder<unknown> {
  if (options.event !== undefined) return options.event;
  const typeId = spec.valueTypeId ?? 0;
  if (btf === undefined || typeId === 0) return decodeBytes;
  const isNumber = btf.kindOf(btf.stripModifiers(typeId)) === BtfKind.INT;
  if (btf.sizeOf(typeId) === undefined || (spec.type === MapType.PERF_EVENT_ARRAY && isNumber)) return decodeBytes;
  return codecFor(btf, typeId, options);
}

function mapOfMaps<K>({ map, spec, btf, options }: Parts, key: KeyCodec<K>): MapOfMaps<K, AnyMap> {
  const { int64 } = options;
  const inner = int64 === undefined ? {} : { int64 };
  return new MapOfMaps(map, key, (found) => typedMap(found, spec.inner ?? found.spec, btf, inner));
}

const hash = ({ map, key, value }: Parts): AnyMap => new TypedMap(map, key(), value());
const perCpu = ({ map, key, value }: Parts): AnyMap => new PerCpuMap(map, key(), value());
const queue = ({ map, value }: Parts): AnyMap => new QueueMap(map, value());
const devices = ({ map }: Parts): AnyMap => new DeviceMap(map, numberKeys);
const sockets = ({ map }: Parts): AnyMap => new SocketMap(map, indexCodec(map));

/** Every type that the kernel has, so that none falls to a class by chance. */
const makers: Readonly<Record<MapType, (parts: Parts) => AnyMap>> = {
  [MapType.UNSPEC]: ({ spec }) => {
    throw new TypeError(`map ${spec.name}: has no type`);
  },
  [MapType.HASH]: hash,
  [MapType.ARRAY]: ({ map, value }) => new ArrayMap(map, value()),
  [MapType.PROG_ARRAY]: ({ map }) => new ProgramArrayMap(map, indexCodec(map)),
  [MapType.PERF_EVENT_ARRAY]: (parts) => new PerfEventArrayMap(parts.map, eventDecoder(parts)),
  [MapType.PERCPU_HASH]: perCpu,
  [MapType.PERCPU_ARRAY]: ({ map, value }) => new PerCpuMap(map, indexCodec(map), value(), true),
  [MapType.STACK_TRACE]: ({ map }) => new StackTraceMap(map),
  [MapType.CGROUP_ARRAY]: ({ map }) => new CgroupArrayMap(map, indexCodec(map)),
  [MapType.LRU_HASH]: hash,
  [MapType.LRU_PERCPU_HASH]: perCpu,
  [MapType.LPM_TRIE]: ({ map, spec, btf, options, value }) => {
    const struct =
      options.key ?? (btf !== undefined && (spec.keyTypeId ?? 0) !== 0 ? codecFor(btf, spec.keyTypeId!) : undefined);
    return new LpmTrieMap(map, lpmCodec(spec.keySize, struct), value());
  },
  [MapType.ARRAY_OF_MAPS]: (parts) => mapOfMaps(parts, indexCodec(parts.map)),
  [MapType.HASH_OF_MAPS]: (parts) => mapOfMaps(parts, parts.key()),
  [MapType.DEVMAP]: devices,
  [MapType.SOCKMAP]: sockets,
  [MapType.CPUMAP]: ({ map }) => new CpuMap(map, indexCodec(map)),
  [MapType.XSKMAP]: ({ map }) => new XskMap(map, indexCodec(map)),
  [MapType.SOCKHASH]: ({ map, key }) => new SocketMap(map, key()),
  [MapType.CGROUP_STORAGE]: hash,
  [MapType.REUSEPORT_SOCKARRAY]: sockets,
  [MapType.PERCPU_CGROUP_STORAGE]: perCpu,
  [MapType.QUEUE]: queue,
  [MapType.STACK]: queue,
  [MapType.SK_STORAGE]: ({ map, value }) => new LocalStorageMap(map, "socket", value()),
  [MapType.DEVMAP_HASH]: devices,
  [MapType.STRUCT_OPS]: ({ map }) => new StructOpsMap(map),
  [MapType.RINGBUF]: (parts) => new RingBufferMap(parts.map, eventDecoder(parts)),
  [MapType.INODE_STORAGE]: ({ map, value }) => new LocalStorageMap(map, "inode", value()),
  [MapType.TASK_STORAGE]: ({ map, value }) => new LocalStorageMap(map, "task", value()),
  [MapType.BLOOM_FILTER]: ({ map, value }) => new BloomFilterMap(map, value()),
  [MapType.USER_RINGBUF]: ({ map, spec, btf, options }) => {
    const typeId = spec.valueTypeId ?? 0;
    if (options.value !== undefined) return new UserRingBufferMap(map, options.value);
    return new UserRingBufferMap(map, btf === undefined || typeId === 0 ? anyBytes : codecFor(btf, typeId, options));
  },
  [MapType.CGRP_STORAGE]: ({ map, value }) => new LocalStorageMap(map, "cgroup", value()),
  [MapType.ARENA]: ({ map }) => new ArenaMap(map),
};

/** Records of any length. */
const anyBytes: Codec<unknown> = {
  size: 0,
  typeName: "bytes",
  byteLength: (value) => {
    if (value instanceof Uint8Array) return value.length;
    throw new TypeError("records without a type are Uint8Arrays");
  },
  read: (view, offset, end = offset) => decodeBytes(view, offset, end),
  write: (view, offset, value) => {
    new Uint8Array(view.buffer, view.byteOffset + offset).set(value as Uint8Array);
  },
};

/** Any of the classes of maps. What is in them is known to the caller, or `unknown`. */
export type AnyMap =
  | TypedMap<unknown, unknown>
  | ArrayMap<unknown>
  | PerCpuMap<unknown, unknown>
  | PerCpuMap<number, unknown>
  | LpmTrieMap<unknown>
  | QueueMap<unknown>
  | BloomFilterMap<unknown>
  | ProgramArrayMap
  | PerfEventArrayMap<unknown>
  | StackTraceMap
  | CgroupArrayMap
  | MapOfMaps<unknown, MapHandle>
  | MapOfMaps<number, MapHandle>
  | DeviceMap
  | CpuMap
  | XskMap
  | SocketMap<unknown>
  | SocketMap<number>
  | LocalStorageMap<unknown>
  | StructOpsMap
  | RingBufferMap<unknown>
  | UserRingBufferMap<unknown>
  | ArenaMap;

/**
 * A map as users hold it. `spec` is the object's, whose type ids belong to `btf`; without BTF, keys (but for indexes) and values are bytes.
 * Closing what is returned closes `map`. Throws TypeError for a type that is not known.
 */
export function typedMap(
  map: KernelMap,
  spec: MapSpec = map.spec,
  btf: Btf | undefined = undefined,
  options: TypedMapOptions = {},
): AnyMap {
  const make = (makers as Readonly<Record<number, ((parts: Parts) => AnyMap) | undefined>>)[spec.type];
  if (make === undefined) throw new TypeError(`map ${spec.name}: type ${spec.type} is not known`);
  return make({
    map,
    spec,
    btf,
    options,
    key: () => options.key ?? codecOr(btf, spec.keyTypeId, spec.keySize, options),
    value: () => options.value ?? codecOr(btf, spec.valueTypeId, spec.valueSize, options),
  });
}
