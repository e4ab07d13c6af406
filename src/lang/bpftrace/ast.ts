/**
 * The syntax tree of a bpftrace script. Every node has its span in the script; expressions also carry the type that the checker
 * found (`type`), and some a resolution (`resolved`) so that lowering never looks a name up again.
 */
import type { Span } from "../../base/index.ts";
import type { Field, Type } from "./types.ts";

/** Common to all nodes. */
export interface Node {
  readonly span: Span;
}

/** A whole script. */
export interface Script extends Node {
  /** C definitions before the first probe, as text: `#include`, `#define`, struct, union and enum. */
  readonly preamble: readonly CDefinition[];
  readonly config: readonly ConfigAssignment[];
  readonly imports: readonly { readonly path: string; readonly span: Span }[];
  readonly mapDeclarations: readonly MapDeclaration[];
  readonly macros: readonly Macro[];
  readonly functions: readonly FunctionDefinition[];
  readonly probes: readonly Probe[];
}

/** `struct name { ... };`, `union`, `enum` or a preprocessor line. */
export interface CDefinition extends Node {
  readonly kind: "include" | "define" | "struct" | "union" | "enum" | "typedef";
  readonly name: string;
  readonly text: string;
}

/** `key = value` in `config = { ... }`. */
export interface ConfigAssignment extends Node {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: string | bigint | boolean;
}

/** `let @name = lruhash(100);` */
export interface MapDeclaration extends Node {
  readonly name: string;
  readonly mapKind: string;
  readonly maxEntries: bigint;
}

/** `macro name($var, @map, expr) { ... }` */
export interface Macro extends Node {
  readonly name: string;
  readonly params: readonly { readonly sigil: "$" | "@" | ""; readonly name: string; readonly span: Span }[];
  readonly body: Block;
}

/** `fn name($a: int64): int64 { ... }` */
export interface FunctionDefinition extends Node {
  readonly name: string;
  readonly nameSpan: Span;
  readonly params: readonly { readonly name: string; readonly type: TypeExpression; readonly span: Span }[];
  readonly result: TypeExpression | null;
  readonly body: Block;
}

/** `probe, probe /predicate/ { ... }` */
export interface Probe extends Node {
  readonly attachPoints: readonly AttachPoint[];
  readonly predicate: Expression | null;
  readonly body: Block;
}

/**
 * One attach point as written: `provider:part:part`. `provider` is the canonical name of the probe table (`tracepoint` for `t`);
 * parts keep their wildcards, quotes removed, positional parameters already replaced.
 */
export interface AttachPoint extends Node {
  readonly provider: string;
  readonly providerSpan: Span;
  readonly parts: readonly { readonly text: string; readonly span: Span }[];
  /** As written, for messages and the `probe` builtin when nothing is expanded. */
  readonly text: string;
}

/** `{ ... }`; as an expression (block expression) its last item is `result`. */
export interface Block extends Node {
  readonly statements: readonly Statement[];
}

/** What a block is made of. */
export type Statement =
  | (Node & { readonly kind: "expression"; readonly expression: Expression })
  /** `let $x: type = value` (`declare`) or plain assignment; `op` for compound assignment such as `+`. Discard `_ = e` has target null. */
  | (Node & {
      readonly kind: "assign";
      readonly target: Target | null;
      readonly op: BinaryOperator | null;
      readonly value: Expression;
    })
  | (Node & {
      readonly kind: "declare";
      readonly variable: VariableExpression;
      readonly declaredType: TypeExpression | null;
      readonly value: Expression | null;
    })
  | (Node & {
      readonly kind: "if";
      readonly condition: Expression;
      readonly then: Block;
      readonly otherwise: Block | IfStatement | null;
    })
  | (Node & { readonly kind: "while"; readonly condition: Expression; readonly body: Block })
  /** `for ($kv : @map)`. */
  | (Node & {
      readonly kind: "for-map";
      readonly variable: VariableExpression;
      readonly map: MapExpression;
      readonly body: Block;
    })
  /** `for ($i : start..end)`, end excluded. */
  | (Node & {
      readonly kind: "for-range";
      readonly variable: VariableExpression;
      readonly start: Expression;
      readonly end: Expression;
      readonly body: Block;
    })
  | (Node & { readonly kind: "unroll"; readonly count: Expression; readonly body: Block })
  | (Node & { readonly kind: "return"; readonly value: Expression | null })
  | (Node & { readonly kind: "break" })
  | (Node & { readonly kind: "continue" })
  | (Node & { readonly kind: "block"; readonly block: Block });

