/** Instructions to text: the kernel's, as `bpftool prog dump xlated` and the verifier's log print it, or clang's. */
import type { DecodeOptions } from "./decode.ts";
import { decode } from "./decode.ts";
import { helperById } from "./helpers.ts";
import type { Insn } from "./instruction.ts";
import { slotsOf } from "./instruction.ts";
import { Alu, AluOffset, Atomic, Class, OPCODE_FORMS, PseudoCall, PseudoImm64, Size, Source } from "./opcodes.ts";
import type { Dialect } from "./text.ts";
import { ALU_SIGNS, ATOMIC_NAMES, JUMP_SIGNS, SIGNED_ALU_SIGNS, SIGNED_SIZE_NAMES, SIZE_NAMES } from "./text.ts";

/** How to print an instruction. */
export interface InsnTextOptions {
  /** Default `kernel`. The `llvm` dialect is llvm-objdump's with 32-bit registers (cpu v3 and later). */
  readonly dialect?: Dialect;
  /** Put the opcode before the text, as the kernel does: `(b7) r0 = 0`. Default false. */
  readonly opcode?: boolean;
  /** What follows `call `, for callers that know names; undefined for the text without names. */
  readonly callText?: (insn: Insn) => string | undefined;
  /** What a 64-bit immediate load loads, for callers that know maps; undefined for the text without names. */
  readonly imm64Text?: (insn: Insn) => string | undefined;
}

/** How to print a program. */
export interface DisassembleOptions extends InsnTextOptions {
  /** Put the slot's index before each line: `   0: ` in the kernel's text, `       0:` and a tab in llvm's. Default false. */
  readonly index?: boolean;
  /** Names of places, by slot: printed on lines of their own, and after jumps in llvm's text. */
  readonly labels?: ReadonlyMap<number, string>;
}

function signed(value: number): string {
  return value < 0 ? String(value) : `+${value}`;
}

/** `(r1 +8)` for the kernel, `(r1 + 8)` for llvm. */
function address(dialect: Dialect, register: number, off: number): string {
  if (dialect === "kernel") return `(r${register} ${signed(off)})`;
  return `(r${register} ${off < 0 ? "-" : "+"} ${Math.abs(off)})`;
}

function pointer(dialect: Dialect, type: string | undefined, register: number, off: number): string {
  return `(${type} *)${address(dialect, register, off)}`;
}

function distance(dialect: Dialect, value: number): string {
  return `${dialect === "kernel" ? "pc" : ""}${signed(value)}`;
}

function aluText(i: Insn, register: boolean): string {
  const op = i.opcode & 0xf0;
  const is64 = (i.opcode & 7) === Class.ALU64;
  const letter = is64 ? "r" : "w";
  if (register && is64 && op === Alu.MOV) {
    if (i.off === AluOffset.ADDR_SPACE_CAST) {
      return `r${i.dst} = addr_space_cast(r${i.src}, ${i.imm >>> 16}, ${i.imm & 0xffff})`;
    }
    if (i.off === AluOffset.ADDR_PERCPU) return `r${i.dst} = &(void __percpu *)(r${i.src})`;
  }
  const sign = (i.off === AluOffset.SIGNED ? SIGNED_ALU_SIGNS[op] : undefined) ?? ALU_SIGNS[op];
  if (!register) return `${letter}${i.dst} ${sign} ${i.imm}`;
  const extending = op === Alu.MOV && (i.off === AluOffset.SX8 || i.off === AluOffset.SX16 || i.off === AluOffset.SX32);
  return `${letter}${i.dst} ${sign} ${extending ? `(s${i.off})` : ""}${letter}${i.src}`;
}

