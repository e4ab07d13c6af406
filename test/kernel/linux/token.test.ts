/** BPF tokens: objects loaded by root of a user namespace that was delegated the right to. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Btf } from "../../../src/btf/index.ts";
import { MapType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { readObject } from "../../../src/object/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeUnless, missing } from "../../support/needs.ts";
import { mapSpec, object, program } from "./support.ts";

/** Set in the namespace: where the bpffs is mounted. */
const delegated = process.env["SKEP_TEST_TOKEN"];

const why =
  missing("linux", "root", "bpf", "clang") ??
  (spawnSync("cc", ["--version"]).error ? "cc is not installed (apt-get install gcc)" : undefined) ??
  (machine.atLeast(6, 9) ? undefined : "BPF tokens need Linux 6.9");

describeUnless(delegated === undefined ? why : "runs outside of it", "a user namespace", () => {
  test("loads with what it was delegated", { timeout: 300_000 }, () => {
    const directory = mkdtempSync(join(tmpdir(), "skep-token-"));
    try {
      const helper = join(directory, "token");
      const bpffs = join(directory, "bpffs");
      mkdirSync(bpffs);
      execFileSync("cc", ["-O1", "-o", helper, fileURLToPath(new URL("../../support/token.c", import.meta.url))]);
      const vitest = ["node_modules/.bin/vitest", "run", "test/kernel/linux/token.test.ts"];
      const run = spawnSync(helper, [bpffs, ...vitest], {
        env: { ...process.env, SKEP_TEST_TOKEN: bpffs, NO_COLOR: "1" },
        encoding: "utf8",
      });
      expect(run.status, run.stdout + run.stderr).toBe(0);
      expect(run.stdout).toMatch(/Tests +3 passed/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("needs a bpffs that delegates", () => {
    const kernel = openLinuxKernel();
    const load = (tokenPath: string) => (): unknown => kernel.load(object([]), { tokenPath });
    expect(load("/sys/fs/bpf")).toThrow(
      /BPF token of \/sys\/fs\/bpf: (tokens are for user namespaces|nothing is delegated)/,
    );
    expect(load("/tmp")).toThrow("BPF token of /tmp: it is no bpffs");
    expect(load("/nowhere")).toThrow("BPF token of /nowhere: the directory cannot be opened");
  });
});

/** What the first test runs in its namespace. */
function inside(tokenPath: string): void {
  guardLeaks();

  test("nothing goes without the token", () => {
    expect(() => openLinuxKernel()).toThrow("user namespace");
    const kernel = openLinuxKernel({ delegated: true });
    expect(() => kernel.load(object([program("p", "r0 = 0\nexit")]))).toThrow(/EPERM|lacks|user namespace/);
  });

  test("maps and programs by hand", () => {
    const kernel = openLinuxKernel({ delegated: true });
    using loaded = kernel.load(
      object([program("p", "r1 = MAP(m)\nr0 = 0\nexit", { type: ProgType.XDP })], [mapSpec("m", MapType.LRU_HASH)]),
      { tokenPath },
    );
    expect(loaded.program("p").testRun(new Uint8Array(64))).toBe(0);
    loaded.map("m").update(new Uint8Array(4), new Uint8Array(8));
  });

  test("an object by clang with its BTF", () => {
    const kernel = openLinuxKernel({ delegated: true });
    const given = readObject(compileProgram("load-errors"));
    expect(Btf.parse(given.btf!).typeCount).toBeGreaterThan(1);
    const programs = given.programs.map((p) => ({ ...p, autoload: p.name === "guarded_field" }));
    using loaded = kernel.load({ ...given, programs }, { tokenPath });
    expect(loaded.hasProgram("guarded_field")).toBe(true);
  });
}

if (delegated !== undefined) describe("inside", () => inside(delegated));
