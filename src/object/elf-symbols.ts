/** Symbols of ELF files: records decoded one by one, and functions sorted by address for symbolisation. */
import { NameIndex, type StringTable } from "../base/index.ts";
import { ElfSectionIndex, ElfSymbolBinding, ElfSymbolType, elfRecordSizes } from "./elf-format.ts";
import type { ElfFields } from "./elf-source.ts";

/** One symbol. */
export interface ElfSymbol {
  readonly name: string;
  /** Virtual address; in object files the offset in the section. */
  readonly value: bigint;
  /** Bytes; 0 when unknown, as assembly leaves it. */
  readonly size: number;
  /** `ElfSymbolType.*` */
  readonly type: number;
  /** `ElfSymbolBinding.*` */
  readonly binding: number;
  /** 0 default, 1 internal, 2 hidden, 3 protected. */
  readonly visibility: number;
  /** Of the section it is in, or `ElfSectionIndex.*`. */
  readonly sectionIndex: number;
  /** Whether it is code: a function, or an indirect one that picks its code at start. */
  readonly isFunction: boolean;
}

/** One table of symbols over its bytes. */
export class SymbolSection {
  /** `.symtab` or `.dynsym`. */
  readonly name: string;
  /** Number of symbols, the empty first one included. */
  readonly count: number;
  private readonly fields: ElfFields;
  private readonly strings: StringTable;
  private readonly recordSize: number;
  private names: NameIndex | undefined;

  /** Throws ParseError when the last record is cut short. */
  constructor(fields: ElfFields, strings: StringTable, name: string) {
    this.fields = fields;
    this.strings = strings;
    this.name = name;
    this.recordSize = elfRecordSizes[fields.wide ? 64 : 32].symbol;
    this.count = fields.bytes.length / this.recordSize;
    if (!Number.isInteger(this.count)) {
      throw fields.damaged(0, `${name}: ${fields.bytes.length} bytes are no records of ${this.recordSize}`);
    }
  }

  /** Name of a symbol; empty when it has none. */
  nameOf(index: number): string {
    const offset = this.fields.u32(index * this.recordSize);
    return offset === 0 ? "" : this.strings.get(offset);
  }

  /** Address of a symbol. */
  valueOf(index: number): bigint {
    return this.fields.address(index * this.recordSize + (this.fields.wide ? 8 : 4));
  }

  /** Address of a symbol less `base`, exact when they are less than 2^53 apart. */
  distanceFrom(base: { readonly high: number; readonly low: number }, index: number): number {
    const { fields } = this;
    const at = index * this.recordSize + (fields.wide ? 8 : 4);
    if (!fields.wide) return fields.u32(at) - base.low;
    const high = fields.u32(fields.bigEndian ? at : at + 4);
    const low = fields.u32(fields.bigEndian ? at + 4 : at);
    return (high - base.high) * 0x1_0000_0000 + (low - base.low);
  }

  /** Bytes of a symbol. */
  sizeOf(index: number): number {
    return this.fields.count(index * this.recordSize + (this.fields.wide ? 16 : 8));
  }

  /** Binding << 4 | type. */
  infoOf(index: number): number {
    return this.fields.u8(index * this.recordSize + (this.fields.wide ? 4 : 12));
  }

  /** Index of a symbol's section, or `ElfSectionIndex.*`. */
  sectionOf(index: number): number {
    return this.fields.u16(index * this.recordSize + (this.fields.wide ? 6 : 14));
  }

  /** Whether a symbol is code that this file has. */
  isDefinedFunction(index: number): boolean {
    return isFunctionType(this.infoOf(index) & 0xf) && this.sectionOf(index) !== ElfSectionIndex.UNDEF;
  }

