/** Instructions as plain data, and constructors for them. */
import {
  Alu,
  AluOffset,
  Atomic,
  Class,
  Jmp,
  LD_IMM64,
  Mode,
  OPCODE_FORMS,
  PseudoCall,
  PseudoImm64,
  Size,
  Source,
} from "./opcodes.ts";

/** One instruction. A 64-bit immediate load is one instruction of two slots. */
export interface Insn {
  /** 0 to 255. */
  readonly opcode: number;
  /** Destination register, 0 to 10. */
  readonly dst: number;
  /** Source register, 0 to 10, or a `PseudoImm64` or `PseudoCall`. */
  readonly src: number;
  /** -32768 to 32767. */
  readonly off: number;
  /** -2147483648 to 2147483647; of a 64-bit immediate load the first slot's. */
  readonly imm: number;
  /** Only and always with a 64-bit immediate load: both slots' immediates, unsigned, the first slot's in the low half. */
  readonly imm64?: bigint;
}

/** A member of `Alu`. */
export type AluOp = (typeof Alu)[keyof typeof Alu];
/** A member of `Jmp`. */
export type JmpOp = (typeof Jmp)[keyof typeof Jmp];
/** A member of `Size`. */
export type MemSize = (typeof Size)[keyof typeof Size];

function insn(opcode: number, dst: number, src: number, off: number, imm: number): Insn {
  return { opcode, dst, src, off, imm };
}

/** Slots that an instruction takes: 2 for a 64-bit immediate load, else 1. */
export function slotsOf(i: Insn): 1 | 2 {
  return i.opcode === LD_IMM64 ? 2 : 1;
}

