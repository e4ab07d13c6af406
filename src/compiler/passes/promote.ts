/** Promotion of variables to SSA values: allocas, or pieces of them, that are only loaded and stored. */
import { dominators, predecessors, substitute, usersOf } from "../analysis.ts";
import type { Dominators } from "../analysis.ts";
import { constant } from "../builder.ts";
import type { Block, Func, Inst, IrType, MemBits, Value } from "../ir.ts";
import { successors } from "../ir.ts";
import { eachPiece } from "./lower.ts";
import { newInst } from "./rewrite.ts";

interface Access {
  readonly inst: Inst;
  /** Bytes from the start of the alloca. */
  readonly offset: number;
  readonly size: number;
}

/** A piece of an alloca that becomes a value. */
interface Slice {
  readonly offset: number;
  readonly bits: MemBits;
  readonly type: IrType;
}

/** Promotes what can be. Returns true when anything was. */
export function promote(func: Func): boolean {
  splitCopies(func);
  const users = usersOf(func);
  const slots: { alloca: Inst; slice: Slice }[] = [];
  const loadOf = new Map<Inst, number>();
  const storeOf = new Map<Inst, { slot: number; value: bigint | null }[]>();
  const removed = new Set<Inst>();
  for (const alloca of func.blocks[0]!.insts) {
    if (alloca.op !== "alloca") continue;
    const accesses = accessesOf(alloca, users);
    if (!accesses) continue;
    const slices = slicesOf(accesses);
    const kept = new Set(accesses.filter((a) => a.inst.op === "memset" && !slices.covers(a)).map((a) => a.inst));
    for (const slice of slices.good) {
      const end = slice.offset + slice.bits / 8;
      const slot = slots.push({ alloca, slice }) - 1;
      for (const a of accesses) {
        if (a.offset >= end || a.offset + a.size <= slice.offset) continue;
        if (a.inst.op === "load") loadOf.set(a.inst, slot);
        else {
          const list = storeOf.get(a.inst) ?? [];
          list.push({ slot, value: a.inst.op === "memset" ? BigInt(a.inst.byte! & 0xff) : null });
          storeOf.set(a.inst, list);
          if (!kept.has(a.inst)) removed.add(a.inst);
        }
      }
    }
  }
  if (slots.length === 0) return false;
  rename(
    func,
    slots.map((s) => s.slice),
    loadOf,
    storeOf,
    removed,
  );
  return true;
}

/** Every access of an alloca at constant offsets; null when its address goes anywhere else. */
function accessesOf(alloca: Inst, users: ReturnType<typeof usersOf>): Access[] | null {
  const out: Access[] = [];
  const work: { value: Inst; offset: number }[] = [{ value: alloca, offset: 0 }];
  for (let item = work.pop(); item; item = work.pop()) {
    const { value, offset } = item;
    const u = users.get(value);
    if (!u) continue;
    if (u.terminators.length > 0) return null;
    for (const inst of u.insts) {
      const step = inst.args[1];
      if (inst.op === "ptradd" && inst.args[0] === value && step?.kind === "const") {
        work.push({ value: inst, offset: offset + Number(BigInt.asIntN(64, step.value)) });
        continue;
      }
      const at = offset + (inst.offset ?? 0);
      if (inst.volatile) return null;
      if (inst.op === "load") out.push({ inst, offset: at, size: inst.bits! / 8 });
      else if (inst.op === "store" && inst.args[0] === value && inst.args[1] !== value) {
        out.push({ inst, offset: at, size: inst.bits! / 8 });
      } else if (inst.op === "memset") out.push({ inst, offset: at, size: inst.size! });
      else return null;
    }
  }
  return out;
}

/** Pieces whose loads and stores agree on place and width, and that every memset covers whole or not at all. */
function slicesOf(accesses: readonly Access[]): { good: Slice[]; covers: (a: Access) => boolean } {
  const scalars = accesses
    .filter((a) => a.inst.op !== "memset")
    .toSorted((a, b) => a.offset - b.offset || b.size - a.size);
  const groups: { from: number; to: number; members: Access[] }[] = [];
  for (const a of scalars) {
    const last = groups[groups.length - 1];
    if (last && a.offset < last.to) {
      last.to = Math.max(last.to, a.offset + a.size);
      last.members.push(a);
    } else groups.push({ from: a.offset, to: a.offset + a.size, members: [a] });
  }
  const good: Slice[] = [];
  const bad: { from: number; to: number }[] = [];
  for (const g of groups) {
    const [first] = g.members as [Access];
    const uniform = g.members.every((m) => m.offset === first.offset && m.size === first.size);
    const whole = accesses.every(
      (a) =>
        a.inst.op !== "memset" ||
        a.offset >= g.to ||
        a.offset + a.size <= g.from ||
        (a.offset <= g.from && a.offset + a.size >= g.to),
    );
    if (!uniform || !whole) {
      bad.push(g);
      continue;
    }
    const bits = (first.size * 8) as MemBits;
    const pointer = g.members.some((m) => (m.inst.op === "load" ? m.inst.type : m.inst.args[1]!.type) === "ptr");
    good.push({ offset: g.from, bits, type: bits < 64 ? "i32" : pointer ? "ptr" : "i64" });
  }
  // A memset stays for the pieces that stay in memory.
  return { good, covers: (a) => !bad.some((b) => a.offset < b.to && a.offset + a.size > b.from) };
}

