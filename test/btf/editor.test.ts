import { describe, expect, test } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import {
  Btf,
  BtfBuilder,
  BtfEditor,
  BtfFuncLinkage,
  BtfKind,
  BtfIntEncoding,
  BtfMerger,
  BtfVarLinkage,
  decodeBtfExt,
  dumpBtfRaw,
  encodeBtfExt,
} from "../../src/btf/index.ts";

/** Types of a small program: a struct that refers to itself, a function and two variables. */
function sample(memberName: string = "next"): { btf: Uint8Array; func: number; x: number; y: number; section: number } {
  const b = new BtfBuilder();
  const int = b.int("int", 4, 1);
  const node = b.declareStruct("node");
  b.defineStruct(node, 16, [
    { name: "value", typeId: int, bitOffset: 0 },
    { name: memberName, typeId: b.pointer(node), bitOffset: 64 },
  ]);
  const func = b.func("f", b.funcProto(int, [{ name: "n", typeId: b.pointer(node) }]), BtfFuncLinkage.GLOBAL);
  const x = b.variable("x", int);
  const y = b.variable("y", node);
  const section = b.dataSection(".data", 20, [
    { typeId: x, offset: 0, size: 4 },
    { typeId: y, offset: 4, size: 16 },
  ]);
  return { btf: b.finish(), func, x, y, section };
}

const lines = (btf: Uint8Array): string[] => [...dumpBtfRaw(Btf.parse(btf))];

describe("editing", () => {
  test("changes nothing by itself", () => {
    const { btf } = sample();
    expect(lines(new BtfEditor(btf).finish())).toEqual(lines(btf));
  });

  test("linkage, places of variables, types and strings behind the others", () => {
    const { btf, func, x, y, section } = sample();
    const editor = new BtfEditor(btf);
    editor.setLinkage(func, BtfFuncLinkage.STATIC);
    editor.setLinkage(y, BtfVarLinkage.STATIC);
    editor.setDataSection(section, 32, [
      { typeId: x, offset: 16, size: 4 },
      { typeId: y, offset: 0, size: 16 },
    ]);
    const int = editor.appendInt("other");
    expect(int).toBe(Btf.parse(btf).typeCount);
    expect(editor.string("other")).toBe(editor.string("other"));
    const edited = Btf.parse(editor.finish());
    expect(edited.typeById(func)).toMatchObject({ linkage: BtfFuncLinkage.STATIC, name: "f" });
    expect(edited.typeById(y)).toMatchObject({ linkage: BtfVarLinkage.STATIC });
    expect(edited.typeById(section)).toMatchObject({
      size: 32,
      entries: [
        { typeId: y, offset: 0, size: 16 },
        { typeId: x, offset: 16, size: 4 },
      ],
    });
    expect(edited.typeById(int)).toMatchObject({ kind: BtfKind.INT, name: "other", size: 4, encoding: 1 });
  });

  test("what does not fit is refused", () => {
    const { btf, section, x } = sample();
    const editor = new BtfEditor(btf);
    expect(() => editor.wordsOf(99)).toThrow(/no type 99: ids run from 1 to/);
    expect(() => editor.setLinkage(section, 0)).toThrow(/\(DATASEC\) has no linkage/);
    expect(() => editor.setDataSection(section, 4, [])).toThrow(/no section of 0 variables/);
    expect(() => editor.setDataSection(x, 4, [])).toThrow(RangeError);
    expect(() => new BtfEditor(btf.subarray(0, 30))).toThrow(ParseError);
  });
});

