/** Decides relocations: one resolver serves all programs of an object, which share candidates and answers. */
import { UnsupportedError } from "../../base/index.ts";
import type { Btf } from "../btf.ts";
import { CandidateSearch, type CoreCandidate, type CoreKernel } from "./candidates.ts";
import { CoreError } from "./error.ts";
import { CoreKind, coreKindPhrases, coreSubjectOf } from "./kinds.ts";
import { type CoreRecord, type CoreSpec, matchCoreSpec, parseCoreSpec, specText, typeText } from "./spec.ts";
import { type CoreValue, canResize, coreValueOf } from "./value.ts";

/** What a relocation comes to. */
export interface CoreResult {
  /** The place in the program's types. */
  readonly local: CoreSpec;
  /** The place in the kernel's types; undefined when there is none, and for ids of local types. */
  readonly target: CoreSpec | undefined;
  /** The kernel has no such field or enum value and the program did not ask whether it has: the instruction must not be reached. */
  readonly unresolved: boolean;
  /** What the instruction should hold before it is changed. */
  readonly localValue: bigint;
  /** What the instruction gets. */
  readonly value: bigint;
  /** What to compare and put instead when the instruction holds an enum's value without its sign, as it does for large unsigned ones. */
  readonly unsigned: { readonly localValue: bigint; readonly value: bigint } | undefined;
  /** The instruction must hold `localValue`, or object and types do not belong together. */
  readonly exact: boolean;
  /** Bytes of a load or store in the program and in the kernel; 0 when this is no question of accesses. */
  readonly localSize: number;
  readonly size: number;
  /** The sizes differ, and a load or store may not be changed to the kernel's: its value would be wrong. */
  readonly sizeMismatch: boolean;
}

/** The value of a question about a type or its existence that the kernel answers with no. */
const ABSENT: CoreValue = { value: 0n, exact: true, size: 0, typeId: 0 };

/**
 * Resolves the relocations of one object against one kernel. The first relocation of a root type keeps the candidates that have its field,
 * and later ones choose among those only, as libbpf does it, so that all fields come from the same types: resolve in the object's order.
 */
export class CoreResolver {
  readonly local: Btf;
  readonly kernel: CoreKernel;
  /** By root type: those left, and whether a relocation has chosen among them. */
  private readonly candidates = new Map<number, CoreCandidate[]>();
  private readonly search: CandidateSearch;
  private readonly results = new Map<string, CoreResult>();

  /** `local` is the object's BTF. */
  constructor(local: Btf, kernel: CoreKernel) {
    this.local = local;
    this.search = new CandidateSearch(local);
    this.kernel = kernel;
  }

  /**
   * Decides one relocation. Throws {@link CoreError} when it is malformed or when candidates differ, and `UnsupportedError` when the kernel
   * has no BTF.
   */
  resolve(record: CoreRecord): CoreResult {
    const key = `${record.kind} ${record.typeId} ${record.access}`;
    let result = this.results.get(key);
    if (result === undefined) {
      result = this.decide(record);
      this.results.set(key, result);
    }
    return result;
  }

  /** The kernel's types that the root of a relocation may stand for and that relocations decided so far have left. */
  candidatesFor(record: CoreRecord): readonly CoreCandidate[] {
    let known = this.candidates.get(record.typeId);
    if (known === undefined) {
      const { btf } = this.kernel;
      if (btf === undefined) {
        throw new UnsupportedError(
          "CO-RE relocations",
          "this kernel has no type information (CONFIG_DEBUG_INFO_BTF): give a file with its BTF",
        );
      }
      known = this.search.find(record.typeId, btf, this.kernel);
      this.candidates.set(record.typeId, known);
    }
    return known;
  }

  private decide(record: CoreRecord): CoreResult {
    const local = parseCoreSpec(this.local, record);
    try {
      return this.decideAt(record, local);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      throw new CoreError(`${coreKindPhrases[record.kind]} ${specText(local)}: ${error.message}`, { cause: error });
    }
  }

  private decideAt(record: CoreRecord, local: CoreSpec): CoreResult {
    // Object and kernel are of one byte order, though an object's BTF may have been read into another.
    const bigEndian = this.kernel.btf?.bigEndian ?? false;
    const localValue = coreValueOf(local, bigEndian);
    if (record.kind === CoreKind.TYPE_ID_LOCAL) return makeResult(local, localValue, undefined, localValue);
    if (record.typeId === 0 || this.local.nameOf(record.typeId) === "") {
      throw new CoreError("the type has no name by which the kernel's could be found");
    }
    const candidates = this.candidatesFor(record);
    const matching: CoreCandidate[] = [];
    let chosen: CoreResult | undefined;
    for (const candidate of candidates) {
      const target = matchCoreSpec(local, candidate.btf, candidate.typeId);
      if (target === undefined) continue;
      const result = makeResult(local, localValue, target, coreValueOf(target, bigEndian));
      if (chosen === undefined) chosen = result;
      else if (target.bitOffset !== chosen.target!.bitOffset || result.value !== chosen.value) {
        throw ambiguity(candidates, matching[0]!, chosen, candidate, result);
      }
      matching.push(candidate);
    }
    if (chosen === undefined) return makeResult(local, localValue, undefined, answerWithout(local));
    if (matching.length < candidates.length) this.candidates.set(record.typeId, matching);
    return chosen;
  }
}

/** What a question has for an answer when the kernel lacks its subject; undefined when there is none. */
function answerWithout(local: CoreSpec): CoreValue | undefined {
  const isQuestion =
    coreSubjectOf(local.kind) === "type" ||
    local.kind === CoreKind.FIELD_EXISTS ||
    local.kind === CoreKind.ENUMVAL_EXISTS;
  return isQuestion ? ABSENT : undefined;
}

function makeResult(
  local: CoreSpec,
  localValue: CoreValue,
  target: CoreSpec | undefined,
  value: CoreValue | undefined,
): CoreResult {
  const sizesDiffer = value !== undefined && target !== undefined && localValue.size !== value.size;
  return {
    local,
    target,
    unresolved: value === undefined,
    localValue: localValue.value,
    value: value?.value ?? 0n,
    unsigned:
      localValue.unsigned === undefined || value === undefined
        ? undefined
        : { localValue: localValue.unsigned, value: value.unsigned ?? value.value },
    exact: localValue.exact,
    localSize: localValue.size,
    size: value?.size ?? 0,
    sizeMismatch: sizesDiffer && !canResize(local.btf, localValue.typeId, target.btf, value.typeId),
  };
}

/** `type 1234 of vmlinux`, `type 130001 of module nf_tables`. */
function candidateText(candidate: CoreCandidate): string {
  const home = candidate.module === undefined ? "vmlinux" : `module ${candidate.module}`;
  return `${typeText(candidate.btf, candidate.typeId)} (type ${candidate.typeId} of ${home})`;
}

function ambiguity(
  candidates: readonly CoreCandidate[],
  first: CoreCandidate,
  firstResult: CoreResult,
  second: CoreCandidate,
  secondResult: CoreResult,
): CoreError {
  const answer = ({ value, target }: CoreResult): string => {
    const bit = target!.bitOffset;
    return coreSubjectOf(target!.kind) === "field" ? `${value} (bit ${bit})` : String(value);
  };
  return new CoreError(
    `ambiguous: the kernel has ${candidates.length} types of this name, and they differ: ` +
      `${candidateText(first)} says ${answer(firstResult)}; ${candidateText(second)} says ${answer(secondResult)}`,
  );
}
