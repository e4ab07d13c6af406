/** From a module of IR to an object that a kernel can load. */
import { SkepError } from "../base/index.ts";
import { BtfBuilder, btfIdentifier, BtfFuncLinkage, encodeFuncInfo, encodeLineInfo } from "../btf/index.ts";
import type { FuncInfo, LineInfo } from "../btf/index.ts";
import type { BpfObject, CoreRelocation, ProgramSpec, Relocation } from "../object/index.ts";
import { checkModule } from "./check.ts";
import { cloneModule } from "./clone.ts";
import { namesCalled } from "./codegen/inline-assembly.ts";
import { generateFunction } from "./codegen/generate.ts";
import type { GeneratedFunction } from "./codegen/generate.ts";
import { STACK_LIMIT } from "./codegen/frame.ts";
import { LimitError, placeLimit } from "./limits.ts";
import type { Func, Inst, IrType, Module, Position } from "./ir.ts";
import { allocaConflicts } from "./passes/lifetimes.ts";
import { moveToScratch, ScratchMap } from "./passes/scratch.ts";
import { optimise } from "./passes/pipeline.ts";
import { printModule } from "./print.ts";
import { DEFAULT_TARGET } from "./target.ts";
import type { KernelTarget } from "./target.ts";

/** How hard to optimise: 0 only what loading needs, 1 the cheap passes, 2 all. */
export type OptimizeLevel = 0 | 1 | 2;

/** What {@link compileModule} may be told. */
export interface CompileOptions {
  /** The kernel to compile for; the oldest supported one when absent. */
  readonly target?: KernelTarget;
  /** Default 2. */
  readonly optimize?: OptimizeLevel;
  /** BTF to add functions and lines to: the builder that made the type ids of maps and prototypes. Absent: a builder of its own. */
  readonly btf?: BtfBuilder;
  /** Receives the IR as text after each stage. */
  readonly dump?: (stage: string, text: string) => void;
  /** Variables that do not fit the stack move to the per-CPU map `skep_scratch` instead of being an error. */
  readonly scratch?: boolean;
  /** Checks the IR after every pass: for tests. */
  readonly check?: boolean;
}

/** A compiled function, as listings show it. */
export interface CompiledFunction {
  readonly name: string;
  /** Index of its first instruction in its program. */
  readonly insnIndex: number;
  readonly insnCount: number;
  readonly stackBytes: number;
}

/**
 * Compiles every entry function into a program with the functions it reaches. The module is left as it was.
 * @throws SkepError code `stack` when variables do not fit, `ir` when the module breaks a rule of the IR.
 */
export function compileModule(module: Module, options: CompileOptions = {}): BpfObject {
  const target = options.target ?? DEFAULT_TARGET;
  checkModule(module);
  const { work, generated } = inPlace(module, () => generateModule(module, options, target));
  const btf = options.btf ?? new BtfBuilder();
  const linker = new Linker(work, generated, btf);
  const programs = work.funcs.filter((f) => f.role === "entry").map((f) => linker.link(f));
  return {
    license: work.license,
    programs,
    maps: work.maps,
    btf: btf.finish(),
    ...(work.variables ? { variables: work.variables } : {}),
    ...(work.externs ? { externs: work.externs } : {}),
  };
}

/** Optimised code of all functions. Where frames of called functions do not fit below each other, all that can be is inlined. */
function generateModule(
  module: Module,
  options: CompileOptions,
  target: KernelTarget,
): { work: Module; generated: Map<string, GeneratedFunction> } {
  const generate = (inlineAll: boolean): { work: Module; generated: Map<string, GeneratedFunction> } => {
    const work = prepare(module, options, inlineAll);
    const scratch = new ScratchMap(work);
    const generated = generateAll(work, target, scratch, options.scratch === true);
    scratch.finish();
    return { work, generated };
  };
  try {
    return generate(false);
  } catch (error) {
    const calls = module.funcs.some((f) => f.role === "static" && f.inline === undefined);
    if (!(error instanceof LimitError) || error.code !== "stack" || !calls) throw error;
    return generate(true);
  }
}

