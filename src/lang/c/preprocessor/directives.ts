/** Directives: lines that begin with `#` (C11 6.10). */
import { nearestNames } from "../../../base/index.ts";
import type { Name } from "../names.ts";
import { Condition } from "./condition.ts";
import type { Lexer } from "./lexer.ts";
import { sameMacro } from "./macro.ts";
import type { Macro } from "./macro.ts";
import type { Preprocessor } from "./preprocessor.ts";
import { Token, TokenFlag, TokenKind, tokensToText } from "./token.ts";

/** An `#if` that has no `#endif` yet. */
interface Conditional {
  readonly location: number;
  readonly word: string;
  /** One of its groups was read: the others are passed over. */
  taken: boolean;
  /** Where its `#else` is. */
  elseAt: number | undefined;
}

type Directive = (at: Token) => Token | undefined;

const CONDITIONALS: readonly string[] = ["if", "ifdef", "ifndef", "elif", "elifdef", "elifndef", "else", "endif"];

/** Runs the directives of a preprocessor's files. */
export class Directives {
  private readonly preprocessor: Preprocessor;
  /** One list a file that is open. */
  private readonly conditionals: Conditional[][] = [];
  private readonly readOnce = new Set<string>();
  private readonly pushedMacros = new Map<Name, (Macro | undefined)[]>();

  constructor(preprocessor: Preprocessor) {
    this.preprocessor = preprocessor;
  }

  private readonly table: Readonly<Record<string, Directive>> = {
    define: (at) => this.define(at),
    undef: (at) => this.undef(at),
    include: (at) => this.include(at, false),
    include_next: (at) => this.include(at, true),
    import: (at) => this.include(at, false, true),
    if: (at) => this.open(at, "if", () => this.condition(at)),
    ifdef: (at) => this.open(at, "ifdef", () => this.isDefined(at)),
    ifndef: (at) => this.open(at, "ifndef", () => !this.isDefined(at)),
    elif: (at) => this.other(at, "elif"),
    elifdef: (at) => this.other(at, "elifdef"),
    elifndef: (at) => this.other(at, "elifndef"),
    else: (at) => this.other(at, "else"),
    endif: (at) => this.endif(at),
    error: (at) => this.message(at, "error"),
    warning: (at) => this.message(at, "warning"),
    line: (at) => this.line(at),
    pragma: (at) => this.pragma(at),
    ident: () => undefined,
    sccs: () => undefined,
  };

  private get lexer(): Lexer {
    return this.preprocessor.lexer;
  }

  enterFile(): void {
    this.conditionals.push([]);
  }

  /** At the end of a file: all its conditionals must be closed. */
  leaveFile(): void {
    const open = this.conditionals.at(-1)!;
    for (const { location, word } of open.toReversed()) {
      this.preprocessor.diagnostics.error(location, `#${word} has no #endif`, { length: word.length });
    }
    open.length = 0;
    if (this.conditionals.length > 1) this.conditionals.pop();
  }

  /** Runs the directive behind a `#` that has been read. Gives a token when the parser must know of it. */
  run(): Token | undefined {
    const { lexer } = this;
    lexer.inDirective = true;
    try {
      const word = lexer.next();
      // A line with nothing but its sign does nothing.
      if (word.kind === TokenKind.LINE_END) return undefined;
      const at = word;
      if (word.kind === TokenKind.NUMBER) return this.lineMarker(word);
      const directive = word.name === undefined ? undefined : this.lookUp(word.name.text);
      if (directive !== undefined) return directive(at);
      const near = nearestNames(word.text, Object.keys(this.table), 1);
      this.error(
        word,
        `there is no directive #${word.text}`,
        near[0] === undefined ? {} : { hint: `did you mean #${near[0]}?` },
      );
      return undefined;
    } finally {
      this.endLine(lexer);
    }
  }

  private lookUp(word: string): Directive | undefined {
    return Object.hasOwn(this.table, word) ? this.table[word] : undefined;
  }

  /** Passes over what is left of a directive's line, in the file where it is (an `#include` has opened another). */
  private endLine(lexer: Lexer): void {
    if (!lexer.inDirective) return;
    lexer.restOfLine();
    lexer.inDirective = false;
  }

