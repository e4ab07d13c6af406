/** Tables of NUL-terminated names, as ELF and BTF have them: read by byte offset, compared and hashed without being decoded. */
import { ParseError } from "./errors.ts";
import type { NameStems } from "./name-stems.ts";

const utf8 = new TextDecoder();

/** Longest name that is made of character codes; above, and for other than ASCII, the decoder is used. */
const SHORT_NAME = 64;

/** Arrays of every short length, filled anew for each name: applying plain arrays takes a third of the decoder's time. */
const shortNames: readonly number[][] = Array.from({ length: SHORT_NAME + 1 }, (_, length) =>
  Array.from({ length }, () => 0),
);

const HASH_SEED = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;

/** FNV spreads its last byte badly over the low bits, which are the ones a table of a power of two uses. */
function mix(hash: number): number {
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** A 32-bit hash (FNV-1a, mixed) of a name given as UTF-8 without NUL. */
export function hashName(name: Uint8Array): number {
  let hash = HASH_SEED;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name[i]!, HASH_PRIME);
  return mix(hash);
}

/** What {@link NameIndex} asks of a table. */
export interface NameSource {
  /** Whether the text at an offset is `name`, given as UTF-8. */
  equals(offset: number, name: Uint8Array): boolean;
  /** {@link hashName} of the text at an offset. */
  hash(offset: number): number;
  /** Offsets at which a name stands, ascending; undefined when a search through the text cannot tell them, or would find too many. */
  offsetsOf?(name: string): readonly number[] | undefined;
}

/** Names that end as so many others do are not looked for in the text: `id` of `pid`, `tgid`, ... */
const MOST_OFFSETS = 32;

/** Names over bytes that end with a NUL. Offsets outside are a {@link ParseError}. */
export class StringTable implements NameSource {
  private readonly bytes: Uint8Array;
  private readonly section: string;

  /** `section` is named in errors. Throws {@link ParseError} when the last byte is no NUL; an empty table has no names. */
  constructor(bytes: Uint8Array, section: string) {
    this.bytes = bytes;
    this.section = section;
    if (bytes.length > 0 && bytes[bytes.length - 1] !== 0) {
      throw new ParseError(section, bytes.length - 1, "the strings do not end with a NUL");
    }
  }

  /** Bytes of all names. */
  get length(): number {
    return this.bytes.length;
  }

  /** Text at an offset. */
  get(offset: number): string {
    const { bytes } = this;
    this.check(offset);
    let end = offset;
    let bits = 0;
    for (let byte = bytes[end]!; byte !== 0; byte = bytes[++end]!) bits |= byte;
    const length = end - offset;
    if (bits >= 0x80 || length > SHORT_NAME) return utf8.decode(bytes.subarray(offset, end));
    const codes = shortNames[length]!;
    for (let i = 0; i < length; i++) codes[i] = bytes[offset + i]!;
    return String.fromCharCode.apply(null, codes);
  }

  /**
   * Offsets at which a name and its NUL stand: starts of names, and ends of longer ones, which some tables share. A search through one
   * string, which engines do far faster than a loop over bytes that has not been compiled yet. Undefined when the table or the name is
   * not plain ASCII, and when there are too many.
   */
  occurrences(name: string): readonly number[] | undefined {
    const text = this.wholeText();
    // oxlint-disable-next-line no-control-regex
    if (text === undefined || !/^[\x01-\x7f]+$/.test(name)) return undefined;
    const ended = `${name}\0`;
    const found: number[] = [];
    for (let at = text.indexOf(ended); at !== -1; at = text.indexOf(ended, at + 1)) {
      if (found.length === MOST_OFFSETS) return undefined;
      found.push(at);
    }
    return found;
  }

  private text: string | null | undefined;

  /** The table as one string whose offsets are those of the bytes; undefined when characters take several bytes. Made once. */
  private wholeText(): string | undefined {
    if (this.text === undefined) {
      const decoded = utf8.decode(this.bytes);
      this.text = decoded.length === this.bytes.length ? decoded : null;
    }
    return this.text ?? undefined;
  }

  /** Whether the text at an offset has one of some stems. */
  hasStem(offset: number, stems: NameStems): boolean {
    this.check(offset);
    return stems.matches(this.bytes, offset);
  }

  /** Indexes of the offsets whose texts have one of some stems; offset 0 has none. */
  selectByStems(offsets: Uint32Array, stems: NameStems): number[] {
    return stems.select(this.bytes, offsets);
  }

  equals(offset: number, name: Uint8Array): boolean {
    const { bytes } = this;
    this.check(offset);
    if (offset + name.length >= bytes.length || bytes[offset + name.length] !== 0) return false;
    for (let i = 0; i < name.length; i++) if (bytes[offset + i] !== name[i]) return false;
    return true;
  }

  hash(offset: number): number {
    const { bytes } = this;
    this.check(offset);
    let hash = HASH_SEED;
    // The table ends with a NUL, so that this stops.
    for (let i = offset, byte = bytes[i]!; byte !== 0; byte = bytes[++i]!) hash = Math.imul(hash ^ byte, HASH_PRIME);
    return mix(hash);
  }

  private check(offset: number): void {
    if (offset < 0 || offset >= this.bytes.length) {
      throw new ParseError(this.section, offset, `a name is wanted, the strings end at ${this.bytes.length}`);
    }
  }
}
