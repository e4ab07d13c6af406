/** Removal of stores to the frame that nobody reads. */
import type { Func, Inst, Module } from "../ir.ts";
import { FrameMemory } from "./frame-memory.ts";

/** Removes dead stores and memsets to allocas. Returns true when any went. */
export function removeDeadStores(func: Func, module: Module): boolean {
  const memory = new FrameMemory(func, module);
  if (memory.start.size === 0) return false;
  const liveOut = memory.liveOut();
  let changed = false;
  for (const block of func.blocks) {
    let live = liveOut.get(block) ?? 0n;
    const dead = new Set<Inst>();
    for (let i = block.insts.length - 1; i >= 0; i--) {
      const inst = block.insts[i]!;
      const effect = memory.effect(inst);
      if (!effect) continue;
      const plain = (inst.op === "store" && !inst.volatile) || inst.op === "memset";
      if (plain && (effect.writes & live) === 0n) {
        dead.add(inst);
        continue;
      }
      live = (live & ~effect.kills) | effect.reads;
    }
    if (dead.size === 0) continue;
    for (const inst of dead) inst.block = null;
    block.insts = block.insts.filter((i) => !dead.has(i));
    changed = true;
  }
  return changed;
}
