/**
 * Instruction selection: IR of one function to machine code with virtual registers.
 *
 * What the verifier insists on is decided here. An i32 always sits zero-extended in its register, so widening costs nothing and unsigned
 * 32-bit comparisons run on the whole register, where the verifier keeps its bounds; 32-bit division runs as 64-bit for the same reason.
 * Constant offsets stay in the memory access (a context pointer may not be moved), addresses of the frame are made where they are used.
 */
import { SkepError } from "../../base/index.ts";
import { baseOf, findLoops, phisOf, predecessors, usersOf } from "../analysis.ts";
import type { Predecessors, Users } from "../analysis.ts";
import type { BinaryOp, Block, Func, Inst, Param, Position, Predicate, Value } from "../ir.ts";
import { COMMUTATIVE, INVERSE, isBinary, MIRROR } from "../ops.ts";
import type { KernelTarget } from "../target.ts";
import { Alu, Atomic, Bpf, FIRST_VIRTUAL, FP, Jump, PseudoLoad } from "./machine.ts";
import {
  ALU_OF,
  ATOMIC_OF,
  fits16,
  fits32,
  isAddress,
  isLeaf,
  JUMP_OF,
  MASK32,
  onlyLowHalfRead,
  registerValue,
  sequenceCopies,
  SIZE_OF,
  type Condition,
  type Copy,
} from "./select-tables.ts";
import type { FrameObject, MBlock, MFunc, MInst, MTerm, Reg, Symbol } from "./machine.ts";

/** Turns one function into machine code. `allocaFrames` receives the frame object of every alloca. */
export function selectInstructions(
  func: Func,
  target: KernelTarget,
  allocaFrames: Map<Inst, FrameObject> = new Map(),
): MFunc {
  return new Selector(func, target, allocaFrames).run();
}

class Selector {
  private readonly func: Func;
  private readonly target: KernelTarget;
  private readonly frames: Map<Inst, FrameObject>;
  private readonly out: MFunc;
  private readonly users: Map<Inst, Users>;
  private readonly regs = new Map<Inst | Param, Reg>();
  private readonly first = new Map<Block, MBlock>();
  private readonly preds: Predecessors;
  private current!: MBlock;
  private position: Position | null = null;
  private depth = 0;
  private nextBlock = 0;

  constructor(func: Func, target: KernelTarget, frames: Map<Inst, FrameObject>) {
    this.func = func;
    this.target = target;
    this.frames = frames;
    this.users = usersOf(func);
    this.preds = predecessors(func);
    this.out = { name: func.name, blocks: [], nextReg: FIRST_VIRTUAL, frame: [], remat: new Map() };
  }

  run(): MFunc {
    const { depth } = findLoops(this.func);
    for (const block of this.func.blocks) {
      this.depth = depth.get(block) ?? 0;
      this.first.set(block, this.newBlock());
      for (const inst of block.insts) {
        if (inst.op === "alloca") {
          const frame: FrameObject = {
            size: inst.size!,
            align: inst.align!,
            name: inst.name ?? `%${inst.id}`,
            offset: 0,
          };
          this.frames.set(inst, frame);
          this.out.frame.push(frame);
        }
      }
    }
    for (const block of this.func.blocks) {
      this.depth = depth.get(block) ?? 0;
      this.current = this.first.get(block)!;
      this.out.blocks.push(this.current);
      this.position = block.insts[0]?.position ?? null;
      if (block === this.func.blocks[0]) this.receiveParams();
      if (this.preds.get(block)!.length === 1) {
        this.parallelCopies(phisOf(block).map((phi) => ({ dst: this.regFor(phi), value: phi.args[0]! })));
      }
      for (const inst of block.insts) {
        this.position = inst.position ?? this.position;
        this.select(inst);
      }
      this.terminate(block);
    }
    return this.out;
  }

  private newBlock(): MBlock {
    return { id: this.nextBlock++, insts: [], term: { kind: "exit", value: false }, position: null, depth: this.depth };
  }

  private newReg(): Reg {
    return this.out.nextReg++;
  }

  private push(code: number, dst: Reg, src: Reg, off: number, imm: number, rest: Partial<MInst> = {}): MInst {
    const inst: MInst = { code, dst, src, off, imm, position: this.position, ...rest };
    this.current.insts.push(inst);
    return inst;
  }

