/** Control-flow simplification: straight lines become one block, empty blocks vanish, known phis choose their way, small diamonds select. */
import {
  dominators,
  editablePredecessors,
  removeDeadBlocks,
  removeIncoming,
  renameIncoming,
  retarget,
  substitute,
  usersOf,
} from "../analysis.ts";
import type { Dominators, Users } from "../analysis.ts";
import type { Block, Const, Func, Inst, Value } from "../ir.ts";
import { successors } from "../ir.ts";
import { evaluate } from "./evaluate.ts";
import { newInst } from "./rewrite.ts";

/** Simplifies until nothing changes. Returns true when anything did. */
export function simplifyCfg(func: Func): boolean {
  let any = false;
  for (let round = 0; round < 50; round++) {
    let changed = removeDeadBlocks(func);
    changed = foldConstantBranches(func) || changed;
    changed = threadKnownPhis(func) || changed;
    changed = skipEmptyBlocks(func) || changed;
    changed = mergeLines(func) || changed;
    changed = formSelects(func) || changed;
    if (!changed) break;
    any = true;
  }
  return any;
}

function foldConstantBranches(func: Func): boolean {
  let changed = false;
  for (const block of func.blocks) {
    const t = block.terminator;
    if (t?.kind !== "branch") continue;
    let taken: Block | null = null;
    if (t.condition.kind === "const") taken = t.condition.value !== 0n ? t.then : t.else;
    else if (leadsNowhere(t.then)) taken = t.else;
    else if (leadsNowhere(t.else)) taken = t.then;
    if (!taken) continue;
    const other = taken === t.then ? t.else : t.then;
    block.terminator = { kind: "jump", target: taken, position: t.position };
    if (other !== taken) removeIncoming(other, block);
    changed = true;
  }
  return changed && (removeDeadBlocks(func), true);
}

function leadsNowhere(block: Block): boolean {
  return block.terminator?.kind === "unreachable" && block.insts.length === 0;
}

/** A block with one successor and that successor with one predecessor are one block. */
function mergeLines(func: Func): boolean {
  const preds = editablePredecessors(func);
  const gone = new Set<Block>();
  const replaced = new Map<Inst, Value>();
  for (const block of func.blocks) {
    if (gone.has(block)) continue;
    for (;;) {
      const t = block.terminator;
      if (t?.kind !== "jump") break;
      const next = t.target;
      if (next === block || next === func.blocks[0] || preds.get(next)!.length !== 1) break;
      for (const inst of next.insts) {
        if (inst.op === "phi") {
          replaced.set(inst, inst.args[0]!);
          inst.block = null;
        } else {
          inst.block = block;
          block.insts.push(inst);
        }
      }
      block.terminator = next.terminator;
      for (const after of successors(next.terminator)) {
        renameIncoming(after, next, block);
        const list = preds.get(after)!;
        const i = list.indexOf(next);
        if (i >= 0) list[i] = block;
      }
      gone.add(next);
    }
  }
  if (gone.size === 0) return false;
  func.blocks = func.blocks.filter((b) => !gone.has(b));
  substitute(func, replaced);
  return true;
}

/** Predecessors of a block that only jumps go where it goes. */
function skipEmptyBlocks(func: Func): boolean {
  let changed = false;
  const preds = editablePredecessors(func);
  for (const block of func.blocks) {
    const t = block.terminator;
    if (block === func.blocks[0] || block.insts.length > 0 || t?.kind !== "jump" || t.target === block) continue;
    const target = t.target;
    const phis = target.insts.filter((i) => i.op === "phi");
    const into = preds.get(target)!;
    for (const p of preds.get(block)!.slice()) {
      if (p === block) continue;
      // One block cannot come in twice with two values.
      if (into.includes(p) && phis.some((phi) => !sameValue(incomingOf(phi, p), incomingOf(phi, block)))) continue;
      // The edge of a phi out of a branch costs a block of its own again: nothing would be gained.
      if (phis.length > 0 && p.terminator?.kind !== "jump") continue;
      retarget(p, block, target);
      if (!into.includes(p)) {
        for (const phi of phis) {
          phi.args.push(incomingOf(phi, block)!);
          phi.incoming!.push(p);
        }
        into.push(p);
      }
      const list = preds.get(block)!;
      list.splice(list.indexOf(p), 1);
      changed = true;
    }
  }
  return changed && (removeDeadBlocks(func), true);
}

function incomingOf(phi: Inst, block: Block): Value | undefined {
  return phi.args[phi.incoming!.indexOf(block)];
}

function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true;
  return a?.kind === "const" && b?.kind === "const" && a.type === b.type && a.value === b.value;
}

/**
 * A block that holds only phis, perhaps a comparison of one, and a branch on it: predecessors whose value decides the branch go straight
 * to where it leads. This is what becomes of `&&` and `||`.
 */
function threadKnownPhis(func: Func): boolean {
  const candidates = func.blocks.filter((b) => b.terminator?.kind === "branch" && b.insts[0]?.op === "phi");
  if (candidates.length === 0) return false;
  const users = usersOf(func);
  const preds = editablePredecessors(func);
  const doms = dominators(func);
  let changed = false;
  for (const block of candidates) {
    // Threading may have turned the block into one that nobody goes to; it is removed below.
    if (preds.get(block)!.length > 0) changed = threadBlock(block, users, preds, doms) || changed;
  }
  return changed && (removeDeadBlocks(func), true);
}

