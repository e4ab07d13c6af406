/** Histograms beside those that BCC's own Python prints of the same tables: every byte. */
import { afterAll, describe, expect, test } from "vitest";
import type { HistogramOptions } from "../../src/bcc/histogram.ts";
import { bytesRepr, repr, strRepr, trueDivision } from "../../src/bcc/python-text.ts";
import { KeyedTable } from "../../src/bcc/index.ts";
import { describeUnless } from "../support/needs.ts";
import { findModule, forgetModule, runPython } from "./python.ts";

type Entry = readonly [key: number | { bucket: unknown; slot: number }, value: bigint];

/** A table whose entries are given. */
class GivenTable extends KeyedTable<unknown, unknown> {
  readonly printed: string[];
  private readonly byBucket: boolean;

  constructor(entries: readonly Entry[], byBucket: boolean) {
    const lines: string[] = [];
    super(
      { toArray: () => [...entries] } as never,
      { name: "dist", type: 1, keySize: 4, valueSize: 8, maxEntries: 64, flags: 0 },
      { btf: undefined, print: (line) => void lines.push(line) },
    );
    this.printed = lines;
    this.byBucket = byBucket;
  }

  protected override keyIsStruct(): boolean {
    return this.byBucket;
  }
}

type Form = "log2" | "linear" | "json";

/** What both sides print. */
interface Case {
  readonly name: string;
  readonly form: Form;
  readonly valType?: string;
  readonly entries: readonly Entry[];
  /** Python's type of buckets; absent: keys are numbers. */
  readonly bucket?: "c_uint" | "c_char * 16" | "c_ulonglong";
  readonly header?: string;
  readonly strip?: boolean;
  /** Functions by the names that both sides have for them. */
  readonly print?: "in brackets" | "a number";
  readonly bucketFn?: "halved";
  readonly sort?: "backwards";
}

const numbers = (values: readonly (number | bigint)[]): Entry[] => values.map((value, i) => [i, BigInt(value)]);

