/** How maps stand in an object file: definitions in `.maps` that only BTF describes, or contents of a section of data. */
import { UnsupportedError } from "../base/index.ts";
import { BtfKind, BtfVarLinkage, mapTakesBtf } from "../btf/index.ts";
import type { Btf, BtfBuilder, BtfDataSection, BtfSectionEntry } from "../btf/index.ts";
import { MapFlags, MapType } from "../isa/index.ts";
import type { BpfObject, MapSpec } from "./spec.ts";

/** A map with its place in the file. */
export type PlacedMap =
  /** A variable of `.maps`, whose bytes are never read: its type tells everything. */
  | { readonly kind: "definition"; readonly spec: MapSpec; readonly symbol: string }
  /** The only value of an array map, as a section of that name. */
  | { readonly kind: "data"; readonly spec: MapSpec; readonly symbol: string; readonly section: string };

/** Sections of data, by what libbpf does with them. */
const dataSections = {
  /** Read-only to programs, frozen. */
  readOnly: ".rodata",
  data: ".data",
  /** Takes no bytes of the file: zero. Only under this name: libbpf before 1.1 and bpftool 7.1 know no `.bss.NAME`. */
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
  const placed = new Map<string, PlacedMap>();
  for (const spec of object.maps) {
    if (placed.has(spec.name)) throw new RangeError(`map ${spec.name}: two maps of this name`);
    const symbol = symbolOf(spec.name);
    const isData = spec.initialValue !== undefined || spec.frozen === true || uses["map-value"].has(spec.name);
    if (isData) {
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
    if (!placed.has(used[0])) throw new RangeError(`program ${used[1]}: the object has no map ${used[0]}`);
  }
  return placed;
}

function unsupported(spec: MapSpec, why: string): UnsupportedError {
  return new UnsupportedError(`map ${spec.name} in an object file`, why);
}

/** Maps whose creation takes more than the spec holds. */
const undefinable: ReadonlyMap<number, string> = new Map<number, string>([
  [MapType.ARRAY_OF_MAPS, "it needs the definition of its inner map"],
  [MapType.HASH_OF_MAPS, "it needs the definition of its inner map"],
  [MapType.STRUCT_OPS, "libbpf makes it of a variable in .struct_ops only"],
]);

function checkDefinition(spec: MapSpec): void {
  const why = undefinable.get(spec.type);
  if (why !== undefined) throw unsupported(spec, why);
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
  if (spec.name === dataSections.zero && initialValue === undefined && frozen !== true) return spec.name;
  const base = frozen === true ? dataSections.readOnly : dataSections.data;
  // A map that came from a section keeps its name.
  return spec.name === base || spec.name.startsWith(`${base}.`) ? spec.name : `${base}.${symbol}`;
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

  /** The variables of `.maps`, one after the other, 8 bytes a member. Returns the size of each. */
  definitions(maps: readonly PlacedMap[]): number[] {
    const sizes: number[] = [];
    const entries: BtfSectionEntry[] = [];
    let offset = 0;
    for (const { spec, symbol } of maps) {
      const { typeId, size } = this.definition(spec);
      entries.push({ typeId: this.builder.variable(symbol, typeId), offset, size });
      sizes.push(size);
      offset += size;
    }
    this.section(".maps", offset, entries);
    return sizes;
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
    for (const [role, size, id = 0] of [
      ["key", spec.keySize, spec.keyTypeId],
      ["value", spec.valueSize, spec.valueTypeId],
    ] as const) {
      if (id !== 0 && mapTakesBtf(spec.type)) {
        this.checkSize(spec, role, id, size);
        members.push({ name: role, typeId: builder.pointer(id) });
      } else if (size !== 0) number(`${role}_size`, size);
    }
    const size = members.length * 8;
    const typeId = builder.struct(
      "",
      size,
      members.map((m, i) => ({ ...m, bitOffset: i * 64 })),
    );
    return { typeId, size };
  }

  private checkSize(spec: MapSpec, role: string, id: number, size: number): void {
    if (this.known === undefined)
      throw new RangeError(`map ${spec.name}: ${role} of type ${id}, the object has no BTF`);
    const typeSize = this.known.sizeOf(id);
    if (typeSize !== size) {
      throw new RangeError(`map ${spec.name}: ${role} of ${size} bytes, its type ${id} has ${typeSize ?? "no size"}`);
    }
  }

  /** Describes a section of data and returns its variables: those that the object's BTF tells, or one that is all of it. */
  data(map: PlacedMap & { readonly kind: "data" }): DataVariable[] {
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
    if (id !== 0) this.checkSize(spec, "value", id, spec.valueSize);
    const type = id === 0 ? builder.array(builder.int("unsigned char", 1), spec.valueSize) : id;
    // libbpf makes a section mappable exactly when it has a variable that others see.
    const isGlobal = (spec.flags & MapFlags.MMAPABLE) !== 0;
    const linkage = isGlobal ? BtfVarLinkage.GLOBAL_ALLOCATED : BtfVarLinkage.STATIC;
    const size = spec.valueSize;
    this.section(section, size, [{ typeId: builder.variable(symbol, type, linkage), offset: 0, size }]);
    return [{ name: symbol, offset: 0, size, isGlobal }];
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
