/**
 * Common subexpressions over the dominator tree, with what branches tell (a condition is known on its own sides) and loads that were
 * loaded or stored before. Memory is known along straight lines: a block with several predecessors starts afresh.
 */
import { baseOf, dominators, predecessors, substitute } from "../analysis.ts";
import type { Dominators, Predecessors } from "../analysis.ts";
import { constant, signedValue } from "../builder.ts";
import { COMMUTATIVE, INVERSE } from "../ops.ts";
import type { Block, Func, Inst, Module, Op, Predicate, Value } from "../ir.ts";
import { PURE_OPS } from "../ir.ts";
import { argumentEffect, isConstantCall, writesNothing } from "./effects.ts";
import { maxBits } from "./fold.ts";
import { FrameMemory } from "./frame-memory.ts";
import { newInst } from "./rewrite.ts";

/** A place in memory whose content is a known value. */
interface Known {
  readonly base: Value;
  readonly offset: number;
  readonly bits: number;
  readonly value: Value;
  readonly signed: boolean;
}

/** What is worth merging: phis have their own rules, and names of maps and functions are written anew at each use. */
const MERGED: ReadonlySet<Op> = new Set(
  [...PURE_OPS].filter((op) => op !== "phi" && op !== "mapref" && op !== "funcref"),
);

/** How many places in memory are remembered: the oldest is forgotten for a new one, so that long blocks cost what they are long. */
const MAX_KNOWN = 32;

/** Blocks between a join and where its ways part that are looked through. */
const MAX_BETWEEN = 24;

/** An entry of the table to take back when the walk leaves a subtree. */
interface Undo {
  readonly key: string;
  readonly before: Value | undefined;
}

/** Merges equal computations. Returns true when anything changed. */
export function mergeExpressions(func: Func, module: Module): boolean {
  return new Numbering(func, module).run();
}

function nameOf(v: Value): string {
  return v.kind === "const" ? `${v.type}:${v.value}` : v.kind === "param" ? `p${v.index}` : `%${v.id}`;
}

class Numbering {
  private readonly func: Func;
  private readonly module: Module;
  private readonly memory: FrameMemory;
  private readonly replaced = new Map<Inst, Value>();
  private readonly table = new Map<string, Value>();
  private readonly ends = new Map<Block, Known[]>();
  private changed = false;
  /** The block being rebuilt. */
  private out: Inst[] = [];

  constructor(func: Func, module: Module) {
    this.func = func;
    this.module = module;
    this.memory = new FrameMemory(func, module);
  }

  run(): boolean {
    const doms = dominators(this.func);
    const preds = predecessors(this.func);
    const stack: { block: Block; undo: Undo[] | null }[] = [{ block: this.func.blocks[0]!, undo: null }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      if (top.undo) {
        for (const { key, before } of top.undo.toReversed()) {
          if (before) this.table.set(key, before);
          else this.table.delete(key);
        }
        stack.pop();
        continue;
      }
      top.undo = [];
      const { block } = top;
      const list = preds.get(block)!;
      const only = list.length === 1 ? list[0]! : null;
      if (only) this.learnFromBranch(block, only, top.undo);
      this.visit(block, only ? (this.ends.get(only) ?? []) : this.knownAcross(block, doms, preds), top.undo);
      for (const child of doms.children.get(block) ?? []) stack.push({ block: child, undo: null });
    }
    substitute(this.func, this.replaced);
    return this.changed || this.replaced.size > 0;
  }

  /** What is known at a join: what was known where its ways part, and no block between them changes. */
  private knownAcross(block: Block, doms: Dominators, preds: Predecessors): readonly Known[] {
    const above = doms.parent.get(block);
    const memory = [...((above && this.ends.get(above)) ?? [])];
    if (memory.length === 0) return memory;
    const between = new Set<Block>();
    const work = [...preds.get(block)!];
    for (let b = work.pop(); b && memory.length > 0; b = work.pop()) {
      if (b === above || between.has(b)) continue;
      if (between.size >= MAX_BETWEEN) return [];
      between.add(b);
      for (const inst of b.insts) this.forget(inst, memory);
      work.push(...preds.get(b)!);
    }
    return memory;
  }

  private resolve(value: Value): Value {
    let v = value;
    while (v.kind === "inst") {
      const next = this.replaced.get(v);
      if (!next) break;
      v = next;
    }
    return v;
  }

