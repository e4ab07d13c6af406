/** Instructions in the form that the interpreter's loop takes: one dense number for each operation, operands always registers. */
import {
  Alu,
  AluOffset,
  Class,
  type Insn,
  Jmp,
  Mode,
  OPCODE_FORMS,
  PseudoCall,
  Size,
  Source,
} from "../../isa/index.ts";
import { FUNCTION_BASE } from "../machine.ts";
import type { VmProgram } from "../program.ts";

/** What the loop switches on. */
export const Op = {
  ADD64: 0,
  SUB64: 1,
  MUL64: 2,
  DIV64: 3,
  SDIV64: 4,
  MOD64: 5,
  SMOD64: 6,
  OR64: 7,
  AND64: 8,
  XOR64: 9,
  LSH64: 10,
  RSH64: 11,
  ARSH64: 12,
  MOV64: 13,
  NEG64: 14,
  MOVSX8_64: 15,
  MOVSX16_64: 16,
  MOVSX32_64: 17,
  ADD32: 18,
  SUB32: 19,
  MUL32: 20,
  DIV32: 21,
  SDIV32: 22,
  MOD32: 23,
  SMOD32: 24,
  OR32: 25,
  AND32: 26,
  XOR32: 27,
  LSH32: 28,
  RSH32: 29,
  ARSH32: 30,
  MOV32: 31,
  NEG32: 32,
  MOVSX8_32: 33,
  MOVSX16_32: 34,
  SWAP: 35,
  CLEAR: 36,
  LDX8: 37,
  LDX16: 38,
  LDX32: 39,
  LDX64: 40,
  LDXS8: 41,
  LDXS16: 42,
  LDXS32: 43,
  STX8: 44,
  STX16: 45,
  STX32: 46,
  STX64: 47,
  ATOMIC: 48,
  PACKET: 49,
  JA: 50,
  JEQ64: 51,
  JNE64: 52,
  JGT64: 53,
  JGE64: 54,
  JLT64: 55,
  JLE64: 56,
  JSGT64: 57,
  JSGE64: 58,
  JSLT64: 59,
  JSLE64: 60,
  JSET64: 61,
  JEQ32: 62,
  JNE32: 63,
  JGT32: 64,
  JGE32: 65,
  JLT32: 66,
  JLE32: 67,
  JSGT32: 68,
  JSGE32: 69,
  JSLT32: 70,
  JSLE32: 71,
  JSET32: 72,
  MAY_GOTO: 73,
  CALL_HELPER: 74,
  CALL_LOCAL: 75,
  CALL_KFUNC: 76,
  CALLX: 77,
  EXIT: 78,
  /** The second slot of an immediate load, and what lies behind the last instruction. */
  NOWHERE: 79,
  LD_IMM64: 80,
} as const;

/** A program in this form, by slot. Registers count twice: index of the lower half in the register file. */
export interface Operations {
  readonly op: Uint8Array;
  readonly dst: Uint8Array;
  /** Registers, or constants that follow them in the register file. */
  readonly src: Int32Array;
  /** Offset of memory accesses, target slot of jumps and calls, immediate of the rest. */
  readonly extra: Int32Array;
  /** First contents of the register file: zeros for r0 to r10, then the constants. */
  readonly registers: Int32Array;
}

const alu64: Readonly<Record<number, number>> = {
  [Alu.ADD]: Op.ADD64,
  [Alu.SUB]: Op.SUB64,
  [Alu.MUL]: Op.MUL64,
  [Alu.DIV]: Op.DIV64,
  [Alu.OR]: Op.OR64,
  [Alu.AND]: Op.AND64,
  [Alu.LSH]: Op.LSH64,
  [Alu.RSH]: Op.RSH64,
  [Alu.MOD]: Op.MOD64,
  [Alu.XOR]: Op.XOR64,
  [Alu.MOV]: Op.MOV64,
  [Alu.ARSH]: Op.ARSH64,
};

const signExtensions: Readonly<Record<number, number>> = {
  [AluOffset.SX8]: Op.MOVSX8_64,
  [AluOffset.SX16]: Op.MOVSX16_64,
  [AluOffset.SX32]: Op.MOVSX32_64,
};

const jumps64: Readonly<Record<number, number>> = {
  [Jmp.JEQ]: Op.JEQ64,
  [Jmp.JNE]: Op.JNE64,
  [Jmp.JGT]: Op.JGT64,
  [Jmp.JGE]: Op.JGE64,
  [Jmp.JLT]: Op.JLT64,
  [Jmp.JLE]: Op.JLE64,
  [Jmp.JSGT]: Op.JSGT64,
  [Jmp.JSGE]: Op.JSGE64,
  [Jmp.JSLT]: Op.JSLT64,
  [Jmp.JSLE]: Op.JSLE64,
  [Jmp.JSET]: Op.JSET64,
};

const sizes: Readonly<Record<number, number>> = { [Size.B]: 0, [Size.H]: 1, [Size.W]: 2, [Size.DW]: 3 };
/** Distance between an operation on 64 bits and the same on 32, for arithmetic and for jumps. */
const NARROW_ALU: number = Op.ADD32 - Op.ADD64;
const NARROW_JUMP: number = Op.JEQ32 - Op.JEQ64;

