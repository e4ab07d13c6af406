/** Maps of section `.maps`: variables whose bytes say nothing and whose types say everything. */
import { BtfKind, BtfVarLinkage } from "../../btf/index.ts";
import type { Btf, BtfComposite, BtfDataSection, BtfMember, BtfType } from "../../btf/index.ts";
import { MapType } from "../../isa/index.ts";
import { ElfSymbolType } from "../elf-format.ts";
import type { MapSlot, MapSpec } from "../spec.ts";
import { damagedAt } from "./image.ts";
import type { ImageSection, ObjectImage } from "./image.ts";

/** Section of maps that are described by BTF. */
export const MAPS = ".maps";

/** A map with its place in the file, by which code names it. */
export interface PlacedDefinition {
  readonly spec: MapSpec;
  /** Bytes from the start of its section. */
  readonly offset: number;
}

/** Keeps in mind how far reading one definition has come. */
interface Draft {
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  keyTypeId: number;
  valueTypeId: number;
  numaNode?: number;
  mapExtra?: bigint;
  pinning?: "by-name";
  inner?: MapSpec;
  /** Bytes from the start of the variable. */
  slotsAt?: number;
}

const PIN_NONE = 0;
const PIN_BY_NAME = 1;
/** Bytes of a pointer in the file. */
const POINTER = 8;

const mapsOfMaps: ReadonlySet<number> = new Set([MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS]);

/** The maps of `.maps`, in the order of their places. */
export function readMapDefinitions(
  image: ObjectImage,
  section: ImageSection,
  btf: Btf | undefined,
): PlacedDefinition[] {
  if (btf === undefined)
    throw damagedAt(image, section, 0, "its maps are described by BTF, which the file has not: compile it with -g");
  const id = btf.findByName(MAPS, BtfKind.DATASEC);
  if (id === undefined) throw damagedAt(image, section, 0, "the BTF does not describe it: compile the file with -g");
  const definitions: PlacedDefinition[] = [];
  const slotsAt: (number | undefined)[] = [];
  const ends: number[] = [];
  const { entries } = btf.typeById(id) as BtfDataSection;
  for (const { typeId, offset, size } of entries) {
    const variable = btf.typeById(typeId);
    const fail = (what: string): never => {
      throw damagedAt(image, section, offset, `map ${btf.nameOf(typeId)}: ${what}`);
    };
    if (variable.kind !== BtfKind.VAR) return fail("its entry in the BTF is no variable");
    if (variable.name === "") return fail("it has no name");
    if (variable.linkage === BtfVarLinkage.GLOBAL_EXTERN)
      return fail("it is extern: link the object with the one that defines it");
    if (variable.linkage !== BtfVarLinkage.GLOBAL_ALLOCATED) return fail("it is static or hidden: maps must be global");
    if (offset + size > section.size) return fail(`${size} bytes at ${offset}, the section ends at ${section.size}`);
    const type = btf.typeById(btf.stripModifiers(variable.typeId));
    if (type.kind !== BtfKind.STRUCT) return fail("its type is no struct");
    if (type.size > size) return fail(`its struct has ${type.size} bytes, the variable ${size}`);
    const parsed = new DefinitionReader(btf, variable.name, fail).read(type, false);
    definitions.push({ spec: specOf(variable.name, parsed), offset });
    slotsAt.push(parsed.slotsAt);
    ends.push(offset + size);
  }
  if (section.relocations.length === 0) return definitions;
  return fillSlots(image, section, definitions, slotsAt, ends);
}

/** One definition by its type, without first entries: a variable's, or what an extern says of a map in another file. */
export function readDefinition(btf: Btf, name: string, typeId: number, fail: (what: string) => never): MapSpec {
  const type = btf.typeById(btf.stripModifiers(typeId));
  if (type.kind !== BtfKind.STRUCT) return fail("its type is no struct");
  return specOf(name, new DefinitionReader(btf, name, fail).read(type, false));
}

function specOf(name: string, draft: Draft): MapSpec {
  const { type, keySize, valueSize, maxEntries, flags, keyTypeId, valueTypeId, numaNode, mapExtra, pinning, inner } =
    draft;
  return {
    name,
    type,
    keySize,
    valueSize,
    maxEntries,
    flags,
    ...(keyTypeId === 0 ? {} : { keyTypeId }),
    ...(valueTypeId === 0 ? {} : { valueTypeId }),
    ...(numaNode === undefined ? {} : { numaNode }),
    ...(mapExtra === undefined ? {} : { mapExtra }),
    ...(pinning === undefined ? {} : { pinning }),
    ...(inner === undefined ? {} : { inner }),
  };
}

