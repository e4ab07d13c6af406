/**
 * Byte by byte, which memory of the frame is read later and which has been written: for dead stores, shared stack and uninitialised inputs.
 * Bytes of all tracked allocas are numbered in one row; sets of them are BigInt masks.
 */
import { baseOf, predecessors, reversePostorder, usersOf } from "../analysis.ts";
import type { Block, Func, Inst, Module, Value } from "../ir.ts";
import { successors } from "../ir.ts";
import { argumentEffect } from "./effects.ts";

/** Allocas together larger than this are not tracked byte by byte. */
const TRACKED_BYTES = 16_384;

/** What one instruction does to tracked memory. */
export interface MemoryEffect {
  /** Bytes that may be read. */
  reads: bigint;
  /** Bytes that are surely written whole. */
  kills: bigint;
  /** Bytes that may be written. */
  writes: bigint;
  /** Bytes that the verifier counts as written: those of `kills`, and buffers that a helper may fill in part. */
  defines: bigint;
}

/** The tracked allocas of a function and what every instruction does to them. */
export class FrameMemory {
  readonly func: Func;
  /** First byte of each tracked alloca in the row. */
  readonly start: Map<Inst, number> = new Map();
  /** Allocas whose address escapes into memory or arithmetic that cannot be followed: alive everywhere. */
  readonly escaped: Set<Inst> = new Set();
  private readonly effects = new Map<Inst, MemoryEffect>();

  constructor(func: Func, module: Module | null) {
    this.func = func;
    const users = usersOf(func);
    let at = 0;
    for (const inst of func.blocks[0]?.insts ?? []) {
      if (inst.op !== "alloca") continue;
      if (at + inst.size! > TRACKED_BYTES || escapes(inst, users)) {
        this.escaped.add(inst);
        continue;
      }
      this.start.set(inst, at);
      at += inst.size!;
    }
    if (this.start.size === 0) return;
    for (const block of func.blocks) {
      for (const inst of block.insts) {
        const effect = this.compute(inst, module);
        if (effect) this.effects.set(inst, effect);
      }
    }
  }

  /** The effect of an instruction on tracked memory; null when it has none. */
  effect(inst: Inst): MemoryEffect | null {
    return this.effects.get(inst) ?? null;
  }

  /** Mask of an alloca's bytes `[from, to)`, cut to its size. */
  mask(alloca: Inst, from: number = 0, to: number = alloca.size!): bigint {
    const start = this.start.get(alloca);
    if (start === undefined) return 0n;
    const lo = Math.max(0, from);
    const hi = Math.min(alloca.size!, to);
    return hi <= lo ? 0n : ((1n << BigInt(hi - lo)) - 1n) << BigInt(start + lo);
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
      else return this.start.has(base) ? { alloca: base, offset: known ? total : null } : null;
    }
  }

  private range(pointer: Value, extra: number, size: number | null): { may: bigint; must: bigint } {
    const place = this.locate(pointer);
    if (!place) return { may: 0n, must: 0n };
    const { alloca, offset } = place;
    if (offset === null) return { may: this.mask(alloca), must: 0n };
    const from = offset + extra;
    const may = this.mask(alloca, from, size === null ? alloca.size! : from + size);
    return { may, must: size === null ? 0n : may };
  }

  private compute(inst: Inst, module: Module | null): MemoryEffect | null {
    const out: MemoryEffect = { reads: 0n, kills: 0n, writes: 0n, defines: 0n };
    const [a, b] = inst.args;
    const at = inst.offset ?? 0;
    switch (inst.op) {
      case "load":
        out.reads = this.range(a!, at, inst.bits! / 8).may;
        break;
      case "store":
      case "memset": {
        const r = this.range(a!, at, inst.op === "store" ? inst.bits! / 8 : inst.size!);
        out.writes = r.may;
        out.kills = r.must;
        break;
      }
      case "memcpy": {
        const r = this.range(a!, at, inst.size!);
        out.writes = r.may;
        out.kills = r.must;
        out.reads = this.range(b!, inst.fromOffset ?? 0, inst.size!).may;
        break;
      }
      case "atomic":
        out.reads = out.writes = this.range(a!, at, inst.bits! / 8).may;
        break;
      case "helper":
      case "kfunc":
      case "call":
        inst.args.forEach((arg, i) => {
          if (arg.type !== "ptr" && !(arg.kind === "inst" && arg.op === "ptrtoint")) return;
          const pointer = arg.kind === "inst" && arg.op === "ptrtoint" ? arg.args[0]! : arg;
          const effect = argumentEffect(inst, i, module);
          const r = this.range(pointer, 0, effect.size);
          if (effect.reads) out.reads |= r.may;
          if (effect.writes) {
            out.writes |= r.may;
            if (!effect.reads) out.defines |= r.must;
            if (!effect.reads && !effect.partly) out.kills |= r.must;
          }
        });
        break;
      default:
        return null;
    }
    out.defines |= out.kills;
    return out.reads | out.writes ? out : null;
  }

  /** Bytes read later, at the end of each block. */
  liveOut(): Map<Block, bigint> {
    const use = new Map<Block, bigint>();
    const kill = new Map<Block, bigint>();
    for (const block of this.func.blocks) {
      let u = 0n;
      let k = 0n;
      for (const inst of block.insts) {
        const e = this.effect(inst);
        if (!e) continue;
        u |= e.reads & ~k;
        k |= e.kills;
      }
      use.set(block, u);
      kill.set(block, k);
    }
    const out = new Map<Block, bigint>(this.func.blocks.map((b) => [b, 0n]));
    const order = reversePostorder(this.func).toReversed();
    for (let changed = true; changed;) {
      changed = false;
      for (const block of order) {
        let live = 0n;
        for (const next of successors(block.terminator)) live |= use.get(next)! | (out.get(next)! & ~kill.get(next)!);
        if (live !== out.get(block)) {
          out.set(block, live);
          changed = true;
        }
      }
    }
    return out;
  }

  /** Bytes written before, at the start of each block: on some path (`may`) or on all (`must`). */
  writtenIn(mode: "may" | "must"): Map<Block, bigint> {
    const total = [...this.start].reduce((sum, [alloca]) => sum + alloca.size!, 0);
    const all = (1n << BigInt(total)) - 1n;
    const gen = new Map<Block, bigint>();
    for (const block of this.func.blocks) {
      let g = 0n;
      for (const inst of block.insts) {
        const e = this.effect(inst);
        if (e) g |= mode === "may" ? e.writes | e.kills : e.defines;
      }
      gen.set(block, g);
    }
    const preds = predecessors(this.func);
    const order = reversePostorder(this.func);
    const entry = order[0];
    const into = new Map<Block, bigint>(order.map((b) => [b, b === entry || mode === "may" ? 0n : all]));
    for (let changed = true; changed;) {
      changed = false;
      for (const block of order) {
        if (block === entry) continue;
        let value = mode === "may" ? 0n : all;
        for (const p of preds.get(block)!) {
          const state = into.get(p);
          if (state === undefined) continue;
          const end = state | gen.get(p)!;
          value = mode === "may" ? value | end : value & end;
        }
        if (value !== into.get(block)) {
          into.set(block, value);
          changed = true;
        }
      }
    }
    return into;
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
