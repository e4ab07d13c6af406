/**
 * Instruction selection: IR of one function to machine code with virtual registers.
 *
 * What the verifier insists on is decided here. An i32 always sits zero-extended in its register, so widening costs nothing and unsigned
 * 32-bit comparisons run on the whole register, where the verifier keeps its bounds; 32-bit division runs as 64-bit for the same reason.
 * Constant offsets stay in the memory access (a context pointer may not be moved), addresses of the frame are made where they are used.
 */
import { SkepError } from "../../base/index.ts";
import { findLoops, phisOf, predecessors } from "../analysis.ts";
import type { Predecessors } from "../analysis.ts";
import type { BinaryOp, Block, Func, Inst, Value } from "../ir.ts";
import { LimitError } from "../limits.ts";
import { COMMUTATIVE, isBinary } from "../ops.ts";
import type { KernelTarget } from "../target.ts";
import { Alu, Bpf, FP, PACKET } from "./machine.ts";
import type { AsmInst, AsmOperand, FrameObject, MBlock, MFunc, Reg, Symbol } from "./machine.ts";
import { ConditionSelector } from "./select-conditions.ts";
import {
  ALU_OF,
  fits32,
  isAddress,
  isLeaf,
  MASK32,
  registerValue,
  sequenceCopies,
  SIZE_OF,
  type Copy,
} from "./select-tables.ts";

/** Turns one function into machine code. `allocaFrames` receives the frame object of every alloca. */
export function selectInstructions(
  func: Func,
  target: KernelTarget,
  allocaFrames: Map<Inst, FrameObject> = new Map(),
): MFunc {
  return new Selector(func, target, allocaFrames).run();
}

class Selector extends ConditionSelector {
  private readonly first = new Map<Block, MBlock>();
  private readonly preds: Predecessors;