  private key(inst: Inst, operands: readonly Value[] = inst.args, predicate = inst.predicate): string {
    let key = `${inst.op} ${inst.type}`;
    if (predicate !== undefined) key += ` ${predicate}`;
    if (inst.bits !== undefined) key += ` b${inst.bits}`;
    if (inst.map !== undefined) key += ` @${inst.map}`;
    if (inst.offset !== undefined) key += ` +${inst.offset}`;
    if (inst.callee !== undefined) key += ` ${inst.callee}`;
    if (inst.helper !== undefined) key += ` h${inst.helper}`;
    if (inst.symbol !== undefined) key += ` s${inst.symbol}`;
    if (inst.core) key += ` c${inst.core.kind},${inst.core.typeId},${inst.core.access},${inst.core.value}`;
    if (inst.raw) key += " raw";
    const args = operands.map(nameOf);
    if (args.length === 2 && COMMUTATIVE.has(inst.op)) args.sort();
    for (const arg of args) key += ` ${arg}`;
    return key;
  }

  private enter(key: string, value: Value, undo: Undo[]): void {
    undo.push({ key, before: this.table.get(key) });
    this.table.set(key, value);
  }

  /** Inside the side of a branch its condition, and the opposite one, have known values. */
  private learnFromBranch(block: Block, from: Block, undo: Undo[]): void {
    const t = from.terminator;
    if (t?.kind !== "branch" || t.then === t.else) return;
    const condition = this.resolve(t.condition);
    if (condition.kind !== "inst" || condition.op !== "icmp") return;
    const holds = t.then === block;
    const args = condition.args.map((a) => this.resolve(a));
    const { predicate } = condition;
    const tell = (p: Predicate | undefined, value: boolean): void =>
      this.enter(this.key(condition, args, p), constant(value ? 1 : 0, "i1"), undo);
    tell(predicate, holds);
    tell(INVERSE[predicate!], !holds);
  }

  private visit(block: Block, known: readonly Known[], undo: Undo[]): void {
    const memory = [...known];
    const out: Inst[] = (this.out = []);
    for (const inst of block.insts) {
      for (let i = 0; i < inst.args.length; i++) inst.args[i] = this.resolve(inst.args[i]!);
      const merged = this.merge(inst, memory, undo);
      if (merged === "gone") {
        inst.block = null;
        this.changed = true;
        continue;
      }
      if (merged) {
        this.replaced.set(inst, merged);
        inst.block = null;
        continue;
      }
      this.track(inst, memory);
      out.push(inst);
    }
    block.insts = out;
    const t = block.terminator;
    if (t?.kind === "branch") t.condition = this.resolve(t.condition);
    else if (t?.kind === "return" && t.value) t.value = this.resolve(t.value);
    this.ends.set(block, memory);
  }

  /** True for numbers that are not negative, by their width or by what was asked before on the way here. */
  private isNatural(value: Value): boolean {
    if (value.kind === "const") return signedValue(value) >= 0n;
    if (maxBits(value) < (value.type === "i32" ? 32 : 64)) return true;
    const asked = (predicate: Predicate, than: number): Value | undefined =>
      this.table.get(`icmp i1 ${predicate} ${nameOf(value)} ${nameOf(constant(than, value.type))}`);
    const negative = asked("slt", 0) ?? asked("sle", -1);
    const natural = asked("sgt", -1) ?? asked("sge", 0) ?? asked("sgt", 0);
    return (negative?.kind === "const" && negative.value === 0n) || (natural?.kind === "const" && natural.value === 1n);
  }

  /** Division by sign is division when there is none: older kernels know no other, and this one is shorter. */
  private unsign(inst: Inst): void {
    if (inst.op !== "sdiv" && inst.op !== "srem") return;
    if (!inst.args.every((a) => this.isNatural(a))) return;
    inst.op = inst.op === "sdiv" ? "udiv" : "urem";
    this.changed = true;
  }

  private merge(inst: Inst, memory: Known[], undo: Undo[]): Value | "gone" | null {
    this.unsign(inst);
    if (MERGED.has(inst.op) || isConstantCall(inst)) {
      const key = this.key(inst);
      const known = this.table.get(key);
      if (known) return known;
      this.enter(key, inst, undo);
      return null;
    }
    if (inst.op === "load" && !inst.volatile) {
      const { base, offset } = this.place(inst);
      const hit = memory.find((k) => sameValue(k.base, base) && k.offset === offset && k.bits === inst.bits);
      if (!hit) return null;
      if (hit.value.type === inst.type) {
        return hit.signed === (inst.signed === true) || inst.bits === 64 ? hit.value : null;
      }
      return this.asWide(hit, inst);
    }
    if (inst.op === "store" && !inst.volatile) {
      const { base, offset } = this.place(inst);
      const hit = memory.find((k) => sameValue(k.base, base) && k.offset === offset && k.bits === inst.bits);
      // Writing to the frame what is there already.
      if (hit && sameValue(hit.value, inst.args[1]!) && base.kind === "inst" && this.memory.tracked.has(base))
        return "gone";
    }
    return null;
  }

