/** Selection of what touches memory. */
import type { Inst, Value } from "../ir.ts";
import { Alu, Atomic, Bpf } from "./machine.ts";
import type { Reg } from "./machine.ts";
import { ATOMIC_OF, fits16, fits32, registerValue, SIZE_OF } from "./select-tables.ts";
import { Values } from "./select-values.ts";

/** Loads, stores and atomics. */
export class MemorySelector extends Values {
  protected signExtend(dst: Reg, source: Reg, bits: number, narrow: boolean): void {
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

  protected selectLoad(inst: Inst): void {
    const { reg, off, ...place } = this.address(inst.args[0]!, inst.offset ?? 0);
    const dst = this.regFor(inst);
    const bits = inst.bits!;
    const rest = { ...place, ...(inst.volatile ? { keep: true } : {}) };
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

  protected selectStore(inst: Inst): void {
    const value = this.canonical(inst.args[1]!);
    const { reg, off, ...rest } = this.address(inst.args[0]!, inst.offset ?? 0);
    const bits = inst.bits!;
    if (value.kind === "const") {
      const imm = bits === 64 ? registerValue(value) : BigInt.asIntN(bits, value.value);
      const context = !this.target.storeImmToContext && this.isContext(inst.args[0]!);
      if (fits32(imm) && !context) {
        this.push(Bpf.ST | Bpf.MEM | SIZE_OF[bits]!, reg, 0, off, Number(imm), rest);
        return;
      }
      if (bits === 64 && !context && !inst.volatile && !rest.core && fits16(off + 4)) {
        // Two halves take two instructions; the whole would take three, for it must be in a register first.
        this.push(Bpf.ST | Bpf.MEM | Bpf.W, reg, 0, off, Number(BigInt.asIntN(32, imm)), rest);
        this.push(Bpf.ST | Bpf.MEM | Bpf.W, reg, 0, off + 4, Number(BigInt.asIntN(32, imm >> 32n)), rest);
        return;
      }
    }
    this.push(Bpf.STX | Bpf.MEM | SIZE_OF[bits]!, reg, this.use(value), off, 0, rest);
  }

  protected selectAtomic(inst: Inst): void {
    const [pointer, first, second] = inst.args as [Value, Value, Value];
    const { reg, off, ...rest } = this.address(pointer, inst.offset ?? 0);
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
}
