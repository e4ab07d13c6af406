/** Relocations that find nothing in the kernel, and why, in the words of the source. Reasons are looked for when somebody asks. */
import { nearestNames } from "../../base/index.ts";
import type { Btf } from "../btf.ts";
import { BtfKind } from "../kinds.ts";
import { printBtfDeclaration } from "../print.ts";
import type { LineInfo } from "../program-info.ts";
import type { CoreCandidate } from "./candidates.ts";
import { CoreKind, coreKindPhrases } from "./kinds.ts";
import { essentialName } from "./names.ts";
import type { CoreResolver, CoreResult } from "./resolver.ts";
import { type CoreRecord, type CoreSpec, findMember, matchCoreSpec, specText, typeText } from "./spec.ts";

/**
 * A relocation whose instruction was replaced by a call that the verifier refuses when a program reaches it (`bpf_core_poison_insn` of
 * libbpf): guarded by a check that the kernel has the field, it is dead code and harmless.
 */
export class CoreFailure {
  /** Index of the instruction in the program. */
  readonly insnIndex: number;
  /** `CoreKind.*` */
  readonly kind: number;
  /** Root type as C: `struct task_struct`. */
  readonly root: string;
  /** What was looked for, as C: `struct task_struct.se.vruntime`, `enum bpf_func_id::BPF_FUNC_loop`. */
  readonly path: string;
  private readonly resolver: CoreResolver;
  private readonly record: CoreRecord;
  private readonly result: CoreResult;
  private readonly lines: () => readonly LineInfo[];

  constructor(
    insnIndex: number,
    record: CoreRecord,
    resolver: CoreResolver,
    result: CoreResult,
    lines: () => readonly LineInfo[],
  ) {
    this.insnIndex = insnIndex;
    this.kind = record.kind;
    this.root = typeText(result.local.btf, result.local.rootTypeId);
    this.path = specText(result.local);
    this.resolver = resolver;
    this.record = record;
    this.result = result;
    this.lines = lines;
  }

  /** Why nothing was found: what the kernel has instead. */
  get reason(): string {
    const { result, resolver, record } = this;
    if (result.target !== undefined) return sizeReason(result, result.target);
    const [candidate] = resolver.candidatesFor(record);
    if (candidate === undefined) return missingType(resolver, record);
    return this.kind === CoreKind.ENUMVAL_VALUE
      ? missingValue(result.local, candidate)
      : missingField(result.local, candidate);
  }

  /** The source line that the instruction was compiled from; undefined without line records. */
  get line(): LineInfo | undefined {
    return lineAt(this.lines(), this.insnIndex);
  }

  /** All of it: `offset of struct task_struct.cpu (prog.bpf.c:12: return t->cpu;): the kernel's struct task_struct has no field cpu`. */
  get message(): string {
    const { line } = this;
    const place = line === undefined ? "" : ` (${lineText(line)})`;
    return `${coreKindPhrases[this.kind]} ${this.path}${place}: ${this.reason}`;
  }
}

/** The line record that an instruction falls under. */
export function lineAt(lines: readonly LineInfo[], insnIndex: number): LineInfo | undefined {
  return lines.findLast((line) => line.insnIndex <= insnIndex);
}

/** `prog.bpf.c:12: return t->cpu;` */
export function lineText(line: LineInfo): string {
  const source = line.source.trim();
  return `${line.file}:${line.line}${source === "" ? "" : `: ${source}`}`;
}

function suggestion(name: string, names: Iterable<string>): string {
  const near = nearestNames(name, names);
  return near.length === 0 ? "" : ` (near: ${near.join(", ")})`;
}

function sizeReason({ local, localSize, size }: CoreResult, target: CoreSpec): string {
  return (
    `the program accesses ${localSize} byte(s) of \`${fieldText(local)}\`, the kernel has ` +
    (size === 0 ? `the bitfield \`${fieldText(target)}\`` : `${size} of \`${fieldText(target)}\``) +
    ": only pointers and unsigned integers can be accessed in another size"
  );
}

