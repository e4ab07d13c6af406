/** Expressions: their values, their places, and what they do. */
import type { Value } from "../../../compiler/index.ts";
import type { Expr, VariableDecl } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import { constantInteger, constantValue } from "../constant.ts";
import { isInteger } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, UNSIGNED_LONG as U64, shapeOf } from "../types/types.ts";
import { lowBits } from "./bitfields.ts";
import type { Body } from "./body.ts";
import { builtin } from "./builtins.ts";
import { call } from "./calls.ts";
import { branchOn, conditional, truthValue } from "./conditions.ts";
import { arithmetic, compare, convert, distance, isComparison, scaled, stepped, wide, zeroOf } from "./convert.ts";
import { initialize } from "./initialize.ts";
import {
  type Place,
  addressOf,
  elementPlace,
  isSigned,
  load,
  memberPlace,
  placeAt,
  plainOffset,
  store,
  walked,
} from "./place.ts";
import { irTypeOf, isAggregate } from "./signature.ts";
import { statement } from "./statements.ts";
import { type Values, isWide, lowerHalf, wideDifference, wideValue } from "./wide-integers.ts";

/** What holds values as it stands, so that memory can be handed on through it. */
const PASSES_ON: ReadonlySet<Expr["kind"]> = new Set(["assign", "call", "comma", "conditional", "statements"]);

/** True for types whose values eBPF cannot compute; said once for each place. */
function isUnsupported(body: Body, expr: Expr): boolean {
  if (shapeOf(expr.type).kind === "float") body.error(expr.location, "eBPF has no floating-point numbers");
  else if (isWide(expr.type) && !PASSES_ON.has(expr.kind))
    body.error(expr.location, "eBPF cannot compute with 128-bit integers", {
      hint: "they can be moved, made of narrower ones, cut and compared for equality: use two 64-bit halves",
    });
  else return false;
  return true;
}

const wideValues: Values = { value, addressOf: (body, lvalue) => addressOf(body, place(body, lvalue)) };

/** The value of an expression: a scalar, or the address of an aggregate that may be read until it changes. */
export function value(body: Body, expr: Expr): Value {
  if (isWide(expr.type)) {
    body.at(expr.location);
    const address = wideValue(body, expr, wideValues);
    if (address !== undefined) return address;
  }
  if (isUnsupported(body, expr)) return isWide(expr.type) ? body.memory(expr.type, "refused") : body.b.const(0);
  body.at(expr.location);
  switch (expr.kind) {
    case "integer":
      return integerConstant(body, expr.value, expr.type);
    case "floating":
      return body.b.const(0);
    case "cast":
      return castValue(body, expr);
    case "unary":
      return unary(body, expr);
    case "binary":
      return binary(body, expr);
    case "logical":
      return truthValue(body, expr);
    case "conditional":
      return conditional(body, expr);
    case "address":
      return addressOf(body, place(body, expr.operand));
    case "comma":
      effect(body, expr.left);
      return value(body, expr.right);
    case "assign":
      return assign(body, expr);
    case "step":
      return stepValue(body, expr);
    case "call":
      return call(body, expr);
    case "statements":
      return statementExpression(body, expr);
    case "builtin":
      return builtin(body, expr);
    case "function":
      return body.context.functionAddress(expr.func, body.b, expr.location);
    case "member":
    case "variable":
    case "string":
    case "dereference":
    case "index":
    case "compound":
      return load(body, place(body, expr));
  }
}

/** A constant of a scalar type. */
function integerConstant(body: Body, number: bigint, type: CType): Value {
  const ir = irTypeOf(type);
  if (ir !== "ptr") return body.b.const(number, ir);
  return number === 0n ? body.b.const(0, "ptr") : body.b.inttoptr(body.b.const(number));
}

