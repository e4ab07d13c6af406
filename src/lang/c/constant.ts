/** Constant expressions: integers, and addresses for initialisers of variables that live as long as the program (C11 6.6). */
import type { Expr, FunctionDecl, VariableDecl } from "./ast.ts";
import { isInteger, wrapTo } from "./types/compatible.ts";
import { sizeOf } from "./types/layout.ts";
import { qualifiersOf, shapeOf } from "./types/types.ts";

/** An integer, or an address within something (`null`: absolute). */
export type Constant =
  | { readonly kind: "integer"; readonly value: bigint }
  | {
      readonly kind: "address";
      readonly base: VariableDecl | FunctionDecl | Uint8Array | null;
      /** Bytes. */
      readonly offset: bigint;
    };

function integer(value: bigint): Constant {
  return { kind: "integer", value };
}

/** An expression's value as an integer; undefined when it is not constant. */
export function constantInteger(expr: Expr): bigint | undefined {
  const constant = expr.kind === "variable" ? constantVariable(expr) : constantValue(expr);
  if (constant?.kind === "integer") return constant.value;
  return constant?.kind === "address" && constant.base === null ? constant.offset : undefined;
}

/** An expression's value; undefined when it is not constant. */
export function constantValue(expr: Expr): Constant | undefined {
  switch (expr.kind) {
    case "integer":
      return integer(wrapTo(expr.value, expr.type));
    case "cast":
      return constantCast(expr);
    case "unary": {
      const operand = constantInteger(expr.operand);
      if (operand === undefined) return undefined;
      if (expr.operator === "!") return integer(operand === 0n ? 1n : 0n);
      return integer(wrapTo(expr.operator === "-" ? -operand : ~operand, expr.type));
    }
    case "binary":
      return constantBinary(expr);
    case "logical": {
      const left = constantInteger(expr.left);
      if (left === undefined) return undefined;
      if ((left !== 0n) === (expr.operator === "||")) return integer(expr.operator === "||" ? 1n : 0n);
      const right = constantInteger(expr.right);
      return right === undefined ? undefined : integer(right === 0n ? 0n : 1n);
    }
    case "conditional": {
      const condition = constantInteger(expr.condition);
      if (condition === undefined) return undefined;
      if (condition !== 0n) return expr.then === undefined ? integer(condition) : constantValue(expr.then);
      return constantValue(expr.else);
    }
    case "address":
      return constantAddress(expr.operand);
    case "builtin":
      return constantBuiltin(expr);
    default:
      return undefined;
  }
}

function constantCast(expr: Expr & { kind: "cast" }): Constant | undefined {
  if (expr.cast === "decay") return constantAddress(expr.operand);
  if (expr.cast === "load") return constantVariable(expr.operand);
  const operand = constantValue(expr.operand);
  if (operand === undefined || expr.cast === "void") return undefined;
  if (operand.kind === "address") {
    // An address stays one as long as all its bits do.
    if (expr.cast === "bool") return operand.base === null ? integer(operand.offset === 0n ? 0n : 1n) : integer(1n);
    if (operand.base === null && expr.cast === "pointer-to-integer") return integer(wrapTo(operand.offset, expr.type));
    return sizeOf(expr.type) === 8 ? operand : undefined;
  }
  if (shapeOf(expr.type).kind === "pointer") return { kind: "address", base: null, offset: operand.value };
  if (expr.cast === "bool") return integer(operand.value === 0n ? 0n : 1n);
  return shapeOf(expr.type).kind === "float" ? undefined : integer(wrapTo(operand.value, expr.type));
}

/** A `const` variable whose value is known may stand for it, as GCC and clang let it. */
function constantVariable(expr: Expr): Constant | undefined {
  if (expr.kind !== "variable") return undefined;
  const { type, initializer, storage } = expr.variable;
  const { const: isConst, volatile } = qualifiersOf(type);
  if (!isConst || volatile || storage === "extern" || initializer?.kind !== "value" || !isInteger(type))
    return undefined;
  return constantValue(initializer.value);
}

const swaps: Readonly<Record<string, number>> = { __builtin_bswap16: 2, __builtin_bswap32: 4, __builtin_bswap64: 8 };

/** Builtins of constants. */
function constantBuiltin(expr: Expr & { kind: "builtin" }): Constant | undefined {
  const [first] = expr.args;
  const value = first === undefined || first.kind === "type" ? undefined : constantInteger(first);
  if (value === undefined) return undefined;
  const bytes = swaps[expr.name];
  if (bytes !== undefined) {
    let swapped = 0n;
    for (let i = 0; i < bytes; i++) swapped |= ((value >> BigInt(8 * i)) & 0xffn) << BigInt(8 * (bytes - 1 - i));
    return integer(wrapTo(swapped, expr.type));
  }
  const unsigned = BigInt.asUintN(expr.name.endsWith("l") ? 64 : 32, value);
  const bits = unsigned.toString(2);
  if (/^__builtin_popcountl*$/.test(expr.name)) return integer(BigInt(bits.replaceAll("0", "").length));
  if (/^__builtin_clzl*$/.test(expr.name) && unsigned !== 0n)
    return integer(BigInt((expr.name.endsWith("l") ? 64 : 32) - bits.length));
  if (/^__builtin_(?:ctz|ffs)l*$/.test(expr.name)) {
    const zeros = bits.length - 1 - bits.lastIndexOf("1");
    if (unsigned === 0n) return expr.name.includes("ffs") ? integer(0n) : undefined;
    return integer(BigInt(expr.name.includes("ffs") ? zeros + 1 : zeros));
  }
  return expr.name === "__builtin_expect" ? integer(value) : undefined;
}

