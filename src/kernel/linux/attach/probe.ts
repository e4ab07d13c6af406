/** Attaches to functions: of the kernel (kprobes) and of binaries (uprobes), one by one and many at once. */
import { existsSync } from "node:fs";
import { UnsupportedError, nearestNames } from "../../../base/index.ts";
import { AttachType } from "../../../isa/index.ts";
import { linkKprobeMulti, linkUprobeMulti } from "../bpf-link.ts";
import { kprobesMissing } from "../diagnose.ts";
import { Errno } from "../../errno.ts";
import { eventSource } from "../event-source.ts";
import { isBlacklisted, kernelFunctions, traceableFunctions } from "../kallsyms.ts";
import { LinuxLink } from "../link.ts";
import { machine } from "../machine.ts";
import { PerfType, perfEventOpen, perfFailure, tryPerfEventOpen } from "../perf.ts";
import { hasProbeFile, registerProbe } from "../probe-events.ts";
import type { LinuxProgram } from "../programs.ts";
import { type AlternativeHint, type SpecOf, onlyLink, tooOld } from "./common.ts";
import { anywhere, runAtEvent } from "./perf.ts";

/** Attaches to one function of the kernel. */
export function attachKprobe(program: LinuxProgram, spec: SpecOf<"kprobe">, hint: AlternativeHint): LinuxLink {
  const what = `${spec.isReturn ? "kretprobe" : "kprobe"} ${spec.func}${spec.offset > 0 ? `+${spec.offset}` : ""}`;
  const source = eventSource("kprobe", ["retprobe"]);
  // Only the text file of tracefs takes a number of calls.
  const limited = spec.isReturn && (spec.maxActive ?? 0) > 0 && hasProbeFile("kprobe_events");
  if (source !== undefined && !limited) {
    const event = tryPerfEventOpen({
      type: source.type,
      config: spec.isReturn ? 2 ** (source.configBits.get("retprobe") ?? 0) : 0,
      config1: spec.func,
      config2: spec.offset,
      what,
      ...anywhere,
    });
    if (typeof event === "number") throw kprobeFailure(what, spec.func, -event, hint);
    return new LinuxLink(spec, runAtEvent(program, event, what, spec.cookie));
  }
  if (!hasProbeFile("kprobe_events")) {
    const why = kprobesMissing() ?? "this kernel offers no kprobes (CONFIG_KPROBES and CONFIG_KPROBE_EVENTS)";
    throw new UnsupportedError(what, withAlternative(why, spec.func, hint));
  }
  try {
    return attachRegistered(
      program,
      spec,
      "kprobe_events",
      `${spec.func}${spec.offset > 0 ? `+${spec.offset}` : ""}`,
      what,
    );
  } catch (error) {
    const errno = -((error as NodeJS.ErrnoException).errno ?? 0);
    throw errno > 0 && !(error instanceof UnsupportedError) && "syscall" in (error as object)
      ? kprobeFailure(what, spec.func, errno, hint)
      : error;
  }
}

function attachRegistered(
  program: LinuxProgram,
  spec: SpecOf<"kprobe"> | SpecOf<"uprobe">,
  file: "kprobe_events" | "uprobe_events",
  place: string,
  what: string,
): LinuxLink {
  const probe = registerProbe(file, place, spec.isReturn, spec.kind === "kprobe" ? spec.maxActive : undefined);
  try {
    const target = spec.kind === "uprobe" && spec.pid !== undefined ? { pid: spec.pid, cpu: -1 } : anywhere;
    const event = perfEventOpen({ type: PerfType.TRACEPOINT, config: probe.id, period: 1, what, ...target });
    return new LinuxLink(spec, runAtEvent(program, event, what, spec.cookie), () => probe.remove());
  } catch (error) {
    probe.remove();
    throw error;
  }
}

function withAlternative(why: string, func: string, hint: AlternativeHint): string {
  const alternative = hint(func);
  return alternative === undefined ? why : `${why}; ${alternative}`;
}

/** Says why a function cannot be probed: there is none, it was inlined, or the kernel forbids it. */
function kprobeFailure(what: string, func: string, errno: number, hint: AlternativeHint): Error {
  if (errno === Errno.EILSEQ)
    return new UnsupportedError(what, `the offset is not where an instruction of ${func} starts: disassemble it first`);
  if (errno !== Errno.ENOENT && errno !== Errno.EINVAL && errno !== Errno.EADDRNOTAVAIL)
    return perfFailure(what, errno);
  const known = kernelFunctions();
  if (!known.has(func)) {
    const parts = [...known].filter((name) => name.startsWith(`${func}.`)).slice(0, 3);
    const near = parts.length > 0 ? parts : nearestNames(func, traceableFunctions() ?? known);
    const why = "this kernel has no such function, or the compiler inlined it everywhere";
    return new UnsupportedError(
      what,
      withAlternative(near.length > 0 ? `${why}; did you mean ${near.join(" or ")}?` : why, func, hint),
    );
  }
  if (isBlacklisted(func))
    return new UnsupportedError(what, withAlternative("the kernel forbids probing it (kprobes blacklist)", func, hint));
  if (traceableFunctions()?.has(func) === false) {
    return new UnsupportedError(
      what,
      withAlternative("the function exists and cannot be traced (notrace)", func, hint),
    );
  }
  return perfFailure(what, errno);
}

