/** Every example of docs/library.md is compiled in the strictest way, run, and prints what the page says; so are its commands. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateTypes } from "../../src/inspect/index.ts";
import { readObject } from "../../src/object/index.ts";
import { describeWith } from "../support/needs.ts";
import { bundleCli } from "../cli/support.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(root, "docs/library.md"), "utf8");
const blocks = [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((m) => ({ language: m[1]!, text: m[2]! }));

/** Examples with what they print, where the page says it. */
const examples = blocks.flatMap(({ language, text }, i) => {
  if (language !== "ts") return [];
  const next = blocks[i + 1];
  return [{ text, prints: next?.language === "text" ? next.text : undefined }];
});
const commands = blocks
  .filter(({ language }) => language === "sh")
  .flatMap(({ text }) => text.split("\n"))
  .filter((line) => line.startsWith("npx skep"));

/** Below the package, so that Node's types and koffi are found. */
let directory: string;

describeWith(["linux", "root", "bpf", "tracefs", "clang", "vmlinuxBtf"], "docs/library.md", () => {
  beforeAll(async () => {
    mkdirSync(join(root, "node_modules/.cache"), { recursive: true });
    directory = mkdtempSync(join(root, "node_modules/.cache/library-"));
    const c = blocks.find(({ language }) => language === "c")!.text;
    writeFileSync(join(directory, "execs.bpf.c"), c);
    const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
    const flags = ["-target", "bpf", "-g", "-O2", "-Wall", "-Werror", `-I/usr/include/${triplet}`];
    const { stderr } = spawnSync("clang", [...flags, "-c", "execs.bpf.c", "-o", "execs.bpf.o"], {
      cwd: directory,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    const object = readObject(readFileSync(join(directory, "execs.bpf.o")), { name: "execs.bpf.o" });
    writeFileSync(join(directory, "execs.ts"), generateTypes(object, { path: "./execs.bpf.o" }));
    const input: Record<string, string> = {};
    for (const [i, { text }] of examples.entries()) {
      input[`example${i}`] = join(directory, `example${i}.ts`);
      writeFileSync(input[`example${i}`]!, text);
    }
    await build({
      input,
      platform: "node",
      external: ["koffi"],
      transform: { target: "node20" },
      resolve: { alias: { skep: join(root, "src/index.ts") } },
      output: { dir: join(directory, "out"), format: "esm", entryFileNames: "[name].mjs" },
      logLevel: "silent",
    });
  }, 120_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("has examples", () => expect(examples.length).toBeGreaterThan(8));

  test("TypeScript takes them", { timeout: 60_000 }, () => {
    const options = {
      extends: join(root, "tsconfig.json"),
      compilerOptions: { rootDir: "/", paths: { skep: [join(root, "src/index.ts")] } },
      include: [`${directory}/*.ts`],
    };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(options));
    const { stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", directory, "--pretty", "false"], {
      encoding: "utf8",
    });
    expect(stdout.split("\n").filter((line) => /library-\w+\//.test(line))).toEqual([]);
  });

  test.each(examples.map((example, i) => ({ ...example, i })))("example $i: $text", ({ prints, i }) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(directory, `out/example${i}.mjs`)], {
      cwd: directory,
      encoding: "utf8",
      timeout: 20_000,
      env: { ...process.env, NO_COLOR: "1" },
    });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    if (prints !== undefined) expect(stdout.replace(/\n\s+/g, " ")).toBe(prints.replace(/\n\s+/g, " "));
    else expect(stdout).not.toBe("");
  });

  test("commands", { timeout: 60_000 }, async () => {
    const entry = await bundleCli();
    for (const command of commands) {
      const line = command.replace(/^npx skep/, `exec "${process.execPath}" "${entry}"`);
      const { stderr, status } = spawnSync("bash", ["-c", line], { cwd: directory, encoding: "utf8", timeout: 30_000 });
      expect({ command, status, failed: /ERROR/.test(stderr) ? stderr : "" }).toEqual({
        command,
        status: 0,
        failed: "",
      });
    }
  });
});
