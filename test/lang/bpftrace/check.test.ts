import { describe, expect, test } from "vitest";
import { ScriptError } from "../../../src/base/index.ts";
import type { Expression, ProbeTarget, Statement, Type } from "../../../src/lang/bpftrace/index.ts";
import { check, complaints, typesOf } from "./support/check.ts";

/** A target in short. */
function targetText(t: ProbeTarget): string {
  const { name } = t;
  const rest = Object.entries(t).filter(([key]) => key !== "name" && key !== "provider");
  const parts = rest.map(([key, value]) => `${key}=${value}`);
  return `${name} {${parts.join(" ")}}`;
}

/** Attach points and what they expand to. */
const TARGETS: readonly (readonly [string, readonly string[]])[] = [
  ["BEGIN", ["begin {}"]],
  ["END", ["end {}"]],
  ["self:signal:SIGUSR1", ["self:signal:SIGUSR1 {signal=SIGUSR1}"]],
  ["interval:s:2", ["interval:s:2 {periodNs=2000000000}"]],
  ["i:ms:100", ["interval:ms:100 {periodNs=100000000}"]],
  ["interval:us:1000", ["interval:us:1000 {periodNs=1000000}"]],
  ["interval:hz:10", ["interval:hz:10 {frequencyHz=10}"]],
  ["interval:1s", ["interval:1s {periodNs=1000000000}"]],
  ["profile:100ms", ["profile:100ms {periodNs=100000000}"]],
  ["p:hz:99", ["profile:hz:99 {frequencyHz=99}"]],
  ["t:sched:sched_switch", ["tracepoint:sched:sched_switch {category=sched event=sched_switch}"]],
  [
    "tracepoint:syscalls:sys_exit_*",
    [
      "tracepoint:syscalls:sys_exit_open {category=syscalls event=sys_exit_open}",
      "tracepoint:syscalls:sys_exit_openat {category=syscalls event=sys_exit_openat}",
      "tracepoint:syscalls:sys_exit_read {category=syscalls event=sys_exit_read}",
    ],
  ],
  [
    "tracepoint:sch*:*switch,t:sched:sched_switch",
    ["tracepoint:sched:sched_switch {category=sched event=sched_switch}"],
  ],
  [
    "tracepoint:syscalls:sys_e[xz]it_read",
    ["tracepoint:syscalls:sys_exit_read {category=syscalls event=sys_exit_read}"],
  ],
  ["rawtracepoint:sched_switch", ["rawtracepoint:sched_switch {event=sched_switch}"]],
  ["rt:vmlinux:sched_switch", ["rawtracepoint:sched_switch {event=sched_switch}"]],
  ["rt:sys_*", ["rawtracepoint:sys_enter {event=sys_enter}"]],
  ["software:faults:", ["software:faults: {perfType=1 config=2 period=100}"]],
  ["s:cs:7", ["software:cs:7 {perfType=1 config=3 period=7}"]],
  ["hardware:cache-misses:1e6", ["hardware:cache-misses:1e6 {perfType=0 config=3 period=1000000}"]],
  ["kprobe:vfs_read", ["kprobe:vfs_read {func=vfs_read offset=0}"]],
  ["k:vfs_read+0x10", ["kprobe:vfs_read+16 {func=vfs_read offset=16}"]],
  ["kprobe:ext4:ext4_open", ["kprobe:ext4:ext4_open {func=ext4_open offset=0 module=ext4}"]],
  [
    "kr:vfs_read*",
    [
      "kretprobe:vfs_read {func=vfs_read offset=0 matched=true}",
      "kretprobe:vfs_readv {func=vfs_readv offset=0 matched=true}",
    ],
  ],
  [
    "uprobe:libc:malloc",
    ["uprobe:/lib/libc.so.6:malloc {path=/lib/libc.so.6 symbol=malloc address=8192 fileOffset=4096}"],
  ],
  [
    "u:libc:malloc+4",
    ["uprobe:/lib/libc.so.6:malloc+4 {path=/lib/libc.so.6 symbol=malloc+4 address=8196 fileOffset=4100}"],
  ],
  ["u:libc:0x2004", ["uprobe:/lib/libc.so.6:0x2004 {path=/lib/libc.so.6 symbol=0x2004 address=8196 fileOffset=4100}"]],
  [
    // One of the names of a place is enough.
    "ur:libc:*alloc",
    [
      "uretprobe:/lib/libc.so.6:malloc {path=/lib/libc.so.6 symbol=malloc address=8192 fileOffset=4096}",
      "uretprobe:/lib/libc.so.6:calloc {path=/lib/libc.so.6 symbol=calloc address=8448 fileOffset=4352}",
    ],
  ],
  ["uprobe:/*:readline", ["uprobe:/bin/bash:readline {path=/bin/bash symbol=readline address=12288 fileOffset=8192}"]],
  [
    'uprobe:/bin/bash:cpp:"ns::work"',
    ["uprobe:/bin/bash:_ZN2ns4workEi {path=/bin/bash symbol=_ZN2ns4workEi address=12544 fileOffset=8448}"],
  ],
  [
    "uprobe:/bin/bash:cpp:work",
    ["uprobe:/bin/bash:_Z4workv {path=/bin/bash symbol=_Z4workv address=12800 fileOffset=8704}"],
  ],
];

