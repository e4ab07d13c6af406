/** Small pieces for passes that put instructions in place of others. */
import type { Block, Func, Inst, IrType, Op, Position, Value } from "../ir.ts";

/** A new instruction of a function, not yet placed in its block's list. */
export function newInst(
  func: Func,
  block: Block,
  op: Op,
  type: IrType,
  args: Value[],
  position: Position | null,
  rest: Partial<Inst> = {},
): Inst {
  return { kind: "inst", id: func.nextInst++, op, type, args, block, position, ...rest };
}

/** A new, empty block, not yet in the function's list. */
export function newBlock(func: Func, name: string): Block {
  return { id: func.nextBlock++, name, insts: [], terminator: null };
}

/**
 * Walks every block and lets `expand` put instructions in the place of each. Returning null keeps the instruction; a list replaces it.
 * Returns true when anything was replaced.
 */
export function expandInsts(func: Func, expand: (inst: Inst, block: Block) => Inst[] | null): boolean {
  let changed = false;
  for (const block of func.blocks) {
    let out: Inst[] | null = null;
    for (let i = 0; i < block.insts.length; i++) {
      const inst = block.insts[i]!;
      const instead = expand(inst, block);
      if (instead) {
        out ??= block.insts.slice(0, i);
        out.push(...instead);
        if (!instead.includes(inst)) inst.block = null;
      } else out?.push(inst);
    }
    if (out) {
      block.insts = out;
      changed = true;
    }
  }
  return changed;
}
