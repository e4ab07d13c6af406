import { describe, expect, test } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import { callLocal, encode, exit, mov64Imm } from "../../src/isa/index.ts";
import type { Insn } from "../../src/isa/index.ts";
import { ElfFile } from "../../src/object/elf-file.ts";
import { readObject } from "../../src/object/index.ts";

const PROGBITS = 1;
const NOBITS = 8;
const CODE = 6;
const DATA = 3;
const REL_CALL = 10;

/** A section of code with a function of each of these. Returns the symbols. */
function code(file: ElfFile, name: string, functions: readonly (readonly Insn[])[], prefix: string): number[] {
  const section = file.section({ name, type: PROGBITS, flags: CODE, alignment: 8, data: encode(functions.flat()) });
  let value = 0;
  return functions.map((insns, i) => {
    const size = insns.length * 8;
    const symbol = file.symbol({ name: `${prefix}${i}`, type: 2, binding: 1, section, value, size });
    value += size;
    return symbol;
  });
}

describe("objects that are made to be expensive", () => {
  test("functions that nest deeper than the stack", () => {
    const file = new ElfFile();
    const depth = 60_000;
    // Each calls the next; the last only returns.
    const chain = Array.from({ length: depth }, (_, i) =>
      i === depth - 1 ? [exit(), exit()] : [callLocal(1), exit()],
    );
    const [first] = code(file, ".text", chain, "f");
    code(file, "xdp", [[callLocal(-1), exit()]], "p");
    file.relocate(2, [{ offset: 0, symbol: first!, type: REL_CALL }]);
    const object = readObject(file.finish());
    expect(object.programs[0]!.code.length).toBe((2 * depth + 2) * 8);
  });

  test("functions that call themselves", () => {
    const file = new ElfFile();
    const [f] = code(file, ".text", [[callLocal(-1), exit()]], "f");
    code(file, "xdp", [[callLocal(-1), exit()]], "p");
    file.relocate(2, [{ offset: 0, symbol: f!, type: REL_CALL }]);
    expect(readObject(file.finish()).programs[0]!.code.length).toBe(4 * 8);
  });

  test("programs that all call the same large function", () => {
    const file = new ElfFile();
    const large = Array.from({ length: 100_000 }, () => mov64Imm(0, 0));
    const [f] = code(file, ".text", [large], "f");
    const count = 5000;
    code(
      file,
      "xdp",
      Array.from({ length: count }, () => [callLocal(-1), exit()]),
      "p",
    );
    file.relocate(
      2,
      Array.from({ length: count }, (_, i) => ({ offset: i * 16, symbol: f!, type: REL_CALL })),
    );
    expect(() => readObject(file.finish())).toThrow(ParseError);
    expect(() => readObject(file.finish())).toThrow(/all programs together pass 67108864 bytes/);
  });

  test("a program of more than a million instructions", () => {
    const file = new ElfFile();
    code(file, "xdp", [Array.from({ length: 1_000_001 }, () => exit())], "p");
    expect(() => readObject(file.finish())).toThrow(/program p0: with what it calls it passes 1000000 instructions/);
  });

  test("variables of more than 4 GiB", () => {
    const file = new ElfFile();
    file.section({ name: ".bss", type: NOBITS, flags: DATA, alignment: 8, data: 2 ** 40 });
    file.symbol({ name: "x", type: 1, binding: 1, section: 1, value: 0, size: 4 });
    expect(() => readObject(file.finish())).toThrow(/\.bss: offset 0: a section of 1099511627776 bytes/);
  });

  test("variables of 4 GiB take no memory before they are made", () => {
    const file = new ElfFile();
    file.section({ name: ".bss", type: NOBITS, flags: DATA, alignment: 8, data: 2 ** 32 - 8 });
    file.symbol({ name: "x", type: 1, binding: 1, section: 1, value: 0, size: 4 });
    expect(readObject(file.finish()).maps).toEqual([expect.objectContaining({ valueSize: 2 ** 32 - 8 })]);
  });

  const overlap: readonly (readonly [name: string, value: number, size: number, message: RegExp])[] = [
    ["functions that overlap", 8, 16, /functions f0 and g overlap/],
    ["a function beyond its section", 16, 16, /function g of 16 bytes: the section ends at 24/],
    ["half an instruction", 4, 8, /function g of 8 bytes: no multiple of 8/],
    ["a function without code", 16, 0, /function g of 0 bytes/],
  ];
  test.each(overlap)("%s", (_, value, size, message) => {
    const file = new ElfFile();
    code(file, ".text", [[mov64Imm(0, 0), exit()], [exit()]].slice(0, 2), "f");
    file.symbol({ name: "g", type: 2, binding: 1, section: 1, value, size });
    expect(() => readObject(file.finish())).toThrow(message);
  });
});