/** Expressions whose value is known. */
const CONSTANTS: readonly (readonly [string, bigint | string])[] = [
  ["1 + 2 * 3", 7n],
  ["-5", -5n],
  ["~0", -1n],
  ["!3", 0n],
  ["1 << 40", 1n << 40n],
  ["7 / 2 + 7 % 4", 6n],
  ["-7 / 2", -3n],
  ["0xffffffffffffffff", -1n],
  ["9223372036854775807 + 1", -(1n << 63n)],
  ["1 < 2 && 3 != 3", 0n],
  ["5 > 3 ? 10 : 20", 10n],
  ["(uint8)300", 44n],
  ["(int8)200", -56n],
  ["(bool)7", 1n],
  ["true", 1n],
  ["sizeof(uint32) * 2", 8n],
  ["sizeof(struct task_struct)", 80n],
  ["offsetof(struct task_struct, real_parent)", 40n],
  ["sizeof(comm)", 16n],
  ["PIDTYPE_TGID", 1n],
  ["AF_INET6", 10n],
  ['"text"', "text"],
  ["$1", 42n],
  ["$2", "word"],
  ["$3", -7n],
  ["$9", 0n],
  ["$#", 3n],
  ['kaddr("jiffies_64")', BigInt.asIntN(64, 0xffff_ffff_8200_0000n)],
  ["is_str(comm)", 1n],
  ["is_unsigned_integer(pid)", 1n],
];

/** The expression of a script's only statement. */
function only(text: string, options: Parameters<typeof check>[1] = {}): Expression {
  const statement: Statement = check(text, options).programs[0]!.body.statements.at(-1)!;
  if (statement.kind === "expression") return statement.expression;
  if (statement.kind === "assign") return statement.value;
  throw new TypeError(statement.kind);
}

describe("targets", () => {
  test.each(TARGETS)("%s", (points, targets) => {
    const { programs } = check(`${points} { @ = count(); }`);
    expect(programs.flatMap((p) => p.targets.map(targetText))).toEqual(targets);
  });
});

describe("programs", () => {
  const shared = (text: string): number[] => check(text).programs.map((p) => p.targets.length);

  test.each<[string, string, number[]]>([
    ["targets of a body without args share it", "tracepoint:syscalls:sys_* { @ = count(); }", [7]],
    ["one program a provider", "tracepoint:sched:sched_switch,BEGIN,kprobe:vfs_read { @ = count(); }", [1, 1, 1]],
    ["equal fields share", "tracepoint:syscalls:sys_exit_* { @[args.ret] = count(); }", [3]],
    [
      "fields at other places do not",
      "tracepoint:syscalls:sys_enter_openat*,tracepoint:syscalls:sys_enter_open { str(args.filename); }",
      [2, 1],
    ],
    ["only fields that are used count", "tracepoint:syscalls:sys_enter_* { @[args.__syscall_nr] = count(); }", [4]],
  ])("%s", (_, text, counts) => {
    expect(shared(text)).toEqual(counts);
  });

  test("bodies that are not shared are copies with their own fields", () => {
    const { programs } = check("tracepoint:syscalls:sys_enter_open* { str(args.filename); }");
    const offsets = programs.map((p) => p.args!.layout.field("filename")!.byteOffset);
    expect(offsets).toEqual([16, 24]);
    expect(programs[0]!.body).not.toBe(programs[1]!.body);
    expect(programs[0]!.args!.name).toBe("_tracepoint_syscalls_sys_enter_open");
  });

  test("what a body uses", () => {
    const { programs } = check('tracepoint:sched:sched_switch { printf("%s %d", comm, pid); @[kstack] = count(); }');
    expect([...programs[0]!.uses].toSorted()).toEqual(["comm", "count", "kstack", "pid", "printf"]);
    expect(programs[0]!.args).toBeNull();
  });
});

