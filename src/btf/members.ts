/** Fields of structs and unions, found by name and by path through anonymous members. */
import type { Btf } from "./btf.ts";
import { BtfKind } from "./kinds.ts";
import type { BtfComposite, BtfMember } from "./types.ts";

/** A field, with its place in the struct or union that the question was about. */
export interface BtfField {
  /** As it was asked for, or the member's name. */
  readonly name: string;
  readonly typeId: number;
  /** Bits from the start of the outermost struct or union. */
  readonly bitOffset: number;
  /** Bits of a bitfield; 0 when the field is none. */
  readonly bitfieldSize: number;
}

/** A struct or union under typedefs and qualifiers; undefined for other types. */
function compositeOf(btf: Btf, id: number): BtfComposite | undefined {
  const type = btf.typeById(btf.stripModifiers(id));
  return type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION ? type : undefined;
}

/** The anonymous struct or union that a member is; undefined for other members. */
function anonymousOf(btf: Btf, member: BtfMember): BtfComposite | undefined {
  return member.name === "" && member.bitfieldSize === 0 ? compositeOf(btf, member.typeId) : undefined;
}

/** All fields that can be named directly, in the order of their declaration. */
export function listFields(btf: Btf, id: number): BtfField[] {
  const out: BtfField[] = [];
  const outer = compositeOf(btf, id);
  if (outer !== undefined) collect(btf, outer, 0, [], out);
  return out;
}

/** Damaged data can share one anonymous struct so often that its fields would fill the memory; no real struct has so many. */
const FIELD_LIMIT = 1 << 17;

function collect(btf: Btf, type: BtfComposite, bitOffset: number, above: readonly number[], out: BtfField[]): void {
  if (above.includes(type.id)) throw btf.damagedType(type.id, "it contains itself");
  const path = [...above, type.id];
  for (const member of type.members) {
    const inner = anonymousOf(btf, member);
    if (inner !== undefined) collect(btf, inner, bitOffset + member.bitOffset, path, out);
    else if (member.name !== "") out.push({ ...member, bitOffset: bitOffset + member.bitOffset });
    if (out.length > FIELD_LIMIT) throw btf.damagedType(type.id, "it has more than 131,072 fields");
  }
}

/**
 * One name in one struct or union. `seen` holds what was searched without success: what is not there once is not
 * there when reached again, and a circle ends.
 */
function findField(btf: Btf, type: BtfComposite, name: string, seen: Set<number>): BtfField | undefined {
  if (seen.has(type.id)) return undefined;
  seen.add(type.id);
  for (const member of type.members) {
    if (member.name === name) return member;
    const inner = anonymousOf(btf, member);
    const found = inner && findField(btf, inner, name, seen);
    if (found) return { ...found, bitOffset: found.bitOffset + member.bitOffset };
  }
  return undefined;
}

const STEP = /^([A-Za-z_$][\w$]*)((?:\[\d+\])*)$/;

/** A field by a path of names and array indexes. */
export function fieldByPath(btf: Btf, id: number, path: string): BtfField | undefined {
  let at: BtfField = { name: path, typeId: id, bitOffset: 0, bitfieldSize: 0 };
  for (const step of path.split(".")) {
    const parts = STEP.exec(step);
    if (parts === null) return undefined;
    const type = compositeOf(btf, at.typeId);
    const found = type && findField(btf, type, parts[1]!, new Set());
    if (found === undefined) return undefined;
    at = { ...found, name: path, bitOffset: at.bitOffset + found.bitOffset };
    for (const [, digits] of parts[2]!.matchAll(/\[(\d+)\]/g)) {
      const array = btf.typeById(btf.stripModifiers(at.typeId));
      if (array.kind !== BtfKind.ARRAY || at.bitfieldSize !== 0) return undefined;
      const index = Number(digits);
      // A count of 0 is a flexible array, whose elements lie behind the struct.
      if (array.count !== 0 && index >= array.count) return undefined;
      const size = btf.sizeOf(array.elementTypeId);
      if (size === undefined) return undefined;
      at = { ...at, typeId: array.elementTypeId, bitOffset: at.bitOffset + index * size * 8 };
    }
  }
  return at;
}
