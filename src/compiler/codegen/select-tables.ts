/** Tables and small tests that instruction selection looks things up in. */
import type { Users } from "../analysis.ts";
import type { AtomicOp, BinaryOp, Const, Inst, Predicate, Value } from "../ir.ts";
import { isBinary } from "../ops.ts";
import { Alu, Atomic, Bpf, Jump } from "./machine.ts";
import type { Reg } from "./machine.ts";

/** ALU operation bits of each arithmetic operation. */
export const ALU_OF: Partial<Record<BinaryOp, number>> = {
  add: Alu.ADD,
  sub: Alu.SUB,
  mul: Alu.MUL,
  udiv: Alu.DIV,
  sdiv: Alu.DIV,
  urem: Alu.MOD,
  srem: Alu.MOD,
  and: Alu.AND,
  or: Alu.OR,
  xor: Alu.XOR,
  shl: Alu.LSH,
  lshr: Alu.RSH,
  ashr: Alu.ARSH,
};

/** Jump bits of each predicate. */
export const JUMP_OF: Record<Predicate, number> = {
  eq: Jump.EQ,
  ne: Jump.NE,
  ult: Jump.LT,
  ule: Jump.LE,
  ugt: Jump.GT,
  uge: Jump.GE,
  slt: Jump.SLT,
  sle: Jump.SLE,
  sgt: Jump.SGT,
  sge: Jump.SGE,
};

/** Memory size bits of each width. */
export const SIZE_OF: Record<number, number> = { 8: Bpf.B, 16: Bpf.H, 32: Bpf.W, 64: Bpf.DW };

/** `imm` of each atomic operation. */
export const ATOMIC_OF: Record<AtomicOp, number> = {
  add: Atomic.ADD,
  and: Atomic.AND,
  or: Atomic.OR,
  xor: Atomic.XOR,
  xchg: Atomic.XCHG,
  cmpxchg: Atomic.CMPXCHG,
};

/** The low half of a register. */
export const MASK32: bigint = 0xffff_ffffn;

/** True when a signed immediate of 32 bits holds the number. */
export function fits32(value: bigint): boolean {
  return value >= -0x8000_0000n && value <= 0x7fff_ffffn;
}

/** True when a memory access's offset holds the number. */
export function fits16(value: number): boolean {
  return value >= -0x8000 && value <= 0x7fff;
}

/** The constant as its register holds it: i64 and ptr signed, narrower ones zero-extended. */
export function registerValue(c: Const): bigint {
  return c.type === "i64" || c.type === "ptr" ? BigInt.asIntN(64, c.value) : c.value;
}

/** A conditional jump without its targets. */
export interface Condition {
  code: number;
  dst: Reg;
  src: Reg;
  imm: number;
}

/** True for values that are made anew at each use. */
export function isLeaf(value: Value): boolean {
  return (
    value.kind === "const" ||
    (value.kind === "inst" && (value.op === "mapref" || value.op === "funcref" || value.op === "core"))
  );
}

/** True for the frame's own addresses and for pointers at a constant distance from another one. */
export function isAddress(value: Value): value is Inst {
  return value.kind === "inst" && (value.op === "alloca" || (value.op === "ptradd" && value.args[1]!.kind === "const"));
}

/** True when no user of a truncation looks at the upper half of the register, so that none need be cleared. */
export function onlyLowHalfRead(users: Users | undefined, narrowJumps: boolean): boolean {
  if (users === undefined || users.terminators.length > 0) return false;
  return users.insts.every((user) => {
    if (isBinary(user.op)) return !/div|rem/.test(user.op);
    if (user.op === "icmp") return narrowJumps && (user.predicate === "eq" || user.predicate === "ne");
    if (user.op === "store") return user.bits !== 64;
    return user.op === "sext" || (user.op === "zext" && user.bits! < 32) || (user.op === "bswap" && user.bits! <= 32);
  });
}

/** A register copy. */
export interface Copy {
  readonly dst: Reg;
  src: Reg;
}

/** Puts copies that happen at once in an order in which no source is overwritten before it is read; cycles go through a fresh register. */
export function sequenceCopies(copies: readonly Copy[], newReg: () => Reg): Copy[] {
  const out: Copy[] = [];
  const moves = copies.filter((m) => m.dst !== m.src).map((m) => ({ ...m }));
  while (moves.length > 0) {
    const free = moves.findIndex((m) => !moves.some((other) => other !== m && other.src === m.dst));
    if (free >= 0) {
      out.push(...moves.splice(free, 1));
      continue;
    }
    const held = newReg();
    const { dst } = moves[0]!;
    out.push({ dst: held, src: dst });
    for (const m of moves) if (m.src === dst) m.src = held;
  }
  return out;
}
