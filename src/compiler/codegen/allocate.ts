/**
 * Register allocation: iterated register coalescing (George and Appel, 1996) over r0 to r9.
 * Calls write r0 to r5, so that values alive across them can only have r6 to r9; what finds no register lives in the frame, or is made
 * anew where that is cheaper. Physical registers are nodes 0 to 9 of the interference graph.
 */
import { SkepError } from "../../base/index.ts";
import { PairSet } from "./pair-set.ts";
import { liveness } from "./liveness.ts";
import { spill } from "./spill.ts";
import { Bpf, defsOf, FP, isMove, termUses, usesOf } from "./machine.ts";
import type { AsmInst, MFunc, Reg } from "./machine.ts";

/** Number of colours. */
const K = 10;
/** Registers that calls destroy come first: using them costs nothing, those the callee keeps cost a push in the JIT's prologue. */
const COLOUR_ORDER: readonly Reg[] = [1, 2, 3, 4, 5, 0, 6, 7, 8, 9];

type MoveState = "active" | "worklist" | "done";

interface Move {
  readonly dst: Reg;
  readonly src: Reg;
  readonly weight: number;
  state: MoveState;
}

/** Gives every virtual register of a function a physical one, rewriting the code; spilled ones get frame objects. */
export function allocateRegisters(func: MFunc): void {
  const unspillable = new Set<Reg>();
  for (let round = 0; round < 40; round++) {
    const graph = new Graph(func, unspillable);
    const spilled = graph.colour();
    if (spilled.length === 0) return graph.assign();
    spill(func, spilled, unspillable, graph);
  }
  throw new SkepError("compiler", `function ${func.name}: register allocation did not settle`);
}

class Graph {
  private readonly func: MFunc;
  private readonly count: number;
  private readonly adjacent: PairSet;
  /** All that interfere, for colouring; and those among them that are still in the graph, cut down as they are asked for. */
  private readonly neighbours: Reg[][];
  private readonly active: Reg[][];
  private readonly degree: Int32Array;
  private readonly moves: Move[] = [];
  /** All moves of a register, and those that may still go. */
  private readonly movesOf: number[][];
  private readonly openMoves: number[][];
  private readonly cost: Float64Array;
  private readonly alias: Int32Array;
  readonly colourOf: Int32Array;
  private readonly present = new Set<Reg>();
  private readonly unspillable: ReadonlySet<Reg>;

  private readonly simplifyList = new Set<Reg>();
  private readonly freezeList = new Set<Reg>();
  private readonly spillList = new Set<Reg>();
  private readonly moveList: number[] = [];
  private readonly removed: Uint8Array;
  private readonly coalesced: Uint8Array;
  private groups: Map<Reg, Reg[]> | null = null;
  private readonly stack: Reg[] = [];

  constructor(func: MFunc, unspillable: ReadonlySet<Reg>) {
    this.func = func;
    this.unspillable = unspillable;
    this.count = func.nextReg;
    this.adjacent = new PairSet(this.count);
    this.neighbours = Array.from({ length: this.count }, () => []);
    this.active = Array.from({ length: this.count }, () => []);
    this.movesOf = Array.from({ length: this.count }, () => []);
    this.openMoves = Array.from({ length: this.count }, () => []);
    this.removed = new Uint8Array(this.count);
    this.coalesced = new Uint8Array(this.count);
    this.degree = new Int32Array(this.count);
    this.cost = new Float64Array(this.count);
    this.alias = new Int32Array(this.count);
    this.colourOf = new Int32Array(this.count).fill(-1);
    for (let r = 0; r < K; r++) {
      this.colourOf[r] = r;
      this.degree[r] = 1 << 28;
    }
    this.build();
  }

  private build(): void {
    const { liveOut } = liveness(this.func);
    for (const block of this.func.blocks) {
      const weight = 8 ** Math.min(block.depth, 6);
      const live = liveOut(block);
      const read = (r: Reg): void => {
        live.add(r);
        if (r >= K) this.touch(r, weight);
      };
      for (const r of termUses(block.term)) read(r);
      for (let i = block.insts.length - 1; i >= 0; i--) {
        const inst = block.insts[i]!;
        const defs = defsOf(inst);
        if (isMove(inst) && inst.dst !== inst.src) {
          live.delete(inst.src);
          const index = this.moves.length;
          this.moves.push({ dst: inst.dst, src: inst.src, weight, state: "worklist" });
          for (const r of [inst.dst, inst.src]) {
            this.movesOf[r]!.push(index);
            this.openMoves[r]!.push(index);
          }
          this.moveList.push(index);
        }
        for (const d of defs) {
          if (d >= K) this.touch(d, weight);
          for (const l of live) this.addEdge(l, d);
        }
        if (inst.asm) this.addAsmEdges(inst.asm);
        if (defs.length > 1) for (const d of defs) for (const e of defs) this.addEdge(d, e);
        for (const d of defs) live.delete(d);
        for (const u of usesOf(inst)) read(u);
      }
    }
  }

