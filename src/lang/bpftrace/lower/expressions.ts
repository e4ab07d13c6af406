/** Expressions: to operands, to conditions, and straight into the memory where their value is wanted. */
import type { Block, Value } from "../../../compiler/ir.ts";
import type {
  BinaryExpression,
  BlockExpression,
  Expression,
  FieldExpression,
  IdentifierExpression,
  IfExpression,
  IndexExpression,
  TernaryExpression,
  TupleExpression,
} from "../ast.ts";
import { I64, NONE, sizeOf, tupleOffsets, type Type } from "../types.ts";
import { readAggregate } from "./aggregations.ts";
import type { Body, MapCursor } from "./body.ts";
import { lowerArgsField, lowerBuiltin, writeBuiltin } from "./builtins.ts";
import { lowerCall, writeCall } from "./calls.ts";
import { constantOfExpression } from "./constants.ts";
import { keyOf, lookup, lowerKey, mapOf, modifyEntry, notNull, readEntry } from "./maps.ts";
import {
  asNumber,
  dereference,
  inMemory,
  itemPlace,
  loadPlace,
  memberPlace,
  readGuarded,
  writeOperand,
  zeroPadding,
} from "./memory.ts";
import { arithmetic, COMPARISONS, lowerComparison } from "./operators.ts";
import { lowerStatements } from "./statements.ts";
import { stringBytes, writeBytes, writeLiteral } from "./strings.ts";
import { bitsOf, direct, isScalarType, type Operand, type Place, scalar } from "./values.ts";

/** The type that the checker gave. */
export function typeOf(expression: Expression): Type {
  return expression.type ?? NONE;
}

/** Lowers an expression to its value, read and ready where it is a number. */
export function lowerExpression(body: Body, expression: Expression): Operand {
  const operand = lowerPlace(body, expression);
  return operand.form === "place" ? readGuarded(body, operand) : operand;
}

/** Lowers an expression to a number. */
export function lowerNumber(body: Body, expression: Expression): Value {
  return asNumber(body, lowerPlace(body, expression));
}

/** Lowers an expression, leaving memory unread. */
export function lowerPlace(body: Body, expression: Expression): Operand {
  const { b } = body;
  const known = body.bound.get(expression) ?? lowerConstant(body, expression);
  if (known) return known;
  switch (expression.kind) {
    case "integer":
      return scalar(expression.type ?? I64, body.int(expression.value));
    case "boolean":
      return scalar(typeOf(expression), body.int(expression.value ? 1 : 0));
    case "string":
      return literal(body, expression.value, typeOf(expression));
    case "positional":
      if (expression.resolved?.kind === "string") return literal(body, expression.resolved.value, typeOf(expression));
      return scalar(typeOf(expression), body.int(expression.resolved?.value ?? 0n));
    case "identifier": {
      const { resolved } = expression;
      if (resolved?.kind === "constant") return scalar(typeOf(expression), body.int(resolved.value));
      if (resolved?.kind === "text") return literal(body, resolved.value, typeOf(expression));
      return lowerBuiltin(body, builtinName(expression), resolved?.index, expression);
    }
    case "variable": {
      const variable = expression.resolved;
      if (!variable) throw new RangeError(`variable $${expression.name}: not checked`);
      const cursor = body.cursors.get(variable);
      if (cursor) return materializeCursor(body, cursor, variable.type);
      const slot = body.variable(variable, true);
      if (!isScalarType(slot.type)) return direct(slot.type, slot.pointer, 0, true);
      return scalar(slot.type, b.load(slot.pointer, 64));
    }
    case "map": {
      const map = mapOf(body, expression.name);
      if (isNumberOfAggregate(map.value)) {
        return scalar(numberType(map.value), readAggregate(body, map, keyOf(body, map, expression)));
      }
      return readEntry(body, map, expression);
    }
    case "unary":
      return lowerUnary(body, expression);
    case "increment":
      return lowerIncrement(body, expression, true);
    case "binary":
      return lowerBinary(body, expression);
    case "ternary":
    case "if":
    case "block": {
      const type = typeOf(expression);
      if (type.kind === "none") {
        writeBranches(body, expression, (e) => lowerEffect(body, e));
        return scalar(NONE, body.int(0));
      }
      if (isScalarType(type)) {
        const cell = body.cell(body.int(0));
        writeBranches(body, expression, (e) => cell.set(convert(body, lowerNumber(body, e), typeOf(e), type)));
        return scalar(type, cell.get());
      }
      const memory = body.memory(sizeOf(type), "choice");
      writeBranches(body, expression, (e) => lowerInto(body, e, type, memory, 0, true));
      return direct(type, memory, 0, true);
    }
    case "call":
      return expression.expansion ? lowerPlace(body, expression.expansion) : lowerCall(body, expression);
    case "field":
      return lowerField(body, expression);
    case "index":
      return lowerIndex(body, expression);
    case "cast":
      return lowerCast(body, expression.operand, typeOf(expression));
    case "tuple": {
      const type = typeOf(expression);
      const memory = body.memory(sizeOf(type), "tuple");
      lowerInto(body, expression, type, memory, 0, true);
      return direct(type, memory, 0, true);
    }
    case "comptime":
      return lowerPlace(body, expression.operand);
  }
}

