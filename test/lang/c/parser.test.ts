import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FunctionDecl, Initializer, Stmt } from "../../../src/lang/c/ast.ts";
import { constantInteger } from "../../../src/lang/c/constant.ts";
import { typeText } from "../../../src/lang/c/types/types.ts";
import { Elf } from "../../../src/object/index.ts";
import { describeWith } from "../../support/needs.ts";
import { parse } from "./support.ts";

const declarations = `
typedef unsigned int u32; typedef unsigned long long u64; typedef signed char s8;
struct point { int x; short y; char tag[6]; };
struct bits { unsigned a : 3; int b : 5; u64 c : 40; _Bool d : 1; };
union word { u32 whole; unsigned char bytes[4]; struct { unsigned short low, high; }; };
struct outer { struct point p[3]; union { long l; struct { int m, n; }; }; char rest[]; };
enum small { A, B = 5, C }; enum wide { W = 1ull << 40 };
typedef int (*callback)(struct point *, const char *, ...);
extern int array[4][7]; extern const volatile u32 cv; extern struct outer o, *po; extern struct bits b; extern union word w;
extern callback cb; extern int f(int, long); extern void *vp; extern char c; extern unsigned char uc; extern short s; extern _Bool flag;
static const int seven = 7;
`;

/** Constant expressions and their values. */
const constants: readonly (readonly [string, bigint])[] = [
  ["1 + 2 * 3 - 4 / 2 % 2", 7n],
  ["-7 / 2", -3n],
  ["-7 % 3", -1n],
  ["(unsigned char)300", 44n],
  ["(signed char)200", -56n],
  ["-1 < 0u", 0n],
  ["-1L < 0u", 1n],
  ["~0u == 4294967295", 1n],
  ["1u << 31 >> 31", 1n],
  ["-8 >> 1", -4n],
  ["0x7fffffff + 1u", 2147483648n],
  ["(int)3000000000u", -1294967296n],
  ["sizeof(struct point)", 12n],
  ["sizeof(struct bits)", 8n],
  ["sizeof(struct outer)", 48n],
  ["sizeof(union word)", 4n],
  ["_Alignof(struct outer)", 8n],
  ["__builtin_offsetof(struct outer, p[2].y)", 28n],
  ["__builtin_offsetof(struct outer, n)", 44n],
  ["(unsigned long)&((struct outer *)0)->p[1].tag[2]", 20n],
  ["sizeof array", 112n],
  ["sizeof array[0]", 28n],
  ["sizeof *array[0]", 4n],
  ['sizeof "abc" "de"', 6n],
  ["sizeof('a')", 4n],
  ["'\\377'", -1n],
  ["B + C", 11n],
  ["W >> 40", 1n],
  ["sizeof(enum wide)", 8n],
  ["1 ? 2 : 3 ? 4 : 5", 2n],
  ["0 ?: 9", 9n],
  ["!5 || (3 && 0) || 2", 1n],
  ["sizeof(c + c)", 4n],
  ["sizeof(1 ? c : 1L)", 8n],
  ["sizeof(char[seven])", 7n],
  ["seven * 2", 14n],
  ["_Generic(1UL, int: 1, unsigned long: 2, default: 3)", 2n],
  ["_Generic(&c, char *: 1, default: 2)", 1n],
  ["__builtin_types_compatible_p(u32, unsigned int)", 1n],
  ["__builtin_types_compatible_p(char, signed char)", 0n],
  ["__builtin_choose_expr(1, 5, vp)", 5n],
  ["__builtin_constant_p(3 + 4)", 1n],
  ["__builtin_bswap32(0x01020304)", 0x04030201n],
  ["__builtin_bswap16(0x0102)", 0x0201n],
  ["__builtin_popcount(0xf0f)", 8n],
  ["__builtin_clz(1)", 31n],
  ["__builtin_ctzll(256)", 8n],
  ["(int)(2.5 * 4)", 10n],
  ["(int)1e3", 1000n],
  ["sizeof(struct { int a : 3; int : 0; int b : 2; })", 8n],
  ["sizeof(struct __attribute__((packed)) { char a; long b; })", 9n],
  ["sizeof(struct { char a; } __attribute__((aligned(16))))", 16n],
  ["sizeof(int[]){1, 2, [9] = 3}", 40n],
];

