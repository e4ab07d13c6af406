/** Cuts a program's code into the functions that were put together when it was linked. */
import { INSN_SIZE, LD_IMM64, PseudoCall, PseudoImm64, OPCODE_FORMS } from "../isa/index.ts";
import { FUNC_INFO_SIZE, LINE_INFO_SIZE } from "../btf/index.ts";
import type { CoreRelocation, ProgramSpec, Relocation } from "./spec.ts";

/** One function of a program. Indexes of instructions and bytes of records count from its first instruction. */
export interface FunctionSpec {
  /** Index of its first instruction in the program; 0 is the main function. */
  readonly start: number;
  /** A copy. */
  readonly code: Uint8Array;
  readonly relocations: readonly Relocation[];
  /** Where it calls a function of the program or takes its address, ascending. */
  readonly references: readonly FunctionReference[];
  /** Its `FUNC` type, 0 when the program has no function records. */
  readonly typeId: number;
  /** `struct bpf_line_info` records. */
  readonly lineInfo: Uint8Array;
  readonly coreRelocations: readonly CoreRelocation[];
}

/** A use of another function. */
export interface FunctionReference {
  readonly kind: "call" | "address";
  readonly insnIndex: number;
  /** `start` of the function. */
  readonly target: number;
}

/** Sources of ld_imm64 that mean something only once a relocation has been applied. */
const unrelocated: ReadonlyMap<number, string> = new Map([
  [PseudoImm64.MAP_FD, "a map's descriptor"],
  [PseudoImm64.MAP_VALUE, "an address in a map"],
  [PseudoImm64.MAP_IDX, "a map by index"],
  [PseudoImm64.MAP_IDX_VALUE, "an address in a map by index"],
]);

/**
 * The functions of a program, the main function first. Throws RangeError with the place when code, records or relocations contradict each
 * other, or when the code holds a map's descriptor that no relocation explains. `uncalled`: types of functions that nothing calls.
 */
export function splitFunctions(program: ProgramSpec, uncalled: ReadonlySet<number> = new Set()): FunctionSpec[] {
  const { code } = program;
  const fail = (what: string): never => {
    throw new RangeError(`program ${program.name}: ${what}`);
  };
  if (code.length === 0 || code.length % INSN_SIZE !== 0) fail(`${code.length} bytes are no code`);
  const relocationAt = new Map(program.relocations.map((r) => [r.insnIndex, r]));
  const references = scan(program, relocationAt, fail);

  const typeIds = new Map<number, number>();
  const infos = new DataView(program.funcInfo.buffer, program.funcInfo.byteOffset, program.funcInfo.length);
  for (let at = 0; at + FUNC_INFO_SIZE <= infos.byteLength; at += FUNC_INFO_SIZE) {
    typeIds.set(infos.getUint32(at, true), infos.getUint32(at + 4, true));
  }
  const appended = [...typeIds].filter(([, typeId]) => uncalled.has(typeId)).map(([at]) => at);
  const starts = [...new Set([0, ...references.map((r) => r.target), ...appended])].toSorted((a, b) => a - b);
  if (typeIds.size > 0) {
    for (const start of starts) if (!typeIds.has(start)) fail(`the function at instruction ${start} has no func_info`);
    for (const at of typeIds.keys()) if (!starts.includes(at)) fail(`func_info at instruction ${at}: nothing calls it`);
  }
  return starts.map((start, i) => {
    const end = starts[i + 1] ?? code.length / INSN_SIZE;
    const inside = ({ insnIndex }: { readonly insnIndex: number }): boolean => insnIndex >= start && insnIndex < end;
    const fromStart = <T extends { readonly insnIndex: number }>(item: T): T => ({
      ...item,
      insnIndex: item.insnIndex - start,
    });
    return {
      start,
      code: new Uint8Array(code.subarray(start * INSN_SIZE, end * INSN_SIZE)),
      relocations: program.relocations
        .filter(inside)
        .map(fromStart)
        .toSorted((a, b) => a.insnIndex - b.insnIndex),
      references: references.filter(inside).map(fromStart),
      typeId: typeIds.get(start) ?? 0,
      lineInfo: linesBetween(program.lineInfo, start, end),
      coreRelocations: (program.coreRelocations ?? []).filter(inside).map(fromStart),
    };
  });
}

