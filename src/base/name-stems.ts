/** Many beginnings of names, looked for at once in a table of names, none of which is decoded for it. */

const encoder = new TextEncoder();

const BUCKETS = 4096;

function bucketOf(first: number, second: number): number {
  return ((first << 5) ^ second) & (BUCKETS - 1);
}

/**
 * A set of stems. A name has one when it is the stem, or the stem followed by a separator: `file` and `file___old` have the stem `file`
 * with separator `_`, as has `file_operations`.
 */
export class NameStems {
  /** By the first two bytes of a name, mixed: one more than the index of a stem that may begin so, 0 for none. */
  private readonly heads = new Int32Array(BUCKETS);
  /** The next stem of the same bucket, plus one. */
  private readonly next: number[] = [];
  private readonly stems: Uint8Array[] = [];
  private readonly separator: number;

  /** `separator` is one ASCII character. Empty stems are none. */
  constructor(stems: Iterable<string>, separator: string) {
    this.separator = separator.charCodeAt(0);
    for (const stem of stems) {
      const bytes = encoder.encode(stem);
      if (bytes.length === 0) continue;
      // A stem of one byte has either what ends it for its second.
      if (bytes.length === 1) {
        this.add(bytes, 0);
        this.add(bytes, this.separator);
      } else this.add(bytes, bytes[1]!);
    }
  }

  private add(bytes: Uint8Array, second: number): void {
    const key = bucketOf(bytes[0]!, second);
    this.next.push(this.heads[key]!);
    this.heads[key] = this.stems.push(bytes);
  }

  /** Indexes of the names, given by their offsets in a table, that have one of the stems; offset 0 is no name. */
  select(table: Uint8Array, offsets: Uint32Array): number[] {
    const { heads } = this;
    const found: number[] = [];
    // Nearly all names end here: this runs before it is compiled, so that it calls nothing for them.
    for (let i = 0; i < offsets.length; i++) {
      const offset = offsets[i]!;
      const bucket = ((table[offset]! << 5) ^ table[offset + 1]!) & (BUCKETS - 1);
      if (heads[bucket] !== 0 && offset !== 0 && this.matches(table, offset)) found.push(i);
    }
    return found;
  }

  /** Whether the name that begins at an offset of a table has one of the stems. */
  matches(table: Uint8Array, offset: number): boolean {
    for (let at = this.heads[bucketOf(table[offset]!, table[offset + 1]!)]!; at !== 0; at = this.next[at - 1]!) {
      const stem = this.stems[at - 1]!;
      const after = table[offset + stem.length];
      if (after !== 0 && after !== this.separator) continue;
      let i = 0;
      while (i < stem.length && table[offset + i] === stem[i]) i++;
      if (i === stem.length) return true;
    }
    return false;
  }
}
