/** Statements: assignments, branches and loops. */
import type { Value } from "../../../compiler/ir.ts";
import type { Expression, IfStatement, MapExpression, Statement, Variable, VariableExpression } from "../ast.ts";
import { isAggregation, sizeOf } from "../types.ts";
import { addTo, aggregate } from "./aggregations.ts";
import type { Body } from "./body.ts";
import { lowerMapLoop } from "./callbacks.ts";
import { constantOfExpression } from "./constants.ts";
import { convert, lowerCondition, lowerEffect, lowerInto, lowerNumber, typeOf } from "./expressions.ts";
import { arithmetic } from "./operators.ts";
import { assignEntry, mapOf, modifyEntry } from "./maps.ts";
import { isScalarType } from "./values.ts";

/** Lowers statements in order; what follows a `return` or `exit()` is dropped. */
export function lowerStatements(body: Body, statements: readonly Statement[]): void {
  body.inScope(() => {
    for (const statement of statements) {
      if (body.b.terminated) return;
      lowerStatement(body, statement);
    }
  });
}

function lowerStatement(body: Body, statement: Statement): void {
  const { b } = body;
  body.at(statement.span);
  switch (statement.kind) {
    case "expression":
      lowerEffect(body, statement.expression);
      return;
    case "assign":
      if (statement.target === null) lowerEffect(body, statement.value);
      else if (statement.target.kind === "variable")
        assignVariable(body, statement.target, statement.op, statement.value);
      else assignMap(body, statement.target, statement.op, statement.value);
      return;
    case "declare":
      if (statement.value) assignVariable(body, statement.variable, null, statement.value);
      else if (statement.variable.resolved) clearVariable(body, statement.variable);
      return;
    case "if":
      lowerIf(body, statement);
      return;
    case "while": {
      loosenVariables(body, statement);
      const head = b.block("while");
      const inside = b.block("body");
      const next = b.block("next");
      const end = b.block("end");
      b.jump(head);
      b.moveTo(head);
      lowerCondition(body, statement.condition, inside, end);
      b.moveTo(inside);
      withLoop(body, { onBreak: () => b.jump(end), onContinue: () => b.jump(next) }, () =>
        lowerStatements(body, statement.body.statements),
      );
      b.jump(next);
      b.moveTo(next);
      body.backEdge(head, end);
      b.moveTo(end);
      return;
    }
    case "for-range":
      lowerRangeLoop(body, statement);
      return;
    case "for-map":
      lowerMapLoop(body, statement);
      return;
    case "unroll": {
      const count = Number(constantOfExpression(statement.count) ?? 0n);
      const end = b.block("end");
      for (let i = 0; i < count; i++) {
        const next = b.block("next");
        withLoop(body, { onBreak: () => b.jump(end), onContinue: () => b.jump(next) }, () =>
          lowerStatements(body, statement.body.statements),
        );
        b.jump(next);
        b.moveTo(next);
      }
      b.jump(end);
      b.moveTo(end);
      return;
    }
    case "return":
      body.onReturn(statement.value);
      return;
    case "break":
      body.loops.at(-1)?.onBreak();
      return;
    case "continue":
      body.loops.at(-1)?.onContinue();
      return;
    case "block":
      lowerStatements(body, statement.block.statements);
  }
}

function withLoop(body: Body, targets: { onBreak: () => void; onContinue: () => void }, run: () => void): void {
  body.loops.push(targets);
  run();
  body.loops.pop();
}

function lowerIf(body: Body, statement: IfStatement): void {
  const { b } = body;
  const yes = b.block("then");
  const no = statement.otherwise ? b.block("else") : null;
  const end = b.block("end");
  lowerCondition(body, statement.condition, yes, no ?? end);
  b.moveTo(yes);
  lowerStatements(body, statement.then.statements);
  b.jump(end);
  if (no && statement.otherwise) {
    b.moveTo(no);
    if ("condition" in statement.otherwise) lowerIf(body, statement.otherwise);
    else lowerStatements(body, statement.otherwise.statements);
    b.jump(end);
  }
  b.moveTo(end);
}

function clearVariable(body: Body, target: VariableExpression): void {
  const slot = body.variable(target.resolved!, false);
  if (isScalarType(slot.type)) body.b.store(slot.pointer, body.int(0), 64);
  else body.zero(slot.pointer, sizeOf(slot.type));
}

function assignVariable(body: Body, target: VariableExpression, op: BinaryOperatorOrNull, value: Expression): void {
  const { b } = body;
  const slot = body.variable(target.resolved!, op !== null);
  if (isScalarType(slot.type)) {
    let number = lowerNumber(body, value);
    let from = typeOf(value);
    if (op !== null) {
      number = arithmetic(body, op, b.load(slot.pointer, 64), number, slot.type, from, target, value);
      from = slot.type.kind === "int" && slot.type.size < 8 ? { kind: "int", size: 8, signed: true } : slot.type;
    }
    b.store(slot.pointer, convert(body, number, from, slot.type), 64);
    return;
  }
  if (mentionsVariable(value, target.name)) {
    const memory = body.memory(sizeOf(slot.type), "value");
    lowerInto(body, value, slot.type, memory, 0, true);
    body.copy(slot.pointer, 0, memory, 0, sizeOf(slot.type));
  } else lowerInto(body, value, slot.type, slot.pointer, 0, true);
}

