/** `skep demo` where programs cannot be run in the kernel: the recording that comes with the package. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { bundleCli } from "./support.ts";

const recording = fileURLToPath(new URL("../../recordings/demo.skep.gz", import.meta.url));
let entry: string;
beforeAll(async () => {
  entry = await bundleCli();
}, 60_000);

/** Runs it as a user without rights, which root can become. */
function skep(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const uid = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  return spawnSync(process.execPath, [entry, ...args], { ...uid, cwd: "/", encoding: "utf8" });
}

describe("without privileges", () => {
  it("the demo replays a recording, and says why", () => {
    const { status, stdout, stderr } = skep("demo");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Programs cannot be run in this machine's kernel: \S/);
    expect(stdout).toMatch(/^ls +\d+ +\/etc\/ld\.so\.cache$/m);
    expect(stdout).toMatch(/^@syscalls\[grep\]: \d+$/m);
    expect(stdout).toMatch(/^@read_ns:\s*\n\[/m);
    expect(stdout).toMatch(/^\d+ recorded events in \d/m);
  });

  it("scripts run on recordings, packed or not", () => {
    const script =
      'tracepoint:sched:sched_process_exec { printf("%s\\n", str(args.filename)); } END { printf("end\\n"); }';
    const { status, stdout, stderr } = skep("trace", "-q", "--on", recording, "-e", script);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\/usr\/bin\/grep$/m);
    expect(stdout).toMatch(/^end\n\n+$/m);
    expect(skep("trace", "-l", "--on", recording, "tracepoint:sched:*exec").stdout).toBe(
      "tracepoint:sched:sched_process_exec\n",
    );
  });
});
