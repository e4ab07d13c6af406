/** BTF for older kernels: what is lacking becomes something older, and the running kernel accepts the result. */
import { describe, expect, test } from "vitest";
import {
  Btf,
  type BtfAbility,
  BtfBuilder,
  BtfFuncLinkage,
  BtfIntEncoding,
  BtfKind,
  abilitiesUsed,
  dumpBtfRaw,
  sanitizeBtf,
} from "../../src/btf/index.ts";
import { loadBtf } from "../../src/kernel/linux/bpf-prog.ts";
import { describeWith } from "../support/needs.ts";

const all: readonly BtfAbility[] = [
  "func",
  "global-func",
  "datasec",
  "datasec-question-mark",
  "float",
  "decl-tag",
  "type-tag",
  "enum64",
];

/** One of everything that a kernel may lack. */
function everything(): Uint8Array {
  const types = new BtfBuilder();
  const int = types.int("int", 4, BtfIntEncoding.SIGNED);
  const float = types.float("double", 8);
  const enum64 = types.enum("wide", 8, true, [
    { name: "A", value: -1n },
    { name: "B", value: 1n << 40n },
  ]);
  types.enum("signs", 4, true, [{ name: "LOW", value: -1n }]);
  const struct = types.struct("holder", 16, [
    { name: "d", typeId: float, bitOffset: 0 },
    { name: "w", typeId: enum64, bitOffset: 64 },
  ]);
  types.declTag("tag", struct, 0);
  types.pointer(types.typeTag("user", int));
  types.func("hidden", types.funcProto(int, [{ name: "a", typeId: int }]), BtfFuncLinkage.STATIC);
  types.func("shown", types.funcProto(0, []), BtfFuncLinkage.GLOBAL);
  const variable = types.variable("value", struct);
  types.dataSection(".data.my", 16, [{ typeId: variable, offset: 0, size: 16 }]);
  return types.finish();
}

describe("sanitizeBtf", () => {
  const original = everything();

  test("says what is used", () => {
    expect([...abilitiesUsed(original)].toSorted()).toEqual([...all].toSorted());
    const plain = new BtfBuilder();
    plain.int("int", 4);
    expect([...abilitiesUsed(plain.finish())]).toEqual([]);
  });

  test("keeps everything when nothing is lacking", () => {
    expect(dumpBtfRaw(Btf.parse(sanitizeBtf(original, new Set())))).toEqual(dumpBtfRaw(Btf.parse(original)));
  });

  test.each([
    ["func", BtfKind.FUNC, BtfKind.TYPEDEF],
    ["func", BtfKind.FUNC_PROTO, BtfKind.ENUM],
    ["datasec", BtfKind.VAR, BtfKind.INT],
    ["datasec", BtfKind.DATASEC, BtfKind.STRUCT],
    ["float", BtfKind.FLOAT, BtfKind.STRUCT],
    ["decl-tag", BtfKind.DECL_TAG, BtfKind.INT],
    ["type-tag", BtfKind.TYPE_TAG, BtfKind.CONST],
    ["enum64", BtfKind.ENUM64, BtfKind.UNION],
  ] as const)("without %s, kind %i becomes kind %i", (ability, from, to) => {
    const [before, after] = [Btf.parse(original), Btf.parse(sanitizeBtf(original, new Set([ability])))];
    const ids = [...before.idsByKind(from)];
    expect(ids.length).toBeGreaterThan(0);
    for (const id of ids) {
      expect(after.kindOf(id)).toBe(to);
      if (from !== BtfKind.FUNC_PROTO && before.sizeOf(id) !== undefined && to !== BtfKind.INT)
        expect(after.sizeOf(id)).toBe(before.sizeOf(id));
    }
    expect(after.sizeOf(after.findByName("holder", BtfKind.STRUCT)!)).toBe(16);
  });

  test("sections become structs of their variables", () => {
    const btf = Btf.parse(sanitizeBtf(original, new Set(["datasec"])));
    const section = btf.structByName("_data_my")!;
    expect(section.size).toBe(16);
    expect(section.members).toMatchObject([{ name: "value", bitOffset: 0 }]);
  });

  test("functions lose their linkage", () => {
    const btf = Btf.parse(sanitizeBtf(original, new Set(["global-func"])));
    expect(btf.funcByName("shown")).toMatchObject({ linkage: BtfFuncLinkage.STATIC });
  });

  describeWith(["linux", "root", "bpf"], "in the running kernel", () => {
    test.each([...all.map((ability) => [ability]), [...all], ["func", "datasec", "enum64"]].map((set) => [set]))(
      "without %s",
      (set) => {
        const answer = loadBtf(sanitizeBtf(original, new Set(set as BtfAbility[])));
        if ("fd" in answer) answer.fd.close();
        expect(answer).toHaveProperty("fd");
      },
    );
  });
});
