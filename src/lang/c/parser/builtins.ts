/** Functions that the compiler itself knows: their types, from one table that `__has_builtin` answers by too. */
import type { BuiltinArgument, Expr } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import type { Token } from "../preprocessor/token.ts";
import { compatible, isInteger, wrapTo } from "../types/compatible.ts";
import { findField, sizeOf } from "../types/layout.ts";
import { findMembers, memberAlias } from "../types/member-aliases.ts";
import {
  BOOL,
  CHAR,
  type CType,
  INT,
  LONG,
  LONG_LONG,
  type RecordType,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  UNSIGNED_LONG_LONG,
  UNSIGNED_SHORT,
  VOID,
  pointerTo,
  qualified,
  shapeOf,
  typeText,
} from "../types/types.ts";
import { type ParserContext, errorAt } from "./context.ts";
import { assignable, markAddressTaken, rvalue, unqualified } from "./conversions.ts";
import { type ReadChain, parseReadChain, readChains } from "./read-chains.ts";

/** Letters of signatures. */
const letters: Readonly<Record<string, CType>> = {
  v: VOID,
  p: pointerTo(VOID),
  c: pointerTo(qualified(VOID, { const: true })),
  s: pointerTo(qualified(CHAR, { const: true })),
  i: INT,
  u: UNSIGNED_INT,
  l: LONG,
  U: UNSIGNED_LONG,
  L: LONG_LONG,
  w: UNSIGNED_LONG_LONG,
  h: UNSIGNED_SHORT,
};

/** Result, colon, parameters; `.` at the end takes anything more. */
const signatures: Readonly<Record<string, string>> = {
  __builtin_memcpy: "p:pcU",
  __builtin_memcpy_inline: "v:pcU",
  __builtin_memmove: "p:pcU",
  __builtin_memset: "p:piU",
  __builtin_memset_inline: "v:piU",
  __builtin_memcmp: "i:ccU",
  __builtin_bzero: "v:pU",
  __builtin_strlen: "U:s",
  __builtin_strcmp: "i:ss",
  __builtin_strncmp: "i:ssU",
  __builtin_bswap16: "h:h",
  __builtin_bswap32: "u:u",
  __builtin_bswap64: "U:U",
  __builtin_expect: "l:ll",
  __builtin_expect_with_probability: "l:ll.",
  __builtin_assume: "v:i",
  __builtin_unreachable: "v:",
  __builtin_trap: "v:",
  __builtin_debugtrap: "v:",
  __builtin_prefetch: "v:c.",
  __builtin_object_size: "U:ci",
  __builtin_dynamic_object_size: "U:ci",
  __builtin_ffs: "i:i",
  __builtin_ffsl: "i:l",
  __builtin_ffsll: "i:L",
  __builtin_clz: "i:u",
  __builtin_clzl: "i:U",
  __builtin_clzll: "i:w",
  __builtin_ctz: "i:u",
  __builtin_ctzl: "i:U",
  __builtin_ctzll: "i:w",
  __builtin_popcount: "i:u",
  __builtin_popcountl: "i:U",
  __builtin_popcountll: "i:w",
  __builtin_parity: "i:u",
  __builtin_abs: "i:i",
  __builtin_labs: "l:l",
  __sync_synchronize: "v:",
  __atomic_thread_fence: "v:i",
  __atomic_signal_fence: "v:i",
};

/** Atomics over whatever their first argument points to: result (`T` value, `P` nothing, `b` bool), then further arguments. */
const atomics: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["add", "sub", "or", "and", "xor", "nand"].flatMap((op) => [
      [`__sync_fetch_and_${op}`, "T:T"],
      [`__sync_${op}_and_fetch`, "T:T"],
      [`__atomic_fetch_${op}`, "T:Ti"],
      [`__atomic_${op}_fetch`, "T:Ti"],
    ]),
  ),
  __sync_lock_test_and_set: "T:T",
  __sync_lock_release: "v:",
  __sync_val_compare_and_swap: "T:TT",
  __sync_bool_compare_and_swap: "b:TT",
  __sync_swap: "T:T",
  __atomic_load_n: "T:i",
  __atomic_store_n: "v:Ti",
  __atomic_exchange_n: "T:Ti",
  __atomic_compare_exchange_n: "b:PTbii",
  __atomic_load: "v:Pi",
  __atomic_store: "v:Pi",
  __atomic_exchange: "v:PPi",
  __atomic_compare_exchange: "b:PPbii",
};

