/** Where values are while instructions are selected: registers, constants, addresses, and the code written so far. */
import { CoreKind } from "../../btf/index.ts";
import { baseOf, usersOf } from "../analysis.ts";
import type { Users } from "../analysis.ts";
import type { CoreAccess, Func, Inst, Param, Position, Value } from "../ir.ts";
import { maxBits } from "../passes/fold.ts";
import type { KernelTarget } from "../target.ts";
import { Alu, Bpf, FIRST_VIRTUAL, FP, PseudoLoad } from "./machine.ts";
import type { FrameObject, MBlock, MFunc, MInst, MTerm, Reg, Symbol } from "./machine.ts";
import { fits16, fits32, isAddress, isLeaf, MASK32, onlyLowHalfRead, registerValue } from "./select-tables.ts";

/** A place in memory as an access takes it. */
export interface Address {
  readonly reg: Reg;
  readonly off: number;
  readonly frame?: FrameObject;
  /** The record that `off` carries. */
  readonly core?: CoreAccess;
}

const PSEUDO_OF: Partial<Record<Symbol["kind"], number>> = {
  map: PseudoLoad.MAP_FD,
  "map-value": PseudoLoad.MAP_VALUE,
  func: PseudoLoad.FUNC,
};

/** Kinds that clang writes as 64-bit loads: loaders may put numbers of 64 bits there. */
const WIDE_KINDS: ReadonlySet<number> = new Set([
  CoreKind.TYPE_ID_LOCAL,
  CoreKind.TYPE_ID_TARGET,
  CoreKind.ENUMVAL_EXISTS,
  CoreKind.ENUMVAL_VALUE,
]);

function coreOffset(index: Value): CoreAccess | null {
  const core = index.kind === "inst" && index.op === "core" ? index.core! : null;
  return core && core.kind === CoreKind.FIELD_BYTE_OFFSET && core.value >= 0n && core.value <= 0x7fffn ? core : null;
}

/** What all of instruction selection rests on. */
export class Values {
  protected readonly func: Func;
  protected readonly target: KernelTarget;
  protected readonly frames: Map<Inst, FrameObject>;
  protected readonly out: MFunc;
  protected readonly users: Map<Inst, Users>;
  protected readonly regs: Map<Inst | Param, Reg> = new Map();
  protected current!: MBlock;
  protected position: Position | null = null;
  protected depth = 0;
  private nextBlock = 0;

  constructor(func: Func, target: KernelTarget, frames: Map<Inst, FrameObject>) {
    this.func = func;
    this.target = target;
    this.frames = frames;
    this.users = usersOf(func);
    this.out = { name: func.name, blocks: [], nextReg: FIRST_VIRTUAL, frame: [], remat: new Map() };
  }

  protected newBlock(): MBlock {
    return { id: this.nextBlock++, insts: [], term: { kind: "exit", value: false }, position: null, depth: this.depth };
  }

  protected newReg(): Reg {
    return this.out.nextReg++;
  }

  protected push(code: number, dst: Reg, src: Reg, off: number, imm: number, rest: Partial<MInst> = {}): MInst {
    const inst: MInst = { code, dst, src, off, imm, position: this.position, ...rest };
    this.current.insts.push(inst);
    return inst;
  }

  protected endBlock(term: MTerm): void {
    this.current.term = term;
    this.current.position = this.position;
  }

  protected startBlock(block: MBlock): void {
    this.current = block;
    this.out.blocks.push(block);
  }

  protected regFor(value: Inst | Param): Reg {
    let reg = this.regs.get(value);
    if (reg === undefined) this.regs.set(value, (reg = this.newReg()));
    return reg;
  }
  /** Follows values that sit in the very register of another one. */
  protected canonical(value: Value): Value {
    let v = value;
    while (v.kind === "inst") {
      const arg = v.args[0];
      if (v.op === "opaque" || v.op === "inttoptr" || (v.op === "ptrtoint" && v.raw)) v = arg!;
      else if (v.op === "zext" && (arg!.type === "i1" || (arg!.type === "i32" && v.bits === 32))) v = arg!;
      else if (v.op === "trunc" && (this.readsLowHalfOnly(v) || maxBits(arg!) <= 32)) v = arg!;
      else break;
    }
    return v;
  }

  private readonly lowHalf = new Map<Inst, boolean>();

  /** The target compares halves of registers. */
  protected get narrowJumps(): boolean {
    return this.target.cpu !== "v1" && this.target.cpu !== "v2";
  }