  constructor(func: Func, target: KernelTarget, frames: Map<Inst, FrameObject>) {
    super(func, target, frames);
    this.preds = predecessors(func);
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
      this.findLate(block);
      for (const inst of block.insts) {
        if (this.isLate(inst)) continue;
        this.position = inst.position ?? this.position;
        this.select(inst);
      }
      this.terminate(block);
    }
    return this.out;
  }

  private receiveParams(): void {
    const own = this.func.role !== "callback" && this.func.role !== "global";
    for (const p of this.func.params) {
      const wide = p.type === "i64" || p.type === "ptr" || own;
      // The kernel calls callbacks with 64-bit registers whose upper halves are its own business, and checks global functions so.
      this.push((wide ? Bpf.ALU64 : Bpf.ALU) | Bpf.X | Alu.MOV, this.regFor(p), 1 + p.index, 0, 0);
    }
  }

  protected select(inst: Inst): void {
    if (isBinary(inst.op)) return this.selectBinary(inst, inst.op);
    switch (inst.op) {
      case "phi":
      case "alloca":
      case "mapref":
      case "funcref":
      case "opaque":
      case "inttoptr":
      case "core":
        return;
      case "ksym": {
        const made = this.loadSymbol(this.regFor(inst), { kind: "ksym", name: inst.symbol! });
        this.out.remat.set(made.dst, made);
        return;
      }
      case "asm":
        return this.selectAsm(inst);
      case "asmresult": {
        const written = this.narrowResults.get(inst);
        if (written !== undefined) this.push(Bpf.ALU | Bpf.X | Alu.MOV, this.regFor(inst), written, 0, 0);
        return;
      }
      case "ldabs":
        return this.selectPacketLoad(inst);
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
        if (inst.raw) return;
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
          (isLeaf(ca) && !isLeaf(cb)) ||
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
    if (right.kind === "inst" && right.op === "core" && !division && fits32(BigInt.asIntN(64, right.core!.value))) {
      this.moveInto(dst, a);
      this.push(cls | ALU_OF[op]!, dst, 0, 0, Number(BigInt.asIntN(64, right.core!.value)), { core: right.core! });
      return;
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
    const by = this.canonical(index);
    if (by.kind === "inst" && by.op === "core" && fits32(BigInt.asIntN(64, by.core!.value))) {
      this.push(Bpf.ALU64 | Alu.ADD, dst, 0, 0, Number(BigInt.asIntN(64, by.core!.value)), { core: by.core! });
    } else this.push(Bpf.ALU64 | Bpf.X | Alu.ADD, dst, this.use(index), 0, 0);
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

  private selectPacketLoad(inst: Inst): void {
    const [context, index] = inst.args as [Value, Value];
    this.moveInto(PACKET, context);
    let at = this.canonical(index);
    let imm = 0;
    const step = at.kind === "inst" && at.op === "add" && this.useCount(at) === 1 ? this.canonical(at.args[1]!) : null;
    if (step?.kind === "const" && fits32(registerValue(step))) {
      imm = Number(registerValue(step));
      at = this.canonical((at as Inst).args[0]!);
    }
    const size = SIZE_OF[inst.bits!]!;
    if (at.kind === "const" && fits32(registerValue(at))) {
      this.push(Bpf.LD | Bpf.ABS | size, 0, 0, 0, Number(registerValue(at)) + imm);
    } else this.push(Bpf.LD | Bpf.IND | size, 0, this.use(at), 0, imm);
    this.push(Bpf.ALU64 | Bpf.X | Alu.MOV, this.regFor(inst), 0, 0, 0);
  }

  /** Results of 32 bits whose upper half the assembly may have left in any state. */
  private readonly narrowResults = new Map<Inst, Reg>();

  private selectAsm(inst: Inst): void {
    const { template, outputs, inputs, clobbers } = inst.asm!;
    const results = new Map<number, Inst>();
    for (const user of this.users.get(inst)?.insts ?? []) results.set(user.offset ?? 0, user);
    const regs: Reg[] = [];
    const reads: number[] = [];
    const writes: number[] = [];
    const early: number[] = [];
    const operands: AsmOperand[] = [];
    const tied = new Map<number, number>();
    outputs.forEach((o, i) => {
      const result = results.get(i);
      const fresh = !result || (o.type === "i32" && template.trim() !== "");
      const index = regs.push(fresh ? this.newReg() : this.regFor(result)) - 1;
      if (fresh && result) this.narrowResults.set(result, regs[index]!);
      operands.push({ kind: "register", index });
      writes.push(index);
      if (o.early) early.push(index);
      if (o.tied !== undefined) {
        tied.set(o.tied, index);
        reads.push(index);
      }
    });
    const read = (reg: Reg): number => {
      const index = regs.push(reg) - 1;
      reads.push(index);
      return index;
    };
    inst.args.forEach((arg, i) => {
      const v = this.canonical(arg);
      const shared = tied.get(i);
      if (shared !== undefined) {
        operands.push({ kind: "register", index: shared });
      } else if (inputs[i] === "memory") {
        const { reg, off, frame } = this.address(arg, 0);
        operands.push({ kind: "memory", index: reg === FP ? null : read(reg), off, ...(frame ? { frame } : {}) });
      } else if (inputs[i] === "immediate") operands.push(this.asmConstant(v, inst));
      else operands.push({ kind: "register", index: read(this.use(v)) });
    });
    // Outputs that start with an input get it last: what is read before stays whole.
    for (const [input, index] of tied) this.moveInto(regs[index]!, inst.args[input]!);
    if (template.trim() === "" && outputs.length === 0 && inputs.length === 0) return;
    const asm: AsmInst = { template, operands, regs, reads, writes, early, clobbers };
    this.push(Bpf.ASM, 0, 0, 0, 0, { asm });
  }

  private asmConstant(v: Value, inst: Inst): AsmOperand {
    if (v.kind === "const") return { kind: "number", value: registerValue(v) };
    if (v.kind === "inst") {
      if (v.op === "mapref") return { kind: "symbol", symbol: { kind: "map", map: v.map! } };
      if (v.op === "mapvalue") {
        return { kind: "symbol", symbol: { kind: "map-value", map: v.map!, offset: v.offset ?? 0 } };
      }
      if (v.op === "funcref") return { kind: "symbol", symbol: { kind: "func", func: v.callee! } };
      if (v.op === "ksym") return { kind: "symbol", symbol: { kind: "ksym", name: v.symbol! } };
    }
    throw new LimitError(inst.position, "an operand of the assembly must be constant (`i`), and is not", "asm");
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
        // Functions of nothing but assembly end in it.
        if (block.insts.at(-1)?.op === "asm") return this.endBlock({ kind: "none" });
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
