/** Which variable each `$name` means: variables live from their first assignment to the end of the block that holds it. */
import { nearestNames } from "../../../base/index.ts";
import type { Block, Expression, Statement, TypeExpression, Variable, VariableExpression } from "../ast.ts";
import { NONE } from "../types.ts";
import { didYouMean, type Reporter } from "./reporter.ts";
import { writtenName } from "./walk.ts";

/** What is known of a variable beside its type. */
interface Entry {
  readonly variable: Variable;
  readonly declaration: VariableExpression;
  /** Made by `let` without a value, and never given one. */
  unassigned: boolean;
}

/** Resolves the variables of one probe or function. */
export class ScopeResolver {
  readonly variables: Variable[] = [];
  private readonly reporter: Reporter;
  private readonly probeScope: boolean;
  private readonly scopes: Map<string, Entry>[] = [];
  private readonly entries: Entry[] = [];
  /** Names whose block has ended, for a hint. */
  private readonly ended = new Set<string>();

  /** With `probeScope`, what is first assigned in a block lives to the end of the probe, as before bpftrace 0.22. */
  constructor(reporter: Reporter, probeScope = false) {
    this.reporter = reporter;
    this.probeScope = probeScope;
  }

  /** Resolves the variables of a probe's predicate and body. */
  resolve(predicate: Expression | null, body: Block): void {
    if (predicate) this.scope(() => this.expression(predicate));
    this.block(body);
    for (const { unassigned, declaration } of this.entries) {
      if (unassigned) {
        this.reporter.warning(declaration.span, `Variable $${writtenName(declaration.name)} was never assigned to.`);
      }
    }
  }

  private scope(inside: () => void): void {
    this.scopes.push(new Map());
    inside();
    for (const name of this.scopes.pop()!.keys()) this.ended.add(name);
  }

  private find(name: string): Entry | undefined {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      const entry = this.scopes[i]!.get(name);
      if (entry) return entry;
    }
    return undefined;
  }

  private declare(declaration: VariableExpression, unassigned: boolean, scope = this.scopes.at(-1)!): void {
    const variable: Variable = { name: declaration.name, id: this.variables.length, type: NONE };
    this.variables.push(variable);
    const entry: Entry = { variable, declaration, unassigned };
    this.entries.push(entry);
    scope.set(declaration.name, entry);
    declaration.resolved = variable;
  }

  private block(block: Block): void {
    this.scope(() => this.statements(block.statements));
  }

  private statements(statements: readonly Statement[]): void {
    for (const statement of statements) this.statement(statement);
  }

  private statement(s: Statement): void {
    switch (s.kind) {
      case "expression":
        this.expression(s.expression);
        break;
      case "assign":
        this.expression(s.value);
        if (s.target?.kind === "variable") this.assign(s.target, s.op !== null);
        else if (s.target) this.expression(s.target);
        break;
      case "declare":
        if (s.declaredType) this.type(s.declaredType);
        if (s.value) this.expression(s.value);
        if (this.find(s.variable.name)) {
          this.reporter.error(
            s.variable.span,
            `Variable $${writtenName(s.variable.name)} was already declared. Variable shadowing is not allowed.`,
            "choose another name, or leave out let",
          );
        }
        this.declare(s.variable, s.value === null);
        break;
      case "if":
        this.expression(s.condition);
        this.block(s.then);
        if (s.otherwise && "kind" in s.otherwise) this.statement(s.otherwise);
        else if (s.otherwise) this.block(s.otherwise);
        break;
      case "while":
        this.expression(s.condition);
        this.block(s.body);
        break;
      case "for-map":
      case "for-range":
        if (s.kind === "for-map") this.expression(s.map);
        else {
          this.expression(s.start);
          this.expression(s.end);
        }
        if (this.find(s.variable.name)) {
          this.reporter.error(
            s.variable.span,
            `Loop declaration shadows existing variable: $${writtenName(s.variable.name)}`,
            "choose another name for the loop's variable",
          );
        }
        this.scope(() => {
          this.declare(s.variable, false);
          this.block(s.body);
        });
        break;
      case "unroll":
        this.expression(s.count);
        this.block(s.body);
        break;
      case "return":
        if (s.value) this.expression(s.value);
        break;
      case "block":
        this.block(s.block);
        break;
      case "break":
      case "continue":
        break;
    }
  }

  private assign(target: VariableExpression, reads: boolean): void {
    const entry = this.find(target.name);
    if (entry) {
      entry.unassigned = false;
      target.resolved = entry.variable;
    } else if (reads) this.undefined(target);
    else this.declare(target, false, this.probeScope ? this.scopes[0]! : this.scopes.at(-1)!);
  }

  private undefined(e: VariableExpression): void {
    const known = this.scopes.flatMap((s) => [...s.keys()]);
    const hint = this.ended.has(e.name)
      ? `it lives only in the block where it was first assigned: write let $${writtenName(e.name)}; before that block`
      : didYouMean(
          nearestNames(e.name, known).map((n) => `$${writtenName(n)}`),
          "assign it first: $x = 1;",
        );
    this.reporter.error(e.span, `Undefined or undeclared variable: $${writtenName(e.name)}`, hint);
    // Known from here on, so that it is reported once.
    if (this.scopes.length > 0) this.declare(e, false);
  }

  private type(t: TypeExpression): void {
    if (t.kind === "typeof") this.expression(t.expression);
    else if (t.kind === "pointer") this.type(t.to);
    else if (t.kind === "array") this.type(t.of);
  }

  private expression(e: Expression): void {
    switch (e.kind) {
      case "variable": {
        const entry = this.find(e.name);
        if (!entry) this.undefined(e);
        else e.resolved = entry.variable;
        break;
      }
      case "map":
        e.key?.forEach((k) => this.expression(k));
        break;
      case "unary":
        this.expression(e.operand);
        if (e.operator === "&" && e.operand.kind === "variable") {
          const entry = this.find(e.operand.name);
          if (entry) entry.unassigned = false;
        }
        break;
      case "comptime":
        this.expression(e.operand);
        break;
      case "cast":
        this.type(e.target);
        this.expression(e.operand);
        break;
      case "increment": {
        this.expression(e.target);
        const entry = e.target.kind === "variable" ? this.find(e.target.name) : undefined;
        if (entry) entry.unassigned = false;
        break;
      }
      case "binary":
        this.expression(e.left);
        this.expression(e.right);
        break;
      case "ternary":
        this.expression(e.condition);
        if (e.then) this.expression(e.then);
        this.expression(e.otherwise);
        break;
      case "call":
        e.args.forEach((a) => this.expression(a));
        if (e.typeArgument) this.type(e.typeArgument);
        break;
      case "field":
        this.expression(e.object);
        break;
      case "index":
        this.expression(e.object);
        this.expression(e.index);
        break;
      case "tuple":
        e.items.forEach((i) => this.expression(i));
        break;
      case "block":
        this.scope(() => {
          this.statements(e.block.statements);
          this.expression(e.result);
        });
        break;
      case "if":
        this.expression(e.condition);
        this.expression(e.then);
        this.expression(e.otherwise);
        break;
      default:
        break;
    }
  }
}
