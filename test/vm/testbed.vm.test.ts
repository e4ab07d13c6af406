import { expect, it } from "vitest";
import { describeUnless } from "../support/needs.ts";
import { runCasesInVm, runInVm, vmKernels, vmSkipReason } from "./testbed.ts";

describeUnless(vmSkipReason(), "test VM", () => {
  for (const kernel of vmKernels) {
    it(`${kernel}: cases in one boot keep their streams and status apart`, { timeout: 180_000 }, async () => {
      const results = await runCasesInVm(kernel, [
        { name: "kernel", script: "uname -r" },
        { name: "status", script: "echo out; echo err >&2; exit 7" },
        { name: "bytes", script: "head -c 300000 /dev/zero | tr '\\0' x" },
        { name: "too slow", script: "echo begun; exec sleep 60", timeoutMs: 2000 },
        {
          name: "mounts",
          script: "for t in tracefs debugfs bpf cgroup2; do grep -qw $t /proc/mounts && echo $t; done",
        },
        { name: "no writes to the host", script: "touch package.json.vm && ls package.json.vm" },
        // The guest is idle: nothing reads unless a test does.
        {
          name: "kprobe",
          script: `while read -r up </proc/uptime; do :; done &
            bpftrace -e 'kprobe:vfs_read { @ = count(); } interval:s:1 { exit(); }'; kill %1`,
        },
        { name: "node", script: `node -p 'os.release()'` },
      ]);
      const release = expect.stringMatching(new RegExp(`^${kernel.replace(".", "\\.")}\\D`)) as unknown as string;
      expect(results.get("kernel")).toEqual({ status: 0, stdout: release, stderr: "" });
      expect(results.get("status")).toEqual({ status: 7, stdout: "out\n", stderr: "err\n" });
      expect(results.get("bytes")?.stdout).toBe("x".repeat(300_000));
      expect(results.get("too slow")).toEqual({ status: 124, stdout: "begun\n", stderr: "" });
      expect(results.get("mounts")?.stdout.split("\n")).toEqual(["tracefs", "debugfs", "bpf", "cgroup2", ""]);
      expect(results.get("kprobe")?.stdout).toMatch(/^Attaching 2 probes\.\.\.\n\n\n@: [1-9]\d*\n/);
      expect(results.get("node")?.stdout).toEqual(release);
    });
  }

  it("passes the exit status, arguments and environment", { timeout: 60_000 }, async () => {
    const result = await runInVm(
      vmKernels[0] ?? "6.1",
      ["sh", "-c", 'echo "$1" "$COLOUR" "$SKEP_VM"; kill -9 $$', "-", "a b"],
      {
        env: { COLOUR: "blue" },
      },
    );
    expect(result).toEqual({ status: 137, stdout: `a b blue ${vmKernels[0]}\n`, stderr: "" });
  });

  it("says what panicked", { timeout: 60_000 }, async () => {
    await expect(runInVm(vmKernels[0] ?? "6.1", "echo c > /proc/sysrq-trigger")).rejects.toThrow(
      /ended without a result[^]*sysrq/,
    );
  });
});
