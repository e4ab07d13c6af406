/**
 * C by small programs, each with what it must compute: `conformance/*.c`, a program behind every `//: what it shows = result`. They run in
 * the kernel; clang's code for this machine computes the same.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { kernelTarget } from "../../../src/compiler/index.ts";
import { LinuxKernel } from "../../../src/kernel/linux/linux.ts";
import { compileC } from "../../../src/lang/c/index.ts";
import { describeWith } from "../../support/needs.ts";

interface Case {
  readonly title: string;
  readonly expected: number;
  readonly text: string;
}

const directory = fileURLToPath(new URL("conformance/", import.meta.url));

function casesOf(file: string): Case[] {
  return readFileSync(join(directory, file), "utf8")
    .split(/^\/\/: /m)
    .slice(1)
    .map((block) => {
      const end = block.indexOf("\n");
      const [, title = "", expected = ""] = /^(.*) = (\S+)$/.exec(block.slice(0, end))!;
      return { title, expected: Number(expected), text: block.slice(end + 1) };
    });
}

const files = readdirSync(directory).filter((file) => file.endsWith(".c"));
/** Whatever the language has, such as atomics with results. */
const target = kernelTarget([6, 1]);
const PROLOGUE = `char _license[] __attribute__((section("license"), used)) = "GPL";\n`;
const EPILOGUE = `\n__attribute__((section("syscall"), used)) int prog(void *ctx) { return test(); }\n`;

describeWith(["linux", "root", "bpf"], "C in the kernel", () => {
  const kernel = new LinuxKernel();
  afterAll(() => kernel.close());

  describe.each(files)("%s", (file) => {
    test.each(casesOf(file))("$title", ({ expected, text }) => {
      const { object } = compileC({ name: file, text: PROLOGUE + text + EPILOGUE }, { target });
      const loaded = kernel.load(object);
      try {
        expect(loaded.program("prog").testRun() | 0).toBe(expected | 0);
      } finally {
        loaded.close();
      }
    });
  });
});
