/** Which programs a probe needs: targets that can share one program are put together, each kind on its cheapest attachment. */
import { AttachType, ProgType } from "../../../isa/index.ts";
import type { AttachSpec } from "../../../object/index.ts";
import { type CheckedProgram, PROBE_TEXT, type ProbeTarget } from "../checked.ts";
import type { ProbeRun } from "../plan.ts";
import type { ScriptContext, Site } from "./script.ts";
import { syscallEvent } from "./syscalls.ts";

/** A site and where its program is attached. */
export interface PlannedSite {
  readonly site: Site;
  /** Each with the targets it serves. */
  readonly runs: readonly { readonly run: ProbeRun; readonly targets: readonly ProbeTarget[] }[];
}

type TracepointTarget = Extract<ProbeTarget, { provider: "tracepoint" }>;

/** Things a body may use that need the record or registers of a perf event. */
const NEEDS_STACK: readonly string[] = ["kstack", "ustack", "ctx"];

/** Categories of events that are no tracepoints of the kernel's own: they have no raw form. */
const DYNAMIC_CATEGORIES: ReadonlySet<string> = new Set([
  "syscalls",
  "ftrace",
  "kprobes",
  "uprobes",
  "fprobes",
  "tracepoints",
  "eprobes",
  "synthetic",
]);

/**
 * Kernel functions that are attached to at once rather than one by one. A few are not: only a kprobe of its own has all registers, and
 * its stack begins in the function.
 */
const MANY_FUNCTIONS = 16;

/** `PERF_TYPE_SOFTWARE` and the event whose timer drives profile and interval. */
const PERF_TYPE_SOFTWARE = 1;
const PERF_COUNT_SW_CPU_CLOCK = 0;

/** The sites of a probe, in the order of its targets. */
export function planSites(script: ScriptContext, program: CheckedProgram): PlannedSite[] {
  const out: PlannedSite[] = [];
  const rest: ProbeTarget[] = [];
  const enter = new Map<number, TracepointTarget>();
  const exit = new Map<number, TracepointTarget>();
  for (const target of program.targets) {
    const syscall =
      target.provider === "tracepoint" && target.category === "syscalls" && script.env.eachSyscall !== true
        ? syscallEvent(script.env.arch, target.event)
        : undefined;
    const side = syscall?.side === "enter" ? enter : exit;
    // The same event twice in one list runs the body twice, as two attachments do.
    if (!syscall || side.has(syscall.number) || needsRecord(program) || uses(program, [PROBE_TEXT])) rest.push(target);
    else side.set(syscall.number, target as TracepointTarget);
  }
  if (enter.size > 0) out.push(syscallSite(script, "enter", enter));
  if (exit.size > 0) out.push(syscallSite(script, "exit", exit));
  const groups = new Map<string, ProbeTarget[]>();
  for (const target of rest) {
    const key = groupKey(script, program, target);
    const group = groups.get(key);
    if (group) group.push(target);
    else groups.set(key, [target]);
  }
  for (const targets of groups.values()) out.push(plainSite(script, program, targets));
  return out;
}

function uses(program: CheckedProgram, names: readonly string[]): boolean {
  return names.some((name) => program.uses.has(name));
}

/** True when the body looks at a perf event's own context, which no raw tracepoint has. */
function needsRecord(program: CheckedProgram): boolean {
  return uses(program, NEEDS_STACK);
}

/** Targets with the same key share a program. */
function groupKey(script: ScriptContext, program: CheckedProgram, target: ProbeTarget): string {
  // The name of the probe, and what depends on it, is a constant of the program, unless the kernel tells places apart.
  if (uses(program, ["uaddr", PROBE_TEXT])) return target.name;
  if (uses(program, ["probe"]) && !hasCookie(script, program, target)) return target.name;
  if (target.provider === "tracepoint") return `tracepoint ${isRaw(script, program, target)}`;
  if (target.provider === "rawtracepoint") return usesArgs(program) ? target.name : "rawtracepoint";
  if (target.provider === "begin" || target.provider === "end") return target.name;
  if (target.provider === "self") return target.name;
  return target.provider;
}

