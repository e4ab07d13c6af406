/**
 * Inline assembly to bytes, once registers and the frame are known. The template's lines go through isa's assembler; what only the linker
 * knows (maps, functions, kernel symbols) stands in the text as a number that nothing else means, and is found again by it.
 */
import { ScriptError, SkepError } from "../../base/index.ts";
import { assemble, encode, helperByName } from "../../isa/index.ts";
import type { Insn } from "../../isa/index.ts";
import { LimitError } from "../limits.ts";
import { Bpf, PseudoLoad } from "./machine.ts";
import type { AsmInst, AsmOperand, MFunc, MInst, Symbol } from "./machine.ts";

/** Assembly as bytes, with what the linker puts in. */
export interface AssembledInline {
  readonly code: Uint8Array;
  readonly symbols: readonly { readonly insnIndex: number; readonly symbol: Symbol }[];
}

/** The first of the numbers that stand for symbols and raw instructions. */
const PLACEHOLDER = 0x7ead_0000;

const PSEUDO_OF: Partial<Record<Symbol["kind"], number>> = {
  map: PseudoLoad.MAP_FD,
  "map-value": PseudoLoad.MAP_VALUE,
  func: PseudoLoad.FUNC,
};

/** Assembles every piece of inline assembly of a function. @throws LimitError with the place of a template that is wrong. */
export function assembleInline(func: MFunc): Map<MInst, AssembledInline> {
  const out = new Map<MInst, AssembledInline>();
  for (const block of func.blocks) {
    for (const inst of block.insts) if (inst.asm) out.set(inst, assembleOne(inst, inst.asm));
  }
  return out;
}

/** Statements of a template, one a line, comments gone. */
function statementsOf(template: string): string[] {
  return template
    .replace(/\/\*[^]*?\*\//g, " ")
    .replace(/\/\/[^\n]*/g, "")
    .split(/[;\n]/)
    .map((s) => s.trim())
    .filter((s) => s !== "");
}

const CALL_BY_NAME = /^call\s+([A-Za-z_]\w*)$/;
const LABEL = /^([A-Za-z_.$][\w.$]*)\s*:/;

/** Functions that a template calls by their names: neither helpers nor labels of its own. */
export function namesCalled(template: string): string[] {
  if (!template.includes("call")) return [];
  const statements = statementsOf(template);
  const labels = new Set(statements.flatMap((s) => LABEL.exec(s)?.[1] ?? []));
  return statements.flatMap((s) => {
    const name = CALL_BY_NAME.exec(s)?.[1];
    return name === undefined || labels.has(name) || helperByName(name) ? [] : [name];
  });
}

/** Numbers that may need all of 32 bits. */
const UNSIGNED = /(?<![\w.-])(?:0x[\da-fA-F]{8}|\d{10})(?![\w.])/g;

function withSign(text: string): string {
  const value = Number(text);
  return value >= 2 ** 31 && value < 2 ** 32 ? String(value - 2 ** 32) : text;
}

function operandText(operand: AsmOperand, modifier: string | undefined, asm: AsmInst, symbols: Symbol[]): string {
  switch (operand.kind) {
    case "register":
      return `${modifier === "w" ? "w" : "r"}${asm.regs[operand.index]}`;
    case "number":
      return String(operand.value);
    case "symbol":
      return String(PLACEHOLDER + symbols.push(operand.symbol) - 1);
    default: {
      const off = operand.off + (operand.frame?.offset ?? 0);
      const base = operand.index === null ? "r10" : `r${asm.regs[operand.index]}`;
      return `(${base} ${off < 0 ? "-" : "+"} ${Math.abs(off)})`;
    }
  }
}

function assembleOne(inst: MInst, asm: AsmInst): AssembledInline {
  const symbols: Symbol[] = [];
  const text = asm.template.replace(/\$(?:(\$)|(\d+)|\{(\d+)(?::(\w))?\})/g, (_, dollar, plain, braced, modifier) => {
    if (dollar) return "$";
    const operand = asm.operands[Number(plain ?? braced)];
    if (!operand) throw new LimitError(inst.position, `the assembly has no operand ${plain ?? braced}`, "asm");
    return operandText(operand, modifier as string | undefined, asm, symbols);
  });
  const named = new Set(namesCalled(text));
  const raw: bigint[] = [];
  const lines = statementsOf(text).map((statement) => {
    const call = CALL_BY_NAME.exec(statement)?.[1];
    if (call !== undefined && named.has(call)) {
      return `call ${PLACEHOLDER + symbols.push({ kind: "call", func: call }) - 1}`;
    }
    const bytes = /^\.8byte\s+(-?\w+)$/.exec(statement)?.[1];
    if (bytes !== undefined && /^-?(?:0x[\da-f]+|\d+)$/i.test(bytes)) {
      const value = bytes.startsWith("-") ? -BigInt(bytes.slice(1)) : BigInt(bytes);
      return `call ${PLACEHOLDER + 0x8000 + raw.push(BigInt.asUintN(64, value)) - 1}`;
    }
    // Numbers of 32 bits without a sign are taken for what they become, as clang takes them.
    const signed = statement.endsWith(" ll") ? statement : statement.replace(UNSIGNED, withSign);
    // `((r1 + 8))` and `r1 + -8`, as operands make them.
    return signed
      .replace(/\(\s*(\(r\d+ [+-] \d+\))\s*\)/g, "$1")
      .replace(/\+\s*-\s*(\d)/g, "- $1")
      .replace(/-\s*-\s*(\d)/g, "+ $1");
  });
  let insns: Insn[];
  try {
    insns = assemble(lines.join("\n"), { name: "inline assembly", dialect: "llvm" });
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    throw new LimitError(inst.position, `inline assembly: ${error.message}`, "asm", error);
  }
  return link(insns, symbols, raw);
}

/** Finds the placeholders again. */
function link(insns: readonly Insn[], symbols: readonly Symbol[], raw: readonly bigint[]): AssembledInline {
  const found: { insnIndex: number; symbol: Symbol }[] = [];
  const words: { insnIndex: number; value: bigint }[] = [];
  let slot = 0;
  const linked = insns.map((insn): Insn => {
    const at = slot;
    slot += insn.opcode === Bpf.LD_IMM64 ? 2 : 1;
    const index = (insn.imm64 === undefined ? insn.imm : Number(insn.imm64 & 0xffff_ffffn)) - PLACEHOLDER;
    if (index >= 0x8000 && insn.opcode === Bpf.CALL && raw[index - 0x8000] !== undefined) {
      words.push({ insnIndex: at, value: raw[index - 0x8000]! });
      return insn;
    }
    const symbol = symbols[index];
    if (!symbol) return insn;
    if (insn.opcode === Bpf.LD_IMM64) {
      found.push({ insnIndex: at, symbol });
      return { ...insn, src: PSEUDO_OF[symbol.kind] ?? 0, imm: 0, imm64: 0n };
    }
    if (insn.opcode === Bpf.CALL && (symbol.kind === "func" || symbol.kind === "call")) {
      found.push({ insnIndex: at, symbol: { kind: "call", func: symbol.func } });
      return { ...insn, src: 1, imm: 0 };
    }
    if (insn.opcode === Bpf.CALL && symbol.kind === "kfunc") {
      found.push({ insnIndex: at, symbol });
      return { ...insn, src: 2, imm: 0 };
    }
    throw new SkepError("asm", `inline assembly: an address is no number: load it with \`r1 = ... ll\``);
  });
  const code = encode(linked);
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  for (const { insnIndex, value } of words) view.setBigUint64(insnIndex * 8, value, true);
  return { code, symbols: found };
}
