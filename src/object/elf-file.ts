/** Lays out a relocatable ELF file of BPF code (64 bits, little-endian): sections, symbols, relocations. */
import { ByteWriter } from "../base/index.ts";
import {
  ELF64_REL_SIZE,
  ELF_MAGIC,
  ElfMachine,
  ElfSectionFlag,
  ElfSectionIndex,
  ElfSectionType,
  ElfSymbolBinding,
  ElfType,
  elfRecordSizes,
} from "./elf-format.ts";

const sizes = elfRecordSizes[64];

/** A section to be written. */
export interface ElfSectionSpec {
  readonly name: string;
  /** `ElfSectionType.*` */
  readonly type: number;
  /** `ElfSectionFlag.*` */
  readonly flags: number;
  /** A power of two. */
  readonly alignment: number;
  /** Contents; of NOBITS a number of bytes. */
  readonly data: Uint8Array | number;
}

/** A symbol to be written. */
export interface ElfSymbolSpec {
  /** Empty for sections' symbols. */
  readonly name: string;
  /** `ElfSymbolType.*` */
  readonly type: number;
  /** `ElfSymbolBinding.*` */
  readonly binding: number;
  /** Index of the section that holds it, or `ElfSectionIndex.UNDEF`. */
  readonly section: number;
  /** Bytes from the start of the section. */
  readonly value: number;
  /** Bytes. */
  readonly size: number;
}

/** A place in a section that a loader fills. */
export interface ElfRelocationSpec {
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** What {@link ElfFile.symbol} answered. */
  readonly symbol: number;
  /** `ElfBpfRelocation.*` */
  readonly type: number;
}

/** A record of the section table. */
interface Header {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly alignment: number;
  readonly data: Uint8Array | number;
  readonly link: number;
  readonly info: number;
  readonly entrySize: number;
}

/** An ELF file in the making. */
export class ElfFile {
  private readonly sections: ElfSectionSpec[] = [];
  private readonly symbols: ElfSymbolSpec[] = [];
  private readonly relocations: { readonly section: number; readonly records: readonly ElfRelocationSpec[] }[] = [];

  /** Adds a section and returns its index. */
  section(spec: ElfSectionSpec): number {
    // Section 0 is none.
    return this.sections.push(spec);
  }

  /** Contents of a section that was added, to be filled in place. Throws TypeError for one without. */
  dataOf(section: number): Uint8Array {
    const data = this.sections[section - 1]?.data;
    if (!(data instanceof Uint8Array)) throw new TypeError(`section ${section} has no contents`);
    return data;
  }

  /** Adds a symbol and returns a number for relocations. */
  symbol(spec: ElfSymbolSpec): number {
    return this.symbols.push(spec) - 1;
  }

  /** Adds the relocations of a section. */
  relocate(section: number, records: readonly ElfRelocationSpec[]): void {
    if (records.length > 0) this.relocations.push({ section, records });
  }

  /** The file. */
  finish(): Uint8Array {
    const strings = new Strings();
    // Section 0, the table of symbols and that of names come on top.
    const count = this.sections.length + this.relocations.length + 3;
    if (count >= ElfSectionIndex.LORESERVE)
      throw new RangeError(`ELF: ${count} sections, symbols can name ${ElfSectionIndex.LORESERVE - 1}`);
    const symtabIndex = this.sections.length + this.relocations.length + 1;
    const strtabIndex = symtabIndex + 1;
    const plain = { link: 0, info: 0, entrySize: 0 };
    const headers: Header[] = this.sections.map((s) => ({ ...s, ...plain }));
    const { order, locals } = this.symbolOrder();
    for (const { section, records } of this.relocations) {
      headers.push({
        name: `.rel${this.sections[section - 1]!.name}`,
        type: ElfSectionType.REL,
        flags: ElfSectionFlag.INFO_LINK,
        alignment: 8,
        data: encodeRelocations(records, order),
        link: symtabIndex,
        info: section,
        entrySize: ELF64_REL_SIZE,
      });
    }
    headers.push({
      name: ".symtab",
      type: ElfSectionType.SYMTAB,
      flags: 0,
      alignment: 8,
      data: this.encodeSymbols(order, strings),
      link: strtabIndex,
      info: locals + 1,
      entrySize: sizes.symbol,
    });
    const names = [...headers.map((h) => strings.offset(h.name)), strings.offset(".strtab")];
    headers.push({
      name: ".strtab",
      type: ElfSectionType.STRTAB,
      flags: 0,
      alignment: 1,
      data: strings.finish(),
      ...plain,
    });
    return layOut(headers, names, strtabIndex);
  }

