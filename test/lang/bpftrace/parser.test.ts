import { describe, expect, test } from "vitest";
import { ScriptError } from "../../../src/base/index.ts";
import { parseScript } from "../../../src/lang/bpftrace/index.ts";
import { probeText, scriptText, statementText } from "./support/tree.ts";

function parse(text: string, positional: readonly string[] = []): ReturnType<typeof parseScript> {
  return parseScript({ name: "stdin", text }, { positional });
}

function errors(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof ScriptError) return error.message.split("\n");
    throw error;
  }
  return [];
}

/** Statements of one probe and their trees. */
const STATEMENTS: readonly (readonly [string, string])[] = [
  ["$x = 1;", "(= $x 1)"],
  ["$x = 1", "(= $x 1)"],
  ["@ = count();", "(= @ (call count))"],
  ["@a[pid, comm] = hist(arg0);", "(= @a[pid comm] (call hist arg0))"],
  ["@a[(pid, comm)] = 1;", "(= @a[(tuple pid comm)] 1)"],
  ["@a[1][2];", "@a[1][2]"],
  [
    "$x += 1; @y -= 2; $x <<= 3; @y[1] >>= 4; $x |= 1; $x ^= 1; $x &= 1; $x %= 2; $x /= 2; $x *= 2;",
    "(+= $x 1) (-= @y 2) (<<= $x 3) (>>= @y[1] 4) (|= $x 1) (^= $x 1) (&= $x 1) (%= $x 2) (/= $x 2) (*= $x 2)",
  ],
  ["$x++; ++@y[1]; @z--; --$x;", "($x ++) (++ @y[1]) (@z --) (-- $x)"],
  ["1 + 2 * 3 - 4;", "(- (+ 1 (* 2 3)) 4)"],
  ["1 | 2 ^ 3 & 4 == 5 < 6 << 7 + 8 * 9;", "(| 1 (^ 2 (& 3 (== 4 (< 5 (<< 6 (+ 7 (* 8 9))))))))"],
  ["1 || 2 && 3 | 4;", "(|| 1 (&& 2 (| 3 4)))"],
  ["1 - 2 - 3;", "(- (- 1 2) 3)"],
  ["-1 + ~2 * !3;", "(+ (- 1) (* (~ 2) (! 3)))"],
  ["*$p; &$x; **$p; - -1;", "(* $p) (& $x) (* (* $p)) (- (- 1))"],
  ["*$p.x; (*$p).x; *$p++;", "(* $p.x) (* $p).x (* ($p ++))"],
  ["$x ? 1 : $y ? 2 : 3;", "(?: $x 1 (?: $y 2 3))"],
  ["$x ?: 3; $x ? : 3;", "(?: $x - 3) (?: $x - 3)"],
  ["(uint64)$x + 1;", "(+ (cast<uint64> $x) 1)"],
  [
    "(uint64)-1; (u32) *$p; (NAME) - 1; (NAME)(1); (foo_t *)-1;",
    "(cast<uint64> (- 1)) (cast<u32> (* $p)) (- NAME 1) (cast<NAME> 1) (cast<foo_t*> (- 1))",
  ],
  ["((struct sock *)arg0)->sk_prot->name;", "(cast<struct sock*> arg0)->sk_prot->name"],
  [
    "(struct a **)$p; (uint8[8])$x; (uint8[])$x; (string[16])$p; (unsigned long)1; (const char *)$p; (union u *)$p;",
    "(cast<struct a**> $p) (cast<uint8[8]> $x) (cast<uint8[]> $x) (cast<string[16]> $p) (cast<unsigned long> 1) (cast<char*> $p) (cast<union u*> $p)",
  ],
  ["(typeof($y))$x; (typeof(struct a *))$x;", "(cast<(typeof $y)> $x) (cast<struct a*> $x)"],
  ['(pid); (1, 2); (1,); (); (a=1, b="x");', 'pid (tuple 1 2) (tuple 1) (tuple) (tuple a=1 b="x")'],
  ["$t.0; $t.0.1; $t.x.y[2]->z;", "$t.0 $t.0.1 $t.x.y[2]->z"],
  ["args.filename; args->filename; args.import; args.if;", "args.filename args->filename args.import args.if"],
  ['printf("%d\\n", pid);', '(call printf "%d\\n" pid)'],
  ['"a\\tb\\"\\\\\\x41\\101";', '"a\\tb\\"\\\\AA"'],
  ['"\\xc3\\xa9é";', '"éé"'],
  ["0x1F; 017; 0b101; 1e3; 1_000; 5u; 5UL; 5ull;", "31 15 5 1000 1000 5 5 5"],
  ["1ns; 1us; 2ms; 3s; 1m; 1h; 1d;", "1 1000 2000000 3000000000 60000000000 3600000000000 86400000000000"],
  ["18446744073709551615; 0xffffffffffffffff;", "18446744073709551615 18446744073709551615"],
  ["true; false;", "true false"],
  ["$1; $#; $12;", "$1 $# $12"],
  ["if (1) { $x = 1; } else if (2) { } else { $y = 2; }", "(if 1 {(= $x 1)} (if 2 {} {(= $y 2)}))"],
  ["if 1 == 2 { } if (1) == 2 { } if (NAME) { }", "(if (== 1 2) {}) (if (== 1 2) {}) (if NAME {})"],
  [
    "if ((uint32)$x == 1) { } if (uint32)$x == 1 { }",
    "(if (== (cast<uint32> $x) 1) {}) (if (== (cast<uint32> $x) 1) {})",
  ],
  ["if (1) { 2 }", "(if 1 {2})"],
  ["while ($i < 5) { $i++; break; continue; }", "(while (< $i 5) {($i ++) break continue})"],
  ["unroll (5) { $x++; } unroll 5 { }", "(unroll 5 {($x ++)}) (unroll 5 {})"],
  ["for ($kv : @map) { print($kv.0); } for $kv : @map { }", "(for $kv @map {(call print $kv.0)}) (for $kv @map {})"],
  [
    "for ($i : 0..10) { } for ($i : $a + 1..@b) { } for $i : 0..3 { }",
    "(for $i 0..10 {}) (for $i (+ $a 1)..@b {}) (for $i 0..3 {})",
  ],
  ["return; return 1;", "(return) (return 1)"],
  [
    "let $x; let $x = 1; let $x: uint64; let $x : struct a * = 0;",
    "(let $x) (let $x 1) (let $x : uint64) (let $x : struct a* 0)",
  ],
  ["_ = 1; _ = delete(@a, 1);", "(= _ 1) (= _ (call delete @a 1))"],
  ["{ $x = 1; } { 1 }", "{(= $x 1)} {1}"],
  ["$x = { $y = 1; $y + 1 };", "(= $x (do (= $y 1) (+ $y 1)))"],
  ["$x = if (1) { 2 } else if (3) { 4 } else { 5 };", "(= $x (if 1 (do 2) (if 3 (do 4) (do 5))))"],
  [
    "sizeof(struct a); sizeof(uint64); sizeof($x); sizeof(foo_t); sizeof(pid); sizeof(1 + 2);",
    "(call sizeof <struct a>) (call sizeof <uint64>) (call sizeof $x) (call sizeof <foo_t>) (call sizeof pid) (call sizeof (+ 1 2))",
  ],
  ["offsetof(struct a, b.c); offsetof($x, b);", "(call offsetof <struct a> .b.c) (call offsetof $x .b)"],
  ["comptime 1 + 2; comptime (1 + 2);", "(+ (comptime 1) 2) (comptime (+ 1 2))"],
  [
    "kstack(perf, 5); nsecs(boot); pid(init); print(@x, 5);",
    "(call kstack perf 5) (call nsecs boot) (call pid init) (call print @x 5)",
  ],
  ["; ; $x = 1;; ", "(= $x 1)"],
  ["// one\n/* two */ $x /* three */ = 1; // four\n", "(= $x 1)"],
  ["$x = 1 / 2; $y = 3;", "(= $x (/ 1 2)) (= $y 3)"],
  [
    "delete(@a[1, 2]); has_key(@a, (1, 2)); clear(@a);",
    "(call delete @a[1 2]) (call has_key @a (tuple 1 2)) (call clear @a)",
  ],
];

