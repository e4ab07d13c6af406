/** Inline assembly: operands of C bound to operands of the template. */
import type { AsmCode, IrType, Value } from "../../../compiler/index.ts";
import type { AsmOperand, AsmStmt, Expr } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { sizeOf } from "../types/layout.ts";
import { shapeOf } from "../types/types.ts";
import type { Body } from "./body.ts";
import { helperNumber } from "./calls.ts";
import { convert } from "./convert.ts";
import { type Place, addressOf, load, store } from "./place.ts";
import { irTypeOf, isAggregate } from "./signature.ts";
import { place, value } from "./values.ts";

type InputKind = AsmCode["inputs"][number];

/** What a statement has become, for its template. */
interface Operands {
  readonly outputs: { type: IrType; tied?: number; early?: boolean }[];
  readonly targets: { place: Place; expr: Expr }[];
  readonly inputs: InputKind[];
  readonly values: Value[];
  /** By position as the template counts: the number of the operand in the IR's order. */
  readonly numbers: { output: number } | { input: number }[];
}

/** Lowers inline assembly. */
export function assembly(body: Body, stmt: AsmStmt): void {
  const { b } = body;
  if (stmt.labels.length > 0) {
    body.error(stmt.location, "asm goto: jumps from inline assembly to labels of C are not compiled", {
      hint: "put the condition into C, or give the assembly an output that is tested",
    });
    return;
  }
  const lowered = operandsOf(body, stmt);
  if (lowered === undefined) return;
  const clobbers = stmt.clobbers.flatMap((name) => {
    const register = /^[rw]([0-9])$/.exec(name);
    return register === null ? [] : [Number(register[1])];
  });
  body.at(stmt.location);
  const template = templateOf(body, stmt, lowered.numbers);
  if (template === undefined) return;
  const made = b.asm(
    {
      template,
      outputs: lowered.outputs,
      inputs: lowered.inputs,
      clobbers,
      memory: stmt.clobbers.includes("memory"),
      volatile: stmt.volatile,
    },
    lowered.values,
  );
  lowered.targets.forEach(({ place: to, expr }, i) => {
    const result = b.asmresult(made, i);
    store(body, to, convert(body, result, asType(expr), expr.type));
  });
}

/** The type as which a register holds an operand. */
function asType(expr: Expr): Expr["type"] {
  const shape = shapeOf(expr.type);
  if (shape.kind === "pointer") return expr.type;
  const isLong = (sizeOf(expr.type) ?? 4) > 4;
  return { kind: "integer", name: isLong ? "long" : "int", bits: isLong ? 64 : 32, signed: true, rank: isLong ? 4 : 3 };
}

/** Where each operand of the template ended. */
type Numbers = { readonly output?: number; readonly input?: number }[];

interface Lowered extends Omit<Operands, "numbers"> {
  readonly numbers: Numbers;
}

function operandsOf(body: Body, stmt: AsmStmt): Lowered | undefined {
  const lowered: Lowered = { outputs: [], targets: [], inputs: [], values: [], numbers: [] };
  for (const operand of stmt.outputs) if (!output(body, operand, lowered)) return undefined;
  for (const operand of stmt.inputs) if (!input(body, stmt, operand, lowered)) return undefined;
  return lowered;
}

function refuse(body: Body, { expr, constraint }: AsmOperand, why: string): false {
  body.error(expr.location, `the constraint "${constraint}": ${why}`);
  return false;
}

function output(body: Body, operand: AsmOperand, to: Lowered): boolean {
  const { constraint, expr } = operand;
  if (isAggregate(expr.type) && !/[mo]/.test(constraint))
    return refuse(body, operand, "a register holds no struct or array");
  const target = place(body, expr);
  if (/[mo]/.test(constraint)) {
    to.numbers.push({ input: to.inputs.length });
    to.inputs.push("memory");
    to.values.push(addressOf(body, target));
    return true;
  }
  if (!/^[=+]&?[rgplw]+&?$/.test(constraint.replace(/[%,?!]/g, "")))
    return refuse(body, operand, "outputs are =r, +r or =m");
  to.numbers.push({ output: to.outputs.length });
  const early = constraint.includes("&") ? { early: true } : {};
  if (constraint.startsWith("+")) {
    const before = load(body, target);
    to.outputs.push({ type: irTypeOf(expr.type), tied: to.inputs.length, ...early });
    to.inputs.push("register");
    to.values.push(before);
  } else to.outputs.push({ type: irTypeOf(expr.type), ...early });
  to.targets.push({ place: target, expr });
  return true;
}

