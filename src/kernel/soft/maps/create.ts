/** Maps by their types, and what a type demands of a map. */
import { MapFlags, MapType } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import { Errno } from "../../errno.ts";
import { ArrayMap, DescriptorArray, type DescriptorKind } from "./array.ts";
import { HashMap, HashOfMaps } from "./hash.ts";
import { LpmTrie } from "./lpm.ts";
import { LRU_FLAGS, LruHashMap } from "./lru.ts";
import { type MapHost, type SoftMap, flagsAllowed, roundUp } from "./map.ts";
import { BloomFilter, QueueMap } from "./queue.ts";
import { RingMap } from "./ring.ts";

/** A map type of the software kernel. */
interface SoftMapType {
  /** 0, or the negative errno that the kernel answers creation with. */
  check(spec: MapSpec): number;
  create(spec: MapSpec, id: number, host: MapHost): SoftMap;
}

const F = MapFlags;
/** Most bytes of a value of per-CPU maps (PCPU_MIN_UNIT_SIZE of the kernel). */
const MOST_PER_CPU = 32_768;
/** Most bytes of an element (KMALLOC_MAX_SIZE of the kernel). */
const MOST_ELEMENT = 1 << 22;
const PAGE_BYTES = 4096;
/** Most bits of a prefix: 256 bytes of data. */
const MOST_LPM_DATA = 256;

function arrayCheck(spec: MapSpec): number {
  const perCpu = spec.type === MapType.PERCPU_ARRAY;
  const known = perCpu ? 0 : F.MMAPABLE | F.INNER_MAP | F.PRESERVE_ELEMS;
  if (spec.maxEntries === 0 || spec.keySize !== 4 || spec.valueSize === 0 || !flagsAllowed(spec, known))
    return -Errno.EINVAL;
  if (perCpu && ((spec.flags & F.NUMA_NODE) !== 0 || spec.numaNode !== undefined)) return -Errno.EINVAL;
  if (spec.valueSize > 0x7fff_ffff || (perCpu && roundUp(spec.valueSize) > MOST_PER_CPU)) return -Errno.E2BIG;
  return 0;
}

function hashCheck(spec: MapSpec): number {
  const perCpu = spec.type === MapType.PERCPU_HASH;
  if (!flagsAllowed(spec, F.NO_PREALLOC | F.ZERO_SEED)) return -Errno.EINVAL;
  if (spec.maxEntries === 0 || spec.keySize === 0 || spec.valueSize === 0) return -Errno.EINVAL;
  if (spec.keySize + spec.valueSize >= MOST_ELEMENT - 64) return -Errno.E2BIG;
  if (perCpu && roundUp(spec.valueSize) > MOST_PER_CPU) return -Errno.E2BIG;
  return 0;
}

function lruCheck(spec: MapSpec): number {
  const perCpu = spec.type === MapType.LRU_PERCPU_HASH;
  if (!flagsAllowed(spec, LRU_FLAGS | F.NO_PREALLOC)) return -Errno.EINVAL;
  if ((spec.flags & F.NO_PREALLOC) !== 0) return -Errno.ENOTSUPP;
  if (spec.maxEntries === 0 || spec.keySize === 0 || spec.valueSize === 0) return -Errno.EINVAL;
  if (spec.keySize + spec.valueSize >= MOST_ELEMENT - 64) return -Errno.E2BIG;
  return perCpu && roundUp(spec.valueSize) > MOST_PER_CPU ? -Errno.E2BIG : 0;
}

function queueCheck(spec: MapSpec): number {
  const isRight = spec.maxEntries !== 0 && spec.keySize === 0 && spec.valueSize !== 0 && flagsAllowed(spec, 0);
  if (!isRight) return -Errno.EINVAL;
  return spec.valueSize > MOST_ELEMENT ? -Errno.E2BIG : 0;
}

function lpmCheck(spec: MapSpec): number {
  const isRight =
    spec.maxEntries !== 0 &&
    (spec.flags & F.NO_PREALLOC) !== 0 &&
    flagsAllowed(spec, F.NO_PREALLOC) &&
    spec.keySize >= 5 &&
    spec.keySize <= 4 + MOST_LPM_DATA &&
    spec.valueSize >= 1;
  return isRight ? 0 : -Errno.EINVAL;
}

