/**
 * Programs of our own that cover what objects can hold, compiled by clang here: opened, loaded and attached by the packaged libbpf and by
 * Skep, compared program by program. The same comparison over foreign programs is `npm run conformance`.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CoreKind } from "../../src/btf/index.ts";
import { MapType } from "../../src/isa/index.ts";
import { type BpfObject, readObject } from "../../src/object/index.ts";
import { sectionPatterns } from "../../src/object/section-table.ts";
import { describeUnless, describeWith, missing } from "../support/needs.ts";

const sources = fileURLToPath(new URL("../programs/fixtures/", import.meta.url));
const names = readdirSync(sources)
  .filter((name) => name.endsWith(".bpf.c"))
  .map((name) => name.replace(/\.bpf\.c$/, ""));
/** Built Skep; the comparison runs it in processes of its own, below a library that watches system calls. */
const dist = process.env["SKEP_DIST"] ?? fileURLToPath(new URL("../../dist", import.meta.url));

let directory = "";
const objects = new Map<string, BpfObject>();

function compileFixtures(): void {
  directory = mkdtempSync(join(tmpdir(), "skep-fixtures-"));
  for (const name of names) {
    const path = join(directory, `${name}.bpf.o`);
    const includes = ["x86_64", "aarch64"].flatMap((machine) => ["-idirafter", `/usr/include/${machine}-linux-gnu`]);
    const target = process.arch === "arm64" ? "-D__TARGET_ARCH_arm64" : "-D__TARGET_ARCH_x86";
    const flags = ["-target", "bpf", "-g", "-O2", "-mcpu=v3", target, "-Wall", "-Werror", ...includes];
    execFileSync("clang", [...flags, "-c", join(sources, `${name}.bpf.c`), "-o", path]);
    objects.set(name, readObject(readFileSync(path), { name: `${name}.bpf.o` }));
  }
}

interface Row {
  readonly object: string;
  readonly program: string;
  readonly difference: { readonly what: string; readonly ours: string; readonly theirs: string };
  readonly reason?: string;
  readonly why: string;
}

interface Comparison {
  readonly figures: Readonly<Record<"programs" | "ours" | "theirs" | "ourAttached" | "theirAttached", number>>;
  readonly rows: readonly Row[];
}

describeWith(["clang"], "fixtures", () => {
  beforeAll(compileFixtures);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("have a program for every name of a section", () => {
    const present = [...objects.values()].flatMap(({ programs }) => programs.map(({ section }) => section ?? ""));
    const has = (name: string): boolean =>
      present.some((section) => section === name || section.startsWith(`${name}/`));
    expect(sectionPatterns.map(({ name }) => name).filter((name) => !has(name))).toEqual(["struct_ops.s"]);
  });

  test("have a map of every type", () => {
    const present = new Set([...objects.values()].flatMap(({ maps }) => maps.map(({ type }) => type)));
    expect(Object.entries(MapType).filter(([, type]) => !present.has(type))).toEqual([["UNSPEC", MapType.UNSPEC]]);
  });

  test("have a relocation of every kind", () => {
    const programs = [...objects.values()].flatMap((object) => object.programs);
    const kinds = new Set(programs.flatMap(({ relocations }) => relocations.map(({ kind }) => kind)));
    expect([...kinds].toSorted()).toEqual(["kfunc", "ksym", "map", "map-value"]);
    const coreKinds = new Set(
      programs.flatMap(({ coreRelocations }) => coreRelocations?.map(({ kind }) => kind) ?? []),
    );
    // What clang 14 cannot write; test/btf/core has it.
    expect(Object.entries(CoreKind).filter(([, kind]) => !coreKinds.has(kind))).toEqual([
      ["TYPE_MATCHES", CoreKind.TYPE_MATCHES],
    ]);
    const externs = new Set([...objects.values()].flatMap((object) => object.externs?.map(({ kind }) => kind) ?? []));
    expect([...externs].toSorted()).toEqual(["kconfig", "kfunc", "ksym"]);
  });

  const lacking =
    missing("linux", "root", "bpf") ??
    (existsSync("/usr/include/bpf/libbpf.h") ? undefined : "libbpf is not installed (apt-get install libbpf-dev)") ??
    (spawnSync("cc", ["--version"]).error ? "cc is not installed (apt-get install gcc)" : undefined) ??
    (existsSync(join(dist, "runtime/index.js")) ? undefined : "Skep is not built (npm run build)");

  describeUnless(lacking, "by libbpf and by Skep", () => {
    let comparison: Comparison;

    beforeAll(() => {
      const script = fileURLToPath(new URL("compare.mjs", import.meta.url));
      const args = [script, "--referee", "debian", "--objects", directory, "--dist", dist, "--json"];
      const env = { ...process.env, SKEP_CONFORMANCE: directory };
      comparison = JSON.parse(execFileSync(process.execPath, args, { env, encoding: "utf8", maxBuffer: 1 << 28 }));
    }, 120_000);

    test.each(names)("%s: verdicts, instructions, maps and links are the same", (name) => {
      const open = comparison.rows.filter(({ object, reason }) => object === `${name}.bpf.o` && reason === undefined);
      const shown = open.map(
        ({ program, difference: { what, ours, theirs }, why }) =>
          `${program}: ${what}: ${ours}, libbpf ${theirs} (${why})`,
      );
      expect(shown).toEqual([]);
    });

    test("most load and attach, so that being alike means something", () => {
      const { programs, ours, theirs, ourAttached, theirAttached } = comparison.figures;
      expect(ours).toBeGreaterThanOrEqual(theirs);
      expect(ourAttached).toBeGreaterThanOrEqual(theirAttached);
      expect(theirs).toBeGreaterThan(programs / 2);
      expect(theirAttached).toBeGreaterThan(programs / 4);
    });
  });
});
