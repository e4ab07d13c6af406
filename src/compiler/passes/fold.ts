/**
 * Simplification of single instructions: constants, identities, canonical forms, narrower knowledge of bits.
 * It knows of values only what the verifier knows too (widths of loads, masks, shifts): a bound that only we can see must stay in the code.
 */
import { KCONFIG_MAP } from "../../object/index.ts";
import { CoreKind } from "../../btf/index.ts";
import { reversePostorder, usersOf } from "../analysis.ts";
import { constant, signedValue } from "../builder.ts";
import type { Block, Const, Func, Inst, IrType, Op, Value } from "../ir.ts";
import { COMMUTATIVE, INVERSE, isBinary, MIRROR } from "../ops.ts";
import { compare, evaluate } from "./evaluate.ts";
import { newInst } from "./rewrite.ts";

const WIDTH: Record<IrType, number> = { i1: 1, i32: 32, i64: 64, ptr: 64, void: 0 };
const ASSOCIATIVE: ReadonlySet<Op> = new Set<Op>(["add", "mul", "and", "or", "xor"]);

/** Simplifies until nothing changes. Returns true when anything did. */
export function fold(func: Func): boolean {
  let any = false;
  for (let round = 0; round < 12; round++) {
    if (!new Folder(func).run()) break;
    any = true;
  }
  return any;
}

/** How many low bits of a value may be set, as far as loads, masks and shifts tell. */
export function maxBits(value: Value, depth = 0): number {
  const full = WIDTH[value.type];
  if (value.kind === "const") return value.value.toString(2).length - (value.value === 0n ? 1 : 0);
  if (value.kind !== "inst" || depth > 6) return full;
  const of = (i: number): number => maxBits(value.args[i]!, depth + 1);
  const second = value.args[1];
  const amount = second?.kind === "const" ? Number(second.value & 63n) : null;
  switch (value.op) {
    case "load":
      return value.signed ? full : Math.min(full, value.bits!);
    case "zext":
      return Math.min(value.bits!, of(0));
    case "trunc":
      return Math.min(32, of(0));
    case "and":
      return Math.min(of(0), of(1));
    case "or":
    case "xor":
      return Math.max(of(0), of(1));
    case "shl":
      return amount === null ? full : Math.min(full, of(0) + amount);
    case "lshr":
      // By an unknown amount the verifier gives up, although the result can only be smaller.
      return amount === null ? full : Math.max(0, of(0) - amount);
    case "select":
      return Math.max(of(1), of(2));
    case "phi":
      // Two levels at most: phis of phis would be asked over and over.
      return Math.max(0, ...value.args.map((a) => (a === value ? 0 : maxBits(a, depth + 3))));
    case "core":
      // Offsets, sizes and answers stay small in every kernel; enumerators may be any number.
      return value.core!.kind !== CoreKind.ENUMVAL_VALUE && value.core!.value <= 0x7fff_ffffn ? 31 : full;
    default:
      return full;
  }
}

class Folder {
  private readonly func: Func;
  private readonly replaced = new Map<Inst, Value>();
  private readonly uses: Map<Inst, number>;
  private block!: Block;
  private out: Inst[] = [];
  private current!: Inst;
  private changed = false;

  constructor(func: Func) {
    this.func = func;
    this.uses = new Map([...usersOf(func)].map(([inst, u]) => [inst, u.insts.length + u.terminators.length]));
  }

  private resolve(value: Value): Value {
    let v = value;
    while (v.kind === "inst") {
      const next = this.replaced.get(v);
      if (!next) break;
      v = next;
    }
    return v;
  }

  run(): boolean {
    for (const block of reversePostorder(this.func)) {
      this.block = block;
      this.out = [];
      for (const inst of block.insts) {
        this.current = inst;
        for (let i = 0; i < inst.args.length; i++) inst.args[i] = this.resolve(inst.args[i]!);
        const value = this.simplify(inst);
        if (value === "gone") {
          this.changed = true;
          inst.block = null;
        } else if (value && value !== inst) {
          this.changed = true;
          this.replaced.set(inst, value);
          this.addUses(value, this.uses.get(inst) ?? 0);
          inst.block = null;
        } else this.out.push(inst);
      }
      block.insts = this.out;
    }
    for (const block of this.func.blocks) {
      for (const inst of block.insts) {
        for (let i = 0; i < inst.args.length; i++) inst.args[i] = this.resolve(inst.args[i]!);
      }
      const t = block.terminator;
      if (t?.kind === "branch") this.foldBranch(t);
      else if (t?.kind === "return" && t.value) t.value = this.resolve(t.value);
    }
    return this.changed;
  }

