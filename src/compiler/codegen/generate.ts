/** The code generator's phases for one function, from lowered IR to bytes. */
import type { Func, Inst } from "../ir.ts";
import type { KernelTarget } from "../target.ts";
import { allocateRegisters } from "./allocate.ts";
import { emitFunction } from "./emit.ts";
import type { EmittedFunction } from "./emit.ts";
import { layOutFrame } from "./frame.ts";
import { layOut } from "./layout.ts";
import { removeDeadInstructions } from "./liveness.ts";
import type { FrameObject } from "./machine.ts";
import { selectInstructions } from "./select.ts";

/** A function's code and the stack it needs. */
export interface GeneratedFunction extends EmittedFunction {
  /** Bytes of its frame. */
  readonly stackBytes: number;
  /** What the frame holds, largest first, for messages. */
  readonly variables: readonly { readonly name: string; readonly size: number; readonly alloca: Inst | null }[];
}

/** Generates the code of one lowered function. `share` tells which allocas may lie in one place. */
export function generateFunction(
  func: Func,
  target: KernelTarget,
  conflict?: (a: Inst, b: Inst) => boolean,
): GeneratedFunction {
  const frames = new Map<Inst, FrameObject>();
  const code = selectInstructions(func, target, frames);
  removeDeadInstructions(code);
  allocateRegisters(code);
  layOut(code);
  const owner = new Map<FrameObject, Inst>();
  for (const [inst, frame] of frames) owner.set(frame, inst);
  const used = new Set(code.blocks.flatMap((b) => b.insts.flatMap((i) => i.frame ?? [])));
  const objects = code.frame.filter((f) => used.has(f));
  const stackBytes = layOutFrame(objects, (a, b) => {
    const x = owner.get(a);
    const y = owner.get(b);
    return !x || !y || !conflict || conflict(x, y);
  });
  const variables = objects
    .toSorted((a, b) => b.size - a.size)
    .map((f) => ({ name: f.name, size: f.size, alloca: owner.get(f) ?? null }));
  return { ...emitFunction(code, target), stackBytes, variables };
}
