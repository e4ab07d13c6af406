/** Answers to whether a value is constant, when the other passes know all that they will. */
import { substitute } from "../analysis.ts";
import { constant } from "../builder.ts";
import type { Func, Inst, Value } from "../ir.ts";

/** True for functions that have such questions. */
export function asksForConstants(func: Func): boolean {
  return func.blocks.some(({ insts }) => insts.some(({ op }) => op === "isconst"));
}

/** Replaces every `isconst` of a function: what folding has not answered with yes is none. Returns true when there were any. */
export function answerIsConstant(func: Func): boolean {
  const answers = new Map<Inst, Value>();
  for (const block of func.blocks) {
    block.insts = block.insts.filter((inst) => {
      if (inst.op !== "isconst") return true;
      answers.set(inst, constant(inst.args[0]!.kind === "const" ? 1 : 0, "i32"));
      return false;
    });
  }
  if (answers.size > 0) substitute(func, answers);
  return answers.size > 0;
}
