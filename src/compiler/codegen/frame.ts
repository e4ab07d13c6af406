/** Where allocas and spilled registers lie below the frame pointer. */
import type { FrameObject } from "./machine.ts";

/** Bytes of stack that one function may use (`MAX_BPF_STACK` of the kernel). */
export const STACK_LIMIT = 512;

/**
 * Gives every piece its offset from r10 and returns the bytes used, a multiple of 8.
 * Pieces share bytes unless one is among the `conflicts` of the other: null stands for all.
 */
export function layOutFrame(
  objects: readonly FrameObject[],
  conflicts: (piece: FrameObject) => Iterable<FrameObject> | null = () => null,
): number {
  let depth = 0;
  const placed = new Set<FrameObject>();
  const alone: FrameObject[] = [];
  // Large ones first: small ones then fill what is left between.
  for (const object of [...objects].toSorted((a, b) => b.size - a.size || b.align - a.align)) {
    const others = conflicts(object);
    const taken: { from: number; to: number }[] = [];
    const avoid = (p: FrameObject): void => void taken.push({ from: -p.offset - p.size, to: -p.offset });
    if (others) {
      for (const p of others) if (placed.has(p)) avoid(p);
      for (const p of alone) avoid(p);
    } else {
      for (const p of placed) avoid(p);
      alone.push(object);
    }
    taken.sort((a, b) => a.from - b.from);
    // Measured downwards from r10: the piece covers [end - size, end), and r10 - end must be aligned.
    let end = roundUp(object.size, object.align);
    for (const t of taken) {
      if (t.from >= end || t.to <= end - object.size) continue;
      end = roundUp(t.to + object.size, object.align);
    }
    object.offset = -end;
    placed.add(object);
    depth = Math.max(depth, end);
  }
  return roundUp(depth, 8);
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
