/** From a loaded map to what its user holds, with the types of the object. */
import type { Btf } from "../../btf/index.ts";
import { MapType } from "../../isa/index.ts";
import type { Kernel, KernelMap } from "../../kernel/index.ts";
import type { MapHandle } from "../maps/base.ts";
import { PerCpuMap } from "../maps/per-cpu.ts";
import { ArrayMap, indexCodec, TypedMap } from "../maps/typed-map.ts";
import { codecFor } from "../values/codec-for.ts";
import { bytesCodec } from "../values/codec.ts";
import type { MapEvents } from "./event-types.ts";

/** The class for a map's type, with codecs for its keys and values. `events` are the types of its records. */
export function openMap(
  kernel: Kernel,
  map: KernelMap,
  btf: Btf | undefined,
  events: MapEvents | undefined,
): MapHandle {
  void kernel;
  void events;
  const { type, keyTypeId, valueTypeId, keySize, valueSize } = map.spec;
  const key = btf && keyTypeId ? codecFor(btf, keyTypeId) : bytesCodec(keySize);
  const value = btf && valueTypeId ? codecFor(btf, valueTypeId) : bytesCodec(valueSize);
  if (type === MapType.ARRAY) return new ArrayMap(map, value);
  if (type === MapType.PERCPU_ARRAY) return new PerCpuMap(map, indexCodec(map), value, true);
  return new TypedMap(map, key as never, value);
}
