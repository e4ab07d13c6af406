/** Copies of IR, so that compiling a module leaves it as the front end made it. */
import type { Block, Func, Inst, Module, Param, Terminator, Value } from "./ir.ts";

/** A copy that shares nothing that passes change. */
export function cloneModule(module: Module): Module {
  return { ...module, funcs: module.funcs.map(cloneFunction), maps: [...module.maps], sources: [...module.sources] };
}

/** A copy of one function, ids kept. */
export function cloneFunction(func: Func): Func {
  const params = func.params.map((p): Param => ({ ...p }));
  const copy: Func = { ...func, params, blocks: [] };
  const blocks = cloneBlocks(func.blocks, new Map(), (v) => (v.kind === "param" ? params[v.index]! : v));
  copy.blocks = blocks;
  return copy;
}

/**
 * Copies blocks, their instructions and the references between them; `outside` says what stands for values that are not among them.
 * Edges to blocks outside stay. `copies` receives what became of each instruction, `blockCopies` of each block.
 */
export function cloneBlocks(
  blocks: readonly Block[],
  copies: Map<Inst, Inst>,
  outside: (value: Exclude<Value, { kind: "const" }>) => Value,
  ids?: { block: () => number; inst: () => number },
  blockCopies: Map<Block, Block> = new Map(),
): Block[] {
  for (const b of blocks)
    blockCopies.set(b, { id: ids ? ids.block() : b.id, name: b.name, insts: [], terminator: null });
  for (const b of blocks) {
    const into = blockCopies.get(b)!;
    for (const inst of b.insts) {
      const copy: Inst = { ...inst, id: ids ? ids.inst() : inst.id, block: into };
      copies.set(inst, copy);
      into.insts.push(copy);
    }
  }
  const value = (v: Value): Value =>
    v.kind === "const" ? v : v.kind === "inst" && copies.has(v) ? copies.get(v)! : outside(v);
  const block = (b: Block): Block => blockCopies.get(b) ?? b;
  for (const b of blocks) {
    const into = blockCopies.get(b)!;
    for (const inst of into.insts) {
      inst.args = inst.args.map(value);
      if (inst.incoming) inst.incoming = inst.incoming.map(block);
    }
    into.terminator = b.terminator && cloneTerminator(b.terminator, value, block);
  }
  return blocks.map(block);
}

function cloneTerminator(t: Terminator, value: (v: Value) => Value, block: (b: Block) => Block): Terminator {
  switch (t.kind) {
    case "jump":
      return { ...t, target: block(t.target) };
    case "branch":
      return { ...t, condition: value(t.condition), then: block(t.then), else: block(t.else) };
    case "return":
      return { ...t, value: t.value && value(t.value) };
    case "maygoto":
      return { ...t, body: block(t.body), exit: block(t.exit) };
    default:
      return { ...t };
  }
}
