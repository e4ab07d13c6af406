/** Types of builtins, and where they mean something. */
import type { Span } from "../../../base/index.ts";
import type { Builtin, BuiltinRule } from "../table/builtins.ts";
import { PROBE_PROVIDERS } from "../table/probes.ts";
import { NONE, type Type, U64 } from "../types.ts";
import type { ExpressionChecker } from "./expressions.ts";

/** A builtin's type. Notes its use, refuses it where it means nothing. */
export function builtinType(
  c: ExpressionChecker,
  row: Builtin,
  index: number | undefined,
  name: string,
  span: Span,
): Type | undefined {
  c.unit.uses.add(row.name);
  if (!row.supported) {
    return c.error(
      span,
      `not supported by this version of skep yet: ${name}`,
      row.instead && `use ${row.instead} instead`,
    );
  }
  const { provider } = c.unit;
  if (row.contexts && !row.contexts.includes(provider.context)) {
    return c.error(
      span,
      `The ${name} builtin can only be used with ${providersOf(row)} probes (${provider.name} used here)`,
      provider.context === "none" ? undefined : argumentHint(c, row.name),
    );
  }
  if (typeof row.type !== "string") return row.type;
  return ruled(c, row.type, index, name, span);
}

function argumentHint(c: ExpressionChecker, name: string): string | undefined {
  const { context } = c.unit.provider;
  if (name === "args" && (context === "registers" || context === "user-registers"))
    return "arguments are arg0, arg1, ... here";
  if (name === "arg" && context === "tracepoint") return "fields are args.NAME here; list them with skep trace -lv";
  if (name === "retval" && context === "tracepoint")
    return "what a system call returned is args.ret in tracepoint:syscalls:sys_exit_*";
  return undefined;
}

function ruled(
  c: ExpressionChecker,
  rule: BuiltinRule,
  index: number | undefined,
  name: string,
  span: Span,
): Type | undefined {
  const { unit, state } = c;
  switch (rule) {
    case "args": {
      const { args } = unit;
      if (!args)
        return c.error(
          span,
          `${unit.provider.name}: the arguments are not known`,
          "the kernel's BTF does not tell their types: use arg0, arg1, ...",
        );
      return { kind: "struct", keyword: "struct", name: args.name, size: args.size, layout: args.layout };
    }
    case "arg":
      if (index !== undefined && index > 9) {
        return c.error(span, `${name} doesn't exist`, "arguments are arg0 to arg9");
      }
      if (unit.provider.name === "kretprobe" || unit.provider.name === "uretprobe") {
        return c.error(
          span,
          `The ${name} builtin can only be used at the start of a function (${unit.provider.name} used here)`,
          `keep it: ${unit.provider.name.replace("ret", "")}:... { @arg[tid] = ${name}; }`,
        );
      }
      return U64;
    case "unsigned-arg":
      return U64;
    case "retval":
      if (unit.provider.name === "kretprobe" || unit.provider.name === "uretprobe") return U64;
      return c.error(
        span,
        `The ${name} builtin can only be used with kretprobe, uretprobe and fexit probes (${unit.provider.name} used here)`,
        `write ${unit.provider.name.replace("probe", "retprobe")}:...`,
      );
    case "func":
      return unit.provider.context === "user-registers" ? { kind: "usym" } : { kind: "ksym" };
    case "ctx":
      return { kind: "pointer", to: contextType(c), space: "context" };
    case "curtask": {
      const task = state.types.named("struct", "task_struct", "kernel");
      return task ? { kind: "pointer", to: task, space: "kernel" } : U64;
    }
    case "kstack":
    case "ustack": {
      const of = rule === "kstack" ? "kernel" : "user";
      const mode = state.config.stackMode === "build_id" && of === "kernel" ? "raw" : state.config.stackMode;
      return { kind: "stack", of, mode, limit: 127 };
    }
  }
}

function contextType(c: ExpressionChecker): Type {
  const { context } = c.unit.provider;
  const name =
    context === "registers" || context === "user-registers"
      ? "pt_regs"
      : context === "perf-event"
        ? "bpf_perf_event_data"
        : undefined;
  return (name && c.state.types.named("struct", name, "kernel")) || NONE;
}

/** Names of the supported providers in which a builtin means something, for messages: arguments at the start of functions, results at the end. */
function providersOf(row: Builtin): string {
  const names = PROBE_PROVIDERS.filter((p) => {
    if (!p.supported || !row.contexts?.includes(p.context)) return false;
    const isReturn = p.name.includes("ret");
    return row.name === "retval" ? isReturn : row.name === "arg" ? !isReturn : true;
  }).map((p) => p.name);
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "other");
}
