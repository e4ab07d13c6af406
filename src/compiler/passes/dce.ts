/** Removal of instructions whose results nobody needs. */
import { terminatorValue } from "../analysis.ts";
import type { Func, Inst, Value } from "../ir.ts";
import { PURE_OPS } from "../ir.ts";
import { isRemovableCall } from "./effects.ts";

/** True when the instruction must stay even when nobody uses its result. */
export function isRoot(inst: Inst): boolean {
  if (PURE_OPS.has(inst.op) || inst.op === "opaque" || inst.op === "alloca") return false;
  if (inst.op === "load") return inst.volatile === true;
  if (inst.op === "asmresult") return false;
  if (inst.op === "asm") return inst.asm!.volatile || inst.asm!.memory || inst.asm!.outputs.length === 0;
  return !isRemovableCall(inst);
}

/** Removes dead instructions, cycles of phis among them. Returns true when any went. */
export function removeDead(func: Func): boolean {
  const live = new Set<Inst>();
  const work: Inst[] = [];
  const mark = (value: Value | null): void => {
    if (value?.kind !== "inst" || live.has(value)) return;
    live.add(value);
    work.push(value);
  };
  for (const block of func.blocks) {
    for (const inst of block.insts) if (isRoot(inst)) mark(inst);
    mark(terminatorValue(block));
  }
  for (let inst = work.pop(); inst; inst = work.pop()) for (const arg of inst.args) mark(arg);
  let changed = false;
  for (const block of func.blocks) {
    const kept = block.insts.filter((i) => live.has(i));
    if (kept.length === block.insts.length) continue;
    for (const i of block.insts) if (!live.has(i)) i.block = null;
    block.insts = kept;
    changed = true;
  }
  return changed;
}
