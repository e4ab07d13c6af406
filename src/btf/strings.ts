/** The string section: NUL-terminated names, reached by byte offset, compared and hashed without being decoded. */
import { ParseError } from "../base/index.ts";

const utf8 = new TextDecoder();

/** Longest name that is built from character codes in one call; the decoder takes over above. */
const SHORT_NAME = 256;

/** The strings of one BTF, over its bytes. In split BTF, offsets below `start` belong to the base. */
export class BtfStrings {
  private readonly bytes: Uint8Array;
  private readonly base: BtfStrings | undefined;
  private readonly section: string;
  /** First offset of this table: 0, or the end of the base's. */
  readonly start: number;
  /** First offset behind this table. */
  readonly end: number;

  constructor(bytes: Uint8Array, section: string, base?: BtfStrings) {
    this.bytes = bytes;
    this.section = section;
    this.base = base;
    this.start = base === undefined ? 0 : base.end;
    this.end = this.start + bytes.length;
    if (base === undefined && (bytes.length === 0 || bytes[0] !== 0)) {
      throw new ParseError(section, 0, "the string section must start with an empty string");
    }
    if (bytes.length > 0 && bytes[bytes.length - 1] !== 0) {
      throw new ParseError(section, bytes.length - 1, "the string section does not end with a NUL");
    }
  }

  /** Text at an offset. Throws {@link ParseError} for an offset outside. */
  get(offset: number): string {
    if (offset < this.start && this.base !== undefined) return this.base.get(offset);
    if (offset >= this.end) throw new ParseError(this.section, offset, `the strings end at ${this.end}`);
    const { bytes } = this;
    const from = offset - this.start;
    let to = from;
    let high = 0;
    // The table ends with a NUL, so that this stops.
    for (let byte = bytes[to]!; byte !== 0; byte = bytes[++to]!) high |= byte;
    const name = bytes.subarray(from, to);
    if (high >= 0x80 || name.length > SHORT_NAME) return utf8.decode(name);
    return String.fromCharCode.apply(null, name as unknown as number[]);
  }

  /** Whether the text at an offset is `name`, given as UTF-8. */
  equals(offset: number, name: Uint8Array): boolean {
    if (offset < this.start && this.base !== undefined) return this.base.equals(offset, name);
    const { bytes } = this;
    const from = offset - this.start;
    if (from + name.length >= bytes.length || bytes[from + name.length] !== 0) return false;
    for (let i = 0; i < name.length; i++) if (bytes[from + i] !== name[i]) return false;
    return true;
  }

  /** {@link hashName} of the text at an offset. */
  hash(offset: number): number {
    if (offset < this.start && this.base !== undefined) return this.base.hash(offset);
    const { bytes } = this;
    let hash = HASH_SEED;
    for (let i = offset - this.start; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (byte === 0) break;
      hash = Math.imul(hash ^ byte, HASH_PRIME);
    }
    return mix(hash);
  }
}

const HASH_SEED = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;

/** FNV spreads its last byte badly over the low bits, which are the ones a table of a power of two uses. */
function mix(hash: number): number {
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** A 32-bit hash of a name given as UTF-8 without NUL. */
export function hashName(name: Uint8Array): number {
  let hash = HASH_SEED;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name[i]!, HASH_PRIME);
  return mix(hash);
}
