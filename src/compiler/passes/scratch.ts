/** Variables too large for the stack live in a map: one per-CPU array, an entry for each function that needs it. */
import { helperByName, MapType } from "../../isa/index.ts";
import { substitute } from "../analysis.ts";
import { constant } from "../builder.ts";
import type { Func, Inst, Module, Value } from "../ir.ts";
import { newBlock, newInst } from "./rewrite.ts";

/** Name of the map that holds variables moved off the stack. */
export const SCRATCH_MAP = "skep_scratch";

/** The map that the functions of a module share; added to the module when something moved into it. */
export class ScratchMap {
  private readonly module: Module;
  private readonly users: Func[] = [];
  private readonly bytes = new Map<Func, number>();

  constructor(module: Module) {
    this.module = module;
  }

  /** Index of a function's entry. */
  indexOf(func: Func): number {
    let index = this.users.indexOf(func);
    if (index === -1) index = this.users.push(func) - 1;
    return index;
  }

  /** Reserves bytes of a function's entry and returns their offset. */
  reserve(func: Func, size: number): number {
    const at = this.bytes.get(func) ?? 0;
    this.bytes.set(func, at + Math.ceil(size / 8) * 8);
    return at;
  }

  /** True when the function has its lookup already. */
  has(func: Func): boolean {
    return this.users.includes(func);
  }

  /** Adds the map to the module when any function uses it. */
  finish(): void {
    if (this.users.length === 0) return;
    this.module.maps.push({
      name: SCRATCH_MAP,
      type: MapType.PERCPU_ARRAY,
      keySize: 4,
      valueSize: Math.max(...this.bytes.values()),
      maxEntries: this.users.length,
      flags: 0,
    });
  }
}

const bases = new WeakMap<Func, Inst>();

/** Moves one alloca of a function into the scratch map. */
export function moveToScratch(func: Func, alloca: Inst, scratch: ScratchMap): void {
  const base = scratch.has(func) ? bases.get(func)! : insertLookup(func, scratch);
  const offset = scratch.reserve(func, alloca.size!);
  const entry = func.blocks[0]!;
  entry.insts.splice(entry.insts.indexOf(alloca), 1);
  alloca.block = null;
  let value: Value = base;
  if (offset > 0) {
    const home = base.block!;
    const block = (home.terminator as { then: typeof home }).then;
    const at = newInst(func, block, "ptradd", "ptr", [base, constant(offset)], null);
    block.insts.unshift(at);
    value = at;
  }
  substitute(func, new Map([[alloca, value]]));
}

/** The lookup at the function's entry; without the entry, which an array always has, the function ends with 0. */
function insertLookup(func: Func, scratch: ScratchMap): Inst {
  const body = func.blocks[0]!;
  const entry = newBlock(func, "scratch");
  const missing = newBlock(func, "no_scratch");
  const make = (op: Inst["op"], type: Inst["type"], args: Value[], rest: Partial<Inst> = {}): Inst => {
    const inst = newInst(func, entry, op, type, args, func.position, rest);
    entry.insts.push(inst);
    return inst;
  };
  const allocas = body.insts.filter((i) => i.op === "alloca");
  body.insts = body.insts.filter((i) => i.op !== "alloca");
  for (const a of allocas) {
    a.block = entry;
    entry.insts.push(a);
  }
  const key = make("alloca", "ptr", [], { size: 4, align: 4, name: "scratch key" });
  const index = scratch.indexOf(func);
  make("store", "void", [key, constant(index)], { bits: 32, offset: 0 });
  const map = make("mapref", "ptr", [], { map: SCRATCH_MAP });
  const base = make("helper", "ptr", [map, key], { helper: helperByName("map_lookup_elem")!.id });
  const found = make("icmp", "i1", [base, constant(0, "ptr")], { predicate: "ne" });
  entry.terminator = { kind: "branch", condition: found, then: body, else: missing, likely: "then", position: null };
  missing.terminator = {
    kind: "return",
    value: func.result === "void" ? null : constant(0, func.result),
    position: null,
  };
  func.blocks.unshift(entry);
  func.blocks.push(missing);
  bases.set(func, base);
  return base;
}
