/**
 * Maps of a script as bpftrace prints them: entries are read from the kernel at once, per-CPU slots reduced, then sorted and written. Here
 * bigint is right: a map is printed once a second or at the end, and its sums may pass 2^53.
 */
import { histBuckets, isAggregation, lhistBuckets, sizeOf, tupleOffsets } from "../../lang/bpftrace/types.ts";
import type { Type } from "../../lang/bpftrace/types.ts";
import type { PlannedMap } from "../../lang/bpftrace/plan.ts";
import type { KernelMap } from "../../kernel/kernel.ts";
import type { FormatContext } from "./context.ts";
import { makeHistogram, writeHistogramJson, writeHistogramText } from "./histogram.ts";
import { readBig } from "./integer.ts";
import { jsonWriter, writeJsonInteger, writeJsonString, writeJsonText } from "./json.ts";
import { Sink } from "./sink.ts";
import { textWriter } from "./text.ts";
import type { ValueWriter } from "./text.ts";

/** One entry after reduction. */
interface Entry {
  readonly key: Uint8Array;
  readonly keyView: DataView;
  /** The value's bytes: one slot of a per-CPU map stands for all in types that cannot be reduced. */
  readonly value: Uint8Array;
  readonly valueView: DataView;
  /** Integers and aggregations: what is sorted by. */
  readonly number: bigint;
  /** avg and stats. */
  readonly count: bigint;
  readonly total: bigint;
  readonly buckets: readonly bigint[];
}

const EMPTY = new Uint8Array(0);
const NO_BUCKETS: readonly bigint[] = [];

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const signedOf = (type: Type): boolean => "signed" in type && type.signed;