  private readsLowHalfOnly(trunc: Inst): boolean {
    let known = this.lowHalf.get(trunc);
    if (known === undefined)
      this.lowHalf.set(trunc, (known = onlyLowHalfRead(this.users.get(trunc), this.narrowJumps)));
    return known;
  }

  /** A register that holds the value; a fresh one for constants and addresses. */
  protected use(value: Value): Reg {
    const v = this.canonical(value);
    if (isLeaf(v) || isAddress(v)) {
      const reg = this.newReg();
      this.moveInto(reg, v);
      return reg;
    }
    return this.regFor(v as Inst | Param);
  }

  protected moveInto(dst: Reg, value: Value): void {
    const v = this.canonical(value);
    if (v.kind === "const") this.loadConstant(dst, registerValue(v));
    else if (v.kind === "inst" && v.op === "mapref") this.loadSymbol(dst, { kind: "map", map: v.map! });
    else if (v.kind === "inst" && v.op === "funcref") this.loadSymbol(dst, { kind: "func", func: v.callee! });
    else if (v.kind === "inst" && v.op === "core") this.loadCore(dst, v.core!);
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

  protected addConstant(dst: Reg, offset: number): void {
    if (fits32(BigInt(offset))) this.push(Bpf.ALU64 | Alu.ADD, dst, 0, 0, offset);
    else {
      const reg = this.newReg();
      this.loadConstant(reg, BigInt(offset));
      this.push(Bpf.ALU64 | Bpf.X | Alu.ADD, dst, reg, 0, 0);
    }
  }

  protected loadConstant(dst: Reg, value: bigint): void {
    if (fits32(value)) this.push(Bpf.ALU64 | Alu.MOV, dst, 0, 0, Number(value));
    else if (value >= 0n && value <= MASK32) this.push(Bpf.ALU | Alu.MOV, dst, 0, 0, Number(BigInt.asIntN(32, value)));
    else this.push(Bpf.LD_IMM64, dst, 0, 0, 0, { imm64: value });
  }

  /** A number with a record on it. Types' ids and enumerators, as loaders expect them, and what is too wide take an ld_imm64. */
  protected loadCore(dst: Reg, core: CoreAccess): void {
    const value = BigInt.asIntN(64, core.value);
    if (WIDE_KINDS.has(core.kind) || !fits32(value)) this.push(Bpf.LD_IMM64, dst, 0, 0, 0, { imm64: value, core });
    else this.push(Bpf.ALU64 | Alu.MOV, dst, 0, 0, Number(value), { core });
  }

  protected loadSymbol(dst: Reg, symbol: Symbol): MInst {
    return this.push(Bpf.LD_IMM64, dst, PSEUDO_OF[symbol.kind] ?? 0, 0, 0, { imm64: 0n, symbol });
  }

  protected baseAddress(pointer: Value): { base: Value; offset: number } {
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
  protected address(pointer: Value, extra: number): Address {
    const { base, offset } = this.baseAddress(pointer);
    if (extra === 0 && offset === 0 && base.kind === "inst" && base.op === "ptradd") {
      // The record sits on the access itself: the one form that a context pointer allows.
      const core = coreOffset(this.canonical(base.args[1]!));
      const from = this.baseAddress(base.args[0]!);
      const onFrame = from.base.kind === "inst" && from.base.op === "alloca";
      if (core && from.offset === 0 && !onFrame) return { reg: this.use(from.base), off: Number(core.value), core };
    }
    const off = offset + extra;
    if (base.kind === "inst" && base.op === "alloca") return { reg: FP, off, frame: this.frames.get(base)! };
    if (fits16(off)) return { reg: this.use(base), off };
    const reg = this.newReg();
    this.moveInto(reg, base);
    this.addConstant(reg, off);
    return { reg, off: 0 };
  }
  /** True when the instruction is the next value of the phi that it uses. */
  protected feeds(inst: Inst, operand: Value): boolean {
    return operand.kind === "inst" && operand.op === "phi" && operand.args.includes(inst);
  }

  protected useCount(value: Value): number {
    if (value.kind !== "inst") return 2;
    const u = this.users.get(value);
    return u ? u.insts.length + u.terminators.length : 0;
  }

  protected isContext(pointer: Value): boolean {
    let { base } = this.baseAddress(pointer);
    while (base.kind === "inst" && base.op === "ptradd") ({ base } = this.baseAddress(base.args[0]!));
    return this.func.role === "entry" && base === this.func.params[0];
  }
}
