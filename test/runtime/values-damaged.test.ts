import { expect, test } from "vitest";
import { SkepError } from "../../src/base/index.ts";
import { Btf, BtfBuilder, BtfIntEncoding } from "../../src/btf/index.ts";
import { codecFor, decodeValue, encodeValue, formatValue } from "../../src/runtime/index.ts";

/** BTF with every kind that values are made of. */
function sample(): Uint8Array {
  const b = new BtfBuilder();
  const u32 = b.int("unsigned int", 4);
  const u64 = b.int("unsigned long long", 8);
  const char = b.int("char", 1, BtfIntEncoding.SIGNED);
  const inner = b.struct("", 8, [
    { name: "low", typeId: u32, bitOffset: 0, bitfieldSize: 5 },
    { name: "high", typeId: b.typedef("t", b.constant(u32)), bitOffset: 32 },
  ]);
  const either = b.union("", 8, [
    { name: "whole", typeId: u64, bitOffset: 0 },
    { name: "", typeId: inner, bitOffset: 0 },
  ]);
  const outer = b.struct("outer", 64, [
    { name: "", typeId: either, bitOffset: 0 },
    { name: "text", typeId: b.array(char, 16), bitOffset: 64 },
    { name: "bytes", typeId: b.array(b.int("unsigned char", 1), 6), bitOffset: 192 },
    { name: "color", typeId: b.enum("color", 4, true, [{ name: "RED", value: -1n }]), bitOffset: 256 },
    { name: "next", typeId: b.pointer(u32), bitOffset: 320 },
    { name: "real", typeId: b.float("double", 8), bitOffset: 384 },
    { name: "rest", typeId: b.array(u32, 0), bitOffset: 512 },
  ]);
  b.dataSection(".bss", 64, [{ typeId: b.variable("v", outer), offset: 0, size: 64 }]);
  return b.finish();
}

test("values of damaged BTF: an error or a value, never a hang, and no memory that grows", () => {
  const good = sample();
  let state = 7;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const view = new DataView(new ArrayBuffer(256));
  let read = 0;
  for (let round = 0; round < Number(process.env["SKEP_FUZZ"] ?? 1000); round++) {
    const bytes = good.slice();
    for (let i = random(4); i >= 0; i--)
      bytes[24 + random(bytes.length - 24)] = random(4) === 0 ? random(256) : random(32);
    let btf: Btf;
    try {
      btf = Btf.parse(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(SkepError);
      continue;
    }
    for (let id = 0; id < btf.typeCount; id++) {
      try {
        const codec = codecFor(btf, id);
        // Larger than what there is to read: the view says so.
        const value = codec.read(view, 0, view.byteLength);
        formatValue(btf, id, view, 0, { end: view.byteLength });
        if (codec.size <= 256) encodeValue(codec, decodeValue(codec, new Uint8Array(codec.size)) as never);
        if (value !== undefined) read++;
      } catch (error) {
        if (!(error instanceof SkepError || error instanceof TypeError || error instanceof RangeError)) throw error;
        if (/undefined|not a function|of null|Invalid array length|call stack/i.test(error.message)) throw error;
      }
    }
  }
  expect(read).toBeGreaterThan(1000);
});
