/** 64-bit arithmetic on pairs of 32-bit halves, where it takes more than a line (RFC 9669 section 4.1). */

const TWO32 = 4_294_967_296;

function big(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function put(out: Int32Array, at: number, value: bigint): void {
  out[at] = Number(BigInt.asIntN(32, value));
  out[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
}

/** `out[at, at+1] *= (low, high)`. */
export function multiply(out: Int32Array, at: number, low: number, high: number): void {
  const a = out[at]!;
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = low & 0xffff;
  const b1 = low >>> 16;
  // Upper half of the product of the two lower halves.
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = (middle & 0xffff) + a0 * b1;
  const upper = a1 * b1 + Math.floor(middle / 65_536) + Math.floor(carry / 65_536);
  out[at + 1] = (upper + Math.imul(a, high) + Math.imul(out[at + 1]!, low)) | 0;
  out[at] = Math.imul(a, low);
}

/** Unsigned division, or with `remainder` what it leaves; by zero: 0, or the dividend. */
export function divide(out: Int32Array, at: number, low: number, high: number, remainder: boolean): void {
  if (low === 0 && high === 0) {
    if (!remainder) out[at] = out[at + 1] = 0;
    return;
  }
  const ah = out[at + 1]! >>> 0;
  const bh = high >>> 0;
  // Numbers are exact to 53 bits.
  if (ah < 0x20_0000 && bh < 0x20_0000) {
    const a = ah * TWO32 + (out[at]! >>> 0);
    const b = bh * TWO32 + (low >>> 0);
    const result = remainder ? a % b : Math.floor(a / b);
    out[at] = result | 0;
    out[at + 1] = (result / TWO32) | 0;
    return;
  }
  const a = big(out[at]!, out[at + 1]!);
  const b = big(low, high);
  put(out, at, remainder ? a % b : a / b);
}

/** Signed division, or with `remainder` what it leaves, with the dividend's sign; the lowest number by -1 is itself, remainder 0. */
export function divideSigned(out: Int32Array, at: number, low: number, high: number, remainder: boolean): void {
  if (low === 0 && high === 0) {
    if (!remainder) out[at] = out[at + 1] = 0;
    return;
  }
  const a = BigInt.asIntN(64, big(out[at]!, out[at + 1]!));
  const b = BigInt.asIntN(64, big(low, high));
  put(out, at, remainder ? a % b : a / b);
}

/** 32-bit division and remainder, unsigned or signed, of two signed numbers; the result as a signed number. */
export function divide32(a: number, b: number, signed: boolean, remainder: boolean): number {
  if (b === 0) return remainder ? a : 0;
  if (signed) return remainder ? (a % b) | 0 : (a / b) | 0;
  return remainder ? ((a >>> 0) % (b >>> 0)) | 0 : ((a >>> 0) / (b >>> 0)) | 0;
}

/** Bytes of a 32-bit number in the other order. */
export function swap32(value: number): number {
  return ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}

/** Swaps the low `bits` and clears the rest. */
export function swapBytes(out: Int32Array, at: number, bits: number): void {
  const low = out[at]!;
  if (bits === 16) {
    out[at] = ((low & 0xff) << 8) | ((low >>> 8) & 0xff);
    out[at + 1] = 0;
  } else if (bits === 32) {
    out[at] = swap32(low);
    out[at + 1] = 0;
  } else {
    out[at] = swap32(out[at + 1]!);
    out[at + 1] = swap32(low);
  }
}

/** Clears what is above the low `bits`. */
export function clearAbove(out: Int32Array, at: number, bits: number): void {
  if (bits === 64) return;
  if (bits === 16) out[at]! &= 0xffff;
  out[at + 1] = 0;
}