type BinaryOperatorOrNull = Extract<Statement, { kind: "assign" }>["op"];

const SKIPPED_PROPERTIES: ReadonlySet<string> = new Set(["type", "resolved", "span", "nameSpan", "operatorSpan"]);

function mentionsVariable(expression: unknown, name: string): boolean {
  if (expression === null || typeof expression !== "object") return false;
  if (Array.isArray(expression)) return expression.some((item) => mentionsVariable(item, name));
  const node = expression as { kind?: unknown; name?: unknown };
  if (node.kind === "variable" && node.name === name) return true;
  return Object.entries(node).some(([key, item]) => !SKIPPED_PROPERTIES.has(key) && mentionsVariable(item, name));
}

function assignMap(body: Body, target: MapExpression, op: BinaryOperatorOrNull, value: Expression): void {
  const map = mapOf(body, target.name);
  if (op === null) {
    if (isAggregation(map.value) && value.kind === "call") aggregate(body, map, target, value);
    else assignEntry(body, map, target, value);
    return;
  }
  const number = lowerNumber(body, value);
  if (isAggregation(map.value)) {
    addTo(body, map, target, op === "-" ? body.b.binary("sub", body.int(0), number) : number);
    return;
  }
  const compute = (old: Value): Value => arithmetic(body, op, old, number, map.value, typeOf(value), target, value);
  // Pointers move by whole elements, also where an atomic instruction adds.
  const step = map.value.kind === "pointer" && typeOf(value).kind !== "pointer" ? sizeOf(map.value.to) : 1;
  const delta = step > 1 ? body.b.binary("mul", number, body.int(step)) : number;
  modifyEntry(body, map, target, op, delta, compute, "none");
}

/** Rounds of a loop over a range that the verifier may well follow one by one. */
const FOLLOWED_ROUNDS = 32n;

/** Makes the verifier forget the numbers that a loop changes, so that it need not follow every round. */
export function loosenVariables(body: Body, loop: unknown): void {
  if (!body.canLoosen) return;
  const { b } = body;
  const changed = [...changedVariables(loop)].filter((v) => isScalarType(v.type) && body.variables.has(v));
  if (changed.length === 0) return;
  const zero = body.unknownZero();
  for (const variable of changed) {
    const { pointer } = body.variables.get(variable)!;
    b.store(pointer, b.binary("add", b.load(pointer, 64), zero), 64);
  }
}

/** Variables of the script that a part of it assigns to. */
function changedVariables(node: unknown, out: Set<Variable> = new Set()): Set<Variable> {
  if (node === null || typeof node !== "object") return out;
  if (Array.isArray(node)) {
    for (const item of node) changedVariables(item, out);
    return out;
  }
  const { kind, target } = node as { kind?: unknown; target?: VariableExpression };
  if ((kind === "assign" || kind === "increment") && target?.kind === "variable" && target.resolved) {
    out.add(target.resolved);
  }
  for (const [key, item] of Object.entries(node)) if (!SKIPPED_PROPERTIES.has(key)) changedVariables(item, out);
  return out;
}

function lowerRangeLoop(body: Body, statement: Extract<Statement, { kind: "for-range" }>): void {
  const { b } = body;
  const from = constantOfExpression(statement.start);
  const to = constantOfExpression(statement.end);
  const short = !body.canLoosen || (from !== undefined && to !== undefined && to - from <= FOLLOWED_ROUNDS);
  const start = lowerNumber(body, statement.start);
  const stop = body.cell(lowerNumber(body, statement.end));
  if (!short) loosenVariables(body, statement.body);
  const index = body.cell(short ? start : b.binary("add", start, body.unknownZero()));
  const head = b.block("for");
  const inside = b.block("body");
  const next = b.block("next");
  const end = b.block("end");
  b.jump(head);
  b.moveTo(head);
  b.branch(b.icmp("slt", index.get(), stop.get()), inside, end);
  b.moveTo(inside);
  const slot = body.variable(statement.variable.resolved!, false);
  b.store(slot.pointer, index.get(), 64);
  withLoop(body, { onBreak: () => b.jump(end), onContinue: () => b.jump(next) }, () =>
    lowerStatements(body, statement.body.statements),
  );
  b.jump(next);
  b.moveTo(next);
  index.set(b.binary("add", index.get(), body.int(1)));
  if (short) b.jump(head);
  else body.backEdge(head, end);
  b.moveTo(end);
}
