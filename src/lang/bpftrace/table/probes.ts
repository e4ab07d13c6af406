/** The probe providers: one row each, which the parser, the checker, listing, completion and the documentation read. */
import type { ProbeTarget } from "../checked.ts";

/** What a part of an attach point is: decides how it is checked, expanded and completed. */
export type PartKind =
  | "category"
  | "event"
  | "function"
  | "binary"
  | "symbol"
  | "unit"
  | "count"
  | "software-event"
  | "hardware-event"
  | "module"
  | "signal"
  | "name"
  | "address"
  | "length"
  | "mode"
  | "iterator"
  | "namespace";

/** A part of an attach point, such as the event of a tracepoint. */
export interface ProbePart {
  readonly name: string;
  readonly kind: PartKind;
  readonly help: string;
  /** The part may be left out. */
  readonly optional?: boolean;
  /** The part may hold `*`. */
  readonly wildcard?: boolean;
}

/** What a program sees when it runs. Builtins and functions name the contexts in which they mean something. */
export type ProbeContext =
  | "none"
  | "tracepoint"
  | "raw-tracepoint"
  | "registers"
  | "user-registers"
  | "perf-event"
  | "typed-arguments"
  | "iterator"
  | "user-marker";

/** One provider. */
export interface ProbeProvider {
  /** Canonical name, as the full name of a probe starts: `tracepoint`. */
  readonly name: string;
  /** Other names. All names are compared without regard to case. */
  readonly aliases: readonly string[];
  /** As written in help: `tracepoint:category:event`. */
  readonly forms: readonly string[];
  readonly parts: readonly ProbePart[];
  /** Parts may hold a file name with slashes, so that `/` does not begin the predicate. */
  readonly takesPath: boolean;
  readonly context: ProbeContext;
  /** `BPF_PROG_TYPE_*` without the prefix. */
  readonly programType: "RAW_TRACEPOINT" | "TRACEPOINT" | "KPROBE" | "PERF_EVENT" | "TRACING";
  /** First kernel version: [major, minor]. */
  readonly since: readonly [number, number];
  /** One line. */
  readonly help: string;
  readonly example: string;
  /** False: known to the language, refused by the checker; `instead` says what to use. */
  readonly supported: boolean;
  readonly instead?: string;
}

/** Providers that the checker expands to targets. */
export type SupportedProvider = ProbeTarget["provider"];

const PATH_PART: ProbePart = {
  name: "binary",
  kind: "binary",
  help: "path, name of a program in $PATH, or a library such as libc",
  wildcard: true,
};
const FUNCTION_PART: ProbePart = { name: "function", kind: "function", help: "kernel function", wildcard: true };
const SYMBOL_PART: ProbePart = {
  name: "function",
  kind: "symbol",
  help: "function, function+offset, or address",
  wildcard: true,
};

