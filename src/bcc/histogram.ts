/** Histograms as BCC prints them, line for line. */
import { CText, localTime, repr, str, trueDivision } from "./python-text.ts";

/** Columns of stars. */
const STARS = 40;
/** Slots of a histogram of powers of two: all of a 64-bit value. */
export const LOG2_SLOTS: number = 65;
/** Slots of a linear histogram. */
export const LINEAR_SLOTS: number = 1025;
/** The last slot whose bounds fit the narrow form. */
const NARROW_SLOT = 32;

/** How a histogram is printed. */
export interface HistogramOptions {
  /** What a bucket is called, where keys are structs of a bucket and a slot. Default `Bucket ptr`. */
  readonly sectionHeader?: string;
  /** Makes what is printed of a bucket. */
  readonly sectionPrintFn?: (bucket: unknown) => unknown;
  /** Makes a bucket of the first member of a key; keys whose buckets are equal are put together. */
  readonly bucketFn?: (bucket: unknown) => unknown;
  /** Puts buckets in order. Default: that of the table. */
  readonly bucketSortFn?: (buckets: unknown[]) => unknown[];
  /** Leave out the empty slots in front. */
  readonly stripLeadingZero?: boolean;
}

/** `_stars` of BCC: one more while there is less than a star's worth to the value. */
function stars(value: bigint, most: bigint, width: number): string {
  const exact = trueDivision(BigInt(width) * value, most) - 1;
  let count = 0;
  while (!(count > exact || count > width - 1)) count++;
  return "*".repeat(count);
}

function extent(values: readonly bigint[]): { readonly last: number; readonly most: bigint } {
  let last = -1;
  let most = 0n;
  values.forEach((value, i) => {
    if (value > 0n) last = i;
    if (value > most) most = value;
  });
  return { last, most };
}

/** Lines of a histogram of powers of two: slot i counts values from 2^(i-1) to 2^i - 1. */
export function log2Lines(values: readonly bigint[], valType: string, stripLeadingZero = false): string[] {
  const { last, most } = extent(values);
  const narrow = last <= NARROW_SLOT;
  const digits = narrow ? 10 : 20;
  const width = narrow ? STARS : STARS / 2;
  const lines: string[] = [];
  if (last > 0)
    lines.push(`${" ".repeat(narrow ? 5 : 15)}${valType.padEnd(narrow ? 19 : 29)} : count     distribution`);
  let skip = stripLeadingZero;
  for (let i = 1; i <= last; i++) {
    const value = values[i]!;
    if (skip && value === 0n) continue;
    skip = false;
    const high = (1n << BigInt(i)) - 1n;
    const low = i === 1 ? 0n : 1n << BigInt(i - 1);
    const range = `${String(low).padStart(digits)} -> ${String(high).padEnd(digits)}`;
    lines.push(`${range} : ${String(value).padEnd(8)} |${stars(value, most, width).padEnd(width)}|`);
  }
  return lines;
}

/** Lines of a histogram with a slot for each value from 0. */
export function linearLines(values: readonly bigint[], valType: string, stripLeadingZero = false): string[] {
  const { last, most } = extent(values);
  const lines: string[] = [];
  if (last >= 0) lines.push(`     ${valType.padEnd(13)} : count     distribution`);
  let skip = stripLeadingZero;
  for (let i = 0; i <= last; i++) {
    const value = values[i]!;
    if (skip && value === 0n) continue;
    skip = false;
    const count = `${String(i).padEnd(10)} : ${String(value).padEnd(8)}`;
    lines.push(`        ${count} |${stars(value, most, STARS).padEnd(STARS)}|`);
  }
  return lines;
}

/** A histogram of powers of two as data. */
export interface JsonHistogram {
  /** When it was made, by this machine's clock. */
  readonly ts: string;
  readonly val_type: string;
  readonly data: readonly { "interval-start": bigint; "interval-end": bigint; count: bigint }[];
  /** The bucket, by the section's header. */
  readonly [section: string]: unknown;
}

/** The data of `print_json_hist`. */
export function jsonHistogram(
  values: readonly bigint[],
  valType: string,
  section?: readonly [header: string, bucket: unknown],
  now: Date = new Date(),
): JsonHistogram {
  let last = 0;
  values.forEach((value, i) => {
    if (value !== 0n) last = i;
  });
  const data = [];
  for (let i = 1; i <= last; i++) {
    const start = i === 1 ? 0n : 1n << BigInt(i - 1);
    data.push({ "interval-start": start, "interval-end": (1n << BigInt(i)) - 1n, count: values[i]! });
  }
  const whole = { ts: localTime(now), val_type: valType, data };
  return section === undefined ? whole : { ...whole, [section[0]]: section[1] };
}