/** Whole scripts and their probes. */
const SCRIPTS: readonly (readonly [string, string])[] = [
  ["BEGIN { }", "begin {}"],
  ["begin { } End { } I:s:1 { }", "begin {}\nend {}\ninterval:s:1 {}"],
  [
    "t:sched:sched_switch,t:sched:*,\nk:vfs_read { }",
    "tracepoint:sched:sched_switch,tracepoint:sched:*,kprobe:vfs_read {}",
  ],
  ["t:a:b, t:c:d, { }", "tracepoint:a:b,tracepoint:c:d {}"],
  ["tracepoint:a:b /pid == 1/ { }", "tracepoint:a:b /(== pid 1)/ {}"],
  ["tracepoint:a:b/pid == 1/{ }", "tracepoint:a:b /(== pid 1)/ {}"],
  ["tracepoint:a:b\n/ pid / 2 == 1 /\n{ }", "tracepoint:a:b /(== (/ pid 2) 1)/ {}"],
  ["BEGIN/1/{ }", "begin /1/ {}"],
  [
    "uprobe:/bin/bash:readline { } ur:/usr/*/libc.so:malloc /1/ { }",
    "uprobe:/bin/bash:readline {}\nuretprobe:/usr/*/libc.so:malloc /1/ {}",
  ],
  ["uprobe:/bin/bash:readline/pid/{ }", "uprobe:/bin/bash:readline /pid/ {}"],
  ['uprobe:/bin/a:cpp:"ns::f(int, char)" { }', "uprobe:/bin/a:cpp:ns::f(int, char) {}"],
  [
    "uprobe:./a.out:f+0x10 { } uprobe:libc:0x1234 { } U:/bin/a:b:c { }",
    "uprobe:./a.out:f+0x10 {}\nuprobe:libc:0x1234 {}\nusdt:/bin/a:b:c {}",
  ],
  ["kfunc:f { } kretfunc:f { } f:vmlinux:f { }", "fentry:f {}\nfexit:f {}\nfentry:vmlinux:f {}"],
  ["software:faults:100 { } h:cycles: { }", "software:faults:100 {}\nhardware:cycles: {}"],
  ["self:signal:SIGUSR1 { } interval:100ms { }", "self:signal:SIGUSR1 {}\ninterval:100ms {}"],
  ["#!/usr/bin/bpftrace\nBEGIN { }", "begin {}"],
  [
    "#include <linux/sched.h>\n#define X 1\nstruct a { int b; };\nunion u { int c; }\nenum e { A, B };\nBEGIN { }",
    "begin {}",
  ],
  ["#ifndef BPFTRACE_HAVE_BTF\n#include <x>\nstruct broken {\n#else\n#endif\nBEGIN { }", "begin {}"],
  [
    "#ifdef BPFTRACE_HAVE_BTF\n#if 0\n garbage {\n#endif\nstruct a { int b; };\n#else\n garbage\n#endif\nBEGIN { }",
    "begin {}",
  ],
  ["config = { max_strlen = 64; stack_mode=perf }\nlet @a = lruhash(10);\nBEGIN { }", "begin {}"],
  ["macro m($a, @b, c) { $a + 1 } BEGIN { }", "begin {}"],
  ["fn f($a : int64): int64 { return $a; } BEGIN { }", "begin {}"],
];

