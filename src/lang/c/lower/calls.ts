/** Calls: of helpers by name or number, of the kernel's functions, of functions of the file. */
import type { Func, IrType, Value } from "../../../compiler/index.ts";
import type { Expr, FunctionDecl, VariableDecl } from "../ast.ts";
import { constantInteger, constantValue } from "../constant.ts";
import { isInteger } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type FunctionType, shapeOf } from "../types/types.ts";
import { lowBits } from "./bitfields.ts";
import type { Body } from "./body.ts";
import type { Callee } from "./context.ts";
import { convert, wide, zeroOf } from "./convert.ts";
import { copy, isSigned, placeAt } from "./place.ts";
import { irTypeOf, isAggregate } from "./signature.ts";
import { value } from "./values.ts";
import { type Node, anyInside } from "./walk.ts";

/** Registers that hold arguments. */
const MOST_ARGUMENTS = 5;

type Call = Expr & { readonly kind: "call" };

/** The value of a call; of one that gives nothing, something of no meaning. */
export function call(body: Body, expr: Call): Value {
  const type = functionTypeOf(expr.callee.type);
  const target = calledFunction(body, expr);
  const decl = target === undefined ? undefined : specialised(body, target, expr);
  const callee = decl === undefined ? helperOf(body, expr) : body.context.callee(decl, expr.location);
  if (callee === undefined || type === undefined) {
    // Reported; the arguments may have more to report.
    for (const arg of expr.args) value(body, arg);
    return isAggregate(expr.type) ? body.memory(expr.type, "result") : zeroOf(body, expr.type);
  }
  const isBound = (i: number): boolean => decl?.bound?.has(decl.params[i]!) === true;
  const args = expr.args.map((arg, i) => (isBound(i) ? body.b.const(0, "ptr") : argument(body, arg)));
  body.at(expr.location);
  // What a function of the file is given beyond its parameters nothing can read.
  const named = type.variadic ? args.slice(0, type.params.length) : args;
  return callee.kind === "function"
    ? callFunction(body, callee.func, named, expr)
    : callKernel(body, callee, args, expr);
}

function functionTypeOf(type: CType): FunctionType | undefined {
  const pointer = shapeOf(type);
  const shape = pointer.kind === "pointer" ? shapeOf(pointer.to) : pointer;
  return shape.kind === "function" ? shape : undefined;
}

/** What is called, without conversions that do not change it. */
function bareCallee(expr: Expr): Expr {
  let at = expr;
  while (at.kind === "cast" && at.cast !== "load" && at.cast !== "integer-to-pointer") at = at.operand;
  if (at.kind === "dereference") at = at.operand;
  while (at.kind === "cast" && (at.cast === "pointer" || at.cast === "none" || at.cast === "decay")) at = at.operand;
  if (at.kind !== "conditional") return at;
  const known = constantInteger(at.condition);
  return known === undefined ? at : bareCallee(known === 0n ? at.else : (at.then ?? at.condition));
}

/** The function that is called; undefined for helpers by number, and for what is not known. */
function calledFunction(body: Body, expr: Call): FunctionDecl | undefined {
  return functionBehind(body, bareCallee(expr.callee));
}

/** The helper that is called by its number. Reports what is not known before the program runs. */
function helperOf(body: Body, expr: Call): Callee | undefined {
  const number = helperNumber(bareCallee(expr.callee));
  if (number !== undefined && number > 0n && number < 1n << 31n) return { kind: "helper", id: Number(number) };
  body.error(expr.location, "eBPF calls functions that are known when it is compiled; this pointer is not", {
    hint: "call the function by its name, or choose between several with if",
  });
  return undefined;
}

/** The initialiser of a variable that holds a function's address, as `static long (*helper)(…) = (void *)N;` does. */
function pointerInitializer(expr: Expr): Expr | undefined {
  if (expr.kind !== "cast" || expr.cast !== "load" || expr.operand.kind !== "variable") return undefined;
  const { initializer, storage } = expr.operand.variable;
  if (storage === "extern" || storage === "parameter") return undefined;
  return initializer?.kind === "value" ? initializer.value : undefined;
}

/** The number by which a pointer to a helper calls it. */
export function helperNumber(expr: Expr): bigint | undefined {
  const from = pointerInitializer(expr) ?? expr;
  const constant = constantValue(from);
  if (constant?.kind === "integer") return constant.value;
  return constant?.kind === "address" && constant.base === null ? constant.offset : undefined;
}

/** The function whose address a pointer holds, as far as that is known. */
function functionBehind(body: Body, expr: Expr): FunctionDecl | undefined {
  let at = expr;
  while (at.kind === "cast" && at.cast !== "load") at = at.operand;
  if (at.kind === "function") return at.func;
  const parameter = at.kind === "cast" && at.operand.kind === "variable" ? at.operand.variable : undefined;
  const bound = parameter === undefined ? undefined : body.decl.bound?.get(parameter);
  if (bound !== undefined) return bound;
  const from = pointerInitializer(at);
  const constant = from === undefined ? undefined : constantValue(from);
  if (constant?.kind !== "address") return undefined;
  const { base } = constant;
  return base !== null && "kind" in base && base.kind === "function" ? base : undefined;
}

const copies = new WeakMap<FunctionDecl, Map<string, FunctionDecl>>();

