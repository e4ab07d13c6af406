/** Neighbouring stores of constants become one wider store. */
import { baseOf } from "../analysis.ts";
import { constant } from "../builder.ts";
import type { Func, Inst, MemBits, Value } from "../ir.ts";
import { alignmentOf } from "./lower.ts";

/** A store of a constant that waits for its neighbour. */
interface Pending {
  readonly inst: Inst;
  readonly base: Value;
  readonly offset: number;
  readonly bytes: number;
  readonly value: bigint;
}

/** Stores that wait at one time: the oldest is forgotten for a new one. */
const MAX_PENDING = 16;

/** Merges stores within blocks. Returns true when any were. */
export function mergeStores(func: Func): boolean {
  let changed = false;
  for (const block of func.blocks) {
    let pending: Pending[] = [];
    const gone = new Set<Inst>();
    for (const inst of block.insts) {
      const own = constantStore(inst);
      if (!own) {
        pending = pending.filter((p) => !mayTouch(inst, p));
        continue;
      }
      // What is written again keeps its order.
      pending = pending.filter((p) => (p.base === own.base ? apart(p, own) : !mayAlias(p.base, own.base)));
      let merged = own;
      for (let partner = partnerOf(merged, pending); partner; partner = partnerOf(merged, pending)) {
        pending.splice(pending.indexOf(partner), 1);
        gone.add(partner.inst);
        merged = join(partner, merged);
      }
      if (merged !== own) {
        inst.args = [own.inst.args[0]!, constant(merged.value)];
        inst.offset = (inst.offset ?? 0) + merged.offset - own.offset;
        inst.bits = (merged.bytes * 8) as MemBits;
        changed = true;
      }
      pending.push(merged);
      if (pending.length > MAX_PENDING) pending.shift();
    }
    if (gone.size === 0) continue;
    for (const inst of gone) inst.block = null;
    block.insts = block.insts.filter((i) => !gone.has(i));
  }
  return changed;
}

function constantStore(inst: Inst): Pending | null {
  const value = inst.args[1];
  if (inst.op !== "store" || inst.volatile || value?.kind !== "const") return null;
  const { base, offset } = baseOf(inst.args[0]!);
  // A record in the address is about one field alone, the context is what its program type allows.
  if (base.kind !== "inst" || base.op === "ptradd") return null;
  const bits = inst.bits!;
  return {
    inst,
    base,
    offset: offset + (inst.offset ?? 0),
    bytes: bits / 8,
    value: BigInt.asUintN(bits, value.value),
  };
}

function apart(a: Pending, b: Pending): boolean {
  return a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
}

function isFrame(base: Value): boolean {
  return base.kind === "inst" && base.op === "alloca";
}

function mayAlias(a: Value, b: Value): boolean {
  return a === b || !(isFrame(a) && isFrame(b));
}

function mayTouch(inst: Inst, p: Pending): boolean {
  switch (inst.op) {
    case "load":
    case "store": {
      const { base, offset } = baseOf(inst.args[0]!);
      const at = offset + (inst.offset ?? 0);
      if (inst.volatile) return true;
      if (base === p.base) return at < p.offset + p.bytes && at + inst.bits! / 8 > p.offset;
      return mayAlias(base, p.base);
    }
    case "atomic":
    case "memset":
    case "memcpy":
    case "helper":
    case "kfunc":
    case "call":
    case "asm":
    case "ldabs":
    case "opaque":
      return true;
    default:
      return false;
  }
}

/** The store of the same width that with this one fills an aligned place twice as wide, when one instruction can fill that. */
function partnerOf(store: Pending, pending: readonly Pending[]): Pending | null {
  const width = store.bytes * 2;
  if (width > 8) return null;
  const start = store.offset - (((store.offset % width) + width) % width);
  const other = start === store.offset ? store.offset + store.bytes : start;
  if (start !== store.offset && start + store.bytes !== store.offset) return null;
  const partner = pending.find((p) => p.base === store.base && p.offset === other && p.bytes === store.bytes);
  if (!partner) return null;
  // Only the base's own alignment tells: the offset is a multiple already.
  if (alignmentOf(store.base) < width) return null;
  const { value } = join(partner, store);
  const wide = BigInt.asIntN(64, value);
  return width < 8 || (wide >= -0x8000_0000n && wide <= 0x7fff_ffffn) ? partner : null;
}

function join(a: Pending, b: Pending): Pending {
  const [low, high] = a.offset < b.offset ? [a, b] : [b, a];
  return {
    inst: b.inst,
    base: b.base,
    offset: low.offset,
    bytes: low.bytes * 2,
    value: low.value | (high.value << BigInt(low.bytes * 8)),
  };
}