/** Names the place of what exceeds a limit. */
function inPlace<T>(module: Module, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof LimitError ? placeLimit(error, module) : error;
  }
}

/** Optimised and lowered IR of a copy of the module: what the code generator sees. */
export function prepareModule(module: Module, options: CompileOptions = {}): Module {
  return inPlace(module, () => prepare(module, options, false));
}

function prepare(module: Module, options: CompileOptions, inlineAll: boolean): Module {
  const target = options.target ?? DEFAULT_TARGET;
  const work = cloneModule(module);
  const dump = (stage: string): void => options.dump?.(stage, printModule(work));
  optimise(work, options.optimize ?? 2, target, {
    inlineAll,
    after: (pass) => {
      if (options.check) checkModule(work);
      dump(pass);
    },
  });
  return work;
}

/** Functions that instructions of one kind name. */
function callees(func: Func, op: "call" | "funcref"): ReadonlySet<string> {
  return new Set(func.blocks.flatMap(({ insts }) => insts.flatMap((i) => (i.op === op ? [i.callee!] : []))));
}

/** Functions that one calls, in assembly too, or hands to helpers. */
export function references(func: Func): string[] {
  const out: string[] = [];
  for (const b of func.blocks) {
    for (const i of b.insts) {
      if ((i.op === "call" || i.op === "funcref") && i.callee !== undefined) out.push(i.callee);
      else if (i.asm) out.push(...namesCalled(i.asm.template));
    }
  }
  return out;
}

function generateAll(
  module: Module,
  target: KernelTarget,
  scratch: ScratchMap,
  mayMove: boolean,
): Map<string, GeneratedFunction> {
  const out = new Map<string, GeneratedFunction>();
  const generate = (func: Func): GeneratedFunction => {
    const made = generateFunction(func, target, allocaConflicts(func));
    out.set(func.name, made);
    return made;
  };
  for (const func of module.funcs) generate(func);
  for (const entry of module.funcs) {
    if (entry.role !== "entry") continue;
    for (let round = 0; ; round++) {
      const chain = deepestChain(module, entry, out, target);
      if (chain.bytes <= STACK_LIMIT) break;
      const victim = mayMove && round < 64 ? largestMovable(module, chain.names, out) : null;
      if (!victim) throw stackError(entry, chain, out, mayMove);
      moveToScratch(victim.func, victim.alloca, scratch);
      generate(victim.func);
    }
  }
  return out;
}

/** The call chain with the most stack; frames count in steps of 32 bytes, as the kernel rounds them. */
function deepestChain(
  module: Module,
  entry: Func,
  generated: ReadonlyMap<string, GeneratedFunction>,
  target: KernelTarget,
): { bytes: number; names: string[] } {
  // A callback may hand itself on, to a timer say: it does not run within itself then.
  const walk = (func: Func, above: readonly string[], isCallback: boolean): { bytes: number; names: string[] } => {
    if (above.includes(func.name)) {
      if (isCallback) return { bytes: 0, names: [] };
      throw new SkepError("compiler", `function ${func.name}: calls itself: BPF programs have no recursion`, {
        exitStatus: 2,
      });
    }
    let deepest: { bytes: number; names: string[] } = { bytes: 0, names: [] };
    const called = callees(func, "call");
    for (const name of new Set(references(func))) {
      const callee = module.funcs.find((f) => f.name === name);
      if (callee === undefined)
        throw new SkepError("asm", `function ${func.name}: inline assembly calls ${name}, which no file defines`, {
          exitStatus: 2,
        });
      const below = walk(callee, [...above, func.name], !called.has(name));
      if (below.bytes > deepest.bytes) deepest = below;
    }
    const loops = target.mayGoto && func.blocks.some((b) => b.terminator?.kind === "maygoto");
    // The kernel keeps the budget of may_goto in 16 bytes of the frame.
    const own = generated.get(func.name)!.stackBytes + (loops ? 16 : 0);
    const alone = deepest.bytes === 0 && above.length === 0;
    const rounded = alone ? own : Math.max(32, Math.ceil(own / 32) * 32);
    return { bytes: rounded + deepest.bytes, names: [func.name, ...deepest.names] };
  };
  return walk(entry, [], false);
}

