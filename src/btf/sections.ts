/** From bytes to sections: the header, the byte order, and the type section as 32-bit words. */
import { ByteReader, ParseError } from "../base/index.ts";
import {
  BTF_HEADER_SIZE,
  BTF_LAYOUT_HEADER_SIZE,
  BTF_LAYOUT_RECORD_SIZE,
  BTF_MAGIC,
  BTF_VERSION,
  btfTrailingWords,
} from "./kinds.ts";

/** The sections of BTF. */
export interface BtfSections {
  /** The type section. All its fields are 32 bits wide, so that one view in this machine's byte order reads everything. */
  readonly words: Uint32Array;
  /** Byte offset of the type section in the input, for errors. */
  readonly typesOffset: number;
  readonly strings: Uint8Array;
  /** Words that follow the head of a type, by kind: those known here and those that the data itself describes. */
  readonly layout: readonly { readonly fixed: number; readonly each: number }[];
  /** Whether the input is big-endian. */
  readonly bigEndian: boolean;
}

/** Byte order of this machine. */
export const hostIsBigEndian: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;

/** Checks the header and cuts the sections out. Views where it can: a copy is made of misaligned or foreign-endian types. */
export function readBtfSections(bytes: Uint8Array, section: string): BtfSections {
  const reader = new ByteReader(bytes, section);
  if (bytes.length < BTF_HEADER_SIZE) {
    throw new ParseError(section, 0, `${bytes.length} bytes are no BTF: its header alone has ${BTF_HEADER_SIZE}`);
  }
  const bigEndian = reader.u16be(0) === BTF_MAGIC;
  if (!bigEndian && reader.u16le(0) !== BTF_MAGIC) {
    throw new ParseError(section, 0, `no BTF: it starts with 0x${reader.u16le(0).toString(16)}, not 0xeb9f`);
  }
  const u32 = (offset: number): number => (bigEndian ? reader.u32be(offset) : reader.u32le(offset));
  const version = reader.u8(2);
  if (version !== BTF_VERSION) throw new ParseError(section, 2, `BTF version ${version}; only version 1 is known`);
  const flags = reader.u8(3);
  if (flags !== 0) throw new ParseError(section, 3, `BTF flags 0x${flags.toString(16)} are not known`);
  const headerSize = u32(4);
  if (headerSize < BTF_HEADER_SIZE || headerSize > bytes.length) {
    throw new ParseError(section, 4, `header of ${headerSize} bytes in ${bytes.length}`);
  }
  const [typeOffset, typeLength, stringOffset, stringLength] = [u32(8), u32(12), u32(16), u32(20)];
  const room = bytes.length - headerSize;
  if (typeOffset + typeLength > room) {
    throw new ParseError(section, 8, `types at ${typeOffset}+${typeLength} of ${room} bytes: the file is cut short`);
  }
  if (stringOffset + stringLength > room) {
    throw new ParseError(
      section,
      16,
      `strings at ${stringOffset}+${stringLength} of ${room} bytes: the file is cut short`,
    );
  }
  if (typeOffset % 4 !== 0 || typeLength % 4 !== 0) {
    throw new ParseError(section, 8, `types at ${typeOffset}+${typeLength}: not a multiple of 4`);
  }
  if (typeOffset < stringOffset + stringLength && stringOffset < typeOffset + typeLength) {
    throw new ParseError(section, 16, "the sections of types and strings overlap");
  }
  const typesOffset = headerSize + typeOffset;
  const types = reader.slice(typesOffset, typeLength);
  return {
    words: wordsOf(types, bigEndian !== hostIsBigEndian),
    typesOffset,
    strings: reader.slice(headerSize + stringOffset, stringLength),
    layout: [...btfTrailingWords, ...laterKinds(reader, headerSize, u32)],
    bigEndian,
  };
}

/** The layout of kinds that are newer than this reader, so that their types can be stepped over. */
function laterKinds(
  reader: ByteReader,
  headerSize: number,
  u32: (offset: number) => number,
): { fixed: number; each: number }[] {
  if (headerSize < BTF_LAYOUT_HEADER_SIZE) return [];
  const [offset, length] = [u32(BTF_HEADER_SIZE), u32(BTF_HEADER_SIZE + 4)];
  const room = reader.length - headerSize;
  if (offset + length > room) {
    throw new ParseError(reader.section, BTF_HEADER_SIZE, `layout of kinds at ${offset}+${length} of ${room} bytes`);
  }
  const out: { fixed: number; each: number }[] = [];
  for (let kind = btfTrailingWords.length; (kind + 1) * BTF_LAYOUT_RECORD_SIZE <= length; kind++) {
    const at = headerSize + offset + kind * BTF_LAYOUT_RECORD_SIZE;
    const [fixed, each] = [reader.u8(at), reader.u8(at + 1)];
    if (fixed % 4 !== 0 || each % 4 !== 0) {
      throw new ParseError(
        reader.section,
        at,
        `kind ${kind} is laid out in ${fixed}+${each} bytes, not a multiple of 4`,
      );
    }
    out.push({ fixed: fixed / 4, each: each / 4 });
  }
  return out;
}

/** 32-bit words in this machine's byte order: a view where it can be one, else a copy. */
export function wordsOf(types: Uint8Array, swap: boolean): Uint32Array {
  if (!swap && types.byteOffset % 4 === 0) return new Uint32Array(types.buffer, types.byteOffset, types.length / 4);
  // Not slice(): of a Node Buffer that is a view.
  const words = new Uint32Array(new Uint8Array(types).buffer);
  if (swap) {
    for (let i = 0; i < words.length; i++) {
      const w = words[i]!;
      words[i] = (w << 24) | ((w & 0xff00) << 8) | ((w >>> 8) & 0xff00) | (w >>> 24);
    }
  }
  return words;
}
