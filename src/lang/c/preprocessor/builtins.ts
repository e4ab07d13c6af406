/** Macros that the preprocessor makes itself: `__LINE__`, `__COUNTER__`, `__has_include`, `_Pragma` and their like. */
import type { Preprocessor } from "./preprocessor.ts";
import { Token, TokenKind } from "./token.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const QUESTIONS: readonly string[] = [
  "__has_builtin",
  "__has_attribute",
  "__has_c_attribute",
  "__has_feature",
  "__has_extension",
  "__has_declspec_attribute",
  "__has_warning",
  "__is_identifier",
];

/** Defines the built-in macros of a preprocessor. */
export class BuiltinMacros {
  private readonly preprocessor: Preprocessor;
  private readonly mainFile: string;
  private counter = 0;

  constructor(preprocessor: Preprocessor, mainFile: string) {
    this.preprocessor = preprocessor;
    this.mainFile = mainFile;
  }

  define(): void {
    const date = this.preprocessor.options.date ?? new Date();
    const day = String(date.getDate()).padStart(2, " ");
    const two = (n: number): string => String(n).padStart(2, "0");
    const sources = this.preprocessor.sources;
    this.text("__LINE__", (use) => String(sources.place(use.location).line));
    this.text("__FILE__", (use) => quoted(sources.place(use.location).path));
    this.text("__FILE_NAME__", (use) => quoted(sources.place(use.location).path.replace(/^.*\//, "")));
    this.text("__BASE_FILE__", () => quoted(this.mainFile));
    this.text("__COUNTER__", () => String(this.counter++));
    this.text("__INCLUDE_LEVEL__", () => String(this.preprocessor.openFiles.length - 1));
    this.text("__DATE__", () => quoted(`${MONTHS[date.getMonth()]} ${day} ${date.getFullYear()}`));
    this.text("__TIME__", () => quoted(`${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`));
    for (const question of QUESTIONS) this.define1(question, (use) => this.ask(use, question));
    this.define1("__has_include", (use) => this.hasInclude(use, false));
    this.define1("__has_include_next", (use) => this.hasInclude(use, true));
    this.define1("_Pragma", (use) => this.pragma(use));
  }

  private define1(text: string, builtin: (use: Token) => Token | undefined): void {
    const name = this.preprocessor.names.intern(text);
    this.preprocessor.macroStarts.add(text);
    name.macro = { name, location: 0, params: undefined, variadic: false, body: [], builtin, disabled: false };
  }

  private text(name: string, make: (use: Token) => string): void {
    this.define1(name, (use) => {
      const text = make(use);
      const kind = text.startsWith('"') ? TokenKind.STRING : TokenKind.NUMBER;
      return new Token(kind, text, use.location, use.flags);
    });
  }

  private error(use: Token, what: string): undefined {
    this.preprocessor.diagnostics.error(use.location, what, { length: use.text.length });
    return undefined;
  }

  private answer(use: Token, yes: boolean): Token {
    return new Token(TokenKind.NUMBER, yes ? "1" : "0", use.location, use.flags);
  }

  /** Tokens between the parentheses that follow, unexpanded; undefined when there are none. */
  private argument(use: Token): Token[] | undefined {
    const { preprocessor } = this;
    if (!preprocessor.nextUnexpanded().is("(")) return this.error(use, `${use.text} needs an argument in parentheses`);
    const tokens: Token[] = [];
    for (let depth = 0; ;) {
      const token = preprocessor.nextUnexpanded();
      if (token.kind === TokenKind.END || token.kind === TokenKind.LINE_END)
        return this.error(use, `the argument of ${use.text} has no closing parenthesis`);
      if (token.is("(")) depth++;
      else if (token.is(")") && depth-- === 0) return tokens;
      tokens.push(token);
    }
  }

  private ask(use: Token, question: string): Token | undefined {
    const tokens = this.argument(use);
    if (tokens === undefined) return undefined;
    const name = tokens.map((token) => token.text).join("");
    return this.answer(use, this.preprocessor.options.known?.(question, name) === true);
  }

  private hasInclude(use: Token, next: boolean): Token | undefined {
    const tokens = this.argument(use);
    if (tokens === undefined) return undefined;
    const [first] = tokens;
    const expanded =
      first?.kind === TokenKind.STRING || first?.is("<") === true ? tokens : this.preprocessor.expandArgument(tokens);
    const text = expanded.map((token) => token.text).join("");
    if (!/^(?:".+"|<.+>)$/.test(text)) return this.error(use, `${use.text} needs "FILE" or <FILE>`);
    const request = {
      name: text.slice(1, -1),
      angled: text.startsWith("<"),
      from: this.preprocessor.lexer.file.path,
      next,
    };
    return this.answer(use, this.preprocessor.headers.find(request) !== undefined);
  }

  private pragma(use: Token): Token | undefined {
    const tokens = this.argument(use);
    if (tokens === undefined) return undefined;
    const [string] = tokens;
    if (tokens.length !== 1 || string?.kind !== TokenKind.STRING) return this.error(use, "_Pragma needs a string");
    const text = string.text.slice(string.text.indexOf('"') + 1, -1).replace(/\\(["\\])/g, "$1");
    return this.preprocessor.pragma(use, text);
  }
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
