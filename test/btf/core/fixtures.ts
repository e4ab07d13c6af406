/** Objects of clang 14, changed into what later compilers make. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { Btf, BtfKind, CoreKind } from "../../../src/btf/index.ts";
import { Elf } from "../../../src/object/index.ts";

/** BTF of a file, changed: `change` gets its words of 32 bits (header first) and may return others. */
function changeBtf(path: string, change: (words: number[], btf: Btf) => number[]): void {
  const elf = Elf.parse(readFileSync(path), path);
  const bytes = elf.sectionData(elf.sectionByName(".BTF")!);
  const btf = Btf.parse(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const wordCount = view.getUint32(12, true) / 4;
  const words = Array.from({ length: wordCount }, (_, i) => view.getUint32(24 + i * 4, true));
  const changed = change(words, btf);
  const out = Buffer.alloc(24 + changed.length * 4);
  out.set(bytes.subarray(0, 24));
  out.writeUInt32LE(changed.length * 4, 12);
  out.writeUInt32LE(changed.length * 4, 16);
  for (const [i, word] of changed.entries()) out.writeUInt32LE(word >>> 0, 24 + i * 4);
  const file = `${path}.btf`;
  writeFileSync(file, Buffer.concat([out, bytes.subarray(24 + wordCount * 4)]));
  execFileSync("llvm-objcopy", ["--update-section", `.BTF=${file}`, path]);
}

/** Values of 64 bits as later compilers write them; clang 14 cuts them to 32. */
export const wideValues: Readonly<Record<string, Readonly<Record<string, bigint>>>> = {
  local: { WIDE_A: 1n, WIDE_BIG: 0x10_0000_0000n, WIDE_TOP: 0xffff_ffff_ffff_ffffn },
  kernel1: { WIDE_A: 1n, WIDE_BIG: 0x12_3456_7890n, WIDE_TOP: 0xfedc_ba98_7654_3210n, WIDTH_X: 3n, WIDTH_Y: 1n << 32n },
  kernel3: { WIDE_A: 1n, WIDE_BIG: 2n, WIDE_A___x: 1n, WIDE_BIG___x: 0x12_3456_7890n },
};

/** Enums of eight bytes become ENUM64. */
export function widenEnums(path: string, values: Readonly<Record<string, bigint>>): void {
  changeBtf(path, (words, btf) => {
    const out: number[] = [];
    for (let id = 1, at = 0; id < btf.typeCount; id++) {
      const type = btf.typeById(id);
      const next = at + typeWords(words, at);
      if (type.kind === BtfKind.ENUM && type.size === 8) {
        out.push(words[at]!, ((BtfKind.ENUM64 << 24) | type.values.length) >>> 0, 8);
        for (const [i, { name }] of type.values.entries()) {
          const value = values[name]!;
          out.push(words[at + 3 + i * 2]!, Number(value & 0xffff_ffffn), Number(value >> 32n));
        }
      } else for (let i = at; i < next; i++) out.push(words[i]!);
      at = next;
    }
    return out;
  });
}

/** Words of the type that begins at one. */
function typeWords(words: readonly number[], at: number): number {
  const [kind, vlen] = [(words[at + 1]! >>> 24) & 0x1f, words[at + 1]! & 0xffff];
  const fixed: Record<number, number> = {
    [BtfKind.INT]: 1,
    [BtfKind.ARRAY]: 3,
    [BtfKind.VAR]: 1,
    [BtfKind.DECL_TAG]: 1,
  };
  const each: Record<number, number> = {
    [BtfKind.STRUCT]: 3,
    [BtfKind.UNION]: 3,
    [BtfKind.ENUM]: 2,
    [BtfKind.FUNC_PROTO]: 2,
    [BtfKind.DATASEC]: 3,
  };
  return 3 + (fixed[kind] ?? 0) + (each[kind] ?? 0) * vlen;
}

/** Questions after existence in section tc become questions whether types match. */
export function askForMatches(path: string): void {
  const bytes = readFileSync(path);
  const elf = Elf.parse(bytes, path);
  const btf = Btf.parse(elf.sectionData(elf.sectionByName(".BTF")!));
  const { offset } = elf.sectionByName(".BTF.ext")!;
  const start = offset + bytes.readUInt32LE(offset + 4) + bytes.readUInt32LE(offset + 24);
  const end = start + bytes.readUInt32LE(offset + 28);
  for (let at = start + 4; at < end;) {
    const [section, count] = [btf.strings.get(bytes.readUInt32LE(at)), bytes.readUInt32LE(at + 4)];
    at += 8;
    for (let i = 0; i < count; i++, at += 16) {
      if (section === "tc") bytes.writeUInt32LE(CoreKind.TYPE_MATCHES, at + 12);
    }
  }
  writeFileSync(path, bytes);
}
