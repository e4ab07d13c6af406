/**
 * The program after parsing and checking: every expression has its type, every conversion is a node of its own, names are
 * resolved. What lowering reads needs no rule of C any more.
 */
import type { CType, Field, FunctionType } from "./types/types.ts";

interface ExprBase {
  readonly type: CType;
  readonly location: number;
}

/** How a value becomes one of another type. */
export type CastKind =
  /** An lvalue becomes its value. */
  | "load"
  /** An array becomes the address of its first element, a function its own. */
  | "decay"
  /** Between integers, enums and from `_Bool`. */
  | "integer"
  /** Anything scalar to `_Bool`: is it not zero? */
  | "bool"
  | "pointer"
  | "pointer-to-integer"
  | "integer-to-pointer"
  | "void"
  /** Same value, other type. */
  | "none";

/** Operators of two operands that compute; comparisons give `int`. */
export type BinaryOperator =
  | "+"
  | "-"
  | "*"
  | "/"
  | "%"
  | "<<"
  | ">>"
  | "&"
  | "|"
  | "^"
  | "=="
  | "!="
  | "<"
  | ">"
  | "<="
  | ">=";

/** An expression. */
export type Expr =
  /** An integer or a null pointer. `enumerator` names the constant that it was written as. */
  | (ExprBase & { readonly kind: "integer"; readonly value: bigint; readonly enumerator?: string })
  /** A floating-point constant: eBPF has none, but constant expressions end in integers. */
  | (ExprBase & { readonly kind: "floating"; readonly value: number })
  /** An lvalue; bytes with the closing NUL. */
  | (ExprBase & { readonly kind: "string"; readonly bytes: Uint8Array })
  /** An lvalue. */
  | (ExprBase & { readonly kind: "variable"; readonly variable: VariableDecl })
  | (ExprBase & { readonly kind: "function"; readonly func: FunctionDecl })
  | (ExprBase & { readonly kind: "unary"; readonly operator: "-" | "~" | "!"; readonly operand: Expr })
  /** An lvalue. */
  | (ExprBase & { readonly kind: "dereference"; readonly operand: Expr })
  | (ExprBase & { readonly kind: "address"; readonly operand: Expr })
  /** Operands have been brought to one type; pointer arithmetic counts elements. */
  | (ExprBase & {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expr;
      readonly right: Expr;
    })
  | (ExprBase & { readonly kind: "logical"; readonly operator: "&&" | "||"; readonly left: Expr; readonly right: Expr })
  /** `then` is undefined for `a ?: b`: the condition, which is computed once. */
  | (ExprBase & {
      readonly kind: "conditional";
      readonly condition: Expr;
      readonly then: Expr | undefined;
      readonly else: Expr;
    })
  | (ExprBase & { readonly kind: "comma"; readonly left: Expr; readonly right: Expr })
  /** `operator` is undefined for `=`; else the target is read, brought to `computeType`, and the result back. */
  | (ExprBase & {
      readonly kind: "assign";
      readonly operator: BinaryOperator | undefined;
      readonly target: Expr;
      readonly value: Expr;
      readonly computeType: CType;
    })
  | (ExprBase & { readonly kind: "step"; readonly by: 1 | -1; readonly postfix: boolean; readonly target: Expr })
  | (ExprBase & { readonly kind: "cast"; readonly cast: CastKind; readonly operand: Expr; readonly implicit: boolean })
  | (ExprBase & { readonly kind: "call"; readonly callee: Expr; readonly args: readonly Expr[] })
  /** Member of a record, an lvalue when the record is one. `record->member` is a member of a dereference. */
  | (ExprBase & { readonly kind: "member"; readonly record: Expr; readonly field: Field })
  /** `array[index]`, an lvalue; of a pointer when `array` has pointer type. Kept apart from `*(a + i)` for CO-RE. */
  | (ExprBase & { readonly kind: "index"; readonly array: Expr; readonly index: Expr })
  /** An lvalue. */
  | (ExprBase & { readonly kind: "compound"; readonly variable: VariableDecl })
  /** `({ … })`. */
  | (ExprBase & { readonly kind: "statements"; readonly body: CompoundStmt; readonly result: Expr | undefined })
  | (ExprBase & { readonly kind: "builtin"; readonly name: string; readonly args: readonly BuiltinArgument[] });

/** What a builtin takes: values, or types (`__builtin_btf_type_id`). */
export type BuiltinArgument = Expr | { readonly kind: "type"; readonly of: CType };

/** A place in an object and what is put there. */
export interface InitialValue {
  /** Bits from the object's start. */
  readonly bitOffset: number;
  /** Bits of a bitfield. */
  readonly bitWidth: number | undefined;
  readonly type: CType;
  readonly value: Expr;
}

/** An initialiser: one value, or places of an aggregate in the order of writing, the rest zero. */
export type Initializer =
  | { readonly kind: "value"; readonly value: Expr }
  | { readonly kind: "aggregate"; readonly values: readonly InitialValue[]; readonly location: number };

