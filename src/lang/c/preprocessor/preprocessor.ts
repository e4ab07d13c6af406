/** The preprocessor: from files to the tokens that the parser sees. */
import type { Diagnostics } from "../diagnostics.ts";
import type { Name, NameTable } from "../names.ts";
import type { SourceFile, SourceMap } from "../source-map.ts";
import { BuiltinMacros } from "./builtins.ts";
import { Directives } from "./directives.ts";
import type { HeaderProvider } from "./headers.ts";
import { Lexer } from "./lexer.ts";
import { Substitution } from "./macro.ts";
import type { Macro, Substituter } from "./macro.ts";
import { MacroStarts, type SkippedDefinition, definitionAt, endOfBody, endOfEnum } from "./skip-body.ts";
import { Token, TokenFlag, TokenKind } from "./token.ts";

/** What a compilation is made with. */
export interface PreprocessorOptions {
  readonly sources: SourceMap;
  readonly names: NameTable;
  readonly diagnostics: Diagnostics;
  readonly headers: HeaderProvider;
  /** Text that is read before the main file: `#define`s of the target and the command line, `#include`s of `-include`. */
  readonly prelude?: string;
  /** What `__has_builtin`, `__has_attribute`, `__has_feature` and `__has_extension` answer yes to. */
  readonly known?: (operator: string, name: string) => boolean;
  /** Numbers that are macros in other compilers' headers, for `#if` and `defined`; here the parser knows them by name. */
  readonly macroValue?: (name: string) => bigint | undefined;
  /** The moment that `__DATE__` and `__TIME__` tell; builds are repeatable when it is fixed. */
  readonly date?: Date;
}

/** Tokens that are read before the file goes on. */
interface TokenList {
  readonly tokens: readonly Token[];
  at: number;
  /** Whose expansion it is: enabled again at its end. */
  readonly macro: Macro | undefined;
  /** Nothing behind is seen until the list is taken away: arguments on their own, lines of directives. */
  readonly barrier: boolean;
}

/** Where a body that was passed over begins. */
export interface SkippedBody {
  readonly file: SourceFile;
  /** Of the first character behind the opening brace. */
  readonly offset: number;
}

/** Characters of a header from which on the bodies of its structs are parsed when they are needed. */
const LARGE_HEADER = 1 << 18;

/** Deeper nesting is an include loop or a mistake. */
const MOST_NESTED_FILES = 200;
/** Tokens of one file's expansions: far above any program, far below all memory. */
const MOST_EXPANDED_TOKENS = 1_000_000;
/** Macros within the arguments of macros, and parentheses within those. */
const MOST_NESTED_ARGUMENTS = 300;

const END = new Token(TokenKind.END, "", 0, 0);

/** Reads the tokens of a translation unit, with macros expanded and directives obeyed. */
export class Preprocessor implements Substituter {
  readonly sources: SourceMap;
  readonly names: NameTable;
  readonly diagnostics: Diagnostics;
  readonly headers: HeaderProvider;
  readonly options: PreprocessorOptions;
  readonly vaOpt: Name;
  readonly macroStarts: MacroStarts = new MacroStarts();
  private readonly directives: Directives;
  private readonly files: Lexer[] = [];
  private readonly lists: TokenList[] = [];
  private expandedTokens = 0;
  private nestedArguments = 0;

  constructor(path: string, text: string, options: PreprocessorOptions) {
    this.options = options;
    this.sources = options.sources;
    this.names = options.names;
    this.diagnostics = options.diagnostics;
    this.headers = options.headers;
    this.vaOpt = this.names.intern("__VA_OPT__");
    this.directives = new Directives(this);
    this.enter(path, text, {});
    new BuiltinMacros(this, path).define();
    if (options.prelude !== undefined && options.prelude !== "") {
      this.enter("<command line>", options.prelude, { system: true });
    }
  }

  /** The file that is being read. */
  get lexer(): Lexer {
    return this.files.at(-1)!;
  }

  /** Files that are open, the main file first. */
  get openFiles(): readonly Lexer[] {
    return this.files;
  }

  /** Reads a file before going on with the present one. */
  enter(path: string, text: string, options: { readonly includedAt?: number; readonly system?: boolean }): void {
    if (this.files.length >= MOST_NESTED_FILES) {
      this.diagnostics.fatal(
        options.includedAt ?? 0,
        `${MOST_NESTED_FILES} files within each other: does one include itself?`,
        {
          hint: "a header is read once when it begins with #pragma once",
        },
      );
    }
    this.files.push(new Lexer(this.sources.add(path, text, options), this.names, this.diagnostics));
    this.directives.enterFile();
  }

