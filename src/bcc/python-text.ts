/** Text as Python writes it: BCC's tools print through its formats, and what reads their output goes on working. */

const encoder = new TextEncoder();

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

/** Bits of a quotient that say how it is rounded, whatever its size. */
const QUOTIENT_BITS = 66;

/** `a / b` of two non-negative integers, rounded once, as Python divides integers of any size. */
export function trueDivision(a: bigint, b: bigint): number {
  if (a <= Number.MAX_SAFE_INTEGER && b <= Number.MAX_SAFE_INTEGER) return Number(a) / Number(b);
  const shift = Math.max(0, QUOTIENT_BITS - bitLength(a) + bitLength(b));
  const scaled = a << BigInt(shift);
  const quotient = scaled / b;
  // A last bit that stands for all that follow keeps halves from being taken for such.
  return Number(quotient * b === scaled ? quotient : quotient | 1n) / 2 ** shift;
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

function quoteFor(text: string): string {
  return text.includes("'") && !text.includes('"') ? '"' : "'";
}

/** What `str.isprintable` says no to, but for the blank. */
const unprintable = /[\p{C}\p{Z}]/u;

function escapedChar(char: string): string {
  const code = char.codePointAt(0)!;
  if (char === " " || !unprintable.test(char)) return char;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** `repr` of a `str`. */
export function strRepr(text: string): string {
  const quote = quoteFor(text);
  let inside = "";
  for (const char of text) inside += char === quote ? `\\${char}` : (shortEscapes.get(char) ?? escapedChar(char));
  return quote + inside + quote;
}

/** `repr` of `bytes`, which is what Python has of a `char[]`: here the text in UTF-8. */
export function bytesRepr(text: string): string {
  const quote = quoteFor(text);
  let inside = "";
  for (const byte of encoder.encode(text)) {
    const char = String.fromCharCode(byte);
    if (char === quote) inside += `\\${char}`;
    else if (byte >= 0x20 && byte < 0x7f) inside += shortEscapes.get(char) ?? char;
    else inside += shortEscapes.get(char) ?? `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `b${quote}${inside}${quote}`;
}

/** Text of C, which Python has as `bytes`; other values are written as what they are. */
export class CText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** `repr` of a value: numbers, booleans, text, text of C, and what is made of them. */
export function repr(value: unknown): string {
  if (value instanceof CText) return bytesRepr(value.text);
  if (typeof value === "string") return strRepr(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value === undefined || value === null) return "None";
  if (Array.isArray(value) || value instanceof Uint8Array) return `[${Array.from(value, repr).join(", ")}]`;
  if (typeof value !== "object") return String(value);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return `{${entries.map(([name, one]) => `${repr(name)}: ${repr(one)}`).join(", ")}}`;
}

/** `str` of a value. */
export function str(value: unknown): string {
  return typeof value === "string" ? value : repr(value);
}

const twoDigits = (value: number): string => String(value).padStart(2, "0");

/** A time of this machine's clock as `%Y-%m-%d %H:%M:%S`. */
export function localTime(date: Date): string {
  const day = [String(date.getFullYear()).padStart(4, "0"), date.getMonth() + 1, date.getDate()];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits);
  return `${day.map((part) => (typeof part === "number" ? twoDigits(part) : part)).join("-")} ${time.join(":")}`;
}