  private endBlock(term: MTerm): void {
    this.current.term = term;
    this.current.position = this.position;
  }

  private startBlock(block: MBlock): void {
    this.current = block;
    this.out.blocks.push(block);
  }

  private regFor(value: Inst | Param): Reg {
    let reg = this.regs.get(value);
    if (reg === undefined) this.regs.set(value, (reg = this.newReg()));
    return reg;
  }

  private receiveParams(): void {
    for (const p of this.func.params) {
      const wide = p.type === "i64" || p.type === "ptr" || this.func.role !== "callback";
      // The kernel calls callbacks with 64-bit registers whose upper halves are its own business.
      this.push((wide ? Bpf.ALU64 : Bpf.ALU) | Bpf.X | Alu.MOV, this.regFor(p), 1 + p.index, 0, 0);
    }
  }

  /** Follows values that sit in the very register of another one. */
  private canonical(value: Value): Value {
    let v = value;
    while (v.kind === "inst") {
      const arg = v.args[0];
      if (v.op === "opaque" || v.op === "inttoptr") v = arg!;
      else if (v.op === "zext" && (arg!.type === "i1" || (arg!.type === "i32" && v.bits === 32))) v = arg!;
      else if (v.op === "trunc" && this.readsLowHalfOnly(v)) v = arg!;
      else break;
    }
    return v;
  }

  private readonly lowHalf = new Map<Inst, boolean>();

  private readsLowHalfOnly(trunc: Inst): boolean {
    let known = this.lowHalf.get(trunc);
    if (known === undefined) this.lowHalf.set(trunc, (known = onlyLowHalfRead(this.users.get(trunc))));
    return known;
  }

  /** A register that holds the value; a fresh one for constants and addresses. */
  private use(value: Value): Reg {
    const v = this.canonical(value);
    if (isLeaf(v) || isAddress(v)) {
      const reg = this.newReg();
      this.moveInto(reg, v);
      return reg;
    }
    return this.regFor(v as Inst | Param);
  }

  private moveInto(dst: Reg, value: Value): void {
    const v = this.canonical(value);
    if (v.kind === "const") this.loadConstant(dst, registerValue(v));
    else if (v.kind === "inst" && v.op === "mapref") this.loadSymbol(dst, { kind: "map", map: v.map! });
    else if (v.kind === "inst" && v.op === "funcref") this.loadSymbol(dst, { kind: "func", func: v.callee! });
    else if (isAddress(v)) {
      const { base, offset } = this.baseAddress(v);
      if (base.kind === "inst" && base.op === "alloca") {
        this.push(Bpf.ALU64 | Bpf.X | Alu.MOV, dst, FP, 0, 0);
        this.push(Bpf.ALU64 | Alu.ADD, dst, 0, 0, offset, { frame: this.frames.get(base)! });
      } else {
        this.moveInto(dst, base);
        if (offset !== 0) this.addConstant(dst, offset);
      }
    } else this.push(Bpf.ALU64 | Bpf.X | Alu.MOV, dst, this.use(v), 0, 0);
  }

  private addConstant(dst: Reg, offset: number): void {
    if (fits32(BigInt(offset))) this.push(Bpf.ALU64 | Alu.ADD, dst, 0, 0, offset);
    else {
      const reg = this.newReg();
      this.loadConstant(reg, BigInt(offset));
      this.push(Bpf.ALU64 | Bpf.X | Alu.ADD, dst, reg, 0, 0);
    }
  }

  private loadConstant(dst: Reg, value: bigint): void {
    if (fits32(value)) this.push(Bpf.ALU64 | Alu.MOV, dst, 0, 0, Number(value));
    else if (value >= 0n && value <= MASK32) this.push(Bpf.ALU | Alu.MOV, dst, 0, 0, Number(BigInt.asIntN(32, value)));
    else this.push(Bpf.LD_IMM64, dst, 0, 0, 0, { imm64: value });
  }

  private loadSymbol(dst: Reg, symbol: Symbol): MInst {
    const src =
      symbol.kind === "map" ? PseudoLoad.MAP_FD : symbol.kind === "map-value" ? PseudoLoad.MAP_VALUE : PseudoLoad.FUNC;
    return this.push(Bpf.LD_IMM64, dst, src, 0, 0, { imm64: 0n, symbol });
  }