function compareBig(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** How a map of the script is read and written. Make one a map; it holds no kernel resource. */
export class MapPrinter {
  readonly map: PlannedMap;
  private readonly context: FormatContext;
  private readonly textKey: ValueWriter | null;
  private readonly textValue: ValueWriter;
  private readonly jsonValue: ValueWriter;
  private readonly scratch = new Sink(256);

  constructor(map: PlannedMap, context: FormatContext) {
    this.map = map;
    this.context = context;
    this.textKey = map.key ? textWriter(map.key, context, "key") : null;
    this.textValue = textWriter(map.value, context);
    this.jsonValue = jsonWriter(map.value, context);
  }

  /**
   * Appends all entries as text. `top` keeps that many of the last, `div` divides the numbers; 0 means not given. An empty scalar prints as
   * zero when it was asked for by name (`explicit`), and not at all at the end of a run.
   */
  writeText(sink: Sink, kernelMap: KernelMap, top: number, div: number, explicit: boolean): void {
    const { map } = this;
    const old = this.context.compat === "0.17";
    const kind = map.value.kind;
    const entries = this.entries(kernelMap, top, explicit);
    const by = BigInt(div || 1);
    const bars = kind === "hist" || kind === "lhist";
    // Of these 0.17 puts nothing between two entries.
    const glued = old && (kind === "stack" || kind === "ksym" || kind === "usym" || kind === "inet");
    entries.forEach((entry, i) => {
      if (old && i > 0 && !glued) sink.byte(10);
      sink.text(map.name);
      if (map.key) {
        sink.byte(91);
        this.writeTextKey(sink, entry);
        sink.byte(93);
      }
      sink.text(bars ? (old ? ": \n" : ":\n") : ": ");
      this.writeTextValue(sink, entry, by);
      if (!old) sink.byte(10);
    });
    if (old) sink.text(kind === "avg" || kind === "stats" ? "\n\n" : "\n");
  }

  /** Appends all entries as one line of JSON; nothing for an empty map. */
  writeJson(sink: Sink, kernelMap: KernelMap, top: number, div: number, explicit: boolean): void {
    const { map } = this;
    const entries = this.entries(kernelMap, top, explicit);
    if (entries.length === 0) return;
    const kind = map.value.kind;
    const type = kind === "hist" || kind === "lhist" ? "hist" : kind === "avg" || kind === "stats" ? "stats" : "map";
    sink.text(`{"type": "${type}", "data": {`);
    writeJsonText(sink, map.name);
    sink.text(": ");
    const by = BigInt(div || 1);
    if (map.key) sink.byte(0x7b);
    entries.forEach((entry, i) => {
      if (i > 0) sink.text(", ");
      if (map.key) {
        this.writeJsonKey(sink, entry);
        sink.text(": ");
      }
      this.writeJsonValue(sink, entry, by);
    });
    if (map.key) sink.byte(0x7d);
    sink.text("}}\n");
  }

  /** Appends the value of one entry, as `print(@map[key])` does, with a line break. Undefined key: the scalar. */
  writeEntry(sink: Sink, kernelMap: KernelMap, key: Uint8Array | undefined, json: boolean): void {
    const entry = this.lookup(kernelMap, key);
    if (json) {
      sink.text('{"type": "value", "data": ');
      this.writeJsonValue(sink, entry, 1n);
      sink.text("}\n");
    } else {
      this.writeTextValue(sink, entry, 1n);
      sink.byte(10);
    }
  }

  /** Sorted entries of the map, the last `top` of them. */
  private entries(kernelMap: KernelMap, top: number, explicit: boolean): Entry[] {
    const { map } = this;
    let entries: Entry[];
    if (map.layout === "scalar") {
      const entry = this.lookup(kernelMap, undefined);
      entries = explicit || this.isPresent(entry) ? [entry] : [];
      // 0.17 keeps scalars in hashes: what was never assigned has no entry.
      if (this.context.compat === "0.17" && !this.isPresent(entry)) entries = [];
    } else if (map.layout === "buckets") {
      const entry = this.lookup(kernelMap, undefined);
      entries = entry.buckets.some((count) => count !== 0n) ? [entry] : [];
    } else if (map.layout === "bucketed") {
      entries = this.bucketedEntries(kernelMap);
    } else {
      entries = kernelMap.entries().map(({ key, value }) => this.reduce(key, value));
    }
    this.sort(entries);
    // 0.17 prints all entries of stats, whatever `top` says.
    if (this.context.compat === "0.17" && map.value.kind === "stats") return entries;
    return top > 0 && entries.length > top ? entries.slice(entries.length - top) : entries;
  }

  private isPresent(entry: Entry): boolean {
    const { presentOffset } = this.map;
    if (presentOffset === null) return entry.value.some((byte) => byte !== 0);
    const slot = this.slotSize(entry.value.length);
    for (let at = presentOffset; at < entry.value.length; at += slot) if (entry.value[at] !== 0) return true;
    return false;
  }

  private slotSize(userValueSize: number): number {
    return this.map.perCpu ? userValueSize / this.context.possibleCpus : userValueSize;
  }

  private lookup(kernelMap: KernelMap, key: Uint8Array | undefined): Entry {
    if (this.map.layout === "bucketed" && key) {
      const wanted = this.bucketedEntries(kernelMap).find((entry) => sameBytes(entry.key, key));
      return wanted ?? { ...this.reduce(key, EMPTY), buckets: NO_BUCKETS };
    }
    const value = kernelMap.lookup(key ?? new Uint8Array(kernelMap.spec.keySize));
    return this.reduce(key ?? EMPTY, value ?? new Uint8Array(kernelMap.userValueSize));
  }

  /** Puts the slots of a per-CPU value together. */
  private reduce(key: Uint8Array, value: Uint8Array): Entry {
    const type = this.map.value;
    const view = viewOf(value);
    const slot = this.slotSize(value.length);
    let number = 0n;
    let count = 0n;
    let total = 0n;
    let buckets = NO_BUCKETS;
    if (value.length > 0) {
      switch (type.kind) {
        case "int":
        case "bool":
        case "count":
        case "sum":
          for (let at = 0; at < value.length; at += slot) number += readBig(type, view, at);
          break;
        case "min":
        case "max": {
          let isSet = false;
          for (let at = 0; at < value.length; at += slot) {
            if (view.getBigUint64(at + 8, true) === 0n) continue;
            const candidate = readBig(type, view, at);
            if (!isSet || (type.kind === "max" ? candidate > number : candidate < number)) number = candidate;
            isSet = true;
          }
          break;
        }
        case "avg":
        case "stats":
          for (let at = 0; at < value.length; at += slot) {
            count += view.getBigUint64(at, true);
            total += type.signed ? view.getBigInt64(at + 8, true) : view.getBigUint64(at + 8, true);
          }
          total = type.signed ? BigInt.asIntN(64, total) : BigInt.asUintN(64, total);
          number = count === 0n ? 0n : total / count;
          break;
        case "hist":
        case "lhist": {
          const sums = this.emptyBuckets();
          for (let at = 0; at < value.length; at += slot) {
            for (let i = 0; i < sums.length && (i + 1) * 8 <= slot; i++)
              sums[i]! += view.getBigUint64(at + i * 8, true);
          }
          buckets = sums;
          break;
        }
        default:
          break;
      }
    }
    if (type.kind === "sum" || type.kind === "int" || type.kind === "count") {
      const bits = type.kind === "int" ? type.size * 8 : 64;
      number = signedOf(type) ? BigInt.asIntN(bits, number) : BigInt.asUintN(bits, number);
    }
    return { key, keyView: viewOf(key), value, valueView: view, number, count, total, buckets };
  }

  private emptyBuckets(): bigint[] {
    return Array.from({ length: this.bucketCount() }, () => 0n);
  }

  private bucketCount(): number {
    const type = this.map.value;
    if (type.kind === "hist") return histBuckets(type.bits);
    if (type.kind === "lhist") return lhistBuckets(type.min, type.max, type.step);
    return 0;
  }

  /** Groups (key, bucket) entries of keyed histograms by key. */
  private bucketedEntries(kernelMap: KernelMap): Entry[] {
    const size = this.map.key ? sizeOf(this.map.key) : 0;
    const groups = new Map<string, { key: Uint8Array; buckets: bigint[] }>();
    for (const { key, value } of kernelMap.entries()) {
      const name = latin1(key, size);
      let group = groups.get(name);
      if (!group) {
        group = { key: key.subarray(0, size), buckets: this.emptyBuckets() };
        groups.set(name, group);
      }
      const bucket = Number(viewOf(key).getBigUint64(key.length - 8, true));
      if (bucket >= group.buckets.length) continue;
      const view = viewOf(value);
      const slot = this.slotSize(value.length);
      let sum = 0n;
      for (let at = 0; at < value.length; at += slot) sum += view.getBigUint64(at, true);
      group.buckets[bucket] = sum;
    }
    return [...groups.values()].map(({ key, buckets }) => ({
      key,
      keyView: viewOf(key),
      value: EMPTY,
      valueView: viewOf(EMPTY),
      number: buckets.reduce((sum, count) => sum + count, 0n),
      count: 0n,
      total: 0n,
      buckets,
    }));
  }

  private sort(entries: Entry[]): void {
    if (entries.length < 2) return;
    const type = this.map.value;
    // Ties of the number follow the key, so that two runs print alike.
    const byKey = this.map.key ? keyOrder(this.map.key, 0) : () => 0;
    switch (type.kind) {
      case "min":
      case "max":
        entries.sort((a, b) => compareBig(BigInt.asUintN(64, a.number), BigInt.asUintN(64, b.number)) || byKey(a, b));
        break;
      case "int":
      case "count":
      case "sum":
      case "avg":
      case "stats":
      case "hist":
      case "lhist":
        entries.sort((a, b) => compareBig(a.number, b.number) || byKey(a, b));
        break;
      default:
        entries.sort(byKey);
    }
  }

  private writeTextKey(sink: Sink, entry: Entry): void {
    const start = sink.length;
    this.textKey!(sink, entry.key, entry.keyView, 0);
    // Parts of a key stand without the parentheses of the tuple that they are; so does any text in parentheses.
    if (
      sink.length - start >= 2 &&
      sink.bytes[start] === 40 &&
      sink.bytes[sink.length - 1] === 41 &&
      (this.context.compat !== "0.17" || this.map.key!.kind === "tuple")
    ) {
      sink.bytes.copyWithin(start, start + 1, sink.length - 1);
      sink.length -= 2;
    }
  }

  /** Keys of JSON are text, their parts joined without spaces. */
  private writeJsonKey(sink: Sink, entry: Entry): void {
    const { scratch } = this;
    scratch.clear();
    const key = this.map.key!;
    if (key.kind === "tuple" && !key.names) {
      const { offsets } = tupleOffsets(key.items);
      key.items.forEach((item, i) => {
        if (i > 0) scratch.byte(44);
        this.compactWriter(item)(scratch, entry.key, entry.keyView, offsets[i]!);
      });
    } else {
      this.compactWriter(key)(scratch, entry.key, entry.keyView, 0);
    }
    writeJsonString(sink, scratch.bytes, 0, scratch.length);
  }

  private readonly compactWriters = new Map<Type, ValueWriter>();

  /** The text of a part of a key, with no spaces between the items of nested tuples and records; spaces of strings stay. */
  private compactWriter(type: Type): ValueWriter {
    let writer = this.compactWriters.get(type);
    if (!writer) {
      const write = textWriter(type, this.context, "key");
      writer = write;
      if (type.kind === "tuple" && !type.names) {
        const { offsets } = tupleOffsets(type.items);
        const items = type.items.map((item) => this.compactWriter(item));
        writer = (sink, bytes, view, at) => {
          sink.byte(40);
          items.forEach((item, i) => {
            if (i > 0) sink.byte(44);
            item(sink, bytes, view, at + offsets[i]!);
          });
          sink.byte(41);
        };
      } else if (type.kind === "struct" || type.kind === "tuple") {
        const inner = new Sink(128);
        writer = (sink, bytes, view, at) => {
          inner.clear();
          write(inner, bytes, view, at);
          sink.text(inner.toString().replaceAll(" ", ""));
        };
      }
      this.compactWriters.set(type, writer);
    }
    return writer;
  }

  private divided(value: bigint, by: bigint): bigint {
    return by === 1n ? value : value / by;
  }

  private writeTextValue(sink: Sink, entry: Entry, by: bigint): void {
    const type = this.map.value;
    switch (type.kind) {
      case "hist":
      case "lhist": {
        const histogram = makeHistogram(type, entry.buckets, by, this.context.compat);
        if (histogram) writeHistogramText(sink, histogram);
        return;
      }
      case "stats": {
        const average = this.divided(entry.number, this.context.compat === "0.17" ? 1n : by);
        sink.text(
          this.context.compat === "0.17"
            ? `count ${entry.count}, average ${average}, total ${entry.total}`
            : `{ .count = ${entry.count}, .average = ${average}, .total = ${entry.total} }`,
        );
        return;
      }
      case "int":
        if (type.enum) break;
        sink.text(String(this.divided(entry.number, by)));
        return;
      default:
        if (!isAggregation(type)) break;
        sink.text(String(this.divided(entry.number, by)));
        return;
    }
    this.textValue(sink, entry.value, entry.valueView, 0);
  }

  private writeJsonValue(sink: Sink, entry: Entry, by: bigint): void {
    const type = this.map.value;
    const old = this.context.compat === "0.17";
    const integer = (value: bigint): void =>
      writeJsonInteger(sink, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn), value < 0n, old);
    switch (type.kind) {
      case "hist":
      case "lhist":
        writeHistogramJson(sink, makeHistogram(type, entry.buckets, by, this.context.compat), this.context.compat);
        return;
      case "stats":
        sink.text('{"count": ');
        integer(entry.count);
        sink.text(', "average": ');
        integer(this.divided(entry.number, old ? 1n : by));
        sink.text(', "total": ');
        integer(entry.total);
        sink.text("}");
        return;
      case "int":
        integer(this.divided(entry.number, by));
        return;
      default:
        if (!isAggregation(type)) break;
        integer(this.divided(entry.number, by));
        return;
    }
    this.jsonValue(sink, entry.value, entry.valueView, 0);
  }
}

