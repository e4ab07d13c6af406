/** Damaged copies of files, by a generator whose seed is known: what it made once, it makes again. */

/** Numbers below `limit`, evenly (xorshift32). */
export function randomNumbers(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % limit;
  };
}

/** Values that counts and offsets are checked against too late. */
const NASTY = [
  0, 1, 2, 3, 7, 8, 16, 0x7f, 0xff, 0x100, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff,
];

/** A copy with one to four places changed: bits turned, bytes and words replaced or moved, ends cut. */
export function mutated(original: Uint8Array, random: (limit: number) => number): Uint8Array {
  let bytes = new Uint8Array(original);
  for (let changes = 1 + random(4); changes > 0; changes--) {
    const view = new DataView(bytes.buffer);
    const at = random(bytes.length - 8);
    // Tables of sections and symbols are at the end, and small: they get their share.
    const place = random(3) === 0 ? Math.max(0, bytes.length - 8 - random(Math.min(6000, bytes.length - 8))) : at;
    switch (random(7)) {
      case 0:
        bytes[place] = bytes[place]! ^ (1 << random(8));
        break;
      case 1:
        bytes[place] = random(256);
        break;
      case 2:
        view.setUint32(place & ~3, NASTY[random(NASTY.length)]!, true);
        break;
      case 3:
        view.setUint32(place & ~3, (view.getUint32(place & ~3, true) + random(33) - 16) >>> 0, true);
        break;
      case 4:
        bytes.copyWithin(place, random(bytes.length), random(bytes.length));
        break;
      case 5:
        view.setUint32(place & ~3, view.getUint32(random(bytes.length - 4) & ~3, true), true);
        break;
      default:
        if (random(8) === 0) bytes = bytes.slice(0, 16 + random(bytes.length - 16));
        else view.setUint16(place & ~1, NASTY[random(NASTY.length)]! & 0xffff, true);
    }
    if (bytes.length < 32) break;
  }
  return bytes;
}
