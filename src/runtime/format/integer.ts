/** Integers of records and maps as halves of 32 bits: no BigInt where values arrive by the million. */
import type { Type } from "../../lang/bpftrace/types.ts";

/** Where an {@link IntegerReader} leaves its value: two's complement, extended to 64 bits by the type's sign. */
export const register: { low: number; high: number } = { low: 0, high: 0 };

/** Loads the integer at `at` into {@link register}. */
export type IntegerReader = (view: DataView, at: number) => void;

const READERS: Record<string, IntegerReader> = {
  "1u": (view, at) => {
    register.low = view.getUint8(at);
    register.high = 0;
  },
  "1s": (view, at) => {
    register.low = view.getInt8(at);
    register.high = register.low >> 31;
  },
  "2u": (view, at) => {
    register.low = view.getUint16(at, true);
    register.high = 0;
  },
  "2s": (view, at) => {
    register.low = view.getInt16(at, true);
    register.high = register.low >> 31;
  },
  "4u": (view, at) => {
    register.low = view.getUint32(at, true);
    register.high = 0;
  },
  "4s": (view, at) => {
    register.low = view.getInt32(at, true);
    register.high = register.low >> 31;
  },
  "8u": (view, at) => {
    register.low = view.getUint32(at, true);
    register.high = view.getUint32(at + 4, true);
  },
};

/** Reads values of a type that is one integer in memory, or null for any other type. */
export function integerReader(type: Type): IntegerReader | null {
  switch (type.kind) {
    case "int":
      return READERS[type.size === 8 ? "8u" : `${type.size}${type.signed ? "s" : "u"}`]!;
    case "bool":
      return READERS["1u"]!;
    case "pointer":
    case "ksym":
    case "usym":
    case "timestamp":
    case "cgroup-path":
    case "username":
    case "probe-name":
    case "count":
    case "sum":
    case "min":
    case "max":
      return READERS["8u"]!;
    default:
      return null;
  }
}

/** True when values of the type print with a sign. */
export function isSigned(type: Type): boolean {
  return "signed" in type && type.signed;
}

/** The integer as a bigint, for sorting and reductions. */
export function readBig(type: Type, view: DataView, at: number): bigint {
  const reader = integerReader(type);
  if (!reader) return 0n;
  reader(view, at);
  const value = (BigInt(register.high >>> 0) << 32n) | BigInt(register.low >>> 0);
  return isSigned(type) ? BigInt.asIntN(64, value) : value;
}
