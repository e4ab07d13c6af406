/** Arrays: text, bytes, and elements of any type. A flexible array has a count of 0 and takes what its record has left. */
import { type Part, ValueProblem, shown } from "./part.ts";

const utf8 = new TextDecoder();
const utf8Encoder = new TextEncoder();

/** Longest text that is remembered, and how many places there are. */
const CACHED_BYTES = 32;
const CACHE_SLOTS = 256;

/** Most elements of an array whose elements have no bytes: nothing else limits what damaged BTF says there are. */
const EMPTY_ELEMENTS = 1 << 16;

/** Texts as short as `comm` come again and again: comparing their words costs a tenth of decoding them. */
function cachedText(count: number): (view: DataView, offset: number) => string {
  const words = count >> 2;
  const keys = new Int32Array(words * CACHE_SLOTS);
  const texts = new Array<string | undefined>(CACHE_SLOTS).fill(undefined);
  return (view, offset) => {
    let hash = 0;
    for (let i = 0; i < words; i++) hash = Math.imul(hash ^ view.getInt32(offset + i * 4, true), 0x9e37_79b1);
    const slot = (hash ^ (hash >>> 15)) & (CACHE_SLOTS - 1);
    const key = slot * words;
    const known = texts[slot];
    if (known !== undefined) {
      let i = 0;
      while (i < words && keys[key + i] === view.getInt32(offset + i * 4, true)) i++;
      if (i === words) return known;
    }
    for (let i = 0; i < words; i++) keys[key + i] = view.getInt32(offset + i * 4, true);
    return (texts[slot] = decodeText(view, offset, count));
  };
}

/** UTF-8 up to a NUL or `count` bytes. */
export function decodeText(view: DataView, offset: number, count: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, count);
  const end = bytes.indexOf(0);
  return utf8.decode(end === -1 ? bytes : bytes.subarray(0, end));
}

/** Bytes of a value given for a `char` array. */
function textBytes(value: unknown, name: string): Uint8Array {
  if (typeof value === "string") return utf8Encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  throw new ValueProblem(`${name} wants a string, not ${shown(value)}`, false);
}

function requireCount(count: number, most: number, unit: string, name: string): void {
  if (count > most) throw new ValueProblem(`${name}: ${count} ${unit} given, ${most} fit`, true);
}

function copyBytes(view: DataView, offset: number, bytes: Uint8Array): void {
  new Uint8Array(view.buffer, view.byteOffset + offset, bytes.length).set(bytes);
}

function left(view: DataView, offset: number): number {
  return Math.max(0, view.byteLength - offset);
}

/** `char[count]`; a text that fills it has no NUL. */
export function textPart(count: number, name: string): Part {
  if (count === 0) {
    return {
      size: 0,
      read: (view, offset, end) => (end > offset ? decodeText(view, offset, end - offset) : ""),
      write: (view, offset, value) => {
        const bytes = textBytes(value, name);
        requireCount(bytes.length, left(view, offset), "bytes", name);
        copyBytes(view, offset, bytes);
      },
      byteLength: (value) => (value === undefined ? 0 : textBytes(value, name).length),
    };
  }
  const cached = count % 4 === 0 && count <= CACHED_BYTES;
  return {
    size: count,
    read: cached ? cachedText(count) : (view, offset) => decodeText(view, offset, count),
    write: (view, offset, value) => {
      const bytes = textBytes(value, name);
      requireCount(bytes.length, count, "bytes", name);
      copyBytes(view, offset, bytes);
    },
  };
}

/** `unsigned char[count]`. */
export function byteArrayPart(count: number, name: string): Part {
  const copied = (view: DataView, offset: number, length: number): Uint8Array =>
    new Uint8Array(view.buffer, view.byteOffset + offset, length).slice();
  const bytesOf = (value: unknown): Uint8Array => {
    if (value instanceof Uint8Array) return value;
    if (Array.isArray(value) && value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)) {
      return Uint8Array.from(value);
    }
    throw new ValueProblem(`${name} wants a Uint8Array, not ${shown(value)}`, false);
  };
  return {
    size: count,
    read: (view, offset, end) => copied(view, offset, count === 0 ? Math.max(0, end - offset) : count),
    write: (view, offset, value) => {
      const bytes = bytesOf(value);
      requireCount(bytes.length, count === 0 ? left(view, offset) : count, "bytes", name);
      copyBytes(view, offset, bytes);
    },
    ...(count === 0 ? { byteLength: (value: unknown) => (value === undefined ? 0 : bytesOf(value).length) } : {}),
  };
}

/** Elements of any other type. */
export function arrayPart(count: number, element: Part, name: string): Part {
  const step = element.size;
  if (step === 0 && count > EMPTY_ELEMENTS) throw new TypeError(`${name}: has ${count} elements that have no bytes`);
  const { read, write } = element;
  const lengthOf = (value: unknown): number => {
    if (typeof value === "object" && value !== null && (Array.isArray(value) || ArrayBuffer.isView(value))) {
      return (value as ArrayLike<unknown>).length;
    }
    throw new ValueProblem(`${name} wants an array, not ${shown(value)}`, false);
  };
  const most = (view: DataView, offset: number): number => (step === 0 ? 0 : Math.floor(left(view, offset) / step));
  return {
    size: count * step,
    read: (view, offset, end) => {
      let elements = count;
      if (count === 0) elements = step === 0 || end <= offset ? 0 : Math.floor((end - offset) / step);
      const values: unknown[] = [];
      for (let i = 0; i < elements; i++) values.push(read(view, offset + i * step, 0));
      return values;
    },
    write: (view, offset, value) => {
      const length = lengthOf(value);
      requireCount(length, count === 0 ? most(view, offset) : count, "elements", name);
      let i = 0;
      try {
        for (; i < length; i++) write(view, offset + i * step, (value as ArrayLike<unknown>)[i]);
      } catch (error) {
        throw ValueProblem.within(error, `[${i}]`);
      }
    },
    ...(count === 0 ? { byteLength: (value: unknown) => (value === undefined ? 0 : lengthOf(value) * step) } : {}),
  };
}
