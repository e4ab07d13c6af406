/**
 * Byte by byte, which memory of the frame is read later and which has been written: for dead stores, shared stack and uninitialised inputs.
 * Each alloca is followed by itself and only through the blocks between its writes and its reads: most are done within a few, so that
 * the work grows with the length of a function and not with its square.
 */
import { baseOf, predecessors, reversePostorder, usersOf } from "../analysis.ts";
import type { Predecessors } from "../analysis.ts";
import type { Block, Func, Inst, Module, Value } from "../ir.ts";
import { successors } from "../ir.ts";
import { argumentEffect } from "./effects.ts";

/** An alloca larger than this is not tracked byte by byte. */
const TRACKED_BYTES = 16_384;

/** What one instruction does to the bytes of one alloca; bit n of a mask is byte n. */
export interface MemoryEffect {
  readonly alloca: Inst;
  /** Bytes that may be read. */
  reads: bigint;
  /** Bytes that are surely written whole. */
  kills: bigint;
  /** Bytes that may be written. */
  writes: bigint;
  /** Bytes that the verifier counts as written: those of `kills`, and buffers that a helper may fill in part. */
  defines: bigint;
}

/** What a block does to an alloca, from its start on. */
interface Summary {
  /** Bytes read before the block writes them. */
  use: bigint;
  kill: bigint;
  writes: bigint;
  defines: bigint;
}

/** Where the bytes of one alloca matter: only blocks between its first write and its last read have entries. */
export interface MemoryFlow {
  /** Bytes read later, at the start of a block. */
  readonly liveIn: ReadonlyMap<Block, bigint>;
  readonly liveOut: ReadonlyMap<Block, bigint>;
  /** Bytes written before, at the start of a block, on some path; of those that are alive there. */
  readonly mayWritten: ReadonlyMap<Block, bigint>;
  /** The same on all paths. */
  readonly mustWritten: ReadonlyMap<Block, bigint>;
}

const NO_EFFECTS: readonly MemoryEffect[] = [];

/** The tracked allocas of a function and what every instruction does to them. */
export class FrameMemory {
  readonly func: Func;
  readonly tracked: Set<Inst> = new Set();
  /** Allocas whose address escapes into memory or arithmetic that cannot be followed: alive everywhere. */
  readonly escaped: Set<Inst> = new Set();
  private readonly module: Module | null;
  private effectTable: Map<Inst, readonly MemoryEffect[]> | null = null;
  private readonly summaries = new Map<Inst, Map<Block, Summary>>();
  private readonly flows = new Map<Inst, MemoryFlow | null>();
  private shape: Shape | null = null;

  constructor(func: Func, module: Module | null) {
    this.func = func;
    this.module = module;
    const allocas = (func.blocks[0]?.insts ?? []).filter((inst) => inst.op === "alloca");
    if (allocas.length === 0) return;
    const users = usersOf(func);
    for (const inst of allocas) {
      const set = inst.size! > TRACKED_BYTES || escapes(inst, users) ? this.escaped : this.tracked;
      set.add(inst);
    }
  }

  /** The effects of an instruction on tracked memory, one for each alloca that it touches. */
  effects(inst: Inst): readonly MemoryEffect[] {
    return this.table().get(inst) ?? NO_EFFECTS;
  }

  private table(): Map<Inst, readonly MemoryEffect[]> {
    if (this.effectTable) return this.effectTable;
    const table = new Map<Inst, readonly MemoryEffect[]>();
    this.effectTable = table;
    if (this.tracked.size === 0) return table;
    for (const block of this.func.blocks) {
      for (const inst of block.insts) {
        const effects = this.compute(inst);
        if (effects.length === 0) continue;
        table.set(inst, effects);
        for (const e of effects) this.summarise(block, e);
      }
    }
    return table;
  }

  private summarise(block: Block, e: MemoryEffect): void {
    let blocks = this.summaries.get(e.alloca);
    if (!blocks) this.summaries.set(e.alloca, (blocks = new Map()));
    let s = blocks.get(block);
    if (!s) blocks.set(block, (s = { use: 0n, kill: 0n, writes: 0n, defines: 0n }));
    s.use |= e.reads & ~s.kill;
    s.kill |= e.kills;
    s.writes |= e.writes;
    s.defines |= e.defines;
  }

  /** Blocks with an instruction that touches an alloca. */
  touching(alloca: Inst): Block[] {
    this.table();
    return [...(this.summaries.get(alloca)?.keys() ?? [])];
  }

  /** Allocas whose bytes are alive at the start of some block: all others live within single blocks. */
  crossing(): [alloca: Inst, flow: MemoryFlow][] {
    this.table();
    const out: [Inst, MemoryFlow][] = [];
    for (const alloca of this.summaries.keys()) {
      const flow = this.flow(alloca);
      if (flow) out.push([alloca, flow]);
    }
    return out;
  }

