/** The code generator's phases for one function, from lowered IR to bytes. */
import type { Func, Inst } from "../ir.ts";
import type { AllocaConflicts } from "../passes/lifetimes.ts";
import type { KernelTarget } from "../target.ts";
import { allocateRegisters } from "./allocate.ts";
import { emitFunction } from "./emit.ts";
import type { EmittedFunction } from "./emit.ts";
import { layOutFrame } from "./frame.ts";
import { layOut } from "./layout.ts";
import { removeDeadInstructions } from "./liveness.ts";
import type { FrameObject, MFunc } from "./machine.ts";
import { selectInstructions } from "./select.ts";

/** A function's code and the stack it needs. */
export interface GeneratedFunction extends EmittedFunction {
  /** Bytes of its frame. */
  readonly stackBytes: number;
  /** What the frame holds, largest first, for messages. */
  readonly variables: readonly { readonly name: string; readonly size: number; readonly alloca: Inst | null }[];
}

/** Generates the code of one lowered function. `conflicts` tells which allocas may not lie in one place; without it, none may. */
export function generateFunction(
  func: Func,
  target: KernelTarget,
  conflicts: AllocaConflicts = () => null,
): GeneratedFunction {
  const frames = new Map<Inst, FrameObject>();
  const code = selectInstructions(func, target, frames);
  removeDeadInstructions(code);
  allocateRegisters(code);
  layOut(code, target);
  const owner = new Map<FrameObject, Inst>();
  for (const [inst, frame] of frames) owner.set(frame, inst);
  const used = framesUsed(code);
  const objects = code.frame.filter((f) => used.has(f));
  const stackBytes = layOutFrame(objects, (piece) => {
    const alloca = owner.get(piece);
    const others = alloca ? conflicts(alloca) : null;
    return others && [...others].flatMap((other) => frames.get(other) ?? []);
  });
  const variables = objects
    .toSorted((a, b) => b.size - a.size)
    .map((f) => ({ name: f.name, size: f.size, alloca: owner.get(f) ?? null }));
  return { ...emitFunction(code, target), stackBytes, variables };
}

function framesUsed(code: MFunc): Set<FrameObject> {
  const used = new Set<FrameObject>();
  for (const b of code.blocks) for (const i of b.insts) if (i.frame) used.add(i.frame);
  return used;
}