function input(body: Body, stmt: AsmStmt, operand: AsmOperand, to: Lowered): boolean {
  const { constraint, expr } = operand;
  const tied = /^\d+$/.test(constraint)
    ? Number(constraint)
    : stmt.outputs.findIndex((out) => out.name !== undefined && constraint === `[${out.name}]`);
  if (tied >= 0 && to.numbers[tied]?.output !== undefined) {
    const number = to.numbers[tied].output;
    to.numbers.push({ output: number });
    to.outputs[number] = { ...to.outputs[number]!, tied: to.inputs.length };
    to.inputs.push("register");
    to.values.push(value(body, expr));
    return true;
  }
  if (/[mo]/.test(constraint)) {
    to.numbers.push({ input: to.inputs.length });
    to.inputs.push("memory");
    to.values.push(addressOf(body, place(body, expr)));
    return true;
  }
  const constant = /[inIg]/.test(constraint) ? (constantInteger(expr) ?? numberOfHelper(body, expr)) : undefined;
  to.numbers.push({ input: to.inputs.length });
  if (constant !== undefined) {
    to.inputs.push("immediate");
    to.values.push(body.b.const(constant, irTypeOf(expr.type) === "i32" ? "i32" : "i64"));
    return true;
  }
  const mayBeRegister = /[rgpwl]/.test(constraint);
  if (!mayBeRegister && !/[in]/.test(constraint)) return refuse(body, operand, "inputs are r, i, m or ri");
  if (isAggregate(expr.type)) return refuse(body, operand, "a register holds no struct or array");
  // What the function is inlined with may be constant: the code generator sees.
  to.inputs.push(mayBeRegister ? "register" : "immediate");
  to.values.push(value(body, expr));
  return true;
}

/** The number by which `call` knows a helper that is named. */
function numberOfHelper(body: Body, expr: Expr): bigint | undefined {
  let at = expr;
  while (at.kind === "cast" && at.cast !== "load") at = at.operand;
  const pointer = shapeOf(expr.type);
  if (at.kind === "cast" && pointer.kind === "pointer" && shapeOf(pointer.to).kind === "function")
    return helperNumber(at);
  if (at.kind !== "function" || at.func.body !== undefined) return undefined;
  if (at.func.helper === undefined) return undefined;
  const callee = body.context.callee(at.func, expr.location);
  return callee?.kind === "helper" ? BigInt(callee.id) : undefined;
}

/** The template with operands in the IR's numbers: outputs first, then inputs. */
function templateOf(body: Body, stmt: AsmStmt, numbers: Numbers): string | undefined {
  const names = [...stmt.outputs, ...stmt.inputs].map(({ name }) => name);
  const outputs = numbers.reduce((most, { output: n }) => Math.max(most, (n ?? -1) + 1), 0);
  let wrong: string | undefined;
  const text = stmt.template
    .replace(/\$/g, "$$$$")
    .replace(/%(?:(%)|=|([a-z])?(?:\[(\w+)\]|(\d+)))/g, (all, percent, modifier, name, digits) => {
      if (percent !== undefined) return "%";
      if (all === "%=") return String(stmt.location);
      const index = name === undefined ? Number(digits) : names.indexOf(name);
      const found = numbers[index];
      if (found === undefined) {
        wrong ??= all;
        return all;
      }
      const number = found.output ?? outputs + found.input!;
      return modifier === undefined || modifier === "l" ? `$${number}` : `\${${number}:${modifier}}`;
    });
  if (wrong === undefined) return text;
  body.error(stmt.location, `the assembly names the operand ${wrong}, which it does not have`);
  return undefined;
}
