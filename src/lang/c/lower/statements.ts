/** Statements. */
import type { Block, Value } from "../../../compiler/index.ts";
import type { Expr, Stmt, VariableDecl } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { sizeOf } from "../types/layout.ts";
import { shapeOf } from "../types/types.ts";
import { assembly } from "./assembly.ts";
import type { Body } from "./body.ts";
import { branchOn } from "./conditions.ts";
import { initialize } from "./initialize.ts";
import { copy, isFrame, placeAt } from "./place.ts";
import { isAggregate } from "./signature.ts";
import { caseBlock, switchStatement } from "./switch.ts";
import { unrolled } from "./unroll.ts";
import { effect, value } from "./values.ts";
import { hasEntries } from "./walk.ts";

/** Lowers a statement. */
export function statement(body: Body, stmt: Stmt): void {
  const { b } = body;
  body.at(stmt.location);
  switch (stmt.kind) {
    case "compound": {
      const depth = body.scopes.open.length;
      for (const inner of stmt.statements) statement(body, inner);
      body.at(stmt.end);
      body.scopes.close(body, depth);
      return;
    }
    case "expression":
      effect(body, stmt.expr);
      return;
    case "declaration":
      declare(body, stmt.variable);
      return;
    case "if":
      ifStatement(body, stmt);
      return;
    case "while":
    case "do":
    case "for":
      loop(body, stmt);
      return;
    case "switch":
      switchStatement(body, stmt);
      return;
    case "case":
      goOnIn(body, caseBlock(body, stmt));
      statement(body, stmt.statement);
      return;
    case "break":
    case "continue":
      leaveLoop(body, stmt.kind);
      return;
    case "empty":
      return;
    case "goto":
      body.scopes.leaveFor(body, stmt.label);
      b.jump(labelBlock(body, stmt.label));
      return;
    case "label":
      goOnIn(body, labelBlock(body, stmt.label));
      statement(body, stmt.statement);
      return;
    case "return":
      returnStatement(body, stmt.value, stmt.location);
      return;
    case "asm":
      assembly(body, stmt);
  }
}

/** Falls into a block and continues there. */
export function goOnIn(body: Body, block: Block): void {
  body.b.jump(block);
  body.b.moveTo(block);
}

const labels = new WeakMap<Body, Map<string, Block>>();

/** The block that a label begins. */
export function labelBlock(body: Body, label: string): Block {
  let known = labels.get(body);
  if (known === undefined) labels.set(body, (known = new Map()));
  let block = known.get(label);
  if (block === undefined) known.set(label, (block = body.b.block(label)));
  return block;
}

/** A declaration of a variable in a block. */
function declare(body: Body, variable: VariableDecl): void {
  if (variable.storage !== "local") return;
  const { initializer, type } = variable;
  if (sizeOf(type) === undefined) return;
  const address = body.local(variable);
  if (initializer !== undefined) {
    body.written.add(variable);
    initialize(body, placeAt(type, address), initializer);
  }
  if (variable.attributes.cleanup !== undefined) body.scopes.open.push(variable);
}

function ifStatement(body: Body, stmt: Stmt & { kind: "if" }): void {
  const { b } = body;
  const known = constantInteger(stmt.condition);
  if (known !== undefined) {
    const [taken, dead] = known === 0n ? [stmt.else, stmt.then] : [stmt.then, stmt.else];
    const after = b.block("after");
    if (taken !== undefined) statement(body, taken);
    b.jump(after);
    // Code that cannot be reached is no code, unless something jumps into it.
    if (dead !== undefined && hasEntries(dead)) {
      b.moveTo(b.block("dead"));
      statement(body, dead);
      b.jump(after);
    }
    b.moveTo(after);
    return;
  }
  const then = b.block("then");
  const after = b.block("after");
  const otherwise = stmt.else === undefined ? after : b.block("else");
  branchOn(body, stmt.condition, then, otherwise);
  b.moveTo(then);
  statement(body, stmt.then);
  b.jump(after);
  if (stmt.else !== undefined) {
    b.moveTo(otherwise);
    statement(body, stmt.else);
    b.jump(after);
  }
  b.moveTo(after);
}

