/**
 * Lowering: what instruction selection does not know becomes what it does. Memory blocks become stores, signed division what the target has,
 * `maygoto` a counted loop on kernels without `may_goto`.
 */
import { helperByName } from "../../isa/index.ts";
import { UnsupportedError } from "../../base/index.ts";
import { baseOf, substitute, usersOf } from "../analysis.ts";
import { constant, signedValue } from "../builder.ts";
import type { Block, Func, Inst, IrType, MemBits, Module, Op, Value } from "../ir.ts";
import { placeText } from "../limits.ts";
import type { KernelTarget } from "../target.ts";
import { expandInsts, newInst } from "./rewrite.ts";
import { splitUnaligned } from "./unaligned.ts";

/** Memory above these sizes is filled and copied by one helper call where the licence allows: as many stores would cost more. */
const FILL_INLINE_BYTES = 512;
const COPY_INLINE_BYTES = 256;
/** How often a `maygoto` loop may run on kernels without it, and how many instructions the verifier may walk for it. */
const COUNTED_LOOP_LIMIT = 4096;
const COUNTED_LOOP_BUDGET = 200_000;

/** Rewrites a function in place for a target. Returns true when anything changed. */
export function lower(func: Func, module: Module, target: KernelTarget): boolean {
  lowerAtomics(func, module, target);
  let changed = lowerRawPointers(func);
  changed = lowerMemory(func, module) || changed;
  changed = splitUnaligned(func) || changed;
  changed = lowerDivision(func, target) || changed;
  return (!target.mayGoto && lowerMayGoto(func)) || changed;
}

/**
 * Drops old values that nobody asks for. What remains must be an addition without one on kernels before 5.12: they know no other atomic,
 * and a load and a store in its place would lose what another CPU writes in between.
 */
function lowerAtomics(func: Func, module: Module, target: KernelTarget): void {
  let users: ReturnType<typeof usersOf> | null = null;
  for (const block of func.blocks) {
    for (const inst of block.insts) {
      if (inst.op !== "atomic") continue;
      const exchange = inst.atomic === "xchg" || inst.atomic === "cmpxchg";
      if (inst.fetch && !exchange && !(users ??= usersOf(func)).has(inst)) {
        inst.fetch = false;
        inst.type = "void";
      }
      if (target.atomicFetch || (inst.atomic === "add" && !inst.fetch)) continue;
      const what = inst.atomic === "add" ? "an atomic addition whose old value is used" : `an atomic ${inst.atomic}`;
      throw new UnsupportedError(
        "atomic",
        `${placeText(inst.position, module) ?? `function ${func.name}`}: ${what} needs Linux 5.12, the kernel is ${target.version.join(".")}`,
      );
    }
  }
}

/** The largest power of two, up to 8, that divides the address a pointer holds. Memory from the kernel is 8-aligned at its start. */
export function alignmentOf(pointer: Value): number {
  return alignment(pointer, new Set());
}

/** `joins` are phis that are being asked already: a pointer that goes round a loop is aligned as what enters it and its steps are. */
function alignment(pointer: Value, joins: Set<Value>): number {
  const { base, offset } = baseOf(pointer);
  let align = 8;
  if (base.kind === "inst" && base.op === "alloca") align = base.align!;
  else if (base.kind === "inst" && base.op === "mapvalue") align = lowBit((base.offset ?? 0) | 8);
  else if (base.kind === "inst" && base.op === "ptradd")
    align = Math.min(alignment(base.args[0]!, joins), multipleOf(base.args[1]!));
  else if (base.kind === "inst" && base.op === "select")
    align = Math.min(alignment(base.args[1]!, joins), alignment(base.args[2]!, joins));
  else if (base.kind === "inst" && base.op === "phi" && !joins.has(base)) {
    joins.add(base);
    for (const arm of base.args) align = Math.min(align, alignment(arm, joins));
  }
  return Math.min(align, lowBit(offset | 8));
}

function lowBit(n: number): number {
  return n & -n;
}