/** True when the target's attachment may carry a number that the program can ask for: the index of the probe's name. */
function hasCookie(script: ScriptContext, program: CheckedProgram, target: ProbeTarget): boolean {
  if (!script.hasHelper("get_attach_cookie")) return false;
  switch (target.provider) {
    case "kprobe":
    case "kretprobe":
    case "uprobe":
    case "uretprobe":
      return true;
    case "tracepoint":
      return !isRaw(script, program, target);
    default:
      return false;
  }
}

function usesArgs(program: CheckedProgram): boolean {
  return program.uses.has("args") || program.args !== null;
}

/** True when a tracepoint's program may hang on the tracepoint itself: no record is made, and detaching takes no time. */
function isRaw(script: ScriptContext, program: CheckedProgram, target: TracepointTarget): boolean {
  if (usesArgs(program) || needsRecord(program)) return false;
  if (DYNAMIC_CATEGORIES.has(target.category)) return false;
  // Events that users made are in categories of any name; their records start with the address of the probe.
  const format = script.env.tracepointFormat(target.category, target.event);
  return format !== undefined && !format.fields.some((field) => field.name.startsWith("__probe_"));
}

function syscallSite(
  script: ScriptContext,
  side: "enter" | "exit",
  numbers: ReadonlyMap<number, TracepointTarget>,
): PlannedSite {
  const name = `sys_${side}`;
  const targets = [...numbers.values()];
  // A typed tracepoint (tp_btf) would hand the registers over, but finding its type means reading all of the kernel's types first.
  const typed = script.kernelHasBtf && script.hasHelper("task_pt_regs");
  return {
    site: {
      context: typed ? "syscall-task" : "syscall-raw",
      programType: ProgType.RAW_TRACEPOINT,
      expectedAttachType: 0,
      target: targets[0]!,
      targets,
      syscalls: { side, numbers },
      ...filter(script),
    },
    runs: [{ run: { when: "attached", attach: { kind: "raw-tracepoint", name } }, targets }],
  };
}

function filter(script: ScriptContext): { filterPid?: number } {
  return script.env.pid === undefined ? {} : { filterPid: script.env.pid };
}

