/** Truth: conditions as branches, so that nothing is computed that C does not compute, and their values as 0 and 1. */
import type { Block, Value } from "../../../compiler/index.ts";
import type { Expr } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { sizeOf } from "../types/layout.ts";
import { shapeOf } from "../types/types.ts";
import type { Body } from "./body.ts";
import { isComparison, truth, zeroOf } from "./convert.ts";
import { irTypeOf, isAggregate } from "./signature.ts";
import { isWide, wideTruth } from "./wide-integers.ts";
import { memoryDiffers } from "./strings.ts";
import { comparison, effect, value } from "./values.ts";

/** The side of a branch that is expected to run. */
type Likely = "then" | "else" | undefined;

function opposite(likely: Likely): Likely {
  return likely === undefined ? undefined : likely === "then" ? "else" : "then";
}

/** A condition without conversions that keep whether it is zero. */
function bare(expr: Expr): Expr {
  let at = expr;
  while (at.kind === "cast") {
    const { cast, operand } = at;
    const keeps =
      cast === "bool" ||
      cast === "none" ||
      (cast === "integer" && (sizeOf(at.type) ?? 0) >= (sizeOf(operand.type) ?? 9));
    if (!keeps || shapeOf(operand.type).kind === "record") break;
    at = operand;
  }
  return at;
}

/** What decides a condition, and whether it decides by being zero. */
function decider(expr: Expr): { of: Expr; negated: boolean } {
  let at = bare(expr);
  let negated = false;
  for (;;) {
    if (at.kind === "unary" && at.operator === "!") {
      negated = !negated;
      at = bare(at.operand);
    } else if (
      at.kind === "binary" &&
      (at.operator === "==" || at.operator === "!=") &&
      isBoolean(bare(at.left)) &&
      constantInteger(at.right) === 0n
    ) {
      negated = negated !== (at.operator === "==");
      at = bare(at.left);
    } else return { of: at, negated };
  }
}

function isBoolean(expr: Expr): boolean {
  return (
    expr.kind === "logical" ||
    (expr.kind === "unary" && expr.operator === "!") ||
    (expr.kind === "binary" && isComparison(expr.operator)) ||
    (expr.kind === "builtin" && /^__builtin_(?:memcmp|strcmp|strncmp|expect)/.test(expr.name))
  );
}

/** Goes to one of two blocks by a condition. */
export function branchOn(body: Body, expr: Expr, then: Block, otherwise: Block, likely?: Likely): void {
  const { b } = body;
  const known = constantInteger(expr);
  if (known !== undefined) {
    b.jump(known === 0n ? otherwise : then);
    return;
  }
  const { of, negated } = decider(expr);
  if (negated) {
    branchOn(body, of, otherwise, then, opposite(likely));
    return;
  }
  if (of.kind === "logical") {
    const middle = b.block(of.operator === "&&" ? "and" : "or");
    if (of.operator === "&&") branchOn(body, of.left, middle, otherwise, likely === "then" ? likely : undefined);
    else branchOn(body, of.left, then, middle, likely === "else" ? likely : undefined);
    b.moveTo(middle);
    branchOn(body, of.right, then, otherwise, likely);
    return;
  }
  if (of.kind === "builtin" && of.name.startsWith("__builtin_expect")) {
    const [subject, expected] = of.args as [Expr, Expr];
    const side = constantInteger(expected);
    branchOn(body, subject, then, otherwise, side === undefined ? likely : side === 0n ? "else" : "then");
    return;
  }
  if (of.kind === "comma") {
    effect(body, of.left);
    branchOn(body, of.right, then, otherwise, likely);
    return;
  }
  const condition = test(body, of);
  b.branch(condition, then, otherwise, likely);
}

/** A condition that is no logical operation, as `i1`. */
function test(body: Body, expr: Expr): Value {
  body.at(expr.location);
  if (expr.kind === "binary" && isComparison(expr.operator)) return comparison(body, expr);
  if (expr.kind === "builtin") {
    const differs = memoryDiffers(body, expr);
    if (differs !== undefined) return differs;
  }
  const scalar = value(body, expr);
  body.at(expr.location);
  return truth(body, isWide(expr.type) ? wideTruth(body, scalar) : scalar);
}

/** A condition's value: 0 or 1 as `i32`. */
export function truthValue(body: Body, expr: Expr): Value {
  const { b } = body;
  const known = constantInteger(expr);
  if (known !== undefined) return b.const(known === 0n ? 0 : 1, "i32");
  const { of, negated } = decider(expr);
  if (of.kind === "logical" || (of.kind === "builtin" && of.name.startsWith("__builtin_expect"))) {
    const slot = body.slot("i32", "truth");
    const yes = b.block("true");
    const no = b.block("false");
    const after = b.block("after");
    branchOn(body, expr, yes, no);
    b.moveTo(yes);
    body.storeSlot(slot, b.const(1, "i32"));
    b.jump(after);
    b.moveTo(no);
    body.storeSlot(slot, b.const(0, "i32"));
    b.jump(after);
    b.moveTo(after);
    return body.loadSlot(slot, "i32");
  }
  const condition = test(body, of);
  const right = negated ? b.icmp("eq", b.zext(condition, 1, "i32"), b.const(0, "i32")) : condition;
  return b.zext(right, 1, "i32");
}

/** `condition ? then : else` and `condition ?: else`. */
export function conditional(body: Body, expr: Expr & { kind: "conditional" }): Value {
  const { b } = body;
  const known = constantInteger(expr.condition);
  if (known !== undefined) return value(body, known === 0n ? expr.else : (expr.then ?? expr.condition));
  const isVoid = shapeOf(expr.type).kind === "void";
  const type = isAggregate(expr.type) ? "ptr" : irTypeOf(expr.type);
  const slot = isVoid ? undefined : body.slot(type, "choice");
  const then = b.block("then");
  const otherwise = b.block("else");
  const after = b.block("after");
  const side = (of: Expr): void => {
    if (slot === undefined) effect(body, of);
    else body.storeSlot(slot, value(body, of));
    b.jump(after);
  };
  if (expr.then === undefined) {
    const tested = value(body, expr.condition);
    if (slot !== undefined) body.storeSlot(slot, tested);
    b.branch(truth(body, tested), after, otherwise);
  } else {
    branchOn(body, expr.condition, then, otherwise);
    b.moveTo(then);
    side(expr.then);
  }
  b.moveTo(otherwise);
  side(expr.else);
  b.moveTo(after);
  return slot === undefined ? zeroOf(body, expr.type) : body.loadSlot(slot, type);
}
