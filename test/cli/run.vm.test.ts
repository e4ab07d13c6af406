/** `skep run` where kprobes and fentry are: what of an object's alternatives is attached, and what is said of the others. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compileProgram } from "../support/clang.ts";
import { describeUnless, missing } from "../support/needs.ts";
import { runCasesInVm, vmKernels, vmSkipReason } from "../vm/testbed.ts";
import { bundleCli } from "./support.ts";

const CLONE = `
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>

SEC("kprobe/sys_clone")
int hello(void *ctx) {
  char msg[] = "hello from the libbpf way";
  bpf_trace_printk(msg, sizeof(msg));
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
`;

const MULTI = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u64);
  __type(value, __u64);
} seen SEC(".maps");
int functions;

SEC("fentry.multi/vfs_*")
int enter(void *ctx) {
  __u64 ip = bpf_get_func_ip(ctx), one = 1;
  if (bpf_map_update_elem(&seen, &ip, &one, BPF_NOEXIST) == 0 && __sync_fetch_and_add(&functions, 1) == 2)
    bpf_printk("entered %d different functions", functions);
  return 0;
}

SEC("fexit.multi/vfs_read")
int leave(void *ctx) {
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
`;

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
    const watched = (more: string, file = object): string => `
      node ${entry} run ${file === object ? `${object} --set targ_pid=$$` : join(directory, file)} ${more} >/tmp/out 2>/tmp/err & child=$!
      until grep -qE "^Attached|ERROR" /tmp/err; do sleep 0.2; done
      for i in 1 2 3; do test -e /; (true); done
      sleep 1; kill -INT $child; wait $child; status=$?
      cat /tmp/out; cat /tmp/err >&2; exit $status`;
    writeFileSync(join(directory, "clone.c"), CLONE);
    writeFileSync(join(directory, "multi.bpf.c"), MULTI);
    const results = await runCasesInVm(
      kernel,
      [
        { name: "all", script: watched(""), timeoutMs: 90_000 },
        { name: "only", script: watched("--only by_kprobe"), timeoutMs: 90_000 },
        { name: "strict", script: `${skep} --strict`, timeoutMs: 90_000 },
        { name: "clone", script: watched("", "clone.c"), timeoutMs: 90_000 },
        { name: "multi", script: watched("", "multi.bpf.c"), timeoutMs: 90_000 },
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
    // The old name of the system call, and BCC's way to say it.
    const clone = results.get("clone")!;
    expect(clone.status, clone.stderr).toBe(0);
    expect(clone.stdout).toContain("hello from the libbpf way\n");
    const multi = results.get("multi")!;
    if (kernel === "6.1") expect(multi.status, multi.stderr).not.toBe(0);
    else {
      expect(multi.status, multi.stderr).toBe(0);
      expect(multi.stderr).toMatch(/^Attached 2 programs$/m);
      expect(multi.stdout).toMatch(/^entered \d+ different functions$/m);
    }
    const none = results.get("none")!;
    expect(none.status, none.stderr).toBe(3);
    expect(none.stderr).not.toContain("Attached");
  });
});