/** `dst op= imm`, 64 bits. */
export function alu64Imm(op: AluOp, dst: number, imm: number): Insn {
  return insn(Class.ALU64 | op | Source.K, dst, 0, 0, imm);
}
/** `dst op= src`, 64 bits; `off` 1 makes division and modulo signed. */
export function alu64Reg(op: AluOp, dst: number, src: number, off: number = 0): Insn {
  return insn(Class.ALU64 | op | Source.X, dst, src, off, 0);
}
/** `dst op= imm`, 32 bits. */
export function alu32Imm(op: AluOp, dst: number, imm: number): Insn {
  return insn(Class.ALU | op | Source.K, dst, 0, 0, imm);
}
/** `dst op= src`, 32 bits. */
export function alu32Reg(op: AluOp, dst: number, src: number, off: number = 0): Insn {
  return insn(Class.ALU | op | Source.X, dst, src, off, 0);
}
/** `dst = imm`, sign-extended to 64 bits. */
export function mov64Imm(dst: number, imm: number): Insn {
  return alu64Imm(Alu.MOV, dst, imm);
}
/** `dst = src`. */
export function mov64Reg(dst: number, src: number): Insn {
  return alu64Reg(Alu.MOV, dst, src);
}
/** `dst = (s8|s16|s32)src` (cpu v4). */
export function movsx64(dst: number, src: number, bits: 8 | 16 | 32): Insn {
  return alu64Reg(Alu.MOV, dst, src, bits);
}
/** Byte order of the low `bits` of `dst`: to big or little endian; the rest becomes zero. */
export function endian(to: "be" | "le", dst: number, bits: 16 | 32 | 64): Insn {
  return insn(Class.ALU | Alu.END | (to === "be" ? Source.X : Source.K), dst, 0, 0, bits);
}
/** Swaps the bytes of the low `bits` of `dst` (cpu v4); the rest becomes zero. */
export function bswap(dst: number, bits: 16 | 32 | 64): Insn {
  return insn(Class.ALU64 | Alu.END, dst, 0, 0, bits);
}
/** `dst = addr_space_cast(src, to, from)`. */
export function addrSpaceCast(dst: number, src: number, to: number, from: number): Insn {
  return insn(Class.ALU64 | Alu.MOV | Source.X, dst, src, AluOffset.ADDR_SPACE_CAST, (to << 16) | from);
}
/** `dst = *(size *)(src + off)`. */
export function load(size: MemSize, dst: number, src: number, off: number): Insn {
  return insn(Class.LDX | Mode.MEM | size, dst, src, off, 0);
}
/** `dst = *(signed size *)(src + off)` (cpu v4). */
export function loadSx(size: MemSize, dst: number, src: number, off: number): Insn {
  return insn(Class.LDX | Mode.MEMSX | size, dst, src, off, 0);
}
/** `*(size *)(dst + off) = src`. */
export function store(size: MemSize, dst: number, off: number, src: number): Insn {
  return insn(Class.STX | Mode.MEM | size, dst, src, off, 0);
}
/** `*(size *)(dst + off) = imm`. */
export function storeImm(size: MemSize, dst: number, off: number, imm: number): Insn {
  return insn(Class.ST | Mode.MEM | size, dst, 0, off, imm);
}
/** An atomic on `*(size *)(dst + off)`; `op` is a member of `Atomic`, with `Atomic.FETCH` where wanted. */
export function atomic(size: MemSize, op: number, dst: number, off: number, src: number): Insn {
  return insn(Class.STX | Mode.ATOMIC | size, dst, src, off, op);
}
/** `dst = imm64`. */
export function ldImm64(dst: number, value: bigint): Insn {
  return ldImm64Pseudo(dst, PseudoImm64.NONE, value);
}
/** A 64-bit immediate load whose value means what `pseudo`, a member of `PseudoImm64`, says. */
export function ldImm64Pseudo(dst: number, pseudo: number, value: bigint): Insn {
  const imm64 = BigInt.asUintN(64, value);
  return { opcode: LD_IMM64, dst, src: pseudo, off: 0, imm: Number(BigInt.asIntN(32, imm64)), imm64 };
}
/** The map of a descriptor. */
export function ldMapFd(dst: number, fd: number): Insn {
  return ldImm64Pseudo(dst, PseudoImm64.MAP_FD, BigInt(fd));
}
/** Address of the byte `offset` in the first value of a descriptor's map. */
export function ldMapValue(dst: number, fd: number, offset: number): Insn {
  return ldImm64Pseudo(dst, PseudoImm64.MAP_VALUE, (BigInt(offset >>> 0) << 32n) | BigInt(fd >>> 0));
}
/** `goto`, `off` slots after the next instruction. */
export function jump(off: number): Insn {
  return insn(Class.JMP | Jmp.JA, 0, 0, off, 0);
}
/** `goto` with a 32-bit distance (cpu v4). */
export function jumpLong(distance: number): Insn {
  return insn(Class.JMP32 | Jmp.JA, 0, 0, 0, distance);
}
/** `if dst op imm goto`, 64 bits. */
export function jumpImm(op: JmpOp, dst: number, imm: number, off: number): Insn {
  return insn(Class.JMP | op | Source.K, dst, 0, off, imm);
}
/** `if dst op src goto`, 64 bits. */
export function jumpReg(op: JmpOp, dst: number, src: number, off: number): Insn {
  return insn(Class.JMP | op | Source.X, dst, src, off, 0);
}
/** `if dst op imm goto`, 32 bits. */
export function jump32Imm(op: JmpOp, dst: number, imm: number, off: number): Insn {
  return insn(Class.JMP32 | op | Source.K, dst, 0, off, imm);
}
/** `if dst op src goto`, 32 bits. */
export function jump32Reg(op: JmpOp, dst: number, src: number, off: number): Insn {
  return insn(Class.JMP32 | op | Source.X, dst, src, off, 0);
}
/** `may_goto` (Linux 6.9). */
export function mayGoto(off: number): Insn {
  return insn(Class.JMP | Jmp.JCOND, 0, 0, off, 0);
}
/** Calls a helper by number. */
export function callHelper(id: number): Insn {
  return insn(Class.JMP | Jmp.CALL, 0, PseudoCall.HELPER, 0, id);
}
/** Calls the subprogram `distance` slots after the next instruction. */
export function callLocal(distance: number): Insn {
  return insn(Class.JMP | Jmp.CALL, 0, PseudoCall.LOCAL, 0, distance);
}
/** Calls a kernel function by BTF id. */
export function callKfunc(btfId: number, fdIndex: number = 0): Insn {
  return insn(Class.JMP | Jmp.CALL, 0, PseudoCall.KFUNC, fdIndex, btfId);
}
/** `exit`. */
export function exit(): Insn {
  return insn(Class.JMP | Jmp.EXIT, 0, 0, 0, 0);
}

const FETCHABLE: ReadonlySet<number> = new Set([Atomic.ADD, Atomic.OR, Atomic.AND, Atomic.XOR]);

/** Whether an atomic's immediate is one of the operations of Linux 6.18 for that size. */
export function isAtomicOp(size: number, imm: number): boolean {
  if (imm === Atomic.LOAD_ACQ || imm === Atomic.STORE_REL) return true;
  if (size !== Size.W && size !== Size.DW) return false;
  return imm === Atomic.XCHG || imm === Atomic.CMPXCHG || FETCHABLE.has(imm & ~Atomic.FETCH);
}

