/** ELF files of either class and byte order, read lazily: header, sections, segments, notes, and where addresses lie in the file. */
import { ParseError, StringTable } from "../base/index.ts";
import {
  ELF_MAGIC,
  ELF_PHNUM_ELSEWHERE,
  ELF_VERSION_HIDDEN,
  ElfGnuNote,
  ElfSectionIndex,
  ElfSectionType,
  ElfSegmentType,
  elfRecordSizes,
} from "./elf-format.ts";
import { ElfFields, type ElfSource, sourceOf } from "./elf-source.ts";
import { ElfSymbolTable, type ElfSymbol, SymbolSection } from "./elf-symbols.ts";

/** What the file header says. */
export interface ElfHeader {
  readonly class: 32 | 64;
  readonly bigEndian: boolean;
  readonly osAbi: number;
  /** `ElfType.*` */
  readonly type: number;
  /** `ElfMachine.*` */
  readonly machine: number;
  readonly entry: bigint;
  /** Of the machine. */
  readonly flags: number;
}

/** One entry of the section table. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** `ElfSectionType.*` */
  readonly type: number;
  /** `ElfSectionFlag.*` */
  readonly flags: bigint;
  /** Virtual address; 0 when not loaded. */
  readonly address: bigint;
  /** In the file. */
  readonly offset: number;
  /** Bytes; of NOBITS sections in memory only. */
  readonly size: number;
  /** Another section's index, by type: of symbols the string table. */
  readonly link: number;
  readonly info: number;
  readonly alignment: number;
  /** Bytes of one record, 0 when there are none. */
  readonly entrySize: number;
}

/** One entry of the program header table. */
export interface ElfSegment {
  /** `ElfSegmentType.*` */
  readonly type: number;
  /** `ElfSegmentFlag.*` */
  readonly flags: number;
  /** In the file. */
  readonly offset: number;
  readonly virtualAddress: bigint;
  readonly physicalAddress: bigint;
  /** Bytes in the file. */
  readonly fileSize: number;
  /** Bytes in memory, what exceeds `fileSize` being zero. */
  readonly memorySize: bigint;
  readonly alignment: bigint;
}

/** A note, with its owner's name. */
export interface ElfNote {
  /** Without its NUL: `GNU`, `stapsdt`. */
  readonly owner: string;
  /** Of the owner. */
  readonly type: number;
  readonly description: Uint8Array;
}

/** The separate file that holds the debug information. */
export interface ElfDebugLink {
  /** File name without directory. */
  readonly file: string;
  /** CRC-32 of that file. */
  readonly crc32: number;
}

/** One ELF file. Tables are read when they are asked for, contents of sections each time. */
export class Elf {
  /** Named in errors. */
  readonly name: string;
  readonly header: ElfHeader;
  private readonly source: ElfSource;
  private readonly tables: {
    sectionsAt: number;
    sectionCount: number;
    sectionSize: number;
    namesIndex: number;
    segmentsAt: number;
    segmentCount: number;
    segmentSize: number;
  };
  private readonly format: { readonly bigEndian: boolean; readonly wide: boolean };
  private knownSections: readonly ElfSection[] | undefined;
  private knownSegments: readonly ElfSegment[] | undefined;
  private knownFunctions: ElfSymbolTable | undefined;
  private readonly symbolSections = new Map<string, SymbolSection | undefined>();

