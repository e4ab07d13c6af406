/** Accesses that a loader corrects (CO-RE): one record for a whole chain of members, and the questions about fields, types and enums. */
import { CoreKind } from "../../../btf/index.ts";
import type { MemBits, Value } from "../../../compiler/index.ts";
import type { Expr } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { isInteger } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type EnumType, type Field, type RecordType, shapeOf, typeText } from "../types/types.ts";
import type { Body } from "./body.ts";
import { type CorePath, type Place, isSigned } from "./place.ts";
import { irTypeOf } from "./signature.ts";

/** True when accesses to members of a record are recorded here. */
export function isRecorded(body: Body, record: RecordType): boolean {
  if (body.context.recordsCore(record)) return true;
  // The builtin records whatever it is given, except what is final already: types of the very kernel.
  return body.region > 0 && record.kernelTypeId === 0;
}

/** The type that a record names: without qualifiers; a typedef stays only where the struct has no name of its own. */
function rootType(type: CType): CType {
  const shape = shapeOf(type);
  let at = type;
  for (;;) {
    if (at.kind === "qualified" || at.kind === "tagged") at = at.of;
    else if (at.kind === "typedef" && (shape.kind !== "record" || shape.tag !== undefined)) at = at.to;
    else return at;
  }
}

function recorded(body: Body, path: CorePath, kind: number, value: bigint): Value {
  const root = body.context.typeId(rootType(path.root));
  return body.b.core({ kind, typeId: root, access: path.steps.join(":"), value });
}

/** The offset in bytes at the end of a path. */
export function byteOffsetRecord(body: Body, path: CorePath): Value {
  return recorded(body, path, CoreKind.FIELD_BYTE_OFFSET, BigInt(Math.floor(path.bits / 8)));
}

/** The memory that a bitfield is read from, as loaders compute it (`bpf_core_calc_field_relo` in libbpf). */
interface BitfieldUnit {
  readonly byteOffset: number;
  readonly byteSize: number;
  readonly leftShift: number;
  readonly rightShift: number;
}

function bitfieldUnit(type: CType, bitOffset: number, width: number): BitfieldUnit {
  let byteSize = sizeOf(type) ?? 4;
  const start = (): number => Math.floor(bitOffset / 8 / byteSize) * byteSize;
  while (byteSize < 8 && bitOffset + width - start() * 8 > byteSize * 8) byteSize *= 2;
  const byteOffset = start();
  return {
    byteOffset,
    byteSize,
    leftShift: 64 - (bitOffset + width - byteOffset * 8),
    rightShift: 64 - width,
  };
}

/** A bitfield whose place the kernel's types decide: its unit, then shifts by numbers that are records themselves. */
export function loadRecordedBitfield(body: Body, place: Place, path: CorePath): Value {
  const { b } = body;
  const unit = bitfieldUnit(place.type, path.bits, place.bits!.width);
  const at = b.ptradd(place.base, recorded(body, path, CoreKind.FIELD_BYTE_OFFSET, BigInt(unit.byteOffset)));
  const bits = (unit.byteSize * 8) as MemBits;
  const raw = b.load(at, bits, { type: "i64" });
  const left = recorded(body, path, CoreKind.FIELD_LSHIFT_U64, BigInt(unit.leftShift));
  const right = recorded(body, path, CoreKind.FIELD_RSHIFT_U64, BigInt(unit.rightShift));
  const value = b.binary(isSigned(place.type) ? "ashr" : "lshr", b.binary("shl", raw, left), right);
  return irTypeOf(place.type) === "i32" ? b.trunc(value) : value;
}

/** The way to what an expression names, without computing anything. */
interface Subject {
  readonly path: CorePath;
  readonly field: Field | undefined;
  readonly type: CType;
}

function subjectOf(expr: Expr): Subject | undefined {
  switch (expr.kind) {
    case "member": {
      const outer = subjectOf(expr.record) ?? { path: { root: expr.record.type, steps: [0], bits: 0 } };
      const { path } = outer;
      const { field } = expr;
      const further = { root: path.root, steps: [...path.steps, field.index], bits: path.bits + field.bitOffset };
      return { path: further, field, type: field.type };
    }
    case "index": {
      const index = constantInteger(expr.index);
      const size = sizeOf(expr.type);
      if (index === undefined || size === undefined) return undefined;
      const step = Number(index);
      if (shapeOf(expr.array.type).kind !== "array")
        return { path: { root: expr.type, steps: [step], bits: step * size * 8 }, field: undefined, type: expr.type };
      const array = subjectOf(expr.array);
      if (array === undefined) return undefined;
      const { path } = array;
      const further = { root: path.root, steps: [...path.steps, step], bits: path.bits + step * size * 8 };
      return { path: further, field: undefined, type: expr.type };
    }
    case "cast":
      return subjectOf(expr.operand);
    case "builtin": {
      const [inner] = expr.args;
      return inner === undefined || inner.kind === "type" ? undefined : subjectOf(inner);
    }
    default:
      return undefined;
  }
}

