/** Instructions of eBPF as WebAssembly: one function's code without its control flow. */
import {
  Alu,
  AluOffset,
  Atomic,
  Class,
  type Insn,
  Jmp,
  Mode,
  OPCODE_FORMS,
  SIZE_BYTES,
  Source,
} from "../../isa/index.ts";
import { FRAME_BYTES, FUNCTION_BASE, TAIL_CALL } from "../machine.ts";
import { ARGUMENT_WORD, FRAME_WORD, RESULT_WORD, SHADOW_OFFSET, Shadow, WINDOW_OFFSET } from "../memory.ts";
import type { VmFunction, VmProgram } from "../program.ts";
import { EMPTY_BLOCK, FunctionCode, type FunctionType, ValueType, W } from "./writer.ts";

/** Index of functions and variables in the module that is being made. */
export interface ModuleFunctions {
  readonly fuel: number;
  readonly fault: number;
  readonly helper: number;
  readonly kfunc: number;
  readonly tailCall: number;
  readonly packet: number;
  readonly window: number;
  readonly memoryFault: number;
  readonly check: number;
  /** Bytes of memory. */
  readonly limit: number;
  /** Of the program's functions, by their start. */
  readonly locals: ReadonlyMap<number, number>;
  /** End of the deepest frame that may be. */
  readonly deepest: bigint;
  /** Type of the program's functions. */
  readonly localType: number;
}

/** r1 to r5, and where the frame ends. */
export const LOCAL_FUNCTION: FunctionType = {
  params: [ValueType.I64, ValueType.I64, ValueType.I64, ValueType.I64, ValueType.I64, ValueType.I64],
  results: [ValueType.I64],
};

/** More variables would make the engine's compiler slow. */
const MOST_WINDOWS = 64;

interface AluForm {
  readonly wide: number;
  readonly narrow: number;
}

const simple: Readonly<Record<number, AluForm>> = {
  [Alu.ADD]: { wide: W.i64Add, narrow: W.i32Add },
  [Alu.SUB]: { wide: W.i64Sub, narrow: W.i32Sub },
  [Alu.MUL]: { wide: W.i64Mul, narrow: W.i32Mul },
  [Alu.OR]: { wide: W.i64Or, narrow: W.i32Or },
  [Alu.AND]: { wide: W.i64And, narrow: W.i32And },
  [Alu.XOR]: { wide: W.i64Xor, narrow: W.i32Xor },
  [Alu.LSH]: { wide: W.i64Shl, narrow: W.i32Shl },
  [Alu.RSH]: { wide: W.i64ShrU, narrow: W.i32ShrU },
  [Alu.ARSH]: { wide: W.i64ShrS, narrow: W.i32ShrS },
};

const comparisons: Readonly<Record<number, AluForm>> = {
  [Jmp.JEQ]: { wide: W.i64Eq, narrow: W.i32Eq },
  [Jmp.JNE]: { wide: W.i64Ne, narrow: W.i32Ne },
  [Jmp.JGT]: { wide: W.i64GtU, narrow: W.i32GtU },
  [Jmp.JGE]: { wide: W.i64GeU, narrow: W.i32GeU },
  [Jmp.JLT]: { wide: W.i64LtU, narrow: W.i32LtU },
  [Jmp.JLE]: { wide: W.i64LeU, narrow: W.i32LeU },
  [Jmp.JSGT]: { wide: W.i64GtS, narrow: W.i32GtS },
  [Jmp.JSGE]: { wide: W.i64GeS, narrow: W.i32GeS },
  [Jmp.JSLT]: { wide: W.i64LtS, narrow: W.i32LtS },
  [Jmp.JSLE]: { wide: W.i64LeS, narrow: W.i32LeS },
};

const loads: Readonly<Record<number, number>> = { 1: W.i64Load8U, 2: W.i64Load16U, 4: W.i64Load32U, 8: W.i64Load };
const signedLoads: Readonly<Record<number, number>> = { 1: W.i64Load8S, 2: W.i64Load16S, 4: W.i64Load32S };
const stores: Readonly<Record<number, number>> = { 1: W.i64Store8, 2: W.i64Store16, 4: W.i64Store32, 8: W.i64Store };
const atomicOps: Readonly<Record<number, number>> = {
  [Atomic.ADD]: W.i64Add,
  [Atomic.OR]: W.i64Or,
  [Atomic.AND]: W.i64And,
  [Atomic.XOR]: W.i64Xor,
};

