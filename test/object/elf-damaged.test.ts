import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import { Elf, ElfSegmentType, ElfSectionType } from "../../src/object/index.ts";
import { describeWith, missing } from "../support/needs.ts";

/** A file with one loaded segment, a note, a string table, and three functions: `outer` 0x100+0x40, `inner` in it, `label` of no size. */
function sample(options: { wide: boolean; big: boolean }): Uint8Array {
  const { wide, big } = options;
  const word = wide ? 8 : 4;
  const sizes = wide
    ? { header: 64, segment: 56, section: 64, symbol: 24 }
    : { header: 52, segment: 32, section: 40, symbol: 16 };
  const names = "\0outer\0inner\0label\0__alias\0";
  const sectionNames = "\0.text\0.symtab\0.strtab\0.note\0";
  const [segmentAt, noteAt] = [sizes.header, sizes.header + sizes.segment];
  const symbolsAt = noteAt + 24;
  const namesAt = symbolsAt + sizes.symbol * 5;
  const sectionNamesAt = namesAt + names.length;
  const sectionsAt = sectionNamesAt + sectionNames.length;
  const out = Buffer.alloc(sectionsAt + sizes.section * 6);
  let at = 0;
  const put = (value: number, size: number): void => {
    if (size === 8) {
      const wideValue = BigInt(value);
      if (big) out.writeBigUInt64BE(wideValue, at);
      else out.writeBigUInt64LE(wideValue, at);
    } else if (big) out.writeUIntBE(value, at, size);
    else out.writeUIntLE(value, at, size);
    at += size;
  };
  const putAll = (...fields: readonly [value: number, size: number][]): void => fields.forEach((f) => put(...f));

  putAll([0x7f, 1], [0x45, 1], [0x4c, 1], [0x46, 1], [wide ? 2 : 1, 1], [big ? 2 : 1, 1], [1, 1]);
  at = 16;
  putAll([3, 2], [62, 2], [1, 4], [0x1100, word], [segmentAt, word], [sectionsAt, word], [0, 4]);
  putAll([sizes.header, 2], [sizes.segment, 2], [1, 2], [sizes.section, 2], [6, 2], [5, 2]);

  at = segmentAt;
  put(ElfSegmentType.LOAD, 4);
  if (wide) put(5, 4);
  putAll([0x100, word], [0x1100, word], [0x1100, word], [0x200, word], [0x300, word]);
  if (!wide) put(5, 4);
  put(0x1000, word);

  at = noteAt;
  putAll([4, 4], [8, 4], [3, 4], [0x47, 1], [0x4e, 1], [0x55, 1], [0, 1]);
  for (let i = 0; i < 8; i++) put(0xa0 + i, 1);

  for (const [i, [name, value, size, info, section]] of (
    [
      [0, 0, 0, 0, 0],
      [1, 0x1100, 0x40, 0x12, 1],
      [7, 0x1110, 0x10, 0x02, 1],
      [13, 0x1150, 0, 0x12, 1],
      [19, 0x1100, 0x40, 0x22, 1],
    ] as const
  ).entries()) {
    at = symbolsAt + i * sizes.symbol;
    if (wide) putAll([name, 4], [info, 1], [0, 1], [section, 2], [value, 8], [size, 8]);
    else putAll([name, 4], [value, 4], [size, 4], [info, 1], [0, 1], [section, 2]);
  }
  out.write(names, namesAt, "latin1");
  out.write(sectionNames, sectionNamesAt, "latin1");

  const { PROGBITS, SYMTAB, STRTAB, NOTE } = ElfSectionType;
  for (const [i, [name, type, address, offset, size, link, entry]] of (
    [
      [0, 0, 0, 0, 0, 0, 0],
      [1, PROGBITS, 0x1100, 0x100, 0x80, 0, 0],
      [7, SYMTAB, 0, symbolsAt, sizes.symbol * 5, 3, sizes.symbol],
      [15, STRTAB, 0, namesAt, names.length, 0, 0],
      [23, NOTE, 0, noteAt, 24, 0, 0],
      [15, STRTAB, 0, sectionNamesAt, sectionNames.length, 0, 0],
    ] as const
  ).entries()) {
    at = sectionsAt + i * sizes.section;
    putAll(
      [name, 4],
      [type, 4],
      [0, word],
      [address, word],
      [offset, word],
      [size, word],
      [link, 4],
      [0, 4],
      [4, word],
    );
    put(entry, word);
  }
  return out;
}

const formats = [
  { wide: true, big: false },
  { wide: true, big: true },
  { wide: false, big: false },
  { wide: false, big: true },
];

/** Asks everything. */
function exercise(bytes: Uint8Array): void {
  let elf: Elf;
  try {
    elf = Elf.parse(bytes);
  } catch (error) {
    if (error instanceof ParseError) return;
    throw error;
  }
  for (const ask of [
    () => elf.sections.map((section) => elf.sectionData(section)),
    () => elf.segments,
    () => elf.notes(),
    () => elf.buildId,
    () => elf.debugLink,
    () => [...elf.symbols(".symtab"), ...elf.symbols(".dynsym")],
    () => elf.findSymbol("outer"),
    () => elf.functions.lookup(0x1115),
    () => elf.functions.lookup(2n ** 64n - 1n),
    () => elf.functions.names(),
    () => elf.virtualToFileOffset(0x1115),
    () => elf.fileOffsetToVirtual(0x115),
  ]) {
    try {
      ask();
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
    }
  }
}

