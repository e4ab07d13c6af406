/** Where allocas and spilled registers lie below the frame pointer. */
import type { FrameObject } from "./machine.ts";

/** Bytes of stack that one function may use (`MAX_BPF_STACK` of the kernel). */
export const STACK_LIMIT = 512;

/**
 * Gives every piece its offset from r10 and returns the bytes used, a multiple of 8.
 * Pieces share bytes unless `conflict` says that both hold something at one time.
 */
export function layOutFrame(
  objects: readonly FrameObject[],
  conflict: (a: FrameObject, b: FrameObject) => boolean = () => true,
): number {
  let depth = 0;
  const placed: FrameObject[] = [];
  // Large ones first: small ones then fill what is left between.
  for (const object of [...objects].toSorted((a, b) => b.size - a.size || b.align - a.align)) {
    const taken = placed
      .filter((p) => conflict(p, object))
      .map((p) => ({ from: -p.offset - p.size, to: -p.offset }))
      .toSorted((a, b) => a.from - b.from);
    // Measured downwards from r10: the piece covers [end - size, end), and r10 - end must be aligned.
    let end = roundUp(object.size, object.align);
    for (const t of taken) {
      if (t.from >= end || t.to <= end - object.size) continue;
      end = roundUp(t.to + object.size, object.align);
    }
    object.offset = -end;
    placed.push(object);
    depth = Math.max(depth, end);
  }
  return roundUp(depth, 8);
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
