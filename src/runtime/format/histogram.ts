/** hist() and lhist(): labels, bars and JSON of buckets. */
import type { Type } from "../../lang/bpftrace/types.ts";
import type { Compat } from "./context.ts";
import type { Sink } from "./sink.ts";
import { writeJsonInteger } from "./json.ts";

/** Width of the longest bar. */
const BAR = 52;
const SUFFIXES = ["", "K", "M", "G", "T", "P", "E"];

/** A histogram ready to be written: `edges[i]` and `edges[i + 1]` bound `counts[i]`; null edges are open. */
export interface Histogram {
  readonly counts: readonly bigint[];
  readonly edges: readonly (Edge | null)[];
  /** Buckets of one number are `[3]`; in lhist of 0.17 they are `[3, 4)`. */
  readonly namesSingles: boolean;
}

/** A bound of a bucket: its label and its number. */
export interface Edge {
  readonly label: string;
  readonly value: bigint;
}

/** First value of bucket `index` of `hist(n, bits)`, 1 and up. */
function histEdge(index: number, bits: number): Edge {
  const sub = 1 << bits;
  // Values below 2^(bits + 1) have a bucket each.
  if (index <= sub * 2) return { label: String(index - 1), value: BigInt(index - 1) };
  const at = index - 1;
  const power = (at >> bits) - 1;
  const mantissa = BigInt(sub + (at & (sub - 1)));
  const decade = Math.floor(power / 10);
  return {
    label: `${mantissa << BigInt(power - 10 * decade)}${SUFFIXES[decade]}`,
    value: mantissa << BigInt(power),
  };
}

function lhistEdge(value: number, step: number, compat: Compat): Edge {
  const label =
    (step % 1024 !== 0 && compat !== "0.17") || value === 0
      ? String(value)
      : value % (1024 * 1024) === 0
        ? `${value / (1024 * 1024)}M`
        : value % 1024 === 0
          ? `${value / 1024}K`
          : String(value);
  return { label, value: BigInt(value) };
}

/** Cuts the empty ends off and names the bounds. Null when every bucket is empty. */
export function makeHistogram(
  type: Extract<Type, { kind: "hist" | "lhist" }>,
  buckets: readonly bigint[],
  div: bigint,
  compat: Compat,
): Histogram | null {
  let first = 0;
  while (first < buckets.length && buckets[first] === 0n) first++;
  if (first === buckets.length) return null;
  let last = buckets.length - 1;
  while (buckets[last] === 0n) last--;
  const counts: bigint[] = [];
  const edges: (Edge | null)[] = [];
  const edge = (index: number): Edge | null => {
    if (index === 0) return null;
    if (type.kind === "hist") return histEdge(index, type.bits);
    if (index === buckets.length) return null;
    // The last bound is the range's end, also where the steps do not divide the range.
    return lhistEdge(Math.min(type.min + (index - 1) * type.step, type.max), type.step, compat);
  };
  for (let i = first; i <= last; i++) {
    counts.push(type.kind === "hist" ? buckets[i]! / div : buckets[i]!);
    edges.push(edge(i));
  }
  edges.push(edge(last + 1));
  return { counts, edges, namesSingles: type.kind === "hist" || compat !== "0.17" };
}

/** A row a bucket: label, count, bar. */
export function writeHistogramText(sink: Sink, histogram: Histogram): void {
  const { counts, edges } = histogram;
  let most = 0n;
  for (const count of counts) if (count > most) most = count;
  for (let i = 0; i < counts.length; i++) {
    const low = edges[i]!;
    const high = edges[i + 1]!;
    const label =
      low === null
        ? `(..., ${high.label})`
        : high === null
          ? `[${low.label}, ...)`
          : histogram.namesSingles && high.value === low.value + 1n
            ? `[${low.label}]`
            : `[${low.label}, ${high.label})`;
    const share = most === 0n ? 0 : Math.fround(Math.fround(Number(counts[i])) / Math.fround(Number(most)));
    const bar = Math.trunc(Math.fround(share * BAR));
    sink.text(`${label.padEnd(16)}${String(counts[i]).padStart(8)} |${"@".repeat(bar).padEnd(BAR)}|\n`);
  }
}

/** `[{"min": 0, "max": 0, "count": 1},...]`: bounds are inclusive. */
export function writeHistogramJson(sink: Sink, histogram: Histogram | null, compat: Compat): void {
  const old = compat === "0.17";
  const integer = (value: bigint): void =>
    writeJsonInteger(sink, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn), value < 0n, old);
  const { counts, edges } = histogram ?? { counts: [], edges: [] };
  sink.text("[");
  for (let i = 0; i < counts.length; i++) {
    if (i > 0) sink.text(old ? ", " : ",");
    sink.text("{");
    const low = edges[i];
    const high = edges[i + 1];
    if (low) {
      sink.text('"min": ');
      integer(low.value);
      sink.text(", ");
    }
    if (high) {
      sink.text('"max": ');
      integer(high.value - 1n);
      sink.text(", ");
    }
    sink.text(`"count": ${counts[i]}}`);
  }
  sink.text("]");
}
