/** Cuts a file into tokens. */
import type { Diagnostics } from "../diagnostics.ts";
import type { NameTable } from "../names.ts";
import type { SourceFile } from "../source-map.ts";
import { Token, TokenFlag, TokenKind } from "./token.ts";

/** What a character may begin or go on with. */
const WORD_START = 1;
const DIGIT = 2;
const BLANK = 4;

const classes = new Uint8Array(128);
for (const c of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$") classes[c.charCodeAt(0)] = WORD_START;
for (const c of "0123456789") classes[c.charCodeAt(0)] = DIGIT;
for (const c of " \t\v\f\r") classes[c.charCodeAt(0)] = BLANK;

/** Characters of other scripts may be in identifiers. */
function classOf(code: number): number {
  return code < 128 ? classes[code]! : Number.isNaN(code) ? 0 : WORD_START;
}

/** By first character, longest first. */
const punctuators: (readonly string[])[] = [];
for (const text of [
  "%:%:",
  "...",
  "<<=",
  ">>=",
  "->",
  "++",
  "--",
  "<<",
  ">>",
  "<=",
  ">=",
  "==",
  "!=",
  "&&",
  "||",
  "*=",
  "/=",
  "%=",
  "+=",
  "-=",
  "&=",
  "^=",
  "|=",
  "##",
  "<:",
  ":>",
  "<%",
  "%>",
  "%:",
  ..."[](){}.&*+-~!/%<>^|?:;=,#",
]) {
  const code = text.charCodeAt(0);
  punctuators[code] = [...(punctuators[code] ?? []), text];
}

const digraphs: Readonly<Record<string, string>> = {
  "<:": "[",
  ":>": "]",
  "<%": "{",
  "%>": "}",
  "%:": "#",
  "%:%:": "##",
};

const NEWLINE = 10;
const QUOTE = 34;
const APOSTROPHE = 39;
const STAR = 42;
const DOT = 46;
const SLASH = 47;
const LESS = 60;
const BACKSLASH = 92;

/** A position in a file to which the lexer can go back. */
export interface LexerMark {
  readonly at: number;
  readonly flags: number;
}

/** Reads the tokens of one file, one after the other. */
export class Lexer {
  readonly file: SourceFile;
  /** Inside a directive, whose line ends with `LINE_END` instead of going on. */
  inDirective = false;
  private readonly text: string;
  private readonly names: NameTable;
  private readonly diagnostics: Diagnostics;
  private at = 0;
  private pendingFlags: number = TokenFlag.LINE_START;

  constructor(file: SourceFile, names: NameTable, diagnostics: Diagnostics) {
    this.file = file;
    this.text = file.text;
    this.names = names;
    this.diagnostics = diagnostics;
    // A byte order mark is no part of the text.
    if (this.text.charCodeAt(0) === 0xfeff) this.at = 1;
  }

  /** Location of the next character. */
  get location(): number {
    return this.file.base + this.at;
  }

  mark(): LexerMark {
    return { at: this.at, flags: this.pendingFlags };
  }

  reset(mark: LexerMark): void {
    this.at = mark.at;
    this.pendingFlags = mark.flags;
  }

  /** The next token; `END` at the file's end, again and again. */
  next(): Token {
    if (!this.skipSpace()) return new Token(TokenKind.LINE_END, "", this.file.base + this.at, 0);
    const start = this.at;
    const flags = this.pendingFlags;
    this.pendingFlags = 0;
    const code = this.text.charCodeAt(start);
    if (Number.isNaN(code)) {
      this.pendingFlags = flags;
      const kind = this.inDirective ? TokenKind.LINE_END : TokenKind.END;
      return new Token(kind, "", this.file.base + start, flags);
    }
    const kind = classOf(code);
    if (kind === WORD_START) return this.word(start, flags);
    if (kind === DIGIT || (code === DOT && classOf(this.text.charCodeAt(start + 1)) === DIGIT))
      return this.number(start, flags);
    if (code === QUOTE || code === APOSTROPHE) return this.literal(start, start, flags);
    for (const candidate of punctuators[code] ?? []) {
      if (candidate.length > 1 && !this.text.startsWith(candidate, start)) continue;
      this.at = start + candidate.length;
      return new Token(TokenKind.PUNCTUATOR, digraphs[candidate] ?? candidate, this.file.base + start, flags);
    }
    this.at = start + 1;
    return new Token(TokenKind.OTHER, this.text[start]!, this.file.base + start, flags);
  }

  /** The rest of the line as it stands, without comments; the line end stays. */
  restOfLine(): string {
    let text = "";
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (Number.isNaN(code) || code === NEWLINE) return text.trim();
      if (code === SLASH && this.skipComment()) {
        text += " ";
        continue;
      }
      text += this.text[this.at++]!;
    }
  }

  /** A header's name behind `#include`: with its brackets or quotes; undefined when the line begins otherwise. */
  headerName(): Token | undefined {
    if (!this.skipSpace()) return undefined;
    const start = this.at;
    const open = this.text.charCodeAt(start);
    if (open !== LESS && open !== QUOTE) return undefined;
    const close = open === LESS ? ">" : '"';
    let end = this.text.indexOf(close, start + 1);
    const line = this.text.indexOf("\n", start);
    if (end === -1 || (line !== -1 && end > line)) return undefined;
    end++;
    this.at = end;
    this.pendingFlags = 0;
    return new Token(TokenKind.STRING, this.text.slice(start, end), this.file.base + start, 0);
  }

  /** Goes to the next line that begins with `#`, behind the sign; false when there is none. Quotes do not matter there, comments do. */
  skipToDirective(): boolean {
    const { text } = this;
    let lineStart = (this.pendingFlags & TokenFlag.LINE_START) !== 0;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (Number.isNaN(code)) return false;
      if (code === NEWLINE) {
        lineStart = true;
        this.at++;
      } else if (classOf(code) === BLANK) {
        this.at++;
      } else if (code === SLASH && this.skipComment()) {
        // A comment is a space, also before a directive.
      } else if (lineStart && (code === 35 || text.startsWith("%:", this.at))) {
        this.at += code === 35 ? 1 : 2;
        this.pendingFlags = 0;
        return true;
      } else {
        lineStart = false;
        this.skipPlainText(code);
      }
    }
  }

  /** One character of skipped text, or a literal with all it holds: what looks like a comment there is none. */
  private skipPlainText(code: number): void {
    this.at++;
    if (code !== QUOTE && code !== APOSTROPHE) return;
    const { text } = this;
    while (this.at < text.length) {
      const c = text.charCodeAt(this.at);
      if (c === NEWLINE) return;
      this.at += c === BACKSLASH && text.charCodeAt(this.at + 1) !== NEWLINE ? 2 : 1;
      if (c === code) return;
    }
  }

  /** Passes over white space and comments. False when a directive's line ends here. */
  private skipSpace(): boolean {
    const { text } = this;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (code === NEWLINE) {
        if (this.inDirective) return false;
        this.pendingFlags = TokenFlag.LINE_START;
        this.at++;
      } else if (code < 128 && classes[code] === BLANK) {
        this.pendingFlags |= TokenFlag.SPACE;
        this.at++;
      } else if (code === SLASH && this.skipComment()) {
        this.pendingFlags |= TokenFlag.SPACE;
      } else return true;
    }
  }

  private skipComment(): boolean {
    const { text, at } = this;
    const next = text.charCodeAt(at + 1);
    if (next === SLASH) {
      const end = text.indexOf("\n", at);
      this.at = end === -1 ? text.length : end;
      return true;
    }
    if (next !== STAR) return false;
    const end = text.indexOf("*/", at + 2);
    if (end === -1) {
      this.diagnostics.error(this.file.base + at, "comment without its end", { length: 2, hint: "close it with */" });
      this.at = text.length;
    } else this.at = end + 2;
    return true;
  }

  private word(start: number, flags: number): Token {
    const { text } = this;
    let end = start + 1;
    for (let code = text.charCodeAt(end); (classOf(code) & (WORD_START | DIGIT)) !== 0;) code = text.charCodeAt(++end);
    this.at = end;
    const after = text.charCodeAt(end);
    if ((after === QUOTE || after === APOSTROPHE) && end - start <= 2 && /^(?:L|u|U|u8)$/.test(text.slice(start, end)))
      return this.literal(start, end, flags);
    const name = this.names.internRange(text, start, end);
    return new Token(TokenKind.IDENTIFIER, name.text, this.file.base + start, flags, name);
  }

  private number(start: number, flags: number): Token {
    const { text } = this;
    let end = start + 1;
    for (;;) {
      const code = text.charCodeAt(end);
      if ((classOf(code) & (WORD_START | DIGIT)) !== 0 || code === DOT) end++;
      else if ((code === 43 || code === 45) && /[eEpP]/.test(text[end - 1]!)) end++;
      else break;
    }
    this.at = end;
    return new Token(TokenKind.NUMBER, text.slice(start, end), this.file.base + start, flags);
  }

  /** A string or character constant: its prefix begins at `start`, its quote is at `open`. */
  private literal(start: number, open: number, flags: number): Token {
    const { text } = this;
    const quote = text.charCodeAt(open);
    for (let i = open + 1; ; i++) {
      const code = text.charCodeAt(i);
      if (code === quote) {
        this.at = i + 1;
        const kind = quote === QUOTE ? TokenKind.STRING : TokenKind.CHARACTER;
        return new Token(kind, text.slice(start, i + 1), this.file.base + start, flags);
      }
      if (code === BACKSLASH && text.charCodeAt(i + 1) !== NEWLINE) i++;
      else if (Number.isNaN(code) || code === NEWLINE) {
        // In text that is only passed through (a macro's, of an assembler) one quote alone may stand; the parser refuses it.
        this.at = open + 1;
        return new Token(TokenKind.OTHER, text.slice(start, open + 1), this.file.base + start, flags);
      }
    }
  }
}
