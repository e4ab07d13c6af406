/** What a probe answers, and how an errno becomes an answer. */
import { SkepError, SyscallError, VerifierError } from "../../../base/index.ts";
import { checkPrivileges, explainFailure } from "../diagnose.ts";
import { Errno, errnoName } from "../../errno.ts";
import { hasKernelBtf, kernelBtf } from "../kernel-btf.ts";
import { machine } from "../machine.ts";

/** One of three: the kernel has it, has it not, or this process cannot find out. */
export type ProbeVerdict = "yes" | "no" | "cannot tell";

/** An answer with what was asked and what came back. `reason` says why it is missing, or why it cannot be told. */
export interface ProbeAnswer {
  readonly answer: ProbeVerdict;
  readonly evidence: string;
  readonly reason?: string;
}

/** What decides whether a kernel has something: first mainline version, and options of its configuration. */
export interface Requirement {
  /** Such as `5.8`. */
  readonly since?: string | undefined;
  /** All of them are needed. */
  readonly options?: readonly string[];
}

/** errnos that say nothing of the kernel's abilities, only of this moment. */
const passing: ReadonlySet<number> = new Set([Errno.ENOMEM, Errno.EMFILE, Errno.ENFILE, Errno.EAGAIN, Errno.EINTR]);

/** The kernel has it. */
export function yes(evidence: string): ProbeAnswer {
  return { answer: "yes", evidence };
}

/** The kernel has it not; `requirement` or `reason` tells why. */
export function no(evidence: string, requirement: Requirement | string = {}): ProbeAnswer {
  const reason = typeof requirement === "string" ? requirement : whyMissing(requirement);
  return { answer: "no", evidence, ...(reason === undefined ? {} : { reason }) };
}

/** It cannot be found out. */
export function unknown(evidence: string, reason: string): ProbeAnswer {
  return { answer: "cannot tell", evidence, reason };
}

/** True when the running kernel's version is at least `since`, such as `5.8`. */
export function isSince(since: string): boolean {
  const [major = 0, minor = 0] = since.split(".").map(Number);
  return machine.atLeast(major, minor);
}

function whyMissing({ since, options = [] }: Requirement): string | undefined {
  const missing = options.filter((option) => machine.kernelOption(option) === "n");
  if (missing.length > 0) return `this kernel was built without ${missing.join(" and ")}`;
  if (since !== undefined && !isSince(since))
    return `Linux ${since} and later; this is ${machine.kernelVersion.slice(0, 2).join(".")}`;
  const unread = options.filter((option) => machine.kernelOption(option) === undefined);
  if (unread.length > 0) return `it depends on ${unread.join(" and ")}, and this kernel's configuration cannot be read`;
  return undefined;
}

/**
 * The answer that an errno gives: 0 is yes; a lack of privileges, memory or descriptors cannot tell; the rest is no. EPERM tells of this
 * user, unless the user may do everything: then the machine forbids it to all.
 */
export function answerOf(errno: number, what: string, requirement: Requirement = {}): ProbeAnswer {
  const evidence = `${what}: ${errno === 0 ? "success" : errnoName(errno)}`;
  if (errno === 0) return yes(evidence);
  if (passing.has(errno)) return unknown(evidence, reasonOf(errno));
  if (errno === Errno.EPERM || errno === Errno.ENOSYS)
    return checkPrivileges().ok ? no(evidence, reasonOf(errno)) : unknown(evidence, reasonOf(errno));
  return no(evidence, requirement);
}

/** The likely reason of an errno on this machine, with its mend where there is one. */
export function reasonOf(errno: number): string {
  return explainFailure({ call: "bpf", operation: "prog-load", errno }).why;
}

/** The answer of something that throws what this house throws. */
export function attempt(what: string, requirement: Requirement, body: () => void): ProbeAnswer {
  try {
    body();
    return yes(`${what}: success`);
  } catch (error) {
    if (error instanceof SyscallError) return answerOf(error.errno, what, requirement);
    if (error instanceof VerifierError) return no(`${what}: ${error.message}`, requirement);
    if (error instanceof SkepError) return no(`${what}: ${error.message}`, requirement);
    throw error;
  }
}

/** True when the kernel's BTF has this enumerator; undefined without BTF. */
export function btfHasEnumerator(name: string): boolean | undefined {
  return hasKernelBtf() ? kernelBtf().enumValue(name) !== undefined : undefined;
}

/** No, because the kernel's BTF lacks the enumerator that every kernel with the feature has; undefined when it has it or there is no BTF. */
export function missingEnumerator(name: string, requirement: Requirement): ProbeAnswer | undefined {
  return btfHasEnumerator(name) === false ? no(`${name} is not in the kernel's BTF`, requirement) : undefined;
}
