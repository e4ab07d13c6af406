/** What the parts of the parser share. */
import type { Attributes, FunctionDecl } from "../ast.ts";
import type { Diagnostics, MessageOptions } from "../diagnostics.ts";
import type { NameTable } from "../names.ts";
import type { SkippedBody } from "../preprocessor/preprocessor.ts";
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

/** What a part that is passed over will be read with. */
export type Surroundings = Pick<ParserContext, "pushedAttributes" | "packing">;

const seen = new WeakMap<ParserContext, Surroundings>();

/** What holds where the parser is; one object for as long as nothing changes. */
export function surroundings(context: ParserContext): Surroundings {
  const { pushedAttributes, packing } = context;
  const before = seen.get(context);
  const same =
    before?.packing === packing &&
    before?.pushedAttributes.length === pushedAttributes.length &&
    before.pushedAttributes.at(-1) === pushedAttributes.at(-1);
  if (same) return before!;
  const now = { pushedAttributes: pushedAttributes.slice(), packing };
  seen.set(context, now);
  return now;
}

/** Runs a part that reads `body`, which was passed over, at the level of the file, from within whatever is being read. */
export function elsewhere<T>(context: ParserContext, body: SkippedBody, place: Surroundings, part: () => T): T {
  const { tokens, pushedAttributes, packing, currentFunction } = context;
  Object.assign(context, place, { tokens: tokens.body(body), currentFunction: undefined });
  try {
    return context.scopes.outside(part);
  } finally {
    Object.assign(context, { tokens, pushedAttributes, packing, currentFunction });
  }
}
