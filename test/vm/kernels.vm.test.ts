/** The tests of the Linux kernel room, run again inside the test VM: what holds on this machine's kernel must hold on others. */
import { expect, it } from "vitest";
import { describeUnless } from "../support/needs.ts";
import { runInVm, vmKernels, vmSkipReason } from "./testbed.ts";

/**
 * Run in the guest: what depends on the kernel most, as long as guests that start slowly can do it in minutes. Links have a file of their
 * own (attach.vm.test.ts); objects are compared on these kernels by `npm run conformance`.
 */
const files = [
  "attach.test.ts",
  "core-modules",
  "diagnose",
  "facts",
  "features",
  "lifetime",
  "load.test.ts",
  "maps",
  "pins",
  "ring-concurrent",
  "rings",
  "tracefs",
  "verifier-log",
].map((name) => `test/kernel/linux/${name}`);

/** Loaded first, for tests of what modules have. */
const modules = ["nf_conntrack"];

/** What .ci/reporter.mjs writes. */
interface Report {
  readonly tests: readonly {
    readonly file: string;
    readonly name: string;
    readonly state: string;
    readonly reason?: string;
  }[];
  readonly unhandledErrors: number;
}

const script = `
  export SKEP_TEST_REPORT=/tmp/report.json NO_COLOR=1
  node_modules/.bin/vitest run --reporter=default --reporter=./.ci/reporter.mjs --testTimeout=300000 --hookTimeout=300000 ${files.join(" ")} >&2
  cat /tmp/report.json`;

describeUnless(vmSkipReason(), "tests of the Linux kernel room in a VM", () => {
  it.concurrent.each(vmKernels)("kernel %s", { timeout: 900_000 }, async (kernel) => {
    const { stdout, stderr } = await runInVm(kernel, script, { timeoutMs: 890_000, modules });
    expect(stdout, stderr).toMatch(/^\{/);
    const { tests, unhandledErrors } = JSON.parse(stdout) as Report;
    const of = (state: string): typeof tests => tests.filter((test) => test.state === state);
    console.log(
      [
        `kernel ${kernel}: ${of("passed").length} passed, ${of("failed").length} failed, ${of("skipped").length} skipped`,
      ]
        .concat(of("skipped").map(({ name, reason }) => `  skipped: ${name}: ${reason}`))
        .join("\n"),
    );
    expect(of("failed"), stderr).toEqual([]);
    expect(unhandledErrors, stderr).toBe(0);
    expect(of("passed").length).toBeGreaterThan(0);
    expect(of("skipped").filter(({ reason }) => !reason)).toEqual([]);
  });
});
