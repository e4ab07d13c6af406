/** Splits a script into tokens, one at a time, from any position: attach points are not made of tokens, so the parser moves the reader itself. */
import type { Diagnostic } from "../../base/index.ts";

/** What a token is. Keywords are identifiers: which words are keywords depends on the place. */
export type TokenKind =
  | "identifier"
  | "integer"
  | "string"
  | "variable"
  | "positional"
  | "map"
  | "punctuation"
  | "end of file";

/** A token. `start` and `end` are offsets in the script; `text` is what the token stands for. */
export interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
  /**
   * Identifiers, punctuation and integers: as written. Strings: escapes resolved. Variables and maps: the name without its sigil.
   * Positional parameters: the digits, or `#`.
   */
  readonly text: string;
  /** Integers: the value, a duration's unit applied. */
  readonly value: bigint;
}

const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;
const INTEGER = /(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|[0-9][0-9_]*(?:[eE][0-9]+)?)([A-Za-z0-9_]*)/y;
const PUNCTUATION =
  /<<=|>>=|\+\+|--|->|\.\.|<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\*=|\/=|%=|&=|\|=|\^=|[-+*/%&|^!~<>=?:;,.(){}[\]]/y;
const SUFFIX = /^(?:u|l|ul|lu|ll|ull|llu)$/i;
const U64_MAX = 0xffff_ffff_ffff_ffffn;

/** Units of durations, in nanoseconds. */
const DURATIONS: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1000n],
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
  ["d", 86_400_000_000_000n],
]);

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ['"', '"'],
  ["'", "'"],
  ["\\", "\\"],
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["v", "\v"],
]);

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes given as escapes: as the text they encode when they are UTF-8, else each as the code point of its value. */
function bytesToText(bytes: readonly number[]): string {
  if (bytes.every((b) => b < 0x80)) return String.fromCharCode(...bytes);
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return String.fromCharCode(...bytes);
  }
}

/** Parses an integer as the language writes it: decimal, `0x`, `0` octal, `0b`, `1e6`, `1_000`, C suffixes, durations. */
export function parseInteger(text: string): { value: bigint } | { problem: string } {
  INTEGER.lastIndex = 0;
  const match = INTEGER.exec(text);
  if (!match || match[0].length !== text.length) return { problem: `invalid integer '${text}'` };
  const suffix = match[1]!;
  const digits = text.slice(0, text.length - suffix.length).replaceAll("_", "");
  let value: bigint;
  const exponent = /^([0-9]+)[eE]([0-9]+)$/.exec(digits);
  if (exponent && !/^0[xX]/.test(digits)) {
    const power = Number(exponent[2]);
    if (power > 19) return { problem: `'${text}' is out of the range of 64 bits` };
    value = BigInt(exponent[1]!) * 10n ** BigInt(power);
  } else if (/^0[0-9]+$/.test(digits)) {
    if (/[89]/.test(digits)) return { problem: `invalid octal integer '${text}'` };
    value = BigInt(`0o${digits.slice(1)}`);
  } else if (/^0[xXbB]$/.test(digits)) {
    return { problem: `invalid integer '${text}': digits are missing` };
  } else value = BigInt(digits);
  if (suffix !== "" && !SUFFIX.test(suffix)) {
    const unit = DURATIONS.get(suffix);
    if (unit === undefined) return { problem: `invalid suffix '${suffix}' of integer '${text}'` };
    value *= unit;
  }
  if (value > U64_MAX) return { problem: `'${text}' is out of the range of 64 bits` };
  return { value };
}

/** Reads tokens. Errors go to `report`; the reader always moves on. */
export class Lexer {
  readonly text: string;
  /** Where the next token is looked for. */
  position = 0;
  private readonly report: (diagnostic: Diagnostic) => void;

  constructor(text: string, report: (diagnostic: Diagnostic) => void) {
    this.text = text;
    this.report = report;
  }

  private error(start: number, end: number, message: string, hint?: string): void {
    this.report({ severity: "error", message, span: { start, end }, ...(hint === undefined ? {} : { hint }) });
  }

  /** Moves over blanks and comments. */
  skipLayout(): void {
    const text = this.text;
    for (;;) {
      const c = text.charCodeAt(this.position);
      if (c === 0x20 || (c >= 0x09 && c <= 0x0d)) {
        this.position++;
        continue;
      }
      if (c !== 0x2f) return;
      const next = text.charCodeAt(this.position + 1);
      if (next === 0x2f) {
        const newline = text.indexOf("\n", this.position);
        this.position = newline === -1 ? text.length : newline + 1;
      } else if (next === 0x2a) {
        const close = text.indexOf("*/", this.position + 2);
        if (close === -1) {
          this.error(this.position, this.position + 2, "unterminated comment", "close it with */");
          this.position = text.length;
        } else this.position = close + 2;
      } else return;
    }
  }

