import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Btf, BtfBuilder, BtfIntEncoding, BtfKind, dumpBtfRaw, printBtfType } from "../../src/btf/index.ts";
import { Elf } from "../../src/object/index.ts";
import { describeWith, missing } from "../support/needs.ts";

const directory = mkdtempSync(join(tmpdir(), "skep-btf-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function bpftool(...args: readonly string[]): string {
  return execFileSync("bpftool", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function raw(btf: Btf): string {
  return `${[...dumpBtfRaw(btf)].join("\n")}\n`;
}

function compile(target: string): { file: string; btf: Btf } {
  const file = join(directory, `${target}.o`);
  execFileSync("clang", ["-g", "-O2", "-target", target, "-c", "test/programs/types.c", "-o", file]);
  const elf = Elf.parse(readFileSync(file), file);
  return { file, btf: Btf.parse(elf.sectionData(elf.sectionByName(".BTF")!), { section: `${file}: .BTF` }) };
}

describeWith(["clang", "bpftool"], "BTF that clang wrote", () => {
  it.each(["bpfel", "bpfeb"])("for %s is dumped raw as by bpftool", (target) => {
    const { file, btf } = compile(target);
    expect(btf.bigEndian).toBe(target === "bpfeb");
    expect(raw(btf)).toBe(bpftool("btf", "dump", "file", file, "format", "raw"));
  });

  it("is the same types in either byte order", () => {
    expect(raw(compile("bpfeb").btf)).toBe(raw(compile("bpfel").btf));
  });

  it("is printed as C as by bpftool", () => {
    const { file, btf } = compile("bpfel");
    const theirs = bpftool("btf", "dump", "file", file, "format", "c");
    for (const kind of [BtfKind.STRUCT, BtfKind.UNION, BtfKind.ENUM, BtfKind.ENUM64, BtfKind.TYPEDEF] as const) {
      for (const id of btf.idsByKind(kind)) {
        if (btf.nameOf(id) !== "") expect(theirs).toContain(`${printBtfType(btf, id)};\n`);
      }
    }
  });

  it("reads the same from any alignment", () => {
    const { file } = compile("bpfel");
    const elf = Elf.parse(readFileSync(file), file);
    const bytes = elf.sectionData(elf.sectionByName(".BTF")!);
    for (const shift of [1, 2, 3]) {
      const moved = Buffer.concat([Buffer.alloc(shift), bytes]);
      expect(raw(Btf.parse(moved.subarray(shift)))).toBe(raw(Btf.parse(bytes)));
    }
  });
});

/** Split BTF: a struct `extra` that holds the base's `int` under a name of the base, and a pointer to itself. */
function splitOf(base: Uint8Array): Uint8Array {
  const parsed = Btf.parse(base);
  const int = parsed.findByName("int")!;
  const own = "\0extra\0self\0";
  const first = parsed.typeCount;
  const start = parsed.strings.end;
  const nameOfBase = Buffer.from(base).indexOf("\0color\0") + 1 - (base.length - parsed.strings.end);
  const struct = [start + 1, (BtfKind.STRUCT << 24) | 2, 16, nameOfBase, int, 0, start + 7, first + 1, 64];
  const words = [...struct, 0, BtfKind.PTR << 24, first];
  const out = Buffer.alloc(24 + words.length * 4 + own.length);
  out.writeUInt16LE(0xeb9f, 0);
  out[2] = 1;
  for (const [i, word] of [24, 0, words.length * 4, words.length * 4, own.length, ...words].entries()) {
    out.writeUInt32LE(word, 4 + i * 4);
  }
  out.write(own, 24 + words.length * 4, "latin1");
  return out;
}

describe("split BTF", () => {
  const builder = new BtfBuilder();
  builder.typedef("color", builder.int("int", 4, BtfIntEncoding.SIGNED));
  const baseBytes = builder.finish();
  const base = Btf.parse(baseBytes);
  const split = Btf.parse(splitOf(baseBytes), { base, section: "module" });

  it("continues the base's ids and strings", () => {
    expect(split.firstId).toBe(base.typeCount);
    expect(split.typeCount).toBe(base.typeCount + 2);
    const extra = split.structByName("extra")!;
    expect(extra.members).toMatchObject([{ name: "color" }, { name: "self", typeId: extra.id + 1 }]);
    expect(printBtfType(split, extra.id)).toBe("struct extra {\n\tint color;\n\tstruct extra *self;\n}");
    expect(split.findByName("color")).toBe(base.findByName("color"));
    expect(split.findOwnByName("color")).toBeUndefined();
    expect([...split.names(BtfKind.STRUCT)]).toEqual(["extra"]);
    expect([...split.idsByKind(BtfKind.INT)]).toEqual([1]);
    expect(split.memberPath(extra.id, "self")).toMatchObject({ bitOffset: 64 });
    expect(base.structByName("extra")).toBeUndefined();
  });

  it.skipIf(missing("bpftool"))("is dumped raw as by bpftool", () => {
    const [baseFile, file] = [join(directory, "base.btf"), join(directory, "split.btf")];
    writeFileSync(baseFile, baseBytes);
    writeFileSync(file, splitOf(baseBytes));
    expect(raw(split)).toBe(bpftool("-B", baseFile, "btf", "dump", "file", file, "format", "raw"));
  });
});
