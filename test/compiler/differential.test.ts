import fc from "fast-check";
import { expect, it } from "vitest";
import { checkModule, compileModule, kernelTarget, parseModule, printModule } from "../../src/compiler/index.ts";
import type { KernelTarget, OptimizeLevel } from "../../src/compiler/index.ts";
import { LinuxKernel } from "../../src/kernel/linux/linux.ts";
import { describeWith } from "../support/needs.ts";
import { Interpreter } from "./interpreter.ts";
import { CONTEXT_WORDS, randomProgram } from "./random-program.ts";

const RUNS = 60;
const VARIANTS: readonly (readonly [OptimizeLevel, KernelTarget])[] = [
  [0, kernelTarget([6, 18])],
  [2, kernelTarget([6, 18])],
  // What an older kernel gets runs here too; atomics with results are the one thing that has no other form.
  [2, kernelTarget([5, 10], { atomicFetch: true })],
];

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

it("random programs keep their text through print and parse", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const module = randomProgram(seed);
      checkModule(module);
      const text = printModule(module);
      expect(printModule(parseModule(text))).toBe(text);
    }),
    { numRuns: RUNS },
  );
});

describeWith(["linux", "root", "bpf"], "random programs on the running kernel", () => {
  it("are accepted and compute what the interpreter computes", () => {
    using kernel = new LinuxKernel();
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: CONTEXT_WORDS, maxLength: CONTEXT_WORDS }),
        (seed, words) => {
          const module = randomProgram(seed);
          const context = new Uint8Array(BigUint64Array.from(words).buffer);
          const interpreter = new Interpreter(module);
          const result = BigInt.asUintN(32, interpreter.run("main", context));
          const out = hex(interpreter.maps.get("out")!.array);
          for (const [optimize, target] of VARIANTS) {
            const object = compileModule(module, { optimize, target, check: true, scratch: true });
            const loaded = kernel.load(object);
            try {
              expect(BigInt(loaded.program("main").testRun(context) >>> 0)).toBe(result);
              expect(hex(loaded.map("out").lookup(new Uint8Array(4))!)).toBe(out);
            } finally {
              loaded.close();
            }
          }
        },
      ),
      { numRuns: RUNS, endOnFailure: true },
    );
  });
});