  /** What assembly destroys, or writes early, holds none of what it reads. */
  private addAsmEdges({ regs, reads, early, clobbers }: AsmInst): void {
    for (const read of reads) {
      for (const c of clobbers) this.addEdge(c, regs[read]!);
      for (const e of early) this.addEdge(regs[e]!, regs[read]!);
    }
  }

  private touch(r: Reg, weight: number): void {
    this.present.add(r);
    this.cost[r]! += weight;
  }

  private addEdge(a: Reg, b: Reg): void {
    if (a === b || a === FP || b === FP || !this.adjacent.add(a, b)) return;
    if (a >= K) {
      this.neighbours[a]!.push(b);
      this.active[a]!.push(b);
      this.degree[a]!++;
    }
    if (b >= K) {
      this.neighbours[b]!.push(a);
      this.active[b]!.push(a);
      this.degree[b]!++;
    }
  }

  /** Neighbours in the graph. The list is the graph's own. */
  private current(r: Reg): readonly Reg[] {
    const list = this.active[r]!;
    let kept = 0;
    for (const n of list) if (!this.removed[n] && !this.coalesced[n]) list[kept++] = n;
    list.length = kept;
    return list;
  }

  private hasOpenMoves(r: Reg): boolean {
    const list = this.openMoves[r]!;
    while (list.length > 0 && this.moves[list[list.length - 1]!]!.state === "done") list.pop();
    return list.length > 0;
  }

  /** Runs the phases; returns registers that got no colour. */
  colour(): Reg[] {
    // Heavier moves first: what the inner loop would execute matters most.
    this.moveList.sort((a, b) => this.moves[a]!.weight - this.moves[b]!.weight || b - a);
    for (const r of this.present) {
      if (r < K) continue;
      if (this.degree[r]! >= K) this.spillList.add(r);
      else if (this.hasOpenMoves(r)) this.freezeList.add(r);
      else this.simplifyList.add(r);
    }
    for (;;) {
      const simple = first(this.simplifyList);
      if (simple !== undefined) this.simplify(simple);
      else if (this.moveList.length > 0) this.coalesce(this.moveList.pop()!);
      else {
        const frozen = first(this.freezeList);
        if (frozen !== undefined) {
          this.freezeList.delete(frozen);
          this.simplifyList.add(frozen);
          this.freezeMoves(frozen);
        } else if (this.spillList.size > 0) this.selectSpill();
        else break;
      }
    }
    return this.pickColours();
  }

  private simplify(r: Reg): void {
    this.simplifyList.delete(r);
    const around = this.current(r);
    this.stack.push(r);
    this.removed[r] = 1;
    for (const n of around) this.decrementDegree(n);
  }

  private decrementDegree(r: Reg): void {
    if (r < K) return;
    const degree = this.degree[r]!--;
    if (degree !== K) return;
    this.enableMoves(r);
    for (const n of this.current(r)) this.enableMoves(n);
    this.spillList.delete(r);
    if (this.hasOpenMoves(r)) this.freezeList.add(r);
    else this.simplifyList.add(r);
  }

  private enableMoves(r: Reg): void {
    for (const m of this.openMoves[r]!) {
      if (this.moves[m]!.state === "active") {
        this.moves[m]!.state = "worklist";
        this.moveList.push(m);
      }
    }
  }

  private find(r: Reg): Reg {
    let root = r;
    while (this.coalesced[root]) root = this.alias[root]!;
    for (let at = r; at !== root;) {
      const next = this.alias[at]!;
      this.alias[at] = root;
      at = next;
    }
    return root;
  }

  private addToWorklist(r: Reg): void {
    if (r < K || this.hasOpenMoves(r) || this.degree[r]! >= K) return;
    this.freezeList.delete(r);
    this.simplifyList.add(r);
  }

  private coalesce(index: number): void {
    const move = this.moves[index]!;
    if (move.state !== "worklist") return;
    let u = this.find(move.dst);
    let v = this.find(move.src);
    if (v < K) [u, v] = [v, u];
    if (u === v) {
      move.state = "done";
      this.addToWorklist(u);
    } else if (v < K || this.adjacent.has(u, v)) {
      move.state = "done";
      this.addToWorklist(u);
      this.addToWorklist(v);
    } else if (u < K ? this.georgeTest(u, v) : this.briggsTest(u, v)) {
      move.state = "done";
      this.combine(u, v);
      this.addToWorklist(u);
    } else move.state = "active";
  }

  private georgeTest(u: Reg, v: Reg): boolean {
    for (const t of this.active[v]!) {
      if (this.removed[t] || this.coalesced[t] || t < K || this.degree[t]! < K) continue;
      if (!this.adjacent.has(t, u)) return false;
    }
    return true;
  }

