/** The order of machine blocks: empty ones vanish, straight lines become one block, likely successors follow their branch. */
import { Alu, Bpf, defsOf, Jump, mSuccessors, termUses, usesOf } from "./machine.ts";
import type { KernelTarget } from "../target.ts";
import type { MBlock, MFunc, MInst, MTerm } from "./machine.ts";

function retargetAll(term: MTerm, map: (b: MBlock) => MBlock): void {
  if (term.kind === "jump") term.target = map(term.target);
  else if (term.kind === "cond") {
    term.then = map(term.then);
    term.else = map(term.else);
  } else if (term.kind === "maygoto") {
    term.body = map(term.body);
    term.exit = map(term.exit);
  }
}

function reachable(func: MFunc): Set<MBlock> {
  const seen = new Set<MBlock>();
  const work = [func.blocks[0]!];
  for (let b = work.pop(); b; b = work.pop()) {
    if (seen.has(b)) continue;
    seen.add(b);
    work.push(...mSuccessors(b.term));
  }
  return seen;
}

function predecessorCounts(blocks: Iterable<MBlock>): Map<MBlock, number> {
  const count = new Map<MBlock, number>();
  for (const b of blocks) for (const s of mSuccessors(b.term)) count.set(s, (count.get(s) ?? 0) + 1);
  return count;
}

/** Simplifies the control flow of machine code after registers are assigned, and orders the blocks. */
export function layOut(func: MFunc, target: KernelTarget): void {
  simplify(func);
  splitConstantReturns(func);
  mergeEqualEnds(func);
  simplify(func);
  shareExit(func);
  const placed = new Placement(func, fallsIntoLoops(target)).run();
  // An end of which all who go there got copies is nobody's.
  const live = reachable(func);
  func.blocks = placed.filter((b) => live.has(b));
  foldConstantWays(func);
}

/**
 * Whether code may fall through into the head of a loop that it is in: kernels before 6.7 take a way back for a bounded loop only when it is
 * a jump (`check_cfg`).
 */
function fallsIntoLoops({ version: [major, minor] }: KernelTarget): boolean {
  return major > 6 || (major === 6 && minor >= 7);
}

function simplify(func: MFunc): void {
  for (let changed = true; changed;) {
    changed = false;
    const forward = (b: MBlock): MBlock => {
      let at = b;
      for (
        let hops = 0;
        hops < 64 && at.insts.length === 0 && at.term.kind === "jump" && at.term.target !== at;
        hops++
      ) {
        at = at.term.target;
      }
      return at;
    };
    for (const b of func.blocks) {
      retargetAll(b.term, (t) => {
        const to = forward(t);
        if (to !== t) changed = true;
        return to;
      });
      const same =
        (b.term.kind === "cond" && b.term.then === b.term.else) ||
        (b.term.kind === "maygoto" && b.term.body === b.term.exit);
      if (same) {
        b.term = { kind: "jump", target: mSuccessors(b.term)[0]! };
        changed = true;
      }
    }
    const live = reachable(func);
    func.blocks = func.blocks.filter((b) => live.has(b));
    const preds = predecessorCounts(func.blocks);
    const gone = new Set<MBlock>();
    for (const b of func.blocks) {
      if (gone.has(b)) continue;
      while (b.term.kind === "jump") {
        const next = b.term.target;
        if (next === b || next === func.blocks[0] || preds.get(next) !== 1) break;
        b.insts.push(...next.insts);
        b.term = next.term;
        b.position = next.position;
        gone.add(next);
        changed = true;
      }
    }
    func.blocks = func.blocks.filter((b) => !gone.has(b));
  }
}

/**
 * Merges blocks that only set registers to constants and then end or go on alike: the many `return 0` of a program.
 * Blocks that touch memory stay apart: the verifier refuses one instruction that is used with two kinds of pointers.
 */
