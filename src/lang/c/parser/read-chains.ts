/**
 * `BPF_CORE_READ` and its family. Their macros name a builtin each, which is read here as the blocks that libbpf's macros expand to: one
 * call of a reading helper for each pointer on the way, and no text to expand at every use.
 */
import type { Expr, Stmt, VariableDecl } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import { helperDeclaration } from "../helper-declarations.ts";
import type { Token } from "../preprocessor/token.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, UNSIGNED_LONG, VOID, pointerTo, qualified, shapeOf, typeText } from "../types/types.ts";
import { type ParserContext, errorAt } from "./context.ts";
import { assignable, cast, markAddressTaken, rvalue, unqualified } from "./conversions.ts";

/** What one of the family does. */
export interface ReadChain {
  /** Offsets are recorded for CO-RE whatever the types. */
  readonly core: boolean;
  readonly space: "kernel" | "user";
  /** `value`: the member's value; `into`: read to where the first argument points; `string`: so, up to a NUL. */
  readonly result: "value" | "into" | "string";
}

const results: readonly (readonly [word: string, result: ReadChain["result"]])[] = [
  ["", "value"],
  ["_into", "into"],
  ["_str_into", "string"],
];

/** The family by the names of its builtins. */
export const readChains: ReadonlyMap<string, ReadChain> = new Map(
  [true, false].flatMap((core) =>
    results.flatMap(([word, result]) =>
      (["kernel", "user"] as const).map((space): [string, ReadChain] => [
        `__builtin_skep_${core ? "core" : "probe"}_read${word}_${space}`,
        { core, space, result },
      ]),
    ),
  ),
);

const POINTER = pointerTo(qualified(VOID, { const: true }));

/** Reads a call; its opening parenthesis has been read. */
export function parseReadChain(context: ParserContext, word: Token, chain: ReadChain): Expr {
  return new ChainReader(context, word, chain).read();
}

class ChainReader {
  private readonly context: ParserContext;
  private readonly word: Token;
  private readonly chain: ReadChain;
  private readonly statements: Stmt[] = [];

  constructor(context: ParserContext, word: Token, chain: ReadChain) {
    this.context = context;
    this.word = word;
    this.chain = chain;
  }

  read(): Expr {
    const { context, word, chain } = this;
    const { tokens, expressions } = context;
    const { location } = word;
    if (context.currentFunction === undefined) errorAt(context, word, "memory can be read in functions only");
    let target: Expr | undefined;
    if (chain.result !== "value") {
      target = rvalue(expressions.assignment());
      tokens.expect(",", "behind where to read to");
    }
    let pointer = rvalue(expressions.assignment());
    tokens.expect(",", "behind the pointer");
    let step: VariableDecl | undefined;
    let member = expressions.memberOf(pointer);
    while (tokens.accept(",") !== undefined) {
      // One variable holds each pointer on the way.
      step ??= this.local("__t", POINTER);
      this.statements.push(this.statement(this.call("", this.address(step), 8, this.source(member))));
      const type = unqualified(member.type);
      pointer = cast(rvalue(this.variable(step)), type, "pointer");
      if (shapeOf(type).kind !== "pointer")
        errorAt(context, tokens.peek(), `a pointer must lead to ${tokens.peek().text}, this is ${typeText(type)}`);
      member = expressions.memberOf(pointer);
    }
    tokens.expect(")", "behind the members");
    const source = this.source(member);
    const body = { kind: "compound", statements: this.statements, location, end: location } as const;
    if (target === undefined) {
      const type = unqualified(member.type);
      const value = this.local("__r", type);
      this.statements.push(this.statement(this.call("", this.address(value), sizeOf(type) ?? 0, source)));
      const result = rvalue(this.variable(value));
      return { kind: "statements", body, result, type: result.type, location };
    }
    const to = shapeOf(target.type);
    if (to.kind !== "pointer")
      errorAt(context, word, `the first argument must be a pointer, not ${typeText(target.type)}`);
    const size = to.kind === "pointer" ? (sizeOf(to.to) ?? 1) : 1;
    const result = this.call(chain.result === "string" ? "_str" : "", target, size, source);
    return { kind: "statements", body, result, type: result.type, location };
  }

  private local(name: string, type: CType): VariableDecl {
    const { location } = this.word;
    const variable: VariableDecl = {
      kind: "variable",
      name,
      type,
      storage: "local",
      location,
      attributes: {},
      initializer: undefined,
      addressTaken: true,
      used: true,
    };
    this.statements.push({ kind: "declaration", variable, location });
    return variable;
  }

  private variable(variable: VariableDecl): Expr {
    return { kind: "variable", variable, type: variable.type, location: this.word.location };
  }

  private address(variable: VariableDecl): Expr {
    const operand = this.variable(variable);
    return { kind: "address", operand, type: pointerTo(variable.type), location: this.word.location };
  }

  private statement(expr: Expr): Stmt {
    return { kind: "expression", expr, location: this.word.location };
  }

  /** The address of a member, its way recorded when the family asks for that. */
  private source(member: Expr): Expr {
    const { location } = member;
    if (member.kind === "member" && member.field.bitWidth !== undefined)
      this.context.diagnostics.error(location, `${member.field.name ?? "this"} is a bitfield: it has no address`, {
        hint: "BPF_CORE_READ_BITFIELD_PROBED reads bitfields",
      });
    else if (!isLvalue(member)) return cast(member, POINTER, "none");
    markAddressTaken(member);
    const address: Expr = { kind: "address", operand: member, type: pointerTo(member.type), location };
    const name = "__builtin_preserve_access_index";
    return this.chain.core ? { kind: "builtin", name, args: [address], type: address.type, location } : address;
  }

  private call(suffix: "" | "_str", target: Expr, size: number, source: Expr): Expr {
    const { location } = this.word;
    const func = helperDeclaration(`bpf_probe_read_${this.chain.space}${suffix}`, () => undefined)!;
    const callee = rvalue({ kind: "function", func, type: func.type, location });
    const bytes: Expr = { kind: "integer", value: BigInt(size), type: UNSIGNED_LONG, location };
    const args = [target, bytes, source].map((arg, i) =>
      assignable(this.context.diagnostics, arg, func.type.params[i]!.type, "argument", `${i + 1} of ${func.name}`),
    );
    return { kind: "call", callee, args, type: func.type.result, location };
  }
}
