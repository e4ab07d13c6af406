/** Casts: which are possible, and what they give. */
import type { CastExpression } from "../ast.ts";
import { type IntType, sizeOf, type Type, typeName } from "../types.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { asInteger, isLiteralType, join } from "./promote.ts";

/** The type of a cast; undefined while it is not known or after a complaint. */
export function castType(c: ExpressionChecker, e: CastExpression): Type | undefined {
  const from = c.operand(e.operand, "cast");
  if (!from) {
    // The type may be wrong too, and be said so in the same run.
    const type = c.written(e.target, c.unit.space);
    return type && type.kind !== "array" ? type : undefined;
  }
  const space =
    from.kind === "pointer" && from.space !== "none" && from.space !== "context" ? from.space : c.unit.space;
  const to = c.written(e.target, space);
  if (!to) return undefined;
  const refuse = (hint?: string): undefined =>
    c.error(e.span, `Cannot cast from "${typeName(from)}" to "${typeName(to)}"`, hint);
  const intFrom = asInteger(from);
  switch (to.kind) {
    case "int":
    case "bool":
      if (intFrom || from.kind === "pointer") {
        if (typeof e.operand.constant === "bigint") e.constant = truncate(e.operand.constant, to);
        return to;
      }
      if (from.kind === "array" || (from.kind === "struct" && from.size <= 8)) {
        if (sizeOf(from) === sizeOf(to)) return to;
        return refuse(`the sizes differ: ${sizeOf(from)} and ${sizeOf(to)} bytes`);
      }
      if (from.kind === "ksym" || from.kind === "usym" || from.kind === "username" || from.kind === "timestamp")
        return to;
      return refuse(from.kind === "string" ? "text is not read as a number" : undefined);
    case "pointer":
      if (intFrom || from.kind === "pointer") return to;
      if (from.kind === "array" || from.kind === "string" || from.kind === "struct") return to;
      return refuse();
    case "string":
      if (from.kind === "string" || from.kind === "pointer" || from.kind === "array") return to;
      return refuse("text is read from an address by str()");
    case "buffer":
      if (from.kind === "buffer") return to;
      return refuse("bytes are read by buf()");
    case "array":
      return arrayCast(from, to, refuse);
    case "struct":
      if (from.kind === "struct" && from.name === to.name) return to;
      return refuse(`a cast makes a pointer: (${to.keyword} ${to.name} *)`);
    case "tuple":
      return join(from, to) ? to : refuse();
    default:
      return from.kind === to.kind ? to : refuse();
  }
}

function arrayCast(from: Type, to: Type & { kind: "array" }, refuse: (hint?: string) => undefined): Type | undefined {
  const size = sizeOf(from);
  if (!asInteger(from) && from.kind !== "array" && from.kind !== "string") return refuse();
  const each = sizeOf(to.of);
  if (to.length === 0) {
    if (each === 0 || size % each !== 0) return refuse(`${size} bytes do not make whole elements of ${each} bytes`);
    return { kind: "array", of: to.of, length: size / each };
  }
  if (isLiteralType(from) || size === each * to.length) return to;
  return refuse(`the sizes differ: ${size} and ${each * to.length} bytes`);
}

function truncate(value: bigint, to: IntType | { readonly kind: "bool" }): bigint {
  if (to.kind === "bool") return value === 0n ? 0n : 1n;
  const bits = to.size * 8;
  return to.signed ? BigInt.asIntN(bits, value) : BigInt.asIntN(64, BigInt.asUintN(bits, value));
}
