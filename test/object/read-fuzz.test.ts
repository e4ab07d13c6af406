import { expect, test } from "vitest";
import { ParseError, UnsupportedError } from "../../src/base/index.ts";
import { linkObjects, readObject } from "../../src/object/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";
import { mutated, randomNumbers } from "./mutate.ts";

/** Damaged copies in a usual run; `SKEP_FUZZ=100000` makes more. */
const COUNT = Number(process.env["SKEP_FUZZ"] ?? 5000);
const SEED = Number(process.env["SKEP_FUZZ_SEED"] ?? 1);

/** Reading a whole object of this size takes a millisecond. */
const SLOW_MS = 2000;

describeWith(["clang"], `${COUNT} damaged objects, seed ${SEED}`, () => {
  test("are read, or refused with their place", { timeout: 30_000 + COUNT * 5 }, () => {
    const sources = ["read-all", "read-struct-ops", "load-maps", "load-arena", "link-main"].flatMap((name) => [
      compileProgram(name),
      compileProgram(name, "-target", "bpfeb"),
    ]);
    const other = { name: "whole", bytes: compileProgram("link-other") };
    const random = randomNumbers(SEED);
    let refused = 0;
    for (let i = 0; i < COUNT; i++) {
      const bytes = mutated(sources[i % sources.length]!, random);
      const start = performance.now();
      try {
        if (i % 3 === 0) linkObjects([{ name: "damaged", bytes }, other]);
        else readObject(bytes, { name: "damaged" });
      } catch (error) {
        if (!(error instanceof ParseError) && !(error instanceof UnsupportedError)) {
          throw new Error(`copy ${i} of seed ${SEED}: ${String(error)}`, { cause: error });
        }
        refused++;
      }
      const ms = performance.now() - start;
      if (ms > SLOW_MS) expect.fail(`copy ${i} of seed ${SEED} took ${Math.round(ms)} ms`);
    }
    expect(refused).toBeGreaterThan(COUNT / 10);
    expect(refused).toBeLessThan(COUNT);
  });
});