function mergeEqualEnds(func: MFunc): void {
  const ids = new Map(func.blocks.map((b, i) => [b, i]));
  const seen = new Map<string, MBlock>();
  const same = new Map<MBlock, MBlock>();
  for (const b of func.blocks) {
    if (b === func.blocks[0] || b.term.kind === "cond" || b.term.kind === "maygoto") continue;
    if (!b.insts.every(isConstantMove)) continue;
    const end = b.term.kind === "jump" ? `j${ids.get(b.term.target)}` : "x";
    const key = `${b.insts.map((i) => `${i.code},${i.dst},${i.imm}`).join(";")}|${end}`;
    const known = seen.get(key);
    if (known) same.set(b, known);
    else seen.set(key, b);
  }
  if (same.size === 0) return;
  for (const b of func.blocks) retargetAll(b.term, (t) => same.get(t) ?? t);
}

/** Cuts `r0 = constant; exit` off the blocks that end so, for {@link mergeEqualEnds}; what stays alone grows together again. */
function splitConstantReturns(func: MFunc): void {
  const added: MBlock[] = [];
  for (const b of func.blocks) {
    const last = b.insts.at(-1);
    if (b.term.kind !== "exit" || b.insts.length < 2 || !last || !isConstantMove(last) || last.dst !== 0) continue;
    const end: MBlock = { id: -1, insts: [last], term: b.term, position: b.position, depth: b.depth };
    b.insts.pop();
    b.term = { kind: "jump", target: end };
    added.push(end);
  }
  func.blocks.push(...added);
}

/** An exit that is only jumped to can be that of some other block, which then runs into it. */
function shareExit(func: MFunc): void {
  const isExit = (b: MBlock): boolean => b.term.kind === "exit" && b.insts.length === 0;
  const [exit] = func.blocks.filter(isExit);
  const into = func.blocks.findLast((b) => b.term.kind === "exit" && b.insts.length > 0);
  if (!exit || !into || exit === func.blocks[0]) return;
  into.term = { kind: "jump", target: exit };
}

function isConstantMove(i: MInst): boolean {
  // A record stays where it is: an instruction that finds no field in the kernel must not run.
  if (i.core) return false;
  return ((i.code & 0xf7) === 0xb4 || (i.code & 0xf7) === 0xb7) && (i.code & Bpf.X) === 0;
}

/**
 * A way that only sets registers to constants and jumps on is done before the branch, where nobody reads them on the other way:
 * then it needs no jump. Ways marked unlikely stay: the likely one would do their work.
 */
function foldConstantWays(func: MFunc): void {
  const at = new Map(func.blocks.map((b, i) => [b, i]));
  const preds = predecessorCounts(func.blocks);
  const gone = new Set<MBlock>();
  let live: ReadonlyMap<MBlock, number> | null = null;
  for (const b of func.blocks) {
    const t = b.term;
    if (t.kind !== "cond" || t.likely) continue;
    for (const side of ["then", "else"] as const) {
      const way = t[side];
      const other = side === "then" ? t.else : t.then;
      if (way.term.kind !== "jump" || way === other || preds.get(way) !== 1 || gone.has(way)) continue;
      if (way.insts.length === 0 || way.insts.length > 2 || !way.insts.every(isConstantMove)) continue;
      const { target } = way.term;
      if (target === way || at.get(target) === at.get(way)! + 1) continue;
      live ??= liveRegisters(func);
      const busy = live.get(other)! | termUses(t).reduce((mask, r) => mask | (1 << r), 0);
      if (way.insts.some((i) => busy & (1 << i.dst))) continue;
      b.insts.push(...way.insts);
      t[side] = target;
      gone.add(way);
      break;
    }
  }
  if (gone.size > 0) func.blocks = func.blocks.filter((b) => !gone.has(b));
}

