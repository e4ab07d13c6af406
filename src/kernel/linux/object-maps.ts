/** The maps of an object: taken from others or from pins where that is wanted, created otherwise, filled, frozen and pinned. */
import { SkepError, UnsupportedError } from "../../base/index.ts";
import { MapFlags, MapType } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import type { KernelMap, LoadOptions } from "../kernel.ts";
import { type MapDescription, describeMap } from "./bpf.ts";
import { createMap, freezeMap } from "./bpf-map.ts";
import { type OwnedFd, duplicateFd } from "./fd.ts";
import { openModuleBtf } from "./kernel-btf.ts";
import { machine } from "./machine.ts";
import { LinuxMap } from "./maps.ts";
import { openPinIfThere, pin, pinPathOf, unpin } from "./pins.ts";
import type { StructOpsLayout } from "./struct-ops.ts";
import { pageSize } from "./sys.ts";

/** What the maps of an object are made with. */
export interface MapsContext {
  readonly options: LoadOptions;
  readonly possibleCpus: number;
  readonly btfFd: number | undefined;
  readonly tokenFd: number | undefined;
  readonly structOps: ReadonlyMap<string, StructOpsLayout> | undefined;
  /** SHA-256 of a program's code as the kernel makes it, for maps that only it may use. */
  programHash(program: string): Uint8Array;
}

const mapsOfMaps: ReadonlySet<number> = new Set([MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS]);
const rings: ReadonlySet<number> = new Set([MapType.RINGBUF, MapType.USER_RINGBUF]);

/** Makes the maps of an object, one after the other. What it made stays in `maps` and is closed by the caller, on errors too. */
export class ObjectMaps {
  /** By the object's names; maps that were not created are not in it. */
  readonly maps: Map<string, LinuxMap> = new Map();
  /** Maps that the kernel took only without the types of their entries, and the errno that it had for them with types. */
  readonly untyped: Map<string, string> = new Map();
  private readonly context: MapsContext;
  /** Pins made here. */
  private readonly pinned: string[] = [];

  constructor(context: MapsContext) {
    this.context = context;
  }

  /** Throws SyscallError and UnsupportedError as creation does, SkepError (`map-mismatch`) when a map to be reused does not fit. */
  createAll(specs: readonly MapSpec[]): void {
    const created: MapSpec[] = [];
    for (const spec of specs) {
      if (spec.autocreate === false || this.isBeyond(spec)) continue;
      if (this.create(this.settled(spec))) created.push(spec);
    }
    for (const spec of created) if (spec.slots !== undefined && mapsOfMaps.has(spec.type)) this.fillMapSlots(spec);
  }

  /** Takes away the pins that were made, when loading fails later on. */
  unpinAll(): void {
    for (const path of this.pinned) unpin(path);
  }

  /**
   * Kernels before 5.2 have no maps of global data. Programs that do not use theirs load all the same; the others are refused by name.
   */
  private isBeyond({ initialValue, type }: MapSpec): boolean {
    return initialValue !== undefined && type === MapType.ARRAY && !machine.atLeast(5, 2);
  }

  /** The spec with what only this machine knows filled in. */
  private settled(spec: MapSpec): MapSpec {
    const { options, possibleCpus, structOps } = this.context;
    const wanted = options.maxEntries?.get(spec.name) ?? spec.maxEntries;
    let maxEntries = wanted;
    if (wanted === 0 && spec.type === MapType.PERF_EVENT_ARRAY) maxEntries = possibleCpus;
    if (rings.has(spec.type)) maxEntries = roundedRing(wanted);
    const layout = structOps?.get(spec.name);
    if (layout !== undefined) {
      const { initialValue: _, ...rest } = spec;
      // Registered by its value a map holds itself, beyond the process: where there are links, all are attached by one.
      const byLink = spec.structOps?.link === true || machine.atLeast(6, 4);
      const flags = byLink ? spec.flags | MapFlags.LINK : spec.flags;
      return { ...rest, keySize: 4, valueSize: layout.value.length, maxEntries: 1, flags };
    }
    return maxEntries === spec.maxEntries ? spec : { ...spec, maxEntries };
  }

  /** False when the map was there already. */
  private create(spec: MapSpec): boolean {
    const { options, possibleCpus } = this.context;
    const reuse = options.reuse?.get(spec.name);
    if (reuse !== undefined) {
      this.maps.set(spec.name, new LinuxMap(spec, reusedFd(spec, reuse), possibleCpus));
      return false;
    }
    if (spec.pinning === undefined) {
      this.make(spec);
      return true;
    }
    const path = pinPathOf(spec.name, options.pinPath);
    if (this.takePinned(spec, path)) return false;
    const map = this.make(spec);
    try {
      pin(map.fd, path);
    } catch (error) {
      // Another process was faster: its map is the one.
      if (!(error instanceof SkepError) || error.code !== "pinned" || !this.takePinned(spec, path)) throw error;
      map.close();
      return false;
    }
    this.pinned.push(path);
    return true;
  }

  private takePinned(spec: MapSpec, path: string): boolean {
    const fd = openPinIfThere(path);
    if (fd === undefined) return false;
    try {
      checkFits(spec, describeMap(fd.value), `pinned at ${path}`);
    } catch (error) {
      fd.close();
      throw error;
    }
    this.maps.set(spec.name, new LinuxMap(spec, fd, this.context.possibleCpus));
    return true;
  }

