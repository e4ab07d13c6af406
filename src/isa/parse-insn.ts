/** One instruction's text, in either dialect, to an instruction. */
import type { Span } from "../base/index.ts";
import { helperByName, helperNames } from "./helpers.ts";
import type { Insn } from "./instruction.ts";
import { isAtomicOp, ldImm64Pseudo } from "./instruction.ts";
import {
  Alu,
  AluOffset,
  Atomic,
  Class,
  Jmp,
  LD_IMM64,
  Mode,
  PseudoCall,
  PseudoImm64,
  Size,
  Source,
} from "./opcodes.ts";
import type { NumberToken, Scanner } from "./scanner.ts";
import { StatementError } from "./scanner.ts";
import type { Dialect } from "./text.ts";
import { ALU_SIGNS, ATOMIC_NAMES, JUMP_SIGNS, SIGNED_ALU_SIGNS, SIGNED_SIZE_NAMES, SIZE_NAMES } from "./text.ts";

/** A label that an instruction goes to, resolved when all labels are known. */
export interface Target extends Span {
  readonly label: string;
  /** For errors: `label`, `helper or label`. */
  readonly what: string;
  /** Other names that could have been meant. */
  readonly alternatives?: readonly string[];
}

/** An instruction whose distance is zero when it has a target. */
export interface ParsedInsn {
  readonly insn: Insn;
  readonly target?: Target | undefined;
}

interface Register extends Span {
  readonly number: number;
  /** A `w` register: the low 32 bits. */
  readonly half: boolean;
}

interface Memory {
  readonly size: number;
  readonly signed: boolean;
  readonly base: number;
  readonly off: number;
}

interface Distance {
  readonly value: number;
  readonly target?: Target;
}

function inverted(table: Readonly<Record<number, string>>): ReadonlyMap<string, number> {
  return new Map(Object.entries(table).map(([number, text]) => [text, Number(number)]));
}

const ALU_OPS = inverted(ALU_SIGNS);
const SIGNED_ALU_OPS = inverted(SIGNED_ALU_SIGNS);
const JUMP_OPS = inverted(JUMP_SIGNS);
const SIZES = inverted(SIZE_NAMES);
const SIGNED_SIZES = inverted(SIGNED_SIZE_NAMES);
const ATOMIC_OPS = inverted(ATOMIC_NAMES);
const ASSIGNMENTS: readonly string[] = [...ALU_OPS.keys(), ...SIGNED_ALU_OPS.keys()];
const CONDITIONS: readonly string[] = [...JUMP_OPS.keys()];

const REGISTER = /^([rw])(\d|10)$/;

function registerOf(word: string | undefined): { number: number; half: boolean } | undefined {
  const match = REGISTER.exec(word ?? "");
  return match ? { number: Number(match[2]), half: match[1] === "w" } : undefined;
}

function optionalRegister(s: Scanner): Register | undefined {
  const start = s.at;
  const register = registerOf(s.peekWord());
  if (register === undefined) return undefined;
  const word = s.word() ?? "";
  return { ...register, start, end: start + word.length };
}

function expectRegister(s: Scanner): Register {
  const register = optionalRegister(s);
  if (register === undefined)
    throw s.failure("register expected", "Registers are r0 to r10, and w0 to w10 for their low 32 bits.");
  return register;
}

/** A register of the same width as `other`. */
function expectSameWidth(s: Scanner, other: Register): Register {
  const register = expectRegister(s);
  if (register.half !== other.half) {
    throw s.failureAt(register, "both registers must be r, for 64 bits, or both w, for 32");
  }
  return register;
}

function expectRegisterNumbered(s: Scanner, number: number, why: string): void {
  const register = expectRegister(s);
  if (register.number !== number) throw s.failureAt(register, `r${register.number} where ${why} puts r${number}`);
}

function ranged(s: Scanner, token: NumberToken, low: bigint, high: bigint, hint?: string): number {
  if (token.value < low || token.value > high) {
    throw s.failureAt(token, `${token.value} does not fit, ${low} to ${high} wanted`, hint);
  }
  return Number(token.value);
}

