/** Where a relocation leads: from an access string to fields of the program's type, and from those to the fields of a kernel's type. */
import type { Btf } from "../btf.ts";
import { BtfKind } from "../kinds.ts";
import type { BtfArray, BtfComposite, BtfEnum } from "../types.ts";
import { fieldsCompatible, isComposite, isEnum, typesCompatible, typesMatch } from "./compatible.ts";
import { CoreError } from "./error.ts";
import { CoreKind, coreSubjectOf } from "./kinds.ts";
import { essentialName } from "./names.ts";

/** Members and elements, anonymous ones included, on the way from a type to a field (`BPF_CORE_SPEC_MAX_LEN`). */
const STEP_LIMIT = 64;
const INDEX_LIMIT = 0x7fff_ffff;

/** A CO-RE record, as far as types need it; `CoreRelocation` of the object's room is one. */
export interface CoreRecord {
  /** Root type in the object's BTF. */
  readonly typeId: number;
  /** `0:1:2`: array index of the root, then members and elements; a number for enumerators; `0` for types. */
  readonly access: string;
  /** `CoreKind.*` */
  readonly kind: number;
}

/** One step to a field that can be named: a member, or an element of an array. */
export interface CoreStep {
  /** The struct or union that has the member, or the type of the element; modifiers are off. */
  readonly typeId: number;
  /** Index of the member, or of the element. */
  readonly index: number;
  /** Undefined for elements. */
  readonly name: string | undefined;
}

/** A place in a type. */
export interface CoreSpec {
  readonly btf: Btf;
  /** With its modifiers, as the relocation or the search found it. */
  readonly rootTypeId: number;
  readonly kind: number;
  /** The first indexes the root; of enum values it is the only one and has the name. Empty for types. */
  readonly steps: readonly CoreStep[];
  /** Every index, those of anonymous members too. */
  readonly access: readonly number[];
  /** Bits from the start of the root. */
  readonly bitOffset: number;
}

/** Bytes of a type. Throws {@link CoreError} when it has no size. */
export function knownSize(btf: Btf, typeId: number): number {
  const size = btf.sizeOf(typeId);
  if (size === undefined) throw new CoreError(`${typeText(btf, typeId)} has no size in ${btf.section}`);
  return size;
}

/** A struct's last member may be an array without a count, whose elements lie behind the struct. */
function isFlexible(btf: Btf, before: CoreStep | undefined, array: BtfArray): boolean {
  if (before?.name === undefined || array.count > 0) return false;
  return before.index === (btf.typeById(before.typeId) as BtfComposite).members.length - 1;
}

const keywords: Readonly<Record<number, string>> = {
  [BtfKind.STRUCT]: "struct ",
  [BtfKind.UNION]: "union ",
  [BtfKind.ENUM]: "enum ",
  [BtfKind.ENUM64]: "enum ",
};

/** A type as C names it: `struct task_struct`, `enum bpf_func_id`, `pid_t`. */
export function typeText(btf: Btf, typeId: number): string {
  const type = btf.typeById(typeId);
  const keyword = type.kind === BtfKind.FWD ? (type.union ? "union " : "struct ") : (keywords[type.kind] ?? "");
  return keyword + (type.name || "(anonymous)");
}

/** A place as C text: `struct task_struct.se.load.weight`, `struct rq.cpu[3]`, `enum bpf_func_id::BPF_FUNC_map_lookup_elem`, `struct file`. */
export function specText(spec: CoreSpec): string {
  const root = typeText(spec.btf, spec.rootTypeId);
  if (coreSubjectOf(spec.kind) === "enum-value") return `${root}::${spec.steps[0]?.name ?? "?"}`;
  const path = spec.steps.map(({ name, index }, i) =>
    name === undefined ? (i > 0 || index > 0 ? `[${index}]` : "") : `.${name}`,
  );
  return root + path.join("");
}

