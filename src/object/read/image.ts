/** An object file taken apart: sections with their relocations, symbols, types. What reader and linker start from. */
import { ParseError, StringTable, UnsupportedError } from "../../base/index.ts";
import { decodeBtfExt } from "../../btf/index.ts";
import type { BtfExt } from "../../btf/index.ts";
import { INSN_SIZE } from "../../isa/index.ts";
import type { DwarfSections } from "../dwarf/entries.ts";
import { Elf } from "../elf.ts";
import type { ElfSection } from "../elf.ts";
import {
  ELF64_REL_SIZE,
  ElfMachine,
  ElfSectionFlag,
  ElfSectionType,
  ElfSymbolBinding,
  ElfSymbolType,
  ElfType,
} from "../elf-format.ts";
import { ElfFields } from "../elf-source.ts";
import { SymbolSection } from "../elf-symbols.ts";

/** A place in a section that refers to a symbol. */
export interface ImageRelocation {
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Index in {@link ObjectImage.symbols}. */
  readonly symbol: number;
  /** `ElfBpfRelocation.*` */
  readonly type: number;
}

/** A section of the file. */
export interface ImageSection {
  /** In the section table. */
  readonly index: number;
  readonly name: string;
  /** `ElfSectionType.*` */
  readonly type: number;
  readonly isCode: boolean;
  readonly isWritable: boolean;
  /** A power of two, or 0. */
  readonly alignment: number;
  /** Bytes, of NOBITS sections too. */
  readonly size: number;
  /** Contents; none of NOBITS sections. Code is little-endian whatever the file is. */
  readonly data: Uint8Array;
  /** What fills it, ascending by offset. */
  readonly relocations: readonly ImageRelocation[];
}

/** A symbol of the file. */
export interface ImageSymbol {
  readonly index: number;
  readonly name: string;
  /** Bytes from the start of the section. */
  readonly value: number;
  /** Bytes. */
  readonly size: number;
  /** `ElfSymbolType.*` */
  readonly type: number;
  /** `ElfSymbolBinding.*` */
  readonly binding: number;
  /** Not seen by other files, although global. */
  readonly isHidden: boolean;
  /** Index of its section, or `ElfSectionIndex.*`. */
  readonly section: number;
}

/** One object file. */
export interface ObjectImage {
  /** Named in errors. */
  readonly file: string;
  readonly byteOrder: "little" | "big";
  /** By index in the file's table; those that no reader looks at have no contents. */
  readonly sections: readonly ImageSection[];
  readonly symbols: readonly ImageSymbol[];
  /** `.BTF` as it is in the file. */
  readonly btf?: Uint8Array;
  /** `.BTF.ext`; none without `.BTF`, which it refers to. */
  readonly ext?: BtfExt;
  /** Debug information, of each file that was linked; empty where it was stripped. */
  readonly dwarf: readonly DwarfSections[];
}

/** Visibilities of symbols that other files do not see. */
const INTERNAL = 1;
const HIDDEN = 2;

/** Sections of debug information, and what belongs to it. */
const IGNORED = /^(\.rela?)?\.(debug_|BTF($|\.ext$)|eh_frame)/;

/** First bytes of what people give to a loader instead of an object file. */
const mistaken: readonly (readonly [magic: number, what: string])[] = [
  [0x4243_c0de, "LLVM bitcode: compile it with -target bpf -c and without -emit-llvm or -flto"],
  [0x213c_6172, "an archive: extract its objects with ar x"],
];

/**
 * Takes an ELF file apart. Throws {@link ParseError} with section and offset when it is damaged or no object file of BPF code,
 * {@link UnsupportedError} for an object whose types are told in another file.
 */