/** The builtin that a bare name is. */
function builtinName(expression: IdentifierExpression): string {
  return expression.resolved?.kind === "builtin" ? expression.resolved.name : expression.name;
}

function isNumberOfAggregate(type: Type): boolean {
  return ["count", "sum", "min", "max", "avg", "stats"].includes(type.kind);
}

/** The integer type that an aggregation reads as. */
function numberType(type: Type): Type {
  return { kind: "int", size: 8, signed: "signed" in type && type.signed === true };
}

/** The value of an expression that the checker computed; undefined for others. */
function lowerConstant(body: Body, expression: Expression): Operand | undefined {
  const { constant } = expression;
  const type = typeOf(expression);
  if (typeof constant === "bigint") return isScalarType(type) ? scalar(type, body.int(constant)) : undefined;
  if (typeof constant === "string") return literal(body, constant, type);
  if (constant === undefined) return undefined;
  const memory = body.memory(constant.length, "bytes");
  writeBytes(body, constant, constant.length, constant.length, memory, 0, true);
  return direct(type, memory);
}

function literal(body: Body, value: string, type: Type): Place {
  const size = type.kind === "string" ? type.size : stringBytes(value).length + 1;
  const memory = body.memory(size, "literal");
  writeLiteral(body, value, size, memory, 0, true);
  return direct({ kind: "string", size }, memory, 0, true);
}

/** The pair of key and value that a loop over a map is at, as a tuple of its own. */
function materializeCursor(body: Body, cursor: MapCursor, type: Type): Place {
  const memory = body.memory(sizeOf(type), "pair");
  if (type.kind !== "tuple") throw new TypeError(`loop variable of ${type.kind}`);
  const { offsets } = tupleOffsets(type.items);
  zeroPadding(body, type, memory, 0);
  writeOperand(body, loadPlace(body, cursor.key), type.items[0]!, memory, offsets[0]!, true);
  writeOperand(body, cursor.value(), type.items[1]!, memory, offsets[1]!, true);
  return direct(type, memory, 0, true);
}

/** Evaluates whichever side is taken, handing its value's expression to `write`. */
function writeBranches(
  body: Body,
  expression: TernaryExpression | IfExpression | BlockExpression,
  write: (value: Expression) => void,
): void {
  switch (expression.kind) {
    case "block":
      lowerStatements(body, expression.block.statements);
      write(expression.result);
      return;
    case "if":
    case "ternary": {
      const { b } = body;
      if (expression.kind === "ternary" && expression.then === null) {
        writeElvis(body, expression, write);
        return;
      }
      const yes = b.block("then");
      const no = b.block("else");
      const end = b.block("end");
      lowerCondition(body, expression.condition, yes, no);
      for (const [block, side] of [
        [yes, expression.then!],
        [no, expression.otherwise],
      ] as const) {
        b.moveTo(block);
        if (side.kind === "block" || side.kind === "if") writeBranches(body, side, write);
        else write(side);
        b.jump(end);
      }
      b.moveTo(end);
    }
  }
}

