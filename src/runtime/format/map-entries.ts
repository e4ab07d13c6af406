/**
 * The entries of a script's map at one moment: read from the kernel in large pieces, per-CPU slots put together, sorted as bpftrace sorts. A
 * map may hold millions of entries, so that an entry is a number, and an object only while it is printed. Values are bigint there: sums may
 * pass 2^53.
 */
import { histBuckets, lhistBuckets, sizeOf, tupleOffsets } from "../../lang/bpftrace/types.ts";
import type { Type } from "../../lang/bpftrace/types.ts";
import type { PlannedMap } from "../../lang/bpftrace/plan.ts";
import type { KernelMap } from "../../kernel/kernel.ts";
import type { FormatContext } from "./context.ts";
import { readBig } from "./integer.ts";

/** One entry after reduction. Its key and value are in arrays of many: `keyAt` and `valueAt` say where. */
export interface Entry {
  readonly keys: Uint8Array;
  readonly keysView: DataView;
  readonly keyAt: number;
  /** The value's bytes: of a per-CPU map the first slot. */
  readonly values: Uint8Array;
  readonly valuesView: DataView;
  readonly valueAt: number;
  /** Integers and aggregations: what is sorted by. */
  readonly number: bigint;
  /** avg and stats. */
  readonly count: bigint;
  readonly total: bigint;
  readonly buckets: readonly bigint[];
}

/** Entries in the order of printing. */
export interface EntryList {
  readonly length: number;
  /** True when the map holds as many as it may: what came later is not in it. */
  readonly isFull: boolean;
  at(index: number): Entry;
}

const EMPTY = new Uint8Array(0);
const NO_BUCKETS: readonly bigint[] = [];

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads the entries of one map. Holds no kernel resource. */
export class EntryReader {
  private readonly map: PlannedMap;
  private readonly context: FormatContext;

  constructor(map: PlannedMap, context: FormatContext) {
    this.map = map;
    this.context = context;
  }

  /** Sorted entries, the last `top` of them (0: all). `explicit`: a scalar that was never assigned is an entry, too. */
  read(kernelMap: KernelMap, top: number, explicit: boolean): EntryList {
    const { map } = this;
    const old = this.context.compat === "0.17";
    if (map.layout === "scalar") {
      const entry = this.lookup(kernelMap, undefined);
      // 0.17 keeps scalars in hashes: what was never assigned has no entry.
      return listOf(this.isPresent(kernelMap, entry) || (explicit && !old) ? [entry] : []);
    }
    if (map.layout === "buckets") {
      const entry = this.lookup(kernelMap, undefined);
      return listOf(entry.buckets.some((count) => count !== 0n) ? [entry] : []);
    }
    const rows = new Rows(kernelMap);
    const list = map.layout === "bucketed" ? this.grouped(rows) : this.sorted(rows);
    // 0.17 prints all entries of stats, whatever `top` says.
    if (top === 0 || list.length <= top || (old && map.value.kind === "stats")) return list;
    const from = list.length - top;
    return { length: top, isFull: list.isFull, at: (i) => list.at(from + i) };
  }

  /** One entry by its key; the scalar when there is none. What is not in the map is zero. */
  lookup(kernelMap: KernelMap, key: Uint8Array | undefined): Entry {
    if (this.map.layout === "bucketed" && key) {
      const list = this.grouped(new Rows(kernelMap));
      for (let i = 0; i < list.length; i++) {
        const entry = list.at(i);
        if (key.every((byte, at) => entry.keys[entry.keyAt + at] === byte)) return entry;
      }
      return { ...this.reduce(key, viewOf(key), 0, EMPTY, viewOf(EMPTY), 0, 0), buckets: NO_BUCKETS };
    }
    const keys = key ?? EMPTY;
    const value = kernelMap.lookup(key ?? new Uint8Array(kernelMap.spec.keySize));
    const values = value ?? new Uint8Array(kernelMap.userValueSize);
    return this.reduce(keys, viewOf(keys), 0, values, viewOf(values), 0, values.length);
  }

  private isPresent(kernelMap: KernelMap, { values }: Entry): boolean {
    const { presentOffset } = this.map;
    if (presentOffset === null) return values.some((byte) => byte !== 0);
    const slot = this.slotSize(kernelMap.userValueSize);
    for (let at = presentOffset; at < values.length; at += slot) if (values[at] !== 0) return true;
    return false;
  }

  private slotSize(userValueSize: number): number {
    return this.map.perCpu ? userValueSize / this.context.possibleCpus : userValueSize;
  }

