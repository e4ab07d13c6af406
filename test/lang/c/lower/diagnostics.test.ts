/** What lowering refuses or warns of, with the place. */
import { expect, test } from "vitest";
import { CompileError } from "../../../../src/lang/c/diagnostics.ts";
import { lowerC } from "../../../../src/lang/c/compile.ts";
import { programText } from "./program.ts";

function messages(text: string): string {
  try {
    return lowerC({ name: "case.bpf.c", text: programText(text) }).diagnostics.format();
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
}

const table: readonly (readonly [string, string])[] = [
  ["double d = a; return d;", "eBPF has no floating-point numbers"],
  ["__int128 x = a; return x * x;", "error: eBPF cannot compute with 128-bit integers"],
  [
    "long (*f)(long) = a ? (void *)1 : (void *)a; return f(b);",
    "error: eBPF calls functions that are known when it is compiled",
  ],
  ["u8 x = a; return __sync_fetch_and_add(&x, 1);", "eBPF has atomic operations of 4 and 8 bytes, not of 1"],
  ["u64 x = a; return __sync_fetch_and_nand(&x, 1);", "error: eBPF has no instruction for __sync_fetch_and_nand"],
  ["int x; return x;", "warning: x is read, and nothing is ever put into it"],
  ["return a / 0;", "warning: division by zero: the verifier refuses it"],
  ["int x = a; x %= 0; return x;", "warning: division by zero"],
  [
    "static int *f(void) { int x = 1; return &x; }\n--- return *f();",
    "warning: the address of a local variable is returned",
  ],
  ["static int f(int x) { if (x) return 1; }\n--- return f(a);", "warning: f may end here without a value"],
  [
    "char x[4]; __builtin_memcpy(x, &a, 4); return __builtin_strlen(x);",
    "error: strlen is known for strings in quotes only",
  ],
  ["char x[4], y[4]; return __builtin_strcmp(x, y);", "error: strcmp needs a constant that bounds it"],
  ['lab: asm goto("goto %l0" : : : : lab); return 1;', "error: asm goto"],
  [
    'int x; asm volatile("%3 = 1" : "=r"(x)); return x;',
    "error: the assembly names the operand %3, which it does not have",
  ],
  ['struct { int v[9]; } s = {}; asm volatile("" : : "r"(s)); return 1;', "a register holds no struct or array"],
  [
    "#pragma unroll\nfor (int i = 0; i < b; i++) a++; return a;",
    "warning: this loop is not unrolled: how often it runs is not constant",
  ],
  ["return __builtin_preserve_field_info(a, 0);", "error: __builtin_preserve_field_info asks about a member"],
  ["return __builtin_preserve_enum_value(*(int *)1, 0);", "error: __builtin_preserve_enum_value asks about an enum"],
  ["u64 x = a; s64 y = b; s64 r; return __builtin_add_overflow(x, y, &r);", "must all be signed or all unsigned"],
  [
    "static long (*const h)(long, long, long, long, long, long) = (void *)6;\n--- return h(a, b, 1, 2, 3, 4);",
    "error: 6 arguments: the kernel's functions take up to 5",
  ],
];

test.each(table)("%s", (text, message) => {
  expect(messages(text)).toContain(message);
});

test.each([" + a", ", a", " && a", " ? a : a", " << a"])("a chain of %s is answered, however long", (link) => {
  for (const times of [1000, 30_000]) {
    const text = messages(`return a${link.repeat(times)};`);
    expect(text === "" || text.includes("nested more than")).toBe(true);
  }
});

test.each([
  "int x; int *p = &x; *p = 3; return x;",
  "int x; if (a) x = 1; else x = 2; return x;",
  "static int f(int x) { while (1) { if (x) return 1; x++; } }\n--- return f(a);",
  "static int f(int x) { switch (x) { case 1: return 1; default: return 2; } }\n--- return f(a);",
  "static int f(int x) { if (x) return 1; __builtin_unreachable(); }\n--- return f(a);",
  "int i; for (i = 0; i < 3; i++) ; return i;",
])("no warning: %s", (text) => {
  expect(messages(text)).toBe("");
});
