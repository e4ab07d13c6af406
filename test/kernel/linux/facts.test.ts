/** What objects are told of a machine: its configuration, version and symbols, from made-up files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { LinuxFacts } from "../../../src/kernel/linux/facts.ts";
import { Machine } from "../../../src/kernel/linux/machine.ts";
import { vmlinuxFileBtf } from "../../../src/kernel/linux/vmlinux-file.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeWith } from "../../support/needs.ts";

const encoder = new TextEncoder();

/** Facts of a machine with these files. */
function factsOf(files: Readonly<Record<string, string | Uint8Array>>, release = "6.12.300-test"): LinuxFacts {
  return new LinuxFacts(
    new Machine({
      read: (path) => {
        const content = files[path];
        return typeof content === "string" ? encoder.encode(content) : content;
      },
      release,
      version: "#1 SMP",
      uid: 0,
    }),
  );
}

const config =
  '# Linux\nCONFIG_A=y\nCONFIG_AB=m\nCONFIG_TEXT="a text"\nCONFIG_HEX=0x10\n# CONFIG_NOT is not set\nCONFIG_END=7';

describe("configuration", () => {
  test.each([
    ["/proc/config.gz", gzipSync(config)],
    ["/boot/config-6.12.300-test", config],
    ["/lib/modules/6.12.300-test/config", config],
  ])("in %s", (path, content) => {
    const facts = factsOf({ [path]: content });
    const names = ["CONFIG_A", "CONFIG_AB", "CONFIG_TEXT", "CONFIG_HEX", "CONFIG_NOT", "CONFIG_END", "CONFIG_"];
    expect(names.map((name) => facts.kernelOption(name))).toEqual([
      "y",
      "m",
      '"a text"',
      "0x10",
      undefined,
      "7",
      undefined,
    ]);
  });

  test("nowhere", () => {
    expect(() => factsOf({}).kernelOption("CONFIG_A")).toThrow(
      "kernel option CONFIG_A: the configuration of this kernel cannot be read: there is neither /proc/config.gz",
    );
  });
});

test.each([
  ["6.12.300-test", (6 << 16) | (12 << 8) | 255],
  ["5.10.7", (5 << 16) | (10 << 8) | 7],
  ["7.2-rc1", (7 << 16) | (2 << 8)],
])("version code of %s", (release, code) => {
  expect(factsOf({}, release).versionCode).toBe(code);
});

describe("symbols", () => {
  const lines = [
    "ffffffff81000000 T _stext",
    "ffffffff81000010 t twice",
    "ffffffff81000020 t twice",
    "ffffffff81000030 D same",
    "ffffffff81000030 D same",
    "ffffffff81000040 d renamed.llvm.123456",
    "ffffffff81000050 t function.llvm.99",
    "ffffffffa0000000 t of_module\t[mod]",
    "0000000000000000 T hidden",
    "ffffffff81000060 T last",
  ];
  const facts = factsOf({ "/proc/kallsyms": lines.join("\n") });

  test.each([
    ["_stext", 0xffff_ffff_8100_0000n],
    ["stext", undefined],
    ["_stex", undefined],
    ["same", 0xffff_ffff_8100_0030n],
    ["renamed", 0xffff_ffff_8100_0040n],
    ["function", undefined],
    ["of_module", 0xffff_ffff_a000_0000n],
    ["last", 0xffff_ffff_8100_0060n],
    ["nowhere", undefined],
  ])("%s", (name, address) => {
    expect(facts.symbolAddress(name)).toBe(address);
  });

  test("of one name at two places", () => {
    expect(() => facts.symbolAddress("twice")).toThrow(
      "kernel symbol twice: /proc/kallsyms has 2 of that name: 0xffffffff81000010 and 0xffffffff81000020",
    );
  });

  test("without their addresses", () => {
    expect(() => facts.symbolAddress("hidden")).toThrow("kernel.kptr_restrict");
  });
});

describeWith(["clang"], "types from the kernel's file", () => {
  const root = mkdtempSync(join(tmpdir(), "skep-root-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const put = (path: string, bytes: Uint8Array): void => {
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, bytes);
  };

  test("are in the first one that has any", () => {
    expect(vmlinuxFileBtf("5.3.0", root)).toBeUndefined();
    put("/boot/vmlinux-5.3.0", encoder.encode("no kernel"));
    put("/lib/modules/5.3.0/vmlinux-5.3.0", compileProgram("load-maps", "-g0"));
    expect(vmlinuxFileBtf("5.3.0", root)).toBeUndefined();
    put("/usr/lib/debug/boot/vmlinux-5.3.0", compileProgram("load-errors"));
    expect(vmlinuxFileBtf("5.3.0", root)!.structByName("task_struct")).toBeDefined();
  });
});
