/**
 * Memory that helpers read is written whole before, as older kernels demand and so that nothing of the kernel leaks into maps and events.
 * Bytes that no path has surely written are zeroed once, where they dominate every use and outside all loops.
 */
import { dominators, findLoops } from "../analysis.ts";
import { constant } from "../builder.ts";
import type { Block, Func, Inst, Module } from "../ir.ts";
import { FrameMemory } from "./frame-memory.ts";
import { eachPiece } from "./lower.ts";
import { newInst } from "./rewrite.ts";

/** Zeroes bytes of allocas that a helper or an atomic may read and that are not surely written. */
export function initialiseInputs(func: Func, module: Module): boolean {
  const memory = new FrameMemory(func, module);
  let changed = zeroEscaped(func, memory);
  if (memory.tracked.size === 0) return changed;
  const missing = missingBytes(func, memory);
  if (missing.size === 0) return changed;
  const doms = dominators(func);
  const { loops } = findLoops(func, doms);
  for (const [alloca, bytes] of missing) {
    const { block, index } = firstTouch(func, memory, alloca, doms, loops);
    const stores: Inst[] = [];
    for (let at = 0; at < alloca.size!;) {
      if (((bytes >> BigInt(at)) & 1n) === 0n) {
        at++;
        continue;
      }
      let end = at;
      while (end < alloca.size! && (bytes >> BigInt(end)) & 1n) end++;
      eachPiece(end - at, alloca.align!, at, 0, 8, (offset, bits) => {
        stores.push(newInst(func, block, "store", "void", [alloca, constant(0)], null, { bits, offset }));
      });
      at = end;
    }
    block.insts.splice(index, 0, ...stores);
    changed = true;
  }
  return changed;
}

/** Bytes of allocas that may be read and are not surely written. */
function missingBytes(func: Func, memory: FrameMemory): Map<Inst, bigint> {
  const missing = new Map<Inst, bigint>();
  for (const block of func.blocks) {
    const written = new Map<Inst, bigint>();
    for (const inst of block.insts) {
      for (const e of memory.effects(inst)) {
        const { alloca } = e;
        const state = written.get(alloca) ?? memory.flow(alloca)?.mustWritten.get(block) ?? 0n;
        const bytes = e.reads & ~state;
        if (bytes !== 0n) missing.set(alloca, (missing.get(alloca) ?? 0n) | bytes);
        // What has been zeroed once, or will be, counts as written from here on.
        written.set(alloca, state | e.defines | e.reads);
      }
    }
  }
  return missing;
}

/** Allocas that cannot be followed are zeroed whole at entry when a call may read them. */
function zeroEscaped(func: Func, memory: FrameMemory): boolean {
  if (memory.escaped.size === 0) return false;
  const entry = func.blocks[0]!;
  const stores: Inst[] = [];
  for (const alloca of memory.escaped) {
    // A memset stays one instruction here; lowering picks its form.
    stores.push(newInst(func, entry, "memset", "void", [alloca], null, { byte: 0, size: alloca.size!, offset: 0 }));
  }
  let at = entry.insts.findIndex((i) => i.op !== "alloca");
  if (at === -1) at = entry.insts.length;
  entry.insts.splice(at, 0, ...stores);
  return true;
}

function firstTouch(
  func: Func,
  memory: FrameMemory,
  alloca: Inst,
  doms: ReturnType<typeof dominators>,
  loops: ReturnType<typeof findLoops>["loops"],
): { block: Block; index: number } {
  const touches = (inst: Inst): boolean => memory.effects(inst).some((e) => e.alloca === alloca);
  let home: Block | null = null;
  for (const block of memory.touching(alloca)) home = home ? doms.common(home, block) : block;
  let block = home ?? func.blocks[0]!;
  for (;;) {
    const inside = loops.find((l) => l.blocks.has(block));
    if (!inside) break;
    block = doms.parent.get(inside.header)!;
  }
  const own = block.insts.findIndex(touches);
  if (own >= 0) return { block, index: own };
  const entry = block === func.blocks[0];
  const afterAllocas = block.insts.findLastIndex((i) => i.op === "alloca" || i.op === "phi") + 1;
  return { block, index: entry ? Math.max(afterAllocas, block.insts.length) : block.insts.length };
}
