/** LPM tries: values by prefixes. */
import type { LpmInput, LpmPrefix, LpmTrieMap } from "../../runtime/index.ts";
import { Table } from "./table.ts";

/** An LPM trie (`BPF_LPM_TRIE`). Keys may be given as `"10.0.0.0/8"`, as bytes and a length, or as the program's struct. */
export class LpmTable<V> extends Table<LpmTrieMap<V>> {
  /** The value of the longest prefix that covers a key; undefined when there is none. */
  get(key: LpmInput): V | undefined {
    return this.map.get(key);
  }

  /** Sets the value of a prefix. */
  set(key: LpmInput, value: V): void {
    (this.map as unknown as { set(key: LpmInput, value: V): void }).set(key, value);
  }

  /** Removes a prefix; false when it was not there. */
  delete(key: LpmInput): boolean {
    return this.map.delete(key);
  }

  /** Prefixes with their values. */
  items(): [LpmPrefix, V][] {
    return this.map.toArray();
  }

  /** All prefixes. */
  keys(): LpmPrefix[] {
    return [...this.map.keys()];
  }

  /** All values. */
  values(): V[] {
    return this.map.toArray().map(([, value]) => value);
  }

  [Symbol.iterator](): Iterator<[LpmPrefix, V]> {
    return this.map.entries();
  }

  /** Removes all prefixes. */
  clear(): void {
    this.map.clear();
  }

  /** Number of prefixes, counted now. */
  get length(): number {
    return this.map.size;
  }
}
