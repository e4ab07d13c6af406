import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { describeWith } from "../../support/needs.ts";
import { parse } from "./support.ts";
import { wrongPrograms } from "./wrong-programs.ts";

/** Line and column of the first message of a program. */
function place(text: string): string {
  const { diagnostics } = parse(text);
  const first = diagnostics.messages.find(({ severity }) => severity === "error") ?? diagnostics.messages[0]!;
  const { line, column } = diagnostics.sources.place(first.location);
  return `${line}:${column}`;
}

/** Where clang names the statement or the declaration, and the place here is that of the value in it. */
const nearer: readonly string[] = [
  "struct s { int x; }; int f(struct s a) { if (a) return 1; return 0; }",
  "struct s { int x; }; int f(void) { struct s a = 3; return a.x; }",
  "int n; int a[n];",
];

describe("what is wrong is said", () => {
  test.each(wrongPrograms)("%s", (text, message) => expect(parse(text).diagnostics.format()).toContain(message));

  test.each([
    ["float f(float a, float b) { return a * b; }", "eBPF has no floating-point numbers", "scale"],
    ["double d = 1.5; int f(void) { return d + 1; }", "eBPF has no floating-point numbers", "scale"],
    ["int f(float a) { if (a) return 1; return 0; }", "eBPF has no floating-point numbers", "scale"],
    ["int f(int n) { int a[n]; return a[0]; }", "eBPF has no arrays whose size is known only at run time", "largest"],
    ["int f(int n, ...) { return n; }", "any number of arguments", "array"],
    ["int f(void) { int g(int x) { return x; } return g(1); }", "a function within a function cannot be", "static"],
    ["int f(void) { void *p = &&out; goto *p; out: return 0; }", "no jumps to computed places", "switch"],
    ["int f(void *p) { goto *p; }", "no jumps to computed places", "switch"],
    ["__thread int x;", "eBPF has no variables of a thread", "BPF_MAP_TYPE_PERCPU_ARRAY"],
    ["_Thread_local int x;", "eBPF has no variables of a thread", "BPF_MAP_TYPE_PERCPU_ARRAY"],
    ["_Complex double c;", "is no type", ""],
    ["int f(int n) { return __builtin_alloca(n) != 0; }", "__builtin_alloca is not declared", ""],
  ])("%s is not supported", (text, message, hint) => {
    const { diagnostics } = parse(text);
    const found = diagnostics.messages.find((m) => m.message.includes(message));
    expect(found, diagnostics.format()).toBeDefined();
    expect(found!.hint ?? "").toContain(hint);
  });
});

describeWith(["clang"], "beside clang", () => {
  test.each(wrongPrograms.filter(([text]) => !nearer.includes(text)))("%s", (text) => {
    const args = ["-target", "bpf", "-fsyntax-only", "-std=gnu11", "-x", "c", "-"];
    const { stderr } = spawnSync("clang", args, { input: text, encoding: "utf8" });
    const [, said] =
      /^<stdin>:(\d+:\d+): (?:fatal )?error: /m.exec(stderr) ?? /^<stdin>:(\d+:\d+): warning: /m.exec(stderr) ?? [];
    expect(said, stderr).toBeDefined();
    expect(place(text)).toBe(said);
  });
});
