/**
 * Memory of the frame at addresses that the width of an access does not divide, such as members of packed structs: the verifier wants all
 * accesses to the stack aligned, so that these become several narrower ones. Other memory may be read as it lies.
 */
import { substitute } from "../analysis.ts";
import { constant } from "../builder.ts";
import type { Block, Func, Inst, IrType, MemBits, Op, Value } from "../ir.ts";
import { alignmentOf } from "./lower.ts";
import { expandInsts, newInst } from "./rewrite.ts";

/** Splits loads and stores of the frame that are not aligned. Returns true when there were any. */
export function splitUnaligned(func: Func): boolean {
  const replaced = new Map<Inst, Value>();
  const changed = expandInsts(func, (inst, block) => {
    if ((inst.op !== "load" && inst.op !== "store") || !inFrame(inst.args[0]!)) return null;
    const bytes = inst.bits! / 8;
    const align = Math.min(alignmentOf(inst.args[0]!), lowBit((inst.offset ?? 0) | 8));
    if (align >= bytes || inst.type === "ptr" || inst.args[1]?.type === "ptr") return null;
    return inst.op === "load" ? splitLoad(func, block, inst, align, replaced) : splitStore(func, block, inst, align);
  });
  substitute(func, replaced);
  return changed;
}

function lowBit(n: number): number {
  return n & -n;
}

/** True when a pointer may be one into a frame: the function's own, or its caller's that a parameter points into. */
function inFrame(pointer: Value, joins: Set<Value> = new Set()): boolean {
  let base = pointer;
  while (base.kind === "inst" && base.op === "ptradd") base = base.args[0]!;
  if (base.kind === "param") return true;
  if (base.kind !== "inst" || joins.has(base)) return false;
  if (base.op === "phi" || base.op === "select") {
    joins.add(base);
    return base.args.slice(base.op === "select" ? 1 : 0).some((arm) => inFrame(arm, joins));
  }
  return base.op === "alloca";
}

function splitLoad(func: Func, block: Block, load: Inst, align: number, replaced: Map<Inst, Value>): Inst[] {
  const out: Inst[] = [];
  const make = (op: Op, type: IrType, args: Value[], rest: Partial<Inst> = {}): Inst => {
    const inst = newInst(func, block, op, type, args, load.position, rest);
    out.push(inst);
    return inst;
  };
  const bits = load.bits as MemBits;
  const volatile = load.volatile ? { volatile: true } : {};
  let whole: Value | null = null;
  for (let at = 0; at < bits / 8; at += align) {
    const piece = { bits: (align * 8) as MemBits, offset: (load.offset ?? 0) + at, ...volatile };
    let part: Value = make("load", "i64", [load.args[0]!], piece);
    if (at > 0) part = make("shl", "i64", [part, constant(8 * at)]);
    whole = whole === null ? part : make("or", "i64", [whole, part]);
  }
  let value = whole!;
  if (load.signed && bits < 64) value = make("sext", "i64", [value], { bits: bits as 16 | 32 });
  if (load.type === "i32") value = make("trunc", "i32", [value]);
  replaced.set(load, value);
  return out;
}

function splitStore(func: Func, block: Block, store: Inst, align: number): Inst[] {
  const out: Inst[] = [];
  const [to, value] = store.args as [Value, Value];
  const { position } = store;
  const volatile = store.volatile ? { volatile: true } : {};
  for (let at = 0; at < store.bits! / 8; at += align) {
    let part = value;
    if (at > 0) {
      part = newInst(func, block, "lshr", value.type, [value, constant(8 * at, value.type)], position);
      out.push(part);
    }
    const piece = { bits: (align * 8) as MemBits, offset: (store.offset ?? 0) + at, ...volatile };
    out.push(newInst(func, block, "store", "void", [to, part], position, piece));
  }
  return out;
}
