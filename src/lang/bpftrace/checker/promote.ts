/** How types meet: which type a variable, map or choice has that is given values of several types. */
import { I64, type IntType, sameType, type Type, U64 } from "../types.ts";

/**
 * The type of integer literals: int64 to whoever reads it, but a literal takes the type of the values it meets. One object for each
 * number of bytes that the literal needs; what makes them special is their identity.
 */
const LITERALS: ReadonlyMap<number, IntType> = new Map([1, 2, 4, 8].map((size) => [size, { ...I64 }]));
const ZERO: IntType = { ...I64 };
const NEEDED: ReadonlyMap<Type, number> = new Map<Type, number>([
  ...[...LITERALS].map(([size, type]): [Type, number] => [type, size]),
  [ZERO, 1],
]);

/** The type of an integer literal. Negative values and those above the int64 range have a fixed one. */
export function literalType(value: bigint): IntType {
  if (value < 0n) return I64;
  if (value === 0n) return ZERO;
  if (value < 1n << 7n) return LITERALS.get(1)!;
  if (value < 1n << 15n) return LITERALS.get(2)!;
  if (value < 1n << 31n) return LITERALS.get(4)!;
  return value < 1n << 63n ? LITERALS.get(8)! : U64;
}

/** True for types of literals, which take the sign and size of what they meet. */
export function isLiteralType(type: Type): boolean {
  return NEEDED.has(type);
}

/** True when nothing is gained by replacing `a` with `b`: the same type, literals told from others. */
export function unchanged(a: Type, b: Type): boolean {
  if (a === b) return true;
  if (NEEDED.get(a) !== NEEDED.get(b)) return false;
  if (a.kind === "tuple" && b.kind === "tuple") {
    return a.items.length === b.items.length && a.items.every((item, i) => unchanged(item, b.items[i]!));
  }
  if (a.kind === "pointer" && b.kind === "pointer") return a.space === b.space && sameType(a, b);
  if (a.kind === "int" && b.kind === "int" && (a.enum || b.enum)) {
    if (!a.enum || !b.enum || !sameEnum(a.enum, b.enum)) return false;
  }
  return sameType(a, b);
}

/** The integer type that an aggregation has in expressions; undefined for those that have none. */
export function readAs(type: Type): IntType | undefined {
  switch (type.kind) {
    case "count":
      return U64;
    case "sum":
    case "min":
    case "max":
    case "avg":
      return type.signed ? I64 : U64;
    default:
      return undefined;
  }
}

/** An integer, a boolean, or an aggregation that reads as an integer: its integer type. */
export function asInteger(type: Type): IntType | undefined {
  if (type.kind === "int") return type;
  if (type.kind === "bool") return LITERALS.get(1)!;
  return readAs(type);
}

/** An integer type in 64 bits. Types of literals stay what they are. */
export function wide(type: IntType): IntType {
  if (isLiteralType(type)) return type;
  return type.signed ? I64 : U64;
}

/** What a map stores for values of a type: integers take 64 bits, so that counting up never wraps. Enums keep their names. */
export function storedType(type: Type): Type {
  if (type.kind === "int" && !type.enum) return wide(type);
  return type;
}

function joinIntegers(a: IntType, b: IntType): IntType {
  const neededA = NEEDED.get(a);
  const neededB = NEEDED.get(b);
  if (neededA !== undefined && neededB !== undefined) return neededA >= neededB ? (a === ZERO ? b : a) : b;
  if (neededA !== undefined) return widened(b, neededA);
  if (neededB !== undefined) return widened(a, neededB);
  if (a.enum && b.enum && sameEnum(a.enum, b.enum)) return a.size >= b.size ? a : b;
  const signed = a.signed || b.signed;
  let size = Math.max(a.size, b.size) as 1 | 2 | 4 | 8;
  // A sign needs a bit that the unsigned side fills.
  if (a.signed !== b.signed && (a.signed ? b.size : a.size) === size && size < 8) size = (size * 2) as 2 | 4 | 8;
  if (!a.enum && a.size === size && a.signed === signed) return a;
  if (!b.enum && b.size === size && b.signed === signed) return b;
  return { kind: "int", size, signed };
}

/** The same enum, not two without a name. */
function sameEnum(a: NonNullable<IntType["enum"]>, b: NonNullable<IntType["enum"]>): boolean {
  return a === b || (a.name !== "" && a.name === b.name);
}

function widened(type: IntType, needed: number): IntType {
  return type.size >= needed ? type : { kind: "int", size: needed as 1 | 2 | 4 | 8, signed: type.signed };
}

/** The type that holds values of both types; null when there is none. */
export function join(a: Type, b: Type): Type | null {
  if (a === b) return a;
  if (a.kind === "int" && b.kind === "int") return joinIntegers(a, b);
  if (a.kind === "bool" && b.kind === "int") return joinIntegers(LITERALS.get(1)!, b);
  if (a.kind === "int" && b.kind === "bool") return joinIntegers(a, LITERALS.get(1)!);
  if (a.kind === "pointer" && b === ZERO) return a;
  if (a === ZERO && b.kind === "pointer") return b;
  if (a.kind !== b.kind) return null;
  switch (a.kind) {
    case "string":
    case "buffer":
      return b.kind === a.kind && b.size > a.size ? b : a;
    case "pointer": {
      if (b.kind !== "pointer") return null;
      const space = a.space === "none" ? b.space : a.space;
      if (a.to.kind === "none") return { ...b, space };
      if (b.to.kind !== "none" && !sameType(a.to, b.to)) return null;
      return space === a.space ? a : { ...a, space };
    }
    case "tuple": {
      if (b.kind !== "tuple" || a.items.length !== b.items.length) return null;
      if (a.names?.join() !== b.names?.join()) return null;
      const items: Type[] = [];
      for (const [i, item] of a.items.entries()) {
        const joined = join(item, b.items[i]!);
        if (joined === null) return null;
        items.push(joined);
      }
      return items.every((item, i) => item === a.items[i]) ? a : { ...a, items };
    }
    case "sum":
    case "min":
    case "max":
    case "avg":
    case "stats":
      return "signed" in b && b.signed && !a.signed ? b : a;
    default:
      return sameType(a, b) ? a : null;
  }
}

/** True when values of two types may be compared with `==`. */
export function comparable(a: Type, b: Type): boolean {
  // The name of a probe is text to whom compares it.
  if ((a.kind === "string" || a.kind === "probe-name") && (b.kind === "string" || b.kind === "probe-name")) return true;
  return join(a, b) !== null;
}

/** True for values that decide a condition. */
export function isCondition(type: Type): boolean {
  return asInteger(type) !== undefined || type.kind === "pointer";
}

/** What a scalar that was never given a value is. */
export const UNSET: Type = I64;
