/** Expressions whose value is known when the script is compiled. */
import type { Expression } from "../ast.ts";

/** The integer that an expression is; undefined when it is known at run time only. */
export function constantOfExpression(expression: Expression): bigint | undefined {
  if (typeof expression.constant === "bigint") return expression.constant;
  switch (expression.kind) {
    case "integer":
      return expression.value;
    case "boolean":
      return expression.value ? 1n : 0n;
    case "positional":
      return expression.resolved?.kind === "integer" ? expression.resolved.value : undefined;
    case "identifier":
      return expression.resolved?.kind === "constant" ? expression.resolved.value : undefined;
    case "comptime":
    case "cast":
      return expression.type?.kind === "int" || expression.kind === "comptime"
        ? constantOfExpression(expression.operand)
        : undefined;
    case "call":
      return expression.expansion ? constantOfExpression(expression.expansion) : undefined;
    case "unary": {
      const value = expression.operator === "-" ? constantOfExpression(expression.operand) : undefined;
      return value === undefined ? undefined : -value;
    }
    default:
      return undefined;
  }
}
