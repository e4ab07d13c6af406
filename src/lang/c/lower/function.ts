/** Bodies of functions. */
import type { Block, FunctionBuilder } from "../../../compiler/index.ts";
import { successors } from "../../../compiler/ir.ts";
import type { FunctionDecl } from "../ast.ts";
import { shapeOf } from "../types/types.ts";
import { Body } from "./body.ts";
import type { UnitContext } from "./context.ts";
import { isAggregate } from "./signature.ts";
import { statement } from "./statements.ts";
import { tooDeep } from "./walk.ts";

/** Statements and expressions within each other: chains of operators are as deep as they are long. */
const MOST_DEPTH = 1500;

/**
 * Lowers the body of a function into a builder that was made by {@link signatureOf}. What is wrong goes to the context's diagnostics;
 * the IR is whole all the same.
 */
export function lowerBody(decl: FunctionDecl, builder: FunctionBuilder, context: UnitContext): void {
  if (decl.body === undefined) return;
  const deep = tooDeep(decl.body, MOST_DEPTH);
  if (deep !== undefined) {
    context.diagnostics.error(deep.location, `${decl.name}: expressions are nested more than ${MOST_DEPTH} deep here`);
    builder.return(builder.func.result === "void" ? null : builder.const(0, builder.func.result));
    return;
  }
  const body = new Body(decl, builder, context);
  body.at(decl.location);
  parameters(body);
  statement(body, decl.body);
  body.at(decl.body.end);
  finish(body);
  uninitialized(body);
}

/** Scalars become variables of the body, which may change them; aggregates are the callee's own already. */
function parameters(body: Body): void {
  const { b, decl, signature } = body;
  const shift = signature.resultByAddress ? 1 : 0;
  decl.params.forEach((param, i) => {
    const given = b.func.params[i + shift];
    if (given === undefined) return;
    body.written.add(param);
    if (isAggregate(param.type)) {
      body.place(param, given);
      return;
    }
    const { type } = signature.params[i + shift] ?? given;
    let value = given.type === type ? given : undefined;
    if (value === undefined && given.type === "i64" && type === "i32") value = b.trunc(given) as never;
    if (value === undefined && type === "ptr") value = b.inttoptr(given) as never;
    if (value === undefined && given.type === "ptr") value = b.ptrtoint(given, true) as never;
    b.store(body.local(param), value ?? given, (8 * body.size(param.type)) as 8 | 16 | 32 | 64);
  });
}

/** Ends the last block and those that nothing has ended. */
function finish(body: Body): void {
  const { b, decl } = body;
  const end = b.here;
  const falls = end.terminator === null;
  const { result } = b.func;
  b.return(result === "void" ? null : b.const(0, result));
  for (const block of b.func.blocks) block.terminator ??= { kind: "unreachable" };
  const isVoid = shapeOf(decl.type.result).kind === "void";
  if (falls && !isVoid && reaches(b.func.blocks[0]!, end))
    body.warn(decl.body!.end, `${decl.name} may end here without a value`, "return-type");
}

function reaches(from: Block, to: Block): boolean {
  const seen = new Set([from]);
  const work = [from];
  for (let block = work.pop(); block !== undefined; block = work.pop()) {
    if (block === to) return true;
    for (const next of successors(block.terminator)) {
      if (seen.has(next)) continue;
      seen.add(next);
      work.push(next);
    }
  }
  return false;
}

/** Variables that are read and never given a value. */
function uninitialized(body: Body): void {
  for (const [variable, location] of body.firstReads) {
    const isOwn = variable.storage === "local" && !isAggregate(variable.type) && !variable.addressTaken;
    if (isOwn && !body.written.has(variable))
      body.warn(location, `${variable.name} is read, and nothing is ever put into it`, "uninitialized", {
        notes: [{ location: variable.location, message: `${variable.name} is declared here` }],
      });
  }
}