/** References between functions; checks what relocations and instructions say of each other on the way. */
function scan(
  program: ProgramSpec,
  relocationAt: ReadonlyMap<number, Relocation>,
  fail: (what: string) => never,
): FunctionReference[] {
  const { code } = program;
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  const count = code.length / INSN_SIZE;
  const heads = new Set<number>();
  const references: FunctionReference[] = [];
  for (let i = 0; i < count; i++) {
    heads.add(i);
    const opcode = code[i * INSN_SIZE]!;
    const source = code[i * INSN_SIZE + 1]! >> 4;
    const isWide = opcode === LD_IMM64;
    const relocation = relocationAt.get(i);
    const refer = (kind: FunctionReference["kind"]): void => {
      const target = i + 1 + view.getInt32(i * INSN_SIZE + 4, true);
      if (target < 0 || target >= count) fail(`instruction ${i}: a function at ${target} of ${count} instructions`);
      references.push({ kind, insnIndex: i, target });
    };
    if (isWide && i + 1 >= count) fail(`instruction ${i}: ld_imm64 without its second half`);
    if (relocation === undefined) {
      if (isWide && unrelocated.has(source)) {
        fail(`instruction ${i}: holds ${unrelocated.get(source)}, and no relocation says which`);
      }
      if (isWide && source === PseudoImm64.FUNC) refer("address");
      if (OPCODE_FORMS[opcode] === "call" && source === PseudoCall.LOCAL) refer("call");
    }
    if (isWide) i++;
  }
  for (const relocation of program.relocations) {
    const { insnIndex, kind } = relocation;
    const form = heads.has(insnIndex) ? OPCODE_FORMS[code[insnIndex * INSN_SIZE]!] : undefined;
    const [name, wanted] =
      kind === "kfunc" ? [relocation.name, "call"] : [kind === "ksym" ? relocation.name : relocation.map, "ld-imm64"];
    if (form !== wanted) fail(`relocation of ${name} at instruction ${insnIndex}, which is no ${wanted}`);
  }
  for (const { insnIndex, target } of references) {
    if (!heads.has(target)) fail(`instruction ${insnIndex}: a function at ${target}, inside an instruction`);
    if (target === 0) fail(`instruction ${insnIndex}: calls the program itself`);
  }
  return references;
}

/** The line records of instructions from `start` up to `end`, counted from `start`. */
function linesBetween(lineInfo: Uint8Array, start: number, end: number): Uint8Array {
  const all = new DataView(lineInfo.buffer, lineInfo.byteOffset, lineInfo.length);
  const kept: number[] = [];
  for (let at = 0; at + LINE_INFO_SIZE <= lineInfo.length; at += LINE_INFO_SIZE) {
    const insnIndex = all.getUint32(at, true);
    if (insnIndex >= start && insnIndex < end) kept.push(at);
  }
  const out = new Uint8Array(kept.length * LINE_INFO_SIZE);
  const view = new DataView(out.buffer);
  for (const [i, at] of kept.entries()) {
    out.set(lineInfo.subarray(at, at + LINE_INFO_SIZE), i * LINE_INFO_SIZE);
    view.setUint32(i * LINE_INFO_SIZE, all.getUint32(at, true) - start, true);
  }
  return out;
}

/** Start of a function that refers to itself, through others or not, by references that `counts`; undefined when none does. */
export function findCycle(
  functions: readonly FunctionSpec[],
  counts: (reference: FunctionReference) => boolean,
): number | undefined {
  const byStart = new Map(functions.map((f) => [f.start, f]));
  const done = new Set<number>();
  const open = new Set<number>();
  const visit = (start: number): number | undefined => {
    if (open.has(start)) return start;
    if (done.has(start)) return undefined;
    open.add(start);
    for (const reference of byStart.get(start)!.references) {
      const found = counts(reference) ? visit(reference.target) : undefined;
      if (found !== undefined) return found;
    }
    open.delete(start);
    done.add(start);
    return undefined;
  };
  for (const { start } of functions) {
    const found = visit(start);
    if (found !== undefined) return found;
  }
  return undefined;
}
