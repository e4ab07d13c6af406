/** Reads BTF.ext: the records of an object file that tie instructions to functions, source lines and CO-RE relocations. */
import { ByteReader, ParseError } from "../base/index.ts";
import { BTF_MAGIC, BTF_VERSION } from "./kinds.ts";
import { FUNC_INFO_SIZE, LINE_INFO_SIZE } from "./program-info.ts";
import { hostIsBigEndian, wordsOf } from "./sections.ts";

/** Bytes of one `struct bpf_core_relo`: byte offset of the instruction, root type, access string, kind. */
export const CORE_RELOCATION_SIZE = 16;

/** Bytes of a header that ends behind the line records, and of one that has CO-RE records too. */
const SHORT_HEADER = 24;
const CORE_HEADER = 32;

/** The records of one section of code, in the file's order. */
export interface BtfExtBlock {
  /** Offset of the section's name in the strings of the BTF beside. */
  readonly sectionName: number;
  readonly count: number;
  /** 32-bit words of a record, those included that are newer than this reader. */
  readonly recordWords: number;
  /** All records, in this machine's byte order; a view of the input where it can be one. The first word of each is an offset in bytes from the start of the section. */
  readonly words: Uint32Array;
}

/** What BTF.ext holds. */
export interface BtfExt {
  /** `struct bpf_func_info`. */
  readonly functions: readonly BtfExtBlock[];
  /** `struct bpf_line_info`. */
  readonly lines: readonly BtfExtBlock[];
  /** `struct bpf_core_relo`. */
  readonly coreRelocations: readonly BtfExtBlock[];
}

/** Reads BTF.ext of either byte order. Throws {@link ParseError} when it is damaged; `section` is named in it. */
export function decodeBtfExt(bytes: Uint8Array, section: string = "BTF.ext"): BtfExt {
  const reader = new ByteReader(bytes, section);
  const bigEndian = bytes.length >= 2 && reader.u16be(0) === BTF_MAGIC;
  if (!bigEndian && reader.u16le(0) !== BTF_MAGIC) {
    throw new ParseError(section, 0, `no BTF.ext: it starts with 0x${reader.u16le(0).toString(16)}, not 0xeb9f`);
  }
  const u32 = (offset: number): number => (bigEndian ? reader.u32be(offset) : reader.u32le(offset));
  const [version, flags, headerSize] = [reader.u8(2), reader.u8(3), u32(4)];
  if (version !== BTF_VERSION) throw new ParseError(section, 2, `version ${version}; only version 1 is known`);
  if (flags !== 0) throw new ParseError(section, 3, `flags 0x${flags.toString(16)} are not known`);
  if (headerSize < SHORT_HEADER || headerSize > bytes.length) {
    throw new ParseError(section, 4, `header of ${headerSize} bytes in ${bytes.length}`);
  }
  const read = (what: string, at: number, minimum: number): BtfExtBlock[] =>
    readBlocks(reader, bigEndian, what, headerSize + u32(at), u32(at + 4), minimum);
  return {
    functions: read("func_info", 8, FUNC_INFO_SIZE),
    lines: read("line_info", 16, LINE_INFO_SIZE),
    coreRelocations: headerSize < CORE_HEADER ? [] : read("core_relo", 24, CORE_RELOCATION_SIZE),
  };
}

function readBlocks(
  reader: ByteReader,
  bigEndian: boolean,
  what: string,
  start: number,
  length: number,
  minimum: number,
): BtfExtBlock[] {
  if (length === 0) return [];
  const { section } = reader;
  const u32 = (offset: number): number => (bigEndian ? reader.u32be(offset) : reader.u32le(offset));
  const end = start + length;
  if (end > reader.length) {
    throw new ParseError(section, start, `${what}: ${length} bytes wanted, the section ends at ${reader.length}`);
  }
  if (length < 4) throw new ParseError(section, start, `${what}: ${length} bytes hold no size of records`);
  const recordSize = u32(start);
  if (recordSize < minimum || recordSize % 4 !== 0) {
    throw new ParseError(section, start, `${what}: records of ${recordSize} bytes, at least ${minimum} wanted`);
  }
  const out: BtfExtBlock[] = [];
  for (let at = start + 4; at < end;) {
    if (at + 8 > end) throw new ParseError(section, at, `${what}: the head of a block is cut short`);
    const [sectionName, count] = [u32(at), u32(at + 4)];
    at += 8;
    const size = count * recordSize;
    if (size > end - at) {
      throw new ParseError(
        section,
        at - 4,
        `${what}: ${count} records of ${recordSize} bytes, ${end - at} bytes are left`,
      );
    }
    const words = wordsOf(reader.slice(at, size), bigEndian !== hostIsBigEndian);
    out.push({ sectionName, count, recordWords: recordSize / 4, words });
    at += size;
  }
  return out;
}
