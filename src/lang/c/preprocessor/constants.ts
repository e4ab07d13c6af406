/** Integer and character constants and strings, from their spelling (C11 6.4.4, 6.4.5). */

/** What an integer constant says; its type follows from the value. */
export interface IntegerConstant {
  readonly value: bigint;
  readonly unsigned: boolean;
  /** 0, 1 for `l`, 2 for `ll`. */
  readonly longs: 0 | 1 | 2;
  readonly decimal: boolean;
}

/** Reads a floating-point constant; undefined for what is none. */
export function floatingConstant(text: string): number | undefined {
  const decimal = /^((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fFlL]?$/.exec(text);
  if (decimal !== null && /[.eE]/.test(text)) return Number(decimal[1]);
  const hex = /^0[xX]([\da-fA-F]*)\.?([\da-fA-F]*)[pP]([+-]?\d+)[fFlL]?$/.exec(text);
  if (hex === null || `${hex[1]}${hex[2]}` === "") return undefined;
  return Number.parseInt(`${hex[1]}${hex[2]}`, 16) * 2 ** (Number(hex[3]) - 4 * hex[2]!.length);
}

/** Why a constant is none. */
export interface ConstantProblem {
  readonly problem: string;
  /** Characters before the one that is wrong. */
  readonly at?: number;
}

/** A number as messages show it. */
function shown(text: string): string {
  return text.length > 40 ? `${text.slice(0, 30)}…` : text;
}

/** Reads an integer constant: decimal, hexadecimal, octal, binary, with suffixes. */
export function integerConstant(text: string): IntegerConstant | ConstantProblem {
  const match = /^(0[xX][\da-fA-F]*|0[bB][01]*|\d+)([uUlL]*)$/.exec(text);
  if (match === null) {
    const float = /^(?:\d+\.\d*|\.\d+|\d+[eE]|0[xX][\da-fA-F]*\.|0[xX][\da-fA-F]+[pP])/.test(text);
    if (float) return { problem: `${shown(text)}: eBPF has no floating-point numbers` };
    const at = /^(?:0[xX](?=[\da-fA-F])[\da-fA-F]+|0[bB][01]+|\d+)/.exec(text)?.[0].length;
    return { problem: `${shown(text)} is no number`, ...(at === undefined ? {} : { at }) };
  }
  const [, digits, suffix] = match as unknown as [string, string, string];
  if (!/^(?:u?(?:ll?)?|(?:ll?)u)$/i.test(suffix) || /lL|Ll/.test(suffix)) {
    return { problem: `${shown(text)}: ${suffix} is no suffix of an integer (u, l, ul, ll, ull)`, at: digits.length };
  }
  const longs = (suffix.match(/l/gi)?.length ?? 0) as 0 | 1 | 2;
  const unsigned = /u/i.test(suffix);
  if (/^0[xXbB]$/.test(digits)) return { problem: `${shown(text)} has no digits` };
  let value: bigint;
  let decimal = false;
  if (/^0\d/.test(digits)) {
    const at = digits.search(/[89]/);
    if (at !== -1) return { problem: `${shown(text)}: an octal number has no digits 8 and 9`, at };
    value = BigInt(`0o${digits.slice(1)}`);
  } else {
    value = BigInt(digits);
    decimal = !/^0[xXbB]/.test(digits);
  }
  if (value >= 1n << 64n) return { problem: `${shown(text)} does not fit in 64 bits` };
  return { value, unsigned, longs, decimal };
}

const escapes: Readonly<Record<string, number>> = {
  n: 10,
  t: 9,
  r: 13,
  a: 7,
  b: 8,
  f: 12,
  v: 11,
  e: 27,
  "\\": 92,
  "'": 39,
  '"': 34,
  "?": 63,
};

const utf8 = new TextEncoder();

/** Bytes of a string or character constant without its prefix and quotes, in UTF-8. */
export function literalBytes(text: string): Uint8Array | ConstantProblem {
  const quote = text.search(/["']/);
  const inside = text.slice(quote + 1, -1);
  const bytes: number[] = [];
  for (let i = 0; i < inside.length;) {
    if (inside[i] !== "\\") {
      const character = String.fromCodePoint(inside.codePointAt(i)!);
      bytes.push(...utf8.encode(character));
      i += character.length;
      continue;
    }
    const rest = inside.slice(i + 1, i + 11);
    const octal = /^[0-7]{1,3}/.exec(rest);
    const hex = /^x([\da-fA-F]+)/.exec(rest);
    const universal = /^(?:u([\da-fA-F]{4})|U([\da-fA-F]{8}))/.exec(rest);
    const simple = escapes[rest[0] ?? ""];
    if (octal !== null) {
      const value = Number.parseInt(octal[0], 8);
      if (value > 255) return { problem: `\\${octal[0]} is more than a byte holds` };
      bytes.push(value);
      i += 1 + octal[0].length;
    } else if (hex !== null) {
      const value = Number.parseInt(hex[1]!, 16);
      if (value > 255) return { problem: `\\x${hex[1]} is more than a byte holds` };
      bytes.push(value);
      i += 1 + hex[0].length;
    } else if (universal !== null) {
      const code = Number.parseInt((universal[1] ?? universal[2])!, 16);
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return { problem: `\\${universal[0]} is no character` };
      bytes.push(...utf8.encode(String.fromCodePoint(code)));
      i += 1 + universal[0].length;
    } else if (simple !== undefined) {
      bytes.push(simple);
      i += 2;
    } else return { problem: `\\${rest[0] ?? ""} is no escape sequence` };
  }
  return Uint8Array.from(bytes);
}

/** Value of a character constant: an `int`, whose characters are `signed char`. */
export function characterValue(text: string): { readonly value: bigint } | ConstantProblem {
  if (/^[LuU]/.test(text)) {
    const inside = text.slice(2, -1);
    const point = inside.startsWith("\\") ? undefined : inside.codePointAt(0);
    if (point !== undefined && String.fromCodePoint(point) === inside) return { value: BigInt(point) };
  }
  const bytes = literalBytes(text);
  if ("problem" in bytes) return bytes;
  if (bytes.length === 0) return { problem: "a character constant needs a character" };
  if (bytes.length > 4) return { problem: `${text} holds more than an int` };
  if (bytes.length === 1) return { value: BigInt((bytes[0]! << 24) >> 24) };
  let value = 0;
  for (const byte of bytes) value = (value << 8) | byte;
  return { value: BigInt(value | 0) };
}