  /** How an alloca's bytes flow between blocks; null when each block writes what it reads. */
  flow(alloca: Inst): MemoryFlow | null {
    let flow = this.flows.get(alloca);
    if (flow === undefined) this.flows.set(alloca, (flow = this.computeFlow(alloca)));
    return flow;
  }

  private computeFlow(alloca: Inst): MemoryFlow | null {
    this.table();
    const summaries = this.summaries.get(alloca);
    if (!summaries || [...summaries.values()].every((s) => s.use === 0n)) return null;
    const shape = (this.shape ??= new Shape(this.func));
    const home = shape.home(summaries.keys());
    const inside = (b: Block): boolean => (shape.index.get(b) ?? -1) >= home;

    // Backwards from the reads, as far as bytes are written or nothing can have been.
    const liveIn = new Map<Block, bigint>();
    const liveOut = new Map<Block, bigint>();
    const work: Block[] = [];
    const demand = (b: Block, bytes: bigint): void => {
      const before = liveIn.get(b) ?? 0n;
      const after = before | bytes;
      if (after === before) return;
      liveIn.set(b, after);
      work.push(b);
    };
    for (const [block, s] of summaries) if (inside(block)) demand(block, s.use);
    for (let b = work.pop(); b; b = work.pop()) {
      const wanted = liveIn.get(b)!;
      for (const p of shape.preds.get(b)!) {
        if (!inside(p)) continue;
        const out = (liveOut.get(p) ?? 0n) | wanted;
        liveOut.set(p, out);
        demand(p, out & ~(summaries.get(p)?.kill ?? 0n));
      }
    }

    const mayWritten = new Map<Block, bigint>();
    const reach = (b: Block, bytes: bigint): void => {
      const before = mayWritten.get(b) ?? 0n;
      const after = before | (bytes & (liveIn.get(b) ?? 0n));
      if (after === before) return;
      mayWritten.set(b, after);
      work.push(b);
    };
    for (const [block, s] of summaries) {
      if (s.writes !== 0n) for (const next of successors(block.terminator)) reach(next, s.writes);
    }
    for (let b = work.pop(); b; b = work.pop()) {
      for (const next of successors(b.terminator)) reach(next, mayWritten.get(b)!);
    }

    // Forwards over the blocks where bytes are alive; what comes from outside them has not been written.
    const order = [...liveIn.keys()].toSorted((a, b) => shape.index.get(a)! - shape.index.get(b)!);
    const mustWritten = new Map<Block, bigint>(liveIn);
    for (let changed = true; changed;) {
      changed = false;
      for (const block of order) {
        const preds = shape.preds.get(block)!;
        let value = preds.length === 0 ? 0n : liveIn.get(block)!;
        for (const p of preds) {
          value &= inside(p) ? (mustWritten.get(p) ?? 0n) | (summaries.get(p)?.defines ?? 0n) : 0n;
        }
        if (value === mustWritten.get(block)) continue;
        mustWritten.set(block, value);
        changed = true;
      }
    }
    return { liveIn, liveOut, mayWritten, mustWritten };
  }

  /** Mask of an alloca's bytes `[from, to)`, cut to its size. */
  private mask(alloca: Inst, from: number, to: number): bigint {
    const lo = Math.max(0, from);
    const hi = Math.min(alloca.size!, to);
    return hi <= lo ? 0n : ((1n << BigInt(hi - lo)) - 1n) << BigInt(lo);
  }

  /** The tracked alloca under a pointer, and its offset; null offset when an index is not constant. */
  locate(pointer: Value): { alloca: Inst; offset: number | null } | null {
    let p = pointer;
    let known = true;
    let total = 0;
    for (;;) {
      const { base, offset } = baseOf(p);
      total += offset;
      if (base.kind !== "inst") return null;
      if (base.op === "ptradd") {
        known = false;
        p = base.args[0]!;
      } else if (base.op === "opaque") p = base.args[0]!;
      else return this.tracked.has(base) ? { alloca: base, offset: known ? total : null } : null;
    }
  }

