import { describe, expect, test } from "vitest";
import type { PlannedMap } from "../../src/lang/bpftrace/plan.ts";
import { BOOL, histBuckets, I32, I64, lhistBuckets, U64 } from "../../src/lang/bpftrace/types.ts";
import type { Type } from "../../src/lang/bpftrace/types.ts";
import type { Compat } from "../../src/runtime/format/context.ts";
import { MapPrinter } from "../../src/runtime/format/map.ts";
import { Sink } from "../../src/runtime/format/sink.ts";
import { encode, fakeContext, fakeMap, keyedMap } from "./support.ts";
import type { Plain } from "./support.ts";

const STR: Type = { kind: "string", size: 16 };
const tuple = (...items: Type[]): Type => ({ kind: "tuple", items });
const COUNT: Type = { kind: "count" };

type Row = readonly [key: Plain, value: Plain, otherCpu?: Plain];

function printed(
  map: PlannedMap,
  rows: readonly Row[],
  options: { compat?: Compat; json?: boolean; top?: number; div?: number; explicit?: boolean } = {},
): string {
  const printer = new MapPrinter(map, fakeContext(options.compat));
  const entries = rows.map(([key, value, otherCpu]) => {
    const slots = [encode(map.value, value)];
    if (map.perCpu) slots.push(otherCpu === undefined ? new Uint8Array(slots[0]!.length) : encode(map.value, otherCpu));
    return {
      key: map.key ? encode(map.key, key) : new Uint8Array(4),
      value: Uint8Array.from(slots.flatMap((slot) => [...slot])),
    };
  });
  const sink = new Sink();
  const write = (options.json ? printer.writeJson : printer.writeText).bind(printer);
  write(sink, fakeMap(map, entries), options.top ?? 0, options.div ?? 0, options.explicit ?? false);
  return sink.toString();
}

function scalar(name: string, value: Type, perCpu = false, presentOffset: number | null = null): PlannedMap {
  return { name, kernelMap: name.slice(1), key: null, value, perCpu, layout: "scalar", presentOffset };
}

