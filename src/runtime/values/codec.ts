/**
 * Values of BTF types as JavaScript sees them. Integers of up to 32 bits, enums and floats are numbers; 64-bit integers and pointers
 * bigints; `bool` a boolean; arrays of `char` strings (up to the first NUL), of other bytes Uint8Array, of other types arrays;
 * structs and unions plain objects with the members of anonymous ones among their own; bitfields as their type. When
 * writing, members that are absent are zero, those that do not exist an error with the nearest name, and a union takes one member.
 */
export interface Codec<T = unknown> {
  /** Bytes. */
  readonly size: number;
  /** The type as C names it, such as `struct event`. */
  readonly typeName: string;
  /** Reads a value at a byte offset. Strings and byte arrays are copies. */
  read(view: DataView, offset: number): T;
  /** Writes a value, all `size` bytes. Throws TypeError or RangeError that name the member and its type. */
  write(view: DataView, offset: number, value: T): void;
}