/** Slots of one bucket. */
export interface Section {
  readonly bucket: unknown;
  readonly values: bigint[];
}

/** Where a number of an index goes, as in a list of Python: negative ones count from the end. */
function slotOf(index: unknown, slots: number): number | undefined {
  const slot = Number(index);
  if (!Number.isInteger(slot)) return undefined;
  const place = slot < 0 ? slot + slots : slot;
  return place >= 0 && place < slots ? place : undefined;
}

/** Counters of maps are integers of any width, one for each CPU where the map has them. */
function countOf(value: unknown): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (Array.isArray(value)) return value.reduce((sum: bigint, one) => sum + countOf(one), 0n);
  throw new TypeError(`a histogram is of counts, and the values of this table are ${typeof value}`);
}

/** What keeps equal buckets together: bigints and structs are equal by their values. */
function identity(bucket: unknown): string {
  return typeof bucket === "object" && bucket !== null ? repr(bucket) : `${typeof bucket} ${String(bucket)}`;
}

/** Which slots there are, and what is said of those that are not. */
export interface SlotRange {
  readonly slots: number;
  /** Keys are structs of a bucket and a slot. */
  readonly byBucket: boolean;
  readonly complain: (index: unknown) => RangeError;
}

/**
 * Entries of a table as slots, by bucket where keys are structs: the bucket is their first member and the slot their second.
 */
export function sections(
  entries: Iterable<readonly [key: unknown, value: unknown]>,
  { slots, byBucket, complain }: SlotRange,
  options: HistogramOptions = {},
): { readonly plain: bigint[] } | { readonly split: Section[] } {
  const plain: bigint[] = Array.from({ length: slots }, () => 0n);
  const split = new Map<string, Section>();
  const place = (index: unknown): number => {
    const slot = slotOf(index, slots);
    if (slot === undefined) throw complain(index);
    return slot;
  };
  for (const [key, value] of entries) {
    const count = countOf(value);
    if (!byBucket) {
      plain[place(key)] = count;
      continue;
    }
    const [first, second] = Object.values(key as object);
    if (second === undefined)
      throw new TypeError("a histogram by buckets wants keys of two members: the bucket and the slot");
    const raw = typeof first === "string" ? new CText(first) : first;
    const bucket = options.bucketFn === undefined ? raw : options.bucketFn(first);
    const id = identity(bucket);
    let section = split.get(id);
    if (section === undefined) {
      section = { bucket, values: Array.from({ length: slots }, () => 0n) };
      split.set(id, section);
    }
    section.values[place(second)] = count;
  }
  return byBucket ? { split: sorted([...split.values()], options) } : { plain };
}

const unwrapped = (bucket: unknown): unknown => (bucket instanceof CText ? bucket.text : bucket);

function sorted(found: Section[], { bucketSortFn }: HistogramOptions): Section[] {
  if (bucketSortFn === undefined) return found;
  const byBucket = new Map(found.map((section) => [identity(unwrapped(section.bucket)), section]));
  return bucketSortFn(found.map(({ bucket }) => unwrapped(bucket))).map((bucket) => {
    const section = byBucket.get(identity(bucket));
    if (section === undefined) throw new TypeError(`bucketSortFn: gave back ${repr(bucket)}, which is no bucket`);
    return section;
  });
}

/** The line above a bucket's histogram, an empty one before it. */
export function sectionLines({ bucket }: Section, options: HistogramOptions): string[] {
  const header = options.sectionHeader ?? "Bucket ptr";
  const shown = options.sectionPrintFn === undefined ? repr(bucket) : str(options.sectionPrintFn(unwrapped(bucket)));
  return ["", `${header} = ${shown}`];
}

/** A bucket as {@link jsonHistogram} takes it. */
export function jsonSection({ bucket }: Section, options: HistogramOptions): [header: string, bucket: unknown] {
  const header = options.sectionHeader ?? "Bucket ptr";
  return [header, options.sectionPrintFn === undefined ? bucket : options.sectionPrintFn(unwrapped(bucket))];
}