  /** The next token that the parser sees; `END` for ever at the end. */
  next(): Token {
    for (;;) {
      const token = this.nextUnexpanded();
      const macro = token.name?.macro;
      if (macro === undefined || (token.flags & TokenFlag.PAINTED) !== 0) return token;
      if (macro.disabled) return token.at(token.location, token.flags | TokenFlag.PAINTED);
      const kept = this.expand(token, macro);
      if (kept !== undefined) return kept;
    }
  }

  /** The next token as written; directives on the way are obeyed. */
  nextUnexpanded(): Token {
    for (;;) {
      const list = this.lists.at(-1);
      if (list !== undefined) {
        if (list.at < list.tokens.length) return list.tokens[list.at++]!;
        if (list.barrier) return END;
        this.dropList();
        continue;
      }
      const { lexer } = this;
      const token = lexer.next();
      if ((token.flags & TokenFlag.LINE_START) !== 0 && token.is("#") && !lexer.inDirective) {
        const pragma = this.directives.run();
        if (pragma !== undefined) return pragma;
        continue;
      }
      if (token.kind === TokenKind.END) {
        this.directives.leaveFile();
        if (this.files.length > 1) {
          this.files.pop();
          continue;
        }
      }
      return token;
    }
  }

  /** Reads `tokens` before anything else, and nothing behind them until {@link closeList}. */
  openList(tokens: readonly Token[]): void {
    this.lists.push({ tokens, at: 0, macro: undefined, barrier: true });
  }

  /** Reads these tokens before anything else: what was read already, and may stand for something else by now. */
  reread(tokens: readonly Token[]): void {
    this.lists.push({ tokens, at: 0, macro: undefined, barrier: false });
  }

  /** Defines a macro that the compiler brings; `definition` is what stands behind `#define`. */
  define(definition: string): void {
    const file = this.sources.add("<skep>", `#define ${definition}\n`, { system: true });
    this.files.push(new Lexer(file, this.names, this.diagnostics));
    this.directives.enterFile();
    this.lexer.next();
    this.directives.run();
    this.directives.leaveFile();
    this.files.pop();
  }

  /** Passes over the body whose opening brace was the last token. Undefined when it must be read. */
  skipBody(): SkippedBody | undefined {
    if (!this.maySkip()) return undefined;
    const { lexer } = this;
    const { file } = lexer;
    const offset = lexer.mark().at;
    const end = endOfBody(file.text, offset, this.names, this.macroStarts);
    if (end === undefined) return undefined;
    lexer.reset({ at: end + 1, flags: 0 });
    return { file, offset };
  }

  /** As {@link skipBody} for the constants of an enum; gives their names too. */
  skipEnum(): (SkippedBody & { readonly names: readonly Name[] }) | undefined {
    if (!this.maySkip()) return undefined;
    const { lexer } = this;
    const { file } = lexer;
    const offset = lexer.mark().at;
    const skipped = endOfEnum(file.text, offset, this.names, this.macroStarts);
    if (skipped === undefined) return undefined;
    lexer.reset({ at: skipped.end + 1, flags: 0 });
    return { file, offset, names: skipped.names };
  }

  /** A definition that comes next and can be passed over whole; {@link passOver} does it. */
  definitionAhead(): (SkippedDefinition & { readonly file: SourceFile }) | undefined {
    if (!this.maySkip()) return undefined;
    const { lexer } = this;
    const found = definitionAt(lexer.file.text, lexer.mark().at, this.names, this.macroStarts);
    return found === undefined ? undefined : { ...found, file: lexer.file };
  }

  passOver(definition: SkippedDefinition): void {
    this.lexer.reset({ at: definition.end, flags: 0 });
  }

  private maySkip(): boolean {
    const { file } = this.lexer;
    return file.text.length >= LARGE_HEADER && file.includedAt !== undefined && this.lists.length === 0;
  }

  /** A lexer for a body that was passed over: its tokens are as they are written. */
  bodyLexer({ file, offset }: SkippedBody): Lexer {
    const lexer = new Lexer(file, this.names, this.diagnostics);
    lexer.reset({ at: offset, flags: 0 });
    return lexer;
  }

  /** Obeys a pragma; gives a token for those that are the parser's. */
  pragma(at: Token, text: string): Token | undefined {
    return this.directives.pragmaText(at, text.trim());
  }

  /** Takes away what is left of the list that {@link openList} began. */
  closeList(): void {
    while (!this.lists.at(-1)!.barrier) this.dropList();
    this.lists.pop();
  }

