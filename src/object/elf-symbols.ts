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

  /** 0 default, 1 internal, 2 hidden, 3 protected. */
  visibilityOf(index: number): number {
    return this.fields.u8(index * this.recordSize + (this.fields.wide ? 5 : 13)) & 3;
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
      visibility: this.visibilityOf(index),
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

/** The functions of a file in typed arrays, sorted by address. */
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
    const anyBase = all.length === 0 ? 0n : this.tableOf(all[0]!).valueOf(all[0]! % INDEX_BITS);
    const halves = { high: Number(anyBase >> 32n), low: Number(anyBase & 0xffff_ffffn) };
    const startOf = Float64Array.from(all, (place) => this.tableOf(place).distanceFrom(halves, place % INDEX_BITS));
    const lowest = startOf.reduce((least, start) => Math.min(least, start), 0);
    for (let i = 0; i < startOf.length; i++) startOf[i]! -= lowest;
    this.base = anyBase + BigInt(lowest);
    this.baseNumber = Number(this.base);

    const order = orderOf(startOf);
    this.places = order.map((i) => all[i]!);
    this.starts = Float64Array.from(order, (i) => startOf[i]!);
    this.sizes = Float64Array.from(this.places, (place) => this.tableOf(place).sizeOf(place % INDEX_BITS));
    this.ends = this.findEnds(sectionEnd);
    this.reach = new Float64Array(order.length);
    let reach = -Infinity;
    for (let i = 0; i < order.length; i++) this.reach[i] = reach = Math.max(reach, this.ends[i]!);
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

  /**
   * Which of two names of one address is told: a size is better than none, global than local, local than weak, fewer leading
   * underscores than more, then the longer name, then the first in the alphabet.
   */
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

  /** Number of entries: a function counts with each of its names, and twice when `.dynsym` repeats what `.symtab` has. */
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

  /** Names of all functions, each once, by the first address that has it. */
  names(): Set<string> {
    const names = new Set<string>();
    for (const place of this.places) names.add(this.nameAt(place));
    return names;
  }

  /**
   * The function that a virtual address of this file is in: the innermost one whose size covers it, else the last before it when
   * that one's size is unknown and its section goes on. Undefined when the address is in none.
   */
  lookup(address: bigint | number): ElfSymbolHit | undefined {
    const wanted = typeof address === "number" ? address - this.baseNumber : Number(address - this.base);
    const { starts, sizes, ends, reach, places } = this;
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    let best = -1;
    for (let i = low - 1; i >= 0 && reach[i]! > wanted; i--) {
      if (best !== -1 && starts[i] !== starts[best] && sizes[best] !== 0) break;
      if (ends[i]! <= wanted) continue;
      if (best === -1) best = i;
      else if (starts[i] === starts[best]) best = this.compare(places[i]!, places[best]!) < 0 ? i : best;
      else if (sizes[i] !== 0) best = i;
    }
    return best === -1 ? undefined : { ...this.at(best), offset: wanted - starts[best]! };
  }
}

const LOW_HALF = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 0 : 1;

/**
 * Indexes in ascending order of what they index, equal ones in their own order. Addresses and indexes of any real file fit
 * 64 bits together and are sorted without calling a comparison back, which takes a tenth of the time.
 */
function orderOf(starts: Float64Array): Uint32Array {
  const order = Uint32Array.from(starts, (_, i) => i);
  const largest = starts.reduce((most, start) => Math.max(most, start), 0);
  if (starts.length >= 2 ** 24 || largest >= 2 ** 40) return order.toSorted((x, y) => starts[x]! - starts[y]! || x - y);
  const keys = new BigUint64Array(starts.length);
  const halves = new Uint32Array(keys.buffer);
  for (let i = 0; i < starts.length; i++) {
    halves[2 * i + LOW_HALF] = ((starts[i]! % 256) << 24) | i;
    halves[2 * i + 1 - LOW_HALF] = Math.floor(starts[i]! / 256);
  }
  keys.sort();
  for (let i = 0; i < order.length; i++) order[i] = halves[2 * i + LOW_HALF]! & 0xff_ffff;
  return order;
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
