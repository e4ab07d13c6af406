/** The example of docs/features.md runs as written. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { describeUnless, missing } from "../support/needs.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const built = existsSync(join(root, "dist/kernel/index.js")) ? undefined : "needs a build (npm run build)";

describeUnless(missing("linux", "root", "bpf", "vmlinuxBtf") ?? built, "docs/features.md", () => {
  test("the TypeScript example", () => {
    const [, code = ""] = /^```ts\n(.*?)^```$/ms.exec(readFileSync(join(root, "docs/features.md"), "utf8")) ?? [];
    // Each line that asks prints what it is told.
    const printing = code.replace(/^(probe\w+\(.*\)(?:\.\w+)?);/gm, "console.log(JSON.stringify($1));");
    const directory = mkdtempSync(join(tmpdir(), "skep-docs-"));
    try {
      mkdirSync(join(directory, "node_modules"));
      symlinkSync(root, join(directory, "node_modules/skep"));
      writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
      writeFileSync(join(directory, "example.js"), printing);
      const { stdout, stderr, status } = spawnSync(process.execPath, [join(directory, "example.js")], {
        encoding: "utf8",
      });
      expect(status, stderr).toBe(0);
      const [map = "", helper, kfunc, all = ""] = stdout.trim().split("\n");
      expect(JSON.parse(map)).toHaveProperty("evidence");
      expect(helper).toBe('"no"');
      expect(kfunc).toMatch(/^"(?:no|cannot tell)"$/);
      expect((JSON.parse(all) as unknown[]).length).toBeGreaterThan(20);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
