/** The structural rules of the IR. Passes are tested by running this after each of them. */
import { SkepError } from "../base/index.ts";
import { dominators, predecessors } from "./analysis.ts";
import { successors } from "./ir.ts";
import type { Block, Func, Inst, IrType, Module, Value } from "./ir.ts";
import { BINARY_OPS } from "./ops.ts";
import { printInst } from "./print.ts";

/** The IR of a function breaks a rule: a defect of the front end or pass that made it. */
export class IrError extends SkepError {
  readonly func: string;
  constructor(func: string, what: string) {
    super("ir", `function ${func}: ${what}`);
    this.func = func;
  }
}

/** Checks every function of a module. @throws IrError at the first rule broken. */
export function checkModule(module: Module): void {
  const names = namesOf(module);
  for (const func of module.funcs) checkWith(func, names);
}

/** What instructions may name. */
interface ModuleNames {
  readonly maps: ReadonlySet<string>;
  readonly funcs: ReadonlyMap<string, Func>;
}

function namesOf(module: Module): ModuleNames {
  return { maps: new Set(module.maps.map((m) => m.name)), funcs: new Map(module.funcs.map((f) => [f.name, f])) };
}

/** Checks types, block structure, phis and dominance of one function. @throws IrError */
export function checkFunction(func: Func, module: Module): void {
  checkWith(func, namesOf(module));
}

function checkWith(func: Func, names: ModuleNames): void {
  const fail = (block: Block | null, what: string): never => {
    throw new IrError(func.name, block ? `block ${block.name}#${block.id}: ${what}` : what);
  };
  const entry = func.blocks[0];
  if (!entry) return fail(null, "no blocks");
  const blocks = new Set(func.blocks);
  const preds = predecessors(func);
  if (preds.get(entry)!.length > 0) fail(entry, "the entry block has predecessors");
  const defined = new Map<Inst, { block: Block; at: number }>();
  for (const block of func.blocks) {
    block.insts.forEach((inst, at) => {
      if (defined.has(inst)) fail(block, `instruction placed twice: ${printInst(inst)}`);
      if (inst.block !== block) fail(block, `wrong block recorded: ${printInst(inst)}`);
      defined.set(inst, { block, at });
    });
  }
  const doms = dominators(func);
  const reachable = new Set(doms.order);
  const checkUse = (value: Value, block: Block, at: number, what: () => string): void => {
    if (value.kind === "param") {
      if (func.params[value.index] !== value) fail(block, `${what()} uses a parameter of another function`);
    } else if (value.kind === "inst") {
      const def = defined.get(value);
      if (!def) return fail(block, `${what()} uses a detached instruction: ${printInst(value)}`);
      if (value.type === "void" && value.op !== "asm") fail(block, `${what()} uses a void value`);
      if (!reachable.has(block)) return;
      const ok = def.block === block ? def.at < at : doms.dominates(def.block, block);
      if (!ok) fail(block, `${what()} is not dominated by ${printInst(value)}`);
    }
  };
  for (const block of func.blocks) {
    const t = block.terminator;
    if (!t) return fail(block, "no terminator");
    let phisOver = false;
    block.insts.forEach((inst, at) => {
      const text = (): string => printInst(inst);
      const complaint = typeError(inst, names);
      if (complaint) fail(block, `${text()}: ${complaint}`);
      if (inst.op === "alloca" && block !== entry) fail(block, `${text()}: alloca outside the entry block`);
      if (inst.op !== "phi") {
        phisOver = true;
        for (const arg of inst.args) checkUse(arg, block, at, text);
        return;
      }
      if (phisOver) fail(block, `${text()}: phi after other instructions`);
      const incoming = inst.incoming ?? [];
      const want = preds.get(block)!;
      if (
        incoming.length !== inst.args.length ||
        incoming.length !== want.length ||
        want.some((p) => !incoming.includes(p))
      ) {
        fail(block, `${text()}: incoming blocks are not the predecessors (${want.map((p) => p.name).join(", ")})`);
      }
      inst.args.forEach((arg, i) => checkUse(arg, incoming[i]!, Infinity, text));
    });
    for (const next of successors(t))
      if (!blocks.has(next)) fail(block, `goes to block ${next.name}, which is not in the function`);
    if (t.kind === "branch") {
      if (t.condition.type !== "i1") fail(block, `branch on ${t.condition.type}`);
      checkUse(t.condition, block, Infinity, () => "branch");
    } else if (t.kind === "return") {
      const type: IrType = t.value?.type ?? "void";
      if (type !== func.result) fail(block, `returns ${type}, the function ${func.result}`);
      if (t.value) checkUse(t.value, block, Infinity, () => "return");
    }
  }
}

function asmError(inst: Inst): string | null {
  const code = inst.asm;
  if (!code) return "no template";
  if (code.inputs.length !== inst.args.length) return `${inst.args.length} operands, wants ${code.inputs.length}`;
  for (const { type, tied } of code.outputs) {
    if (type === "void" || type === "i1") return `output of type ${type}`;
    if (tied === undefined) continue;
    const input = inst.args[tied];
    if (!input || code.inputs[tied] !== "register") return `output tied to ${tied}, which is no register`;
    if (input.type !== type) return `output ${type} tied to ${input.type}`;
  }
  for (const [i, kind] of code.inputs.entries()) {
    if (kind === "memory" && inst.args[i]!.type !== "ptr") return `memory at ${inst.args[i]!.type}`;
  }
  return inst.type === "void" ? null : `result ${inst.type}`;
}