/** `a ?: b`: the condition is evaluated once and is the value when it holds. */
function writeElvis(body: Body, expression: TernaryExpression, write: (value: Expression) => void): void {
  const { b } = body;
  const value = lowerExpression(body, expression.condition);
  const yes = b.block("then");
  const no = b.block("else");
  const end = b.block("end");
  b.branch(truth(body, value), yes, no);
  b.moveTo(yes);
  body.bound.set(expression.condition, value);
  write(expression.condition);
  body.bound.delete(expression.condition);
  b.jump(end);
  b.moveTo(no);
  write(expression.otherwise);
  b.jump(end);
  b.moveTo(end);
}

/** True when a value counts as true: numbers other than 0, strings that are not empty. */
export function truth(body: Body, operand: Operand): Value {
  const { b } = body;
  if (operand.form === "place" && operand.type.kind === "string") {
    const place = inMemory(body, operand);
    return b.icmp("ne", b.load(place.base, 8, { offset: place.offset }), body.int(0));
  }
  return b.icmp("ne", asNumber(body, operand), body.int(0));
}

/** Goes to one block or the other; `&&`, `||` and `!` become control flow. */
export function lowerCondition(
  body: Body,
  expression: Expression,
  then: Block,
  otherwise: Block,
  likely?: "then" | "else",
): void {
  const { b } = body;
  body.at(expression.span);
  if (expression.kind === "binary") {
    const { operator } = expression;
    if (operator === "&&" || operator === "||") {
      const next = b.block(operator === "&&" ? "and" : "or");
      if (operator === "&&") lowerCondition(body, expression.left, next, otherwise, likely);
      else lowerCondition(body, expression.left, then, next, likely);
      b.moveTo(next);
      lowerCondition(body, expression.right, then, otherwise, likely);
      return;
    }
    if (COMPARISONS.has(operator)) {
      b.branch(lowerComparison(body, expression), then, otherwise, likely);
      return;
    }
  }
  if (expression.kind === "unary" && expression.operator === "!") {
    lowerCondition(body, expression.operand, otherwise, then, likely && (likely === "then" ? "else" : "then"));
    return;
  }
  b.branch(truth(body, lowerExpression(body, expression)), then, otherwise, likely);
}

/** Evaluates for effect alone. */
export function lowerEffect(body: Body, expression: Expression): void {
  body.at(expression.span);
  if (expression.kind === "increment") lowerIncrement(body, expression, false);
  else lowerPlace(body, expression);
}

/**
 * Writes the value of an expression to memory of the program in the layout of `type`, without a copy where it can be made in place.
 * `zeroTail`: see `writeOperand`.
 */
export function lowerInto(
  body: Body,
  expression: Expression,
  type: Type,
  to: Value,
  offset: number,
  zeroTail: boolean,
): void {
  body.at(expression.span);
  if (!isScalarType(type) && !body.bound.has(expression)) {
    const { constant } = expression;
    if (typeof constant === "string" && type.kind === "string") {
      writeLiteral(body, constant, type.size, to, offset, zeroTail);
      return;
    }
    if (constant instanceof Uint8Array) {
      writeBytes(body, constant, constant.length, sizeOf(type), to, offset, true);
      return;
    }
    switch (expression.kind) {
      case "string":
        writeLiteral(body, expression.value, sizeOf(type), to, offset, zeroTail);
        return;
      case "tuple":
        if (type.kind === "tuple") {
          writeItems(body, expression, type, to, offset, zeroTail);
          return;
        }
        break;
      case "ternary":
      case "if":
      case "block":
        writeBranches(body, expression, (e) => lowerInto(body, e, type, to, offset, zeroTail));
        return;
      case "identifier":
        if (expression.resolved?.kind === "text") {
          writeLiteral(body, expression.resolved.value, sizeOf(type), to, offset, zeroTail);
          return;
        }
        if (writeBuiltin(body, builtinName(expression), type, to, offset, zeroTail)) return;
        break;
      case "call":
        if (expression.expansion) {
          lowerInto(body, expression.expansion, type, to, offset, zeroTail);
          return;
        }
        if (writeCall(body, expression, type, to, offset, zeroTail)) return;
        break;
      default:
        break;
    }
  }
  const operand = lowerPlace(body, expression);
  const loaded = operand.form === "place" ? readGuarded(body, operand) : operand;
  if (loaded.form === "scalar" && isScalarType(type)) {
    body.b.store(to, convert(body, loaded.value, loaded.type, type), bitsOf(type), { offset });
    return;
  }
  writeOperand(body, loaded, type, to, offset, zeroTail);
}

