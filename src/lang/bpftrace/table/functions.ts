/** The functions and aggregations: one row each, which the checker, completion and the documentation read. */
import { BOOL, I64, type Type, U32, U64 } from "../types.ts";
import type { ProbeContext } from "./probes.ts";

/**
 * What an argument may be.
 * - `any`: every value that can be printed; `integer`: integers, booleans and aggregations that read as integers;
 * - `address`: integers and pointers; `text`: strings, pointers and integers (addresses of text); `bytes`: arrays, strings, pointers, integers;
 * - `...-literal`: known when the script is compiled; `format`: a literal whose conversions the arguments behind it match;
 * - `map`: a map without brackets; `map-or-any`: also any value; `map-entry`: a map, with or without brackets; `key`: a key of the map before;
 * - `word`: a bare word such as `boot`; `rest`: any number of values.
 */
export type ArgumentKind =
  | "any"
  | "integer"
  | "integer-literal"
  | "string"
  | "string-literal"
  | "format"
  | "address"
  | "text"
  | "bytes"
  | "map"
  | "map-or-any"
  | "map-entry"
  | "map-or-stack"
  | "key"
  | "word"
  | "variable"
  | "type"
  | "rest";

/** An argument of a function. */
export interface FunctionArgument {
  readonly name: string;
  readonly kind: ArgumentKind;
  readonly optional?: boolean;
}

/** Rules for results that depend on the arguments; the checker has one function a rule. */
export type ResultRule =
  | "str"
  | "buf"
  | "kstack"
  | "ustack"
  | "ntop"
  | "pton"
  | "bswap"
  | "strftime"
  | "cgroup-path"
  | "kptr"
  | "uptr"
  | "uaddr"
  | "macaddr"
  | "aggregation"
  | "sizeof"
  | "offsetof"
  | "strerror"
  | "delete"
  | "getopt"
  | "same";

/** One function or aggregation. */
export interface FunctionRow {
  readonly name: string;
  readonly args: readonly FunctionArgument[];
  readonly result: Type | ResultRule;
  /** Runs in user space when its record is read. */
  readonly async: boolean;
  /** Its value is known when the script is compiled. */
  readonly compileTime: boolean;
  /** Needs `--unsafe`. */
  readonly unsafe: boolean;
  /** Only as `@map = name(...)`. */
  readonly aggregation: boolean;
  /** Probes in which it may be called; null: all. */
  readonly contexts: readonly ProbeContext[] | null;
  readonly help: string;
  readonly example: string;
  readonly supported: boolean;
  /** What to use instead, when it is not supported. */
  readonly instead?: string;
}

const VOID: Type = { kind: "none" };
const REGISTER_CONTEXTS: readonly ProbeContext[] = ["registers", "user-registers", "perf-event", "user-marker"];
const SIGNAL_CONTEXTS: readonly ProbeContext[] = [
  "registers",
  "user-registers",
  "user-marker",
  "tracepoint",
  "raw-tracepoint",
  "perf-event",
];

interface More {
  readonly async?: boolean;
  readonly compileTime?: boolean;
  readonly unsafe?: boolean;
  readonly aggregation?: boolean;
  readonly contexts?: readonly ProbeContext[];
  readonly instead?: string;
}

/** `signature` lists arguments as `name: kind`, with `?` behind the name of optional ones. */
function row(
  name: string,
  signature: string,
  result: Type | ResultRule,
  help: string,
  example: string,
  more: More = {},
): FunctionRow {
  const args = signature
    .split(",")
    .map((a) => a.trim())
    .filter((a) => a !== "")
    .map((a): FunctionArgument => {
      const [argument = "", kind = "any"] = a.split(":").map((p) => p.trim());
      return argument.endsWith("?")
        ? { name: argument.slice(0, -1), kind: kind as ArgumentKind, optional: true }
        : { name: argument, kind: kind as ArgumentKind };
    });
  return {
    name,
    args,
    result,
    async: more.async ?? false,
    compileTime: more.compileTime ?? false,
    unsafe: more.unsafe ?? false,
    aggregation: more.aggregation ?? false,
    contexts: more.contexts ?? null,
    help,
    example,
    supported: more.instead === undefined,
    ...(more.instead === undefined ? {} : { instead: more.instead }),
  };
}

const ASYNC: More = { async: true };
const AGGREGATION: More = { aggregation: true };
const COMPILE: More = { compileTime: true };
const FORMATTED = "format: format, args?: rest";