/** Bits of the registers that are read before they are written, from the start of each block on. */
function liveRegisters(func: MFunc): Map<MBlock, number> {
  const transfer = func.blocks.map((block) => {
    let use = 0;
    let kill = 0;
    for (const inst of block.insts) {
      for (const r of usesOf(inst)) use |= (1 << r) & ~kill;
      for (const r of defsOf(inst)) kill |= 1 << r;
    }
    for (const r of termUses(block.term)) use |= (1 << r) & ~kill;
    return { block, use, kill };
  });
  const live = new Map<MBlock, number>();
  for (let changed = true; changed;) {
    changed = false;
    for (let i = transfer.length - 1; i >= 0; i--) {
      const { block, use, kill } = transfer[i]!;
      let out = 0;
      for (const next of mSuccessors(block.term)) out |= live.get(next) ?? 0;
      const into = use | (out & ~kill);
      if (into === live.get(block)) continue;
      live.set(block, into);
      changed = true;
    }
  }
  return live;
}

/** Side ways collect until this much code lies between them and where they begin; then they are put in, so that jumps reach them. */
const SIDE_WAYS_EVERY = 6000;
/** A side way is put in when it comes back within so much code; longer ones wait for their place behind. */
const SHORT_SIDE_WAY = 200;

/** The order of blocks: each is followed by where it most likely goes, what is unlikely comes behind. */
class Placement {
  private readonly func: MFunc;
  private readonly out: MBlock[] = [];
  private readonly placed = new Set<MBlock>();
  private readonly pending: MBlock[] = [];
  private readonly indegree: ReadonlyMap<MBlock, number>;
  /** Code since side ways were put in last, and the first block of it. */
  private size = 0;
  private since = 0;

  /** Tests of loops may stand behind their bodies. */
  private readonly testsLast: boolean;

  constructor(func: MFunc, testsLast: boolean) {
    this.func = func;
    this.testsLast = testsLast;
    this.indegree = predecessorCounts(func.blocks);
  }

  run(): MBlock[] {
    this.pending.push(this.func.blocks[0]!);
    for (let b = this.pending.pop(); b; b = this.pending.pop()) this.follow(b);
    return this.out;
  }

  private follow(start: MBlock): void {
    for (let b: MBlock | undefined = start; b && !this.placed.has(b); b = this.next(b)) {
      if (this.size > SIDE_WAYS_EVERY) this.putSideWays(b);
      this.put(b);
    }
  }

  private put(b: MBlock): void {
    this.placed.add(b);
    this.out.push(b);
    this.size += weightOf(b);
  }

  /** The block to fall into; the other way waits. */
  private next(b: MBlock): MBlock | undefined {
    const t: MTerm = b.term;
    switch (t.kind) {
      case "jump":
        return this.bodyOfLoop(b, t.target) ?? t.target;
      case "cond": {
        const preferThen = t.likely === "then" || (t.likely !== "else" && prefersThen(t, this.placed, this.indegree));
        const [next, other] = preferThen ? [t.then, t.else] : [t.else, t.then];
        if (this.placed.has(next)) return other;
        this.pending.push(other);
        return next;
      }
      case "maygoto":
        this.pending.push(t.exit);
        return t.body;
      default:
        return undefined;
    }
  }

  /**
   * Where a loop is entered from before: its test comes behind its body, so that each round takes one jump. The way in jumps to the test,
   * as the end of the body would have had to.
   */
  private bodyOfLoop(before: MBlock, header: MBlock): MBlock | null {
    const t = header.term;
    if (!this.testsLast || t.kind !== "cond" || this.placed.has(header) || header.depth <= before.depth) return null;
    const inside = (b: MBlock): boolean => b.depth >= header.depth && !this.placed.has(b) && b !== header;
    const [body, exit] = inside(t.then) ? [t.then, t.else] : [t.else, t.then];
    const rotates = inside(body) && exit.depth < header.depth && this.endsInJumpTo(body, header);
    if (!rotates) return null;
    this.pending.push(exit);
    return body;
  }