  private constructor(source: ElfSource, name: string) {
    this.source = source;
    this.name = name;
    const identity = this.read(0, Math.min(64, source.size), "header");
    const magic = new DataView(identity.buffer, identity.byteOffset, identity.byteLength);
    if (identity.length < 16 || magic.getUint32(0) !== ELF_MAGIC) {
      throw new ParseError(name, 0, "no ELF file: it does not start with 7f 45 4c 46");
    }
    const [fileClass, order, version] = [identity[4]!, identity[5]!, identity[6]!];
    if (fileClass !== 1 && fileClass !== 2)
      throw new ParseError(name, 4, `ELF class ${fileClass}, not 1 (32 bits) or 2 (64 bits)`);
    if (order !== 1 && order !== 2) throw new ParseError(name, 5, `ELF byte order ${order}, not 1 (little) or 2 (big)`);
    if (version !== 1) throw new ParseError(name, 6, `ELF version ${version}, not 1`);
    const wide = fileClass === 2;
    this.format = { bigEndian: order === 2, wide };
    const f = this.fields(identity, 0);
    const sizes = elfRecordSizes[wide ? 64 : 32];
    const behindEntry = wide ? 32 : 28;
    const word = wide ? 8 : 4;
    const behindFlags = behindEntry + 2 * word + 4;
    this.header = {
      class: wide ? 64 : 32,
      bigEndian: order === 2,
      osAbi: identity[7]!,
      type: f.u16(16),
      machine: f.u16(18),
      entry: f.address(24),
      flags: f.u32(behindEntry + 2 * word),
    };
    this.tables = {
      segmentsAt: f.count(behindEntry),
      sectionsAt: f.count(behindEntry + word),
      segmentSize: f.u16(behindFlags + 2),
      segmentCount: f.u16(behindFlags + 4),
      sectionSize: f.u16(behindFlags + 6),
      sectionCount: f.u16(behindFlags + 8),
      namesIndex: f.u16(behindFlags + 10),
    };
    const t = this.tables;
    if (t.sectionsAt !== 0) {
      if (t.sectionSize < sizes.section)
        throw new ParseError(name, behindFlags + 6, `section headers of ${t.sectionSize} bytes`);
      // Numbers too large for the header are in section 0.
      if (t.sectionCount === 0 || t.namesIndex === ElfSectionIndex.XINDEX || t.segmentCount === ELF_PHNUM_ELSEWHERE) {
        const first = this.fields(this.read(t.sectionsAt, sizes.section, "section 0"), t.sectionsAt);
        const behindOffset = 8 + word * 3;
        if (t.sectionCount === 0) t.sectionCount = first.count(behindOffset);
        if (t.namesIndex === ElfSectionIndex.XINDEX) t.namesIndex = first.u32(behindOffset + word);
        if (t.segmentCount === ELF_PHNUM_ELSEWHERE) t.segmentCount = first.u32(behindOffset + word + 4);
      }
    } else {
      t.sectionCount = 0;
    }
    if (t.segmentsAt === 0) t.segmentCount = 0;
    if (t.segmentCount > 0 && t.segmentSize < sizes.segment) {
      throw new ParseError(name, behindFlags + 2, `program headers of ${t.segmentSize} bytes`);
    }
  }

  /**
   * Reads the header of an ELF file; `name` is shown in errors. Throws {@link ParseError} when it is none, and later, from
   * whatever meets the place, when it is damaged.
   */
  static parse(input: Uint8Array | ElfSource, name: string = "ELF"): Elf {
    return new Elf(sourceOf(input), name);
  }

  private fields(bytes: Uint8Array, fileOffset: number): ElfFields {
    return new ElfFields(bytes, this.format, this.name, fileOffset);
  }

  private read(offset: number, length: number, what: string): Uint8Array {
    if (offset + length > this.source.size) {
      throw new ParseError(this.name, offset, `${what}: ${length} bytes wanted, the file ends at ${this.source.size}`);
    }
    const bytes = this.source.read(offset, length);
    if (bytes.length < length) {
      throw new ParseError(this.name, offset, `${what}: ${length} bytes wanted, ${bytes.length} read: the file shrank`);
    }
    return bytes;
  }

  /** All sections, section 0 included; empty when the table was stripped. */
  get sections(): readonly ElfSection[] {
    return (this.knownSections ??= this.readSections());
  }

  private readSections(): ElfSection[] {
    const { sectionsAt, sectionCount, sectionSize, namesIndex } = this.tables;
    if (sectionCount === 0) return [];
    const fields = this.fields(this.read(sectionsAt, sectionCount * sectionSize, "section table"), sectionsAt);
    const word = this.format.wide ? 8 : 4;
    const nameOffsets: number[] = [];
    const unnamed: Omit<ElfSection, "name">[] = [];
    for (let index = 0; index < sectionCount; index++) {
      const at = index * sectionSize;
      const behindOffset = at + 8 + word * 3;
      nameOffsets.push(fields.u32(at));
      unnamed.push({
        index,
        type: fields.u32(at + 4),
        flags: fields.address(at + 8),
        address: fields.address(at + 8 + word),
        offset: fields.count(at + 8 + word * 2),
        size: fields.count(behindOffset),
        link: fields.u32(behindOffset + word),
        info: fields.u32(behindOffset + word + 4),
        alignment: fields.count(behindOffset + word + 8),
        entrySize: fields.count(behindOffset + word * 2 + 8),
      });
    }
    if (namesIndex === ElfSectionIndex.UNDEF) return unnamed.map((section) => ({ ...section, name: "" }));
    const table = unnamed[namesIndex];
    if (table === undefined)
      throw fields.damaged(0, `names of sections are in section ${namesIndex} of ${sectionCount}`);
    const names = new StringTable(this.dataOf(table, "section names"), `${this.name}: section names`);
    return unnamed.map((section, i) => ({ ...section, name: names.get(nameOffsets[i]!) }));
  }