  private error(at: Token, message: string, options: { readonly hint?: string } = {}): void {
    this.preprocessor.diagnostics.error(at.location, message, { length: Math.max(1, at.text.length), ...options });
  }

  /** Tokens up to the end of the line. */
  private lineTokens(): Token[] {
    const tokens: Token[] = [];
    for (let token = this.lexer.next(); token.kind !== TokenKind.LINE_END; token = this.lexer.next())
      tokens.push(token);
    return tokens;
  }

  private nothingMore(word: string): void {
    const token = this.lexer.next();
    if (token.kind === TokenKind.LINE_END) return;
    this.preprocessor.diagnostics.warning(token.location, `what follows #${word} on its line is ignored`, {
      length: token.text.length,
    });
  }

  private macroName(at: Token): Token | undefined {
    const token = this.lexer.next();
    if (token.kind === TokenKind.IDENTIFIER && token.text !== "defined") return token;
    const missing = token.kind === TokenKind.LINE_END;
    this.error(
      missing ? at : token,
      missing ? `#${at.text} needs the name of a macro` : `${token.text} cannot be a macro`,
    );
    return undefined;
  }

  private define(at: Token): undefined {
    const name = this.macroName(at);
    if (name === undefined) return;
    const body = this.lineTokens();
    let params: Name[] | undefined;
    let variadic = false;
    const first = body[0];
    if (first?.is("(") === true && (first.flags & TokenFlag.SPACE) === 0) {
      const read = this.parameters(body);
      if (read === undefined) return;
      ({ params, variadic } = read);
    }
    if (body[0] !== undefined) body[0].flags &= ~TokenFlag.SPACE;
    if (!this.checkBody(name, body, params, variadic)) return;
    const macro: Macro = { name: name.name!, location: name.location, params, variadic, body, disabled: false };
    const old = macro.name.macro;
    // Those of the compiler's own headers give way without a word.
    const given = old?.builtin === undefined && old !== undefined && this.isSystem(old.location);
    if (old !== undefined && !given && (old.builtin !== undefined || !sameMacro(old, macro))) {
      const notes = old.builtin === undefined ? [{ location: old.location, message: "it was defined here" }] : [];
      this.preprocessor.diagnostics.warning(name.location, `macro ${name.text} is defined anew`, {
        length: name.text.length,
        notes,
      });
    }
    macro.name.macro = macro;
    this.preprocessor.macroStarts.add(macro.name.text);
  }

  private isSystem(location: number): boolean {
    const { sources } = this.preprocessor;
    return sources.fileAt(sources.spelling(location)).system;
  }

  /** Takes the parameters off the front of a function-like macro's tokens. */
  private parameters(body: Token[]): { params: Name[]; variadic: boolean } | undefined {
    const params: Name[] = [];
    const { names } = this.preprocessor;
    const open = body.shift()!;
    for (;;) {
      const token = body.shift();
      if (token === undefined) {
        this.error(open, "the macro's parameters have no closing parenthesis");
        return undefined;
      }
      if (token.is(")") && params.length === 0) return { params, variadic: false };
      let variadic = false;
      if (token.is("...")) {
        params.push(names.intern("__VA_ARGS__"));
        variadic = true;
      } else if (token.name !== undefined) {
        if (params.includes(token.name)) {
          this.error(token, `the macro has two parameters ${token.text}`);
          return undefined;
        }
        params.push(token.name);
        // GNU: a name for the variable arguments.
        if (body[0]?.is("...") === true) {
          body.shift();
          variadic = true;
        }
      } else {
        this.error(token, `${token.text} cannot be a macro's parameter`);
        return undefined;
      }
      const after = body.shift();
      if (after?.is(")") === true) return { params, variadic };
      if (after?.is(",") !== true || variadic) {
        this.error(
          after ?? token,
          variadic ? "nothing may follow the variable arguments" : "a comma or ) is missing here",
        );
        return undefined;
      }
    }
  }