/** A declaration on one line: what anonymous structs hold is left out. */
function declaration(btf: Btf, typeId: number, name?: string): string {
  return printBtfDeclaration(btf, typeId, name).replace(/\{.*\}/s, "{ ... }");
}

/** The declaration of the last field of a place. */
function fieldText({ btf, steps }: CoreSpec): string {
  const { typeId, name, index } = steps.at(-1)!;
  const type = btf.typeById(typeId);
  if (name === undefined || (type.kind !== BtfKind.STRUCT && type.kind !== BtfKind.UNION)) {
    return declaration(btf, typeId);
  }
  const member = type.members[index]!;
  const bits = member.bitfieldSize > 0 ? `:${member.bitfieldSize}` : "";
  return declaration(btf, member.typeId, name) + bits;
}

const otherKinds: readonly BtfKind[] = [
  BtfKind.STRUCT,
  BtfKind.UNION,
  BtfKind.ENUM,
  BtfKind.ENUM64,
  BtfKind.TYPEDEF,
  BtfKind.FWD,
];

function missingType({ local, kernel }: CoreResolver, { typeId }: CoreRecord): string {
  const name = essentialName(local.nameOf(typeId));
  const kind = local.kindOf(typeId);
  const btf = kernel.btf!;
  for (const other of otherKinds) {
    const id = other === kind ? undefined : btf.findByName(name, other);
    if (id === undefined) continue;
    if (other === BtfKind.FWD) return `the kernel has only a declaration of ${typeText(btf, id)}, without its members`;
    const what = other === BtfKind.TYPEDEF ? `a typedef ${name}` : typeText(btf, id);
    return `the kernel has ${what}, which is of another kind`;
  }
  return `the kernel has no ${typeText(local, typeId)}${suggestion(name, btf.names(kind))}`;
}

function missingValue({ steps }: CoreSpec, { btf, typeId }: CoreCandidate): string {
  const type = btf.typeById(btf.stripModifiers(typeId));
  const text = typeText(btf, typeId);
  if (type.kind !== BtfKind.ENUM && type.kind !== BtfKind.ENUM64) return `the kernel's ${text} is no enum`;
  const name = steps[0]!.name!;
  return `the kernel's ${text} has no ${name}${suggestion(
    name,
    type.values.map((value) => value.name),
  )}`;
}

/** Goes as far as the candidate follows, and says what stops it. */
function missingField(local: CoreSpec, { btf, typeId }: CoreCandidate): string {
  let at: CoreSpec | undefined;
  for (let count = 1; count <= local.steps.length; count++) {
    const next = matchCoreSpec({ ...local, steps: local.steps.slice(0, count) }, btf, typeId);
    if (next === undefined) return stoppedAt(local, count - 1, btf, at === undefined ? typeId : endOf(at));
    at = next;
  }
  return `the kernel's ${typeText(btf, typeId)} lacks it`;
}

/** Type of the field that a place is. */
function endOf({ btf, steps }: CoreSpec): number {
  const { typeId, name, index } = steps.at(-1)!;
  const type = btf.typeById(typeId);
  const isMember = name !== undefined && (type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION);
  return btf.stripModifiers(isMember ? type.members[index]!.typeId : typeId);
}

function stoppedAt(local: CoreSpec, stepIndex: number, btf: Btf, typeId: number): string {
  const step = local.steps[stepIndex]!;
  const type = btf.typeById(btf.stripModifiers(typeId));
  const text = `the kernel's ${declaration(btf, typeId) || typeText(btf, typeId)}`;
  if (step.name === undefined) {
    return type.kind === BtfKind.ARRAY ? `${text} has no element ${step.index}` : `${text} is no array`;
  }
  const found = findMember(btf, typeId, step.name);
  if (found === undefined) {
    const fields = btf.fields(typeId).map(({ name }) => name);
    return fields.length === 0
      ? `${text} has no fields`
      : `${text} has no field ${step.name}${suggestion(step.name, fields)}`;
  }
  const wanted = fieldText({ ...local, steps: local.steps.slice(0, stepIndex + 1) });
  return `the kernel has \`${declaration(btf, found.typeId, step.name)}\`, which cannot be read as the program's \`${wanted}\``;
}
