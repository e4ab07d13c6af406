/** Links object files: sections of one name one behind the other, each symbol once, externs to their definitions. */
import { ParseError } from "../../base/index.ts";
import { INSN_SIZE, OPCODE_FORMS } from "../../isa/index.ts";
import { ElfSectionIndex, ElfSectionType, ElfSymbolBinding, ElfSymbolType } from "../elf-format.ts";
import { damagedAt, readImage } from "../read/image.ts";
import type { ImageRelocation, ImageSection, ImageSymbol, ObjectImage } from "../read/image.ts";
import { objectName, readObjectImage } from "../read/read-object.ts";
import type { BpfObject } from "../spec.ts";
import { LinkTypes } from "./types.ts";

/** A file to be linked. */
export interface LinkInput {
  /** Shown in errors. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What {@link linkObjects} may be told. */
export interface LinkOptions {
  /** Name of the result, for names of its maps; default that of the first file. */
  readonly name?: string;
}

/**
 * Links several object files to one object, as `bpftool gen object` does: a function, variable or map that one file declares `extern` is
 * the one that another defines; of a weak definition and another one the other counts; what several define is an error, and so are
 * declarations that do not fit each other. Licenses must be equal.
 *
 * Throws ParseError with the file and the symbol, TypeError without any file.
 */
export function linkObjects(inputs: readonly LinkInput[], options: LinkOptions = {}): BpfObject {
  const [first] = inputs;
  if (first === undefined) throw new TypeError("linkObjects: no object files");
  const name = options.name ?? first.name;
  const images = inputs.map(({ name: file, bytes }) => readImage(bytes, file));
  return readObjectImage(new Linker(images, name).link(), objectName(name));
}

/** A section of the result. */
interface OutSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly isCode: boolean;
  readonly isWritable: boolean;
  alignment: number;
  size: number;
  readonly pieces: { readonly data: Uint8Array; readonly offset: number }[];
  readonly relocations: ImageRelocation[];
  /** Symbol of the section itself. */
  symbol?: number;
}

/** A symbol of the result. */
type OutSymbol = { -readonly [K in keyof ImageSymbol]: ImageSymbol[K] };

/** A global symbol, and which file has it. */
interface GlobalSymbol {
  readonly symbol: OutSymbol;
  /** The file that defines it, or that first declared it. */
  owner: number;
  isDefined: boolean;
  isWeak: boolean;
}

/** Where a section of a file went. */
interface Placement {
  readonly out: OutSection;
  readonly offset: number;
  /** The same contents were there already. */
  readonly isRepeated: boolean;
}

/** Sections that each file has, with the same contents. */
const REPEATED: ReadonlySet<string> = new Set(["license", "version"]);

/** Bytes of a page, which nothing in an object needs to exceed. */
const ALIGNMENT_LIMIT = 4096;

class Linker {
  private readonly images: readonly ObjectImage[];
  private readonly file: string;
  private readonly types: LinkTypes;
  private readonly sections: OutSection[] = [];
  private readonly byName = new Map<string, OutSection>();
  private readonly symbols: OutSymbol[] = [];
  private readonly globals = new Map<string, GlobalSymbol>();
  /** By file, by index of the section. */
  private readonly placements: Map<number, Placement>[] = [];
  /** By file, by index of the symbol in it. */
  private readonly symbolMaps: Uint32Array[] = [];

  constructor(images: readonly ObjectImage[], file: string) {
    this.images = images;
    this.file = file;
    this.types = new LinkTypes(images);
    this.symbols.push({ index: 0, name: "", value: 0, size: 0, type: 0, binding: 0, isHidden: false, section: 0 });
  }