describe("constants", () => {
  test.each(CONSTANTS)("%s", (text, value) => {
    expect(only(`BEGIN { ${text}; }`, { env: { positional: ["42", "word", "-7"] } }).constant).toBe(value);
  });

  test("bytes of addresses", () => {
    expect(only('BEGIN { pton("10.0.0.1"); }').constant).toEqual(Uint8Array.of(10, 0, 0, 1));
    const v6 = only('BEGIN { pton("fe80::1:10.0.0.2"); }').constant;
    expect(v6).toEqual(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 10, 0, 0, 2));
  });

  test("signals by name and number", () => {
    const signal = (text: string): unknown => only(`kprobe:vfs_read { ${text}; }`, { unsafe: true }).constant;
    expect([signal('signal("KILL")'), signal('signal("SIGUSR1")'), signal("signal(15)")]).toEqual([9n, 10n, 15n]);
    expect(complaints('kprobe:vfs_read { signal("NOPE"); }', { unsafe: true })[0]).toMatch(
      /^"NOPE": NOPE is not a valid signal/,
    );
  });

  test("parameters are text in str(), numbers elsewhere", () => {
    const env = { positional: ["42"] };
    expect(only("BEGIN { str($1); }", { env })).toMatchObject({ type: { kind: "string", size: 3 } });
    expect(only("BEGIN { $1; }", { env })).toMatchObject({ resolved: { kind: "integer", value: 42n } });
    expect(only("BEGIN { str($5); }", { env })).toMatchObject({ type: { kind: "string", size: 1 } });
  });

  test("#define and enum", () => {
    const text =
      '#define TWO 2\n#define FOUR (TWO << 1)\n#define NAME "abc"\nenum e { A = 3, B, C = FOUR + 4 };\nBEGIN { $x = (TWO, FOUR, NAME, A, B, C); }';
    const tuple = only(text);
    if (tuple.kind !== "tuple") throw new TypeError(tuple.kind);
    expect(tuple.items.map((i) => i.constant)).toEqual([2n, 4n, "abc", 3n, 4n, 8n]);
    expect(complaints("#define F(x) x\n#define G a b\nBEGIN { G; F; }")).toEqual([
      "G: 'G' is defined as 'a b', which is no constant | #define NAME 42 and #define NAME \"text\" can be used",
      "F: Unknown identifier: 'F' | did you mean G?",
    ]);
  });
});

describe("fields", () => {
  const field = (text: string): unknown => {
    const e = only(text);
    if (e.kind !== "field") throw new TypeError(e.kind);
    return e.resolved;
  };

  test("bit fields", () => {
    expect(field("BEGIN { curtask.low; }")).toMatchObject({ byteOffset: 12, bitfield: { bitOffset: 0, bitSize: 3 } });
    expect(field("BEGIN { curtask.high; }")).toMatchObject({ byteOffset: 12, bitfield: { bitOffset: 3, bitSize: 5 } });
  });

  test("members of anonymous unions", () => {
    expect(field("BEGIN { curtask.flags; }")).toMatchObject({ byteOffset: 48 });
  });

  test("data whose place only the record knows", () => {
    expect(field("tracepoint:sched:sched_process_exec { args.filename; }")).toMatchObject({
      byteOffset: 8,
      dataLocation: "abs",
    });
    expect(field("tracepoint:sock:inet_sock_set_state { args.note; }")).toMatchObject({
      byteOffset: 52,
      dataLocation: "rel",
    });
  });

  const space = (text: string): unknown => {
    const { type } = only(text);
    return type?.kind === "pointer" ? type.space : undefined;
  };

  test.each<[string, string]>([
    ["tracepoint:syscalls:sys_enter_openat { args.filename; }", "user"],
    ["tracepoint:sock:inet_sock_set_state { args.skaddr; }", "kernel"],
    ["rawtracepoint:sched_switch { args.next; }", "kernel"],
    ["BEGIN { curtask.mm; }", "kernel"],
    ["BEGIN { curtask.mm.user; }", "user"],
    ["uprobe:/bin/bash:readline { (char *)arg0; }", "user"],
    ["kprobe:vfs_read { (char *)arg0; }", "kernel"],
    ["kprobe:vfs_read { (uint64 *)(char *)uptr(arg0); }", "user"],
    ["uprobe:/bin/bash:readline { ((struct task_struct *)arg0).mm; }", "user"],
    ["tracepoint:syscalls:sys_enter_openat { @f[tid] = args.filename; @f[tid]; }", "user"],
    ["BEGIN { ctx; }", "context"],
  ])("address space: %s", (text, expected) => {
    expect(space(text)).toBe(expected);
  });
});

