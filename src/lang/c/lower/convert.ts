/** Conversions of scalar values (C11 6.3) and the arithmetic of integers and pointers. */
import type { BinaryOp, Predicate, Value } from "../../../compiler/index.ts";
import type { BinaryOperator } from "../ast.ts";
import { integerShape, isInteger } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, shapeOf } from "../types/types.ts";
import { lowBits } from "./bitfields.ts";
import type { Body } from "./body.ts";
import { isSigned, plainOffset } from "./place.ts";
import { irTypeOf } from "./signature.ts";

/** An integer in 64 bits, extended by its sign or by zeros. */
export function wide(body: Body, value: Value, signed: boolean): Value {
  const { b } = body;
  if (value.type === "i64") return value;
  if (value.type === "ptr") return b.ptrtoint(value, true);
  if (value.type === "i1") return b.zext(value, 1, "i64");
  if (value.kind === "const") return b.const(signed ? BigInt.asIntN(32, value.value) : value.value);
  return signed ? b.sext(value, 32) : b.zext(value, 32);
}

/** Whether a scalar is not zero. */
export function truth(body: Body, value: Value): Value {
  if (value.type === "i1") return value;
  if (value.kind === "const") return body.b.const(value.value === 0n ? 0 : 1, "i1");
  return body.b.icmp("ne", value, body.b.const(0, value.type));
}

/** A scalar value as one of another scalar type. */
export function convert(body: Body, value: Value, from: CType, to: CType): Value {
  const { b } = body;
  const target = shapeOf(to);
  if (target.kind === "bool") {
    if (shapeOf(from).kind === "bool") return value;
    return b.zext(truth(body, value), 1, "i32");
  }
  if (target.kind === "pointer") {
    if (value.type === "ptr") return value;
    const number = wide(body, value, isSigned(from));
    if (number.kind === "const" && number.value === 0n) return b.const(0, "ptr");
    return b.inttoptr(number);
  }
  if (!isInteger(to)) return value;
  const bits = (sizeOf(to) ?? 4) * 8;
  if (bits >= 64) return wide(body, value, isSigned(from));
  const number = value.type === "ptr" ? b.ptrtoint(value, true) : value;
  if (number.kind === "const") {
    const kept = BigInt.asUintN(bits, number.value);
    return b.const(isSigned(to) ? BigInt.asIntN(bits, kept) : kept, "i32");
  }
  const low = number.type === "i64" ? b.trunc(number) : number.type === "i1" ? b.zext(number, 1, "i32") : number;
  if (bits === 32) return low;
  // What fits already stays as it is.
  if (isInteger(from)) {
    const fromBits = shapeOf(from).kind === "bool" ? 1 : (sizeOf(from) ?? 4) * 8;
    const same = fromBits === bits && isSigned(from) === isSigned(to);
    if (same || (fromBits < bits && !isSigned(from))) return low;
  }
  return lowBits(body, low, bits, isSigned(to));
}

const operations: Readonly<Record<string, readonly [unsigned: BinaryOp, signed: BinaryOp]>> = {
  "+": ["add", "add"],
  "-": ["sub", "sub"],
  "*": ["mul", "mul"],
  "/": ["udiv", "sdiv"],
  "%": ["urem", "srem"],
  "<<": ["shl", "shl"],
  ">>": ["lshr", "ashr"],
  "&": ["and", "and"],
  "|": ["or", "or"],
  "^": ["xor", "xor"],
};

const predicates: Readonly<Record<string, readonly [unsigned: Predicate, signed: Predicate]>> = {
  "==": ["eq", "eq"],
  "!=": ["ne", "ne"],
  "<": ["ult", "slt"],
  ">": ["ugt", "sgt"],
  "<=": ["ule", "sle"],
  ">=": ["uge", "sge"],
};

/** True for operators that compare. */
export function isComparison(operator: BinaryOperator): boolean {
  return Object.hasOwn(predicates, operator);
}

/** Compares two values of one type. */
export function compare(body: Body, operator: BinaryOperator, a: Value, b: Value, type: CType): Value {
  return body.b.icmp(predicates[operator]![isSigned(type) ? 1 : 0], a, b);
}

/** An operation of two integers of one type; the amount of a shift may have another. */
export function arithmetic(body: Body, operator: BinaryOperator, a: Value, b: Value, type: CType, right: CType): Value {
  let amount = b;
  if (b.type !== a.type) amount = a.type === "i64" ? wide(body, b, isSigned(right)) : body.b.trunc(b);
  const { signed } = integerShape(type);
  return body.b.binary(operations[operator]![signed ? 1 : 0], a, amount);
}

/** A number of elements as bytes, in 64 bits. */
export function scaled(body: Body, index: Value, type: CType, size: number): Value {
  const { b } = body;
  const count = wide(body, index, isSigned(type));
  if (count.kind === "const") return b.const(BigInt.asUintN(64, count.value * BigInt(size)));
  return size === 1 ? count : b.binary("mul", count, b.const(size));
}

/** A pointer moved by a number of elements. */
export function stepped(body: Body, pointer: Value, by: Value, byType: CType, to: CType, back: boolean): Value {
  const { b } = body;
  const bytes = scaled(body, by, byType, body.size(to));
  if (bytes.kind === "const") {
    const step = BigInt.asIntN(64, back ? -bytes.value : bytes.value);
    return step === 0n ? pointer : b.ptradd(pointer, b.const(step));
  }
  if (!back) return b.ptradd(pointer, bytes);
  // The verifier follows no pointer back by a variable; it does follow what is left of a known distance.
  const { base, offset } = objectOf(body, pointer);
  return b.ptradd(base, b.binary("sub", b.const(offset), bytes));
}

/** A pointer as the start of what it leads into, as far as that is known, and the bytes from there. */
function objectOf(body: Body, pointer: Value): { base: Value; offset: number } {
  const { base, offset } = plainOffset(pointer);
  if (base.kind !== "inst" || base.op !== "mapvalue" || (base.offset ?? 0) === 0) return { base, offset };
  return { base: body.b.mapvalue(base.map!), offset: offset + base.offset! };
}

/** How many elements are between two pointers. */
export function distance(body: Body, a: Value, b: Value, to: CType): Value {
  const bytes = body.b.ptrdiff(a, b);
  const size = body.size(to);
  if (size <= 1) return bytes;
  const shift = Math.log2(size);
  if (Number.isInteger(shift)) return body.b.binary("ashr", bytes, body.b.const(shift));
  return body.b.binary("sdiv", bytes, body.b.const(size));
}

/** Zero of the IR type that holds a type's values. */
export function zeroOf(body: Body, type: CType): Value {
  return body.b.const(0, shapeOf(type).kind === "void" ? "i32" : irTypeOf(type));
}
