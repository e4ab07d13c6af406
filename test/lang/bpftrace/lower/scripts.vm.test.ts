/**
 * On every kernel of the matrix: each construct of the language compiles to what the verifier accepts at the first try, and computes
 * what it does elsewhere.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "vitest";
import { describeUnless } from "../../../support/needs.ts";
import { runInVm, vmKernels, vmSkipReason } from "../../../vm/testbed.ts";
import { KPROBES } from "./kprobe-scripts.ts";
import { ACCEPTED } from "./scripts.ts";
import { lines, VALUES } from "./values.ts";

const LOAD = [...ACCEPTED, ...KPROBES];
const guest = fileURLToPath(new URL("guest-scripts.mjs", import.meta.url));

/** What guest-scripts.mjs says of a script. */
interface Result {
  readonly code?: string;
  readonly message?: string;
  readonly log?: string;
  readonly output?: string;
}

/** Scripts about things that a kernel does not have yet: what they use, and the first kernel that has it. */
const NEWER: readonly (readonly [RegExp, string])[] = [[/\bargs\.reason\b/, "5.17"]];

function isBefore(kernel: string, version: string): boolean {
  const [a = 0, b = 0] = kernel.split(".").map(Number);
  const [c = 0, d = 0] = version.split(".").map(Number);
  return a < c || (a === c && b < d);
}

/** True when the kernel is too old for a script and Skep says so. */
function isTooOld(kernel: string, script: string, { code, message = "" }: Result): boolean {
  const needs = /needs Linux (\d+\.\d+)/.exec(message)?.[1];
  if (code === "unsupported" && needs !== undefined) return isBefore(kernel, needs);
  return code === "script" && NEWER.some(([uses, version]) => uses.test(script) && isBefore(kernel, version));
}

/** What is wrong with a result, or undefined. */
function fault(kernel: string, script: string, result: Result, expected?: string): string | undefined {
  if (result.message !== undefined) {
    if (isTooOld(kernel, script, result)) return undefined;
    return `${script}\n  ${result.message}\n${result.log ?? ""}`;
  }
  const printed = lines(result.output ?? "");
  if (expected === undefined || printed === expected) return undefined;
  return `${script}\n  printed ${JSON.stringify(printed)}\n  instead of ${JSON.stringify(expected)}`;
}

describeUnless(vmSkipReason(), "scripts on the kernels of the matrix", () => {
  test.concurrent.for(vmKernels)("kernel %s", { timeout: 600_000 }, async (kernel, { expect }) => {
    const directory = mkdtempSync(join(tmpdir(), "skep-scripts-"));
    try {
      const file = join(directory, "scripts.json");
      const run = VALUES.map(([statements]) => `BEGIN { ${statements} }`);
      writeFileSync(file, JSON.stringify({ load: LOAD, run }));
      const { stdout, stderr } = await runInVm(kernel, [process.execPath, guest, file], { timeoutMs: 500_000 });
      const results = stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Result);
      const scripts = [...LOAD, ...run];
      expect(results.length, stderr).toBe(scripts.length);
      const faults = scripts.flatMap(
        (script, i) => fault(kernel, script, results[i]!, VALUES[i - LOAD.length]?.[1]) ?? [],
      );
      expect(faults.join("\n")).toBe("");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