function expectNumber(s: Scanner, what: string): NumberToken {
  const token = s.number();
  if (token === undefined) throw s.failure(`${what} expected`);
  return token;
}

/** A 32-bit immediate; where 64 bits are worked on, one above 2^31 would turn negative, and is refused. */
function immediate(s: Scanner, token: NumberToken, wide: boolean): number {
  if (!wide) return ranged(s, token, -0x8000_0000n, 0xffff_ffffn) | 0;
  const hint = "Immediates are sign-extended to 64 bits; load bigger numbers with `r1 = number ll`.";
  return ranged(s, token, -0x8000_0000n, 0x7fff_ffffn, hint);
}

/** `r1 + 8`, `r1 +8`, `r1 - 8` or `r1`. */
function baseAndOffset(s: Scanner): { base: number; off: number } {
  const base = expectRegister(s);
  if (base.half) throw s.failureAt(base, "addresses are in 64-bit registers");
  const signed = s.text[s.at] === "+" || s.text[s.at] === "-";
  const token = signed ? s.number() : undefined;
  return { base: base.number, off: token === undefined ? 0 : ranged(s, token, -0x8000n, 0x7fffn) };
}

/** `(u64 *)(r1 +8)`, its size among `sizes`. */
function pointer(s: Scanner): Memory {
  s.expect("(");
  const start = s.at;
  const type = s.word() ?? "";
  const size = SIZES.get(type) ?? SIGNED_SIZES.get(type);
  if (size === undefined) {
    throw s.failureAt(
      { start, end: start + Math.max(1, type.length) },
      `size expected, found ${JSON.stringify(type)}`,
      "Sizes are u8, u16, u32, u64, and s8, s16, s32 for loads.",
    );
  }
  s.expect("*");
  s.expect(")");
  s.expect("(");
  const { base, off } = baseAndOffset(s);
  s.expect(")");
  return { size, signed: SIGNED_SIZES.has(type), base, off };
}

function noSign(s: Scanner, memory: Memory, start: number): Memory {
  if (memory.signed) throw s.failureAt({ start, end: s.lastEnd }, "only loads extend a sign");
  return memory;
}

/** Checks that a 32-bit register goes with memory of at most that size. */
function checkHalf(s: Scanner, register: Register, size: number): void {
  if (register.half && size === Size.DW) throw s.failureAt(register, `w${register.number} has 32 bits, the memory 64`);
}

/** `pc+2`, `+2`, `-2`, `label`, and what llvm-objdump puts after it. */
function distance(s: Scanner, wide: boolean, what: string, alternatives?: readonly string[]): Distance {
  const start = s.at;
  let result: Distance;
  const mark = s.peekWord() === "pc" && s.take("pc");
  const token = s.number();
  if (token !== undefined) {
    const bound = wide ? 0x8000_0000n : 0x8000n;
    result = { value: ranged(s, token, -bound, bound - 1n) };
  } else if (mark) {
    throw s.failure("distance expected", "Distances look like pc+2 or pc-2.");
  } else {
    const label = s.word();
    if (label === undefined) throw s.failure("distance or label expected");
    const target = {
      label,
      what,
      start,
      end: start + label.length,
      ...(alternatives === undefined ? {} : { alternatives }),
    };
    result = { value: 0, target };
  }
  if (s.take("<")) {
    while (!s.done && !s.take(">")) s.at++;
  }
  return result;
}

function plain(opcode: number, dst: number, src: number, off: number, imm: number): ParsedInsn {
  return { insn: { opcode, dst, src, off, imm } };
}

