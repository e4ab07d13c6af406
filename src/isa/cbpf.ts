/**
 * Classic BPF: the instructions of packet filters, as libpcap makes them and SO_ATTACH_FILTER takes them (`struct sock_filter`).
 * One accumulator, one index register, sixteen words of scratch memory, jumps forward only.
 */
import { ParseError } from "../base/index.ts";
import type { ByteOrder } from "./encode.ts";

/** One classic instruction. */
export interface CbpfInsn {
  /** 16 bits: class in bits 0 to 2; loads have size in bits 3 and 4 and mode in bits 5 to 7, the others as in eBPF. */
  readonly code: number;
  /** Instructions to skip when the condition holds, 0 to 255. */
  readonly jt: number;
  /** Instructions to skip when it does not. */
  readonly jf: number;
  /** Operand, 32 bits unsigned. */
  readonly k: number;
}

/** Class: bits 0 to 2 of the code. */
export const CbpfClass = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, RET: 6, MISC: 7 } as const;

/** Size of loads: bits 3 and 4. */
export const CbpfSize = { W: 0x00, H: 0x08, B: 0x10 } as const;

/** Mode of loads: bits 5 to 7. */
export const CbpfMode = {
  IMM: 0x00,
  ABS: 0x20,
  IND: 0x40,
  /** Scratch memory. */
  MEM: 0x60,
  /** Length of the packet. */
  LEN: 0x80,
  /** Four times the low four bits of a byte: the length of an IPv4 header. */
  MSH: 0xa0,
} as const;

/** Operand of arithmetic, conditions and returns. */
export const CbpfSource = { K: 0x00, X: 0x08, A: 0x10 } as const;

/** Operation of class MISC. */
export const CbpfMisc = { TAX: 0x00, TXA: 0x80 } as const;

/** Where Linux's own values start in the offsets of packet loads: -4096 unsigned. */
export const SKF_AD_OFF: number = 0xffff_f000;

/** Most instructions of a filter, `BPF_MAXINSNS`. */
export const CBPF_MAX_INSNS: number = 4096;

/** Words of scratch memory, `BPF_MEMWORDS`. */
export const CBPF_MEMORY_WORDS: number = 16;

/** Names that tcpdump prints for Linux's own values, by their distance from {@link SKF_AD_OFF} divided by four. */
export const SKF_AD_NAMES: readonly string[] = [
  "proto",
  "type",
  "ifidx",
  "nla",
  "nlan",
  "mark",
  "queue",
  "hatype",
  "rxhash",
  "cpu",
  "xor_x",
  "vlan_tci",
  "vlanp",
  "poff",
  "random",
  "vlan_tpid",
];

/** How an operand prints. */
type Operand =
  | "none"
  | "decimal"
  | "hex"
  | "x"
  | "packet"
  | "packet-x"
  | "memory"
  | "header-length"
  | "length"
  | "target";

function buildTable(): ReadonlyMap<number, readonly [string, Operand]> {
  const table = new Map<number, readonly [string, Operand]>();
  const { LD, LDX, ST, STX, ALU, JMP, RET, MISC } = CbpfClass;
  for (const [size, suffix] of [
    [CbpfSize.W, ""],
    [CbpfSize.H, "h"],
    [CbpfSize.B, "b"],
  ] as const) {
    table.set(LD | size | CbpfMode.ABS, [`ld${suffix}`, "packet"]);
    table.set(LD | size | CbpfMode.IND, [`ld${suffix}`, "packet-x"]);
  }
  table.set(LD | CbpfMode.IMM, ["ld", "hex"]);
  table.set(LDX | CbpfMode.IMM, ["ldx", "hex"]);
  table.set(LD | CbpfMode.MEM, ["ld", "memory"]);
  table.set(LDX | CbpfMode.MEM, ["ldx", "memory"]);
  table.set(LD | CbpfMode.LEN, ["ld", "length"]);
  table.set(LDX | CbpfSize.B | CbpfMode.MSH, ["ldxb", "header-length"]);
  table.set(ST, ["st", "memory"]);
  table.set(STX, ["stx", "memory"]);
  const operations: readonly (readonly [string, Operand])[] = [
    ["add", "decimal"],
    ["sub", "decimal"],
    ["mul", "decimal"],
    ["div", "decimal"],
    ["or", "hex"],
    ["and", "hex"],
    ["lsh", "decimal"],
    ["rsh", "decimal"],
    ["neg", "none"],
    ["mod", "decimal"],
    ["xor", "hex"],
  ];
  for (const [i, operation] of operations.entries()) {
    table.set(ALU | (i << 4) | CbpfSource.K, operation);
    if (operation[1] !== "none") table.set(ALU | (i << 4) | CbpfSource.X, [operation[0], "x"]);
  }
  table.set(JMP, ["ja", "target"]);
  for (const [i, name] of ["jeq", "jgt", "jge", "jset"].entries()) {
    table.set(JMP | ((i + 1) << 4) | CbpfSource.K, [name, "hex"]);
    table.set(JMP | ((i + 1) << 4) | CbpfSource.X, [name, "x"]);
  }
  table.set(RET | CbpfSource.K, ["ret", "decimal"]);
  table.set(RET | CbpfSource.A, ["ret", "none"]);
  table.set(MISC | CbpfMisc.TAX, ["tax", "none"]);
  table.set(MISC | CbpfMisc.TXA, ["txa", "none"]);
  return table;
}

const TABLE = buildTable();

function packetOffset(k: number): string {
  const own = (k - SKF_AD_OFF) / 4;
  return SKF_AD_NAMES[own] ?? String(k | 0);
}