/** Expressions and their types. */
const types: readonly (readonly [string, string])[] = [
  ["c + c", "int"],
  ["uc << 1", "int"],
  ["1u + 1", "unsigned int"],
  ["1u + 1L", "long"],
  ["1UL + 1LL", "unsigned long long"],
  ["0xffffffff", "unsigned int"],
  ["4294967296", "long"],
  ["0x8000000000000000", "unsigned long"],
  ["s * 1L", "long"],
  ["b.a + 0", "int"],
  ["&o.p[1]", "struct point *"],
  ["po->p", "struct point [3]"],
  ["po->p + 1", "struct point *"],
  ["*po->p", "struct point"],
  ["&array", "int (*)[4][7]"],
  ["array + 1", "int (*)[7]"],
  ["array[1] - array[0]", "long"],
  ["1 ? vp : &c", "void *"],
  ["1 ? 0 : po", "struct outer *"],
  ["cb", "int (*)(struct point *, const char *, ...)"],
  ["f", "int (int, long)"],
  ["&f", "int (*)(int, long)"],
  ["*f", "int (int, long)"],
  ["f(1, 2)", "int"],
  ['cb(o.p, "", 3)', "int"],
  ["flag + flag", "int"],
  ["!po", "int"],
  ["w.low", "unsigned short"],
  ["(char)1", "char"],
  ["c = 300", "char"],
  ["c++", "char"],
  ["(c, 1L)", "long"],
  ["({ int x = 1; x + 1L; })", "long"],
  ["sizeof c", "unsigned long"],
  ["(struct point){ .y = 1 }", "struct point"],
  ['"text"', "char [5]"],
  ["A", "int"],
  ["__sync_fetch_and_add(&po->l, 1)", "long"],
  ["__builtin_preserve_access_index(&po->m)", "int *"],
];

function inFunction(statement: string): string {
  return `${declarations}\nvoid test(void) { ${statement} }`;
}

describe("expressions", () => {
  test.each(constants)("%s is %d", (text, value) => {
    const { unit, diagnostics } = parse(`${declarations}\nlong long result = ${text};`);
    expect(diagnostics.format()).toBe("");
    const initializer = unit!.variables.find(({ name }) => name === "result")!.initializer!;
    expect(initializer.kind === "value" ? constantInteger(initializer.value) : undefined).toBe(value);
  });

  test.each(types)("%s is of type %s", (text, type) => {
    const { diagnostics } = parse(
      inFunction(`_Static_assert(__builtin_types_compatible_p(__typeof__(${text}), __typeof__(${type})), "");`),
    );
    expect(diagnostics.format()).toBe("");
  });
});

