/** Runs C in the kernel and on the host, and says where they differ. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kernelTarget } from "../../../../src/compiler/index.ts";
import type { KernelTarget, OptimizeLevel } from "../../../../src/compiler/index.ts";
import { compileC } from "../../../../src/lang/c/compile.ts";
import type { LinuxKernel } from "../../../../src/kernel/linux/linux.ts";
import { TYPES, parts, programText } from "./program.ts";

/** A piece of C: statements that see `a` and `b` (`long long`) and end in `return`; what stands before `---` is outside of the function. */
export interface Case {
  readonly name: string;
  readonly text: string;
}

/** Cases as a table: each text by its first line. */
export function casesOf(texts: readonly string[]): Case[] {
  return texts.map((text, i) => ({ name: `${i} ${text.trim().replace(/\s+/g, " ").slice(0, 90)}`, text }));
}

/** Numbers that bring out signs, widths and borders. */
export const INPUTS: readonly (readonly [bigint, bigint])[] = [
  [0n, 0n],
  [1n, 2n],
  [-1n, 1n],
  [7n, -3n],
  [0x7fff_ffffn, 0x8000_0000n],
  [-0x8000_0000n, 0xffff_ffffn],
  [0x1234_5678_9abc_def0n, 0x0fed_cba9_8765_4321n],
  [-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn],
  [200n, 131n],
  [65_535n, -32_768n],
];

/** What the host's compiler makes of all cases, by case and input. */
export function onHost(cases: readonly Case[], compiler: "gcc" | "clang" = "clang"): bigint[][] {
  const folder = mkdtempSync(join(tmpdir(), "skep-lower-"));
  try {
    const results = cases.map(({ text }, i) => {
      const [outside, inside] = parts(text);
      const source = join(folder, `c${i}.c`);
      const calls = INPUTS.map(([a, b]) => `printf("%lld\\n", compute(${literal(a)}, ${literal(b)}));`).join("\n");
      writeFileSync(
        source,
        `${TYPES}int printf(const char *, ...);
${outside}
static long long compute(long long a, long long b) {
${inside}
}
int case${i}(void) { ${calls} return 0; }
`,
      );
      return source;
    });
    const main = join(folder, "main.c");
    writeFileSync(
      main,
      `${cases.map((_, i) => `int case${i}(void);`).join("\n")}
int main(void) { ${cases.map((_, i) => `case${i}();`).join(" ")} return 0; }
`,
    );
    const program = join(folder, "run");
    execFileSync(
      compiler,
      ["-w", "-fcommon", "-O1", "-fwrapv", "-fno-strict-aliasing", "-o", program, main, ...results],
      {
        stdio: "pipe",
      },
    );
    const lines = execFileSync(program, { encoding: "utf8" }).trim().split("\n").map(BigInt);
    return cases.map((_, i) => lines.slice(i * INPUTS.length, (i + 1) * INPUTS.length));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function literal(value: bigint): string {
  return value === -(1n << 63n) ? "(-0x7fffffffffffffffll - 1)" : `${value}ll`;
}

/** How the code is made. */
export const VARIANTS: readonly (readonly [OptimizeLevel, KernelTarget])[] = [
  [2, kernelTarget([6, 18])],
  [1, kernelTarget([6, 18])],
  [2, kernelTarget([5, 10], { atomicFetch: true })],
];

/** What the kernel computes for a case. */
export function onKernel(kernel: LinuxKernel, text: string, optimize: OptimizeLevel, target: KernelTarget): bigint[] {
  const { object } = compileC({ name: "case.bpf.c", text: programText(text) }, { optimize, target });
  const loaded = kernel.load(object);
  try {
    const bss = object.maps.find(({ name }) => name.endsWith(".bss"))!.name;
    const offset = object.variables?.find(({ name }) => name === "result")?.offset ?? 0;
    return INPUTS.map(([a, b]) => {
      const context = new Uint8Array(BigInt64Array.of(a, b).buffer);
      loaded.program("prog").testRun(context);
      const data = loaded.map(bss).lookup(new Uint8Array(4))!;
      return new DataView(data.buffer, data.byteOffset).getBigInt64(offset, true);
    });
  } finally {
    loaded.close();
  }
}
