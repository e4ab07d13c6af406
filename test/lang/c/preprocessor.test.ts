import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { predefinedMacros } from "../../../src/lang/c/preprocessor/predefined.ts";
import { describeWith } from "../../support/needs.ts";
import { preprocess } from "./support.ts";

/** Text and what is left of it, white space aside; clang says the same. */
const cases: readonly (readonly [name: string, text: string, result: string])[] = [
  ["object-like", "#define N 4\nint a[N + N];", "int a[4 + 4];"],
  ["defined again alike", "#define N  4 + 1\n#define N 4   + 1\nN", "4 + 1"],
  ["gone after #undef", "#define N 4\n#undef N\nN", "N"],
  ["not expanded inside itself", "#define self self + 1\nself", "self + 1"],
  ["two that name each other", "#define ping pong - 1\n#define pong ping - 2\nping pong", "ping - 2 - 1 pong - 1 - 2"],
  ["function-like", "#define add(a, b) ((a) + (b))\nadd(1, add(2, 3))", "((1) + (((2) + (3))))"],
  ["name without parentheses stays", "#define call(x) x()\nint call; call (call) (1)", "int call; call() (1)"],
  ["parentheses come from behind", "#define call(x) [x]\n#define name call\nname(1) name (2)", "[1] [2]"],
  ["parentheses on the next line", "#define call(x) [x]\ncall\n(1)", "[1]"],
  ["its own name behind it is painted", "#define again(x) x again\nagain(1)(2)", "1 again(2)"],
  ["commas in parentheses", "#define first(a, b) a\nfirst((1, 2), 3) first([1, 2])", "(1, 2) [1"],
  ["no argument at all", "#define none() 0\n#define one(x) <x>\nnone() none( ) one() one( )", "0 0 <> <>"],
  ["arguments expand before", "#define VALUE 7\n#define twice(x) x x\ntwice(VALUE)", "7 7"],
  ["arguments with directives between", "#define id(x) x\nid(1\n#ifdef NEVER\n2\n#else\n3\n#endif\n4)", "1 3 4"],
  [
    "strings",
    '#define text(x) #x\ntext(a  +  "q\\n" \'"\') text() text( b\n c )',
    '"a + \\"q\\\\n\\" \'\\"\'" "" "b c"',
  ],
  [
    "strings of expanded arguments",
    "#define text_(x) #x\n#define text(x) text_(x)\n#define N 12\ntext(N) text_(N)",
    '"12" "N"',
  ],
  [
    "pasting",
    "#define glue(a, b) a ## b\nglue(x, 1) glue(-, >) glue(, y) glue(z, ) [glue(,)] glue(1, e) glue(0x, ff)",
    "x1 -> y z [] 1e 0xff",
  ],
  ["pasted names expand", "#define xy 3\n#define glue(a, b) a ## b\nglue(x, y)", "3"],
  [
    "arguments of ## do not",
    "#define A 1\n#define glue(a, b) a##b\n#define deep(a, b) glue(a, b)\nglue(A, A) deep(A, A)",
    "AA 11",
  ],
  ["pasting three", "#define three(a, b, c) a##b##c\nthree(1, 2, 3) three(, 2, ) three(1, , 3)", "123 2 13"],
  ["variable arguments", "#define log(f, ...) p(f, __VA_ARGS__)\nlog(1, 2, 3) log(1, )", "p(1, 2, 3) p(1, )"],
  [
    "comma gone, C",
    "#define log(f, ...) p(f, ##__VA_ARGS__)\nlog(1) log(1, 2) log(1, 2, 3)",
    "p(1) p(1, 2) p(1, 2, 3)",
  ],
  ["comma gone, GNU name", "#define log(f, args...) p(f, ##args)\nlog(1) log(1, 2, 3)", "p(1) p(1, 2, 3)"],
  ["only variable arguments", "#define all(...) p(__VA_ARGS__)\nall() all(1) all(1, 2)", "p() p(1) p(1, 2)"],
  ["__VA_OPT__", "#define log(f, ...) p(f __VA_OPT__(,) __VA_ARGS__)\nlog(1) log(1, 2)", "p(1) p(1, 2)"],
  [
    "counting arguments",
    "#define nth(_, a, b, c, N, ...) N\n#define count(...) nth(_, ##__VA_ARGS__, 3, 2, 1, 0)\ncount() count(x) count(x, y) count(x, y, z)",
    "0 1 2 3",
  ],
  ["line ends hidden", "#define long 1 + \\\n  2\nlong na\\\nme", "1 + 2 name"],
  ["comments", "a/**/b // c \\\n d\ne /* f\n */ g", "a b e g"],
  ["digraphs", "<: :> <% %>", "[ ] { }"],
  ["longest first", "a+++++b x<<=1 p->q...", "a++ ++ +b x<<=1 p->q..."],
  ["numbers", "1.5e+3 0x1p-3 1..2 .5 0b101ull", "1.5e+3 0x1p-3 1..2 .5 0b101ull"],
  ["#if arithmetic", "#if (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 % 3 == -1 && (1 ? 2 : 1 / 0) == 2\nyes\n#endif", "yes"],
  ["#if on signs", "#if -1 > 0u && -1 < 0 && ~0 == -1 && 0xffffffffffffffff > 0 && 1 << 63 < 0\nyes\n#endif", "yes"],
  ["#if on characters", "#if 'a' == 97 && '\\n' == 10 && '\\x41' == 0101 && 'ab' == 24930\nyes\n#endif", "yes"],
  ["#if on names", "#define ONE 1\n#if defined ONE && !defined(TWO) && ONE && !TWO\nyes\n#endif", "yes"],
  ["#if by a macro with defined", "#define both (defined ONE && ONE)\n#define ONE 1\n#if both\nyes\n#endif", "yes"],
  ["#elif and #else", "#if 0\na\n#elif 1\nb\n#elif 1 / 0\nc\n#else\nd\n#endif\n#if 0\n#else\ne\n#endif", "b e"],
  ["passed over", "#if 0\nit's /*\n/* \"\n#endif */ # if 1\n#if 1\n#else\n#endif\n#endif\n#endif\nok", "ok"],
  ["#ifdef", "#define A\n#ifdef A\n1\n#endif\n#ifndef A\n2\n#else\n3\n#endif", "1 3"],
  ["__LINE__", "__LINE__\n\n#define line __LINE__\nline line \\\n__LINE__", "1 4 4 5"],
  [
    "__COUNTER__",
    "#define glue_(a, b) a##b\n#define glue(a, b) glue_(a, b)\nglue(v, __COUNTER__) glue(v, __COUNTER__)",
    "v0 v1",
  ],
  ["#line", '#line 100 "other.c"\n__LINE__ __FILE__', '100 "other.c"'],
  [
    "macros put aside",
    '#define A 1\n#pragma push_macro("A")\n#undef A\n#define A 2\nA\n#pragma pop_macro("A")\nA',
    "2 1",
  ],
  ["_Pragma", '_Pragma("clang optimize off") x', "#pragma clang optimize off\nx"],
  ["macro that makes no directive", "#define hash #\nhash define A 1\nA", "# define A 1 A"],
];