describeWith(["clang"], "beside clang", () => {
  test("constants and types are what clang says they are", () => {
    const asserts = types.map(
      ([text, type]) => `_Static_assert(__builtin_types_compatible_p(__typeof__(${text}), __typeof__(${type})), "");`,
    );
    // clang folds more in initialisers than in assertions, but no arrays at the file's level.
    const values = constants
      .map(([text, value], i) => ({ name: `v${i}`, text, value }))
      .filter(({ text }) => !text.includes("[seven]"));
    const input = `${inFunction(asserts.join("\n"))}\n${values.map(({ name, text }) => `long long ${name} = ${text};`).join("\n")}`;
    const folder = mkdtempSync(join(tmpdir(), "skep-c-"));
    try {
      const object = join(folder, "a.o");
      const args = ["-target", "bpf", "-w", "-std=gnu11", "-c", "-x", "c", "-", "-o", object];
      expect(spawnSync("clang", args, { input, encoding: "utf8" }).stderr).toBe("");
      const elf = Elf.parse(readFileSync(object));
      for (const { name, text, value } of values) {
        const symbol = elf.findSymbol(name)!;
        const section = elf.sections[symbol.sectionIndex]!;
        // What is zero has no bytes in the file.
        const bytes =
          section.name === ".bss" ? new Uint8Array(8) : elf.sectionData(section).slice(Number(symbol.value));
        expect([text, new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true)]).toEqual([text, value]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(parse(input).diagnostics.format()).toBe("");
  });
});

/** An initialiser as places and values. */
function flat(initializer: Initializer | undefined): string {
  if (initializer === undefined) return "none";
  if (initializer.kind === "value") return String(constantInteger(initializer.value));
  return initializer.values
    .map(({ bitOffset, bitWidth, value }) => {
      const shown =
        value.kind === "string"
          ? JSON.stringify(new TextDecoder().decode(value.bytes.slice(0, -1)))
          : constantInteger(value);
      return `${bitOffset / 8}${bitWidth === undefined ? "" : `:${bitWidth}`}=${shown}`;
    })
    .join(" ");
}

describe("initialisers", () => {
  test.each<[string, string]>([
    ["int v = 3", "3"],
    ["int v[] = {1, 2, 3}", "0=1 4=2 8=3"],
    ["int v[2][2] = {1, 2, 3}", "0=1 4=2 8=3"],
    ["int v[2][2] = {{1}, {2, 3}}", "0=1 8=2 12=3"],
    ['struct point v = {1, 2, "ab"}', '0=1 4=2 6="ab"'],
    ["struct point v = {.y = 2, .x = 1}", "4=2 0=1"],
    ["struct point v[] = {[2].x = 9, {1}}", "24=9 28=1"],
    ['struct point v[] = {1, 2, "a", 3}', '0=1 4=2 6="a" 12=3'],
    ["int v[8] = {[1 ... 3] = 4, 5}", "4=4 8=4 12=4 16=5"],
    ["struct bits v = {1, -2, 3}", "0:3=1 0.375:5=-2 1:40=3"],
    ["union word v = {.bytes = {1, 2}}", "0=1 1=2"],
    ["union word v = {5}", "0=5"],
    ["struct outer v = {.n = 4, .p[1] = {7}}", "44=4 12=7"],
    ['char v[] = "hi"', '0="hi"'],
    ['char v[] = {"hi"}', '0="hi"'],
    ["struct point v = {}", ""],
    ["struct point v = {x: 1, y: 2}", "0=1 4=2"],
    ['struct outer v = {.p = {[0] = {1}, [2] = {.tag = "z"}}, .m = 3}', '0=1 30="z" 40=3'],
  ])("%s", (text, places) => {
    const { unit, diagnostics } = parse(`${declarations}\n${text};`);
    expect(diagnostics.format()).toBe("");
    expect(flat(unit!.variables.find(({ name }) => name === "v")!.initializer)).toBe(places);
  });

  test("arrays without a size get it", () => {
    const { unit } = parse(
      'int a[] = {1, 2, 3}; char s[] = "four"; int d[] = {[9] = 1}; struct { int x; } r[] = {{1}, {2}};',
    );
    expect(unit!.variables.map(({ type }) => typeText(type))).toEqual(
      ["int [3]", "char [5]", "int [10]", "struct (anonymous) [2]"]
        .map((t) => t.replace(" [", "["))
        .map(
          (t) =>
            expect.stringMatching(
              new RegExp(`^${t.replace(/[()[\]]/g, "\\$&").replace("\\[", " ?\\[")}$`),
            ) as unknown as string,
        ),
    );
  });
});

describe("programs", () => {
  const program = `
${declarations}
static __attribute__((noinline)) int helper(struct point *p, u32 n);
int __attribute__((section("xdp"), used)) entry(void *ctx) {
  struct point local = { .x = n_of(ctx), };
  u64 key = 0, *value;
  goto check;
again:
  for (int i = 0, j = 10; i < j; i++, j--) {
    if (i == 3) continue;
    switch (i) { case 1 ... 2: key += i; break; case 9: case 10: return 1; default: key--; }
  }
check:
  value = bpf_map_lookup_elem(&map, &key);
  if (!value) return helper(&local, 3);
  do { __sync_fetch_and_add(value, 1); } while (*value < 3 && key);
  while (key) { if (--key == 5) goto again; }
  asm volatile("%[r] = 1" : [r]"=r"(key) : "r"(local.x) : "memory", "r1");
  return 0;
}
static int helper(struct point *p, u32 n) { return p->x + (int)n; }
`.replace("{ .x = n_of(ctx), }", "{ .x = (int)(long)ctx, }");

  test("statements are read whole", () => {
    const { unit, diagnostics } = parse(
      program.replace("static __attr", "extern struct { int x; } map;\nstatic __attr"),
    );
    expect(diagnostics.format()).toBe("");
    const entry = unit!.functions.find(({ name }) => name === "entry") as FunctionDecl;
    expect(entry.attributes).toMatchObject({ section: "xdp", used: true });
    expect(unit!.functions.find(({ name }) => name === "helper")).toMatchObject({
      storage: "static",
      attributes: { inline: "never" },
    });
    expect(entry.body!.statements.map(({ kind }) => kind)).toEqual([
      "declaration",
      "declaration",
      "declaration",
      "goto",
      "label",
      "label",
      "if",
      "do",
      "while",
      "asm",
      "return",
    ]);
    const loop = (entry.body!.statements[4] as Stmt & { kind: "label" }).statement as Stmt & { kind: "for" };
    expect(loop.initial).toHaveLength(2);
    expect(unit!.functions.find(({ name }) => name === "bpf_map_lookup_elem")).toBeUndefined();
  });

  test("pragmas and attributes of headers take effect", () => {
    const { unit, diagnostics } = parse(`
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
struct task { int pid; };
#pragma clang attribute pop
struct mine { int pid; };
#pragma pack(push, 1)
struct tight { char a; int b; };
#pragma pack(pop)
struct loose { char a; int b; };
struct task t; struct mine m; struct tight p; struct loose l;
_Static_assert(sizeof(struct tight) == 5 && sizeof(struct loose) == 8, "pack");
void f(void) {
#pragma unroll
  for (int i = 0; i < 4; i++) ;
  for (int i = 0; i < 4; i++) ;
}`);
    expect(diagnostics.format()).toBe("");
    const record = (name: string): unknown => unit!.variables.find((v) => v.name === name)!.type;
    expect(record("t")).toMatchObject({ preserveAccessIndex: true });
    expect(record("m")).toMatchObject({ preserveAccessIndex: false });
    const loops = unit!.functions[0]!.body!.statements as (Stmt & { kind: "for" })[];
    expect(loops.map(({ unroll }) => unroll)).toEqual([true, false]);
  });

  test("types and constants come from outside when the program names them", () => {
    const asked: string[] = [];
    const { diagnostics } = parse("pid_like p = LIMIT; int size = sizeof(struct thing);", {
      ordinary(name) {
        asked.push(name);
        if (name === "pid_like")
          return {
            kind: "typedef",
            type: { kind: "integer", name: "int", bits: 32, signed: true, rank: 3 },
            location: 0,
          };
        if (name === "LIMIT")
          return {
            kind: "constant",
            value: 9n,
            type: { kind: "integer", name: "int", bits: 32, signed: true, rank: 3 },
            location: 0,
          };
        return undefined;
      },
      record: () => undefined,
      enumeration: () => undefined,
      nearest: () => ["thing_like"],
    });
    expect(asked).toEqual(["pid_like", "LIMIT"]);
    expect(diagnostics.format()).toContain("struct thing is not defined: its size is not known");
  });
});

const mistakes: readonly (readonly [string, string])[] = [
  ["int f(void) { return 1 }", "main.c:1:23: error: ; is missing behind return, here is }"],
  ["int f(void) { return x; }", "main.c:1:22: error: x is not declared"],
  ["int count; int f(void) { return cuont; }", "did you mean count?"],
  [
    "struct p { int width; }; int f(struct p *p) { return p->widht; }",
    "main.c:1:57: error: struct p has no member widht\n",
  ],
  ["struct p { int x; }; int f(struct p *p) { return p.x; }", "use -> instead"],
  ["struct p { int x; }; int f(struct p p) { return p->x; }", "use . instead"],
  ["int g(int a); int f(void) { return g(1, 2); }", "main.c:1:41: error: g takes 1 argument, here are 2"],
  ["struct q; int f(struct q *p) { return p->x; }", "struct q is declared, but not defined"],
  ["int f(void) { int n = f(); int a[n]; return 0; }", "eBPF has no arrays whose size is known only at run time"],
  ["double d; double f(void) { return d * 2; }", "eBPF has no floating-point numbers"],
  ["int f(int a, ...) { return a; }", "takes any number of arguments"],
  ["int f(void) { goto end; ende: return 0; }", "there is no label end in f"],
  ["int f(void) { break; return 0; }", "break outside of a loop or switch"],
  ["int f(int x) { switch (x) { case 1: case 1: return 2; } return 0; }", "case 1 is there already"],
  ["int f(void) { const int x = 1; x = 2; return x; }", "what stands on the left is const"],
  ["int f(void) { 1 = 2; return 0; }", "what stands on the left cannot be assigned to"],
  ["int x; int x(void);", "x is declared already, as something else"],
  ["int f(void) { return 0; } int f(void) { return 1; }", "f is defined already"],
  ["strcut p { int x; };", "main.c:1:1: error: there is no type strcut\n"],
  ["struct p { int x; int x; };", "struct p has two members x"],
  ["struct p { int x : 40; };", "a bitfield of int cannot have 40 bits"],
  ["int a[2] = {1, 2, 3};", "more values than int [2] has room for"],
  ["struct p { int x; }; struct p v = {.y = 1};", "struct p has no member y"],
  ["int f(int *p) { return *p + p; }", "result of f: the pointer int * becomes the integer int"],
  ['_Static_assert(sizeof(int) == 8, "ints are small");', "ints are small"],
  ['int f(void) { return "a; }', "has no partner on its line"],
  ["int g(void); int x = g();", "the initialiser of x is not constant"],
  ["void f(void) { &&label; label:; }", "eBPF has no jumps to computed places"],
  ["int f(void) { if (1) { return 0; ", "this brace is not closed"],
  ["long f(void) { return bpf_get_current_pid_tgdi(); }", "bpf_get_current_pid_tgdi is not declared"],
];

describe("mistakes", () => {
  test.each(mistakes)("%s", (text, message) => {
    expect(parse(text).diagnostics.format()).toContain(message);
  });

  test("nesting has an end", () => {
    expect(parse(`int x = ${"(".repeat(100_000)}1;`).diagnostics.format()).toContain("nested more than 1000 deep");
    expect(parse(`int ${"*".repeat(100_000)}x;`).diagnostics.format()).toContain("nested more than 1000 deep");
    expect(parse(`int x = ${"-".repeat(100_001)}1;`).diagnostics.format()).toContain("nested more than 1000 deep");
    expect(parse(`void f(void) ${"{".repeat(100_000)}`).diagnostics.format()).toContain("nested more than 1000 deep");
  });

  test("tokens in any order are answered, not crashed on", () => {
    const pieces =
      "int struct x y p { } ( ) [ ] ; , = * & . -> + - ! ~ ? : 1 2 \"s\" 'c' if else for while do switch case default return goto break typedef static extern const sizeof _Generic __builtin_offsetof __attribute__((packed)) enum union ... asm typeof ({ }) 1.5 ## # \n __sync_fetch_and_add __builtin_memcpy _Static_assert T void".split(
        " ",
      );
    let seed = 4242;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 2000; round++) {
      let text = "typedef int T; struct x { int y; }; ";
      for (let i = random(50); i >= 0; i--) text += `${pieces[random(pieces.length)]} `;
      expect(() => parse(text), text).not.toThrow();
    }
  });
});
