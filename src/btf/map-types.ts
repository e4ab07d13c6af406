/** Which maps may be created with the types of their keys and values. */
import { MapType } from "../isa/index.ts";

/** Maps whose values are not data: the kernel answers ENOTSUPP to types for them (`map_check_no_btf`). */
const refusing: ReadonlySet<number> = new Set<number>([
  MapType.PERF_EVENT_ARRAY,
  MapType.STACK_TRACE,
  MapType.CGROUP_ARRAY,
  MapType.ARRAY_OF_MAPS,
  MapType.HASH_OF_MAPS,
  MapType.DEVMAP,
  MapType.SOCKMAP,
  MapType.CPUMAP,
  MapType.XSKMAP,
  MapType.SOCKHASH,
  MapType.DEVMAP_HASH,
  // Without keys, and types need one.
  MapType.QUEUE,
  MapType.STACK,
  MapType.RINGBUF,
  MapType.USER_RINGBUF,
  MapType.ARENA,
]);

/**
 * Whether `BPF_MAP_CREATE` takes types of keys and values for maps of this type (`MapType.*`). Where it does, sizes of types and map must be
 * equal, and the key of an array be a 32-bit integer, or `void` (id 0) when the only value is a section of variables.
 */
export function mapTakesBtf(mapType: number): boolean {
  return !refusing.has(mapType);
}
