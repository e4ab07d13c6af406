/** What an expression becomes: a number in a register, or a place in some memory that is not read yet. */
import type { MemBits, Value } from "../../../compiler/ir.ts";
import type { Type } from "../types.ts";

/**
 * How the bytes of a place are reached:
 * - `direct`: memory of the program itself (frame, map value, ring record): plain loads and stores;
 * - `context`: the program's context: plain loads at constant offsets;
 * - `trusted`: behind a pointer whose BTF type the verifier knows: faultable loads;
 * - `kernel`, `user`: an address as a number, read by `bpf_probe_read_kernel` or `bpf_probe_read_user`.
 */
export type Access = "direct" | "context" | "trusted" | "kernel" | "user";

/** A value of up to 64 bits, extended to 64 by its type's sign. */
export interface Scalar {
  readonly form: "scalar";
  readonly type: Type;
  /** i64. */
  readonly value: Value;
  /** The same pointer as the verifier knows it (IR type ptr), when the kernel's BTF vouches for it. */
  readonly trusted?: Value;
}

/** Memory that holds a value of a type. */
export interface Place {
  readonly form: "place";
  readonly type: Type;
  readonly access: Access;
  /** IR ptr for direct, context and trusted; i64 for kernel and user. */
  readonly base: Value;
  /** Bytes from `base`. */
  readonly offset: number;
  /** Strings: everything behind the NUL is known to be zero. */
  readonly zeroTail?: boolean;
  /** Strings: characters of a struct, which may fill it without a NUL. */
  readonly unterminated?: boolean;
  readonly bitfield?: { readonly bitOffset: number; readonly bitSize: number };
}

/** What an expression becomes. */
export type Operand = Scalar | Place;

/** True for types whose values live in registers. */
export function isScalarType(type: Type): boolean {
  switch (type.kind) {
    case "none":
    case "int":
    case "bool":
    case "pointer":
    case "ksym":
    case "timestamp":
    case "probe-name":
    case "cgroup-path":
    case "username":
    case "count":
    case "sum":
    case "min":
    case "max":
    case "avg":
      return true;
    case "stack":
      return type.of === "kernel";
    default:
      return false;
  }
}

/** Width in memory of a scalar type. */
export function bitsOf(type: Type): MemBits {
  if (type.kind === "int") return (type.size * 8) as MemBits;
  return type.kind === "bool" ? 8 : 64;
}

/** True for types that extend by their sign. */
export function isSigned(type: Type): boolean {
  if (type.kind === "int") return type.signed;
  return "signed" in type && type.signed === true;
}

/** A scalar operand. */
export function scalar(type: Type, value: Value, trusted?: Value): Scalar {
  return trusted === undefined ? { form: "scalar", type, value } : { form: "scalar", type, value, trusted };
}

/** A place in the program's own memory. */
export function direct(type: Type, base: Value, offset = 0, zeroTail = false): Place {
  return { form: "place", type, access: "direct", base, offset, zeroTail };
}