  private foldBranch(t: Extract<NonNullable<Block["terminator"]>, { kind: "branch" }>): void {
    t.condition = this.resolve(t.condition);
    const c = t.condition;
    const negation = c.kind === "inst" && c.op === "icmp" && c.predicate === "eq" && c.args[0]!.type === "i1";
    if (negation && c.args[1]!.kind === "const" && (c.args[1] as Const).value === 0n) {
      t.condition = c.args[0]!;
      [t.then, t.else] = [t.else, t.then];
      if (t.likely) t.likely = t.likely === "then" ? "else" : "then";
      this.changed = true;
    }
  }

  /** A new instruction in front of the current one. */
  private make(op: Op, type: IrType, args: Value[], rest: Partial<Inst> = {}): Value {
    const inst = newInst(this.func, this.block, op, type, args, this.current.position, rest);
    for (const arg of args) this.addUses(arg, 1);
    const value = this.simplify(inst);
    if (value && value !== "gone") return value;
    this.out.push(inst);
    return inst;
  }

  /** Counts never fall within a round: what rests on a single use must be sure of it. */
  private addUses(value: Value, count: number): void {
    if (value.kind === "inst") this.uses.set(value, (this.uses.get(value) ?? 0) + count);
  }

  private usedOnce(value: Value): boolean {
    return value.kind === "inst" && this.uses.get(value) === 1;
  }

  /** What the instruction is worth instead of itself; null when it stays (perhaps changed in place). */
  private simplify(inst: Inst): Value | "gone" | null {
    const args = inst.args;
    if (
      args.length > 0 &&
      args.every((a): a is Const => a.kind === "const") &&
      inst.op !== "phi" &&
      inst.op !== "opaque"
    ) {
      const value = inst.op === "ptradd" ? null : evaluate(inst, args);
      if (value && value.type === inst.type) return value;
    }
    if (isBinary(inst.op)) return this.binary(inst);
    switch (inst.op) {
      case "icmp":
        return this.icmp(inst);
      case "select":
        return this.select(inst);
      case "zext":
        return this.zext(inst);
      case "sext":
        return this.sext(inst);
      case "trunc":
        return this.trunc(inst);
      case "phi": {
        const others = args.filter((a) => a !== inst);
        const [first] = others;
        if (first && others.every((a) => same(a, first))) return first;
        return null;
      }
      case "ptradd":
        return this.ptradd(inst);
      case "ptrdiff":
        return args[0] === args[1] ? constant(0) : null;
      case "ptrtoint": {
        const number = undo(args[0]!, "inttoptr");
        // What came as a raw register is a pointer still.
        return number && !inst.raw && isRaw(number) ? this.make("ptrtoint", "i64", [number.args[0]!]) : number;
      }
      case "inttoptr":
        return undo(args[0]!, "ptrtoint");
      case "bswap":
        return null;
      case "load":
      case "store":
      case "atomic":
      case "memset":
        if (inst.op === "memset" && inst.size === 0) return "gone";
        this.foldOffset(inst, 0, "offset");
        return inst.op === "store" ? this.store(inst) : null;
      case "memcpy":
        if (inst.size === 0) return "gone";
        this.foldOffset(inst, 0, "offset");
        this.foldOffset(inst, 1, "fromOffset");
        return null;
      default:
        return null;
    }
  }

  private foldOffset(inst: Inst, index: number, field: "offset" | "fromOffset"): void {
    const p = inst.args[index]!;
    const step = p.kind === "inst" && p.op === "ptradd" ? constArg(p, 1) : null;
    if (p.kind !== "inst" || !step) return;
    const sum = (inst[field] ?? 0) + Number(signedValue(step));
    if (sum < -0x8000 || sum > 0x7fff) return;
    inst.args[index] = p.args[0]!;
    inst[field] = sum;
    this.changed = true;
  }

