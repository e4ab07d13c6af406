/** Reading foreign memory: what follows a foreign pointer becomes a call of the helper that may. */
import type { Expr, FunctionDecl, Stmt, VariableDecl } from "../ast.ts";
import { sizeOf } from "../types/layout.ts";
import { CHAR, type CType, INT, type RecordType, UNSIGNED_LONG, pointerTo, shapeOf } from "../types/types.ts";
import {
  U64,
  VOID_POINTER,
  addressOf,
  binary,
  callFunction,
  cast,
  convert,
  declare,
  dereference,
  helper,
  integer,
  load,
  local,
  statement,
  statements,
  variable,
  voidAddress,
} from "./build.ts";
import type { Space } from "./provenance.ts";

/** Helpers by whose memory they read; the last reads either's where the two cannot be mistaken for each other. */
const readers: Readonly<Record<Space, string>> = {
  kernel: "bpf_probe_read_kernel",
  user: "bpf_probe_read_user",
  trace: "bpf_probe_read",
  either: "bpf_probe_read",
};

/** What `__builtin_preserve_field_info` is asked about bitfields (`enum bpf_field_info_kind`). */
const FieldInfo = { BYTE_OFFSET: 0, BYTE_SIZE: 1, SIGNED: 3, LSHIFT_U64: 4, RSHIFT_U64: 5 } as const;

/** A statement that copies foreign memory. */
export function readInto(to: Expr, size: Expr, from: Expr, space: Space): Stmt {
  const { location } = from;
  const source =
    shapeOf(from.type).kind === "pointer" ? cast(from, VOID_POINTER, "pointer") : convert(from, VOID_POINTER);
  const func = helper(readers[space]);
  const bytes = cast(size, func.type.params[1]!.type, "integer");
  return statement(callFunction(func, [to, bytes, source], location));
}

/** Makes reads for one function: their results pass through one place of its stack. */
export class Reads {
  private scratch: VariableDecl | undefined;
  private readonly func: FunctionDecl;

  constructor(func: FunctionDecl) {
    this.func = func;
  }

  /** Declarations that the function's body begins with. */
  get declarations(): readonly Stmt[] {
    return this.scratch === undefined ? [] : [declare(this.scratch)];
  }

  /** The value of an lvalue in foreign memory, whose parts have been rebuilt. */
  value(lvalue: Expr, type: CType, space: Space): Expr {
    const { location } = lvalue;
    if (lvalue.kind === "member" && lvalue.field.bitWidth !== undefined) return this.bitfield(lvalue, type, space);
    const size = sizeOf(lvalue.type) ?? 0;
    const scalar = shapeOf(lvalue.type).kind !== "record";
    const bytes = integer(size, UNSIGNED_LONG, location);
    if (!scalar) {
      const copy = local("copy", type, location);
      const to = voidAddress(variable(copy, location));
      const read = readInto(to, bytes, addressOf(lvalue), space);
      return statements([declare(copy), read], load(variable(copy, location)), location);
    }
    const place = variable((this.scratch ??= this.makeScratch()), location);
    const read = readInto(voidAddress(place), bytes, addressOf(lvalue), space);
    const plain = type.kind === "qualified" ? type.of : type;
    return statements([read], load(dereference(addressOf(place), plain)), location);
  }

  private makeScratch(): VariableDecl {
    const made = local("read", U64, this.func.location);
    made.addressTaken = true;
    return made;
  }

  /** Bitfields have no address: the bytes that hold one are read, then its bits are cut out. */
  private bitfield(lvalue: Expr & { kind: "member" }, type: CType, space: Space): Expr {
    const { location, record, field } = lvalue;
    const shape = shapeOf(record.type) as RecordType;
    const width = field.bitWidth!;
    const unit = (sizeOf(field.type) ?? 4) * 8;
    const isSigned = shapeOf(field.type).kind === "integer" && (shapeOf(field.type) as { signed: boolean }).signed;
    const first = Math.floor(field.bitOffset / unit) * unit;
    const inUnit = field.bitOffset - first + width <= unit;
    // Packed ones may cross the units of their type: whole bytes hold them all the same.
    const start = inUnit ? first : Math.floor(field.bitOffset / 8) * 8;
    const size = inUnit ? unit / 8 : Math.ceil((field.bitOffset + width - start) / 8);
    const question = (kind: number, constant: number): Expr =>
      shape.preserveAccessIndex
        ? {
            kind: "builtin",
            name: "__builtin_preserve_field_info",
            args: [lvalue, integer(kind, INT, location)],
            type: { kind: "integer", name: "unsigned int", bits: 32, signed: false, rank: 3 },
            location,
          }
        : integer(constant, INT, location);
    const raw = local("bits", U64, location, integer(0, U64, location));
    const base = cast(addressOf(record), pointerTo(CHAR), "pointer");
    const offset = convert(question(FieldInfo.BYTE_OFFSET, start / 8), UNSIGNED_LONG);
    const from = binary("+", base, offset);
    const bytes = convert(question(FieldInfo.BYTE_SIZE, size), UNSIGNED_LONG);
    const read = readInto(voidAddress(variable(raw, location)), bytes, from, space);
    const left = convert(question(FieldInfo.LSHIFT_U64, 64 - (field.bitOffset - start) - width), INT);
    const right = convert(question(FieldInfo.RSHIFT_U64, 64 - width), INT);
    const all: CType = isSigned ? { kind: "integer", name: "long long", bits: 64, signed: true, rank: 5 } : U64;
    const shifted = binary("<<", load(variable(raw, location)), left, U64);
    const value = binary(">>", isSigned ? cast(shifted, all, "integer") : shifted, right, all);
    return statements([declare(raw), read], convert(value, type.kind === "qualified" ? type.of : type), location);
  }
}
