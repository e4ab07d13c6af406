/** Loops over maps: the body becomes a callback of `bpf_for_each_map_elem` that shares its variables with the program. */
import { FunctionBuilder } from "../../../compiler/builder.ts";
import type { Value } from "../../../compiler/ir.ts";
import type { Statement, Variable } from "../ast.ts";
import { isAggregation } from "../types.ts";
import { readAggregate } from "./aggregations.ts";
import { Body, type MapCursor, type VariableSlot } from "./body.ts";
import { mapOf } from "./maps.ts";
import { loosenVariables, lowerStatements } from "./statements.ts";
import { bitsOf, direct, isScalarType, isSigned, type Operand, scalar } from "./values.ts";
import type { ScriptContext, ScriptMap } from "./script.ts";

/** Parameters of a callback: the map, pointers to key and value, and the frame of the caller. */
const CALLBACK_PARAMS = [
  { name: "map", type: "ptr" },
  { name: "key", type: "ptr" },
  { name: "value", type: "ptr" },
  { name: "frame", type: "ptr" },
] as const;

/** What the callback tells the kernel. */
const GO_ON = 0;
const STOP = 1;

/** Offsets in the shared frame; captured variables follow, eight bytes each. */
const FRAME_CONTEXT = 0;
const FRAME_RETURNED = 8;
const FRAME_SYSCALL = 16;
const FRAME_PROBE_NAME = 24;
const FRAME_VARIABLES = 32;

/** Variables of the script that statements mention. */
function mentionedVariables(node: unknown, out: Set<Variable> = new Set()): Set<Variable> {
  if (node === null || typeof node !== "object") return out;
  if (Array.isArray(node)) {
    for (const item of node) mentionedVariables(item, out);
    return out;
  }
  const { kind, resolved } = node as { kind?: unknown; resolved?: unknown };
  if (kind === "variable" && resolved) out.add(resolved as Variable);
  for (const [key, item] of Object.entries(node))
    if (key !== "type" && key !== "resolved") mentionedVariables(item, out);
  return out;
}

