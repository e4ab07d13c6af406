import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { CompileError } from "../../../src/lang/c/diagnostics.ts";
import { BuiltinHeaders } from "../../../src/lang/c/headers/index.ts";
import { KernelDeclarations } from "../../../src/lang/c/outer.ts";
import { fuzzInput, seeded } from "./mutations.ts";
import { headersOf, parse } from "./support.ts";
import { wrongPrograms } from "./wrong-programs.ts";

const folder = fileURLToPath(new URL("../../programs/", import.meta.url));
const sources = [
  ...readdirSync(folder)
    .filter((name) => name.endsWith(".bpf.c"))
    .map((name) => readFileSync(join(folder, name), "utf8")),
  ...wrongPrograms.map(([text]) => text),
];

/** Processor time of a part in milliseconds: other work of the machine does not count. */
function timed(part: () => void): number {
  const before = process.cpuUsage();
  part();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Longer than any input may take, with the rubbish of others that happens to be collected meanwhile. */
const MOST_MS = 3000;

describe("any input is answered", () => {
  test("bytes, tokens in any order, damaged programs", () => {
    const random = seeded(20_261_121);
    let answered = 0;
    const started = Date.now();
    let spent = 0;
    // Five seconds of work; a busy machine stops before the test's time is over.
    for (let i = 0; spent < 5000 && Date.now() - started < 12_000; i++) {
      const text = fuzzInput(sources, random);
      const outer = new KernelDeclarations();
      const took = timed(() => {
        try {
          parse(text, outer, new BuiltinHeaders({ dialect: i % 2 === 0 ? "bcc" : "libbpf" }), (name) =>
            outer.macroValue(name),
          ).diagnostics.format();
        } catch (error) {
          if (!(error instanceof CompileError))
            throw new Error(`input ${i}: ${JSON.stringify(text)}`, { cause: error });
        }
      });
      expect(took, JSON.stringify(text)).toBeLessThan(MOST_MS);
      spent += took;
      answered++;
    }
    expect(answered).toBeGreaterThan(20);
  }, 30_000);
});

/** What is built to hurt, and what is said about it. */
const attacks: readonly (readonly [name: string, text: string, message: string])[] = [
  ["parentheses", `int x = ${"(".repeat(200_000)}1;`, "nested more than"],
  ["braces", `int f(void) ${"{".repeat(200_000)}`, "nested more than"],
  ["initialisers", `int x[] = ${"{".repeat(200_000)}1;`, "nested more than"],
  ["pointers", `int ${"*".repeat(200_000)}x;`, "nested more than"],
  ["operators", `int x = ${"- ".repeat(200_000)}1;`, "nested more than"],
  ["brackets", `int a; int f(void) { return ${"a[".repeat(100_000)}0; }`, "nested more than"],
  ["structs in structs", `${"struct { ".repeat(100_000)} int x; };`, "nested more than"],
  ["if in if", `int f(int a) { ${"if (a) ".repeat(100_000)} return 1; }`, "nested more than"],
  ["else after else", `int f(int a) { ${"if (a) a++; else ".repeat(100_000)} return 1; }`, "nested more than"],
  ["choices", `int x = ${"1 ? 2 : ".repeat(100_000)} 3;`, "nested more than"],
  ["casts", `int x = ${"(int)".repeat(100_000)} 3;`, "nested more than"],
  [
    "labels",
    `int f(void) { ${Array.from({ length: 20_000 }, (_, i) => `l${i}:`).join("")} return 1; }`,
    "nested more than",
  ],
  ["parameters of parameters", `int f${"(int g".repeat(50_000)}`, "nested more than"],
  ["conditions", `#if ${"(".repeat(100_000)}1\n#endif`, "nested too deeply"],
  ["#if in #if", `${"#if 1\n".repeat(50_000)}`, "#if has no #endif"],
  [
    "macros that double",
    `#define a0 1 1\n${Array.from({ length: 60 }, (_, i) => `#define a${i + 1} a${i} a${i}`).join("\n")}\na60`,
    "macros have made more than",
  ],
  [
    "macros that call themselves",
    `#define f(x) f(x) f(x)\n#define g(x) f(f(f(x)))\n${"g(".repeat(300)}1${")".repeat(300)}`,
    "",
  ],
  ["arguments in arguments", `#define id(x) x\n${"id(".repeat(20_000)}1${")".repeat(20_000)}`, "nested too deeply"],
  ["pasting for ever", `#define p(a, b) a ## b\n#define q(x) p(x, x)\nint ${"q(".repeat(20)}x${")".repeat(20)};`, ""],
  ["an array of everything", "int a[1ull << 62];", "elements"],
  ["a range of everything", "int a[] = { [0 ... 2000000000] = 1 };", ""],
  ["cases of everything", "int f(int x) { switch (x) { case 0 ... 2147483647: return 1; } return 0; }", ""],
  ["a member of itself", "struct s { struct s x; };", "has no size"],
  ["an enum of itself", "enum e { A = sizeof(enum e), B = A + B };", "B is not declared"],
  ["a type of itself", "typedef typeof(t) t;", "t is not declared"],
  ["a NUL in the text", "int x\0 = 1;", "\0"],
  ["a text without end", `int x = "${"a".repeat(1_000_000)}`, "no partner"],
  ["a comment without end", `/*${"*".repeat(1_000_000)}`, "comment without its end"],
  ["a long name", `int ${"a".repeat(1_000_000)};`, ""],
  ["a long number", `unsigned long x = ${"9".repeat(200_000)};`, "does not fit"],
  ["many errors", "x y z;\n".repeat(100_000), "there is no type x"],
];

describe("attacks", () => {
  test.each(attacks)(
    "%s",
    (_, text, message) => {
      let said = "";
      const took = timed(() => {
        said = parse(text, new KernelDeclarations()).diagnostics.format();
      });
      expect(said.slice(0, 2000)).toContain(message);
      expect(took).toBeLessThan(MOST_MS);
    },
    20_000,
  );

  test("headers that include each other", () => {
    const headers = headersOf({ "a.h": '#include "b.h"\n', "b.h": '#include "a.h"\n' });
    expect(parse('#include "a.h"', undefined, headers).diagnostics.format()).toContain("does one include itself?");
    const twice = headersOf({ "a.h": '#include "a.h"\n#include "a.h"\n' });
    expect(parse('#include "a.h"', undefined, twice).diagnostics.format()).toContain("does one include itself?");
  });

  test("a file of 10 MB", () => {
    const definition = (i: number): string =>
      `static int f${i}(int a, int b) { int c = a + b * ${i}; return c > 3 ? c : -c; }\n`;
    let text = "";
    for (let i = 0; text.length < 10_000_000; i++) text += definition(i);
    const took = timed(() => expect(parse(text).diagnostics.format()).toBe(""));
    expect(took).toBeLessThan(20_000);
  }, 120_000);
});