/** All providers, in the order of the documentation. */
export const PROBE_PROVIDERS: readonly ProbeProvider[] = [
  {
    name: "begin",
    aliases: [],
    forms: ["begin"],
    parts: [],
    takesPath: false,
    context: "none",
    programType: "RAW_TRACEPOINT",
    since: [4, 17],
    help: "Runs once, before all other probes.",
    example: 'begin { printf("Tracing...\\n"); }',
    supported: true,
  },
  {
    name: "end",
    aliases: [],
    forms: ["end"],
    parts: [],
    takesPath: false,
    context: "none",
    programType: "RAW_TRACEPOINT",
    since: [4, 17],
    help: "Runs once, after all other probes were detached.",
    example: "end { clear(@start); }",
    supported: true,
  },
  {
    name: "interval",
    aliases: ["i"],
    forms: ["interval:s:COUNT", "interval:ms:COUNT", "interval:us:COUNT", "interval:hz:RATE", "interval:1s"],
    parts: [
      { name: "unit", kind: "unit", help: "s, ms, us or hz; or a duration such as 100ms" },
      { name: "count", kind: "count", help: "how many units", optional: true },
    ],
    takesPath: false,
    context: "perf-event",
    programType: "PERF_EVENT",
    since: [4, 9],
    help: "Runs at an interval, on one CPU.",
    example: "interval:s:1 { print(@); clear(@); }",
    supported: true,
  },
  {
    name: "profile",
    aliases: ["p"],
    forms: ["profile:hz:RATE", "profile:s:COUNT", "profile:ms:COUNT", "profile:us:COUNT", "profile:100ms"],
    parts: [
      { name: "unit", kind: "unit", help: "hz, s, ms or us; or a duration such as 100ms" },
      { name: "count", kind: "count", help: "rate or how many units", optional: true },
    ],
    takesPath: false,
    context: "perf-event",
    programType: "PERF_EVENT",
    since: [4, 9],
    help: "Samples every CPU at a rate.",
    example: "profile:hz:99 { @[kstack] = count(); }",
    supported: true,
  },
  {
    name: "tracepoint",
    aliases: ["t"],
    forms: ["tracepoint:CATEGORY:EVENT"],
    parts: [
      { name: "category", kind: "category", help: "such as syscalls, sched, block", wildcard: true },
      { name: "event", kind: "event", help: "such as sys_enter_openat", wildcard: true },
    ],
    takesPath: false,
    context: "tracepoint",
    programType: "TRACEPOINT",
    since: [4, 7],
    help: "A static tracepoint of the kernel; its fields are args.NAME.",
    example: "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }",
    supported: true,
  },
  {
    name: "rawtracepoint",
    aliases: ["rt"],
    forms: ["rawtracepoint:EVENT", "rawtracepoint:MODULE:EVENT"],
    parts: [
      { name: "module", kind: "module", help: "vmlinux or a kernel module", optional: true },
      { name: "event", kind: "event", help: "such as sched_switch", wildcard: true },
    ],
    takesPath: false,
    context: "raw-tracepoint",
    programType: "RAW_TRACEPOINT",
    since: [4, 17],
    help: "A tracepoint before its record is made; the tracepoint's own arguments are args.NAME and arg0 to argN.",
    example: "rawtracepoint:sched_switch { @[args.next.comm] = count(); }",
    supported: true,
  },
  {
    name: "software",
    aliases: ["s"],
    forms: ["software:EVENT", "software:EVENT:COUNT"],
    parts: [
      { name: "event", kind: "software-event", help: "such as faults or context-switches" },
      { name: "count", kind: "count", help: "events between two samples", optional: true },
    ],
    takesPath: false,
    context: "perf-event",
    programType: "PERF_EVENT",
    since: [4, 9],
    help: "A software event of perf, once every COUNT events.",
    example: "software:faults:100 { @[comm] = count(); }",
    supported: true,
  },
  {
    name: "hardware",
    aliases: ["h"],
    forms: ["hardware:EVENT", "hardware:EVENT:COUNT"],
    parts: [
      { name: "event", kind: "hardware-event", help: "such as cycles or cache-misses" },
      { name: "count", kind: "count", help: "events between two samples", optional: true },
    ],
    takesPath: false,
    context: "perf-event",
    programType: "PERF_EVENT",
    since: [4, 9],
    help: "A hardware counter of the CPU, once every COUNT events; not in most virtual machines.",
    example: "hardware:cache-misses:1000000 { @[pid] = count(); }",
    supported: true,
  },
  {
    name: "kprobe",
    aliases: ["k"],
    forms: ["kprobe:FUNCTION", "kprobe:MODULE:FUNCTION", "kprobe:FUNCTION+OFFSET"],
    parts: [{ name: "module", kind: "module", help: "a kernel module", optional: true, wildcard: true }, FUNCTION_PART],
    takesPath: false,
    context: "registers",
    programType: "KPROBE",
    since: [4, 1],
    help: "Start of a kernel function; arguments are arg0 to argN.",
    example: "kprobe:vfs_read { @bytes = hist(arg2); }",
    supported: true,
  },
  {
    name: "kretprobe",
    aliases: ["kr"],
    forms: ["kretprobe:FUNCTION", "kretprobe:MODULE:FUNCTION"],
    parts: [{ name: "module", kind: "module", help: "a kernel module", optional: true, wildcard: true }, FUNCTION_PART],
    takesPath: false,
    context: "registers",
    programType: "KPROBE",
    since: [4, 1],
    help: "Return of a kernel function; what it returns is retval.",
    example: "kretprobe:vfs_read { @[retval < 0] = count(); }",
    supported: true,
  },
  {
    name: "uprobe",
    aliases: ["u"],
    forms: ["uprobe:BINARY:FUNCTION", "uprobe:BINARY:FUNCTION+OFFSET", "uprobe:BINARY:ADDRESS"],
    parts: [
      PATH_PART,
      { name: "language", kind: "namespace", help: "cpp: the function is a demangled C++ name", optional: true },
      SYMBOL_PART,
    ],
    takesPath: true,
    context: "user-registers",
    programType: "KPROBE",
    since: [4, 3],
    help: "Start of a function of a program or library; arguments are arg0 to argN.",
    example: "uprobe:libc:malloc { @bytes = hist(arg0); }",
    supported: true,
  },
  {
    name: "uretprobe",
    aliases: ["ur"],
    forms: ["uretprobe:BINARY:FUNCTION"],
    parts: [
      PATH_PART,
      { name: "language", kind: "namespace", help: "cpp: the function is a demangled C++ name", optional: true },
      SYMBOL_PART,
    ],
    takesPath: true,
    context: "user-registers",
    programType: "KPROBE",
    since: [4, 3],
    help: "Return of a function of a program or library; what it returns is retval.",
    example: 'uretprobe:/bin/bash:readline { printf("%s\\n", str(retval)); }',
    supported: true,
  },
  {
    name: "self",
    aliases: [],
    forms: ["self:signal:SIGUSR1"],
    parts: [
      { name: "signal", kind: "name", help: "the word signal" },
      { name: "name", kind: "signal", help: "SIGUSR1" },
    ],
    takesPath: false,
    context: "none",
    programType: "RAW_TRACEPOINT",
    since: [4, 17],
    help: "Runs when the tracer itself receives a signal.",
    example: "self:signal:SIGUSR1 { print(@); }",
    supported: true,
  },
  {
    name: "usdt",
    aliases: [],
    forms: ["usdt:BINARY:PROVIDER:NAME", "usdt:BINARY:NAME"],
    parts: [
      PATH_PART,
      { name: "provider", kind: "namespace", help: "provider", optional: true, wildcard: true },
      { name: "name", kind: "name", help: "name of the marker", wildcard: true },
    ],
    takesPath: true,
    context: "user-marker",
    programType: "KPROBE",
    since: [4, 3],
    help: "A static marker of a program or library.",
    example: "usdt:libc:memory_sbrk_more { @ = count(); }",
    supported: false,
    instead: "a uprobe on the function that holds the marker",
  },
  {
    name: "fentry",
    aliases: ["f", "kfunc"],
    forms: ["fentry:FUNCTION", "fentry:MODULE:FUNCTION", "fentry:bpf:PROGRAM"],
    parts: [{ name: "module", kind: "module", help: "vmlinux or a kernel module", optional: true }, FUNCTION_PART],
    takesPath: false,
    context: "typed-arguments",
    programType: "TRACING",
    since: [5, 5],
    help: "Start of a kernel function by its BTF type; arguments are args.NAME.",
    example: "fentry:vfs_read { @[args.file.f_mode] = count(); }",
    supported: false,
    instead: "kprobe, or a tracepoint",
  },
  {
    name: "fexit",
    aliases: ["fr", "kretfunc"],
    forms: ["fexit:FUNCTION", "fexit:MODULE:FUNCTION"],
    parts: [{ name: "module", kind: "module", help: "vmlinux or a kernel module", optional: true }, FUNCTION_PART],
    takesPath: false,
    context: "typed-arguments",
    programType: "TRACING",
    since: [5, 5],
    help: "Return of a kernel function by its BTF type; arguments are args.NAME, the result is retval.",
    example: "fexit:vfs_read { @ = hist(retval); }",
    supported: false,
    instead: "kretprobe, or a tracepoint",
  },
  {
    name: "watchpoint",
    aliases: ["w"],
    forms: ["watchpoint:ADDRESS:LENGTH:MODE"],
    parts: [
      { name: "address", kind: "address", help: "absolute address" },
      { name: "length", kind: "length", help: "1, 2, 4 or 8" },
      { name: "mode", kind: "mode", help: "r, w, x or several" },
    ],
    takesPath: false,
    context: "perf-event",
    programType: "PERF_EVENT",
    since: [4, 9],
    help: "Access to an address.",
    example: "watchpoint:0x10000000:8:rw { @ = count(); }",
    supported: false,
    instead: "a uprobe or kprobe on the code that writes there",
  },
  {
    name: "asyncwatchpoint",
    aliases: ["aw"],
    forms: ["asyncwatchpoint:ADDRESS:LENGTH:MODE"],
    parts: [
      { name: "address", kind: "address", help: "absolute address" },
      { name: "length", kind: "length", help: "1, 2, 4 or 8" },
      { name: "mode", kind: "mode", help: "r, w, x or several" },
    ],
    takesPath: false,
    context: "perf-event",
    programType: "PERF_EVENT",
    since: [4, 9],
    help: "Access to an address; bpftrace 0.25 removed it.",
    example: "asyncwatchpoint:0x10000000:8:w { @ = count(); }",
    supported: false,
    instead: "a uprobe or kprobe on the code that writes there",
  },
  {
    name: "iter",
    aliases: ["it"],
    forms: ["iter:OBJECT", "iter:OBJECT:PIN"],
    parts: [
      { name: "object", kind: "iterator", help: "such as task, task_file, tcp" },
      { name: "pin", kind: "name", help: "path under /sys/fs/bpf", optional: true },
    ],
    takesPath: true,
    context: "iterator",
    programType: "TRACING",
    since: [5, 8],
    help: "Visits all objects of a kind once.",
    example: 'iter:task { printf("%s\\n", ctx.task.comm); }',
    supported: false,
    instead: "profile or a tracepoint of the same subsystem",
  },
  {
    name: "test",
    aliases: [],
    forms: ["test:NAME"],
    parts: [{ name: "name", kind: "name", help: "name of the test" }],
    takesPath: false,
    context: "none",
    programType: "RAW_TRACEPOINT",
    since: [4, 17],
    help: "A test of script code, run by bpftrace's --test.",
    example: "test:adds { if (1 + 1 != 2) { return 1; } }",
    supported: false,
    instead: "begin",
  },
  {
    name: "bench",
    aliases: [],
    forms: ["bench:NAME"],
    parts: [{ name: "name", kind: "name", help: "name of the benchmark" }],
    takesPath: false,
    context: "none",
    programType: "RAW_TRACEPOINT",
    since: [4, 17],
    help: "A benchmark of script code, run by bpftrace's --bench.",
    example: "bench:count { @ = count(); }",
    supported: false,
    instead: "begin",
  },
];

