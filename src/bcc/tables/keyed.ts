/** Tables of keys and values: hashes and arrays of every kind, with BCC's way of looking at them. */
import type { Given, TypedMap } from "../../runtime/index.ts";
import {
  type HistogramOptions,
  LINEAR_SLOTS,
  LOG2_SLOTS,
  type SlotRange,
  jsonHistogram,
  jsonSection,
  linearLines,
  log2Lines,
  sectionLines,
  sections,
} from "../histogram.ts";
import { repr } from "../python-text.ts";
import { Table } from "./table.ts";

/** The map behind a keyed table. */
export type KeyedMap<K, V> = TypedMap<K, V, Given<K>>;

type Lines = (values: readonly bigint[], valType: string, stripLeadingZero?: boolean) => string[];

/**
 * A table of keys and values. Keys and values are as the library has them: numbers, bigints for 64 bits, strings for `char[]`, objects for
 * structs. Iterating gives keys with values.
 */
export class KeyedTable<K, V> extends Table<KeyedMap<K, V>> implements Iterable<[K, V]> {
  /** The value of a key; undefined when there is none. */
  get(key: Given<K>): V | undefined {
    return this.map.get(key);
  }

  /** Sets the value of a key. */
  set(key: Given<K>, value: Given<V>): void {
    this.map.set(key, value);
  }

  /** Whether there is a value for a key. */
  has(key: Given<K>): boolean {
    return this.map.has(key);
  }

  /** Removes a key; false when it was not there. */
  delete(key: Given<K>): boolean {
    return this.map.delete(key);
  }

  /** All entries as they are now. */
  items(): [K, V][] {
    return this.map.toArray();
  }

  /** All keys. */
  keys(): K[] {
    return [...this.map.keys()];
  }

  /** All values. */
  values(): V[] {
    return this.map.toArray().map(([, value]) => value);
  }

  /** Number of entries, counted now. */
  get length(): number {
    return this.map.size;
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return this.map.entries();
  }

  /** Removes all entries. */
  clear(): void {
    this.map.clear();
  }

  /** Sets every value to zeros and keeps the keys. */
  zero(): void {
    const { kernelMap } = this.map;
    const zeros = new Uint8Array(kernelMap.userValueSize);
    for (const key of kernelMap.keys()) kernelMap.update(key, zeros);
  }

  /**
   * Adds to the counter of a key, from zero when there is none. It reads and then writes: what programs add in between is lost, so do it
   * where only this process counts.
   */
  increment(key: Given<K>, by: number | bigint = 1): void {
    const before: unknown = this.map.get(key) ?? 0n;
    if (typeof before !== "bigint" && typeof before !== "number")
      throw new TypeError(`table ${this.name}: its values are no counters`);
    this.map.set(key, (BigInt(before) + BigInt(by)) as Given<V>);
  }

  /** As {@link items}; in BCC the fast way, which here is the only one. */
  itemsLookupBatch(): [K, V][] {
    return this.map.toArray();
  }

  /** Takes all entries out and returns them, each in one step: no count made meanwhile is lost (kernel 5.6). */
  itemsLookupAndDeleteBatch(): [K, V][] {
    return this.map.takeAll();
  }

  /** Sets many entries, thousands a system call. Lists of different lengths are a RangeError. */
  itemsUpdateBatch(keys: readonly Given<K>[], values: readonly Given<V>[]): void {
    if (keys.length !== values.length)
      throw new RangeError(`table ${this.name}: ${keys.length} keys and ${values.length} values were given`);
    this.map.setMany(keys.map((key, i) => [key, values[i]!] as const));
  }

  /** Removes many keys, default all; returns how many were there. */
  itemsDeleteBatch(keys?: readonly Given<K>[]): number {
    return keys === undefined ? this.map.takeAll().length : this.map.deleteMany(keys);
  }

