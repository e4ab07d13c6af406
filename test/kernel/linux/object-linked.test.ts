/** Objects that were linked, and files that were written from what was read, in the running kernel. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { linkObjects, readObject, writeElf } from "../../../src/object/index.ts";
import type { BpfObject } from "../../../src/object/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeWith } from "../../support/needs.ts";

const PINS = `/sys/fs/bpf/skep-linked-${process.pid}`;

const linked = (): BpfObject =>
  linkObjects([
    { name: "link-main.bpf.o", bytes: compileProgram("link-main") },
    { name: "link-other.bpf.o", bytes: compileProgram("link-other") },
  ]);

/** Objects by how they were made. */
const cases: readonly (readonly [name: string, object: () => BpfObject])[] = [
  ["two files that were linked", linked],
  ["what was linked, written and read", () => readObject(writeElf(linked()), { name: "linked.o" })],
  [
    "what was read, written and read",
    () => readObject(writeElf(readObject(compileProgram("load-maps"))), { name: "m.o" }),
  ],
];

describeWith(["linux", "root", "bpf", "clang", "vmlinuxBtf"], "objects that were linked and written", () => {
  guardLeaks();

  describe("are loaded", () => {
    test.each(cases)("%s", (_, object) => {
      const given = object();
      const loaded = openLinuxKernel().load(given);
      try {
        expect(given.programs.length).toBeGreaterThan(0);
      } finally {
        loaded.close();
      }
    });
  });
});

describeWith(
  ["linux", "root", "bpf", "clang", "bpftool", "vmlinuxBtf"],
  "objects that were linked and written, by libbpf",
  () => {
    test.each([["linked", linked] as const, ["read", () => readObject(compileProgram("load-maps"))] as const])(
      "%s",
      (_, object) => {
        const directory = mkdtempSync(join(tmpdir(), "skep-linked-"));
        try {
          const path = join(directory, "x.bpf.o");
          writeFileSync(path, writeElf(object()));
          execFileSync("bpftool", ["prog", "loadall", path, PINS], { stdio: "pipe" });
        } finally {
          rmSync(PINS, { recursive: true, force: true });
          // libbpf pins by name in the file system's root.
          rmSync("/sys/fs/bpf/load_pinned", { force: true });
          rmSync(directory, { recursive: true });
        }
      },
    );
  },
);
