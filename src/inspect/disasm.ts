/** The programs of an object as text or plain data: instructions with the C lines they come from, relocations and CO-RE records by name. */
import {
  Btf,
  CoreError,
  CoreKind,
  decodeFuncInfo,
  decodeLineInfo,
  type LineInfo,
  parseCoreSpec,
  specText,
} from "../btf/index.ts";
import {
  decode,
  type Dialect,
  disassembleInsn,
  type Insn,
  jumpLabels,
  OPCODE_FORMS,
  ProgType,
  PseudoCall,
  PseudoImm64,
  slotsOf,
  targetOf,
} from "../isa/index.ts";
import type { BpfObject, CoreRelocation, ProgramSpec, Relocation } from "../object/index.ts";

/** One instruction with what is known of it. */
export interface DisassembledInsn {
  /** Index of its first slot in the program. */
  readonly index: number;
  readonly text: string;
  /** The function that begins here. */
  readonly function?: string;
  /** The C line that begins here. */
  readonly line?: { readonly file: string; readonly line: number; readonly column: number; readonly source: string };
  /** What the loader puts in: a map, a variable, a kernel function. */
  readonly relocation?: string;
  /** What the kernel's types decide: `<byte_off> struct task_struct.tgid (0:61)`. */
  readonly core?: string;
  /** Name of the function that it calls or takes the address of. */
  readonly target?: string;
  /** Bytes, first slot first. */
  readonly bytes: Uint8Array;
}

/** One program. */
export interface DisassembledProgram {
  readonly name: string;
  readonly section?: string;
  /** `ProgType` in lower case, such as `tracing`. */
  readonly type: string;
  readonly insns: readonly DisassembledInsn[];
}

/** What {@link coreText} calls kinds, as llvm-objdump does. */
const coreNames: Readonly<Record<number, string>> = {
  [CoreKind.FIELD_BYTE_OFFSET]: "byte_off",
  [CoreKind.FIELD_BYTE_SIZE]: "byte_sz",
  [CoreKind.FIELD_EXISTS]: "field_exists",
  [CoreKind.FIELD_SIGNED]: "signed",
  [CoreKind.FIELD_LSHIFT_U64]: "lshift_u64",
  [CoreKind.FIELD_RSHIFT_U64]: "rshift_u64",
  [CoreKind.TYPE_ID_LOCAL]: "local_type_id",
  [CoreKind.TYPE_ID_TARGET]: "target_type_id",
  [CoreKind.TYPE_EXISTS]: "type_exists",
  [CoreKind.TYPE_SIZE]: "type_size",
  [CoreKind.ENUMVAL_EXISTS]: "enumval_exists",
  [CoreKind.ENUMVAL_VALUE]: "enumval_value",
  [CoreKind.TYPE_MATCHES]: "type_matches",
};

const programTypes: ReadonlyMap<number, string> = new Map(
  Object.entries(ProgType).map(([name, type]) => [type as number, name.toLowerCase()]),
);

/** Name of a program's type in lower case. */
export function programTypeName(type: number): string {
  return programTypes.get(type) ?? `type ${type}`;
}

/** A CO-RE record: kind, place in the program's own types, access string. */
export function coreText(btf: Btf, record: CoreRelocation): string {
  const kind = coreNames[record.kind] ?? `kind ${record.kind}`;
  try {
    return `<${kind}> ${specText(parseCoreSpec(btf, record))} (${record.access})`;
  } catch (error) {
    // The record contradicts the types: shown as it is.
    if (error instanceof CoreError) return `<${kind}> type ${record.typeId} (${record.access}): ${error.message}`;
    throw error;
  }
}