describe("maps as text and JSON", () => {
  const cases: [what: string, map: PlannedMap, rows: Row[], text: string, json: string][] = [
    ["scalar integer", scalar("@i", I64), [[0, -4]], "@i: -4\n", '{"type": "map", "data": {"@i": -4}}\n'],
    [
      "scalar string",
      scalar("@s", STR),
      [[0, 'a "b"']],
      '@s: a "b"\n',
      '{"type": "map", "data": {"@s": "a \\"b\\""}}\n',
    ],
    [
      "scalar tuple",
      scalar("@t", tuple(I64, STR, tuple(I64, I64))),
      [[0, [1, "hi", [2, 3]]]],
      "@t: (1, hi, (2, 3))\n",
      '{"type": "map", "data": {"@t": [1,"hi",[2,3]]}}\n',
    ],
    [
      "keyed counts, ascending",
      keyedMap("@a", STR, COUNT, true),
      [
        ["x", 3, 4],
        ["y", 1],
        ["z", 5],
      ],
      "@a[y]: 1\n@a[z]: 5\n@a[x]: 7\n",
      '{"type": "map", "data": {"@a": {"y": 1, "z": 5, "x": 7}}}\n',
    ],
    [
      "ties by key",
      keyedMap("@", I32, COUNT, true),
      [
        [2, 1],
        [-1, 1],
        [1, 1],
      ],
      "@[-1]: 1\n@[1]: 1\n@[2]: 1\n",
      '{"type": "map", "data": {"@": {"-1": 1, "1": 1, "2": 1}}}\n',
    ],
    [
      "key of several parts",
      keyedMap("@b", tuple(I64, STR), I64),
      [[[1, "two"], 5]],
      "@b[1, two]: 5\n",
      '{"type": "map", "data": {"@b": {"1,two": 5}}}\n',
    ],
    [
      "spaces of strings stay in JSON keys",
      keyedMap("@", STR, I64),
      [["Web Content", 5]],
      "@[Web Content]: 5\n",
      '{"type": "map", "data": {"@": {"Web Content": 5}}}\n',
    ],
    [
      "strings sort by key",
      keyedMap("@", I64, STR),
      [
        [10, "a"],
        [-2, "b"],
        [9, "c"],
      ],
      "@[-2]: b\n@[9]: c\n@[10]: a\n",
      '{"type": "map", "data": {"@": {"-2": "b", "9": "c", "10": "a"}}}\n',
    ],
    [
      "sum over CPUs",
      scalar("@", { kind: "sum", signed: true }, true),
      [[0, -5, 3]],
      "@: -2\n",
      '{"type": "map", "data": {"@": -2}}\n',
    ],
    [
      "max, set on one CPU",
      scalar("@", { kind: "max", signed: true }, true),
      [[0, [-5, 1], [0, 0]]],
      "@: -5\n",
      '{"type": "map", "data": {"@": -5}}\n',
    ],
    [
      "min over CPUs",
      scalar("@", { kind: "min", signed: false }, true),
      [[0, [9, 1], [4, 1]]],
      "@: 4\n",
      '{"type": "map", "data": {"@": 4}}\n',
    ],
    [
      "avg",
      scalar("@av", { kind: "avg", signed: true }, true),
      [[0, [2, 7], [1, 2]]],
      "@av: 3\n",
      '{"type": "stats", "data": {"@av": 3}}\n',
    ],
    [
      "stats",
      scalar("@s", { kind: "stats", signed: true }, true),
      [[0, [2, 15]]],
      "@s: { .count = 2, .average = 7, .total = 15 }\n",
      '{"type": "stats", "data": {"@s": {"count": 2, "average": 7, "total": 15}}}\n',
    ],
    ["booleans", scalar("@", BOOL), [[0, true]], "@: true\n", '{"type": "map", "data": {"@": true}}\n'],
    [
      "pointers",
      scalar("@", { kind: "pointer", to: I64, space: "kernel" }),
      [[0, 0x32]],
      "@: 0x32\n",
      '{"type": "map", "data": {"@": 50}}\n',
    ],
    [
      "arrays",
      scalar("@", { kind: "array", of: I32, length: 2 }),
      [[0, [1, -2]]],
      "@: [1,-2]\n",
      '{"type": "map", "data": {"@": [1,-2]}}\n',
    ],
    [
      "integers that no double holds",
      scalar("@", U64),
      [[0, 0xffffffffffffffffn]],
      "@: 18446744073709551615\n",
      '{"type": "map", "data": {"@": "18446744073709551615"}}\n',
    ],
    [
      "integers that a double holds",
      scalar("@", U64),
      [[0, 2n ** 60n]],
      "@: 1152921504606846976\n",
      '{"type": "map", "data": {"@": 1152921504606846976}}\n',
    ],
    [
      "stacks in keys",
      keyedMap("@", tuple({ kind: "stack", of: "kernel", mode: "bpftrace", limit: 2 }, STR), COUNT, true),
      [[[[7], "sh"], 1]],
      "@[\n        k10+1\n        k20+1\n, sh]: 1\n",
      '{"type": "map", "data": {"@": {"\\n        k10+1\\n        k20+1\\n,sh": 1}}}\n',
    ],
    ["empty", keyedMap("@", STR, COUNT, true), [], "", ""],
    ["never assigned", scalar("@", I64), [[0, 0]], "", ""],
    [
      "records",
      scalar("@", { kind: "tuple", items: [I64, STR], names: ["a", "b"] }),
      [[0, [1, "x"]]],
      "@: { .a = 1, .b = x }\n",
      '{"type": "map", "data": {"@": {"a": 1, "b": "x"}}}\n',
    ],
  ];
  test.each(cases)("%s", (_what, map, rows, text, json) => {
    expect(printed(map, rows)).toBe(text);
    expect(printed(map, rows, { json: true })).toBe(json);
  });

  test("top keeps the last, div divides", () => {
    const map = keyedMap("@", STR, COUNT, true);
    const rows: Row[] = [
      ["a", 10],
      ["b", 30],
      ["c", 21],
    ];
    expect(printed(map, rows, { top: 2, div: 10 })).toBe("@[c]: 2\n@[b]: 3\n");
  });

  test("an empty scalar that was asked for is zero", () => {
    expect(printed(scalar("@", COUNT, true), [[0, 0]], { explicit: true })).toBe("@: 0\n");
  });

  test("a zero that was assigned is shown", () => {
    const map = { ...scalar("@", U64), presentOffset: 8 };
    const printer = new MapPrinter(map, fakeContext());
    const value = new Uint8Array(16);
    value[8] = 1;
    const sink = new Sink();
    printer.writeText(sink, fakeMap(map, [{ key: new Uint8Array(4), value }]), 0, 0, false);
    expect(sink.toString()).toBe("@: 0\n");
  });
});

describe("0.17", () => {
  test("stats, avg and empty maps", () => {
    const stats = scalar("@s", { kind: "stats", signed: true }, true);
    expect(printed(stats, [[0, [2, 15]]], { compat: "0.17" })).toBe("@s: count 2, average 7, total 15\n\n");
    expect(printed(scalar("@a", { kind: "avg", signed: true }, true), [[0, [1, -3]]], { compat: "0.17" })).toBe(
      "@a: -3\n\n",
    );
    expect(printed(keyedMap("@", STR, COUNT, true), [], { compat: "0.17" })).toBe("\n");
  });
});

/** The bar of a count that is `share` of the largest. */
const row = (label: string, count: number, share: number): string =>
  `${label.padEnd(16)}${String(count).padStart(8)} |${"@".repeat(Math.trunc(share * 52)).padEnd(52)}|\n`;

