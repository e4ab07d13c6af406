/** The builtin values: one row each, which the parser, the checker, completion and the documentation read. */
import { I64, type Type, U32, U64 } from "../types.ts";
import type { ProbeContext } from "./probes.ts";

/** Rules for types that depend on the probe or on settings; the checker has one function a rule. */
export type BuiltinRule = "args" | "arg" | "retval" | "func" | "ctx" | "curtask" | "kstack" | "ustack" | "unsigned-arg";

/** One builtin. */
export interface Builtin {
  readonly name: string;
  readonly type: Type | BuiltinRule;
  /** Probes in which it means something; null: all. */
  readonly contexts: readonly ProbeContext[] | null;
  readonly help: string;
  readonly example: string;
  readonly supported: boolean;
  /** What to use instead, when it is not supported. */
  readonly instead?: string;
  /** The expression that it is short for. */
  readonly expandsTo?: string;
}

const COMM: Type = { kind: "string", size: 16 };
const REGISTERS: readonly ProbeContext[] = ["registers", "user-registers"];

function row(
  name: string,
  type: Type | BuiltinRule,
  help: string,
  more: { contexts?: readonly ProbeContext[]; example?: string; instead?: string; expandsTo?: string } = {},
): Builtin {
  return {
    name,
    type,
    contexts: more.contexts ?? null,
    help,
    example: more.example ?? `@[${name}] = count();`,
    supported: more.instead === undefined,
    ...(more.instead === undefined ? {} : { instead: more.instead }),
    ...(more.expandsTo === undefined ? {} : { expandsTo: more.expandsTo }),
  };
}

/** All builtins. `arg0` to `arg9` are one row, `arg`. */
export const BUILTINS: readonly Builtin[] = [
  row("pid", U32, "process id (thread group id)"),
  row("tid", U32, "thread id"),
  row("uid", U64, "user id"),
  row("gid", U64, "group id"),
  row("username", { kind: "username" }, "name of the user"),
  row("comm", COMM, "name of the thread"),
  row("cgroup", U64, "id of the process' cgroup"),
  row("cpu", U32, "CPU on which the probe runs"),
  row("ncpus", U64, "number of CPUs", { example: "begin { print(ncpus); }" }),
  row("numaid", U32, "NUMA node on which the probe runs"),
  row("curtask", "curtask", "the current struct task_struct *", { example: "@[curtask.real_parent.comm] = count();" }),
  row("rand", U32, "a random number", { example: "@ = hist(rand);" }),
  row("nsecs", U64, "nanoseconds since boot, suspend included", { example: "@start[tid] = nsecs;" }),
  row("elapsed", U64, "nanoseconds since the script started", { example: 'printf("%d\\n", elapsed);' }),
  row("jiffies", U64, "jiffies of the kernel", { example: "print(jiffies);" }),
  row("cpid", U32, "process id of the command given with -c", {
    example: "tracepoint:sched:sched_switch /pid == cpid/ { @ = count(); }",
  }),
  row("has_cpid", { kind: "bool" }, "whether a command was given with -c", { example: "begin { print(has_cpid); }" }),
  row("ppid", U32, "process id of the parent"),
  row("usermode", U32, "1 when the CPU was in user mode", {
    contexts: ["perf-event"],
    example: "profile:hz:99 { @[usermode] = count(); }",
    instead: "ustack",
  }),
  row("pcomm", COMM, "name of the parent", { expandsTo: "curtask.real_parent.comm" }),
  row("leader_tid", U32, "thread id of the group leader", { expandsTo: "(uint32)curtask.group_leader.pid" }),
  row("leader_comm", COMM, "name of the group leader", { expandsTo: "curtask.group_leader.comm" }),
  row("args", "args", "the probe's typed arguments", {
    contexts: ["tracepoint", "raw-tracepoint", "typed-arguments"],
    example: "tracepoint:syscalls:sys_enter_openat { print(str(args.filename)); }",
  }),
  row("arg", "arg", "arg0 to arg9: the function's arguments as integers", {
    contexts: ["registers", "user-registers", "raw-tracepoint", "user-marker"],
    example: "uprobe:libc:malloc { @ = hist(arg0); }",
  }),
  row("sarg", "unsigned-arg", "sarg0 to sarg9: arguments on the stack; bpftrace removed them", {
    contexts: REGISTERS,
    example: 'uprobe:./a.out:f { print(*(uint64 *)(reg("sp") + 8)); }',
    instead: '*(uint64 *)(reg("sp") + 8 + 8 * N)',
  }),
  row("retval", "retval", "what the function returned", {
    contexts: ["registers", "user-registers", "typed-arguments"],
    example: "uretprobe:libc:malloc { @ = hist(retval); }",
  }),
  row("func", "func", "name of the traced function", {
    contexts: ["registers", "user-registers", "typed-arguments"],
  }),
  row("probe", { kind: "probe-name" }, "full name of the probe"),
  row("probetype", { kind: "string", size: 16 }, "type of the probe", { instead: "probe" }),
  row("kstack", "kstack", "stack of the kernel"),
  row("ustack", "ustack", "stack of the process"),
  row("dw_ustack", "ustack", "stack of the process, unwound by debug information", { instead: "ustack" }),
  row("ctx", "ctx", "the program's context as a pointer", { example: "print(((struct pt_regs *)ctx).ip);" }),
  row("exit_code", I64, "exit code of the thread", { instead: "curtask.exit_code" }),
];

const byName = new Map(BUILTINS.map((b) => [b.name, b]));

/** What a bare name means as a builtin: the row, and the number of `argN`. */
export function builtin(name: string): { readonly row: Builtin; readonly index?: number } | undefined {
  // Scripts may ask for what bpftrace itself calls the builtin.
  const plain = name.startsWith("__builtin_") ? name.slice("__builtin_".length) : name;
  const numbered = /^(s?arg)([0-9]+)$/.exec(plain);
  if (numbered) return { row: byName.get(numbered[1]!)!, index: Number(numbered[2]) };
  if (plain === "arg" || plain === "sarg") return undefined;
  const found = byName.get(plain);
  return found && { row: found };
}

/** True for names of builtins, `arg0` and the like included. */
export function isBuiltinName(name: string): boolean {
  return builtin(name) !== undefined;
}

/** Names for suggestions and completion. */
export function builtinNames(): string[] {
  return BUILTINS.flatMap((b) => (b.name === "arg" ? ["arg0", "arg1", "arg2"] : b.name === "sarg" ? [] : [b.name]));
}
