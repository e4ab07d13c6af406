import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findLibrary } from "../../src/runtime/ld-cache.ts";
import { ElfBinary, globFiles, mappedBinaries, resolveBinaryPaths } from "../../src/runtime/binary.ts";
import { Kallsyms } from "../../src/runtime/symbols/kallsyms.ts";
import { Module } from "../../src/runtime/symbols/module.ts";
import { findMapping, parseMaps, readMaps } from "../../src/runtime/symbols/process.ts";
import { Symbolizer } from "../../src/runtime/symbols/symbolizer.ts";
import { describeWith } from "../support/needs.ts";

const encoder = new TextEncoder();

describe("kallsyms", () => {
  const symbols = new Kallsyms(
    encoder.encode(
      [
        "0000000000000000 A fixed_percpu_data",
        "ffffffff81000000 T _text",
        "ffffffff81000010 t second",
        "ffffffff81000020 D some_data",
        "ffffffffc0000000 t in_module\t[mod]",
        "ffffffff81000018 t late",
        "",
      ].join("\n"),
    ),
  );
  const cases: [address: bigint, expected: string | undefined][] = [
    [0xffffffff81000000n, "_text+0"],
    [0xffffffff8100000fn, "_text+15"],
    [0xffffffff81000017n, "second+7"],
    [0xffffffff81000024n, "late+12"],
    [0xffffffffc0000001n, "in_module+1"],
    [0xffffffff80ffffffn, undefined],
    [0x1000n, undefined],
  ];
  test.each(cases)("%s", (address, expected) => {
    const hit = symbols.lookup(address);
    expect(hit && `${hit.name}+${hit.offset}`).toBe(expected);
  });
  // First one by one, then by an index of all names.
  test.each([1, 100])("by name, data too: %s times", (times) => {
    for (let i = 0; i < times; i++) {
      expect(symbols.find("some_data")).toBe(0xffffffff81000020n);
      expect(symbols.find("fixed_percpu_data")).toBe(0n);
      expect(symbols.find("in_module")).toBe(0xffffffffc0000000n);
      for (const none of ["some", "data", "T", "in_module\t[mod]", "some_data2", "ffffffff81000000"])
        expect(symbols.find(none)).toBeUndefined();
    }
  });
  test("modules of symbols", () => {
    expect(symbols.lookup(0xffffffffc0000001n)?.module).toBe("mod");
    expect(symbols.lookup(0xffffffff81000011n)?.module).toBeUndefined();
  });
});

describe("mappings", () => {
  test("only executable ones, names with spaces, deleted files", () => {
    const mappings = parseMaps(
      [
        "00400000-00401000 r--p 00000000 fe:00 12                         /bin/a b",
        "00401000-00402000 r-xp 00001000 fe:00 12                         /bin/a b",
        "7f0000000000-7f0000001000 r-xp 00000000 fe:00 13                 /tmp/x (deleted)",
        "7fff00000000-7fff00002000 r-xp 00000000 00:00 0                  [vdso]",
        "7fff10000000-7fff10002000 rwxp 00000000 00:00 0 ",
        "7fff20000000-7fff20002000 rwxp 00000000 00:00 0 ",
        "7fff30000000-7fff30002000 r-xp 00000000 fe:00 14                 /bin/b",
      ].join("\n"),
    );
    expect(mappings.map((m) => [m.path, m.fileOffset, m.isDeleted, m.identity])).toEqual([
      ["/bin/a b", 0x1000, false, "fe:00 12"],
      ["/tmp/x", 0, true, "fe:00 13"],
      ["[vdso]", 0, false, ""],
      ["", 0, false, ""],
      ["", 0, false, ""],
      ["/bin/b", 0, false, "fe:00 14"],
    ]);
    expect(findMapping(mappings, 0x401fffn)?.path).toBe("/bin/a b");
    expect(findMapping(mappings, 0x402000n)).toBeUndefined();
  });
});

const PROGRAM = `
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) int traced_function(int n) { return n * 3 + getpid(); }
static __attribute__((noinline)) int hidden_function(int n) { return n * 5 + getppid(); }
int main(void) { printf("%p %p\\n", (void *)traced_function, (void *)hidden_function); fflush(stdout); pause(); return hidden_function(traced_function(1)); }
`;

