/** The records that tie a program's instructions to its functions and source lines: `struct bpf_func_info` and `bpf_line_info`. */
import { ByteReader, ByteWriter, ParseError } from "../base/index.ts";
import type { BtfBuilder } from "./builder.ts";
import type { BtfStrings } from "./strings.ts";

/** Bytes of one `struct bpf_func_info`: instruction index, type id. */
export const FUNC_INFO_SIZE = 8;
/** Bytes of one `struct bpf_line_info`: instruction index, file name, line text, line << 10 | column. */
export const LINE_INFO_SIZE = 16;

const COLUMN_BITS = 10;
const MAX_COLUMN = (1 << COLUMN_BITS) - 1;
const MAX_LINE = 2 ** (32 - COLUMN_BITS) - 1;

/** Where a function starts and what it is. */
export interface FuncInfo {
  /** Index of its first instruction; 0 for the main function. */
  readonly insnIndex: number;
  /** Its `FUNC` type. */
  readonly typeId: number;
}

/** The source of the instructions from one on. */
export interface LineInfo {
  readonly insnIndex: number;
  /** As messages name it: a path, or `stdin`. */
  readonly file: string;
  /** Text of the whole line, as verifier logs quote it. */
  readonly source: string;
  /** From 1. */
  readonly line: number;
  /** From 1; the format holds 1023 and keeps that for what is beyond. */
  readonly column: number;
}

/**
 * Encodes function records, in the order of instructions: the kernel wants one for each function of a program, the first at 0.
 * Throws RangeError when the order is wrong.
 */
export function encodeFuncInfo(records: readonly FuncInfo[]): Uint8Array {
  const out = new ByteWriter(records.length * FUNC_INFO_SIZE);
  checkOrder("func_info", records);
  for (const { insnIndex, typeId } of records) {
    out.u32le(insnIndex);
    out.u32le(typeId);
  }
  return out.finish();
}

/**
 * Encodes line records, in the order of instructions, and adds their file names and source lines to the builder's strings: call it before
 * `finish()`. The kernel wants the first record at 0 and one at the start of each subprogram. Throws RangeError when the order is wrong.
 */
export function encodeLineInfo(builder: BtfBuilder, records: readonly LineInfo[]): Uint8Array {
  const out = new ByteWriter(records.length * LINE_INFO_SIZE);
  checkOrder("line_info", records);
  for (const { insnIndex, file, source, line, column } of records) {
    out.u32le(insnIndex);
    out.u32le(builder.string(file.replaceAll("\0", "")));
    out.u32le(builder.string(source.replaceAll("\0", "")));
    out.u32le(Math.min(line, MAX_LINE) * (MAX_COLUMN + 1) + Math.min(column, MAX_COLUMN));
  }
  return out.finish();
}

function checkOrder(what: string, records: readonly { readonly insnIndex: number }[]): void {
  let before = -1;
  for (const { insnIndex } of records) {
    if (!Number.isInteger(insnIndex) || insnIndex <= before) {
      throw new RangeError(
        `${what}: instruction ${insnIndex} after ${before}: records must ascend, one an instruction`,
      );
    }
    before = insnIndex;
  }
}

/** Decodes function records. Throws {@link ParseError} when they are cut short. */
export function decodeFuncInfo(bytes: Uint8Array): FuncInfo[] {
  const reader = recordReader(bytes, "func_info", FUNC_INFO_SIZE);
  const out: FuncInfo[] = [];
  for (let at = 0; at < bytes.length; at += FUNC_INFO_SIZE) {
    out.push({ insnIndex: reader.u32le(at), typeId: reader.u32le(at + 4) });
  }
  return out;
}

/** Decodes line records with the strings of their BTF. Throws {@link ParseError} when they are cut short or name what is not there. */
export function decodeLineInfo(bytes: Uint8Array, strings: BtfStrings): LineInfo[] {
  const reader = recordReader(bytes, "line_info", LINE_INFO_SIZE);
  const out: LineInfo[] = [];
  for (let at = 0; at < bytes.length; at += LINE_INFO_SIZE) {
    const place = reader.u32le(at + 12);
    out.push({
      insnIndex: reader.u32le(at),
      file: strings.get(reader.u32le(at + 4)),
      source: strings.get(reader.u32le(at + 8)),
      line: place >>> COLUMN_BITS,
      column: place & MAX_COLUMN,
    });
  }
  return out;
}

function recordReader(bytes: Uint8Array, section: string, size: number): ByteReader {
  if (bytes.length % size !== 0)
    throw new ParseError(section, bytes.length, `${bytes.length} bytes are no records of ${size}`);
  return new ByteReader(bytes, section);
}