/** What an instruction touches in memory. */
function accessOf(insn: Insn): { readonly register: number; readonly size: number; readonly need: number } | undefined {
  const form = OPCODE_FORMS[insn.opcode];
  const reads = form === "load" || form === "load-sx" || (form === "atomic" && insn.imm === Atomic.LOAD_ACQ);
  if (reads) return { register: insn.src, size: sizeOf(insn), need: Shadow.READ };
  if (form !== "store-imm" && form !== "store-reg" && form !== "atomic") return undefined;
  return { register: insn.dst, size: sizeOf(insn), need: Shadow.WRITE };
}

function windowKey(register: number, size: number): string {
  return `${register},${size}`;
}

function sizeOf(insn: Insn): number {
  return SIZE_BYTES[(insn.opcode & 0x18) >> 3]!;
}

/** Writes one function. Registers are locals: r1 to r5 and r10 its parameters. */
export class FunctionEmitter {
  readonly code: FunctionCode = new FunctionCode(LOCAL_FUNCTION);
  private readonly program: VmProgram;
  private readonly module: ModuleFunctions;
  private readonly registers: readonly number[];
  private readonly fuel: number;
  /** Offset of the frame's first byte. */
  private readonly frame: number;
  private readonly at: number;
  private readonly old: number;
  private readonly value: number;
  private loops: number | undefined;
  private readonly address64: number;
  private readonly note: number;
  /** Bounds of memory by register, size and kind of access: the lowest address, and how many addresses from there on are right. */
  private readonly windows = new Map<string, { readonly base: number; readonly span: number }>();
  /** Registers and sizes with which the function writes anywhere: their windows are of what may be written, and so read. */
  private readonly written = new Set<string>();
  /** Accesses that have been checked since the block began and hold still, by register. */
  private readonly checked = new Map<
    number,
    { readonly off: number; readonly size: number; readonly need: number }[]
  >();
  private readonly savesFuel: boolean;
  /** Depth of the label to go to when an access of this instruction is outside of its window; else it is checked in place. */
  onMiss: ((slot: number) => number) | undefined;

  constructor(program: VmProgram, func: VmFunction, module: ModuleFunctions, savesFuel: boolean) {
    for (let slot = func.start; slot < func.end; slot++) {
      const insn = program.insns[slot];
      const access = insn === undefined ? undefined : accessOf(insn);
      if (access?.need === Shadow.WRITE) this.written.add(windowKey(access.register, access.size));
    }
    this.program = program;
    this.module = module;
    const { code } = this;
    const i64 = (): number => code.local(ValueType.I64);
    const r0 = i64();
    this.registers = [r0, 0, 1, 2, 3, 4, i64(), i64(), i64(), i64(), 5];
    this.fuel = i64();
    this.frame = code.local(ValueType.I32);
    this.at = code.local(ValueType.I32);
    this.old = i64();
    this.value = i64();
    this.address64 = i64();
    this.note = code.local(ValueType.I32);
    this.savesFuel = savesFuel;
  }

  /** What comes before the first instruction: pays for instructions that run once. */
  begin(cost: number, slot: number): void {
    const { code } = this;
    code.byte(W.globalGet).unsigned(this.module.fuel).set(this.fuel);
    code.get(5).byte(W.i32WrapI64).i32(FRAME_BYTES).byte(W.i32Sub).set(this.frame);
    this.pay(cost, slot);
    if (!this.savesFuel) this.saveFuel();
  }

  /** Takes fuel, and stops the program when none is left. */
  pay(cost: number, slot: number): void {
    const { code } = this;
    code.get(this.fuel).i64(BigInt(cost)).byte(W.i64Sub).tee(this.fuel).i64(0n).byte(W.i64LtS, W.if, 0x40);
    this.fault(1, slot);
    code.byte(W.end);
  }