  private checkBody(
    name: Token,
    body: readonly Token[],
    params: readonly Name[] | undefined,
    variadic: boolean,
  ): boolean {
    const paste = [body[0], body.at(-1)].find((token) => token?.is("##"));
    if (paste !== undefined) {
      this.error(paste, "## joins two tokens: it cannot be the first or last of a macro");
      return false;
    }
    if (params === undefined) return true;
    const vaArgs = this.preprocessor.names.intern("__VA_ARGS__");
    for (const [i, token] of body.entries()) {
      const next = body[i + 1];
      if (
        token.is("#") &&
        (next?.name === undefined || !(params.includes(next.name) || next.name === this.preprocessor.vaOpt))
      ) {
        this.error(next ?? token, "# makes a string of a parameter of the macro: the name of one must follow");
        return false;
      }
      if (token.name === vaArgs && !variadic) {
        this.preprocessor.diagnostics.warning(token.location, `macro ${name.text} has no variable arguments`, {
          length: 11,
        });
      }
    }
    return true;
  }

  private undef(at: Token): undefined {
    const name = this.macroName(at);
    if (name === undefined) return;
    name.name!.macro = undefined;
    this.nothingMore("undef");
  }

  private include(at: Token, next: boolean, once: boolean = false): undefined {
    const written = this.lexer.headerName() ?? this.computedHeaderName(at);
    if (written === undefined) return;
    const name = written.text.slice(1, -1);
    const angled = written.text.startsWith("<");
    const { preprocessor, lexer } = this;
    const from = lexer.file.path;
    const header = preprocessor.headers.find({ name, angled, from, next });
    if (header === undefined) {
      const near = preprocessor.headers.nearest?.(name) ?? [];
      return preprocessor.diagnostics.fatal(written.location, `there is no header ${written.text}`, {
        length: written.text.length,
        hint: missingHint(near, preprocessor.headers.shipped),
      });
    }
    this.endLine(lexer);
    if (this.readOnce.has(header.path)) return;
    if (once) this.readOnce.add(header.path);
    preprocessor.enter(header.path, header.text, { includedAt: written.location, system: header.system });
  }

  /** `#include MACRO`: the tokens that it expands to, as a header's name. */
  private computedHeaderName(at: Token): Token | undefined {
    const tokens = this.preprocessor.expandArgument(this.lineTokens());
    const [first] = tokens;
    if (first?.kind === TokenKind.STRING) return first;
    const text = tokensToText(tokens);
    if (first?.is("<") === true && text.endsWith(">")) {
      const spelled = tokens.map(
        (token, i) => (i > 0 && (token.flags & TokenFlag.SPACE) !== 0 ? " " : "") + token.text,
      );
      return new Token(TokenKind.STRING, spelled.join(""), first.location, 0);
    }
    this.error(first ?? at, `#${at.text} needs "FILE" or <FILE>`);
    return undefined;
  }

  private condition(at: Token): boolean {
    return new Condition(this.preprocessor, at, this.lineTokens()).evaluate();
  }

  private isDefined(at: Token): boolean {
    const name = this.macroName(at);
    if (name === undefined) return false;
    this.nothingMore(at.text);
    return name.name!.macro !== undefined || this.preprocessor.options.macroValue?.(name.text) !== undefined;
  }

  private open(at: Token, word: string, test: () => boolean): undefined {
    const taken = test();
    this.conditionals.at(-1)!.push({ location: at.location, word, taken, elseAt: undefined });
    if (!taken) this.skipGroup();
  }

  /** `#elif` or `#else` behind a group that was read: the rest is passed over. */
  private other(at: Token, word: string): undefined {
    const conditional = this.conditionals.at(-1)!.at(-1);
    if (conditional === undefined) {
      this.error(at, `#${word} without #if`);
      return;
    }
    this.checkElse(conditional, at, word);
    this.skipGroup();
  }

  private checkElse(conditional: Conditional, at: Token, word: string): void {
    if (conditional.elseAt !== undefined) {
      this.preprocessor.diagnostics.error(at.location, `#${word} behind #else`, {
        notes: [{ location: conditional.elseAt, message: "the #else is here" }],
      });
    }
    if (word === "else") conditional.elseAt = at.location;
  }

  private endif(at: Token): undefined {
    if (this.conditionals.at(-1)!.pop() === undefined) this.error(at, "#endif without #if");
    else this.nothingMore("endif");
  }

