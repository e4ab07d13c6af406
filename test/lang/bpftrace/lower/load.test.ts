/** Every construct of the language compiles to what the kernel's verifier accepts at once, optimised or not. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Kernel } from "../../../../src/kernel/kernel.ts";
import { openLinuxKernel } from "../../../../src/kernel/linux/index.ts";
import { describeWith } from "../../../support/needs.ts";
import { compiled } from "./harness.ts";
import { ACCEPTED } from "./scripts.ts";

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf"], "scripts the kernel accepts", () => {
  let kernel: Kernel;
  beforeAll(() => {
    kernel = openLinuxKernel();
  });
  afterAll(() => kernel.close());

  for (const optimize of [2, 0] as const) {
    test.each(ACCEPTED)(`-O${optimize}: %s`, (script) => {
      const { object } = compiled(script, { optimize });
      expect(object.programs.length).toBeGreaterThan(0);
      kernel.load(object).close();
    });
  }
});