/** Attaches to many functions of the kernel in one link; as sessions when the program was loaded for them. */
export function attachKprobeMulti(
  program: LinuxProgram,
  spec: SpecOf<"kprobe-multi">,
  hint: AlternativeHint,
): LinuxLink {
  const count = (spec.addresses ?? spec.funcs).length;
  const attachType = program.spec.expectedAttachType;
  const isSession = attachType === AttachType.TRACE_KPROBE_SESSION;
  const what = `${isSession ? "kprobe session" : spec.isReturn ? "kretprobe" : "kprobe"} of ${count} functions`;
  if (machine.kernelOption("CONFIG_FPROBE") === "n") {
    const why =
      kprobesMissing() ?? "this kernel was built without FPROBE (CONFIG_FPROBE is not set): attach one by one";
    throw new UnsupportedError(what, withAlternative(why, spec.funcs[0] ?? "", hint));
  }
  const old = isSession ? tooOld(what, 6, 10) : tooOld(what, 5, 18, "attach one by one");
  if (old !== undefined) throw old;
  if (!isSession && attachType !== AttachType.TRACE_KPROBE_MULTI) throw wrongAttachType(program, what, "kprobe.multi");
  if (isSession && spec.isReturn) throw new TypeError(`${what}: a session sees both entry and return`);
  checkLengths(what, count, spec.cookies, spec.addresses === undefined ? undefined : spec.funcs);
  try {
    return new LinuxLink(spec, onlyLink(linkKprobeMulti(program.fd.value, { ...spec, attachType }, what)));
  } catch (error) {
    if ((error as { errno?: number }).errno !== Errno.ESRCH || spec.addresses !== undefined) throw error;
    const traceable = traceableFunctions();
    const unknown = traceable === undefined ? [] : spec.funcs.filter((func) => !traceable.has(func));
    if (unknown.length === 0) throw error;
    const more = unknown.length > 3 ? ` and ${unknown.length - 3} more` : "";
    const why = `this kernel cannot trace ${unknown.slice(0, 3).join(", ")}${more}, and attaches all or none`;
    throw new UnsupportedError(what, withAlternative(why, unknown[0]!, hint), { cause: error });
  }
}

/** The kernel attaches a program to many places only when it was loaded for that. */
function wrongAttachType(program: LinuxProgram, what: string, section: string): TypeError {
  return new TypeError(
    `${what}: program ${program.spec.name} was not loaded for many places at once (SEC("${section}")): attach it one by one`,
  );
}

function checkLengths(what: string, count: number, ...lists: (readonly unknown[] | undefined)[]): void {
  if (count === 0) throw new RangeError(`${what}: name at least one place`);
  for (const list of lists) {
    if (list !== undefined && list.length !== count && list.length > 0)
      throw new RangeError(`${what}: ${list.length} entries of a list that goes with ${count} places`);
  }
}

/** Attaches to one place of a binary. */
export function attachUprobe(program: LinuxProgram, spec: SpecOf<"uprobe">): LinuxLink {
  const place = `${spec.path}:0x${spec.fileOffset.toString(16)}`;
  const what = `${spec.isReturn ? "uretprobe" : "uprobe"} ${place}`;
  const source = eventSource("uprobe", ["retprobe", "ref_ctr_offset"]);
  if (source === undefined) {
    if (!hasProbeFile("uprobe_events")) {
      throw new UnsupportedError(what, "this kernel was built without uprobes (CONFIG_UPROBE_EVENTS)");
    }
    const counter = spec.refCtrOffset === undefined ? "" : `(0x${spec.refCtrOffset.toString(16)})`;
    return attachRegistered(program, spec, "uprobe_events", place + counter, what);
  }
  if (!existsSync(spec.path)) throw new UnsupportedError(what, "there is no such file");
  const counterBit = source.configBits.get("ref_ctr_offset");
  if (spec.refCtrOffset !== undefined && counterBit === undefined)
    throw new UnsupportedError(what, "this kernel counts up no semaphores of USDT probes (Linux 4.20)");
  const event = tryPerfEventOpen({
    type: source.type,
    config:
      (spec.isReturn ? 2 ** (source.configBits.get("retprobe") ?? 0) : 0) +
      (spec.refCtrOffset === undefined ? 0 : spec.refCtrOffset * 2 ** counterBit!),
    config1: spec.path,
    config2: spec.fileOffset,
    what,
    ...(spec.pid === undefined ? anywhere : { pid: spec.pid, cpu: -1 }),
  });
  if (typeof event === "number") {
    if (event === -Errno.ESRCH) throw new UnsupportedError(what, `there is no process ${spec.pid}`);
    throw perfFailure(what, -event);
  }
  return new LinuxLink(spec, runAtEvent(program, event, what, spec.cookie));
}

/** Attaches to many places of a binary in one link; as sessions when the program was loaded for them. */
export function attachUprobeMulti(program: LinuxProgram, spec: SpecOf<"uprobe-multi">): LinuxLink {
  const attachType = program.spec.expectedAttachType;
  const isSession = attachType === AttachType.TRACE_UPROBE_SESSION;
  const noun = isSession ? "uprobe session" : spec.isReturn ? "uretprobe" : "uprobe";
  const what = `${noun} of ${spec.fileOffsets.length} places in ${spec.path}`;
  if (!isSession && attachType !== AttachType.TRACE_UPROBE_MULTI) throw wrongAttachType(program, what, "uprobe.multi");
  if (isSession && spec.isReturn) throw new TypeError(`${what}: a session sees both entry and return`);
  checkLengths(what, spec.fileOffsets.length, spec.refCtrOffsets, spec.cookies);
  if (!existsSync(spec.path)) throw new UnsupportedError(what, "there is no such file");
  const old = isSession ? tooOld(what, 6, 13) : tooOld(what, 6, 6, "attach one by one");
  if (old !== undefined) throw old;
  try {
    return new LinuxLink(spec, onlyLink(linkUprobeMulti(program.fd.value, { ...spec, attachType }, what)));
  } catch (error) {
    if ((error as { errno?: number }).errno !== Errno.ESRCH) throw error;
    throw new UnsupportedError(what, `there is no process ${spec.pid}`, { cause: error });
  }
}
