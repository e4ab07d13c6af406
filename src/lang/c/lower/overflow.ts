/** `__builtin_add_overflow` and its like: the result as if computed without limits, and whether it fits. */
import type { Value } from "../../../compiler/index.ts";
import type { Expr } from "../ast.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type PointerType, shapeOf, typeText } from "../types/types.ts";
import type { Body } from "./body.ts";
import { convert, wide } from "./convert.ts";
import { isSigned, placeAt, store } from "./place.ts";
import { value } from "./values.ts";

type Operation = "add" | "sub" | "mul";
type Builtin = Expr & { readonly kind: "builtin" };

/** A number of 64 bits and how they are meant. */
interface Number64 {
  readonly value: Value;
  readonly signed: boolean;
  /** Bits of its type: what it surely stays within. */
  readonly bits: number;
}

function operand(body: Body, expr: Expr): Number64 {
  const signed = isSigned(expr.type);
  return { value: wide(body, value(body, expr), signed), signed, bits: 8 * (sizeOf(expr.type) ?? 4) };
}

/** Stores the result, cut to its type, and gives whether it was cut, as `i32`. */
export function overflow(body: Body, expr: Builtin, operation: Operation): Value {
  const { b } = body;
  const [left, right, target] = expr.args as [Expr, Expr, Expr];
  const x = operand(body, left);
  const y = operand(body, right);
  const to = value(body, target);
  body.at(expr.location);
  const type = (shapeOf(target.type) as PointerType).to;
  const lost =
    x.bits <= 32 && y.bits <= 32 ? narrow(body, operation, x, y, type) : full(body, operation, x, y, type, expr);
  store(body, placeAt(type, to), convert(body, lost.result, lost.type, type));
  return b.zext(lost.lost, 1, "i32");
}

interface Outcome {
  readonly result: Value;
  /** Type of the result before it is cut. */
  readonly type: CType;
  readonly lost: Value;
}

const LONG: CType = { kind: "integer", name: "long", bits: 64, signed: true, rank: 4 };

function truthOr(body: Body, a: Value, b: Value): Value {
  const one = body.b.binary("or", body.b.zext(a, 1, "i32"), body.b.zext(b, 1, "i32"));
  return body.b.icmp("ne", one, body.b.const(0, "i32"));
}

/** Operands of up to 32 bits: their result fits in 64, and so is compared with itself after the cut. */
function narrow(body: Body, operation: Operation, x: Number64, y: Number64, type: CType): Outcome {
  const { b } = body;
  const result = b.binary(operation, x.value, y.value);
  const bits = 8 * (sizeOf(type) ?? 4);
  const signed = isSigned(type);
  // The product of two unsigned numbers is the one result that may need all 64 bits.
  const unsignedResult = operation === "mul" && !x.signed && !y.signed;
  const zero = b.const(0);
  if (bits < 64) {
    const cut = wide(body, convert(body, result, LONG, type), signed);
    return { result, type: LONG, lost: b.icmp("ne", cut, result) };
  }
  if (signed === !unsignedResult) return { result, type: LONG, lost: b.const(0, "i1") };
  // A negative number in an unsigned type, or the top bit of a product in a signed one.
  return { result, type: LONG, lost: b.icmp("slt", result, zero) };
}

function full(body: Body, operation: Operation, x: Number64, y: Number64, type: CType, expr: Builtin): Outcome {
  const { b } = body;
  const signed = isSigned(type);
  const fitsSign = (n: Number64): boolean => n.signed === signed || (signed && n.bits < 64);
  if (!fitsSign(x) || !fitsSign(y)) {
    const [left, right] = expr.args as [Expr, Expr];
    const types = `${typeText(left.type)}, ${typeText(right.type)} and ${typeText(type)}`;
    body.error(
      expr.location,
      `${expr.name} with ${types}: 64-bit operands and the result must all be signed or all unsigned`,
      {
        hint: "cast the operands to the result's type",
      },
    );
  }
  const result = b.binary(operation, x.value, y.value);
  let lost = signed
    ? signedLoss(body, operation, x.value, y.value, result)
    : unsignedLoss(body, operation, x.value, y.value, result);
  if ((sizeOf(type) ?? 8) < 8) {
    const cut = wide(body, convert(body, result, LONG, type), signed);
    lost = truthOr(body, lost, b.icmp("ne", cut, result));
  }
  return { result, type: LONG, lost };
}

function unsignedLoss(body: Body, operation: Operation, x: Value, y: Value, result: Value): Value {
  const { b } = body;
  if (operation === "add") return b.icmp("ult", result, x);
  if (operation === "sub") return b.icmp("ult", x, y);
  // Dividing back; by zero gives zero, which is no loss.
  const back = b.binary("udiv", result, y);
  const differs = b.icmp("ne", back, x);
  return b.select(b.icmp("eq", y, b.const(0)), b.const(0, "i1"), differs);
}

function signedLoss(body: Body, operation: Operation, x: Value, y: Value, result: Value): Value {
  const { b } = body;
  const zero = b.const(0);
  if (operation === "add")
    return b.icmp("slt", b.binary("and", b.binary("xor", x, result), b.binary("xor", y, result)), zero);
  if (operation === "sub")
    return b.icmp("slt", b.binary("and", b.binary("xor", x, y), b.binary("xor", x, result)), zero);
  // Magnitudes are multiplied; the product may be one larger when it is negative.
  const sign = b.const(63);
  const magnitude = (v: Value): Value => {
    const s = b.binary("ashr", v, sign);
    return b.binary("sub", b.binary("xor", v, s), s);
  };
  const p = magnitude(x);
  const q = magnitude(y);
  const product = b.binary("mul", p, q);
  const wrapped = unsignedLoss(body, "mul", p, q, product);
  const negative = b.binary("lshr", b.binary("xor", x, y), sign);
  const most = b.binary("add", b.const((1n << 63n) - 1n), negative);
  return truthOr(body, wrapped, b.icmp("ugt", product, most));
}
