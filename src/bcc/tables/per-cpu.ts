/** Tables that hold a value for each CPU. */
import type { Given, PerCpuMap } from "../../runtime/index.ts";
import { KeyedTable } from "./keyed.ts";
import type { Table, TableHost } from "./table.ts";

/** Puts the values of all CPUs into one, two at a time. */
export type Reducer<V> = (sum: V, value: V) => V;

type Integer = number | bigint;

/** A per-CPU hash or array: `get` gives the values of all possible CPUs, and the rest is what BCC has to put them together. */
export class PerCpuTable<K, V> extends KeyedTable<K, V[]> {
  private readonly cpuMap: PerCpuMap<K, V, Given<K>>;
  private readonly isArray: boolean;

  constructor(map: PerCpuMap<K, V, Given<K>>, spec: Table["spec"], host: TableHost, isArray: boolean) {
    super(map, spec, host);
    this.cpuMap = map;
    this.isArray = isArray;
  }

  /** Values of all possible CPUs, by their numbers; undefined when there is no such key. */
  getvalue(key: Given<K>): V[] | undefined {
    return this.map.get(key);
  }

  /** One value of those of all CPUs; undefined when there is no such key. */
  reduce(key: Given<K>, reducer: Reducer<V>): V | undefined {
    return this.map.get(key)?.reduce(reducer);
  }

  /** The values added up: integers, and structs member by member. Undefined when there is no such key. */
  sum(key: Given<K>): V | undefined {
    return this.cpuMap.sum(key);
  }

  /** Keys with their sums. */
  sums(): [K, V][] {
    return [...this.cpuMap.sums()];
  }

  /** The largest of the values. Throws TypeError unless they are integers. */
  max(key: Given<K>): V | undefined {
    return this.integers(key)?.reduce((most, value) => (value > most ? value : most)) as V | undefined;
  }

  /** The sum divided by the number of possible CPUs. Throws TypeError unless they are integers. */
  average(key: Given<K>): number | undefined {
    const values = this.integers(key);
    if (values === undefined) return undefined;
    return Number(values.reduce((sum: bigint, value) => sum + BigInt(value), 0n)) / values.length;
  }

  private integers(key: Given<K>): Integer[] | undefined {
    const values = this.map.get(key);
    if (values === undefined) return undefined;
    return values.map((value) => {
      if (typeof value === "bigint" || typeof value === "number") return value;
      throw new TypeError(`table ${this.name}: its values are no integers: reduce(key, reducer) puts them together`);
    });
  }

  /** Adds to the counter of the CPU with number 0. */
  override increment(key: Given<K>, by: Integer = 1): void {
    const cpus = this.map.kernelMap.userValueSize / ((this.spec.valueSize + 7) & ~7);
    const before = this.integers(key) ?? Array.from({ length: cpus }, () => 0n);
    const after = before.map((value, cpu) => BigInt(value) + (cpu === 0 ? BigInt(by) : 0n));
    this.map.set(key, after as unknown as Given<V[]>);
  }

  /** Removes a key; an index of an array is set to zeros. */
  override delete(key: Given<K>): boolean {
    if (!this.isArray) return this.map.delete(key);
    const { kernelMap } = this.map;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, Number(key), true);
    kernelMap.update(bytes, new Uint8Array(kernelMap.userValueSize));
    return true;
  }

  override clear(): void {
    if (this.isArray) this.zero();
    else super.clear();
  }
}
