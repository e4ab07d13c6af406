/**
 * `__int128`: eBPF has no registers for it, so its values live in memory, like structs. They are what addresses of IPv6 are held in: moved,
 * set to constants, made of narrower numbers, cut, compared for equality. What else can be computed with integers is refused.
 */
import type { Value } from "../../../compiler/index.ts";
import type { Expr } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { isInteger } from "../types/compatible.ts";
import { type CType, shapeOf } from "../types/types.ts";
import type { Body } from "./body.ts";
import { wide } from "./convert.ts";
import { isSigned } from "./place.ts";

/** Bytes of one half. */
const HALF = 8;

/** True for the integers of 128 bits. */
export function isWide(type: CType): boolean {
  const shape = shapeOf(type);
  return shape.kind === "integer" && shape.bits === 128;
}

/** What is asked of the lowering of expressions. */
export interface Values {
  value(body: Body, expr: Expr): Value;
  /** The address of an lvalue. */
  addressOf(body: Body, lvalue: Expr): Value;
}

function half(body: Body, address: Value, index: 0 | 1): Value {
  return body.b.load(address, 64, { offset: index * HALF, type: "i64" });
}

function made(body: Body, type: CType, low: Value, high: Value): Value {
  const memory = body.memory(type, "wide");
  body.b.store(memory, low, 64, { offset: 0 });
  body.b.store(memory, high, 64, { offset: HALF });
  return memory;
}

/** The address of a value of 128 bits; undefined for expressions that are lowered like any other, or not at all. */
export function wideValue(body: Body, expr: Expr, values: Values): Value | undefined {
  const { b } = body;
  const { type } = expr;
  if (isLvalue(expr)) return values.addressOf(body, expr);
  const constant = constantInteger(expr);
  if (constant !== undefined)
    return made(
      body,
      type,
      b.const(BigInt.asIntN(64, constant), "i64"),
      b.const(BigInt.asIntN(64, constant >> 64n), "i64"),
    );
  if (expr.kind !== "cast") return undefined;
  const { operand } = expr;
  if (isWide(operand.type)) return expr.cast === "load" ? values.addressOf(body, operand) : values.value(body, operand);
  if (expr.cast !== "integer" || !isInteger(operand.type)) return undefined;
  const signed = isSigned(operand.type);
  const low = wide(body, values.value(body, operand), signed);
  return made(body, type, low, signed ? b.binary("ashr", low, b.const(63, "i64")) : b.const(0, "i64"));
}

/** The lower half of a value of 128 bits. */
export function lowerHalf(body: Body, address: Value): Value {
  return half(body, address, 0);
}

/** A number that is zero exactly when both values of 128 bits are equal. */
export function wideDifference(body: Body, a: Value, b: Value): Value {
  const bits = (index: 0 | 1): Value => body.b.binary("xor", half(body, a, index), half(body, b, index));
  return body.b.binary("or", bits(0), bits(1));
}

/** A number that is zero exactly when a value of 128 bits is. */
export function wideTruth(body: Body, address: Value): Value {
  return body.b.binary("or", half(body, address, 0), half(body, address, 1));
}