describeWith(["linux", "clang"], "symbols of processes", () => {
  let directory: string;
  const children: ChildProcess[] = [];

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "skep-symbols-"));
    writeFileSync(join(directory, "program.c"), PROGRAM);
    const build = (name: string, ...flags: string[]): void => {
      execFileSync("gcc", ["-g", "-O0", ...flags, "-o", join(directory, name), join(directory, "program.c")]);
    };
    build("pie", "-pie", "-fPIE");
    build("fixed", "-no-pie");
    // Stripped, with its symbols in a file beside it.
    copyFileSync(join(directory, "pie"), join(directory, "linked"));
    const objcopy = (...args: string[]): void => void execFileSync("objcopy", args, { cwd: directory });
    objcopy("--only-keep-debug", "linked", "linked.debug");
    objcopy("--strip-all", "--remove-section=.note.gnu.build-id", "linked");
    objcopy("--add-gnu-debuglink=linked.debug", "linked");
    copyFileSync(join(directory, "pie"), join(directory, "deleted"));
    copyFileSync(join(directory, "pie"), join(directory, "gone"));
  });
  afterAll(() => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });

  async function start(name: string): Promise<{ child: ChildProcess; pid: number; addresses: bigint[] }> {
    const child = spawn(join(directory, name), { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    const line = await new Promise<string>((resolve) => child.stdout!.once("data", (data) => resolve(String(data))));
    return { child, pid: child.pid!, addresses: line.trim().split(" ").map(BigInt) };
  }

  test.each(["pie", "fixed", "linked"])("%s", async (name) => {
    const { pid, addresses } = await start(name);
    const symbolizer = new Symbolizer();
    expect(symbolizer.userSymbol(addresses[0]!, pid, true, false)).toBe("traced_function+0");
    expect(symbolizer.userSymbol(addresses[1]! + 4n, pid, true, false)).toBe("hidden_function+4");
    expect(symbolizer.userSymbol(addresses[1]! + 4n, pid, true, true)).toBe(
      `hidden_function+4 (${join(directory, name)})`,
    );
    expect(symbolizer.userSymbol(addresses[0]!, pid, false, false)).toBe("traced_function");
    expect(symbolizer.userSymbol(1n, pid, true, true)).toBe("0x1 ([unknown])");
  });

  test("a binary that was deleted", async () => {
    const { pid, addresses } = await start("deleted");
    unlinkSync(join(directory, "deleted"));
    expect(new Symbolizer().userSymbol(addresses[0]!, pid, true, false)).toBe("traced_function+0");
  });

  test("a process that has ended since it was sighted", async () => {
    const { child, pid, addresses } = await start("gone");
    const symbolizer = new Symbolizer();
    symbolizer.sight(pid);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    rmSync(join(directory, "gone"));
    expect(symbolizer.userSymbol(addresses[0]! + 1n, pid, true, false)).toBe("traced_function+1");
  });

  test("a process that ended before anybody looked: by the probed program, if its addresses are fixed", () => {
    // No process has this id.
    const pid = 0x3ffffff;
    const address = new ElfBinary(join(directory, "fixed")).find("traced_function")!.address;
    const programs = ["pie", "fixed"].map((name) => join(directory, name));
    const symbolizer = new Symbolizer(undefined, programs);
    expect(symbolizer.userSymbol(address + 2n, pid, true, false)).toBe("traced_function+2");
    expect(symbolizer.userSymbol(address, pid, false, true)).toBe(`traced_function (${programs[1]})`);
    expect(symbolizer.userSymbol(1n, pid, true, false)).toBe("0x1");
    expect(new Symbolizer().userSymbol(address, pid, true, false)).toBe(`0x${address.toString(16)}`);
  });

  test("programs of a process by pattern", async () => {
    const { pid } = await start("pie");
    expect(mappedBinaries(pid, "*")).toContain(join(directory, "pie"));
    expect(mappedBinaries(pid, "p*e")).toEqual([join(directory, "pie")]);
    expect(mappedBinaries(pid, "bash*")).toEqual([]);
  });

  test("libraries and the vdso", async () => {
    const { pid } = await start("pie");
    const libc = readMaps(pid)!.find((mapping) => /libc\.so/.test(mapping.path))!;
    const malloc = new ElfBinary(libc.path).find("malloc")!;
    const address = libc.start + BigInt(malloc.fileOffset - libc.fileOffset);
    expect(new Symbolizer().userSymbol(address, pid, true, false)).toMatch(/malloc\+0$/);
    const vdso = readMaps(pid)!.find((mapping) => mapping.path === "[vdso]");
    if (vdso) {
      const names = new Set<string>();
      const symbolizer = new Symbolizer();
      for (let at = vdso.start; at < vdso.end; at += 64n) names.add(symbolizer.userSymbol(at, pid, false, false));
      expect([...names].some((name) => name.includes("clock_gettime"))).toBe(true);
    }
  });

  test("code of a JIT, from its perf map", async () => {
    const { pid } = await start("pie");
    const file = `/tmp/perf-${pid}.map`;
    // A mapping that no file is behind: the process has none that is executable, so the lookup is asked directly.
    writeFileSync(file, "1000 20 jitted one\n2000 10 two\n");
    try {
      const { PerfMap } = await import("../../src/runtime/symbols/perf-map.ts");
      const map = new PerfMap(file);
      expect(map.lookup(0x101fn)).toEqual({ name: "jitted one", offset: 31 });
      expect(map.lookup(0x1020n)).toBeUndefined();
      writeFileSync(file, `${readFileSync(file, "utf8")}3000 10 three\n`);
      expect(map.lookup(0x3001n)).toEqual({ name: "three", offset: 1 });
    } finally {
      unlinkSync(file);
    }
  });

  test("functions for uprobes", () => {
    const binary = new ElfBinary(join(directory, "linked"));
    expect(binary.find("hidden_function")?.fileOffset).toBe(
      new ElfBinary(join(directory, "pie")).find("hidden_function")?.fileOffset,
    );
    expect(binary.functions().map((symbol) => symbol.name)).toContain("traced_function");
    expect(binary.find("no_such_function")).toBeUndefined();
  });

  test("a file that is no ELF file has no symbols", () => {
    expect(new Module("/etc/hostname", encoder.encode("text")).lookup(0)).toBeUndefined();
  });
});

describeWith(["linux"], "finding binaries", () => {
  test("by name, path, pattern and library", () => {
    const arch = process.arch === "x64" ? "x86_64" : "aarch64";
    expect(resolveBinaryPaths("bash", { arch })[0]).toMatch(/\/bin\/bash$/);
    expect(resolveBinaryPaths("/bin/bas*", { arch })).toContain("/bin/bash");
    expect(resolveBinaryPaths("no-such-binary", { arch })).toEqual([]);
    expect(findLibrary("libc", arch)).toMatch(/libc\.so\.6$/);
    expect(resolveBinaryPaths("libc", { arch })[0]).toMatch(/libc\.so\.6$/);
    expect(globFiles("/etc/host*ame")).toEqual(["/etc/hostname"]);
  });
});
