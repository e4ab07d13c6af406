/**
 * How functions of C are called in IR. Scalars go as values: `_Bool`, enums and integers of up to 32 bits as `i32` whose upper bits hold the
 * sign or zeros as the C type says; wider integers as `i64`; pointers as `ptr`. A struct or union goes as the address of a copy that
 * the caller made and no longer needs. A struct or union that is returned is written through an additional first parameter, which
 * {@link Signature.params} includes, and the IR function gives nothing back. Entries follow the same rule: an `int` program gives an `i32`.
 */
import { isInteger } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type FunctionType, pointerTo, shapeOf } from "../types/types.ts";
import type { Signature } from "./context.ts";

/** The IR type that holds a scalar of C; aggregates are held by their address. */
export function irTypeOf(type: CType): "i32" | "i64" | "ptr" {
  const shape = shapeOf(type);
  if (isInteger(shape)) return (sizeOf(shape) ?? 4) > 4 ? "i64" : "i32";
  return shape.kind === "float" ? "i64" : "ptr";
}

/** True for structs, unions, arrays and integers of 128 bits: values that live in memory only. */
export function isAggregate(type: CType): boolean {
  const shape = shapeOf(type);
  return shape.kind === "record" || shape.kind === "array" || (shape.kind === "integer" && shape.bits === 128);
}

/** The IR signature of a function's type. Names of parameters are those of the type, or `arg0`, `arg1`, … */
export function signatureOf(type: FunctionType): Signature {
  const resultByAddress = isAggregate(type.result);
  const params: { name: string; type: "i32" | "i64" | "ptr"; of: CType }[] = [];
  if (resultByAddress) params.push({ name: "result", type: "ptr", of: pointerTo(type.result) });
  type.params.forEach((param, i) => {
    params.push({ name: param.name ?? `arg${i}`, type: irTypeOf(param.type), of: param.type });
  });
  const isVoid = resultByAddress || shapeOf(type.result).kind === "void";
  return { type, params, result: isVoid ? "void" : irTypeOf(type.result), resultByAddress };
}
