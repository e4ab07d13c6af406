import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import { Btf, BtfBuilder, BtfKind, dumpBtfRaw, printBtfType } from "../../src/btf/index.ts";

/** A small BTF of several kinds, and its bytes to damage. */
function sample(): Uint8Array {
  const b = new BtfBuilder();
  const u32 = b.int("unsigned int", 4);
  const pid = b.typedef("pid_t", b.constant(u32));
  const inner = b.struct("", 8, [
    { name: "low", typeId: u32, bitOffset: 0 },
    { name: "high", typeId: pid, bitOffset: 32 },
  ]);
  const outer = b.union("outer", 8, [
    { name: "", typeId: inner, bitOffset: 0 },
    { name: "all", typeId: b.array(u32, 2), bitOffset: 0 },
  ]);
  b.enum("color", 4, false, [{ name: "RED", value: 1n }]);
  b.func("f", b.funcProto(u32, [{ name: "o", typeId: b.pointer(outer) }], true));
  return b.finish();
}

/** Writes 32-bit words into a copy. */
function patched(bytes: Uint8Array, ...patches: readonly [offset: number, value: number][]): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  for (const [offset, value] of patches) view.setUint32(offset, value, true);
  return copy;
}

/** BTF of given words of types and no names. */
function ofWords(...words: number[]): Uint8Array {
  const out = new Uint8Array(24 + words.length * 4 + 1);
  const view = new DataView(out.buffer);
  view.setUint16(0, 0xeb9f, true);
  out[2] = 1;
  for (const [i, word] of [24, 0, words.length * 4, words.length * 4, 1, ...words].entries())
    view.setUint32(4 + i * 4, word, true);
  return out;
}

const info = (kind: BtfKind, vlen = 0): number => ((kind << 24) | vlen) >>> 0;

/** Asks everything that can be asked of every type. */
function exercise(btf: Btf): void {
  for (let id = 0; id < btf.typeCount; id++) {
    for (const ask of [
      () => btf.typeById(id),
      () => btf.sizeOf(id),
      () => btf.alignOf(id),
      () => btf.stripModifiers(id),
      () => btf.fields(id),
      () => btf.memberPath(id, "a.b[3].c"),
      () => btf.funcProto(id),
      () => printBtfType(btf, id),
    ]) {
      try {
        ask();
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
      }
    }
  }
  for (const ask of [
    () => btf.findByName("task_struct"),
    () => btf.enumValue("RED"),
    () => [...btf.enumValueNames()],
    () => [...btf.names(BtfKind.STRUCT)],
  ]) {
    try {
      ask();
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
    }
  }
}

