/** Which allocas hold something at one time: those that never do may lie in one place. */
import type { Func, Inst } from "../ir.ts";

/** A test for two allocas of the function: true when they need places of their own. */
export function allocaConflicts(func: Func): (a: Inst, b: Inst) => boolean {
  return (a, b) => func.blocks.length > 0 && a !== b;
}