/** Reproducible numbers (xorshift32). */
function randoms(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function randomCases(): Case[] {
  const next = randoms(0x5eed);
  const value = (): bigint => {
    const bits = next(64);
    return ((BigInt(next(0xffff_ffff)) << 32n) | BigInt(next(0xffff_ffff))) >> BigInt(bits);
  };
  return Array.from({ length: 120 }, (_, i): Case => {
    const form = (["log2", "linear", "json"] as const)[i % 3]!;
    const slots = form === "linear" ? 200 : 65;
    const count = next(40);
    const entries: Entry[] = Array.from({ length: count }, () => [next(slots), next(3) === 0 ? 0n : value()]);
    return { name: `random ${i}`, form, entries: [...new Map(entries)].map(([k, v]) => [k, v]), strip: next(2) === 0 };
  });
}

const cases: readonly Case[] = [
  { name: "empty", form: "log2", entries: [] },
  { name: "empty, linear", form: "linear", entries: [] },
  { name: "empty, json", form: "json", entries: [] },
  { name: "only slot 0", form: "log2", entries: numbers([7]) },
  { name: "small", form: "log2", valType: "usecs", entries: numbers([0, 5, 3, 9]) },
  { name: "a long type", form: "log2", valType: "a type of values with a long name", entries: numbers([0, 1]) },
  { name: "slot 32", form: "log2", entries: [[32, 1n]] },
  {
    name: "slot 33: the wide form",
    form: "log2",
    entries: [
      [3, 9n],
      [33, 1n],
    ],
  },
  { name: "slot 64", form: "log2", entries: [[64, 1n]] },
  {
    name: "zeros in front are left out",
    form: "log2",
    strip: true,
    entries: [
      [3, 2n],
      [5, 1n],
    ],
  },
  {
    name: "counts of all 64 bits",
    form: "log2",
    entries: [
      [1, 2n ** 64n - 1n],
      [2, 2n ** 64n - 2n],
      [3, 2n ** 63n],
    ],
  },
  {
    name: "nearly the most: stars are rounded",
    form: "log2",
    entries: [
      [1, 10n ** 18n],
      [2, 10n ** 18n - 1n],
      [3, (10n ** 18n * 39n) / 40n],
    ],
  },
  {
    name: "a negative slot counts from the end",
    form: "log2",
    entries: [
      [-1, 3n],
      [2, 1n],
    ],
  },
  { name: "linear", form: "linear", valType: "cpus", entries: numbers([1, 0, 4]) },
  {
    name: "linear, far",
    form: "linear",
    strip: true,
    entries: [
      [1024, 3n],
      [1000, 2n],
    ],
  },
  { name: "json", form: "json", valType: "it's", entries: numbers([3, 1, 2]) },
  {
    name: "buckets",
    form: "log2",
    bucket: "c_uint",
    entries: [
      [{ bucket: 8, slot: 2 }, 3n],
      [{ bucket: 1, slot: 1 }, 3n],
      [{ bucket: 8, slot: 3 }, 1n],
    ],
  },
  {
    name: "buckets with a header",
    form: "log2",
    bucket: "c_uint",
    header: "disk",
    print: "in brackets",
    entries: [[{ bucket: 8, slot: 2 }, 3n]],
  },
  {
    name: "buckets of text",
    form: "linear",
    bucket: "c_char * 16",
    header: "comm",
    entries: [
      [{ bucket: 'it\'s "q"', slot: 2 }, 3n],
      [{ bucket: "bash", slot: 1 }, 1n],
    ],
  },
  {
    name: "buckets of text, json",
    form: "json",
    bucket: "c_char * 16",
    header: "comm",
    entries: [
      [{ bucket: "it's", slot: 2 }, 3n],
      [{ bucket: "tab\there", slot: 1 }, 1n],
    ],
  },
  {
    name: "buckets put together",
    form: "log2",
    bucket: "c_ulonglong",
    bucketFn: "halved",
    entries: [
      [{ bucket: 8, slot: 2 }, 3n],
      [{ bucket: 9, slot: 3 }, 1n],
    ],
  },
  {
    name: "buckets sorted",
    form: "log2",
    bucket: "c_uint",
    sort: "backwards",
    print: "a number",
    entries: [
      [{ bucket: 1, slot: 2 }, 3n],
      [{ bucket: 2, slot: 3 }, 1n],
      [{ bucket: 3, slot: 3 }, 1n],
    ],
  },
  { name: "no buckets, json", form: "json", bucket: "c_uint", entries: [] },
  ...randomCases(),
];

const PYTHON = `
import ctypes as ct, json, sys
class Given(TableBase):
    def __init__(self, key, entries):
        self.Key = key
        self.entries = entries
    def items(self):
        return self.entries
    def __iter__(self): return iter(k for k, v in self.entries)
    def __len__(self): return len(self.entries)
prints = {"in brackets": lambda b: "<%s>" % b, "a number": lambda b: b * 2}
types = {"c_uint": ct.c_uint, "c_ulonglong": ct.c_ulonglong, "c_char * 16": ct.c_char * 16}
table.strftime = lambda f: "TIME"
for case in json.load(sys.stdin):
    if case.get("bucket"):
        class Key(ct.Structure):
            _fields_ = [("bucket", types[case["bucket"]]), ("slot", ct.c_ulonglong)]
        def key(k):
            b = k["bucket"]
            return Key(b.encode() if isinstance(b, str) else b, k["slot"])
    else:
        Key = ct.c_int
        key = Key
    given = Given(Key, [(key(k), ct.c_ulonglong(int(v))) for k, v in case["entries"]])
    args = {}
    if "header" in case: args["section_header"] = case["header"]
    if "print" in case: args["section_print_fn"] = prints[case["print"]]
    if "bucketFn" in case: args["bucket_fn"] = lambda b: b // 2
    if "sort" in case: args["bucket_sort_fn"] = lambda l: sorted(l, reverse=True)
    if "strip" in case and case["form"] != "json": args["strip_leading_zero"] = case["strip"]
    getattr(given, "print_%s_hist" % case["form"])(case.get("valType", "value"), **args)
    print("=== end")
`;

const printers: Readonly<Record<string, HistogramOptions["sectionPrintFn"]>> = {
  "in brackets": (bucket) => `<${String(bucket)}>`,
  "a number": (bucket) => Number(bucket) * 2,
};

function ours(given: Case): string {
  const table = new GivenTable(given.entries, given.bucket !== undefined);
  const printFn = given.print === undefined ? undefined : printers[given.print];
  const options: HistogramOptions = {
    ...(given.header === undefined ? {} : { sectionHeader: given.header }),
    ...(printFn === undefined ? {} : { sectionPrintFn: printFn }),
    ...(given.bucketFn === undefined ? {} : { bucketFn: (bucket: unknown) => Math.floor(Number(bucket) / 2) }),
    ...(given.sort === undefined
      ? {}
      : { bucketSortFn: (buckets: unknown[]) => (buckets as number[]).toSorted((a, b) => b - a) }),
    ...(given.strip === undefined ? {} : { stripLeadingZero: given.strip }),
  };
  if (given.form === "log2") table.printLog2Hist(given.valType, options);
  else if (given.form === "linear") table.printLinearHist(given.valType, options);
  else table.printJsonHist(given.valType, options);
  return table.printed.map((line) => `${line}\n`).join("");
}

const found = findModule();

describeUnless("reason" in found ? found.reason : undefined, "histograms beside BCC's Python", () => {
  afterAll(forgetModule);
  let theirs: string[] | undefined;
  const python = (): string[] => {
    const input = JSON.stringify(cases, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    theirs ??= runPython((found as { path: string }).path, PYTHON, input).split("=== end\n");
    return theirs;
  };

  test.each(cases.map((given, i) => ({ ...given, i })))("$name", (given) => {
    const text = ours(given).replace(/'ts': '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d'/g, "'ts': 'TIME'");
    expect(text).toBe(python()[given.i]);
  });

  test("representations of text", () => {
    const texts = [
      "plain",
      "it's",
      'say "x"',
      `both ' and "`,
      "tab\t\n\r\\",
      "é \u{1f600}",
      "\u0000\u007f\u00a0\u2028",
    ];
    const script = `import json, sys\nfor t in json.load(sys.stdin): print(repr(t)); print(repr(t.encode()))`;
    const expected = runPython((found as { path: string }).path, script, JSON.stringify(texts));
    expect(texts.flatMap((text) => [strRepr(text), bytesRepr(text)]).join("\n")).toBe(expected.trimEnd());
  });

  test("divisions are rounded once", () => {
    const next = randoms(7);
    const pairs = Array.from({ length: 500 }, () => {
      const [a, b] = [next(64), next(64)].map(
        (bits) => (((BigInt(next(0xffff_ffff)) << 32n) | BigInt(next(0xffff_ffff))) >> BigInt(bits)) + 1n,
      );
      return [a! * 40n, b!] as const;
    });
    const script = `import json, sys\nfor a, b in json.load(sys.stdin): print((int(a) / int(b)).hex())`;
    const input = JSON.stringify(pairs.map(([a, b]) => [String(a), String(b)]));
    const expected = runPython((found as { path: string }).path, script, input)
      .trimEnd()
      .split("\n");
    expect(pairs.map(([a, b]) => trueDivision(a, b))).toEqual(expected.map((text) => fromHex(text)));
  });
});

/** Python's `float.hex`. */
function fromHex(text: string): number {
  const [, whole, fraction, exponent] = /^0x(\d)\.([0-9a-f]+)p([+-]\d+)$/.exec(text)!;
  return (Number(whole) + Number.parseInt(fraction!, 16) / 16 ** fraction!.length) * 2 ** Number(exponent);
}

describe("histograms", () => {
  test("a slot that there is not", () => {
    const table = new GivenTable([[1025, 1n]], false);
    expect(() => table.printLinearHist()).toThrow(
      new RangeError("Index in print_linear_hist() of 1025 exceeds max of 1025."),
    );
    expect(() => new GivenTable([[65, 1n]], false).printLog2Hist()).toThrow("exceeds max of 65");
  });

  test("values of all CPUs are added up", () => {
    const table = new GivenTable([[1, [1n, 2n, 3n] as never]], false);
    expect(table.log2HistLines()[1]).toMatch(/^ +0 -> 1 +: 6 /);
  });

  test("data for JSON", () => {
    const table = new GivenTable([[{ bucket: 3, slot: 1 }, 5n]], true);
    expect(table.jsonHists("ns", { sectionHeader: "cpu" })).toMatchObject([
      { val_type: "ns", data: [{ "interval-start": 0n, "interval-end": 1n, count: 5n }], cpu: 3 },
    ]);
  });

  test("values that are no counts", () => {
    const table = new GivenTable([[1, { a: 1 } as never]], false);
    expect(() => table.printLog2Hist()).toThrow("a histogram is of counts");
  });

  test("other values", () => {
    expect(repr({ a: [1n, true, null], b: new Map([[1, "x"]]) })).toBe("{'a': [1, True, None], 'b': {1: 'x'}}");
  });
});