/** Translates a program. */
export function operationsOf(program: VmProgram): Operations {
  const length = program.insns.length;
  const op = new Uint8Array(length + 1).fill(Op.NOWHERE);
  const dst = new Uint8Array(length + 1);
  const src = new Int32Array(length + 1);
  const extra = new Int32Array(length + 1);
  const registers = new Array<number>(22).fill(0);
  const known = new Map<string, number>();
  const constant = (low: number, high: number): number => {
    const key = `${low},${high}`;
    let at = known.get(key);
    if (at === undefined) {
      known.set(key, (at = registers.length));
      registers.push(low, high);
    }
    return at;
  };
  const immediate = (value: number): number => constant(value | 0, value >> 31);
  for (const [slot, insn] of program.insns.entries()) {
    if (insn === undefined) continue;
    dst[slot] = insn.dst * 2;
    src[slot] = insn.src * 2;
    const isX = (insn.opcode & Source.X) !== 0;
    switch (OPCODE_FORMS[insn.opcode]) {
      case "alu-imm":
      case "alu-reg":
        op[slot] = aluOperation(insn);
        if (!isX) src[slot] = immediate(insn.imm);
        break;
      case "neg":
        op[slot] = (insn.opcode & 7) === Class.ALU ? Op.NEG32 : Op.NEG64;
        break;
      case "endian":
        op[slot] = isX ? Op.SWAP : Op.CLEAR;
        extra[slot] = insn.imm;
        break;
      case "bswap":
        op[slot] = Op.SWAP;
        extra[slot] = insn.imm;
        break;
      case "ld-imm64": {
        const { value, isFunction } = program.immediates.get(slot)!;
        const index = isFunction ? program.functions.findIndex((f) => f.start === Number(value)) : 0;
        const known64 = isFunction ? FUNCTION_BASE + BigInt(index) : value;
        op[slot] = Op.LD_IMM64;
        src[slot] = constant(Number(BigInt.asIntN(32, known64)), Number(BigInt.asIntN(32, known64 >> 32n)));
        break;
      }
      case "load":
        op[slot] = Op.LDX8 + sizes[insn.opcode & 0x18]!;
        extra[slot] = insn.off;
        break;
      case "load-sx":
        op[slot] = Op.LDXS8 + sizes[insn.opcode & 0x18]!;
        extra[slot] = insn.off;
        break;
      case "store-imm":
      case "store-reg":
        op[slot] = Op.STX8 + sizes[insn.opcode & 0x18]!;
        extra[slot] = insn.off;
        if ((insn.opcode & 7) === Class.ST) src[slot] = immediate(insn.imm);
        break;
      case "atomic":
        op[slot] = Op.ATOMIC;
        extra[slot] = insn.off;
        break;
      case "ld-abs":
      case "ld-ind":
        op[slot] = Op.PACKET;
        extra[slot] = insn.imm;
        // Without a register, one that is always zero.
        if ((insn.opcode & 0xe0) === Mode.ABS) src[slot] = immediate(0);
        break;
      case "goto":
      case "gotol":
        op[slot] = Op.JA;
        extra[slot] = program.successors(slot)[0]!;
        break;
      case "may-goto":
        op[slot] = Op.MAY_GOTO;
        extra[slot] = slot + 1 + insn.off;
        break;
      case "jump-imm":
      case "jump-reg":
        op[slot] = jumps64[insn.opcode & 0xf0]! + ((insn.opcode & 7) === Class.JMP32 ? NARROW_JUMP : 0);
        extra[slot] = slot + 1 + insn.off;
        if (!isX) src[slot] = immediate(insn.imm);
        break;
      case "call":
        op[slot] =
          insn.src === PseudoCall.HELPER
            ? Op.CALL_HELPER
            : insn.src === PseudoCall.LOCAL
              ? Op.CALL_LOCAL
              : Op.CALL_KFUNC;
        extra[slot] = insn.src === PseudoCall.LOCAL ? slot + 1 + insn.imm : insn.imm;
        break;
      case "callx":
        op[slot] = Op.CALLX;
        break;
      case "exit":
        op[slot] = Op.EXIT;
        break;
      default:
    }
  }
  return { op, dst, src, extra, registers: Int32Array.from(registers) };
}

function aluOperation(insn: Insn): number {
  const code = insn.opcode & 0xf0;
  const narrow = (insn.opcode & 7) === Class.ALU ? NARROW_ALU : 0;
  if (code === Alu.MOV && (insn.opcode & Source.X) !== 0 && insn.off > 1) {
    const wide = signExtensions[insn.off]!;
    return narrow === 0 ? wide : wide - Op.MOVSX8_64 + Op.MOVSX8_32;
  }
  const signed = (code === Alu.DIV || code === Alu.MOD) && insn.off === AluOffset.SIGNED ? 1 : 0;
  return alu64[code]! + signed + narrow;
}
