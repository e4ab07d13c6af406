/** The parser's view of the tokens: any number ahead, pragmas taken out on the way. */
import type { Diagnostics } from "../diagnostics.ts";
import type { Name } from "../names.ts";
import type { Preprocessor, SkippedBody } from "../preprocessor/preprocessor.ts";
import type { SkippedDefinition } from "../preprocessor/skip-body.ts";
import { type Token, TokenKind } from "../preprocessor/token.ts";

/** Reads tokens for a parser. */
export class TokenStream {
  private readonly preprocessor: Preprocessor;
  private readonly source: { next(): Token };
  private readonly diagnostics: Diagnostics;
  private readonly pragma: (token: Token) => void;
  private readonly ahead: Token[] = [];
  private last: Token | undefined;
  /** Tokens that have been taken. */
  taken = 0;

  /** `pragma` is called for each pragma when the token before it has been read. Tokens come from `source` when there is one. */
  constructor(
    preprocessor: Preprocessor,
    diagnostics: Diagnostics,
    pragma: (token: Token) => void,
    source: { next(): Token } = preprocessor,
  ) {
    this.preprocessor = preprocessor;
    this.source = source;
    this.diagnostics = diagnostics;
    this.pragma = pragma;
  }

  /** The token `distance` ahead; pragmas before the very next one take effect. */
  peek(distance: number = 0): Token {
    while (this.ahead.length <= distance) this.ahead.push(this.source.next());
    for (let i = 0; i <= distance;) {
      const token = this.ahead[i]!;
      if (token.kind !== TokenKind.PRAGMA) i++;
      else {
        // Out of turn only when a whole pragma stands between two tokens of one construct.
        this.ahead.splice(i, 1);
        this.pragma(token);
        while (this.ahead.length <= distance) this.ahead.push(this.source.next());
      }
    }
    return this.ahead[distance]!;
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== TokenKind.END) this.ahead.shift();
    this.last = token;
    this.taken++;
    return token;
  }

  /**
   * Reads a name that was just taken once more, after it has become a macro. `definition` is what stands behind `#define`; false when the
   * name is one already.
   */
  expand(name: Token, definition: string): boolean {
    if (this.source !== this.preprocessor || name.name === undefined || name.name.macro !== undefined) return false;
    this.preprocessor.define(definition);
    this.preprocessor.reread([name, ...this.ahead.splice(0)]);
    return true;
  }

  /** Passes over the body whose opening brace comes next. Undefined when it must be read. */
  skipBody(): SkippedBody | undefined {
    if (this.source !== this.preprocessor || this.ahead.length !== 1) return undefined;
    const skipped = this.preprocessor.skipBody();
    if (skipped !== undefined) this.ahead.pop();
    return skipped;
  }

  /** As {@link skipBody} for an enum; gives the names of its constants too. */
  skipEnum(): (SkippedBody & { readonly names: readonly Name[] }) | undefined {
    if (this.source !== this.preprocessor || this.ahead.length !== 1) return undefined;
    const skipped = this.preprocessor.skipEnum();
    if (skipped !== undefined) this.ahead.pop();
    return skipped;
  }

  /** A definition that comes next and can be passed over whole, by {@link passOver}; undefined when it must be read. */
  definitionAhead(): ReturnType<Preprocessor["definitionAhead"]> {
    return this.source === this.preprocessor && this.ahead.length === 0
      ? this.preprocessor.definitionAhead()
      : undefined;
  }

  passOver(definition: SkippedDefinition): void {
    this.preprocessor.passOver(definition);
  }

  /** The tokens of a body that was passed over, up to its closing brace and beyond. */
  body(skipped: SkippedBody): TokenStream {
    const { preprocessor, diagnostics, pragma } = this;
    return new TokenStream(preprocessor, diagnostics, pragma, preprocessor.bodyLexer(skipped));
  }

  /** Location of the next token. */
  get location(): number {
    return this.peek().location;
  }

  get atEnd(): boolean {
    return this.peek().kind === TokenKind.END;
  }

  /** True when the next token is this punctuator or word. */
  at(text: string): boolean {
    return isToken(this.peek(), text);
  }

  /** Takes the next token when it is this punctuator or word. */
  accept(text: string): Token | undefined {
    return this.at(text) ? this.next() : undefined;
  }

  /** Takes this punctuator or word, or reports that it is missing behind what came before. */
  expect(text: string, where: string): Token | undefined {
    if (this.at(text)) return this.next();
    const found = this.peek();
    const what = found.kind === TokenKind.END ? "the end of the file" : found.text;
    const message = `${text} is missing ${where}, here is ${what}`;
    // A semicolon belongs to what it ends, wherever the next thing stands.
    if (text === ";" && this.last !== undefined)
      this.diagnostics.error(this.diagnostics.sources.behind(this.last.location, this.last.text.length), message);
    else this.diagnostics.error(found.location, message, { length: Math.max(1, found.text.length) });
    return undefined;
  }

  /** Goes behind the next `;` at this depth, or before a `}` that closes it: to go on after an error. */
  recover(): void {
    for (let depth = 0; !this.atEnd;) {
      if (depth === 0 && this.at("}")) return;
      const token = this.next();
      if (token.is("{") || token.is("(") || token.is("[")) depth++;
      else if (token.is("}") || token.is(")") || token.is("]")) {
        depth--;
        if (depth <= 0 && token.is("}")) return;
      } else if (depth <= 0 && token.is(";")) return;
    }
  }
}

/** True for a punctuator or identifier spelled so. */
export function isToken(token: Token, text: string): boolean {
  return token.text === text && (token.kind === TokenKind.PUNCTUATOR || token.kind === TokenKind.IDENTIFIER);
}