/** Attributes that a declaration may have. */
export interface Attributes {
  readonly section?: string;
  readonly inline?: "always" | "never";
  readonly weak?: boolean;
  readonly used?: boolean;
  readonly hidden?: boolean;
  readonly noReturn?: boolean;
  /** Bytes. */
  readonly align?: number;
  readonly packed?: boolean;
  readonly preserveAccessIndex?: boolean;
  readonly typeTags?: readonly string[];
  readonly declTags?: readonly string[];
  /** Function that gets the variable's address at the end of its scope. */
  readonly cleanup?: FunctionDecl;
  /** `asm("name")`: what the object calls it, such as `llvm.bpf.load.byte`. */
  readonly assemblerName?: string;
  /** `arena` variables of clang's address spaces. */
  readonly addressSpace?: number;
}

/** A variable or parameter. */
export interface VariableDecl {
  readonly kind: "variable";
  readonly name: string;
  /** Completed by an initialiser or a later declaration: `int a[] = {1}`. */
  type: CType;
  readonly storage: "global" | "static" | "extern" | "local" | "parameter";
  readonly location: number;
  attributes: Attributes;
  initializer: Initializer | undefined;
  /** Its address is taken, or it is an aggregate: it must be in memory. */
  addressTaken: boolean;
  used: boolean;
  /** Of a static variable in a block: its function's name, which the object puts before its own. */
  readonly within?: string;
}

/** A function. */
export interface FunctionDecl {
  readonly kind: "function";
  readonly name: string;
  type: FunctionType;
  /** `extern` until a definition is seen. */
  storage: "extern" | "static";
  readonly inline: boolean;
  readonly location: number;
  attributes: Attributes;
  params: readonly VariableDecl[];
  body: CompoundStmt | undefined;
  used: boolean;
  /** A BPF helper that is called by its name alone, without a declaration. */
  readonly helper?: string;
  /** Of a copy for calls that hand over functions: what its parameters are. */
  readonly bound?: ReadonlyMap<VariableDecl, FunctionDecl>;
}

/** A statement. */
export type Stmt =
  | CompoundStmt
  | { readonly kind: "expression"; readonly expr: Expr; readonly location: number }
  | { readonly kind: "declaration"; readonly variable: VariableDecl; readonly location: number }
  | {
      readonly kind: "if";
      readonly condition: Expr;
      readonly then: Stmt;
      readonly else: Stmt | undefined;
      readonly location: number;
    }
  | {
      readonly kind: "while";
      readonly condition: Expr;
      readonly body: Stmt;
      readonly location: number;
      readonly unroll: boolean;
    }
  | {
      readonly kind: "do";
      readonly condition: Expr;
      readonly body: Stmt;
      readonly location: number;
      readonly unroll: boolean;
    }
  | {
      readonly kind: "for";
      readonly initial: readonly Stmt[];
      readonly condition: Expr | undefined;
      readonly step: Expr | undefined;
      readonly body: Stmt;
      readonly location: number;
      /** `#pragma unroll`. */
      readonly unroll: boolean;
    }
  | SwitchStmt
  | CaseStmt
  | { readonly kind: "break" | "continue" | "empty"; readonly location: number }
  | { readonly kind: "goto"; readonly label: string; readonly location: number }
  | { readonly kind: "label"; readonly label: string; readonly statement: Stmt; readonly location: number }
  | { readonly kind: "return"; readonly value: Expr | undefined; readonly location: number }
  | AsmStmt;

/** `{ … }`. */
export interface CompoundStmt {
  readonly kind: "compound";
  readonly statements: readonly Stmt[];
  readonly location: number;
  /** Of the closing brace. */
  readonly end: number;
}

/** `switch`; its cases are in its body. */
export interface SwitchStmt {
  readonly kind: "switch";
  readonly value: Expr;
  readonly body: Stmt;
  readonly cases: readonly CaseStmt[];
  readonly location: number;
}

/** `case` and `default`. */
export interface CaseStmt {
  readonly kind: "case";
  /** Undefined for `default`; GNU ranges have two ends. Wrapped to the switch's type. */
  readonly range: { readonly low: bigint; readonly high: bigint } | undefined;
  readonly statement: Stmt;
  readonly location: number;
}

/** Inline assembly. */
export interface AsmStmt {
  readonly kind: "asm";
  readonly template: string;
  readonly outputs: readonly AsmOperand[];
  readonly inputs: readonly AsmOperand[];
  readonly clobbers: readonly string[];
  /** Names of labels of `asm goto`. */
  readonly labels: readonly string[];
  readonly volatile: boolean;
  readonly location: number;
}

/** An operand of inline assembly. */
export interface AsmOperand {
  readonly name: string | undefined;
  readonly constraint: string;
  readonly expr: Expr;
}

/** All that a file declares. */
export interface TranslationUnit {
  readonly functions: readonly FunctionDecl[];
  readonly variables: readonly VariableDecl[];
  /** Pragmas that nothing has taken, with their texts. */
  readonly pragmas: readonly { readonly text: string; readonly location: number }[];
  /** Texts of `asm("…")` outside of functions. */
  readonly fileAsm: readonly { readonly text: string; readonly location: number }[];
}

/** True for what has an address to which something can be written, or of which it can be taken. */
export function isLvalue(expr: Expr): boolean {
  switch (expr.kind) {
    case "variable":
    case "string":
    case "dereference":
    case "index":
    case "compound":
      return true;
    case "member":
      return isLvalue(expr.record);
    default:
      return false;
  }
}