function buckets(name: string, value: Type, counts: Record<number, number>): { map: PlannedMap; bytes: Uint8Array } {
  const size =
    value.kind === "hist"
      ? histBuckets(value.bits)
      : value.kind === "lhist"
        ? lhistBuckets(value.min, value.max, value.step)
        : 0;
  const view = new DataView(new ArrayBuffer(size * 8));
  for (const [index, count] of Object.entries(counts)) view.setBigUint64(Number(index) * 8, BigInt(count), true);
  const map: PlannedMap = {
    name,
    kernelMap: "h",
    key: null,
    value,
    perCpu: false,
    layout: "buckets",
    presentOffset: null,
  };
  return { map, bytes: new Uint8Array(view.buffer) };
}

describe("histograms", () => {
  const cases: [what: string, value: Type, counts: Record<number, number>, text: string, json: string][] = [
    [
      "hist",
      { kind: "hist", bits: 0 },
      { 0: 1, 1: 1, 3: 2 },
      row("(..., 0)", 1, 0.5) + row("[0]", 1, 0.5) + row("[1]", 0, 0) + row("[2, 4)", 2, 1),
      '[{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 1},{"min": 1, "max": 1, "count": 0},{"min": 2, "max": 3, "count": 2}]',
    ],
    [
      "hist, kilo",
      { kind: "hist", bits: 0 },
      { 11: 1 },
      row("[512, 1K)", 1, 1),
      '[{"min": 512, "max": 1023, "count": 1}]',
    ],
    [
      "hist, the last",
      { kind: "hist", bits: 0 },
      { 65: 1 },
      row("[8E, 16E)", 1, 1),
      '[{"min": 9223372036854775808, "max": "18446744073709551615", "count": 1}]',
    ],
    [
      "hist of 2 bits",
      { kind: "hist", bits: 2 },
      { 8: 1, 9: 4 },
      row("[7]", 1, 0.25) + row("[8, 10)", 4, 1),
      '[{"min": 7, "max": 7, "count": 1},{"min": 8, "max": 9, "count": 4}]',
    ],
    [
      "lhist",
      { kind: "lhist", min: 0, max: 100, step: 10 },
      { 0: 1, 1: 1, 11: 1 },
      row("(..., 0)", 1, 1) +
        row("[0, 10)", 1, 1) +
        Array.from({ length: 9 }, (_, i) => row(`[${10 * (i + 1)}, ${10 * (i + 2)})`, 0, 0)).join("") +
        row("[100, ...)", 1, 1),
      `[{"max": -1, "count": 1},{"min": 0, "max": 9, "count": 1},${Array.from({ length: 9 }, (_, i) => `{"min": ${10 * (i + 1)}, "max": ${10 * (i + 2) - 1}, "count": 0}`).join(",")},{"min": 100, "count": 1}]`,
    ],
    [
      "lhist, kilo",
      { kind: "lhist", min: 0, max: 4096, step: 2048 },
      { 2: 1 },
      row("[2K, 4K)", 1, 1),
      '[{"min": 2048, "max": 4095, "count": 1}]',
    ],
    [
      "lhist of single numbers",
      { kind: "lhist", min: 0, max: 9, step: 1 },
      { 4: 3 },
      row("[3]", 3, 1),
      '[{"min": 3, "max": 3, "count": 3}]',
    ],
  ];
  test.each(cases)("%s", (_what, value, counts, text, json) => {
    const { map, bytes } = buckets("@h", value, counts);
    const kernelMap = fakeMap(map, [{ key: new Uint8Array(4), value: bytes }]);
    const printer = new MapPrinter(map, fakeContext());
    const sink = new Sink();
    printer.writeText(sink, kernelMap, 0, 0, false);
    expect(sink.toString()).toBe(`@h:\n${text}\n`);
    sink.clear();
    printer.writeJson(sink, kernelMap, 0, 0, false);
    expect(sink.toString()).toBe(`{"type": "hist", "data": {"@h": ${json}}}\n`);
  });

  test("keyed: by total, each with its rows", () => {
    const map: PlannedMap = {
      name: "@k",
      kernelMap: "k",
      key: I32,
      value: { kind: "hist", bits: 0 },
      perCpu: true,
      layout: "bucketed",
      presentOffset: null,
    };
    const entry = (key: number, bucket: bigint, ...cpus: bigint[]): { key: Uint8Array; value: Uint8Array } => {
      const keyView = new DataView(new ArrayBuffer(16));
      keyView.setInt32(0, key, true);
      keyView.setBigUint64(8, bucket, true);
      return { key: new Uint8Array(keyView.buffer), value: new Uint8Array(BigUint64Array.from(cpus).buffer) };
    };
    const sink = new Sink();
    const kernelMap = fakeMap(map, [entry(1, 3n, 2n, 1n), entry(2, 1n, 1n, 0n), entry(1, 4n, 0n, 1n)]);
    new MapPrinter(map, fakeContext()).writeText(sink, kernelMap, 0, 0, false);
    expect(sink.toString()).toBe(
      `@k[2]:\n${row("[0]", 1, 1)}\n@k[1]:\n${row("[2, 4)", 3, 1)}${row("[4, 8)", 1, 1 / 3)}\n`,
    );
  });
});
