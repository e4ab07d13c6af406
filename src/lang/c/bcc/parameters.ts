/** Arguments of the function that a kprobe is on: parameters of the program that become reads of registers, where they are used. */
import type { CompoundStmt, Expr, FunctionDecl, Stmt, VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { OuterDeclarations } from "../parser/scope.ts";
import { isScalar } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type RecordType, UNSIGNED_LONG, pointerTo, shapeOf, typeText } from "../types/types.ts";
import {
  U64,
  addressOf,
  cast,
  convert,
  declare,
  dereference,
  integer,
  load,
  local,
  member,
  variable,
  voidAddress,
} from "./build.ts";
import type { BccArch } from "./prelude.ts";
import { parameterRegisters } from "./prelude.ts";
import type { Program } from "./programs.ts";
import { readInto } from "./reads.ts";

/** Registers that hold arguments. */
const MOST_ARGUMENTS = 6;

/** What the rewriting needs of the compilation. */
export interface ParametersHost {
  readonly diagnostics: Diagnostics;
  readonly outer: OuterDeclarations;
  readonly arch: BccArch;
  /** System calls get their registers through the context. */
  readonly syscallWrapper: boolean;
}

/** A member of the registers; `regs[2]` is an element. */
function registerOf(regs: Expr, name: string): Expr | undefined {
  const [, base = "", index] = /^(\w+)(?:\[(\d+)\])?$/.exec(name) ?? [];
  const found = member(regs, base);
  if (found === undefined || index === undefined) return found;
  const shape = shapeOf(found.type);
  if (shape.kind !== "array") return undefined;
  return {
    kind: "index",
    array: found,
    index: integer(BigInt(index), UNSIGNED_LONG, regs.location),
    type: shape.of,
    location: regs.location,
  };
}

/** Leaves a program its context alone: the other parameters become variables of its body, which is changed. */
export function lowerParameters(program: Program, body: CompoundStmt, host: ParametersHost): CompoundStmt {
  const { func } = program;
  const { diagnostics, arch } = host;
  const [context, ...params] = func.params;
  if (context === undefined || params.length === 0) return body;
  const { location } = func;
  if (params.length > MOST_ARGUMENTS) {
    diagnostics.error(params[MOST_ARGUMENTS]!.location, `${func.name}: registers hold ${MOST_ARGUMENTS} arguments`);
    return body;
  }
  func.params = [context];
  func.type = { ...func.type, params: func.type.params.slice(0, 1) };
  const used = params.filter(({ used: isUsed }) => isUsed);
  if (used.length === 0) return body;
  const record = registersRecord(context, host);
  if (record === undefined) {
    diagnostics.error(
      context.location,
      `${func.name} has arguments besides its context, which is ${typeText(context.type)}`,
      {
        hint: "arguments are in registers: the context of a kprobe is struct pt_regs *",
      },
    );
    return body;
  }
  const begin: Stmt[] = [];
  let regs: Expr = dereference(cast(load(variable(context, location)), pointerTo(record), "pointer"));
  const wrapped = program.isSyscall && host.syscallWrapper;
  if (wrapped) {
    const inner = registerOf(regs, parameterRegisters(arch, false)[0]!);
    const outer = local(
      `__${context.name}`,
      pointerTo(record),
      location,
      inner && convert(load(inner), pointerTo(record)),
    );
    begin.push(declare(outer));
    regs = dereference(load(variable(outer, location)));
  }
  params.forEach((param, i) => {
    if (!param.used) return;
    const register = registerOf(regs, parameterRegisters(arch, program.isSyscall)[i]!);
    if (register === undefined || !isScalar(param.type)) {
      diagnostics.error(param.location, `${param.name}, ${typeText(param.type)}, fits no register`);
      return;
    }
    begin.push(...asVariable(param, register, wrapped, i, func));
  });
  return { ...body, statements: [...begin, ...body.statements] };
}

function asVariable(param: VariableDecl, register: Expr, wrapped: boolean, index: number, func: FunctionDecl): Stmt[] {
  (param as { storage: VariableDecl["storage"] }).storage = "local";
  const { location } = func;
  if (!wrapped) {
    param.initializer = { kind: "value", value: convert(load(register), param.type) };
    return [declare(param)];
  }
  const whole = local(`argument${index + 1}`, U64, location);
  const read = readInto(
    voidAddress(variable(whole, location)),
    integer(sizeOf(U64)!, UNSIGNED_LONG, location),
    addressOf(register),
    "kernel",
  );
  param.initializer = { kind: "value", value: convert(load(variable(whole, location)), param.type) };
  return [declare(whole), read, declare(param)];
}

/** The struct of the registers: what the context points to, or the kernel's for `void *`. */
function registersRecord(context: VariableDecl, { outer }: ParametersHost): RecordType | undefined {
  const pointer = shapeOf(context.type);
  if (pointer.kind !== "pointer") return undefined;
  const to = shapeOf(pointer.to);
  if (to.kind === "void") return outer.record(false, "pt_regs");
  return to.kind === "record" && /^(?:user_)?pt_regs/.test(to.tag ?? "") ? to : undefined;
}