  /** All segments; none in object files. */
  get segments(): readonly ElfSegment[] {
    return (this.knownSegments ??= this.readSegments());
  }

  private readSegments(): ElfSegment[] {
    const { segmentsAt, segmentCount, segmentSize } = this.tables;
    if (segmentCount === 0) return [];
    const f = this.fields(this.read(segmentsAt, segmentCount * segmentSize, "program header table"), segmentsAt);
    const out: ElfSegment[] = [];
    for (let at = 0; at < segmentCount * segmentSize; at += segmentSize) {
      out.push(
        this.format.wide
          ? {
              type: f.u32(at),
              flags: f.u32(at + 4),
              offset: f.count(at + 8),
              virtualAddress: f.u64(at + 16),
              physicalAddress: f.u64(at + 24),
              fileSize: f.count(at + 32),
              memorySize: f.u64(at + 40),
              alignment: f.u64(at + 48),
            }
          : {
              type: f.u32(at),
              offset: f.u32(at + 4),
              virtualAddress: f.address(at + 8),
              physicalAddress: f.address(at + 12),
              fileSize: f.u32(at + 16),
              memorySize: f.address(at + 20),
              flags: f.u32(at + 24),
              alignment: f.address(at + 28),
            },
      );
    }
    return out;
  }

  /** The first section of this name. */
  sectionByName(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** Contents of a section as they are in the file, compressed or not; empty for NOBITS. A view when the file is in memory. */
  sectionData(section: ElfSection): Uint8Array {
    return this.dataOf(section, `section ${section.name}`);
  }

  private dataOf(section: Omit<ElfSection, "name">, what: string): Uint8Array {
    if (section.type === ElfSectionType.NOBITS || section.type === ElfSectionType.NULL) return new Uint8Array(0);
    return this.read(section.offset, section.size, what);
  }

  /** All notes, those of sections first, of segments when there are no sections. Throws {@link ParseError} when one is cut short. */
  notes(): ElfNote[] {
    const places =
      this.sections.length > 0
        ? this.sections.filter((section) => section.type === ElfSectionType.NOTE)
        : this.segments
            .filter((segment) => segment.type === ElfSegmentType.NOTE)
            .map((segment) => ({
              offset: segment.offset,
              size: segment.fileSize,
              alignment: Number(segment.alignment),
            }));
    return places.flatMap((place) => this.notesAt(place.offset, place.size, place.alignment));
  }

  private notesAt(offset: number, size: number, alignment: number): ElfNote[] {
    const fields = this.fields(this.read(offset, size, "notes"), offset);
    // Only 8 is padded to 8; 0 and 1 are written for what is padded to 4.
    const step = alignment === 8 ? 8 : 4;
    const padded = (n: number): number => Math.ceil(n / step) * step;
    const decoder = new TextDecoder();
    const out: ElfNote[] = [];
    for (let at = 0; at + 12 <= size;) {
      const [nameSize, descriptionSize] = [fields.u32(at), fields.u32(at + 4)];
      const from = padded(at + 12 + nameSize);
      if (from > size || descriptionSize > size - from) {
        throw fields.damaged(at, `a note of ${nameSize}+${descriptionSize} bytes does not fit ${size - at}`);
      }
      const owner = fields.bytes.subarray(at + 12, at + 12 + nameSize);
      out.push({
        owner: decoder.decode(owner).replace(/\0+$/, ""),
        type: fields.u32(at + 8),
        description: fields.bytes.subarray(from, from + descriptionSize),
      });
      at = padded(from + descriptionSize);
    }
    return out;
  }

  /** The build id as hexadecimal digits, by which a separate debug file is found. Undefined when there is none. */
  get buildId(): string | undefined {
    const note = this.notes().find((n) => n.owner === "GNU" && n.type === ElfGnuNote.BUILD_ID);
    if (note === undefined || note.description.length === 0) return undefined;
    return Array.from(note.description, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** What `.gnu_debuglink` names. Undefined when there is none; throws {@link ParseError} when it is cut short. */
  get debugLink(): ElfDebugLink | undefined {
    const section = this.sectionByName(".gnu_debuglink");
    if (section === undefined) return undefined;
    const fields = this.fields(this.sectionData(section), section.offset);
    const end = fields.bytes.indexOf(0);
    if (end === -1) throw fields.damaged(0, ".gnu_debuglink has no end of the file name");
    const file = new TextDecoder().decode(fields.bytes.subarray(0, end));
    return { file, crc32: fields.u32(Math.ceil((end + 1) / 4) * 4) };
  }

  /**
   * Where a virtual address of the file lies in the file: what a uprobe is attached to. Undefined outside the loaded segments,
   * and in their part that is only in memory.
   */
  virtualToFileOffset(address: bigint | number): number | undefined {
    const wanted = BigInt(address);
    for (const segment of this.segments) {
      if (segment.type !== ElfSegmentType.LOAD) continue;
      const into = wanted - segment.virtualAddress;
      if (into >= 0n && into < BigInt(segment.fileSize)) return segment.offset + Number(into);
    }
    return undefined;
  }

  /** The virtual address of a byte of the file: what symbols are in, given a mapping's offset. Undefined outside the loaded segments. */
  fileOffsetToVirtual(offset: number): bigint | undefined {
    for (const segment of this.segments) {
      if (segment.type !== ElfSegmentType.LOAD) continue;
      const into = offset - segment.offset;
      if (into >= 0 && into < segment.fileSize) return segment.virtualAddress + BigInt(into);
    }
    return undefined;
  }

  /** The records of `.symtab` or `.dynsym`; undefined when there is no such section. */
  symbolSection(name: ".symtab" | ".dynsym"): SymbolSection | undefined {
    if (!this.symbolSections.has(name)) this.symbolSections.set(name, this.readSymbolSection(name));
    return this.symbolSections.get(name);
  }

  private readSymbolSection(name: string): SymbolSection | undefined {
    const section = this.sectionByName(name);
    // Debug files keep the header of .dynsym and drop its contents.
    if (section === undefined || section.type === ElfSectionType.NOBITS || section.size === 0) return undefined;
    const strings = this.sections[section.link];
    if (strings === undefined || strings.type !== ElfSectionType.STRTAB) {
      throw new ParseError(
        this.name,
        section.offset,
        `${name}: its names are in section ${section.link}, which is no string table`,
      );
    }
    return new SymbolSection(
      this.fields(this.sectionData(section), section.offset),
      new StringTable(this.sectionData(strings), `${this.name}: ${strings.name}`),
      name,
    );
  }

  /** All symbols of `.symtab` or `.dynsym`, in the order of the table; none when there is no such section. */
  *symbols(name: ".symtab" | ".dynsym" = ".symtab"): Generator<ElfSymbol, void, undefined> {
    const section = this.symbolSection(name);
    if (section === undefined) return;
    for (let i = 0; i < section.count; i++) yield section.symbol(i);
  }

  /**
   * A defined symbol by its exact name, functions before others, `.symtab` before `.dynsym`; of several versions the one that
   * programs are linked to today.
   */
  findSymbol(name: string): ElfSymbol | undefined {
    const candidates: ElfSymbol[] = [];
    for (const table of [".symtab", ".dynsym"] as const) {
      const section = this.symbolSection(table);
      const found = section === undefined ? [] : [...section.find(name)];
      const hidden = table === ".dynsym" && found.length > 1 ? this.hiddenVersions() : undefined;
      found.sort((x, y) => Number(hidden?.(x) ?? false) - Number(hidden?.(y) ?? false) || x - y);
      for (const index of found) {
        const symbol = section!.symbol(index);
        if (symbol.sectionIndex !== ElfSectionIndex.UNDEF) candidates.push(symbol);
      }
    }
    return candidates.find((symbol) => symbol.isFunction) ?? candidates[0];
  }

  /** Tells whether a symbol of `.dynsym` is kept only for programs that were linked to an old version of it. */
  private hiddenVersions(): ((index: number) => boolean) | undefined {
    const section = this.sections.find((s) => s.type === ElfSectionType.GNU_VERSYM);
    if (section === undefined) return undefined;
    const fields = this.fields(this.sectionData(section), section.offset);
    return (index) => (fields.u16(index * 2) & ELF_VERSION_HIDDEN) !== 0;
  }

  /** All functions of both tables, sorted by address, kept for the next time. */
  get functions(): ElfSymbolTable {
    return (this.knownFunctions ??= new ElfSymbolTable(
      ([".symtab", ".dynsym"] as const)
        .map((name) => this.symbolSection(name))
        .filter((section) => section !== undefined),
      (index) => {
        const section = this.sections[index];
        return section === undefined ? undefined : section.address + BigInt(section.size);
      },
    ));
  }
}

/** The functions of a file, sorted by address: for symbolisation. */
export function symbolTable(elf: Elf): ElfSymbolTable {
  return elf.functions;
}
