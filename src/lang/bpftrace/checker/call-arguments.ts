/** What the checks of calls share: literal arguments, and how messages name values. */
import type { Expression } from "../ast.ts";
import { type Type, typeName } from "../types.ts";

/** A kind of value as messages of calls name it. */
export function describe(type: Type): string {
  if (type.kind === "int") return "integer";
  if (type.kind === "string" || type.kind === "pointer" || type.kind === "tuple" || type.kind === "array")
    return type.kind;
  return typeName(type);
}

/** The text of an argument that is known; empty when it is not. */
export function text(e: Expression | undefined): string {
  return typeof e?.constant === "string" ? e.constant : "";
}

/** The value of an argument that is known, or the other. */
export function number(e: Expression | undefined, otherwise: bigint): bigint {
  return typeof e?.constant === "bigint" ? e.constant : otherwise;
}