  /** A symbol as plain data. */
  symbol(index: number): ElfSymbol {
    const info = this.infoOf(index);
    return {
      name: this.nameOf(index),
      value: this.valueOf(index),
      size: this.sizeOf(index),
      type: info & 0xf,
      binding: info >>> 4,
      visibility: this.fields.u8(index * this.recordSize + (this.fields.wide ? 5 : 13)) & 3,
      sectionIndex: this.sectionOf(index),
      isFunction: isFunctionType(info & 0xf),
    };
  }

  /** Indexes of all symbols of this name, in the order of the table. */
  *find(name: string): Generator<number, void, undefined> {
    if (this.names === undefined) {
      const offsets = new Uint32Array(this.count);
      for (let i = 0; i < this.count; i++) offsets[i] = this.fields.u32(i * this.recordSize);
      this.names = new NameIndex(this.strings, offsets);
    }
    for (let i = this.names.find(name); i !== -1; i = this.names.find(name, i + 1)) yield i;
  }
}

function isFunctionType(type: number): boolean {
  return type === ElfSymbolType.FUNC || type === ElfSymbolType.GNU_IFUNC;
}

/** What {@link ElfSymbolTable.lookup} found. */
export interface ElfSymbolHit {
  readonly name: string;
  /** Bytes from the symbol's start. */
  readonly offset: number;
  /** Start of the symbol. */
  readonly address: bigint;
  /** Bytes; 0 when unknown. */
  readonly size: number;
}

const INDEX_BITS = 0x4000_0000;

/**
 * The functions of a file in typed arrays, sorted by address; of names for one address, the best comes first: a size is better than
 * none, global than local, local than weak, fewer leading underscores than more, then the longer, then the first in the alphabet.
 */
export class ElfSymbolTable {
  private readonly tables: readonly SymbolSection[];
  /** Addresses less `base`, ascending. Numbers, so that lookups make no bigint for each comparison. */
  private readonly starts: Float64Array;
  /** 0 when unknown. */
  private readonly sizes: Float64Array;
  /** Where each ends; of unknown size, at the next function or the end of its section. */
  private readonly ends: Float64Array;
  /** The largest end of this and all before: what may still cover an address further on. */
  private readonly reach: Float64Array;
  /** Index in its table, with {@link INDEX_BITS} added for the second table. */
  private readonly places: Uint32Array;
  private readonly base: bigint;
  private readonly baseNumber: number;

  /** Takes at most two tables; `sectionEnd` gives the address behind the section of an index, undefined when it has none. */
  constructor(tables: readonly SymbolSection[], sectionEnd: (sectionIndex: number) => bigint | undefined) {
    this.tables = tables;
    const all: number[] = [];
    for (const [t, table] of tables.entries()) {
      for (let i = 1; i < table.count; i++) if (table.isDefinedFunction(i)) all.push(t * INDEX_BITS + i);
    }
    const first = all[0];
    // Any address of the file is a good base: the others are near it.
    this.base = first === undefined ? 0n : this.tableOf(first).valueOf(first % INDEX_BITS);
    this.baseNumber = Number(this.base);
    const halves = { high: Number(this.base >> 32n), low: Number(this.base & 0xffff_ffffn) };
    const startOf = Float64Array.from(all, (place) => this.tableOf(place).distanceFrom(halves, place % INDEX_BITS));
    const order = Uint32Array.from(all, (_, i) => i);
    order.sort((x, y) => startOf[x]! - startOf[y]! || this.compare(all[x]!, all[y]!));
    const kept: number[] = [];
    for (const i of order) {
      const before = kept.at(-1);
      // .dynsym repeats what .symtab has.
      const again =
        before !== undefined && startOf[before] === startOf[i] && this.nameAt(all[before]!) === this.nameAt(all[i]!);
      if (!again) kept.push(i);
    }
    this.places = Uint32Array.from(kept, (i) => all[i]!);
    this.starts = Float64Array.from(kept, (i) => startOf[i]!);
    this.sizes = Float64Array.from(this.places, (place) => this.tableOf(place).sizeOf(place % INDEX_BITS));
    this.ends = this.findEnds(sectionEnd);
    this.reach = new Float64Array(kept.length);
    let reach = -Infinity;
    for (let i = 0; i < kept.length; i++) this.reach[i] = reach = Math.max(reach, this.ends[i]!);
  }

