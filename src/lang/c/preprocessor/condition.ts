/** Conditions of `#if` and `#elif`: integer constant expressions of 64 bits (C11 6.10.1). */
import { precedence } from "../precedence.ts";
import { characterValue, integerConstant } from "./constants.ts";
import type { Preprocessor } from "./preprocessor.ts";
import { type Token, TokenKind } from "./token.ts";

interface Value {
  /** Wrapped to 64 bits. */
  readonly value: bigint;
  readonly unsigned: boolean;
}

const ZERO: Value = { value: 0n, unsigned: false };

/** Deeper parentheses are an attack. */
const MOST_NESTED = 256;

class Malformed extends Error {
  readonly at: Token;
  readonly what: string;

  constructor(at: Token, what: string) {
    super(what);
    this.at = at;
    this.what = what;
  }
}

/** One condition. */
export class Condition {
  private readonly preprocessor: Preprocessor;
  private readonly directive: Token;
  private readonly tokens: readonly Token[];
  private token: Token;
  private depth = 0;

  constructor(preprocessor: Preprocessor, directive: Token, tokens: readonly Token[]) {
    this.preprocessor = preprocessor;
    this.directive = directive;
    this.tokens = tokens;
    this.token = directive;
  }

  /** Whether it holds; false after an error, which has been reported. */
  evaluate(): boolean {
    const { preprocessor } = this;
    preprocessor.openList(this.tokens);
    try {
      this.advance();
      if (this.atEnd()) throw new Malformed(this.directive, `#${this.directive.text} needs a condition`);
      const { value } = this.ternary(true);
      if (!this.atEnd()) throw new Malformed(this.token, `${this.token.text} is unexpected here`);
      return value !== 0n;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      const { at, what } = error;
      const last = this.tokens.at(-1) ?? this.directive;
      if (at.kind === TokenKind.END)
        preprocessor.diagnostics.error(preprocessor.sources.behind(last.location, last.text.length), what);
      else preprocessor.diagnostics.error(at.location, what, { length: Math.max(1, at.text.length) });
      return false;
    } finally {
      preprocessor.closeList();
    }
  }

  private atEnd(): boolean {
    return this.token.kind === TokenKind.END;
  }

  private advance(): void {
    this.token = this.preprocessor.next();
  }

  private expect(punctuator: string): void {
    if (!this.token.is(punctuator)) throw new Malformed(this.token, `${punctuator} is missing in the condition`);
    this.advance();
  }

  /** `live`: its value counts; what does not may divide by zero. */
  private ternary(live: boolean): Value {
    if (++this.depth > MOST_NESTED) throw new Malformed(this.token, "the condition is nested too deeply");
    const condition = this.binary(1, live);
    this.depth--;
    if (!this.token.is("?")) return condition;
    this.advance();
    const holds = condition.value !== 0n;
    const then = this.ternary(live && holds);
    this.expect(":");
    const otherwise = this.ternary(live && !holds);
    const unsigned = then.unsigned || otherwise.unsigned;
    return wrap((holds ? then : otherwise).value, unsigned);
  }

  private binary(least: number, live: boolean): Value {
    let left = this.unary(live);
    for (;;) {
      const operator = this.token;
      const level = operator.kind === TokenKind.PUNCTUATOR ? (precedence[operator.text] ?? 0) : 0;
      if (level < least) return left;
      this.advance();
      if (operator.text === "&&" || operator.text === "||") {
        const decided = (operator.text === "||") === (left.value !== 0n);
        const right = this.binary(level + 1, live && !decided);
        left = truth(decided ? left.value !== 0n : right.value !== 0n);
      } else left = this.combine(operator, left, this.binary(level + 1, live), live);
    }
  }

