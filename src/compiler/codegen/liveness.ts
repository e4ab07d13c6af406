/** Which registers hold a value still needed, at the end of every block. */
import { defsOf, hasEffect, mSuccessors, termUses, usesOf } from "./machine.ts";
import type { MBlock, MFunc, Reg } from "./machine.ts";

/** Live registers at block ends; physical ones never live across blocks except as terminator operands. */
export interface Liveness {
  /** Virtual registers live at the end of a block, after its terminator's own reads. */
  liveOut(block: MBlock): Set<Reg>;
}

/** Blocks in an order that puts most successors before their predecessors, for backward problems. */
function postorder(func: MFunc): MBlock[] {
  const seen = new Set<MBlock>();
  const out: MBlock[] = [];
  const stack: { block: MBlock; next: MBlock[] }[] = [];
  const enter = (block: MBlock): void => {
    seen.add(block);
    stack.push({ block, next: mSuccessors(block.term) });
  };
  if (func.blocks[0]) enter(func.blocks[0]);
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const next = top.next.pop();
    if (next === undefined) {
      out.push(top.block);
      stack.pop();
    } else if (!seen.has(next)) enter(next);
  }
  return out;
}

/** Backward data flow over sets of virtual registers. Only those that live across blocks take part. */
export function liveness(func: MFunc): Liveness {
  const blocks = postorder(func);
  const upward = new Map<MBlock, Set<Reg>>();
  const killed = new Map<MBlock, Set<Reg>>();
  for (const block of blocks) {
    const up = new Set<Reg>();
    const kill = new Set<Reg>();
    const use = (r: Reg): void => {
      if (r > 10 && !kill.has(r)) up.add(r);
    };
    for (const inst of block.insts) {
      for (const r of usesOf(inst)) use(r);
      for (const r of defsOf(inst)) if (r > 10) kill.add(r);
    }
    for (const r of termUses(block.term)) use(r);
    upward.set(block, up);
    killed.set(block, kill);
  }
  const liveIn = new Map<MBlock, Set<Reg>>(blocks.map((b) => [b, new Set(upward.get(b))]));
  const outOf = (block: MBlock): Set<Reg> => {
    const out = new Set<Reg>();
    for (const next of mSuccessors(block.term)) for (const r of liveIn.get(next) ?? []) out.add(r);
    return out;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) {
      const live = liveIn.get(block)!;
      const before = live.size;
      const kill = killed.get(block)!;
      for (const next of mSuccessors(block.term)) {
        for (const r of liveIn.get(next)!) if (!kill.has(r)) live.add(r);
      }
      if (live.size !== before) changed = true;
    }
  }
  return { liveOut: outOf };
}

/** Removes instructions that write registers nobody reads. Returns true when any went. */
export function removeDeadInstructions(func: MFunc): boolean {
  let any = false;
  for (let changed = true; changed;) {
    changed = false;
    const { liveOut } = liveness(func);
    for (const block of func.blocks) {
      const live = liveOut(block);
      for (const r of termUses(block.term)) live.add(r);
      const kept = [];
      for (let i = block.insts.length - 1; i >= 0; i--) {
        const inst = block.insts[i]!;
        const defs = defsOf(inst);
        if (!hasEffect(inst) && defs.every((d) => !live.has(d))) {
          changed = true;
          continue;
        }
        for (const d of defs) live.delete(d);
        for (const u of usesOf(inst)) live.add(u);
        kept.push(inst);
      }
      if (kept.length !== block.insts.length) block.insts = kept.reverse();
    }
    any ||= changed;
  }
  return any;
}