  private saveFuel(): void {
    this.code.get(this.fuel).byte(W.globalSet).unsigned(this.module.fuel);
  }

  /** Stops the program for the reason of this number (see `faultKinds`). */
  fault(kind: number, slot: number): void {
    this.code.i32(kind).i32(slot).call(this.module.fault).byte(W.unreachable);
  }

  /** Ends the function with r0 as its result. */
  leave(): void {
    if (this.savesFuel) this.saveFuel();
    this.code.get(this.registers[0]!).byte(W.return);
  }

  /** Leaves on the stack whether the jump at `slot` is taken, as an i32. */
  condition(slot: number): void {
    const insn = this.program.insns[slot]!;
    const { code } = this;
    if (OPCODE_FORMS[insn.opcode] === "may-goto") {
      // Counts up, since locals begin with zero.
      this.loops ??= code.local(ValueType.I32);
      code
        .get(this.loops)
        .i32(1)
        .byte(W.i32Add)
        .tee(this.loops)
        .i32(8 * 1024 * 1024)
        .byte(W.i32GtU);
      return;
    }
    const narrow = (insn.opcode & 7) === Class.JMP32;
    const op = insn.opcode & 0xf0;
    if (op === Jmp.JEQ && (insn.opcode & Source.X) === 0 && insn.imm === 0) {
      this.operand(insn.dst, narrow);
      code.byte(narrow ? W.i32Eqz : W.i64Eqz);
      return;
    }
    this.operand(insn.dst, narrow);
    this.source(insn, narrow);
    if (op === Jmp.JSET) {
      code.byte(narrow ? W.i32And : W.i64And);
      if (narrow) code.i32(0).byte(W.i32Ne);
      else code.i64(0n).byte(W.i64Ne);
    } else {
      const form = comparisons[op]!;
      code.byte(narrow ? form.narrow : form.wide);
    }
  }

  private get(register: number): FunctionCode {
    return this.code.get(this.registers[register]!);
  }

  private operand(register: number, narrow: boolean): void {
    this.get(register);
    if (narrow) this.code.byte(W.i32WrapI64);
  }

  private source(insn: Insn, narrow: boolean): void {
    if ((insn.opcode & Source.X) !== 0) this.operand(insn.src, narrow);
    else if (narrow) this.code.i32(insn.imm);
    else this.code.i64(BigInt(insn.imm));
  }

  private put(register: number): void {
    this.checked.delete(register);
    this.code.set(this.registers[register]!);
  }

  /** A block begins: nothing is known of what came before it. */
  enterBlock(): void {
    this.checked.clear();
  }

  private isChecked(register: number, off: number, size: number, need: number): boolean {
    const known = this.checked.get(register);
    const window = this.written.has(windowKey(register, size)) ? Shadow.WRITE : Shadow.READ;
    // What is checked against a window that may be written may be written.
    const gives = this.windows.has(windowKey(register, size)) && this.onMiss !== undefined ? window : need;
    if (known === undefined) {
      this.checked.set(register, [{ off, size, need: gives }]);
      return false;
    }
    if (known.some((k) => k.off <= off && off + size <= k.off + k.size && (k.need === need || k.need === Shadow.WRITE)))
      return true;
    known.push({ off, size, need: gives });
    return false;
  }

