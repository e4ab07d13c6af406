/** Appends instructions to a byte buffer and patches jumps, for compilers: no object is made for an instruction. */
import type { AluOp, JmpOp, MemSize } from "./instruction.ts";
import { Alu, Class, INSN_SIZE, Jmp, LD_IMM64, Mode, PseudoCall, Source } from "./opcodes.ts";

/** A place that jumps go to, made by {@link InsnWriter.label}. */
export type Label = number & { readonly __label: unique symbol };

const UNPLACED = -1;

/**
 * A growing program, little-endian. Every method that appends returns the slot index of what it wrote, for `link`, `patchOff`
 * and `patchImm`. Registers and operations are not checked: they come from a compiler, and the kernel checks them; offsets and
 * immediates are, since a value cut to its field would be a different program.
 */
export class InsnWriter {
  private bytes: Uint8Array;
  private view: DataView;
  private used = 0;
  private readonly labelSlots: number[] = [];
  private readonly linkSlots: number[] = [];
  private readonly linkLabels: number[] = [];

  constructor(initialSlots = 256) {
    this.bytes = new Uint8Array(initialSlots * INSN_SIZE);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Slots written so far, which is the index of the next one. */
  get slots(): number {
    return this.used;
  }

  private grow(): void {
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, 16 * INSN_SIZE));
    grown.set(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Appends any one-slot instruction. Throws RangeError when `off` or `imm` does not fit; `imm` may be given unsigned. */
  raw(opcode: number, dst: number, src: number, off: number, imm: number): number {
    if (off < -0x8000 || off > 0x7fff)
      throw new RangeError(`instruction ${this.used}: offset ${off} does not fit 16 bits`);
    if (imm < -0x8000_0000 || imm > 0xffff_ffff) {
      throw new RangeError(`instruction ${this.used}: immediate ${imm} does not fit 32 bits`);
    }
    const slot = this.used;
    const at = slot * INSN_SIZE;
    if (at + INSN_SIZE > this.bytes.length) this.grow();
    this.bytes[at] = opcode;
    this.bytes[at + 1] = (src << 4) | dst;
    this.view.setInt16(at + 2, off, true);
    this.view.setInt32(at + 4, imm | 0, true);
    this.used = slot + 1;
    return slot;
  }

  alu64Imm(op: AluOp, dst: number, imm: number): number {
    return this.raw(Class.ALU64 | op, dst, 0, 0, imm);
  }
  /** `off` 1 makes division and modulo signed (cpu v4). */
  alu64Reg(op: AluOp, dst: number, src: number, off = 0): number {
    return this.raw(Class.ALU64 | op | Source.X, dst, src, off, 0);
  }
  alu32Imm(op: AluOp, dst: number, imm: number): number {
    return this.raw(Class.ALU | op, dst, 0, 0, imm);
  }
  alu32Reg(op: AluOp, dst: number, src: number, off = 0): number {
    return this.raw(Class.ALU | op | Source.X, dst, src, off, 0);
  }
  neg64(dst: number): number {
    return this.raw(Class.ALU64 | Alu.NEG, dst, 0, 0, 0);
  }
  neg32(dst: number): number {
    return this.raw(Class.ALU | Alu.NEG, dst, 0, 0, 0);
  }
  /** Sign-extended to 64 bits. */
  mov64Imm(dst: number, imm: number): number {
    return this.raw(Class.ALU64 | Alu.MOV, dst, 0, 0, imm);
  }
  mov64Reg(dst: number, src: number): number {
    return this.raw(Class.ALU64 | Alu.MOV | Source.X, dst, src, 0, 0);
  }
  /** Zero-extended to 64 bits. */
  mov32Imm(dst: number, imm: number): number {
    return this.raw(Class.ALU | Alu.MOV, dst, 0, 0, imm);
  }
  /** The upper half becomes zero. */
  mov32Reg(dst: number, src: number): number {
    return this.raw(Class.ALU | Alu.MOV | Source.X, dst, src, 0, 0);
  }
  /** Sign-extends the low bits of `src` (cpu v4). */
  movsx64(dst: number, src: number, bits: 8 | 16 | 32): number {
    return this.raw(Class.ALU64 | Alu.MOV | Source.X, dst, src, bits, 0);
  }
  /** To big or little endian; bits above `bits` become zero. */
  endian(to: "be" | "le", dst: number, bits: 16 | 32 | 64): number {
    return this.raw(Class.ALU | Alu.END | (to === "be" ? Source.X : Source.K), dst, 0, 0, bits);
  }
  /** Swaps bytes whatever the machine (cpu v4). */
  bswap(dst: number, bits: 16 | 32 | 64): number {
    return this.raw(Class.ALU64 | Alu.END, dst, 0, 0, bits);
  }

  /** `dst = *(size *)(src + off)` */
  load(size: MemSize, dst: number, src: number, off: number): number {
    return this.raw(Class.LDX | Mode.MEM | size, dst, src, off, 0);
  }
  /** Sign-extending load (cpu v4). */
  loadSx(size: MemSize, dst: number, src: number, off: number): number {
    return this.raw(Class.LDX | Mode.MEMSX | size, dst, src, off, 0);
  }
  /** `*(size *)(dst + off) = src` */
  store(size: MemSize, dst: number, off: number, src: number): number {
    return this.raw(Class.STX | Mode.MEM | size, dst, src, off, 0);
  }
  /** `*(size *)(dst + off) = imm` */
  storeImm(size: MemSize, dst: number, off: number, imm: number): number {
    return this.raw(Class.ST | Mode.MEM | size, dst, 0, off, imm);
  }
  /** `op` is a member of `Atomic`, with `Atomic.FETCH` where wanted. */
  atomic(size: MemSize, op: number, dst: number, off: number, src: number): number {
    return this.raw(Class.STX | Mode.ATOMIC | size, dst, src, off, op);
  }

  /** Two slots: a constant of two 32-bit halves. */
  ldImm64(dst: number, low: number, high: number): number {
    return this.ldImm64Pseudo(dst, 0, low, high);
  }
  /** Two slots: what `pseudo`, a member of `PseudoImm64`, says that the halves mean. */
  ldImm64Pseudo(dst: number, pseudo: number, low: number, high: number): number {
    const slot = this.raw(LD_IMM64, dst, pseudo, 0, low);
    this.raw(0, 0, 0, 0, high);
    return slot;
  }

  /** Unconditional; the distance comes from `link` or `patchOff`. */
  jump(off = 0): number {
    return this.raw(Class.JMP | Jmp.JA, 0, 0, off, 0);
  }
  /** Unconditional with a 32-bit distance (cpu v4). */
  jumpLong(distance = 0): number {
    return this.raw(Class.JMP32 | Jmp.JA, 0, 0, 0, distance);
  }
  jumpImm(op: JmpOp, dst: number, imm: number, off = 0): number {
    return this.raw(Class.JMP | op, dst, 0, off, imm);
  }
  jumpReg(op: JmpOp, dst: number, src: number, off = 0): number {
    return this.raw(Class.JMP | op | Source.X, dst, src, off, 0);
  }
  jump32Imm(op: JmpOp, dst: number, imm: number, off = 0): number {
    return this.raw(Class.JMP32 | op, dst, 0, off, imm);
  }
  jump32Reg(op: JmpOp, dst: number, src: number, off = 0): number {
    return this.raw(Class.JMP32 | op | Source.X, dst, src, off, 0);
  }
  /** Linux 6.9. */
  mayGoto(off = 0): number {
    return this.raw(Class.JMP | Jmp.JCOND, 0, 0, off, 0);
  }
  call(helperId: number): number {
    return this.raw(Class.JMP | Jmp.CALL, 0, PseudoCall.HELPER, 0, helperId);
  }
  /** A subprogram; the distance comes from `link` or `patchImm`. */
  callLocal(distance = 0): number {
    return this.raw(Class.JMP | Jmp.CALL, 0, PseudoCall.LOCAL, 0, distance);
  }
  callKfunc(btfId: number, fdIndex = 0): number {
    return this.raw(Class.JMP | Jmp.CALL, 0, PseudoCall.KFUNC, fdIndex, btfId);
  }
  exit(): number {
    return this.raw(Class.JMP | Jmp.EXIT, 0, 0, 0, 0);
  }

  /** A new label, not yet placed. */
  label(): Label {
    return (this.labelSlots.push(UNPLACED) - 1) as Label;
  }
  /** Puts a label before the next instruction. Throws RangeError when it has a place already. */
  place(label: Label): void {
    if (this.labelSlots[label] !== UNPLACED) throw new RangeError(`label ${label} has a place already`);
    this.labelSlots[label] = this.used;
  }
  /** Slot of a label, undefined before it is placed. */
  slotOf(label: Label): number | undefined {
    const slot = this.labelSlots[label];
    return slot === UNPLACED ? undefined : slot;
  }
  /** Makes the jump, local call or load of a subprogram's address at `slot` go to a label, when the program is finished. */
  link(slot: number, label: Label): void {
    this.linkSlots.push(slot);
    this.linkLabels.push(label);
  }

  private checkSlot(slot: number): number {
    if (slot < 0 || slot >= this.used) throw new RangeError(`slot ${slot} of ${this.used}`);
    return slot * INSN_SIZE;
  }
  /** Overwrites an offset. */
  patchOff(slot: number, off: number): void {
    if (off < -0x8000 || off > 0x7fff) throw new RangeError(`instruction ${slot}: offset ${off} does not fit 16 bits`);
    this.view.setInt16(this.checkSlot(slot) + 2, off, true);
  }
  /** Overwrites an immediate; of a 64-bit immediate load the low half, the high half is at `slot + 1`. */
  patchImm(slot: number, imm: number): void {
    this.view.setInt32(this.checkSlot(slot) + 4, imm | 0, true);
  }
  /** Opcode at a slot. */
  opcodeAt(slot: number): number {
    return this.bytes[this.checkSlot(slot)] ?? 0;
  }

  private resolve(slot: number, target: number): void {
    const at = this.checkSlot(slot);
    const opcode = this.bytes[at] ?? 0;
    const distance = target - slot - 1;
    const wide =
      opcode === (Class.JMP32 | Jmp.JA) || opcode === LD_IMM64 || opcode === (Class.JMP | Jmp.CALL | Source.K);
    if (wide) this.patchImm(slot, distance);
    else this.patchOff(slot, distance);
  }

  /** A copy of the program, its links resolved. Throws RangeError when a label has no place or is too far for its jump. */
  finish(): Uint8Array {
    for (let i = 0; i < this.linkSlots.length; i++) {
      const label = this.linkLabels[i] ?? UNPLACED;
      const target = this.labelSlots[label] ?? UNPLACED;
      if (target === UNPLACED)
        throw new RangeError(`label ${label} has no place, instruction ${this.linkSlots[i]} goes there`);
      this.resolve(this.linkSlots[i] ?? UNPLACED, target);
    }
    return this.bytes.slice(0, this.used * INSN_SIZE);
  }
}
