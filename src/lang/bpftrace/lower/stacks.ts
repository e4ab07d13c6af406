/** Stack traces: an id in a stack map, which user space turns into addresses. */
import type { Value } from "../../../compiler/ir.ts";
import { StackFlags } from "../../../isa/index.ts";
import type { Type } from "../types.ts";
import type { Body } from "./body.ts";
import { processId } from "./process-ids.ts";
import { direct, type Operand, scalar } from "./values.ts";

/** Takes the current stack: its id, with the process for user stacks. */
export function takeStack(body: Body, type: Type & { kind: "stack" }): Operand {
  const id = stackId(body, type);
  if (type.of === "kernel") return scalar(type, id);
  const memory = body.memory(16, "ustack");
  writeUserStack(body, id, memory, 0);
  return direct(type, memory);
}

/** Writes a user stack: id, process id, zero. */
export function writeUserStack(body: Body, id: Value, to: Value, offset: number): void {
  const { b } = body;
  b.store(to, id, 64, { offset });
  b.store(to, processId(body), 64, { offset: offset + 8 });
}

/** Id of the current stack in the map for its kind and depth; a negative errno when the kernel could not keep it. */
export function stackId(body: Body, type: Type & { kind: "stack" }): Value {
  const map = body.script.stackMap(type.of, type.limit);
  const flags = type.of === "user" ? StackFlags.USER_STACK : 0;
  const id = body.helper("get_stackid", [body.context, body.b.mapref(map), body.int(flags)]);
  return id;
}

/** Number of frames of the current stack, at most its limit. */
export function stackLength(body: Body, type: Type & { kind: "stack" }): Value {
  const { b } = body;
  const memory = body.memory(type.limit * 8, "frames");
  const flags = type.of === "user" ? StackFlags.USER_STACK : 0;
  const bytes = body.helper("get_stack", [body.context, memory, body.int(type.limit * 8), body.int(flags)]);
  const frames = body.cell(body.int(0));
  body.ifElse(b.icmp("sgt", bytes, body.int(0)), () => frames.set(b.binary("lshr", bytes, body.int(3))));
  return frames.get();
}