/** Fields that must be zero, as bits: 1 destination, 2 source, 4 offset, 8 immediate. */
const RESERVED = {
  "alu-imm": 2,
  "alu-reg": 0,
  neg: 2 | 4 | 8,
  endian: 2 | 4,
  bswap: 2 | 4,
  "ld-imm64": 4,
  "ld-abs": 1 | 2 | 4,
  "ld-ind": 1 | 4,
  load: 8,
  "load-sx": 8,
  "store-imm": 2,
  "store-reg": 8,
  atomic: 0,
  nospec: 1 | 2 | 4 | 8,
  goto: 1 | 2 | 8,
  gotol: 1 | 2 | 4,
  gotox: 2 | 4 | 8,
  "may-goto": 1 | 2 | 8,
  "jump-imm": 2,
  "jump-reg": 8,
  call: 1,
  callx: 2 | 4 | 8,
  exit: 1 | 2 | 4 | 8,
} as const;

/** Why an instruction is none of Linux 6.18's, as a phrase; undefined when it is one. Registers past r10 count as wrong. */
export function invalidReason(i: Insn): string | undefined {
  const form = OPCODE_FORMS[i.opcode];
  if (form === undefined) return `unknown opcode 0x${i.opcode.toString(16).padStart(2, "0")}`;
  const reserved = RESERVED[form];
  if (reserved & 1 && i.dst !== 0) return `destination register r${i.dst} in an instruction that has none`;
  if (reserved & 2 && i.src !== 0) return `source register r${i.src} in an instruction that has none`;
  if (reserved & 4 && i.off !== 0) return `offset ${i.off} in an instruction that has none`;
  if (reserved & 8 && i.imm !== 0) return `immediate ${i.imm} in an instruction that has none`;
  if (i.dst > 10) return `destination register r${i.dst}, the last is r10`;
  if (form === "ld-imm64") return invalidImm64(i);
  if (form === "call") return invalidCall(i);
  if (i.src > 10) return `source register r${i.src}, the last is r10`;
  if (form === "endian" || form === "bswap") {
    return i.imm === 16 || i.imm === 32 || i.imm === 64
      ? undefined
      : `byte order of ${i.imm} bits, 16, 32 or 64 are known`;
  }
  if (form === "atomic") {
    const known = isAtomicOp(i.opcode & 0x18, i.imm);
    return known ? undefined : `unknown atomic operation 0x${(i.imm >>> 0).toString(16)}`;
  }
  if (form === "alu-imm" || form === "alu-reg") return invalidAlu(i, form === "alu-reg");
  return undefined;
}

/** Kinds of 64-bit immediates whose second slot says something. */
const TWO_PARTS: ReadonlySet<number> = new Set([
  PseudoImm64.NONE,
  PseudoImm64.MAP_VALUE,
  PseudoImm64.MAP_IDX_VALUE,
  PseudoImm64.BTF_ID,
]);

function invalidImm64(i: Insn): string | undefined {
  if (i.src > PseudoImm64.MAP_IDX_VALUE) return `unknown kind ${i.src} of 64-bit immediate`;
  const second = (i.imm64 ?? 0n) >> 32n;
  return second !== 0n && !TWO_PARTS.has(i.src) ? `second immediate ${second} where there is only one` : undefined;
}

function invalidCall(i: Insn): string | undefined {
  if (i.src > PseudoCall.KFUNC) return `unknown kind ${i.src} of call`;
  if (i.src !== PseudoCall.LOCAL && i.imm < 0) return `call of number ${i.imm}`;
  return i.src !== PseudoCall.KFUNC && i.off !== 0 ? `offset ${i.off} in a call that has none` : undefined;
}

function invalidAlu(i: Insn, register: boolean): string | undefined {
  const op = i.opcode & 0xf0;
  const is64 = (i.opcode & 0x07) === Class.ALU64;
  if (register && is64 && op === Alu.MOV && i.off === AluOffset.ADDR_SPACE_CAST) return undefined;
  if (register && i.imm !== 0) return `immediate ${i.imm} in an instruction that has none`;
  if (i.off === 0) return undefined;
  if ((op === Alu.DIV || op === Alu.MOD) && i.off === AluOffset.SIGNED) return undefined;
  if (register && op === Alu.MOV) {
    if (i.off === AluOffset.SX8 || i.off === AluOffset.SX16) return undefined;
    if (is64 && (i.off === AluOffset.SX32 || i.off === AluOffset.ADDR_PERCPU)) return undefined;
  }
  return `offset ${i.off} in an arithmetic instruction that has none`;
}