type Special = (parser: BuiltinCalls, word: Token) => Expr;

/** Those that take types, or whose type is that of an argument. */
const specials: Readonly<Record<string, Special>> = {
  __builtin_offsetof: (p, word) => p.offsetOf(word),
  __builtin_types_compatible_p: (p, word) => p.typesCompatible(word),
  __builtin_choose_expr: (p, word) => p.chooseExpr(word),
  __builtin_constant_p: (p, word) => p.constantP(word),
  __builtin_preserve_access_index: (p, word) => p.preserveAccessIndex(word),
  __builtin_preserve_field_info: (p, word) => p.preserve(word, UNSIGNED_INT),
  __builtin_preserve_type_info: (p, word) => p.preserve(word, UNSIGNED_INT),
  __builtin_preserve_enum_value: (p, word) => p.preserve(word, UNSIGNED_LONG),
  __builtin_btf_type_id: (p, word) => p.preserve(word, UNSIGNED_LONG),
  __builtin_add_overflow: (p, word) => p.overflow(word),
  __builtin_sub_overflow: (p, word) => p.overflow(word),
  __builtin_mul_overflow: (p, word) => p.overflow(word),
  ...Object.fromEntries(
    [...readChains].map(([name, chain]) => [name, (p: BuiltinCalls, word: Token) => p.readChain(word, chain)]),
  ),
};

/** Functions of C's library that mean the builtin of their name: there is no library to link with. */
export const libraryFunctions: ReadonlySet<string> = new Set(
  "memcpy memmove memset memcmp bzero strlen strcmp strncmp ffs ffsl ffsll abs labs".split(" "),
);

/** True for the name of a builtin. */
export function isBuiltin(name: string): boolean {
  return Object.hasOwn(signatures, name) || Object.hasOwn(atomics, name) || Object.hasOwn(specials, name);
}

/** All names of builtins, for suggestions. */
export function builtinNames(): string[] {
  return [...Object.keys(signatures), ...Object.keys(atomics), ...Object.keys(specials)];
}

/** Parses calls of builtins. */
export class BuiltinCalls {
  private readonly context: ParserContext;

  constructor(context: ParserContext) {
    this.context = context;
  }

  /** A call; the builtin's name has been read. */
  call(word: Token): Expr {
    const special = Object.hasOwn(specials, word.text) ? specials[word.text] : undefined;
    if (special !== undefined) {
      this.open(word);
      return special(this, word);
    }
    this.open(word);
    const args = this.args(word);
    const signature = signatures[word.text];
    return signature === undefined ? this.atomic(word, args, atomics[word.text]!) : this.typed(word, args, signature);
  }

  private open(word: Token): void {
    this.context.tokens.expect("(", `behind ${word.text}`);
  }

  private close(word: Token): void {
    this.context.tokens.expect(")", `behind the arguments of ${word.text}`);
  }

  private comma(word: Token): void {
    this.context.tokens.expect(",", `between the arguments of ${word.text}`);
  }

  private args(word: Token): Expr[] {
    const { tokens, expressions } = this.context;
    const args: Expr[] = [];
    if (!tokens.at(")")) {
      do args.push(expressions.assignment());
      while (tokens.accept(",") !== undefined);
    }
    this.close(word);
    return args;
  }

  private made(word: Token, type: CType, args: readonly BuiltinArgument[]): Expr {
    return { kind: "builtin", name: word.text, args, type, location: word.location };
  }

  private integer(word: Token, value: bigint, type: CType = INT): Expr {
    return { kind: "integer", value, type, location: word.location };
  }