/** All functions and aggregations. */
export const FUNCTIONS: readonly FunctionRow[] = [
  // Aggregations
  row("count", "", "aggregation", "counts", "@[comm] = count();", AGGREGATION),
  row("sum", "value: integer", "aggregation", "adds up", "@[comm] = sum(args.ret);", AGGREGATION),
  row("avg", "value: integer", "aggregation", "average", "@ = avg(args.ret);", AGGREGATION),
  row("min", "value: integer", "aggregation", "smallest value", "@ = min(args.ret);", AGGREGATION),
  row("max", "value: integer", "aggregation", "largest value", "@ = max(args.ret);", AGGREGATION),
  row("stats", "value: integer", "aggregation", "count, average and total", "@ = stats(args.ret);", AGGREGATION),
  row(
    "hist",
    "value: integer, bits?: integer-literal",
    "aggregation",
    "histogram by powers of two, each split in 2^bits",
    "@ = hist(args.ret);",
    AGGREGATION,
  ),
  row(
    "lhist",
    "value: integer, min: integer-literal, max: integer-literal, step: integer-literal",
    "aggregation",
    "histogram by equal steps",
    "@ = lhist(args.ret, 0, 1000, 100);",
    AGGREGATION,
  ),
  row(
    "tseries",
    "value: integer, interval: integer-literal, buckets: integer-literal, function?: string-literal",
    "aggregation",
    "values by time",
    "@ = tseries(args.ret, 1s, 10);",
    { aggregation: true, instead: "hist, or interval:s:1 with print and clear" },
  ),
  // Output
  row("printf", FORMATTED, VOID, "prints by a format", 'printf("%s %d\\n", comm, pid);', ASYNC),
  row("errorf", FORMATTED, VOID, "prints an error with its place", 'errorf("bad: %d", pid);', ASYNC),
  row("warnf", FORMATTED, VOID, "prints a warning with its place", 'warnf("odd: %d", pid);', ASYNC),
  row("debugf", FORMATTED, VOID, "prints to the kernel's trace_pipe", 'debugf("%d", pid);', { instead: "printf" }),
  row(
    "print",
    "value: map-or-any, top?: integer-literal, div?: integer-literal",
    VOID,
    "prints a value or a map, of a map the top entries, values divided",
    "print(@, 5);",
    ASYNC,
  ),
  row("time", "format?: string-literal", VOID, "prints the time", 'time("%H:%M:%S ");', ASYNC),
  row(
    "join",
    "argv: address, separator?: string-literal",
    VOID,
    "prints an array of strings",
    "join(args.argv);",
    ASYNC,
  ),
  row("cat", FORMATTED, VOID, "prints a file", 'cat("/proc/%d/cmdline", pid);', ASYNC),
  row("system", FORMATTED, VOID, "runs a shell command", 'system("ps -p %d", pid);', { async: true, unsafe: true }),
  row(
    "skboutput",
    "path: string-literal, skb: address, length: integer, offset: integer",
    U32,
    "writes a packet to a pcap file",
    'skboutput("a.pcap", $skb, 100, 0);',
    { instead: "buf and printf" },
  ),
  // Control
  row("exit", "code?: integer", VOID, "ends the trace", "interval:s:10 { exit(); }", ASYNC),
  row("signal", "signal: any", VOID, "sends a signal to the process", 'signal("KILL");', {
    unsafe: true,
    contexts: SIGNAL_CONTEXTS,
  }),
  row("signal_thread", "signal: any", VOID, "sends a signal to the thread", 'signal_thread("KILL");', {
    unsafe: true,
    contexts: SIGNAL_CONTEXTS,
    instead: "signal",
  }),
  row("override", "value: integer", VOID, "makes a kernel function return at once", "override(-1);", {
    unsafe: true,
    contexts: ["registers"],
    instead: "signal",
  }),
  row(
    "write_user",
    "to: address, from: address, length: integer",
    BOOL,
    "writes memory of the process",
    "write_user(arg0, &$x, 8);",
    { unsafe: true, instead: "printf" },
  ),
  row("unwatch", "address: address", VOID, "removes a watchpoint", "unwatch(arg0);", { instead: "exit" }),
  row("assert", "condition: any, message: string-literal", VOID, "ends with an error unless true", 'assert(1, "x");', {
    instead: "if (!condition) { errorf(...); exit(1); }",
  }),
  row(
    "static_assert",
    "condition: any, message: string-literal",
    VOID,
    "refuses to compile unless true",
    'static_assert(1, "x");',
    { instead: "fail" },
  ),
  row("fail", FORMATTED, VOID, "refuses to compile", 'fail("not here");', { compileTime: true }),
  // Maps
  row("clear", "map: map", VOID, "deletes all entries", "clear(@);", ASYNC),
  row("zero", "map: map", VOID, "sets all values to zero", "zero(@);", ASYNC),
  row(
    "delete",
    "map: map-entry, key?: key",
    "delete",
    "deletes an entry; whether there was one",
    "delete(@start, tid);",
  ),
  row("has_key", "map: map, key: key", BOOL, "whether there is an entry", "if (has_key(@start, tid)) { }"),
  row("find", "map: map, key: key, value: variable", BOOL, "looks up an entry once", "if (find(@start, tid, $v)) { }", {
    instead: "has_key and @map[key]",
  }),
  row("len", "map: map-or-stack", I64, "number of entries of a map, or of frames of a stack", "print(len(@start));"),
  // Text
  row("str", "address: text, length?: integer", "str", "reads text up to its NUL", "str(args.filename)"),
  row("buf", "data: bytes, length?: integer", "buf", "reads bytes", 'printf("%r", buf(args.buf, args.count));'),
  row(
    "strncmp",
    "a: string, b: string, length: integer-literal",
    U64,
    "compares text, 0 when equal",
    'if (strncmp(comm, "sshd", 4) == 0) { }',
  ),
  row(
    "strcontains",
    "text: string, part: string",
    BOOL,
    "whether text holds another",
    'if (strcontains(comm, "ssh")) { }',
  ),
  row("strerror", "errno: integer", "strerror", "name of an errno", "strerror(2)"),
  row("strlen", "text: string", U64, "length of text", "strlen(comm)", { instead: "compare, or print with printf" }),
  row("strstr", "text: string, part: string", I64, "where text holds another, or -1", 'strstr(comm, "ssh")', {
    instead: "strcontains",
  }),
  row("strcap", "text: string", I64, "room of text", "strcap(comm)", { instead: "sizeof" }),
  row("str_concat", "a: string, b: string", "same", "joins text", 'str_concat(comm, "x")', {
    instead: "printf with two %s",
  }),
  row("memcmp", "a: any, b: any, length: integer", I64, "compares bytes", "memcmp($a, $b, 4)", {
    instead: "== on arrays",
  }),
  row("signal_name", "signal: integer", "strerror", "name of a signal", "signal_name(9)", { instead: "the number" }),
  row("syscall_name", "number: integer", "strerror", "name of a system call", "syscall_name(args.id)", {
    instead: "the probe builtin with tracepoint:syscalls:sys_enter_*",
  }),
  // Addresses and symbols
  row("ksym", "address: address", { kind: "ksym" }, "name of a kernel address", "ksym(arg0)"),
  row("usym", "address: address", { kind: "usym" }, "name of an address of the process", "usym(arg0)"),
  row("kaddr", "name: string-literal", U64, "address of a kernel symbol", 'kaddr("do_exit")', COMPILE),
  row(
    "percpu_kaddr",
    "name: string-literal, cpu?: integer",
    U64,
    "address of a kernel variable of a CPU",
    'percpu_kaddr("x")',
    { instead: "kaddr" },
  ),
  row(
    "uaddr",
    "name: string-literal",
    "uaddr",
    "address of a symbol of the traced binary",
    'uprobe:/bin/bash:readline { print(uaddr("rl_readline_name")); }',
    {
      compileTime: true,
      contexts: ["user-registers", "user-marker"],
    },
  ),
  row("kptr", "pointer: address", "kptr", "the pointer, into kernel memory", "kptr($p)"),
  row("uptr", "pointer: address", "uptr", "the pointer, into the process' memory", "uptr($p)"),
  row("reg", "name: string-literal", U64, "a register", 'reg("sp")', { contexts: REGISTER_CONTEXTS }),
  row("kstack", "mode?: word, limit?: integer-literal", "kstack", "stack of the kernel", "@[kstack(5)] = count();"),
  row(
    "ustack",
    "mode?: word, limit?: integer-literal",
    "ustack",
    "stack of the process",
    "@[ustack(perf, 5)] = count();",
  ),
  row(
    "dw_ustack",
    "mode?: word, limit?: integer-literal",
    "ustack",
    "stack of the process by debug information",
    "dw_ustack()",
    { instead: "ustack" },
  ),
  row("path", "path: address, size?: integer-literal", "str", "a path of the kernel", "path(args.path)", {
    instead: "str(args.file.f_path.dentry.d_name.name)",
  }),
  row("is_err", "pointer: address", BOOL, "whether a pointer is an error code", "is_err(retval)", {
    instead: "(uint64)p >= (uint64)-4095",
  }),
  row("socket_cookie", "sock: address", U64, "cookie of a socket", "socket_cookie($sk)", {
    instead: "the address of the socket",
  }),
  // Time and identity
  row("nsecs", "clock?: word", U64, "nanoseconds of a clock: boot, monotonic, tai, sw_tai", "nsecs(monotonic)"),
  row(
    "strftime",
    "format: string-literal, nsecs: integer",
    "strftime",
    "a time as text",
    'printf("%s", strftime("%T", nsecs));',
    ASYNC,
  ),
  row("pid", "namespace?: word", U32, "process id, as seen by curr_ns or init", "pid(init)"),
  row("tid", "namespace?: word", U32, "thread id, as seen by curr_ns or init", "tid(init)"),
  row("comm", "pid?: integer", { kind: "string", size: 16 }, "name of the thread, or of a process", "comm()"),
  row("cgroupid", "path: string-literal", U64, "id of a cgroup", 'cgroupid("/sys/fs/cgroup")', COMPILE),
  row(
    "cgroup_path",
    "id: integer, filter?: string-literal",
    "cgroup-path",
    "path of a cgroup",
    "cgroup_path(cgroup)",
    ASYNC,
  ),
  // Network
  row("ntop", "family: any, address?: any", "ntop", "an IP address as text", "ntop(args.saddr)"),
  row("pton", "address: string-literal", "pton", "bytes of an IP address", 'pton("127.0.0.1")', COMPILE),
  row("macaddr", "address: bytes", "macaddr", "a hardware address as text", "macaddr($p->dev_addr)"),
  row("bswap", "value: integer", "bswap", "the bytes in the other order", "bswap(args.dport)"),
  // Types
  row("sizeof", "type: type", "sizeof", "bytes of a type or value", "sizeof(struct task_struct)", COMPILE),
  row("offsetof", "type: type", "offsetof", "where a field lies", "offsetof(struct task_struct, comm)", COMPILE),
  row("typeof", "value: type", VOID, "the type of a value, where types stand", "let $b: typeof($a);", {
    instead: "a type by name",
  }),
  row("typeinfo", "value: type", VOID, "describes a type", "typeinfo($x)", { instead: "skep trace -lv" }),
  row("is_ptr", "value: any", BOOL, "whether a pointer", "is_ptr($x)", COMPILE),
  row("is_str", "value: any", BOOL, "whether text", "is_str($x)", COMPILE),
  row("is_array", "value: any", BOOL, "whether an array", "is_array($x)", COMPILE),
  row("is_integer", "value: any", BOOL, "whether an integer", "is_integer($x)", COMPILE),
  row("is_unsigned_integer", "value: any", BOOL, "whether an unsigned integer", "is_unsigned_integer($x)", COMPILE),
  row("is_literal", "value: any", BOOL, "whether known when compiled", "is_literal($x)", COMPILE),
  row(
    "kfunc_exist",
    "name: string-literal",
    BOOL,
    "whether the kernel has a kfunc",
    'kfunc_exist("bpf_strlen")',
    COMPILE,
  ),
  row("kfunc_allowed", "name: string-literal", BOOL, "whether a kfunc may be called here", 'kfunc_allowed("x")', {
    instead: "kfunc_exist",
  }),
  row(
    "container_of",
    "pointer: address, type: any, member: any",
    U64,
    "the struct around a member",
    "container_of($p, struct x, m)",
    { instead: "a cast of (pointer - offsetof(struct x, m))" },
  ),
  row(
    "getopt",
    "name: string-literal, default?: any, help?: string-literal",
    "getopt",
    "an option of the command line behind --: its value, or the default",
    'getopt("depth", 5)',
    COMPILE,
  ),
];

const byName = new Map(FUNCTIONS.map((f) => [f.name, f]));

/** A function or aggregation by name. */
export function functionRow(name: string): FunctionRow | undefined {
  return byName.get(name);
}

/** Names for suggestions and completion. */
export function functionNames(): string[] {
  return FUNCTIONS.map((f) => f.name);
}

/** The call as help shows it: `hist(value[, bits])`. */
export function functionSignature(f: FunctionRow): string {
  let out = "";
  for (const [i, a] of f.args.entries()) {
    const text = `${i > 0 ? ", " : ""}${a.kind === "rest" ? "..." : a.name}`;
    out += a.optional ? `[${text}]` : text;
  }
  return `${f.name}(${out})`;
}
