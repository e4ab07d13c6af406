/** Where the bytes of a file come from: an array, or a file read piece by piece. */
import { ParseError } from "../base/index.ts";

/** A file that is read piece by piece, so that a binary of 200 MB costs what is looked at. */
export interface ElfSource {
  /** Bytes. */
  readonly size: number;
  /** The bytes at an offset; called with ranges inside `size` only. What comes back shorter is a {@link ParseError}. */
  read(offset: number, length: number): Uint8Array;
}

/** An array as a source. */
export function sourceOf(input: Uint8Array | ElfSource): ElfSource {
  if (!(input instanceof Uint8Array)) return input;
  return { size: input.length, read: (offset, length) => input.subarray(offset, offset + length) };
}

/** Bounds-checked numbers of one piece, in the file's byte order and class. Offsets in errors are the file's. */
export class ElfFields {
  readonly bytes: Uint8Array;
  readonly bigEndian: boolean;
  readonly wide: boolean;
  private readonly view: DataView;
  private readonly name: string;
  private readonly fileOffset: number;

  constructor(
    bytes: Uint8Array,
    format: { readonly bigEndian: boolean; readonly wide: boolean },
    name: string,
    fileOffset: number,
  ) {
    this.bytes = bytes;
    this.bigEndian = format.bigEndian;
    this.wide = format.wide;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.name = name;
    this.fileOffset = fileOffset;
  }

  /** A ParseError at an offset of this piece. */
  damaged(offset: number, what: string): ParseError {
    return new ParseError(this.name, this.fileOffset + offset, what);
  }

  private check(offset: number, size: number): void {
    if (offset < 0 || offset + size > this.bytes.length) {
      throw this.damaged(offset, `${size} bytes wanted, the piece ends at ${this.fileOffset + this.bytes.length}`);
    }
  }

  u8(offset: number): number {
    this.check(offset, 1);
    return this.bytes[offset]!;
  }
  u16(offset: number): number {
    this.check(offset, 2);
    return this.view.getUint16(offset, !this.bigEndian);
  }
  u32(offset: number): number {
    this.check(offset, 4);
    return this.view.getUint32(offset, !this.bigEndian);
  }
  u64(offset: number): bigint {
    this.check(offset, 8);
    return this.view.getBigUint64(offset, !this.bigEndian);
  }
  /** An address: 4 bytes in ELF32, 8 in ELF64. */
  address(offset: number): bigint {
    return this.wide ? this.u64(offset) : BigInt(this.u32(offset));
  }
  /** A size or file offset of 4 or 8 bytes. Beyond 2^53 it cannot be meant. */
  count(offset: number): number {
    if (!this.wide) return this.u32(offset);
    const high = this.u32(this.bigEndian ? offset : offset + 4);
    if (high >= 0x20_0000)
      throw this.damaged(offset, `0x${this.u64(offset).toString(16)} is no size or offset of a file`);
    return high * 0x1_0000_0000 + this.u32(this.bigEndian ? offset + 4 : offset);
  }
}
