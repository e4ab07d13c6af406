/** Macros, and what an expansion makes of their bodies (C11 6.10.3 with GNU named varargs, comma elision and `__VA_OPT__`). */
import type { Diagnostics } from "../diagnostics.ts";
import type { Name, NameTable } from "../names.ts";
import type { Expansion, SourceMap } from "../source-map.ts";
import { Token, TokenFlag, TokenKind } from "./token.ts";

/** A definition. */
export interface Macro {
  readonly name: Name;
  /** Of its name in the `#define`. */
  readonly location: number;
  /** Undefined for macros without parentheses. A variadic one has its last parameter here too. */
  readonly params: readonly Name[] | undefined;
  /** The last parameter takes all arguments that are left. */
  readonly variadic: boolean;
  readonly body: readonly Token[];
  /** Made by the preprocessor itself at each use. */
  readonly builtin?: (use: Token) => Token | undefined;
  /** Being expanded: its name within is painted. */
  disabled: boolean;
}

/** True when two definitions are the same (C11 6.10.3p1). */
export function sameMacro(a: Macro, b: Macro): boolean {
  return (
    a.variadic === b.variadic &&
    a.params?.length === b.params?.length &&
    (a.params ?? []).every((param, i) => param === b.params?.[i]) &&
    a.body.length === b.body.length &&
    a.body.every((token, i) => {
      const other = b.body[i]!;
      const space = i > 0 && (token.flags & TokenFlag.SPACE) !== (other.flags & TokenFlag.SPACE);
      return token.text === other.text && token.kind === other.kind && !space;
    })
  );
}

/** What the substitution needs of its preprocessor. */
export interface Substituter {
  readonly names: NameTable;
  readonly sources: SourceMap;
  readonly diagnostics: Diagnostics;
  /** `__VA_OPT__`, interned. */
  readonly vaOpt: Name;
  /** An argument with its macros expanded. */
  expandArgument(tokens: readonly Token[]): Token[];
}

/** One use of a macro: its arguments, each expanded at most once. */
export class Substitution {
  private readonly context: Substituter;
  private readonly macro: Macro;
  private readonly args: readonly (readonly Token[])[];
  private readonly expansion: Expansion;
  private readonly expanded: (readonly Token[] | undefined)[] = [];

  constructor(context: Substituter, macro: Macro, args: readonly (readonly Token[])[], expansion: Expansion) {
    this.context = context;
    this.macro = macro;
    this.args = args;
    this.expansion = expansion;
  }

  /** The body with the arguments in place, ready to be scanned again. */
  run(): Token[] {
    return this.substitute(this.macro.body).filter((token) => token.kind !== TokenKind.PLACEMARKER);
  }

  private paramAt(body: readonly Token[], index: number): number {
    const name = body[index]?.name;
    return name === undefined ? -1 : (this.macro.params?.indexOf(name) ?? -1);
  }

  private placed(token: Token, flags: number): Token {
    return token.at(this.context.sources.expanded(token.location, this.expansion), flags);
  }

  /** Tokens of an argument where a parameter stood, which tells whether there is space before the first. */
  private placedAll(tokens: readonly Token[], param: Token): Token[] {
    return tokens.map((token, i) =>
      this.placed(
        token,
        i === 0
          ? (token.flags & ~(TokenFlag.SPACE | TokenFlag.LINE_START)) | (param.flags & TokenFlag.SPACE)
          : token.flags,
      ),
    );
  }

  private placemarker(at: Token): Token {
    return new Token(TokenKind.PLACEMARKER, "", at.location, at.flags & TokenFlag.SPACE);
  }

  private expandedArgument(param: number): readonly Token[] {
    return (this.expanded[param] ??= this.context.expandArgument(this.args[param]!));
  }

  private isVariadic(param: number): boolean {
    return this.macro.variadic && param === this.macro.params!.length - 1;
  }