function parseAccess(access: string): number[] {
  if (!/^\d+(?::\d+)*$/.test(access)) {
    throw new CoreError(`access string ${JSON.stringify(access)} is no list of numbers between colons`);
  }
  const indexes = access.split(":").map(Number);
  if (indexes.length > STEP_LIMIT)
    throw new CoreError(`access string of ${indexes.length} steps, at most ${STEP_LIMIT}`);
  if (indexes.some((index) => index > INDEX_LIMIT))
    throw new CoreError(`access string ${access}: an index is too large`);
  return indexes;
}

/**
 * Reads a relocation's access string in the types of the program. Throws {@link CoreError} when it does not fit them. Pairs with
 * `bpf_core_parse_spec`.
 */
export function parseCoreSpec(btf: Btf, record: CoreRecord): CoreSpec {
  const { typeId: rootTypeId, kind } = record;
  const subject = coreSubjectOf(kind);
  if (subject === undefined)
    throw new CoreError(`kind ${kind} of relocation is not known: the last is ${CoreKind.TYPE_MATCHES}`);
  if (rootTypeId >= btf.typeCount) {
    throw new CoreError(`type ${rootTypeId} is not in the object's BTF, which ends at ${btf.typeCount - 1}`);
  }
  if (subject === "type") {
    if (record.access !== "0") throw new CoreError(`access string ${JSON.stringify(record.access)} of a type, not "0"`);
    return { btf, rootTypeId, kind, steps: [], access: [], bitOffset: 0 };
  }
  const access = parseAccess(record.access);
  const typeId = btf.stripModifiers(rootTypeId);
  if (subject === "enum-value") {
    const name =
      access.length === 1 && isEnum(btf.kindOf(typeId)) ? enumAt(btf, typeId).values[access[0]!]?.name : undefined;
    if (name === undefined)
      throw new CoreError(`access string ${record.access} names no value of ${typeText(btf, rootTypeId)}`);
    return { btf, rootTypeId, kind, steps: [{ typeId, index: access[0]!, name }], access, bitOffset: 0 };
  }
  return parseFieldSpec(btf, rootTypeId, kind, access);
}

function enumAt(btf: Btf, typeId: number): BtfEnum {
  return btf.typeById(typeId) as BtfEnum;
}

function parseFieldSpec(btf: Btf, rootTypeId: number, kind: number, access: readonly number[]): CoreSpec {
  let typeId = btf.stripModifiers(rootTypeId);
  let bitOffset = access[0]! * knownSize(btf, typeId) * 8;
  const steps: CoreStep[] = [{ typeId, index: access[0]!, name: undefined }];
  for (let i = 1; i < access.length; i++) {
    const index = access[i]!;
    typeId = btf.stripModifiers(typeId);
    const type = btf.typeById(typeId);
    if (type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION) {
      const member = type.members[index];
      if (member === undefined) {
        throw new CoreError(`access string ${access.join(":")}: ${typeText(btf, typeId)} has no member ${index}`);
      }
      bitOffset += member.bitOffset;
      if (member.name !== "") steps.push({ typeId, index, name: member.name });
      typeId = member.typeId;
    } else if (type.kind === BtfKind.ARRAY) {
      if (index >= type.count && !isFlexible(btf, steps.at(-1), type)) {
        throw new CoreError(`access string ${access.join(":")}: element ${index} of an array of ${type.count}`);
      }
      typeId = btf.stripModifiers(type.elementTypeId);
      steps.push({ typeId, index, name: undefined });
      bitOffset += index * knownSize(btf, typeId) * 8;
    } else {
      throw new CoreError(`access string ${access.join(":")}: ${typeText(btf, typeId)} at step ${i} has no members`);
    }
  }
  return { btf, rootTypeId, kind, steps, access, bitOffset };
}

/**
 * The same place in a candidate of the kernel; undefined when it has none. Throws {@link CoreError} when types are nested too deep or have no
 * size. Pairs with `bpf_core_spec_match`.
 */