function ringCheck(spec: MapSpec): number {
  const { maxEntries } = spec;
  const isRight =
    spec.keySize === 0 &&
    spec.valueSize === 0 &&
    maxEntries >= PAGE_BYTES &&
    (maxEntries & (maxEntries - 1)) === 0 &&
    flagsAllowed(spec, 0);
  return isRight ? 0 : -Errno.EINVAL;
}

function descriptorCheck(spec: MapSpec): number {
  // Devices and CPUs may carry a program behind them.
  const isWide = (spec.type === MapType.DEVMAP || spec.type === MapType.CPUMAP) && spec.valueSize === 8;
  const isRight = spec.maxEntries !== 0 && spec.keySize === 4 && (spec.valueSize === 4 || isWide);
  return isRight ? 0 : -Errno.EINVAL;
}

/** A type whose entries are descriptors. */
function descriptors(kind: (host: MapHost) => DescriptorKind): SoftMapType {
  return { check: descriptorCheck, create: (spec, id, host) => new DescriptorArray(spec, id, host, kind(host)) };
}

const types: Readonly<Record<number, SoftMapType>> = {
  [MapType.ARRAY]: { check: arrayCheck, create: (spec, id, host) => new ArrayMap(spec, id, host) },
  [MapType.PERCPU_ARRAY]: { check: arrayCheck, create: (spec, id, host) => new ArrayMap(spec, id, host) },
  [MapType.HASH]: { check: hashCheck, create: (spec, id, host) => new HashMap(spec, id, host) },
  [MapType.PERCPU_HASH]: { check: hashCheck, create: (spec, id, host) => new HashMap(spec, id, host) },
  [MapType.LRU_HASH]: { check: lruCheck, create: (spec, id, host) => new LruHashMap(spec, id, host) },
  [MapType.LRU_PERCPU_HASH]: { check: lruCheck, create: (spec, id, host) => new LruHashMap(spec, id, host) },
  [MapType.LPM_TRIE]: { check: lpmCheck, create: (spec, id, host) => new LpmTrie(spec, id, host) },
  [MapType.QUEUE]: { check: queueCheck, create: (spec, id, host) => new QueueMap(spec, id, host) },
  [MapType.STACK]: { check: queueCheck, create: (spec, id, host) => new QueueMap(spec, id, host) },
  [MapType.BLOOM_FILTER]: { check: queueCheck, create: (spec, id, host) => new BloomFilter(spec, id, host) },
  [MapType.RINGBUF]: { check: ringCheck, create: (spec, id, host) => new RingMap(spec, id, host) },
  [MapType.PROG_ARRAY]: descriptors(() => ({ accepts: (id) => id > 0, readable: true })),
  [MapType.PERF_EVENT_ARRAY]: descriptors(() => ({ accepts: (id) => id > 0, readable: false })),
  [MapType.DEVMAP]: descriptors(() => ({ accepts: (ifindex) => ifindex > 0, readable: true })),
  [MapType.CPUMAP]: descriptors(() => ({ accepts: (size) => size > 0, readable: true })),
  [MapType.XSKMAP]: descriptors(() => ({ accepts: (id) => id > 0, readable: true })),
  [MapType.ARRAY_OF_MAPS]: descriptors((host) => ({
    accepts: (id) => host.mapById(id) !== undefined,
    readable: true,
    lookup: (id) => host.tokenOf(id),
  })),
  [MapType.HASH_OF_MAPS]: {
    check: (spec) => (spec.valueSize === 4 ? hashCheck(spec) : -Errno.EINVAL),
    create: (spec, id, host) => new HashOfMaps(spec, id, host),
  },
};

/** Creates a map; a negative errno when the kernel would refuse it, or this one has no such type. */
export function createSoftMap(spec: MapSpec, id: number, host: MapHost): SoftMap | number {
  const type = types[spec.type];
  if (type === undefined) return -Errno.EINVAL;
  const error = type.check(spec);
  return error === 0 ? type.create(spec, id, host) : error;
}

/** Types that exist here. */
export function softMapTypes(): readonly number[] {
  return Object.keys(types).map(Number);
}