function atomicText(dialect: Dialect, i: Insn): string | undefined {
  const size = i.opcode & 0x18;
  const wide = size === Size.DW;
  const at = pointer(dialect, SIZE_NAMES[size], i.dst, i.off);
  if (i.imm === Atomic.LOAD_ACQ) {
    const letter = dialect === "kernel" || wide ? "r" : "w";
    return `${letter}${i.dst} = load_acquire(${pointer(dialect, SIZE_NAMES[size], i.src, i.off)})`;
  }
  const letter = dialect === "kernel" || wide ? "r" : "w";
  const source = `${letter}${i.src}`;
  if (i.imm === Atomic.STORE_REL) return `store_release(${at}, ${source})`;
  const name = ATOMIC_NAMES[i.imm & ~Atomic.FETCH];
  if (name !== undefined) {
    if (!(i.imm & Atomic.FETCH)) return `lock *${at} ${ALU_SIGNS[i.imm]} ${source}`;
    return `${source} = atomic${dialect === "kernel" && wide ? "64" : ""}_fetch_${name}(${at}, ${source})`;
  }
  const place = address(dialect, i.dst, i.off).slice(1, -1);
  if (i.imm === Atomic.XCHG) {
    if (dialect === "llvm") return `${source} = ${wide ? "xchg_64" : "xchg32_32"}(${place}, ${source})`;
    return `${source} = atomic${wide ? "64" : ""}_xchg(${at}, ${source})`;
  }
  if (i.imm === Atomic.CMPXCHG) {
    if (dialect === "llvm") {
      return `${letter}0 = ${wide ? "cmpxchg_64" : "cmpxchg32_32"}(${place}, ${letter}0, ${source})`;
    }
    return `r0 = atomic${wide ? "64" : ""}_cmpxchg(${at}, r0, ${source})`;
  }
  return undefined;
}

function imm64Text(i: Insn, dialect: Dialect): string {
  const value = i.imm64 ?? 0n;
  const second = Number(value >> 32n);
  switch (i.src) {
    case PseudoImm64.MAP_FD:
      return `map[id:${i.imm >>> 0}]`;
    case PseudoImm64.MAP_VALUE:
      return `map[id:${i.imm >>> 0}][0]+${second}`;
    case PseudoImm64.MAP_IDX:
      return `map[idx:${i.imm >>> 0}]`;
    case PseudoImm64.MAP_IDX_VALUE:
      return `map[idx:${i.imm >>> 0}]+${second}`;
    case PseudoImm64.FUNC:
      return `subprog[${signed(i.imm)}]`;
    case PseudoImm64.BTF_ID:
      return `btf[id:${i.imm >>> 0}]${second === 0 ? "" : `@${second}`}`;
    default:
      return dialect === "kernel" ? `0x${value.toString(16)}` : `${BigInt.asIntN(64, value)} ll`;
  }
}

function callText(i: Insn, dialect: Dialect): string {
  if (i.src === PseudoCall.LOCAL) return `pc${signed(i.imm)}`;
  if (i.src === PseudoCall.KFUNC) return `kernel-function#${i.imm}${i.off === 0 ? "" : `@${i.off}`}`;
  if (dialect === "llvm") return String(i.imm);
  return `${helperById(i.imm)?.name ?? "unknown"}#${i.imm}`;
}

function bareText(i: Insn, dialect: Dialect, options: InsnTextOptions): string | undefined {
  const kernel = dialect === "kernel";
  const size = i.opcode & 0x18;
  const is64 = (i.opcode & 7) === Class.ALU64 || (i.opcode & 7) === Class.JMP;
  const letter = is64 ? "r" : "w";
  // llvm names the 32-bit half where only it is read or written.
  const half = kernel || size === Size.DW ? "r" : "w";
  const condition = (right: string): string =>
    `if ${letter}${i.dst} ${JUMP_SIGNS[i.opcode & 0xf0]} ${right} goto ${distance(dialect, i.off)}`;
  switch (OPCODE_FORMS[i.opcode]) {
    case "alu-imm":
      return aluText(i, false);
    case "alu-reg":
      return aluText(i, true);
    case "neg":
      return `${letter}${i.dst} = -${letter}${i.dst}`;
    case "endian":
      return `r${i.dst} = ${i.opcode & Source.X ? "be" : "le"}${i.imm} r${i.dst}`;
    case "bswap":
      return `r${i.dst} = bswap${i.imm} r${i.dst}`;
    case "ld-imm64":
      return `r${i.dst} = ${options.imm64Text?.(i) ?? imm64Text(i, dialect)}`;
    case "ld-abs":
      return `r0 = *(${SIZE_NAMES[size]} *)skb[${i.imm}]`;
    case "ld-ind":
      return `r0 = *(${SIZE_NAMES[size]} *)skb[r${i.src}${!kernel && i.imm === 0 ? "" : ` + ${i.imm}`}]`;
    case "load":
      return `${half}${i.dst} = *${pointer(dialect, SIZE_NAMES[size], i.src, i.off)}`;
    case "load-sx":
      return `r${i.dst} = *${pointer(dialect, SIGNED_SIZE_NAMES[size], i.src, i.off)}`;
    case "store-imm":
      return `*${pointer(dialect, SIZE_NAMES[size], i.dst, i.off)} = ${i.imm}`;
    case "store-reg":
      return `*${pointer(dialect, SIZE_NAMES[size], i.dst, i.off)} = ${half}${i.src}`;
    case "atomic":
      return atomicText(dialect, i);
    case "nospec":
      return "nospec";
    case "goto":
      return `goto ${distance(dialect, i.off)}`;
    case "gotol":
      return `gotol ${distance(dialect, i.imm)}`;
    case "gotox":
      return `gotox r${i.dst}`;
    case "may-goto":
      return `may_goto ${distance(dialect, i.off)}`;
    case "jump-imm":
      return condition(kernel ? `0x${(i.imm >>> 0).toString(16)}` : String(i.imm));
    case "jump-reg":
      return condition(`${letter}${i.src}`);
    case "call":
      return `call ${options.callText?.(i) ?? callText(i, dialect)}`;
    case "callx":
      return `callx r${i.dst}`;
    case "exit":
      return "exit";
    case undefined:
      return undefined;
  }
}

