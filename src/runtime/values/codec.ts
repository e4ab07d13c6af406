/**
 * Values of BTF types as JavaScript sees them. Integers of up to 32 bits, enums and floats are numbers; 64-bit integers (64-bit
 * enums too) and pointers bigints; `bool` a boolean; arrays of `char` strings (up to the first NUL), of `unsigned char` Uint8Array, of
 * other types arrays; structs and unions plain objects with the members of anonymous ones among their own; bitfields as their type;
 * `long double` its bytes. Sections of variables are objects of their variables.
 *
 * When writing, members that are absent are zero, those that do not exist an error with the nearest name; enums may be given by
 * the names of their constants, 64-bit integers as numbers when these are exact, and arrays may be shorter than the type. Of a union one
 * member is given, or several that say the same, as when a value that was read is written back.
 */
export interface Codec<T = unknown> {
  /** Bytes, without the elements of a flexible array at the end. */
  readonly size: number;
  /** The type as C names it, such as `struct event`. */
  readonly typeName: string;
  /**
   * Reads a value at a byte offset. Strings and byte arrays are copies. A flexible array at the end of a struct has as many elements as
   * fit below `end`, and none without it. Throws RangeError when the value would go beyond `end` or the view.
   */
  read(view: DataView, offset: number, end?: number): T;
  /** Writes a value, all bytes of it ({@link Codec.byteLength}). Throws TypeError or RangeError that name the member and its type. */
  write(view: DataView, offset: number, value: Given<T>): void;
  /** Bytes that a value takes: `size`, or more when it fills a flexible array. */
  byteLength(value: Given<T>): number;
}

/** What may be given where a value of a type is written: members may be left out, 64-bit integers be numbers, arrays be read-only. */
export type Given<T> = T extends bigint
  ? bigint | number
  : T extends string | number | boolean | Uint8Array
    ? T
    : T extends readonly (infer E)[]
      ? readonly Given<E>[]
      : T extends object
        ? { readonly [K in keyof T]?: Given<T[K]> }
        : T;

/** A value as bytes of its own. Throws as {@link Codec.write} does. */
export function encodeValue<T>(codec: Codec<T>, value: Given<T>): Uint8Array {
  const bytes = new Uint8Array(codec.byteLength(value));
  codec.write(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** The value in bytes that hold nothing else; a flexible array extends to their end. */
export function decodeValue<T>(codec: Codec<T>, bytes: Uint8Array): T {
  return codec.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength);
}

/** The values of what has no types: bytes, copied when read. Shorter values are refused, since the rest would be a guess. */
export function bytesCodec(size: number): Codec<Uint8Array> {
  return {
    size,
    typeName: `${size} bytes`,
    read: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, size).slice(),
    write: (view, offset, value) => {
      if (!(value instanceof Uint8Array)) throw new TypeError(`${size} bytes: wants a Uint8Array, not ${typeof value}`);
      if (value.length !== size) throw new RangeError(`${size} bytes: ${value.length} bytes given`);
      new Uint8Array(view.buffer, view.byteOffset + offset, size).set(value);
    },
    byteLength: () => size,
  };
}
