/** A module's stages as text. */
import { decode, disassembleInsn, slotsOf } from "../isa/index.ts";
import { Btf, decodeLineInfo } from "../btf/index.ts";
import type { BpfObject, ProgramSpec } from "../object/index.ts";
import { compileModule, prepareModule } from "./compile.ts";
import type { CompileOptions } from "./compile.ts";
import type { Module } from "./ir.ts";
import { printModule } from "./print.ts";

/** Stages that {@link emitStage} writes: the IR that code is generated from, or the instructions. */
export type Stage = "ir" | "asm";

/** The text of one stage: optimised IR, or instructions with the source lines they come from between them. */
export function emitStage(module: Module, stage: Stage, options: CompileOptions = {}): string {
  if (stage === "ir") return printModule(prepareModule(module, options));
  return objectText(compileModule(module, options));
}

/** Instructions of all programs of an object, source lines as comments, maps by name. */
export function objectText(object: BpfObject): string {
  const strings = object.btf ? Btf.parse(object.btf).strings : null;
  return object.programs.map((p) => programText(p, strings)).join("\n");
}

function programText(program: ProgramSpec, strings: Btf["strings"] | null): string {
  const out = [`${program.name}: ; ${program.code.length / 8} instructions`];
  const lines = new Map(strings ? decodeLineInfo(program.lineInfo, strings).map((r) => [r.insnIndex, r]) : []);
  const relocations = new Map(program.relocations.map((r) => [r.insnIndex, r]));
  let slot = 0;
  for (const insn of decode(program.code)) {
    const line = lines.get(slot);
    if (line) out.push(`; ${line.file}:${line.line}:${line.column}: ${line.source.trim()}`);
    const relocation = relocations.get(slot);
    const text = disassembleInsn(insn, {
      callText: () => (relocation?.kind === "kfunc" ? relocation.name : undefined),
      imm64Text: () =>
        relocation?.kind === "map"
          ? `map[${relocation.map}]`
          : relocation?.kind === "map-value"
            ? `map[${relocation.map}][0]+${relocation.offset}`
            : undefined,
    });
    out.push(`${String(slot).padStart(5)}: ${text}`);
    slot += slotsOf(insn);
  }
  return `${out.join("\n")}\n`;
}
