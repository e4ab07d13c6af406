/** The number that a relocation puts into an instruction, computed from a place in a type. Pairs with libbpf's `bpf_core_calc_relo`. */
import type { Btf } from "../btf.ts";
import { BtfIntEncoding, BtfKind } from "../kinds.ts";
import type { BtfComposite, BtfEnum } from "../types.ts";
import { isEnum } from "./compatible.ts";
import { CoreError } from "./error.ts";
import { CoreKind } from "./kinds.ts";
import { type CoreSpec, knownSize, specText } from "./spec.ts";

/** Widest load of a bitfield, in bytes. */
const WIDEST_LOAD = 8;

/** What a relocation asks for, in one BTF. */
export interface CoreValue {
  /** Signed where an enum's value is negative. */
  readonly value: bigint;
  /** The instruction must hold the program's own value before it is changed; what compilers may choose freely is not compared. */
  readonly exact: boolean;
  /** Bytes of the field for loads and stores, of arrays those of an element; 0 when the relocation is not about an access, or a bitfield. */
  readonly size: number;
  /** Type of that field without modifiers; 0 without size. */
  readonly typeId: number;
  /** Of enum values that 32 bits hold: the same bits without a sign. */
  readonly unsigned?: bigint;
}

/**
 * The value of a relocation at a place. Throws {@link CoreError} for what cannot be asked of it. The byte order is the kernel's, in which
 * bitfields are loaded.
 */
export function coreValueOf(spec: CoreSpec, bigEndian: boolean): CoreValue {
  switch (spec.kind) {
    case CoreKind.FIELD_EXISTS:
    case CoreKind.TYPE_EXISTS:
    case CoreKind.TYPE_MATCHES:
    case CoreKind.ENUMVAL_EXISTS:
      return plain(1);
    case CoreKind.TYPE_ID_LOCAL:
    case CoreKind.TYPE_ID_TARGET:
      // Linking renumbers types and may leave the instruction as it was.
      return plain(spec.rootTypeId, false);
    case CoreKind.TYPE_SIZE:
      return plain(knownSize(spec.btf, spec.rootTypeId));
    case CoreKind.ENUMVAL_VALUE:
      return enumValue(spec);
    default:
      return spec.steps.at(-1)!.name === undefined ? elementValue(spec) : memberValue(spec, bigEndian);
  }
}

function plain(value: number, exact: boolean = true): CoreValue {
  return { value: BigInt(value), exact, size: 0, typeId: 0 };
}

function enumValue(spec: CoreSpec): CoreValue {
  const { typeId, index } = spec.steps[0]!;
  const type = spec.btf.typeById(typeId) as BtfEnum;
  const { value } = type.values[index]!;
  const shape = { exact: true, size: 0, typeId: 0 };
  if (type.kind === BtfKind.ENUM64) return { value, ...shape };
  // Compilers before clang 15 do not say whether an enum is signed, and libbpf takes all as signed.
  return { value: BigInt.asIntN(32, value), ...shape, unsigned: type.signed ? value : BigInt.asUintN(32, value) };
}

/** Bytes of what a load of an array reads: its innermost element. */
function accessSize(btf: Btf, typeId: number): number {
  let type = btf.typeById(btf.stripModifiers(typeId));
  for (let depth = 0; type.kind === BtfKind.ARRAY; depth++) {
    if (depth === 32) throw new CoreError(`arrays are nested deeper than ${depth}`);
    type = btf.typeById(btf.stripModifiers(type.elementTypeId));
  }
  return knownSize(btf, type.id);
}

/** Of the root itself, or of an element of an array. */
function elementValue(spec: CoreSpec): CoreValue {
  const { typeId } = spec.steps.at(-1)!;
  switch (spec.kind) {
    case CoreKind.FIELD_BYTE_OFFSET:
      return { value: BigInt(Math.floor(spec.bitOffset / 8)), exact: true, size: accessSize(spec.btf, typeId), typeId };
    case CoreKind.FIELD_BYTE_SIZE:
      return plain(knownSize(spec.btf, typeId));
    default:
      throw new CoreError(`${specText(spec)} is no member of a struct: only its offset and size can be asked`);
  }
}

