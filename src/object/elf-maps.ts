/** How maps stand in an object file: definitions in `.maps` that only BTF describes, or contents of a section of data. */
import { UnsupportedError } from "../base/index.ts";
import { BtfIntEncoding, BtfKind, BtfVarLinkage, btfIdentifier, mapTakesBtf } from "../btf/index.ts";
import type { Btf, BtfBuilder, BtfDataSection, BtfSectionEntry } from "../btf/index.ts";
import { MapFlags, MapType } from "../isa/index.ts";
import { ARENA_DATA } from "./read/data-maps.ts";
import { KCONFIG } from "./read/externs.ts";
import type { BpfObject, MapSpec } from "./spec.ts";
import type { VariableSpec } from "./variables.ts";

/** A map with its place in the file. */
export type PlacedMap =
  /** A variable of `.maps`, whose bytes are never read: its type tells everything. An arena's first bytes are a section of their own. */
  | { readonly kind: "definition"; readonly spec: MapSpec; readonly symbol: string }
  /** The only value of an array map, as a section of that name. */
  | { readonly kind: "data"; readonly spec: MapSpec; readonly symbol: string; readonly section: string }
  /** A variable of a section of structs of functions. */
  | { readonly kind: "struct-ops"; readonly spec: MapSpec; readonly symbol: string; readonly section: string };

/** Sections of data, by what libbpf does with them. */
const dataSections = {
  /** Read-only to programs, frozen. */
  readOnly: ".rodata",
  data: ".data",
  /** Takes no bytes of the file: zero. Maps without a name of this kind are not put there: libbpf before 1.1 and bpftool 7.1 know no `.bss.NAME`. */
  zero: ".bss",
} as const;

/**
 * Where each map goes: those with a first value, and those whose value programs address directly, become data; all others definitions.
 * `symbolOf` gives each map a name that is an identifier of C.
 *
 * Throws {@link UnsupportedError} for maps that libbpf cannot make from a file, RangeError for values of other than the map's size.
 */
export function placeMaps(object: BpfObject, symbolOf: (name: string) => string): Map<string, PlacedMap> {
  const uses = { map: new Map<string, string>(), "map-value": new Map<string, string>() };
  for (const program of object.programs) {
    for (const r of program.relocations)
      if (r.kind === "map" || r.kind === "map-value") uses[r.kind].set(r.map, program.name);
  }
  const hasOptions = object.externs?.some((extern) => extern.kind === "kconfig") === true;
  const placed = new Map<string, PlacedMap>();
  for (const spec of object.maps) {
    // Loaders make it themselves, of the variables that stand for options.
    if (hasOptions && spec.name === KCONFIG) continue;
    if (placed.has(spec.name)) throw new RangeError(`map ${spec.name}: two maps of this name`);
    const symbol = symbolOf(spec.name);
    const { initialValue, frozen, type } = spec;
    // No definition has a name with a dot before it.
    const isData =
      initialValue !== undefined || frozen === true || uses["map-value"].has(spec.name) || spec.name.startsWith(".");
    if (type === MapType.STRUCT_OPS) {
      placed.set(spec.name, { kind: "struct-ops", spec, symbol, section: structOpsSection(spec) });
    } else if (type === MapType.ARENA) {
      if (initialValue === undefined && uses["map-value"].has(spec.name)) {
        throw unsupported(
          spec,
          `program ${uses["map-value"].get(spec.name)} wants an address in it, and it has no first value`,
        );
      }
      placed.set(spec.name, { kind: "definition", spec, symbol });
    } else if (isData) {
      const user = uses.map.get(spec.name);
      if (user !== undefined) {
        throw unsupported(spec, `libbpf gives addresses within sections of data only, program ${user} wants the map`);
      }
      placed.set(spec.name, { kind: "data", spec, symbol, section: dataSectionName(spec, symbol) });
    } else {
      checkDefinition(spec);
      placed.set(spec.name, { kind: "definition", spec, symbol });
    }
  }
  for (const used of [...uses.map, ...uses["map-value"]]) {
    const isKnown = placed.has(used[0]) || (hasOptions && used[0] === KCONFIG);
    if (!isKnown) throw new RangeError(`program ${used[1]}: the object has no map ${used[0]}`);
  }
  return placed;
}