  private briggsTest(u: Reg, v: Reg): boolean {
    let high = 0;
    const count = (n: Reg, both: boolean): boolean => this.degree[n]! - (both ? 1 : 0) >= K && ++high >= K;
    for (const n of this.active[u]!) {
      if (this.removed[n] || this.coalesced[n]) continue;
      if (count(n, n >= K && this.adjacent.has(n, v))) return false;
    }
    for (const n of this.active[v]!) {
      if (this.removed[n] || this.coalesced[n] || this.adjacent.has(n, u)) continue;
      if (count(n, false)) return false;
    }
    return true;
  }

  private combine(u: Reg, v: Reg): void {
    this.freezeList.delete(v);
    this.spillList.delete(v);
    this.coalesced[v] = 1;
    this.alias[v] = u;
    this.cost[u]! += this.cost[v]!;
    for (const m of this.movesOf[v]!) this.movesOf[u]!.push(m);
    this.enableMoves(v);
    for (const m of this.openMoves[v]!) if (this.moves[m]!.state !== "done") this.openMoves[u]!.push(m);
    for (const t of this.current(v)) {
      this.addEdge(t, u);
      this.decrementDegree(t);
    }
    if (u >= K && this.degree[u]! >= K && this.freezeList.delete(u)) this.spillList.add(u);
  }

  private freezeMoves(r: Reg): void {
    for (const m of this.openMoves[r]!) {
      const move = this.moves[m]!;
      if (move.state === "done") continue;
      const a = this.find(move.dst);
      const b = this.find(move.src);
      const other = a === this.find(r) ? b : a;
      move.state = "done";
      if (other >= K && !this.hasOpenMoves(other) && this.degree[other]! < K && this.freezeList.delete(other)) {
        this.simplifyList.add(other);
      }
    }
  }

  private selectSpill(): void {
    let best: Reg = -1;
    let bestScore = Infinity;
    for (const r of this.spillList) {
      let cost = this.cost[r]! / (this.degree[r]! + 1);
      if (this.func.remat.has(r)) cost /= 4;
      if (this.unspillable.has(r)) cost = 1e18;
      if (cost < bestScore || best === -1) {
        bestScore = cost;
        best = r;
      }
    }
    this.spillList.delete(best);
    this.simplifyList.add(best);
    this.freezeMoves(best);
  }

  private pickColours(): Reg[] {
    const spilled: Reg[] = [];
    while (this.stack.length > 0) {
      const r = this.stack.pop()!;
      let taken = 0;
      for (const n of this.neighbours[r]!) {
        const colour = this.colourOf[this.find(n)]!;
        if (colour >= 0) taken |= 1 << colour;
      }
      this.removed[r] = 0;
      // A colour that makes a move vanish after all is worth more than any order.
      let colour = -1;
      for (const m of this.movesOf[r]!) {
        const { dst, src } = this.moves[m]!;
        const other = this.find(dst) === r ? this.find(src) : this.find(dst);
        const wanted = this.colourOf[other]!;
        if (wanted >= 0 && !(taken & (1 << wanted))) {
          colour = wanted;
          break;
        }
      }
      if (colour === -1) colour = COLOUR_ORDER.find((c) => !(taken & (1 << c))) ?? -1;
      if (colour === -1) spilled.push(r);
      else this.colourOf[r] = colour;
    }
    if (spilled.length === 0) {
      for (const r of this.present) if (this.coalesced[r]) this.colourOf[r] = this.colourOf[this.find(r)]!;
    }
    return spilled;
  }

  /** Registers merged with `r`, itself included. */
  members(r: Reg): readonly Reg[] {
    if (!this.groups) {
      this.groups = new Map();
      for (const c of this.present) {
        if (!this.coalesced[c]) continue;
        const root = this.find(c);
        const group = this.groups.get(root);
        if (group) group.push(c);
        else this.groups.set(root, [root, c]);
      }
    }
    return this.groups.get(r) ?? [r];
  }

  /** True when two spilled registers are alive at one time. */
  conflict(a: Reg, b: Reg): boolean {
    // Edges of merged registers are asked one by one: those to nodes already taken out were not carried over.
    return this.members(a).some((x) => this.members(b).some((y) => this.adjacent.has(x, y)));
  }

  /** Writes the colours into the code. */
  assign(): void {
    const of = (r: Reg): Reg => (r >= K && r !== FP ? this.colourOf[r]! : r);
    for (const block of this.func.blocks) {
      for (const inst of block.insts) {
        if (inst.code === Bpf.CALL) continue;
        if (inst.asm) inst.asm.regs = inst.asm.regs.map(of);
        if (inst.dst > FP) inst.dst = of(inst.dst);
        if (inst.src > FP) inst.src = of(inst.src);
      }
      const t = block.term;
      if (t.kind === "cond") {
        if (t.dst > FP) t.dst = of(t.dst);
        if (t.src > FP) t.src = of(t.src);
      }
      block.insts = block.insts.filter((i) => !(isMove(i) && i.dst === i.src));
    }
  }
}

function first(set: Set<Reg>): Reg | undefined {
  for (const r of set) return r;
  return undefined;
}