/** Reads one struct of attributes. Numbers stand as lengths of arrays, types as types of pointers. */
class DefinitionReader {
  private readonly btf: Btf;
  private readonly name: string;
  private readonly fail: (what: string) => never;
  private readonly draft: Draft = {
    type: MapType.UNSPEC,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
    keyTypeId: 0,
    valueTypeId: 0,
  };

  constructor(btf: Btf, name: string, fail: (what: string) => never) {
    this.btf = btf;
    this.name = name;
    this.fail = fail;
  }

  read(struct: BtfComposite, isInner: boolean): Draft {
    for (const [i, member] of struct.members.entries()) {
      const attribute = Object.hasOwn(attributes, member.name) ? attributes[member.name] : undefined;
      if (attribute === undefined) {
        return this.fail(
          `unknown attribute ${JSON.stringify(member.name)}; known are ${Object.keys(attributes).join(", ")}`,
        );
      }
      attribute(this, this.draft, member, { isInner, isLast: i === struct.members.length - 1 });
    }
    if (this.draft.type === MapType.UNSPEC) return this.fail("no type is given");
    return this.draft;
  }

  wrong(member: BtfMember, what: string): never {
    return this.fail(`attribute ${member.name}: ${what}`);
  }

  /** `int (*name)[NUMBER]`, as `__uint` writes it. */
  number(member: BtfMember): number {
    const { btf } = this;
    const pointer = btf.typeById(btf.stripModifiers(member.typeId));
    const array = pointer.kind === BtfKind.PTR ? btf.typeById(pointer.typeId) : undefined;
    return array?.kind === BtfKind.ARRAY
      ? array.count
      : this.wrong(member, "a number is wanted: write __uint(name, number)");
  }

  /** A number, or `enum { value = NUMBER } name`, as `__ulong` writes it. */
  longNumber(member: BtfMember): bigint {
    const type = this.btf.typeById(this.btf.stripModifiers(member.typeId));
    if (type.kind === BtfKind.PTR) return BigInt(this.number(member));
    if (type.kind !== BtfKind.ENUM && type.kind !== BtfKind.ENUM64) {
      return this.wrong(member, "a number is wanted: write __ulong(name, number)");
    }
    const [first, second] = type.values;
    if (first === undefined || second !== undefined)
      return this.wrong(member, `${type.values.length} numbers, one is wanted`);
    return BigInt.asUintN(64, first.value);
  }

  /** `TYPE *name`, as `__type` writes it. */
  type(member: BtfMember): { readonly typeId: number; readonly size: number } {
    const { btf } = this;
    const pointer = btf.typeById(member.typeId);
    if (pointer.kind !== BtfKind.PTR) return this.wrong(member, "a type is wanted: write __type(name, type)");
    const size = btf.sizeOf(pointer.typeId);
    if (size === undefined) return this.wrong(member, `type ${pointer.typeId} has no size`);
    return { typeId: pointer.typeId, size };
  }

  /** The struct of an inner map, or nothing of an array of programs, from the empty array that `__array` writes. */
  slots(member: BtfMember): BtfType {
    const { btf } = this;
    const array = btf.typeById(member.typeId);
    if (array.kind !== BtfKind.ARRAY || array.count !== 0)
      return this.wrong(member, "an array without a length is wanted");
    const pointer = btf.typeById(btf.stripModifiers(array.elementTypeId));
    if (pointer.kind !== BtfKind.PTR) return this.wrong(member, "an array of pointers is wanted");
    return btf.typeById(btf.stripModifiers(pointer.typeId));
  }

  innerMap(struct: BtfComposite): MapSpec {
    const name = `${this.name}.inner`;
    const reader = new DefinitionReader(this.btf, name, (what) => this.fail(`inner map: ${what}`));
    return specOf(name, reader.read(struct, true));
  }
}

type Attribute = (
  reader: DefinitionReader,
  draft: Draft,
  member: BtfMember,
  place: { readonly isInner: boolean; readonly isLast: boolean },
) => void;

function setSize(
  reader: DefinitionReader,
  draft: Draft,
  field: "keySize" | "valueSize",
  member: BtfMember,
  bytes: number,
): void {
  if (draft[field] !== 0 && draft[field] !== bytes)
    reader.wrong(member, `${bytes} bytes, said to be ${draft[field]} before`);
  draft[field] = bytes;
}

