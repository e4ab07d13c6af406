/** Names and signs that the assembler and the disassembler share. */
import { Alu, Jmp, Size } from "./opcodes.ts";

/** The two texts: what Linux's kernel/bpf/disasm.c prints, and what clang and llvm-objdump read and print. */
export type Dialect = "kernel" | "llvm";

/** Operators of arithmetic, by `Alu`. */
export const ALU_SIGNS: Readonly<Record<number, string>> = {
  [Alu.ADD]: "+=",
  [Alu.SUB]: "-=",
  [Alu.MUL]: "*=",
  [Alu.DIV]: "/=",
  [Alu.OR]: "|=",
  [Alu.AND]: "&=",
  [Alu.LSH]: "<<=",
  [Alu.RSH]: ">>=",
  [Alu.MOD]: "%=",
  [Alu.XOR]: "^=",
  [Alu.MOV]: "=",
  [Alu.ARSH]: "s>>=",
};

/** Operators of signed division and modulo, by `Alu`. */
export const SIGNED_ALU_SIGNS: Readonly<Record<number, string>> = { [Alu.DIV]: "s/=", [Alu.MOD]: "s%=" };

/** Operators of conditional jumps, by `Jmp`. */
export const JUMP_SIGNS: Readonly<Record<number, string>> = {
  [Jmp.JEQ]: "==",
  [Jmp.JGT]: ">",
  [Jmp.JGE]: ">=",
  [Jmp.JSET]: "&",
  [Jmp.JNE]: "!=",
  [Jmp.JSGT]: "s>",
  [Jmp.JSGE]: "s>=",
  [Jmp.JLT]: "<",
  [Jmp.JLE]: "<=",
  [Jmp.JSLT]: "s<",
  [Jmp.JSLE]: "s<=",
};

/** Types of loads and stores, by `Size`. */
export const SIZE_NAMES: Readonly<Record<number, string>> = {
  [Size.W]: "u32",
  [Size.H]: "u16",
  [Size.B]: "u8",
  [Size.DW]: "u64",
};

/** Types of sign-extending loads, by `Size`. */
export const SIGNED_SIZE_NAMES: Readonly<Record<number, string>> = { [Size.W]: "s32", [Size.H]: "s16", [Size.B]: "s8" };

/** Names of the atomic operations that can fetch, by `Atomic`, which has their `Alu` numbers. */
export const ATOMIC_NAMES: Readonly<Record<number, string>> = {
  [Alu.ADD]: "add",
  [Alu.AND]: "and",
  [Alu.OR]: "or",
  [Alu.XOR]: "xor",
};
