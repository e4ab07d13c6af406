/** The assembler syntax of the public BPF conformance suite, which is uBPF's: `mov %r0, 1`, `ldxdw %r2, [%r10-8]`, `lock fetch add …`. */
import { Alu, Atomic, Class, type Insn, Jmp, Mode, Size, encode } from "../../../src/isa/index.ts";

const alu: Readonly<Record<string, number>> = {
  add: Alu.ADD,
  sub: Alu.SUB,
  mul: Alu.MUL,
  div: Alu.DIV,
  sdiv: Alu.DIV,
  or: Alu.OR,
  and: Alu.AND,
  lsh: Alu.LSH,
  rsh: Alu.RSH,
  mod: Alu.MOD,
  smod: Alu.MOD,
  xor: Alu.XOR,
  mov: Alu.MOV,
  arsh: Alu.ARSH,
};
const jumps: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(Jmp)
    .filter(([name]) => /^J(EQ|[SN]|[GL][TE])/.test(name))
    .map(([name, value]) => [name.toLowerCase(), value]),
);
const sizes: Readonly<Record<string, number>> = { b: Size.B, h: Size.H, w: Size.W, dw: Size.DW };
const atomics: Readonly<Record<string, number>> = {
  add: Atomic.ADD,
  or: Atomic.OR,
  and: Atomic.AND,
  xor: Atomic.XOR,
  xchg: Atomic.XCHG,
  cmpxchg: Atomic.CMPXCHG,
};

/** Code of a text in this syntax. */
export function assembleUbpf(text: string): Uint8Array {
  const labels = new Map<string, number>();
  const lines: { readonly words: readonly string[]; readonly slot: number }[] = [];
  let slot = 0;
  for (const raw of text.split("\n")) {
    let line = raw.replace(/#.*/, "").trim();
    const label = /^(\w+):/.exec(line);
    if (label !== null) {
      labels.set(label[1]!, slot);
      line = line.slice(label[0].length).trim();
    }
    if (line === "") continue;
    const words = line.split(/[\s,]+/).filter((w) => w !== "");
    lines.push({ words, slot });
    slot += words[0] === "lddw" ? 2 : 1;
  }
  // A label that needs no definition: the last instruction.
  if (!labels.has("exit")) labels.set("exit", slot - 1);
  return encode(lines.map(({ words, slot: at }) => one(words, at, labels)));
}

const number = (text: string): number => Number(BigInt.asIntN(32, big(text)));
function big(text: string): bigint {
  return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text.replace(/^\+/, ""));
}
const register = (text: string): number => Number(/^%r(\d+)$/.exec(text)![1]);

function place(text: string): { register: number; off: number } {
  const [, r, off] = /^\[%r(\d+)([+-]\w+)?\]$/.exec(text)!;
  return { register: Number(r), off: off === undefined ? 0 : Number(big(off)) };
}

