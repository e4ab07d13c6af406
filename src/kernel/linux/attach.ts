/** Attaches programs to events of the running kernel: one function a kind of place, in a table. */
import { existsSync, readFileSync } from "node:fs";
import { SyscallError, UnsupportedError, nearestNames } from "../../base/index.ts";
import { AttachType, ProgType } from "../../isa/index.ts";
import type { AttachSpec } from "../../object/index.ts";
import { linkIterator, linkKprobeMulti, linkUprobeMulti, openRawTracepoint, tryPerfEventLink } from "./bpf-link.ts";
import { kprobesMissing, syscallFailure } from "./diagnose.ts";
import { Errno } from "./errno.ts";
import { eventSource } from "./event-source.ts";
import { OwnedFd } from "./fd.ts";
import { isBlacklisted, kernelFunctions, traceableFunctions } from "./kallsyms.ts";
import { type LinkFds, LinuxLink } from "./link.ts";
import { machine } from "./machine.ts";
import {
  type PerfEventRequest,
  PerfType,
  enablePerfEvent,
  perfEventOpen,
  perfFailure,
  setPerfEventProg,
  tryPerfEventOpen,
} from "./perf.ts";
import { hasProbeFile, registerProbe } from "./probe-events.ts";
import type { LinuxProgram } from "./programs.ts";
import { listTracepoints, tracepointId } from "./tracefs.ts";

type SpecOf<Kind extends AttachSpec["kind"]> = Extract<AttachSpec, { kind: Kind }>;

/** A hint that only the caller can give for a place that cannot be probed, such as the nearest tracepoint. */
export type AlternativeHint = (func: string) => string | undefined;

/** Links to perf events are known to this kernel; undefined until tried. */
let perfLinks: boolean | undefined;

/**
 * Lets a program run at a perf event. The link (Linux 5.15) or, before, the event itself holds the program. Closes the event on
 * failure.
 */
function runAtEvent(program: LinuxProgram, event: OwnedFd, what: string, cookie = 0): LinkFds {
  let link: OwnedFd | undefined;
  try {
    if (perfLinks ?? machine.atLeast(5, 15)) {
      const result = tryPerfEventLink(program.fd.value, event.value, cookie);
      if (result >= 0) {
        link = new OwnedFd(result, `link ${what}`);
        perfLinks = true;
      } else if (result !== -Errno.EINVAL) {
        throw attachFailure(what, -result);
      }
      // EINVAL: a kernel that calls itself newer than it is; else the program does not fit, which the ioctl will say again.
    }
    if (link === undefined && cookie !== 0)
      throw new UnsupportedError(what, "a cookie needs links to perf events, which came with Linux 5.15");
    if (link === undefined) setPerfEventProg(event, program.fd.value);
    enablePerfEvent(event);
    return link === undefined ? { holders: [event], events: [] } : { holders: [link], events: [event] };
  } catch (error) {
    link?.close();
    event.close();
    throw error;
  }
}

/** An attachment that is one BPF link. */
function onlyLink(link: OwnedFd): LinkFds {
  return { holders: [link], events: [] };
}

function attachFailure(what: string, errno: number): Error {
  return syscallFailure({ call: `bpf(BPF_LINK_CREATE, ${what})`, operation: "link-create", errno });
}

/** Tracepoints and probes fire wherever they are hit: one event on any CPU carries the program for all. */
const anywhere = { pid: -1, cpu: 0 } as const;

function attachTracepoint(program: LinuxProgram, spec: SpecOf<"tracepoint">): LinuxLink {
  const what = `tracepoint ${spec.category}:${spec.name}`;
  const config = tracepointId(spec.category, spec.name);
  const event = perfEventOpen({ type: PerfType.TRACEPOINT, config, period: 1, what, ...anywhere });
  return new LinuxLink(spec, runAtEvent(program, event, what, spec.cookie));
}

function attachRawTracepoint(program: LinuxProgram, spec: SpecOf<"raw-tracepoint">): LinuxLink {
  const name = program.spec.type === ProgType.TRACING ? undefined : spec.name;
  const what = `raw tracepoint ${spec.name}`;
  try {
    return new LinuxLink(spec, onlyLink(openRawTracepoint(program.fd.value, name, what)));
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== Errno.ENOENT) throw error;
    const near = nearestNames(
      spec.name,
      listTracepoints().map((event) => event.name),
    );
    const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
    throw new UnsupportedError(what, `this kernel has none of that name${hint}`, { cause: error });
  }
}

function attachTracing(program: LinuxProgram, spec: SpecOf<"tracing">): LinuxLink {
  const { attachTo, name, expectedAttachType } = program.spec;
  const what = `${attachTo ?? name}`;
  if (expectedAttachType === AttachType.TRACE_ITER)
    return new LinuxLink(spec, onlyLink(linkIterator(program.fd.value, `iterator ${what}`)));
  return new LinuxLink(spec, onlyLink(openRawTracepoint(program.fd.value, undefined, what)));
}

