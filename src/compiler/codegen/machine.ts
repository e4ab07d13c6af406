/** Machine code before registers are assigned: real opcodes, registers physical (0 to 10) or virtual (from 11). */
import type { CoreAccess, Position } from "../ir.ts";

/** A register: 0 to 10 are the machine's own, higher numbers are virtual. */
export type Reg = number;

/** The frame pointer. */
export const FP: Reg = 10;
/** The first virtual register. */
export const FIRST_VIRTUAL: Reg = 11;

/** Bits of the opcode byte that the code generator composes (RFC 9669 section 3). */
export const Bpf = {
  /** Instruction classes, the low 3 bits. */
  LD: 0x00,
  LDX: 0x01,
  ST: 0x02,
  STX: 0x03,
  ALU: 0x04,
  JMP: 0x05,
  JMP32: 0x06,
  ALU64: 0x07,
  /** Operand is the source register rather than the immediate. */
  X: 0x08,
  /** Memory access sizes. */
  W: 0x00,
  H: 0x08,
  B: 0x10,
  DW: 0x18,
  /** Memory access modes. */
  MEM: 0x60,
  MEMSX: 0x80,
  ATOMIC: 0xc0,
  LD_IMM64: 0x18,
  CALL: 0x85,
  EXIT: 0x95,
  JA: 0x05,
  JA32: 0x06,
  MAY_GOTO: 0xe5,
  /** Modes of packet loads, in class LD. */
  ABS: 0x20,
  IND: 0x40,
  /** No opcode: stands for inline assembly until registers are known. */
  ASM: 0x100,
} as const;

/** ALU operations, the high 4 bits of the opcode. */
export const Alu = {
  ADD: 0x00,
  SUB: 0x10,
  MUL: 0x20,
  DIV: 0x30,
  OR: 0x40,
  AND: 0x50,
  LSH: 0x60,
  RSH: 0x70,
  NEG: 0x80,
  MOD: 0x90,
  XOR: 0xa0,
  MOV: 0xb0,
  ARSH: 0xc0,
  END: 0xd0,
} as const;

/** Conditions of jumps, the high 4 bits of the opcode. */
export const Jump = {
  EQ: 0x10,
  GT: 0x20,
  GE: 0x30,
  SET: 0x40,
  NE: 0x50,
  SGT: 0x60,
  SGE: 0x70,
  LT: 0xa0,
  LE: 0xb0,
  SLT: 0xc0,
  SLE: 0xd0,
} as const;

/** `imm` of atomic instructions (RFC 9669 section 5.3). */
export const Atomic = { ADD: 0x00, OR: 0x40, AND: 0x50, XOR: 0xa0, FETCH: 0x01, XCHG: 0xe1, CMPXCHG: 0xf1 } as const;

/** `src` of an ld_imm64: what its immediate stands for. */
export const PseudoLoad = { MAP_FD: 1, MAP_VALUE: 2, FUNC: 4 } as const;

/** A piece of the frame: an alloca or a spilled register. `offset` from r10 is set by the frame layout. */
export interface FrameObject {
  readonly size: number;
  readonly align: number;
  readonly name: string;
  offset: number;
}

/** What the loader or linker puts into an ld_imm64 or a call. */
export type Symbol =
  | { readonly kind: "map"; readonly map: string }
  | { readonly kind: "map-value"; readonly map: string; readonly offset: number }
  | { readonly kind: "func"; readonly func: string }
  | { readonly kind: "call"; readonly func: string }
  | { readonly kind: "kfunc"; readonly name: string }
  | { readonly kind: "ksym"; readonly name: string };

/** What stands for `$n` in a template. Registers are indices into `AsmInst.regs`. */
export type AsmOperand =
  | { readonly kind: "register"; readonly index: number }
  | { readonly kind: "number"; readonly value: bigint }
  | { readonly kind: "symbol"; readonly symbol: Symbol }
  /** `index` null: in the frame. */
  | { readonly kind: "memory"; readonly index: number | null; readonly off: number; readonly frame?: FrameObject };

/** Inline assembly among machine instructions. */
export interface AsmInst {
  readonly template: string;
  readonly operands: readonly AsmOperand[];
  regs: Reg[];
  /** Which of `regs` it reads and writes, and those that it writes while it still reads others. */
  readonly reads: readonly number[];
  readonly writes: readonly number[];
  readonly early: readonly number[];
  readonly clobbers: readonly Reg[];
}

/** One machine instruction. */
export interface MInst {
  /** The opcode byte. */
  code: number;
  dst: Reg;
  src: Reg;
  off: number;
  imm: number;
  /** The immediate of an ld_imm64. */
  imm64?: bigint;
  /** `off` (memory access) or `imm` (addition) counts from the start of this piece of the frame. */
  frame?: FrameObject;
  symbol?: Symbol;
  /** The record that its offset or immediate carries. */
  core?: CoreAccess;
  asm?: AsmInst;
  /** Number of arguments of a call. */
  argc?: number;
  /** Stays even when its result is unused. */
  keep?: boolean;
  position: Position | null;
}