function structOpsSection(spec: MapSpec): string {
  const { structOps, initialValue, valueSize } = spec;
  if (structOps === undefined) throw unsupported(spec, "its struct is not given");
  if (initialValue === undefined || initialValue.length !== valueSize) {
    throw new RangeError(
      `map ${spec.name}: a first value of ${initialValue?.length ?? 0} bytes, the struct has ${valueSize}`,
    );
  }
  return `${spec.autocreate === false ? "?" : ""}.struct_ops${structOps.link ? ".link" : ""}`;
}

function unsupported(spec: MapSpec, why: string): UnsupportedError {
  return new UnsupportedError(`map ${spec.name} in an object file`, why);
}

const mapsOfMaps: ReadonlySet<number> = new Set([MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS]);

function checkDefinition(spec: MapSpec): void {
  const takesSlots = mapsOfMaps.has(spec.type) || spec.type === MapType.PROG_ARRAY;
  if (spec.slots !== undefined && spec.slots.length > 0 && !takesSlots) {
    throw unsupported(spec, "only maps of maps and arrays of programs have first entries");
  }
}

function dataSectionName(spec: MapSpec, symbol: string): string {
  const { type, keySize, valueSize, maxEntries, flags, initialValue, frozen } = spec;
  if (type !== MapType.ARRAY || keySize !== 4 || maxEntries !== 1) {
    throw unsupported(spec, "libbpf gives first values to, and addresses within, arrays of one entry only");
  }
  if (initialValue !== undefined && initialValue.length !== valueSize) {
    throw new RangeError(`map ${spec.name}: a first value of ${initialValue.length} bytes, values have ${valueSize}`);
  }
  const allowed = (frozen === true ? MapFlags.RDONLY_PROG : 0) | MapFlags.MMAPABLE;
  const isReadOnly = (flags & MapFlags.RDONLY_PROG) !== 0;
  if ((flags & ~allowed) !== 0 || isReadOnly !== (frozen === true)) {
    throw unsupported(
      spec,
      `flags 0x${flags.toString(16)}${frozen === true ? ", frozen" : ""}: sections of data are either frozen and read-only to programs, or neither`,
    );
  }
  const isZero = spec.name === dataSections.zero || spec.name.startsWith(`${dataSections.zero}.`);
  if (isZero && initialValue === undefined && frozen !== true) return spec.name;
  const base = frozen === true ? dataSections.readOnly : dataSections.data;
  // A map that came from a section keeps its name.
  return spec.name === base || spec.name.startsWith(`${base}.`) ? spec.name : `${base}.${symbol}`;
}

/** Bytes of a pointer in the file. */
const POINTER = 8;
/** `LIBBPF_PIN_BY_NAME` */
const PIN_BY_NAME = 1;

/** Where a definition is in `.maps`, in bytes. */
export interface DefinitionPlace {
  readonly offset: number;
  readonly size: number;
  readonly slotsAt: number;
}

/** A variable of a section of data. */
export interface DataVariable {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly isGlobal: boolean;
}

/** Writes the types of maps. `known` is what the builder extends, undefined when it started empty. */
export class MapTypes {
  private readonly builder: BtfBuilder;
  private readonly known: Btf | undefined;

  constructor(builder: BtfBuilder, known: Btf | undefined) {
    this.builder = builder;
    this.known = known;
  }

