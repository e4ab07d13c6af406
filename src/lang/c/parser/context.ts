/** What the parts of the parser share. */
import type { Attributes, FunctionDecl } from "../ast.ts";
import type { Diagnostics, MessageOptions } from "../diagnostics.ts";
import type { NameTable } from "../names.ts";
import type { Token } from "../preprocessor/token.ts";
import type { DeclarationParser } from "./declarations.ts";
import type { ExpressionParser } from "./expressions.ts";
import type { InitializerParser } from "./initializers.ts";
import type { Scopes } from "./scope.ts";
import type { StatementParser } from "./statements.ts";
import type { TokenStream } from "./token-stream.ts";

/** Deeper nesting of parentheses, blocks or declarators is no program. */
export const MOST_NESTED = 1000;

/** The parser's parts and state. */
export interface ParserContext {
  readonly tokens: TokenStream;
  readonly scopes: Scopes;
  readonly names: NameTable;
  readonly diagnostics: Diagnostics;
  readonly declarations: DeclarationParser;
  readonly expressions: ExpressionParser;
  readonly initializers: InitializerParser;
  readonly statements: StatementParser;
  /** The function whose body is being read. */
  currentFunction: FunctionDecl | undefined;
  /** `#pragma pack`: bytes. */
  packing: number | undefined;
  /** Attributes of `#pragma clang attribute push`, innermost last, each with what it applies to. */
  readonly pushedAttributes: { readonly attributes: Attributes; readonly records: boolean }[];
  /** `#pragma unroll` waits for its loop. */
  unroll: boolean;
  /** How deep constructs are nested. */
  depth: number;
  /** Anonymous objects (compound literals, `__func__`) are numbered. */
  nextAnonymous: number;
}

/** Reports an error at a token. */
export function errorAt(context: ParserContext, token: Token, message: string, options: MessageOptions = {}): void {
  context.diagnostics.error(token.location, message, { length: Math.max(1, token.text.length), ...options });
}

/** Runs a part that may nest; gives up when it nests too deeply. A part of more `weight` may nest less. */
export function nested<T>(context: ParserContext, part: () => T, weight: number = 1): T {
  context.depth += weight;
  if (context.depth > MOST_NESTED) {
    context.diagnostics.fatal(context.tokens.location, `this is nested more than ${MOST_NESTED / weight} deep`);
  }
  try {
    return part();
  } finally {
    context.depth -= weight;
  }
}