  /** What was read or written as a number of another width: what checks one then holds for the other too. */
  private asWide(hit: Known, load: Inst): Value | null {
    const { value } = hit;
    if (hit.signed || load.signed || load.bits === 64) return null;
    const widens = value.type === "i32" && load.type === "i64";
    if (!widens && !(value.type === "i64" && load.type === "i32" && maxBits(value) <= 32)) return null;
    if (value.kind === "const") return constant(value.value, load.type);
    const op = widens ? "zext" : "trunc";
    const rest: Partial<Inst> = widens ? { bits: 32 } : {};
    const made = newInst(this.func, load.block!, op, load.type, [value], load.position, rest);
    this.out.push(made);
    return made;
  }

  private place(inst: Inst): { base: Value; offset: number } {
    const { base, offset } = baseOf(inst.args[0]!);
    return { base, offset: offset + (inst.offset ?? 0) };
  }

  /** Brings what is known of memory up to date with an instruction. */
  private track(inst: Inst, memory: Known[]): void {
    switch (inst.op) {
      case "load":
        if (inst.volatile) return;
        remember(memory, { ...this.place(inst), bits: inst.bits!, value: inst, signed: inst.signed === true });
        return;
      case "store": {
        this.forget(inst, memory);
        const place = this.place(inst);
        const value = inst.args[1]!;
        if (inst.volatile || value.type === "i1") return;
        // A narrow store keeps the low bits only.
        if (inst.bits !== 64 && maxBits(value) > inst.bits!) return;
        remember(memory, { ...place, bits: inst.bits!, value, signed: false });
        return;
      }
      default:
        this.forget(inst, memory);
    }
  }

  /** Forgets what an instruction may change. */
  private forget(inst: Inst, memory: Known[]): void {
    switch (inst.op) {
      case "store":
      case "atomic":
      case "memset":
      case "memcpy": {
        const place = this.place(inst);
        this.clobber(memory, place.base, place.offset, inst.size ?? inst.bits! / 8);
        return;
      }
      case "asm":
        // What its operands point to has escaped, and is not private.
        if (inst.asm!.memory || inst.asm!.inputs.includes("memory")) keepOnly(memory, (k) => this.isPrivate(k.base));
        return;
      case "helper":
      case "kfunc":
      case "call":
        if (!writesNothing(inst)) keepOnly(memory, (k) => this.isPrivate(k.base));
        inst.args.forEach((arg, i) => {
          if (arg.type !== "ptr" || memory.length === 0) return;
          const effect = argumentEffect(inst, i, this.module);
          if (!effect.writes) return;
          const { base, offset } = baseOf(arg);
          this.clobber(memory, base, offset, effect.size ?? Infinity);
        });
        return;
      default:
        return;
    }
  }

  /** Memory that only this function's own instructions and the calls given its address can change. */
  private isPrivate(base: Value): boolean {
    return base.kind === "inst" && base.op === "alloca" && this.memory.tracked.has(base);
  }

  private clobber(memory: Known[], base: Value, offset: number, size: number): void {
    if (memory.length === 0) return;
    const wrote = this.memory.locate(base)?.alloca ?? null;
    keepOnly(memory, (k) => {
      if (sameValue(k.base, base)) return k.offset + k.bits / 8 <= offset || k.offset >= offset + size;
      // Memory of the frame is written through pointers that lead there, at computed offsets too.
      const of = this.memory.locate(k.base)?.alloca ?? null;
      return of === null ? wrote !== null : of !== wrote;
    });
  }
}

function remember(memory: Known[], place: Known): void {
  if (memory.length >= MAX_KNOWN) memory.shift();
  memory.push(place);
}

function keepOnly(memory: Known[], keep: (k: Known) => boolean): void {
  let kept = 0;
  for (const k of memory) if (keep(k)) memory[kept++] = k;
  memory.length = kept;
}

function sameValue(a: Value, b: Value): boolean {
  return a === b || (a.kind === "const" && b.kind === "const" && a.type === b.type && a.value === b.value);
}