describe.each(formats)("a file of our own, %o", (format) => {
  const bytes = sample(format);
  const elf = Elf.parse(bytes, "own");

  it("is read", () => {
    expect(elf.header).toMatchObject({
      class: format.wide ? 64 : 32,
      bigEndian: format.big,
      entry: 0x1100n,
      type: 3,
      machine: 62,
    });
    expect(elf.sections.map((s) => s.name)).toEqual(["", ".text", ".symtab", ".strtab", ".note", ".strtab"]);
    expect(elf.segments).toMatchObject([
      { type: 1, flags: 5, offset: 0x100, virtualAddress: 0x1100n, fileSize: 0x200 },
    ]);
    expect(elf.buildId).toBe("a0a1a2a3a4a5a6a7");
    expect([...elf.symbols()].map((s) => s.name)).toEqual(["", "outer", "inner", "label", "__alias"]);
  });

  it.each<[address: number, name: string | undefined, offset: number]>([
    [0x10ff, undefined, 0],
    [0x1100, "outer", 0],
    [0x110f, "outer", 0xf],
    [0x1110, "inner", 0],
    [0x111f, "inner", 0xf],
    [0x1120, "outer", 0x20],
    [0x113f, "outer", 0x3f],
    [0x1140, undefined, 0],
    [0x1150, "label", 0],
    [0x117f, "label", 0x2f],
    [0x1180, undefined, 0],
  ])("address %i is %s+%i", (address, name, offset) => {
    const hit = elf.functions.lookup(address);
    expect(hit?.name).toBe(name);
    if (hit) expect(hit.offset).toBe(offset);
    expect(elf.functions.lookup(BigInt(address))).toEqual(hit);
  });

  it.each<[address: number, offset: number | undefined]>([
    [0x10ff, undefined],
    [0x1100, 0x100],
    [0x12ff, 0x2ff],
    [0x1300, undefined],
  ])("address %i is at offset %s", (address, offset) => {
    expect(elf.virtualToFileOffset(address)).toBe(offset);
    if (offset !== undefined) expect(elf.fileOffsetToVirtual(offset)).toBe(BigInt(address));
  });

  it("with any byte flipped is a ParseError or harmless", () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x10, 0x80, 0xff]) {
        const copy = Uint8Array.from(bytes);
        copy[at]! ^= flip;
        exercise(copy);
      }
    }
  });

  it("cut short anywhere is a ParseError or harmless", () => {
    for (let length = 0; length < bytes.length; length++) exercise(bytes.subarray(0, length));
  });
});

describe("damaged ELF", () => {
  const patched = (at: number, ...values: readonly number[]): Uint8Array => {
    const copy = Uint8Array.from(sample(formats[0]!));
    copy.set(values, at);
    return copy;
  };
  it.each<[what: string, bytes: Uint8Array, message: RegExp]>([
    ["nothing", new Uint8Array(0), /offset 0: no ELF file/],
    ["a script", new TextEncoder().encode("#!/bin/sh\necho a script\n"), /no ELF file/],
    ["a strange class", patched(4, 3), /offset 4: ELF class 3/],
    ["a strange byte order", patched(5, 0), /offset 5: ELF byte order 0/],
    ["a header cut short", sample(formats[0]!).subarray(0, 40), /bytes wanted/],
    ["sections behind the end", patched(40, 0xff, 0xff, 0xff), /section table: 384 bytes wanted, the file ends at/],
    ["an offset beyond all files", patched(40, 0, 0, 0, 0, 0, 0, 0, 0x80), /no size or offset of a file/],
    ["small section headers", patched(58, 8), /section headers of 8 bytes/],
  ])("%s is refused", (_what, bytes, message) => {
    const read = (): unknown => Elf.parse(bytes, "x").sections;
    expect(read).toThrow(ParseError);
    expect(read).toThrow(message);
  });

  it("a source that gives less than it promised is a ParseError", () => {
    const bytes = sample(formats[0]!);
    const elf = Elf.parse({
      size: bytes.length,
      read: (offset, length) => bytes.subarray(offset, offset + Math.min(length, 100)),
    });
    expect(() => elf.sections).toThrow(/the file shrank/);
  });
});

describeWith(["clang"], "an object of clang", () => {
  it("with flipped bytes is a ParseError or harmless, in bounded time", () => {
    if (missing("clang")) return;
    const directory = mkdtempSync(join(tmpdir(), "skep-elf-"));
    const file = join(directory, "types.o");
    spawnSync("clang", ["-g", "-O2", "-target", "bpf", "-c", "test/programs/types.c", "-o", file]);
    const bytes = readFileSync(file);
    rmSync(directory, { recursive: true });
    let seed = 99;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let round = 0; round < 2000; round++) {
      const copy = Uint8Array.from(bytes);
      for (let flips = 0; flips <= random(10); flips++) copy[random(copy.length)] = random(256);
      // The tables are a small part of the file: most rounds hit one for certain.
      const sectionsAt = Number(bytes.readBigUInt64LE(40));
      copy[sectionsAt + random(copy.length - sectionsAt)] = random(256);
      const started = performance.now();
      exercise(copy);
      expect(performance.now() - started).toBeLessThan(2000);
    }
  });
});
