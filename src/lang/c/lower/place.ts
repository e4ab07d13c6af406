/** Places: what an lvalue stands for. Offsets stay apart from the address, so that they end in the instruction that reads or writes. */
import type { Inst, MemBits, Value } from "../../../compiler/index.ts";
import { isInteger } from "../types/compatible.ts";
import { integerShape } from "../types/compatible.ts";
import { alignOf } from "../types/layout.ts";
import { type CType, type Field, type RecordType, qualifiersOf, shapeOf } from "../types/types.ts";
import { loadBitfield, storeBitfield } from "./bitfields.ts";
import type { Body } from "./body.ts";
import { byteOffsetRecord, isRecorded, loadRecordedBitfield } from "./core.ts";
import { irTypeOf, isAggregate } from "./signature.ts";

/** The way from a record to a part of it, as a CO-RE record tells it. */
export interface CorePath {
  /** Type at the start. */
  readonly root: CType;
  /** The first counts whole objects of that type. */
  readonly steps: readonly number[];
  /** Bits from the start, in the program's own types. */
  readonly bits: number;
  /** The last step is an element: further ones are recorded only where the program says so, as clang has it. */
  readonly inArray?: boolean;
}

/** A bitfield within the record at the place's address. */
export interface BitRange {
  /** From the place's address, or with a path from its local offset. */
  readonly offset: number;
  readonly width: number;
  /** Accesses may be as wide as this many bytes. */
  readonly align: number;
}

/** Where an object is. */
export interface Place {
  readonly type: CType;
  readonly base: Value;
  /** Bytes behind `base`; 0 with a path. */
  readonly offset: number;
  readonly bits?: BitRange;
  /** The rest of the way is recorded for CO-RE. A path of one step has reached no member yet. */
  readonly path?: CorePath;
}

/** A place in memory at an address. */
export function placeAt(type: CType, base: Value, offset: number = 0): Place {
  return { type, base, offset };
}

/** The same place with its recorded way walked. */
export function walked(body: Body, place: Place): Place {
  const { path, base, type, bits } = place;
  if (path === undefined) return place;
  const rest = bits === undefined ? {} : { bits };
  if (path.steps.length === 1) return { type, base, offset: place.offset + path.bits / 8, ...rest };
  return { type, base: body.b.ptradd(base, byteOffsetRecord(body, path)), offset: 0, ...rest };
}

/** Address of a place. */
export function addressOf(body: Body, place: Place): Value {
  const { base, offset } = walked(body, place);
  return body.b.ptradd(base, offset);
}

/** A member of the record at a place. */
export function memberPlace(body: Body, record: Place, field: Field, type: CType): Place {
  const shape = shapeOf(record.type) as RecordType;
  const width = field.bitWidth;
  const align = Math.max(1, Math.min(8, alignOf(shape)));
  if (isRecorded(body, shape)) {
    const start = record.path ?? { root: record.type, steps: [0], bits: 0 };
    const base = record.path === undefined ? addressOf(body, record) : record.base;
    const path = {
      root: start.root,
      steps: [...start.steps, field.index],
      bits: start.bits + field.bitOffset,
    };
    const place = { type, base, offset: 0, path };
    return width === undefined ? place : { ...place, bits: { offset: 0, width, align } };
  }
  const { base, offset } = walked(body, record);
  if (width === undefined) return { type, base, offset: offset + Math.floor(field.bitOffset / 8) };
  return { type, base, offset, bits: { offset: field.bitOffset, width, align } };
}

/** An element of the array at a place, by a constant index. */
export function elementPlace(body: Body, array: Place, index: number, type: CType): Place {
  const size = body.size(type);
  const { path } = array;
  if (path !== undefined && path.steps.length > 1 && index >= 0 && (!path.inArray || body.region > 0)) {
    const bits = path.bits + index * size * 8;
    const further = { root: path.root, steps: [...path.steps, index], bits, inArray: true };
    return { type, base: array.base, offset: 0, path: further };
  }
  const { base, offset } = walked(body, array);
  return { type, base, offset: offset + index * size };
}

/** Whether the values of a type carry a sign. */
export function isSigned(type: CType): boolean {
  return isInteger(type) && shapeOf(type).kind !== "bool" && integerShape(type).signed;
}

/** The value at a place; the address of an aggregate. `wide` asks for an integer in 64 bits, extended by its own sign. */
export function load(body: Body, place: Place, wide: boolean = false): Value {
  const { b } = body;
  const { type } = place;
  if (isAggregate(type) || shapeOf(type).kind === "function") return addressOf(body, place);
  if (place.bits !== undefined)
    return place.path !== undefined && place.path.steps.length > 1
      ? loadRecordedBitfield(body, place, place.path)
      : loadBitfield(body, walked(body, place));
  const { base, offset } = walked(body, place);
  const bits = memoryBits(body, type);
  const ir = irTypeOf(type);
  const { volatile } = qualifiersOf(type);
  const signed = bits < 64 && isSigned(type);
  return b.load(base, bits, { offset, type: wide && ir === "i32" ? "i64" : ir, signed, volatile });
}

/** Puts a value, which has the place's type, there. */
export function store(body: Body, place: Place, value: Value): void {
  const { type } = place;
  if (place.bits !== undefined) {
    storeBitfield(body, fixedBitfield(body, place), value);
    return;
  }
  const { base, offset } = walked(body, place);
  if (isAggregate(type)) copy(body, place, value, body.size(type));
  else body.b.store(base, value, memoryBits(body, type), { offset, volatile: qualifiersOf(type).volatile });
}

/** A recorded bitfield at the offset of its own types: what is written is written where the program's types say, as clang does. */
function fixedBitfield(body: Body, place: Place): Place {
  const { path, bits } = place;
  if (path === undefined || bits === undefined) return place;
  // The record leads to the bitfield's storage unit; what is left are the bits within it.
  const unit = body.size(place.type) * 8;
  const within = path.bits % unit;
  const base = body.b.ptradd(place.base, byteOffsetRecord(body, { ...path, bits: path.bits - within }));
  return { type: place.type, base, offset: 0, bits: { ...bits, offset: within } };
}

function memoryBits(body: Body, type: CType): MemBits {
  const size = body.size(type);
  return (size === 1 || size === 2 || size === 4 ? size * 8 : 64) as MemBits;
}

/** Copies the bytes of an aggregate to a place. */
export function copy(body: Body, to: Place, from: Value, size: number): void {
  if (size === 0) return;
  const { base, offset } = walked(body, to);
  const source = plainOffset(from);
  body.b.memcpy(base, source.base, size, { offset, fromOffset: source.offset });
}

/** A pointer without the constant that was added to it last. */
export function plainOffset(pointer: Value): { base: Value; offset: number } {
  if (pointer.kind !== "inst" || pointer.op !== "ptradd") return { base: pointer, offset: 0 };
  const [base, step] = pointer.args as [Value, Value];
  if (step.kind !== "const") return { base: pointer, offset: 0 };
  return { base, offset: Number(BigInt.asIntN(64, step.value)) };
}

/** True for memory of this function's frame. */
export function isFrame(value: Value): value is Inst {
  const { base } = plainOffset(value);
  return base.kind === "inst" && base.op === "alloca";
}