  private range(slots: number, what: string): SlotRange {
    return {
      slots,
      byBucket: this.keyIsStruct(),
      complain: (index) => new RangeError(`Index in ${what} of ${repr(index)} exceeds max of ${slots}.`),
    };
  }

  private lines(range: SlotRange, lines: Lines, valType: string, options: HistogramOptions): string[] {
    const found = sections(this.items(), range, options);
    if ("plain" in found) return lines(found.plain, valType, options.stripLeadingZero);
    return found.split.flatMap((section) => [
      ...sectionLines(section, options),
      ...lines(section.values, valType, options.stripLeadingZero),
    ]);
  }

  /** Lines of {@link printLog2Hist}. */
  log2HistLines(valType: string = "value", options: HistogramOptions = {}): string[] {
    return this.lines(this.range(LOG2_SLOTS, "print_log2_hist()"), log2Lines, valType, options);
  }

  /** Lines of {@link printLinearHist}. */
  linearHistLines(valType: string = "value", options: HistogramOptions = {}): string[] {
    return this.lines(this.range(LINEAR_SLOTS, "print_linear_hist()"), linearLines, valType, options);
  }

  /**
   * Prints the table as a histogram of powers of two: keys are slots (`bpf_log2l`), or structs of a bucket and a slot, which make a histogram
   * for each bucket. Values of all CPUs are added up. Throws RangeError for a slot above 64.
   */
  printLog2Hist(valType: string = "value", options: HistogramOptions = {}): void {
    for (const line of this.log2HistLines(valType, options)) this.host.print(line);
  }

  /** Prints the table as a histogram of a slot for each number, up to 1024. */
  printLinearHist(valType: string = "value", options: HistogramOptions = {}): void {
    for (const line of this.linearHistLines(valType, options)) this.host.print(line);
  }

  /** The table as histograms of powers of two in data: one, or one for each bucket. */
  jsonHists(valType: string = "value", options: HistogramOptions = {}): Record<string, unknown>[] {
    const found = sections(this.items(), this.range(LOG2_SLOTS, "print_json_hist()"), options);
    if ("plain" in found) return [{ ...jsonHistogram(found.plain, valType) }];
    return found.split.map((section) => ({
      ...jsonHistogram(section.values, valType, jsonSection(section, options)),
    }));
  }

  /** Prints {@link jsonHists} as BCC does, which is how Python writes them and not JSON. */
  printJsonHist(valType: string = "value", options: HistogramOptions = {}): void {
    for (const hist of this.jsonHists(valType, options)) this.host.print(repr(hist));
  }
}

/** A hash, LRU hash, or storage of cgroups. */
export class HashTable<K, V> extends KeyedTable<K, V> {}

/** An array: all indexes are there from the start. Negative indexes count from the end, and deleting sets zeros, as in BCC. */
export class ArrayTable<V> extends KeyedTable<number, V> {
  private index(index: number): number {
    return index < 0 ? index + this.maxEntries : index;
  }

  override get(index: number): V | undefined {
    return this.map.get(this.index(index));
  }

  override set(index: number, value: Given<V>): void {
    this.map.set(this.index(index), value);
  }

  override has(index: number): boolean {
    return this.index(index) >= 0 && this.index(index) < this.maxEntries;
  }

  /** Sets an element to zeros. */
  clearItem(index: number): void {
    const { kernelMap } = this.map;
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, this.checked(index), true);
    kernelMap.update(key, new Uint8Array(kernelMap.userValueSize));
  }

  private checked(index: number): number {
    const place = this.index(index);
    if (Number.isInteger(place) && place >= 0 && place < this.maxEntries) return place;
    throw new RangeError(`table ${this.name}: index ${index}: it has ${this.maxEntries} entries`);
  }

  /** Sets an element to zeros: none can be removed. */
  override delete(index: number): boolean {
    this.clearItem(index);
    return true;
  }

  /** Sets all elements to zeros. */
  override clear(): void {
    this.zero();
  }

  override get length(): number {
    return this.maxEntries;
  }
}
