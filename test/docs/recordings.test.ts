/** Every command of docs/recordings.md runs as written, in order. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { describeWith } from "../support/needs.ts";
import { runSkep, SKEP } from "../support/skep.ts";

const text = readFileSync(fileURLToPath(new URL("../../docs/recordings.md", import.meta.url)), "utf8");
const commands = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap((m) => m[1]!.trimEnd().split("\n"));
const folder = mkdtempSync(join(tmpdir(), "skep-docs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeWith(["linux", "root", "bpf", "tracefs"], "docs/recordings.md", () => {
  it.each(commands)(
    "%s",
    async (command) => {
      const line = command.replace(/^skep/, `cd "${folder}"; exec "${process.execPath}" "${SKEP}"`);
      const { code, stdout, stderr } = await runSkep(["-c", line], { command: ["bash"] });
      expect(stderr).not.toMatch(/ERROR/);
      expect(code).toBe(0);
      if (command.includes("--on")) expect(stdout).toMatch(/^@|tracepoint:/m);
      else expect(stderr).toMatch(/\d+ events, \d+\.\d MiB/);
    },
    120_000,
  );
});
