/**
 * The growing byte buffer that all output is formatted into. Events arrive by the million, so that text is appended byte by byte, strings of
 * the traced processes are copied as they are (they need not be UTF-8), and the whole is written once a batch.
 */

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder();
/** Longer literals are copied by `set`, whose call costs more than a short loop. */
const SHORT = 24;
const HEX_LOWER = "0123456789abcdef";

/** Bytes to be written. All methods append. */
export class Sink {
  bytes: Uint8Array;
  /** Number of bytes that are there. */
  length = 0;
  private readonly digits = new Uint8Array(24);
  private spare: Uint8Array | undefined;

  constructor(initialSize: number = 1 << 16) {
    this.bytes = new Uint8Array(initialSize);
  }

  /** Makes room for `size` more bytes. */
  reserve(size: number): void {
    if (this.length + size <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + size));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** The same byte `count` times; nothing when it is negative. */
  fill(value: number, count: number): void {
    if (count <= 0) return;
    this.reserve(count);
    this.bytes.fill(value, this.length, this.length + count);
    this.length += count;
  }

  /** The bytes `[start, end)` of another array. */
  copy(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (this.length + size > this.bytes.length) this.reserve(size);
    const target = this.bytes;
    let at = this.length;
    if (size <= SHORT) {
      for (let i = start; i < end; i++) target[at++] = source[i]!;
    } else {
      target.set(source.subarray(start, end), at);
      at += size;
    }
    this.length = at;
  }

  /** A whole array. */
  append(source: Uint8Array): void {
    this.copy(source, 0, source.length);
  }

  /** Text, as UTF-8. */
  text(value: string): void {
    const size = value.length;
    this.reserve(size * 3);
    const target = this.bytes;
    if (size <= SHORT) {
      const from = this.length;
      let at = from;
      for (let i = 0; i < size; i++) {
        const code = value.charCodeAt(i);
        if (code > 0x7f) {
          this.length = from + utf8.encodeInto(value, target.subarray(from)).written;
          return;
        }
        target[at++] = code;
      }
      this.length = at;
    } else {
      this.length += utf8.encodeInto(value, target.subarray(this.length)).written;
    }
  }

  /** Unsigned decimal of a u32. */
  u32(value: number): void {
    let rest = value >>> 0;
    if (this.length + 10 > this.bytes.length) this.reserve(10);
    if (rest < 10) {
      this.bytes[this.length++] = 48 + rest;
      return;
    }
    const digits = this.digits;
    let count = 0;
    while (rest >= 10) {
      const quotient = (rest / 10) | 0;
      digits[count++] = 48 + (rest - quotient * 10);
      rest = quotient;
    }
    digits[count++] = 48 + rest;
    const target = this.bytes;
    let at = this.length;
    while (count > 0) target[at++] = digits[--count]!;
    this.length = at;
  }

  /** Unsigned decimal of a u64 given as halves. */
  u64(low: number, high: number): void {
    if (high === 0) {
      this.u32(low);
      return;
    }
    // Two divisions by 10^9 over 16-bit limbs: every intermediate stays below 2^46.
    let a = high >>> 16;
    let b = high & 0xffff;
    let c = low >>> 16;
    let d = low & 0xffff;
    const parts: number[] = [];
    while (a !== 0 || b !== 0 || c !== 0 || d !== 0) {
      let rest = a % 1e9;
      a = (a - rest) / 1e9;
      let value = rest * 65536 + b;
      rest = value % 1e9;
      b = (value - rest) / 1e9;
      value = rest * 65536 + c;
      rest = value % 1e9;
      c = (value - rest) / 1e9;
      value = rest * 65536 + d;
      rest = value % 1e9;
      d = (value - rest) / 1e9;
      parts.push(rest);
    }
    this.u32(parts[parts.length - 1]!);
    for (let i = parts.length - 2; i >= 0; i--) this.nineDigits(parts[i]!);
  }

  /** Signed decimal of an i64 given as halves. */
  i64(low: number, high: number): void {
    if ((high | 0) < 0) {
      this.byte(45);
      const negated = (~low + 1) >>> 0;
      this.u64(negated, (~high + (negated === 0 ? 1 : 0)) >>> 0);
    } else {
      this.u64(low >>> 0, high >>> 0);
    }
  }

  /** Hexadecimal of a u64 given as halves, without leading zeros. */
  hex64(low: number, high: number): void {
    if (high >>> 0 !== 0) {
      this.text((high >>> 0).toString(16));
      this.text((low >>> 0).toString(16).padStart(8, "0"));
    } else {
      this.text((low >>> 0).toString(16));
    }
  }

  /** Two lower-case hexadecimal digits. */
  hexByte(value: number): void {
    this.byte(HEX_LOWER.charCodeAt(value >> 4));
    this.byte(HEX_LOWER.charCodeAt(value & 15));
  }

  /** Inserts the same byte `count` times at `at`, moving what is behind it. */
  insert(at: number, value: number, count: number): void {
    if (count <= 0) return;
    this.reserve(count);
    this.bytes.copyWithin(at + count, at, this.length);
    this.bytes.fill(value, at, at + count);
    this.length += count;
  }

  /** Text of the bytes from `start` on. */
  toString(start = 0): string {
    return utf8Decoder.decode(this.bytes.subarray(start, this.length));
  }

  /** A view of what is there, valid until the next change. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
  }

  /** Hands over what is there and starts anew in other memory: what was handed over stays as it is. */
  take(): Uint8Array {
    const taken = this.view();
    this.bytes = this.spare ?? new Uint8Array(this.bytes.length);
    this.spare = undefined;
    this.length = 0;
    return taken;
  }

  /** Gives back what {@link take} handed over, so that its memory serves again. */
  giveBack(taken: Uint8Array): void {
    this.spare = new Uint8Array(taken.buffer);
  }

  private nineDigits(value: number): void {
    this.reserve(9);
    let rest = value;
    for (let i = 8; i >= 0; i--) {
      const quotient = (rest / 10) | 0;
      this.bytes[this.length + i] = 48 + (rest - quotient * 10);
      rest = quotient;
    }
    this.length += 9;
  }
}

/** A constant piece of output, encoded once. */
export function encodeText(text: string): Uint8Array {
  return utf8.encode(text);
}

/** Index of the NUL from `start` on, or `limit` when there is none before it. */
export function endOfString(bytes: Uint8Array, start: number, limit: number): number {
  let at = start;
  while (at < limit && bytes[at] !== 0) at++;
  return at;
}
