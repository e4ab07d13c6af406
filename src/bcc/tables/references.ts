/** Tables of other things of the kernel: programs, cgroups, devices, CPUs, sockets, maps. */
import type {
  CgroupArrayMap,
  CpuMap,
  Descriptor,
  DeviceMap,
  MapHandle,
  MapOfMaps,
  ProgramArrayMap,
} from "../../runtime/index.ts";
import type { SocketMap, XskMap } from "../../runtime/index.ts";
import { Table } from "./table.ts";

/** What has a descriptor: a number, a loaded function, a program of the library. */
export type TableDescriptor = Descriptor | { readonly fd: number };

function descriptorIn(value: TableDescriptor): Descriptor {
  if (typeof value === "object" && "fd" in value && typeof value.fd === "number") return value.fd;
  return value as Descriptor;
}

/** Programs for tail calls (`BPF_PROG_ARRAY`). */
export class ProgramTable extends Table<ProgramArrayMap> {
  /** Puts a function at an index: what `loadFunc` returned, or a descriptor. */
  set(index: number, program: TableDescriptor): void {
    this.map.set(index, descriptorIn(program));
  }

  /** Takes the program at an index out; false when there was none. */
  delete(index: number): boolean {
    return this.map.delete(index);
  }

  /** Ids of the programs that are there, by index. */
  items(): [number, number][] {
    return [...this.map.entries()];
  }

  /** Takes all programs out. */
  clear(): void {
    for (const [index] of this.items()) this.map.delete(index);
  }
}

/** Cgroups (`BPF_CGROUP_ARRAY`). */
export class CgroupTable extends Table<CgroupArrayMap> {
  /** Puts a cgroup at an index: the path of its directory, or a descriptor of that. */
  set(index: number, cgroup: string | TableDescriptor): void {
    this.map.set(index, typeof cgroup === "string" ? cgroup : descriptorIn(cgroup));
  }

  /** Takes the cgroup at an index out; false when there was none. */
  delete(index: number): boolean {
    return this.map.delete(index);
  }
}

/** Network devices (`BPF_DEVMAP`). */
export class DeviceTable extends Table<DeviceMap> {
  /** Puts the device with an index of the system at a key. */
  set(key: number, ifindex: number): void {
    this.map.set(key, ifindex);
  }

  /** Takes the device at a key out; false when there was none. */
  delete(key: number): boolean {
    return this.map.delete(key);
  }

  /** Indexes of the devices, by key. */
  items(): [number, number][] {
    return Array.from(this.map.entries(), ([key, { value }]) => [key, value]);
  }
}

/** CPUs that packets go to (`BPF_CPUMAP`). */
export class CpuTable extends Table<CpuMap> {
  /** Starts a queue of so many packets on a CPU. */
  set(cpu: number, queueSize: number): void {
    this.map.set(cpu, queueSize);
  }

  /** Ends the queue of a CPU; false when there was none. */
  delete(cpu: number): boolean {
    return this.map.delete(cpu);
  }

  /** Lengths of queues, by CPU. */
  items(): [number, number][] {
    return Array.from(this.map.entries(), ([cpu, { value }]) => [cpu, value]);
  }
}

/** AF_XDP sockets (`BPF_XSKMAP`) and sockets (`BPF_SOCKMAP`, `BPF_SOCKHASH`). */
export class SocketTable<K> extends Table<XskMap | SocketMap<K>> {
  /** Puts a socket at a key, by its descriptor. */
  set(key: K, socket: TableDescriptor): void {
    (this.map as { set(key: K, socket: Descriptor): void }).set(key, descriptorIn(socket));
  }

  /** Takes the socket at a key out; false when there was none. */
  delete(key: K): boolean {
    return (this.map as { delete(key: K): boolean }).delete(key);
  }
}

/** Maps in a map (`BPF_ARRAY_OF_MAPS`, `BPF_HASH_OF_MAPS`). */
export class MapsTable<K> extends Table<MapOfMaps<K, MapHandle>> {
  /** Puts a map at a key: another table, a map of the library, or a descriptor. It must be like the inner map that was declared. */
  set(key: K, map: Table | MapHandle | number): void {
    const inner = map instanceof Table ? map.map : map;
    (this.map as { set(key: K, map: Descriptor | MapHandle): void }).set(key, inner);
  }

  /** The map at a key, for the caller to close; undefined when there is none. */
  get(key: K): MapHandle | undefined {
    return (this.map as { get(key: K): MapHandle | undefined }).get(key);
  }

  /** Takes the map at a key out; false when there was none. */
  delete(key: K): boolean {
    return (this.map as { delete(key: K): boolean }).delete(key);
  }

  /** Ids of the maps that are there, by key. */
  items(): [K, number][] {
    return [...this.map.entries()];
  }
}