/** Disassembles a program. Throws ParseError when its code has no boundaries of instructions or its records are cut short. */
export function disassembleProgram(
  program: ProgramSpec,
  btf: Btf | undefined,
  dialect: Dialect = "kernel",
): DisassembledProgram {
  const insns = decode(program.code, { section: program.section ?? program.name });
  const lines = new Map(
    btf === undefined ? [] : decodeLineInfo(program.lineInfo, btf.strings).map((r) => [r.insnIndex, r]),
  );
  const functions = functionNames(program, btf);
  const relocations = new Map(program.relocations.map((r) => [r.insnIndex, r]));
  const records = new Map((program.coreRelocations ?? []).map((r) => [r.insnIndex, r]));
  const labels = dialect === "llvm" ? jumpLabels(insns) : new Map<number, string>();
  let slot = 0;
  const out: DisassembledInsn[] = [];
  for (const insn of insns) {
    const index = slot;
    const relocation = relocations.get(index);
    const record = records.get(index);
    const line = lines.get(index);
    const name = functions.get(index);
    const target = functionTarget(insn, index, relocation);
    const targetName = target === undefined ? undefined : functions.get(target);
    const jump = targetOf(insn, index);
    const label = jump === undefined || targetName !== undefined ? undefined : labels.get(jump);
    out.push({
      index,
      text: insnText(insn, relocation, dialect) + (label === undefined ? "" : ` <${label}>`),
      bytes: program.code.subarray(index * 8, (index + slotsOf(insn)) * 8),
      ...(name === undefined ? {} : { function: name }),
      ...(line === undefined ? {} : { line: lineOf(line) }),
      ...(relocation === undefined ? {} : { relocation: relocationText(relocation) }),
      ...(record === undefined || btf === undefined ? {} : { core: coreText(btf, record) }),
      ...(targetName === undefined ? {} : { target: targetName }),
    });
    slot += slotsOf(insn);
  }
  return {
    name: program.name,
    ...(program.section === undefined ? {} : { section: program.section }),
    type: programTypeName(program.type),
    insns: out,
  };
}

function lineOf({ file, line, column, source }: LineInfo): NonNullable<DisassembledInsn["line"]> {
  return { file, line, column, source: source.trim() };
}

/** Names of a program's functions by their first instruction. */
function functionNames(program: ProgramSpec, btf: Btf | undefined): Map<number, string> {
  const names = new Map<number, string>([[0, program.name]]);
  if (btf === undefined) return names;
  for (const { insnIndex, typeId } of decodeFuncInfo(program.funcInfo)) {
    if (insnIndex > 0) names.set(insnIndex, btf.nameOf(typeId));
  }
  return names;
}

/** The slot of the function that an instruction refers to. */
function functionTarget(insn: Insn, slot: number, relocation: Relocation | undefined): number | undefined {
  if (relocation !== undefined) return undefined;
  const form = OPCODE_FORMS[insn.opcode];
  const refers =
    (form === "call" && insn.src === PseudoCall.LOCAL) || (form === "ld-imm64" && insn.src === PseudoImm64.FUNC);
  return refers ? slot + 1 + insn.imm : undefined;
}

function insnText(insn: Insn, relocation: Relocation | undefined, dialect: Dialect): string {
  if (dialect === "llvm" && relocation !== undefined) {
    // llvm-objdump shows the bytes of the file, where what the loader fills in is 0 or the place in a section.
    return disassembleInsn(insn, {
      dialect,
      ...(relocation.kind === "kfunc"
        ? {}
        : { imm64Text: () => (relocation.kind === "map-value" ? `${relocation.offset} ll` : "0 ll") }),
      ...(relocation.kind === "kfunc" ? { callText: () => "-1" } : {}),
    });
  }
  return disassembleInsn(insn, {
    dialect,
    opcode: dialect === "kernel",
    callText: () => (relocation?.kind === "kfunc" ? relocation.name : undefined),
    imm64Text: () => {
      switch (relocation?.kind) {
        case "map":
          return `map[${relocation.map}]`;
        case "map-value":
          return `map[${relocation.map}][0]+${relocation.offset}`;
        case "ksym":
          return `ksym[${relocation.name}]`;
        default:
          return undefined;
      }
    },
  });
}