  /** The variables of `.maps`, one after the other, 8 bytes a member. Returns where each is, and where its first entries start. */
  definitions(maps: readonly PlacedMap[]): DefinitionPlace[] {
    const places: DefinitionPlace[] = [];
    const entries: BtfSectionEntry[] = [];
    let offset = 0;
    for (const { spec, symbol } of maps) {
      const { typeId, size } = this.definition(spec);
      const last = spec.slots?.at(-1);
      const whole = size + (last === undefined ? 0 : (last.index + 1) * POINTER);
      entries.push({ typeId: this.builder.variable(symbol, typeId), offset, size: whole });
      places.push({ offset, size: whole, slotsAt: offset + size });
      offset += whole;
    }
    this.section(".maps", offset, entries);
    return places;
  }

  /** The anonymous struct whose members' types are a map's properties. */
  private definition(spec: MapSpec): { readonly typeId: number; readonly size: number } {
    const { builder } = this;
    const members: { name: string; typeId: number }[] = [];
    // A number stands as the length of an array. Its elements have one byte, since an array may not have 4 GiB.
    const number = (name: string, value: number): void => {
      members.push({ name, typeId: builder.pointer(builder.array(builder.int("char", 1), value)) });
    };
    number("type", spec.type);
    if (spec.maxEntries !== 0) number("max_entries", spec.maxEntries);
    if (spec.flags !== 0) number("map_flags", spec.flags);
    if (spec.numaNode !== undefined) number("numa_node", spec.numaNode);
    if (spec.pinning === "by-name") number("pinning", PIN_BY_NAME);
    const { mapExtra = 0n } = spec;
    if (mapExtra > 0xffff_ffffn) {
      const value = builder.enum("", 8, false, [{ name: `${btfIdentifier(spec.name)}_map_extra`, value: mapExtra }]);
      members.push({ name: "map_extra", typeId: value });
    } else if (mapExtra !== 0n) number("map_extra", Number(mapExtra));
    for (const [role, size, id = 0] of [
      ["key", spec.keySize, spec.keyTypeId],
      ["value", spec.valueSize, spec.valueTypeId],
    ] as const) {
      if (id !== 0 && mapTakesBtf(spec.type)) {
        this.checkSize(spec, role, id, size);
        members.push({ name: role, typeId: builder.pointer(id) });
      } else if (size !== 0) number(`${role}_size`, size);
    }
    const size = members.length * POINTER;
    const element = this.slotElement(spec);
    if (element !== undefined) members.push({ name: "values", typeId: builder.array(builder.pointer(element), 0) });
    const typeId = builder.struct(
      "",
      size,
      members.map((m, i) => ({ ...m, bitOffset: i * POINTER * 8 })),
    );
    return { typeId, size };
  }

  /** What first entries point to: definitions of inner maps, or functions. */
  private slotElement(spec: MapSpec): number | undefined {
    if (spec.inner !== undefined) return this.definition(spec.inner).typeId;
    if (spec.slots === undefined || spec.slots.length === 0) return undefined;
    return this.builder.funcProto(this.builder.int("int", 4, BtfIntEncoding.SIGNED), []);
  }

  private checkSize(spec: MapSpec, role: string, id: number, size: number): void {
    if (this.known === undefined)
      throw new RangeError(`map ${spec.name}: ${role} of type ${id}, the object has no BTF`);
    const typeSize = this.known.sizeOf(id);
    if (typeSize !== size) {
      throw new RangeError(`map ${spec.name}: ${role} of ${size} bytes, its type ${id} has ${typeSize ?? "no size"}`);
    }
  }

