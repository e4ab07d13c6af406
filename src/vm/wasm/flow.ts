/** The control flow of one function: its blocks, and what loops and joins there are. */
import { OPCODE_FORMS, slotsOf } from "../../isa/index.ts";
import type { VmFunction, VmProgram } from "../program.ts";

/** Instructions that run one after the other. */
export interface FlowBlock {
  /** Place in reverse postorder, which is also the index in `Flow.blocks`. */
  readonly index: number;
  /** Slots of its instructions. */
  readonly slots: readonly number[];
  /** Indexes of the blocks that may follow: for a conditional jump first where it falls through, then where it leads. -1: behind the function's end. */
  readonly successors: readonly number[];
  /** Its immediate dominator; of the first block itself. */
  dominator: number;
  /** Blocks that it immediately dominates, ascending. */
  readonly children: number[];
  /** Jumps backwards lead here. */
  isLoop: boolean;
  /** Blocks of the loop, when it is one. */
  loop: readonly number[];
  /** More than one jump forwards leads here. */
  isJoin: boolean;
  /** How many loops it is in. */
  depth: number;
}

/** The blocks of a function that can be reached, in reverse postorder. */
export interface Flow {
  readonly blocks: readonly FlowBlock[];
  /** Every jump backwards leads to a block that dominates it. */
  readonly reducible: boolean;
}

/** Finds the blocks of a function. */
export function flowOf(program: VmProgram, func: VmFunction): Flow {
  const leaders = new Set([func.start]);
  for (let slot = func.start; slot < func.end; slot++) {
    const insn = program.insns[slot];
    if (insn === undefined) continue;
    const form = OPCODE_FORMS[insn.opcode];
    const jumps =
      form === "goto" || form === "gotol" || form === "may-goto" || form === "jump-imm" || form === "jump-reg";
    if (jumps || form === "exit") {
      for (const next of program.successors(slot)) leaders.add(next);
      leaders.add(slot + slotsOf(insn));
    }
  }
  const bodies = new Map<number, number[]>();
  let body: number[] = [];
  for (let slot = func.start; slot < func.end; slot++) {
    if (program.insns[slot] === undefined) continue;
    if (leaders.has(slot)) bodies.set(slot, (body = []));
    body.push(slot);
  }
  const order = reversePostorder(func, bodies, (slot) => program.successors(slot));
  const indexOf = new Map(order.map((start, index) => [start, index]));
  const blocks = order.map((start, index): FlowBlock => {
    const slots = bodies.get(start)!;
    const successors = program.successors(slots.at(-1)!).map((next) => indexOf.get(next) ?? -1);
    return { index, slots, successors, dominator: 0, children: [], isLoop: false, loop: [], isJoin: false, depth: 0 };
  });
  return { blocks, reducible: analyse(blocks) };
}

function reversePostorder(
  func: VmFunction,
  bodies: ReadonlyMap<number, readonly number[]>,
  successors: (slot: number) => readonly number[],
): number[] {
  const out: number[] = [];
  const seen = new Set<number>([func.start]);
  // A stack of its own: functions may have tens of thousands of blocks in a row.
  const stack: { start: number; next: readonly number[]; at: number }[] = [];
  const push = (start: number): void => {
    stack.push({ start, next: successors(bodies.get(start)!.at(-1)!).filter((s) => bodies.has(s)), at: 0 });
  };
  push(func.start);
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    // The last successor first, so that what falls through comes next in the order.
    const next = top.next[top.next.length - 1 - top.at++];
    if (next === undefined) {
      out.push(top.start);
      stack.pop();
    } else if (!seen.has(next)) {
      seen.add(next);
      push(next);
    }
  }
  return out.toReversed();
}

/** Dominators (Cooper, Harvey and Kennedy), joins and loops; false for a flow that is not reducible. */
function analyse(blocks: readonly FlowBlock[]): boolean {
  const preds = blocks.map((): number[] => []);
  for (const b of blocks) for (const s of b.successors) if (s >= 0) preds[s]!.push(b.index);
  const idom = new Int32Array(blocks.length).fill(-1);
  idom[0] = 0;
  const meet = (a: number, b: number): number => {
    while (a !== b) {
      while (a > b) a = idom[a]!;
      while (b > a) b = idom[b]!;
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (let i = 1; i < blocks.length; i++) {
      let dom = -1;
      for (const p of preds[i]!) if (idom[p] !== -1) dom = dom === -1 ? p : meet(dom, p);
      if (dom !== idom[i]) {
        idom[i] = dom;
        changed = true;
      }
    }
  }
  for (const b of blocks) {
    b.dominator = idom[b.index]!;
    if (b.index > 0) blocks[b.dominator]!.children.push(b.index);
  }
  let reducible = true;
  const dominates = (a: number, b: number): boolean => {
    let at = b;
    while (at > a) at = idom[at]!;
    return at === a;
  };
  for (const b of blocks) {
    // Twice from one block counts twice: both ways need a place to go.
    b.isJoin = preds[b.index]!.filter((p) => p < b.index).length > 1;
    const back = preds[b.index]!.filter((p) => p >= b.index);
    if (back.length === 0) continue;
    b.isLoop = true;
    if (!back.every((p) => dominates(b.index, p))) {
      reducible = false;
      continue;
    }
    // The natural loop: all that reaches a jump back without passing the head.
    const inside = new Set([b.index]);
    const work = [...back];
    for (let p = work.pop(); p !== undefined; p = work.pop()) {
      if (inside.has(p)) continue;
      inside.add(p);
      work.push(...preds[p]!);
    }
    b.loop = [...inside];
    for (const i of inside) blocks[i]!.depth++;
  }
  if (!reducible) for (const b of blocks) b.depth = Math.max(b.depth, 1);
  return reducible;
}
