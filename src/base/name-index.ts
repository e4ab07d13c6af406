/** An index from names to numbers in three typed arrays: no string is made until somebody asks for one. */
import { hashName, type NameSource } from "./string-table.ts";

const encoder = new TextEncoder();

/** Searches that are made by comparing every name. Hashing all names costs several such searches, and most programs ask once or twice. */
const LINEAR_SEARCHES = 4;
/** Searches through the text of all names, where the source can do that: several times faster than comparing each. */
const TEXT_SEARCHES = 16;
/** Entries that are fewer than these are compared sooner than the text is made, which for a kernel takes two megabytes and milliseconds. */
const FEW_ENTRIES = 8192;

/** Finds the entries of a given name. Entries keep their order: of equal names, the first added is found first. */
export class NameIndex {
  private readonly strings: NameSource;
  /** Offset of each entry's name. */
  private readonly nameOffsets: Uint32Array;
  private searches = 0;
  private table: HashTable | undefined;

  /** Entry `i` has the name at `nameOffsets[i]`; names at offset 0 are anonymous and not found. */
  constructor(strings: NameSource, nameOffsets: Uint32Array) {
    this.strings = strings;
    this.nameOffsets = nameOffsets;
  }

  /** The first entry of this name from entry `from` on, or -1. Give the last answer plus one to get the next. */
  find(name: string, from: number = 0): number {
    if (name === "") return -1;
    const { strings, nameOffsets } = this;
    if (this.table === undefined && this.searches < TEXT_SEARCHES && nameOffsets.length > FEW_ENTRIES) {
      const offsets = this.offsetsOf(name);
      if (offsets !== undefined) return firstOf(nameOffsets, offsets, from);
    }
    const bytes = encoder.encode(name);
    if (this.table === undefined && ++this.searches > LINEAR_SEARCHES) this.table = hashNames(strings, nameOffsets);
    if (this.table === undefined) {
      for (let entry = from; entry < nameOffsets.length; entry++) {
        const nameOffset = nameOffsets[entry]!;
        if (nameOffset !== 0 && strings.equals(nameOffset, bytes)) return entry;
      }
      return -1;
    }
    const { heads, next } = this.table;
    for (let entry = heads[hashName(bytes) & (heads.length - 1)]!; entry !== 0; entry = next[entry - 1]!) {
      if (entry - 1 >= from && strings.equals(nameOffsets[entry - 1]!, bytes)) return entry - 1;
    }
    return -1;
  }

  private lastName = "";
  private lastOffsets: readonly number[] | undefined;

  /** A name's offsets, kept for the search for its next entry. */
  private offsetsOf(name: string): readonly number[] | undefined {
    if (name !== this.lastName) {
      this.lastOffsets = this.strings.offsetsOf?.(name);
      this.lastName = name;
      if (this.lastOffsets !== undefined) this.searches++;
    }
    return this.lastOffsets;
  }
}

/** The first entry, from one on, whose name is at one of these offsets, or -1. */
function firstOf(nameOffsets: Uint32Array, offsets: readonly number[], from: number): number {
  let first = -1;
  for (const offset of offsets) {
    const entry = offset === 0 ? -1 : nameOffsets.indexOf(offset, from);
    if (entry !== -1 && (first === -1 || entry < first)) first = entry;
  }
  return first;
}

interface HashTable {
  /** Entry number plus one by bucket, 0 for none. */
  readonly heads: Uint32Array;
  /** The next entry of the same bucket, plus one. */
  readonly next: Uint32Array;
}

function hashNames(strings: NameSource, nameOffsets: Uint32Array): HashTable {
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
  return { heads, next };
}