export function matchCoreSpec(local: CoreSpec, btf: Btf, candidateId: number): CoreSpec | undefined {
  const place = { btf, rootTypeId: candidateId, kind: local.kind, bitOffset: 0 };
  switch (coreSubjectOf(local.kind)) {
    case "type": {
      const relation = local.kind === CoreKind.TYPE_MATCHES ? typesMatch : typesCompatible;
      return relation(local.btf, local.rootTypeId, btf, candidateId) ? { ...place, steps: [], access: [] } : undefined;
    }
    case "enum-value": {
      const typeId = btf.stripModifiers(candidateId);
      if (!isEnum(btf.kindOf(typeId))) return undefined;
      const wanted = essentialName(local.steps[0]!.name!);
      const index = enumAt(btf, typeId).values.findIndex(({ name }) => essentialName(name) === wanted);
      if (index === -1) return undefined;
      return { ...place, steps: [{ typeId, index, name: enumAt(btf, typeId).values[index]!.name }], access: [index] };
    }
    default:
      return matchFieldSpec(local, btf, candidateId);
  }
}

function matchFieldSpec(local: CoreSpec, btf: Btf, candidateId: number): CoreSpec | undefined {
  const steps: CoreStep[] = [];
  const access: number[] = [];
  let bitOffset = 0;
  let typeId = candidateId;
  for (const [i, step] of local.steps.entries()) {
    typeId = btf.stripModifiers(typeId);
    if (step.name !== undefined) {
      const found = findMember(btf, typeId, step.name, access.length);
      if (found === undefined) return undefined;
      const member = membersOf(local.btf, step.typeId)[step.index]!;
      if (!fieldsCompatible(local.btf, member.typeId, btf, found.typeId)) return undefined;
      steps.push(found.step);
      access.push(...found.access);
      bitOffset += found.bitOffset;
      typeId = found.typeId;
      continue;
    }
    if (i > 0) {
      const array = btf.typeById(typeId);
      if (array.kind !== BtfKind.ARRAY) return undefined;
      if (step.index >= array.count && !isFlexible(btf, steps.at(-1), array)) return undefined;
      typeId = btf.stripModifiers(array.elementTypeId);
    }
    if (access.length === STEP_LIMIT)
      throw new CoreError(`${typeText(btf, candidateId)} is nested deeper than ${STEP_LIMIT}`);
    steps.push({ typeId, index: step.index, name: undefined });
    access.push(step.index);
    bitOffset += step.index * knownSize(btf, typeId) * 8;
  }
  return { btf, rootTypeId: candidateId, kind: local.kind, steps, access, bitOffset };
}

function membersOf(btf: Btf, typeId: number): BtfComposite["members"] {
  const type = btf.typeById(typeId);
  return type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION ? type.members : [];
}

/** A member, found through anonymous structs and unions. */
export interface FoundMember {
  readonly step: CoreStep;
  readonly access: readonly number[];
  readonly bitOffset: number;
  readonly typeId: number;
}

/**
 * A member by name, through anonymous structs and unions. `depth` counts the steps before it; `seen` holds the types searched in vain: what
 * is not there once is not there when reached again. Pairs with `bpf_core_match_member`.
 */
export function findMember(
  btf: Btf,
  id: number,
  name: string,
  depth: number = 0,
  seen: Set<number> = new Set(),
): FoundMember | undefined {
  const typeId = btf.stripModifiers(id);
  if (!isComposite(btf.kindOf(typeId)) || seen.has(typeId)) return undefined;
  seen.add(typeId);
  for (const [index, member] of membersOf(btf, typeId).entries()) {
    if (depth === STEP_LIMIT) throw new CoreError(`${typeText(btf, typeId)} is nested deeper than ${STEP_LIMIT}`);
    if (member.name === name) {
      return { step: { typeId, index, name }, access: [index], bitOffset: member.bitOffset, typeId: member.typeId };
    }
    if (member.name !== "") continue;
    const inner = findMember(btf, member.typeId, name, depth + 1, seen);
    if (inner !== undefined) {
      return { ...inner, access: [index, ...inner.access], bitOffset: member.bitOffset + inner.bitOffset };
    }
  }
  return undefined;
}