/** White space does not count, except that it separates. */
function squeezed(text: string): string {
  return text.replace(/\s+/g, "");
}

describe("preprocessing", () => {
  test.each(cases)("%s", (_, text, result) => {
    const { text: got, diagnostics } = preprocess(text);
    expect(diagnostics.format()).toBe("");
    expect(squeezed(got)).toBe(squeezed(result));
  });

  test("headers are read where they are named, those with #pragma once a single time", () => {
    const headers = { "a.h": "#pragma once\nint a;\n#include <b.h>", "b.h": 'int b;\n#include "a.h"', name: "n" };
    const text =
      '#include "a.h"\n#include "a.h"\n#define H <b.h>\n#include H\n#if __has_include("b.h") && !__has_include(<c.h>)\nok\n#endif';
    const { text: got, diagnostics } = preprocess(text, { headers });
    expect(diagnostics.format()).toBe("");
    expect(squeezed(got)).toBe("inta;intb;intb;ok");
  });

  test("questions about the compiler are answered by it", () => {
    const known = (operator: string, name: string): boolean =>
      operator === "__has_builtin" && name === "__builtin_memcpy";
    const text =
      "#if __has_builtin(__builtin_memcpy) && !__has_builtin(__builtin_nothing) && !__has_attribute(packed)\nyes\n#endif";
    expect(preprocess(text, { known }).text).toBe("yes");
  });

  test("the date is that of the compilation", () => {
    expect(preprocess("__DATE__ __TIME__").text).toBe('"Jan  2 2026" "03:04:05"');
  });

  test("a token tells the line of the macro's use, and the way through macros", () => {
    const { tokens, diagnostics } = preprocess("#define inner(x) (x)\n#define outer(x) inner(x)\n\nint a = outer(1);");
    const one = tokens.find((token) => token.text === "1")!;
    expect(diagnostics.sources.place(one.location)).toMatchObject({ path: "main.c", line: 4, column: 9 });
    expect(diagnostics.sources.backtrace(one.location).map(({ macro }) => macro)).toEqual(["inner", "outer"]);
  });
});

