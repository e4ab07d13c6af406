/** Tables of NUL-terminated names, as ELF and BTF have them: read by byte offset, compared and hashed without being decoded. */
import { ParseError } from "./errors.ts";

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
}

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

  /** All names in which a byte comes three times in a row or more. Looks at every third byte only. */
  withTriple(byte: number): string[] {
    const { bytes } = this;
    const found: string[] = [];
    for (let at = 2; at < bytes.length; at += 3) {
      if (bytes[at] !== byte) continue;
      const isTriple =
        bytes[at - 1] === byte
          ? bytes[at + 1] === byte || bytes[at - 2] === byte
          : bytes[at + 1] === byte && bytes[at + 2] === byte;
      if (!isTriple) continue;
      found.push(this.get(bytes.lastIndexOf(0, at) + 1));
      // The table ends with a NUL; the next name has its own steps.
      at = bytes.indexOf(0, at);
    }
    return found;
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
