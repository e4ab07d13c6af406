/** Every command of the README runs as written (ended by Ctrl-C), and what it shows of errors is what is printed. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { LinuxEnvironment } from "../../src/runtime/environment.ts";
import { describeWith } from "../support/needs.ts";
import { runSkep, shell, SKEP, type SkepResult } from "../support/skep.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((m) => ({ language: m[1]!, text: m[2]! }));
const commands = blocks
  .filter((b) => b.language === "sh")
  .flatMap((b) => b.text.split("\n"))
  .filter((line) => line.startsWith("npx skep"));

/** A command that runs until Ctrl-C, and not until it is done or its child is. */
const endless = (command: string): boolean => / trace .*-e /.test(command) && !command.includes(" -c ");

/** The command in bash, `npx skep` being this checkout's. */
async function run(command: string): Promise<SkepResult> {
  const line = command.replace(/^npx skep/, `exec "${process.execPath}" "${SKEP}"`);
  return runSkep(["-c", line], {
    command: ["bash"],
    ...(endless(command) ? { workload: () => shell("ls /; sleep 0.5") } : {}),
  });
}

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf"], "README", () => {
  test("has commands", () => expect(commands.length).toBeGreaterThan(8));

  test.each(commands)("%s", async (command) => {
    const { code, stdout, stderr } = await run(command);
    expect(stderr).not.toMatch(/ERROR/);
    expect(code).toBe(0);
    if (!command.includes(" -o ")) expect(stdout.length + stderr.length).toBeGreaterThan(0);
  });

  const failures = blocks.filter((b) => b.language === "console" && b.text.includes("ERROR:"));
  test.each(failures.map((b) => b.text))("%s", async (text) => {
    const [command = "", ...printed] = text.split("\n");
    if (text.includes("CONFIG_KPROBES") && new LinuxEnvironment().kprobeProblem === null) return;
    const line = command.replace(/^# npx skep/, `exec "${process.execPath}" "${SKEP}"`);
    const { code, stderr } = await runSkep(["-c", line], { command: ["bash"] });
    expect(stderr).toBe(printed.join("\n"));
    // What the machine cannot do is not the script's fault.
    expect(code).toBe(text.includes("CONFIG_KPROBES") ? 3 : 2);
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
