/** The examples that need kprobes, on Debian's kernels in a VM. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleCli } from "../cli/support.ts";
import { describeUnless } from "../support/needs.ts";
import { type VmCase, type VmResult, runCasesInVm, vmKernels, vmSkipReason } from "../vm/testbed.ts";
import { type Bundled, bundleExamples, examples } from "./bundle.ts";

/** Starts a command, waits until it has said `ready`, works until it has said `wanted`, and ends it. */
function watched(command: string, ready: string, work: string, wanted: string): string {
  return `
    ${command} >/tmp/out 2>/tmp/err & pid=$!
    said() { cat /tmp/out /tmp/err 2>/dev/null | grep -qE "$1"; }
    for i in $(seq 1500); do said '${ready}' && break; kill -0 $pid 2>/dev/null || break; sleep 0.1; done
    for i in $(seq 300); do said '${wanted}' && break; kill -0 $pid 2>/dev/null || break; ${work}; sleep 0.1; done
    kill -KILL $pid 2>/dev/null; wait $pid 2>/dev/null
    cat /tmp/out; cat /tmp/err >&2`;
}

const FORK = "(: ; true)";
const DROP = "(echo >/dev/udp/127.0.0.1/9) 2>/dev/null";

describeUnless(vmSkipReason(), "examples in a VM", () => {
  let bundled: Bundled;
  let cases: readonly VmCase[];
  beforeAll(async () => {
    bundled = await bundleExamples([fileURLToPath(new URL("../bcc/kernel-probes.ts", import.meta.url))]);
    const skep = await bundleCli();
    const node = (name: string, ...args: string[]): string =>
      [process.execPath, bundled.scripts[name]!, ...args].join(" ");
    const table = "^ +[0-9]+ [a-z]+ +[0-9]+$";
    cases = [
      ...["hello.bpf.c", "hello-execve.bpf.c"].map((file) => ({
        name: file,
        script: watched(`${process.execPath} ${skep} run ${join(examples, file)}`, "Attached", "/bin/true", "^Hello"),
      })),
      { name: "hello.mjs", script: watched(node("hello"), "Hello", FORK, "Hello") },
      ...["kprobe", "kretprobe", "tracepoint"].map((how) => ({
        name: `drops.mjs ${how}`,
        script: `ip link set lo up; ${watched(node("drops", how), "COMMAND", DROP, table)}`,
      })),
      { name: "skep/bcc", script: node("kernel-probes"), timeoutMs: 600_000 },
    ].map((one) => ({ timeoutMs: 220_000, ...one }));
  }, 120_000);
  afterAll(() => bundled.remove());

  /** What each case prints. */
  const wanted: Readonly<Record<string, (result: VmResult) => void>> = {
    "hello.bpf.c": ({ stdout, stderr }) => {
      expect(stdout).toMatch(/^Hello, World!$/m);
      // The kernel's own name of the function.
      expect(stderr).toMatch(/^program hello: sys_clone is called __(?:x64|arm64)_sys_clone by this kernel$/m);
    },
    "hello-execve.bpf.c": ({ stdout }) => expect(stdout).toMatch(/^Hello, BPF World!$/m),
    "hello.mjs": ({ stdout }) => expect(stdout).toMatch(/^\S+ \d+: Hello, World!$/m),
    "drops.mjs kprobe": ({ stdout }) => expect(stdout).toMatch(/^ +\d+ [a-z]+ +\d+$/m),
    "drops.mjs kretprobe": ({ stdout }) => expect(stdout).toMatch(/^ +\d+ [a-z]+ +\d+$/m),
    "drops.mjs tracepoint": ({ stdout }) => expect(stdout).toMatch(/^ +\d+ [a-z]+ +\d+$/m),
    "skep/bcc": ({ stdout, status }) =>
      expect({ status, last: stdout.trimEnd().split("\n").at(-1) }).toEqual({ status: 0, last: "all is well" }),
  };

  for (const kernel of vmKernels) {
    test(`kernel ${kernel}`, async () => {
      const results = await runCasesInVm(kernel, cases, { timeoutMs: 1_700_000 });
      for (const { name } of cases) {
        const result = results.get(name)!;
        try {
          wanted[name]!(result);
        } catch (error) {
          throw new Error(`${name}: ${(error as Error).message}\n${result.stdout}${result.stderr}`, { cause: error });
        }
      }
    }, 1_720_000);
  }
});