  private baseAddress(pointer: Value): { base: Value; offset: number } {
    let { base, offset } = baseOf(pointer);
    // A copy in between (opaque, inttoptr) hides nothing from the offset.
    for (let next = this.canonical(base); next !== base; next = this.canonical(base)) {
      const more = baseOf(next);
      base = more.base;
      offset += more.offset;
    }
    return { base, offset };
  }

  /** Register, offset and frame object for an access at `pointer + extra`. */
  private address(pointer: Value, extra: number): { reg: Reg; off: number; frame?: FrameObject } {
    const { base, offset } = this.baseAddress(pointer);
    const off = offset + extra;
    if (base.kind === "inst" && base.op === "alloca") return { reg: FP, off, frame: this.frames.get(base)! };
    if (fits16(off)) return { reg: this.use(base), off };
    const reg = this.newReg();
    this.moveInto(reg, base);
    this.addConstant(reg, off);
    return { reg, off: 0 };
  }

  private select(inst: Inst): void {
    if (isBinary(inst.op)) return this.selectBinary(inst, inst.op);
    switch (inst.op) {
      case "phi":
      case "alloca":
      case "mapref":
      case "funcref":
      case "opaque":
      case "inttoptr":
        return;
      case "mapvalue": {
        const made = this.loadSymbol(this.regFor(inst), {
          kind: "map-value",
          map: inst.map!,
          offset: inst.offset ?? 0,
        });
        this.out.remat.set(made.dst, made);
        return;
      }
      case "ptradd":
        if (inst.args[1]!.kind === "const") return;
        return this.selectPointerAdd(inst);
      case "icmp":
        if (this.needsValue(inst)) this.materialise(inst);
        return;
      case "select":
        return this.selectSelect(inst);
      case "zext":
        if (this.canonical(inst) !== inst) return;
        return this.selectZext(inst);
      case "sext":
        return this.signExtend(this.regFor(inst), this.use(inst.args[0]!), inst.bits!, inst.type === "i32");
      case "trunc":
        if (this.canonical(inst) !== inst) return;
        this.push(Bpf.ALU | Bpf.X | Alu.MOV, this.regFor(inst), this.use(inst.args[0]!), 0, 0);
        return;
      case "bswap":
        this.moveInto(this.regFor(inst), inst.args[0]!);
        this.push(Bpf.ALU | Bpf.X | Alu.END, this.regFor(inst), 0, 0, inst.bits!);
        return;
      case "ptrtoint":
        // Converting to the machine's own byte order changes no bit, and makes a number of a pointer in the verifier's eyes.
        this.moveInto(this.regFor(inst), inst.args[0]!);
        this.push(Bpf.ALU | Alu.END, this.regFor(inst), 0, 0, 64);
        return;
      case "ptrdiff":
        this.moveInto(this.regFor(inst), inst.args[0]!);
        this.push(Bpf.ALU64 | Bpf.X | Alu.SUB, this.regFor(inst), this.use(inst.args[1]!), 0, 0);
        return;
      case "load":
        return this.selectLoad(inst);
      case "store":
        return this.selectStore(inst);
      case "atomic":
        return this.selectAtomic(inst);
      case "helper":
      case "kfunc":
      case "call":
        return this.selectCall(inst);
      default:
        throw new SkepError("ir", `function ${this.func.name}: ${inst.op} must be lowered before code is selected`);
    }
  }

