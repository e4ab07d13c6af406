/** What passes ask about a function: predecessors, orders, dominance, loops, users. Computed on demand, never stored in the IR. */
import { successors } from "./ir.ts";
import type { Block, Func, Inst, Terminator, Value } from "./ir.ts";

/** What follows from the edges of a function alone, kept as long as they stay as they are. */
interface Shape {
  readonly blocks: readonly Block[];
  /** Both ways out of each block of `blocks`; null where there is none. */
  readonly targets: readonly (Block | null)[];
  preds: Predecessors | null;
  order: readonly Block[] | null;
  doms: Dominators | null;
}

/** The predecessors of every block. */
export type Predecessors = ReadonlyMap<Block, readonly Block[]>;

const shapes = new WeakMap<Func, Shape>();

function firstTarget(t: Terminator | null): Block | null {
  return t?.kind === "jump" ? t.target : t?.kind === "branch" ? t.then : t?.kind === "maygoto" ? t.body : null;
}

function secondTarget(t: Terminator | null): Block | null {
  return t?.kind === "branch" ? t.else : t?.kind === "maygoto" ? t.exit : null;
}

function shapeOf(func: Func): Shape {
  const known = shapes.get(func);
  const { blocks } = func;
  if (known && known.blocks.length === blocks.length) {
    let same = true;
    for (let i = 0; same && i < blocks.length; i++) {
      const t = blocks[i]!.terminator;
      same =
        known.blocks[i] === blocks[i] &&
        known.targets[2 * i] === firstTarget(t) &&
        known.targets[2 * i + 1] === secondTarget(t);
    }
    if (same) return known;
  }
  const targets: (Block | null)[] = [];
  for (const { terminator } of blocks) targets.push(firstTarget(terminator), secondTarget(terminator));
  const shape: Shape = { blocks: [...blocks], targets, preds: null, order: null, doms: null };
  shapes.set(func, shape);
  return shape;
}

/** Predecessors of every block, each once, in layout order of the predecessor. */
export function predecessors(func: Func): Predecessors {
  const shape = shapeOf(func);
  return (shape.preds ??= findPredecessors(func));
}

/** The same, for those who change edges and keep it up to date. */
export function editablePredecessors(func: Func): Map<Block, Block[]> {
  return findPredecessors(func);
}

function findPredecessors(func: Func): Map<Block, Block[]> {
  const preds = new Map<Block, Block[]>(func.blocks.map((b) => [b, []]));
  for (const block of func.blocks) {
    for (const next of successors(block.terminator)) {
      const list = preds.get(next);
      // Both ways of one branch may lead here; they come one after the other.
      if (list && list[list.length - 1] !== block) list.push(block);
    }
  }
  return preds;
}

/** Reachable blocks, every block before its successors except along back edges. */
export function reversePostorder(func: Func): readonly Block[] {
  const shape = shapeOf(func);
  return (shape.order ??= findOrder(func));
}

function findOrder(func: Func): Block[] {
  const seen = new Set<Block>();
  const order: Block[] = [];
  const entry = func.blocks[0];
  if (!entry) return order;
  // An explicit stack: generated code may be thousands of blocks deep.
  const stack: { block: Block; next: Block[]; at: number }[] = [];
  const enter = (block: Block): void => {
    seen.add(block);
    // The `then` side is visited last, so that it follows its branch in the order.
    stack.push({ block, next: successors(block.terminator).reverse(), at: 0 });
  };
  enter(entry);
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const next = top.next[top.at++];
    if (next === undefined) {
      order.push(top.block);
      stack.pop();
    } else if (!seen.has(next)) enter(next);
  }
  return order.reverse();
}

/** The dominator tree of the reachable blocks. */
export interface Dominators {
  /** Blocks in reverse postorder. */
  readonly order: readonly Block[];
  /** Immediate dominator; the entry has none. */
  readonly parent: ReadonlyMap<Block, Block>;
  readonly children: ReadonlyMap<Block, readonly Block[]>;
  /** True when every path to `b` passes `a` (also when they are one block). */
  dominates(a: Block, b: Block): boolean;
  /** The nearest block that dominates both. */
  common(a: Block, b: Block): Block;
}

