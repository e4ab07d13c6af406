/** Declaration specifiers and declarators: what type a declaration gives a name (C11 6.7). */
import { nearestNames } from "../../../base/index.ts";
import { missingNameHint } from "../headers/homes.ts";
import { constantInteger } from "../constant.ts";
import type { SkippedBody } from "../preprocessor/preprocessor.ts";
import type { SkippedDefinition } from "../preprocessor/skip-body.ts";
import { type Token, TokenKind } from "../preprocessor/token.ts";
import { isComplete, isInteger } from "../types/compatible.ts";
import {
  BOOL,
  CHAR,
  type CType,
  INT,
  INT128,
  LONG,
  LONG_LONG,
  type ParameterType,
  type Qualifiers,
  SHORT,
  SIGNED_CHAR,
  UNSIGNED_CHAR,
  UNSIGNED_INT,
  UNSIGNED_INT128,
  UNSIGNED_LONG,
  UNSIGNED_LONG_LONG,
  UNSIGNED_SHORT,
  VOID,
  pointerTo,
  qualified,
  shapeOf,
  typeText,
} from "../types/types.ts";
import { type GatheredAttributes, parseAttributes } from "./attributes.ts";
import { type ParserContext, errorAt, nested } from "./context.ts";
import { TagParser } from "./tags.ts";

/** What stands before the declarators of a declaration. */
export interface Specifiers {
  /** Undefined for `__auto_type`, whose initialiser tells it. */
  readonly type: CType | undefined;
  readonly storage: "typedef" | "extern" | "static" | undefined;
  readonly inline: boolean;
  readonly attributes: GatheredAttributes;
  readonly location: number;
}

/** A name with its type. */
export interface Declarator {
  /** Undefined in type names and parameters without one. */
  readonly name: Token | undefined;
  readonly type: CType;
  /** Names and places of a function's parameters, when the declarator is one of a function. */
  readonly params: readonly ParameterDeclarator[] | undefined;
  readonly attributes: GatheredAttributes;
  readonly location: number;
}

/** A parameter as it is declared. */
export interface ParameterDeclarator {
  readonly name: Token | undefined;
  readonly type: CType;
  readonly attributes: GatheredAttributes;
  readonly location: number;
}

/** Words that C compilers spell in several ways. */
const synonyms: ReadonlyMap<string, string> = new Map([
  ["__const", "const"],
  ["__const__", "const"],
  ["__volatile", "volatile"],
  ["__volatile__", "volatile"],
  ["__restrict", "restrict"],
  ["__restrict__", "restrict"],
  ["__inline", "inline"],
  ["__inline__", "inline"],
  ["__signed", "signed"],
  ["__signed__", "signed"],
  ["__typeof", "typeof"],
  ["__typeof__", "typeof"],
  ["__typeof_unqual", "typeof_unqual"],
  ["__typeof_unqual__", "typeof_unqual"],
  ["__alignof", "_Alignof"],
  ["__alignof__", "_Alignof"],
  ["__complex__", "_Complex"],
  ["__asm__", "asm"],
  ["__asm", "asm"],
  ["__thread", "_Thread_local"],
  ["thread_local", "_Thread_local"],
  ["alignas", "_Alignas"],
  ["alignof", "_Alignof"],
  ["static_assert", "_Static_assert"],
]);

/** A keyword under the name that C gives it. */
export function keywordOf(token: Token): string {
  return token.kind === TokenKind.IDENTIFIER ? (synonyms.get(token.text) ?? token.text) : "";
}

const STORAGE: ReadonlySet<string> = new Set(["typedef", "extern", "static", "auto", "register", "_Thread_local"]);
const QUALIFIERS: ReadonlySet<string> = new Set(["const", "volatile", "restrict", "_Atomic"]);
const FUNCTION: ReadonlySet<string> = new Set(["inline", "_Noreturn", "__noreturn"]);
const BASE_WORDS: ReadonlySet<string> = new Set([
  "void",
  "char",
  "short",
  "int",
  "long",
  "float",
  "double",
  "signed",
  "unsigned",
  "_Bool",
  "__int128",
  "_Complex",
  "_Float16",
  "__bf16",
  "__float128",
  "_Float128",
]);
const TYPE_STARTS: ReadonlySet<string> = new Set([
  ...BASE_WORDS,
  "struct",
  "union",
  "enum",
  "typeof",
  "typeof_unqual",
  "__auto_type",
  "__int128_t",
  "__uint128_t",
  "__builtin_va_list",
  ...QUALIFIERS,
]);

