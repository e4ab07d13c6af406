/** Initialisers of variables in memory: what the program gives, and zeros for the rest, padding included. */
import type { MemBits, Value } from "../../../compiler/index.ts";
import type { Initializer, InitialValue } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { isInteger } from "../types/compatible.ts";
import { alignOf, sizeOf } from "../types/layout.ts";
import type { CType } from "../types/types.ts";
import type { Body } from "./body.ts";
import { type Place, copy, placeAt, store } from "./place.ts";
import { isAggregate } from "./signature.ts";
import { value } from "./values.ts";

/** Constant bytes above this size are copied from read-only data. */
const STORED_BYTES = 256;

/** Gives the object at a place its first value. */
export function initialize(body: Body, at: Place, initializer: Initializer): void {
  const { type } = at;
  if (initializer.kind === "value") {
    const first = value(body, initializer.value);
    body.at(initializer.value.location);
    store(body, at, first);
    return;
  }
  body.at(initializer.location);
  const size = body.size(type);
  if (size === 0) return;
  const flat = constantBytes(initializer.values, size);
  if (flat !== undefined && size > STORED_BYTES && flat.some((byte) => byte !== 0)) {
    copy(body, at, body.context.literal(flat, 8, body.b), size);
    return;
  }
  if (!coversAll(initializer.values, size)) body.b.memset(at.base, 0, size, at.offset);
  for (const part of initializer.values) initialValue(body, at, part);
}

function initialValue(body: Body, whole: Place, part: InitialValue): void {
  const { type, bitOffset, bitWidth } = part;
  const { base } = whole;
  if (bitWidth !== undefined) {
    const first = value(body, part.value);
    body.at(part.value.location);
    const bits = { offset: bitOffset, width: bitWidth, align: Math.max(1, Math.min(8, alignOf(whole.type))) };
    store(body, { type, base, offset: whole.offset, bits }, first);
    return;
  }
  const at = placeAt(type, base, whole.offset + bitOffset / 8);
  if (part.value.kind === "string") {
    body.at(part.value.location);
    // The array that the string itself gives its size.
    storeBytes(body, at, padded(part.value.bytes, sizeOf(type) ?? part.value.bytes.length));
    return;
  }
  // The rest is zero already, except where an earlier value is taken back.
  const first = value(body, part.value);
  body.at(part.value.location);
  if (!isAggregate(type)) store(body, at, first);
  else copy(body, at, first, body.size(type));
}

/** A string as the contents of an array: cut, or with zeros behind it. */
function padded(bytes: Uint8Array, size: number): Uint8Array {
  const whole = new Uint8Array(size);
  whole.set(bytes.subarray(0, size));
  return whole;
}

/** Constant bytes as few wide stores. */
function storeBytes(body: Body, at: Place, bytes: Uint8Array): void {
  if (bytes.length > STORED_BYTES) {
    copy(body, at, body.context.literal(bytes, 1, body.b), bytes.length);
    return;
  }
  for (let i = 0; i < bytes.length;) {
    let width = Math.min(8, (at.offset + i) & -(at.offset + i) || 8);
    while (width > bytes.length - i) width >>= 1;
    store64(body, at.base, at.offset + i, bytes.subarray(i, i + width));
    i += width;
  }
}

function store64(body: Body, base: Value, offset: number, bytes: Uint8Array): void {
  let number = 0n;
  bytes.forEach((byte, i) => (number |= BigInt(byte) << BigInt(8 * i)));
  body.b.store(base, body.b.const(number), (bytes.length * 8) as MemBits, { offset });
}

/** True when the values fill every byte, so that nothing need be zeroed. */
function coversAll(values: readonly InitialValue[], size: number): boolean {
  let at = 0;
  for (const { bitOffset, bitWidth, type } of values.toSorted((a, b) => a.bitOffset - b.bitOffset)) {
    if (bitWidth !== undefined || bitOffset > at) return false;
    at = Math.max(at, bitOffset + 8 * sizeOrZero(type));
  }
  return at >= size * 8;
}

function sizeOrZero(type: CType): number {
  return sizeOf(type) ?? 0;
}

/** The bytes of an initialiser of constants; undefined when something must be computed. */
function constantBytes(values: readonly InitialValue[], size: number): Uint8Array | undefined {
  const bytes = new Uint8Array(size);
  for (const { bitOffset, bitWidth, type, value: part } of values) {
    if (part.kind === "string") {
      const room = Math.min(sizeOf(type) ?? part.bytes.length, size - bitOffset / 8);
      bytes.set(padded(part.bytes, room), bitOffset / 8);
      continue;
    }
    const number = isAggregate(type) && !isInteger(type) ? undefined : constantInteger(part);
    if (number === undefined) return undefined;
    const width = bitWidth ?? 8 * sizeOrZero(type);
    for (let i = 0; i < width; i++) {
      const bit = bitOffset + i;
      const mask = 1 << (bit & 7);
      const before = bytes[bit >> 3]! & ~mask;
      bytes[bit >> 3] = (number >> BigInt(i)) & 1n ? before | mask : before;
    }
  }
  return bytes;
}
