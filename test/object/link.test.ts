import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import { Btf, BtfKind } from "../../src/btf/index.ts";
import { linkObjects, readObject, writeElf } from "../../src/object/index.ts";
import type { BpfObject, LinkInput } from "../../src/object/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";
import { clang, temporaryDirectory } from "./clang-text.ts";

const input = (name: string, ...flags: string[]): LinkInput => ({
  name: `${name}.o`,
  bytes: compileProgram(name, ...flags),
});
const main = (): LinkInput => input("link-main");
const other = (): LinkInput => input("link-other");

/** An object without what depends on how types are numbered. */
function comparable(object: BpfObject): unknown {
  const byPlace = (a: { map: string; offset: number }, b: { map: string; offset: number }): number =>
    a.map < b.map ? -1 : a.map > b.map ? 1 : a.offset - b.offset;
  return {
    license: object.license,
    programs: object.programs.map(({ funcInfo, lineInfo, coreRelocations = [], ...program }) => ({
      ...program,
      records: [funcInfo.length, lineInfo.length],
      core: coreRelocations.map(({ insnIndex, access, kind }) => [insnIndex, access, kind]),
    })),
    maps: object.maps.map(({ keyTypeId = 0, valueTypeId = 0, inner, structOps, ...map }) => ({
      ...map,
      structOps: { ...structOps, typeId: 0 },
      types: [keyTypeId !== 0, valueTypeId !== 0],
      inner: inner?.maxEntries,
    })),
    variables: (object.variables ?? []).map(({ typeId: _typeId, ...variable }) => variable).toSorted(byPlace),
    externs: (object.externs ?? []).map(({ typeId: _typeId, ...extern }) => extern),
  };
}

describeWith(["clang", "bpftool"], "the same as bpftool gen object", () => {
  const directory = temporaryDirectory();
  afterAll(() => directory.remove());

  const orders: readonly (readonly [string, () => LinkInput[]])[] = [
    ["one behind the other", () => [main(), other()]],
    ["the other way round", () => [other(), main()]],
    ["a file alone", () => [input("read-all")]],
    ["a third that shares nothing", () => [main(), other(), input("read-struct-ops")]],
  ];
  test.each(orders)("%s", (_, inputs) => {
    const files = inputs().map(({ name, bytes }) => {
      const path = join(directory.path, name);
      writeFileSync(path, bytes);
      return path;
    });
    const linked = join(directory.path, "linked.o");
    execFileSync("bpftool", ["gen", "object", linked, ...files], { stdio: "pipe" });
    const theirs = readObject(new Uint8Array(readFileSync(linked)), { name: "linked.o" });
    expect(comparable(linkObjects(inputs(), { name: "linked.o" }))).toEqual(comparable(theirs));
  });
});