  link(): ObjectImage {
    const { images, sections } = this;
    const byteOrder = images[0]!.byteOrder;
    for (const [input, image] of images.entries()) {
      if (image.byteOrder !== byteOrder) {
        throw new ParseError(image.file, 5, `the object is ${image.byteOrder}-endian, ${images[0]!.file} is not`);
      }
      this.placeSections(input, image);
    }
    for (const [input, image] of images.entries()) this.placeSymbols(input, image);
    for (const [input, image] of images.entries()) this.placeRelocations(input, image);
    const { btf, ext } = this.types.merge({
      owner: (name) => {
        const found = this.globals.get(name);
        return found === undefined
          ? undefined
          : { input: found.owner, isDefined: found.isDefined, offset: found.symbol.value };
      },
      placement: (input, section) => {
        const found = this.placements[input]!.get(section);
        return found === undefined || found.isRepeated ? undefined : { offset: found.offset, size: found.out.size };
      },
    });
    const none: ImageSection = {
      index: 0,
      name: "",
      type: ElfSectionType.NULL,
      isCode: false,
      isWritable: false,
      alignment: 0,
      size: 0,
      data: new Uint8Array(0),
      relocations: [],
    };
    return {
      file: this.file,
      byteOrder,
      sections: [none, ...sections.map((s) => finished(s))],
      symbols: this.symbols,
      ...(btf === undefined ? {} : { btf }),
      ...(ext === undefined ? {} : { ext }),
      dwarf: images.flatMap(({ dwarf }) => dwarf),
    };
  }

  private placeSections(input: number, image: ObjectImage): void {
    const placed = new Map<number, Placement>();
    this.placements[input] = placed;
    for (const section of image.sections) {
      const { name, type, size, data, isCode } = section;
      const isData = type === ElfSectionType.NOBITS || (type === ElfSectionType.PROGBITS && data.length === size);
      if (!isData || size === 0) continue;
      let out = this.byName.get(name);
      if (out === undefined) {
        const { isWritable, alignment } = section;
        const index = this.sections.length + 1;
        out = { index, name, type, isCode, isWritable, alignment, size: 0, pieces: [], relocations: [] };
        this.sections.push(out);
        this.byName.set(name, out);
      } else if (out.type !== type || out.isCode !== isCode) {
        throw damagedAt(image, section, 0, "a section of another type than that of this name in the files before");
      } else if (REPEATED.has(name)) {
        if (!isSame(out.pieces[0]!.data, data)) {
          throw damagedAt(
            image,
            section,
            0,
            `${JSON.stringify(text(data))}, the files before say ${JSON.stringify(text(out.pieces[0]!.data))}`,
          );
        }
        placed.set(section.index, { out, offset: 0, isRepeated: true });
        continue;
      }
      const alignment = Math.max(1, section.alignment, out.alignment);
      if (alignment > ALIGNMENT_LIMIT || (alignment & (alignment - 1)) !== 0) {
        throw damagedAt(
          image,
          section,
          0,
          `an alignment of ${alignment}: a power of two up to ${ALIGNMENT_LIMIT} is wanted`,
        );
      }
      const offset = Math.ceil(out.size / alignment) * alignment;
      out.alignment = alignment;
      out.size = offset + size;
      out.pieces.push({ data, offset });
      placed.set(section.index, { out, offset, isRepeated: false });
    }
  }

  private placeSymbols(input: number, image: ObjectImage): void {
    const map = new Uint32Array(image.symbols.length);
    this.symbolMaps[input] = map;
    for (const symbol of image.symbols) {
      const { index, section, type, binding } = symbol;
      if (index === 0) continue;
      const placement = this.placements[input]!.get(section);
      const isUndefined = section === ElfSectionIndex.UNDEF;
      if (!isUndefined && (placement === undefined || placement.isRepeated)) continue;
      if (type === ElfSymbolType.SECTION && placement !== undefined) {
        map[index] = placement.out.symbol ??= this.add({ ...symbol, name: "", value: 0, section: placement.out.index });
      } else if (binding === ElfSymbolBinding.LOCAL) {
        if (placement !== undefined) map[index] = this.add(moved(symbol, placement));
      } else map[index] = this.placeGlobal(input, image, symbol, placement);
    }
  }

  private add(symbol: ImageSymbol): number {
    const index = this.symbols.length;
    this.symbols.push({ ...symbol, index });
    return index;
  }

