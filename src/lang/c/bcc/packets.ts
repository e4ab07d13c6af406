/** Members of packets' headers: read and written through the packet, most significant bit first, wherever a pointer to one is followed. */
import type { Expr, FunctionDecl } from "../ast.ts";
import { sizeOf } from "../types/layout.ts";
import { UNSIGNED_LONG, shapeOf } from "../types/types.ts";
import { U64, binary, callFunction, convert, integer } from "./build.ts";
import { PACKET_TAG } from "./prelude.ts";

/** A place in a packet. */
export interface PacketPlace {
  /** The pointer to the header: bytes from the start of the packet. */
  readonly base: Expr;
  /** From the header's start, as its bits go over the wire. */
  readonly bitOffset: number;
  readonly bits: number;
}

/** Where a member of a header is; undefined for what is no such member. */
export function packetPlace(lvalue: Expr): PacketPlace | undefined {
  if (lvalue.kind !== "member") return undefined;
  const { record, field } = lvalue;
  const shape = shapeOf(record.type);
  if (shape.kind !== "record" || !shape.declTags.includes(PACKET_TAG)) return undefined;
  if (record.kind !== "dereference") return undefined;
  const bits = field.bitWidth ?? (sizeOf(field.type) ?? 0) * 8;
  return bits > 64 ? undefined : { base: record.operand, bitOffset: field.bitOffset, bits };
}

function args(place: PacketPlace, base: Expr, context: Expr, location: number): Expr[] {
  const offset = binary("+", convert(base, U64), integer(Math.floor(place.bitOffset / 8), U64, location));
  return [context, offset, integer(place.bitOffset % 8, U64, location), integer(place.bits, U64, location)];
}

/** The value of a member; `base` is the rebuilt pointer. */
export function readPacket(place: PacketPlace, base: Expr, context: Expr, get: FunctionDecl): Expr {
  return callFunction(get, args(place, base, context, base.location), base.location);
}

/** Writes a member, which gives nothing. */
export function writePacket(place: PacketPlace, base: Expr, context: Expr, put: FunctionDecl, value: Expr): Expr {
  const converted = convert(value, UNSIGNED_LONG);
  return callFunction(put, [...args(place, base, context, base.location), convert(converted, U64)], base.location);
}