function latin1(bytes: Uint8Array, size: number): string {
  let out = "";
  for (let i = 0; i < size; i++) out += String.fromCharCode(bytes[i]!);
  return out;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

type KeyOrder = (a: Entry, b: Entry) => number;

/** Integers as signed, strings by bytes, tuples from left to right; anything else keeps the kernel's order, as in bpftrace. */
function keyOrder(type: Type, at: number): KeyOrder {
  switch (type.kind) {
    case "int":
      switch (type.size) {
        case 1:
          return (a, b) => a.keyView.getInt8(at) - b.keyView.getInt8(at);
        case 2:
          return (a, b) => a.keyView.getInt16(at, true) - b.keyView.getInt16(at, true);
        case 4:
          return (a, b) => a.keyView.getInt32(at, true) - b.keyView.getInt32(at, true);
        default:
          return (a, b) => compareBig(a.keyView.getBigInt64(at, true), b.keyView.getBigInt64(at, true));
      }
    case "string": {
      const { size } = type;
      return (a, b) => {
        for (let i = at; i < at + size; i++) {
          const difference = a.key[i]! - b.key[i]!;
          if (difference !== 0 || a.key[i] === 0) return difference;
        }
        return 0;
      };
    }
    case "tuple": {
      const { offsets } = tupleOffsets(type.items);
      const orders = type.items.map((item, i) => keyOrder(item, at + offsets[i]!));
      return (a, b) => {
        for (const order of orders) {
          const difference = order(a, b);
          if (difference !== 0) return difference;
        }
        return 0;
      };
    }
    default:
      return () => 0;
  }
}