/** Copies to or from memory that may be promoted become loads and stores, cut where the variables' accesses are cut. */
function splitCopies(func: Func): void {
  const users = usersOf(func);
  const cuts = new Map<Inst, Set<number>>();
  const candidate = (alloca: Value): alloca is Inst => alloca.kind === "inst" && alloca.op === "alloca";
  const eligible = (alloca: Inst): Set<number> | null => {
    let known = cuts.get(alloca);
    if (known) return known;
    known = new Set<number>();
    for (const inst of users.get(alloca)?.insts ?? []) {
      if (inst.op === "load" || (inst.op === "store" && inst.args[1] !== alloca)) {
        known.add(inst.offset ?? 0);
        known.add((inst.offset ?? 0) + inst.bits! / 8);
      } else if (inst.op !== "memcpy" && inst.op !== "memset") return null;
    }
    cuts.set(alloca, known);
    return known;
  };
  for (const block of func.blocks) {
    const out: Inst[] = [];
    for (const inst of block.insts) {
      const [to, from] = inst.args;
      const sets =
        inst.op === "memcpy" && inst.size! <= 64 ? [to!, from!].map((v) => (candidate(v) ? eligible(v) : null)) : [];
      if (!sets.some(Boolean)) {
        out.push(inst);
        continue;
      }
      const base = inst.offset ?? 0;
      const shift = (inst.fromOffset ?? 0) - base;
      const borders = new Set([base, base + inst.size!]);
      for (const c of sets[0] ?? []) if (c > base && c < base + inst.size!) borders.add(c);
      for (const c of sets[1] ?? []) if (c - shift > base && c - shift < base + inst.size!) borders.add(c - shift);
      const sorted = [...borders].toSorted((a, b) => a - b);
      for (let i = 0; i + 1 < sorted.length; i++) {
        eachPiece(sorted[i + 1]! - sorted[i]!, 8, sorted[i]!, shift, 8, (at, bits) => {
          const value = newInst(func, block, "load", "i64", [from!], inst.position, { bits, offset: at + shift });
          out.push(value, newInst(func, block, "store", "void", [to!, value], inst.position, { bits, offset: at }));
        });
      }
      inst.block = null;
    }
    block.insts = out;
  }
}

function frontiers(func: Func, doms: Dominators): Map<Block, Set<Block>> {
  const preds = predecessors(func);
  const out = new Map<Block, Set<Block>>(func.blocks.map((b) => [b, new Set()]));
  for (const block of doms.order) {
    const list = preds.get(block)!;
    if (list.length < 2) continue;
    for (const p of list) {
      for (let at: Block | undefined = p; at && at !== doms.parent.get(block); at = doms.parent.get(at))
        out.get(at)!.add(block);
    }
  }
  return out;
}

