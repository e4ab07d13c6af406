/** Changes BTF in place: what loaders must mend in a compiler's types before the kernel takes them. */
import { Btf } from "./btf.ts";
import { BTF_HEADER_SIZE, BTF_MAGIC, BTF_TYPE_WORDS, BTF_VERSION, BtfInfo, BtfKind, btfKindNames } from "./kinds.ts";
import { readBtfSections } from "./sections.ts";
import type { BtfSectionEntry } from "./types.ts";

/**
 * The types of one BTF as 32-bit words that may be changed. Ids and offsets of strings stay what they are: records and maps that refer
 * to them hold. What is written is little-endian with a header of 24 bytes, whatever was read.
 *
 * Ids that do not exist are a RangeError.
 */
export class BtfEditor {
  private readonly words: Uint32Array;
  private readonly starts: number[] = [];
  private readonly appended: number[][] = [];
  private readonly strings: Uint8Array;
  private readonly newStrings: Uint8Array[] = [];
  private readonly newOffsets = new Map<string, number>();
  private stringsEnd: number;

  /** Throws ParseError when the header or the extent of a type is wrong. `section` is named in errors. */
  constructor(bytes: Uint8Array, section: string = "BTF") {
    // Checks kinds and extents of all types, so that the walk below needs no checks of its own.
    Btf.parse(bytes, { section });
    const { words, strings, layout } = readBtfSections(bytes, section);
    this.words = new Uint32Array(words);
    this.strings = strings;
    this.stringsEnd = strings.length;
    for (let at = 0; at < words.length;) {
      this.starts.push(at);
      const info = words[at + 1]!;
      const { fixed, each } = layout[(info >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK]!;
      at += BTF_TYPE_WORDS + fixed + each * (info & BtfInfo.VLEN_MASK);
    }
  }

  /** One more than the largest type id. */
  get typeCount(): number {
    return 1 + this.starts.length + this.appended.length;
  }

  /** The words of a type, head first; changing one changes the type, their number stays. */
  wordsOf(id: number): Uint32Array | number[] {
    if (!Number.isInteger(id) || id < 1 || id >= this.typeCount) {
      throw new RangeError(`BTF: no type ${id}: ids run from 1 to ${this.typeCount - 1}`);
    }
    const own = this.starts.length;
    if (id > own) return this.appended[id - own - 1]!;
    return this.words.subarray(this.starts[id - 1], this.starts[id] ?? this.words.length);
  }

  /** Kind of a type; 0 for `void`. */
  kindOf(id: number): number {
    return id === 0 ? 0 : (this.wordsOf(id)[1]! >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK;
  }

  /** Number of members, parameters, values or entries; of functions the linkage. */
  vlenOf(id: number): number {
    return this.wordsOf(id)[1]! & BtfInfo.VLEN_MASK;
  }

  /** Makes a type one of another kind, of the same number of words. */
  setInfo(id: number, kind: number, vlen: number, kindFlag: boolean = false): void {
    this.wordsOf(id)[1] = ((kindFlag ? BtfInfo.KIND_FLAG : 0) + (kind << BtfInfo.KIND_SHIFT) + vlen) >>> 0;
  }

  /** Changes who sees a function (`BtfFuncLinkage.*`) or a variable (`BtfVarLinkage.*`). Throws RangeError for another kind of type. */
  setLinkage(id: number, linkage: number): void {
    const kind = this.kindOf(id);
    if (kind === BtfKind.FUNC) this.setInfo(id, kind, linkage);
    else if (kind === BtfKind.VAR) this.wordsOf(id)[BTF_TYPE_WORDS] = linkage;
    else throw new RangeError(`BTF: type ${id} (${btfKindNames[kind] ?? kind}) has no linkage`);
  }

  /** Size of a section of variables, and its entries: as many as it has, sorted here by offset. Throws RangeError when that differs. */
  setDataSection(id: number, size: number, entries: readonly BtfSectionEntry[]): void {
    if (this.kindOf(id) !== BtfKind.DATASEC || this.vlenOf(id) !== entries.length) {
      throw new RangeError(`BTF: type ${id} is no section of ${entries.length} variables`);
    }
    const words = this.wordsOf(id);
    words[2] = size;
    const sorted = entries.toSorted((a, b) => a.offset - b.offset);
    for (const [i, entry] of sorted.entries()) {
      const at = BTF_TYPE_WORDS + i * 3;
      words[at] = entry.typeId;
      words[at + 1] = entry.offset;
      words[at + 2] = entry.size;
    }
  }

  /** Adds a type of given words and returns its id. */
  append(kind: number, name: number, sizeOrType: number, rest: readonly number[] = [], vlen: number = 0): number {
    this.appended.push([name, (kind << BtfInfo.KIND_SHIFT) + vlen, sizeOrType, ...rest]);
    return this.typeCount - 1;
  }

  /** Adds a 32-bit signed integer. */
  appendInt(name: string): number {
    const signed = 1 << 24;
    return this.append(BtfKind.INT, this.string(name), 4, [signed | 32]);
  }

  /** Offset of a string, added behind those that were read. */
  string(text: string): number {
    const known = this.newOffsets.get(text);
    if (known !== undefined) return known;
    const bytes = new TextEncoder().encode(`${text}\0`);
    const offset = this.stringsEnd;
    this.newStrings.push(bytes);
    this.newOffsets.set(text, offset);
    this.stringsEnd += bytes.length;
    return offset;
  }

  /** The BTF as it is now. */
  finish(): Uint8Array {
    const appendedWords = this.appended.reduce((sum, words) => sum + words.length, 0);
    const typeBytes = (this.words.length + appendedWords) * 4;
    const out = new Uint8Array(BTF_HEADER_SIZE + typeBytes + this.stringsEnd);
    const view = new DataView(out.buffer);
    view.setUint16(0, BTF_MAGIC, true);
    view.setUint8(2, BTF_VERSION);
    for (const [i, word] of [BTF_HEADER_SIZE, 0, typeBytes, typeBytes, this.stringsEnd].entries()) {
      view.setUint32(4 + i * 4, word, true);
    }
    let at = BTF_HEADER_SIZE;
    for (const words of [this.words, ...this.appended]) {
      for (let i = 0; i < words.length; i++, at += 4) view.setUint32(at, words[i]!, true);
    }
    out.set(this.strings, at);
    at += this.strings.length;
    for (const bytes of this.newStrings) {
      out.set(bytes, at);
      at += bytes.length;
    }
    return out;
  }
}
