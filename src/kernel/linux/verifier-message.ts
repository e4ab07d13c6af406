/** Why the verifier refused a program of an object, in terms of what was compiled: lines of C, fields, maps and functions by their names. */
import { Btf, type CoreFailure, CORE_POISON_HELPER, type LineInfo, decodeLineInfo } from "../../btf/index.ts";
import type { BpfObject, ProgramSpec } from "../../object/index.ts";
import { machine } from "./machine.ts";
import { Poison } from "./relocate.ts";
import { type Complaint, complaintText, readComplaint } from "./verifier-log.ts";

/** A program and what is known of it besides the log. */
export interface FailedProgram {
  readonly object: BpfObject;
  readonly spec: ProgramSpec;
  /** CO-RE relocations of it that the kernel's types did not answer. */
  readonly failures: readonly CoreFailure[];
}

/** What the verifier says of a helper that does not exist. */
const unknownHelper = /\b(?:invalid func|call) unknown#(\d+)/g;

/** What a log says, for the message of an error. */
export function explainLog(log: string, failed: FailedProgram): string {
  const complaint = readComplaint(log);
  const helper = [...log.matchAll(unknownHelper)].at(-1)?.[1];
  const poisoned = helper === undefined ? undefined : poisonText(Number(helper), complaint, failed);
  if (poisoned !== undefined) return poisoned;
  return complaintText(withLine(complaint, failed)) + (hints.find(({ when }) => when(complaint.text))?.hint ?? "");
}

/** What the verifier's words do not say of the machine. */
const hints: readonly { readonly when: (text: string) => boolean; readonly hint: string }[] = [
  {
    when: (text) =>
      text.includes("failed to find the address for kernel symbol") &&
      machine.kernelOption("CONFIG_KALLSYMS_ALL") === "n",
    hint: " (this kernel was built without addresses of variables: CONFIG_KALLSYMS_ALL is not set)",
  },
];

/** Instructions that could not be made right were made wrong on purpose; reaching one has a better reason than the verifier knows. */
function poisonText(helper: number, complaint: Complaint, failed: FailedProgram): string | undefined {
  const at = placeText(withLine(complaint, failed));
  if (helper === CORE_POISON_HELPER) {
    const failure = failed.failures.find(({ insnIndex }) => insnIndex === complaint.insnIndex) ?? failed.failures[0];
    return failure?.message;
  }
  if (helper >= Poison.KFUNC) {
    const extern = failed.object.externs?.[helper - Poison.KFUNC];
    if (extern === undefined) return undefined;
    return `kernel function ${extern.name} is called${at}, and this kernel has none that fits: call it only where bpf_ksym_exists(${extern.name})`;
  }
  if (helper >= Poison.MAP) {
    const map = failed.object.maps[helper - Poison.MAP];
    if (map === undefined) return undefined;
    return `map ${map.name} is used${at}, and it was not created${map.autocreate === false ? " (autocreate is off)" : ": this kernel has no maps of global data (Linux 5.2)"}`;
  }
  return undefined;
}

function placeText({ source, place }: Complaint): string {
  const parts = [place, source].filter((part) => part !== undefined && part !== "");
  return parts.length === 0 ? "" : ` (at ${parts.join(": ")})`;
}

/** Adds file and line where the kernel does not print them: before 6.10, and where the source is not in the last lines of the log. */
function withLine(complaint: Complaint, failed: FailedProgram): Complaint {
  const { insnIndex } = complaint;
  if (complaint.place !== undefined || insnIndex === undefined) return complaint;
  const line = linesOf(failed).findLast((candidate) => candidate.insnIndex <= insnIndex);
  if (line === undefined) return complaint;
  return { ...complaint, source: line.source.trim(), place: `${line.file.replace(/^.*\//, "")}:${line.line}` };
}

function linesOf({ object, spec }: FailedProgram): readonly LineInfo[] {
  if (object.btf === undefined || spec.lineInfo.length === 0) return [];
  return decodeLineInfo(spec.lineInfo, Btf.parse(object.btf).strings);
}
