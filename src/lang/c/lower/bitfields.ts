/** Bitfields in memory: the narrowest aligned unit that holds all bits, or several of them for those of packed records. */
import type { MemBits, Value } from "../../../compiler/index.ts";
import { qualifiersOf } from "../types/types.ts";
import type { Body } from "./body.ts";
import { isSigned, type Place } from "./place.ts";
import { irTypeOf } from "./signature.ts";

/** A part of a bitfield in one unit of memory. */
interface Piece {
  /** Bytes from the place's base. */
  readonly offset: number;
  readonly unitBits: MemBits;
  /** First bit in the unit. */
  readonly shift: number;
  readonly width: number;
  /** First bit in the value. */
  readonly at: number;
}

function piecesOf(place: Place): Piece[] {
  const { offset: bitOffset, width, align } = place.bits!;
  const first = place.offset * 8 + bitOffset;
  for (const size of [1, 2, 4, 8]) {
    const bits = size * 8;
    const start = Math.floor(first / bits) * bits;
    if (size > align || first + width > start + bits) continue;
    return [{ offset: start / 8, unitBits: bits as MemBits, shift: first - start, width, at: 0 }];
  }
  const bits = align * 8;
  const pieces: Piece[] = [];
  for (let at = 0; at < width;) {
    const start = Math.floor((first + at) / bits) * bits;
    const shift = first + at - start;
    const part = Math.min(bits - shift, width - at);
    pieces.push({ offset: start / 8, unitBits: bits as MemBits, shift, width: part, at });
    at += part;
  }
  return pieces;
}

function maskOf(width: number): bigint {
  return (1n << BigInt(width)) - 1n;
}

/** The lowest bits of an i32 or i64, extended by their sign or by zeros. */
export function lowBits(body: Body, value: Value, width: number, signed: boolean): Value {
  const { b } = body;
  const bits = value.type === "i32" ? 32 : 64;
  if (width >= bits) return value;
  if (width === 8 || width === 16 || width === 32) {
    const narrow = value.type as "i32" | "i64";
    return signed ? b.sext(value, width, narrow) : b.zext(value, width, narrow);
  }
  if (!signed) return b.binary("and", value, b.const(maskOf(width), value.type));
  const amount = b.const(bits - width, value.type);
  return b.binary("ashr", b.binary("shl", value, amount), amount);
}

function widen(body: Body, value: Value, signed: boolean): Value {
  if (value.type !== "i32") return value;
  return signed ? body.b.sext(value, 32) : body.b.zext(value, 32);
}

/** The value of a bitfield. */
export function loadBitfield(body: Body, place: Place): Value {
  const { b } = body;
  const { base } = place;
  const signed = isSigned(place.type);
  const { volatile } = qualifiersOf(place.type);
  const result = irTypeOf(place.type);
  const pieces = piecesOf(place);
  const [only] = pieces as [Piece];
  if (pieces.length === 1) {
    const type = only.unitBits === 64 ? "i64" : "i32";
    let value: Value = b.load(base, only.unitBits, { offset: only.offset, type, volatile });
    if (signed) {
      const bits = type === "i64" ? 64 : 32;
      const left = bits - only.shift - only.width;
      if (left > 0) value = b.binary("shl", value, b.const(left, type));
      if (only.width < bits) value = b.binary("ashr", value, b.const(bits - only.width, type));
    } else {
      if (only.shift > 0) value = b.binary("lshr", value, b.const(only.shift, type));
      if (only.shift + only.width < only.unitBits) value = b.binary("and", value, b.const(maskOf(only.width), type));
    }
    if (type === result) return value;
    return result === "i32" ? b.trunc(value) : widen(body, value, signed);
  }
  let whole: Value | undefined;
  for (const piece of pieces) {
    let part: Value = b.load(base, piece.unitBits, { offset: piece.offset, type: "i64", volatile });
    if (piece.shift > 0) part = b.binary("lshr", part, b.const(piece.shift));
    if (piece.shift + piece.width < piece.unitBits) part = b.binary("and", part, b.const(maskOf(piece.width)));
    if (piece.at > 0) part = b.binary("shl", part, b.const(piece.at));
    whole = whole === undefined ? part : b.binary("or", whole, part);
  }
  const { width } = place.bits!;
  const value = signed ? lowBits(body, whole!, width, true) : whole!;
  return result === "i32" ? b.trunc(value) : value;
}

/** Puts a value into a bitfield and leaves the bits around it. */
export function storeBitfield(body: Body, place: Place, value: Value): void {
  const { b } = body;
  const { base } = place;
  const { volatile } = qualifiersOf(place.type);
  for (const piece of piecesOf(place)) {
    const type = piece.unitBits === 64 || value.type === "i64" ? "i64" : "i32";
    const { offset, unitBits, shift, width } = piece;
    let part = value.type === "i32" && type === "i64" ? b.zext(value, 32) : value;
    if (piece.at > 0) part = b.binary("lshr", part, b.const(piece.at, type));
    if (width === unitBits) {
      b.store(base, part, unitBits, { offset, volatile });
      continue;
    }
    part = b.binary("and", part, b.const(maskOf(width), type));
    if (shift > 0) part = b.binary("shl", part, b.const(shift, type));
    const before = b.load(base, unitBits, { offset, type, volatile });
    const kept = b.binary("and", before, b.const(maskOf(unitBits) & ~(maskOf(width) << BigInt(shift)), type));
    b.store(base, b.binary("or", kept, part), unitBits, { offset, volatile });
  }
}
