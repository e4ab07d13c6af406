/** Preprocessing tokens of C (C11 6.4). */
import type { Name } from "../names.ts";

/** Kinds of tokens. */
export const TokenKind = {
  END: 0,
  IDENTIFIER: 1,
  /** A preprocessing number: what it means is said when it is used. */
  NUMBER: 2,
  CHARACTER: 3,
  STRING: 4,
  PUNCTUATOR: 5,
  /** A character that means nothing in C, or a quote without its partner. */
  OTHER: 6,
  /** `#pragma` or `_Pragma` that the parser shall see; the text is what follows the word. */
  PRAGMA: 7,
  /** End of a directive's line. */
  LINE_END: 8,
  /** An empty argument next to `##`. */
  PLACEMARKER: 9,
} as const;

/** One of the numbers of {@link TokenKind}. */
export type TokenKind = (typeof TokenKind)[keyof typeof TokenKind];

/** Bits of `Token.flags`. */
export const TokenFlag = {
  /** First of its line. */
  LINE_START: 1,
  /** Behind white space. */
  SPACE: 2,
  /** The name of a macro that was met inside its own expansion: never expanded any more (C11 6.10.3.4). */
  PAINTED: 4,
} as const;

/** A token. `name` is set exactly for identifiers. */
export class Token {
  readonly kind: TokenKind;
  /** As spelled; digraphs as what they stand for. */
  readonly text: string;
  readonly location: number;
  readonly name: Name | undefined;
  flags: number;

  constructor(kind: TokenKind, text: string, location: number, flags: number, name?: Name) {
    this.kind = kind;
    this.text = text;
    this.location = location;
    this.flags = flags;
    this.name = name;
  }

  /** True for this punctuator. */
  is(punctuator: string): boolean {
    return this.kind === TokenKind.PUNCTUATOR && this.text === punctuator;
  }

  /** The same token somewhere else, with its white space and paint. */
  at(location: number, flags: number = this.flags): Token {
    return new Token(this.kind, this.text, location, flags, this.name);
  }
}

/** Tokens as text: one space where there was white space, a line end where one started and `lines` is set. */
export function tokensToText(tokens: readonly Token[], lines: boolean = false): string {
  let text = "";
  let previous: Token | undefined;
  for (const token of tokens) {
    if (previous !== undefined) {
      if (lines && (token.flags & TokenFlag.LINE_START) !== 0) text += "\n";
      else if ((token.flags & (TokenFlag.SPACE | TokenFlag.LINE_START)) !== 0 || wouldMerge(previous, token))
        text += " ";
    }
    if (token.kind === TokenKind.PRAGMA) {
      text += `${text === "" || text.endsWith("\n") ? "" : "\n"}#pragma ${token.text}\n`;
      previous = undefined;
      continue;
    }
    text += token.text;
    previous = token;
  }
  return text;
}

/** Tokens that a space must keep apart: side by side they would be read as others. */
function wouldMerge(a: Token, b: Token): boolean {
  const isWord = (t: Token): boolean => t.kind === TokenKind.IDENTIFIER || t.kind === TokenKind.NUMBER;
  if (isWord(a)) {
    if (isWord(b)) return true;
    if (a.kind === TokenKind.NUMBER) return /^[.+-]/.test(b.text);
    return b.kind === TokenKind.STRING || b.kind === TokenKind.CHARACTER;
  }
  if (a.kind !== TokenKind.PUNCTUATOR) return false;
  if (a.text === ".") return b.kind === TokenKind.NUMBER || b.text.startsWith(".");
  return b.kind === TokenKind.PUNCTUATOR && MERGING.has(a.text[a.text.length - 1]! + b.text[0]!);
}

/** Two characters that begin or are an operator, or a comment. */
const MERGING: ReadonlySet<string> = new Set(
  "++ -- -> << >> <= >= == != && || += -= *= /= %= &= ^= |= ## // /* .. <: <% :> %> %:".split(" "),
);