/** Scripts that are no scripts, with the whole message. */
const REJECTED: readonly (readonly [string, readonly string[]])[] = [
  [
    "",
    [
      "stdin:1:1-2: ERROR: No probes to attach",
      "",
      "~",
      "HINT: write a probe: tracepoint:sched:sched_switch { @[comm] = count(); }",
    ],
  ],
  [
    'BEGIN { printf("hi" }',
    [
      "stdin:1:21-22: ERROR: syntax error, unexpected }, expecting ) or ,",
      'BEGIN { printf("hi" }',
      "                    ~",
    ],
  ],
  [
    "BEGIN { $a = ; }",
    [
      "stdin:1:14-15: ERROR: syntax error, unexpected ;",
      "BEGIN { $a = ; }",
      "             ~",
      "HINT: a value is expected here: a number, a string, $variable, @map, or a builtin such as pid",
    ],
  ],
  [
    "BEGIN { $a = 1 $b = 2 }",
    [
      "stdin:1:16-18: ERROR: syntax error, unexpected variable $b, expecting ; or }",
      "BEGIN { $a = 1 $b = 2 }",
      "               ~~",
      "HINT: end the statement with ;",
    ],
  ],
  [
    "BEGIN { if (1) { ",
    [
      "stdin:1:18-19: ERROR: syntax error, unexpected end of file, expecting }",
      "BEGIN { if (1) { ",
      "                 ~",
      "HINT: a { was not closed",
    ],
  ],
  [
    "BEGIN { if ($a = 1) { } }",
    [
      "stdin:1:16-17: ERROR: syntax error, unexpected =, expecting )",
      "BEGIN { if ($a = 1) { } }",
      "               ~",
      "HINT: compare with ==",
    ],
  ],
  [
    "kprob:f { }",
    ["stdin:1:1-6: ERROR: Invalid probe type: kprob", "kprob:f { }", "~~~~~", "HINT: did you mean kprobe?"],
  ],
  [
    "BEGIN { 'a' }",
    [
      "stdin:1:9-10: ERROR: invalid character '''",
      "BEGIN { 'a' }",
      "        ~",
      'HINT: strings are written in double quotes: "text"',
      "stdin:1:11-12: ERROR: invalid character '''",
      "BEGIN { 'a' }",
      "          ~",
      'HINT: strings are written in double quotes: "text"',
    ],
  ],
  [
    'BEGIN { "\\q" }',
    [
      "stdin:1:10-12: ERROR: invalid escape character '\\q'",
      'BEGIN { "\\q" }',
      "         ~~",
      'HINT: escapes are \\n \\t \\r \\" \\\\, \\x41 and \\101; a backslash itself is \\\\',
    ],
  ],
  [
    "BEGIN { 12abc }",
    [
      "stdin:1:9-14: ERROR: invalid suffix 'abc' of integer '12abc'",
      "BEGIN { 12abc }",
      "        ~~~~~",
      "HINT: integers have up to 64 bits, with an optional ns, us, ms, s, m, h or d",
    ],
  ],
  [
    "BEGIN { 18446744073709551616 }",
    [
      "stdin:1:9-29: ERROR: '18446744073709551616' is out of the range of 64 bits",
      "BEGIN { 18446744073709551616 }",
      "        ~~~~~~~~~~~~~~~~~~~~",
      "HINT: integers have up to 64 bits, with an optional ns, us, ms, s, m, h or d",
    ],
  ],
  [
    "BEGIN { $t.0 = 1; }",
    [
      "stdin:1:9-17: ERROR: Tuples and records are immutable once created. Consider creating a new value and assigning it instead.",
      "BEGIN { $t.0 = 1; }",
      "        ~~~~~~~~",
    ],
  ],
  [
    "BEGIN { pid = 1; }",
    [
      "stdin:1:9-16: ERROR: invalid assignment target",
      "BEGIN { pid = 1; }",
      "        ~~~~~~~",
      "HINT: only variables ($x) and maps (@x, @x[key]) may be assigned to",
    ],
  ],
  [
    "BEGIN { /* open }",
    [
      "stdin:1:9-11: ERROR: unterminated comment",
      "BEGIN { /* open }",
      "        ~~",
      "HINT: close it with */",
      "stdin:1:18-19: ERROR: syntax error, unexpected end of file, expecting }",
      "BEGIN { /* open }",
      "                 ~",
      "HINT: a { was not closed",
    ],
  ],
  [
    "tracepoint:$1:$2 { }",
    [
      "stdin:1:12-14: ERROR: no value for parameter $1",
      "tracepoint:$1:$2 { }",
      "           ~~",
      "HINT: values of $1, $2, ... are given behind the script",
    ],
  ],
  [
    "BEGIN { for (1 : 2) { } }",
    [
      "stdin:1:14-15: ERROR: syntax error, unexpected integer 1, expecting a variable",
      "BEGIN { for (1 : 2) { } }",
      "             ~",
      "HINT: loops are written for ($kv : @map) { } and for ($i : 0..10) { }",
    ],
  ],
  [
    "BEGIN { 1++; }",
    [
      "stdin:1:10-12: ERROR: ++ requires a variable or map",
      "BEGIN { 1++; }",
      "         ~~",
      "HINT: write $x++ or @x++",
    ],
  ],
  [
    "BEGIN { (a=1, a=2); }",
    ["stdin:1:15-16: ERROR: Named argument list already contains name: a", "BEGIN { (a=1, a=2); }", "              ~"],
  ],
];

