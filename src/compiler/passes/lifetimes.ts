/** Which allocas hold something at one time: those that never do may lie in one place. */
import type { Func, Inst } from "../ir.ts";
import { FrameMemory } from "./frame-memory.ts";

/** A test for two allocas of the function: true when they need places of their own. */
export function allocaConflicts(func: Func): (a: Inst, b: Inst) => boolean {
  const memory = new FrameMemory(func, null);
  const tracked = [...memory.start.keys()];
  const masks = tracked.map((a) => memory.mask(a));
  const pairs = new Set<string>();
  const liveOut = memory.liveOut();
  const before = memory.writtenIn("may");
  const occupied = (bytes: bigint): number[] => masks.flatMap((m, i) => (m & bytes ? [i] : []));
  for (const block of func.blocks) {
    // Holding something is: written or touched before, read later.
    let written = before.get(block) ?? 0n;
    const touched: bigint[] = block.insts.map((inst) => {
      const e = memory.effect(inst);
      const state = written;
      if (e) written |= e.writes | e.kills;
      return state;
    });
    let live = liveOut.get(block) ?? 0n;
    for (let i = block.insts.length - 1; i >= 0; i--) {
      const e = memory.effect(block.insts[i]!);
      if (!e) continue;
      const after = live & (touched[i]! | e.writes | e.kills);
      live = (live & ~e.kills) | e.reads;
      const held = occupied(after | e.reads | e.writes | (live & touched[i]!));
      for (const x of held) for (const y of held) if (x < y) pairs.add(`${x},${y}`);
    }
  }
  const index = new Map(tracked.map((a, i) => [a, i]));
  return (a, b) => {
    const x = index.get(a);
    const y = index.get(b);
    if (x === undefined || y === undefined) return true;
    return pairs.has(x < y ? `${x},${y}` : `${y},${x}`);
  };
}