/** What each member of a definition means. */
const attributes: Readonly<Record<string, Attribute>> = {
  type: (reader, draft, member) => (draft.type = reader.number(member)),
  max_entries: (reader, draft, member) => (draft.maxEntries = reader.number(member)),
  map_flags: (reader, draft, member) => (draft.flags = reader.number(member)),
  numa_node: (reader, draft, member) => (draft.numaNode = reader.number(member)),
  key_size: (reader, draft, member) => setSize(reader, draft, "keySize", member, reader.number(member)),
  key: (reader, draft, member) => {
    const { typeId, size: bytes } = reader.type(member);
    setSize(reader, draft, "keySize", member, bytes);
    draft.keyTypeId = typeId;
  },
  value_size: (reader, draft, member) => setSize(reader, draft, "valueSize", member, reader.number(member)),
  value: (reader, draft, member) => {
    const { typeId, size: bytes } = reader.type(member);
    setSize(reader, draft, "valueSize", member, bytes);
    draft.valueTypeId = typeId;
  },
  values: (reader, draft, member, { isInner, isLast }) => {
    if (isInner) reader.wrong(member, "maps of maps of maps do not exist");
    if (!isLast) reader.wrong(member, "it must be the last");
    const isPrograms = draft.type === MapType.PROG_ARRAY;
    if (!isPrograms && !mapsOfMaps.has(draft.type))
      reader.wrong(member, "only maps of maps and arrays of programs have it, behind their type");
    setSize(reader, draft, "valueSize", member, 4);
    const element = reader.slots(member);
    if (isPrograms) {
      if (element.kind !== BtfKind.FUNC_PROTO) reader.wrong(member, "pointers to functions are wanted");
    } else if (element.kind === BtfKind.STRUCT) {
      draft.inner = reader.innerMap(element);
    } else reader.wrong(member, "pointers to definitions of maps are wanted");
    draft.slotsAt = member.bitOffset / 8;
  },
  pinning: (reader, draft, member, { isInner }) => {
    if (isInner) reader.wrong(member, "inner maps cannot be pinned by name");
    const value = reader.number(member);
    if (value === PIN_BY_NAME) draft.pinning = "by-name";
    else if (value !== PIN_NONE) reader.wrong(member, `${value}, not LIBBPF_PIN_NONE (0) or LIBBPF_PIN_BY_NAME (1)`);
  },
  map_extra: (reader, draft, member) => {
    const value = reader.longNumber(member);
    if (value !== 0n) draft.mapExtra = value;
  },
};

/** Puts first entries, which relocations name, into maps of maps and arrays of programs. */
function fillSlots(
  image: ObjectImage,
  section: ImageSection,
  definitions: readonly PlacedDefinition[],
  slotsAt: readonly (number | undefined)[],
  ends: readonly number[],
): PlacedDefinition[] {
  const slots = new Map<number, Map<number, MapSlot>>();
  const atOffset = new Map(definitions.map((definition, i) => [definition.offset, i]));
  for (const { offset, symbol: symbolIndex } of section.relocations) {
    const symbol = image.symbols[symbolIndex]!;
    const fail = (what: string): never => {
      throw damagedAt(image, section, offset, what);
    };
    const owner = lastAtOrBefore(definitions, offset);
    const definition = definitions[owner];
    if (definition === undefined || offset + POINTER > ends[owner]!)
      return fail(`an entry for ${symbol.name}, in no map`);
    const { spec } = definition;
    const start = slotsAt[owner];
    if (start === undefined) return fail(`map ${spec.name}: an entry for ${symbol.name}, and no attribute values`);
    const place = offset - definition.offset - start;
    if (place < 0 || place % POINTER !== 0)
      return fail(`map ${spec.name}: an entry for ${symbol.name} between pointers`);
    const index = place / POINTER;
    const own = slots.get(owner) ?? new Map<number, MapSlot>();
    slots.set(owner, own);
    if (spec.type === MapType.PROG_ARRAY) {
      const target = image.sections[symbol.section];
      if (target?.isCode !== true || target.name === ".text" || symbol.type !== ElfSymbolType.FUNC) {
        return fail(`map ${spec.name}: entry ${index} is ${symbol.name}, which is no program`);
      }
      own.set(index, { index, program: symbol.name });
      continue;
    }
    const inner = symbol.section === section.index ? definitions[atOffset.get(symbol.value) ?? -1] : undefined;
    if (inner === undefined)
      return fail(`map ${spec.name}: entry ${index} is ${symbol.name}, which is no map of ${MAPS}`);
    if (spec.type === MapType.HASH_OF_MAPS && spec.keySize !== 4) {
      return fail(`map ${spec.name}: first entries need keys of 4 bytes, it has ${spec.keySize}`);
    }
    own.set(index, { index, map: inner.spec.name });
  }
  return definitions.map((definition, i) => {
    const own = slots.get(i);
    if (own === undefined) return definition;
    const sorted = [...own.values()].toSorted((a, b) => a.index - b.index);
    return { ...definition, spec: { ...definition.spec, slots: sorted } };
  });
}

/** Index of the last definition that starts at an offset or before it; -1 for none. They are sorted by offset. */
function lastAtOrBefore(definitions: readonly PlacedDefinition[], offset: number): number {
  let [low, high] = [0, definitions.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (definitions[middle]!.offset <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