/** `if`, with its `else` when there is one. */
export type IfStatement = Extract<Statement, { kind: "if" }>;

/** What may be assigned to. */
export type Target = VariableExpression | MapExpression;

/** Operators before one operand; increments are expressions of their own. */
export type UnaryOperator = "-" | "!" | "~" | "*" | "&";
/** Operators between two operands. */
export type BinaryOperator =
  | "+"
  | "-"
  | "*"
  | "/"
  | "%"
  | "&"
  | "|"
  | "^"
  | "<<"
  | ">>"
  | "&&"
  | "||"
  | "=="
  | "!="
  | "<"
  | "<="
  | ">"
  | ">=";

interface ExpressionBase extends Node {
  /** Set by the checker. A literal's type is that of the values it meets; `none` where an expression has no value. */
  type?: Type;
  /**
   * Set by the checker where the value is known: integers as they are in 64 bits (booleans 0 and 1), text, or the bytes of `pton`.
   * Calls of compile-time functions (`sizeof`, `offsetof`, `kaddr`, `cgroupid`, `pton`, ...) always have it; so does `signal` with a literal.
   */
  constant?: bigint | string | Uint8Array;
}

/** An integer literal, durations such as `10ms` included. */
export interface IntegerExpression extends ExpressionBase {
  readonly kind: "integer";
  readonly value: bigint;
  /** As written, with a duration's unit already applied to `value`. */
  readonly text: string;
}
/** `true` or `false`. */
export interface BooleanExpression extends ExpressionBase {
  readonly kind: "boolean";
  readonly value: boolean;
}
/** A string literal. */
export interface StringExpression extends ExpressionBase {
  readonly kind: "string";
  /** Escapes resolved; bytes above 0x7f given by `\x` are kept as code points below 0x100. */
  readonly value: string;
}
/** `$1` (index 1) or `$#` (index 0). The checker replaces by value: `resolved`. */
export interface PositionalExpression extends ExpressionBase {
  readonly kind: "positional";
  readonly index: number;
  resolved?: { readonly kind: "integer"; readonly value: bigint } | { readonly kind: "string"; readonly value: string };
}
/** A bare name: a builtin (`pid`), an enum constant, or a `#define`d constant. */
export interface IdentifierExpression extends ExpressionBase {
  readonly kind: "identifier";
  readonly name: string;
  resolved?:
    | { readonly kind: "builtin"; readonly name: string; readonly index?: number }
    | { readonly kind: "constant"; readonly value: bigint }
    | { readonly kind: "text"; readonly value: string };
}
/** A scratch variable: `$x`. */
export interface VariableExpression extends ExpressionBase {
  readonly kind: "variable";
  /** Without `$`. */
  readonly name: string;
  /** Set by the checker: the declared variable, unique in the probe by scope. */
  resolved?: Variable;
}
/** A map, with its key when it has one: `@a`, `@a[1]`. */
export interface MapExpression extends ExpressionBase {
  readonly kind: "map";
  /** Without `@`; empty for the anonymous map. */
  readonly name: string;
  /** `@a[1, 2]` has two items, `@a[(1, 2)]` one tuple; both mean the same key. Null: no brackets. */
  readonly key: readonly Expression[] | null;
}
/** An operator and its operand: `-a`, `!a`, `*a`. */
export interface UnaryExpression extends ExpressionBase {
  readonly kind: "unary";
  readonly operator: UnaryOperator;
  readonly operand: Expression;
}
/** `++` and `--` on a variable or map entry. */
export interface IncrementExpression extends ExpressionBase {
  readonly kind: "increment";
  readonly operator: "++" | "--";
  readonly prefix: boolean;
  readonly target: Target;
}
/** An operator between two operands: `a + b`. */
export interface BinaryExpression extends ExpressionBase {
  readonly kind: "binary";
  readonly operator: BinaryOperator;
  readonly operatorSpan: Span;
  readonly left: Expression;
  readonly right: Expression;
}
/** `c ? a : b`; `a ?: b` has `then` null. */
export interface TernaryExpression extends ExpressionBase {
  readonly kind: "ternary";
  readonly condition: Expression;
  readonly then: Expression | null;
  readonly otherwise: Expression;
}
/** A call of a function, aggregation, macro or `fn`. `typeArguments` for `sizeof(type)` and the like. */
export interface CallExpression extends ExpressionBase {
  readonly kind: "call";
  readonly name: string;
  readonly nameSpan: Span;
  readonly args: readonly Expression[];
  /** `sizeof(struct x)`, `offsetof(struct x, a.b)`: the type and the path. */
  readonly typeArgument?: TypeExpression;
  readonly fieldPath?: readonly string[];
  /** Macro calls and builtins written as calls (`pid()`): what they stand for. Set before or by checking. */
  expansion?: Expression;
}
/** `a.b` and `a->b`; tuple items `t.0`; `args.filename`. */
export interface FieldExpression extends ExpressionBase {
  readonly kind: "field";
  readonly object: Expression;
  readonly name: string;
  readonly nameSpan: Span;
  readonly arrow: boolean;
  /** Set by the checker for struct members and tracepoint fields. */
  resolved?: Field;
}
/** An element by index: `a[i]`. */
export interface IndexExpression extends ExpressionBase {
  readonly kind: "index";
  readonly object: Expression;
  readonly index: Expression;
}
/** A conversion: `(uint8)a`, `(struct task_struct *)a`. */
export interface CastExpression extends ExpressionBase {
  readonly kind: "cast";
  readonly target: TypeExpression;
  readonly operand: Expression;
}
/** A tuple: `(1, "a")`. */
export interface TupleExpression extends ExpressionBase {
  readonly kind: "tuple";
  readonly items: readonly Expression[];
  /** Records: `(a = 1, b = "x")`. */
  readonly names?: readonly string[];
}
/** `{ ...; e }` used as a value, and `if` used as a value. */
export interface BlockExpression extends ExpressionBase {
  readonly kind: "block";
  readonly block: Block;
  readonly result: Expression;
}
/** `if` used as a value. */
export interface IfExpression extends ExpressionBase {
  readonly kind: "if";
  readonly condition: Expression;
  readonly then: BlockExpression;
  readonly otherwise: BlockExpression | IfExpression;
}
/** `comptime e`: must fold to a constant. */
export interface ComptimeExpression extends ExpressionBase {
  readonly kind: "comptime";
  readonly operand: Expression;
}

/** Everything that has a value. */
export type Expression =
  | IntegerExpression
  | BooleanExpression
  | StringExpression
  | PositionalExpression
  | IdentifierExpression
  | VariableExpression
  | MapExpression
  | UnaryExpression
  | IncrementExpression
  | BinaryExpression
  | TernaryExpression
  | CallExpression
  | FieldExpression
  | IndexExpression
  | CastExpression
  | TupleExpression
  | BlockExpression
  | IfExpression
  | ComptimeExpression;

/** A type as written: `uint64`, `struct task_struct *`, `int8[16]`, `string[64]`, `typeof($x)`. */
export type TypeExpression = Node &
  (
    | {
        readonly kind: "name";
        readonly name: string;
        readonly keyword: "struct" | "union" | "enum" | null;
        readonly size: bigint | null;
      }
    | { readonly kind: "pointer"; readonly to: TypeExpression }
    | { readonly kind: "array"; readonly of: TypeExpression; readonly length: bigint }
    | { readonly kind: "typeof"; readonly expression: Expression }
  );

/** A scratch variable after scope resolution. */
export interface Variable {
  readonly name: string;
  /** Unique within the probe (or function) it belongs to. */
  readonly id: number;
  /** Final after checking. */
  type: Type;
}
