/** Arguments of probes: registers, registers behind registers, operands of static probes. */
import { describe, expect, test } from "vitest";
import { disassemble } from "../../../../src/isa/index.ts";
import type { UsdtArgument } from "../../../../src/object/index.ts";
import { REGISTERS, compile } from "./support.ts";
import type { CCompileOptions } from "../../../../src/lang/c/index.ts";

/** The instructions of a program's only function, without numbers. */
function code(text: string, options: CCompileOptions = {}): string[] {
  const { object } = compile(`${REGISTERS}${text}`, options);
  return disassemble(object.programs[0]!.code)
    .trim()
    .split("\n")
    .map((line) => line.replace(/^\s*\d+:\s*(?:[0-9a-f]{2}\s)*\s*/, "").trim());
}

/** Byte offsets in `struct pt_regs` of x86-64. */
const DI = 112;
const SI = 104;
const CX = 88;
const R9 = 64;
const R10 = 56;

describe("arguments of functions", () => {
  test.each([
    ["the second", "int kprobe__f(struct pt_regs *ctx, int a, long b) { return b; }", [SI]],
    ["the sixth", "int kprobe__f(struct pt_regs *ctx, int a, int b, int c, int d, int e, int g) { return g; }", [R9]],
    ["none that is not used", "int kprobe__f(struct pt_regs *ctx, int a, long b) { return 1; }", []],
    ["of a function that is attached by hand", "int any(struct pt_regs *ctx, u64 a) { return a; }", [DI]],
    ["by the macros", "int f(struct pt_regs *ctx) { return PT_REGS_PARM4(ctx); }", [CX]],
  ])("%s", (_, text, offsets) => {
    const loads = code(text).filter((line) => line.includes("(r1 "));
    expect(loads.map((line) => Number(/r1 \+ ?(\d+)/.exec(line)?.[1]))).toEqual(offsets);
  });

  test("of a system call: registers that the context points to, the fourth in r10", () => {
    const lines = code("int syscall__x(struct pt_regs *ctx, int a, int b, int c, long d) { return d; }");
    const text = lines.join("\n");
    expect(text).toContain(`(r1 +${DI})`);
    expect(text).toMatch(new RegExp(`r3 \\+= ${R10}`));
    expect(lines.filter((line) => line.startsWith("call"))).toHaveLength(1);
  });

  test("before Linux 4.17 they are in the context", () => {
    const text = "int syscall__x(struct pt_regs *ctx, int a, int b, int c, long d) { return d; }";
    const lines = code(text, { kernelVersion: [4, 16, 0] });
    expect(lines.join("\n")).toContain(`(r1 +${R10})`);
    expect(lines.filter((line) => line.startsWith("call"))).toHaveLength(0);
  });
});

const shared = { isFloat: false, text: "" };
const rdi = { name: "rdi", offset: DI };
const rsi = { name: "rsi", offset: SI };

/** Operands of static probes with instructions that reading them takes. */
const operands: readonly (readonly [string, UsdtArgument, string, readonly RegExp[]])[] = [
  ["a register", { ...shared, kind: "register", register: rdi, size: 8, isSigned: false }, "u64", [/r1 \+ ?112/]],
  [
    "its lower half, with a sign",
    { ...shared, kind: "register", register: rdi, size: 4, isSigned: true },
    "s64",
    [/r1 \+ ?112/, /s>>= 32|\(s32\)/],
  ],
  [
    "its second byte",
    { ...shared, kind: "register", register: { name: "rdi", offset: DI + 1 }, size: 1, isSigned: false },
    "u8",
    [/>>= 8/],
  ],
  ["a constant", { ...shared, kind: "constant", value: -5n, size: 4, isSigned: true }, "int", [/-5/]],
  [
    "memory",
    { ...shared, kind: "memory", base: rdi, scale: 1, offset: -24n, size: 8, isSigned: false },
    "u64",
    [/-24/, /call/],
  ],
  [
    "an element",
    { ...shared, kind: "memory", base: rdi, index: rsi, scale: 8, offset: 16n, size: 4, isSigned: false },
    "u32",
    [/<<= 3|\*= 8/, /call/],
  ],
];

describe("arguments of static probes", () => {
  test.each(operands)("%s", (_, argument, type, expected) => {
    const text = `${type} f(struct pt_regs *ctx) { ${type} v = 0; bpf_usdt_readarg(2, ctx, &v); return v; }`;
    const asked: unknown[] = [];
    const usdtArgument = (func: string, index: number): { argument: UsdtArgument }[] => {
      asked.push([func, index]);
      return [{ argument }];
    };
    const lines = code(text, { bcc: { usdtArgument } }).join("\n");
    expect(asked).toEqual([["f", 2]]);
    for (const pattern of expected) expect(lines).toMatch(pattern);
  });

  test("several places are told apart by their addresses", () => {
    const places = [0x1000n, 0x2000n].map((address, i) => ({
      address,
      argument: {
        ...shared,
        kind: "register",
        register: i === 0 ? rdi : rsi,
        size: 8,
        isSigned: false,
      } as UsdtArgument,
    }));
    const lines = code("int f(struct pt_regs *ctx) { u64 v = 0; bpf_usdt_readarg(1, ctx, &v); return v; }", {
      bcc: { usdtArgument: () => places },
    }).join("\n");
    for (const part of ["r1 +128", "r1 +112", "r1 +104", "4096", "8192"])
      expect(lines.replaceAll("0x1000", "4096").replaceAll("0x2000", "8192")).toContain(part);
  });

  test("text behind an argument is read from the process", () => {
    const usdtArgument = (): { argument: UsdtArgument }[] => [
      { argument: { ...shared, kind: "register", register: rdi, size: 8, isSigned: false } },
    ];
    const lines = code(
      "int f(struct pt_regs *ctx) { char b[8] = {}; bpf_usdt_readarg_p(1, ctx, b, sizeof(b)); return b[0]; }",
      {
        bcc: { usdtArgument },
      },
    );
    expect(lines.filter((line) => line.startsWith("call"))).toEqual([expect.stringMatching(/112|probe_read_user/)]);
  });
});
