/** Bitfields: some bits at any bit offset. */
import type { Part, Read } from "./part.ts";
import { ValueProblem, shown } from "./part.ts";
import { enumConstant, integerOf, requireRange } from "./scalars.ts";

/** What the bits are. */
export interface BitsType {
  readonly name: string;
  readonly signed: boolean;
  readonly shape: "number" | "bigint" | "bool";
  /** Of enums. */
  readonly constants?: ReadonlyMap<string, bigint>;
}

/** Bits of up to 32 that lie within four bytes, without a bigint. */
function readNumber(shift: number, bits: number, signed: boolean): (view: DataView, offset: number) => number {
  const bytes = (shift + bits + 7) >> 3;
  const left = 32 - bits - shift;
  const right = 32 - bits;
  return (view, offset) => {
    let word = view.getUint8(offset);
    if (bytes > 1) word |= view.getUint8(offset + 1) << 8;
    if (bytes > 2) word |= view.getUint8(offset + 2) << 16;
    if (bytes > 3) word |= view.getUint8(offset + 3) << 24;
    return signed ? (word << left) >> right : (word << left) >>> right;
  };
}

function readBigint(shift: number, bits: number, signed: boolean): (view: DataView, offset: number) => bigint {
  const bytes = (shift + bits + 7) >> 3;
  return (view, offset) => {
    let word = 0n;
    for (let at = bytes - 1; at >= 0; at--) word = (word << 8n) | BigInt(view.getUint8(offset + at));
    word >>= BigInt(shift);
    return signed ? BigInt.asIntN(bits, word) : BigInt.asUintN(bits, word);
  };
}

/** A bitfield of `bits` bits that starts `shift` bits (0 to 7) into its first byte. Its size is that of the bytes it touches. */
export function bitsPart(shift: number, bits: number, type: BitsType): Part {
  const { name, signed, shape, constants } = type;
  const bytes = (shift + bits + 7) >> 3;
  const small = shift + bits <= 32;
  const number = readNumber(shift, bits, signed);
  const bigint = readBigint(shift, bits, signed);
  const reads: Readonly<Record<BitsType["shape"], Read>> = {
    bool: (view, offset) => bigint(view, offset) !== 0n,
    number: small ? number : (view, offset) => Number(bigint(view, offset)),
    bigint: small ? (view, offset) => BigInt(number(view, offset)) : bigint,
  };
  const label = `${name}:${bits}`;
  return {
    size: bytes,
    read: reads[shape],
    write: (view, offset, value) => {
      let integer: bigint;
      if (shape === "bool") {
        if (typeof value !== "boolean")
          throw new ValueProblem(`${label} wants true or false, not ${shown(value)}`, false);
        integer = value ? 1n : 0n;
      } else if (constants !== undefined && typeof value === "string") {
        integer = enumConstant(constants, value, name);
      } else {
        integer = integerOf(value, label);
      }
      requireRange(integer, bits, signed, label);
      // The bytes are zero, but for bitfields that share them.
      let word = BigInt.asUintN(bits, integer) << BigInt(shift);
      for (let at = 0; at < bytes; at++, word >>= 8n) {
        view.setUint8(offset + at, view.getUint8(offset + at) | Number(word & 0xffn));
      }
    },
  };
}