function operandText(insn: CbpfInsn, operand: Operand, index: number): string {
  const k = insn.k | 0;
  switch (operand) {
    case "none":
      return "";
    case "decimal":
      return `#${k}`;
    case "hex":
      return `#0x${(insn.k >>> 0).toString(16)}`;
    case "x":
      return "x";
    case "packet":
      return `[${packetOffset(insn.k >>> 0)}]`;
    case "packet-x":
      return `[x + ${k}]`;
    case "memory":
      return `M[${k}]`;
    case "header-length":
      return `4*([${k}]&0xf)`;
    case "length":
      return "#pktlen";
    case "target":
      return String((index + 1 + k) | 0);
  }
}

/** One instruction as `tcpdump -d` prints it (libpcap 1.10), without a newline; what it does not know is `unimp`. */
export function disassembleCbpfInsn(insn: CbpfInsn, index: number): string {
  const [name, operand] = TABLE.get(insn.code) ?? ["unimp", undefined];
  const text = operand === undefined ? `0x${insn.code.toString(16)}` : operandText(insn, operand, index);
  const start = `(${String(index).padStart(3, "0")}) ${name.padEnd(8)} `;
  const branches = (insn.code & 0x07) === CbpfClass.JMP && (insn.code & 0xf0) !== 0;
  if (!branches) return start + text;
  return `${start}${text.padEnd(16)} jt ${index + 1 + insn.jt}\tjf ${index + 1 + insn.jf}`;
}

/** A filter as `tcpdump -d` prints it, each line ending in a newline. */
export function disassembleCbpf(insns: readonly CbpfInsn[]): string {
  return insns.map((insn, index) => `${disassembleCbpfInsn(insn, index)}\n`).join("");
}

/** A filter as a C array, as `tcpdump -dd` prints it. */
export function cbpfToC(insns: readonly CbpfInsn[]): string {
  const hex = (value: number): string => (value >>> 0).toString(16);
  return insns.map((i) => `{ 0x${hex(i.code)}, ${i.jt}, ${i.jf}, 0x${hex(i.k).padStart(8, "0")} },\n`).join("");
}

/** A filter as decimal numbers, their count first, as `tcpdump -ddd` prints it and iptables' `--bytecode` takes it with commas. */
export function cbpfToDecimal(insns: readonly CbpfInsn[]): string {
  return `${insns.length}\n${insns.map((i) => `${i.code} ${i.jt} ${i.jf} ${i.k >>> 0}\n`).join("")}`;
}

/** Reads what {@link cbpfToDecimal} writes, lines separated by newlines or commas. Throws ParseError with the place. */
export function cbpfFromDecimal(text: string): CbpfInsn[] {
  const limits = [0xffff, 0xff, 0xff, 0xffff_ffff] as const;
  const insns: CbpfInsn[] = [];
  let count: number | undefined;
  for (const match of text.matchAll(/[^,\n]+/g)) {
    const fail = (why: string): never => {
      throw new ParseError("classic BPF", match.index, `${why}: ${JSON.stringify(match[0].trim())}`);
    };
    const words = match[0].trim().split(/\s+/).filter(Boolean);
    if (words.length === 0) continue;
    if (!words.every((word) => /^\d+$/.test(word))) fail("decimal numbers wanted");
    const [code = 0, jt = 0, jf = 0, k = 0] = words.map(Number);
    if (count === undefined) {
      if (words.length !== 1) fail("the number of instructions wanted first");
      count = code;
      continue;
    }
    if (words.length !== 4) fail("code, jt, jf and k wanted");
    if ([code, jt, jf, k].some((value, i) => value > (limits[i] ?? 0))) fail("a number does not fit its field");
    insns.push({ code, jt, jf, k });
  }
  if (count !== insns.length) {
    throw new ParseError("classic BPF", text.length, `${count ?? "no"} instructions announced, ${insns.length} found`);
  }
  return insns;
}

/** Bytes of `struct sock_filter`, eight an instruction. Throws RangeError when a field does not fit. */
export function encodeCbpf(insns: readonly CbpfInsn[], order: ByteOrder = "little"): Uint8Array {
  const bytes = new Uint8Array(insns.length * 8);
  const view = new DataView(bytes.buffer);
  const little = order === "little";
  for (const [i, insn] of insns.entries()) {
    const fits =
      insn.code >= 0 && insn.code <= 0xffff && insn.jt >= 0 && insn.jt <= 255 && insn.jf >= 0 && insn.jf <= 255;
    if (!fits || insn.k < -0x8000_0000 || insn.k > 0xffff_ffff) {
      throw new RangeError(`classic instruction ${i}: a field does not fit: ${JSON.stringify(insn)}`);
    }
    view.setUint16(i * 8, insn.code, little);
    view.setUint8(i * 8 + 2, insn.jt);
    view.setUint8(i * 8 + 3, insn.jf);
    view.setUint32(i * 8 + 4, insn.k >>> 0, little);
  }
  return bytes;
}

/** Instructions from bytes of `struct sock_filter`. Throws ParseError when the length is no multiple of eight. */
export function decodeCbpf(bytes: Uint8Array, order: ByteOrder = "little"): CbpfInsn[] {
  if (bytes.length % 8 !== 0) {
    throw new ParseError("classic BPF", bytes.length - (bytes.length % 8), "instruction cut short, eight bytes wanted");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = order === "little";
  const insns: CbpfInsn[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    insns.push({
      code: view.getUint16(at, little),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, little),
    });
  }
  return insns;
}