function call(s: Scanner): ParsedInsn {
  const opcode = Class.JMP | Jmp.CALL;
  const start = s.at;
  const local = (d: Distance): ParsedInsn => {
    // bpftool names the function that a distance leads to: `call pc+3#name`.
    if (d.target === undefined && s.take("#")) s.word();
    return { insn: { opcode, dst: 0, src: PseudoCall.LOCAL, off: 0, imm: d.value }, target: d.target };
  };
  if (/^(?:pc\s*[+-]|[+-])/.test(s.text.slice(s.at))) return local(distance(s, true, "label"));
  const id = s.number();
  if (id !== undefined) return plain(opcode, 0, PseudoCall.HELPER, 0, ranged(s, id, 0n, 0x7fff_ffffn));
  if (s.takeAll("kernel", "-", "function", "#")) {
    const btfId = ranged(s, expectNumber(s, "BTF id"), 0n, 0x7fff_ffffn);
    const fdIndex = s.take("@") ? ranged(s, expectNumber(s, "index of the module"), -0x8000n, 0x7fffn) : 0;
    return plain(opcode, 0, PseudoCall.KFUNC, fdIndex, btfId);
  }
  const name = s.word();
  if (name === undefined) throw s.failure("helper, number, distance or label expected");
  const helper = name.startsWith("bpf_") ? helperByName(name) : undefined;
  if (s.take("#")) {
    const number = expectNumber(s, "number of the helper");
    const imm = ranged(s, number, -0x8000_0000n, 0x7fff_ffffn);
    if (helper !== undefined && helper.id !== imm) {
      throw s.failureAt(number, `${name} is number ${helper.id}, not ${imm}`);
    }
    return plain(opcode, 0, PseudoCall.HELPER, 0, imm);
  }
  if (helper !== undefined) return plain(opcode, 0, PseudoCall.HELPER, 0, helper.id);
  const alternatives = helperNames();
  return local({
    value: 0,
    target: { label: name, what: "helper or label", start, end: start + name.length, alternatives },
  });
}

function conditional(s: Scanner): ParsedInsn {
  const left = expectRegister(s);
  const sign = s.oneOf(CONDITIONS);
  if (sign === undefined) throw s.failure("comparison expected", `Comparisons are ${CONDITIONS.join(" ")}.`);
  const opcode = (left.half ? Class.JMP32 : Class.JMP) | (JUMP_OPS.get(sign) ?? 0);
  let src = 0;
  let imm = 0;
  let source: number = Source.K;
  const token = s.number();
  if (token !== undefined) {
    imm = immediate(s, token, false);
  } else {
    src = expectSameWidth(s, left).number;
    source = Source.X;
  }
  s.expect("goto");
  const d = distance(s, false, "label");
  return { insn: { opcode: opcode | source, dst: left.number, src, off: d.value, imm }, target: d.target };
}

/** `*(u64 *)(r1 +0) = r2` and `lock *(u64 *)(r1 +0) += r2`. */
function storeStatement(s: Scanner, locked: boolean): ParsedInsn {
  const start = s.at;
  const { size, base, off } = noSign(s, pointer(s), start);
  const signAt = s.at;
  const sign = s.oneOf(locked ? ["+=", "|=", "&=", "^="] : ["="]);
  if (sign === undefined) throw s.failure(locked ? "+=, |=, &= or ^= expected" : "= expected");
  const token = locked ? undefined : s.number();
  if (token !== undefined) {
    return plain(Class.ST | Mode.MEM | size, base, 0, off, immediate(s, token, size === Size.DW));
  }
  const source = expectRegister(s);
  checkHalf(s, source, size);
  if (!locked) return plain(Class.STX | Mode.MEM | size, base, source.number, off, 0);
  const op = ALU_OPS.get(sign) ?? 0;
  if (!isAtomicOp(size, op)) throw s.failureAt({ start: signAt, end: signAt + 2 }, "atomics work on u32 and u64");
  return plain(Class.STX | Mode.ATOMIC | size, base, source.number, off, op);
}

