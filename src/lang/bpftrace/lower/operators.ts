/** Operators of two values: arithmetic and comparison, and when they are signed. */
import type { BinaryOp, Predicate, Value } from "../../../compiler/ir.ts";
import type { BinaryExpression, BinaryOperator, Expression } from "../ast.ts";
import { sizeOf, type Type } from "../types.ts";
import type { Body } from "./body.ts";
import { lowerInto, lowerNumber, typeOf } from "./expressions.ts";
import { compareStrings } from "./strings.ts";
import { isScalarType, isSigned } from "./values.ts";

/** Comparison operators and their predicates. */
export const COMPARISONS: ReadonlyMap<BinaryOperator, { readonly signed: Predicate; readonly unsigned: Predicate }> =
  new Map([
    ["==", { signed: "eq", unsigned: "eq" }],
    ["!=", { signed: "ne", unsigned: "ne" }],
    ["<", { signed: "slt", unsigned: "ult" }],
    ["<=", { signed: "sle", unsigned: "ule" }],
    [">", { signed: "sgt", unsigned: "ugt" }],
    [">=", { signed: "sge", unsigned: "uge" }],
  ] as const);

const ARITHMETIC: ReadonlyMap<BinaryOperator, { readonly signed: BinaryOp; readonly unsigned: BinaryOp }> = new Map([
  ["+", { signed: "add", unsigned: "add" }],
  ["-", { signed: "sub", unsigned: "sub" }],
  ["*", { signed: "mul", unsigned: "mul" }],
  ["/", { signed: "sdiv", unsigned: "udiv" }],
  ["%", { signed: "srem", unsigned: "urem" }],
  ["&", { signed: "and", unsigned: "and" }],
  ["|", { signed: "or", unsigned: "or" }],
  ["^", { signed: "xor", unsigned: "xor" }],
  ["<<", { signed: "shl", unsigned: "shl" }],
  [">>", { signed: "ashr", unsigned: "lshr" }],
] as const);

/** Computes `a op b`; pointers step by the size of what they point at. */
export function arithmetic(
  body: Body,
  operator: BinaryOperator,
  a: Value,
  c: Value,
  leftType: Type,
  rightType: Type,
  left: Expression | null = null,
  right: Expression | null = null,
): Value {
  const { b } = body;
  const op = ARITHMETIC.get(operator);
  if (!op) throw new RangeError(`operator ${operator}: not arithmetic`);
  if (operator === "+" || operator === "-") {
    const scale = (value: Value, type: Type): Value =>
      type.kind === "pointer" && sizeOf(type.to) > 1 ? b.binary("mul", value, body.int(sizeOf(type.to))) : value;
    if (leftType.kind === "pointer" && rightType.kind !== "pointer") c = scale(c, leftType);
    else if (rightType.kind === "pointer" && leftType.kind !== "pointer") a = scale(a, rightType);
  }
  const signed = SIGN_OF_LEFT.has(operator) ? isSigned(leftType) : eitherSigned(leftType, rightType, left, right);
  return b.binary(signed ? op.signed : op.unsigned, a, c);
}

const SIGN_OF_LEFT: ReadonlySet<BinaryOperator> = new Set(["<<", ">>"]);

/** True for values that are the same number whether they are taken as signed or not. */
function isNeutral(type: Type, expression: Expression | null): boolean {
  if (typeof expression?.constant === "bigint") return expression.constant >= 0n;
  if (expression?.kind === "integer") return expression.value < 1n << 63n;
  return type.kind === "bool" || (type.kind === "int" && !type.signed && type.size < 8);
}

/** Division is signed when a side is, as the result's type says. */
function eitherSigned(leftType: Type, rightType: Type, left: Expression | null, right: Expression | null): boolean {
  const leftSigned = isSigned(leftType) && !isNeutral(leftType, left);
  const rightSigned = isSigned(rightType) && !isNeutral(rightType, right);
  return leftSigned || rightSigned;
}

/** Comparison is signed when a side is, unless the other is an unsigned number of 64 bits, as in C. */
function comparesSigned(leftType: Type, rightType: Type, left: Expression, right: Expression): boolean {
  const leftNeutral = isNeutral(leftType, left);
  const rightNeutral = isNeutral(rightType, right);
  return (leftNeutral || isSigned(leftType)) && (rightNeutral || isSigned(rightType));
}

/** `a == b` and its kin, as an i1. */
export function lowerComparison(body: Body, expression: BinaryExpression): Value {
  const { b } = body;
  const { operator, left, right } = expression;
  const predicate = COMPARISONS.get(operator)!;
  const leftType = typeOf(left);
  const rightType = typeOf(right);
  const isText = ({ kind }: Type): boolean => kind === "string" || kind === "probe-name";
  if (isText(leftType) && isText(rightType)) {
    const equal = compareStrings(body, left, right);
    return operator === "==" ? equal : b.icmp("eq", body.flag(equal), body.int(0));
  }
  if (isScalarType(leftType) && isScalarType(rightType)) {
    const a = lowerNumber(body, left);
    const c = lowerNumber(body, right);
    body.at(expression.span);
    return b.icmp(comparesSigned(leftType, rightType, left, right) ? predicate.signed : predicate.unsigned, a, c);
  }
  const equal = compareBytes(body, left, right);
  return operator === "!=" ? b.icmp("eq", body.flag(equal), body.int(0)) : equal;
}

/** Equality of values that are no numbers: byte by byte in the layout of the wider type. */
function compareBytes(body: Body, left: Expression, right: Expression): Value {
  const { b } = body;
  const leftType = typeOf(left);
  const rightType = typeOf(right);
  const type = sizeOf(leftType) >= sizeOf(rightType) ? leftType : rightType;
  const size = sizeOf(type);
  const places = [left, right].map((side) => {
    const memory = body.memory(size, "operand");
    if (size % 8 !== 0) b.store(memory, body.int(0), 64, { offset: Math.floor(size / 8) * 8 });
    lowerInto(body, side, type, memory, 0, true);
    return memory;
  });
  const result = body.cell(body.int(0));
  const end = b.block("end");
  for (let at = 0; at < size; at += 8) {
    const next = b.block("same");
    const equal = b.icmp("eq", b.load(places[0]!, 64, { offset: at }), b.load(places[1]!, 64, { offset: at }));
    b.branch(equal, next, end);
    b.moveTo(next);
  }
  result.set(body.int(1));
  b.jump(end);
  b.moveTo(end);
  return b.icmp("ne", result.get(), body.int(0));
}
