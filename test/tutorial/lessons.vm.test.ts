/** The lessons of bpftrace's one-liner tutorial that need kprobes, on Debian's kernels in a VM. */
import { expect, test } from "vitest";
import { describeUnless } from "../support/needs.ts";
import { SKEP } from "../support/skep.ts";
import { runCasesInVm, vmKernels, vmSkipReason, type VmResult } from "../vm/testbed.ts";

/** Starts Skep, waits until it is attached, does some work, ends it with SIGINT. */
const lesson = (script: string, work: string): string => `
  cat > /tmp/script.bt <<'SCRIPT'
${script}
SCRIPT
  : > /tmp/err
  "${process.execPath}" "${SKEP}" trace /tmp/script.bt 2>/tmp/err & pid=$!
  for i in $(seq 300); do grep -q Attached /tmp/err && break; kill -0 $pid 2>/dev/null || break; sleep 0.1; done
  ${work}
  kill -INT $pid; wait $pid; status=$?
  cat /tmp/err >&2
  exit $status`;

const READS = "dd if=/dev/zero of=/dev/null bs=100 count=300 2>/dev/null";

const LESSONS = [
  {
    name: "6: kernel dynamic tracing of read() bytes",
    script: lesson("kretprobe:vfs_read { @bytes = lhist(retval, 0, 2000, 200); }", READS),
  },
  {
    name: "7: timing read()s",
    script: lesson(
      "kprobe:vfs_read { @start[tid] = nsecs; } kretprobe:vfs_read /@start[tid]/ { @ns[comm] = hist(nsecs - @start[tid]); delete(@start, tid); }",
      READS,
    ),
  },
  {
    name: "12: kernel struct tracing",
    script: lesson(
      `#ifndef BPFTRACE_HAVE_BTF
#include <linux/path.h>
#include <linux/dcache.h>
#endif

kprobe:vfs_open
{
	printf("open path: %s\\n", str(((struct path *)arg0)->dentry->d_name.name));
}`,
      "cat /etc/hostname >/dev/null",
    ),
  },
];

const checks: Record<string, (result: VmResult) => void> = {
  "6: kernel dynamic tracing of read() bytes": ({ stdout }) => {
    expect(stdout).toMatch(/^@bytes: ?$/m);
    const bucket = /^\[0, 200\)\s+(\d+) \|/m.exec(stdout);
    expect(Number(bucket?.[1])).toBeGreaterThanOrEqual(300);
  },
  "7: timing read()s": ({ stdout }) => {
    expect(stdout).toMatch(/^@ns\[dd\]: ?$/m);
    expect(stdout).toMatch(/^\[\S+, \S+\)\s+\d+ \|@+/m);
  },
  "12: kernel struct tracing": ({ stdout }) => {
    expect(stdout).toMatch(/^open path: hostname$/m);
  },
};

describeUnless(vmSkipReason(), "one-liner tutorial in a VM", () => {
  for (const kernel of vmKernels) {
    test(`kernel ${kernel}`, async () => {
      const results = await runCasesInVm(
        kernel,
        LESSONS.map((l) => ({ ...l, timeoutMs: 90_000 })),
        { timeoutMs: 300_000 },
      );
      for (const { name } of LESSONS) {
        const result = results.get(name)!;
        expect(result.status, `${name}: ${result.stderr}`).toBe(0);
        checks[name]!(result);
      }
    }, 400_000);
  }
});