/** The largest power of two up to 8 that divides an index. */
function multipleOf(index: Value): number {
  if (index.kind === "const") return lowBit(Number(index.value & 0xfn) | 8);
  if (index.kind !== "inst") return 1;
  const [a, b] = index.args;
  // Members lie aligned in every kernel as they do here.
  if (index.op === "core") return lowBit(Number(index.core!.value & 0xfn) | 8);
  if (index.op === "shl" && b!.kind === "const") return Math.min(8, 2 ** Number(b!.value & 3n));
  if (index.op === "mul") return Math.min(8, multipleOf(a!) * multipleOf(b!));
  if (index.op === "add" || index.op === "sub") return Math.min(multipleOf(a!), multipleOf(b!));
  if (index.op === "and") return Math.max(multipleOf(a!), multipleOf(b!));
  if ((index.op === "zext" || index.op === "sext") && index.bits! >= 8) return multipleOf(a!);
  return 1;
}

function lowerMemory(func: Func, module: Module): boolean {
  const gpl = /GPL/.test(module.license);
  const probeRead = helperByName("probe_read_kernel")!.id;
  return expandInsts(func, (inst, block) => {
    if (inst.op === "memset") {
      const [to] = inst.args as [Value];
      const out: Inst[] = [];
      if (inst.size! > FILL_INLINE_BYTES && inst.byte === 0 && gpl) {
        // Reading from address 0 fails at once, and a failing probe read leaves zeros.
        const at = pointerAt(func, block, to, inst.offset ?? 0, inst, out);
        const args = [at, constant(inst.size!), constant(0)];
        out.push(newInst(func, block, "helper", "i64", args, inst.position, { helper: probeRead }));
        return out;
      }
      const byte = BigInt(inst.byte! & 0xff);
      eachPiece(inst.size!, alignmentOf(to), inst.offset ?? 0, 0, 8, (at, bits) => {
        const value = (0x0101_0101_0101_0101n * byte) & ((1n << BigInt(bits)) - 1n);
        out.push(store(func, block, to, constant(value), bits, at, inst));
      });
      return out;
    }
    if (inst.op === "memcpy") {
      const [to, from] = inst.args as [Value, Value];
      const out: Inst[] = [];
      if (inst.size! > COPY_INLINE_BYTES && gpl) {
        const dst = pointerAt(func, block, to, inst.offset ?? 0, inst, out);
        const src = pointerAt(func, block, from, inst.fromOffset ?? 0, inst, out);
        const args = [dst, constant(inst.size!), src];
        out.push(newInst(func, block, "helper", "i64", args, inst.position, { helper: probeRead }));
        return out;
      }
      const shift = (inst.fromOffset ?? 0) - (inst.offset ?? 0);
      eachPiece(inst.size!, alignmentOf(to), inst.offset ?? 0, shift, alignmentOf(from), (at, bits) => {
        const value = newInst(func, block, "load", "i64", [from], inst.position, { bits, offset: at + shift });
        out.push(value, store(func, block, to, value, bits, at, inst));
      });
      return out;
    }
    return null;
  });
}

/** Operations that the verifier allows on pointers; all others get the address as a number. */
const ON_POINTERS: ReadonlySet<Op> = new Set<Op>(
  "add icmp inttoptr store helper kfunc call phi select asm opaque ptrtoint".split(" ") as Op[],
);

function lowerRawPointers(func: Func): boolean {
  let changed = false;
  for (const block of func.blocks) {
    const out: Inst[] = [];
    for (const inst of block.insts) {
      inst.args.forEach((arg, i) => {
        if (arg.kind !== "inst" || arg.op !== "ptrtoint" || !arg.raw) return;
        const other = inst.args[1 - i];
        const pair = other?.kind === "inst" && other.op === "ptrtoint" && other.raw === true;
        const whole = inst.op !== "store" || inst.bits === 64;
        if (
          inst.op === "sub" ? i === 0 || pair : inst.op === "add" ? !pair || i === 0 : whole && ON_POINTERS.has(inst.op)
        ) {
          return;
        }
        const number = newInst(func, block, "ptrtoint", "i64", [arg.args[0]!], inst.position);
        out.push(number);
        inst.args[i] = number;
        changed = true;
      });
      out.push(inst);
    }
    block.insts = out;
  }
  return changed;
}

function pointerAt(func: Func, block: Block, pointer: Value, offset: number, model: Inst, out: Inst[]): Value {
  if (offset === 0) return pointer;
  const at = newInst(func, block, "ptradd", "ptr", [pointer, constant(offset)], model.position);
  out.push(at);
  return at;
}