/** The atomics that look like functions; undefined when `word` names none. */
function atomicFunction(s: Scanner, word: string, result: Register): ParsedInsn | undefined {
  const start = s.at;
  const fetch = /^atomic(64)?_fetch_(add|and|or|xor)$/.exec(word);
  const exchange = /^(?:atomic(64)?_(xchg|cmpxchg)|(xchg|cmpxchg)(_64|32_32))$/.exec(word);
  const acquire = word === "load_acquire";
  if (!fetch && !exchange && !acquire) return undefined;
  s.word();
  s.expect("(");
  let memory: Memory;
  if (exchange?.[4] === undefined) {
    const pointerAt = s.at;
    memory = noSign(s, pointer(s), pointerAt);
  } else {
    memory = { ...baseAndOffset(s), size: exchange[4] === "_64" ? Size.DW : Size.W, signed: false };
  }
  const named64 = (fetch ?? exchange)?.[1] === "64";
  if (named64 && memory.size !== Size.DW) {
    throw s.failureAt({ start, end: start + word.length }, `${word} works on u64`);
  }
  const opcode = Class.STX | Mode.ATOMIC | memory.size;
  if (acquire) {
    s.expect(")");
    checkHalf(s, result, memory.size);
    return plain(opcode, result.number, memory.base, memory.off, Atomic.LOAD_ACQ);
  }
  if (memory.size !== Size.DW && memory.size !== Size.W) {
    throw s.failureAt({ start, end: start + word.length }, "atomics work on u32 and u64");
  }
  s.expect(",");
  const kind = exchange?.[2] ?? exchange?.[3];
  if (kind === "cmpxchg") {
    if (result.number !== 0) throw s.failureAt(result, "the old value of a compare-and-exchange goes to r0");
    expectRegisterNumbered(s, 0, "a compare-and-exchange");
    s.expect(",");
  }
  const source = expectRegister(s);
  s.expect(")");
  checkHalf(s, source, memory.size);
  if (kind !== "cmpxchg" && source.number !== result.number) {
    throw s.failureAt(result, `the old value goes to the operand's register, r${source.number}`);
  }
  const op = fetch
    ? (ATOMIC_OPS.get(fetch[2] ?? "") ?? 0) | Atomic.FETCH
    : kind === "xchg"
      ? Atomic.XCHG
      : Atomic.CMPXCHG;
  return plain(opcode, memory.base, source.number, memory.off, op);
}

function storeRelease(s: Scanner): ParsedInsn {
  s.expect("(");
  const start = s.at;
  const { size, base, off } = noSign(s, pointer(s), start);
  s.expect(",");
  const source = expectRegister(s);
  checkHalf(s, source, size);
  s.expect(")");
  return plain(Class.STX | Mode.ATOMIC | size, base, source.number, off, Atomic.STORE_REL);
}

/** `r1 = *...`: memory or packet. */
function loadStatement(s: Scanner, dst: Register): ParsedInsn {
  if (s.peekWord() === "skb") throw s.failure("size expected");
  const packet = /^\(\s*(u\d+)\s*\*\s*\)\s*skb\s*\[/.exec(s.text.slice(s.at));
  if (packet) {
    s.expect("(");
    const size = SIZES.get(s.word() ?? "") ?? Size.DW;
    for (const sign of ["*", ")", "skb", "["]) s.expect(sign);
    if (dst.number !== 0 || size === Size.DW) throw s.failureAt(dst, "packet loads take u8, u16 or u32 into r0");
    const register = optionalRegister(s);
    // The kernel prints negative offsets as `r1 + -5`.
    const token = s.take("+") || register === undefined ? expectNumber(s, "offset in the packet") : s.number();
    s.expect("]");
    const imm = token === undefined ? 0 : immediate(s, token, false);
    return plain(Class.LD | (register === undefined ? Mode.ABS : Mode.IND) | size, 0, register?.number ?? 0, 0, imm);
  }
  const memory = pointer(s);
  checkHalf(s, dst, memory.size);
  if (memory.signed && dst.half) throw s.failureAt(dst, "sign-extending loads fill 64 bits");
  return plain(
    Class.LDX | (memory.signed ? Mode.MEMSX : Mode.MEM) | memory.size,
    dst.number,
    memory.base,
    memory.off,
    0,
  );
}

/** `map[id:4]`, `map[id:4][0]+16`, `map[idx:1]+16`, `subprog[+3]`, `btf[id:7]`; undefined when `word` is none of them. */
function symbolicImm64(s: Scanner, word: string, dst: Register): ParsedInsn | undefined {
  const id = (): number => ranged(s, expectNumber(s, "number"), 0n, 0xffff_ffffn);
  const both = (pseudo: number, low: number, high: number): ParsedInsn => ({
    insn: ldImm64Pseudo(dst.number, pseudo, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)),
  });
  if (!["map", "subprog", "btf"].includes(word)) return undefined;
  s.word();
  s.expect("[");
  if (word === "subprog") {
    const d = distance(s, true, "label");
    s.expect("]");
    return { ...both(PseudoImm64.FUNC, d.value, 0), target: d.target };
  }
  if (word === "btf") {
    s.expect("id");
    s.expect(":");
    const low = id();
    s.expect("]");
    return both(PseudoImm64.BTF_ID, low, s.take("@") ? id() : 0);
  }
  const byIndex = s.take("idx");
  if (!byIndex) s.expect("id");
  s.expect(":");
  const low = id();
  s.expect("]");
  const value = byIndex ? s.text[s.at] === "+" : s.takeAll("[", "0", "]");
  if (!value) return both(byIndex ? PseudoImm64.MAP_IDX : PseudoImm64.MAP_FD, low, 0);
  s.expect("+");
  return both(byIndex ? PseudoImm64.MAP_IDX_VALUE : PseudoImm64.MAP_VALUE, low, id());
}

