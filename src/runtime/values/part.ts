/** What codecs are put together from: one reader and one writer for each type, and errors that know where they were. */

/** Options of a codec that its parts need to know. */
export interface PartOptions {
  /**
   * What 64-bit integers are read as: bigints, or numbers, which are several times faster to make and exact up to 2^53. Default
   * `"bigint"`. Pointers and wider integers stay bigints.
   */
  readonly int64?: "bigint" | "number";
}

/** Reads at an offset; `end` is where the record ends when a flexible array may extend to it, else 0. */
export type Read = (view: DataView, offset: number, end: number) => unknown;

/** Writes into bytes that are zero. Throws {@link ValueProblem}. */
export type Write = (view: DataView, offset: number, value: unknown) => void;

/** The two directions of one type. Both are plain functions, not methods. */
export interface Part {
  /** Bytes. */
  readonly size: number;
  readonly read: Read;
  readonly write: Write;
  /** Of types that end in a flexible array: bytes that this value takes. */
  readonly byteLength?: (value: unknown) => number;
}

/** A value that a type cannot hold; the path to the member is added on the way up. */
export class ValueProblem extends Error {
  /** Steps from the outermost value: `.member` or `[index]`. */
  path = "";
  readonly isRange: boolean;

  constructor(message: string, isRange: boolean) {
    super(message);
    this.isRange = isRange;
  }

  /** Adds a step at the outer end of the path of a problem; other errors are passed on as they are. */
  static within(error: unknown, step: string): unknown {
    if (error instanceof ValueProblem) error.path = step + error.path;
    return error;
  }

  /** The error that the user gets: TypeError or RangeError, `struct event.comm: char[16]: 20 bytes, 16 fit`. */
  asError(typeName: string): Error {
    const named = this.path === "" && this.message.startsWith(typeName);
    const message = named ? this.message : `${typeName}${this.path}: ${this.message}`;
    return this.isRange ? new RangeError(message) : new TypeError(message);
  }
}

/** A value as it is shown in an error. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (value === null || typeof value !== "object") return String(value);
  return Array.isArray(value) ? `an array of ${value.length}` : `a ${value.constructor?.name ?? "object"}`;
}
