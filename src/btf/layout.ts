/** Sizes and alignments of types, and what is under their typedefs and qualifiers. */
import type { Btf } from "./btf.ts";
import { BtfKind } from "./kinds.ts";

/** More typedefs, qualifiers or array dimensions than this in a row can only be a circle; the kernel's own limit is 32. */
const CHAIN_LIMIT = 128;

/** The largest size the kernel accepts for any type, and what fits the format. */
const SIZE_LIMIT = 0xffff_ffff;

/** Names that compilers give to `long`. */
const LONG_NAMES = ["long int", "long unsigned int", "unsigned long", "long"];

/** The type under typedefs, qualifiers and type tags. */
export function stripTypeModifiers(btf: Btf, id: number): number {
  let at = id;
  for (let steps = 0; steps <= CHAIN_LIMIT; steps++) {
    switch (btf.kindOf(at)) {
      case BtfKind.TYPEDEF:
      case BtfKind.VOLATILE:
      case BtfKind.CONST:
      case BtfKind.RESTRICT:
      case BtfKind.TYPE_TAG:
        at = (btf.typeById(at) as { readonly typeId: number }).typeId;
        break;
      default:
        return at;
    }
  }
  throw btf.damagedType(id, "typedefs and qualifiers run in a circle");
}

/** Bytes of a type; undefined when it has no size. */
export function sizeOfType(btf: Btf, id: number): number | undefined {
  let at = id;
  let count = 1;
  for (let steps = 0; steps <= CHAIN_LIMIT; steps++) {
    const type = btf.typeById(btf.stripModifiers(at));
    let size: number;
    switch (type.kind) {
      case BtfKind.INT:
      case BtfKind.STRUCT:
      case BtfKind.UNION:
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
      case BtfKind.FLOAT:
      case BtfKind.DATASEC:
        size = count * type.size;
        break;
      case BtfKind.PTR:
        size = count * btf.pointerSize;
        break;
      case BtfKind.VAR:
      case BtfKind.DECL_TAG:
        at = type.typeId;
        continue;
      case BtfKind.ARRAY:
        count *= type.count;
        if (count > SIZE_LIMIT) throw btf.damagedType(id, "the array is larger than 4 GiB");
        at = type.elementTypeId;
        continue;
      default:
        return undefined;
    }
    if (size > SIZE_LIMIT) throw btf.damagedType(id, "the array is larger than 4 GiB");
    return size;
  }
  throw btf.damagedType(id, "arrays run in a circle");
}

/** Alignment of a type; `known` is kept between calls, so that shared members are looked at once. */
export function alignOfType(btf: Btf, id: number, known: Map<number, number>, depth = 0): number | undefined {
  if (depth > CHAIN_LIMIT) throw btf.damagedType(id, "members run in a circle");
  const stripped = btf.stripModifiers(id);
  const answer = known.get(stripped);
  if (answer !== undefined) return answer;
  const type = btf.typeById(stripped);
  let align: number;
  switch (type.kind) {
    case BtfKind.INT:
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
    case BtfKind.FLOAT:
      align = Math.max(1, Math.min(btf.pointerSize, type.size));
      break;
    case BtfKind.PTR:
      align = btf.pointerSize;
      break;
    case BtfKind.ARRAY:
      return alignOfType(btf, type.elementTypeId, known, depth + 1);
    case BtfKind.VAR:
      return alignOfType(btf, type.typeId, known, depth + 1);
    case BtfKind.STRUCT:
    case BtfKind.UNION: {
      align = 1;
      let packed = false;
      for (const member of type.members) {
        const wanted = alignOfType(btf, member.typeId, known, depth + 1) ?? 1;
        align = Math.max(align, wanted);
        if (member.bitfieldSize === 0 && member.bitOffset % (8 * wanted) !== 0) packed = true;
      }
      if (packed || type.size % align !== 0) align = 1;
      break;
    }
    default:
      return undefined;
  }
  known.set(stripped, align);
  return align;
}

/** Bytes of a pointer: those of `long`, and 8 when there is none. */
export function pointerSizeOf(btf: Btf): number {
  for (const name of LONG_NAMES) {
    const id = btf.findByName(name, BtfKind.INT);
    const type = id === undefined ? undefined : btf.typeById(id);
    if (type?.kind === BtfKind.INT && (type.size === 4 || type.size === 8)) return type.size;
  }
  return 8;
}