/** `__builtin_preserve_field_info`: a number about a field. */
export function fieldInfo(body: Body, subject: Expr, kind: number, location: number): Value {
  const { b } = body;
  const found = subjectOf(subject);
  if (found === undefined || kind < 0 || kind > CoreKind.FIELD_RSHIFT_U64) {
    body.error(
      location,
      found === undefined
        ? "__builtin_preserve_field_info asks about a member of a struct or union"
        : `__builtin_preserve_field_info knows the questions 0 to 5, not ${kind}`,
    );
    return b.const(0, "i32");
  }
  const { path, field, type } = found;
  const width = field?.bitWidth;
  const value = fieldAnswer(kind, type, path.bits, width);
  const root = shapeOf(path.root);
  const asked = root.kind !== "record" || body.context.recordsCore(root) || root.kernelTypeId === 0;
  return asked ? b.trunc(recorded(body, path, kind, value)) : b.const(value, "i32");
}

function fieldAnswer(kind: number, type: CType, bits: number, width: number | undefined): bigint {
  const size = sizeOf(type) ?? 0;
  const unit =
    width === undefined
      ? { byteOffset: bits / 8, byteSize: size, leftShift: 64 - size * 8, rightShift: 64 - size * 8 }
      : bitfieldUnit(type, bits, width);
  switch (kind) {
    case CoreKind.FIELD_BYTE_OFFSET:
      return BigInt(unit.byteOffset);
    case CoreKind.FIELD_BYTE_SIZE:
      return BigInt(unit.byteSize);
    case CoreKind.FIELD_EXISTS:
      return 1n;
    case CoreKind.FIELD_SIGNED:
      return isInteger(type) && isSigned(type) ? 1n : 0n;
    case CoreKind.FIELD_LSHIFT_U64:
      return BigInt(Math.max(0, unit.leftShift));
    default:
      return BigInt(Math.max(0, unit.rightShift));
  }
}

/** The type that is asked about: what a pointer cast to it points to, with its typedefs. */
function askedType(expr: Expr): CType {
  return expr.type.kind === "qualified" ? expr.type.of : expr.type;
}

const typeQuestions = [CoreKind.TYPE_EXISTS, CoreKind.TYPE_SIZE, CoreKind.TYPE_MATCHES];

/** `__builtin_preserve_type_info`: does a type exist, how large is it, does it match? */
export function typeInfo(body: Body, subject: Expr, question: number, location: number): Value {
  const type = askedType(subject);
  const kind = typeQuestions[question];
  if (kind === undefined) {
    body.error(location, `__builtin_preserve_type_info knows the questions 0 to 2, not ${question}`);
    return body.b.const(0, "i32");
  }
  const value = kind === CoreKind.TYPE_SIZE ? BigInt(sizeOf(type) ?? 0) : 1n;
  const core = { kind, typeId: body.context.typeId(type), access: "0", value };
  return body.b.trunc(body.b.core(core));
}

/** `__builtin_btf_type_id`: the id in the object's types (0) or in the kernel's (1). */
export function typeId(body: Body, subject: Expr, question: number, location: number): Value {
  if (question !== 0 && question !== 1) {
    body.error(location, `__builtin_btf_type_id knows the questions 0 and 1, not ${question}`);
    return body.b.const(0);
  }
  const id = body.context.typeId(askedType(subject));
  const kind = question === 0 ? CoreKind.TYPE_ID_LOCAL : CoreKind.TYPE_ID_TARGET;
  return body.b.core({ kind, typeId: id, access: "0", value: BigInt(id) });
}

/** The enumerator that `*(enum e *)NAME` names. */
function enumeratorOf(expr: Expr): { name: string | undefined; value: bigint } | undefined {
  let at = expr;
  for (;;) {
    if (at.kind === "cast" || at.kind === "dereference") at = at.operand;
    else if (at.kind === "integer") return { name: at.enumerator, value: at.value };
    else {
      const value = constantInteger(at);
      return value === undefined ? undefined : { name: undefined, value };
    }
  }
}

/** `__builtin_preserve_enum_value`: does an enumerator exist (0), what is its value (1)? */
export function enumValue(body: Body, subject: Expr, question: number, location: number): Value {
  const { b } = body;
  const type = askedType(subject);
  const shape = shapeOf(type);
  const named = enumeratorOf(subject);
  if (shape.kind !== "enum" || named === undefined || (question !== 0 && question !== 1)) {
    body.error(
      location,
      shape.kind === "enum"
        ? "__builtin_preserve_enum_value needs an enumerator and the question 0 or 1"
        : `__builtin_preserve_enum_value asks about an enum, this is ${typeText(type)}`,
    );
    return b.const(0);
  }
  const constants = (shape as EnumType).contents?.constants ?? [];
  let index = constants.findIndex(({ name }) => name === named.name);
  if (index < 0) index = constants.findIndex(({ value }) => value === named.value);
  if (index < 0) {
    body.error(location, `${typeText(type)} has no constant of the value ${named.value}`);
    return b.const(0);
  }
  const kind = question === 0 ? CoreKind.ENUMVAL_EXISTS : CoreKind.ENUMVAL_VALUE;
  const value = question === 0 ? 1n : constants[index]!.value;
  return b.core({ kind, typeId: body.context.typeId(type), access: String(index), value });
}