function largestMovable(
  module: Module,
  names: readonly string[],
  generated: ReadonlyMap<string, GeneratedFunction>,
): { func: Func; alloca: Inst } | null {
  let best: { func: Func; alloca: Inst } | null = null;
  for (const name of names) {
    const func = module.funcs.find((f) => f.name === name)!;
    for (const { alloca } of generated.get(name)!.variables) {
      if (alloca && alloca.block && alloca.size! > 8 && alloca.size! > (best?.alloca.size ?? 0))
        best = { func, alloca };
    }
  }
  return best;
}

function stackError(
  entry: Func,
  chain: { bytes: number; names: string[] },
  generated: ReadonlyMap<string, GeneratedFunction>,
  moved: boolean,
): LimitError {
  const variables = chain.names
    .flatMap((name) => [...generated.get(name)!.variables])
    .toSorted((a, b) => b.size - a.size)
    .slice(0, 3)
    .map((v) => `${v.name} (${v.size} bytes)`);
  const where = chain.names.length > 1 ? `functions ${chain.names.join(" -> ")} use` : `function ${entry.name} uses`;
  const hint = moved
    ? "split the probe in two"
    : "use smaller or fewer variables, or put them into a per-CPU array map of one entry";
  return new LimitError(
    entry.position,
    `${where} ${chain.bytes} bytes of stack, the kernel gives a program ${STACK_LIMIT}: the largest are ${variables.join(", ")}; ${hint}`,
    "stack",
  );
}

/** Puts functions one after the other and writes what ties them together. */
class Linker {
  private readonly module: Module;
  private readonly generated: ReadonlyMap<string, GeneratedFunction>;
  private readonly btf: BtfBuilder;
  private readonly lines = new Map<number, string[]>();

  constructor(module: Module, generated: ReadonlyMap<string, GeneratedFunction>, btf: BtfBuilder) {
    this.module = module;
    this.generated = generated;
    this.btf = btf;
  }

  /** Functions of a program in the order they are placed: the entry, then what it reaches. */
  private reached(entry: Func): Func[] {
    const order: Func[] = [];
    const handler = entry.program?.exceptionCallback;
    let next = 0;
    for (const root of [entry.name, ...(handler === undefined ? [] : [handler])]) {
      const add = (name: string): void => {
        const func = this.module.funcs.find((f) => f.name === name)!;
        if (!order.includes(func)) order.push(func);
      };
      add(root);
      for (; next < order.length; next++) for (const name of references(order[next]!)) add(name);
    }
    return order;
  }