function attachKprobe(program: LinuxProgram, spec: SpecOf<"kprobe">, hint: AlternativeHint): LinuxLink {
  const what = `${spec.isReturn ? "kretprobe" : "kprobe"} ${spec.func}${spec.offset > 0 ? `+${spec.offset}` : ""}`;
  const source = eventSource("kprobe", ["retprobe"]);
  if (source !== undefined) {
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
  const probe = registerProbe(file, place, spec.isReturn);
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

function attachKprobeMulti(program: LinuxProgram, spec: SpecOf<"kprobe-multi">, hint: AlternativeHint): LinuxLink {
  const what = `${spec.isReturn ? "kretprobe" : "kprobe"} of ${spec.funcs.length} functions`;
  if (machine.kernelOption("CONFIG_FPROBE") === "n") {
    const why =
      kprobesMissing() ?? "this kernel was built without FPROBE (CONFIG_FPROBE is not set): attach one by one";
    throw new UnsupportedError(what, withAlternative(why, spec.funcs[0] ?? "", hint));
  }
  return new LinuxLink(
    spec,
    onlyLink(linkKprobeMulti(program.fd.value, spec.funcs, spec.isReturn, what, spec.cookies)),
  );
}

function attachUprobe(program: LinuxProgram, spec: SpecOf<"uprobe">): LinuxLink {
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
  const counterBit = source.configBits.get("ref_ctr_offset") ?? 32;
  const event = tryPerfEventOpen({
    type: source.type,
    config:
      (spec.isReturn ? 2 ** (source.configBits.get("retprobe") ?? 0) : 0) +
      (spec.refCtrOffset === undefined ? 0 : spec.refCtrOffset * 2 ** counterBit),
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

function attachUprobeMulti(program: LinuxProgram, spec: SpecOf<"uprobe-multi">): LinuxLink {
  const what = `${spec.isReturn ? "uretprobe" : "uprobe"} of ${spec.fileOffsets.length} places in ${spec.path}`;
  return new LinuxLink(spec, onlyLink(linkUprobeMulti(program.fd.value, spec, what)));
}

function attachPerfEvent(program: LinuxProgram, spec: SpecOf<"perf-event">): LinuxLink {
  if ((spec.period === undefined) === (spec.frequencyHz === undefined)) {
    throw new TypeError("perf event: give either a period or a frequency");
  }
  const { type, config, pid } = spec;
  // One process is followed wherever it runs; all processes are seen by one event a CPU.
  const cpus = pid !== undefined && spec.cpus === undefined ? [-1] : (spec.cpus ?? machine.onlineCpus);
  const holders: OwnedFd[] = [];
  const events: OwnedFd[] = [];
  try {
    for (const cpu of cpus) {
      const what = `perf event ${type}:${config}${cpu < 0 ? "" : ` on CPU ${cpu}`}`;
      const request: PerfEventRequest = {
        type,
        config,
        ...(spec.period === undefined ? {} : { period: spec.period }),
        ...(spec.frequencyHz === undefined ? {} : { frequencyHz: spec.frequencyHz }),
        pid: pid ?? -1,
        cpu,
        what,
      };
      const event = tryPerfEventOpen(request);
      if (typeof event === "number") {
        // The CPU went offline after the list was made.
        if (event === -Errno.ENODEV && spec.cpus === undefined && cpus.length > 1) continue;
        throw perfEventFailure(request, spec, -event);
      }
      const fds = runAtEvent(program, event, what);
      holders.push(...fds.holders);
      events.push(...fds.events);
    }
    if (holders.length === 0) throw perfFailure(`perf event ${type}:${config}`, Errno.ENODEV);
    return new LinuxLink(spec, { holders, events });
  } catch (error) {
    for (const fd of [...holders, ...events]) fd.close();
    throw error;
  }
}

function perfEventFailure(request: PerfEventRequest, spec: SpecOf<"perf-event">, errno: number): Error {
  const lacksCounter: readonly number[] = [Errno.ENOENT, Errno.ENODEV, Errno.EOPNOTSUPP];
  if (lacksCounter.includes(errno) && request.type !== PerfType.SOFTWARE) {
    return new UnsupportedError(
      request.what,
      "this machine has no such hardware counter (virtual machines often have none)",
    );
  }
  if (errno === Errno.EINVAL && spec.frequencyHz !== undefined) {
    const most = readNumber("/proc/sys/kernel/perf_event_max_sample_rate");
    if (most !== undefined && spec.frequencyHz > most) {
      return new UnsupportedError(
        request.what,
        `${spec.frequencyHz} samples a second; kernel.perf_event_max_sample_rate allows ${most}`,
      );
    }
  }
  if (errno === Errno.ESRCH) return new UnsupportedError(request.what, `there is no process ${spec.pid}`);
  return perfFailure(request.what, errno);
}

function readNumber(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

type Attacher<Kind extends AttachSpec["kind"]> = (
  program: LinuxProgram,
  spec: SpecOf<Kind>,
  hint: AlternativeHint,
) => LinuxLink;

const attachers: { readonly [Kind in AttachSpec["kind"]]?: Attacher<Kind> } = {
  tracepoint: attachTracepoint,
  "raw-tracepoint": attachRawTracepoint,
  tracing: attachTracing,
  kprobe: attachKprobe,
  "kprobe-multi": attachKprobeMulti,
  uprobe: attachUprobe,
  "uprobe-multi": attachUprobeMulti,
  "perf-event": attachPerfEvent,
};

/** Attaches a program. Throws UnsupportedError when this machine cannot, with what it lacks; SyscallError else. */
export function attachProgram(
  program: LinuxProgram,
  spec: AttachSpec,
  hint: AlternativeHint = () => undefined,
): LinuxLink {
  const attach = attachers[spec.kind] as Attacher<AttachSpec["kind"]> | undefined;
  if (attach === undefined) throw new TypeError(`no way to attach by ${spec.kind}`);
  return attach(program, spec, hint);
}
