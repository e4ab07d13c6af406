/** Data that is final when the program is compiled: loads of it become constants, copies of it stores of constants. */
import { baseOf, substitute } from "../analysis.ts";
import { constant } from "../builder.ts";
import type { Block, Func, Inst, Module, Value } from "../ir.ts";
import { alignmentOf, eachPiece } from "./lower.ts";
import { expandInsts, newInst } from "./rewrite.ts";

/** Copies of at most this many constant bytes are written as stores: two instructions for eight bytes, half of what a copy takes. */
const STORED_BYTES = 256;

/** Folds what a function reads of the module's constant maps. Returns true when anything changed. */
export function foldConstantData(func: Func, module: Module): boolean {
  if (!module.constantMaps || module.constantMaps.size === 0) return false;
  const replaced = new Map<Inst, Value>();
  let changed = false;
  for (const block of func.blocks) {
    for (const inst of block.insts) {
      if (inst.op !== "load" || inst.volatile) continue;
      const bytes = bytesAt(module, inst.args[0]!, inst.offset ?? 0, inst.bits! / 8);
      if (!bytes) continue;
      const raw = littleEndian(bytes);
      const value = inst.signed ? BigInt.asIntN(inst.bits!, raw) : raw;
      if (inst.type === "ptr" && value !== 0n) continue;
      replaced.set(inst, constant(value, inst.type));
    }
  }
  if (replaced.size > 0) {
    substitute(func, replaced);
    for (const block of func.blocks) block.insts = block.insts.filter((i) => !replaced.has(i));
    for (const inst of replaced.keys()) inst.block = null;
    changed = true;
  }
  return expandInsts(func, (inst, block) => storedCopy(func, block, inst, module)) || changed;
}

function storedCopy(func: Func, block: Block, inst: Inst, module: Module): Inst[] | null {
  if (inst.op !== "memcpy" || inst.size! > STORED_BYTES) return null;
  const [to, from] = inst.args as [Value, Value];
  const bytes = bytesAt(module, from, inst.fromOffset ?? 0, inst.size!);
  if (!bytes) return null;
  const out: Inst[] = [];
  const start = inst.offset ?? 0;
  eachPiece(inst.size!, alignmentOf(to), start, 0, 8, (offset, bits) => {
    const value = littleEndian(bytes.subarray(offset - start, offset - start + bits / 8));
    out.push(newInst(func, block, "store", "void", [to, constant(value)], inst.position, { bits, offset }));
  });
  return out;
}

/** The bytes at an address, when they are constant. */
function bytesAt(module: Module, pointer: Value, extra: number, size: number): Uint8Array | null {
  const { base, offset } = baseOf(pointer);
  if (base.kind !== "inst" || base.op !== "mapvalue" || !module.constantMaps!.has(base.map!)) return null;
  const map = module.maps.find((m) => m.name === base.map);
  const from = (base.offset ?? 0) + offset + extra;
  if (!map?.initialValue || from < 0 || from + size > map.initialValue.length) return null;
  return map.initialValue.subarray(from, from + size);
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}