const byName = new Map<string, ProbeProvider>();
for (const provider of PROBE_PROVIDERS) {
  for (const name of [provider.name, ...provider.aliases]) byName.set(name, provider);
}

/** A provider by its name or an alias, whatever the case: `BEGIN`, `t`, `kfunc`. `U` alone is usdt: bpftrace's alias of it differs from uprobe's by case. */
export function probeProvider(name: string): ProbeProvider | undefined {
  if (name === "U") return byName.get("usdt");
  return byName.get(name.toLowerCase());
}

/** All names and aliases, for suggestions and completion. */
export function probeProviderNames(): string[] {
  return PROBE_PROVIDERS.flatMap((p) => [p.name, ...p.aliases.filter((a) => a.length > 2)]);
}

/** A software event of perf. */
export interface PerfEventName {
  readonly name: string;
  readonly aliases: readonly string[];
  /** `PERF_COUNT_SW_*` or `PERF_COUNT_HW_*` (with cache events as perf encodes them), the kernel's numbers. */
  readonly config: number;
  /** Events between two samples when the probe does not say. */
  readonly defaultPeriod: number;
}

/** `PERF_TYPE_SOFTWARE` events (linux/perf_event.h), with the sample periods that bpftrace uses. */
export const SOFTWARE_EVENTS: readonly PerfEventName[] = [
  { name: "cpu-clock", aliases: ["cpu"], config: 0, defaultPeriod: 1_000_000 },
  { name: "task-clock", aliases: [], config: 1, defaultPeriod: 1 },
  { name: "page-faults", aliases: ["faults"], config: 2, defaultPeriod: 100 },
  { name: "context-switches", aliases: ["cs"], config: 3, defaultPeriod: 1000 },
  { name: "cpu-migrations", aliases: [], config: 4, defaultPeriod: 1 },
  { name: "minor-faults", aliases: [], config: 5, defaultPeriod: 100 },
  { name: "major-faults", aliases: [], config: 6, defaultPeriod: 1 },
  { name: "alignment-faults", aliases: [], config: 7, defaultPeriod: 1 },
  { name: "emulation-faults", aliases: [], config: 8, defaultPeriod: 1 },
  { name: "dummy", aliases: [], config: 9, defaultPeriod: 1 },
  { name: "bpf-output", aliases: [], config: 10, defaultPeriod: 1 },
];

/** `PERF_TYPE_HARDWARE` events (linux/perf_event.h), with the sample periods that bpftrace uses. */
export const HARDWARE_EVENTS: readonly PerfEventName[] = [
  { name: "cpu-cycles", aliases: ["cycles"], config: 0, defaultPeriod: 1_000_000 },
  { name: "instructions", aliases: [], config: 1, defaultPeriod: 1_000_000 },
  { name: "cache-references", aliases: [], config: 2, defaultPeriod: 1_000_000 },
  { name: "cache-misses", aliases: [], config: 3, defaultPeriod: 1_000_000 },
  { name: "branch-instructions", aliases: ["branches"], config: 4, defaultPeriod: 100_000 },
  { name: "branch-misses", aliases: [], config: 5, defaultPeriod: 100_000 },
  { name: "bus-cycles", aliases: [], config: 6, defaultPeriod: 100_000 },
  { name: "frontend-stalls", aliases: ["stalled-cycles-frontend"], config: 7, defaultPeriod: 1_000_000 },
  { name: "backend-stalls", aliases: ["stalled-cycles-backend"], config: 8, defaultPeriod: 1_000_000 },
  { name: "ref-cycles", aliases: [], config: 9, defaultPeriod: 1_000_000 },
];