/** The address of an lvalue or function. */
function constantAddress(expr: Expr): Constant | undefined {
  switch (expr.kind) {
    case "variable":
      return expr.variable.storage === "local" || expr.variable.storage === "parameter"
        ? undefined
        : { kind: "address", base: expr.variable, offset: 0n };
    case "compound":
      return expr.variable.storage === "local" ? undefined : { kind: "address", base: expr.variable, offset: 0n };
    case "function":
      return { kind: "address", base: expr.func, offset: 0n };
    case "string":
      return { kind: "address", base: expr.bytes, offset: 0n };
    case "dereference":
      return asAddress(constantValue(expr.operand));
    case "member": {
      const record = constantAddress(expr.record);
      return moved(record, BigInt(Math.floor(expr.field.bitOffset / 8)));
    }
    case "index": {
      const array =
        shapeOf(expr.array.type).kind === "array" ? constantAddress(expr.array) : asAddress(constantValue(expr.array));
      const index = constantInteger(expr.index);
      return index === undefined ? undefined : moved(array, index * BigInt(sizeOf(expr.type) ?? 0));
    }
    default:
      return undefined;
  }
}

function asAddress(constant: Constant | undefined): Constant | undefined {
  return constant?.kind === "integer" ? { kind: "address", base: null, offset: constant.value } : constant;
}

function moved(constant: Constant | undefined, by: bigint): Constant | undefined {
  return constant?.kind === "address" ? { ...constant, offset: constant.offset + by } : undefined;
}

function constantBinary(expr: Expr & { kind: "binary" }): Constant | undefined {
  const left = constantValue(expr.left);
  const right = constantValue(expr.right);
  if (left === undefined || right === undefined) return undefined;
  if (left.kind === "address" || right.kind === "address") return addressArithmetic(expr, left, right);
  const a = left.value;
  const b = right.value;
  const truth = (holds: boolean): Constant => integer(holds ? 1n : 0n);
  const wrapped = (value: bigint): Constant => integer(wrapTo(value, expr.type));
  switch (expr.operator) {
    case "+":
      return wrapped(a + b);
    case "-":
      return wrapped(a - b);
    case "*":
      return wrapped(a * b);
    case "/":
      return b === 0n ? undefined : wrapped(a / b);
    case "%":
      return b === 0n ? undefined : wrapped(a % b);
    case "<<":
      return b < 0n || b > 127n ? undefined : wrapped(a << b);
    case ">>":
      return b < 0n || b > 127n ? undefined : wrapped(a >> b);
    case "&":
      return wrapped(a & b);
    case "|":
      return wrapped(a | b);
    case "^":
      return wrapped(a ^ b);
    case "==":
      return truth(a === b);
    case "!=":
      return truth(a !== b);
    case "<":
      return truth(a < b);
    case ">":
      return truth(a > b);
    case "<=":
      return truth(a <= b);
    case ">=":
      return truth(a >= b);
  }
}

function addressArithmetic(expr: Expr & { kind: "binary" }, left: Constant, right: Constant): Constant | undefined {
  const element = (type: Expr["type"]): bigint => {
    const shape = shapeOf(type);
    return BigInt(shape.kind === "pointer" ? (sizeOf(shape.to) ?? 1) : 1);
  };
  if (expr.operator === "+" && left.kind === "address" && right.kind === "integer")
    return moved(left, right.value * element(expr.left.type));
  if (expr.operator === "+" && left.kind === "integer" && right.kind === "address")
    return moved(right, left.value * element(expr.right.type));
  if (expr.operator === "-" && left.kind === "address" && right.kind === "integer")
    return moved(left, -right.value * element(expr.left.type));
  if (left.kind !== "address" || right.kind !== "address" || left.base !== right.base) return undefined;
  const truth = (holds: boolean): Constant => integer(holds ? 1n : 0n);
  switch (expr.operator) {
    case "-": {
      const size = element(expr.left.type);
      return size === 0n ? undefined : integer((left.offset - right.offset) / size);
    }
    case "==":
      return truth(left.offset === right.offset);
    case "!=":
      return truth(left.offset !== right.offset);
    case "<":
      return truth(left.offset < right.offset);
    case ">":
      return truth(left.offset > right.offset);
    case "<=":
      return truth(left.offset <= right.offset);
    case ">=":
      return truth(left.offset >= right.offset);
    default:
      return undefined;
  }
}
