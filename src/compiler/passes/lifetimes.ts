/** Which allocas hold something at one time: those that never do may lie in one place. */
import type { Block, Func, Inst } from "../ir.ts";
import { FrameMemory } from "./frame-memory.ts";
import { fromDifferentCalls } from "./inline.ts";

/** Which allocas of a function need places of their own: the others beside which each holds something; null beside all others. */
export type AllocaConflicts = (alloca: Inst) => ReadonlySet<Inst> | null;

/**
 * Finds the allocas that may not share a place. Two of them conflict when one is written, or read by an instruction that writes, while
 * the other holds what is read later: whichever was written last found the other in use.
 */
export function allocaConflicts(func: Func): AllocaConflicts {
  const memory = new FrameMemory(func, null);
  const conflicts = new Map<Inst, Set<Inst>>([...memory.tracked].map((a) => [a, new Set()]));
  const conflict = (a: Inst, b: Inst): void => {
    if (a === b) return;
    conflicts.get(a)!.add(b);
    conflicts.get(b)!.add(a);
  };
  const liveOut = new Map<Block, [Inst, bigint][]>();
  const writtenIn = new Map<Block, [Inst, bigint][]>();
  for (const [alloca, flow] of memory.crossing()) {
    for (const [table, masks] of [
      [liveOut, flow.liveOut],
      [writtenIn, flow.mayWritten],
    ] as const) {
      for (const [block, bytes] of masks) {
        const list = table.get(block);
        if (list) list.push([alloca, bytes]);
        else table.set(block, [[alloca, bytes]]);
      }
    }
  }
  for (const block of func.blocks) {
    // Holding something is: written before, read later.
    const written = new Map(writtenIn.get(block));
    const touching: { inst: Inst; before: bigint[] }[] = [];
    for (const inst of block.insts) {
      const effects = memory.effects(inst);
      if (effects.length === 0) continue;
      touching.push({ inst, before: effects.map((e) => written.get(e.alloca) ?? 0n) });
      for (const e of effects) written.set(e.alloca, (written.get(e.alloca) ?? 0n) | e.writes);
    }
    const live = new Map(liveOut.get(block));
    const held = new Set<Inst>();
    for (const [alloca, bytes] of live) if (bytes & (written.get(alloca) ?? 0n)) held.add(alloca);
    for (const { inst, before } of touching.toReversed()) {
      const effects = memory.effects(inst);
      for (const e of effects) {
        for (const other of effects) conflict(e.alloca, other.alloca);
        if (e.writes !== 0n) for (const other of held) conflict(e.alloca, other);
      }
      effects.forEach((e, i) => {
        const bytes = ((live.get(e.alloca) ?? 0n) & ~e.kills) | e.reads;
        live.set(e.alloca, bytes);
        if (bytes & before[i]!) held.add(e.alloca);
        else held.delete(e.alloca);
      });
    }
  }
  // Where an address went is not known; only what other calls left, or will need, may lie in the same place.
  for (const escaped of memory.escaped) {
    const others = new Set<Inst>();
    for (const other of [...memory.tracked, ...memory.escaped]) {
      if (other === escaped || fromDifferentCalls(escaped, other)) continue;
      others.add(other);
      conflicts.get(other)?.add(escaped);
    }
    conflicts.set(escaped, others);
  }
  return (alloca) => conflicts.get(alloca) ?? null;
}