  private findEnds(sectionEnd: (sectionIndex: number) => bigint | undefined): Float64Array {
    const { starts, sizes, places } = this;
    const ends = new Float64Array(places.length);
    let next = Infinity;
    for (let i = places.length - 1; i >= 0; i--) {
      if (i + 1 < places.length && starts[i + 1] !== starts[i]) next = starts[i + 1]!;
      if (sizes[i] !== 0) {
        ends[i] = starts[i]! + sizes[i]!;
        continue;
      }
      const place = places[i]!;
      const behind = sectionEnd(this.tableOf(place).sectionOf(place % INDEX_BITS));
      ends[i] = Math.min(next, behind === undefined ? Infinity : Number(behind - this.base));
    }
    return ends;
  }

  private tableOf(place: number): SymbolSection {
    return this.tables[place >= INDEX_BITS ? 1 : 0]!;
  }

  private nameAt(place: number): string {
    return this.tableOf(place).nameOf(place % INDEX_BITS);
  }

  /** Which of two symbols of one address comes first. */
  private compare(x: number, y: number): number {
    const [a, b] = [this.tableOf(x), this.tableOf(y)];
    const [i, j] = [x % INDEX_BITS, y % INDEX_BITS];
    const sized = Number(b.sizeOf(j) > 0) - Number(a.sizeOf(i) > 0);
    if (sized !== 0) return sized;
    const bound = bindingRank(a.infoOf(i) >>> 4) - bindingRank(b.infoOf(j) >>> 4);
    if (bound !== 0) return bound;
    const [m, n] = [a.nameOf(i), b.nameOf(j)];
    return underscores(m) - underscores(n) || n.length - m.length || (m < n ? -1 : m > n ? 1 : x - y);
  }

  /** Number of functions, several names of one address counted each. */
  get count(): number {
    return this.places.length;
  }

  /** A function by its place in the order of addresses. Throws RangeError outside 0 to `count - 1`. */
  at(index: number): ElfSymbolHit {
    const place = this.places[index];
    if (place === undefined) throw new RangeError(`function ${index} of ${this.count}`);
    return {
      name: this.nameAt(place),
      offset: 0,
      address: this.tableOf(place).valueOf(place % INDEX_BITS),
      size: this.sizes[index]!,
    };
  }

  /** Names of all functions, by address; one that has several comes with each. */
  *names(): Generator<string, void, undefined> {
    for (const place of this.places) yield this.nameAt(place);
  }

  /**
   * The function that a virtual address of this file is in: the innermost one whose size covers it, else the last before it when
   * that one's size is unknown and its section goes on. Undefined when the address is in none.
   */
  lookup(address: bigint | number): ElfSymbolHit | undefined {
    const wanted = typeof address === "number" ? address - this.baseNumber : Number(address - this.base);
    const { starts, sizes, ends, reach } = this;
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    let best = -1;
    for (let i = low - 1; i >= 0 && reach[i]! > wanted; i--) {
      // The first of an address is the best of it, so that the search ends where the address does.
      if (best !== -1 && sizes[best] !== 0 && starts[i] !== starts[best]) break;
      if (ends[i]! > wanted && (best === -1 || sizes[i] !== 0 || starts[i] === starts[best])) best = i;
    }
    return best === -1 ? undefined : { ...this.at(best), offset: wanted - starts[best]! };
  }
}

function bindingRank(binding: number): number {
  if (binding === ElfSymbolBinding.WEAK) return 2;
  return binding === ElfSymbolBinding.LOCAL ? 1 : 0;
}

function underscores(name: string): number {
  let count = 0;
  while (name[count] === "_") count++;
  return count;
}