  /** One instruction that is no jump. `inLoop`: it may run many times in one call of the function. */
  instruction(slot: number, inLoop: boolean): void {
    const insn = this.program.insns[slot]!;
    const { code } = this;
    switch (OPCODE_FORMS[insn.opcode]) {
      case "alu-imm":
      case "alu-reg":
        return this.alu(insn);
      case "neg":
        if ((insn.opcode & 7) === Class.ALU) {
          code.i32(0);
          this.operand(insn.dst, true);
          code.byte(W.i32Sub, W.i64ExtendI32U);
        } else {
          code.i64(0n);
          this.get(insn.dst).byte(W.i64Sub);
        }
        return this.put(insn.dst);
      case "endian":
      case "bswap":
        return this.endian(insn);
      case "ld-imm64": {
        const { value, isFunction } = this.program.immediates.get(slot)!;
        const index = isFunction ? this.program.functions.findIndex((f) => f.start === Number(value)) : 0;
        code.i64(isFunction ? FUNCTION_BASE + BigInt(index) : value);
        return this.put(insn.dst);
      }
      case "load":
      case "load-sx": {
        const size = sizeOf(insn);
        const offset = this.address(insn.src, insn.off, size, Shadow.READ, slot, inLoop);
        const opcodes = (insn.opcode & 0xe0) === Mode.MEMSX ? signedLoads : loads;
        code.access(opcodes[size]!, offset);
        return this.put(insn.dst);
      }
      case "store-imm":
      case "store-reg": {
        const size = sizeOf(insn);
        const offset = this.address(insn.dst, insn.off, size, Shadow.WRITE, slot, inLoop);
        if ((insn.opcode & 7) === Class.ST) code.i64(BigInt(insn.imm));
        else this.get(insn.src);
        code.access(stores[size]!, offset);
        return;
      }
      case "atomic":
        return this.atomic(insn, slot, inLoop);
      case "ld-abs":
      case "ld-ind":
        return this.packet(insn, slot);
      case "call":
      case "callx":
        return this.call(insn, slot);
      default:
        throw new Error(`opcode 0x${insn.opcode.toString(16)} is a jump`);
    }
  }

  private alu(insn: Insn): void {
    const { code } = this;
    const narrow = (insn.opcode & 7) === Class.ALU;
    const op = insn.opcode & 0xf0;
    if (op === Alu.MOV) {
      const isX = (insn.opcode & Source.X) !== 0;
      this.source(insn, narrow);
      if (isX && insn.off > 1) {
        const wide = insn.off === 8 ? W.i64Extend8S : insn.off === 16 ? W.i64Extend16S : W.i64Extend32S;
        code.byte(narrow ? (insn.off === 8 ? W.i32Extend8S : W.i32Extend16S) : wide);
      }
    } else if (op === Alu.DIV || op === Alu.MOD) {
      this.division(insn, narrow, op === Alu.MOD, insn.off === AluOffset.SIGNED);
    } else {
      this.operand(insn.dst, narrow);
      this.source(insn, narrow);
      code.byte(narrow ? simple[op]!.narrow : simple[op]!.wide);
    }
    if (narrow) code.byte(W.i64ExtendI32U);
    this.put(insn.dst);
  }

  /** Leaves quotient or remainder on the stack; nothing traps (RFC 9669 section 4.1). */
  private division(insn: Insn, narrow: boolean, remainder: boolean, signed: boolean): void {
    const { code } = this;
    const type = narrow ? ValueType.I32 : ValueType.I64;
    const divide = remainder
      ? { wide: signed ? W.i64RemS : W.i64RemU, narrow: signed ? W.i32RemS : W.i32RemU }
      : { wide: signed ? W.i64DivS : W.i64DivU, narrow: signed ? W.i32DivS : W.i32DivU };
    const zero = (): void => {
      if (narrow) code.i32(0);
      else code.i64(0n);
    };
    const byConstant = (insn.opcode & Source.X) === 0;
    if (byConstant && insn.imm !== 0 && insn.imm !== -1) {
      this.operand(insn.dst, narrow);
      this.source(insn, narrow);
      code.byte(narrow ? divide.narrow : divide.wide);
      return;
    }
    this.source(insn, narrow);
    code.byte(narrow ? W.i32Eqz : W.i64Eqz, W.if, type);
    if (remainder) this.operand(insn.dst, narrow);
    else zero();
    code.byte(W.else);
    if (signed) {
      // The lowest number divided by -1 overflows, which WebAssembly traps on.
      this.source(insn, narrow);
      if (narrow) code.i32(-1).byte(W.i32Eq);
      else code.i64(-1n).byte(W.i64Eq);
      code.byte(W.if, type);
      zero();
      if (!remainder) {
        this.operand(insn.dst, narrow);
        code.byte(narrow ? W.i32Sub : W.i64Sub);
      }
      code.byte(W.else);
    }
    this.operand(insn.dst, narrow);
    this.source(insn, narrow);
    code.byte(narrow ? divide.narrow : divide.wide);
    if (signed) code.byte(W.end);
    code.byte(W.end);
  }

