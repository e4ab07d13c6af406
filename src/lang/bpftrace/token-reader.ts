/** Tokens with one token of lookahead, marks to go back to, and the errors of a parse: what the parsers of the parts of a script share. */
import type { Diagnostic, Span } from "../../base/index.ts";
import { Lexer, type Token, type TokenKind } from "./lexer.ts";

/** Thrown after a syntax error was reported: the nearest statement or probe that can go on catches it. */
export class SyntaxFault extends Error {}

/** Errors after which a parse ends: more would only repeat. */
const ERROR_LIMIT = 30;

/** How deep a script may nest. The stages behind the parser recurse over the tree; this keeps them far from the end of the stack. */
export const NESTING_LIMIT = 256;

/** A token as messages name it. */
export function describeToken(token: Token): string {
  switch (token.kind) {
    case "punctuation":
      return token.text;
    case "identifier":
      return `identifier '${token.text}'`;
    case "integer":
      return `integer ${token.text}`;
    case "variable":
      return `variable $${token.text}`;
    case "positional":
      return `parameter $${token.text}`;
    case "map":
      return `map @${token.text}`;
    default:
      return token.kind;
  }
}

/** Reads tokens of one script for its parsers. */
export class TokenReader {
  readonly text: string;
  readonly diagnostics: Diagnostic[] = [];
  protected readonly lexer: Lexer;
  protected token: Token;
  /** End of the token before: where a node that ends here ends. */
  protected previousEnd = 0;
  private depth = 0;
  private silent = 0;
  /** Errors met while silent: an attempt that meets one has failed. */
  private unreported = 0;
  private givenUp = false;
  /** Attempts that failed, by name and place: they fail again, and tried at each level of nesting they would take exponential time. */
  private readonly failedAttempts = new Set<string>();

  constructor(text: string) {
    this.text = text;
    this.lexer = new Lexer(text, (d) => this.add(d));
    if (text.startsWith("#!")) this.lexer.position = text.includes("\n") ? text.indexOf("\n") : text.length;
    this.token = this.lexer.next();
  }

  /** True when so much is wrong that reading on is of no use. */
  protected get exhausted(): boolean {
    return this.givenUp || this.diagnostics.length >= ERROR_LIMIT;
  }

  private add(diagnostic: Diagnostic): void {
    if (this.silent > 0) {
      this.unreported++;
      return;
    }
    if (this.exhausted) return;
    const { start } = diagnostic.span;
    if (this.diagnostics.some((d) => d.span.start === start)) return;
    this.diagnostics.push(diagnostic);
  }

  protected error(span: Span, message: string, hint?: string): void {
    this.add({ severity: "error", message, span, ...(hint === undefined ? {} : { hint }) });
  }

  /** Reports what stands here where something else should, and gives up the construct. */
  protected unexpected(expecting: string, hint?: string): never {
    const { start, end } = this.token;
    this.error(
      { start, end },
      `syntax error, unexpected ${describeToken(this.token)}${expecting ? `, expecting ${expecting}` : ""}`,
      hint,
    );
    throw new SyntaxFault();
  }

  protected advance(): Token {
    const token = this.token;
    this.previousEnd = token.end;
    this.token = this.lexer.next();
    return token;
  }

  /** Moves to an offset of the text and reads a token there. */
  protected moveTo(offset: number): void {
    this.lexer.position = offset;
    this.token = this.lexer.next();
  }

  protected is(punctuation: string): boolean {
    return this.token.kind === "punctuation" && this.token.text === punctuation;
  }

  protected isKind(kind: TokenKind): boolean {
    return this.token.kind === kind;
  }

  protected isWord(word: string): boolean {
    return this.token.kind === "identifier" && this.token.text === word;
  }

  protected accept(punctuation: string): boolean {
    if (!this.is(punctuation)) return false;
    this.advance();
    return true;
  }

  protected acceptWord(word: string): boolean {
    if (!this.isWord(word)) return false;
    this.advance();
    return true;
  }

  protected expect(punctuation: string, expecting: string = punctuation, hint?: string): Token {
    if (!this.is(punctuation)) this.unexpected(expecting, hint);
    return this.advance();
  }

  protected expectIdentifier(what: string): Token {
    if (this.token.kind !== "identifier") this.unexpected(what);
    return this.advance();
  }

  protected expectInteger(what: string): Token {
    if (this.token.kind !== "integer") this.unexpected(what);
    return this.advance();
  }

  protected spanFrom(start: number): Span {
    return { start, end: Math.max(start, this.previousEnd) };
  }

  /** Tries a reading (`name` tells it from others at the same place) without reporting; goes back when it returns undefined or meets a syntax error. */
  protected attempt<T>(name: string, read: () => T | undefined): T | undefined {
    const { token, previousEnd } = this;
    const place = `${name} ${token.start}`;
    if (this.failedAttempts.has(place)) return undefined;
    const position = this.lexer.position;
    const { unreported } = this;
    let result: T | undefined;
    this.silent++;
    try {
      result = read();
    } catch (fault) {
      if (!(fault instanceof SyntaxFault)) throw fault;
    } finally {
      this.silent--;
    }
    if (result === undefined || this.unreported > unreported) {
      this.failedAttempts.add(place);
      this.lexer.position = position;
      this.token = token;
      this.previousEnd = previousEnd;
      return undefined;
    }
    return result;
  }

  /** The token after this one. */
  protected peek(): Token {
    const position = this.lexer.position;
    this.silent++;
    const token = this.lexer.next();
    this.silent--;
    this.lexer.position = position;
    return token;
  }

  /** Runs `read` one level deeper. */
  protected nested<T>(read: () => T): T {
    if (this.depth >= NESTING_LIMIT) {
      const { start, end } = this.token;
      this.error({ start, end }, `nested more than ${NESTING_LIMIT} levels deep`, "split it with variables: $x = ...;");
      // Whatever follows could only say so again.
      if (this.silent === 0) this.givenUp = true;
      throw new SyntaxFault();
    }
    this.depth++;
    try {
      return read();
    } finally {
      this.depth--;
    }
  }
}
