/** Records of the event ring: what programs tell user space. */
import type { Value } from "../../../compiler/ir.ts";
import { RingbufFlags } from "../../../isa/index.ts";
import type { Expression } from "../ast.ts";
import { EVENT_RING, LOST_EVENTS, RECORD_HEADER_SIZE } from "../plan.ts";
import type { EventAction, RecordField } from "../plan.ts";
import { alignOf, sizeOf, type Type } from "../types.ts";
import type { Body } from "./body.ts";
import { convert, isPure, lowerInto, lowerNumber, lowerPlace, typeOf } from "./expressions.ts";
import { align8, notNull } from "./maps.ts";
import { inMemory, readGuarded, writeOperand } from "./memory.ts";
import { bitsOf, isScalarType, type Operand } from "./values.ts";

/** Fields one after another behind the header, each at its alignment. */
export function layoutRecord(types: readonly Type[]): { fields: RecordField[]; size: number } {
  const fields: RecordField[] = [];
  let at = RECORD_HEADER_SIZE;
  for (const type of types) {
    const align = alignOf(type);
    at = Math.ceil(at / align) * align;
    fields.push({ offset: at, type });
    at += sizeOf(type);
  }
  return { fields, size: align8(at) };
}

/** The type in which a value travels: aggregations travel as the numbers that they read as. */
function recordType(expression: Expression): Type {
  const type = typeOf(expression);
  switch (type.kind) {
    case "count":
    case "sum":
    case "min":
    case "max":
    case "avg":
      return { kind: "int", size: 8, signed: "signed" in type && type.signed };
    default:
      return type;
  }
}

/** Writes a record with the values of expressions as fields. Returns after the program went on, whether the ring had room or not. */
export function emitValues(
  body: Body,
  values: readonly Expression[],
  action: (fields: RecordField[]) => EventAction,
): void {
  const { fields, size } = layoutRecord(values.map(recordType));
  // Numbers, and whatever has effects, are computed before the ring is asked for room: fewer instructions hold it.
  const ready = values.map((value, i): ((record: Value) => void) => {
    const { type, offset } = fields[i]!;
    if (isScalarType(type)) {
      const number = convert(body, lowerNumber(body, value), typeOf(value), type);
      return (record) => void body.b.store(record, number, bitsOf(type), { offset });
    }
    if (isPure(value)) return (record) => lowerInto(body, value, type, record, offset, type.kind === "tuple");
    const operand = settled(body, lowerPlace(body, value));
    return (record) => writeOperand(body, operand, type, record, offset, false);
  });
  emitRecord(body, body.script.event(action(fields)), size, (record) => {
    for (const write of ready) write(record);
  });
}

/** An operand whose bytes no later expression can change. */
function settled(body: Body, operand: Operand): Operand {
  const read = operand.form === "place" ? readGuarded(body, operand) : operand;
  return read.form === "place" ? inMemory(body, read) : read;
}

/**
 * Reserves a record, writes its header, lets `write` fill the rest, and submits it. A full ring is counted against the probe.
 * `wake`: user space is woken at once; else it looks by itself within milliseconds.
 */
export function emitRecord(
  body: Body,
  event: number,
  size: number,
  write: (record: Value) => void,
  wake = false,
): void {
  const { b } = body;
  body.script.usesRing = true;
  body.script.largestRecord = Math.max(body.script.largestRecord, size);
  const record = body.helper("ringbuf_reserve", [b.mapref(EVENT_RING), body.int(size), body.int(0)], "ptr");
  body.ifElse(
    notNull(body, record),
    () => {
      const name = body.probeNameIndex;
      if (name === null) {
        const header = (BigInt(body.script.probeName(body.site.target.name)) << 32n) | BigInt(event);
        b.store(record, body.int(header), 64);
      } else {
        b.store(record, body.int(event), 32);
        b.store(record, name, 32, { offset: 4 });
      }
      write(record);
      const flags = wake ? RingbufFlags.FORCE_WAKEUP : RingbufFlags.NO_WAKEUP;
      body.helper("ringbuf_submit", [record, body.int(flags)], "void");
    },
    () => countLost(body),
    "then",
  );
}

/** Two instructions at the counter's own address: what runs when the ring is full should be short, for every record has it. */
function countLost(body: Body): void {
  const { b } = body;
  b.atomic("add", b.mapvalue(LOST_EVENTS, body.probeIndex * 8), [body.int(1)], 64);
}