  /** The next token; at the end, always `end of file`. */
  next(): Token {
    this.skipLayout();
    const start = this.position;
    const text = this.text;
    if (start >= text.length) return { kind: "end of file", start: text.length, end: text.length, text: "", value: 0n };
    const c = text.charCodeAt(start);
    if (c === 0x22) return this.string(start);
    if (c >= 0x30 && c <= 0x39) return this.integer(start);
    if (c === 0x24) return this.dollar(start);
    if (c === 0x40) {
      IDENTIFIER.lastIndex = start + 1;
      const name = IDENTIFIER.exec(text)?.[0] ?? "";
      return this.token("map", start, start + 1 + name.length, name);
    }
    IDENTIFIER.lastIndex = start;
    const identifier = IDENTIFIER.exec(text);
    if (identifier) return this.token("identifier", start, start + identifier[0].length, identifier[0]);
    PUNCTUATION.lastIndex = start;
    const punctuation = PUNCTUATION.exec(text);
    if (punctuation) return this.token("punctuation", start, start + punctuation[0].length, punctuation[0]);
    // Preprocessor lines are the parser's business; it reads them as text.
    if (c === 0x23 && /(?:^|\n)[ \t]*$/.test(text.slice(Math.max(0, start - 200), start))) {
      return this.token("punctuation", start, start + 1, "#");
    }
    const bad = String.fromCodePoint(text.codePointAt(start)!);
    this.position = start + bad.length;
    this.error(
      start,
      this.position,
      `invalid character '${bad}'`,
      bad === "'" ? 'strings are written in double quotes: "text"' : bad === "#" ? "comments begin with //" : undefined,
    );
    return this.next();
  }

  private token(kind: TokenKind, start: number, end: number, text: string, value = 0n): Token {
    this.position = end;
    return { kind, start, end, text, value };
  }

  private integer(start: number): Token {
    INTEGER.lastIndex = start;
    const written = INTEGER.exec(this.text)![0];
    const parsed = parseInteger(written);
    const end = start + written.length;
    if ("problem" in parsed) {
      this.error(start, end, parsed.problem, "integers have up to 64 bits, with an optional ns, us, ms, s, m, h or d");
      return this.token("integer", start, end, written);
    }
    return this.token("integer", start, end, written, parsed.value);
  }

  private dollar(start: number): Token {
    const text = this.text;
    if (text[start + 1] === "#") return this.token("positional", start, start + 2, "#");
    let end = start + 1;
    while (text.charCodeAt(end) >= 0x30 && text.charCodeAt(end) <= 0x39) end++;
    if (end > start + 1) return this.token("positional", start, end, text.slice(start + 1, end));
    IDENTIFIER.lastIndex = start + 1;
    const name = IDENTIFIER.exec(text)?.[0];
    if (name === undefined) {
      this.error(
        start,
        start + 1,
        "expected a name after '$'",
        "variables are written $name, parameters $1, their number $#",
      );
      return this.token("variable", start, start + 1, "_");
    }
    return this.token("variable", start, start + 1 + name.length, name);
  }

  private string(start: number): Token {
    const text = this.text;
    let out = "";
    let bytes: number[] = [];
    let at = start + 1;
    let literalStart = at;
    const flush = (end: number): void => {
      if (bytes.length > 0) {
        out += bytesToText(bytes);
        bytes = [];
      }
      out += text.slice(literalStart, end);
    };
    for (;;) {
      const c = text.charCodeAt(at);
      if (at >= text.length || c === 0x0a) {
        this.error(start, at, "unterminated string", 'strings end with " on the line on which they begin');
        flush(at);
        return this.token("string", start, at, out);
      }
      if (c === 0x22) {
        flush(at);
        return this.token("string", start, at + 1, out);
      }
      if (c !== 0x5c) {
        if (bytes.length > 0) {
          out += bytesToText(bytes);
          bytes = [];
        }
        at++;
        continue;
      }
      out += text.slice(literalStart, at);
      const rest = text.slice(at + 1, at + 5);
      const numeric = /^(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3}))/.exec(rest);
      if (numeric) {
        const value = numeric[1] === undefined ? parseInt(numeric[2]!, 8) : parseInt(numeric[1], 16);
        if (value > 255) {
          this.error(
            at,
            at + 1 + numeric[0].length,
            `escape '\\${numeric[0]}' is larger than a byte`,
            "octal escapes go up to \\377",
          );
        }
        bytes.push(value & 255);
        at += 1 + numeric[0].length;
      } else {
        if (bytes.length > 0) {
          out += bytesToText(bytes);
          bytes = [];
        }
        const simple = ESCAPES.get(rest[0] ?? "");
        if (simple !== undefined) out += simple;
        else if (rest[0] !== undefined && rest[0] !== "\n") {
          this.error(
            at,
            at + 2,
            `invalid escape character '\\${rest[0]}'`,
            'escapes are \\n \\t \\r \\" \\\\, \\x41 and \\101; a backslash itself is \\\\',
          );
        }
        at += rest[0] === undefined || rest[0] === "\n" ? 1 : 2;
      }
      literalStart = at;
    }
  }
}
