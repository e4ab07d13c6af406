/** The string section of one BTF; in split BTF, the offsets below its start belong to the base. */
import { type NameSource, type NameStems, ParseError, StringTable } from "../base/index.ts";

/** The strings of one BTF and of its bases. */
export class BtfStrings implements NameSource {
  private readonly own: StringTable;
  private readonly base: BtfStrings | undefined;
  /** First offset of this table: 0, or the end of the base's. */
  readonly start: number;
  /** First offset behind this table. */
  readonly end: number;

  /** Throws {@link ParseError} when the section does not end with a NUL or, without a base, does not start with one. */
  constructor(bytes: Uint8Array, section: string, base?: BtfStrings) {
    this.own = new StringTable(bytes, section);
    this.base = base;
    this.start = base === undefined ? 0 : base.end;
    this.end = this.start + bytes.length;
    if (base === undefined && bytes[0] !== 0) {
      throw new ParseError(section, 0, "the string section must start with an empty string");
    }
  }

  /** Text at an offset. Throws {@link ParseError} for an offset outside. */
  get(offset: number): string {
    return offset < this.start && this.base !== undefined ? this.base.get(offset) : this.own.get(offset - this.start);
  }

  /** Offsets at which a name stands, the bases' first; undefined when a search through the text cannot tell. */
  offsetsOf(name: string): readonly number[] | undefined {
    const own = this.own.occurrences(name);
    if (own === undefined || this.base === undefined) return own;
    const shifted = own.map((offset) => offset + this.start);
    const base = this.base.offsetsOf(name);
    return base === undefined ? undefined : [...base, ...shifted];
  }

  /** Indexes of the offsets whose texts have one of some stems; offset 0 has none. */
  selectByStems(offsets: Uint32Array, stems: NameStems): number[] {
    if (this.base === undefined) return this.own.selectByStems(offsets, stems);
    const found: number[] = [];
    for (const [i, offset] of offsets.entries()) if (offset !== 0 && this.hasStem(offset, stems)) found.push(i);
    return found;
  }

  private hasStem(offset: number, stems: NameStems): boolean {
    return offset < this.start && this.base !== undefined
      ? this.base.hasStem(offset, stems)
      : this.own.hasStem(offset - this.start, stems);
  }

  /** Whether the text at an offset is `name`, given as UTF-8. */
  equals(offset: number, name: Uint8Array): boolean {
    return offset < this.start && this.base !== undefined
      ? this.base.equals(offset, name)
      : this.own.equals(offset - this.start, name);
  }

  /** `hashName` of the text at an offset. */
  hash(offset: number): number {
    return offset < this.start && this.base !== undefined ? this.base.hash(offset) : this.own.hash(offset - this.start);
  }
}