  /** A store keeps only as many bits as it is wide: extensions and masks of its value are idle. */
  private store(inst: Inst): null {
    const v = inst.args[1]!;
    if (v.kind !== "inst" || inst.bits === 64) return null;
    const bits = inst.bits!;
    const wide = (v.op === "zext" || v.op === "sext") && v.bits! >= bits && v.args[0]!.type !== "i1";
    const mask = v.op === "and" ? constArg(v, 1) : null;
    const masked = mask !== null && BigInt.asUintN(bits, mask.value) === (1n << BigInt(bits)) - 1n;
    if (wide || masked || v.op === "trunc") {
      inst.args[1] = v.args[0]!;
      this.changed = true;
    }
    return null;
  }

  private ptradd(inst: Inst): Value | null {
    const [p, offset] = inst.args as [Value, Value];
    if (offset.kind !== "const") return this.stepBack(p, offset);
    if (offset.value === 0n) return p;
    const step = p.kind === "inst" && p.op === "ptradd" ? constArg(p, 1) : null;
    if (p.kind === "inst" && step) {
      inst.args = [p.args[0]!, constant(signedValue(step) + signedValue(offset))];
      this.changed = true;
    } else if (p.kind === "inst" && p.op === "mapvalue" && p.map !== KCONFIG_MAP) {
      // Addresses of options are those of whole ones: loaders know no byte within.
      return this.make("mapvalue", "ptr", [], { map: p.map!, offset: (p.offset ?? 0) + Number(signedValue(offset)) });
    }
    return null;
  }

  /** `(p + 12) + (0 - x)` is `p + (12 - x)`: the verifier follows no pointer back by a variable. */
  private stepBack(p: Value, offset: Value): Value | null {
    const from = offset.kind === "inst" && offset.op === "sub" ? offset.args[0]! : null;
    if (from?.kind !== "const" || p.kind !== "inst" || offset.kind !== "inst") return null;
    const step = p.op === "ptradd" ? constArg(p, 1) : null;
    const inMap = p.op === "mapvalue" && (p.offset ?? 0) > 0 && p.map !== KCONFIG_MAP;
    if (!step && !inMap) return null;
    const base = step ? p.args[0]! : this.make("mapvalue", "ptr", [], { map: p.map!, offset: 0 });
    const sum = signedValue(from) + (step ? signedValue(step) : BigInt(p.offset!));
    return this.make("ptradd", "ptr", [base, this.make("sub", "i64", [constant(sum), offset.args[1]!])]);
  }