/** Words that mean something in specifiers. */
const WORDS: ReadonlySet<string> = new Set([
  ...TYPE_STARTS,
  ...STORAGE,
  ...FUNCTION,
  "_Alignas",
  "_Static_assert",
  "__attribute__",
  "__attribute",
  "__extension__",
]);

/** True for an identifier that specifiers take for what it is called; others are names of types, or of nothing. */
function isWord(token: Token): boolean {
  const { name } = token;
  return name !== undefined && (name.isWord ??= WORDS.has(keywordOf(token)));
}

/** Words of a base type in alphabetical order, without `int` where it adds nothing. */
const baseTypes: Readonly<Record<string, CType>> = {
  void: VOID,
  _Bool: BOOL,
  char: CHAR,
  "char signed": SIGNED_CHAR,
  "char unsigned": UNSIGNED_CHAR,
  short: SHORT,
  "short signed": SHORT,
  "short unsigned": UNSIGNED_SHORT,
  int: INT,
  signed: INT,
  unsigned: UNSIGNED_INT,
  long: LONG,
  "long signed": LONG,
  "long unsigned": UNSIGNED_LONG,
  "long long": LONG_LONG,
  "long long signed": LONG_LONG,
  "long long unsigned": UNSIGNED_LONG_LONG,
  __int128: INT128,
  "__int128 signed": INT128,
  "__int128 unsigned": UNSIGNED_INT128,
  float: { kind: "float", name: "float", size: 4 },
  double: { kind: "float", name: "double", size: 8 },
  "double long": { kind: "float", name: "long double", size: 8 },
  _Float16: { kind: "float", name: "_Float16", size: 2 },
  __bf16: { kind: "float", name: "__bf16", size: 2 },
  __float128: { kind: "float", name: "__float128", size: 16 },
  _Float128: { kind: "float", name: "_Float128", size: 16 },
};

const builtinNames: Readonly<Record<string, CType>> = {
  __int128_t: { kind: "typedef", name: "__int128_t", to: INT128 },
  __uint128_t: { kind: "typedef", name: "__uint128_t", to: UNSIGNED_INT128 },
  __builtin_va_list: { kind: "typedef", name: "__builtin_va_list", to: pointerTo(VOID) },
};

/** Arrays of more bytes than any memory of a program. */
const MOST_ELEMENTS = (1n << 32n) - 1n;

/** Parses specifiers and declarators. */
export class DeclarationParser {
  private readonly context: ParserContext;
  private readonly tags: TagParser;

  constructor(context: ParserContext) {
    this.context = context;
    this.tags = new TagParser(context);
  }

  /** Passes over a definition of a tag. False when it must be read now. */
  passOver(definition: SkippedDefinition & Omit<SkippedBody, "offset">): boolean {
    return this.tags.passOver(definition);
  }

  /** True when a type name may begin with the token. */
  startsType(token: Token): boolean {
    if (token.name === undefined) return false;
    if (!isWord(token)) return this.context.scopes.find(token.name)?.kind === "typedef";
    const word = keywordOf(token);
    if (TYPE_STARTS.has(word) || word === "__attribute__" || word === "__extension__") return true;
    return this.context.scopes.find(token.name)?.kind === "typedef";
  }

  /** True when a declaration may begin with the token. */
  startsDeclaration(token: Token): boolean {
    if (!isWord(token)) return this.startsType(token);
    const word = keywordOf(token);
    if (STORAGE.has(word) || FUNCTION.has(word) || word === "_Alignas" || word === "_Static_assert") return true;
    return this.startsType(token);
  }

  /** A type name, as in a cast or `sizeof`. */
  typeName(): CType {
    const specifiers = this.specifiers();
    const { name, type } = this.declarator(specifiers.type ?? INT, specifiers.attributes);
    if (name !== undefined) errorAt(this.context, name, `a type is wanted here, not a declaration of ${name.text}`);
    return type;
  }