  private endian(insn: Insn): void {
    const { code } = this;
    const bits = insn.imm;
    const swaps = (insn.opcode & 7) === Class.ALU64 || (insn.opcode & Source.X) !== 0;
    if (!swaps) {
      if (bits === 64) return;
      this.get(insn.dst)
        .i64(bits === 16 ? 0xffffn : 0xffff_ffffn)
        .byte(W.i64And);
    } else if (bits === 64) {
      const half = (shift: bigint, mask: bigint): void => {
        // x = ((x >> shift) & mask) | ((x & mask) << shift)
        code.get(this.value).i64(shift).byte(W.i64ShrU).i64(mask).byte(W.i64And);
        code.get(this.value).i64(mask).byte(W.i64And).i64(shift).byte(W.i64Shl, W.i64Or).set(this.value);
      };
      this.get(insn.dst).set(this.value);
      half(8n, 0x00ff_00ff_00ff_00ffn);
      half(16n, 0x0000_ffff_0000_ffffn);
      code.get(this.value).i64(32n).byte(W.i64Rotl);
    } else if (bits === 32) {
      // Bytes 0 and 2 turned left by 8, bytes 1 and 3 turned right by 8, makes the reverse of both.
      this.operand(insn.dst, true);
      code.i32(0x00ff_00ff).byte(W.i32And).i32(24).byte(W.i32Rotl);
      this.operand(insn.dst, true);
      code
        .i32(0xff00_ff00 | 0)
        .byte(W.i32And)
        .i32(8)
        .byte(W.i32Rotl, W.i32Or, W.i64ExtendI32U);
    } else {
      this.get(insn.dst).i64(8n).byte(W.i64ShrU).i64(0xffn).byte(W.i64And);
      this.get(insn.dst).i64(0xffn).byte(W.i64And).i64(8n).byte(W.i64Shl, W.i64Or);
    }
    this.put(insn.dst);
  }

  /**
   * Leaves an i32 on the stack such that memory at it plus the returned offset is what the instruction may touch. The frame needs no check;
   * a loop knows the bounds of what its registers pointed to when it began; others look at the notes of memory.
   */
  private address(register: number, off: number, size: number, need: number, slot: number, inLoop: boolean): number {
    const { code } = this;
    if (register === 10 && off >= -FRAME_BYTES && off + size <= 0) {
      code.get(this.frame);
      return FRAME_BYTES + off;
    }
    if (this.isChecked(register, off, size, need)) {
      this.get(register).byte(W.i32WrapI64);
      if (off >= 0) return off;
      code.i32(off).byte(W.i32Add);
      return 0;
    }
    if (inLoop) {
      const window = this.windows.get(windowKey(register, size));
      if (this.onMiss !== undefined && window !== undefined) {
        this.get(register);
        if (off !== 0) code.i64(BigInt(off)).byte(W.i64Add);
        code.tee(this.address64).get(window.base).byte(W.i64Sub).get(window.span).byte(W.i64GeU);
        code.brIf(this.onMiss(slot)).get(this.address64).byte(W.i32WrapI64);
        return 0;
      }
      this.checkInLoop(register, off, size, need, slot);
      code.get(this.address64).byte(W.i32WrapI64);
      return 0;
    }
    this.get(register);
    if (off !== 0) code.i64(BigInt(off)).byte(W.i64Add);
    code.i32(size).i32(need).i32(slot).call(this.module.check);
    return 0;
  }