/**
 * A function that calls what it gets by its parameters, for a call that hands known functions over: a copy of its own, whose body knows
 * them. eBPF has no calls through pointers.
 */
function specialised(body: Body, func: FunctionDecl, expr: Call): FunctionDecl {
  if (func.body === undefined || func.bound !== undefined) return func;
  const bound = new Map<VariableDecl, FunctionDecl>();
  func.params.forEach((param, i) => {
    const given = expr.args[i];
    const shape = shapeOf(param.type);
    if (given === undefined || shape.kind !== "pointer" || shapeOf(shape.to).kind !== "function") return;
    const target = functionBehind(body, given);
    if (target !== undefined && callsThrough(func, param)) bound.set(param, target);
  });
  if (bound.size === 0) return func;
  const name = [func.name, ...[...bound.values()].map((target) => target.name)].join("__");
  let known = copies.get(func);
  if (known === undefined) copies.set(func, (known = new Map()));
  let made = known.get(name);
  if (made === undefined) known.set(name, (made = { ...func, name, storage: "static", bound }));
  return made;
}

/** True when a function's body calls its parameter, or hands it on. */
function callsThrough(func: FunctionDecl, param: VariableDecl): boolean {
  const isParam = (node: Node): boolean => node.kind === "variable" && node.variable === param;
  return anyInside(
    func.body!,
    (node) =>
      node.kind === "call" &&
      (anyInside(node.callee, isParam) ||
        node.args.some((arg) => functionTypeOf(arg.type) !== undefined && anyInside(arg, isParam))),
  );
}

/** An argument: a scalar, or the address of a copy of an aggregate. */
function argument(body: Body, expr: Expr): Value {
  const given = value(body, expr);
  if (!isAggregate(expr.type)) return given;
  const own = body.memory(expr.type, "argument");
  copy(body, placeAt(expr.type, own), given, body.size(expr.type));
  return own;
}

/** Calls a helper or a function of the kernel, whose arguments fill registers. */
function callKernel(body: Body, callee: Exclude<Callee, { kind: "function" }>, args: Value[], expr: Call): Value {
  const { b } = body;
  const { type } = expr;
  if (callee.kind === "packet-load") {
    const [context, offset] = args as [Value, Value];
    const loaded = b.ldabs(context, wide(body, offset, false), callee.bits);
    return irTypeOf(type) === "i32" ? b.trunc(loaded) : loaded;
  }
  if (args.length > MOST_ARGUMENTS) {
    body.error(expr.location, `${args.length} arguments: the kernel's functions take up to ${MOST_ARGUMENTS}`);
    return zeroOf(body, type);
  }
  // Upper halves of 32-bit arguments are zero, as clang leaves them.
  const registers = args.map((arg) => (arg.type === "ptr" ? arg : wide(body, arg, false)));
  const shape = shapeOf(type);
  const ir: IrType = shape.kind === "void" ? "void" : irTypeOf(type) === "ptr" ? "ptr" : "i64";
  const result = callee.kind === "helper" ? b.helper(callee.id, registers, ir) : b.kfunc(callee.name, registers, ir);
  if (ir === "void") return zeroOf(body, type);
  if (ir === "ptr" || irTypeOf(type) === "i64") return result;
  const low = b.trunc(result);
  const bits = 8 * (sizeOf(type) ?? 4);
  return bits < 32 && (isInteger(type) || shape.kind === "bool") ? lowBits(body, low, bits, isSigned(type)) : low;
}

/** Calls a function of the file. */
function callFunction(body: Body, func: Func, args: readonly Value[], expr: Call): Value {
  const { b } = body;
  const all = [...args];
  let result: Value | undefined;
  if (isAggregate(expr.type)) {
    result = body.memory(expr.type, "result");
    all.unshift(result);
  }
  if (all.length !== func.params.length) {
    body.error(expr.location, `${func.name} takes ${func.params.length} arguments, here are ${all.length}`);
    return result ?? zeroOf(body, expr.type);
  }
  const fitted = all.map((arg, i) => inType(body, arg, func.params[i]!.type));
  const given = b.call(func, fitted);
  if (result !== undefined) return result;
  return given.type === "void" ? zeroOf(body, expr.type) : inType(body, given, irTypeOf(expr.type));
}

/** A value in the IR type that a declaration without parameter types did not ask for. */
function inType(body: Body, given: Value, type: IrType): Value {
  const { b } = body;
  if (given.type === type) return given;
  if (type === "i64") return wide(body, given, true);
  if (type === "i32") return given.type === "ptr" ? b.trunc(b.ptrtoint(given, true)) : b.trunc(given);
  return b.inttoptr(wide(body, given, true));
}

/** Calls a function that cleans a variable up, with the variable's address. */
export function callCleanup(body: Body, cleanup: FunctionDecl, address: Value, location: number): void {
  const callee = body.context.callee(cleanup, location);
  if (callee === undefined) return;
  const [param] = cleanup.type.params;
  const type: CType = { kind: "void" };
  const given = param === undefined ? address : convert(body, address, { kind: "pointer", to: type }, param.type);
  const expr: Call = {
    kind: "call",
    callee: { kind: "function", func: cleanup, type: cleanup.type, location },
    args: [],
    type: cleanup.type.result,
    location,
  };
  if (callee.kind === "function") callFunction(body, callee.func, [given], expr);
  else callKernel(body, callee, [given], expr);
}