  private selectBinary(inst: Inst, op: BinaryOp): void {
    let [a, b] = inst.args as [Value, Value];
    const dst = this.regFor(inst);
    const division = /div|rem/.test(op);
    const signed = op === "sdiv" || op === "srem";
    const narrow = inst.type === "i32" && (!division || signed);
    const cls = narrow ? Bpf.ALU : Bpf.ALU64;
    if (COMMUTATIVE.has(op)) {
      const ca = this.canonical(a);
      const cb = this.canonical(b);
      // The operand that dies here gives its register to the result; a loop's own variable comes first, so that it stays in place.
      const swap =
        cb.kind !== "const" &&
        (ca.kind === "const" ||
          (!this.feeds(inst, ca) && (this.feeds(inst, cb) || (this.useCount(cb) === 1 && this.useCount(ca) > 1))));
      if (swap) [a, b] = [b, a];
    }
    const right = this.canonical(b);
    if (op === "sub") {
      const left = this.canonical(a);
      if (left.kind === "const" && left.value === 0n) {
        this.moveInto(dst, b);
        this.push(cls | Alu.NEG, dst, 0, 0, 0);
        return;
      }
    }
    if (right.kind === "const") {
      let value = narrow ? BigInt.asIntN(32, right.value) : registerValue(right);
      const shift = op === "shl" || op === "lshr" || op === "ashr";
      if (shift) value = BigInt.asUintN(64, value) & (narrow ? 31n : 63n);
      if (!narrow && op === "and" && value === MASK32) {
        this.push(Bpf.ALU | Bpf.X | Alu.MOV, dst, this.use(a), 0, 0);
        return;
      }
      if (division && value === 0n) {
        // The immediate form refuses what the register form defines.
        if (op === "udiv" || op === "sdiv") this.loadConstant(dst, 0n);
        else this.moveInto(dst, a);
        return;
      }
      const negated = op === "sub" && value !== -0x8000_0000n;
      if (fits32(value)) {
        this.moveInto(dst, a);
        const code = negated ? Alu.ADD : ALU_OF[op]!;
        this.push(cls | code, dst, 0, signed ? 1 : 0, Number(negated ? -value : value));
        return;
      }
    }
    this.moveInto(dst, a);
    this.push(cls | Bpf.X | ALU_OF[op]!, dst, this.use(b), signed ? 1 : 0, 0);
  }

  /** True when the instruction is the next value of the phi that it uses. */
  private feeds(inst: Inst, operand: Value): boolean {
    return operand.kind === "inst" && operand.op === "phi" && operand.args.includes(inst);
  }

  private useCount(value: Value): number {
    if (value.kind !== "inst") return 2;
    const u = this.users.get(value);
    return u ? u.insts.length + u.terminators.length : 0;
  }

  private selectPointerAdd(inst: Inst): void {
    const dst = this.regFor(inst);
    const [pointer, index] = inst.args as [Value, Value];
    const { base, offset } = this.baseAddress(pointer);
    // The sum starts from the pointer, so that the verifier sees pointer arithmetic and never a number that becomes one.
    if (base.kind === "inst" && base.op === "alloca") this.moveInto(dst, pointer);
    else {
      this.moveInto(dst, base);
      if (offset !== 0) this.addConstant(dst, offset);
    }
    this.push(Bpf.ALU64 | Bpf.X | Alu.ADD, dst, this.use(index), 0, 0);
  }

  private selectZext(inst: Inst): void {
    const bits = inst.bits!;
    const dst = this.regFor(inst);
    const source = this.use(inst.args[0]!);
    if (bits === 32) this.push(Bpf.ALU | Bpf.X | Alu.MOV, dst, source, 0, 0);
    else {
      this.push(Bpf.ALU64 | Bpf.X | Alu.MOV, dst, source, 0, 0);
      this.push(Bpf.ALU64 | Alu.AND, dst, 0, 0, 2 ** bits - 1);
    }
  }

  private signExtend(dst: Reg, source: Reg, bits: number, narrow: boolean): void {
    const cls = narrow ? Bpf.ALU : Bpf.ALU64;
    if (narrow && bits === 32) {
      this.push(Bpf.ALU | Bpf.X | Alu.MOV, dst, source, 0, 0);
      return;
    }
    if (this.target.cpu === "v4" && bits >= 8) {
      this.push(cls | Bpf.X | Alu.MOV, dst, source, bits, 0);
      return;
    }
    const shift = (narrow ? 32 : 64) - bits;
    this.push(Bpf.ALU64 | Bpf.X | Alu.MOV, dst, source, 0, 0);
    this.push(cls | Alu.LSH, dst, 0, 0, shift);
    this.push(cls | Alu.ARSH, dst, 0, 0, shift);
  }

  private selectLoad(inst: Inst): void {
    const { reg, off, frame } = this.address(inst.args[0]!, inst.offset ?? 0);
    const dst = this.regFor(inst);
    const bits = inst.bits!;
    const rest = { ...(frame ? { frame } : {}), ...(inst.volatile ? { keep: true } : {}) };
    const narrow = inst.type === "i32";
    const signed = inst.signed === true && bits < (narrow ? 32 : 64);
    if (signed && !narrow && this.target.cpu === "v4") {
      this.push(Bpf.LDX | Bpf.MEMSX | SIZE_OF[bits]!, dst, reg, off, 0, rest);
      return;
    }
    if (!signed) {
      this.push(Bpf.LDX | Bpf.MEM | SIZE_OF[bits]!, dst, reg, off, 0, rest);
      return;
    }
    const raw = this.newReg();
    this.push(Bpf.LDX | Bpf.MEM | SIZE_OF[bits]!, raw, reg, off, 0, rest);
    this.signExtend(dst, raw, bits, narrow);
  }