function typeError(inst: Inst, names: ModuleNames): string | null {
  const types = inst.args.map((a) => a.type);
  const [a, b, c] = types;
  const count = (n: number): string | null =>
    inst.args.length === n ? null : `${inst.args.length} operands, wants ${n}`;
  const integer = (t: IrType | undefined): boolean => t === "i32" || t === "i64";
  if (BINARY_OPS.has(inst.op)) {
    return count(2) ?? (a === b && a === inst.type && integer(a) ? null : `types ${a}, ${b} -> ${inst.type}`);
  }
  switch (inst.op) {
    case "icmp":
      return count(2) ?? (a === b && inst.type === "i1" && inst.predicate ? null : `types ${a}, ${b} -> ${inst.type}`);
    case "select":
      return count(3) ?? (a === "i1" && b === c && b === inst.type ? null : `types ${a}, ${b}, ${c} -> ${inst.type}`);
    case "zext":
    case "sext":
      return (
        count(1) ??
        (integer(inst.type) && inst.bits && [1, 8, 16, 32].includes(inst.bits) && a !== "ptr" && a !== "void"
          ? a === "i1" && inst.bits !== 1
            ? "i1 has one bit"
            : null
          : `types ${a} -> ${inst.type}, bits ${inst.bits}`)
      );
    case "trunc":
      return count(1) ?? (a === "i64" && inst.type === "i32" ? null : `types ${a} -> ${inst.type}`);
    case "bswap":
      return (
        count(1) ??
        (a === inst.type && integer(a) && (inst.bits !== 64 || a === "i64") ? null : `types ${a} -> ${inst.type}`)
      );
    case "alloca":
      return (
        count(0) ??
        (inst.size! > 0 && [1, 2, 4, 8].includes(inst.align!) ? null : `size ${inst.size}, align ${inst.align}`)
      );
    case "load":
      if (inst.type === "void" || inst.type === "i1") return `result ${inst.type}`;
      if (inst.bits === 64 && inst.type === "i32") return "64 bits into i32";
      if (inst.bits !== 64 && inst.type === "ptr") return "a pointer has 64 bits";
      return count(1) ?? (a === "ptr" ? null : `address ${a}`);
    case "store":
      return count(2) ?? (a === "ptr" ? (inst.bits === 64 && b === "i32" ? "64 bits of i32" : null) : `address ${a}`);
    case "atomic":
      return a === "ptr" ? null : `address ${a}`;
    case "memset":
      return count(1) ?? (a === "ptr" && inst.size! >= 0 ? null : `address ${a}, size ${inst.size}`);
    case "memcpy":
      return (
        count(2) ?? (a === "ptr" && b === "ptr" && inst.size! >= 0 ? null : `addresses ${a}, ${b}, size ${inst.size}`)
      );
    case "ptradd":
      return count(2) ?? (a === "ptr" && b === "i64" && inst.type === "ptr" ? null : `types ${a}, ${b}`);
    case "ptrdiff":
      return count(2) ?? (a === "ptr" && b === "ptr" ? null : `types ${a}, ${b}`);
    case "ptrtoint":
      return count(1) ?? (a === "ptr" && inst.type === "i64" ? null : `types ${a} -> ${inst.type}`);
    case "inttoptr":
      return count(1) ?? (a === "i64" && inst.type === "ptr" ? null : `types ${a} -> ${inst.type}`);
    case "mapref":
    case "mapvalue":
      return !names.maps.has(inst.map ?? "") ? `no map ${inst.map}` : count(0);
    case "funcref":
      return !names.funcs.has(inst.callee ?? "") ? `no function ${inst.callee}` : count(0);
    case "helper":
    case "kfunc":
      return inst.args.length > 5 ? `${inst.args.length} arguments, registers hold 5` : null;
    case "call": {
      const callee = names.funcs.get(inst.callee ?? "");
      if (!callee) return `no function ${inst.callee}`;
      if (callee.role !== "static" && callee.role !== "global") return `calls ${callee.name}, which is ${callee.role}`;
      if (callee.result !== inst.type) return `result ${inst.type}, ${callee.name} returns ${callee.result}`;
      return (
        count(callee.params.length) ??
        (callee.params.every((p, i) => p.type === types[i]) ? null : `arguments ${types.join(", ")}`)
      );
    }
    case "phi":
      return types.every((t) => t === inst.type) ? null : `types ${types.join(", ")} -> ${inst.type}`;
    case "core":
      return !inst.core ? "no CO-RE access" : (count(0) ?? (inst.type === "i64" ? null : `result ${inst.type}`));
    case "ksym":
      return !inst.symbol ? "no symbol" : (count(0) ?? (inst.type === "ptr" ? null : `result ${inst.type}`));
    case "ldabs":
      return (
        count(2) ??
        (a === "ptr" && b === "i64" && inst.type === "i64" && [8, 16, 32].includes(inst.bits!)
          ? null
          : `types ${a}, ${b} -> ${inst.type}, bits ${inst.bits}`)
      );
    case "asm":
      return asmError(inst);
    case "asmresult": {
      const [asm] = inst.args;
      if (asm?.kind !== "inst" || asm.op !== "asm") return "takes no result of assembly";
      const output = asm.asm!.outputs[inst.offset ?? 0];
      if (!output) return `no output ${inst.offset}`;
      return count(1) ?? (output.type === inst.type ? null : `output ${output.type} -> ${inst.type}`);
    }
    case "isconst":
      return count(1) ?? (inst.type === "i32" && a !== "void" ? null : `types ${a} -> ${inst.type}`);
    case "opaque":
      return count(1) ?? (a === inst.type ? null : `types ${a} -> ${inst.type}`);
    default:
      return `unknown operation ${inst.op}`;
  }
}
