/** Rules of operators and literals: results of arithmetic, sizes of text, what may be a key. */
import type { BinaryExpression } from "../ast.ts";
import { BOOL, I64, type IntType, type Type, typeName, U64 } from "../types.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { asInteger, isLiteralType, join, literalType, wide } from "./promote.ts";

/** Bytes of `char[]` literals: UTF-8, code points given as bytes one each, and the NUL. */
export function literalSize(text: string): number {
  let size = 1;
  for (const c of text) {
    const code = c.codePointAt(0)!;
    size += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return size;
}

/** A literal's type beside another integer: of 64 bits and the other's sign. */
export function adapted(literal: IntType, other: IntType): IntType {
  return other.signed ? literal : U64;
}

/** Arithmetic is in 64 bits. It is signed when a side is; differences are, as they may be negative; shifts take the sign of what they shift. */
export function integerResult(operator: string, a: IntType, b: IntType): IntType {
  if (isLiteralType(a) && isLiteralType(b)) return literalType(1n << 40n);
  if (operator === "-") return I64;
  if (operator === "<<" || operator === ">>") return wide(isLiteralType(a) ? I64 : a);
  const signed = isLiteralType(a) ? b.signed : isLiteralType(b) ? a.signed : a.signed || b.signed;
  return signed ? I64 : U64;
}

/** Why values of a type cannot be keys; undefined when they can. */
export function keyProblem(type: Type): string | undefined {
  if (type.kind === "none") return "it has no value";
  if (type.kind === "struct" && type.size > 4096) return "it is too large: use one of its fields";
  return undefined;
}

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);

/** True for operators that compare. */
export function isComparison(operator: string): boolean {
  return COMPARISONS.has(operator);
}

/** Arithmetic and comparison where a side is a pointer. */
export function pointerResult(c: ExpressionChecker, e: BinaryExpression, a: Type, b: Type): Type | undefined {
  const { operator } = e;
  const comparison = isComparison(operator);
  if (a.kind === "pointer" && b.kind === "pointer") {
    if (comparison) {
      if (join(a, b) === null) {
        c.warning(e.span, `comparison of distinct pointer types: ${typeName(a)}, ${typeName(b)}`);
      }
      return BOOL;
    }
    if (operator === "-") return I64;
  } else {
    const other = a.kind === "pointer" ? b : a;
    const pointer = a.kind === "pointer" ? a : b;
    if (asInteger(other)) {
      if (comparison) return BOOL;
      if (operator === "+" || (operator === "-" && a.kind === "pointer")) return pointer;
      // Bits of an address, such as a tag, are an integer's.
      if (operator === "&" || operator === "|" || operator === "%" || operator === ">>") return U64;
    }
  }
  return c.error(
    e.span,
    `The ${operator} operator can not be used on expressions of types ${typeName(a)}, ${typeName(b)}`,
    "cast the pointer first: (uint64)$p",
  );
}
