/** Conversions that C makes by itself, as nodes of their own (C11 6.3, 6.5.16.1). */
import type { BinaryOperator, CastKind, Expr, VariableDecl } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { commonInteger, compatible, integerShape, isInteger, isScalar, promoted, wrapTo } from "../types/compatible.ts";
import { BOOL, type CType, INT, VOID, pointerTo, qualified, qualifiersOf, shapeOf, typeText } from "../types/types.ts";

/** Makes a conversion. */
export function cast(operand: Expr, type: CType, kind: CastKind, implicit: boolean = true): Expr {
  return { kind: "cast", type, location: operand.location, cast: kind, operand, implicit };
}

/** The value of an expression: lvalues are read, arrays and functions become pointers. */
export function rvalue(expr: Expr): Expr {
  const shape = shapeOf(expr.type);
  if (shape.kind === "array") {
    markAddressTaken(expr);
    return cast(expr, pointerTo(elementOf(expr.type)), "decay");
  }
  if (shape.kind === "function") return cast(expr, pointerTo(expr.type), "decay");
  return isLvalue(expr) ? cast(expr, unqualified(expr.type), "load") : expr;
}

/** The type of an array's elements, with the array's qualifiers. */
export function elementOf(type: CType): CType {
  const shape = shapeOf(type);
  return shape.kind === "array" ? qualified(shape.of, qualifiersOf(type)) : type;
}

/** A value's type has no qualifiers. */
export function unqualified(type: CType): CType {
  return type.kind === "qualified" ? type.of : type;
}

/** A variable whose address is used lives in memory. */
export function markAddressTaken(expr: Expr): void {
  if (expr.kind === "variable" || expr.kind === "compound") (expr.variable as VariableDecl).addressTaken = true;
  else if (expr.kind === "member") markAddressTaken(expr.record);
  else if (expr.kind === "index" && shapeOf(expr.array.type).kind === "array") markAddressTaken(expr.array);
}

/** Bits of the bitfield whose value an expression is: read, or just written. */
function bitWidthOf(expr: Expr): number | undefined {
  if (expr.kind === "cast" && expr.cast === "load") return bitWidthOf(expr.operand);
  if (expr.kind === "assign" || (expr.kind === "step" && !expr.postfix)) return bitWidthOf(expr.target);
  if (expr.kind === "comma") return bitWidthOf(expr.right);
  return expr.kind === "member" ? expr.field.bitWidth : undefined;
}

/** A value of integer type with promotion, any other as it is. */
export function promote(expr: Expr): Expr {
  const value = rvalue(expr);
  if (!isInteger(value.type)) return value;
  const type = promoted(value.type, bitWidthOf(value));
  const shape = shapeOf(value.type);
  return shape.kind === "integer" && shape.name === type.name ? value : cast(value, type, "integer");
}

/** Two promoted integers brought to their common type. */
export function commonOperands(left: Expr, right: Expr): { left: Expr; right: Expr; type: CType } {
  const a = promote(left);
  const b = promote(right);
  const type = commonInteger(integerShape(a.type), integerShape(b.type));
  return { left: toInteger(a, type), right: toInteger(b, type), type };
}

/** An integer value in another integer type. */
export function toInteger(expr: Expr, type: CType): Expr {
  const from = shapeOf(expr.type);
  const to = shapeOf(type);
  if (from === to || (from.kind === "integer" && to.kind === "integer" && from.name === to.name)) {
    return expr.type === type ? expr : cast(expr, type, "none");
  }
  return cast(expr, type, to.kind === "bool" ? "bool" : "integer");
}

/** True for 0 and `(void *)0`. */
export function isNullConstant(expr: Expr): boolean {
  let at = expr;
  while (at.kind === "cast" && (at.cast === "none" || at.cast === "integer-to-pointer" || at.cast === "pointer")) {
    const to = shapeOf(at.type);
    if (to.kind === "pointer" && shapeOf(to.to).kind !== "void") return false;
    at = at.operand;
  }
  return isInteger(at.type) && constantInteger(at) === 0n;
}

/** A constant as a number, floating or not. */
export function constantNumber(expr: Expr): number | undefined {
  if (expr.kind === "floating") return expr.value;
  const value = isInteger(expr.type) ? constantInteger(expr) : undefined;
  return value === undefined ? undefined : Number(value);
}

/** A floating-point constant as an integer one, or the other way; undefined for what is not constant. */
function constantConversion(value: Expr, type: CType): Expr | undefined {
  const number = constantNumber(value);
  if (number === undefined) return undefined;
  const { location } = value;
  if (shapeOf(type).kind === "float") return { kind: "floating", value: number, type, location };
  if (!isInteger(type) || !Number.isFinite(number)) return undefined;
  return { kind: "integer", value: wrapTo(BigInt(Math.trunc(number)), type), type, location };
}

/** What a value is converted for, as messages name it. */
export type Purpose = "initialiser" | "assignment" | "argument" | "result";

