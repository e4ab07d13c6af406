/** Integers, enums, floats, booleans and pointers. The kernel's byte order is little on every machine that Skep runs on. */
import type { BtfEnum } from "../../btf/index.ts";
import { nearestNames } from "../../base/index.ts";
import { type Part, type PartOptions, type Read, ValueProblem, type Write, shown } from "./part.ts";

const TWO_32 = 0x1_0000_0000;

/** A number or bigint as a bigint; other values and fractions are a problem. */
export function integerOf(value: unknown, name: string): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value !== "number") throw new ValueProblem(`${name} wants an integer, not ${shown(value)}`, false);
  if (!Number.isInteger(value)) throw new ValueProblem(`${name} wants an integer, not ${value}`, true);
  if (!Number.isSafeInteger(value)) throw new ValueProblem(`${name}: ${value} is not exact: give a bigint`, true);
  return BigInt(value);
}

/** Checks a range. */
export function requireRange(value: bigint, bits: number, signed: boolean, name: string): void {
  const low = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const high = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  if (value < low || value > high) throw new ValueProblem(`${name}: ${value} is not from ${low} to ${high}`, true);
}

interface SmallInt {
  readonly read: (view: DataView, offset: number) => number;
  readonly write: (view: DataView, offset: number, value: number) => void;
  readonly low: number;
  readonly high: number;
}

/** Integers that are numbers, by `s` or `u` and bytes. */
const smallInts: Readonly<Record<string, SmallInt>> = {
  u1: { read: (v, o) => v.getUint8(o), write: (v, o, x) => v.setUint8(o, x), low: 0, high: 0xff },
  s1: { read: (v, o) => v.getInt8(o), write: (v, o, x) => v.setInt8(o, x), low: -0x80, high: 0x7f },
  u2: { read: (v, o) => v.getUint16(o, true), write: (v, o, x) => v.setUint16(o, x, true), low: 0, high: 0xffff },
  s2: { read: (v, o) => v.getInt16(o, true), write: (v, o, x) => v.setInt16(o, x, true), low: -0x8000, high: 0x7fff },
  u4: { read: (v, o) => v.getUint32(o, true), write: (v, o, x) => v.setUint32(o, x, true), low: 0, high: 0xffff_ffff },
  s4: {
    read: (v, o) => v.getInt32(o, true),
    write: (v, o, x) => v.setInt32(o, x, true),
    low: -0x8000_0000,
    high: 0x7fff_ffff,
  },
};

/** Readers of 64 bits. */
const wideReads: Readonly<Record<string, Read>> = {
  // Most values are small, and a bigint of 32 bits is cheaper made than one of 64.
  "u bigint": (v, o) => (v.getUint32(o + 4, true) === 0 ? BigInt(v.getUint32(o, true)) : v.getBigUint64(o, true)),
  "s bigint": (v, o) => v.getBigInt64(o, true),
  "u number": (v, o) => v.getUint32(o, true) + v.getUint32(o + 4, true) * TWO_32,
  "s number": (v, o) => v.getUint32(o, true) + v.getInt32(o + 4, true) * TWO_32,
};

function writeWide(signed: boolean, name: string): Write {
  return (view, offset, value) => {
    if (typeof value === "number" && value >= 0 && Number.isSafeInteger(value)) {
      view.setUint32(offset, value >>> 0, true);
      view.setUint32(offset + 4, Math.floor(value / TWO_32), true);
      return;
    }
    const integer = integerOf(value, name);
    requireRange(integer, 64, signed, name);
    view.setBigUint64(offset, BigInt.asUintN(64, integer), true);
  };
}

