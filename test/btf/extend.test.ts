/** BTF that goes on where other BTF ends, and BTF.ext. */
import { describe, expect, test } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import {
  Btf,
  BtfBuilder,
  BtfFuncLinkage,
  BtfKind,
  BtfVarLinkage,
  dumpBtfRaw,
  encodeBtfExt,
} from "../../src/btf/index.ts";
import type { BtfDataSection } from "../../src/btf/index.ts";

/** Some of every kind. */
function sample(): BtfBuilder {
  const b = new BtfBuilder();
  const int = b.int("int", 4, 1);
  const pair = b.struct("pair", 8, [
    { name: "a", typeId: int, bitOffset: 0 },
    { name: "b", typeId: int, bitOffset: 32, bitfieldSize: 7 },
  ]);
  b.union("either", 4, [{ name: "i", typeId: int, bitOffset: 0 }]);
  b.enum("color", 4, false, [{ name: "RED", value: 1n }]);
  b.enum("wide", 8, true, [{ name: "FAR", value: -1n }]);
  b.forward("later");
  b.typedef("pair_t", b.constant(b.volatile(b.restrict(b.pointer(pair)))));
  b.array(int, 9);
  b.float("double", 8);
  b.declTag("tag", pair, 1);
  b.typeTag("user", int);
  b.func("f", b.funcProto(int, [{ name: "x", typeId: pair }], true));
  b.dataSection(".data", 4, [{ typeId: b.variable("v", int), offset: 0, size: 4 }]);
  return b;
}

describe("extending", () => {
  test("BTF by nothing gives the same bytes", () => {
    const bytes = sample().finish();
    expect([...BtfBuilder.extending(bytes).finish()]).toEqual([...bytes]);
  });

  test("keeps ids and strings, and shares equal types", () => {
    const first = sample();
    const bytes = first.finish();
    const raw = [...dumpBtfRaw(Btf.parse(bytes))].join("");
    const b = BtfBuilder.extending(bytes);
    expect(b.typeCount).toBe(first.typeCount);
    expect(b.int("int", 4, 1)).toBe(1);
    expect(b.string("pair_t")).toBe(first.string("pair_t"));
    const added = b.struct("more", 8, [{ name: "p", typeId: b.pointer(2), bitOffset: 0 }]);
    expect(added).toBeGreaterThan(first.typeCount);
    const after = Btf.parse(b.finish());
    expect([...dumpBtfRaw(after)].join("").startsWith(raw)).toBe(true);
    expect(after.nameOf(added)).toBe("more");
  });

  test("BTF in the other byte order gives little-endian BTF", () => {
    const bytes = sample().finish();
    const swapped = bytes.slice();
    const from = new DataView(bytes.buffer);
    const to = new DataView(swapped.buffer);
    to.setUint16(0, from.getUint16(0, true));
    const typesEnd = 24 + from.getUint32(12, true);
    for (let at = 4; at < typesEnd; at += 4) to.setUint32(at, from.getUint32(at, true));
    expect([...BtfBuilder.extending(swapped).finish()]).toEqual([...bytes]);
  });

  test("damaged BTF is refused with its place", () => {
    const bytes = sample().finish();
    expect(() => BtfBuilder.extending(bytes.slice(0, 40), "a.o: .BTF")).toThrow(ParseError);
    expect(() => BtfBuilder.extending(bytes.slice(0, 40), "a.o: .BTF")).toThrow("a.o: .BTF: offset");
  });
});

test("linkage changes in place", () => {
  const b = sample();
  const f = b.func("g", b.funcProto(0, []));
  const v = b.variable("w", 1);
  b.setLinkage(f, BtfFuncLinkage.EXTERN);
  b.setLinkage(v, BtfVarLinkage.STATIC);
  const btf = Btf.parse(b.finish());
  expect(btf.typeById(f)).toMatchObject({ kind: BtfKind.FUNC, name: "g", linkage: BtfFuncLinkage.EXTERN });
  expect(btf.typeById(v)).toMatchObject({ kind: BtfKind.VAR, name: "w", linkage: BtfVarLinkage.STATIC, typeId: 1 });
  // The old form is no longer there to be found.
  expect(b.variable("w", 1)).toBeGreaterThan(v);
  expect(() => b.setLinkage(1, BtfVarLinkage.STATIC)).toThrow("type 1 cannot have linkage 0");
  expect(() => b.setLinkage(f, 9)).toThrow(RangeError);
});

test("a section of variables gets other contents", () => {
  const b = sample();
  const id = b.typeCount;
  b.redefineDataSection(id, ".maps", 16, [{ typeId: b.variable("m", 2), offset: 8, size: 8 }]);
  const section = Btf.parse(b.finish()).typeById(id) as BtfDataSection;
  expect([section.name, section.size, section.entries.map((e) => e.offset)]).toEqual([".maps", 16, [8]]);
  expect(() => b.redefineDataSection(1, ".maps", 0, [])).toThrow("type 1 is no section of variables");
});

describe("BTF.ext", () => {
  test("holds the records of each section that has any", () => {
    const b = new BtfBuilder();
    const func = new Uint8Array(Uint32Array.of(0, 7, 16, 8).buffer);
    const line = new Uint8Array(Uint32Array.of(0, 1, 2, 3).buffer);
    const ext = encodeBtfExt(b, [
      { name: "kprobe", funcInfo: func, lineInfo: line },
      { name: "xdp", funcInfo: new Uint8Array(0), lineInfo: line },
    ])!;
    const [kprobe, xdp] = [b.string("kprobe"), b.string("xdp")];
    const header = [0x0001_eb9f, 32, 0, 28, 28, 52, 80, 0];
    const functions = [8, kprobe, 2, 0, 7, 16, 8];
    const lines = [16, kprobe, 1, 0, 1, 2, 3, xdp, 1, 0, 1, 2, 3];
    expect([...new Uint32Array(ext.buffer)]).toEqual([...header, ...functions, ...lines]);
  });

  test("is absent without records, and refuses halves of them", () => {
    const none = new Uint8Array(0);
    expect(encodeBtfExt(new BtfBuilder(), [{ name: "a", funcInfo: none, lineInfo: none }])).toBeUndefined();
    const half = { name: "a", funcInfo: new Uint8Array(4), lineInfo: none };
    expect(() => encodeBtfExt(new BtfBuilder(), [half])).toThrow("section a: 4 bytes are no records of 8");
  });
});