function rename(
  func: Func,
  slices: readonly Slice[],
  loadOf: ReadonlyMap<Inst, number>,
  storeOf: ReadonlyMap<Inst, { slot: number; value: bigint | null }[]>,
  removed: ReadonlySet<Inst>,
): void {
  const doms = dominators(func);
  const frontier = frontiers(func, doms);
  const liveIn = liveSlots(func, slices.length, loadOf, storeOf);
  const phiSlot = new Map<Inst, number>();
  const storing: Block[][] = slices.map(() => []);
  for (const block of doms.order) {
    for (const inst of block.insts) {
      for (const { slot } of storeOf.get(inst) ?? []) if (storing[slot]!.at(-1) !== block) storing[slot]!.push(block);
    }
  }
  slices.forEach((slice, slot) => {
    const work = storing[slot]!;
    const placed = new Set<Block>();
    for (let b = work.pop(); b; b = work.pop()) {
      for (const f of frontier.get(b)!) {
        if (placed.has(f) || !liveIn[slot]!.has(f)) continue;
        placed.add(f);
        const phi = newInst(func, f, "phi", slice.type, [], null, { incoming: [] });
        f.insts.unshift(phi);
        phiSlot.set(phi, slot);
        work.push(f);
      }
    }
  });
  const replaced = new Map<Inst, Value>();
  const resolve = (value: Value): Value => {
    let v = value;
    while (v.kind === "inst" && replaced.has(v)) v = replaced.get(v)!;
    return v;
  };
  // One row of values for the walk over the dominator tree; what a subtree wrote is taken back behind it.
  const values: Value[] = slices.map((s) => constant(0, s.type));
  const stack: { block: Block; undo: { slot: number; before: Value }[] | null }[] = [
    { block: func.blocks[0]!, undo: null },
  ];
  for (let item = stack.pop(); item; item = stack.pop()) {
    if (item.undo) {
      for (const { slot, before } of item.undo.toReversed()) values[slot] = before;
      continue;
    }
    const { block } = item;
    const undo: { slot: number; before: Value }[] = [];
    const set = (slot: number, value: Value): void => {
      undo.push({ slot, before: values[slot]! });
      values[slot] = value;
    };
    const out: Inst[] = [];
    for (const inst of block.insts) {
      const own = phiSlot.get(inst);
      if (own !== undefined) set(own, inst);
      const load = loadOf.get(inst);
      if (load !== undefined) {
        replaced.set(inst, read(func, block, inst, slices[load]!, values[load]!, out));
        inst.block = null;
        continue;
      }
      for (const s of storeOf.get(inst) ?? []) {
        const slice = slices[s.slot]!;
        const value =
          s.value === null
            ? written(func, block, inst, slice, resolve(inst.args[1]!), out)
            : constant((0x0101_0101_0101_0101n * s.value) & ((1n << BigInt(slice.bits)) - 1n), slice.type);
        set(s.slot, value);
      }
      if (removed.has(inst)) inst.block = null;
      else out.push(inst);
    }
    block.insts = out;
    for (const next of new Set(successors(block.terminator))) {
      for (const phi of next.insts) {
        const slot = phiSlot.get(phi);
        if (slot === undefined) continue;
        phi.args.push(values[slot]!);
        phi.incoming!.push(block);
      }
    }
    stack.push({ block, undo });
    for (const child of doms.children.get(block) ?? []) stack.push({ block: child, undo: null });
  }
  substitute(func, replaced);
}

/** For each slot the blocks at whose start its value is read before it is written: the only places worth a phi. */
function liveSlots(
  func: Func,
  count: number,
  loadOf: ReadonlyMap<Inst, number>,
  storeOf: ReadonlyMap<Inst, { slot: number }[]>,
): Set<Block>[] {
  const live = Array.from({ length: count }, () => new Set<Block>());
  const kill = Array.from({ length: count }, () => new Set<Block>());
  const preds = predecessors(func);
  for (const block of func.blocks) {
    for (const inst of block.insts) {
      const load = loadOf.get(inst);
      if (load !== undefined && !kill[load]!.has(block)) live[load]!.add(block);
      for (const { slot } of storeOf.get(inst) ?? []) kill[slot]!.add(block);
    }
  }
  live.forEach((blocks, slot) => {
    const work = [...blocks];
    for (let block = work.pop(); block; block = work.pop()) {
      for (const p of preds.get(block) ?? []) {
        if (blocks.has(p) || kill[slot]!.has(p)) continue;
        blocks.add(p);
        work.push(p);
      }
    }
  });
  return live;
}

/** The slot's new value for a store: as wide as the slot, upper bits clear. */
function written(func: Func, block: Block, store: Inst, slice: Slice, value: Value, out: Inst[]): Value {
  const make = (op: Inst["op"], type: IrType, arg: Value, bits?: Inst["bits"]): Inst => {
    const inst = newInst(func, block, op, type, [arg], store.position, bits === undefined ? {} : { bits });
    out.push(inst);
    return inst;
  };
  if (value.kind === "const") {
    const kept = BigInt.asUintN(slice.bits, value.value);
    if (slice.type !== "ptr" || kept === 0n) return constant(kept, slice.type);
  }
  if (slice.type === "ptr") return value.type === "ptr" ? value : make("inttoptr", "ptr", value);
  if (value.type === "i1") return make("zext", slice.type, value, 1);
  if (slice.type === "i64") return value;
  const narrow = value.type === "i64" ? make("trunc", "i32", value) : value;
  return slice.bits === 32 ? narrow : make("zext", "i32", narrow, slice.bits as 8 | 16);
}

/** What a load of the slot gives. */
function read(func: Func, block: Block, load: Inst, slice: Slice, value: Value, out: Inst[]): Value {
  const make = (op: Inst["op"], bits?: Inst["bits"]): Inst => {
    const inst = newInst(func, block, op, load.type, [value], load.position, bits === undefined ? {} : { bits });
    out.push(inst);
    return inst;
  };
  if (slice.type === "ptr") return load.type === "ptr" ? value : make("ptrtoint");
  if (slice.type === "i64") return value;
  if (load.signed && (slice.bits < 32 || load.type === "i64")) return make("sext", slice.bits as 8 | 16 | 32);
  return load.type === "i64" ? make("zext", 32) : value;
}