/** Computes an expression for what it does. */
export function effect(body: Body, expr: Expr): void {
  switch (expr.kind) {
    case "cast":
      // Reading matters only where it is volatile.
      if (expr.cast === "load" && isLvalue(expr.operand) && isAggregate(expr.type)) place(body, expr.operand);
      else if (expr.cast === "void") effect(body, expr.operand);
      else value(body, expr);
      return;
    case "comma":
      effect(body, expr.left);
      effect(body, expr.right);
      return;
    case "conditional":
      if (shapeOf(expr.type).kind === "void") {
        conditionalEffect(body, expr);
        return;
      }
      break;
    case "statements":
      if (shapeOf(expr.type).kind === "void") {
        statementExpression(body, expr);
        return;
      }
      break;
    case "string":
    case "integer":
    case "floating":
      return;
    case "variable":
      if (isAggregate(expr.type)) return;
      break;
    default:
      break;
  }
  value(body, expr);
}

function conditionalEffect(body: Body, expr: Expr & { kind: "conditional" }): void {
  const { b } = body;
  const known = constantInteger(expr.condition);
  if (known !== undefined) {
    const chosen = known === 0n ? expr.else : expr.then;
    if (chosen !== undefined) effect(body, chosen);
    return;
  }
  const then = b.block("then");
  const otherwise = b.block("else");
  const after = b.block("after");
  branchOn(body, expr.condition, then, otherwise);
  b.moveTo(then);
  if (expr.then !== undefined) effect(body, expr.then);
  b.jump(after);
  b.moveTo(otherwise);
  effect(body, expr.else);
  b.jump(after);
  b.moveTo(after);
}

function castValue(body: Body, expr: Expr & { kind: "cast" }): Value {
  const { operand, type } = expr;
  switch (expr.cast) {
    case "load":
      return read(body, operand, false);
    case "decay":
      if (operand.kind === "function") return body.context.functionAddress(operand.func, body.b, operand.location);
      if (shapeOf(operand.type).kind === "function") return value(body, operand);
      return addressOf(body, place(body, operand));
    case "void":
      effect(body, operand);
      return zeroOf(body, type);
    case "none":
      return shapeOf(type).kind === "record"
        ? value(body, operand)
        : convert(body, value(body, operand), operand.type, type);
    case "bool":
      return shapeOf(operand.type).kind === "bool" ? value(body, operand) : truthValue(body, operand);
    case "integer":
      if (isWide(operand.type)) return convert(body, lowerHalf(body, value(body, operand)), U64, type);
      // Memory is read in the width that is wanted: the pointers of packets are 32 bits wide in their contexts, and must not be cut.
      if (irTypeOf(type) === "i64" && operand.kind === "cast" && operand.cast === "load" && isInteger(operand.type)) {
        body.at(operand.location);
        const number = isUnsupported(body, operand) ? body.b.const(0) : read(body, operand.operand, true);
        return wide(body, number, isSigned(operand.type));
      }
      return convert(body, value(body, operand), operand.type, type);
    case "pointer-to-integer": {
      // Offsets written by hand, `(size_t)&((struct s *)0)->member`, are numbers: of what was a pointer the verifier would know nothing.
      const known = constantInteger(expr);
      return known === undefined
        ? convert(body, value(body, operand), operand.type, type)
        : integerConstant(body, known, type);
    }
    default:
      return convert(body, value(body, operand), operand.type, type);
  }
}

/** The value of an lvalue. */
function read(body: Body, expr: Expr, inFull: boolean): Value {
  if (expr.kind === "variable") {
    const known = isInteger(expr.type)
      ? constantValue({ ...expr, kind: "cast", cast: "load", operand: expr, implicit: true })
      : undefined;
    if (known?.kind === "integer") return integerConstant(body, known.value, expr.type);
    if (!body.firstReads.has(expr.variable)) body.firstReads.set(expr.variable, expr.location);
  }
  const from = place(body, expr);
  body.at(expr.location);
  return load(body, from, inFull);
}

/** A pointer as an address and a constant number of bytes behind it, so that the number can stay in the access. */
function pointer(body: Body, expr: Expr): { base: Value; offset: number } {
  if (expr.kind === "cast" && (expr.cast === "pointer" || expr.cast === "none")) return pointer(body, expr.operand);
  if (expr.kind === "cast" && expr.cast === "decay" && shapeOf(expr.operand.type).kind === "array")
    return walked(body, place(body, expr.operand));
  if (expr.kind === "address") return walked(body, place(body, expr.operand));
  if (expr.kind === "binary" && (expr.operator === "+" || expr.operator === "-")) {
    const left = shapeOf(expr.left.type);
    const count = left.kind === "pointer" ? constantInteger(expr.right) : undefined;
    if (left.kind === "pointer" && count !== undefined) {
      const { base, offset } = pointer(body, expr.left);
      const bytes = Number(count) * body.size(left.to);
      return { base, offset: expr.operator === "+" ? offset + bytes : offset - bytes };
    }
  }
  return plainOffset(value(body, expr));
}

