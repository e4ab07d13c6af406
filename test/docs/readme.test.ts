/** Every command of the README runs as written (Ctrl-C after a while), and what it shows of errors is what is printed. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { LinuxEnvironment } from "../../src/runtime/environment.ts";
import { describeWith } from "../support/needs.ts";
import { SKEP } from "../support/skep.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((m) => ({ language: m[1]!, text: m[2]! }));
const commands = blocks
  .filter((b) => b.language === "sh")
  .flatMap((b) => b.text.split("\n"))
  .filter((line) => line.startsWith("npx skep"));

/** The command in bash, `npx skep` being this checkout's; ended by Ctrl-C after a while. */
function run(command: string): { status: number | null; stdout: string; stderr: string } {
  // With -c the command ends when its child does.
  const seconds = command.includes(" -c ") ? 15 : 2;
  const line = command.replace(/^npx skep/, `exec timeout -s INT ${seconds} "${process.execPath}" "${SKEP}"`);
  return spawnSync("bash", ["-c", line], { encoding: "utf8", timeout: 20_000, maxBuffer: 1 << 28 });
}

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf"], "README", () => {
  test("has commands", () => expect(commands.length).toBeGreaterThan(8));

  test.each(commands)("%s", (command) => {
    const { status, stdout, stderr } = run(command);
    expect(stderr).not.toMatch(/ERROR/);
    // 124: timeout had to send Ctrl-C, and the command ended by it.
    expect([0, 124]).toContain(status);
    if (!command.includes(" -o ")) expect(stdout.length + stderr.length).toBeGreaterThan(0);
  });

  const failures = blocks.filter((b) => b.language === "console" && b.text.includes("ERROR:"));
  test.each(failures.map((b) => b.text))("%s", (text) => {
    const [command = "", ...printed] = text.split("\n");
    if (text.includes("CONFIG_KPROBES") && new LinuxEnvironment().kprobeProblem === null) return;
    const { status, stderr } = run(command.replace(/^# /, ""));
    expect(stderr).toBe(printed.join("\n"));
    expect(status).toBe(2);
  });

  test("the TypeScript example", () => {
    const code = blocks.find((b) => b.language === "ts")!.text;
    const directory = mkdtempSync(join(tmpdir(), "skep-readme-"));
    try {
      writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
      writeFileSync(join(directory, "example.js"), code);
      spawnSync("mkdir", [join(directory, "node_modules")]);
      symlinkSync(root, join(directory, "node_modules/skep"));
      const { stdout, stderr, status } = spawnSync(process.execPath, [join(directory, "example.js")], {
        encoding: "utf8",
        timeout: 20_000,
      });
      expect(stdout + stderr).toMatch(/^\d+ CPUs$/m);
      expect(status).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