type Loop = Stmt & { kind: "while" | "do" | "for" };

function loop(body: Body, stmt: Loop): void {
  const { b } = body;
  const depth = body.scopes.open.length;
  if (stmt.kind === "for") for (const first of stmt.initial) statement(body, first);
  if (!(stmt.unroll && stmt.kind === "for" && unrolled(body, stmt))) {
    const head = b.block("loop");
    const inside = b.block("body");
    const next = stmt.kind === "for" && stmt.step !== undefined ? b.block("step") : head;
    const after = b.block("after");
    const onContinue = stmt.kind === "do" ? b.block("condition") : next;
    const { condition } = stmt;
    if (stmt.kind === "do") b.jump(inside);
    else {
      goOnIn(body, head);
      if (condition === undefined) b.jump(inside);
      else branchOn(body, condition, inside, after);
    }
    b.moveTo(inside);
    loopBody(body, stmt.body, after, onContinue);
    b.jump(onContinue);
    if (stmt.kind === "do") {
      b.moveTo(onContinue);
      body.at(stmt.condition.location);
      branchOn(body, stmt.condition, head, after);
      b.moveTo(head);
      b.jump(inside);
    } else if (stmt.kind === "for" && stmt.step !== undefined) {
      b.moveTo(next);
      effect(body, stmt.step);
      b.jump(head);
    }
    b.moveTo(after);
  }
  body.scopes.close(body, depth);
}

/** The body of a loop, within which `break` and `continue` lead to blocks. */
export function loopBody(body: Body, inner: Stmt, onBreak: Block, onContinue: Block): void {
  body.breakables.push({ onBreak, onContinue, depth: body.scopes.open.length });
  statement(body, inner);
  body.breakables.pop();
}

function leaveLoop(body: Body, kind: "break" | "continue"): void {
  const around = body.breakables.findLast((b) => kind === "break" || b.onContinue !== undefined);
  if (around === undefined) return;
  body.scopes.leave(body, around.depth);
  body.b.jump(kind === "break" ? around.onBreak : around.onContinue!);
}

function returnStatement(body: Body, expr: Expr | undefined, location: number): void {
  const { b, signature } = body;
  if (expr === undefined || shapeOf(expr.type).kind === "void") {
    if (expr !== undefined) effect(body, expr);
    body.scopes.leave(body, 0);
    body.at(location);
    b.return(b.func.result === "void" ? null : b.const(0, b.func.result));
    return;
  }
  const result = value(body, expr);
  if (signature.resultByAddress) {
    copy(body, placeAt(expr.type, b.param(0)), result, body.size(expr.type));
    body.scopes.leave(body, 0);
    b.return(null);
    return;
  }
  if (result.type === "ptr" && isFrame(result) && !isAggregate(expr.type))
    body.warn(
      expr.location,
      "the address of a local variable is returned: it ends with the function",
      "return-stack-address",
    );
  body.scopes.leave(body, 0);
  body.at(location);
  b.return(asResult(body, result, expr));
}

/** A value in the IR type that the function gives. */
function asResult(body: Body, result: Value, expr: Expr): Value | null {
  const { b } = body;
  const wanted = b.func.result;
  if (wanted === "void") return null;
  if (result.type === wanted) return result;
  const number = result.type === "ptr" ? b.ptrtoint(result, true) : result;
  if (wanted === "ptr") return b.inttoptr(number.type === "i32" ? b.zext(number, 32) : number);
  if (number.type === wanted) return number;
  if (wanted === "i32") return b.trunc(number);
  const shape = shapeOf(expr.type);
  return shape.kind === "integer" && shape.signed ? b.sext(number, 32) : b.zext(number, 32);
}
