/** Inlining of subprograms: a BPF call costs a frame of at least 32 bytes, and its callee sees nothing of its arguments. */
import { renameIncoming, substitute } from "../analysis.ts";
import { helperByName } from "../../isa/index.ts";
import { cloneBlocks } from "../clone.ts";
import { constant } from "../builder.ts";
import type { Block, Func, Inst, Module, Value } from "../ir.ts";
import { namesCalled } from "../codegen/inline-assembly.ts";
import { successors } from "../ir.ts";
import { LimitError } from "../limits.ts";
import { newBlock, newInst } from "./rewrite.ts";

/** A subprogram of at most this many instructions is inlined wherever it is called. */
const SMALL = 24;
/** The same for a global one that nothing forbids to inline. */
const SMALL_GLOBAL = 60;
/** One called from a single place is inlined up to this size. */
const SINGLE_USE = 4000;
/** Registers hold so many arguments of a call. */
const REGISTER_ARGS = 5;

/** Helpers that kernels refuse together with subprograms: tail calls halve the stack, locks may not be held over calls. */
const ALONE: ReadonlySet<number> = new Set(["tail_call", "spin_lock"].flatMap((name) => helperByName(name)?.id ?? []));

/** Which calls are inlined: those marked `always`, also those where it pays, or all that can be. */
export type InlinePolicy = "marked" | "profitable" | "all";

function sizeOf(func: Func): number {
  return func.blocks.reduce((sum, b) => sum + b.insts.filter((i) => i.op !== "alloca").length + 1, 0);
}

function callsOf(func: Func): Inst[] {
  return func.blocks.flatMap((b) => b.insts.filter((i) => i.op === "call"));
}

/** Inlines calls as the policy says. Returns true when any was. */
export function inlineCalls(module: Module, policy: InlinePolicy): boolean {
  return new Inliner(module, policy).run();
}

class Inliner {
  private readonly module: Module;
  private readonly policy: InlinePolicy;
  private readonly byName: ReadonlyMap<string, Func>;
  private readonly sites = new Map<string, number>();
  private readonly done = new Set<Func>();
  private changed = false;

  constructor(module: Module, policy: InlinePolicy) {
    this.module = module;
    this.byName = new Map(module.funcs.map((f) => [f.name, f]));
    const alone = (i: Inst): boolean => i.op === "ldabs" || (i.op === "helper" && ALONE.has(i.helper!));
    const whole = policy === "profitable" && module.funcs.some((f) => f.blocks.some((b) => b.insts.some(alone)));
    this.policy = whole ? "all" : policy;
    for (const func of module.funcs) this.count(func, 1);
  }

  run(): boolean {
    for (const func of this.module.funcs) this.visit(func, []);
    if (this.changed) removeUnreferenced(this.module);
    return this.changed;
  }

  private count(func: Func, step: number): void {
    for (const { callee } of callsOf(func)) this.sites.set(callee!, (this.sites.get(callee!) ?? 0) + step);
  }

  /** A callee's own calls come first, so that what is copied is final; recursion is left for the stack check to report. */
  private visit(func: Func, above: readonly Func[]): void {
    if (this.done.has(func)) return;
    const calls = callsOf(func);
    for (const call of calls) {
      const callee = this.byName.get(call.callee!);
      if (callee && callee !== func && !above.includes(callee)) this.visit(callee, [...above, func]);
    }
    const work = new Inlining(func);
    for (const call of calls) {
      const callee = this.byName.get(call.callee!);
      if (!callee || callee === func || above.includes(callee) || !this.wanted(callee)) continue;
      work.inline(call, callee);
      this.count(callee, 1);
      this.changed = true;
    }
    work.finish();
    this.done.add(func);
  }

  private wanted(callee: Func): boolean {
    if (callee.inline === "never") return false;
    // Checked where it is called, a global function may do what its types alone do not allow; beyond a size it stays one.
    if (callee.role === "global") return this.policy !== "marked" && sizeOf(callee) <= SMALL_GLOBAL;
    if (callee.role !== "static") return false;
    if (callee.inline === "always" || callee.params.length > REGISTER_ARGS || this.policy === "all") return true;
    if (this.policy === "marked") return false;
    const size = sizeOf(callee);
    return size <= SMALL || (this.sites.get(callee.name) === 1 && size <= SINGLE_USE);
  }
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
    const handler = module.funcs.find((g) => g.name === f.program?.exceptionCallback);
    if (handler) work.push(handler);
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

/** Calls through which an alloca came into its function, the outermost first, as numbers. */
const paths = new WeakMap<Inst, readonly number[]>();
let calls = 0;

/**
 * True when two allocas of a function came from different calls: one call is over when the other begins, so that they never hold
 * something at one time, wherever their addresses went.
 */
export function fromDifferentCalls(a: Inst, b: Inst): boolean {
  const [x, y] = [paths.get(a), paths.get(b)];
  if (!x || !y) return false;
  for (let i = 0; i < x.length && i < y.length; i++) if (x[i] !== y[i]) return true;
  return false;
}

/** The calls of one function that are inlined: what concerns it as a whole is done once, so that many calls cost what they are long. */
class Inlining {
  private readonly caller: Func;
  /** New blocks behind those that were cut. */
  private readonly behind = new Map<Block, Block[]>();
  private readonly allocas: Inst[] = [];
  private readonly replaced = new Map<Inst, Value>();

  constructor(caller: Func) {
    this.caller = caller;
  }

  inline(call: Inst, callee: Func): void {
    const { caller } = this;
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
    const number = calls++;
    for (const [original, copy] of copies) {
      if (original.op === "alloca") paths.set(copy, [number, ...(paths.get(original) ?? [])]);
    }
    for (const a of allocas) {
      a.block = caller.blocks[0]!;
      this.allocas.push(a);
    }
    const results: { from: Block; value: Value }[] = [];
    for (const b of body) {
      b.name = `${callee.name}.${b.name}`;
      const t = b.terminator;
      if (t?.kind !== "return") continue;
      if (t.value) results.push({ from: b, value: t.value });
      b.terminator = { kind: "jump", target: after, position: t.position };
    }
    block.terminator = { kind: "jump", target: entry, position: call.position };
    // Blocks that waited behind the whole now wait behind its second half.
    const waiting = this.behind.get(block);
    if (waiting) this.behind.set(after, waiting);
    this.behind.set(block, [...body, after]);
    if (call.type === "void") return;
    let value: Value = constant(0, call.type);
    if (results.length > 0) {
      const args = results.map((r) => r.value);
      const incoming = results.map((r) => r.from);
      const phi = newInst(caller, after, "phi", call.type, args, call.position, { incoming });
      after.insts.unshift(phi);
      value = phi;
    }
    this.replaced.set(call, value);
  }

  finish(): void {
    if (this.behind.size === 0) return;
    const { caller } = this;
    const home = caller.blocks[0]!;
    const out: Block[] = [];
    const stack = caller.blocks.toReversed();
    for (let b = stack.pop(); b; b = stack.pop()) {
      out.push(b);
      const more = this.behind.get(b);
      if (more) for (let i = more.length - 1; i >= 0; i--) stack.push(more[i]!);
    }
    caller.blocks = out;
    home.insts = [...this.allocas, ...home.insts];
    substitute(caller, this.replaced);
  }
}
