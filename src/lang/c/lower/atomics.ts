/** Atomic operations: GCC's `__sync_*` and C11's `__atomic_*`, which eBPF has for 4 and 8 bytes. */
import type { AtomicOp, IrType, Value } from "../../../compiler/index.ts";
import type { Expr } from "../ast.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, shapeOf, typeText } from "../types/types.ts";
import type { Body } from "./body.ts";
import { convert, zeroOf } from "./convert.ts";
import { isSigned, placeAt, plainOffset, store } from "./place.ts";
import { irTypeOf } from "./signature.ts";
import { value } from "./values.ts";

type Builtin = Expr & { readonly kind: "builtin" };

/** True for names of atomic operations. */
export function isAtomic(name: string): boolean {
  return (
    (name.startsWith("__sync_") && name !== "__sync_synchronize") ||
    /^__atomic_(?!thread_fence|signal_fence)/.test(name)
  );
}

/** The object of an atomic operation. */
interface Target {
  readonly base: Value;
  readonly offset: number;
  readonly bits: 32 | 64;
  readonly type: CType;
}

/** A value as the instruction takes it. */
function raw(body: Body, v: Value): Value {
  return v.type === "ptr" ? body.b.ptrtoint(v, true) : v;
}

/** A value of the instruction as the object's type has it. */
function typed(body: Body, v: Value, type: CType): Value {
  return irTypeOf(type) === "ptr" ? body.b.inttoptr(v) : v;
}

function run(body: Body, op: AtomicOp, to: Target, operands: Value[], fetch: boolean): Value {
  return body.b.atomic(
    op,
    to.base,
    operands.map((v) => raw(body, v)),
    to.bits,
    { offset: to.offset, fetch },
  );
}

type Fetch = "add" | "sub" | "and" | "or" | "xor";

function fetchAnd(body: Body, operation: Fetch, to: Target, by: Value, after: boolean): Value {
  const { b } = body;
  const amount = raw(body, by);
  const operand = operation === "sub" ? b.binary("sub", b.const(0, amount.type), amount) : amount;
  const before = run(body, operation === "sub" ? "add" : operation, to, [operand], true);
  return after ? b.binary(operation, before, amount) : before;
}

/** Compares and swaps; gives the old value. */
function exchangeIf(body: Body, to: Target, expected: Value, wanted: Value): Value {
  return run(body, "cmpxchg", to, [expected, wanted], true);
}

/** `__atomic_compare_exchange`: on failure the expected value becomes what was there. */
function compareExchange(body: Body, to: Target, expectedAt: Value, wanted: Value): Value {
  const { b } = body;
  const ir: IrType = to.bits === 32 ? "i32" : "i64";
  const at = plainOffset(expectedAt);
  const expected = b.load(at.base, to.bits, { type: ir, offset: at.offset });
  const old = exchangeIf(body, to, expected, wanted);
  const same = b.icmp("eq", old, expected);
  const failed = b.block("differed");
  const after = b.block("exchanged");
  b.branch(same, after, failed, "then");
  b.moveTo(failed);
  b.store(at.base, old, to.bits, { offset: at.offset });
  b.jump(after);
  b.moveTo(after);
  return b.zext(same, 1, "i32");
}

/** The value of an atomic builtin. */
export function atomic(body: Body, expr: Builtin): Value {
  const { b } = body;
  const { name, type } = expr;
  const [first, ...rest] = expr.args as [Expr, ...Expr[]];
  const shape = shapeOf(first.type);
  const of = shape.kind === "pointer" ? shape.to : first.type;
  const size = sizeOf(of) ?? 0;
  const isAccess = /^__atomic_(?:load|store)(?:_n)?$/.test(name) || name === "__sync_lock_release";
  if (size !== 4 && size !== 8 && !(isAccess && (size === 1 || size === 2))) {
    body.error(
      expr.location,
      `${name} on ${typeText(of)}: eBPF has atomic operations of 4 and 8 bytes, not of ${size}`,
    );
    return zeroOf(body, type);
  }
  const address = plainOffset(value(body, first));
  const args = rest.map((arg) => value(body, arg));
  body.at(expr.location);
  const to: Target = { ...address, bits: size === 8 ? 64 : 32, type: of };
  const bits = (size * 8) as 8 | 16 | 32 | 64;
  const ir = irTypeOf(of);
  const volatileLoad = (): Value =>
    b.load(to.base, bits, { offset: to.offset, type: ir, signed: size < 8 && isSigned(of), volatile: true });
  const volatileStore = (v: Value): void => {
    b.store(to.base, v, bits, { offset: to.offset, volatile: true });
  };
  const behind = (pointer: Value): Value => b.load(pointer, bits, { type: ir });
  const operation = /^__(?:sync|atomic)_(?:fetch_(?:and_)?(\w+)|(\w+?)_(?:and_)?fetch)$/.exec(name);
  const op = operation?.[1] ?? operation?.[2];
  if (op !== undefined && ["add", "sub", "and", "or", "xor"].includes(op)) {
    // GNU: a pointer counts in bytes here.
    return typed(body, fetchAnd(body, op as Fetch, to, args[0]!, operation?.[2] !== undefined), of);
  }
  switch (name) {
    case "__sync_lock_test_and_set":
    case "__sync_swap":
    case "__atomic_exchange_n":
      return typed(body, run(body, "xchg", to, [args[0]!], true), of);
    case "__sync_lock_release":
      volatileStore(b.const(0, ir));
      return zeroOf(body, type);
    case "__sync_val_compare_and_swap":
      return typed(body, exchangeIf(body, to, args[0]!, args[1]!), of);
    case "__sync_bool_compare_and_swap": {
      const expected = raw(body, args[0]!);
      return b.zext(b.icmp("eq", exchangeIf(body, to, expected, args[1]!), expected), 1, "i32");
    }
    case "__atomic_load_n":
      return volatileLoad();
    case "__atomic_store_n":
      volatileStore(args[0]!);
      return zeroOf(body, type);
    case "__atomic_load":
      store(body, placeAt(of, args[0]!), volatileLoad());
      return zeroOf(body, type);
    case "__atomic_store":
      volatileStore(behind(args[0]!));
      return zeroOf(body, type);
    case "__atomic_exchange": {
      const old = run(body, "xchg", to, [behind(args[0]!)], true);
      store(body, placeAt(of, args[1]!), typed(body, old, of));
      return zeroOf(body, type);
    }
    case "__atomic_compare_exchange_n":
      return convert(body, compareExchange(body, to, args[0]!, args[1]!), type, type);
    case "__atomic_compare_exchange":
      return convert(body, compareExchange(body, to, args[0]!, behind(args[1]!)), type, type);
    default:
      body.error(expr.location, `eBPF has no instruction for ${name}`);
      return zeroOf(body, type);
  }
}
