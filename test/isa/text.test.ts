import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import {
  Alu,
  Atomic,
  Class,
  type Insn,
  LD_IMM64,
  OPCODE_FORMS,
  assemble,
  decode,
  disassemble,
  disassembleInsn,
  encode,
  jumpLabels,
  invalidReason,
  ldImm64Pseudo,
} from "../../src/isa/index.ts";
import { fromHex, opcodeCases, toHex } from "./table.ts";

describe("every opcode", () => {
  it("stands in the table", () => {
    const known = OPCODE_FORMS.flatMap((form, opcode) => (form === undefined ? [] : [opcode]));
    expect([...new Set(opcodeCases.map(({ bytes }) => bytes[0]!))].toSorted((a, b) => a - b)).toEqual(known);
  });

  it.each(opcodeCases.map((c) => [c.kernel, c] as const))("%s", (_, { bytes, kernel, llvm }) => {
    const insns = decode(bytes, { strict: true });
    expect(insns).toHaveLength(1);
    const insn = insns[0]!;
    expect(disassembleInsn(insn)).toBe(kernel);
    expect(disassembleInsn(insn, { dialect: "llvm" })).toBe(llvm);
    expect(toHex(encode(insns))).toBe(toHex(bytes));
    expect(toHex(encode(assemble(kernel)))).toBe(toHex(bytes));
    expect(toHex(encode(assemble(llvm, { dialect: "llvm" })))).toBe(toHex(bytes));
    expect(decode(encode(insns, "big"), { order: "big" })).toEqual(insns);
  });
});

/** Any instruction of Linux 6.18. */
const anyInsn: fc.Arbitrary<Insn> = fc
  .record({
    opcode: fc.constantFrom(...OPCODE_FORMS.flatMap((form, opcode) => (form === undefined ? [] : [opcode]))),
    dst: fc.nat(10),
    src: fc.nat(10),
    off: fc.integer({ min: -0x8000, max: 0x7fff }),
    imm: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
    high: fc.integer({ min: 0, max: 0xffff_ffff }),
    choice: fc.nat(),
  })
  .map(({ opcode, dst, src, off, imm, high, choice }): Insn => {
    const pick = <T>(values: readonly T[]): T => values[choice % values.length]!;
    const op = opcode & 0xf0;
    const insn = (d: number, s: number, o: number, i: number): Insn => ({ opcode, dst: d, src: s, off: o, imm: i });
    switch (OPCODE_FORMS[opcode]!) {
      case "alu-imm":
        return insn(dst, 0, op === Alu.DIV || op === Alu.MOD ? choice % 2 : 0, imm);
      case "alu-reg": {
        if (op === Alu.DIV || op === Alu.MOD) return insn(dst, src, choice % 2, 0);
        if (op !== Alu.MOV) return insn(dst, src, 0, 0);
        const moves = (opcode & 7) === Class.ALU64 ? [0, 8, 16, 32, 1, -1] : [0, 8, 16];
        const move = pick(moves);
        return insn(dst, src, move, move === 1 ? imm : 0);
      }
      case "neg":
        return insn(dst, 0, 0, 0);
      case "endian":
      case "bswap":
        return insn(dst, 0, 0, pick([16, 32, 64]));
      case "ld-imm64": {
        const pseudo = choice % 7;
        const second = [0, 2, 3, 6].includes(pseudo) ? high : 0;
        return ldImm64Pseudo(dst, pseudo, (BigInt(second) << 32n) | BigInt(imm >>> 0));
      }
      case "ld-abs":
        return insn(0, 0, 0, imm);
      case "ld-ind":
        return insn(0, src, 0, imm);
      case "load":
      case "load-sx":
      case "store-reg":
        return insn(dst, src, off, 0);
      case "store-imm":
        return insn(dst, 0, off, imm);
      case "atomic": {
        const plain = [Atomic.ADD, Atomic.OR, Atomic.AND, Atomic.XOR].flatMap((one) => [one, one | Atomic.FETCH]);
        const words = (opcode & 0x18) === 0 || (opcode & 0x18) === 0x18;
        const ordered = [Atomic.LOAD_ACQ, Atomic.STORE_REL];
        return insn(dst, src, off, pick(words ? [...plain, Atomic.XCHG, Atomic.CMPXCHG, ...ordered] : ordered));
      }
      case "nospec":
      case "exit":
        return insn(0, 0, 0, 0);
      case "goto":
      case "may-goto":
        return insn(0, 0, off, 0);
      case "gotol":
        return insn(0, 0, 0, imm);
      case "gotox":
      case "callx":
        return insn(dst, 0, 0, 0);
      case "jump-imm":
        return insn(dst, 0, off, imm);
      case "jump-reg":
        return insn(dst, src, off, 0);
      case "call": {
        const kind = choice % 3;
        return insn(0, kind, kind === 2 ? off : 0, kind === 1 ? imm : imm & 0x7fff_ffff);
      }
    }
  });