/** How a machine block ends. */
export type MTerm =
  | { readonly kind: "jump"; target: MBlock }
  | {
      readonly kind: "cond";
      /** Opcode byte of the jump taken to `then`. */
      code: number;
      dst: Reg;
      src: Reg;
      imm: number;
      then: MBlock;
      else: MBlock;
      likely?: "then" | "else";
    }
  | { readonly kind: "maygoto"; body: MBlock; exit: MBlock }
  | { readonly kind: "exit"; readonly value: boolean }
  /** Assembly has ended the function itself. */
  | { readonly kind: "none" };

/** A machine block. */
export interface MBlock {
  readonly id: number;
  insts: MInst[];
  term: MTerm;
  position: Position | null;
  /** Depth of loops around it, for spill costs. */
  depth: number;
}

/** A function in machine code. */
export interface MFunc {
  readonly name: string;
  blocks: MBlock[];
  /** Next free virtual register. */
  nextReg: Reg;
  readonly frame: FrameObject[];
  /** Instructions that make a register's value anew: cheaper than keeping it on the stack. */
  readonly remat: Map<Reg, MInst>;
}

/** Blocks a terminator goes to. */
export function mSuccessors(term: MTerm): MBlock[] {
  switch (term.kind) {
    case "jump":
      return [term.target];
    case "cond":
      return [term.then, term.else];
    case "maygoto":
      return [term.body, term.exit];
    default:
      return [];
  }
}

/** True for a 64-bit register copy. */
export function isMove(inst: MInst): boolean {
  return inst.code === (Bpf.ALU64 | Bpf.X | Alu.MOV) && inst.off === 0 && inst.src !== FP;
}

/** Where packet loads expect the context. */
export const PACKET: Reg = 6;

const NO_REGS: readonly Reg[] = [];
const CALL_CLOBBERS: readonly Reg[] = [0, 1, 2, 3, 4, 5];
const ARGS: readonly (readonly Reg[])[] = [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]];

/** Lists of one register, made once: they are asked for over and over. */
const SINGLE: (readonly Reg[])[] = [];

function only(r: Reg): readonly Reg[] {
  return (SINGLE[r] ??= [r]);
}

/** Registers that an instruction writes; a call writes r0 to r5. */
export function defsOf(inst: MInst): readonly Reg[] {
  if (inst.asm) return [...inst.asm.writes.map((i) => inst.asm!.regs[i]!), ...inst.asm.clobbers];
  switch (inst.code & 7) {
    case Bpf.ALU:
    case Bpf.ALU64:
    case Bpf.LDX:
      return only(inst.dst);
    case Bpf.LD:
      return inst.code === Bpf.LD_IMM64 ? only(inst.dst) : CALL_CLOBBERS;
    case Bpf.STX:
      if ((inst.code & 0xe0) !== Bpf.ATOMIC || (inst.imm & Atomic.FETCH) === 0) return NO_REGS;
      return only(inst.imm === Atomic.CMPXCHG ? 0 : inst.src);
    case Bpf.JMP:
      return inst.code === Bpf.CALL ? CALL_CLOBBERS : NO_REGS;
    default:
      return NO_REGS;
  }
}

/** Registers that an instruction reads, the frame pointer left out. */
export function usesOf(inst: MInst): readonly Reg[] {
  const { code, dst, src } = inst;
  if (inst.asm) return inst.asm.reads.map((i) => inst.asm!.regs[i]!);
  switch (code & 7) {
    case Bpf.ALU:
    case Bpf.ALU64: {
      const op = code & 0xf0;
      const readsDst = op !== Alu.MOV;
      const readsSrc = (code & Bpf.X) !== 0 && op !== Alu.END && op !== Alu.NEG && src !== FP;
      if (readsDst) return readsSrc ? [dst, src] : only(dst);
      return readsSrc ? only(src) : NO_REGS;
    }
    case Bpf.LD:
      if (code === Bpf.LD_IMM64) return NO_REGS;
      return (code & 0xe0) === Bpf.IND ? [PACKET, src] : only(PACKET);
    case Bpf.LDX:
      return src === FP ? NO_REGS : only(src);
    case Bpf.ST:
      return dst === FP ? NO_REGS : only(dst);
    case Bpf.STX: {
      const out = dst === FP ? (src === FP ? NO_REGS : only(src)) : src === FP ? only(dst) : [dst, src];
      return (code & 0xe0) === Bpf.ATOMIC && inst.imm === Atomic.CMPXCHG ? [0, ...out] : out;
    }
    case Bpf.JMP:
      return code === Bpf.CALL ? ARGS[inst.argc ?? 0]! : NO_REGS;
    default:
      return NO_REGS;
  }
}

/** Registers that a terminator reads. */
export function termUses(term: MTerm): readonly Reg[] {
  if (term.kind === "cond") {
    const src = (term.code & Bpf.X) !== 0 && term.src !== FP;
    return src ? [term.dst, term.src] : only(term.dst);
  }
  return term.kind === "exit" && term.value ? [0] : NO_REGS;
}

/** True when the instruction does something beyond writing its destination. */
export function hasEffect(inst: MInst): boolean {
  if (inst.keep || inst.asm) return true;
  const cls = inst.code & 7;
  return cls === Bpf.ST || cls === Bpf.STX || cls === Bpf.JMP;
}
