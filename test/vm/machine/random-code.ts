/** Random programs of plain instructions that every kernel accepts: numbers in all registers, a filled stack, jumps forwards and one loop. */
import {
  Alu,
  Atomic,
  Class,
  type Insn,
  Jmp,
  Mode,
  Size,
  Source,
  encode,
  ldImm64,
  ldImm64Pseudo,
} from "../../../src/isa/index.ts";

/** Bytes of the map that results go to: r0 to r9 and the stack. */
export const OUT_BYTES: number = 10 * 8 + 64;

const INTERESTING: readonly bigint[] = [
  0n,
  1n,
  2n,
  7n,
  8n,
  31n,
  32n,
  63n,
  64n,
  255n,
  0x7fffn,
  0x8000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
];
const ALU = [
  Alu.ADD,
  Alu.SUB,
  Alu.MUL,
  Alu.DIV,
  Alu.OR,
  Alu.AND,
  Alu.LSH,
  Alu.RSH,
  Alu.MOD,
  Alu.XOR,
  Alu.MOV,
  Alu.ARSH,
];
const JUMPS = [Jmp.JEQ, Jmp.JGT, Jmp.JGE, Jmp.JSET, Jmp.JNE, Jmp.JSGT, Jmp.JSGE, Jmp.JLT, Jmp.JLE, Jmp.JSLT, Jmp.JSLE];
const ATOMICS = [Atomic.ADD, Atomic.OR, Atomic.AND, Atomic.XOR];

/** A generator of numbers (mulberry32). */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0;
  }

  /** 0 to `below` - 1. */
  below(below: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  word(): bigint {
    const edge = this.pick(INTERESTING);
    switch (this.below(4)) {
      case 0:
        return edge;
      case 1:
        return BigInt.asUintN(64, -edge);
      case 2:
        return (edge << 32n) | BigInt(this.below(2 ** 32));
      default:
        return (BigInt(this.below(2 ** 32)) << 32n) | BigInt(this.below(2 ** 32));
    }
  }
}

const insn = (opcode: number, dst: number, src = 0, off = 0, imm = 0): Insn => ({ opcode, dst, src, off, imm });

/** A program of about `length` random instructions, run `rounds` times. r9 counts them and stays out of their way. */
export function randomCode(seed: number, length: number, rounds: number): Uint8Array {
  const random = new Random(seed);
  const out: Insn[] = [];
  for (let r = 0; r < 9; r++) out.push(ldImm64(r, random.word()));
  for (let slot = 1; slot <= 8; slot++) out.push(insn(Class.STX | Mode.MEM | Size.DW, 10, random.below(9), -8 * slot));
  out.push(insn(Class.ALU64 | Alu.MOV, 9, 0, 0, rounds));
  const body: Insn[] = [];
  while (body.length < length) body.push(...piece(random, length - body.length));
  out.push(...body);
  out.push(insn(Class.ALU64 | Alu.SUB, 9, 0, 0, 1));
  out.push(insn(Class.JMP | Jmp.JNE, 9, 0, -(slots(body) + 2), 0));
  // r9 is 0: it may point to the results now.
  out.push(ldImm64Pseudo(9, 2, 0n));
  for (let r = 0; r < 9; r++) out.push(insn(Class.STX | Mode.MEM | Size.DW, 9, r, 8 * r));
  for (let slot = 1; slot <= 8; slot++) {
    out.push(insn(Class.LDX | Mode.MEM | Size.DW, 1, 10, -8 * slot));
    out.push(insn(Class.STX | Mode.MEM | Size.DW, 9, 1, 80 + 8 * (slot - 1)));
  }
  out.push(insn(Class.ALU64 | Alu.MOV, 0), insn(Class.JMP | Jmp.EXIT, 0));
  return encode(out);
}

function slots(insns: readonly Insn[]): number {
  return insns.reduce((sum, i) => sum + (i.imm64 === undefined ? 1 : 2), 0);
}

function piece(random: Random, room: number): Insn[] {
  const dst = random.below(9);
  const src = random.below(9);
  const imm = Number(BigInt.asIntN(32, random.word()));
  const wide = random.below(2) === 0;
  const cls = wide ? Class.ALU64 : Class.ALU;
  switch (random.below(12)) {
    case 0:
      return [ldImm64(dst, random.word())];
    case 1: {
      const bits = random.pick([16, 32, 64]);
      const opcode = random.pick([Class.ALU | Alu.END, Class.ALU | Alu.END | Source.X, Class.ALU64 | Alu.END]);
      return [insn(opcode, dst, 0, 0, bits)];
    }
    case 2:
      return [insn(cls | Alu.NEG, dst)];
    case 3:
      return [insn(cls | Alu.MOV | Source.X, dst, src, wide ? random.pick([8, 16, 32]) : random.pick([8, 16]))];
    case 4: {
      const size = random.pick([Size.B, Size.H, Size.W, Size.DW]);
      const bytes = [4, 2, 1, 8][size >> 3]!;
      const off = -64 + bytes * random.below(64 / bytes);
      if (random.below(2) === 0) {
        const mode = size !== Size.DW && random.below(2) === 0 ? Mode.MEMSX : Mode.MEM;
        return [insn(Class.LDX | mode | size, dst, 10, off)];
      }
      return [
        random.below(2) === 0
          ? insn(Class.ST | Mode.MEM | size, 10, 0, off, imm)
          : insn(Class.STX | Mode.MEM | size, 10, src, off),
      ];
    }
    case 5: {
      const size = random.pick([Size.W, Size.DW]);
      const bytes = size === Size.W ? 4 : 8;
      const off = -64 + bytes * random.below(64 / bytes);
      const op = random.pick([...ATOMICS, ...ATOMICS.map((a) => a | Atomic.FETCH), Atomic.XCHG, Atomic.CMPXCHG]);
      return [insn(Class.STX | Mode.ATOMIC | size, 10, src, off, op)];
    }
    case 6:
    case 7: {
      // A jump over a few instructions.
      const over: Insn[] = [];
      const count = 1 + random.below(Math.min(6, Math.max(1, room)));
      while (over.length < count) over.push(...piece(random, 1));
      const jump = (random.below(2) === 0 ? Class.JMP : Class.JMP32) | random.pick(JUMPS);
      const reg = random.below(2) === 0;
      return [insn(reg ? jump | Source.X : jump, dst, reg ? src : 0, slots(over), reg ? 0 : imm), ...over];
    }
    default: {
      const op = random.pick(ALU);
      const signed = (op === Alu.DIV || op === Alu.MOD) && random.below(2) === 0 ? 1 : 0;
      if (random.below(2) === 0) return [insn(cls | op | Source.X, dst, src, signed)];
      if (op === Alu.LSH || op === Alu.RSH || op === Alu.ARSH)
        return [insn(cls | op, dst, 0, 0, random.below(wide ? 64 : 32))];
      return [insn(cls | op, dst, 0, signed, (op === Alu.DIV || op === Alu.MOD) && imm === 0 ? 5 : imm)];
    }
  }
}