  /** Index in the symbol table of each symbol: local ones come first, behind symbol 0, which is none. */
  private symbolOrder(): { readonly order: readonly number[]; readonly locals: number } {
    const isLocal = (s: ElfSymbolSpec): boolean => s.binding === ElfSymbolBinding.LOCAL;
    const locals = this.symbols.filter(isLocal).length;
    let [nextLocal, nextGlobal] = [1, locals + 1];
    return { order: this.symbols.map((s) => (isLocal(s) ? nextLocal++ : nextGlobal++)), locals };
  }

  private encodeSymbols(order: readonly number[], strings: Strings): Uint8Array {
    const sorted = this.symbols.map((symbol, i) => ({ symbol, at: order[i]! })).toSorted((a, b) => a.at - b.at);
    const out = new ByteWriter((sorted.length + 1) * sizes.symbol);
    out.bytes(new Uint8Array(sizes.symbol));
    for (const { symbol } of sorted) {
      out.u32le(strings.offset(symbol.name));
      out.u8((symbol.binding << 4) | symbol.type);
      out.u8(0);
      out.u16le(symbol.section);
      out.u64le(BigInt(symbol.value));
      out.u64le(BigInt(symbol.size));
    }
    return out.finish();
  }
}

function encodeRelocations(records: readonly ElfRelocationSpec[], order: readonly number[]): Uint8Array {
  const out = new ByteWriter(records.length * ELF64_REL_SIZE);
  for (const { offset, symbol, type } of records.toSorted((a, b) => a.offset - b.offset)) {
    out.u64le(BigInt(offset));
    out.u32le(type);
    out.u32le(order[symbol]!);
  }
  return out.finish();
}

/** Names, each stored once. */
class Strings {
  private readonly out = new ByteWriter(1024);
  private readonly offsets = new Map<string, number>([["", 0]]);

  constructor() {
    this.out.u8(0);
  }

  offset(name: string): number {
    let offset = this.offsets.get(name);
    if (offset === undefined) {
      offset = this.out.length;
      this.out.cstring(name);
      this.offsets.set(name, offset);
    }
    return offset;
  }

  finish(): Uint8Array {
    return this.out.finish();
  }
}

/** Header, contents of sections, section table. */
function layOut(headers: readonly Header[], names: readonly number[], namesIndex: number): Uint8Array {
  const places: { offset: number; size: number }[] = [];
  let end: number = sizes.header;
  for (const { data, alignment } of headers) {
    const size = typeof data === "number" ? data : data.length;
    const offset = Math.ceil(end / alignment) * alignment;
    places.push({ offset, size });
    // What takes no bytes moves nothing.
    if (typeof data !== "number") end = offset + size;
  }
  const tableOffset = Math.ceil(end / 8) * 8;
  const out = new ByteWriter(tableOffset + (headers.length + 1) * sizes.section);
  const magic = new Uint8Array(4);
  new DataView(magic.buffer).setUint32(0, ELF_MAGIC);
  out.bytes(magic);
  // 64 bits, little-endian, version 1, no ABI of an operating system, padding to 16 bytes.
  out.bytes(Uint8Array.of(2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  out.u16le(ElfType.REL);
  out.u16le(ElfMachine.BPF);
  out.u32le(1);
  out.u64le(0n);
  out.u64le(0n);
  out.u64le(BigInt(tableOffset));
  out.u32le(0);
  for (const half of [sizes.header, 0, 0, sizes.section, headers.length + 1, namesIndex]) out.u16le(half);
  for (const [i, { data, alignment }] of headers.entries()) {
    if (typeof data === "number") continue;
    while (out.length < places[i]!.offset) out.align(alignment);
    out.bytes(data);
  }
  out.align(8);
  out.bytes(new Uint8Array(sizes.section));
  for (const [i, h] of headers.entries()) {
    out.u32le(names[i]!);
    out.u32le(h.type);
    out.u64le(BigInt(h.flags));
    out.u64le(0n);
    out.u64le(BigInt(places[i]!.offset));
    out.u64le(BigInt(places[i]!.size));
    out.u32le(h.link);
    out.u32le(h.info);
    out.u64le(BigInt(h.alignment));
    out.u64le(BigInt(h.entrySize));
  }
  return out.finish();
}
