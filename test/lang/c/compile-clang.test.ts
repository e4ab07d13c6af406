/** Objects of the C compiler say the same as clang's of the same source. */
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { Btf } from "../../../src/btf/index.ts";
import { compileC } from "../../../src/lang/c/compile.ts";
import { readObject, writeElf } from "../../../src/object/index.ts";
import { temporaryDirectory } from "../../object/clang-text.ts";
import { describeWith } from "../../support/needs.ts";
import { specText } from "./spec-text.ts";

const programs = join(import.meta.dirname, "../../programs");
const folders = [programs, join(programs, "fixtures")];

describeWith(["clang", "libbpf", "vmlinuxBtf"], "the object is what clang's is", () => {
  const kernelTypes = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));
  const sources = folders.flatMap((folder) =>
    readdirSync(folder)
      // Files that are one program only together are linked, not read.
      .filter((name) => name.endsWith(".bpf.c") && !name.startsWith("link-"))
      .map((name) => join(folder, name)),
  );

  test.each(sources.map((path) => [path.slice(programs.length + 1), path]))("%s", (_, path) => {
    const { path: folder, remove } = temporaryDirectory();
    try {
      const out = join(folder, "out.o");
      const flags = ["-target", "bpf", "-w", "-g", "-O2", "-mcpu=v3", "-D__TARGET_ARCH_x86"];
      const include = ["-I/usr/include/x86_64-linux-gnu", "-I", dirname(path)];
      const text = readFileSync(path, "utf8");
      execFileSync("clang", [...flags, ...include, "-x", "c", "-", "-c", "-o", out], { input: text, stdio: "pipe" });
      const theirs = readObject(new Uint8Array(readFileSync(out)), { name: path });
      const { object } = compileC({ name: path, text }, { kernelTypes });
      expect(specText(object)).toEqual(specText(theirs));
      const written = readObject(writeElf(object, { libbpfMinor: 8 }), { name: path });
      expect(specText(written, { types: false })).toEqual(specText(object, { types: false }));
    } finally {
      remove();
    }
  });
});