  private combine(operator: Token, a: Value, b: Value, live: boolean): Value {
    const unsigned = a.unsigned || b.unsigned;
    const x = wrap(a.value, unsigned).value;
    const y = wrap(b.value, unsigned).value;
    switch (operator.text) {
      case "|":
        return wrap(x | y, unsigned);
      case "^":
        return wrap(x ^ y, unsigned);
      case "&":
        return wrap(x & y, unsigned);
      case "==":
        return truth(x === y);
      case "!=":
        return truth(x !== y);
      case "<":
        return truth(x < y);
      case ">":
        return truth(x > y);
      case "<=":
        return truth(x <= y);
      case ">=":
        return truth(x >= y);
      // The type of a shift is that of its left side.
      case "<<":
        return wrap(b.value < 0n || b.value > 63n ? 0n : a.value << b.value, a.unsigned);
      case ">>":
        return wrap(a.value >> (b.value < 0n || b.value > 63n ? 63n : b.value), a.unsigned);
      case "+":
        return wrap(x + y, unsigned);
      case "-":
        return wrap(x - y, unsigned);
      case "*":
        return wrap(x * y, unsigned);
      default:
        if (y === 0n) {
          if (live) throw new Malformed(operator, "division by zero in the condition");
          return wrap(0n, unsigned);
        }
        return wrap(operator.text === "/" ? x / y : x % y, unsigned);
    }
  }

  private unary(live: boolean): Value {
    const { token } = this;
    if (token.kind !== TokenKind.PUNCTUATOR) return this.primary();
    if (++this.depth > MOST_NESTED) throw new Malformed(token, "the condition is nested too deeply");
    this.advance();
    let result: Value;
    switch (token.text) {
      case "(":
        result = this.ternary(live);
        this.expect(")");
        break;
      case "!":
        result = truth(this.unary(live).value === 0n);
        break;
      case "-": {
        const { value, unsigned } = this.unary(live);
        result = wrap(-value, unsigned);
        break;
      }
      case "~": {
        const { value, unsigned } = this.unary(live);
        result = wrap(~value, unsigned);
        break;
      }
      case "+":
        result = this.unary(live);
        break;
      default:
        throw new Malformed(token, `${token.text} is unexpected in a condition`);
    }
    this.depth--;
    return result;
  }

  private primary(): Value {
    const { token } = this;
    if (token.kind === TokenKind.END) throw new Malformed(token, "the condition ends too early");
    if (token.text === "defined" && token.kind === TokenKind.IDENTIFIER) return this.defined(token);
    if (token.kind === TokenKind.NUMBER) {
      const constant = integerConstant(token.text);
      if ("problem" in constant) throw new Malformed(token, constant.problem);
      this.advance();
      return wrap(constant.value, constant.unsigned || constant.value >= 1n << 63n);
    }
    if (token.kind === TokenKind.CHARACTER) {
      const constant = characterValue(token.text);
      if ("problem" in constant) throw new Malformed(token, constant.problem);
      this.advance();
      return wrap(constant.value, false);
    }
    if (token.kind !== TokenKind.IDENTIFIER) throw new Malformed(token, `${token.text} is no integer`);
    // What is no macro is 0, with an exception that C23 has too.
    this.advance();
    if (token.text === "true") return truth(true);
    if (this.token.is("(")) throw new Malformed(token, `there is no macro ${token.text}`);
    const value = this.preprocessor.options.macroValue?.(token.text);
    return value === undefined ? ZERO : wrap(value, value >= 1n << 63n);
  }

  private defined(at: Token): Value {
    const { preprocessor } = this;
    let token = preprocessor.nextUnexpanded();
    const open = token.is("(");
    if (open) token = preprocessor.nextUnexpanded();
    if (token.name === undefined) throw new Malformed(at, "defined needs the name of a macro");
    const { macro, text } = token.name;
    if (open && !preprocessor.nextUnexpanded().is(")")) throw new Malformed(at, "defined( has no closing parenthesis");
    this.advance();
    return truth(macro !== undefined || preprocessor.options.macroValue?.(text) !== undefined);
  }
}

function truth(holds: boolean): Value {
  return { value: holds ? 1n : 0n, unsigned: false };
}

function wrap(value: bigint, unsigned: boolean): Value {
  return { value: unsigned ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value), unsigned };
}