function writeItems(
  body: Body,
  expression: TupleExpression,
  type: Type & { kind: "tuple" },
  to: Value,
  offset: number,
  zeroTail: boolean,
): void {
  const { offsets } = tupleOffsets(type.items);
  zeroPadding(body, type, to, offset);
  expression.items.forEach((item, i) => lowerInto(body, item, type.items[i]!, to, offset + offsets[i]!, zeroTail));
}

/** A number of one type as another: extends again where the width shrinks or the sign of a narrow type changes. */
export function convert(body: Body, value: Value, from: Type, to: Type): Value {
  if (to.kind === "bool" && from.kind !== "bool") return body.flag(body.b.icmp("ne", value, body.int(0)));
  if (to.kind !== "int" || to.size === 8) return value;
  const bits = bitsOf(to);
  const fits =
    from.kind === "bool" ||
    (from.kind === "int" &&
      from.size <= to.size &&
      (from.signed === to.signed || (from.size < to.size && !from.signed)));
  return fits ? value : body.extend(value, bits, to.signed);
}

function lowerUnary(body: Body, expression: Expression & { kind: "unary" }): Operand {
  const { b } = body;
  const type = typeOf(expression);
  switch (expression.operator) {
    case "*": {
      const pointer = lowerExpression(body, expression.operand);
      const pointerType = typeOf(expression.operand);
      if (pointerType.kind !== "pointer") return scalar(type, asNumber(body, pointer));
      return dereference(body, pointer, pointerType.to, pointerType.space);
    }
    case "&":
      return lowerAddress(body, expression.operand, type);
    case "!":
      return scalar(type, body.flag(b.icmp("eq", lowerTruthNumber(body, expression.operand), body.int(0))));
    case "-":
      return normalized(body, type, b.binary("sub", body.int(0), lowerNumber(body, expression.operand)));
    case "~":
      return normalized(body, type, b.binary("xor", lowerNumber(body, expression.operand), body.int(-1)));
  }
}

function lowerTruthNumber(body: Body, expression: Expression): Value {
  const operand = lowerExpression(body, expression);
  if (operand.form === "place" && operand.type.kind === "string") return body.flag(truth(body, operand));
  return asNumber(body, operand);
}

/** `&$x`, `&@m[k]`, `&s.field`: the address as a number. */
function lowerAddress(body: Body, expression: Expression, type: Type): Operand {
  const { b } = body;
  if (expression.kind === "variable" && expression.resolved) {
    return scalar(type, b.ptrtoint(body.variable(expression.resolved, true).pointer));
  }
  if (expression.kind === "map") {
    const map = mapOf(body, expression.name);
    if (!map.key && !map.perCpu) return scalar(type, b.ptrtoint(b.mapvalue(map.kernelMap)));
    return scalar(type, b.ptrtoint(lookup(body, map, keyOf(body, map, expression))));
  }
  const place = lowerPlace(body, expression);
  if (place.form !== "place")
    throw body.script.error(expression.span, "Can not take the address of a value in a register");
  const base = place.base.type === "ptr" ? b.ptrtoint(place.base) : place.base;
  return scalar(type, body.addressPlus(base, place.offset));
}

function normalized(body: Body, type: Type, value: Value): Operand {
  return scalar(type, type.kind === "int" ? body.extend(value, bitsOf(type), type.signed) : value);
}

