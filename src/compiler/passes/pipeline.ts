/** The order of passes. */
import { removeDeadBlocks } from "../analysis.ts";
import type { Module } from "../ir.ts";
import type { KernelTarget } from "../target.ts";

/** Optimises a module in place. `after` is called when a pass is through. */
export function optimise(
  module: Module,
  level: 0 | 1 | 2,
  target: KernelTarget,
  options: { after?: (pass: string) => void } = {},
): void {
  void level;
  void target;
  for (const func of module.funcs) removeDeadBlocks(func);
  options.after?.("dead-blocks");
}