describe("damaged BTF", () => {
  it.each<[what: string, bytes: Uint8Array, message: RegExp]>([
    ["nothing", new Uint8Array(0), /0 bytes are no BTF/],
    ["text", new TextEncoder().encode("#include <vmlinux.h> or so it says"), /no BTF: it starts with 0x6923/],
    ["another version", patched(sample(), [0, 0x0002_eb9f]), /version 2/],
    ["flags", patched(sample(), [0, 0x0101_eb9f]), /flags 0x1/],
    ["a short header", patched(sample(), [4, 8]), /header of 8 bytes/],
    ["types behind the end", patched(sample(), [12, 0x1000]), /cut short/],
    ["strings behind the end", patched(sample(), [20, 0xffff_ffff]), /cut short/],
    ["overlapping sections", patched(sample(), [16, 0]), /overlap/],
    ["odd types", patched(sample(), [8, 1], [12, 7]), /multiple of 4/],
    ["an unknown kind", ofWords(0, 0x1f00_0000, 0), /offset 24: type 1 has unknown kind 31/],
    ["kind 0", ofWords(0, 0, 0), /unknown kind 0/],
    ["a type cut short", ofWords(0, info(BtfKind.STRUCT, 2), 8, 0, 0, 0), /type 1 is cut short/],
    ["a head cut short", ofWords(0, info(BtfKind.PTR)), /cut short/],
    ["a name outside", ofWords(77, info(BtfKind.INT), 4, 32), /name at 77: the strings end at 1/],
  ])("%s is refused", (_what, bytes, message) => {
    expect(() => Btf.parse(bytes, { section: "x.btf" })).toThrow(ParseError);
    expect(() => Btf.parse(bytes, { section: "x.btf" })).toThrow(message);
  });

  it.each<[what: string, bytes: Uint8Array, ask: (btf: Btf) => unknown, message: RegExp]>([
    ["a reference to nothing", ofWords(0, info(BtfKind.PTR), 9), (b) => b.typeById(1), /type 1 refers to type 9/],
    ["a member behind its struct", ofWords(0, info(BtfKind.STRUCT, 1), 4, 0, 0, 33), (b) => b.typeById(1), /bit 33 of 4 bytes/],
    ["a circle of typedefs", ofWords(0, info(BtfKind.CONST), 2, 0, info(BtfKind.VOLATILE), 1), (b) => b.sizeOf(1), /circle/],
    ["a circle of pointers", ofWords(0, info(BtfKind.PTR), 1), (b) => printBtfType(b, 1), /circle/],
    ["a circle of arrays", ofWords(0, info(BtfKind.ARRAY), 0, 1, 0, 1), (b) => b.sizeOf(1), /circle/],
    ["an array too large", ofWords(0, info(BtfKind.ARRAY), 0, 2, 2, 0xffff_ffff, 0, info(BtfKind.INT), 4, 32), (b) => b.sizeOf(1), /4 GiB/],
    ["a struct in itself, aligned", ofWords(0, info(BtfKind.STRUCT, 1), 8, 0, 1, 0), (b) => b.alignOf(1), /circle/],
    ["a struct in itself, listed", ofWords(0, info(BtfKind.STRUCT, 1), 8, 0, 1, 0), (b) => b.fields(1), /contains itself/],
    ["a function as data", ofWords(0, info(BtfKind.PTR), 2, 0, info(BtfKind.FUNC), 0), (b) => printBtfType(b, 1), /only a type of data/],
  ])("%s ends with a ParseError", (_what, bytes, ask, message) => {
    const btf = Btf.parse(bytes);
    expect(() => ask(btf)).toThrow(ParseError);
    expect(() => ask(btf)).toThrow(message);
  }); // prettier-ignore

  it("does not double with each level of shared anonymous structs", () => {
    const words: number[] = [];
    for (let level = 1; level <= 60; level++)
      words.push(0, info(BtfKind.STRUCT, 2), 8, 0, level + 1, 0, 0, level + 1, 0);
    words.push(0, info(BtfKind.INT), 4, 32);
    const btf = Btf.parse(ofWords(...words));
    expect(btf.memberPath(1, "x")).toBeUndefined();
    expect(btf.alignOf(1)).toBe(4);
    expect(() => printBtfType(btf, 1)).toThrow(/deeper|larger/);
  });

  it("types of a later kind are stepped over when the data says how large they are", () => {
    // INT, a type of kind 20 with one word and two for each of 3, and a struct that comes after it.
    const words = [0, info(BtfKind.INT), 4, 32, 0, ((20 << 24) | 3) >>> 0, 0, 1, 2, 3, 4, 5, 6, 7];
    words.push(0, info(BtfKind.STRUCT, 1), 4, 0, 1, 0);
    const plain = ofWords(...words);
    expect(() => Btf.parse(plain)).toThrow(/type 2 has unknown kind 20/);
    const layout = new Uint8Array(21 * 4);
    layout.set([4, 8], 20 * 4);
    const header = patched(plain.slice(0, 24), [4, 32]);
    const place = new Uint8Array(8);
    new DataView(place.buffer).setUint32(0, plain.length - 24, true);
    new DataView(place.buffer).setUint32(4, layout.length, true);
    const described = Uint8Array.from([...header, ...place, ...plain.slice(24), ...layout]);
    const btf = Btf.parse(described);
    expect(btf.typeCount).toBe(4);
    expect(btf.kindOf(2)).toBe(20);
    expect(btf.sizeOf(3)).toBe(4);
    expect(() => btf.typeById(2)).toThrow(/kind 20, which is newer than this reader/);
    expect(() => Btf.parse(patched(described, [28, 4096]))).toThrow(/layout of kinds/);
    exercise(btf);
  });

  it("ids that a caller invents are a RangeError", () => {
    const btf = Btf.parse(sample());
    for (const id of [-1, 1.5, Number.NaN, btf.typeCount]) expect(() => btf.kindOf(id)).toThrow(RangeError);
  });

  it("any flipped byte is a ParseError or harmless, in bounded time", () => {
    const bytes = sample();
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x10, 0x80, 0xff]) {
        const copy = bytes.slice();
        copy[at]! ^= flip;
        try {
          exercise(Btf.parse(copy));
        } catch (error) {
          if (!(error instanceof ParseError)) throw new Error(`byte ${at} ^ ${flip}`, { cause: error });
        }
      }
    }
  });

  it.skipIf(!existsSync("/sys/kernel/btf/vmlinux"))(
    "vmlinux with flipped bytes in its first 64 KiB survives all questions",
    () => {
      // A BTF of the first types of vmlinux, so that each round is small; references past them are damage of their own.
      const all = readFileSync("/sys/kernel/btf/vmlinux");
      const whole = Btf.parse(all);
      const types = all.subarray(24, 24 + 65_536);
      let end = 0;
      const words = new Uint32Array(Uint8Array.from(types).buffer);
      const counted = Btf.parse(all);
      const trailing: Record<number, (vlen: number) => number> = { 1: () => 1, 3: () => 3, 4: (v) => 3 * v, 5: (v) => 3 * v, 6: (v) => 2 * v, 13: (v) => 2 * v, 14: () => 1, 15: (v) => 3 * v, 17: () => 1, 19: (v) => 3 * v }; // prettier-ignore
      for (let at = 0, id = 1; at < words.length; id++) {
        end = at;
        const word = words[at + 1] ?? 0;
        at += 3 + (trailing[counted.kindOf(id)]?.(word & 0xffff) ?? 0);
      }
      const stringsAt = all.readUInt32LE(16) + 24;
      const small = Buffer.concat([all.subarray(0, 24), types.subarray(0, end * 4), all.subarray(stringsAt)]);
      small.writeUInt32LE(end * 4, 12);
      small.writeUInt32LE(end * 4, 16);
      expect(Btf.parse(small).typeCount).toBeGreaterThan(500);
      expect(whole.nameOf(1)).toBe(Btf.parse(small).nameOf(1));
      let seed = 12345;
      const random = (below: number): number => {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        return Math.floor((seed / 2 ** 32) * below);
      };
      for (let round = 0; round < 60; round++) {
        const copy = Uint8Array.from(small);
        for (let flips = 0; flips <= random(8); flips++) copy[random(24 + end * 4)] = random(256);
        const started = performance.now();
        try {
          const btf = Btf.parse(copy);
          exercise(btf);
          for (const text of dumpBtfRaw(btf)) expect(text.length).toBeGreaterThan(0);
        } catch (error) {
          if (!(error instanceof ParseError)) throw error;
        }
        expect(performance.now() - started).toBeLessThan(10_000);
      }
    },
  );
});
