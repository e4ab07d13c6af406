/** Functions that the compiler itself knows, other than those of memory and the atomics. */
import type { Value } from "../../../compiler/index.ts";
import type { BuiltinArgument, Expr } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { sizeOf } from "../types/layout.ts";
import { isAtomic, atomic } from "./atomics.ts";
import type { Body } from "./body.ts";
import { enumValue, fieldInfo, typeId, typeInfo } from "./core.ts";
import { convert, truth, zeroOf } from "./convert.ts";
import { overflow } from "./overflow.ts";
import { memoryBuiltins } from "./strings.ts";
import { effect, value } from "./values.ts";
import { isPure } from "./walk.ts";

type Builtin = Expr & { readonly kind: "builtin" };
type Lowering = (body: Body, expr: Builtin) => Value;

function argument(expr: Builtin, index: number): Expr {
  return expr.args[index] as Expr;
}

function question(expr: Builtin): number {
  return Number(constantInteger(argument(expr, 1)) ?? 0n);
}

/** Asks something about an expression that is not computed. */
function asking(ask: (body: Body, subject: Expr, question: number, location: number) => Value): Lowering {
  return (body, expr) => {
    const [subject] = expr.args as [BuiltinArgument];
    if (subject.kind === "type") return body.b.const(0);
    return convert(body, ask(body, subject, question(expr), expr.location), expr.type, expr.type);
  };
}

/** Computes with an argument as an unsigned number of its own width. */
function onBits(compute: (body: Body, bits: Value) => Value): Lowering {
  return (body, expr) => {
    const bits = value(body, argument(expr, 0));
    body.at(expr.location);
    const counted = compute(body, bits);
    return counted.type === "i64" ? body.b.trunc(counted) : counted;
  };
}

function widthOf(bits: Value): 32 | 64 {
  return bits.type === "i64" ? 64 : 32;
}

/** Ones among the bits: pairs, nibbles and bytes are added up side by side. */
function popcount(body: Body, bits: Value): Value {
  const { b } = body;
  const { type } = bits;
  const mask = (pattern: bigint): Value => b.const(BigInt.asUintN(widthOf(bits), pattern), type);
  const right = (v: Value, by: number): Value => b.binary("lshr", v, b.const(by, type));
  let sum: Value = b.binary("sub", bits, b.binary("and", right(bits, 1), mask(0x5555_5555_5555_5555n)));
  const pairs = mask(0x3333_3333_3333_3333n);
  sum = b.binary("add", b.binary("and", sum, pairs), b.binary("and", right(sum, 2), pairs));
  sum = b.binary("and", b.binary("add", sum, right(sum, 4)), mask(0x0f0f_0f0f_0f0f_0f0fn));
  return right(b.binary("mul", sum, mask(0x0101_0101_0101_0101n)), widthOf(bits) - 8);
}

/** Zeros below the lowest one. */
function trailingZeros(body: Body, bits: Value): Value {
  const { b } = body;
  const below = b.binary(
    "and",
    b.binary("xor", bits, b.const(-1, bits.type)),
    b.binary("sub", bits, b.const(1, bits.type)),
  );
  return popcount(body, below);
}

/** Zeros above the highest one. */
function leadingZeros(body: Body, bits: Value): Value {
  const { b } = body;
  let smeared = bits;
  for (let by = 1; by < widthOf(bits); by *= 2)
    smeared = b.binary("or", smeared, b.binary("lshr", smeared, b.const(by, bits.type)));
  return popcount(body, b.binary("xor", smeared, b.const(-1, bits.type)));
}

/** Position of the lowest one, counted from 1; 0 for no bits. */
function firstSet(body: Body, bits: Value): Value {
  const { b } = body;
  const position = b.binary("add", trailingZeros(body, bits), b.const(1, bits.type));
  return b.select(truth(body, bits), position, b.const(0, bits.type));
}

function parity(body: Body, bits: Value): Value {
  return body.b.binary("and", popcount(body, bits), body.b.const(1, bits.type));
}

function absolute(body: Body, number: Value): Value {
  const { b } = body;
  const sign = b.binary("ashr", number, b.const(widthOf(number) - 1, number.type));
  return b.binary("sub", b.binary("xor", number, sign), sign);
}

