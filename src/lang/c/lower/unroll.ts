/** `#pragma unroll`: a counting loop is written out as often as it runs. */
import type { Expr, Stmt, VariableDecl } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { isInteger, wrapTo } from "../types/compatible.ts";
import type { Body } from "./body.ts";
import { branchOn } from "./conditions.ts";
import { loopBody } from "./statements.ts";
import { effect } from "./values.ts";
import { type Node, anyInside, hasEntries } from "./walk.ts";

type ForStmt = Stmt & { readonly kind: "for" };

/** Times that a loop is written out. */
const MOST_TIMES = 1024;
/** Nodes of the program that one loop may become. */
const MOST_NODES = 100_000;

/** Writes a loop out, whose start has been lowered; false, with a warning, when it does not say how often it runs. */
export function unrolled(body: Body, stmt: ForStmt): boolean {
  const { b } = body;
  const times = hasEntries(stmt.body) && !onlyCases(stmt.body) ? undefined : timesOf(stmt);
  if (times === undefined || times > MOST_TIMES || times * nodesOf(stmt.body) > MOST_NODES) {
    const why = times === undefined ? "how often it runs is not constant" : `it runs ${times} times`;
    body.warn(stmt.location, `this loop is not unrolled: ${why}`, "pass-failed");
    return false;
  }
  const after = b.block("after");
  for (let i = 0; i < times; i++) {
    const inside = b.block("body");
    const next = b.block("step");
    branchOn(body, stmt.condition!, inside, after);
    b.moveTo(inside);
    loopBody(body, stmt.body, after, next);
    b.jump(next);
    b.moveTo(next);
    if (stmt.step !== undefined) effect(body, stmt.step);
  }
  b.jump(after);
  b.moveTo(after);
  return true;
}

/** Cases belong to a switch inside, whose blocks are made anew each time; labels exist once. */
function onlyCases(node: Node): boolean {
  return !anyInside(node, ({ kind }) => kind === "label");
}

function nodesOf(node: Node): number {
  let count = 0;
  anyInside(node, () => {
    count++;
    return count > MOST_NODES;
  });
  return count;
}

/** The variable that an expression is, through conversions. */
function variableOf(expr: Expr): VariableDecl | undefined {
  let at = expr;
  while (at.kind === "cast") at = at.operand;
  return at.kind === "variable" ? at.variable : undefined;
}

/** What is added to the counter each time. */
function stepOf(expr: Expr | undefined, counter: VariableDecl): bigint | undefined {
  if (expr?.kind === "cast") return stepOf(expr.operand, counter);
  if (expr?.kind === "step") return variableOf(expr.target) === counter ? BigInt(expr.by) : undefined;
  if (expr?.kind !== "assign" || variableOf(expr.target) !== counter) return undefined;
  if (expr.operator === "+" || expr.operator === "-") {
    const by = constantInteger(expr.value);
    return by === undefined ? undefined : expr.operator === "+" ? by : -by;
  }
  return undefined;
}

/** The constant that the counter starts with. */
function startOf(stmt: ForStmt): { counter: VariableDecl; value: bigint } | undefined {
  const first = stmt.initial.at(-1);
  if (first?.kind === "declaration" && first.variable.initializer?.kind === "value") {
    const value = constantInteger(first.variable.initializer.value);
    return value === undefined ? undefined : { counter: first.variable, value };
  }
  if (first?.kind !== "expression") return undefined;
  let { expr } = first;
  while (expr.kind === "cast") expr = expr.operand;
  if (expr.kind !== "assign" || expr.operator !== undefined || expr.target.kind !== "variable") return undefined;
  const value = constantInteger(expr.value);
  return value === undefined ? undefined : { counter: expr.target.variable, value };
}

/** How often a loop runs, by its counter alone; undefined when that is not known or more than may be written out. */
function timesOf(stmt: ForStmt): number | undefined {
  const start = startOf(stmt);
  const { condition } = stmt;
  if (start === undefined || condition?.kind !== "binary" || !isInteger(start.counter.type)) return undefined;
  const { counter } = start;
  const step = stepOf(stmt.step, counter);
  const limit = constantInteger(condition.right);
  const isCounted = variableOf(condition.left) === counter && !counter.addressTaken && counter.storage === "local";
  if (step === undefined || limit === undefined || !isCounted || changes(stmt.body, counter)) return undefined;
  let at = wrapTo(start.value, counter.type);
  for (let times = 0; times <= MOST_TIMES; times++) {
    if (!holds(wrapTo(at, condition.left.type), condition.operator, wrapTo(limit, condition.right.type))) return times;
    at = wrapTo(at + step, counter.type);
  }
  return MOST_TIMES + 1;
}

function changes(node: Node, variable: VariableDecl): boolean {
  return anyInside(
    node,
    (inner) => (inner.kind === "assign" || inner.kind === "step") && variableOf(inner.target) === variable,
  );
}

function holds(a: bigint, operator: string, b: bigint): boolean {
  switch (operator) {
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    case "!=":
      return a !== b;
    default:
      return a === b;
  }
}