  private binary(inst: Inst): Value | null {
    const { op, type } = inst;
    if (COMMUTATIVE.has(op) && inst.args[0]!.kind === "const" && inst.args[1]!.kind !== "const") {
      inst.args.reverse();
      this.changed = true;
    }
    const [a, b] = inst.args as [Value, Value];
    const pointed = this.rawPointers(inst, a, b);
    if (pointed) return pointed;
    const zero = constant(0, type);
    if (same(a, b)) {
      if (op === "sub" || op === "xor") return zero;
      if (op === "and" || op === "or") return a;
    }
    if (b.kind !== "const") {
      if (a.kind === "const" && a.value === 0n && (op === "shl" || op === "lshr" || op === "ashr")) return zero;
      return null;
    }
    const chosen = this.usedOnce(a) ? constantChoice(a) : null;
    if (chosen) {
      const [c, x, y] = chosen;
      return this.make("select", type, [c, evaluate(inst, [x, b])!, evaluate(inst, [y, b])!]);
    }
    const value = b.value;
    const signed = signedValue(b);
    const ones = (1n << BigInt(WIDTH[type])) - 1n;
    if (op === "sub") return this.make("add", type, [a, constant(-signed, type)]);
    if (value === 0n) {
      if (op === "add" || op === "or" || op === "xor" || op === "shl" || op === "lshr" || op === "ashr") return a;
      if (op === "urem" || op === "srem") return a;
      return zero;
    }
    if (value === 1n) {
      if (op === "mul" || op === "udiv" || op === "sdiv") return a;
      if (op === "urem" || op === "srem") return zero;
    }
    if (value === ones) {
      if (op === "and") return a;
      if (op === "or") return b;
      if (op === "sdiv" || op === "mul") return this.make("sub", type, [zero, a]);
      if (op === "srem") return zero;
    }
    const power = powerOfTwo(value);
    if (power !== null) {
      if (op === "mul") return this.make("shl", type, [a, constant(power, type)]);
      if (op === "udiv") return this.make("lshr", type, [a, constant(power, type)]);
      if (op === "urem") return this.make("and", type, [a, constant(value - 1n, type)]);
    }
    if (op === "and") {
      const bits = maxBits(a);
      const mask = (1n << BigInt(bits)) - 1n;
      if ((value & mask) === mask) return a;
      if ((value & mask) === 0n) return zero;
    }
    if ((op === "shl" || op === "lshr" || op === "ashr") && value >= BigInt(WIDTH[type])) {
      inst.args[1] = constant(value & BigInt(WIDTH[type] - 1), type);
      this.changed = true;
      return null;
    }
    if (op === "lshr" && Number(value) >= maxBits(a)) return zero;
    const inner = a.kind === "inst" ? constArg(a, 1) : null;
    if (a.kind === "inst" && a.op === op && inner) {
      if (ASSOCIATIVE.has(op)) {
        const both = evaluate(inst, [inner, b])!;
        return this.make(op, type, [a.args[0]!, both]);
      }
      if (op === "shl" || op === "lshr" || op === "ashr") {
        const total = inner.value + value;
        const width = BigInt(WIDTH[type]);
        if (inner.value >= width) return null;
        if (total < width) return this.make(op, type, [a.args[0]!, constant(total, type)]);
        return op === "ashr" ? this.make(op, type, [a.args[0]!, constant(width - 1n, type)]) : zero;
      }
    }
    // (x << n) >> n is a mask of the low bits, which the verifier follows better.
    if (op === "lshr" && a.kind === "inst" && a.op === "shl" && inner?.value === value) {
      if (type === "i64" && value === 32n) return this.make("zext", "i64", [a.args[0]!], { bits: 32 });
      return this.make("and", type, [a.args[0]!, constant(ones >> value, type)]);
    }
    return null;
  }

  /** Arithmetic of pointers held as numbers is arithmetic of pointers. */
  private rawPointers(inst: Inst, a: Value, b: Value): Value | null {
    const { op } = inst;
    if (op !== "add" && op !== "sub") return null;
    const raw = (p: Inst, offset: Value): Value =>
      this.make("ptrtoint", "i64", [this.make("ptradd", "ptr", [p.args[0]!, offset])], { raw: true });
    if (isRaw(a) && isRaw(b)) return op === "sub" ? this.make("ptrdiff", "i64", [a.args[0]!, b.args[0]!]) : null;
    if (op === "sub") return isRaw(a) && b.kind === "const" ? raw(a, constant(-signedValue(b))) : null;
    return isRaw(a) ? raw(a, b) : isRaw(b) ? raw(b, a) : null;
  }