  private selectStore(inst: Inst): void {
    const value = this.canonical(inst.args[1]!);
    const { reg, off, frame } = this.address(inst.args[0]!, inst.offset ?? 0);
    const bits = inst.bits!;
    const rest = frame ? { frame } : {};
    if (value.kind === "const") {
      const imm = bits === 64 ? registerValue(value) : BigInt.asIntN(bits, value.value);
      const context = !this.target.storeImmToContext && this.isContext(inst.args[0]!);
      if (fits32(imm) && !context) {
        this.push(Bpf.ST | Bpf.MEM | SIZE_OF[bits]!, reg, 0, off, Number(imm), rest);
        return;
      }
      if (bits === 64 && !context && !inst.volatile && fits16(off + 4)) {
        // Two halves take two instructions; the whole would take three, for it must be in a register first.
        this.push(Bpf.ST | Bpf.MEM | Bpf.W, reg, 0, off, Number(BigInt.asIntN(32, imm)), rest);
        this.push(Bpf.ST | Bpf.MEM | Bpf.W, reg, 0, off + 4, Number(BigInt.asIntN(32, imm >> 32n)), rest);
        return;
      }
    }
    this.push(Bpf.STX | Bpf.MEM | SIZE_OF[bits]!, reg, this.use(value), off, 0, rest);
  }

  private isContext(pointer: Value): boolean {
    const { base } = this.baseAddress(pointer);
    return this.func.role === "entry" && base === this.func.params[0];
  }

  private selectAtomic(inst: Inst): void {
    const [pointer, first, second] = inst.args as [Value, Value, Value];
    const { reg, off, frame } = this.address(pointer, inst.offset ?? 0);
    const rest = frame ? { frame } : {};
    const code = Bpf.STX | Bpf.ATOMIC | (inst.bits === 32 ? Bpf.W : Bpf.DW);
    const imm = ATOMIC_OF[inst.atomic!];
    if (inst.atomic === "cmpxchg") {
      const replacement = this.use(second);
      this.moveInto(0, first);
      this.push(code, reg, replacement, off, imm, rest);
      this.push(Bpf.ALU64 | Bpf.X | Alu.MOV, this.regFor(inst), 0, 0, 0);
      return;
    }
    if (inst.atomic !== "xchg" && !inst.fetch) {
      this.push(code, reg, this.use(first), off, imm, rest);
      return;
    }
    const dst = this.regFor(inst);
    this.moveInto(dst, first);
    this.push(code, reg, dst, off, imm | Atomic.FETCH, rest);
  }

  private selectCall(inst: Inst): void {
    const late: [Reg, Value][] = [];
    inst.args.forEach((arg, i) => {
      const v = this.canonical(arg);
      const address = isAddress(v) ? this.baseAddress(v).base : v;
      const isFrame = address.kind === "inst" && address.op === "alloca";
      // Constants and frame addresses need no register of their own: they come last, when the others have found their places.
      if (isLeaf(v) || isFrame) late.push([1 + i, v]);
      else this.moveInto(1 + i, v);
    });
    for (const [reg, v] of late) this.moveInto(reg, v);
    const symbol: Symbol | null =
      inst.op === "call"
        ? { kind: "call", func: inst.callee! }
        : inst.op === "kfunc"
          ? { kind: "kfunc", name: inst.kfunc! }
          : null;
    const src = inst.op === "call" ? 1 : inst.op === "kfunc" ? 2 : 0;
    this.push(Bpf.CALL, 0, src, 0, inst.op === "helper" ? inst.helper! : 0, {
      argc: inst.args.length,
      ...(symbol ? { symbol } : {}),
    });
    if (inst.type === "void") return;
    const narrow = inst.type === "i32" && inst.op !== "call";
    this.push((narrow ? Bpf.ALU : Bpf.ALU64) | Bpf.X | Alu.MOV, this.regFor(inst), 0, 0, 0);
  }

