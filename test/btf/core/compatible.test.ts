import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Btf, BtfBuilder, BtfKind, CoreError, typesCompatible, typesMatch } from "../../../src/btf/index.ts";
import { describeWith } from "../../support/needs.ts";

describeWith(["vmlinuxBtf"], "types of the running kernel", () => {
  it("match themselves", () => {
    const btf = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));
    const wrong: string[] = [];
    for (const kind of [BtfKind.STRUCT, BtfKind.UNION, BtfKind.ENUM, BtfKind.ENUM64, BtfKind.TYPEDEF]) {
      for (const id of btf.idsByKind(kind)) {
        // A tenth of all, which has every kind of member.
        if (id % 10 !== 0) continue;
        if (!typesMatch(btf, id, btf, id) || !typesCompatible(btf, id, btf, id)) wrong.push(btf.nameOf(id));
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe("types that no compiler writes", () => {
  it("are not compared for ever: structs inside one another", () => {
    const b = new BtfBuilder();
    let id = b.int("int", 4);
    for (let depth = 0; depth < 28; depth++) {
      id = b.struct(`s${depth}`, 4, [
        { name: "a", typeId: id, bitOffset: 0 },
        { name: "b", typeId: id, bitOffset: 0 },
      ]);
    }
    const btf = Btf.parse(b.finish());
    expect(() => typesMatch(btf, id, btf, id)).toThrow(CoreError);
    expect(() => typesMatch(btf, id, btf, id)).toThrow("takes more than 200000 steps");
  });

  it("are not compared for ever: prototypes inside one another", () => {
    const b = new BtfBuilder();
    let id = b.int("int", 4);
    for (let depth = 0; depth < 28; depth++) {
      const parameter = { name: "", typeId: id };
      id = b.pointer(b.funcProto(0, [parameter, parameter]));
    }
    const btf = Btf.parse(b.finish());
    for (const relation of [typesMatch, typesCompatible]) {
      expect(() => relation(btf, id, btf, id)).toThrow("takes more than 200000 steps");
    }
  });

  it("are compared quickly: 60,000 members or values", () => {
    const b = new BtfBuilder();
    const int = b.int("int", 4);
    const names = Array.from({ length: 60_000 }, (_, i) => `n${i}`);
    const struct = b.struct(
      "s",
      4,
      names.map((name) => ({ name, typeId: int, bitOffset: 0 })),
    );
    const values = b.enum(
      "e",
      4,
      false,
      names.map((name, i) => ({ name, value: BigInt(i) })),
    );
    const btf = Btf.parse(b.finish());
    expect(typesMatch(btf, struct, btf, struct)).toBe(true);
    expect(typesMatch(btf, values, btf, values)).toBe(true);
  });
});