  private icmp(inst: Inst): Value | null {
    let [a, b] = inst.args as [Value, Value];
    if (a.kind === "const" && b.kind !== "const") {
      [a, b] = [b, a];
      inst.args = [a, b];
      inst.predicate = MIRROR[inst.predicate!];
      this.changed = true;
    }
    const p = inst.predicate!;
    if (isRaw(a) && !p.startsWith("s")) {
      if (isRaw(b)) return this.make("icmp", "i1", [a.args[0]!, b.args[0]!], { predicate: p });
      const equality = p === "eq" || p === "ne";
      if (equality && b.kind === "const" && b.value === 0n) {
        return this.make("icmp", "i1", [a.args[0]!, constant(0, "ptr")], { predicate: p });
      }
    }
    const truth = (v: boolean): Const => constant(v ? 1 : 0, "i1");
    if (same(a, b)) return truth(p === "eq" || p.endsWith("e") ? p !== "ne" : false);
    if (b.kind !== "const") return null;
    if (b.type === "ptr" && b.value === 0n && (p === "eq" || p === "ne") && isPlace(a)) return truth(p === "ne");
    const type = b.type;
    const ones = (1n << BigInt(WIDTH[type])) - 1n;
    if (type === "i1") {
      const positive = (p === "ne") === (b.value === 0n);
      if (p !== "eq" && p !== "ne") return null;
      if (positive) return a;
      if (a.kind === "inst" && a.op === "icmp") {
        return this.make("icmp", "i1", [...a.args], { predicate: INVERSE[a.predicate!] });
      }
      if (p === "ne" || b.value === 1n) return this.make("icmp", "i1", [a, constant(0, "i1")], { predicate: "eq" });
      return null;
    }
    if (b.value === 0n) {
      if (p === "ult") return truth(false);
      if (p === "uge") return truth(true);
    }
    if (type !== "ptr") {
      if (p === "ult" && b.value === 1n) return this.make("icmp", "i1", [a, constant(0, type)], { predicate: "eq" });
      if (p === "uge" && b.value === 1n) return this.make("icmp", "i1", [a, constant(0, type)], { predicate: "ne" });
      if (p === "ugt" && b.value === 0n) return this.make("icmp", "i1", [a, b], { predicate: "ne" });
      if (p === "ule" && b.value === 0n) return this.make("icmp", "i1", [a, b], { predicate: "eq" });
      if (b.value === ones && p === "ugt") return truth(false);
      if (b.value === ones && p === "ule") return truth(true);
      const most = (1n << BigInt(maxBits(a))) - 1n;
      if (most < b.value) {
        if (p === "eq" || p === "ugt" || p === "uge") return truth(false);
        if (p === "ne" || p === "ult" || p === "ule") return truth(true);
      }
    }
    if (a.kind !== "inst") return null;
    const equality = p === "eq" || p === "ne";
    // A widened value compares as it was: phis and their comparisons then stand side by side for jump threading.
    const widened = a.op === "zext" && a.bits === 32 && a.args[0]!.type === "i32" && a.type === "i64";
    if (widened && !p.startsWith("s") && b.value <= 0x7fff_ffffn) {
      return this.make("icmp", "i1", [a.args[0]!, constant(b.value, "i32")], { predicate: p });
    }
    if (equality && a.op === "sext" && this.usedOnce(a)) {
      const bits = a.bits as 8 | 16 | 32;
      const fits = BigInt.asUintN(WIDTH[type], BigInt.asIntN(bits, b.value)) === b.value;
      const low = this.make("zext", a.type as "i32" | "i64", [a.args[0]!], { bits });
      return fits
        ? this.make("icmp", "i1", [low, constant(BigInt.asUintN(bits, b.value), type)], { predicate: p })
        : truth(p === "ne");
    }
    if (equality && a.op === "zext" && a.args[0]!.type === "i1") {
      if (b.value > 1n) return truth(p === "ne");
      return this.make("icmp", "i1", [a.args[0]!, constant(b.value, "i1")], { predicate: p });
    }
    const chosen = a.op === "select" ? constantChoice(a) : null;
    if (chosen) {
      const [c, x, y] = chosen;
      const hitX = compare(p, x, b);
      const hitY = compare(p, y, b);
      if (hitX === hitY) return truth(hitX);
      return hitX ? c : this.make("icmp", "i1", [c, constant(0, "i1")], { predicate: "eq" });
    }
    if (equality && b.value === 0n && (a.op === "xor" || a.op === "sub") && this.usedOnce(a)) {
      return this.make("icmp", "i1", [...a.args], { predicate: p });
    }
    const added = a.op === "add" ? constArg(a, 1) : null;
    if (equality && added && this.usedOnce(a)) {
      const rest = constant(b.value - added.value, type);
      return this.make("icmp", "i1", [a.args[0]!, rest], { predicate: p });
    }
    return null;
  }

  private select(inst: Inst): Value | null {
    const [c, a, b] = inst.args as [Value, Value, Value];
    if (c.kind === "const") return c.value !== 0n ? a : b;
    if (same(a, b)) return a;
    if (a.kind === "const" && b.kind === "const" && a.value === 1n && b.value === 0n) {
      if (inst.type === "i1") return c;
      if (inst.type !== "ptr") return this.make("zext", inst.type, [c], { bits: 1 });
    }
    if (c.kind === "inst" && c.op === "icmp" && c.predicate === "eq" && c.args[0]!.type === "i1") {
      inst.args = [c.args[0]!, b, a];
      this.changed = true;
    }
    return null;
  }