  private count(word: Token, args: readonly Expr[], wanted: number, more: boolean): boolean {
    if (args.length === wanted || (more && args.length > wanted)) return true;
    errorAt(
      this.context,
      word,
      `${word.text} takes ${more ? "at least " : ""}${wanted} arguments, here are ${args.length}`,
    );
    return false;
  }

  private typed(word: Token, args: readonly Expr[], signature: string): Expr {
    const [result, params] = signature.split(":") as [string, string];
    const more = params.endsWith(".");
    const wanted = more ? params.slice(0, -1) : params;
    const type = letters[result]!;
    if (!this.count(word, args, wanted.length, more)) return this.integer(word, 0n);
    const converted = args.map((arg, i) =>
      i < wanted.length
        ? assignable(this.context.diagnostics, arg, letters[wanted[i]!]!, "argument", `${i + 1} of ${word.text}`)
        : rvalue(arg),
    );
    return this.made(word, type, converted);
  }

  private atomic(word: Token, args: readonly Expr[], signature: string): Expr {
    const [result, params] = signature.split(":") as [string, string];
    if (!this.count(word, args, params.length + 1, true)) return this.integer(word, 0n);
    const pointer = rvalue(args[0]!);
    const shape = shapeOf(pointer.type);
    if (shape.kind !== "pointer" || ![1, 2, 4, 8].includes(sizeOf(shape.to) ?? 0)) {
      errorAt(this.context, word, `${word.text} needs a pointer to 1, 2, 4 or 8 bytes, not ${typeText(pointer.type)}`);
      return this.integer(word, 0n);
    }
    const target = unqualified(shape.to);
    const converted = args.slice(1, params.length + 1).map((arg, i) => {
      const type = { T: target, P: pointerTo(target), b: BOOL, i: INT }[params[i]!]!;
      return assignable(this.context.diagnostics, arg, type, "argument", `${i + 2} of ${word.text}`);
    });
    return this.made(word, { T: target, b: BOOL, v: VOID }[result]!, [pointer, ...converted]);
  }

  offsetOf(word: Token): Expr {
    const { tokens, expressions, declarations, diagnostics } = this.context;
    const type = declarations.typeName();
    this.comma(word);
    let offset = 0n;
    let at = type;
    let first = true;
    let index: Expr | undefined;
    do {
      if (!first && tokens.accept("[") !== undefined) {
        const expr = expressions.expression();
        tokens.expect("]", "behind the index");
        const shape = shapeOf(at);
        const value = constantInteger(expr);
        if (shape.kind !== "array") diagnostics.error(expr.location, `${typeText(at)} is no array`);
        else {
          at = shape.of;
          const size = BigInt(sizeOf(at) ?? 0);
          if (value !== undefined) offset += value * size;
          else index = this.scaled(expr, size, index);
        }
        continue;
      }
      if (!first) tokens.expect(".", "between the members");
      first = false;
      const name = tokens.next();
      const shape = shapeOf(at);
      const found =
        shape.kind === "record" && shape.contents !== undefined ? findField(shape.contents, name.text) : undefined;
      const alias = found === undefined && shape.kind === "record" ? memberAlias(shape.tag, name.text) : undefined;
      const aliased = alias === undefined ? undefined : findMembers(shape as RecordType, alias);
      if (aliased !== undefined) {
        offset += BigInt(aliased.bitOffset / 8);
        at = aliased.type;
        continue;
      }
      const field = found?.path.at(-1);
      if (found === undefined || field === undefined) {
        errorAt(this.context, name, `${typeText(at)} has no member ${name.text}`);
        break;
      }
      if (field.bitWidth !== undefined)
        errorAt(this.context, name, `${name.text} is a bitfield: it has no offset in bytes`);
      offset += BigInt(found.bitOffset / 8);
      at = field.type;
    } while (tokens.at(".") || tokens.at("["));
    this.close(word);
    const constant = this.integer(word, offset, UNSIGNED_LONG);
    if (index === undefined) return constant;
    return {
      kind: "binary",
      operator: "+",
      left: constant,
      right: index,
      type: UNSIGNED_LONG,
      location: word.location,
    };
  }

