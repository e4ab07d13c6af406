import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import type { RecordType } from "../../../src/lang/c/types/types.ts";
import { typeText } from "../../../src/lang/c/types/types.ts";
import { Diagnostics } from "../../../src/lang/c/diagnostics.ts";
import { NameTable } from "../../../src/lang/c/names.ts";
import type { Declared } from "../../../src/lang/c/parser/scope.ts";
import { UnitParser } from "../../../src/lang/c/parser/unit.ts";
import { predefinedMacros } from "../../../src/lang/c/preprocessor/predefined.ts";
import { Preprocessor } from "../../../src/lang/c/preprocessor/preprocessor.ts";
import { SourceMap } from "../../../src/lang/c/source-map.ts";
import { describeWith } from "../../support/needs.ts";
import { headersOf, parse } from "./support.ts";

/** What makes a header large enough that bodies are passed over. */
const padding = `${"/* padding */\n".repeat(20_000)}`;

function declarations(text: string, header: string): { declared: Declared; messages: string } {
  const sources = new SourceMap();
  const diagnostics = new Diagnostics(sources);
  const names = new NameTable();
  const preprocessor = new Preprocessor("main.c", text, {
    sources,
    diagnostics,
    names,
    headers: headersOf({ "large.h": header }),
    prelude: predefinedMacros(),
  });
  const declared = new UnitParser(preprocessor, diagnostics, names, undefined).declarations();
  return { declared, messages: diagnostics.format() };
}

/** Members of a record with their places, those of anonymous ones too. */
function layout(record: RecordType): string {
  const body = record.contents;
  if (body === undefined) return "undefined";
  const fields = body.fields.map((field) => {
    const { type } = field;
    const inner = type.kind === "record" && type.tag === undefined ? layout(type) : "";
    return `${field.name ?? ""}@${field.bitOffset}:${field.bitWidth ?? ""} ${typeText(type)}${inner}`;
  });
  return `${body.size}/${body.align}/${record.preserveAccessIndex} { ${fields.join("; ")} }`;
}

/** Everything that a file declares, by name. */
function summary({ declared, messages }: ReturnType<typeof declarations>): Map<string, string> {
  const all = new Map<string, string>([["messages", messages]]);
  for (const [name, type] of declared.tags) {
    const body =
      type.kind === "record" ? layout(type) : `${type.contents?.underlying.name} ${type.contents?.constants.length}`;
    all.set(`${type.kind} ${name.text}`, body);
  }
  // Constants are there once their enums have been looked into.
  for (const [name, binding] of declared.ordinary)
    all.set(
      name.text,
      binding.kind === "constant"
        ? `${binding.value} ${typeText(binding.type)}`
        : `${binding.kind} ${typeText(binding.type)}`,
    );
  return all;
}

/** Parsed where it stands, and as a large header whose bodies are passed over. */
function same(text: string): void {
  const eager = summary(declarations(text, ""));
  const lazy = summary(declarations('#include "large.h"', padding + text));
  expect(lazy).toEqual(eager);
}

describe("bodies of large headers", () => {
  test.each([
    ["plain", "struct a { int x; char y[3]; }; union b { struct a a; long l; }; enum e { A, B = 5, C, D = -1 };"],
    ["forward", "struct a; struct b { struct a *p; struct b *next; }; struct a { struct b b; };"],
    [
      "anonymous members",
      "struct a { int x; struct { int y; union { long l; char c; }; }; struct { int z; } in[2]; };",
    ],
    ["bitfields", "struct a { unsigned x : 3; long : 0; int y : 5; long : 64; _Bool b : 1; };"],
    [
      "attributes behind",
      "struct a { char c; int x; } __attribute__((packed)); struct b { char c; } __attribute__((aligned(32)));",
    ],
    [
      "pragmas",
      "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\nstruct a { int x; };\n#pragma clang attribute pop\n#pragma pack(push, 1)\nstruct b { char c; int x; };\n#pragma pack(pop)\nstruct c { char c; int x; };",
    ],
    [
      "macros within",
      "#define COUNT 4\n#define MEMBER int m\nstruct a { MEMBER; int x[COUNT]; }; enum e { X = COUNT, Y };",
    ],
    ["tags within", "struct a { struct inner { int x; } i; enum inside { P, Q } e; }; struct inner v; int n[Q + 1];"],
    [
      "typedefs",
      "typedef struct { int x; } t; typedef enum { U, V } u; typedef struct a { t x; u y; } a_t; struct b { a_t a; };",
    ],
    [
      "function pointers",
      "struct a { int (*f)(struct a *, int (*)(void)); void *(*g)(void)[3]; };".replace(
        "void *(*g)(void)[3];",
        "void *(*g[3])(void);",
      ),
    ],
    [
      "comments and texts",
      "struct a { int x; /* } */ int y; }; struct b { int x; // }\n int y; }; enum e { M /* , */, N };",
    ],
    ["flexible arrays", "struct a { int n; char data[]; }; struct b { int n; char data[0]; };"],
    [
      "64-bit constants",
      "enum e { BIG = 1ULL << 40 }; enum f { HUGE = 0xffffffffffffffff }; enum g { NEGATIVE = -5 };",
    ],
    ["values of other constants", "enum e { E1 = 3, E2 = E1, E3 = E2 + 1 }; struct s { int a[E3]; };"],
  ])("%s", (_, text) => same(text));

  test("are read within functions as at the file's level", () => {
    const header = `${padding}typedef int T; enum { N = 3 }; struct a { T x[N]; struct b *b; }; struct b { T y; };`;
    const text =
      '#include "large.h"\nint f(struct a *p) { long T = 1, N = 2; struct b { char z; } v = { 1 }; return p->x[2] + p->b->y + T + N + v.z; }';
    expect(parse(text, undefined, headersOf({ "large.h": header })).diagnostics.format()).toBe("");
  });

  test("macros that come later change nothing", () => {
    const header = `${padding}struct a { int x; };`;
    const text = '#include "large.h"\n#define x y\n#define int long\nlong f(struct a *p) { return p->y; }';
    // The member is still x, which the macro makes unreachable.
    expect(parse(text, undefined, headersOf({ "large.h": header })).diagnostics.format()).toContain("has no member y");
  });

  test("a program's own definition of a constant is refused", () => {
    const text = '#include "large.h"\nenum { A = 1 };';
    const { diagnostics } = parse(text, undefined, headersOf({ "large.h": `${padding}enum e { A, B };` }));
    expect(diagnostics.format()).toContain("A is declared already");
  });

  test("mistakes within are said when they are looked into", () => {
    const header = `${padding}struct a { int x; nonsense y; };`;
    const run = (text: string): string =>
      parse(`#include "large.h"\n${text}`, undefined, headersOf({ "large.h": header })).diagnostics.format();
    expect(run("int x = sizeof(struct a);")).toContain("there is no type nonsense");
    expect(run("struct a *p;")).toBe("");
  });
});

describeWith(["bpftool", "vmlinuxBtf"], "this kernel's vmlinux.h", () => {
  test("means the same whether bodies are read at once or not", () => {
    const options = { encoding: "utf8", maxBuffer: 64 << 20 } as const;
    const text = execFileSync("bpftool", ["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"], options);
    const eager = summary(declarations(text, ""));
    const lazy = summary(declarations('#include "large.h"', text));
    expect(eager.get("messages")).toBe("");
    expect(eager.size).toBeGreaterThan(10_000);
    expect(lazy.size).toBe(eager.size);
    const different = [...eager].filter(([name, value]) => lazy.get(name) !== value);
    expect(different).toEqual([]);
  }, 120_000);
});