describeWith(["clang"], "what linking resolves", () => {
  test("variables, functions and maps of the other file", () => {
    const object = linkObjects([main(), other()]);
    expect(object.name).toBe("link-main");
    expect(object.programs.map((p) => p.name)).toEqual(["first", "third", "second"]);
    expect(object.maps.map((m) => m.name)).toEqual([
      "inner",
      "outer",
      "ours",
      "theirs",
      ".data",
      ".rodata",
      ".bss",
      ".kconfig",
    ]);
    expect(object.externs!.map((e) => e.name)).toEqual([
      "CONFIG_HZ",
      "LINUX_KERNEL_VERSION",
      "CONFIG_BPF_SYSCALL",
      "skep_missing",
    ]);
    const btf = Btf.parse(object.btf!);
    const functions = (name: string): string[] => {
      const { funcInfo } = object.programs.find((p) => p.name === name)!;
      const view = new DataView(funcInfo.buffer, funcInfo.byteOffset, funcInfo.length);
      return Array.from({ length: funcInfo.length / 8 }, (_, i) => btf.nameOf(view.getUint32(i * 8 + 4, true)));
    };
    // `helper` is one function in each file, `choose` that of the other file, which is not weak; there the compiler puts it in place.
    expect(functions("first")).toEqual(["first", "each", "helper", "other", "helper", "choose", "mine"]);
    expect(functions("second")).toEqual(["second", "mine", "helper"]);
  });

  test("a strong variable counts, at its own place", () => {
    for (const inputs of [
      [main(), other()],
      [other(), main()],
    ]) {
      const object = linkObjects(inputs);
      const preferred = object.variables!.filter((v) => v.name === "preferred");
      expect(preferred).toHaveLength(1);
      const data = object.maps.find((m) => m.name === ".data")!.initialValue!;
      expect(new DataView(data.buffer).getInt32(preferred[0]!.offset, true)).toBe(30);
      // Static ones of one name stay two.
      const own = object.variables!.filter((v) => v.name === "own");
      expect(own.map((v) => new DataView(data.buffer).getInt32(v.offset, true)).toSorted((a, b) => a - b)).toEqual([
        7, 9,
      ]);
    }
  });

  test("what was linked can be written", () => {
    const linked = linkObjects([main(), other()], { name: "x" });
    expect(comparable(readObject(writeElf(linked), { name: "x" }))).toMatchObject({
      license: "GPL",
      variables: (comparable(linked) as { variables: unknown }).variables,
      externs: linked.externs!.map(({ typeId: _typeId, ...extern }) => extern),
    });
  });

  test("equal types are one, those that refer to themselves too", () => {
    const btf = Btf.parse(linkObjects([main(), other()]).btf!);
    expect(btf.findAllByName("shared", BtfKind.STRUCT)).toHaveLength(1);
    expect(btf.findAllByName("int", BtfKind.INT)).toHaveLength(1);
    expect(btf.findAllByName("other", BtfKind.FUNC)).toHaveLength(1);
  });

  test("big-endian files", () => {
    const flags = ["-target", "bpfeb"];
    const big = linkObjects([input("link-main", ...flags), input("link-other", ...flags)]);
    const little = linkObjects([main(), other()]);
    expect(big.byteOrder).toBe("big");
    expect(big.programs.map((p) => p.code)).toEqual(little.programs.map((p) => p.code));
  });

  const PROGRAM = `__attribute__((section("xdp"), used)) int p(void *c)`;
  const cases: readonly (readonly [name: string, one: string, two: string, message: RegExp])[] = [
    ["two definitions", "int x = 1;", "int x = 2;", /two.o: .symtab: offset \d+: x: it is defined in one.o too/],
    [
      "two programs of one name",
      `${PROGRAM} { return 0; }`,
      `${PROGRAM} { return 1; }`,
      /p: it is defined in one.o too/,
    ],
    [
      "a variable of another type",
      "int x = 1;",
      `extern long x; ${PROGRAM} { return x; }`,
      /x: it is declared otherwise than in one.o: int of 4 and of 8 bytes/,
    ],
    [
      "a function of other parameters",
      "int f(int a) { return a; }",
      `extern int f(int a, int b); ${PROGRAM} { return f(1, 2); }`,
      /f: it is declared otherwise than in one.o: 1 and 2 parameters/,
    ],
    [
      "a struct of other members",
      "struct s { int a; int b; } x = { 1 };",
      `extern struct s { int a; short b; } x; ${PROGRAM} { return x.a; }`,
      /struct s: member b: int of 4 and of 2 bytes/,
    ],
    [
      "a map of another size",
      `struct { int (*type)[1]; int (*max_entries)[2]; } m __attribute__((section(".maps"), used));`,
      `extern struct { int (*type)[1]; int (*max_entries)[3]; } m __attribute__((section(".maps"))); ${PROGRAM} { return (long)&m; }`,
      /m: it is declared otherwise than in one.o: maxEntries 2 and 3/,
    ],
    [
      "two licenses",
      `char l[] __attribute__((section("license"), used)) = "GPL";`,
      `char k[] __attribute__((section("license"), used)) = "MIT";`,
      /two.o: license: offset 0: "MIT", the files before say "GPL"/,
    ],
    [
      "what nobody defines",
      "int y = 1;",
      `extern int x; ${PROGRAM} { return x; }`,
      /one: .symtab: offset \d+: x: it is not defined/,
    ],
    [
      "a kernel's function that is defined",
      `__attribute__((section(".text"))) int f(int a) { return a; }`,
      `extern int f(int a) __attribute__((section(".ksyms"))); ${PROGRAM} { return f(1); }`,
      /f: it is declared otherwise than in one.o: in one of them it is the kernel's/,
    ],
  ];
  test.each(cases)("%s", (_, one, two, message) => {
    const inputs = [
      { name: "one.o", bytes: clang(one) },
      { name: "two.o", bytes: clang(two) },
    ];
    expect(() => linkObjects(inputs, { name: "one" })).toThrow(ParseError);
    expect(() => linkObjects(inputs, { name: "one" })).toThrow(message);
  });

  test("files of both byte orders, and none", () => {
    expect(() => linkObjects([main(), input("link-other", "-target", "bpfeb")])).toThrow(
      /big-endian, link-main.o is not/,
    );
    expect(() => linkObjects([])).toThrow(TypeError);
  });
});