function swap(bits: 16 | 32 | 64): Lowering {
  return (body, expr) => {
    const number = value(body, argument(expr, 0));
    body.at(expr.location);
    return body.b.bswap(number, bits);
  };
}

/** Control never comes here: what follows is dead. */
const unreachable: Lowering = (body, expr) => {
  body.at(expr.location);
  body.b.unreachable();
  return body.b.const(0, "i32");
};

const nothing: Lowering = (body, expr) => {
  for (const arg of expr.args) if (arg.kind !== "type") effect(body, arg);
  return zeroOf(body, expr.type);
};

/** An object's size as far as the place that a pointer names is known; else what GCC and clang answer. */
const objectSize: Lowering = (body, expr) => {
  const mode = question(expr);
  let at = argument(expr, 0);
  while (at.kind === "cast" && (at.cast === "pointer" || at.cast === "none")) at = at.operand;
  const place = at.kind === "address" || (at.kind === "cast" && at.cast === "decay") ? at.operand : undefined;
  const size = place?.kind === "variable" || place?.kind === "string" ? sizeOf(place.type) : undefined;
  return body.b.const(size ?? (mode >= 2 ? 0 : -1));
};

/** All bits of memory accesses that passes may move stay on their side. */
const fence: Lowering = (body, expr) => {
  nothing(body, expr);
  body.b.asm({ template: "", outputs: [], inputs: [], clobbers: [], memory: true, volatile: true }, []);
  return zeroOf(body, expr.type);
};

const table: Readonly<Record<string, Lowering>> = {
  ...memoryBuiltins,
  __builtin_bswap16: swap(16),
  __builtin_bswap32: swap(32),
  __builtin_bswap64: swap(64),
  __builtin_expect: (body, expr) => value(body, argument(expr, 0)),
  __builtin_expect_with_probability: (body, expr) => value(body, argument(expr, 0)),
  // What is assumed is not computed.
  __builtin_assume: (body, expr) => zeroOf(body, expr.type),
  __builtin_unreachable: unreachable,
  __builtin_trap: unreachable,
  __builtin_debugtrap: unreachable,
  __builtin_prefetch: nothing,
  __builtin_object_size: objectSize,
  __builtin_dynamic_object_size: objectSize,
  // What has effects is not computed, and so never known.
  __builtin_constant_p: (body, expr) => {
    const asked = argument(expr, 0);
    return isPure(asked) ? body.b.isconst(value(body, asked)) : body.b.const(0, "i32");
  },
  __builtin_preserve_access_index: (body, expr) => {
    body.region++;
    const inside = value(body, argument(expr, 0));
    body.region--;
    return inside;
  },
  __builtin_preserve_field_info: asking(fieldInfo),
  __builtin_preserve_type_info: asking(typeInfo),
  __builtin_preserve_enum_value: asking(enumValue),
  __builtin_btf_type_id: asking(typeId),
  __builtin_add_overflow: (body, expr) => overflow(body, expr, "add"),
  __builtin_sub_overflow: (body, expr) => overflow(body, expr, "sub"),
  __builtin_mul_overflow: (body, expr) => overflow(body, expr, "mul"),
  __sync_synchronize: fence,
  __atomic_thread_fence: fence,
  __atomic_signal_fence: fence,
  ...Object.fromEntries(
    (
      [
        ["ffs", firstSet],
        ["ctz", trailingZeros],
        ["clz", leadingZeros],
        ["popcount", popcount],
        ["parity", parity],
      ] as const
    ).flatMap(([name, compute]) => ["", "l", "ll"].map((suffix) => [`__builtin_${name}${suffix}`, onBits(compute)])),
  ),
  __builtin_abs: onBits(absolute),
  __builtin_labs: (body, expr) => absolute(body, value(body, argument(expr, 0))),
};

/** The value of a builtin's call. */
export function builtin(body: Body, expr: Builtin): Value {
  if (isAtomic(expr.name)) return atomic(body, expr);
  const lowering = Object.hasOwn(table, expr.name) ? table[expr.name] : undefined;
  if (lowering !== undefined) return lowering(body, expr);
  body.error(expr.location, `${expr.name} cannot be computed on eBPF`);
  return zeroOf(body, expr.type);
}