function relocationText(relocation: Relocation): string {
  switch (relocation.kind) {
    case "map":
      return `map ${relocation.map}`;
    case "map-value":
      return `${relocation.map}+${relocation.offset}`;
    case "kfunc":
      return `kernel function ${relocation.name}`;
    case "ksym":
      return `kernel symbol ${relocation.name}`;
    default:
      return JSON.stringify(relocation);
  }
}

/** How {@link disassembleObject} writes. */
export interface ListingOptions {
  /** Only these programs, by name. */
  readonly programs?: readonly string[];
  readonly dialect?: Dialect;
}

/** All programs of an object, or some, disassembled. */
export function disassembleObject(object: BpfObject, options: ListingOptions = {}): DisassembledProgram[] {
  const btf = object.btf === undefined ? undefined : Btf.parse(object.btf);
  return object.programs
    .filter(({ name }) => options.programs?.includes(name) ?? true)
    .map((program) => disassembleProgram(program, btf, options.dialect));
}

/** The variable in which a byte of a section lies: `min_us`, `table+8`. */
function variableAt(object: BpfObject, map: string, offset: number): string | undefined {
  const found = (object.variables ?? []).find(
    (variable) => variable.map === map && offset >= variable.offset && offset < variable.offset + variable.size,
  );
  if (found === undefined) return undefined;
  return offset === found.offset ? found.name : `${found.name}+${offset - found.offset}`;
}

/** The text of {@link disassembleObject}: C lines as comments above instructions, names behind them. */
export function listDisassembly(object: BpfObject, options: ListingOptions = {}): string {
  const dialect = options.dialect ?? "kernel";
  const variables = new Map(
    object.programs.flatMap((program) =>
      program.relocations.flatMap((r) => {
        const name = r.kind === "map-value" ? variableAt(object, r.map, r.offset) : undefined;
        return name === undefined ? [] : [[`${program.name} ${r.insnIndex}`, name] as const];
      }),
    ),
  );
  return disassembleObject(object, options)
    .map((program) => {
      const place = program.section === undefined ? "" : `SEC("${program.section}"), `;
      const slots = program.insns.reduce((sum, insn) => sum + insn.bytes.length / 8, 0);
      const out = [`# program ${program.name}: ${place}${program.type}, ${slots} instructions`];
      const labels = dialect === "llvm" ? labelsOf(program) : undefined;
      let shown = "";
      for (const insn of program.insns) {
        if (insn.function !== undefined) out.push(`${insn.function}:`);
        // Several columns of one line have a record each.
        const line =
          insn.line === undefined || insn.line.source === ""
            ? shown
            : `; ${insn.line.source} @ ${baseName(insn.line.file)}:${insn.line.line}`;
        if (line !== "" && (line !== shown || insn.function !== undefined)) out.push(line);
        shown = line;
        const label = insn.function === undefined ? labels?.get(insn.index) : undefined;
        if (label !== undefined) out.push(`${label}:`);
        const number =
          dialect === "kernel" ? `${String(insn.index).padStart(4)}: ` : `${String(insn.index).padStart(8)}:\t`;
        const variable = variables.get(`${program.name} ${insn.index}`);
        const notes = [
          ...(dialect === "llvm" && insn.relocation !== undefined ? [insn.relocation] : []),
          ...(variable === undefined ? [] : [variable]),
          ...(insn.target === undefined ? [] : [insn.target]),
          ...(insn.core === undefined ? [] : [`CO-RE ${insn.core}`]),
        ];
        out.push(`${number}${insn.text}${notes.length === 0 ? "" : `  ; ${notes.join("; ")}`}`);
      }
      return `${out.join("\n")}\n`;
    })
    .join("\n");
}

/** As the kernel names files in its logs. */
function baseName(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1);
}

/** Names of jumps' targets, as the texts of the instructions have them. */
function labelsOf(program: DisassembledProgram): ReadonlyMap<number, string> {
  const code = new Uint8Array(program.insns.reduce((sum, { bytes }) => sum + bytes.length, 0));
  for (const { index, bytes } of program.insns) code.set(bytes, index * 8);
  return jumpLabels(decode(code));
}
