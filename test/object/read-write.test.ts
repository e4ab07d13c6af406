import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { UnsupportedError } from "../../src/base/index.ts";
import { INSN_SIZE } from "../../src/isa/index.ts";
import { readObject, writeElf } from "../../src/object/index.ts";
import type { BpfObject, ProgramSpec } from "../../src/object/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";
import { differences, openWithLibbpf } from "../support/libbpf/opened.ts";
import { clang, temporaryDirectory } from "./clang-text.ts";

/** A program whose callback hands itself on. */
const CALLBACK = `
static long (*loop)(unsigned n, void *f, void *c, long flags) = (void *)181;
static long again(unsigned i, void *c) { return loop(i, again, c, 0); }
__attribute__((section("tc"), used)) int p(void *c) { return loop(3, again, 0, 0); }`;

/** Variables of an arena, one of them static, addressed with and without an offset. */
const ARENA = `
struct { int (*type)[33]; int (*map_flags)[1024]; int (*max_entries)[10]; } arena __attribute__((section(".maps"), used));
__attribute__((section(".addr_space.1"))) long first = 3;
static volatile __attribute__((section(".addr_space.1"))) long second[3] = { 1, 2, 3 };
__attribute__((section("syscall"), used)) int p(void *c) { return first + second[2] + (long)&arena; }`;

const sources: readonly (readonly [name: string, bytes: () => Uint8Array])[] = [
  ...[
    "read-all",
    "read-struct-ops",
    "core-kernel",
    "load-externs",
    "load-maps",
    "load-arena",
    "load-targets",
    "api",
  ].map((name): readonly [string, () => Uint8Array] => [name, () => compileProgram(name)]),
  ["a callback that hands itself on", () => clang(CALLBACK)],
  ["variables of an arena", () => clang(ARENA)],
  ["a section that says nothing", () => clang(`__attribute__((section("mine"), used)) int p(void *c) { return 0; }`)],
];

/** Code with zeros where loaders write. */
function neutralCode({ code, relocations }: ProgramSpec): Uint8Array {
  const out = new Uint8Array(code);
  for (const { kind, insnIndex } of relocations) {
    const at = insnIndex * INSN_SIZE;
    out.fill(0, at + 1, at + (kind === "kfunc" ? INSN_SIZE : 2 * INSN_SIZE));
  }
  return out;
}

/** An object without ids of types, and without what the order of sections changes. */
function comparable(object: BpfObject): unknown {
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  return {
    ...object,
    btf: undefined,
    dwarf: undefined,
    programs: object.programs.map((p) => ({ ...p, code: neutralCode(p) })).toSorted(byName),
    maps: object.maps
      .map(({ keyTypeId: _key, valueTypeId: _value, inner, structOps, ...map }) => ({
        ...map,
        inner: inner?.maxEntries,
        functions: structOps?.functions,
      }))
      .toSorted(byName),
    variables: object
      .variables!.map(({ typeId: _typeId, ...v }) => v)
      .toSorted((a, b) => byName(a, b) || a.offset - b.offset),
    externs: object.externs!.map(({ typeId: _typeId, ...extern }) => extern),
  };
}

describeWith(["clang"], "what was read and is written", () => {
  test.each(sources)("%s: reads as before", (_, bytes) => {
    const object = readObject(bytes(), { name: "x.o" });
    const again = readObject(writeElf(object, { libbpfMinor: 8 }), { name: "x.o" });
    expect(comparable(again)).toEqual(comparable(object));
  });

  test("big-endian objects are not written", () => {
    const object = readObject(compileProgram("read-all", "-target", "bpfeb"));
    expect(() => writeElf(object)).toThrow(UnsupportedError);
  });
});

describeWith(["clang", "gcc", "libbpf"], "files that were read and written, to libbpf", () => {
  const directory = temporaryDirectory();
  afterAll(() => directory.remove());

  // libbpf 1.1 knows no arenas and loads no structs with links.
  test.each(sources.filter(([name]) => !/arena|read-struct-ops/.test(name)))("%s", (_, bytes) => {
    const path = join(directory.path, "x.o");
    const file = writeElf(readObject(bytes(), { name: path }), { libbpfMinor: 8 });
    writeFileSync(path, file);
    const [opened] = openWithLibbpf([path]);
    expect(opened?.open).toBe(0);
    const found = differences(readObject(file, { name: path }), opened!);
    expect(found.filter((line) => !line.startsWith("code of throws"))).toEqual([]);
  });
});