  private compute(inst: Inst): readonly MemoryEffect[] {
    let out: MemoryEffect[] | null = null;
    const touch = (
      pointer: Value,
      extra: number,
      size: number | null,
      apply: (e: MemoryEffect, may: bigint, must: bigint) => void,
    ): void => {
      const place = this.locate(pointer);
      if (!place) return;
      const { alloca, offset } = place;
      const from = offset === null ? 0 : offset + extra;
      const may = this.mask(alloca, from, offset === null || size === null ? alloca.size! : from + size);
      if (may === 0n) return;
      out ??= [];
      let e = out.find((known) => known.alloca === alloca);
      if (!e) out.push((e = { alloca, reads: 0n, kills: 0n, writes: 0n, defines: 0n }));
      apply(e, may, offset === null || size === null ? 0n : may);
      e.defines |= e.kills;
    };
    const overwrite = (e: MemoryEffect, may: bigint, must: bigint): void => {
      e.writes |= may;
      e.kills |= must;
    };
    const read = (e: MemoryEffect, may: bigint): void => {
      e.reads |= may;
    };
    const [a, b] = inst.args;
    const at = inst.offset ?? 0;
    switch (inst.op) {
      case "load":
        touch(a!, at, inst.bits! / 8, read);
        break;
      case "store":
        touch(a!, at, inst.bits! / 8, overwrite);
        break;
      case "memset":
        touch(a!, at, inst.size!, overwrite);
        break;
      case "memcpy":
        touch(a!, at, inst.size!, overwrite);
        touch(b!, inst.fromOffset ?? 0, inst.size!, read);
        break;
      case "atomic":
        touch(a!, at, inst.bits! / 8, (e, may) => {
          e.reads |= may;
          e.writes |= may;
        });
        break;
      case "helper":
      case "kfunc":
      case "call":
        inst.args.forEach((arg, i) => {
          if (arg.kind !== "inst" || (arg.type !== "ptr" && arg.op !== "ptrtoint")) return;
          const pointer = arg.op === "ptrtoint" ? arg.args[0]! : arg;
          if (!this.locate(pointer)) return;
          const effect = argumentEffect(inst, i, this.module);
          touch(pointer, 0, effect.size, (e, may, must) => {
            if (effect.reads) e.reads |= may;
            if (!effect.writes) return;
            e.writes |= may;
            if (!effect.reads) e.defines |= must;
            if (!effect.reads && !effect.partly) e.kills |= must;
          });
        });
        break;
      default:
        break;
    }
    return out ?? NO_EFFECTS;
  }
}

/** Blocks by number in reverse postorder, with the loops that this order shows: where a search for earlier writes may stop. */
class Shape {
  readonly index: Map<Block, number>;
  readonly preds: Predecessors;
  /** For each number the first number of the loops around it: no edge leads from there on to before it. */
  private readonly outermost: Int32Array;

  constructor(func: Func) {
    const order = reversePostorder(func);
    this.index = new Map(order.map((b, i) => [b, i]));
    this.preds = predecessors(func);
    this.outermost = Int32Array.from(order, (_, i) => i);
    // Every edge back spans a range of numbers; overlapping ranges are one.
    const reachesBack = new Int32Array(order.length).fill(-1);
    order.forEach((b, i) => {
      for (const next of successors(b.terminator)) {
        const target = this.index.get(next)!;
        if (target <= i) reachesBack[target] = Math.max(reachesBack[target]!, i);
      }
    });
    for (let i = 0; i < order.length; i++) {
      let end = reachesBack[i]!;
      for (let at = i; at <= end; at++) {
        this.outermost[at] = i;
        end = Math.max(end, reachesBack[at]!);
      }
      i = Math.max(i, end);
    }
  }

  /** The number from which on blocks may run after one of `blocks`. */
  home(blocks: Iterable<Block>): number {
    let first = this.outermost.length;
    for (const b of blocks) first = Math.min(first, this.index.get(b) ?? first);
    return this.outermost[first] ?? first;
  }
}

/** True when an alloca's address goes where it cannot be followed. */
function escapes(alloca: Inst, users: ReturnType<typeof usersOf>): boolean {
  const work: Inst[] = [alloca];
  for (let value = work.pop(); value; value = work.pop()) {
    const u = users.get(value);
    if (!u) continue;
    if (u.terminators.length > 0) return true;
    for (const inst of u.insts) {
      switch (inst.op) {
        case "load":
        case "memset":
        case "memcpy":
        case "helper":
        case "icmp":
          break;
        case "call":
        case "kfunc":
          // Kernel functions may keep the pointer: iterators and dynamic pointers live where it points.
          if (inst.op === "kfunc") return true;
          break;
        case "store":
        case "atomic":
          if (inst.args.indexOf(value, 1) > 0) return true;
          break;
        case "ptradd":
        case "opaque":
        case "ptrtoint":
          if (inst.op === "ptrtoint") {
            // As a number it may only go straight into a call.
            const numbers = users.get(inst);
            if (numbers && (numbers.terminators.length > 0 || numbers.insts.some((i) => i.op !== "helper")))
              return true;
          } else work.push(inst);
          break;
        default:
          return true;
      }
    }
  }
  return false;
}