export function readImage(bytes: Uint8Array, file: string): ObjectImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [magic, what] of mistaken) {
    if (bytes.length >= 4 && view.getUint32(0) === magic) throw new ParseError(file, 0, `no ELF file but ${what}`);
  }
  const elf = Elf.parse(bytes, file);
  checkHeader(elf, file);
  const { bigEndian } = elf.header;
  const symtab = symbolTable(elf, file);
  const symbols = readSymbols(symtab.section);
  const relocations = readRelocations(elf, file, symtab.index, symbols.length);
  const sections = elf.sections.map((section): ImageSection => {
    // The bits that are asked for are among the low ones.
    const flags = Number(section.flags) >>> 0;
    const isCode = (flags & ElfSectionFlag.EXECINSTR) !== 0 && section.type === ElfSectionType.PROGBITS;
    const isRead = section.type === ElfSectionType.PROGBITS && !IGNORED.test(section.name);
    let data = isRead ? elf.sectionData(section) : new Uint8Array(0);
    if (isCode && bigEndian) data = swapInstructions(data);
    return {
      index: section.index,
      name: section.name,
      type: section.type,
      isCode,
      isWritable: (flags & ElfSectionFlag.WRITE) !== 0,
      alignment: section.alignment,
      size: section.size,
      data,
      relocations: relocations.get(section.index) ?? [],
    };
  });
  const btf = contentsOf(elf, ".BTF", file);
  const ext = btf === undefined ? undefined : contentsOf(elf, ".BTF.ext", file);
  if (elf.sectionByName(".BTF.base") !== undefined) {
    throw new UnsupportedError(
      `${file}: section .BTF.base`,
      "its types extend those of another file, as a kernel module's do: compile it as a program of its own",
    );
  }
  return {
    file,
    byteOrder: bigEndian ? "big" : "little",
    sections,
    symbols,
    ...(btf === undefined ? {} : { btf }),
    ...(ext === undefined ? {} : { ext: decodeBtfExt(ext, `${file}: .BTF.ext`) }),
    dwarf: debugSections(elf, file),
  };
}

/** Views of the file, which nothing looks into here. */
function debugSections(elf: Elf, file: string): DwarfSections[] {
  const named = (name: string): Uint8Array | undefined => {
    const section = elf.sectionByName(name);
    if (section === undefined || section.type !== ElfSectionType.PROGBITS) return undefined;
    const isCompressed = ((Number(section.flags) >>> 0) & ElfSectionFlag.COMPRESSED) !== 0;
    return isCompressed ? undefined : elf.sectionData(section);
  };
  const info = named(".debug_info");
  const abbrev = named(".debug_abbrev");
  if (info === undefined || abbrev === undefined) return [];
  const str = named(".debug_str");
  const lineStr = named(".debug_line_str");
  const strOffsets = named(".debug_str_offsets");
  return [
    {
      file,
      bigEndian: elf.header.bigEndian,
      info,
      abbrev,
      ...(str === undefined ? {} : { str }),
      ...(lineStr === undefined ? {} : { lineStr }),
      ...(strOffsets === undefined ? {} : { strOffsets }),
    },
  ];
}

/** A ParseError at an offset of a section. */
export function damagedAt(
  image: Pick<ObjectImage, "file">,
  section: Pick<ImageSection, "name"> | string,
  offset: number,
  what: string,
): ParseError {
  return new ParseError(`${image.file}: ${typeof section === "string" ? section : section.name}`, offset, what);
}

/** The first section of this name. */
export function sectionNamed(image: ObjectImage, name: string): ImageSection | undefined {
  return image.sections.find((section) => section.name === name);
}

/** Whether a symbol stands for something that another file, or the kernel, has. */
export function isExtern({ section, binding, type }: ImageSymbol): boolean {
  return section === 0 && binding !== ElfSymbolBinding.LOCAL && type === ElfSymbolType.NOTYPE;
}

function checkHeader(elf: Elf, file: string): void {
  const { type, machine } = elf.header;
  if (elf.header.class !== 64) throw new ParseError(file, 4, "a 32-bit ELF file: BPF objects have 64 bits");
  // Compilers before 2016 left the machine 0.
  if (machine !== ElfMachine.BPF && machine !== 0) {
    const name = Object.entries(ElfMachine).find(([, number]) => number === machine)?.[0];
    throw new ParseError(file, 18, `object for machine ${name ?? machine}, not BPF: compile it with -target bpf`);
  }
  if (type !== ElfType.REL) {
    const name = Object.entries(ElfType).find(([, number]) => number === type)?.[0];
    throw new ParseError(file, 16, `ELF type ${name ?? type}, not REL: an object file is wanted, as -c makes it`);
  }
}

function symbolTable(elf: Elf, file: string): { readonly section: SymbolSection; readonly index: number } {
  const found = elf.sections.filter((section) => section.type === ElfSectionType.SYMTAB);
  const [table, second] = found;
  if (table === undefined) throw new ParseError(file, 0, "no table of symbols: the object was stripped");
  if (second !== undefined) throw new ParseError(file, second.offset, "two tables of symbols");
  const strings = elf.sections[table.link];
  if (strings === undefined || strings.type !== ElfSectionType.STRTAB) {
    throw new ParseError(file, table.offset, `names of symbols are in section ${table.link}, which is no string table`);
  }
  const { bigEndian } = elf.header;
  const section = new SymbolSection(
    new ElfFields(elf.sectionData(table), { bigEndian, wide: true }, `${file}: ${table.name}`, 0),
    new StringTable(elf.sectionData(strings), `${file}: ${strings.name}`),
    table.name,
  );
  return { section, index: table.index };
}