/** The place that an lvalue stands for. */
export function place(body: Body, expr: Expr): Place {
  const { type } = expr;
  switch (expr.kind) {
    case "variable":
      body.at(expr.location);
      return placeAt(type, variableAddress(body, expr.variable, expr.location));
    case "dereference": {
      if (expr.operand.kind === "address") return { ...place(body, expr.operand.operand), type };
      const { base, offset } = pointer(body, expr.operand);
      return placeAt(type, base, offset);
    }
    case "member":
      return memberPlace(body, recordPlace(body, expr.record), expr.field, type);
    case "index":
      return indexPlace(body, expr);
    case "string":
      return placeAt(type, body.context.literal(expr.bytes, 1, body.b));
    case "compound":
      return compoundPlace(body, expr.variable, expr.location);
    default:
      // Structs that functions return, and the like: their address is their value.
      return placeAt(type, value(body, expr));
  }
}

function recordPlace(body: Body, record: Expr): Place {
  return isLvalue(record) ? place(body, record) : placeAt(record.type, value(body, record));
}

function variableAddress(body: Body, variable: VariableDecl, location: number): Value {
  if (variable.storage === "local" || variable.storage === "parameter") return body.local(variable);
  return body.context.address(variable, body.b, location);
}

function compoundPlace(body: Body, variable: VariableDecl, location: number): Place {
  if (variable.storage !== "local") return placeAt(variable.type, body.context.address(variable, body.b, location));
  const at = placeAt(variable.type, body.local(variable));
  if (variable.initializer !== undefined) initialize(body, at, variable.initializer);
  return at;
}

function indexPlace(body: Body, expr: Expr & { kind: "index" }): Place {
  const { array, index, type } = expr;
  const size = body.size(type);
  const count = constantInteger(index);
  if (shapeOf(array.type).kind === "array") {
    const whole = recordPlace(body, array);
    if (count !== undefined) return elementPlace(body, whole, Number(count), type);
    const { base, offset } = walked(body, whole);
    const by = scaled(body, value(body, index), index.type, size);
    body.at(expr.location);
    return placeAt(type, body.b.ptradd(base, by), offset);
  }
  const { base, offset } = pointer(body, array);
  if (count !== undefined) {
    const step = Number(count);
    // An access that is recorded counts the elements before it.
    if (offset === 0 && step > 0)
      return { type, base, offset: 0, path: { root: type, steps: [step], bits: step * size * 8 } };
    return placeAt(type, base, offset + step * size);
  }
  const back = index.kind === "unary" && index.operator === "-" && isSigned(index.type);
  const by = value(body, back ? index.operand : index);
  body.at(expr.location);
  if (back) return placeAt(type, stepped(body, body.b.ptradd(base, offset), by, index.type, type, true));
  return placeAt(type, stepped(body, base, by, index.type, type, false), offset);
}

function unary(body: Body, expr: Expr & { kind: "unary" }): Value {
  const { b } = body;
  if (expr.operator === "!") return truthValue(body, expr);
  const operand = value(body, expr.operand);
  body.at(expr.location);
  if (expr.operator === "-") return b.binary("sub", b.const(0, operand.type), operand);
  return b.binary("xor", operand, b.const(-1, operand.type));
}

function binary(body: Body, expr: Expr & { kind: "binary" }): Value {
  const { operator, left, right, type } = expr;
  if (isComparison(operator)) return truthValue(body, expr);
  const a = value(body, left);
  const b = value(body, right);
  body.at(expr.location);
  return operate(body, expr.operator, a, b, left.type, right.type, type, right);
}