  /** Passes over groups up to the one to read, or behind the `#endif`. */
  private skipGroup(): void {
    const { lexer } = this;
    this.endLine(lexer);
    const conditional = this.conditionals.at(-1)!.at(-1)!;
    let depth = 0;
    while (lexer.skipToDirective()) {
      lexer.inDirective = true;
      const word = lexer.next();
      const text = word.kind === TokenKind.IDENTIFIER ? word.text : "";
      if (!CONDITIONALS.includes(text)) {
        this.endLine(lexer);
        continue;
      }
      if (text.startsWith("if")) depth++;
      else if (text === "endif") {
        if (depth-- === 0) {
          this.conditionals.at(-1)!.pop();
          this.nothingMore("endif");
          this.endLine(lexer);
          return;
        }
      } else if (depth === 0) {
        this.checkElse(conditional, word, text);
        // A condition behind a group that was taken is not even looked at.
        if (!conditional.taken && this.holds(word, text)) {
          conditional.taken = true;
          this.endLine(lexer);
          return;
        }
      }
      this.endLine(lexer);
    }
  }

  private holds(word: Token, text: string): boolean {
    switch (text) {
      case "elif":
        return this.condition(word);
      case "elifdef":
        return this.isDefined(word);
      case "elifndef":
        return !this.isDefined(word);
      default:
        this.nothingMore("else");
        return true;
    }
  }

  private message(at: Token, severity: "error" | "warning"): undefined {
    const text = this.lexer.restOfLine();
    this.preprocessor.diagnostics[severity](at.location, text === "" ? `#${severity}` : text, {
      length: severity.length,
    });
  }

  private line(at: Token): undefined {
    const [number, file] = this.preprocessor.expandArgument(this.lineTokens());
    this.renumber(number ?? at, file);
  }

  /** What preprocessors write: `# 12 "file.c" 1 3`. */
  private lineMarker(number: Token): undefined {
    const [file] = this.lineTokens();
    this.renumber(number, file);
  }

  private renumber(number: Token, file: Token | undefined): void {
    if (number.kind !== TokenKind.NUMBER || !/^\d+$/.test(number.text)) {
      this.error(number, "#line needs a number");
      return;
    }
    const { file: source } = this.lexer;
    const path =
      file?.kind === TokenKind.STRING ? file.text.slice(1, -1) : (source.renames.at(-1)?.path ?? source.path);
    const end = source.text.indexOf("\n", this.lexer.location - source.base - 1);
    const offset = end === -1 ? source.text.length : end + 1;
    source.renames.push({ offset, line: Number(number.text), path });
  }

  private pragma(at: Token): Token | undefined {
    return this.pragmaText(at, this.lexer.restOfLine());
  }

  /** A pragma of a `#pragma` line or of `_Pragma`. Gives a token for those that are the parser's. */
  pragmaText(at: Token, text: string): Token | undefined {
    const { names, diagnostics } = this.preprocessor;
    if (text === "once") {
      this.readOnce.add(this.lexer.file.path);
      return undefined;
    }
    const macro = /^(push_macro|pop_macro)\s*\(\s*"([^"]*)"\s*\)$/.exec(text);
    if (macro !== null) {
      const name = names.intern(macro[2]!);
      const stack = this.pushedMacros.get(name) ?? [];
      this.pushedMacros.set(name, stack);
      if (macro[1] === "push_macro") stack.push(name.macro);
      else if (stack.length > 0) name.macro = stack.pop();
      return undefined;
    }
    const message = /^GCC\s+(error|warning)\s+"(.*)"$/.exec(text);
    if (message !== null) {
      diagnostics[message[1] as "error" | "warning"](at.location, message[2]!);
      return undefined;
    }
    return new Token(TokenKind.PRAGMA, text, at.location, TokenFlag.LINE_START);
  }
}

function missingHint(near: readonly string[], shipped: string | undefined): string {
  const folder = "add the folder that has it with -I";
  const rest = shipped === undefined ? folder : `${shipped} come with the compiler, for others ${folder}`;
  return near.length > 0 ? `did you mean ${near.join(" or ")}? (${rest})` : rest;
}