function store(func: Func, block: Block, to: Value, value: Value, bits: MemBits, offset: number, model: Inst): Inst {
  return newInst(func, block, "store", "void", [to, value], model.position, { bits, offset });
}

/** Cuts a range into the widest pieces that alignment allows on both sides; offsets are from the destination's pointer. */
export function eachPiece(
  size: number,
  align: number,
  offset: number,
  shift: number,
  fromAlign: number,
  piece: (offset: number, bits: MemBits) => void,
): void {
  let at = offset;
  const end = offset + size;
  while (at < end) {
    let width = Math.min(align, lowBit(at | 8), fromAlign, lowBit((at + shift) | 8));
    while (width > end - at) width >>= 1;
    piece(at, (width * 8) as MemBits);
    at += width;
  }
}

/** Signed division: the instruction where the target has it and the case of -1 is safe, otherwise by magnitudes. */
function lowerDivision(func: Func, target: KernelTarget): boolean {
  const replaced = new Map<Inst, Value>();
  expandInsts(func, (inst, block) => {
    if (inst.op !== "sdiv" && inst.op !== "srem") return null;
    const [a, b] = inst.args as [Value, Value];
    const divisor = b.kind === "const" ? signedValue(b) : null;
    const safe = target.safeSignedDivision || (divisor !== null && divisor !== -1n && divisor !== 0n);
    if (target.cpu === "v4" && safe) return null;
    const out: Inst[] = [];
    const type = inst.type;
    const make = (op: Op, x: Value, y: Value): Inst => {
      const made = newInst(func, block, op, type, [x, y], inst.position);
      out.push(made);
      return made;
    };
    const last = constant(type === "i32" ? 31 : 63, type);
    const signA = make("ashr", a, last);
    const absA = make("sub", make("xor", a, signA), signA);
    let absB: Value;
    let signB: Value;
    if (divisor !== null) {
      signB = constant(divisor < 0n ? -1 : 0, type);
      absB = constant(divisor < 0n ? -divisor : divisor, type);
    } else {
      signB = make("ashr", b, last);
      absB = make("sub", make("xor", b, signB), signB);
    }
    const quotient = make(inst.op === "sdiv" ? "udiv" : "urem", absA, absB);
    // A remainder takes the dividend's sign.
    let sign: Value = signA;
    if (inst.op === "sdiv") {
      if (divisor === null) sign = make("xor", signA, signB);
      else if (divisor < 0n) sign = make("xor", signA, constant(-1, type));
    }
    replaced.set(inst, make("sub", make("xor", quotient, sign), sign));
    return out;
  });
  substitute(func, replaced);
  return replaced.size > 0;
}

function lowerMayGoto(func: Func): boolean {
  const loops = func.blocks.filter((b) => b.terminator?.kind === "maygoto");
  if (loops.length === 0) return false;
  const entry = func.blocks[0]!;
  const size = func.blocks.reduce((sum, b) => sum + b.insts.length + 1, 0);
  const limit = Math.max(16, Math.min(COUNTED_LOOP_LIMIT, Math.floor(COUNTED_LOOP_BUDGET / size)));
  for (const block of loops) {
    const t = block.terminator;
    if (t?.kind !== "maygoto") continue;
    const make = (op: Op, type: IrType, args: Value[], rest: Partial<Inst> = {}): Inst => {
      const inst = newInst(func, block, op, type, args, t.position, rest);
      block.insts.push(inst);
      return inst;
    };
    const counter = newInst(func, entry, "alloca", "ptr", [], null, { size: 8, align: 8, name: "loop budget" });
    const start = newInst(func, entry, "store", "void", [counter, constant(limit)], null, { bits: 64, offset: 0 });
    let at = entry.insts.findIndex((i) => i.op !== "alloca");
    if (at === -1) at = entry.insts.length;
    entry.insts.splice(at, 0, counter, start);
    const left = make("load", "i64", [counter], { bits: 64, offset: 0 });
    const next = make("sub", "i64", [left, constant(1)]);
    make("store", "void", [counter, next], { bits: 64, offset: 0 });
    const over = make("icmp", "i1", [next, constant(0)], { predicate: "eq" });
    block.terminator = {
      kind: "branch",
      condition: over,
      then: t.exit,
      else: t.body,
      likely: "else",
      position: t.position,
    };
  }
  return true;
}
