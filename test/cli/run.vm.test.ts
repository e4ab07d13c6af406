/** `skep run` where kprobes and fentry are: what of an object's alternatives is attached, and what is said of the others. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compileProgram } from "../support/clang.ts";
import { describeUnless, missing } from "../support/needs.ts";
import { runCasesInVm, vmKernels, vmSkipReason } from "../vm/testbed.ts";
import { bundleCli } from "./support.ts";

describeUnless(vmSkipReason() ?? missing("clang"), "skep run in a VM", () => {
  let entry: string;
  let directory: string;
  let object: string;
  beforeAll(async () => {
    entry = await bundleCli();
    // Where the guest sees it.
    directory = mkdtempSync(join(import.meta.dirname, "../../node_modules/.cache/run-vm-"));
    object = join(directory, "alternatives.bpf.o");
    writeFileSync(object, compileProgram("alternatives"));
  }, 60_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.concurrent.each(vmKernels)("kernel %s", { timeout: 300_000 }, async (kernel) => {
    const skep = `node ${entry} run ${object}`;
    const watched = (more: string): string => `
      ${skep} --set targ_pid=$$ ${more} >/tmp/out 2>/tmp/err & child=$!
      until grep -qE "^Attached|ERROR" /tmp/err; do sleep 0.2; done
      for i in 1 2 3; do test -e /; done
      sleep 1; kill -INT $child; wait $child; status=$?
      cat /tmp/out; cat /tmp/err >&2; exit $status`;
    const results = await runCasesInVm(
      kernel,
      [
        { name: "all", script: watched(""), timeoutMs: 90_000 },
        { name: "only", script: watched("--only by_kprobe"), timeoutMs: 90_000 },
        { name: "strict", script: `${skep} --strict`, timeoutMs: 90_000 },
        { name: "none", script: `${skep} --only by_other --only by_tracepoint`, timeoutMs: 90_000 },
      ],
      { timeoutMs: 280_000 },
    );
    const all = results.get("all")!;
    expect(all.status, all.stderr).toBe(0);
    expect(all.stderr).toContain("Attached 2 programs\n");
    expect(all.stderr).toContain(
      "left out: program by_kprobe (kprobe/vfs_statx): program by_fentry is at the same place already\n",
    );
    expect(all.stderr).toMatch(
      /left out: program by_other \(fentry\/vfs_statx_of_another_kernel\): kernel function vfs_statx_of_another_kernel: this kernel has none of that name/,
    );
    expect(all.stderr).toMatch(/left out: program by_tracepoint .*this kernel has no such tracepoint/);
    expect(all.stdout.match(/\.way = "fentry"/g)?.length).toBeGreaterThanOrEqual(3);
    expect(all.stdout.match(/\.way = "kretprobe"/g)?.length).toBeGreaterThanOrEqual(3);
    const only = results.get("only")!;
    expect(only.status, only.stderr).toBe(0);
    expect(only.stdout.match(/\.way = "kprobe"/g)?.length).toBeGreaterThanOrEqual(3);
    const strict = results.get("strict")!;
    expect(strict.status).toBe(3);
    expect(strict.stderr).toMatch(/ERROR: kernel function vfs_statx_of_another_kernel/);
    const none = results.get("none")!;
    expect(none.status, none.stderr).toBe(3);
    expect(none.stderr).not.toContain("Attached");
  });
});
