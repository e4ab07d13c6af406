/** Pairs of registers that interfere. */

/** Up to so many registers a matrix of bits is small enough. */
const MATRIX = 2048;

/** A set of unordered pairs of numbers below a limit: a matrix of bits, or a hash table when that would be too large. */
export class PairSet {
  private readonly size: number;
  private readonly bits: Uint32Array | null;
  /** Open addressing; 0 is empty, since no pair of two different numbers has the key 0. */
  private table: Float64Array = new Float64Array(0);
  private used = 0;

  constructor(size: number) {
    this.size = size;
    this.bits = size <= MATRIX ? new Uint32Array(((size * size) >>> 5) + 1) : null;
    if (!this.bits) this.table = new Float64Array(1 << 16);
  }

  private key(a: number, b: number): number {
    return a < b ? a * this.size + b : b * this.size + a;
  }

  private slotOf(key: number): number {
    const mask = this.table.length - 1;
    let at = (Math.imul(key % 0x7fff_ffff, 0x9e37_79b1) >>> 7) & mask;
    while (this.table[at] !== 0 && this.table[at] !== key) at = (at + 1) & mask;
    return at;
  }

  has(a: number, b: number): boolean {
    const key = this.key(a, b);
    return this.bits ? (this.bits[key >>> 5]! & (1 << (key & 31))) !== 0 : this.table[this.slotOf(key)] === key;
  }

  /** False when the pair was there. */
  add(a: number, b: number): boolean {
    const key = this.key(a, b);
    if (this.bits) {
      const bit = 1 << (key & 31);
      if (this.bits[key >>> 5]! & bit) return false;
      this.bits[key >>> 5]! |= bit;
      return true;
    }
    const slot = this.slotOf(key);
    if (this.table[slot] === key) return false;
    this.table[slot] = key;
    if (++this.used * 2 > this.table.length) this.grow();
    return true;
  }

  private grow(): void {
    const old = this.table;
    this.table = new Float64Array(old.length * 2);
    for (const key of old) if (key !== 0) this.table[this.slotOf(key)] = key;
  }
}
