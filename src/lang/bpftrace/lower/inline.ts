/** Calls of the script's own functions: their bodies are lowered where they are called. */
import type { CallExpression } from "../ast.ts";
import type { CheckedScript } from "../checked.ts";
import { sizeOf } from "../types.ts";
import type { Body } from "./body.ts";
import { convert, lowerInto, lowerNumber, typeOf } from "./expressions.ts";
import { lowerStatements } from "./statements.ts";
import { direct, isScalarType, type Operand, scalar } from "./values.ts";

/** Lowers a call of `fn name(...)`. Recursion is an error: a program's work is bounded. */
export function callFunction(body: Body, call: CallExpression, user: CheckedScript["functions"][number]): Operand {
  const { b } = body;
  const { name } = user.definition;
  if (body.calling.has(name)) throw body.script.error(call.span, `${name}() calls itself: recursion is not possible`);
  const values = call.args.map((argument, i) => {
    const { type } = user.params[i]!;
    const memory = body.memory(isScalarType(type) ? 8 : sizeOf(type), "argument");
    if (isScalarType(type)) b.store(memory, convert(body, lowerNumber(body, argument), typeOf(argument), type), 64);
    else lowerInto(body, argument, type, memory, 0, true);
    return { pointer: memory, type };
  });
  user.params.forEach((parameter, i) => body.variables.set(parameter, values[i]!));
  for (const variable of user.variables) if (!user.params.includes(variable)) body.variables.delete(variable);

  const result = body.memory(Math.max(8, sizeOf(user.result)), "result");
  body.zero(result, Math.max(8, Math.ceil(sizeOf(user.result) / 8) * 8));
  const end = b.block("returned");
  const { onReturn, returnsValue } = body;
  const loops = body.loops.splice(0);
  body.returnsValue = user.result.kind !== "none";
  body.onReturn = (value) => {
    if (value) {
      if (isScalarType(user.result)) {
        b.store(result, convert(body, lowerNumber(body, value), typeOf(value), user.result), 64);
      } else lowerInto(body, value, user.result, result, 0, true);
    }
    b.jump(end);
  };
  body.calling.add(name);
  lowerStatements(body, user.definition.body.statements);
  body.calling.delete(name);
  body.onReturn = onReturn;
  body.returnsValue = returnsValue;
  body.loops.push(...loops);
  b.jump(end);
  b.moveTo(end);
  return isScalarType(user.result) ? scalar(user.result, b.load(result, 64)) : direct(user.result, result, 0, true);
}