  specifiers(): Specifiers {
    const { context } = this;
    const { tokens } = context;
    const { location } = tokens;
    const attributes: GatheredAttributes = {};
    let storage: Specifiers["storage"];
    let inline = false;
    let qualifiers: Qualifiers = {};
    let type: CType | undefined;
    let auto = false;
    const words: string[] = [];
    for (;;) {
      const token = tokens.peek();
      // Most that stands here is the name of a type, or what comes behind.
      if (token.name !== undefined && !isWord(token)) {
        if (type !== undefined || auto || words.length > 0) break;
        const named = context.scopes.find(token.name);
        if (named?.kind !== "typedef") break;
        tokens.next();
        ({ type } = named);
        continue;
      }
      if (parseAttributes(context, attributes)) continue;
      const word = keywordOf(token);
      if (word === "__extension__" || word === "auto" || word === "register") tokens.next();
      else if (word === "_Thread_local")
        errorAt(context, tokens.next(), "eBPF has no variables of a thread", {
          hint: "a map of type BPF_MAP_TYPE_PERCPU_ARRAY or BPF_MAP_TYPE_TASK_STORAGE holds one for each CPU or task",
        });
      else if (STORAGE.has(word)) {
        if (storage !== undefined && storage !== word)
          errorAt(context, token, `${word} and ${storage} exclude each other`);
        storage = word as Specifiers["storage"];
        tokens.next();
      } else if (QUALIFIERS.has(word)) {
        tokens.next();
        // `_Atomic(T)` is T: each access that shall be atomic says so.
        if (word === "_Atomic" && tokens.at("(")) {
          tokens.next();
          type = this.typeName();
          tokens.expect(")", "behind _Atomic(");
        } else if (word !== "_Atomic") qualifiers = { ...qualifiers, [word]: true };
      } else if (FUNCTION.has(word)) {
        tokens.next();
        if (word === "inline") inline = true;
        else attributes.noReturn = true;
      } else if (word === "_Alignas") this.alignas(attributes);
      else if (type !== undefined || auto) break;
      else if (BASE_WORDS.has(word)) words.push(tokens.next() && word);
      else if (words.length > 0) break;
      else if (word === "struct" || word === "union") type = this.tags.record(attributes);
      else if (word === "enum") type = this.tags.enumeration();
      else if (word === "typeof" || word === "typeof_unqual") type = this.typeOf(word);
      else if (word === "__auto_type") {
        tokens.next();
        auto = true;
      } else if (Object.hasOwn(builtinNames, word)) {
        tokens.next();
        type = builtinNames[word];
      } else break;
    }
    if (words.length > 0) type = this.baseType(words, location);
    if (type === undefined && !auto) type = this.missingType();
    if (type !== undefined) {
      for (const tag of attributes.typeTags ?? []) type = { kind: "tagged", tag, of: type };
      delete attributes.typeTags;
      type = qualified(type, qualifiers);
    }
    return { type, storage, inline, attributes, location };
  }

  private baseType(words: readonly string[], location: number): CType {
    const [only] = words;
    if (words.length === 1 && Object.hasOwn(baseTypes, only!)) return baseTypes[only!]!;
    let key = words.toSorted();
    if (key.length > 1 && key.some((w) => w === "short" || w === "long" || w === "signed" || w === "unsigned"))
      key = key.filter((w) => w !== "int");
    const type = Object.hasOwn(baseTypes, key.join(" ")) ? baseTypes[key.join(" ")] : undefined;
    if (type !== undefined) return type;
    this.context.diagnostics.error(location, `${words.join(" ")} is no type`, { length: words.join(" ").length });
    return INT;
  }

  private missingType(): CType {
    const { context } = this;
    const token = context.tokens.peek();
    const next = context.tokens.peek(1);
    if (token.kind === TokenKind.IDENTIFIER && (next.kind === TokenKind.IDENTIFIER || next.is("*"))) {
      const near = nearestNames(
        token.text,
        [...context.scopes.names(), ...context.scopes.nearestOutside(token.text)],
        1,
      );
      errorAt(
        context,
        token,
        `there is no type ${token.text}`,
        near[0] === undefined ? {} : { hint: `did you mean ${near[0]}?` },
      );
      context.tokens.next();
      return INT;
    }
    // A macro that is not defined: SEC("…") without its header.
    const hint = token.kind === TokenKind.IDENTIFIER ? missingNameHint(token.text) : undefined;
    const what = token.kind === TokenKind.END ? "at the end" : `before ${token.text}`;
    errorAt(context, token, `a type is missing ${what}`, hint === undefined ? {} : { hint });
    return INT;
  }