function lowerBinary(body: Body, expression: BinaryExpression): Operand {
  const { b } = body;
  const { operator, left, right } = expression;
  const type = typeOf(expression);
  if (operator === "&&" || operator === "||") {
    const yes = b.block("true");
    const no = b.block("false");
    const end = b.block("end");
    const cell = body.cell();
    lowerCondition(body, expression, yes, no);
    b.moveTo(yes);
    cell.set(body.int(1));
    b.jump(end);
    b.moveTo(no);
    cell.set(body.int(0));
    b.jump(end);
    b.moveTo(end);
    return scalar(type, cell.get());
  }
  if (COMPARISONS.has(operator)) return scalar(type, body.flag(lowerComparison(body, expression)));
  const leftType = typeOf(left);
  const rightType = typeOf(right);
  const a = lowerNumber(body, left);
  const c = lowerNumber(body, right);
  body.at(expression.span);
  return normalizedPointer(body, type, arithmetic(body, operator, a, c, leftType, rightType, left, right));
}

function normalizedPointer(body: Body, type: Type, value: Value): Operand {
  return type.kind === "int" ? normalized(body, type, value) : scalar(type, value);
}

/** `++` and `--`: gives the value before or after; `used` is false where nobody looks at it. */
function lowerIncrement(body: Body, expression: Expression & { kind: "increment" }, used: boolean): Operand {
  const { b } = body;
  const { target, operator, prefix } = expression;
  const type = typeOf(target);
  const step = type.kind === "pointer" ? Math.max(1, sizeOf(type.to)) : 1;
  const sign = operator === "++" ? "+" : "-";
  const compute = (old: Value): Value => b.binary(sign === "+" ? "add" : "sub", old, body.int(step));
  if (target.kind === "map") {
    const map = mapOf(body, target.name);
    const want = used ? (prefix ? "new" : "old") : "none";
    const result = modifyEntry(body, map, target, sign, body.int(step), compute, want);
    return scalar(typeOf(expression), result ?? body.int(0));
  }
  const slot = body.variable(target.resolved!, true);
  const old = b.load(slot.pointer, 64);
  const after =
    slot.type.kind === "int" ? body.extend(compute(old), bitsOf(slot.type), slot.type.signed) : compute(old);
  b.store(slot.pointer, after, 64);
  return scalar(typeOf(expression), prefix ? after : old);
}

function lowerField(body: Body, expression: FieldExpression): Operand {
  const { object, name, resolved } = expression;
  body.at(expression.span);
  if (object.kind === "variable" && object.resolved) {
    const cursor = body.cursors.get(object.resolved);
    if (cursor && (name === "0" || name === "1")) return name === "0" ? cursor.key : cursor.value();
  }
  if (object.kind === "identifier" && builtinName(object) === "args" && resolved) {
    return lowerArgsField(body, resolved);
  }
  const objectType = typeOf(object);
  const base = lowerPlace(body, object);
  if (objectType.kind === "tuple") {
    const index = objectType.names ? objectType.names.indexOf(name) : Number(name);
    return itemPlace(inMemory(body, base), index);
  }
  if (!resolved) throw new RangeError(`field ${name}: not checked`);
  if (objectType.kind === "pointer") {
    const pointer = base.form === "place" ? readGuarded(body, base) : base;
    const place = dereference(body, pointer, objectType.to, objectType.space);
    return memberPlace(place, resolved);
  }
  if (base.form === "place") return memberPlace(base, resolved);
  return memberPlace(inMemory(body, base), resolved);
}