  /** A comparison needs a register only when something other than a branch or a selection asks for its value. */
  private needsValue(icmp: Inst): boolean {
    const users = this.users.get(icmp);
    if (!users) return false;
    if (users.terminators.some((b) => b.terminator?.kind === "return")) return true;
    return users.insts.some((user) => user.op !== "select" || user.args[1] === icmp || user.args[2] === icmp);
  }

  private materialise(icmp: Inst): void {
    const dst = this.regFor(icmp);
    const { condition, inverted } = this.condition(icmp);
    this.loadConstant(dst, inverted ? 0n : 1n);
    this.diamond(condition, () => this.loadConstant(dst, inverted ? 1n : 0n));
  }

  private selectSelect(inst: Inst): void {
    const dst = this.regFor(inst);
    const [test, a, b] = inst.args as [Value, Value, Value];
    const cond = this.testOf(test);
    if (cond === true || cond === false) return this.moveInto(dst, cond ? a : b);
    const kept = cond.inverted ? b : a;
    const other = cond.inverted ? a : b;
    this.moveInto(dst, kept);
    this.diamond(cond.condition, () => this.moveInto(dst, other));
  }

  /** Runs `otherwise` unless the condition holds, and goes on in a new block. */
  private diamond(condition: Condition, otherwise: () => void): void {
    const arm = this.newBlock();
    const after = this.newBlock();
    this.endBlock({ kind: "cond", ...condition, then: after, else: arm });
    this.startBlock(arm);
    otherwise();
    this.endBlock({ kind: "jump", target: after });
    this.startBlock(after);
  }

  /** What to compare for an i1: a fused comparison, or the register against zero. */
  private testOf(value: Value): boolean | { condition: Condition; inverted: boolean } {
    let v = this.canonical(value);
    let flip = false;
    // `(c != 0)` and `(c == 0)` of a truth value are the value and its opposite.
    while (v.kind === "inst" && v.op === "icmp" && (v.predicate === "eq" || v.predicate === "ne")) {
      const right = this.canonical(v.args[1]!);
      const left = this.canonical(v.args[0]!);
      if (right.kind !== "const" || right.value !== 0n || left.type !== "i1") break;
      if (v.predicate === "eq") flip = !flip;
      v = left;
    }
    if (v.kind === "const") return (v.value !== 0n) !== flip;
    if (v.kind === "inst" && v.op === "icmp") {
      const { condition, inverted } = this.condition(v);
      return { condition, inverted: inverted !== flip };
    }
    return { condition: { code: Bpf.JMP | Jump.NE, dst: this.use(v), src: 0, imm: 0 }, inverted: flip };
  }

  private condition(icmp: Inst): { condition: Condition; inverted: boolean } {
    let predicate = icmp.predicate!;
    let a = this.canonical(icmp.args[0]!);
    let b = this.canonical(icmp.args[1]!);
    const type = icmp.args[0]!.type;
    if (a.kind === "const" && b.kind !== "const") {
      [a, b] = [b, a];
      predicate = MIRROR[predicate];
    }
    const masked = this.bitTest(a, b, predicate, type === "i32");
    if (masked) return masked;
    const narrow = type === "i32" && predicate.startsWith("s");
    if (narrow && (this.target.cpu === "v1" || this.target.cpu === "v2")) {
      const [x, y] = [a, b].map((v) => {
        const reg = this.newReg();
        this.moveInto(reg, v);
        this.push(Bpf.ALU64 | Alu.LSH, reg, 0, 0, 32);
        return reg;
      }) as [Reg, Reg];
      return this.jump(predicate, Bpf.JMP | Bpf.X, x, y, 0);
    }
    const cls = narrow ? Bpf.JMP32 : Bpf.JMP;
    if (b.kind === "const") {
      const value = narrow ? BigInt.asIntN(32, b.value) : registerValue(b);
      if (fits32(value)) return this.jump(predicate, cls, this.use(a), 0, Number(value));
    }
    return this.jump(predicate, cls | Bpf.X, this.use(a), this.use(b), 0);
  }

