/** The same scripts through Debian's bpftrace 0.17 and through Skep with `--compat 0.17`: the same bytes on stdout, text and JSON. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { describeUnless, missing } from "../support/needs.ts";
import { SKEP } from "../support/skep.ts";
import { SCRIPTS } from "./scripts.ts";

function peerReason(): string | undefined {
  const reason = missing("linux", "root", "bpf", "tracefs", "bpftrace");
  if (reason) return reason;
  const version = spawnSync("bpftrace", ["--version"], { encoding: "utf8" }).stdout;
  return version.includes("v0.17") ? undefined : `compares with bpftrace 0.17, this machine has ${version.trim()}`;
}

function stdoutOf(command: string, args: readonly string[]): string {
  const { stdout, stderr, status, signal } = spawnSync(command, args, { encoding: "utf8", timeout: 15_000 });
  if (signal !== null || status !== 0) return `exit ${signal ?? status}: ${stderr}${stdout}`;
  return stdout;
}

describeUnless(peerReason(), "output is bpftrace's", () => {
  describe.each(["text", "json"])("%s", (format) => {
    test.each(Object.entries(SCRIPTS))("%s", (_, script) => {
      const peer = stdoutOf("bpftrace", ["-f", format, "-e", script]);
      const ours = stdoutOf(process.execPath, [SKEP, "trace", "--compat", "0.17", "-f", format, "-e", script]);
      expect(ours).toBe(peer);
    });
  });
});
