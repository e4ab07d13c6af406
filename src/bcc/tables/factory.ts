/** From a map of the kernel to the table that its type has. */
import { MapType } from "../../isa/index.ts";
import type { KernelMap } from "../../kernel/index.ts";
import type { MapSpec } from "../../object/index.ts";
import {
  ArrayMap,
  CgroupArrayMap,
  CpuMap,
  DeviceMap,
  LocalStorageMap,
  LpmTrieMap,
  type MapEvents,
  type MapHandle,
  MapOfMaps,
  PerCpuMap,
  PerfEventArrayMap,
  ProgramArrayMap,
  QueueMap,
  RingBufferMap,
  SocketMap,
  StackTraceMap,
  TypedMap,
  XskMap,
} from "../../runtime/index.ts";
import { openMap } from "../../runtime/collection/maps.ts";
import { type EventHost, PerfEventTable, RingTable } from "./events.ts";
import { ArrayTable, HashTable } from "./keyed.ts";
import { LpmTable } from "./lpm.ts";
import { PerCpuTable } from "./per-cpu.ts";
import { QueueTable } from "./queue.ts";
import { CgroupTable, CpuTable, DeviceTable, MapsTable, ProgramTable, SocketTable } from "./references.ts";
import { StackTable } from "./stack.ts";
import { StorageTable } from "./storage.ts";
import { Table } from "./table.ts";

type Maker<M> = (map: M, spec: MapSpec, host: EventHost) => Table;

/** A class of maps with the table over it; the first that fits is taken, so that classes come before what they extend. */
const makers: readonly (readonly [type: abstract new (...args: never[]) => MapHandle, make: Maker<never>])[] = [
  entry(PerCpuMap, (map: PerCpuMap<unknown, unknown>, spec, host) => {
    return new PerCpuTable(map, spec, host, spec.type === MapType.PERCPU_ARRAY);
  }),
  entry(StackTraceMap, (map: StackTraceMap, spec, host) => new StackTable(map as never, spec, host)),
  entry(LpmTrieMap, (map: LpmTrieMap<unknown>, spec, host) => new LpmTable(map, spec, host)),
  entry(ArrayMap, (map: ArrayMap<unknown>, spec, host) => new ArrayTable(map, spec, host)),
  entry(TypedMap, (map: TypedMap<unknown, unknown>, spec, host) => new HashTable(map, spec, host)),
  entry(PerfEventArrayMap, (map: PerfEventArrayMap<unknown>, spec, host) => new PerfEventTable(map, spec, host)),
  entry(RingBufferMap, (map: RingBufferMap<unknown>, spec, host) => new RingTable(map, spec, host)),
  entry(QueueMap, (map: QueueMap<unknown>, spec, host) => new QueueTable(map, spec, host)),
  entry(ProgramArrayMap, (map: ProgramArrayMap, spec, host) => new ProgramTable(map, spec, host)),
  entry(CgroupArrayMap, (map: CgroupArrayMap, spec, host) => new CgroupTable(map, spec, host)),
  entry(MapOfMaps, (map: MapOfMaps<unknown, MapHandle>, spec, host) => new MapsTable(map, spec, host)),
  entry(DeviceMap, (map: DeviceMap, spec, host) => new DeviceTable(map, spec, host)),
  entry(CpuMap, (map: CpuMap, spec, host) => new CpuTable(map, spec, host)),
  entry(XskMap, (map: XskMap, spec, host) => new SocketTable(map, spec, host)),
  entry(SocketMap, (map: SocketMap<unknown>, spec, host) => new SocketTable(map, spec, host)),
  entry(LocalStorageMap, (map: LocalStorageMap<unknown>, spec, host) => new StorageTable(map, spec, host)),
];

function entry<M extends MapHandle>(
  type: abstract new (...args: never[]) => MapHandle,
  make: Maker<M>,
): readonly [typeof type, Maker<never>] {
  return [type, make as Maker<never>];
}

/** The table over a map. `spec` is the program's, with its types; `events` what the records of the map are. */
export function makeTable(map: KernelMap, spec: MapSpec, events: MapEvents | undefined, host: EventHost): Table {
  const handle = openMap(map, spec, host.btf, events);
  const found = makers.find(([type]) => handle instanceof type);
  return found === undefined ? new Table(handle, spec, host) : found[1](handle as never, spec, host);
}