  private jump(
    predicate: Predicate,
    cls: number,
    dst: Reg,
    src: Reg,
    imm: number,
  ): { condition: Condition; inverted: boolean } {
    // The first instruction set has no "less" forms; their opposites serve with exchanged targets.
    const missing = this.target.cpu === "v1" && /l[te]$/.test(predicate);
    const code = cls | JUMP_OF[missing ? INVERSE[predicate] : predicate];
    return { condition: { code, dst, src, imm }, inverted: missing };
  }

  /** `(x & mask) != 0` as one jump, when the conjunction has no other use. */
  private bitTest(
    a: Value,
    b: Value,
    predicate: Predicate,
    narrow: boolean,
  ): { condition: Condition; inverted: boolean } | null {
    if (predicate !== "eq" && predicate !== "ne") return null;
    if (b.kind !== "const" || b.value !== 0n || a.kind !== "inst" || a.op !== "and" || this.useCount(a) !== 1)
      return null;
    const [x, y] = [this.canonical(a.args[0]!), this.canonical(a.args[1]!)];
    if (y.kind !== "const" || x.kind === "const") return null;
    const mask = narrow ? y.value : registerValue(y);
    if (!fits32(mask) || (narrow && mask < 0n)) return null;
    return {
      condition: { code: Bpf.JMP | Jump.SET, dst: this.use(x), src: 0, imm: Number(mask) },
      inverted: predicate === "eq",
    };
  }

  private terminate(block: Block): void {
    const t = block.terminator!;
    if ("position" in t) this.position = t.position ?? this.position;
    switch (t.kind) {
      case "jump":
        this.copiesFor(block, t.target);
        return this.endBlock({ kind: "jump", target: this.first.get(t.target)! });
      case "branch": {
        const cond = this.testOf(t.condition);
        if (cond === true || cond === false) {
          const chosen = cond ? t.then : t.else;
          return this.endBlock({ kind: "jump", target: this.edge(block, chosen) });
        }
        const from = this.current;
        const then = this.edge(block, cond.inverted ? t.else : t.then);
        const otherwise = this.edge(block, cond.inverted ? t.then : t.else);
        this.current = from;
        const likely = t.likely && cond.inverted ? (t.likely === "then" ? "else" : "then") : t.likely;
        return this.endBlock({
          kind: "cond",
          ...cond.condition,
          then,
          else: otherwise,
          ...(likely ? { likely } : {}),
        });
      }
      case "maygoto": {
        const from = this.current;
        const body = this.edge(block, t.body);
        const exit = this.edge(block, t.exit);
        this.current = from;
        return this.endBlock({ kind: "maygoto", body, exit });
      }
      case "return":
        if (t.value) this.moveInto(0, t.value);
        return this.endBlock({ kind: "exit", value: t.value !== null });
      case "unreachable":
        // The verifier wants every path to end, whether or not it can be taken.
        this.loadConstant(0, 0n);
        return this.endBlock({ kind: "exit", value: true });
      default:
        throw new SkepError("ir", `function ${this.func.name}: block ${block.name} has no terminator`);
    }
  }

  /** The block to go to for an edge out of a branch: one of its own when the edge carries phi copies. */
  private edge(from: Block, to: Block): MBlock {
    const target = this.first.get(to)!;
    if (this.preds.get(to)!.length === 1 || phisOf(to).length === 0) return target;
    const between = this.newBlock();
    this.startBlock(between);
    this.copiesFor(from, to);
    this.endBlock({ kind: "jump", target });
    return between;
  }

  private copiesFor(from: Block, to: Block): void {
    if (this.preds.get(to)!.length === 1) return;
    const copies = phisOf(to).map((phi) => ({
      dst: this.regFor(phi),
      value: phi.args[phi.incoming!.indexOf(from)]!,
    }));
    this.parallelCopies(copies);
  }

  /** Copies that happen at once: no source may be overwritten before it is read. */
  private parallelCopies(copies: { dst: Reg; value: Value }[]): void {
    const [leaves, moves]: [{ dst: Reg; value: Value }[], Copy[]] = [[], []];
    for (const { dst, value } of copies) {
      const v = this.canonical(value);
      if (isLeaf(v)) leaves.push({ dst, value: v });
      else moves.push({ dst, src: this.use(v) });
    }
    for (const { dst, src } of sequenceCopies(moves, () => this.newReg())) {
      this.push(Bpf.ALU64 | Bpf.X | Alu.MOV, dst, src, 0, 0);
    }
    for (const { dst, value } of leaves) this.moveInto(dst, value);
  }
}
