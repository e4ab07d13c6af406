/** Sizes, alignments and layouts: System V ABI as clang does it for eBPF. */
import type { CType, Field, RecordBody } from "./types.ts";
import { shapeOf } from "./types.ts";

/** Bytes of a type; undefined for `void`, functions, and what is declared and not defined. A flexible array has none: 0. */
export function sizeOf(type: CType): number | undefined {
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "void":
    case "function":
      return undefined;
    case "bool":
      return 1;
    case "integer":
      return shape.bits / 8;
    case "float":
      return shape.size;
    case "pointer":
      return 8;
    case "array": {
      if (shape.count === undefined) return undefined;
      const element = sizeOf(shape.of);
      return element === undefined ? undefined : element * shape.count;
    }
    case "record":
      return shape.contents?.size;
    case "enum":
      return shape.contents === undefined ? 4 : shape.contents.underlying.bits / 8;
  }
}

/** Alignment of a type in bytes; 1 for what has none. */
export function alignOf(type: CType): number {
  for (let at = type; ;) {
    switch (at.kind) {
      case "typedef":
        if (at.align !== undefined) return at.align;
        at = at.to;
        break;
      case "qualified":
      case "tagged":
        at = at.of;
        break;
      case "array":
        at = at.of;
        break;
      case "record":
        return at.contents?.align ?? 1;
      case "float":
        // x86's long double takes 16 bytes and is as aligned; eBPF has none of more than 8.
        return Math.min(at.size, 16);
      default:
        return sizeOf(at) ?? 1;
    }
  }
}

/** A member as it is declared. */
export interface MemberDeclaration {
  readonly name: string | undefined;
  readonly type: CType;
  /** Bits of a bitfield. */
  readonly bitWidth?: number;
  /** Bytes that `aligned` on the member asks for. */
  readonly align?: number;
  /** `packed` on the member. */
  readonly packed?: boolean;
}

/** Attributes of a whole struct or union. */
export interface RecordAttributes {
  readonly packed?: boolean;
  /** Bytes that `aligned` asks for. */
  readonly align?: number;
  /** `#pragma pack`: no member is more aligned. */
  readonly mostAlign?: number;
}

/**
 * Lays a struct or union out. Unnamed bitfields take room and are no members. Members whose type has no size (an error of the program)
 * count as empty.
 */
export function layOut(
  union: boolean,
  declarations: readonly MemberDeclaration[],
  attributes: RecordAttributes = {},
): RecordBody {
  const fields: Field[] = [];
  let align = 1;
  /** Bits that are taken so far; in a union by the largest member. */
  let bits = 0;
  for (const member of declarations) {
    const start = union ? 0 : bits;
    const size = sizeOf(member.type) ?? 0;
    const packed = attributes.packed === true || member.packed === true;
    const place = { start, natural: alignOf(member.type), explicit: member.align, most: attributes.mostAlign, packed };
    let at: number;
    if (member.bitWidth === undefined) {
      const wanted = memberAlign(place);
      at = roundUp(start, wanted * 8);
      align = Math.max(align, wanted);
      bits = union ? Math.max(bits, size * 8) : at + size * 8;
    } else {
      const placed = placeBitfield(place, member.bitWidth, size * 8);
      ({ at } = placed);
      bits = union ? Math.max(bits, member.bitWidth) : at + member.bitWidth;
      // Unnamed bitfields align nothing.
      if (member.name !== undefined) align = Math.max(align, placed.align);
    }
    if (member.name === undefined && member.bitWidth !== undefined) continue;
    fields.push({
      name: member.name,
      type: member.type,
      bitOffset: at,
      bitWidth: member.bitWidth,
      index: fields.length,
    });
  }
  if (attributes.align !== undefined) align = Math.max(align, attributes.align);
  return { fields, align, size: roundUp(Math.ceil(bits / 8), align) };
}

/** What decides where a member goes. Alignments in bytes. */
interface Place {
  /** First bit that is free. */
  readonly start: number;
  /** Of the member's type. */
  readonly natural: number;
  readonly explicit: number | undefined;
  /** Of `#pragma pack`. */
  readonly most: number | undefined;
  readonly packed: boolean;
}

function memberAlign({ natural, explicit = 1, most = Infinity, packed }: Place): number {
  return Math.min(Math.max(packed ? 1 : natural, explicit), most);
}

/**
 * A bitfield does not cross the boundary of a unit of its type, unless it is packed or `#pragma pack` rules; one of no width closes the
 * unit. Pairs with clang's `ItaniumRecordLayoutBuilder::LayoutBitField`.
 */
function placeBitfield(place: Place, width: number, unit: number): { readonly at: number; readonly align: number } {
  const { start, natural, explicit, most, packed } = place;
  const unpacked = Math.max(natural, explicit ?? 1) * 8;
  let boundary = packed && width > 0 ? Math.max(1, (explicit ?? 0) * 8) : unpacked;
  // `#pragma pack` takes the place of `packed`: a packed bitfield may then even be more aligned.
  if (most !== undefined && width > 0) boundary = Math.min(packed ? unpacked : boundary, most * 8);
  let at = start;
  if (width === 0 || (most === undefined && (start % boundary) + width > unit)) at = roundUp(start, boundary);
  else if (explicit !== undefined && explicit <= (most ?? explicit)) at = roundUp(start, explicit * 8);
  return { at, align: Math.max(1, boundary / 8) };
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** A member found by name, with the way to it through anonymous members. */
export interface FoundField {
  /** From the record that was asked to the member, which is last. */
  readonly path: readonly Field[];
  /** Bits from the start of that record. */
  readonly bitOffset: number;
}

/** Finds a member by name, in anonymous structs and unions too. */
export function findField(body: RecordBody, name: string): FoundField | undefined {
  for (const field of body.fields) {
    if (field.name === name) return { path: [field], bitOffset: field.bitOffset };
    if (field.name !== undefined) continue;
    const inner = shapeOf(field.type);
    const found = inner.kind === "record" && inner.contents !== undefined ? findField(inner.contents, name) : undefined;
    if (found !== undefined) return { path: [field, ...found.path], bitOffset: field.bitOffset + found.bitOffset };
  }
  return undefined;
}
