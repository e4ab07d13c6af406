/** Inlining of subprograms: a BPF call costs a frame of at least 32 bytes, and its callee sees nothing of its arguments. */
import { renameIncoming, substitute } from "../analysis.ts";
import { cloneBlocks } from "../clone.ts";
import { constant } from "../builder.ts";
import type { Block, Func, Inst, Module, Value } from "../ir.ts";
import { namesCalled } from "../codegen/inline-assembly.ts";
import { successors } from "../ir.ts";
import { LimitError } from "../limits.ts";
import { newBlock, newInst } from "./rewrite.ts";

/** A subprogram of at most this many instructions is inlined wherever it is called. */
const SMALL = 14;
/** One called from a single place is inlined up to this size. */
const SINGLE_USE = 400;

/** Registers hold so many arguments of a call. */
const REGISTER_ARGS = 5;

function sizeOf(func: Func): number {
  return func.blocks.reduce((sum, b) => sum + b.insts.filter((i) => i.op !== "alloca").length + 1, 0);
}

function callsOf(func: Func): Inst[] {
  return func.blocks.flatMap((b) => b.insts.filter((i) => i.op === "call"));
}

/** Inlines calls: those marked `always`, and with `heuristics` small callees and those of a single caller. Returns true when any was. */
export function inlineCalls(module: Module, heuristics: boolean): boolean {
  const byName = new Map(module.funcs.map((f) => [f.name, f]));
  let changed = false;
  // A callee's own calls come first, so that what is copied is final; recursion is left for the stack check to report.
  const done = new Set<Func>();
  const visit = (func: Func, above: readonly Func[]): void => {
    if (done.has(func)) return;
    for (const call of callsOf(func)) {
      const callee = byName.get(call.callee!);
      if (callee && callee !== func && !above.includes(callee)) visit(callee, [...above, func]);
    }
    for (const call of callsOf(func)) {
      const callee = byName.get(call.callee!);
      if (!callee || callee === func || above.includes(callee) || !wanted(callee, module, heuristics)) continue;
      inlineCall(func, call, callee);
      changed = true;
    }
    done.add(func);
  };
  for (const func of module.funcs) visit(func, []);
  if (changed) removeUnreferenced(module);
  return changed;
}

function wanted(callee: Func, module: Module, heuristics: boolean): boolean {
  if (callee.role !== "static" || callee.inline === "never") return false;
  if (callee.inline === "always" || callee.params.length > REGISTER_ARGS) return true;
  if (!heuristics) return false;
  const size = sizeOf(callee);
  if (size <= SMALL) return true;
  const uses = module.funcs.reduce((n, f) => n + callsOf(f).filter((c) => c.callee === callee.name).length, 0);
  return uses === 1 && size <= SINGLE_USE;
}

/** What was not inlined must be callable. @throws LimitError at the call that is not. */
export function checkCalls(module: Module): void {
  for (const func of module.funcs) {
    for (const call of callsOf(func)) {
      if (call.args.length <= REGISTER_ARGS) continue;
      throw new LimitError(
        call.position,
        `${call.callee} is called with ${call.args.length} arguments, and a BPF call passes at most ${REGISTER_ARGS}: it calls itself, or is marked noinline; pass a pointer to a struct`,
      );
    }
  }
}

/** Drops subprograms and callbacks that no entry reaches: the kernel refuses code that cannot run. */
export function removeUnreferenced(module: Module): void {
  const reached = new Set<string>();
  const work = module.funcs.filter((f) => f.role === "entry");
  for (let f = work.pop(); f; f = work.pop()) {
    if (reached.has(f.name)) continue;
    reached.add(f.name);
    for (const b of f.blocks) {
      for (const i of b.insts) {
        const names = i.asm ? namesCalled(i.asm.template) : i.callee === undefined ? [] : [i.callee];
        for (const name of names) {
          const callee = module.funcs.find((g) => g.name === name);
          if (callee) work.push(callee);
        }
      }
    }
  }
  const kept = module.funcs.filter((f) => reached.has(f.name));
  module.funcs.splice(0, module.funcs.length, ...kept);
}

function inlineCall(caller: Func, call: Inst, callee: Func): void {
  const block = call.block!;
  const at = block.insts.indexOf(call);
  const after = newBlock(caller, `${block.name}.after`);
  after.insts = block.insts.splice(at + 1);
  for (const inst of after.insts) inst.block = after;
  block.insts.pop();
  call.block = null;
  after.terminator = block.terminator;
  for (const next of successors(after.terminator)) renameIncoming(next, block, after);
  const ids = { block: () => caller.nextBlock++, inst: () => caller.nextInst++ };
  const copies = new Map<Inst, Inst>();
  const body = cloneBlocks(callee.blocks, copies, (v) => (v.kind === "param" ? call.args[v.index]! : v), ids);
  const entry = body[0]!;
  const allocas = entry.insts.filter((i) => i.op === "alloca");
  entry.insts = entry.insts.filter((i) => i.op !== "alloca");
  const home = caller.blocks[0]!;
  for (const a of allocas) a.block = home;
  home.insts.unshift(...allocas);
  const results: { from: Block; value: Value }[] = [];
  for (const b of body) {
    b.name = `${callee.name}.${b.name}`;
    const t = b.terminator;
    if (t?.kind !== "return") continue;
    if (t.value) results.push({ from: b, value: t.value });
    b.terminator = { kind: "jump", target: after, position: t.position };
  }
  block.terminator = { kind: "jump", target: entry, position: call.position };
  caller.blocks.splice(caller.blocks.indexOf(block) + 1, 0, ...body, after);
  if (call.type === "void") return;
  let value: Value = constant(0, call.type);
  if (results.length > 0) {
    const phi = newInst(
      caller,
      after,
      "phi",
      call.type,
      results.map((r) => r.value),
      call.position,
      { incoming: results.map((r) => r.from) },
    );
    after.insts.unshift(phi);
    value = phi;
  }
  substitute(caller, new Map([[call, value]]));
}