  private substitute(body: readonly Token[]): Token[] {
    const result: Token[] = [];
    const functionLike = this.macro.params !== undefined;
    let pasting = false;
    for (let i = 0; i < body.length; i++) {
      const token = body[i]!;
      if (token.is("##") && i > 0 && i + 1 < body.length) {
        pasting = true;
        continue;
      }
      let operand: Token[];
      const param = this.paramAt(body, i);
      if (functionLike && token.is("#") && this.paramAt(body, i + 1) !== -1) {
        const arg = this.args[this.paramAt(body, ++i)]!;
        operand = [this.placed(stringify(arg, token), token.flags)];
      } else if (functionLike && token.is("#") && body[i + 1]?.name === this.context.vaOpt) {
        const [inside, end] = this.optional(body, i + 1);
        operand = [this.placed(stringify(inside, token), token.flags)];
        i = end;
      } else if (functionLike && token.name === this.context.vaOpt && this.macro.variadic) {
        const [inside, end] = this.optional(body, i);
        operand = inside.length === 0 ? [this.placemarker(token)] : inside;
        i = end;
      } else if (param !== -1) {
        const raw = pasting || (body[i + 1]?.is("##") === true && i + 2 < body.length);
        const tokens = raw ? this.args[param]! : this.expandedArgument(param);
        if (pasting && this.isVariadic(param) && result.at(-1)?.is(",") === true) {
          // GNU: a comma before `## __VA_ARGS__` goes when nothing follows, and is not pasted when something does.
          pasting = false;
          if (tokens.length === 0) result.pop();
          result.push(...this.placedAll(tokens, token));
          continue;
        }
        operand = tokens.length === 0 ? [this.placemarker(token)] : this.placedAll(tokens, token);
      } else operand = [this.placed(token, token.flags)];

      if (pasting) {
        pasting = false;
        const left = result.pop();
        const pasted = left === undefined ? operand.slice(0, 1) : this.paste(left, operand[0]!);
        result.push(...pasted, ...operand.slice(1));
      } else result.push(...operand);
    }
    return result;
  }

  /** Contents of `__VA_OPT__(…)` at `index` when there are variable arguments, nothing otherwise; and where it ends. */
  private optional(body: readonly Token[], index: number): [Token[], number] {
    let depth = 0;
    let end = index + 1;
    for (; end < body.length; end++) {
      if (body[end]!.is("(")) depth++;
      else if (body[end]!.is(")") && --depth === 0) break;
    }
    const last = this.macro.params!.length - 1;
    if (this.expandedArgument(last).length === 0) return [[], end];
    return [this.substitute(body.slice(index + 2, end)), end];
  }

  private paste(left: Token, right: Token): Token[] {
    if (left.kind === TokenKind.PLACEMARKER)
      return [right.at(right.location, (right.flags & ~TokenFlag.SPACE) | left.flags)];
    if (right.kind === TokenKind.PLACEMARKER) return [left];
    const text = left.text + right.text;
    const kind = kindOf(text);
    if (kind === undefined) {
      this.context.diagnostics.error(
        left.location,
        `pasting "${left.text}" and "${right.text}" does not make one token`,
        {
          hint: "## joins two tokens to one, such as a name and a number",
        },
      );
      return [left, right];
    }
    const name = kind === TokenKind.IDENTIFIER ? this.context.names.intern(text) : undefined;
    return [new Token(kind, name?.text ?? text, left.location, left.flags & ~TokenFlag.PAINTED, name)];
  }
}

const PUNCTUATORS: ReadonlySet<string> = new Set(
  "[ ] ( ) { } . -> ++ -- & * + - ~ ! / % << >> < > <= >= == != ^ | && || ? : ; ... = *= /= %= += -= <<= >>= &= ^= |= , # ##".split(
    " ",
  ),
);

/** What a text is as one token; undefined when it is none. */
function kindOf(text: string): TokenKind | undefined {
  if (/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(text)) return TokenKind.IDENTIFIER;
  if (/^\.?\d(?:[eEpP][+-]|[\w.])*$/.test(text)) return TokenKind.NUMBER;
  if (PUNCTUATORS.has(text)) return TokenKind.PUNCTUATOR;
  if (/^(?:L|u|U|u8)?"(?:[^"\\\n]|\\.)*"$/.test(text)) return TokenKind.STRING;
  if (/^(?:L|u|U)?'(?:[^'\\\n]|\\.)+'$/.test(text)) return TokenKind.CHARACTER;
  return undefined;
}

/** `#param`: the argument's spelling as a string, white space as single spaces. */
function stringify(tokens: readonly Token[], at: Token): Token {
  let text = "";
  for (const [i, token] of tokens.entries()) {
    if (token.kind === TokenKind.PLACEMARKER) continue;
    if (i > 0 && (token.flags & (TokenFlag.SPACE | TokenFlag.LINE_START)) !== 0) text += " ";
    const literal = token.kind === TokenKind.STRING || token.kind === TokenKind.CHARACTER;
    text += literal ? token.text.replace(/["\\]/g, "\\$&") : token.text;
  }
  return new Token(TokenKind.STRING, `"${text}"`, at.location, at.flags);
}
