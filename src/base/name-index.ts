/** A hash index from names to numbers in three typed arrays: no string is made until somebody asks for one. */
import { hashName, type NameSource } from "./string-table.ts";

const encoder = new TextEncoder();

/** Finds the entries of a given name. Entries keep their order: of equal names, the first added is found first. */
export class NameIndex {
  private readonly strings: NameSource;
  /** Offset of each entry's name. */
  private readonly nameOffsets: Uint32Array;
  /** Entry number plus one by bucket, 0 for none. */
  private readonly heads: Uint32Array;
  /** The next entry of the same bucket, plus one. */
  private readonly next: Uint32Array;

  /** Entry `i` has the name at `nameOffsets[i]`; names at offset 0 are anonymous and not found. */
  constructor(strings: NameSource, nameOffsets: Uint32Array) {
    this.strings = strings;
    this.nameOffsets = nameOffsets;
    let buckets = 16;
    while (buckets < nameOffsets.length) buckets *= 2;
    const heads = new Uint32Array(buckets);
    const next = new Uint32Array(nameOffsets.length);
    // Backwards, so that a bucket's chain runs in the order of entries.
    for (let entry = nameOffsets.length - 1; entry >= 0; entry--) {
      const nameOffset = nameOffsets[entry]!;
      if (nameOffset === 0) continue;
      const bucket = strings.hash(nameOffset) & (buckets - 1);
      next[entry] = heads[bucket]!;
      heads[bucket] = entry + 1;
    }
    this.heads = heads;
    this.next = next;
  }

  /** The first entry of this name from entry `from` on, or -1. Give the last answer plus one to get the next. */
  find(name: string, from = 0): number {
    if (name === "") return -1;
    const bytes = encoder.encode(name);
    let entry = this.heads[hashName(bytes) & (this.heads.length - 1)]!;
    for (; entry !== 0; entry = this.next[entry - 1]!) {
      if (entry - 1 >= from && this.strings.equals(this.nameOffsets[entry - 1]!, bytes)) return entry - 1;
    }
    return -1;
  }
}
