/** The instructions of an object with the script's lines between them. */
import { Btf, decodeLineInfo } from "../btf/index.ts";
import { decode, disassembleInsn, MapType, ProgType, slotsOf } from "../isa/index.ts";
import type { SourceText } from "../base/index.ts";
import type { BpfObject, ProgramSpec } from "../object/index.ts";

function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(table).find(([, number]) => number === value)?.[0] ?? String(value);
}

/** Text of all programs and maps. Lines come from the object's line information, or else from `source`'s own lines. */
export function listObject(object: BpfObject, source: SourceText): string {
  const btf = object.btf ? Btf.parse(object.btf) : undefined;
  const out: string[] = [];
  for (const map of object.maps) {
    const size = `${map.keySize} -> ${map.valueSize} bytes, ${map.maxEntries} entries`;
    out.push(`map ${map.name}: ${nameOf(MapType, map.type)}, ${size}${map.frozen ? ", frozen" : ""}`);
  }
  for (const program of object.programs) out.push("", ...listProgram(program, btf, source));
  return `${out.join("\n")}\n`;
}

function listProgram(program: ProgramSpec, btf: Btf | undefined, source: SourceText): string[] {
  const attached = program.attachTo === undefined ? "" : `, attached to ${program.attachTo}`;
  const out = [
    `program ${program.name}: ${nameOf(ProgType, program.type)}${attached}, ${program.code.length / 8} instructions`,
  ];
  const lines = new Map<number, string>();
  if (btf) {
    for (const record of decodeLineInfo(program.lineInfo, btf.strings)) {
      lines.set(record.insnIndex, `; ${source.name}:${record.line}:${record.column}: ${record.source.trim()}`);
    }
  }
  const relocations = new Map(program.relocations.map((relocation) => [relocation.insnIndex, relocation]));
  let slot = 0;
  let shown = "";
  for (const insn of decode(program.code)) {
    const line = lines.get(slot);
    if (line !== undefined && line !== shown) {
      out.push(line);
      shown = line;
    }
    const relocation = relocations.get(slot);
    const text = disassembleInsn(insn, {
      callText: () => (relocation?.kind === "kfunc" ? relocation.name : undefined),
      imm64Text: () =>
        relocation?.kind === "map"
          ? `map ${relocation.map}`
          : relocation?.kind === "map-value"
            ? `map ${relocation.map} value +${relocation.offset}`
            : undefined,
    });
    out.push(`${String(slot).padStart(4)}: ${text}`);
    slot += slotsOf(insn);
  }
  return out;
}