/** `for ($kv : @map) { ... }` */
export function lowerMapLoop(body: Body, statement: Extract<Statement, { kind: "for-map" }>): void {
  const { b, script } = body;
  const map = mapOf(body, statement.map.name);
  const mentioned = mentionedVariables(statement.body);
  const captured = [...mentioned].filter((v) => body.variables.has(v));
  const outerLoops = [...mentioned].filter((v) => body.cursors.has(v));
  const size = FRAME_VARIABLES + 8 * captured.length + 16 * outerLoops.length;
  const frame = b.alloca(size, 8, "frame");
  const offsetOf = (i: number): number => FRAME_VARIABLES + i * 8;
  const cursorsAt = offsetOf(captured.length);

  loosenVariables(body, statement.body);
  b.store(frame, body.context, 64, { offset: FRAME_CONTEXT });
  b.store(frame, body.int(0), 64, { offset: FRAME_RETURNED });
  b.store(frame, body.syscallNumber ?? body.int(0), 64, { offset: FRAME_SYSCALL });
  b.store(frame, body.probeNameIndex ?? body.int(0), 64, { offset: FRAME_PROBE_NAME });
  captured.forEach((variable, i) => {
    const slot = body.variables.get(variable)!;
    const shared = isScalarType(slot.type) ? b.load(slot.pointer, 64) : slot.pointer;
    b.store(frame, shared, 64, { offset: offsetOf(i) });
  });
  outerLoops.forEach((variable, i) => {
    const cursor = body.cursors.get(variable)!;
    b.store(frame, cursor.keyPointer, 64, { offset: cursorsAt + i * 16 });
    b.store(frame, cursor.valuePointer, 64, { offset: cursorsAt + i * 16 + 8 });
  });

  const inner = callbackBody(body, "each");
  const shared = inner.b.param(3);
  inner.context = inner.b.load(shared, 64, { type: "ptr", offset: FRAME_CONTEXT });
  if (body.syscallNumber) inner.syscallNumber = inner.b.load(shared, 64, { offset: FRAME_SYSCALL });
  if (body.probeNameIndex) inner.probeNameIndex = inner.b.load(shared, 64, { offset: FRAME_PROBE_NAME });
  captured.forEach((variable, i) => {
    const { type } = body.variables.get(variable)!;
    const pointer = isScalarType(type)
      ? inner.b.ptradd(shared, offsetOf(i))
      : inner.b.load(shared, 64, { type: "ptr", offset: offsetOf(i) });
    const slot: VariableSlot = { pointer, type };
    inner.variables.set(variable, slot);
  });
  outerLoops.forEach((variable, i) => {
    const outer = body.cursors.get(variable)!;
    const key = inner.b.load(shared, 64, { type: "ptr", offset: cursorsAt + i * 16 });
    const value = inner.b.load(shared, 64, { type: "ptr", offset: cursorsAt + i * 16 + 8 });
    inner.cursors.set(variable, cursorOf(inner, outer.map, key, value));
  });
  inner.onReturn = (value) => {
    if (value && isScalarType(value.type ?? { kind: "none" }) && body.returnsValue) {
      throw script.error(value.span, "return with a value is not possible inside a loop over a map");
    }
    inner.b.store(shared, inner.int(1), 64, { offset: FRAME_RETURNED });
    inner.b.return(inner.int(STOP));
  };
  inner.loops.push({
    onBreak: () => inner.b.return(inner.int(STOP)),
    onContinue: () => inner.b.return(inner.int(GO_ON)),
  });
  inner.cursors.set(statement.variable.resolved!, cursorOf(inner, map, inner.b.param(1), inner.b.param(2)));
  lowerStatements(inner, statement.body.statements);
  inner.b.return(inner.int(GO_ON));

  body.at(statement.span);
  body.helper(
    "for_each_map_elem",
    [b.mapref(map.kernelMap), b.funcref(inner.b.func.name), frame, body.int(0)],
    "i64",
    statement.span,
  );
  captured.forEach((variable, i) => {
    const slot = body.variables.get(variable)!;
    if (isScalarType(slot.type)) b.store(slot.pointer, b.load(frame, 64, { offset: offsetOf(i) }), 64);
  });
  const returned = b.load(frame, 64, { offset: FRAME_RETURNED });
  body.ifElse(b.icmp("ne", returned, body.int(0)), () => body.onReturn(null), undefined, "else");
}

function callbackBody(body: Body, base: string): Body {
  const name = body.script.functionName(base);
  const builder = new FunctionBuilder(body.script.module, {
    name,
    params: CALLBACK_PARAMS,
    result: "i64",
    role: "callback",
  });
  builder.setPosition(body.b.position);
  return new Body(body.script, builder, body.program, body.site, body.probeIndex, builder.param(0));
}

/** Key and value of the entry that a callback is called for. */
function cursorOf(body: Body, map: ScriptMap, key: Value, value: Value): MapCursor {
  const type = map.value;
  return {
    map,
    keyPointer: key,
    valuePointer: value,
    key: direct(map.key!, key, 0, true),
    value: (): Operand => {
      if (isAggregation(type)) {
        const signed = "signed" in type && type.signed;
        return scalar({ kind: "int", size: 8, signed }, readAggregate(body, map, key));
      }
      if (isScalarType(type)) return scalar(type, body.b.load(value, bitsOf(type), { signed: isSigned(type) }));
      return direct(type, value, 0, true);
    },
  };
}

/** Name of the callback that only counts: made once a script. */
export function countingCallback(script: ScriptContext): string {
  const name = "skep_count";
  if (script.module.funcs.some((f) => f.name === name)) return name;
  const builder = new FunctionBuilder(script.module, {
    name,
    params: CALLBACK_PARAMS,
    result: "i64",
    role: "callback",
  });
  builder.return(builder.const(GO_ON));
  return name;
}