  private zext(inst: Inst): Value | null {
    const a = inst.args[0]!;
    const bits = inst.bits!;
    if (a.type === "i1") return null;
    if (maxBits(a) <= bits) {
      if (a.type === inst.type) return a;
      if (inst.type === "i32") return this.make("trunc", "i32", [a]);
      if (bits !== 32) return this.make("zext", "i64", [a], { bits: 32 });
    }
    // A full-width extension of a truncation stays: it shares the register whose bounds the program checked.
    const inner = a.kind === "inst" && a.op === "zext" && a.bits! >= bits && a.args[0]!.type !== "i1";
    if (a.kind === "inst" && (inner || (a.op === "trunc" && bits < 32))) {
      return this.make("zext", inst.type, [a.args[0]!], { bits });
    }
    return null;
  }

  private sext(inst: Inst): Value | null {
    const a = inst.args[0]!;
    const bits = inst.bits!;
    if (maxBits(a) < bits) return this.make("zext", inst.type, [a], { bits: bits as 8 | 16 | 32 });
    if (inst.type === "i32" && bits === 32) return a.type === "i32" ? a : this.make("trunc", "i32", [a]);
    if (a.kind !== "inst") return null;
    if (a.op === "load" && a.bits === bits && !a.signed && this.usedOnce(a) && a.block === this.block && !a.volatile) {
      // The load is this extension's alone: it extends by itself.
      a.signed = true;
      (a as { type: IrType }).type = inst.type;
      this.changed = true;
      return a;
    }
    if (a.op === "trunc" || ((a.op === "zext" || a.op === "sext") && a.bits! >= bits && a.args[0]!.type !== "i1")) {
      return this.make("sext", inst.type, [a.args[0]!], { bits: bits as 8 | 16 | 32 });
    }
    // One extension from the narrowest: the verifier loses the bounds between two.
    if (a.op === "sext") return this.make("sext", inst.type, [a.args[0]!], { bits: a.bits as 8 | 16 | 32 });
    if (a.op === "load" && a.signed && a.bits! < bits && inst.type === "i64" && this.usedOnce(a)) {
      if (a.block !== this.block || a.volatile) return null;
      (a as { type: IrType }).type = "i64";
      this.changed = true;
      return a;
    }
    return null;
  }

  private trunc(inst: Inst): Value | null {
    const a = inst.args[0]!;
    if (a.kind !== "inst") return null;
    if (a.op === "zext" || a.op === "sext") {
      const source = a.args[0]!;
      if (source.type === "i1") return this.make("zext", "i32", [source], { bits: 1 });
      if (a.bits === 32) return source.type === "i32" ? source : this.make("trunc", "i32", [source]);
      return this.make(a.op, "i32", [source], { bits: a.bits as 8 | 16 });
    }
    if (a.op === "load" && a.bits! <= 32 && this.usedOnce(a) && a.block === this.block && !a.volatile && !a.signed) {
      (a as { type: IrType }).type = "i32";
      this.changed = true;
      return a;
    }
    return null;
  }
}

/** Condition and both values of a choice between constants. */
function constantChoice(value: Value): [Value, Const, Const] | null {
  if (value.kind !== "inst") return null;
  const [c, x, y] = value.args;
  if (value.op === "zext" && c!.type === "i1") return [c!, constant(1, value.type), constant(0, value.type)];
  return value.op === "select" && x?.kind === "const" && y?.kind === "const" ? [c!, x, y] : null;
}

/** True for a pointer that is held as a number and that the verifier still knows. */
function isRaw(value: Value): value is Inst {
  return value.kind === "inst" && value.op === "ptrtoint" && value.raw === true;
}

/** The operand of a conversion that this one takes back. */
function undo(value: Value, op: Op): Value | null {
  return value.kind === "inst" && value.op === op ? value.args[0]! : null;
}

function constArg(inst: Inst, index: number): Const | null {
  const arg = inst.args[index];
  return arg?.kind === "const" ? arg : null;
}

function same(a: Value, b: Value): boolean {
  return a === b || (a.kind === "const" && b.kind === "const" && a.type === b.type && a.value === b.value);
}

function powerOfTwo(value: bigint): number | null {
  return value > 0n && (value & (value - 1n)) === 0n ? value.toString(2).length - 1 : null;
}

/** Addresses that are never null: of maps, of their values, of variables and functions. */
const PLACES: ReadonlySet<Op> = new Set<Op>(["alloca", "mapref", "mapvalue", "funcref"]);

function isPlace(value: Value): boolean {
  return value.kind === "inst" && PLACES.has(value.op);
}
