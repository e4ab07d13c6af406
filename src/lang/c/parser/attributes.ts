/** `__attribute__((…))`, `[[…]]`, `_Alignas`: a table of those that mean something for eBPF. */
import type { Attributes } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { literalBytes } from "../preprocessor/constants.ts";
import { type Token, TokenKind } from "../preprocessor/token.ts";
import { alignOf } from "../types/layout.ts";
import { type ParserContext, errorAt } from "./context.ts";

/** Attributes while they are gathered. */
export type GatheredAttributes = { -readonly [Key in keyof Attributes]: Attributes[Key] };

type Reader = (context: ParserContext, into: GatheredAttributes, word: Token) => void;

/** Alignment that `aligned` without a number means. */
const BIGGEST_ALIGN = 16;

function flag(set: (into: GatheredAttributes) => void): Reader {
  return (_, into) => set(into);
}

function text(set: (into: GatheredAttributes, value: string) => void): Reader {
  return (context, into, word) => {
    context.tokens.expect("(", `behind ${word.text}`);
    const token = context.tokens.next();
    const bytes =
      token.kind === TokenKind.STRING ? literalBytes(token.text) : { problem: `${word.text} needs a string` };
    if ("problem" in bytes) errorAt(context, token, bytes.problem);
    else {
      let value = new TextDecoder().decode(bytes);
      while (context.tokens.peek().kind === TokenKind.STRING) {
        const more = literalBytes(context.tokens.next().text);
        if (!("problem" in more)) value += new TextDecoder().decode(more);
      }
      set(into, value);
    }
    context.tokens.expect(")", `behind ${word.text}(`);
  };
}

function number(set: (into: GatheredAttributes, value: bigint) => void, absent?: bigint): Reader {
  return (context, into, word) => {
    if (context.tokens.accept("(") === undefined) {
      if (absent === undefined) errorAt(context, word, `${word.text} needs a number in parentheses`);
      else set(into, absent);
      return;
    }
    const expr = context.expressions.conditional();
    const value = constantInteger(expr);
    if (value === undefined) context.diagnostics.error(expr.location, `${word.text} needs a constant number`);
    else set(into, value);
    context.tokens.expect(")", `behind ${word.text}(`);
  };
}

const aligned: Reader = (context, into, word) => {
  if (context.tokens.at("(") && context.declarations.startsType(context.tokens.peek(1))) {
    context.tokens.next();
    into.align = alignOf(context.declarations.typeName());
    context.tokens.expect(")", `behind ${word.text}(`);
    return;
  }
  number((to, value) => {
    const bytes = Number(value);
    if (bytes < 1 || bytes > 1 << 28 || (bytes & (bytes - 1)) !== 0)
      errorAt(context, word, `alignment ${value} is no power of two up to 2^28`);
    else to.align = Math.max(to.align ?? 1, bytes);
  }, BigInt(BIGGEST_ALIGN))(context, into, word);
};

/** By name without underscores around it. What is not here is ignored, as compilers do with attributes of others. */
const readers: Readonly<Record<string, Reader>> = {
  section: text((into, value) => (into.section = value)),
  always_inline: flag((into) => (into.inline = "always")),
  noinline: flag((into) => (into.inline = "never")),
  weak: flag((into) => (into.weak = true)),
  used: flag((into) => (into.used = true)),
  noreturn: flag((into) => (into.noReturn = true)),
  packed: flag((into) => (into.packed = true)),
  preserve_access_index: flag((into) => (into.preserveAccessIndex = true)),
  aligned,
  visibility: text((into, value) => (into.hidden = value === "hidden")),
  btf_type_tag: text((into, value) => (into.typeTags = [...(into.typeTags ?? []), value])),
  btf_decl_tag: text((into, value) => (into.declTags = [...(into.declTags ?? []), value])),
  address_space: number((into, value) => (into.addressSpace = Number(value))),
  cleanup: (context, into, word) => {
    context.tokens.expect("(", `behind ${word.text}`);
    const name = context.tokens.next();
    const func = name.name === undefined ? undefined : context.scopes.find(name.name);
    if (func?.kind === "function") into.cleanup = func;
    else errorAt(context, name, `${name.text} is no function to clean up with`);
    context.tokens.expect(")", `behind ${word.text}(`);
  },
};

/** True for attributes that mean something, by their names without underscores around them. */
export function isAttribute(name: string): boolean {
  return Object.hasOwn(readers, name);
}

/** Takes all attributes that come next. Gives true when there were any. */
export function parseAttributes(context: ParserContext, into: GatheredAttributes): boolean {
  const { tokens } = context;
  let any = false;
  for (;;) {
    if (tokens.at("__attribute__") || tokens.at("__attribute")) {
      tokens.next();
      tokens.expect("(", "behind __attribute__");
      tokens.expect("(", "behind __attribute__(");
      parseList(context, into, ")");
      tokens.expect(")", "behind the attributes");
      tokens.expect(")", "behind the attributes");
    } else if (tokens.at("[") && tokens.peek(1).is("[")) {
      tokens.next();
      tokens.next();
      parseList(context, into, "]");
      tokens.expect("]", "behind the attributes");
      tokens.expect("]", "behind the attributes");
    } else return any;
    any = true;
  }
}

function parseList(context: ParserContext, into: GatheredAttributes, close: ")" | "]"): void {
  const { tokens } = context;
  while (!tokens.at(close) && !tokens.atEnd) {
    if (tokens.accept(",") !== undefined) continue;
    let word = tokens.next();
    // `gnu::packed`, `clang::…`.
    if (tokens.at(":") && tokens.peek(1).is(":")) {
      tokens.next();
      tokens.next();
      word = tokens.next();
    }
    const name = word.text.replace(/^__(.*)__$/, "$1");
    const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
    if (reader !== undefined) reader(context, into, word);
    else if (tokens.at("(")) skipParentheses(context);
  }
}

function skipParentheses(context: ParserContext): void {
  let depth = 0;
  do {
    const token = context.tokens.next();
    if (token.is("(")) depth++;
    else if (token.is(")")) depth--;
  } while (depth > 0 && !context.tokens.atEnd);
}

/** Attributes of two places together; the second wins where only one can be. */
export function mergeAttributes(a: Attributes, b: Attributes): Attributes {
  const typeTags = [...(a.typeTags ?? []), ...(b.typeTags ?? [])];
  const declTags = [...(a.declTags ?? []), ...(b.declTags ?? [])];
  return {
    ...a,
    ...b,
    ...(typeTags.length > 0 ? { typeTags } : {}),
    ...(declTags.length > 0 ? { declTags } : {}),
    ...(a.align !== undefined && b.align !== undefined ? { align: Math.max(a.align, b.align) } : {}),
  };
}