function readSymbols(table: SymbolSection): ImageSymbol[] {
  const out: ImageSymbol[] = [];
  // Read field by field: objects have thousands of symbols, most of them labels.
  const start = { high: 0, low: 0 };
  for (let index = 0; index < table.count; index++) {
    const info = table.infoOf(index);
    const visibility = table.visibilityOf(index);
    out.push({
      index,
      name: table.nameOf(index),
      value: table.distanceFrom(start, index),
      size: table.sizeOf(index),
      type: info & 0xf,
      binding: info >>> 4,
      isHidden: visibility === INTERNAL || visibility === HIDDEN,
      section: table.sectionOf(index),
    });
  }
  return out;
}

function readRelocations(elf: Elf, file: string, symtab: number, symbolCount: number): Map<number, ImageRelocation[]> {
  const out = new Map<number, ImageRelocation[]>();
  for (const section of elf.sections) {
    const hasAddends = section.type === ElfSectionType.RELA;
    if ((section.type !== ElfSectionType.REL && !hasAddends) || IGNORED.test(section.name)) continue;
    const target = elf.sections[section.info];
    if (target === undefined) {
      throw new ParseError(
        `${file}: ${section.name}`,
        0,
        `it fills section ${section.info}, the last is ${elf.sections.length - 1}`,
      );
    }
    if (hasAddends)
      throw new ParseError(`${file}: ${section.name}`, 0, "relocations with addends, which no BPF compiler writes");
    if (section.link !== symtab) {
      throw new ParseError(
        `${file}: ${section.name}`,
        0,
        `its symbols are in section ${section.link}, which is no table of symbols`,
      );
    }
    const records = readRecords(elf, file, section, target, symbolCount);
    // Without a copy per section: all records of a section are usually in one.
    const known = out.get(target.index);
    out.set(
      target.index,
      (known === undefined ? records : [...known, ...records]).toSorted((a, b) => a.offset - b.offset),
    );
  }
  return out;
}

function readRecords(
  elf: Elf,
  file: string,
  section: ElfSection,
  target: ElfSection,
  symbolCount: number,
): ImageRelocation[] {
  const bytes = elf.sectionData(section);
  const name = `${file}: ${section.name}`;
  if (section.entrySize !== ELF64_REL_SIZE || bytes.length % ELF64_REL_SIZE !== 0) {
    throw new ParseError(name, 0, `${bytes.length} bytes of records of ${section.entrySize}, not ${ELF64_REL_SIZE}`);
  }
  const { bigEndian } = elf.header;
  const fields = new ElfFields(bytes, { bigEndian, wide: true }, name, 0);
  const out: ImageRelocation[] = [];
  for (let at = 0; at < bytes.length; at += ELF64_REL_SIZE) {
    const offset = fields.count(at);
    // `r_info`, a number of 64 bits: the type is its low half.
    const [type, symbol] = bigEndian
      ? [fields.u32(at + 12), fields.u32(at + 8)]
      : [fields.u32(at + 8), fields.u32(at + 12)];
    if (offset >= target.size)
      throw new ParseError(name, at, `it fills offset ${offset} of ${target.name}, which has ${target.size} bytes`);
    if (symbol >= symbolCount) throw new ParseError(name, at + 8, `symbol ${symbol}, the last is ${symbolCount - 1}`);
    out.push({ offset, symbol, type });
  }
  return out;
}

function contentsOf(elf: Elf, name: string, file: string): Uint8Array | undefined {
  const section = elf.sectionByName(name);
  if (section === undefined) return undefined;
  if (section.type !== ElfSectionType.PROGBITS) {
    throw new ParseError(`${file}: ${name}`, 0, `a section of type ${section.type}, contents wanted`);
  }
  return elf.sectionData(section);
}

/** Instructions of a big-endian file as little-endian ones: fields turned round, registers in the other halves of their byte. */
function swapInstructions(code: Uint8Array): Uint8Array {
  const out = new Uint8Array(code);
  for (let at = 0; at + INSN_SIZE <= out.length; at += INSN_SIZE) {
    const registers = code[at + 1]!;
    out[at + 1] = (registers << 4) | (registers >> 4);
    out[at + 2] = code[at + 3]!;
    out[at + 3] = code[at + 2]!;
    for (let i = 0; i < 4; i++) out[at + 4 + i] = code[at + 7 - i]!;
  }
  return out;
}