/** What the kernel prints for what it does not know, by class. */
const BUG_PREFIX: readonly string[] = [
  "BUG_ld_",
  "BUG_ldx_",
  "BUG_st_",
  "BUG_",
  "BUG_alu_",
  "BUG_jmp_",
  "BUG_jmp32_",
  "BUG_alu64_",
];

/**
 * Text of one instruction. Never throws: what is no instruction prints as `BUG_` with class and opcode in the kernel's text,
 * as `<unknown>` in llvm's.
 */
export function disassembleInsn(insn: Insn, options: InsnTextOptions = {}): string {
  const dialect = options.dialect ?? "kernel";
  const hex = insn.opcode.toString(16).padStart(2, "0");
  const text = bareText(insn, dialect, options);
  if (text === undefined) return dialect === "llvm" ? "<unknown>" : `${BUG_PREFIX[insn.opcode & 7]}${hex}`;
  return options.opcode ? `(${hex}) ${text}` : text;
}

/** Slot that a jump or local call at `slot` goes to, undefined for what goes nowhere else. */
export function targetOf(insn: Insn, slot: number): number | undefined {
  switch (OPCODE_FORMS[insn.opcode]) {
    case "goto":
    case "may-goto":
    case "jump-imm":
    case "jump-reg":
      return slot + 1 + insn.off;
    case "gotol":
      return slot + 1 + insn.imm;
    case "call":
      return insn.src === PseudoCall.LOCAL ? slot + 1 + insn.imm : undefined;
    default:
      return undefined;
  }
}

/** A name for every slot that something jumps to or calls: `L0`, `L1`... in the order of the places. */
export function jumpLabels(insns: readonly Insn[], prefix: string = "L"): Map<number, string> {
  const targets = new Set<number>();
  let slot = 0;
  for (const insn of insns) {
    const target = targetOf(insn, slot);
    if (target !== undefined) targets.add(target);
    slot += slotsOf(insn);
  }
  const places = [...targets].filter((target) => target >= 0 && target < slot).toSorted((a, b) => a - b);
  return new Map(places.map((place, i) => [place, `${prefix}${i}`]));
}

/** Text of a program, one line an instruction, ending in a newline. Bytes are decoded as {@link decode} does, with its errors. */
export function disassemble(
  program: readonly Insn[] | Uint8Array,
  options: DisassembleOptions & DecodeOptions = {},
): string {
  const insns = program instanceof Uint8Array ? decode(program, options) : program;
  const dialect = options.dialect ?? "kernel";
  let out = "";
  let slot = 0;
  for (const insn of insns) {
    const label = options.labels?.get(slot);
    if (label !== undefined) out += `${label}:\n`;
    if (options.index) out += dialect === "kernel" ? `${String(slot).padStart(4)}: ` : `${String(slot).padStart(8)}:\t`;
    out += disassembleInsn(insn, options);
    const target = dialect === "llvm" ? targetOf(insn, slot) : undefined;
    const targetLabel = target === undefined ? undefined : options.labels?.get(target);
    if (targetLabel !== undefined) out += ` <${targetLabel}>`;
    out += "\n";
    slot += slotsOf(insn);
  }
  return out;
}
