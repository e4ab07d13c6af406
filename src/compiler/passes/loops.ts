/** Loops: what does not change is computed before them, short ones of known length are written out. */
import { dominators, findLoops, predecessors, renameIncoming, retarget } from "../analysis.ts";
import type { Dominators, Loop } from "../analysis.ts";
import { cloneBlocks } from "../clone.ts";
import { baseOf } from "../analysis.ts";
import { successors } from "../ir.ts";
import type { Block, Const, Func, Inst, Value } from "../ir.ts";
import { isBinary } from "../ops.ts";
import { evaluate } from "./evaluate.ts";
import { newBlock, newInst } from "./rewrite.ts";

/** A loop is written out when it runs at most this often, */
const MAX_TRIPS = 16;
/** and makes at most this many instructions then. */
const MAX_UNROLLED = 160;
/** The same for loops that walk over the context: the verifier knows it at constant offsets only. */
const MAX_UNROLLED_CONTEXT = 4096;
/** Values that may wait in registers for one loop: there are four that calls leave alone. */
const MAX_HOISTED = 2;

/** Computes invariant multiplications, divisions and loads of the context before the loops that use them. Returns true when any moved. */
export function hoistInvariants(func: Func): boolean {
  const doms = dominators(func);
  let changed = false;
  for (const loop of findLoops(func, doms).loops) {
    let moved = 0;
    const outside = (v: Value): boolean => v.kind !== "inst" || !loop.blocks.has(v.block!);
    for (const block of loop.blocks) {
      for (const inst of block.insts.slice()) {
        if (moved >= MAX_HOISTED || !worthHoisting(inst, func) || !inst.args.every(outside)) continue;
        const before = preheader(func, loop);
        if (!before) break;
        block.insts.splice(block.insts.indexOf(inst), 1);
        before.insts.push(inst);
        inst.block = before;
        moved++;
        changed = true;
      }
    }
  }
  return changed;
}

/** Costly, free of effects and of faults wherever it stands: division is total in BPF, the context is always there. */
function worthHoisting(inst: Inst, func: Func): boolean {
  if (isBinary(inst.op)) return inst.op === "mul" || /div|rem/.test(inst.op);
  if (inst.op !== "load" || inst.volatile || func.role !== "entry") return false;
  return baseOf(inst.args[0]!).base === func.params[0];
}

/** The one block before a loop that goes nowhere else; made when the loop has a single way in. */
function preheader(func: Func, loop: Loop): Block | null {
  const outer = predecessors(func)
    .get(loop.header)!
    .filter((p) => !loop.blocks.has(p));
  const [only] = outer;
  if (!only || outer.length !== 1) return null;
  if (only.terminator?.kind === "jump") return only;
  const made = newBlock(func, `${loop.header.name}.before`);
  made.terminator = { kind: "jump", target: loop.header, position: null };
  retarget(only, loop.header, made);
  renameIncoming(loop.header, only, made);
  func.blocks.splice(func.blocks.indexOf(loop.header), 0, made);
  return made;
}

/** Writes out loops of few, known rounds. Returns true when any was. */
export function unrollLoops(func: Func): boolean {
  const doms = dominators(func);
  const touched: Loop[] = [];
  let changed = false;
  for (const loop of findLoops(func, doms).loops) {
    // What is known of a loop around one that was changed is stale now; the next call sees it anew.
    if (touched.some((inner) => loop.blocks.has(inner.header))) continue;
    const trips = tripCount(loop);
    if (trips === null) continue;
    const size = [...loop.blocks].reduce((sum, b) => sum + b.insts.length + 1, 0);
    if (size * trips > (walksContext(loop, func) ? MAX_UNROLLED_CONTEXT : MAX_UNROLLED)) continue;
    const before = preheader(func, loop);
    touched.push(loop);
    if (!before || !closeValues(func, loop, doms)) continue;
    let entry = before;
    for (let i = 0; i < trips; i++) entry = peel(func, loop, entry);
    changed = true;
  }
  return changed;
}

/** True when a loop reads or writes the program's context at offsets that it computes. */
function walksContext(loop: Loop, func: Func): boolean {
  if (func.role !== "entry") return false;
  const isStep = (v: Value): boolean =>
    v.kind === "inst" && v.op === "ptradd" && v.args[1]!.kind !== "const" && baseOf(v.args[0]!).base === func.params[0];
  return [...loop.blocks].some((b) =>
    b.insts.some((i) => (i.op === "load" || i.op === "store") && isStep(baseOf(i.args[0]!).base)),
  );
}