  private alignas(attributes: GatheredAttributes): void {
    const { context } = this;
    const { tokens } = context;
    const word = tokens.next();
    tokens.expect("(", `behind ${word.text}`);
    if (this.startsType(tokens.peek())) {
      const type = this.typeName();
      attributes.align = Math.max(attributes.align ?? 1, context.expressions.alignment(type, word));
    } else {
      const expr = context.expressions.conditional();
      const value = constantInteger(expr);
      if (value === undefined || (value !== 0n && (value < 0n || value > 1n << 28n || (value & (value - 1n)) !== 0n)))
        context.diagnostics.error(expr.location, "an alignment is a constant power of two");
      else if (value > 0n) attributes.align = Math.max(attributes.align ?? 1, Number(value));
    }
    tokens.expect(")", `behind ${word.text}(`);
  }

  private typeOf(word: string): CType {
    const { context } = this;
    const { tokens } = context;
    tokens.next();
    tokens.expect("(", `behind ${word}`);
    const type = this.startsType(tokens.peek()) ? this.typeName() : context.expressions.expression().type;
    tokens.expect(")", `behind ${word}(`);
    if (word === "typeof") return type;
    // Without the qualifiers, typedefs stay where they hold none.
    return type.kind === "qualified" ? type.of : type;
  }

  /** A declarator; without a name where that is allowed. `attributes` gets those that stand around it. */
  declarator(base: CType, before: GatheredAttributes = {}): Declarator {
    const attributes: GatheredAttributes = { ...before };
    const { location } = this.context.tokens;
    const read = nested(this.context, () => this.read(attributes));
    const { tokens } = this.context;
    if (keywordOf(tokens.peek()) === "asm") {
      tokens.next();
      tokens.expect("(", "behind asm");
      attributes.assemblerName = this.context.statements.texts();
      tokens.expect(")", "behind the name");
    }
    parseAttributes(this.context, attributes);
    let type = read.apply(base);
    for (const tag of attributes.typeTags ?? []) type = { kind: "tagged", tag, of: type };
    delete attributes.typeTags;
    return { name: read.name, type, params: read.params, attributes, location: read.name?.location ?? location };
  }

  /** Reads outside in: gives what the declarator makes of the type before it. */
  private read(attributes: GatheredAttributes): {
    readonly name: Token | undefined;
    readonly params: readonly ParameterDeclarator[] | undefined;
    readonly apply: (base: CType) => CType;
  } {
    const { context } = this;
    const { tokens } = context;
    parseAttributes(context, attributes);
    if (tokens.accept("*") !== undefined) {
      let qualifiers: Qualifiers = {};
      const own: GatheredAttributes = {};
      for (;;) {
        const word = keywordOf(tokens.peek());
        if (QUALIFIERS.has(word)) {
          tokens.next();
          if (word !== "_Atomic") qualifiers = { ...qualifiers, [word]: true };
        } else if (word === "__extension__") tokens.next();
        else if (!parseAttributes(context, own)) break;
      }
      const inner = nested(context, () => this.read(attributes));
      return {
        ...inner,
        apply: (base) => {
          let type: CType = pointerTo(base);
          // A tag behind the star belongs to what the pointer itself is pointed to by.
          for (const tag of own.typeTags ?? []) type = { kind: "tagged", tag, of: type };
          return inner.apply(qualified(type, qualifiers));
        },
      };
    }
    let name: Token | undefined;
    let inner: ReturnType<DeclarationParser["read"]> | undefined;
    if (tokens.peek().kind === TokenKind.IDENTIFIER && !this.isReserved(tokens.peek())) name = tokens.next();
    else if (tokens.at("(") && this.opensDeclarator(tokens.peek(1))) {
      tokens.next();
      inner = nested(context, () => this.read(attributes));
      tokens.expect(")", "behind the declarator");
    }
    return this.suffixes(name, inner, attributes);
  }

  private isReserved(token: Token): boolean {
    const word = keywordOf(token);
    return (
      TYPE_STARTS.has(word) || STORAGE.has(word) || FUNCTION.has(word) || word === "__attribute__" || word === "asm"
    );
  }

  /** Behind `(`: a declarator in parentheses, not parameters. */
  private opensDeclarator(token: Token): boolean {
    if (token.is("*") || token.is("(") || token.is("[")) return true;
    if (token.text === "__attribute__") return true;
    return token.kind === TokenKind.IDENTIFIER && !this.startsType(token) && !STORAGE.has(keywordOf(token));
  }

