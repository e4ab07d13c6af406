/** Nodes that the dialect's constructs become. */
import type { BinaryOperator, CastKind, CompoundStmt, Expr, FunctionDecl, Stmt, VariableDecl } from "../ast.ts";
import { assignable } from "../parser/conversions.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { helperDeclaration } from "../helper-declarations.ts";
import { isInteger } from "../types/compatible.ts";
import { findField, sizeOf } from "../types/layout.ts";
import {
  type CType,
  INT,
  type RecordType,
  UNSIGNED_LONG,
  UNSIGNED_LONG_LONG,
  VOID,
  pointerTo,
  shapeOf,
} from "../types/types.ts";

/** `u64`, as BCC's macros say it. */
export const U64: CType = { kind: "typedef", name: "u64", to: UNSIGNED_LONG_LONG };
/** `void *`. */
export const VOID_POINTER: CType = pointerTo(VOID);

/** An integer constant. */
export function integer(value: bigint | number, type: CType, location: number): Expr {
  return { kind: "integer", value: BigInt(value), type, location };
}

/** The bytes of a type, as `sizeof` gives them. */
export function sizeOfType(type: CType, location: number): Expr {
  return integer(sizeOf(type) ?? 0, UNSIGNED_LONG, location);
}

/** The lvalue of a variable, which is used by being named. */
export function variable(of: VariableDecl, location: number): Expr {
  of.used = true;
  return { kind: "variable", variable: of, type: of.type, location };
}

/** The value of an lvalue. */
export function load(of: Expr): Expr {
  const { type } = of;
  return cast(of, type.kind === "qualified" ? type.of : type, "load");
}

/** A conversion that nobody wrote. */
export function cast(operand: Expr, type: CType, kind: CastKind): Expr {
  return { kind: "cast", cast: kind, operand, type, implicit: true, location: operand.location };
}

/** A scalar value in another scalar type. */
export function convert(value: Expr, type: CType): Expr {
  const from = shapeOf(value.type).kind === "pointer";
  const to = shapeOf(type).kind === "pointer";
  if (from && to) return cast(value, type, "pointer");
  if (from) return cast(value, type, "pointer-to-integer");
  if (to)
    return cast(isInteger(value.type) ? cast(value, UNSIGNED_LONG, "integer") : value, type, "integer-to-pointer");
  return cast(value, type, "integer");
}

/** The address of an lvalue; a variable below it then lives in memory. */
export function addressOf(lvalue: Expr): Expr {
  let root = lvalue;
  while (root.kind === "member") root = root.record;
  if (root.kind === "variable") root.variable.addressTaken = true;
  return { kind: "address", operand: lvalue, type: pointerTo(lvalue.type), location: lvalue.location };
}

/** The address of an lvalue as `void *`. */
export function voidAddress(lvalue: Expr): Expr {
  return cast(addressOf(lvalue), VOID_POINTER, "pointer");
}

/** What a pointer points to, as another type when one is given. */
export function dereference(pointer: Expr, type?: CType): Expr {
  const shape = shapeOf(pointer.type);
  const to = type ?? (shape.kind === "pointer" ? shape.to : VOID);
  const operand = type === undefined ? pointer : cast(pointer, pointerTo(type), "pointer");
  return { kind: "dereference", operand, type: to, location: pointer.location };
}

/** A member of a record by its name, through anonymous records; undefined when there is none. */
export function member(record: Expr, name: string): Expr | undefined {
  const shape = shapeOf(record.type) as RecordType;
  const found = shape.kind === "record" && shape.contents !== undefined ? findField(shape.contents, name) : undefined;
  if (found === undefined) return undefined;
  let at = record;
  for (const field of found.path)
    at = { kind: "member", record: at, field, type: field.type, location: record.location };
  return at;
}

/** An operator over operands of one type; comparisons give `int`. */
export function binary(operator: BinaryOperator, left: Expr, right: Expr, type: CType = left.type): Expr {
  return { kind: "binary", operator, left, right, type, location: left.location };
}

/** An assignment. */
export function assign(target: Expr, value: Expr): Expr {
  return {
    kind: "assign",
    operator: undefined,
    target,
    value,
    computeType: target.type,
    type: value.type,
    location: target.location,
  };
}

/** True when a value is zero. */
export function not(value: Expr): Expr {
  return { kind: "unary", operator: "!", operand: value, type: INT, location: value.location };
}

const helpers = new Map<string, FunctionDecl>();

/** A helper of the kernel as a function. */
export function helper(name: string): FunctionDecl {
  let found = helpers.get(name);
  if (found === undefined) {
    found = helperDeclaration(name, () => undefined);
    if (found === undefined) throw new TypeError(`the kernel has no helper ${name}`);
    helpers.set(name, found);
  }
  return found;
}

/** A call of a function whose arguments have its parameters' types already. */
export function callFunction(func: FunctionDecl, args: readonly Expr[], location: number): Expr {
  const callee = cast({ kind: "function", func, type: func.type, location }, pointerTo(func.type), "decay");
  return { kind: "call", callee, args, type: func.type.result, location };
}

/** A call of a helper; arguments are converted as C does, which may be reported. */
export function callHelper(diagnostics: Diagnostics, name: string, args: readonly Expr[], location: number): Expr {
  const func = helper(name);
  const converted = args.map((arg, i) => {
    const param = func.type.params[i];
    if (param === undefined) return arg;
    const value = shapeOf(arg.type).kind;
    const wanted = shapeOf(param.type).kind;
    // What the dialect passes on is meant: pointers as numbers and numbers as pointers.
    if ((value === "pointer") !== (wanted === "pointer")) return convert(arg, param.type);
    return assignable(diagnostics, arg, param.type, "argument", `${i + 1} of ${name}`);
  });
  return callFunction(func, converted, location);
}

/** A variable of a block. */
export function local(name: string, type: CType, location: number, value?: Expr): VariableDecl {
  return {
    kind: "variable",
    name,
    type: type.kind === "qualified" ? type.of : type,
    storage: "local",
    location,
    attributes: {},
    initializer: value === undefined ? undefined : { kind: "value", value },
    addressTaken: false,
    used: true,
  };
}

/** The statement that declares a variable. */
export function declare(of: VariableDecl): Stmt {
  return { kind: "declaration", variable: of, location: of.location };
}

/** The statement that computes an expression. */
export function statement(expr: Expr): Stmt {
  return { kind: "expression", expr, location: expr.location };
}

/** Statements in braces. */
export function block(body: readonly Stmt[], location: number): CompoundStmt {
  return { kind: "compound", statements: body, location, end: location };
}

/** `if`. */
export function when(condition: Expr, then: readonly Stmt[], otherwise?: readonly Stmt[]): Stmt {
  const { location } = condition;
  return {
    kind: "if",
    condition,
    then: block(then, location),
    else: otherwise === undefined ? undefined : block(otherwise, location),
    location,
  };
}

/** `({ … })`; without a result it is `void`. */
export function statements(body: readonly Stmt[], result: Expr | undefined, location: number): Expr {
  return { kind: "statements", body: block(body, location), result, type: result?.type ?? VOID, location };
}
