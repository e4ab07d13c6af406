/** What calls of BCC's dialect name: tables with methods, functions. */
import type { Expr, FunctionDecl, VariableDecl } from "../ast.ts";
import { TABLE_SECTION } from "./prelude.ts";

/** A method of a table. */
export interface MethodCall {
  readonly variable: VariableDecl;
  readonly method: string;
}

/** True for a variable that is a table. */
export function isTable(variable: VariableDecl): boolean {
  return variable.attributes.section?.startsWith(TABLE_SECTION) === true;
}

/** The table and method that a call names; undefined for other calls. */
export function tableOf(expr: Expr & { kind: "call" }): MethodCall | undefined {
  let at = expr.callee;
  while (at.kind === "cast") at = at.operand;
  if (at.kind !== "member" || at.field.name === undefined) return undefined;
  let { record } = at;
  // `(&table)->method` and `(*table_pointer).method` are not distinguished: only the variable itself is a table.
  if (record.kind === "dereference" && record.operand.kind === "address") record = record.operand.operand;
  if (record.kind !== "variable" || !isTable(record.variable)) return undefined;
  return { variable: record.variable, method: at.field.name };
}

/** The function that a call names; undefined for calls through pointers. */
export function callOf(expr: Expr & { kind: "call" }): FunctionDecl | undefined {
  let at = expr.callee;
  while (at.kind === "cast") at = at.operand;
  return at.kind === "function" ? at.func : undefined;
}
