/** Which bucket of a histogram a value falls into. */
import type { Value } from "../../../compiler/ir.ts";
import type { Type } from "../types.ts";
import type { Body } from "./body.ts";
import { isSigned } from "./values.ts";

/** Index of the bucket, in the order of `histBuckets` and `lhistBuckets`; always below their number. */
export function bucketIndex(body: Body, type: Type, value: Value, valueType: Type): Value {
  if (type.kind === "hist") return log2Bucket(body, value, isSigned(valueType), type.bits);
  if (type.kind === "lhist") return linearBucket(body, value, type);
  throw new TypeError(`${type.kind} has no buckets`);
}

/**
 * Bucket of a `hist(n, bits)`: 0 for negatives, then the values below 2^bits one by one, then 2^bits buckets an octave.
 * The position of the highest bit is found by halving; each step narrows the value in place, so that the verifier ends every path
 * with bounds on the index.
 */
function log2Bucket(body: Body, value: Value, signed: boolean, bits: number): Value {
  const { b } = body;
  const sub = 1 << bits;
  const index = body.cell(body.int(0));
  const end = b.block("bucket");
  const start = b.block("hist");
  const small = b.block("small");
  const large = b.block("large");
  if (signed) b.branch(b.icmp("slt", value, body.int(0)), end, start, "else");
  else b.jump(start);
  b.moveTo(start);
  b.branch(b.icmp("ult", value, body.int(sub)), small, large, "else");
  b.moveTo(small);
  index.set(b.binary("add", value, body.int(1)));
  b.jump(end);
  b.moveTo(large);
  const rest = body.cell(value);
  const high = body.cell(body.int(0));
  for (const step of [32, 16, 8, 4, 2, 1]) {
    const now = rest.get();
    body.ifElse(b.icmp("ugt", now, body.int((1n << BigInt(step)) - 1n)), () => {
      rest.set(b.binary("lshr", now, body.int(step)));
      high.set(b.binary("add", high.get(), body.int(step)));
    });
  }
  if (bits === 0) index.set(b.binary("add", high.get(), body.int(2)));
  else {
    const octave = b.binary("sub", high.get(), body.int(bits));
    const inside = b.binary("and", b.binary("lshr", value, octave), body.int(sub - 1));
    const base = b.binary("shl", octave, body.int(bits));
    index.set(b.binary("add", b.binary("add", base, inside), body.int(1 + sub)));
  }
  b.jump(end);
  b.moveTo(end);
  return index.get();
}

/** Bucket of an `lhist`: 0 below `min`, one a step, the last from `max` on. */
function linearBucket(
  body: Body,
  value: Value,
  type: { readonly min: number; readonly max: number; readonly step: number },
): Value {
  const { b } = body;
  const steps = Math.ceil((type.max - type.min) / type.step);
  const index = body.cell(body.int(0));
  const within = (condition: Value, then: () => void): void => body.ifElse(condition, then, undefined, "then");
  within(b.icmp("sge", value, body.int(type.min)), () => {
    index.set(body.int(steps + 1));
    within(b.icmp("slt", value, body.int(type.max)), () => {
      const from = type.min === 0 ? value : b.binary("sub", value, body.int(type.min));
      const step = type.step === 1 ? from : b.binary("udiv", from, body.int(type.step));
      // Always true; it bounds the quotient for the verifier, which knows nothing of division.
      within(b.icmp("ult", step, body.int(steps)), () => index.set(b.binary("add", step, body.int(1))));
    });
  });
  return index.get();
}