  /**
   * Leaves the checked address in `address64`. A call that returns would cost the loop its registers, so that the notes of memory are read
   * right here when the address is outside of the window that was opened before the loop.
   */
  private checkInLoop(register: number, off: number, size: number, need: number, slot: number): void {
    const { code, address64, at } = this;
    this.get(register);
    if (off !== 0) code.i64(BigInt(off)).byte(W.i64Add);
    code.set(address64);
    const window = this.windows.get(windowKey(register, size));
    code.byte(W.block, EMPTY_BLOCK);
    if (window !== undefined)
      code.get(address64).get(window.base).byte(W.i64Sub).get(window.span).byte(W.i64LtU).brIf(0);
    code.byte(W.block, EMPTY_BLOCK);
    code.get(address64).i64(BigInt(this.module.limit)).byte(W.i64GeU).brIf(0);
    code
      .get(address64)
      .byte(W.i32WrapI64)
      .i32(size - 1)
      .byte(W.i32Add)
      .tee(at);
    // The note of the last byte says how many of its eight bytes there are; objects begin at multiples of eight.
    code.i32(3).byte(W.i32ShrU).access(W.i32Load8U, SHADOW_OFFSET).tee(this.note);
    code.i32(need).byte(W.i32And, W.i32Eqz).brIf(0);
    code.get(at).i32(7).byte(W.i32And).get(this.note).i32(Shadow.COUNT).byte(W.i32And, W.i32GeU).brIf(0);
    if (size > 1) {
      code.get(address64).byte(W.i32WrapI64).i32(3).byte(W.i32ShrU).access(W.i32Load8U, SHADOW_OFFSET);
      code.i32(need).byte(W.i32And, W.i32Eqz).brIf(0);
    }
    code.br(1).byte(W.end);
    code.i32(0).get(address64).access(W.i64Store, WINDOW_OFFSET);
    code.i32(size).i32(need).i32(slot).call(this.module.memoryFault).byte(W.unreachable, W.end);
  }

  /** Instructions among these whose access needs a check; undefined when one of them can have no window. */
  windowed(slots: readonly number[]): number[] | undefined {
    const out: number[] = [];
    for (const slot of slots) {
      const access = accessOf(this.program.insns[slot]!);
      if (access === undefined || access.register === 10) continue;
      if (!this.windows.has(windowKey(access.register, access.size))) return undefined;
      out.push(slot);
    }
    return out;
  }

  /** Before a loop: bounds of the memory that registers point to which its instructions use. */
  openWindows(slots: readonly number[]): void {
    const { code } = this;
    const wanted = new Map<string, { readonly register: number; readonly size: number }>();
    for (const slot of slots) {
      const access = accessOf(this.program.insns[slot]!);
      if (access !== undefined && access.register !== 10) wanted.set(windowKey(access.register, access.size), access);
    }
    for (const [key, { register, size }] of wanted) {
      const need = this.written.has(key) ? Shadow.WRITE : Shadow.READ;
      let window = this.windows.get(key);
      if (window === undefined) {
        if (this.windows.size >= MOST_WINDOWS) continue;
        window = { base: code.local(ValueType.I64), span: code.local(ValueType.I64) };
        this.windows.set(key, window);
      }
      const { base, span } = window;
      this.get(register).get(base).byte(W.i64Sub).get(span).byte(W.i64GeU, W.if, EMPTY_BLOCK);
      this.get(register);
      code.i32(size).i32(need).call(this.module.window);
      code.i32(WINDOW_OFFSET).access(W.i64Load, 0).set(base);
      code.i32(WINDOW_OFFSET).access(W.i64Load, 8).set(span);
      code.byte(W.end);
    }
  }

  private atomic(insn: Insn, slot: number, inLoop: boolean): void {
    const { code, at, old, value } = this;
    const size = sizeOf(insn);
    const isLoad = insn.imm === Atomic.LOAD_ACQ;
    const offset = this.address(
      isLoad ? insn.src : insn.dst,
      insn.off,
      size,
      isLoad ? Shadow.READ : Shadow.WRITE,
      slot,
      inLoop,
    );
    if (isLoad) {
      code.access(loads[size]!, offset);
      return this.put(insn.dst);
    }
    if (insn.imm === Atomic.STORE_REL) {
      this.get(insn.src).access(stores[size]!, offset);
      return;
    }
    code.tee(at).access(loads[size]!, offset).set(old);
    const plain = atomicOps[insn.imm & ~Atomic.FETCH];
    if (insn.imm === Atomic.CMPXCHG) {
      code.get(at);
      this.get(insn.src).get(old).get(old);
      this.get(0);
      if (size === 4) code.i64(0xffff_ffffn).byte(W.i64And);
      code.byte(W.i64Eq, W.select).access(stores[size]!, offset);
      code.get(old);
      return this.put(0);
    }
    code.get(at);
    if (plain === undefined) this.get(insn.src);
    else {
      code.get(old);
      this.get(insn.src).byte(plain);
    }
    code.set(value).get(value).access(stores[size]!, offset);
    if ((insn.imm & Atomic.FETCH) !== 0) {
      code.get(old);
      this.put(insn.src);
    }
  }