  /** True when following blocks from `start` comes to a jump to `header`, which then follows. */
  private endsInJumpTo(start: MBlock, header: MBlock): boolean {
    let b = start;
    for (let hops = 0; hops < 64; hops++) {
      if (this.placed.has(b)) return false;
      const t = b.term;
      if (t.kind === "jump") {
        if (t.target === header) return true;
        b = t.target;
      } else if (t.kind === "cond") {
        const then = t.likely === "then" || (t.likely !== "else" && prefersThen(t, this.placed, this.indegree));
        b = then ? t.then : t.else;
      } else return false;
    }
    return false;
  }

  /** Puts the short ways that wait, except into `coming`, behind what is placed. Ends of the program are copied: more will go to them. */
  private putSideWays(coming: MBlock): void {
    const waiting = this.pending.splice(0);
    for (const b of waiting) {
      if (this.placed.has(b)) continue;
      const way = b === coming ? null : this.shortWay(b, coming);
      if (!way) this.pending.push(b);
      else if (way.length === 1 && b.term.kind === "exit") {
        const copy: MBlock = { ...b, insts: b.insts.map((i) => ({ ...i })), term: { ...b.term } };
        for (const from of this.out.slice(this.since)) retargetAll(from.term, (t) => (t === b ? copy : t));
        this.put(copy);
        this.pending.push(b);
      } else for (const x of way) this.put(x);
    }
    this.size = 0;
    this.since = this.out.length;
  }

  /** The blocks of a way from `start` to the end of the program or to what is placed; null when it branches or is long. */
  private shortWay(start: MBlock, coming: MBlock): MBlock[] | null {
    const way: MBlock[] = [];
    let size = 0;
    for (let b = start; ;) {
      way.push(b);
      size += weightOf(b);
      if (size > SHORT_SIDE_WAY) return null;
      if (b.term.kind === "exit") return way;
      if (b.term.kind !== "jump") return null;
      b = b.term.target;
      if (b === coming || this.placed.has(b)) return way;
    }
  }
}

/** Instructions that a block may become: the kernel replaces calls of helpers and divisions by several of its own. */
export function weightOf(b: MBlock): number {
  let weight = 2;
  for (const inst of b.insts) weight += weightOfInst(inst);
  return weight;
}

/** The same for one instruction. */
export function weightOfInst(inst: MInst): number {
  if (inst.code === Bpf.CALL) return 12;
  if (inst.asm) return 2 * inst.asm.template.split(/[;\n]/).length;
  const cls = inst.code & 7;
  const op = inst.code & 0xf0;
  if ((cls === Bpf.ALU || cls === Bpf.ALU64) && (op === Alu.DIV || op === Alu.MOD)) return 6;
  return cls === Bpf.LDX ? 3 : cls === Bpf.LD ? 2 : 1;
}

/** Which side to fall into when nothing is known: not the one that ends the program, and not the join of the two. */
function prefersThen(
  t: Extract<MTerm, { kind: "cond" }>,
  placed: ReadonlySet<MBlock>,
  indegree: ReadonlyMap<MBlock, number>,
): boolean {
  if (placed.has(t.else)) return true;
  if (placed.has(t.then)) return false;
  // A bit test has no opposite: falling into its target would take a jump more.
  if ((t.code & 0xf0) === Jump.SET) return false;
  const ends = (b: MBlock): boolean => b.term.kind === "exit" && b.insts.length <= 2;
  if (ends(t.else) !== ends(t.then)) return ends(t.else);
  const leadsTo = (a: MBlock, b: MBlock): boolean => a.term.kind === "jump" && a.term.target === b;
  if (leadsTo(t.then, t.else)) return true;
  if (leadsTo(t.else, t.then)) return false;
  return (indegree.get(t.else) ?? 0) > 1 && (indegree.get(t.then) ?? 0) === 1;
}