/** `r1 = number`: a move or a 64-bit immediate load. */
function constant(
  s: Scanner,
  dst: Register,
  token: NumberToken,
  dialect: Dialect,
  opcode: number | undefined,
): ParsedInsn {
  const marked = s.take("ll");
  const wide = marked || (opcode === undefined ? dialect === "kernel" && token.hex && !dst.half : opcode === LD_IMM64);
  if (!wide)
    return plain((dst.half ? Class.ALU : Class.ALU64) | Alu.MOV, dst.number, 0, 0, immediate(s, token, !dst.half));
  if (dst.half) throw s.failureAt(dst, "64-bit constants go into r registers");
  ranged(s, token, -0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn);
  return { insn: ldImm64Pseudo(dst.number, PseudoImm64.NONE, token.value) };
}

/** What follows `r1 = `. */
function assignment(s: Scanner, dst: Register, dialect: Dialect, opcode: number | undefined): ParsedInsn {
  const cls = dst.half ? Class.ALU : Class.ALU64;
  if (s.take("*")) return loadStatement(s, dst);
  const token = s.number();
  if (token !== undefined) return constant(s, dst, token, dialect, opcode);
  if (s.take("-")) {
    const same = expectSameWidth(s, dst);
    if (same.number !== dst.number) throw s.failureAt(same, "negation works in place");
    return plain(cls | Alu.NEG, dst.number, 0, 0, 0);
  }
  if (s.take("&")) {
    for (const sign of ["(", "void", "__percpu", "*", ")", "("]) s.expect(sign);
    const source = expectSameWidth(s, dst);
    s.expect(")");
    return plain(Class.ALU64 | Alu.MOV | Source.X, dst.number, source.number, AluOffset.ADDR_PERCPU, 0);
  }
  if (s.take("(")) {
    const start = s.at;
    const type = s.word() ?? "";
    const size = SIGNED_SIZES.get(type);
    if (size === undefined || (dst.half && size === Size.W)) {
      const hint = dst.half ? "32-bit moves extend s8 and s16." : "Moves extend s8, s16 and s32.";
      throw s.failureAt({ start, end: start + Math.max(1, type.length) }, "signed size expected", hint);
    }
    s.expect(")");
    const source = expectSameWidth(s, dst);
    return plain(cls | Alu.MOV | Source.X, dst.number, source.number, Number(type.slice(1)), 0);
  }
  const word = s.peekWord() ?? "";
  const order = /^(be|le|bswap)(16|32|64)$/.exec(word);
  if (order) {
    s.word();
    const same = expectSameWidth(s, dst);
    if (same.number !== dst.number) throw s.failureAt(same, "byte order is changed in place");
    const base = order[1] === "bswap" ? Class.ALU64 : Class.ALU;
    return plain(base | Alu.END | (order[1] === "be" ? Source.X : Source.K), dst.number, 0, 0, Number(order[2]));
  }
  if (s.take("addr_space_cast")) {
    s.expect("(");
    const source = expectSameWidth(s, dst);
    s.expect(",");
    const to = ranged(s, expectNumber(s, "address space"), 0n, 0xffffn);
    s.expect(",");
    const from = ranged(s, expectNumber(s, "address space"), 0n, 0xffffn);
    s.expect(")");
    const opcodeCast = Class.ALU64 | Alu.MOV | Source.X;
    return plain(opcodeCast, dst.number, source.number, AluOffset.ADDR_SPACE_CAST, (to << 16) | from);
  }
  const special = atomicFunction(s, word, dst) ?? symbolicImm64(s, word, dst);
  if (special !== undefined) return special;
  const source = expectSameWidth(s, dst);
  return plain(cls | Alu.MOV | Source.X, dst.number, source.number, 0, 0);
}