const mistakes: readonly (readonly [text: string, message: string])[] = [
  [
    "#include <nothing.h>",
    "main.c:1:10: error: there is no header <nothing.h>\n  #include <nothing.h>\n           ^~~~~~~~~~~\n  add the folder that has it with -I",
  ],
  ["#include", 'main.c:1:2: error: #include needs "FILE" or <FILE>\n  #include\n   ^~~~~~~'],
  [
    "#inclde <a.h>",
    "main.c:1:2: error: there is no directive #inclde\n  #inclde <a.h>\n   ^~~~~~\n  did you mean #include?",
  ],
  ["#if 1\nx", "main.c:1:2: error: #if has no #endif\n  #if 1\n   ^~"],
  ["#endif", "main.c:1:2: error: #endif without #if\n  #endif\n   ^~~~~"],
  [
    "#if 1\n#else\n#else\n#endif",
    "main.c:3:2: error: #else behind #else\n  #else\n   ^\nmain.c:2:2: note: the #else is here\n  #else\n   ^",
  ],
  ["#if 1 +\n#endif", "main.c:1:8: error: the condition ends too early\n  #if 1 +\n         ^"],
  ["#if 1 / 0\n#endif", "main.c:1:7: error: division by zero in the condition\n  #if 1 / 0\n        ^"],
  ["#if FOO(1)\n#endif", "main.c:1:5: error: there is no macro FOO\n  #if FOO(1)\n      ^~~"],
  ["#if 1.0\n#endif", "main.c:1:5: error: 1.0: eBPF has no floating-point numbers\n  #if 1.0\n      ^~~"],
  ["#define f(a, a) a", "main.c:1:14: error: the macro has two parameters a\n  #define f(a, a) a\n               ^"],
  [
    "#define f(a) #b",
    "main.c:1:15: error: # makes a string of a parameter of the macro: the name of one must follow\n  #define f(a) #b\n                ^",
  ],
  [
    "#define f ## 1",
    "main.c:1:11: error: ## joins two tokens: it cannot be the first or last of a macro\n  #define f ## 1\n            ^~",
  ],
  [
    "#define f(a, b) a\nint x = f(1);",
    "main.c:2:12: error: macro f takes 2 arguments, here are 1\n  int x = f(1);\n             ^\nmain.c:1:9: note: macro f is defined here\n  #define f(a, b) a\n          ^",
  ],
  [
    "#define f(a) a\nf(1",
    "main.c:2:1: error: the arguments of macro f have no closing parenthesis\n  f(1\n  ^\nmain.c:1:9: note: macro f is defined here\n  #define f(a) a\n          ^",
  ],
  [
    "#define f(a, b) a ## b\n\tf(+, x)",
    'main.c:2:2: error: pasting "+" and "x" does not make one token\n  \tf(+, x)\n  \t^\n  ## joins two tokens to one, such as a name and a number\nmain.c:2:4: note: expanded from macro \'f\'\n  \tf(+, x)\n  \t  ^',
  ],
  ["#error no such kernel", "main.c:1:2: error: no such kernel\n  #error no such kernel\n   ^~~~~"],
  [
    "#define A 1\n#define A 2",
    "main.c:2:9: warning: macro A is defined anew\n  #define A 2\n          ^\nmain.c:1:9: note: it was defined here\n  #define A 1\n          ^",
  ],
  ["/* open", "main.c:1:1: error: comment without its end\n  /* open\n  ^~\n  close it with */"],
];

