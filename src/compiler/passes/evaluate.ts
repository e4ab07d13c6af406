/** What pure operations compute, on constants. */
import { constant, signedValue } from "../builder.ts";
import type { Const, Inst, Op, Predicate } from "../ir.ts";

const WIDTH: Record<string, number> = { i1: 1, i32: 32, i64: 64, ptr: 64 };

/** The result of an operation on constants; null when it is not decided by them. */
export function evaluate(inst: Inst, args: readonly Const[]): Const | null {
  const [a, b, c] = args as readonly [Const, Const, Const];
  switch (inst.op) {
    case "icmp":
      return constant(compare(inst.predicate!, a, b) ? 1 : 0, "i1");
    case "select":
      return a.value !== 0n ? b : c;
    case "zext":
      return constant(BigInt.asUintN(inst.bits!, a.value), inst.type);
    case "sext":
      return constant(BigInt.asIntN(inst.bits!, a.value), inst.type);
    case "trunc":
      return constant(a.value, "i32");
    case "bswap": {
      let out = 0n;
      for (let i = 0; i < inst.bits!; i += 8) out = (out << 8n) | ((a.value >> BigInt(i)) & 0xffn);
      return constant(out, inst.type);
    }
    case "ptrtoint":
      return constant(a.value, "i64");
    case "inttoptr":
      return a.value === 0n ? constant(0, "ptr") : null;
    case "isconst":
      return constant(1, "i32");
    case "ptrdiff":
      return constant(a.value - b.value, "i64");
    default: {
      const value = a && b ? arithmetic(inst.op, a, b) : null;
      return value === null ? null : constant(value, inst.type);
    }
  }
}

/** Two-operand arithmetic as RFC 9669 defines it; null for other operations. */
export function arithmetic(op: Op, a: Const, b: Const): bigint | null {
  const bits = WIDTH[a.type]!;
  const shift = b.value & BigInt(bits - 1);
  const [x, y] = [a.value, b.value];
  switch (op) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return x * y;
    case "udiv":
      return y === 0n ? 0n : x / y;
    case "urem":
      return y === 0n ? x : x % y;
    case "sdiv":
      return y === 0n ? 0n : signedValue(a) / signedValue(b);
    case "srem":
      return y === 0n ? x : signedValue(a) % signedValue(b);
    case "and":
      return x & y;
    case "or":
      return x | y;
    case "xor":
      return x ^ y;
    case "shl":
      return x << shift;
    case "lshr":
      return x >> shift;
    case "ashr":
      return signedValue(a) >> shift;
    default:
      return null;
  }
}

/** A comparison of constants of one type. */
export function compare(predicate: Predicate, a: Const, b: Const): boolean {
  const [x, y] = predicate.startsWith("s") ? [signedValue(a), signedValue(b)] : [a.value, b.value];
  switch (predicate) {
    case "eq":
      return x === y;
    case "ne":
      return x !== y;
    case "ult":
    case "slt":
      return x < y;
    case "ule":
    case "sle":
      return x <= y;
    case "ugt":
    case "sgt":
      return x > y;
    default:
      return x >= y;
  }
}