  private placeGlobal(
    input: number,
    image: ObjectImage,
    symbol: ImageSymbol,
    placement: Placement | undefined,
  ): number {
    const { name, binding } = symbol;
    const isDefined = placement !== undefined;
    const isWeak = binding === ElfSymbolBinding.WEAK;
    const known = this.globals.get(name);
    if (known === undefined) {
      const index = this.add(placement === undefined ? symbol : moved(symbol, placement));
      this.globals.set(name, { symbol: this.symbols[index]!, owner: input, isDefined, isWeak });
      return index;
    }
    const out = known.symbol;
    const other = this.images[known.owner]!;
    const fail = (what: string): never => {
      throw damagedAt(image, ".symtab", symbol.index * 24, `${name}: ${what}`);
    };
    if (isDefined && known.isDefined && !isWeak && !known.isWeak) return fail(`it is defined in ${other.file} too`);
    const why = this.types.disagreement(name, known.owner, input, fail);
    if (why !== undefined) return fail(`it is declared otherwise than in ${other.file}: ${why}`);
    out.isHidden ||= symbol.isHidden;
    const isStrong = isDefined && (!known.isDefined || (known.isWeak && !isWeak));
    if (!isWeak) {
      out.binding = ElfSymbolBinding.GLOBAL;
      known.isWeak = false;
    }
    if (isStrong) {
      const { type, section, value, size } = moved(symbol, placement);
      Object.assign(out, { type, section, value, size });
      known.owner = input;
      known.isDefined = true;
    }
    return out.index;
  }

  private placeRelocations(input: number, image: ObjectImage): void {
    const map = this.symbolMaps[input]!;
    for (const [index, { out, offset: base, isRepeated }] of this.placements[input]!) {
      const section = image.sections[index]!;
      if (isRepeated || section.relocations.length === 0) continue;
      let code: Uint8Array | undefined;
      for (const { offset, symbol: symbolIndex, type } of section.relocations) {
        const symbol = image.symbols[symbolIndex]!;
        const target = map[symbolIndex]!;
        // Addresses in data: loaders skip these, whatever they name.
        if (target === 0 && !section.isCode) continue;
        if (target === 0)
          throw damagedAt(
            image,
            section,
            offset,
            `it refers to ${symbol.name || `symbol ${symbolIndex}`}, which is in no section that is linked`,
          );
        if (symbol.type === ElfSymbolType.SECTION && section.isCode) {
          code ??= this.copyPiece(out, section);
          const moves = this.placements[input]!.get(symbol.section)?.offset ?? 0;
          adjust(code, offset, moves);
        } else if (symbol.type === ElfSymbolType.SECTION && /^(\.maps|\??\.struct_ops(\.link)?)$/.test(section.name)) {
          throw damagedAt(
            image,
            section,
            offset,
            "it refers to something static, which linking would move: make it global",
          );
        }
        out.relocations.push({ offset: base + offset, symbol: target, type });
      }
    }
  }

  /** The section's contents as a copy that may be changed. */
  private copyPiece(out: OutSection, section: ImageSection): Uint8Array {
    const at = out.pieces.findIndex((piece) => piece.data === section.data);
    const data = new Uint8Array(section.data);
    out.pieces[at] = { ...out.pieces[at]!, data };
    return data;
  }
}

function moved(symbol: ImageSymbol, { out, offset }: Placement): ImageSymbol {
  return { ...symbol, section: out.index, value: symbol.value + offset };
}

/** What is static is told as a place in its section, by the immediate: of calls in instructions, else in bytes. */
function adjust(code: Uint8Array, offset: number, moves: number): void {
  if (offset + INSN_SIZE > code.length) return;
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  const by = OPCODE_FORMS[code[offset]!] === "call" ? moves / INSN_SIZE : moves;
  view.setInt32(offset + 4, view.getInt32(offset + 4, true) + by, true);
}

function finished({ pieces, relocations, ...section }: OutSection): ImageSection {
  const { index, name, type, isCode, isWritable, alignment, size } = section;
  const hasBytes = type !== ElfSectionType.NOBITS;
  const data = new Uint8Array(hasBytes ? size : 0);
  if (hasBytes) for (const piece of pieces) data.set(piece.data, piece.offset);
  return {
    index,
    name,
    type,
    isCode,
    isWritable,
    alignment,
    size,
    data,
    relocations: relocations.toSorted((a, b) => a.offset - b.offset),
  };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\0+$/, "");
}