  private make(spec: MapSpec): LinuxMap {
    const map = new LinuxMap(spec, this.fdOf(spec), this.context.possibleCpus);
    this.maps.set(spec.name, map);
    const { initialValue } = spec;
    if (spec.type === MapType.ARENA) {
      // Its address must be known before programs that use it are verified.
      const bytes = map.mapMemory();
      if (initialValue !== undefined) {
        if (initialValue.length > bytes.length) {
          throw new SkepError(
            "map",
            `map ${spec.name}: ${initialValue.length} bytes of variables do not fit its ${spec.maxEntries} pages: raise max_entries`,
          );
        }
        bytes.set(initialValue);
      }
    } else if (initialValue !== undefined) {
      map.update(new Uint8Array(spec.keySize), initialValue);
    }
    if (spec.frozen === true) freezeMap(map.fd.value, spec.name);
    return map;
  }

  private fdOf(spec: MapSpec): OwnedFd {
    const { btfFd, tokenFd, structOps } = this.context;
    const layout = structOps?.get(spec.name);
    if (layout !== undefined) {
      if (spec.structOps?.link === true && !machine.atLeast(6, 4)) {
        const why = "links to struct_ops need Linux 6.4: put it in section .struct_ops";
        throw new UnsupportedError(`map ${spec.name}`, why);
      }
      const moduleFd = layout.module === undefined ? undefined : openModuleBtf(layout.module);
      try {
        return createMap(spec, {
          btfFd,
          tokenFd,
          kernelValueTypeId: layout.valueTypeId,
          kernelValueBtfFd: moduleFd?.value,
        });
      } finally {
        moduleFd?.close();
      }
    }
    const { exclusiveProgram } = spec;
    if (exclusiveProgram !== undefined) {
      if (!machine.atLeast(6, 18))
        throw new UnsupportedError(`map ${spec.name} for program ${exclusiveProgram} alone`, "needs Linux 6.18");
      return createMap(spec, { btfFd, tokenFd, programHash: this.context.programHash(exclusiveProgram) });
    }
    if (!mapsOfMaps.has(spec.type)) {
      const onUntyped = (errno: string): void => void this.untyped.set(spec.name, errno);
      return createMap(spec, { btfFd, tokenFd, onUntyped });
    }
    if (spec.inner === undefined) {
      throw new SkepError(
        "map",
        `map ${spec.name}: it holds maps, and nothing says what they are like: declare __array(values, struct ...) in it`,
      );
    }
    // The kernel only looks at the inner map's shape.
    const inner = createMap({ ...this.settled(spec.inner), name: `${spec.name}.inner` }, { btfFd, tokenFd });
    try {
      return createMap(spec, { btfFd, tokenFd, innerMapFd: inner.value });
    } finally {
      inner.close();
    }
  }

  private fillMapSlots(spec: MapSpec): void {
    const outer = this.maps.get(spec.name)!;
    for (const slot of spec.slots ?? []) {
      if (!("map" in slot)) throw slotFailure(spec, slot.index, "holds maps, not programs");
      const inner = this.maps.get(slot.map);
      if (inner === undefined) throw slotFailure(spec, slot.index, `names map ${slot.map}, which was not created`);
      outer.update(indexBytes(slot.index), indexBytes(inner.fd.value));
    }
  }
}

/** An entry of an array that cannot be filled. */
export function slotFailure(spec: MapSpec, index: number, why: string): SkepError {
  return new SkepError("map", `map ${spec.name}: entry ${index} ${why}`);
}

/** A number as 4 bytes of the machine, little-endian on all that Skep runs on. */
export function indexBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** The kernel takes powers of two that are multiples of the page; libbpf rounds up to the next one, and so do we. 0 stays, and is refused. */
function roundedRing(bytes: number): number {
  if (bytes === 0) return 0;
  let size = pageSize();
  while (size < bytes && size < 2 ** 31) size *= 2;
  return size;
}

function reusedFd(spec: MapSpec, map: KernelMap): OwnedFd {
  if (!(map instanceof LinuxMap)) throw new TypeError(`map ${spec.name}: the map to reuse belongs to another kernel`);
  checkFits(spec, describeMap(map.fd.value), "given to be reused");
  return duplicateFd(map.fd, `map ${spec.name}`);
}

/** What must be equal, as `map_is_reuse_compat` of libbpf has it, and how it is called in messages. */
const compared: readonly (readonly [
  field: string,
  (spec: MapSpec) => number | bigint,
  (there: MapDescription) => number | bigint,
])[] = [
  ["type", (spec) => spec.type, (there) => there.type],
  ["key size", (spec) => spec.keySize, (there) => there.keySize],
  ["value size", (spec) => spec.valueSize, (there) => there.valueSize],
  ["max_entries", (spec) => spec.maxEntries, (there) => there.maxEntries],
  ["map_flags", (spec) => spec.flags | (spec.numaNode === undefined ? 0 : MapFlags.NUMA_NODE), flagsOf],
  ["map_extra", (spec) => spec.mapExtra ?? 0n, (there) => there.mapExtra],
];

/** Device maps come back with a flag that nobody gave them. */
function flagsOf({ type, flags }: MapDescription): number {
  return type === MapType.DEVMAP || type === MapType.DEVMAP_HASH ? flags & ~MapFlags.RDONLY_PROG : flags;
}

function checkFits(spec: MapSpec, there: MapDescription, where: string): void {
  const different = compared.filter(([, wanted, found]) => BigInt(wanted(spec)) !== BigInt(found(there)));
  if (different.length === 0) return;
  const list = different.map(([field, wanted, found]) => `${field} ${found(there)} instead of ${wanted(spec)}`);
  throw new SkepError(
    "map-mismatch",
    `map ${spec.name}: the one ${where} does not fit: it has ${list.join(", ")} (unpin it, or use another path)`,
  );
}