  /** Describes a section of data and returns its variables: those that the object's BTF tells, or one that is all of it unless it has no name at all. */
  data(map: PlacedMap & { readonly kind: "data" }, isDescribed: boolean): DataVariable[] {
    const { builder, known } = this;
    const { spec, symbol, section } = map;
    const id = spec.valueTypeId ?? 0;
    if (known !== undefined && id !== 0 && known.kindOf(id) === BtfKind.DATASEC) {
      const type = known.typeById(id) as BtfDataSection;
      if (type.size !== spec.valueSize) {
        throw new RangeError(
          `map ${spec.name}: value of ${spec.valueSize} bytes, its section ${type.name} has ${type.size}`,
        );
      }
      this.section(section, type.size, type.entries);
      return type.entries.map(({ typeId, offset, size }) => {
        const variable = known.typeById(typeId);
        if (variable.kind !== BtfKind.VAR) throw known.damagedType(id, `entry ${typeId} is no variable`);
        const isGlobal = variable.linkage === BtfVarLinkage.GLOBAL_ALLOCATED;
        return { name: variable.name, offset, size, isGlobal };
      });
    }
    // Strings of the compiler: nothing names them, and nobody may look.
    if (id === 0 && !isDescribed) return [];
    if (id !== 0) this.checkSize(spec, "value", id, spec.valueSize);
    const type = id === 0 ? builder.array(builder.int("unsigned char", 1), spec.valueSize) : id;
    // libbpf makes a section mappable exactly when it has a variable that others see.
    const isGlobal = (spec.flags & MapFlags.MMAPABLE) !== 0;
    const linkage = isGlobal ? BtfVarLinkage.GLOBAL_ALLOCATED : BtfVarLinkage.STATIC;
    const size = spec.valueSize;
    this.section(section, size, [{ typeId: builder.variable(symbol, type, linkage), offset: 0, size }]);
    return [{ name: symbol, offset: 0, size, isGlobal }];
  }

  /** Describes the variables of an arena. Those without a type are left out. */
  arena(spec: MapSpec, variables: readonly VariableSpec[]): void {
    const entries = variables
      .filter((v) => v.typeId !== 0)
      .toSorted((a, b) => a.offset - b.offset)
      .map(({ name, typeId, offset, size, linkage }) => {
        const global = linkage === "static" ? BtfVarLinkage.STATIC : BtfVarLinkage.GLOBAL_ALLOCATED;
        return { typeId: this.builder.variable(name, typeId, global), offset, size };
      });
    this.section(ARENA_DATA, spec.initialValue!.length, entries);
  }

  /** The variables of a section of structs of functions, one after the other. Returns where each is. */
  structOps(section: string, maps: readonly PlacedMap[]): number[] {
    const offsets: number[] = [];
    const entries: BtfSectionEntry[] = [];
    let offset = 0;
    for (const { spec, symbol } of maps) {
      offset = Math.ceil(offset / POINTER) * POINTER;
      this.checkSize(spec, "value", spec.structOps!.typeId, spec.valueSize);
      entries.push({ typeId: this.builder.variable(symbol, spec.structOps!.typeId), offset, size: spec.valueSize });
      offsets.push(offset);
      offset += spec.valueSize;
    }
    this.section(section, offset, entries);
    return offsets;
  }

  /** Adds a section of variables, or replaces that of the same name: libbpf looks at the first of a name only. */
  section(name: string, size: number, entries: readonly BtfSectionEntry[]): void {
    const old = this.known?.findByName(name, BtfKind.DATASEC);
    if (old === undefined) this.builder.dataSection(name, size, entries);
    else this.builder.redefineDataSection(old, name, size, entries);
  }

  /**
   * Makes all variables `static` that stand in a section of the object's own BTF which the file does not have: libbpf refuses global
   * variables without a symbol.
   */
  hideOthers(written: ReadonlySet<string>): void {
    const { builder, known } = this;
    if (known === undefined) return;
    for (const id of known.idsByKind(BtfKind.DATASEC)) {
      const type = known.typeById(id) as BtfDataSection;
      if (written.has(type.name)) continue;
      for (const { typeId } of type.entries) {
        const variable = known.typeById(typeId);
        if (variable.kind === BtfKind.VAR && variable.linkage === BtfVarLinkage.GLOBAL_ALLOCATED) {
          builder.setLinkage(typeId, BtfVarLinkage.STATIC);
        }
      }
    }
  }
}