/** Where a load reads a member: bytes from the start of the root, and their number. */
interface Load {
  readonly byteOffset: number;
  readonly byteSize: number;
}

/** The smallest aligned load that has all bits of a bitfield, beginning with the size of its declared type. */
function bitfieldLoad(spec: CoreSpec, declaredSize: number, bits: number): Load {
  for (let byteSize = declaredSize; byteSize > 0 && byteSize <= WIDEST_LOAD; byteSize *= 2) {
    const byteOffset = Math.floor(spec.bitOffset / 8 / byteSize) * byteSize;
    if (spec.bitOffset + bits - byteOffset * 8 <= byteSize * 8) return { byteOffset, byteSize };
  }
  throw new CoreError(
    `bitfield of ${bits} bits at bit ${spec.bitOffset}: no aligned load of ${WIDEST_LOAD} bytes has all of it`,
  );
}

function memberValue(spec: CoreSpec, bigEndian: boolean): CoreValue {
  const { btf, bitOffset } = spec;
  const step = spec.steps.at(-1)!;
  const member = (btf.typeById(step.typeId) as BtfComposite).members[step.index]!;
  const typeId = btf.stripModifiers(member.typeId);
  const isBitfield = member.bitfieldSize > 0;
  const size = knownSize(btf, typeId);
  const load = isBitfield
    ? bitfieldLoad(spec, size, member.bitfieldSize)
    : { byteOffset: Math.floor(bitOffset / 8), byteSize: size };
  const bits = isBitfield ? member.bitfieldSize : size * 8;
  // The compiler may read a bitfield with another load than this, so that only what does not depend on the load is compared.
  const exact = !isBitfield;
  switch (spec.kind) {
    case CoreKind.FIELD_BYTE_OFFSET:
      if (isBitfield) return plain(load.byteOffset, false);
      return { value: BigInt(load.byteOffset), exact, size: accessSize(btf, typeId), typeId };
    case CoreKind.FIELD_BYTE_SIZE:
      return plain(load.byteSize, exact);
    case CoreKind.FIELD_SIGNED:
      return plain(isSigned(btf, typeId) ? 1 : 0);
    case CoreKind.FIELD_LSHIFT_U64: {
      const bitInLoad = bitOffset - load.byteOffset * 8;
      // Fields wider than a register have no shift; libbpf's 32-bit arithmetic decides what they get.
      return plain((bigEndian ? (8 - load.byteSize) * 8 + bitInLoad : 64 - (bitInLoad + bits)) >>> 0, exact);
    }
    case CoreKind.FIELD_RSHIFT_U64:
      return plain((64 - bits) >>> 0);
    default:
      throw new CoreError(`kind ${spec.kind} of relocation is not known`);
  }
}

function isSigned(btf: Btf, typeId: number): boolean {
  const type = btf.typeById(typeId);
  if (type.kind === BtfKind.INT) return (type.encoding & BtfIntEncoding.SIGNED) !== 0;
  return isEnum(type.kind) && (type as BtfEnum).signed;
}

/**
 * Whether a load or store of the program may be changed to the kernel's size of the field: pointers, and integers that are unsigned on both
 * sides, since a load fills the upper bits with zeros.
 */
export function canResize(local: Btf, localTypeId: number, target: Btf, targetTypeId: number): boolean {
  const a = local.typeById(localTypeId);
  const b = target.typeById(targetTypeId);
  if (a.kind === BtfKind.PTR && b.kind === BtfKind.PTR) return true;
  if (a.kind !== BtfKind.INT || b.kind !== BtfKind.INT) return false;
  return a.encoding !== BtfIntEncoding.SIGNED && b.encoding !== BtfIntEncoding.SIGNED;
}
