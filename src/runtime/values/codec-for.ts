/** From a type of BTF to the codec of its values. */
import {
  type Btf,
  BtfIntEncoding,
  BtfKind,
  type BtfMember,
  type BtfType,
  printBtfDeclaration,
} from "../../btf/index.ts";
import { arrayPart, byteArrayPart, textPart } from "./arrays.ts";
import { bitsPart } from "./bits.ts";
import type { Codec } from "./codec.ts";
import { type MemberGroup, type NamedMember, compositePart } from "./composites.ts";
import { type Part, type PartOptions, ValueProblem } from "./part.ts";
import { boolPart, enumConstants, enumPart, floatPart, intPart, pointerPart } from "./scalars.ts";

/** Options of {@link codecFor}. */
export type CodecOptions = PartOptions;

/** The type as C names it; of anonymous structs and unions no more than that. */
export function typeNameOf(btf: Btf, typeId: number): string {
  const type = btf.typeById(typeId);
  if (type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION) {
    const keyword = type.kind === BtfKind.STRUCT ? "struct" : "union";
    return type.name === "" ? keyword : `${keyword} ${type.name}`;
  }
  if (type.kind === BtfKind.ENUM || type.kind === BtfKind.ENUM64)
    return type.name === "" ? "enum" : `enum ${type.name}`;
  if (type.kind === BtfKind.VAR || type.kind === BtfKind.DATASEC || type.kind === BtfKind.FUNC) return type.name;
  return printBtfDeclaration(btf, typeId);
}

/** Whether a type, typedefs looked through, is C's `char`: arrays of it are text. Kernels and compilers call it signed or not. */
export function isCharType(btf: Btf, typeId: number): boolean {
  const type = btf.typeById(btf.stripModifiers(typeId));
  return (
    type.kind === BtfKind.INT &&
    type.size === 1 &&
    (type.name === "char" || (type.encoding & BtfIntEncoding.CHAR) !== 0)
  );
}

/** Whether arrays of a type are bytes: unsigned integers of one byte that are no text. */
export function isByteType(btf: Btf, typeId: number): boolean {
  const type = btf.typeById(btf.stripModifiers(typeId));
  return type.kind === BtfKind.INT && type.size === 1 && type.bits === 8 && type.encoding === 0 && type.name !== "char";
}

/** More than all structs of a kernel together have. */
const MEMBER_LIMIT = 1 << 22;

/** Puts together the parts of the types of one BTF, each once. */
class PartBuilder {
  private readonly btf: Btf;
  private readonly options: PartOptions;
  private readonly parts = new Map<number, Part>();
  private readonly open = new Set<number>();
  /** Members of anonymous groups that were added, against damaged data that shares one so often that it would fill the memory. */
  private members = 0;

  constructor(btf: Btf, options: PartOptions) {
    this.btf = btf;
    this.options = options;
  }

  part(typeId: number): Part {
    const id = this.btf.stripModifiers(typeId);
    const known = this.parts.get(id);
    if (known !== undefined) return known;
    const type = this.btf.typeById(id);
    if (this.open.has(id)) throw this.btf.damagedType(id, "it contains itself");
    this.open.add(id);
    try {
      const part = this.build(type, typeNameOf(this.btf, typeId));
      this.parts.set(id, part);
      return part;
    } finally {
      this.open.delete(id);
    }
  }

  private build(type: BtfType, name: string): Part {
    const { btf, options } = this;
    switch (type.kind) {
      case BtfKind.INT:
        if (type.bits !== type.size * 8 || type.bitOffset !== 0) {
          return { ...this.bitfield(type.bitOffset % 8, type.bits, type.id), size: type.size };
        }
        if ((type.encoding & BtfIntEncoding.BOOL) !== 0) return boolPart(type.size, name);
        return intPart(type.size, (type.encoding & BtfIntEncoding.SIGNED) !== 0, name, options);
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return enumPart(type, name, options);
      case BtfKind.FLOAT:
        return floatPart(type.size, name) ?? byteArrayPart(type.size, name);
      case BtfKind.PTR:
        return pointerPart(btf.pointerSize, name);
      case BtfKind.ARRAY:
        // An element without a size has no values either, and says so.
        if (isCharType(btf, type.elementTypeId)) return textPart(type.count, name);
        if (isByteType(btf, type.elementTypeId)) return byteArrayPart(type.count, name);
        return arrayPart(type.count, this.part(type.elementTypeId), name);
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        return compositePart(this.group(type.id, 0), name);
      case BtfKind.VAR:
      case BtfKind.DECL_TAG:
        return this.part(type.typeId);
      case BtfKind.DATASEC: {
        const members = type.entries
          .filter((entry) => btf.kindOf(entry.typeId) === BtfKind.VAR)
          .map((entry) => ({ name: btf.nameOf(entry.typeId), offset: entry.offset, part: this.part(entry.typeId) }));
        return compositePart({ isUnion: false, offset: 0, size: type.size, members }, name);
      }
      default:
        throw new TypeError(`${name === "" ? "void" : name}: has no values: it is no data type of known size`);
    }
  }

