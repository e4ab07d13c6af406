/** Tables about operations that passes, printer and parser share. */
import type { AtomicOp, BinaryOp, Op, Predicate } from "./ir.ts";

/** Operations of two integers. */
export const BINARY_OPS: ReadonlySet<Op> = new Set<Op>([
  "add",
  "sub",
  "mul",
  "udiv",
  "sdiv",
  "urem",
  "srem",
  "and",
  "or",
  "xor",
  "shl",
  "lshr",
  "ashr",
]);

/** Operations whose operands may change places. */
export const COMMUTATIVE: ReadonlySet<Op> = new Set<Op>(["add", "mul", "and", "or", "xor"]);

/** True when the operation is a {@link BinaryOp}. */
export function isBinary(op: Op): op is BinaryOp {
  return BINARY_OPS.has(op);
}

/** The predicate that holds exactly when the key does not. */
export const INVERSE: Record<Predicate, Predicate> = {
  eq: "ne",
  ne: "eq",
  ult: "uge",
  ule: "ugt",
  ugt: "ule",
  uge: "ult",
  slt: "sge",
  sle: "sgt",
  sgt: "sle",
  sge: "slt",
};

/** The predicate for exchanged operands. */
export const MIRROR: Record<Predicate, Predicate> = {
  eq: "eq",
  ne: "ne",
  ult: "ugt",
  ule: "uge",
  ugt: "ult",
  uge: "ule",
  slt: "sgt",
  sle: "sge",
  sgt: "slt",
  sge: "sle",
};

/** All atomic operations, for the parser. */
export const ATOMIC_OPS: ReadonlySet<string> = new Set<AtomicOp>(["add", "and", "or", "xor", "xchg", "cmpxchg"]);
