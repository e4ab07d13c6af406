/** Every example of docs/bcc.md is compiled in the strictest way, run, and prints what the page says; every member in its tables exists. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as bcc from "../../src/bcc/index.ts";
import { describeUnless, describeWith } from "../support/needs.ts";
import { findModule, forgetModule } from "../bcc/python.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(root, "docs/bcc.md"), "utf8");
const blocks = [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((m) => ({ language: m[1]!, text: m[2]! }));

const examples = blocks.flatMap(({ language, text }, i) => {
  if (language !== "ts") return [];
  const next = blocks[i + 1];
  return [{ text, prints: next?.language === "text" ? next.text : undefined }];
});

/** The README's program, which runs until it is ended. */
const inReadme = /^```js\n(import \{ BPF \}.*?)^```$/ms.exec(readFileSync(join(root, "README.md"), "utf8"))![1]!;

/** Below the package, so that Node's types and koffi are found. */
let directory: string;

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf", "gcc", "sdt"], "docs/bcc.md", () => {
  beforeAll(async () => {
    mkdirSync(join(root, "node_modules/.cache"), { recursive: true });
    directory = mkdtempSync(join(root, "node_modules/.cache/bcc-"));
    writeFileSync(
      join(directory, "shop.c"),
      "#include <sys/sdt.h>\nint main(int argc, char **argv) { DTRACE_PROBE1(shop, sold, 41 + argc); return 0; }\n",
    );
    execFileSync("gcc", ["-O2", "-o", "shop", "shop.c"], { cwd: directory });
    const input: Record<string, string> = {};
    for (const [i, { text }] of examples.entries()) {
      input[`example${i}`] = join(directory, `example${i}.ts`);
      writeFileSync(input[`example${i}`]!, text);
    }
    input["readme"] = join(directory, "readme.js");
    writeFileSync(input["readme"], inReadme);
    await build({
      input,
      platform: "node",
      external: ["koffi"],
      transform: { target: "node20" },
      resolve: { alias: { "skep/bcc": join(root, "src/bcc/index.ts") } },
      output: { dir: join(directory, "out"), format: "esm", entryFileNames: "[name].mjs" },
      logLevel: "silent",
    });
  }, 120_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("has examples", () => expect(examples.length).toBeGreaterThan(7));

  test("TypeScript takes them", { timeout: 60_000 }, () => {
    const options = {
      extends: join(root, "tsconfig.json"),
      compilerOptions: { rootDir: "/", paths: { "skep/bcc": [join(root, "src/bcc/index.ts")] } },
      include: [`${directory}/*.ts`],
    };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(options));
    const { stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", directory, "--pretty", "false"], {
      encoding: "utf8",
    });
    expect(stdout.split("\n").filter((line) => /bcc-\w+\//.test(line))).toEqual([]);
  });

  test.each(examples.map((example, i) => ({ ...example, i })))("example $i: $text", ({ prints, i }) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(directory, `out/example${i}.mjs`)], {
      cwd: directory,
      encoding: "utf8",
      timeout: 20_000,
      env: { ...process.env, NO_COLOR: "1" },
    });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(stdout).toBe(prints);
  });

  test("the README's program", async () => {
    const child = spawn(process.execPath, [join(directory, "out/readme.mjs")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      let output = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
      for (const end = performance.now() + 20_000; !/^\d+ bash \d+n$/m.test(output) && performance.now() < end;) {
        spawnSync("bash", ["-c", "echo >/dev/udp/127.0.0.1/9"]);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      expect(output).toMatch(/^\d+ bash \d+n$/m);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

/** Rows of the tables of members: Python's on the left, ours on the right. */
const rows = [...page.matchAll(/^\| (`.*?) \| (.*?) \|$/gm)].map((m) => ({ theirs: m[1]!, ours: m[2]! }));

describe("members in docs/bcc.md", () => {
  const names = new Set<string>(Object.keys(bcc));
  const classes = Object.values(bcc).filter((one): one is never => typeof one === "function") as (abstract new (
    ...args: never[]
  ) => object)[];
  for (const one of classes) {
    for (
      let type: unknown = one;
      typeof type === "function" && type !== Function.prototype;
      type = Object.getPrototypeOf(type)
    ) {
      for (const name of Object.getOwnPropertyNames(type)) names.add(name);
      for (const name of Object.getOwnPropertyNames((type as { prototype?: object }).prototype ?? {})) names.add(name);
    }
  }

  test("are many", () => expect(rows.length).toBeGreaterThan(60));

  test("exist", () => {
    const named = rows.flatMap(({ ours }) =>
      [...ours.matchAll(/`(?:BPF\.|new )?([A-Za-z]\w*)(?=\(|`)/g)].map((m) => m[1]!),
    );
    const notMembers = new Set(["using", "for", "BCC_PROBE_LIMIT"]);
    expect(named.filter((name) => !names.has(name) && !notMembers.has(name))).toEqual([]);
  });
});

const found = findModule();

describeUnless("reason" in found ? found.reason : undefined, "members of BCC's Python", () => {
  afterAll(forgetModule);

  test.each(["__init__.py", "table.py", "usdt.py"])("of %s are on the page", (file) => {
    const source = readFileSync(join((found as { path: string }).path, "bcc", file), "utf8");
    const methods = [...source.matchAll(/^ {4}def ([a-z]\w*)\(/gm)].map((m) => m[1]!);
    // Of helper classes, and Python's own ways to loop.
    const inner = new Set([
      "resolve",
      "resolve_name",
      "next",
      "add_prefix",
      "donothing",
      "clean_up",
      "decode_c_struct",
    ]);
    const others = new Set([
      "attach_uprobes",
      "get_context",
      "get_location",
      "get_argument",
      "short_name",
      "detach_uprobe_event",
    ]);
    const lacking = methods.filter(
      (name) =>
        !inner.has(name) && !others.has(name) && !name.startsWith("detach_kprobe_event") && !page.includes(name),
    );
    expect([...new Set(lacking)]).toEqual([]);
  });
});
