/** The one way to read and write binary formats: bounds-checked, width and endianness in the method's name. */
import { ParseError } from "./errors.ts";

const utf8 = new TextDecoder();
const utf8Encoder = new TextEncoder();

/** A bounds-checked view of bytes. Offsets are absolute in the given array; a read outside throws {@link ParseError}. */
export class ByteReader {
  readonly bytes: Uint8Array;
  /** Named in errors. */
  readonly section: string;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, section: string) {
    this.bytes = bytes;
    this.section = section;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Number of bytes. */
  get length(): number {
    return this.bytes.length;
  }

  private check(offset: number, size: number): void {
    if (offset < 0 || offset + size > this.bytes.length) {
      throw new ParseError(this.section, offset, `${size} byte(s) wanted, the section ends at ${this.bytes.length}`);
    }
  }

  u8(offset: number): number {
    this.check(offset, 1);
    return this.view.getUint8(offset);
  }
  u16le(offset: number): number {
    this.check(offset, 2);
    return this.view.getUint16(offset, true);
  }
  u16be(offset: number): number {
    this.check(offset, 2);
    return this.view.getUint16(offset, false);
  }
  u32le(offset: number): number {
    this.check(offset, 4);
    return this.view.getUint32(offset, true);
  }
  u32be(offset: number): number {
    this.check(offset, 4);
    return this.view.getUint32(offset, false);
  }
  i32le(offset: number): number {
    this.check(offset, 4);
    return this.view.getInt32(offset, true);
  }
  u64le(offset: number): bigint {
    this.check(offset, 8);
    return this.view.getBigUint64(offset, true);
  }
  i64le(offset: number): bigint {
    this.check(offset, 8);
    return this.view.getBigInt64(offset, true);
  }
  u64be(offset: number): bigint {
    this.check(offset, 8);
    return this.view.getBigUint64(offset, false);
  }

  /** A view, not a copy. */
  slice(offset: number, size: number): Uint8Array {
    this.check(offset, size);
    return this.bytes.subarray(offset, offset + size);
  }

  /** UTF-8 text up to a NUL or `limit` bytes; the NUL may be missing only at the limit. */
  cstring(offset: number, limit: number = this.bytes.length - offset): string {
    this.check(offset, 0);
    const end = Math.min(this.bytes.length, offset + limit);
    let stop = offset;
    while (stop < end && this.bytes[stop] !== 0) stop++;
    return utf8.decode(this.bytes.subarray(offset, stop));
  }
}

/** A growing little-endian byte buffer. */
export class ByteWriter {
  private buffer: Uint8Array;
  private view: DataView;
  private used = 0;

  constructor(initialSize = 256) {
    this.buffer = new Uint8Array(initialSize);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.used;
  }

  private reserve(size: number): number {
    const at = this.used;
    if (at + size > this.buffer.length) {
      const grown = new Uint8Array(Math.max(this.buffer.length * 2, at + size));
      grown.set(this.buffer.subarray(0, at));
      this.buffer = grown;
      this.view = new DataView(grown.buffer);
    }
    this.used = at + size;
    return at;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.view.setUint8(at, value);
  }
  u16le(value: number): void {
    const at = this.reserve(2);
    this.view.setUint16(at, value, true);
  }
  u32le(value: number): void {
    const at = this.reserve(4);
    this.view.setUint32(at, value >>> 0, true);
  }
  i32le(value: number): void {
    const at = this.reserve(4);
    this.view.setInt32(at, value, true);
  }
  u64le(value: bigint): void {
    const at = this.reserve(8);
    this.view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }
  bytes(value: Uint8Array): void {
    const at = this.reserve(value.length);
    this.buffer.set(value, at);
  }
  /** UTF-8 with a closing NUL. */
  cstring(value: string): void {
    this.bytes(utf8Encoder.encode(value));
    this.u8(0);
  }
  /** Zero bytes up to a multiple of `alignment`. */
  align(alignment: number): void {
    while (this.used % alignment !== 0) this.u8(0);
  }
  /** Overwrites four bytes written before. */
  patchU32le(offset: number, value: number): void {
    if (offset < 0 || offset + 4 > this.used) throw new RangeError(`patch at ${offset} of ${this.used} bytes`);
    this.view.setUint32(offset, value >>> 0, true);
  }
  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.buffer.slice(0, this.used);
  }
}
