/** Arithmetic of the compiler on known values, with the results that programs have: 64 bits that wrap around. */
import type { BinaryOperator, UnaryOperator } from "../ast.ts";

/** `-x`, `~x` or `!x` of a known value. */
export function evaluateUnary(operator: UnaryOperator, x: bigint): bigint {
  switch (operator) {
    case "-":
      return BigInt.asIntN(64, -x);
    case "~":
      return ~x;
    default:
      return x === 0n ? 1n : 0n;
  }
}

/** `a operator b` of known values, as signed 64 bits; undefined for divisions by zero. `unsigned` is how comparisons and divisions read them. */
export function evaluateBinary(operator: BinaryOperator, a: bigint, b: bigint, unsigned: boolean): bigint | undefined {
  const x = unsigned ? BigInt.asUintN(64, a) : a;
  const y = unsigned ? BigInt.asUintN(64, b) : b;
  const flag = (holds: boolean): bigint => (holds ? 1n : 0n);
  const wrap = (value: bigint): bigint => BigInt.asIntN(64, value);
  switch (operator) {
    case "+":
      return wrap(x + y);
    case "-":
      return wrap(x - y);
    case "*":
      return wrap(x * y);
    case "/":
      return y === 0n ? undefined : wrap(x / y);
    case "%":
      return y === 0n ? undefined : wrap(x % y);
    case "&":
      return wrap(x & y);
    case "|":
      return wrap(x | y);
    case "^":
      return wrap(x ^ y);
    case "<<":
      return wrap(x << (y & 63n));
    case ">>":
      return wrap(x >> (y & 63n));
    case "&&":
      return flag(x !== 0n && y !== 0n);
    case "||":
      return flag(x !== 0n || y !== 0n);
    case "==":
      return flag(x === y);
    case "!=":
      return flag(x !== y);
    case "<":
      return flag(x < y);
    case "<=":
      return flag(x <= y);
    case ">":
      return flag(x > y);
    case ">=":
      return flag(x >= y);
  }
}