describe("literals", () => {
  const sides = (text: string): (Type | undefined)[] => {
    const e = only(text);
    if (e.kind !== "binary") throw new TypeError(e.kind);
    return [e.left.type, e.right.type];
  };

  test("take the sign of what they meet", () => {
    expect(sides("BEGIN { pid > 5; }")[1]).toMatchObject({ kind: "int", signed: false });
    expect(sides("tracepoint:sched:sched_switch { args.next_prio > 5; }")[1]).toMatchObject({
      kind: "int",
      signed: true,
    });
    expect(sides("BEGIN { pid > -5; }")[1]).toMatchObject({ kind: "int", signed: true });
  });
});

describe("settings", () => {
  test("defaults", () => {
    expect(check("BEGIN { }").config).toEqual({
      maxStrlen: 1024,
      maxMapKeys: 4096,
      maxProbes: 1024,
      maxCatBytes: 10240,
      stackMode: "bpftrace",
      strTruncTrailer: "..",
      missingProbes: "error",
      printMapsOnExit: true,
      cacheUserSymbols: "PER_PID",
      license: "GPL",
      perfRbPages: 0,
      onStackLimit: 32,
      lazySymbolication: false,
      cppDemangle: true,
    });
  });

  test("the environment wins over the script", () => {
    const env = {
      config: new Map([
        ["max_strlen", "128"],
        ["stack_mode", "raw"],
      ]),
    };
    const { config } = check(
      "config = { max_strlen = 64; BPFTRACE_MAX_MAP_KEYS = 10; print_maps_on_exit = 0 } BEGIN { @ = str(0); }",
      { env },
    );
    expect(config).toMatchObject({ maxStrlen: 128, stackMode: "raw", maxMapKeys: 10, printMapsOnExit: false });
    expect(typesOf(check("BEGIN { @ = str(0); @b = ustack; }", { env }))).toBe("@=string[129] @b=ustack");
    expect(complaints("BEGIN { }", { env: { config: new Map([["max_strlen", "x"]]) } })).toEqual([
      "B: BPFTRACE_MAX_STRLEN: Invalid type for max_strlen. Type: string. Expected Type: int | write max_strlen = 1024",
    ]);
  });

  test("probes that are missing", () => {
    const text = "tracepoint:nope:nope { @a[args.x] = 1; } END { clear(@a); }";
    expect(complaints(text)).toHaveLength(1);
    const warned = check(`config = { missing_probes = warn } ${text}`);
    expect(warned.warnings.map((w) => w.message)).toEqual(["tracepoint not found: nope:nope"]);
    expect(warned.programs.map((p) => p.targets[0]!.name)).toEqual(["end"]);
    expect(check(`config = { missing_probes = ignore } ${text}`).warnings).toEqual([]);
    expect(complaints("config = { missing_probes = ignore } tracepoint:nope:nope { }")).toEqual([
      "tracepoint:nope:nope: No probes to attach | none of the script's probes exists here",
    ]);
  });

  test("more probes than allowed", () => {
    const [first] = complaints("config = { max_probes = 3 } tracepoint:syscalls:* { }");
    expect(first).toMatch(
      /^tracepoint:syscalls:\*: Can't attach to 7 probes because it exceeds the current limit of 3 probes\./,
    );
  });
});

