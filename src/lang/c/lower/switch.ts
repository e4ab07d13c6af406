/** `switch`: cases become blocks, and a tree of comparisons leads to them. eBPF had no jump tables for most of its life. */
import type { Block, Value } from "../../../compiler/index.ts";
import type { CaseStmt, SwitchStmt } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { isInteger } from "../types/compatible.ts";
import type { Body } from "./body.ts";
import { isSigned } from "./place.ts";
import { statement } from "./statements.ts";
import { value } from "./values.ts";

/** So many ranges are compared one after the other. */
const IN_A_ROW = 4;

const blocks = new WeakMap<CaseStmt, { body: Body; block: Block }>();

/** The block that a case begins. */
export function caseBlock(body: Body, stmt: CaseStmt): Block {
  const known = blocks.get(stmt);
  if (known !== undefined && known.body === body) return known.block;
  const block = body.b.block(stmt.range === undefined ? "default" : `case ${stmt.range.low}`);
  blocks.set(stmt, { body, block });
  return block;
}

/** Values that lead to one block. */
interface Range {
  readonly low: bigint;
  readonly high: bigint;
  readonly block: Block;
}

/** Lowers a switch and its body. */
export function switchStatement(body: Body, stmt: SwitchStmt): void {
  const { b } = body;
  const after = b.block("after");
  // A switch that is lowered again, in an unrolled loop, has other blocks.
  for (const one of stmt.cases) blocks.delete(one);
  const fallback = stmt.cases.find(({ range }) => range === undefined);
  const otherwise = fallback === undefined ? after : caseBlock(body, fallback);
  const ranges = stmt.cases
    .flatMap((one): Range[] =>
      one.range === undefined || one.range.high < one.range.low ? [] : [{ ...one.range, block: caseBlock(body, one) }],
    )
    .toSorted((x, y) => (x.low < y.low ? -1 : x.low > y.low ? 1 : 0));
  const known = constantInteger(stmt.value);
  if (known !== undefined) {
    const found = ranges.find(({ low, high }) => low <= known && known <= high);
    b.jump(found?.block ?? otherwise);
  } else {
    const subject = value(body, stmt.value);
    body.at(stmt.location);
    const signed = isInteger(stmt.value.type) && isSigned(stmt.value.type);
    decide(body, subject, signed, ranges, otherwise);
  }
  body.breakables.push({ onBreak: after, onContinue: undefined, depth: body.scopes.open.length });
  // What stands before the first case is reached by nothing but labels.
  b.moveTo(b.block("switch"));
  statement(body, stmt.body);
  b.jump(after);
  body.breakables.pop();
  b.moveTo(after);
}

function decide(body: Body, subject: Value, signed: boolean, ranges: readonly Range[], otherwise: Block): void {
  const { b } = body;
  if (ranges.length > IN_A_ROW) {
    const middle = ranges.length >> 1;
    const lower = b.block("lower");
    const upper = b.block("upper");
    const least = b.const(ranges[middle]!.low, subject.type);
    b.branch(b.icmp(signed ? "slt" : "ult", subject, least), lower, upper);
    b.moveTo(lower);
    decide(body, subject, signed, ranges.slice(0, middle), otherwise);
    b.moveTo(upper);
    decide(body, subject, signed, ranges.slice(middle), otherwise);
    return;
  }
  for (const { low, high, block } of ranges) {
    const next = b.block("next");
    if (low === high) b.branch(b.icmp("eq", subject, b.const(low, subject.type)), block, next);
    else {
      // Counted from the lowest, everything else is above.
      const from = b.binary("sub", subject, b.const(low, subject.type));
      b.branch(b.icmp("ule", from, b.const(high - low, subject.type)), block, next);
    }
    b.moveTo(next);
  }
  b.jump(otherwise);
}