  private scaled(expr: Expr, size: bigint, more: Expr | undefined): Expr {
    const { location } = expr;
    const factor: Expr = { kind: "integer", value: size, type: UNSIGNED_LONG, location };
    const index = assignable(this.context.diagnostics, expr, UNSIGNED_LONG, "argument");
    const product: Expr = { kind: "binary", operator: "*", left: index, right: factor, type: UNSIGNED_LONG, location };
    if (more === undefined) return product;
    return { kind: "binary", operator: "+", left: more, right: product, type: UNSIGNED_LONG, location };
  }

  typesCompatible(word: Token): Expr {
    const a = this.context.declarations.typeName();
    this.comma(word);
    const b = this.context.declarations.typeName();
    this.close(word);
    return this.integer(word, compatible(a, b) ? 1n : 0n);
  }

  chooseExpr(word: Token): Expr {
    const { expressions, diagnostics } = this.context;
    const test = expressions.assignment();
    this.comma(word);
    const then = expressions.assignment();
    this.comma(word);
    const otherwise = expressions.assignment();
    this.close(word);
    const value = constantInteger(test);
    if (value === undefined) diagnostics.error(test.location, "__builtin_choose_expr chooses by a constant");
    return value === 0n ? otherwise : then;
  }

  constantP(word: Token): Expr {
    const [arg] = this.args(word);
    if (arg === undefined) {
      errorAt(this.context, word, `${word.text} takes 1 argument`);
      return this.integer(word, 0n);
    }
    const value = rvalue(arg);
    if (constantInteger(value) !== undefined || arg.kind === "string") return this.integer(word, 1n);
    // Where a symbol is, only the loader knows.
    if (isSymbol(value)) return this.integer(word, 0n);
    // Later passes may still find that it is constant: lowering decides.
    return isInteger(value.type) ? this.made(word, INT, [value]) : this.integer(word, 0n);
  }

  preserveAccessIndex(word: Token): Expr {
    const args = this.args(word);
    if (!this.count(word, args, 1, false)) return this.integer(word, 0n);
    const [arg] = args as [Expr];
    // Of an lvalue its value is wanted, of an array its address.
    const value = rvalue(arg);
    return this.made(word, value.type, [value]);
  }

  /** Questions about a field, type or enumerator: the first argument is only looked at, never computed. */
  preserve(word: Token, type: CType): Expr {
    const { expressions, diagnostics } = this.context;
    const subject = expressions.assignment();
    if (isLvalue(subject)) markAddressTaken(subject);
    this.comma(word);
    const kind = expressions.assignment();
    this.close(word);
    const value = constantInteger(kind);
    if (value === undefined) diagnostics.error(kind.location, `the second argument of ${word.text} is a constant`);
    return this.made(word, type, [subject, this.integer(word, value ?? 0n)]);
  }

  readChain(word: Token, chain: ReadChain): Expr {
    return parseReadChain(this.context, word, chain);
  }

  overflow(word: Token): Expr {
    const args = this.args(word);
    if (!this.count(word, args, 3, false)) return this.integer(word, 0n);
    const values = args.map((arg) => rvalue(arg));
    const result = shapeOf(values[2]!.type);
    const integers = isInteger(values[0]!.type) && isInteger(values[1]!.type);
    if (!integers || result.kind !== "pointer" || !isInteger(result.to))
      errorAt(this.context, word, `${word.text} takes two integers and a pointer to one`);
    return this.made(word, BOOL, values);
  }
}

/** True for the address of a function or variable, and for whether it is null. */
function isSymbol(expr: Expr): boolean {
  switch (expr.kind) {
    case "cast":
      return expr.cast === "decay" || (expr.cast !== "load" && isSymbol(expr.operand));
    case "unary":
      return expr.operator === "!" && isSymbol(expr.operand);
    case "address":
      return expr.operand.kind === "variable";
    default:
      return false;
  }
}

/** A constant of a type, such as for `sizeof`. */
export function integerOf(value: bigint, type: CType, location: number): Expr {
  return { kind: "integer", value: wrapTo(value, type), type, location };
}
