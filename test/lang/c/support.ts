/** Preprocesses texts for tests. */
import { Diagnostics } from "../../../src/lang/c/diagnostics.ts";
import { NameTable } from "../../../src/lang/c/names.ts";
import type { TranslationUnit } from "../../../src/lang/c/ast.ts";
import type { OuterDeclarations } from "../../../src/lang/c/parser/scope.ts";
import { parseUnit } from "../../../src/lang/c/parser/unit.ts";
import { predefinedMacros } from "../../../src/lang/c/preprocessor/predefined.ts";
import type { HeaderProvider } from "../../../src/lang/c/preprocessor/headers.ts";
import { Preprocessor } from "../../../src/lang/c/preprocessor/preprocessor.ts";
import { type Token, TokenKind, tokensToText } from "../../../src/lang/c/preprocessor/token.ts";
import { SourceMap } from "../../../src/lang/c/source-map.ts";

/** Headers that are texts by name, for either form of `#include`; `from` does not matter. */
export function headersOf(files: Readonly<Record<string, string>>): HeaderProvider {
  return {
    find: ({ name }) => (Object.hasOwn(files, name) ? { path: name, text: files[name]!, system: false } : undefined),
    nearest: (name) => Object.keys(files).filter((file) => file[0] === name[0]),
  };
}

/** What became of a text. */
export interface Preprocessed {
  readonly tokens: readonly Token[];
  /** As C, lines where tokens began lines. */
  readonly text: string;
  readonly diagnostics: Diagnostics;
}

/** Preprocesses a text as `main.c`; fatal errors are among the diagnostics. */
export function preprocess(
  text: string,
  options: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly prelude?: string;
    readonly known?: (operator: string, name: string) => boolean;
  } = {},
): Preprocessed {
  const sources = new SourceMap();
  const diagnostics = new Diagnostics(sources);
  const tokens: Token[] = [];
  try {
    const preprocessor = new Preprocessor("main.c", text, {
      sources,
      diagnostics,
      names: new NameTable(),
      headers: headersOf(options.headers ?? {}),
      date: new Date(2026, 0, 2, 3, 4, 5),
      ...(options.prelude === undefined ? {} : { prelude: options.prelude }),
      ...(options.known === undefined ? {} : { known: options.known }),
    });
    for (let token = preprocessor.next(); token.kind !== TokenKind.END; token = preprocessor.next()) tokens.push(token);
  } catch (error) {
    if (diagnostics.errorCount === 0) throw error;
  }
  return { tokens, text: tokensToText(tokens, true), diagnostics };
}

/** What became of a program. */
export interface ParsedUnit {
  readonly unit: TranslationUnit | undefined;
  readonly diagnostics: Diagnostics;
}

/** Parses a text as `main.c`; fatal errors are among the diagnostics. */
export function parse(
  text: string,
  outer?: OuterDeclarations,
  headers: HeaderProvider = headersOf({}),
  macroValue?: (name: string) => bigint | undefined,
): ParsedUnit {
  const sources = new SourceMap();
  const diagnostics = new Diagnostics(sources);
  const names = new NameTable();
  try {
    const preprocessor = new Preprocessor("main.c", text, {
      sources,
      diagnostics,
      names,
      headers,
      prelude: predefinedMacros(),
      ...(macroValue === undefined ? {} : { macroValue }),
    });
    return { unit: parseUnit(preprocessor, diagnostics, names, outer), diagnostics };
  } catch (error) {
    if (diagnostics.errorCount === 0) throw error;
    return { unit: undefined, diagnostics };
  }
}