/** How often the body runs, when the header's condition follows from constants alone; null otherwise. */
function tripCount(loop: Loop): number | null {
  const { header } = loop;
  const t = header.terminator;
  const [latch] = loop.latches;
  if (t?.kind !== "branch" || loop.latches.length !== 1 || latch!.terminator?.kind === "maygoto") return null;
  const stays = loop.blocks.has(t.then);
  if (stays === loop.blocks.has(t.else)) return null;
  const phis = header.insts.filter((i) => i.op === "phi");
  let values = new Map<Inst, Const>();
  for (const phi of phis) {
    const first = phi.args.find((_, i) => !loop.blocks.has(phi.incoming![i]!));
    if (first?.kind === "const") values.set(phi, first);
  }
  for (let trips = 0; trips <= MAX_TRIPS; trips++) {
    const known = values;
    const constantOf = (v: Value, depth = 0): Const | null => {
      if (v.kind === "const") return v;
      if (v.kind !== "inst" || depth > 8) return null;
      const have = known.get(v);
      if (have) return have;
      const computed = isBinary(v.op) || v.op === "icmp" || v.op === "zext" || v.op === "sext" || v.op === "trunc";
      if (!computed || !loop.blocks.has(v.block!)) return null;
      const args = v.args.map((a) => constantOf(a, depth + 1));
      return args.every((a): a is Const => a !== null) ? evaluate(v, args) : null;
    };
    const condition = constantOf(t.condition);
    if (!condition) return null;
    if ((condition.value !== 0n) !== stays) return trips;
    const next = new Map<Inst, Const>();
    for (const phi of phis) {
      const value = constantOf(phi.args[phi.incoming!.indexOf(latch!)]!);
      if (value) next.set(phi, value);
    }
    values = next;
  }
  return null;
}

/** Values of the loop that are used behind it go through phis at its exit, so that copies of the loop can add theirs. False when they cannot. */
function closeValues(func: Func, loop: Loop, doms: Dominators): boolean {
  const exits = new Set<Block>();
  for (const b of loop.blocks) for (const s of successors(b.terminator)) if (!loop.blocks.has(s)) exits.add(s);
  const [exit] = exits;
  if (!exit) return true;
  const inside = (v: Value | null): v is Inst => v?.kind === "inst" && v.block !== null && loop.blocks.has(v.block);
  const needed = new Map<Inst, { replace: (by: Inst) => void }[]>();
  const need = (v: Inst, replace: (by: Inst) => void): void => {
    const list = needed.get(v);
    if (list) list.push({ replace });
    else needed.set(v, [{ replace }]);
  };
  for (const block of func.blocks) {
    if (loop.blocks.has(block)) continue;
    for (const inst of block.insts) {
      inst.args.forEach((arg, i) => {
        if (!inside(arg)) return;
        if (inst.op === "phi" && loop.blocks.has(inst.incoming![i]!)) return;
        need(arg, (by) => {
          inst.args[i] = by;
        });
      });
    }
    const t = block.terminator;
    if (t?.kind === "branch" && inside(t.condition)) {
      need(t.condition, (by) => {
        t.condition = by;
      });
    } else if (t?.kind === "return" && inside(t.value)) {
      need(t.value, (by) => {
        t.value = by;
      });
    }
  }
  if (needed.size === 0) return true;
  // Which of several exits a use behind them comes from is not asked.
  const preds = predecessors(func).get(exit)!;
  if (exits.size > 1 || !preds.every((p) => loop.blocks.has(p))) return false;
  for (const value of needed.keys()) if (!preds.every((p) => doms.dominates(value.block!, p))) return false;
  for (const [value, uses] of needed) {
    const args = preds.map((): Value => value);
    const phi = newInst(func, exit, "phi", value.type, args, value.position, { incoming: [...preds] });
    exit.insts.unshift(phi);
    for (const use of uses) use.replace(phi);
  }
  return true;
}

/** Puts one round of the loop before it; returns the block that enters the loop afterwards. */
function peel(func: Func, loop: Loop, before: Block): Block {
  const { header } = loop;
  const latch = loop.latches[0]!;
  const blocks = func.blocks.filter((b) => loop.blocks.has(b));
  const ids = { block: () => func.nextBlock++, inst: () => func.nextInst++ };
  const copies = new Map<Inst, Inst>();
  const blockCopies = new Map<Block, Block>();
  cloneBlocks(blocks, copies, (v) => v, ids, blockCopies);
  const first = blockCopies.get(header)!;
  const last = blockCopies.get(latch)!;
  const start = new Map<Inst, Value>();
  for (const phi of header.insts) {
    if (phi.op !== "phi") break;
    const entry = phi.incoming!.indexOf(before);
    const back = phi.incoming!.indexOf(latch);
    start.set(copies.get(phi)!, phi.args[entry]!);
    const next = phi.args[back]!;
    phi.incoming![entry] = last;
    phi.args[entry] = next.kind === "inst" ? (copies.get(next) ?? next) : next;
  }
  const resolve = (v: Value): Value => (v.kind === "inst" ? (start.get(v) ?? v) : v);
  for (const copy of blockCopies.values()) {
    if (copy === first) copy.insts = copy.insts.filter((i) => !start.has(i));
    for (const inst of copy.insts) inst.args = inst.args.map(resolve);
    const t = copy.terminator;
    if (t?.kind === "branch") t.condition = resolve(t.condition);
    else if (t?.kind === "return" && t.value) t.value = resolve(t.value);
  }
  // A phi of the header may have been another one's next value.
  for (const phi of header.insts) {
    if (phi.op !== "phi") break;
    phi.args = phi.args.map(resolve);
  }
  for (const b of blocks) {
    for (const next of successors(b.terminator)) {
      if (loop.blocks.has(next)) continue;
      for (const phi of next.insts) {
        if (phi.op !== "phi") break;
        const i = phi.incoming!.indexOf(b);
        const v = phi.args[i]!;
        phi.args.push(resolve(v.kind === "inst" ? (copies.get(v) ?? v) : v));
        phi.incoming!.push(blockCopies.get(b)!);
      }
    }
  }
  retarget(last, first, header);
  retarget(before, header, first);
  func.blocks.splice(func.blocks.indexOf(header), 0, ...blockCopies.values());
  return last;
}