  /** Puts the slots of a per-CPU value together. */
  private reduce(
    keys: Uint8Array,
    keysView: DataView,
    keyAt: number,
    values: Uint8Array,
    valuesView: DataView,
    valueAt: number,
    valueSize: number,
  ): Entry {
    const type = this.map.value;
    const slot = this.slotSize(valueSize);
    const end = valueAt + valueSize;
    let number = 0n;
    let count = 0n;
    let total = 0n;
    let buckets = NO_BUCKETS;
    if (valueSize > 0) {
      switch (type.kind) {
        case "int":
        case "bool":
        case "count":
        case "sum":
          for (let at = valueAt; at < end; at += slot) number += readBig(type, valuesView, at);
          break;
        case "min":
        case "max": {
          let isSet = false;
          for (let at = valueAt; at < end; at += slot) {
            if (valuesView.getBigUint64(at + 8, true) === 0n) continue;
            const candidate = readBig(type, valuesView, at);
            if (!isSet || (type.kind === "max" ? candidate > number : candidate < number)) number = candidate;
            isSet = true;
          }
          break;
        }
        case "avg":
        case "stats":
          for (let at = valueAt; at < end; at += slot) {
            count += valuesView.getBigUint64(at, true);
            total += type.signed ? valuesView.getBigInt64(at + 8, true) : valuesView.getBigUint64(at + 8, true);
          }
          total = type.signed ? BigInt.asIntN(64, total) : BigInt.asUintN(64, total);
          number = count === 0n ? 0n : total / count;
          break;
        case "hist":
        case "lhist": {
          const sums = this.emptyBuckets();
          for (let at = valueAt; at < end; at += slot) {
            for (let i = 0; i < sums.length && (i + 1) * 8 <= slot; i++)
              sums[i]! += valuesView.getBigUint64(at + i * 8, true);
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
      number = "signed" in type && type.signed ? BigInt.asIntN(bits, number) : BigInt.asUintN(bits, number);
    }
    return { keys, keysView, keyAt, values, valuesView, valueAt, number, count, total, buckets };
  }

  private emptyBuckets(): bigint[] {
    const type = this.map.value;
    const length =
      type.kind === "hist"
        ? histBuckets(type.bits)
        : type.kind === "lhist"
          ? lhistBuckets(type.min, type.max, type.step)
          : 0;
    return Array.from({ length }, () => 0n);
  }

  private row(rows: Rows, index: number): Entry {
    const { keys, keysView, keySize, values, valuesView, valueSize } = rows;
    return this.reduce(keys, keysView, index * keySize, values, valuesView, index * valueSize, valueSize);
  }

  private sorted(rows: Rows): EntryList {
    const byKey = this.keyOrder(rows);
    const order = Uint32Array.from({ length: rows.count }, (_, i) => i);
    const numbers = this.numbers(rows);
    if (numbers) {
      const exact = (i: number): bigint => sortedBy(this.map.value, this.row(rows, i).number);
      // Ties of the number follow the key, so that two runs print alike.
      order.sort((a, b) => {
        const first = numbers[a]!;
        const second = numbers[b]!;
        if (first !== second) return first - second;
        if (Number.isSafeInteger(first)) return byKey(a, b);
        return compareBig(exact(a), exact(b)) || byKey(a, b);
      });
    } else {
      order.sort(byKey);
    }
    return { length: rows.count, isFull: rows.isFull, at: (i) => this.row(rows, order[i]!) };
  }

  /** What entries are sorted by, rounded to doubles: rounding keeps the order. Undefined for values that are not sorted by. */
  private numbers(rows: Rows): Float64Array | undefined {
    const { value } = this.map;
    const isCount = value.kind === "count" || value.kind === "sum" || (value.kind === "int" && value.size === 8);
    if (!isCount && !NUMBERED.has(value.kind)) return undefined;
    const numbers = new Float64Array(rows.count);
    const isSigned = "signed" in value && value.signed;
    const slot = this.slotSize(rows.valueSize);
    const view = rows.valuesView;
    for (let i = 0; i < rows.count; i++) {
      if (isCount) {
        let sum = 0;
        const end = (i + 1) * rows.valueSize;
        for (let at = i * rows.valueSize; at < end; at += slot) {
          const high = isSigned ? view.getInt32(at + 4, true) : view.getUint32(at + 4, true);
          sum += high * 2 ** 32 + view.getUint32(at, true);
        }
        numbers[i] = sum;
        if (Number.isSafeInteger(sum)) continue;
      }
      numbers[i] = Number(sortedBy(value, this.row(rows, i).number));
    }
    return numbers;
  }

  /** Groups (key, bucket) rows of keyed histograms by key; sorted by the sum of the counts. */
  private grouped(rows: Rows): EntryList {
    const size = this.map.key ? sizeOf(this.map.key) : 0;
    const { keys, keysView, keySize, values, valuesView, valueSize } = rows;
    const text = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
    const groupOf = new Uint32Array(rows.count);
    const firstRow: number[] = [];
    const sizes: number[] = [];
    const numbers: number[] = [];
    const byName = new Map<string, number>();
    const slot = this.slotSize(valueSize);
    for (let i = 0; i < rows.count; i++) {
      const name = text.toString("latin1", i * keySize, i * keySize + size);
      let group = byName.get(name);
      if (group === undefined) {
        group = firstRow.length;
        byName.set(name, group);
        firstRow.push(i);
        sizes.push(0);
        numbers.push(0);
      }
      groupOf[i] = group;
      sizes[group]!++;
      // Counts of events stay below 2^53.
      for (let at = i * valueSize; at < (i + 1) * valueSize; at += slot) {
        numbers[group]! += valuesView.getUint32(at + 4, true) * 2 ** 32 + valuesView.getUint32(at, true);
      }
    }
    byName.clear();
    const ends = new Uint32Array(sizes.length);
    for (let group = 0, sum = 0; group < sizes.length; group++) ends[group] = sum += sizes[group]!;
    const next = ends.map((end, group) => end - sizes[group]!);
    const members = new Uint32Array(rows.count);
    for (let i = 0; i < rows.count; i++) members[next[groupOf[i]!]!++] = i;
    const byKey = this.keyOrder(rows);
    const order = Uint32Array.from({ length: sizes.length }, (_, i) => i);
    order.sort((a, b) => numbers[a]! - numbers[b]! || byKey(firstRow[a]!, firstRow[b]!));
    const at = (index: number): Entry => {
      const group = order[index]!;
      const buckets = this.emptyBuckets();
      let number = 0n;
      for (let m = ends[group]! - sizes[group]!; m < ends[group]!; m++) {
        const row = members[m]!;
        const bucket = Number(keysView.getBigUint64((row + 1) * keySize - 8, true));
        if (bucket >= buckets.length) continue;
        let sum = 0n;
        for (let v = row * valueSize; v < (row + 1) * valueSize; v += slot) sum += valuesView.getBigUint64(v, true);
        buckets[bucket] = sum;
        number += sum;
      }
      const keyAt = firstRow[group]! * keySize;
      return { keys, keysView, keyAt, values, valuesView, valueAt: 0, number, count: 0n, total: 0n, buckets };
    };
    return { length: sizes.length, isFull: rows.isFull, at };
  }

  /** Order of rows by key. */
  private keyOrder({ keys, keysView, keySize }: Rows): (a: number, b: number) => number {
    if (!this.map.key) return () => 0;
    const order = keyOrder(this.map.key, 0, keys, keysView);
    return (a, b) => order(a * keySize, b * keySize);
  }
}

/** Values besides 64-bit counts that entries are sorted by. */
const NUMBERED: ReadonlySet<string> = new Set(["int", "min", "max", "avg", "stats", "hist", "lhist"]);

/** min and max are compared unsigned, as in bpftrace. */
function sortedBy(type: Type, number: bigint): bigint {
  return type.kind === "min" || type.kind === "max" ? BigInt.asUintN(64, number) : number;
}

function compareBig(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function listOf(entries: readonly Entry[]): EntryList {
  return { length: entries.length, isFull: false, at: (i) => entries[i]! };
}

/** All keys and all values of a map, each in one array. */
class Rows {
  readonly count: number;
  readonly isFull: boolean;
  readonly keySize: number;
  readonly valueSize: number;
  readonly keys: Uint8Array;
  readonly keysView: DataView;
  readonly values: Uint8Array;
  readonly valuesView: DataView;

  constructor(kernelMap: KernelMap) {
    const chunks = kernelMap.chunks();
    this.keySize = kernelMap.spec.keySize;
    this.valueSize = kernelMap.userValueSize;
    this.count = chunks.reduce((sum, { count }) => sum + count, 0);
    this.isFull = this.count >= kernelMap.spec.maxEntries;
    this.keys = new Uint8Array(this.count * this.keySize);
    this.values = new Uint8Array(this.count * this.valueSize);
    let row = 0;
    for (const { count, keys, values } of chunks) {
      this.keys.set(keys, row * this.keySize);
      this.values.set(values, row * this.valueSize);
      row += count;
    }
    this.keysView = viewOf(this.keys);
    this.valuesView = viewOf(this.values);
  }
}

type KeyOrder = (a: number, b: number) => number;

/** Integers as signed, strings by bytes, tuples from left to right; anything else keeps the kernel's order, as in bpftrace. */
function keyOrder(type: Type, offset: number, bytes: Uint8Array, view: DataView): KeyOrder {
  switch (type.kind) {
    case "int":
      switch (type.size) {
        case 1:
          return (a, b) => view.getInt8(a + offset) - view.getInt8(b + offset);
        case 2:
          return (a, b) => view.getInt16(a + offset, true) - view.getInt16(b + offset, true);
        case 4:
          return (a, b) => view.getInt32(a + offset, true) - view.getInt32(b + offset, true);
        default:
          return (a, b) =>
            view.getInt32(a + offset + 4, true) - view.getInt32(b + offset + 4, true) ||
            view.getUint32(a + offset, true) - view.getUint32(b + offset, true);
      }
    case "string": {
      const { size } = type;
      return (a, b) => {
        for (let i = offset; i < offset + size; i++) {
          const difference = bytes[a + i]! - bytes[b + i]!;
          if (difference !== 0 || bytes[a + i] === 0) return difference;
        }
        return 0;
      };
    }
    case "tuple": {
      const { offsets } = tupleOffsets(type.items);
      const orders = type.items.map((item, i) => keyOrder(item, offset + offsets[i]!, bytes, view));
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