/** An integer of whole bytes: 1, 2, 4 and 8 are what C has, 16 is `__int128`. */
export function intPart(size: number, signed: boolean, name: string, options: PartOptions): Part {
  const small = smallInts[`${signed ? "s" : "u"}${size}`];
  if (small !== undefined) {
    const { low, high, write } = small;
    return {
      size,
      read: small.read,
      write: (view, offset, value) => {
        if (typeof value === "number" && Number.isInteger(value) && value >= low && value <= high) {
          write(view, offset, value);
          return;
        }
        const integer = integerOf(value, name);
        requireRange(integer, size * 8, signed, name);
        write(view, offset, Number(integer));
      },
    };
  }
  if (size === 8) {
    const read = wideReads[`${signed ? "s" : "u"} ${options.int64 ?? "bigint"}`]!;
    return { size, read, write: writeWide(signed, name) };
  }
  return {
    size,
    read: (view, offset) => {
      let value = 0n;
      for (let at = size - 1; at >= 0; at--) value = (value << 8n) | BigInt(view.getUint8(offset + at));
      return signed ? BigInt.asIntN(size * 8, value) : value;
    },
    write: (view, offset, value) => {
      const integer = integerOf(value, name);
      requireRange(integer, size * 8, signed, name);
      let left = BigInt.asUintN(size * 8, integer);
      for (let at = 0; at < size; at++, left >>= 8n) view.setUint8(offset + at, Number(left & 0xffn));
    },
  };
}

/** `_Bool`: any byte but zero is true. */
export function boolPart(size: number, name: string): Part {
  return {
    size,
    read: (view, offset) => view.getUint8(offset) !== 0,
    write: (view, offset, value) => {
      if (typeof value !== "boolean") throw new ValueProblem(`${name} wants true or false, not ${shown(value)}`, false);
      view.setUint8(offset, value ? 1 : 0);
    },
  };
}

/** A pointer: its address. */
export function pointerPart(size: number, name: string): Part {
  if (size === 8) return { size, read: wideReads["u bigint"]!, write: writeWide(false, name) };
  const plain = intPart(size, false, name, {});
  return { ...plain, read: (view, offset) => BigInt(view.getUint32(offset, true)) };
}

/** Numbers of constants, by name. */
export function enumConstants(type: BtfEnum): ReadonlyMap<string, bigint> {
  return new Map(type.values.map(({ name, value }) => [name, value]));
}

/** Number of a constant that is given by its name. */
export function enumConstant(constants: ReadonlyMap<string, bigint>, text: string, name: string): bigint {
  const value = constants.get(text);
  if (value !== undefined) return value;
  const near = nearestNames(text, constants.keys());
  const hint = near.length === 0 ? "" : `; did you mean ${near.join(", ")}?`;
  throw new ValueProblem(`${name} has no constant ${text}${hint}`, true);
}

/** An enum: its number; constants may be given by name when writing. */
export function enumPart(type: BtfEnum, name: string, options: PartOptions): Part {
  const plain = intPart(type.size, type.signed, name, options);
  let constants: ReadonlyMap<string, bigint> | undefined;
  return {
    ...plain,
    write: (view, offset, value) => {
      if (typeof value !== "string") return plain.write(view, offset, value);
      constants ??= enumConstants(type);
      plain.write(view, offset, enumConstant(constants, value, name));
    },
  };
}

function half(view: DataView, offset: number): number {
  const bits = view.getUint16(offset, true);
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Bits of the nearest half, ties to even. */
function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  // Halfway from the largest half to the next power of two, which rounds to infinity.
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size === 0 ? 2 ** -25 : size)));
  const scaled = (size / 2 ** exponent) * 1024;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  // Below 1024 the number has no leading one; 2048 carries into the exponent by itself.
  return sign | (rounded < 1024 ? rounded : ((exponent + 15) << 10) + (rounded - 1024));
}

const floats: Readonly<Record<number, [read: Read, write: (view: DataView, offset: number, value: number) => void]>> = {
  2: [half, (v, o, x) => v.setUint16(o, halfBits(x), true)],
  4: [(v, o) => v.getFloat32(o, true), (v, o, x) => v.setFloat32(o, x, true)],
  8: [(v, o) => v.getFloat64(o, true), (v, o, x) => v.setFloat64(o, x, true)],
};

/** A float of 2, 4 or 8 bytes; undefined for `long double`, whose format BTF does not tell. */
export function floatPart(size: number, name: string): Part | undefined {
  const known = floats[size];
  if (known === undefined) return undefined;
  const [read, write] = known;
  return {
    size,
    read,
    write: (view, offset, value) => {
      if (typeof value !== "number") throw new ValueProblem(`${name} wants a number, not ${shown(value)}`, false);
      write(view, offset, value);
    },
  };
}