  link(entry: Func): ProgramSpec {
    const functions = this.reached(entry);
    const start = new Map<string, number>();
    let total = 0;
    for (const f of functions) {
      start.set(f.name, total);
      total += this.generated.get(f.name)!.code.length / 8;
    }
    const code = new Uint8Array(total * 8);
    const view = new DataView(code.buffer);
    const relocations: Relocation[] = [];
    const cores: CoreRelocation[] = [];
    const funcInfo: FuncInfo[] = [];
    const lineInfo: LineInfo[] = [];
    for (const func of functions) {
      const made = this.generated.get(func.name)!;
      const base = start.get(func.name)!;
      code.set(made.code, base * 8);
      for (const { insnIndex, core } of made.cores) {
        cores.push({ insnIndex: base + insnIndex, typeId: core.typeId, access: core.access, kind: core.kind });
      }
      for (const { insnIndex, symbol } of made.symbols) {
        const at = base + insnIndex;
        if (symbol.kind === "map") relocations.push({ kind: "map", insnIndex: at, map: symbol.map });
        else if (symbol.kind === "map-value") {
          relocations.push({ kind: "map-value", insnIndex: at, map: symbol.map, offset: symbol.offset });
        } else if (symbol.kind === "ksym") relocations.push({ kind: "ksym", insnIndex: at, name: symbol.name });
        else if (symbol.kind === "kfunc") relocations.push({ kind: "kfunc", insnIndex: at, name: symbol.name });
        else view.setInt32(at * 8 + 4, start.get(symbol.func)! - at - 1, true);
      }
      funcInfo.push({ insnIndex: base, typeId: this.functionType(func) });
      this.addLines(func, made, base, lineInfo);
    }
    const program = entry.program!;
    return {
      name: entry.name,
      type: program.type,
      expectedAttachType: program.expectedAttachType,
      code,
      relocations,
      funcInfo: encodeFuncInfo(funcInfo),
      lineInfo: encodeLineInfo(this.btf, lineInfo),
      ...(cores.length > 0 ? { coreRelocations: cores } : {}),
      ...(program.attachTo === undefined ? {} : { attachTo: program.attachTo }),
      ...(program.sleepable === undefined ? {} : { sleepable: program.sleepable }),
      ...(program.flags === undefined ? {} : { flags: program.flags }),
      ...(program.section === undefined ? {} : { section: program.section }),
      ...(program.attach === undefined ? {} : { attach: program.attach }),
      ...(program.attachTypeOptional === undefined ? {} : { attachTypeOptional: program.attachTypeOptional }),
      ...(program.autoload === undefined ? {} : { autoload: program.autoload }),
    };
  }

  private addLines(func: Func, made: GeneratedFunction, base: number, out: LineInfo[]): void {
    const fallback =
      func.position ??
      made.positions[0]?.position ??
      (this.module.sources[0] ? { source: 0, line: 1, column: 1 } : null);
    if (!fallback) return;
    if (made.positions[0]?.insnIndex !== 0) out.push(this.lineRecord(base, fallback));
    for (const { insnIndex, position } of made.positions) out.push(this.lineRecord(base + insnIndex, position));
  }

  private lineRecord(insnIndex: number, position: Position): LineInfo {
    const source = this.module.sources[position.source];
    if (!source) return { insnIndex, file: "?", source: "", line: position.line, column: position.column };
    let lines = this.lines.get(position.source);
    if (!lines) this.lines.set(position.source, (lines = source.text.split("\n")));
    return {
      insnIndex,
      file: source.name,
      source: lines[position.line - 1] ?? "",
      line: position.line,
      column: position.column,
    };
  }

  private functionType(func: Func): number {
    if (func.funcTypeId !== undefined) return func.funcTypeId;
    const proto = func.protoTypeId ?? this.prototype(func);
    // Only a static function may be called with pointers of any kind, or be a callback; global ones are checked by their types alone.
    const linkage = func.role === "entry" || func.role === "global" ? BtfFuncLinkage.GLOBAL : BtfFuncLinkage.STATIC;
    return this.btf.func(btfIdentifier(func.name), proto, linkage);
  }

  private prototype(func: Func): number {
    const type = (t: IrType): number => {
      if (t === "void") return 0;
      if (t === "ptr") return this.btf.pointer();
      return t === "i64" ? this.btf.int("unsigned long long", 8) : this.btf.int("unsigned int", 4);
    };
    const names = new Set<string>();
    const parameters = func.params.map((p) => {
      let name = btfIdentifier(p.name);
      while (names.has(name)) name += "_";
      names.add(name);
      return { name, typeId: type(p.type) };
    });
    return this.btf.funcProto(type(func.result), parameters);
  }
}
