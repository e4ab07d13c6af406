/** Tables of cases that run in the kernel and on the host. */
import { afterAll, expect, test } from "vitest";
import { LinuxKernel } from "../../../../src/kernel/linux/linux.ts";
import { describeWith } from "../../../support/needs.ts";
import { VARIANTS, casesOf, onHost, onKernel } from "./run.ts";

/** Compares a table of cases with the host, each compiled for several kernels and at both ends of optimisation. */
export function describeCases(title: string, texts: readonly string[]): void {
  const cases = casesOf(texts);
  describeWith(["linux", "root", "bpf", "clang"], title, () => {
    const kernel = new LinuxKernel();
    afterAll(() => kernel.close());
    const expected = onHost(cases);
    test.each(cases.map((c, i) => [c.name, c.text, expected[i]!] as const))("%s", (_, text, want) => {
      for (const [optimize, target] of VARIANTS) expect(onKernel(kernel, text, optimize, target)).toEqual(want);
    });
  });
}