/** A value converted to a type as an assignment does. Reports what does not go. */
export function assignable(
  diagnostics: Diagnostics,
  expr: Expr,
  target: CType,
  purpose: Purpose,
  what: string = "",
): Expr {
  const value = rvalue(expr);
  const type = unqualified(target);
  const to = shapeOf(type);
  const from = shapeOf(value.type);
  const about = `${purpose}${what === "" ? "" : ` ${what}`}`;
  const wrong = (): Expr => {
    diagnostics.error(value.location, `${about}: ${typeText(value.type)} where ${typeText(type)} is wanted`);
    return cast(value, type, "none");
  };
  if (from.kind === "float" || to.kind === "float") {
    const constant = constantConversion(value, type);
    if (constant !== undefined) return constant;
    if (!isScalar(value.type) || !isScalar(type)) return wrong();
    diagnostics.error(value.location, `${about}: eBPF has no floating-point numbers`);
    return cast(value, type, "none");
  }
  if (to.kind === "bool" && isScalar(value.type)) return toBool(value);
  if (isInteger(type)) {
    if (isInteger(value.type)) return toInteger(value, type);
    if (from.kind === "pointer") {
      diagnostics.warning(
        value.location,
        `${about}: the pointer ${typeText(value.type)} becomes the integer ${typeText(type)}`,
        { group: "int-conversion" },
      );
      return cast(value, type, "pointer-to-integer");
    }
    return wrong();
  }
  if (to.kind === "pointer") {
    if (isInteger(value.type)) {
      if (!isNullConstant(value))
        diagnostics.warning(
          value.location,
          `${about}: the integer ${typeText(value.type)} becomes the pointer ${typeText(type)}`,
          { group: "int-conversion" },
        );
      return cast(value, type, "integer-to-pointer");
    }
    if (from.kind !== "pointer") return wrong();
    checkPointers(diagnostics, value, from.to, to.to, about);
    return compatible(from, to) ? value : cast(value, type, "pointer");
  }
  if (to.kind === "record" && compatible(value.type, type)) return value;
  return to.kind === "void" ? cast(value, VOID, "void") : wrong();
}

function checkPointers(diagnostics: Diagnostics, value: Expr, from: CType, to: CType, about: string): void {
  const a = shapeOf(from);
  const b = shapeOf(to);
  if (a.kind === "void" || b.kind === "void" || isNullConstant(value)) return;
  if (!compatible(from, to)) {
    const bytes = (t: typeof a): boolean => t.kind === "integer" && t.bits === 8;
    // Sign and name of integers of one size do not change what is stored.
    if (bytes(a) && bytes(b)) return;
    if (a.kind === "integer" && b.kind === "integer" && a.bits === b.bits) return;
    diagnostics.warning(
      value.location,
      `${about}: pointer to ${typeText(from)} where one to ${typeText(to)} is wanted`,
      { group: "incompatible-pointer-types" },
    );
  } else if (qualifiersOf(from).const && !qualifiersOf(to).const) {
    diagnostics.warning(value.location, `${about}: ${typeText(to)} loses the const of ${typeText(from)}`, {
      group: "incompatible-pointer-types-discards-qualifiers",
    });
  }
}

/** Whether a value is not zero, as `_Bool`. */
export function toBool(value: Expr): Expr {
  return shapeOf(value.type).kind === "bool" ? value : cast(value, BOOL, "bool");
}

/** What is said of computing with floating-point numbers. */
export const noFloating: { readonly message: string; readonly hint: string } = {
  message: "eBPF has no floating-point numbers",
  hint: "scale the numbers so that integers are precise enough: thousandths, or bits behind the point",
};

/** A condition: a scalar value. */
export function condition(diagnostics: Diagnostics, expr: Expr, location: number = expr.location): Expr {
  const value = rvalue(expr);
  const { kind } = shapeOf(value.type);
  if (isScalar(value.type) && kind !== "float") return value;
  if (kind === "float") {
    diagnostics.error(location, noFloating.message, noFloating);
    return cast(value, INT, "none");
  }
  diagnostics.error(location, `a condition cannot be of type ${typeText(value.type)}`);
  return cast(value, INT, "none");
}

/** The casts that a program writes. */
export function explicitCast(diagnostics: Diagnostics, expr: Expr, type: CType, location: number): Expr {
  const to = shapeOf(type);
  if (to.kind === "void") return { ...cast(rvalue(expr), type, "void", false), location };
  const value = rvalue(expr);
  const from = shapeOf(value.type);
  const made = (kind: CastKind): Expr => ({ ...cast(value, unqualified(type), kind, false), location });
  if (to.kind === "float" || from.kind === "float") {
    const constant = constantConversion(value, unqualified(type));
    if (constant !== undefined) return { ...constant, location };
    diagnostics.error(location, noFloating.message, noFloating);
    return made("none");
  }
  if (to.kind === "bool" && isScalar(value.type)) return made(from.kind === "bool" ? "none" : "bool");
  if (isInteger(type) && isInteger(value.type)) return made("integer");
  if (isInteger(type) && from.kind === "pointer") return made("pointer-to-integer");
  if (to.kind === "pointer" && from.kind === "pointer") return made("pointer");
  if (to.kind === "pointer" && isInteger(value.type)) return made("integer-to-pointer");
  // To the same struct, or GNU's cast to a union of one of its members' types.
  if (to.kind === "record" && compatible(type, value.type)) return made("none");
  diagnostics.error(value.location, `${typeText(value.type)} cannot be cast to ${typeText(type)}`);
  return made("none");
}

/** Operators that assign, by their text. */
export const assignmentOperators: Readonly<Record<string, BinaryOperator | undefined>> = {
  "+=": "+",
  "-=": "-",
  "*=": "*",
  "/=": "/",
  "%=": "%",
  "<<=": "<<",
  ">>=": ">>",
  "&=": "&",
  "|=": "|",
  "^=": "^",
};
