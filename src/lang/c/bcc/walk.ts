/** Visits and rebuilds programs: every expression, whatever statement it is in. */
import type { AsmOperand, BuiltinArgument, CaseStmt, Expr, Initializer, Stmt } from "../ast.ts";

/** What is told of a program's parts, outer ones first. */
export interface Visitor {
  statement(stmt: Stmt): void;
  expression(expr: Expr): void;
}

/** Visits a statement and all within. */
export function walkStmt(stmt: Stmt, visitor: Visitor): void {
  visitor.statement(stmt);
  const go = (inner: Stmt | undefined): void => {
    if (inner !== undefined) walkStmt(inner, visitor);
  };
  const look = (expr: Expr | undefined): void => {
    if (expr !== undefined) walkExpr(expr, visitor);
  };
  switch (stmt.kind) {
    case "compound":
      stmt.statements.forEach(go);
      break;
    case "expression":
      look(stmt.expr);
      break;
    case "declaration":
      walkInitializer(stmt.variable.initializer, visitor);
      break;
    case "if":
      look(stmt.condition);
      go(stmt.then);
      go(stmt.else);
      break;
    case "while":
    case "do":
      look(stmt.condition);
      go(stmt.body);
      break;
    case "for":
      stmt.initial.forEach(go);
      look(stmt.condition);
      look(stmt.step);
      go(stmt.body);
      break;
    case "switch":
      look(stmt.value);
      go(stmt.body);
      break;
    case "case":
    case "label":
      go(stmt.statement);
      break;
    case "return":
      look(stmt.value);
      break;
    case "asm":
      for (const { expr } of [...stmt.outputs, ...stmt.inputs]) look(expr);
      break;
    default:
      break;
  }
}

function walkInitializer(initializer: Initializer | undefined, visitor: Visitor): void {
  if (initializer?.kind === "value") walkExpr(initializer.value, visitor);
  else initializer?.values.forEach(({ value }) => walkExpr(value, visitor));
}

/** Visits an expression and all within. */
export function walkExpr(expr: Expr, visitor: Visitor): void {
  visitor.expression(expr);
  for (const child of childrenOf(expr)) walkExpr(child, visitor);
  if (expr.kind === "statements") walkStmt(expr.body, visitor);
  else if (expr.kind === "compound") walkInitializer(expr.variable.initializer, visitor);
}

function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case "unary":
    case "dereference":
    case "address":
    case "cast":
      return [expr.operand];
    case "binary":
    case "logical":
    case "comma":
      return [expr.left, expr.right];
    case "conditional":
      return expr.then === undefined ? [expr.condition, expr.else] : [expr.condition, expr.then, expr.else];
    case "assign":
      return [expr.target, expr.value];
    case "step":
      return [expr.target];
    case "call":
      return [expr.callee, ...expr.args];
    case "member":
      return [expr.record];
    case "index":
      return [expr.array, expr.index];
    case "statements":
      return expr.result === undefined ? [] : [expr.result];
    case "builtin":
      return expr.args.filter((arg): arg is Expr => arg.kind !== "type");
    default:
      return [];
  }
}

/** Rebuilds a program's parts: what it is asked of an expression stands in its place. */
export abstract class Rebuilder {
  /** What an expression becomes; the parts within are rebuilt by {@link Rebuilder.within}. */
  abstract expr(expr: Expr): Expr;

  /** An expression with its parts rebuilt. */
  within(expr: Expr): Expr {
    switch (expr.kind) {
      case "unary":
      case "dereference":
      case "address":
      case "cast":
        return { ...expr, operand: this.expr(expr.operand) };
      case "binary":
      case "logical":
      case "comma":
        return { ...expr, left: this.expr(expr.left), right: this.expr(expr.right) };
      case "conditional":
        return {
          ...expr,
          condition: this.expr(expr.condition),
          then: expr.then === undefined ? undefined : this.expr(expr.then),
          else: this.expr(expr.else),
        };
      case "assign":
        return { ...expr, target: this.expr(expr.target), value: this.expr(expr.value) };
      case "step":
        return { ...expr, target: this.expr(expr.target) };
      case "call":
        return { ...expr, callee: this.expr(expr.callee), args: expr.args.map((arg) => this.expr(arg)) };
      case "member":
        return { ...expr, record: this.expr(expr.record) };
      case "index":
        return { ...expr, array: this.expr(expr.array), index: this.expr(expr.index) };
      case "compound":
        this.initializer(expr.variable);
        return expr;
      case "statements":
        return {
          ...expr,
          body: this.statement(expr.body) as typeof expr.body,
          result: expr.result === undefined ? undefined : this.expr(expr.result),
        };
      case "builtin":
        return { ...expr, args: expr.args.map((arg): BuiltinArgument => (arg.kind === "type" ? arg : this.expr(arg))) };
      default:
        return expr;
    }
  }

  /** Rebuilds what a variable begins with. */
  initializer(variable: { initializer: Initializer | undefined }): void {
    const { initializer } = variable;
    if (initializer === undefined) return;
    variable.initializer =
      initializer.kind === "value"
        ? { kind: "value", value: this.expr(initializer.value) }
        : {
            ...initializer,
            values: initializer.values.map((value) => ({ ...value, value: this.expr(value.value) })),
          };
  }

  /** A statement with its parts rebuilt. */
  statement(stmt: Stmt): Stmt {
    const operand = (of: AsmOperand): AsmOperand => ({ ...of, expr: this.expr(of.expr) });
    switch (stmt.kind) {
      case "compound":
        return { ...stmt, statements: stmt.statements.map((inner) => this.statement(inner)) };
      case "expression":
        return { ...stmt, expr: this.expr(stmt.expr) };
      case "declaration":
        this.initializer(stmt.variable);
        return stmt;
      case "if":
        return {
          ...stmt,
          condition: this.expr(stmt.condition),
          then: this.statement(stmt.then),
          else: stmt.else === undefined ? undefined : this.statement(stmt.else),
        };
      case "while":
      case "do":
        return { ...stmt, condition: this.expr(stmt.condition), body: this.statement(stmt.body) };
      case "for":
        return {
          ...stmt,
          initial: stmt.initial.map((inner) => this.statement(inner)),
          condition: stmt.condition === undefined ? undefined : this.expr(stmt.condition),
          step: stmt.step === undefined ? undefined : this.expr(stmt.step),
          body: this.statement(stmt.body),
        };
      case "switch":
        return this.switched(stmt);
      case "case":
        return this.caseOf(stmt);
      case "label":
        return { ...stmt, statement: this.statement(stmt.statement) };
      case "return":
        return stmt.value === undefined ? stmt : { ...stmt, value: this.expr(stmt.value) };
      case "asm":
        return { ...stmt, outputs: stmt.outputs.map(operand), inputs: stmt.inputs.map(operand) };
      default:
        return stmt;
    }
  }

  /** Cases are named by their switch too: it gets those that were rebuilt. */
  private readonly cases = new Map<CaseStmt, CaseStmt>();

  private switched(stmt: Stmt & { kind: "switch" }): Stmt {
    const value = this.expr(stmt.value);
    const body = this.statement(stmt.body);
    return { ...stmt, value, body, cases: stmt.cases.map((one) => this.cases.get(one) ?? one) };
  }

  private caseOf(stmt: CaseStmt): Stmt {
    const made: CaseStmt = { ...stmt, statement: this.statement(stmt.statement) };
    this.cases.set(stmt, made);
    return made;
  }
}