describe("statements", () => {
  test.each(STATEMENTS)("%s", (text, tree) => {
    const { probes } = parse(`BEGIN { ${text} }`);
    expect(probes[0]!.body.statements.map(statementText).join(" ")).toBe(tree);
  });
});

describe("scripts", () => {
  test.each(SCRIPTS)("%s", (text, tree) => {
    expect(scriptText(parse(text))).toBe(tree);
  });

  test("positional parameters stand in attach points", () => {
    expect(scriptText(parse("tracepoint:$1:sys_$2 { } interval:s:$# { }", ["raw_syscalls", "enter"]))).toBe(
      "tracepoint:raw_syscalls:sys_enter {}\ninterval:s:2 {}",
    );
  });

  test("what stands beside probes", () => {
    const script = parse(
      '#include <a.h>\n#define N 3\nstruct s { int a; } __attribute__((packed));\nconfig = { max_strlen = 64; lazy_symbolication = true; stack_mode = perf; license = "GPL" }\n' +
        'import "x.bt";\nlet @m = lruhash(100);\nmacro add($a, @b, c) { $a + 1 }\nfn f($x : uint64, $y : struct s *): int64 { return 1; }\nBEGIN { }',
    );
    expect(script.preamble.map((d) => `${d.kind} ${d.name}`)).toEqual(["include a.h", "define N", "struct s"]);
    expect(script.config.map((c) => [c.key, c.value])).toEqual([
      ["max_strlen", 64n],
      ["lazy_symbolication", true],
      ["stack_mode", "perf"],
      ["license", "GPL"],
    ]);
    expect(script.imports.map((i) => i.path)).toEqual(["x.bt"]);
    expect(script.mapDeclarations.map((m) => [m.name, m.mapKind, m.maxEntries])).toEqual([["m", "lruhash", 100n]]);
    expect(script.macros.map((m) => [m.name, m.params.map((p) => p.sigil + p.name)])).toEqual([
      ["add", ["$a", "@b", "c"]],
    ]);
    expect(script.functions.map((f) => [f.name, f.params.map((p) => p.name)])).toEqual([["f", ["x", "y"]]]);
  });

  test("spans are those of the text", () => {
    const text = "tracepoint:a:b /pid == 1/ { @x[comm] = count(); }";
    const probe = parse(text).probes[0]!;
    const at = ({ start, end }: { start: number; end: number }): string => text.slice(start, end);
    expect(at(probe.span)).toBe("tracepoint:a:b");
    expect(at(probe.attachPoints[0]!.parts[1]!.span)).toBe("b");
    expect(at(probe.predicate!.span)).toBe("pid == 1");
    const statement = probe.body.statements[0]!;
    expect(at(statement.span)).toBe("@x[comm] = count()");
    if (statement.kind !== "assign") throw new TypeError(statement.kind);
    expect(at(statement.target!.span)).toBe("@x[comm]");
    expect(at(statement.value.span)).toBe("count()");
  });
});

