/** Reads one statement of assembly text: words, numbers and signs, each with its place for errors. */
import type { Diagnostic, Span } from "../base/index.ts";

/** Thrown inside the assembler to leave a statement; becomes part of a ScriptError. */
export class StatementError extends Error {
  readonly diagnostic: Diagnostic;

  constructor(message: string, span: Span, hint?: string) {
    super(message);
    this.diagnostic = { severity: "error", message, span, ...(hint === undefined ? {} : { hint }) };
  }
}

/** A number as written. */
export interface NumberToken extends Span {
  readonly value: bigint;
  readonly hex: boolean;
}

const SPACE = /[ \t\r]*/y;
const WORD = /[A-Za-z_.$][\w.$]*/y;
const NUMBER = /[+-]?\s*(?:0[xX][0-9a-fA-F]+|\d+)(?![\w.])/y;
const NEXT = /[A-Za-z_.$][\w.$]*|\d\w*|\S/y;

/** A cursor over one statement, `start` to `end` of a text, comments already cut off. */
export class Scanner {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  at: number;
  /** Where the last thing taken ended, before the spaces after it. */
  lastEnd: number;

  constructor(text: string, start: number, end: number) {
    this.text = text.slice(0, end);
    this.start = start;
    this.end = end;
    this.at = start;
    this.lastEnd = start;
    this.skip();
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  private skip(): void {
    this.at += this.match(SPACE)?.length ?? 0;
  }

  /** Whether nothing is left. */
  get done(): boolean {
    return this.at >= this.end;
  }

  /** The next word without taking it. */
  peekWord(): string | undefined {
    return this.match(WORD);
  }

  /** Takes a word. */
  word(): string | undefined {
    const word = this.match(WORD);
    if (word !== undefined) this.advance(word.length);
    return word;
  }

  /** Takes `wanted` if it comes next; a word only when it ends there. */
  take(wanted: string): boolean {
    if (!this.text.startsWith(wanted, this.at)) return false;
    const last = wanted.at(-1) ?? "";
    if (/\w/.test(last) && /\w/.test(this.text[this.at + wanted.length] ?? "")) return false;
    this.advance(wanted.length);
    return true;
  }

  /** Takes several signs or words in a row, or none of them. */
  takeAll(...wanted: string[]): boolean {
    const from = this.at;
    if (wanted.every((one) => this.take(one))) return true;
    this.at = from;
    return false;
  }

  /** Takes `wanted` or fails. */
  expect(wanted: string): void {
    if (!this.take(wanted)) throw this.failure(`${JSON.stringify(wanted)} expected`);
  }

  /** Takes the longest of several signs that comes next. */
  oneOf(signs: readonly string[]): string | undefined {
    let best: string | undefined;
    for (const sign of signs) {
      if (sign.length > (best?.length ?? 0) && this.text.startsWith(sign, this.at)) best = sign;
    }
    if (best !== undefined) this.advance(best.length);
    return best;
  }

  /** Takes a number, decimal or hexadecimal, with its sign. */
  number(): NumberToken | undefined {
    const text = this.match(NUMBER);
    if (text === undefined) return undefined;
    const start = this.at;
    this.advance(text.length);
    const bare = text.replace(/[+-]?\s*/, "");
    const value = BigInt(bare);
    return {
      value: text.startsWith("-") ? -value : value,
      hex: bare.startsWith("0x") || bare.startsWith("0X"),
      start,
      end: start + text.length,
    };
  }

  private advance(length: number): void {
    this.at += length;
    this.lastEnd = this.at;
    this.skip();
  }

  /** An error at what comes next. */
  failure(message: string, hint?: string): StatementError {
    const found = this.match(NEXT);
    const where = found === undefined ? "at the end of the statement" : `found ${JSON.stringify(found)}`;
    return new StatementError(`${message}, ${where}`, { start: this.at, end: this.at + (found?.length ?? 1) }, hint);
  }

  /** An error at a place passed before. */
  failureAt(span: Span, message: string, hint?: string): StatementError {
    return new StatementError(message, span, hint);
  }
}
