/** What is said of programs that use the dialect wrongly. */
import { describe, expect, test } from "vitest";
import { REGISTERS, compile, complaint } from "./support.ts";

const F = "int f(struct pt_regs *ctx) {";

const wrong: readonly (readonly [string, string, string | RegExp])[] = [
  [
    "a method that the kind has not",
    `BPF_HASH(t); ${F} t.perf_submit(ctx, 0, 0); return 0; }`,
    't is of kind "hash": it has no perf_submit()',
  ],
  [
    "… with the kinds that have it",
    `BPF_HASH(t); ${F} return t.get_stackid(ctx, 0); }`,
    'tables of kind "stacktrace" have it',
  ],
  [
    "… within a macro, at its use",
    `#define ID(x) x.get_stackid(ctx, 0)\nBPF_HASH(t); ${F} return ID(t); }`,
    "expanded from macro 'ID'",
  ],
  ["a method that nobody has", `BPF_HASH(t); ${F} t.luokup(0); return 0; }`, "has no member luokup"],
  [
    "a key that is too short",
    `BPF_HASH(t, u64); ${F} u32 pid = 1; t.lookup(&pid); return 0; }`,
    "the table takes u64, 8 bytes: this is u32, 4 bytes",
  ],
  [
    "an array that is too short",
    `struct k { char c[16]; }; BPF_HASH(t, struct k); ${F} char c[8] = {}; t.lookup((void *)c); return 0; }`,
    "16 bytes: this is char [8], 8 bytes",
  ],
  [
    "a leaf that is too short",
    `BPF_HASH(t, u32, u64); ${F} u32 k = 1, v = 2; t.update(&k, &v); return 0; }`,
    "8 bytes: this is u32, 4 bytes",
  ],
  ["no pointer", `BPF_HASH(t, u64); ${F} struct s { int x; } k = {}; t.lookup(k); return 0; }`, "argument 1"],
  ["too few arguments", `BPF_HASH(t, u64); ${F} u64 k = 0; t.update(&k); return 0; }`, "takes 2 arguments"],
  [
    "counting a struct up",
    `struct s { int x; }; BPF_HASH(t, u64, struct s); ${F} t.increment(1); return 0; }`,
    "only integers can be counted up",
  ],
  [
    "counting short integers up atomically",
    `BPF_HASH(t, u64, u8); ${F} t.atomic_increment(1); return 0; }`,
    "integers of 4 or 8 bytes",
  ],
  ["a kind that there is not", `BPF_TABLE("hsah", u64, u64, t, 1); ${F} return 0; }`, 'there is no kind "hsah"'],
  [
    "a histogram of another leaf",
    `BPF_TABLE("histogram", int, u32, t, 1); ${F} return 0; }`,
    "histogram t counts in u64",
  ],
  ["an inner table that there is not", `BPF_ARRAY_OF_MAPS(t, "inner", 4); ${F} return 0; }`, "which is no table here"],
  ["entries that are not constant", `BPF_ARRAY(t, u64, n); ${F} return 0; }`, "n is not declared"],
  [
    "a call of a program",
    `int g(struct pt_regs *ctx) { return 1; }\n${F} return g(ctx); }`,
    "g is a program, as every function is that is not static",
  ],
  [
    "seven arguments",
    "int kprobe__x(struct pt_regs *ctx, int a, int b, int c, int d, int e, int f, int g) { return g; }",
    "registers hold 6 arguments",
  ],
  [
    "arguments without registers",
    "struct xdp_md { u32 data; }; int f(struct xdp_md *ctx, int a) { return a; }",
    "arguments are in registers",
  ],
  [
    "too many values for printk",
    `${F} bpf_trace_printk("%d %d %d %d", 1, 2, 3, 4); return 0; }`,
    "prints up to 3 values, here are 4",
  ],
  [
    "an argument of a probe that is not enabled",
    `${F} u64 v; bpf_usdt_readarg(1, ctx, &v); return 0; }`,
    "argument 1 of the static probes that f is enabled on is not known",
  ],
  ["a tracepoint that there is not", "TRACEPOINT_PROBE(no, such) { return args->x; }", "tracepoint no:such"],
  [
    "packets outside of packet programs",
    `#include <bcc/proto.h>\n${F} u8 *cursor = 0; struct ip_t *ip = cursor_advance(cursor, sizeof(*ip)); return ip->ttl; }`,
    "no struct __sk_buff * as its first parameter",
  ],
];

describe("wrong use", () => {
  test.each(wrong)("%s", (_, text, message) => {
    expect(complaint(`${REGISTERS}${text}`)).toContain(message);
  });
});

describe("what is only warned of", () => {
  test.each([
    [
      "a key of another struct",
      `struct a { int x; }; struct b { int x; }; BPF_HASH(t, struct a); ${F} struct b k = {}; t.lookup(&k); return 0; }`,
      "argument 1 of lookup: pointer to struct b where one to const struct a is wanted",
    ],
    [
      "a write to the kernel",
      `struct s { int x; }; int kprobe__f(struct pt_regs *ctx, struct s *s) { s->x = 1; return 0; }`,
      "programs cannot write there",
    ],
    [
      "a step there",
      `struct s { int x; }; int kprobe__f(struct pt_regs *ctx, struct s *s) { s->x++; return 0; }`,
      "programs cannot write there",
    ],
    ["values that nobody prints", `${F} bpf_trace_printk("%d", 1, 2); return 0; }`, "the format prints 1 of 2 values"],
    [
      "values that are missing",
      `${F} bpf_trace_printk("%d %s"); return 0; }`,
      "the format prints 2 values, here are 0",
    ],
    ["a conversion that the kernel has not", `${F} bpf_trace_printk("%q", 1); return 0; }`, "no conversion %q"],
    [
      "inserting into an array",
      `BPF_ARRAY(t); ${F} int k = 0; u64 v = 0; t.insert(&k, &v); return 0; }`,
      "insert() changes nothing",
    ],
  ])("%s", (_, text, message) => {
    expect(compile(`${REGISTERS}${text}`).diagnostics.format()).toContain(message);
  });
});