function one(words: readonly string[], slot: number, labels: ReadonlyMap<string, number>): Insn {
  const [name = "", a = "", b = "", c = ""] = words;
  const insn = (opcode: number, dst: number, src = 0, off = 0, imm = 0): Insn => ({ opcode, dst, src, off, imm });
  const distance = (text: string): number => (labels.has(text) ? labels.get(text)! - slot - 1 : Number(big(text)));
  const operand = (base: number, dst: string, text: string, off = 0): Insn =>
    text.startsWith("%")
      ? insn(base | 0x08, register(dst), register(text), off)
      : insn(base, register(dst), 0, off, number(text));
  if (name === "exit") return insn(Class.JMP | Jmp.EXIT, 0);
  if (name === "lock") {
    const rest = words.slice(1);
    const fetch = rest[0] === "fetch" ? Atomic.FETCH : 0;
    if (fetch !== 0) rest.shift();
    const [, op, narrow] = /^([a-z]+)(32)?$/.exec(rest[0]!)!;
    const at = place(rest[1]!);
    const size = narrow === undefined ? Size.DW : Size.W;
    return insn(Class.STX | Mode.ATOMIC | size, at.register, register(rest[2]!), at.off, atomics[op!]! | fetch);
  }
  if (name === "call") {
    if (a === "local") return insn(Class.JMP | Jmp.CALL, 0, 1, 0, distance(b));
    if (a.startsWith("%")) return insn(Class.JMP | Jmp.CALL | 0x08, register(a));
    return insn(Class.JMP | Jmp.CALL, 0, 0, 0, number(a));
  }
  if (name === "ja") return insn(Class.JMP | Jmp.JA, 0, 0, distance(a));
  if (name === "ja32") return insn(Class.JMP32 | Jmp.JA, 0, 0, 0, distance(a));
  if (name === "lddw") {
    const imm64 = BigInt.asUintN(64, big(b));
    return { ...insn(0x18, register(a), 0, 0, Number(BigInt.asIntN(32, imm64))), imm64 };
  }
  const swap = /^(be|le|bswap|swap)(16|32|64)$/.exec(name);
  if (swap !== null) {
    const base = swap[1] === "be" ? Class.ALU | 0x08 : swap[1] === "le" ? Class.ALU : Class.ALU64;
    return insn(base | Alu.END, register(a), 0, 0, Number(swap[2]));
  }
  const extend = /^movsx(8|16|32)(32|64)$/.exec(name);
  if (extend !== null) {
    const base = extend[2] === "64" ? Class.ALU64 : Class.ALU;
    return insn(base | Alu.MOV | 0x08, register(a), register(b), Number(extend[1]));
  }
  const memory = /^(ldxs|ldx|stx|st)(b|h|w|dw)$/.exec(name);
  if (memory !== null) {
    const size = sizes[memory[2]!]!;
    if (memory[1]!.startsWith("ldx")) {
      const from = place(b);
      const mode = memory[1] === "ldxs" ? Mode.MEMSX : Mode.MEM;
      return insn(Class.LDX | mode | size, register(a), from.register, from.off);
    }
    const to = place(a);
    if (memory[1] === "st") return insn(Class.ST | Mode.MEM | size, to.register, 0, to.off, number(b));
    return insn(Class.STX | Mode.MEM | size, to.register, register(b), to.off);
  }
  const [, stem, narrow] = /^([a-z]+?)(32)?$/.exec(name)!;
  if (stem === "neg") return insn((narrow === undefined ? Class.ALU64 : Class.ALU) | Alu.NEG, register(a));
  if (alu[stem!] !== undefined) {
    const off = stem === "sdiv" || stem === "smod" ? 1 : 0;
    return operand((narrow === undefined ? Class.ALU64 : Class.ALU) | alu[stem!]!, a, b, off);
  }
  if (jumps[stem!] !== undefined)
    return operand((narrow === undefined ? Class.JMP : Class.JMP32) | jumps[stem!]!, a, b, distance(c));
  throw new Error(`${words.join(" ")}: unknown`);
}

/** A case of the suite. */
export interface ConformanceCase {
  readonly code: Uint8Array;
  readonly memory: Uint8Array;
  /** r0; undefined when an error is expected. */
  readonly result: bigint | undefined;
}

/** Reads a `.data` file of the suite. */
export function parseCase(text: string): ConformanceCase {
  const sections: Record<string, string> = {};
  let current = "";
  for (const line of text.split("\n")) {
    const section = /^-- (\w+)/.exec(line);
    if (section !== null) sections[(current = section[1]!)] = "";
    else if (current !== "") sections[current] += `${line.replace(/#.*/, "")}\n`;
  }
  const words = (name: string): string[] => (sections[name] ?? "").split(/\s+/).filter((w) => w !== "");
  const code =
    sections["raw"] === undefined
      ? assembleUbpf(sections["asm"] ?? "")
      : new Uint8Array(BigUint64Array.from(words("raw").map((w) => BigInt(w))).buffer);
  return {
    code,
    memory: Uint8Array.from(words("mem").map((w) => Number.parseInt(w, 16))),
    result: sections["result"] === undefined ? undefined : BigInt.asUintN(64, BigInt(sections["result"].trim())),
  };
}