  private group(typeId: number, offset: number): MemberGroup {
    const { btf } = this;
    const type = btf.typeById(typeId);
    if (type.kind !== BtfKind.STRUCT && type.kind !== BtfKind.UNION) throw btf.damagedType(typeId, "it has no members");
    this.members += type.members.length;
    if (this.members > MEMBER_LIMIT) throw btf.damagedType(typeId, "with all that it contains it has too many members");
    const members = type.members.flatMap((member) => {
      const made = this.member(member, offset);
      return made === undefined ? [] : [made];
    });
    return { isUnion: type.kind === BtfKind.UNION, offset, size: type.size, members };
  }

  private member(member: BtfMember, outer: number): NamedMember | MemberGroup | undefined {
    const { btf } = this;
    const offset = outer + (member.bitOffset >> 3);
    const { bitfieldSize } = member;
    if (bitfieldSize > 0) {
      // Bits without a name are padding.
      if (member.name === "") return undefined;
      return { name: member.name, offset, part: this.bitfield(member.bitOffset & 7, bitfieldSize, member.typeId) };
    }
    const id = btf.stripModifiers(member.typeId);
    if (member.name === "") {
      const kind = btf.kindOf(id);
      if (kind !== BtfKind.STRUCT && kind !== BtfKind.UNION) return undefined;
      if (this.open.has(-id)) throw btf.damagedType(id, "it contains itself");
      this.open.add(-id);
      try {
        return this.group(id, offset);
      } finally {
        this.open.delete(-id);
      }
    }
    const type = btf.typeById(id);
    if (type.kind === BtfKind.INT && (type.bits !== type.size * 8 || type.bitOffset !== 0)) {
      // Bitfields as old compilers write them: the integer itself has the place and the number of bits.
      const bit = member.bitOffset + type.bitOffset;
      return { name: member.name, offset: outer + (bit >> 3), part: this.bitfield(bit & 7, type.bits, id) };
    }
    return { name: member.name, offset, part: this.part(member.typeId) };
  }

  private bitfield(shift: number, bits: number, typeId: number): Part {
    const { btf } = this;
    const type = btf.typeById(btf.stripModifiers(typeId));
    const name = typeNameOf(btf, typeId);
    if (type.kind === BtfKind.ENUM || type.kind === BtfKind.ENUM64) {
      return bitsPart(shift, bits, {
        name,
        ...this.wide(type.size),
        signed: type.signed,
        constants: enumConstants(type),
      });
    }
    if (type.kind !== BtfKind.INT) throw btf.damagedType(type.id, "a bitfield is of no integer type");
    const signed = (type.encoding & BtfIntEncoding.SIGNED) !== 0;
    if ((type.encoding & BtfIntEncoding.BOOL) !== 0)
      return bitsPart(shift, bits, { name, signed: false, shape: "bool" });
    return bitsPart(shift, bits, { name, signed, ...this.wide(type.size) });
  }

  private wide(size: number): { readonly shape: "number" | "bigint" } {
    const isBigint = size > 8 || (size === 8 && this.options.int64 !== "number");
    return { shape: isBigint ? "bigint" : "number" };
  }
}

function codecOf(part: Part, typeName: string): Codec {
  const { size, read, write } = part;
  const byteLength = (value: unknown): number => {
    if (part.byteLength === undefined) return size;
    try {
      return part.byteLength(value);
    } catch (error) {
      throw error instanceof ValueProblem ? error.asError(typeName) : error;
    }
  };
  return {
    size,
    typeName,
    byteLength,
    read: (view, offset, end) => {
      if (end === undefined) return read(view, offset, 0);
      if (end - offset < size) throw new RangeError(`${typeName}: has ${size} bytes, there are ${end - offset}`);
      return read(view, offset, end);
    },
    write: (view, offset, value) => {
      const length = byteLength(value);
      if (offset < 0 || offset + length > view.byteLength) {
        throw new RangeError(`${typeName}: ${length} bytes at ${offset} do not fit into ${view.byteLength}`);
      }
      new Uint8Array(view.buffer, view.byteOffset + offset, length).fill(0);
      try {
        write(view, offset, value);
      } catch (error) {
        throw error instanceof ValueProblem ? error.asError(typeName) : error;
      }
    },
  };
}

interface KnownCodecs {
  readonly builder: PartBuilder;
  readonly codecs: Map<number, Codec>;
}

const known = { bigint: new WeakMap<Btf, KnownCodecs>(), number: new WeakMap<Btf, KnownCodecs>() };

/**
 * The codec of a type, made once for each BTF. `T` is what the caller knows the type to be; nothing checks it. Throws TypeError for
 * types that have no values (void, functions, forward declarations), ParseError for damaged BTF.
 */
export function codecFor<T = unknown>(btf: Btf, typeId: number, options: CodecOptions = {}): Codec<T> {
  const cache = known[options.int64 ?? "bigint"];
  let entry = cache.get(btf);
  if (entry === undefined) cache.set(btf, (entry = { builder: new PartBuilder(btf, options), codecs: new Map() }));
  let codec = entry.codecs.get(typeId);
  if (codec === undefined) {
    codec = codecOf(entry.builder.part(typeId), typeNameOf(btf, typeId));
    entry.codecs.set(typeId, codec);
  }
  return codec as Codec<T>;
}