describe("merging", () => {
  const nothing = { skip: () => false, replacement: () => undefined };
  const merge = (
    a: Uint8Array,
    b: Uint8Array,
    choices: ConstructorParameters<typeof BtfMerger>[1] = nothing,
  ): BtfMerger =>
    new BtfMerger(
      [
        { bytes: a, section: "a" },
        { bytes: b, section: "b" },
      ],
      choices,
    );
  const isSection = (bytes: Uint8Array, id: number): boolean => Btf.parse(bytes).kindOf(id) === BtfKind.DATASEC;

  test("equal types become one, variables stay", () => {
    const one = sample();
    const { btf, finalId } = merge(one.btf, one.btf).finish();
    const merged = Btf.parse(btf);
    const count = (name: string, kind: BtfKind): number => merged.findAllByName(name, kind).length;
    expect([count("node", BtfKind.STRUCT), count("int", BtfKind.INT), count("f", BtfKind.FUNC)]).toEqual([1, 1, 1]);
    expect([count("x", BtfKind.VAR), count(".data", BtfKind.DATASEC)]).toEqual([2, 2]);
    expect(merged.nameOf(finalId(one.func))).toBe("f");
  });

  test("types that differ far below stay two, with all that refers to them", () => {
    const merged = Btf.parse(merge(sample().btf, sample("following").btf).finish().btf);
    expect(merged.findAllByName("node", BtfKind.STRUCT)).toHaveLength(2);
    expect(merged.findAllByName("f", BtfKind.FUNC)).toHaveLength(2);
    expect(merged.findAllByName("int", BtfKind.INT)).toHaveLength(1);
  });

  /** A struct `holder` with a pointer to `struct body`, which has a body of `size` bytes, or none. */
  const holder = (...sizes: number[]): Uint8Array => {
    const builder = new BtfBuilder();
    const int = builder.int("int", 4, BtfIntEncoding.SIGNED);
    const bodies = sizes.map((size) => builder.struct("body", size, [{ name: "a", typeId: int, bitOffset: 0 }]));
    const pointer = builder.pointer(bodies[0] ?? builder.forward("body"));
    builder.struct("holder", 8, [{ name: "to", typeId: pointer, bitOffset: 0 }]);
    return builder.finish();
  };

  test.each<[what: string, a: Uint8Array, b: Uint8Array, counts: [forwards: number, bodies: number, holders: number]]>([
    ["a forward declaration is the struct of another file", holder(), holder(4), [0, 1, 1]],
    ["in either order", holder(4), holder(), [0, 1, 1]],
    ["of two different structs it is neither", holder(), holder(4, 8), [1, 2, 2]],
    ["one that nobody defines stays", holder(), holder(), [1, 0, 1]],
  ])("%s", (_, a, b, counts) => {
    const merged = Btf.parse(merge(a, b).finish().btf);
    const count = (name: string, kind: BtfKind): number => merged.findAllByName(name, kind).length;
    expect([count("body", BtfKind.FWD), count("body", BtfKind.STRUCT), count("holder", BtfKind.STRUCT)]).toEqual(
      counts,
    );
    expect(() => [...Array(merged.typeCount).keys()].map((id) => merged.typeById(id))).not.toThrow();
  });

  test("declarations that stand for others, and sections of their own", () => {
    const [one, two] = [sample(), sample()];
    const merger = merge(one.btf, two.btf, {
      skip: (input, id) => isSection([one, two][input]!.btf, id),
      replacement: (input, id) => (input === 1 && id === two.x ? [0, one.x] : undefined),
    });
    expect(merger.typeId(1, two.x)).toBe(merger.typeId(0, one.x));
    expect(() => merger.typeId(0, one.section)).toThrow(RangeError);
    merger.dataSection(".data", 8, [{ typeId: merger.typeId(1, two.x), offset: 4, size: 4 }]);
    const merged = Btf.parse(merger.finish().btf);
    expect(merged.findAllByName("x", BtfKind.VAR)).toHaveLength(1);
    expect(merged.findAllByName(".data", BtfKind.DATASEC)).toHaveLength(1);
  });
});

describe("records of object files", () => {
  const builder = new BtfBuilder();
  const record = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);
  const bytes = encodeBtfExt(builder, [
    {
      name: "xdp",
      funcInfo: record(0, 3),
      lineInfo: record(0, 1, 2, 1024, 8, 1, 2, 2048),
      coreRelocations: record(8, 4, 5, 0),
    },
    { name: "tc", funcInfo: record(0, 6), lineInfo: record() },
  ])!;

  test("are read as they were written", () => {
    const { functions, lines: lineBlocks, coreRelocations } = decodeBtfExt(bytes);
    expect(functions.map((b) => [b.sectionName, b.count, ...b.words])).toEqual([
      [builder.string("xdp"), 1, 0, 3],
      [builder.string("tc"), 1, 0, 6],
    ]);
    expect(lineBlocks.map((b) => [b.count, b.recordWords, b.words.length])).toEqual([[2, 4, 8]]);
    expect(coreRelocations.map((b) => [...b.words])).toEqual([[8, 4, 5, 0]]);
  });

  const damaged: readonly (readonly [name: string, change: (view: DataView) => void, message: RegExp])[] = [
    ["other magic", (v) => v.setUint16(0, 1, true), /offset 0: no BTF.ext/],
    ["a later version", (v) => v.setUint8(2, 2), /offset 2: version 2/],
    ["a header beyond the end", (v) => v.setUint32(4, 1 << 20, true), /header of 1048576 bytes/],
    ["records beyond the end", (v) => v.setUint32(12, 1 << 20, true), /func_info: 1048576 bytes wanted/],
    ["records that are too small", (v) => v.setUint32(32, 4, true), /func_info: records of 4 bytes, at least 8 wanted/],
    ["more records than there are", (v) => v.setUint32(40, 1 << 28, true), /func_info: 268435456 records of 8 bytes/],
    ["a block cut short", (v) => v.setUint32(12, 8, true), /the head of a block is cut short/],
  ];
  test.each(damaged)("%s", (_, change, message) => {
    const copy = new Uint8Array(bytes);
    change(new DataView(copy.buffer));
    expect(() => decodeBtfExt(copy)).toThrow(ParseError);
    expect(() => decodeBtfExt(copy)).toThrow(message);
  });
});
