/** Every construct of the language compiles on every kernel of the matrix to what its verifier accepts at the first try. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { describeUnless } from "../../../support/needs.ts";
import { runInVm, vmKernels, vmSkipReason } from "../../../vm/testbed.ts";
import { KPROBES } from "./kprobe-scripts.ts";
import { ACCEPTED } from "./scripts.ts";

const SCRIPTS = [...ACCEPTED, ...KPROBES];
const loader = fileURLToPath(new URL("load-scripts.mjs", import.meta.url));

/** What load-scripts.mjs says of a script. */
interface Loaded {
  readonly code?: string;
  readonly message?: string;
  readonly log?: string;
}

/** Scripts about things that a kernel does not have yet: what they use, and the first kernel that has it. */
const NEWER: readonly (readonly [RegExp, string])[] = [
  [/\bargs\.reason\b/, "5.17"],
  [/\bstr\(uptr\(2\)\); if \(strcontains\(\$a, \$b\)\)/, "6.9"],
];

function isBefore(kernel: string, version: string): boolean {
  const [a = 0, b = 0] = kernel.split(".").map(Number);
  const [c = 0, d = 0] = version.split(".").map(Number);
  return a < c || (a === c && b < d);
}

/** True when the kernel is too old for a script and Skep says so. */
function isTooOld(kernel: string, script: string, { code, message = "" }: Loaded): boolean {
  const needs = /needs Linux (\d+\.\d+)/.exec(message)?.[1];
  if (code === "unsupported" && needs !== undefined) return isBefore(kernel, needs);
  return code === "script" && NEWER.some(([uses, version]) => uses.test(script) && isBefore(kernel, version));
}

describeUnless(vmSkipReason(), "scripts that the kernels accept", () => {
  test.each(vmKernels)("kernel %s", { timeout: 600_000 }, async (kernel) => {
    const directory = mkdtempSync(join(tmpdir(), "skep-load-"));
    try {
      const file = join(directory, "scripts.json");
      writeFileSync(file, JSON.stringify(SCRIPTS));
      const { stdout, stderr } = await runInVm(kernel, [process.execPath, loader, file], { timeoutMs: 500_000 });
      const results = stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Loaded);
      expect(results.length, stderr).toBe(SCRIPTS.length);
      const failures = SCRIPTS.flatMap((script, i) => {
        const result = results[i]!;
        return result.message === undefined || isTooOld(kernel, script, result)
          ? []
          : [`${script}\n  ${result.message}\n${result.log ?? ""}`];
      });
      expect(failures.join("\n")).toBe("");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