  private passArguments(): void {
    const { code } = this;
    for (let i = 0; i < 5; i++) {
      code.i32(0);
      this.get(1 + i).access(W.i64Store, ARGUMENT_WORD * 4 + i * 8);
    }
    code.i32(0);
    this.get(10).access(W.i64Store, FRAME_WORD * 4);
  }

  private packet(insn: Insn, slot: number): void {
    const { code } = this;
    code.i32(0);
    this.get(6).access(W.i64Store, ARGUMENT_WORD * 4);
    if ((insn.opcode & 0xe0) === Mode.IND) {
      this.operand(insn.src, true);
      code.i32(insn.imm).byte(W.i32Add);
    } else code.i32(insn.imm);
    code.i32(sizeOf(insn)).i32(slot).call(this.module.packet).byte(W.i32Eqz, W.if, 0x40);
    code.i64(0n);
    this.put(0);
    this.leave();
    code
      .byte(W.end)
      .i32(0)
      .access(W.i64Load, RESULT_WORD * 4);
    this.put(0);
  }

  private call(insn: Insn, slot: number): void {
    const { code, module } = this;
    // What is called may take memory away.
    this.checked.clear();
    if (this.savesFuel) this.saveFuel();
    const isLocal = OPCODE_FORMS[insn.opcode] === "call" && insn.src === 1;
    if (isLocal || OPCODE_FORMS[insn.opcode] === "callx") {
      this.get(10).i64(module.deepest).byte(W.i64LeU, W.if, 0x40);
      this.fault(2, slot);
      code.byte(W.end);
    }
    if (isLocal) {
      for (let i = 1; i <= 5; i++) this.get(i);
      this.get(10)
        .i64(BigInt(FRAME_BYTES))
        .byte(W.i64Sub)
        .call(module.locals.get(slot + 1 + insn.imm)!);
      this.put(0);
    } else if (OPCODE_FORMS[insn.opcode] === "callx") {
      this.get(insn.dst).i64(FUNCTION_BASE).byte(W.i64Sub).i64(BigInt(this.program.functions.length));
      code.byte(W.i64LtU, W.if, 0x40);
      for (let i = 1; i <= 5; i++) this.get(i);
      this.get(10).i64(BigInt(FRAME_BYTES)).byte(W.i64Sub);
      this.get(insn.dst).i64(FUNCTION_BASE).byte(W.i64Sub, W.i32WrapI64);
      code.byte(W.callIndirect).unsigned(module.localType).byte(0);
      this.put(0);
      code.byte(W.else);
      this.passArguments();
      this.get(insn.dst).byte(W.i32WrapI64).i32(slot).call(module.helper);
      code.i32(0).access(W.i64Load, RESULT_WORD * 4);
      this.put(0);
      code.byte(W.end);
    } else if (insn.src === 0 && insn.imm === TAIL_CALL) {
      this.passArguments();
      code.i32(slot).call(module.tailCall);
      code.i32(0).access(W.i64Load, RESULT_WORD * 4);
      this.put(0);
      code.byte(W.if, EMPTY_BLOCK).byte(W.globalGet).unsigned(module.fuel).set(this.fuel);
      this.leave();
      code.byte(W.end);
    } else {
      this.passArguments();
      code.i32(insn.imm);
      if (insn.src === 2) code.i32(insn.off).i32(slot).call(module.kfunc);
      else code.i32(slot).call(module.helper);
      code.i32(0).access(W.i64Load, RESULT_WORD * 4);
      this.put(0);
    }
    if (this.savesFuel) code.byte(W.globalGet).unsigned(module.fuel).set(this.fuel);
  }
}