function arithmetic(s: Scanner, dialect: Dialect, opcode: number | undefined): ParsedInsn {
  const dst = expectRegister(s);
  const sign = s.oneOf(ASSIGNMENTS);
  if (sign === undefined) throw s.failure("operator expected", `Operators are ${ASSIGNMENTS.join(" ")}.`);
  if (sign === "=") return assignment(s, dst, dialect, opcode);
  const signedOp = SIGNED_ALU_OPS.get(sign);
  const off = signedOp === undefined ? 0 : AluOffset.SIGNED;
  const base = (dst.half ? Class.ALU : Class.ALU64) | (signedOp ?? ALU_OPS.get(sign) ?? 0);
  const token = s.number();
  if (token !== undefined) return plain(base, dst.number, 0, off, immediate(s, token, !dst.half));
  return plain(base | Source.X, dst.number, expectSameWidth(s, dst).number, off, 0);
}

function jumpTo(s: Scanner, opcode: number, wide: boolean): ParsedInsn {
  const d = distance(s, wide, "label");
  return { insn: { opcode, dst: 0, src: 0, off: wide ? 0 : d.value, imm: wide ? d.value : 0 }, target: d.target };
}

/** Statements that start with a word of their own. */
const STATEMENTS: ReadonlyMap<string, (s: Scanner) => ParsedInsn> = new Map([
  ["exit", () => plain(Class.JMP | Jmp.EXIT, 0, 0, 0, 0)],
  ["goto", (s: Scanner) => jumpTo(s, Class.JMP | Jmp.JA, false)],
  ["gotol", (s: Scanner) => jumpTo(s, Class.JMP32 | Jmp.JA, true)],
  ["may_goto", (s: Scanner) => jumpTo(s, Class.JMP | Jmp.JCOND, false)],
  ["gotox", (s: Scanner) => plain(Class.JMP | Jmp.JA | Source.X, expectRegister(s).number, 0, 0, 0)],
  ["call", call],
  ["callx", (s: Scanner) => plain(Class.JMP | Jmp.CALL | Source.X, expectRegister(s).number, 0, 0, 0)],
  ["if", conditional],
  [
    "lock",
    (s: Scanner) => {
      s.expect("*");
      return storeStatement(s, true);
    },
  ],
  ["store_release", storeRelease],
  ["nospec", () => plain(Class.ST | Mode.ATOMIC, 0, 0, 0, 0)],
]);

/**
 * Reads one instruction and leaves the scanner after it. `opcode` is the one that stands before the text, if any: it decides
 * between a move and a 64-bit immediate load. Throws StatementError.
 */
export function parseInsn(s: Scanner, dialect: Dialect, opcode?: number): ParsedInsn {
  if (s.take("*")) return storeStatement(s, false);
  const start = s.at;
  const word = s.peekWord();
  if (registerOf(word) !== undefined) return arithmetic(s, dialect, opcode);
  const statement = STATEMENTS.get(word ?? "");
  if (statement === undefined) {
    const hint =
      "Instructions look like `r1 = r2`, `r1 += 5`, `r0 = *(u64 *)(r1 + 8)`, `if r1 == 0 goto +2`, `call 1`, `exit`.";
    const text = JSON.stringify(word ?? s.text[start] ?? "");
    throw new StatementError(`${text} starts no instruction`, { start, end: start + (word?.length ?? 1) }, hint);
  }
  s.word();
  return statement(s);
}