/** An operation of values; `result` is its type. */
function operate(
  body: Body,
  operator: (Expr & { kind: "binary" })["operator"],
  a: Value,
  b: Value,
  leftType: CType,
  rightType: CType,
  result: CType,
  right: Expr,
): Value {
  const left = shapeOf(leftType);
  const other = shapeOf(rightType);
  if (left.kind === "pointer" && other.kind === "pointer") return distance(body, a, b, left.to);
  if (left.kind === "pointer") return stepped(body, a, b, rightType, left.to, operator === "-");
  if (other.kind === "pointer") return stepped(body, b, a, leftType, other.to, false);
  if ((operator === "/" || operator === "%") && b.kind === "const" && b.value === 0n)
    body.warn(right.location, "division by zero: the verifier refuses it", "division-by-zero");
  return arithmetic(body, operator, a, b, result, rightType);
}

/** The comparison of two expressions. */
export function comparison(body: Body, expr: Expr & { kind: "binary" }): Value {
  const a = value(body, expr.left);
  const b = value(body, expr.right);
  body.at(expr.location);
  if (isWide(expr.left.type)) {
    if (expr.operator !== "==" && expr.operator !== "!=")
      body.error(expr.location, `eBPF has no 128-bit integers: ${expr.operator} cannot be computed`);
    return compare(body, expr.operator, wideDifference(body, a, b), body.b.const(0, "i64"), U64);
  }
  return compare(body, expr.operator, a, b, expr.left.type);
}

function noteWrite(body: Body, target: Expr): void {
  if (target.kind === "variable") body.written.add(target.variable);
}

function assign(body: Body, expr: Expr & { kind: "assign" }): Value {
  const { operator, target, type, computeType } = expr;
  noteWrite(body, target);
  if (operator === undefined) {
    if (isAggregate(type)) {
      const from = value(body, expr.value);
      const to = place(body, target);
      body.at(expr.location);
      store(body, to, from);
      return addressOf(body, to);
    }
    // C leaves the order open: it is clang's, which decides where data is.
    const stored = value(body, expr.value);
    const to = place(body, target);
    body.at(expr.location);
    store(body, to, stored);
    return kept(body, to, stored);
  }
  const by = value(body, expr.value);
  const to = walkedOnce(body, place(body, target));
  body.at(expr.location);
  const before = convert(body, load(body, to), type, computeType);
  const after = operate(body, operator, before, by, computeType, expr.value.type, computeType, expr.value);
  const stored = convert(body, after, computeType, type);
  store(body, to, stored);
  return kept(body, to, stored);
}

/** A place that is read and written: its way is walked once. Bitfields keep theirs, which reading and writing walk differently. */
function walkedOnce(body: Body, at: Place): Place {
  return at.bits === undefined ? walked(body, at) : at;
}

/** The value of an assignment: what the target holds after it. */
function kept(body: Body, to: Place, stored: Value): Value {
  if (to.bits === undefined) return stored;
  return lowBits(body, stored, to.bits.width, isSigned(to.type));
}

function stepValue(body: Body, expr: Expr & { kind: "step" }): Value {
  const { b } = body;
  const { target, by, type } = expr;
  noteWrite(body, target);
  const to = walkedOnce(body, place(body, target));
  body.at(expr.location);
  const before = load(body, to);
  const shape = shapeOf(type);
  let after: Value;
  if (shape.kind === "pointer") after = b.ptradd(before, by * body.size(shape.to));
  else if (shape.kind === "bool") after = by > 0 ? b.const(1, "i32") : b.binary("xor", before, b.const(1, "i32"));
  else {
    const sum = b.binary("add", before, b.const(by, before.type));
    const bits = (sizeOf(type) ?? 4) * 8;
    after = bits < 32 ? lowBits(body, sum, bits, isSigned(type)) : sum;
  }
  store(body, to, after);
  return expr.postfix ? before : kept(body, to, after);
}

function statementExpression(body: Body, expr: Expr & { kind: "statements" }): Value {
  const depth = body.scopes.open.length;
  for (const inner of expr.body.statements) statement(body, inner);
  let result = zeroOf(body, expr.type);
  if (expr.result !== undefined) {
    if (shapeOf(expr.type).kind === "void") effect(body, expr.result);
    else result = value(body, expr.result);
  }
  body.scopes.close(body, depth);
  return result;
}
