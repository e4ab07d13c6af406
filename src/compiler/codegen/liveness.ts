/** Which registers hold a value still needed, at the end of every block. */
import { defsOf, FP, hasEffect, mSuccessors, termUses, usesOf } from "./machine.ts";
import type { MBlock, MFunc, MInst, Reg } from "./machine.ts";

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

/**
 * Removes instructions that write virtual registers nobody needs. Registers are marked from the instructions with an effect backwards;
 * what writes a physical one is an argument, a result or a call, and stays.
 */
export function removeDeadInstructions(func: MFunc): void {
  const needed = new Uint8Array(func.nextReg);
  const writers: MInst[][] = [];
  const work: Reg[] = [];
  const need = (r: Reg): void => {
    if (r <= FP || needed[r]) return;
    needed[r] = 1;
    work.push(r);
  };
  const idle = (inst: MInst): boolean => inst.dst > FP && !hasEffect(inst);
  for (const block of func.blocks) {
    for (const inst of block.insts) {
      if (!idle(inst)) usesOf(inst).forEach(need);
      else if (writers[inst.dst]) writers[inst.dst]!.push(inst);
      else writers[inst.dst] = [inst];
    }
    termUses(block.term).forEach(need);
  }
  for (let r = work.pop(); r !== undefined; r = work.pop()) {
    for (const inst of writers[r] ?? []) usesOf(inst).forEach(need);
  }
  for (const block of func.blocks) block.insts = block.insts.filter((i) => !idle(i) || needed[i.dst]);
}