describe("mistakes", () => {
  test.each(mistakes)("%j", (text, message) => {
    expect(preprocess(text).diagnostics.format()).toBe(message);
  });

  test("an include loop ends, with the way into it", () => {
    const { diagnostics } = preprocess('#include "a.h"', { headers: { "a.h": '#include "a.h"' } });
    expect(diagnostics.format()).toContain("200 files within each other: does one include itself?");
    expect(diagnostics.format()).toContain("In file included from main.c:1:");
  });

  test("macros that double each other end", () => {
    const doubling = Array.from({ length: 40 }, (_, i) => `#define m${i + 1} m${i} m${i}`).join("\n");
    const { diagnostics } = preprocess(`#define m0 x\n${doubling}\nm40`);
    expect(diagnostics.format()).toContain("macros have made more than");
  }, 60_000);

  test("too many errors are not all said", () => {
    const { diagnostics } = preprocess("#endif\n".repeat(1000));
    expect(diagnostics.errorCount).toBe(20);
  });

  test("bytes of any kind are answered, not crashed on", () => {
    const pieces = [
      "#",
      "define ",
      "if ",
      "elif ",
      "endif\n",
      "else\n",
      "include ",
      "(",
      ")",
      ",",
      "##",
      "...",
      "__VA_ARGS__",
      "__VA_OPT__",
      "f",
      "g",
      "x",
      " ",
      "\n",
      "\\\n",
      '"',
      "'",
      "/*",
      "*/",
      "//",
      "1",
      "0x",
      "defined",
      "_Pragma",
      "__has_include",
      "<",
      ">",
      "\u00e9",
      "\0",
      "__LINE__",
      "pragma once\n",
      "undef ",
    ];
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 3000; round++) {
      let text = "";
      for (let i = random(60); i >= 0; i--) text += pieces[random(pieces.length)];
      expect(() => preprocess(text, { headers: { f: text } })).not.toThrow();
    }
  });
});

/** `clang -E` without its line markers, comments and white space. */
function clang(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "skep-c-"));
  try {
    const file = join(folder, "main.c");
    writeFileSync(file, text);
    const { status, stdout, stderr } = spawnSync("clang", ["-target", "bpf", "-std=gnu2x", "-E", "-P", file], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    return stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describeWith(["clang"], "beside clang", () => {
  const digraph = new Set(["digraphs"]);
  test.each(cases.filter(([name]) => !digraph.has(name)))("%s", (_, text, result) => {
    expect(squeezed(clang(text))).toBe(squeezed(result));
  });

  test("its predefined macros have the same values, as far as they do not name a version or a float", () => {
    const { stdout } = spawnSync("clang", ["-target", "bpf", "-std=gnu11", "-dM", "-E", "-x", "c", "/dev/null"], {
      encoding: "utf8",
    });
    const table = (text: string): Map<string, string> =>
      new Map([...text.matchAll(/^#define (\S+) ?(.*)$/gm)].map(([, name, value]) => [name!, value!.trim()]));
    const theirs = table(stdout);
    const own = new Set(["__clang_major__", "__clang_patchlevel__", "__clang_version__", "__VERSION__", "__skep__"]);
    for (const [name, value] of table(predefinedMacros())) {
      if (own.has(name) || name.startsWith("__BPF_")) continue;
      expect([name, theirs.get(name)]).toEqual([name, value]);
    }
  });
});