function threadBlock(block: Block, users: Map<Inst, Users>, preds: Map<Block, Block[]>, doms: Dominators): boolean {
  const t = block.terminator;
  if (t?.kind !== "branch" || t.condition.kind !== "inst" || t.condition.block !== block) return false;
  const phis = block.insts.filter((i) => i.op === "phi");
  const rest = block.insts.slice(phis.length);
  const test = t.condition;
  // Besides the phis only the comparison that the branch asks.
  if (rest.length > 1 || (rest.length === 1 && rest[0] !== test)) return false;
  if (rest.length === 1 && test.op !== "icmp" && test.op !== "zext") return false;
  if (rest.length === 0 && test.op !== "phi") return false;
  const after = successors(t);
  /** True when no use is reached through `target`: uses are here, on edges from here, or behind the other way alone. */
  const local = (inst: Inst, target: Block): boolean => {
    const u = users.get(inst);
    if (!u) return true;
    const other = target === t.then ? t.else : t.then;
    const behind = other !== target && preds.get(other)!.length === 1 && preds.get(other)![0] === block ? other : null;
    const ok = (b: Block): boolean => b === block || (behind !== null && doms.dominates(behind, b));
    return (
      u.terminators.every(ok) &&
      u.insts.every((i) => {
        if (i.op !== "phi") return ok(i.block!);
        if (i.block === block) return true;
        return i.args.every((a, k) => a !== inst || ok(i.incoming![k]!));
      })
    );
  };
  // A phi of a successor may take this block's phi only on the edge from here.
  if (!after.every((s) => s.insts.every((p) => p.op !== "phi" || usedOnlyFrom(p, block)))) return false;
  let changed = false;
  for (const pred of phis[0]!.incoming!.slice()) {
    if (pred === block) continue;
    const at = (v: Value): Value =>
      v.kind === "inst" && v.op === "phi" && v.block === block ? incomingOf(v, pred)! : v;
    let decided: Value | null = at(test);
    if (rest.length === 1) {
      const args = test.args.map(at);
      decided = args.every((a): a is Const => a.kind === "const") ? evaluate(test, args) : null;
    }
    if (decided?.kind !== "const") continue;
    const target = decided.value !== 0n ? t.then : t.else;
    if (target === block || !block.insts.every((inst) => local(inst, target))) continue;
    const into = preds.get(target)!;
    const already = into.includes(pred);
    const values = target.insts
      .filter((i) => i.op === "phi")
      .map((phi) => ({ phi, value: at(incomingOf(phi, block)!) }));
    if (values.some(({ value }) => value === test)) continue;
    if (already && values.some(({ phi, value }) => !sameValue(incomingOf(phi, pred), value))) continue;
    if (!already) {
      for (const { phi, value } of values) {
        phi.args.push(value);
        phi.incoming!.push(pred);
        if (value.kind === "inst") addUser(users, value, phi);
      }
      into.push(pred);
    }
    retarget(pred, block, target);
    removeIncoming(block, pred);
    const own = preds.get(block)!;
    own.splice(own.indexOf(pred), 1);
    changed = true;
  }
  return changed;
}

function addUser(users: Map<Inst, Users>, value: Inst, user: Inst): void {
  const known = users.get(value);
  if (known) known.insts.push(user);
  else users.set(value, { insts: [user], terminators: [] });
}

function usedOnlyFrom(phi: Inst, block: Block): boolean {
  return phi.args.every((a, i) => phi.incoming![i] === block || a.kind !== "inst" || a.block !== block);
}

/** A branch whose sides only meet again, with other values: the values are selected. */
function formSelects(func: Func): boolean {
  const preds = editablePredecessors(func);
  let changed = false;
  for (const block of func.blocks) {
    const t = block.terminator;
    if (t?.kind !== "branch" || t.then === t.else) continue;
    const arm = (b: Block): Block | null =>
      b.insts.length === 0 && b.terminator?.kind === "jump" && preds.get(b)!.length === 1 && b.terminator.target !== b
        ? b.terminator.target
        : null;
    const viaThen = arm(t.then);
    const viaElse = arm(t.else);
    let join: Block;
    let fromThen: Block;
    let fromElse: Block;
    if (viaThen && viaThen === viaElse) [join, fromThen, fromElse] = [viaThen, t.then, t.else];
    else if (viaThen && viaThen === t.else) [join, fromThen, fromElse] = [viaThen, t.then, block];
    else if (viaElse && viaElse === t.then) [join, fromThen, fromElse] = [viaElse, block, t.else];
    else continue;
    const phis = join.insts.filter((i) => i.op === "phi");
    if (phis.length === 0 || phis.length > 2 || join === block) continue;
    if (phis.some((p) => p.type === "i1")) continue;
    for (const phi of phis) {
      const a = incomingOf(phi, fromThen)!;
      const b = incomingOf(phi, fromElse)!;
      let value = a;
      if (!sameValue(a, b)) {
        const inst = newInst(func, block, "select", phi.type, [t.condition, a, b], t.position);
        block.insts.push(inst);
        value = inst;
      }
      for (const from of [fromThen, fromElse]) {
        const i = phi.incoming!.indexOf(from);
        phi.incoming!.splice(i, 1);
        phi.args.splice(i, 1);
      }
      phi.incoming!.push(block);
      phi.args.push(value);
    }
    block.terminator = { kind: "jump", target: join, position: t.position };
    // The arms are gone for what follows in this round.
    const into = preds.get(join)!;
    for (const from of [fromThen, fromElse]) {
      into.splice(into.indexOf(from), 1);
      if (from !== block) preds.set(from, []);
    }
    into.push(block);
    changed = true;
  }
  return changed && (removeDeadBlocks(func), true);
}