describe("kernels without kprobes", () => {
  const env = { kprobeProblem: "this kernel was built without kprobes" };

  test.each<[string, string]>([
    ["kprobe:vfs_read { }", "the nearest tracepoint is tracepoint:syscalls:sys_enter_read"],
    ["kretprobe:vfs_read { }", "the nearest tracepoint is tracepoint:syscalls:sys_exit_read"],
    [
      "kprobe:do_sys_openat2 { }",
      "the nearest tracepoints are tracepoint:syscalls:sys_enter_openat, tracepoint:syscalls:sys_enter_open",
    ],
    ["kprobe:__x64_sys_read { }", "the nearest tracepoint is tracepoint:syscalls:sys_enter_read"],
    ["kprobe:tcp_set_state { }", "the nearest tracepoint is tracepoint:sock:inet_sock_set_state"],
    ["kprobe:finish_task_switch.isra.0 { }", "the nearest tracepoint is tracepoint:sched:sched_switch"],
    ["kprobe:blk_mq_start_request { }", "the nearest tracepoint is tracepoint:block:block_rq_issue"],
    ["kprobe:xyz { }", "list tracepoints with skep trace -l 'tracepoint:*'"],
  ])("%s", (text, hint) => {
    const [first, ...others] = complaints(text, { env });
    expect(others).toEqual([]);
    const provider = text.slice(0, text.indexOf(":"));
    expect(first!.slice(first!.indexOf(": ") + 2)).toBe(
      `${provider} can not be used here: this kernel was built without kprobes | ${hint}`,
    );
  });
});

describe("warnings", () => {
  test.each<[string, string[]]>([
    ["BEGIN { let $x; }", ["Variable $x was never assigned to."]],
    ["BEGIN { let $x; $x = 1; }", []],
    ["let @a = hash(5); BEGIN { }", ["Unused map: @a"]],
    [
      "BEGIN { str(0, 2000); }",
      ["length param (2000) is too long and will be shortened to 1024 bytes (see BPFTRACE_MAX_STRLEN)"],
    ],
    ["BEGIN { curtask == (uint32 *)0; }", ["comparison of distinct pointer types: struct task_struct *, uint32 *"]],
  ])("%s", (text, messages) => {
    expect(check(text).warnings.map((w) => w.message)).toEqual(messages);
  });
});

describe("kernels without type information", () => {
  const env = { btf: null };

  test("scripts that need none compile", () => {
    expect(
      typesOf(check("tracepoint:sched:sched_switch { @[args.next_comm] = count(); $t = curtask; }", { env })),
    ).toBe("@[string[16]]=count_t $t=uint64");
  });

  test("others say what is missing", () => {
    expect(complaints("BEGIN { (struct task_struct *)curtask; }", { env })).toEqual([
      "struct task_struct: Unknown struct/union: 'struct task_struct' | this kernel offers no BTF (/sys/kernel/btf/vmlinux): define the type at the top of the script",
    ]);
    expect(complaints("rawtracepoint:sched_switch { args.next; }", { env })).toHaveLength(1);
  });
});

test("all complaints of a script come at once, in order of place", () => {
  try {
    check('tracepoint:nope:x { }\nBEGIN { foo(); $x = bar; @a = 1; @a = comm; }\nEND { system("ls"); }');
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    expect(error.exitStatus).toBe(2);
    expect(error.message.split("\n").filter((line) => line.startsWith("stdin:"))).toEqual([
      "stdin:1:1-18: ERROR: tracepoint not found: nope:x",
      "stdin:2:9-12: ERROR: Unknown function: foo",
      "stdin:2:21-24: ERROR: Unknown identifier: 'bar'",
      "stdin:2:34-43: ERROR: Type mismatch for @a: trying to assign value of type 'string[16]' when map already contains a value of type 'int64'",
      "stdin:3:7-19: ERROR: system() is an unsafe function being used in safe mode",
    ]);
  }
});

test("a script of 10,000 lines is checked in about a second", () => {
  const lines = Array.from(
    { length: 10_000 },
    (_, i) => `@x[pid, comm, "abc"] = (@y${i % 10} + 1) * 2; @y${i % 10}++; if (pid > ${i}) { $v${i} = comm; }`,
  );
  const started = performance.now();
  expect(check(`BEGIN { ${lines.join("\n")} }`).maps.size).toBe(11);
  expect(performance.now() - started).toBeLessThan(8000);
});