function lowerIndex(body: Body, expression: IndexExpression): Operand {
  const { b } = body;
  const { object, index } = expression;
  const objectType = typeOf(object);
  const base = lowerPlace(body, object);
  body.at(expression.span);
  const known = constantOfExpression(index);
  const constantIndex = known === undefined ? null : Number(known);
  if (objectType.kind === "tuple") return itemPlace(inMemory(body, base), constantIndex ?? 0);
  if (objectType.kind === "pointer") {
    const pointer = base.form === "place" ? readGuarded(body, base) : base;
    if (constantIndex !== null) return dereference(body, pointer, objectType.to, objectType.space, constantIndex);
    const step = b.binary("mul", lowerNumber(body, index), body.int(sizeOf(objectType.to)));
    const moved = scalar(objectType, b.binary("add", asNumber(body, pointer), step));
    return dereference(body, moved, objectType.to, objectType.space);
  }
  const element: Type = objectType.kind === "array" ? objectType.of : { kind: "int", size: 1, signed: true };
  const length = objectType.kind === "array" ? objectType.length : sizeOf(objectType);
  let place = base.form === "place" ? base : inMemory(body, base);
  const step = sizeOf(element);
  const { form, access } = place;
  if (constantIndex !== null) {
    return { form, access, base: place.base, type: element, offset: place.offset + constantIndex * step };
  }
  const at = lowerNumber(body, index);
  if (access === "kernel" || access === "user") {
    const moved = b.binary("add", place.base, b.binary("mul", at, body.int(step)));
    return { form, access, base: moved, type: element, offset: place.offset };
  }
  // The program's own memory may only be indexed within bounds that the verifier sees: what is outside reads as zero.
  place = inMemory(body, place);
  const result = body.memory(step, "element");
  body.zero(result, step);
  body.ifElse(b.icmp("ult", at, body.int(length)), () => {
    const moved = b.ptradd(b.ptradd(place.base, place.offset), b.binary("mul", at, body.int(step)));
    body.copy(result, 0, moved, 0, step);
  });
  return direct(element, result, 0, true);
}

function lowerCast(body: Body, expression: Expression, type: Type): Operand {
  const from = typeOf(expression);
  const operand = lowerPlace(body, expression);
  if (isScalarType(type)) {
    const loaded = operand.form === "place" && isScalarType(operand.type) ? readGuarded(body, operand) : operand;
    // A pointer keeps what the verifier knows of it only while its type stays what the kernel says it is.
    if (loaded.form === "scalar" && loaded.trusted && type.kind === "pointer" && from.kind === "pointer") {
      const same = type.to.kind === "struct" && from.to.kind === "struct" && type.to.name === from.to.name;
      if (same) return scalar(type, loaded.value, loaded.trusted);
    }
    if (loaded.form === "place" && type.kind === "int" && sizeOf(loaded.type) >= type.size) {
      const unsigned: Type = { kind: "int", size: type.size, signed: type.signed };
      return readGuarded(body, { ...loaded, type: unsigned });
    }
    return scalar(type, convert(body, asNumber(body, loaded), from, type));
  }
  if (operand.form === "place") {
    if (operand.type.kind === "string" || type.kind === "string") {
      const memory = body.memory(sizeOf(type), "cast");
      writeOperand(body, operand, type, memory, 0, true);
      return direct(type, memory, 0, true);
    }
    return { ...operand, type };
  }
  // A number as bytes: `(uint8[8])x`, `(string[8])p`.
  if (type.kind === "string" && from.kind === "pointer") {
    const place = dereference(body, operand, type, from.space);
    const memory = body.memory(type.size, "string");
    writeOperand(body, place, type, memory, 0, true);
    return direct(type, memory, 0, true);
  }
  const memory = body.memory(sizeOf(type), "bytes");
  if (sizeOf(type) > 8) body.zero(memory, sizeOf(type));
  body.b.store(memory, asNumber(body, operand), 64);
  return direct(type, memory);
}

/** True when evaluating an expression changes nothing, so that its place in the order of evaluation does not matter. */
export function isPure(expression: Expression): boolean {
  switch (expression.kind) {
    case "increment":
    case "block":
    case "if":
      return false;
    case "call":
      return expression.expansion
        ? isPure(expression.expansion)
        : expression.name !== "delete" && expression.args.every(isPure);
    case "unary":
    case "cast":
    case "comptime":
      return isPure(expression.operand);
    case "binary":
      return isPure(expression.left) && isPure(expression.right);
    case "ternary":
      return (
        isPure(expression.condition) && (!expression.then || isPure(expression.then)) && isPure(expression.otherwise)
      );
    case "field":
      return isPure(expression.object);
    case "index":
      return isPure(expression.object) && isPure(expression.index);
    case "tuple":
      return expression.items.every(isPure);
    case "map":
      return expression.key?.every(isPure) ?? true;
    default:
      return true;
  }
}

/** True when a map has the key. */
export function hasKey(body: Body, mapName: string, key: readonly Expression[]): Value {
  const map = mapOf(body, mapName);
  return body.flag(notNull(body, lookup(body, map, lowerKey(body, map, key))));
}