describe("round trips", () => {
  it("keep every instruction through both texts, with and without opcodes and indexes", () => {
    const anyText = fc.record({
      insns: fc.array(anyInsn, { maxLength: 20 }),
      dialect: fc.constantFrom("kernel" as const, "llvm" as const),
      opcode: fc.boolean(),
      index: fc.boolean(),
    });
    fc.assert(
      fc.property(anyText, ({ insns, ...options }) => {
        for (const insn of insns) expect(invalidReason(insn)).toBeUndefined();
        expect(assemble(disassemble(insns, options), options)).toEqual(insns);
      }),
      { numRuns: 1500 },
    );
  });

  it("keep any bytes with whole instructions through decode and encode, in both orders", () => {
    const slots = fc.array(fc.uint8Array({ minLength: 8, maxLength: 8 }), { maxLength: 8 });
    fc.assert(
      fc.property(slots, fc.constantFrom("little" as const, "big" as const), (chunks, order) => {
        const bytes = Uint8Array.from(chunks.filter((chunk) => chunk[0] !== LD_IMM64).flatMap((chunk) => [...chunk]));
        expect(encode(decode(bytes, { order }), order)).toEqual(bytes);
      }),
      { numRuns: 500 },
    );
  });

  it("never throw on printing any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (bytes) => {
        if (bytes[0] === LD_IMM64) return;
        expect(disassemble(bytes)).not.toContain("undefined");
        expect(disassemble(bytes, { dialect: "llvm" })).not.toContain("undefined");
      }),
    );
  });
});

describe("decode refuses", () => {
  const malformed: readonly (readonly [string, string, number, string])[] = [
    ["a cut instruction", "b7 00 00 00 00 00 00 00 95 00", 8, "cut short"],
    ["a 64-bit load without its second slot", "18 01 00 00 00 00 00 00", 0, "without its second slot"],
    ["a second slot with an opcode", "18 01 00 00 00 00 00 00 95 00 00 00 00 00 00 00", 8, "has an opcode"],
  ];
  it.each(malformed)("%s", (_, hex, offset, why) => {
    try {
      decode(fromHex(hex));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ParseError);
      expect((error as ParseError).byteOffset).toBe(offset);
      expect((error as ParseError).message).toContain(why);
    }
  });

  const notInstructions: readonly (readonly [hex: string, why: string])[] = [
    ["ff 00 00 00 00 00 00 00", "unknown opcode 0xff"],
    ["b7 10 00 00 00 00 00 00", "source register r1"],
    ["bf 1b 00 00 00 00 00 00", "destination register r11"],
    ["bf c1 00 00 00 00 00 00", "source register r12"],
    ["95 00 00 00 01 00 00 00", "immediate 1"],
    ["07 01 02 00 01 00 00 00", "offset 2"],
    ["bc 21 20 00 00 00 00 00", "offset 32"],
    ["dc 01 00 00 08 00 00 00", "byte order of 8 bits"],
    ["c3 21 00 00 02 00 00 00", "unknown atomic operation 0x2"],
    ["cb 21 00 00 01 00 00 00", "unknown atomic operation 0x1"],
    ["85 30 00 00 01 00 00 00", "unknown kind 3 of call"],
    ["18 71 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "unknown kind 7 of 64-bit immediate"],
    ["18 11 00 00 00 00 00 00 00 00 00 00 01 00 00 00", "second immediate 1"],
  ];
  it.each(notInstructions)("in strict mode %s: %s", (hex, why) => {
    expect(() => decode(fromHex(hex))).not.toThrow();
    expect(() => decode(fromHex(hex), { strict: true })).toThrow(why);
  });

  it("fields that do not fit, when encoding", () => {
    expect(() => encode([{ opcode: 0x07, dst: 1, src: 0, off: 0x8000, imm: 0 }])).toThrow(RangeError);
    expect(() => encode([{ opcode: 0x07, dst: 1, src: 0, off: 0, imm: 0x8000_0000 }])).toThrow(RangeError);
    expect(() => encode([{ opcode: LD_IMM64, dst: 1, src: 0, off: 0, imm: 0 }])).toThrow(TypeError);
  });
});

describe("what is no instruction prints as the kernel and llvm print it", () => {
  it.each([
    ["c3 21 00 00 02 00 00 00", "BUG_c3", "<unknown>"],
    ["19 00 00 00 00 00 00 00", "BUG_ldx_19", "<unknown>"],
    ["d2 00 00 00 00 00 00 00", "BUG_st_d2", "<unknown>"],
  ])("%s", (hex, kernel, llvm) => {
    expect(disassemble(fromHex(hex))).toBe(`${kernel}\n`);
    expect(disassemble(fromHex(hex), { dialect: "llvm" })).toBe(`${llvm}\n`);
  });
});

describe("labels", () => {
  const insns = assemble("if r1 == 0 goto +3\nr1 = 5 ll\ngoto -4\ncall pc+0\nexit");

  it("name what is jumped to, after the jump in clang's text", () => {
    expect(disassemble(insns, { dialect: "llvm", index: true, labels: jumpLabels(insns) })).toBe(
      [
        "L0:",
        "       0:\tif r1 == 0 goto +3 <L1>",
        "       1:\tr1 = 5 ll",
        "       3:\tgoto -4 <L0>",
        "L1:",
        "       4:\tcall pc+0 <L2>",
        "L2:",
        "       5:\texit",
        "",
      ].join("\n"),
    );
  });

  it("are read back", () => {
    for (const dialect of ["kernel", "llvm"] as const) {
      const text = disassemble(insns, { dialect, index: true, opcode: true, labels: jumpLabels(insns) });
      expect(assemble(text, { dialect })).toEqual(insns);
    }
  });
});
