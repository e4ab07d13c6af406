/** Removal of stores to the frame that nobody reads. */
import type { Block, Func, Inst, Module } from "../ir.ts";
import { FrameMemory } from "./frame-memory.ts";

/** Removes dead stores and memsets to allocas. Returns true when any went. */
export function removeDeadStores(func: Func, module: Module): boolean {
  const memory = new FrameMemory(func, module);
  if (memory.tracked.size === 0) return false;
  const liveOut = new Map<Block, Map<Inst, bigint>>();
  for (const [alloca, flow] of memory.crossing()) {
    for (const [block, bytes] of flow.liveOut) {
      const known = liveOut.get(block);
      if (known) known.set(alloca, bytes);
      else liveOut.set(block, new Map([[alloca, bytes]]));
    }
  }
  let changed = false;
  for (const block of func.blocks) {
    const live = liveOut.get(block) ?? new Map<Inst, bigint>();
    const dead = new Set<Inst>();
    for (let i = block.insts.length - 1; i >= 0; i--) {
      const inst = block.insts[i]!;
      const effects = memory.effects(inst);
      if (effects.length === 0) continue;
      const plain = (inst.op === "store" && !inst.volatile) || inst.op === "memset";
      if (plain && effects.every((e) => (e.writes & (live.get(e.alloca) ?? 0n)) === 0n)) {
        dead.add(inst);
        continue;
      }
      for (const e of effects) live.set(e.alloca, ((live.get(e.alloca) ?? 0n) & ~e.kills) | e.reads);
    }
    if (dead.size === 0) continue;
    for (const inst of dead) inst.block = null;
    block.insts = block.insts.filter((i) => !dead.has(i));
    changed = true;
  }
  return changed;
}
