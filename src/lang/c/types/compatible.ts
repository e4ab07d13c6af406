/** Which types are the same or go together, and what arithmetic makes of them (C11 6.2.7, 6.3.1). */
import { sizeOf } from "./layout.ts";
import {
  type CType,
  INT,
  type IntegerType,
  LONG_LONG,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  UNSIGNED_LONG_LONG,
  integerTypes,
  qualifiersOf,
  shapeOf,
} from "./types.ts";

/** True for compatible types; qualifiers at the top do not count, those behind pointers do. */
export function compatible(a: CType, b: CType): boolean {
  const x = shapeOf(a);
  const y = shapeOf(b);
  if (x === y) return true;
  if (x.kind !== y.kind) {
    // An enum goes with the integer that holds it.
    if (x.kind === "enum") return y.kind === "integer" && x.contents?.underlying === y;
    if (y.kind === "enum") return x.kind === "integer" && y.contents?.underlying === x;
    return false;
  }
  switch (x.kind) {
    case "pointer": {
      const other = (y as typeof x).to;
      return sameQualifiers(x.to, other) && compatible(x.to, other);
    }
    case "array": {
      const other = y as typeof x;
      const sameCount = x.count === other.count || x.count === undefined || other.count === undefined;
      return sameCount && sameQualifiers(x.of, other.of) && compatible(x.of, other.of);
    }
    case "function": {
      const other = y as typeof x;
      if (!compatible(x.result, other.result)) return false;
      if (x.unprototyped || other.unprototyped) return true;
      return (
        x.variadic === other.variadic &&
        x.params.length === other.params.length &&
        x.params.every((param, i) => compatible(param.type, other.params[i]!.type))
      );
    }
    case "integer":
      return x.name === (y as IntegerType).name;
    case "float":
      return x.name === (y as typeof x).name;
    case "record":
    case "enum":
      // One kernel type that was read twice, or one of the program.
      return x.kernelTypeId !== 0 && x.kernelTypeId === (y as typeof x).kernelTypeId;
    default:
      return true;
  }
}

function sameQualifiers(a: CType, b: CType): boolean {
  const x = qualifiersOf(a);
  const y = qualifiersOf(b);
  return x.const === y.const && x.volatile === y.volatile;
}

/** Integers, enums and `_Bool`. */
export function isInteger(type: CType): boolean {
  const { kind } = shapeOf(type);
  return kind === "integer" || kind === "enum" || kind === "bool";
}

/** What conditions take: integers and pointers. */
export function isScalar(type: CType): boolean {
  return isInteger(type) || shapeOf(type).kind === "pointer" || shapeOf(type).kind === "float";
}

/** The integer type that an integer, enum or `_Bool` computes as before promotion. */
export function integerShape(type: CType): IntegerType {
  const shape = shapeOf(type);
  if (shape.kind === "integer") return shape;
  if (shape.kind === "enum") return shape.contents?.underlying ?? UNSIGNED_INT;
  return integerTypes.find((candidate) => candidate.bits === 8 && !candidate.signed)!;
}

/** Integer promotion: what is narrower than `int` becomes `int`. `bitWidth` of a bitfield decides by its width. */
export function promoted(type: CType, bitWidth?: number): IntegerType {
  const shape = integerShape(type);
  if (bitWidth !== undefined) {
    if (bitWidth < 32 || (bitWidth === 32 && shape.signed)) return INT;
    if (bitWidth === 32) return UNSIGNED_INT;
  }
  return shape.rank < INT.rank ? INT : shape;
}

/** The common type of two promoted integers. */
export function commonInteger(a: IntegerType, b: IntegerType): IntegerType {
  if (a.name === b.name) return a;
  if (a.signed === b.signed) return a.rank >= b.rank ? a : b;
  const [signed, unsigned] = a.signed ? [a, b] : [b, a];
  if (unsigned.rank >= signed.rank) return unsigned;
  if (signed.bits > unsigned.bits) return signed;
  return integerTypes.find((candidate) => candidate.rank === signed.rank && !candidate.signed)!;
}

/** The type of an integer constant (C11 6.4.4.1). */
export function constantType(value: bigint, unsigned: boolean, longs: number, decimal: boolean): IntegerType {
  const candidates = integerTypes.filter((type) => type.rank >= INT.rank + longs && type.rank <= LONG_LONG.rank);
  for (const type of candidates) {
    if (unsigned && type.signed) continue;
    // Decimal constants do not become unsigned by themselves, except where nothing else holds them.
    if (decimal && !unsigned && !type.signed) continue;
    const most = type.signed ? 1n << BigInt(type.bits - 1) : 1n << BigInt(type.bits);
    if (value < most) return type;
  }
  return longs === 2 ? UNSIGNED_LONG_LONG : UNSIGNED_LONG;
}

/** A value wrapped to an integer type. */
export function wrapTo(value: bigint, type: CType): bigint {
  const shape = shapeOf(type);
  if (shape.kind === "bool") return value === 0n ? 0n : 1n;
  if (shape.kind === "pointer") return BigInt.asUintN(64, value);
  const { bits, signed } = integerShape(type);
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

/** True for types that an object can have: not `void`, functions, and what is not defined. */
export function isComplete(type: CType): boolean {
  return sizeOf(type) !== undefined;
}

/** What two declarations of one thing say together: an array's count, a function's parameters. */
export function composite(a: CType, b: CType): CType {
  const x = shapeOf(a);
  const y = shapeOf(b);
  if (x.kind === "array" && y.kind === "array" && x.count === undefined && y.count !== undefined) return b;
  if (x.kind === "function" && y.kind === "function" && x.unprototyped) return b;
  return a;
}
