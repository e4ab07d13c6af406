/** Aggregations: `count()` and its like, which stand only where a map takes them. */
import type { CallExpression } from "../ast.ts";
import type { FunctionRow } from "../table/functions.ts";
import type { Aggregation } from "../types.ts";
import { number } from "./call-arguments.ts";
import { argumentTypes, checkCount } from "./calls.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { asInteger } from "./promote.ts";

const MAX_LHIST_BUCKETS = 1000n;

/** `count()` and its like where they may stand: as the value of an assignment to a map. */
export function checkAggregation(c: ExpressionChecker, e: CallExpression, row: FunctionRow): Aggregation | undefined {
  c.unit.uses.add(row.name);
  if (!row.supported) {
    e.args.forEach((a) => c.type(a));
    return c.error(
      e.nameSpan,
      `not supported by this version of skep yet: ${e.name}()`,
      row.instead && `use ${row.instead} instead`,
    );
  }
  if (!checkCount(c, e, row)) return undefined;
  const types = argumentTypes(c, e, row);
  if (!types) return undefined;
  const first = types[0];
  const int = first && asInteger(first);
  const type = aggregationType(c, e, int?.signed ?? false);
  if (type) e.type = type;
  return type;
}

function aggregationType(c: ExpressionChecker, e: CallExpression, signed: boolean): Aggregation | undefined {
  switch (e.name) {
    case "count":
      return { kind: "count" };
    case "sum":
    case "min":
    case "max":
    case "avg":
    case "stats":
      return { kind: e.name, signed };
    case "hist": {
      const bits = number(e.args[1], 0n);
      if (bits < 0n || bits > 5n) return c.error(e.args[1]!.span, `hist: bits ${bits} must be 0..5`);
      return { kind: "hist", bits: Number(bits) };
    }
    case "lhist": {
      const [, minimum, maximum, width] = e.args;
      const min = number(minimum, 0n);
      const max = number(maximum, 0n);
      const step = number(width, 0n);
      if (step < 1n) return c.error(e.span, `lhist() step must be >= 1 (${step} provided)`);
      if (min < 0n) return c.error(e.span, "lhist() min must be non-negative");
      if (min >= max) {
        return c.error(e.span, `lhist() min must be less than max (provided min ${min} and max ${max})`);
      }
      if (max - min < step) {
        return c.error(
          e.span,
          `lhist() step is too large for the given range (provided step ${step} for range ${max - min})`,
        );
      }
      const buckets = (max - min + step - 1n) / step;
      if (buckets > MAX_LHIST_BUCKETS) {
        return c.error(
          e.span,
          `lhist() too many buckets, must be <= ${MAX_LHIST_BUCKETS} (would need ${buckets})`,
          `a step of ${(max - min + MAX_LHIST_BUCKETS - 1n) / MAX_LHIST_BUCKETS} would do`,
        );
      }
      return { kind: "lhist", min: Number(min), max: Number(max), step: Number(step) };
    }
    default:
      return undefined;
  }
}
