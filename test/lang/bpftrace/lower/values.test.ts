/** What scripts compute, run in the kernel: each row is a script that runs at once, and what it prints. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Kernel } from "../../../../src/kernel/kernel.ts";
import { openLinuxKernel } from "../../../../src/kernel/linux/index.ts";
import { describeWith } from "../../../support/needs.ts";
import { run } from "./harness.ts";
import { lines, VALUES } from "./values.ts";

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf"], "values in the kernel", () => {
  let kernel: Kernel;
  beforeAll(() => {
    kernel = openLinuxKernel();
  });
  afterAll(() => kernel.close());

  for (const optimize of [2, 0] as const) {
    test.each(VALUES)(`-O${optimize}: %s`, async (statements, expected) => {
      const { output } = await run(kernel, `BEGIN { ${statements} }`, { optimize });
      expect(lines(output)).toBe(expected);
    });
  }

  test("exit() ends with its status, and the probe at once", async () => {
    expect(await run(kernel, "BEGIN { print(1); exit(7); print(2); }")).toMatchObject({
      output: expect.stringMatching(/^1\n*$/),
      status: 7,
    });
  });

  test("END runs last and sees the maps", async () => {
    const { output } = await run(kernel, "BEGIN { @x = 1; exit(); } END { @x++; print(@x); clear(@x); }");
    expect(lines(output)).toBe("@x: 2");
  });

  test("histograms put every value into its bucket", async () => {
    const values = [-5, 0, 1, 2, 3, 4, 7, 8, 1023, 1024];
    const { output } = await run(
      kernel,
      `BEGIN { ${values.map((v) => `@h = hist(${v}); @l = lhist(${v}, 0, 10, 5);`).join(" ")} }`,
      {
        format: "json",
      },
    );
    const maps = output
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { data: Record<string, { min?: number; max?: number; count: number }[]> });
    const counts = (name: string): string =>
      maps
        .flatMap((m) => m.data[name] ?? [])
        .filter((row) => row.count > 0)
        .map((row) => `${row.min ?? "-"}..${row.max ?? "-"}:${row.count}`)
        .join(" ");
    expect(counts("@h")).toBe("-..-1:1 0..0:1 1..1:1 2..3:2 4..7:2 8..15:1 512..1023:1 1024..2047:1");
    expect(counts("@l")).toBe("-..-1:1 0..4:5 5..9:2 10..-:2");
  });
});
