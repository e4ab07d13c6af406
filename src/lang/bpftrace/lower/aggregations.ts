/** `@m[k] = count()` and its kin: per-CPU values that are updated in place, and summed up where an expression reads them. */
import type { Value } from "../../../compiler/ir.ts";
import type { CallExpression, MapExpression } from "../ast.ts";
import { sizeOf, type Type } from "../types.ts";
import type { Body } from "./body.ts";
import { lowerNumber } from "./expressions.ts";
import { bucketIndex } from "./histograms.ts";
import { align8, forEachCpu, ifFound, keyOf, lookup, lowerKey, update, zeroKey } from "./maps.ts";
import type { ScriptMap } from "./script.ts";

/** How one aggregation changes its value. */
interface Aggregator {
  /** Folds `operand` into the value at `pointer`. */
  readonly fold: (body: Body, pointer: Value, operand: Value, map: ScriptMap) => void;
  /** Writes the value that a first `operand` makes. */
  readonly first: (body: Body, pointer: Value, operand: Value) => void;
}

const add = (body: Body, pointer: Value, offset: number, amount: Value): void => {
  const { b } = body;
  b.store(pointer, b.binary("add", b.load(pointer, 64, { offset }), amount), 64, { offset });
};

const count: Aggregator = {
  fold: (body, pointer) => add(body, pointer, 0, body.int(1)),
  first: (body, pointer) => void body.b.store(pointer, body.int(1), 64),
};

const sum: Aggregator = {
  fold: (body, pointer, operand, map) => {
    add(body, pointer, 0, operand);
    if (map.presentOffset !== null) body.b.store(pointer, body.int(1), 8, { offset: map.presentOffset });
  },
  first: (body, pointer, operand) => void body.b.store(pointer, operand, 64),
};

function extreme(wins: "lt" | "gt"): Aggregator {
  return {
    fold: (body, pointer, operand, map) => {
      const { b } = body;
      const replace = b.block("replace");
      const compare = b.block("compare");
      const end = b.block("end");
      b.branch(b.icmp("eq", b.load(pointer, 64, { offset: 8 }), body.int(0)), replace, compare, "else");
      b.moveTo(compare);
      const signed = "signed" in map.value && map.value.signed;
      b.branch(b.icmp(`${signed ? "s" : "u"}${wins}`, operand, b.load(pointer, 64)), replace, end);
      b.moveTo(replace);
      b.store(pointer, operand, 64);
      b.store(pointer, body.int(1), 64, { offset: 8 });
      b.jump(end);
      b.moveTo(end);
    },
    first: (body, pointer, operand) => {
      body.b.store(pointer, operand, 64);
      body.b.store(pointer, body.int(1), 64, { offset: 8 });
    },
  };
}

const average: Aggregator = {
  fold: (body, pointer, operand) => {
    add(body, pointer, 0, body.int(1));
    add(body, pointer, 8, operand);
  },
  first: (body, pointer, operand) => {
    body.b.store(pointer, body.int(1), 64);
    body.b.store(pointer, operand, 64, { offset: 8 });
  },
};

/** By the kind of the map's value. */
const AGGREGATORS: Partial<Record<Type["kind"], Aggregator>> = {
  count,
  sum,
  min: extreme("lt"),
  max: extreme("gt"),
  avg: average,
  stats: average,
};

/** `@m[k] = FUNCTION(...)`. */
export function aggregate(body: Body, map: ScriptMap, target: MapExpression, call: CallExpression): void {
  const operand = call.args[0] ? lowerNumber(body, call.args[0]) : body.int(1);
  if (map.layout === "bucketed" || map.layout === "buckets") {
    countBucket(body, map, target, bucketIndex(body, map.value, operand, call.args[0]!.type!));
    return;
  }
  const aggregator = AGGREGATORS[map.value.kind];
  if (!aggregator) throw body.script.error(call.span, `${call.name}() is not supported by this version of skep`);
  fold(body, map, keyOf(body, map, target), aggregator, operand);
}

/** Adds to the sum of a map, as `@m += n` on a sum or count does. */
export function addTo(body: Body, map: ScriptMap, target: MapExpression, amount: Value): void {
  fold(body, map, keyOf(body, map, target), sum, amount);
}

function fold(body: Body, map: ScriptMap, key: Value, aggregator: Aggregator, operand: Value): void {
  const pointer = lookup(body, map, key);
  ifFound(
    body,
    map,
    pointer,
    () => aggregator.fold(body, pointer, operand, map),
    map.key
      ? () => {
          const value = body.memory(sizeOf(map.value), "first");
          aggregator.first(body, value, operand);
          update(body, map, key, value);
        }
      : undefined,
  );
}

function countBucket(body: Body, map: ScriptMap, target: MapExpression, bucket: Value): void {
  const { b } = body;
  if (map.layout === "buckets") {
    const pointer = lookup(body, map, zeroKey(body));
    ifFound(body, map, pointer, () => {
      const slot = b.ptradd(pointer, b.binary("shl", bucket, body.int(3)));
      add(body, slot, 0, body.int(1));
    });
    return;
  }
  const key = lowerKey(body, map, target.key ?? [], 8);
  b.store(key, bucket, 64, { offset: align8(map.keyBytes) });
  fold(body, map, key, count, body.int(1));
}

/** The number that an aggregation is when an expression reads it: summed over all CPUs. */
export function readAggregate(body: Body, map: ScriptMap, key: Value): Value {
  const { b } = body;
  const type = map.value;
  const total = body.cell(body.int(0));
  const signed = "signed" in type && type.signed;
  switch (type.kind) {
    case "count":
    case "sum":
      forEachCpu(body, map, key, (pointer) => total.set(b.binary("add", total.get(), b.load(pointer, 64))));
      return total.get();
    case "min":
    case "max": {
      const any = body.cell(body.int(0));
      const wins = type.kind === "min" ? "lt" : "gt";
      forEachCpu(body, map, key, (pointer) => {
        body.ifElse(b.icmp("ne", b.load(pointer, 64, { offset: 8 }), body.int(0)), () => {
          const value = b.load(pointer, 64);
          const take = b.block("take");
          const compare = b.block("compare");
          const end = b.block("end");
          b.branch(b.icmp("eq", any.get(), body.int(0)), take, compare);
          b.moveTo(compare);
          b.branch(b.icmp(`${signed ? "s" : "u"}${wins}`, value, total.get()), take, end);
          b.moveTo(take);
          total.set(value);
          any.set(body.int(1));
          b.jump(end);
          b.moveTo(end);
        });
      });
      return total.get();
    }
    case "avg":
    case "stats": {
      const number = body.cell(body.int(0));
      forEachCpu(body, map, key, (pointer) => {
        number.set(b.binary("add", number.get(), b.load(pointer, 64)));
        total.set(b.binary("add", total.get(), b.load(pointer, 64, { offset: 8 })));
      });
      return b.binary(signed ? "sdiv" : "udiv", total.get(), number.get());
    }
    default:
      throw new TypeError(`${type.kind} is not a number`);
  }
}