/** Dominators by the iteration of Cooper, Harvey and Kennedy over reverse postorder. */
export function dominators(func: Func): Dominators {
  const shape = shapeOf(func);
  return (shape.doms ??= findDominators(func));
}

function findDominators(func: Func): Dominators {
  const order = reversePostorder(func);
  const index = new Map(order.map((b, i) => [b, i]));
  const preds = predecessors(func);
  const idom = new Int32Array(order.length).fill(-1);
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
    for (let i = 1; i < order.length; i++) {
      let best = -1;
      for (const p of preds.get(order[i]!)!) {
        const pi = index.get(p);
        if (pi === undefined || idom[pi] === -1) continue;
        best = best === -1 ? pi : meet(pi, best);
      }
      if (best !== idom[i]) {
        idom[i] = best;
        changed = true;
      }
    }
  }
  const parent = new Map<Block, Block>();
  const children = new Map<Block, Block[]>(order.map((b) => [b, []]));
  for (let i = 1; i < order.length; i++) {
    const up = order[idom[i]!]!;
    parent.set(order[i]!, up);
    children.get(up)!.push(order[i]!);
  }
  // Pre- and postorder numbers of the tree answer dominance in constant time.
  const enter = new Map<Block, number>();
  const leave = new Map<Block, number>();
  let clock = 0;
  if (order[0]) {
    const stack: [Block, number][] = [[order[0], 0]];
    enter.set(order[0], clock++);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const child = children.get(top[0])![top[1]++];
      if (child) {
        enter.set(child, clock++);
        stack.push([child, 0]);
      } else {
        leave.set(top[0], clock++);
        stack.pop();
      }
    }
  }
  return {
    order,
    parent,
    children,
    dominates(a, b) {
      const ea = enter.get(a);
      const eb = enter.get(b);
      return ea !== undefined && eb !== undefined && ea <= eb && leave.get(b)! <= leave.get(a)!;
    },
    common(a, b) {
      return order[meet(index.get(a)!, index.get(b)!)]!;
    },
  };
}

/** A natural loop. */
export interface Loop {
  readonly header: Block;
  readonly blocks: Set<Block>;
  /** Sources of back edges. */
  readonly latches: Block[];
  parent: Loop | null;
}

/** Natural loops, inner ones first, and the depth of every block (0 outside loops). Irreducible cycles are not loops here. */
export function findLoops(
  func: Func,
  doms: Dominators = dominators(func),
): { loops: Loop[]; depth: Map<Block, number> } {
  const preds = predecessors(func);
  const byHeader = new Map<Block, Loop>();
  for (const block of doms.order) {
    for (const next of successors(block.terminator)) {
      if (!doms.dominates(next, block)) continue;
      let loop = byHeader.get(next);
      if (!loop) byHeader.set(next, (loop = { header: next, blocks: new Set([next]), latches: [], parent: null }));
      loop.latches.push(block);
      const work = [block];
      for (let b = work.pop(); b; b = work.pop()) {
        if (loop.blocks.has(b)) continue;
        loop.blocks.add(b);
        work.push(...preds.get(b)!.filter((p) => doms.parent.has(p) || p === doms.order[0]));
      }
    }
  }
  const loops = [...byHeader.values()].toSorted((a, b) => a.blocks.size - b.blocks.size);
  const depth = new Map<Block, number>(func.blocks.map((b) => [b, 0]));
  loops.forEach((loop, i) => {
    loop.parent = loops.slice(i + 1).find((outer) => outer !== loop && outer.blocks.has(loop.header)) ?? null;
    for (const b of loop.blocks) depth.set(b, depth.get(b)! + 1);
  });
  return { loops, depth };
}

/** Who uses an instruction's value. */
export interface Users {
  /** Instructions that take it as an operand, one entry a use. */
  readonly insts: Inst[];
  /** Uses by terminators. */
  terminators: readonly Block[];
}

const NO_BLOCKS: readonly Block[] = [];