function plainSite(script: ScriptContext, program: CheckedProgram, targets: readonly ProbeTarget[]): PlannedSite {
  const target = targets[0]!;
  const base = { target, targets, expectedAttachType: 0 };
  const attachAll = (spec: (t: ProbeTarget) => AttachSpec): PlannedSite["runs"] =>
    targets.map((t) => ({
      run: { when: "attached", attach: spec(t), ...("matched" in t && t.matched ? { optional: true } : {}) },
      targets: [t],
    }));
  const cookies = targets.length > 1 && uses(program, ["probe"]) && hasCookie(script, program, target);
  const cookie = (t: ProbeTarget): { cookie?: number } => (cookies ? { cookie: script.probeName(t.name) } : {});
  switch (target.provider) {
    case "begin":
    case "end":
      return {
        site: { ...base, context: "none", programType: ProgType.RAW_TRACEPOINT },
        runs: targets.map((t) => ({ run: { when: target.provider }, targets: [t] })),
      };
    case "self":
      return {
        site: { ...base, context: "none", programType: ProgType.RAW_TRACEPOINT },
        runs: [{ run: { when: "signal", signal: target.signal }, targets }],
      };
    case "tracepoint": {
      const raw = isRaw(script, program, target);
      return {
        site: {
          ...base,
          context: raw ? "raw-tracepoint" : "tracepoint",
          programType: raw ? ProgType.RAW_TRACEPOINT : ProgType.TRACEPOINT,
          cookies,
          ...filter(script),
        },
        runs: attachAll((t) => {
          const { category, event } = t as TracepointTarget;
          return raw
            ? { kind: "raw-tracepoint", name: event }
            : { kind: "tracepoint", category, name: event, ...cookie(t) };
        }),
      };
    }
    case "rawtracepoint": {
      const typed = usesArgs(program);
      return {
        site: {
          ...base,
          context: typed ? "raw-tracepoint-btf" : "raw-tracepoint",
          programType: typed ? ProgType.TRACING : ProgType.RAW_TRACEPOINT,
          ...(typed ? { expectedAttachType: AttachType.TRACE_RAW_TP, attachTo: target.event } : {}),
          ...filter(script),
        },
        runs: attachAll((t) =>
          typed
            ? { kind: "tracing" }
            : { kind: "raw-tracepoint", name: (t as Extract<ProbeTarget, { provider: "rawtracepoint" }>).event },
        ),
      };
    }
    case "interval":
    case "profile":
      return {
        site: { ...base, context: "perf-event", programType: ProgType.PERF_EVENT },
        runs: attachAll((t) => clockEvent(script, t as Extract<ProbeTarget, { provider: "interval" | "profile" }>)),
      };
    case "software":
    case "hardware":
      return {
        site: { ...base, context: "perf-event", programType: ProgType.PERF_EVENT },
        runs: attachAll((t) => {
          const { perfType, config, period } = t as Extract<ProbeTarget, { provider: "software" | "hardware" }>;
          return { kind: "perf-event", type: perfType, config, period, ...attachPid(script) };
        }),
      };
    case "kprobe":
    case "kretprobe": {
      const many = manyFunctions(script, targets);
      if (many) {
        return {
          site: {
            ...base,
            context: "registers",
            programType: ProgType.KPROBE,
            expectedAttachType: AttachType.TRACE_KPROBE_MULTI,
            cookies,
            ...filter(script),
          },
          runs: [
            {
              run: {
                when: "attached",
                attach: {
                  kind: "kprobe-multi",
                  funcs: many.map((t) => t.func),
                  isReturn: target.provider === "kretprobe",
                  ...(cookies ? { cookies: many.map((t) => script.probeName(t.name)) } : {}),
                },
              },
              targets,
            },
          ],
        };
      }
      return {
        site: { ...base, context: "registers", programType: ProgType.KPROBE, cookies, ...filter(script) },
        runs: attachAll((t) => {
          const { func, offset, provider } = t as Extract<ProbeTarget, { provider: "kprobe" | "kretprobe" }>;
          return { kind: "kprobe", func, offset, isReturn: provider === "kretprobe", ...cookie(t) };
        }),
      };
    }
    case "uprobe":
    case "uretprobe":
      return {
        site: { ...base, context: "registers", programType: ProgType.KPROBE, cookies },
        runs: attachAll((t) => {
          const { path, fileOffset, provider } = t as Extract<ProbeTarget, { provider: "uprobe" | "uretprobe" }>;
          return {
            kind: "uprobe",
            path,
            fileOffset,
            isReturn: provider === "uretprobe",
            ...cookie(t),
            ...attachPid(script),
          };
        }),
      };
  }
}

type FunctionTarget = Extract<ProbeTarget, { provider: "kprobe" | "kretprobe" }>;

/** The targets when they are so many that one attachment for all of them pays, and the kernel has it; undefined else. */
function manyFunctions(script: ScriptContext, targets: readonly ProbeTarget[]): readonly FunctionTarget[] | undefined {
  if (targets.length < MANY_FUNCTIONS) return undefined;
  const functions = targets as readonly FunctionTarget[];
  // Each function once, found by a pattern: such are in the list that the kernel looks them up in.
  if (functions.some((t) => !t.matched || t.offset !== 0)) return undefined;
  if (new Set(functions.map((t) => t.func)).size !== functions.length) return undefined;
  return script.env.kprobeMulti === true ? functions : undefined;
}

function attachPid(script: ScriptContext): { pid?: number } {
  return script.env.pid === undefined ? {} : { pid: script.env.pid };
}

/** Timers are perf events of the CPU clock: of one CPU for `interval`, of every CPU for `profile`. */
function clockEvent(
  script: ScriptContext,
  target: Extract<ProbeTarget, { provider: "interval" | "profile" }>,
): AttachSpec {
  const rate =
    target.frequencyHz === undefined
      ? { period: target.periodNs ?? 1_000_000_000 }
      : target.provider === "interval"
        ? { period: Math.round(1e9 / target.frequencyHz) }
        : { frequencyHz: target.frequencyHz };
  const base = { kind: "perf-event", type: PERF_TYPE_SOFTWARE, config: PERF_COUNT_SW_CPU_CLOCK, ...rate } as const;
  return target.provider === "interval" ? { ...base, cpus: [0] } : { ...base, ...attachPid(script) };
}
