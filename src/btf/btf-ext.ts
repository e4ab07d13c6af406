/** Writes BTF.ext: the records of a whole object file, by section, beside its BTF. */
import { ByteWriter } from "../base/index.ts";
import { CORE_RELOCATION_SIZE } from "./btf-ext-read.ts";
import type { BtfBuilder } from "./builder.ts";
import { BTF_MAGIC, BTF_VERSION } from "./kinds.ts";
import { FUNC_INFO_SIZE, LINE_INFO_SIZE } from "./program-info.ts";

/** Bytes of `struct btf_ext_header`: function records, line records, CO-RE relocations. */
const HEADER_SIZE = 32;

/**
 * Records of one section of code. They are those of a program (`struct bpf_func_info`, `struct bpf_line_info`), except that offsets
 * count bytes from the start of the section.
 */
export interface BtfExtSection {
  /** Name of the section of the object file. */
  readonly name: string;
  /** In ascending order of offsets; empty when there are none. */
  readonly funcInfo: Uint8Array;
  readonly lineInfo: Uint8Array;
  /** `struct bpf_core_relo`; absent when there are none. */
  readonly coreRelocations?: Uint8Array;
}

/**
 * Writes BTF.ext and adds the names of sections to the builder's strings: call it before `finish()`. Undefined when there is no record at
 * all, as loaders refuse BTF.ext without.
 */
export function encodeBtfExt(builder: BtfBuilder, sections: readonly BtfExtSection[]): Uint8Array | undefined {
  const functions = encodeRecords(builder, FUNC_INFO_SIZE, sections, (s) => s.funcInfo);
  const lines = encodeRecords(builder, LINE_INFO_SIZE, sections, (s) => s.lineInfo);
  const core = encodeRecords(builder, CORE_RELOCATION_SIZE, sections, (s) => s.coreRelocations ?? new Uint8Array(0));
  if (functions.length + lines.length + core.length === 0) return undefined;
  const out = new ByteWriter(HEADER_SIZE + functions.length + lines.length + core.length);
  out.u16le(BTF_MAGIC);
  out.u8(BTF_VERSION);
  out.u8(0);
  out.u32le(HEADER_SIZE);
  let offset = 0;
  for (const { length } of [functions, lines, core]) {
    out.u32le(offset);
    out.u32le(length);
    offset += length;
  }
  out.bytes(functions);
  out.bytes(lines);
  out.bytes(core);
  return out.finish();
}

function encodeRecords(
  builder: BtfBuilder,
  recordSize: number,
  sections: readonly BtfExtSection[],
  recordsOf: (section: BtfExtSection) => Uint8Array,
): Uint8Array {
  const out = new ByteWriter();
  for (const section of sections) {
    const records = recordsOf(section);
    if (records.length % recordSize !== 0) {
      throw new RangeError(`BTF.ext: section ${section.name}: ${records.length} bytes are no records of ${recordSize}`);
    }
    if (records.length === 0) continue;
    if (out.length === 0) out.u32le(recordSize);
    out.u32le(builder.string(section.name));
    out.u32le(records.length / recordSize);
    out.bytes(records);
  }
  return out.finish();
}