  private dropList(): void {
    const { macro } = this.lists.pop()!;
    if (macro !== undefined) macro.disabled = false;
  }

  expandArgument(tokens: readonly Token[]): Token[] {
    if (!tokens.some((token) => token.name?.macro !== undefined)) return tokens.slice();
    if (++this.nestedArguments > MOST_NESTED_ARGUMENTS) this.tooDeep(tokens[0]!);
    const result: Token[] = [];
    this.openList(tokens);
    for (let token = this.next(); token.kind !== TokenKind.END; token = this.next()) result.push(token);
    this.closeList();
    this.nestedArguments--;
    return result;
  }

  /** Expands a macro at its name. Gives the token that stays instead when it is not used as one, or stands for one token. */
  private expand(use: Token, macro: Macro): Token | undefined {
    if (macro.builtin !== undefined) return macro.builtin(use);
    let args: Token[][] = [];
    if (macro.params !== undefined) {
      if (!this.parenthesisFollows()) return use;
      const collected = this.collectArguments(use, macro, macro.params.length);
      if (collected === undefined) return undefined;
      args = collected;
    }
    const tokens = new Substitution(this, macro, args, { macro: macro.name.text, at: use.location }).run();
    if (tokens.length === 0) return undefined;
    const first = tokens[0]!;
    const space = TokenFlag.LINE_START | TokenFlag.SPACE;
    first.flags = (first.flags & ~space) | (use.flags & space);
    this.expandedTokens += tokens.length;
    if (this.expandedTokens > MOST_EXPANDED_TOKENS) {
      this.diagnostics.fatal(use.location, `macros have made more than ${MOST_EXPANDED_TOKENS} tokens`);
    }
    macro.disabled = true;
    this.lists.push({ tokens, at: 0, macro, barrier: false });
    return undefined;
  }

  private tooDeep(at: Token): never {
    return this.diagnostics.fatal(at.location, "the arguments of macros are nested too deeply");
  }

  private parenthesisFollows(): boolean {
    for (let i = this.lists.length - 1; i >= 0; i--) {
      const { tokens, at, barrier } = this.lists[i]!;
      if (at < tokens.length) return tokens[at]!.is("(");
      if (barrier) return false;
    }
    const { lexer } = this;
    const mark = lexer.mark();
    const token = lexer.next();
    lexer.reset(mark);
    return token.is("(");
  }

  /** Arguments of a use whose `(` comes next. Undefined after an error. */
  private collectArguments(use: Token, macro: Macro, count: number): Token[][] | undefined {
    this.nextUnexpanded();
    const args: Token[][] = [[]];
    let depth = 0;
    let close = use;
    for (;;) {
      const token = this.nextUnexpanded();
      if (token.kind === TokenKind.END || token.kind === TokenKind.LINE_END) {
        this.diagnostics.error(use.location, `the arguments of macro ${macro.name.text} have no closing parenthesis`, {
          length: use.text.length,
          notes: [{ location: macro.location, message: `macro ${macro.name.text} is defined here` }],
        });
        return undefined;
      }
      if (token.is("(")) {
        if (++depth > MOST_NESTED_ARGUMENTS * 4) this.tooDeep(use);
      } else if (token.is(")") && depth-- === 0) {
        close = token;
        break;
      } else if (token.is(",") && depth === 0 && !(macro.variadic && args.length >= count)) {
        args.push([]);
        continue;
      }
      const atLineStart = (token.flags & TokenFlag.LINE_START) !== 0;
      // The end of a line is white space between arguments' tokens, and within a macro no line starts.
      if (atLineStart) token.flags = (token.flags & ~TokenFlag.LINE_START) | TokenFlag.SPACE;
      args.at(-1)!.push(token);
    }
    if (count === 0 && args.length === 1 && args[0]!.length === 0) return [];
    // Variable arguments may be absent altogether.
    if (macro.variadic && args.length === count - 1) args.push([]);
    if (args.length === count) return args;
    const needs = macro.variadic ? `at least ${count - 1}` : String(count);
    // At the first that is too much, or where one is missing.
    const at = args[count]?.[0] ?? close;
    this.diagnostics.error(
      at.location,
      `macro ${macro.name.text} takes ${needs} argument${needs === "1" ? "" : "s"}, here are ${args.length}`,
      {
        length: at.text.length,
        notes: [{ location: macro.location, message: `macro ${macro.name.text} is defined here` }],
      },
    );
    return undefined;
  }
}