  private suffixes(
    name: Token | undefined,
    inner: ReturnType<DeclarationParser["read"]> | undefined,
    attributes: GatheredAttributes,
  ): ReturnType<DeclarationParser["read"]> {
    const { context } = this;
    const { tokens } = context;
    const steps: ((base: CType) => CType)[] = [];
    let params: readonly ParameterDeclarator[] | undefined;
    for (;;) {
      if (tokens.at("[") && !tokens.peek(1).is("[")) {
        const bracket = tokens.next();
        const count = this.arrayCount();
        steps.push((base) => this.arrayOf(base, count, bracket));
      } else if (tokens.at("(")) {
        const parenthesis = tokens.next();
        const list = nested(context, () => this.parameters());
        params ??= list.params;
        steps.push((base) => this.functionOf(base, list, parenthesis));
      } else if (!parseAttributes(context, attributes)) break;
    }
    const apply = (base: CType): CType => {
      const own = steps.reduceRight((type, step) => step(type), base);
      return inner === undefined ? own : inner.apply(own);
    };
    // Of `int (*f(int a))(int b)` the parameters are those next to the name.
    return {
      name: name ?? inner?.name,
      params: inner?.params ?? (inner?.name === undefined ? params : undefined),
      apply,
    };
  }

  private arrayCount(): number | undefined {
    const { context } = this;
    const { tokens } = context;
    while (["static", "const", "volatile", "restrict"].includes(keywordOf(tokens.peek()))) tokens.next();
    if (tokens.accept("]") !== undefined) return undefined;
    if (tokens.at("*") && tokens.peek(1).is("]")) {
      tokens.next();
      tokens.next();
      return undefined;
    }
    const expr = context.expressions.assignment();
    tokens.expect("]", "behind the array's size");
    const value = constantInteger(expr);
    if (value === undefined) {
      context.diagnostics.error(expr.location, "eBPF has no arrays whose size is known only at run time", {
        hint: "give the array the largest size that it can need",
      });
      return 1;
    }
    if (!isInteger(expr.type) || value < 0n || value > MOST_ELEMENTS) {
      context.diagnostics.error(expr.location, `an array cannot have ${value} elements`);
      return 1;
    }
    return Number(value);
  }

  private arrayOf(base: CType, count: number | undefined, at: Token): CType {
    const shape = shapeOf(base);
    if (shape.kind === "function" || shape.kind === "void" || (shape.kind === "record" && !isComplete(base))) {
      errorAt(this.context, at, `an array of ${typeText(base)} cannot be`);
      return { kind: "array", of: INT, count };
    }
    return { kind: "array", of: base, count };
  }

  private functionOf(base: CType, list: ParameterList, at: Token): CType {
    const shape = shapeOf(base);
    if (shape.kind === "function" || shape.kind === "array") {
      errorAt(this.context, at, `a function cannot return ${shape.kind === "array" ? "an array" : "a function"}`);
      return this.functionOf(INT, list, at);
    }
    const params = list.params.map(({ name, type }): ParameterType => ({ name: name?.text, type }));
    return { kind: "function", result: base, params, variadic: list.variadic, unprototyped: list.unprototyped };
  }

  private parameters(): ParameterList {
    const { context } = this;
    const { tokens } = context;
    if (tokens.accept(")") !== undefined) return { params: [], variadic: false, unprototyped: true };
    if (keywordOf(tokens.peek()) === "void" && tokens.peek(1).is(")")) {
      tokens.next();
      tokens.next();
      return { params: [], variadic: false, unprototyped: false };
    }
    const params: ParameterDeclarator[] = [];
    let variadic = false;
    // Tags that parameters declare are theirs alone.
    context.scopes.enter();
    do {
      if (tokens.accept("...") !== undefined) {
        variadic = true;
        break;
      }
      const { type: base, attributes } = this.specifiers();
      const declarator = this.declarator(base ?? INT, attributes);
      const shape = shapeOf(declarator.type);
      let { type } = declarator;
      if (shape.kind === "array") type = pointerTo(shape.of);
      else if (shape.kind === "function") type = pointerTo(declarator.type);
      else if (shape.kind === "void") {
        context.diagnostics.error(declarator.location, "a parameter cannot be void");
        type = INT;
      }
      const { name, location } = declarator;
      params.push({ name, type, attributes: declarator.attributes, location });
    } while (tokens.accept(",") !== undefined);
    context.scopes.leave();
    tokens.expect(")", "behind the parameters");
    return { params, variadic, unprototyped: false };
  }
}

interface ParameterList {
  readonly params: readonly ParameterDeclarator[];
  readonly variadic: boolean;
  readonly unprototyped: boolean;
}