/** Users of every instruction. Instructions that nobody uses have no entry. */
export function usersOf(func: Func): Map<Inst, Users> {
  const users = new Map<Inst, Users>();
  for (const block of func.blocks) {
    for (const inst of block.insts) {
      for (const arg of inst.args) {
        if (arg.kind !== "inst") continue;
        const known = users.get(arg);
        if (known) known.insts.push(inst);
        else users.set(arg, { insts: [inst], terminators: NO_BLOCKS });
      }
    }
    const value = terminatorValue(block);
    if (value?.kind !== "inst") continue;
    const known = users.get(value);
    if (known) known.terminators = [...known.terminators, block];
    else users.set(value, { insts: [], terminators: [block] });
  }
  return users;
}

/** The operand of a block's terminator, if it has one. */
export function terminatorValue(block: Block): Value | null {
  const t = block.terminator;
  return t?.kind === "branch" ? t.condition : t?.kind === "return" ? t.value : null;
}

/** Replaces operands throughout a function; chains of replacements are followed. */
export function substitute(func: Func, replacement: ReadonlyMap<Inst, Value>): void {
  if (replacement.size === 0) return;
  const resolve = (value: Value): Value => {
    let v = value;
    while (v.kind === "inst") {
      const next = replacement.get(v);
      if (next === undefined) break;
      v = next;
    }
    return v;
  };
  for (const block of func.blocks) {
    for (const inst of block.insts) {
      for (let i = 0; i < inst.args.length; i++) inst.args[i] = resolve(inst.args[i]!);
    }
    const t = block.terminator;
    if (t?.kind === "branch") t.condition = resolve(t.condition);
    else if (t?.kind === "return" && t.value) t.value = resolve(t.value);
  }
}

/** The phis that a block starts with. */
export function phisOf(block: Block): readonly Inst[] {
  const end = block.insts.findIndex((i) => i.op !== "phi");
  return end === -1 ? block.insts : block.insts.slice(0, end);
}

/** Takes the edge from `from` out of the phis of `to`. */
export function removeIncoming(to: Block, from: Block): void {
  for (const phi of to.insts) {
    if (phi.op !== "phi") break;
    const i = phi.incoming!.indexOf(from);
    if (i >= 0) {
      phi.incoming!.splice(i, 1);
      phi.args.splice(i, 1);
    }
  }
}

/** Renames a predecessor in the phis of `to`. */
export function renameIncoming(to: Block, from: Block, renamed: Block): void {
  for (const phi of to.insts) {
    if (phi.op !== "phi") break;
    const i = phi.incoming!.indexOf(from);
    if (i >= 0) phi.incoming![i] = renamed;
  }
}

/** Turns the successor `from` of a block into `to`; phis are the caller's business. */
export function retarget(block: Block, from: Block, to: Block): void {
  const t = block.terminator;
  if (t?.kind === "jump") {
    if (t.target === from) t.target = to;
  } else if (t?.kind === "branch") {
    if (t.then === from) t.then = to;
    if (t.else === from) t.else = to;
  } else if (t?.kind === "maygoto") {
    if (t.body === from) t.body = to;
    if (t.exit === from) t.exit = to;
  }
}

/** Removes blocks that cannot run and branches whose sides are one block. Every pipeline starts and ends with it: the verifier refuses dead code. */
export function removeDeadBlocks(func: Func): boolean {
  let changed = false;
  for (const block of func.blocks) {
    const t = block.terminator;
    if (t?.kind === "branch" && t.then === t.else) {
      block.terminator = { kind: "jump", target: t.then, position: t.position };
      changed = true;
    } else if (t?.kind === "maygoto" && t.body === t.exit) {
      block.terminator = { kind: "jump", target: t.exit, position: t.position };
      changed = true;
    }
  }
  const live = new Set(reversePostorder(func));
  if (live.size === func.blocks.length) return changed;
  for (const block of func.blocks) {
    if (live.has(block)) continue;
    for (const next of successors(block.terminator)) if (live.has(next)) removeIncoming(next, block);
  }
  func.blocks = func.blocks.filter((b) => live.has(b));
  return true;
}

/** The constant offset and base of a pointer that is a chain of `ptradd` by constants. */
export function baseOf(pointer: Value): { base: Value; offset: number } {
  let base = pointer;
  let offset = 0;
  while (base.kind === "inst" && base.op === "ptradd" && base.args[1]!.kind === "const") {
    offset += Number(BigInt.asIntN(64, base.args[1]!.value));
    base = base.args[0]!;
  }
  return { base, offset };
}