describe("errors", () => {
  test.each(REJECTED)("%s", (text, lines) => {
    expect(errors(text)).toEqual(lines);
  });

  test("several in one run, in order of place", () => {
    const text = "kprob:a { }\nBEGIN { x y; $a = ; @b = 1 }\nEND { 1 + }\nfoo { }";
    const places = errors(text).filter((line) => line.startsWith("stdin:"));
    expect(places).toEqual([
      "stdin:1:1-6: ERROR: Invalid probe type: kprob",
      "stdin:2:11-12: ERROR: syntax error, unexpected identifier 'y', expecting ; or }",
      "stdin:2:19-20: ERROR: syntax error, unexpected ;",
      "stdin:3:11-12: ERROR: syntax error, unexpected }",
      "stdin:4:1-4: ERROR: Invalid probe type: foo",
    ]);
  });
});

describe("size", () => {
  const deep = (open: string, inner: string, close: string, n: number): string =>
    `BEGIN { print(${open.repeat(n)}${inner}${close.repeat(n)}); }`;

  test("10,000 lines take well under a second", () => {
    const line = '@x[pid, comm, "abc"] = (@y + 1) * 2; if ($1 > 2) { printf("%d %s\\n", pid, comm); }\n';
    const started = performance.now();
    const script = parse(`BEGIN { ${line.repeat(10_000)} }`);
    expect(script.probes[0]!.body.statements).toHaveLength(20_000);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test.each([
    ["parentheses", deep("(", "1", ")", 100_000)],
    ["operators", deep("1 + ", "1", "", 100_000)],
    ["signs", deep("~", "1", "", 100_000)],
    ["fields", deep("", "$x", ".y", 100_000)],
    ["tuples", deep("(1, ", "1", ")", 100_000)],
    ["blocks", `BEGIN { ${"{".repeat(100_000)} }`],
    ["typeof", deep("(typeof(", "1", "", 10_000)],
    ["casts", deep("(uint8)", "1", "", 100_000)],
    ["pointers", `BEGIN { let $x: uint8 ${"*".repeat(100_000)}; }`],
    ["else if", `BEGIN { ${"if (1) { } else ".repeat(100_000)} { } }`],
    ["ternaries", deep("1 ? 2 : ", "1", "", 100_000)],
    ["chains of chains", deep("(1 + ", `1${" + 1".repeat(900)}`, `${" + 1".repeat(900)})`, 60)],
  ])("too deep: %s", (_, text) => {
    const [first] = errors(text);
    expect(first).toMatch(/nested more than|more than 1024 operands|after so many/);
  });

  test("chains as long as people write them are fine", () => {
    const probe = parse(deep("1 + ", "1", "", 200)).probes[0]!;
    expect(probeText(probe).length).toBeGreaterThan(200);
  });
});
