/** Maps that hold a value for each CPU, which programs change without waiting for each other. */
import { SyscallError, UnsupportedError } from "../../base/index.ts";
import { UpdateFlags } from "../../isa/index.ts";
import type { KernelMap } from "../../kernel/index.ts";
import { type Codec, encodeValue, type Given } from "../values/codec.ts";
import { type KeyCodec, TypedMap, type UpdateMode } from "./typed-map.ts";

const TWO_32 = 0x1_0000_0000;

/** All CPUs' values as one: an array, a slot of a multiple of 8 bytes for each possible CPU. */
function slotsCodec<V>(value: Codec<V>, bytes: number, valueSize: number): Codec<V[]> {
  const slot = (valueSize + 7) & ~7;
  const cpus = slot === 0 ? 0 : bytes / slot;
  return {
    size: bytes,
    typeName: `${value.typeName}, one for each CPU`,
    byteLength: () => bytes,
    read: (view, offset) => {
      const values: V[] = [];
      for (let cpu = 0; cpu < cpus; cpu++)
        values.push(value.read(view, offset + cpu * slot, offset + cpu * slot + valueSize));
      return values;
    },
    write: (view, offset, values) => {
      if (!Array.isArray(values)) throw new TypeError(`wants an array of one ${value.typeName} for each CPU`);
      if (values.length !== cpus) throw new RangeError(`${values.length} values given for ${cpus} possible CPUs`);
      for (let cpu = 0; cpu < cpus; cpu++) value.write(view, offset + cpu * slot, values[cpu]!);
    },
  };
}

/** Adds what is a number, member by member; of other values the first CPU's stays. */
function add(sum: unknown, value: unknown): unknown {
  if (typeof sum === "bigint" && typeof value === "bigint") return sum + value;
  if (typeof sum === "number" && typeof value === "number") return sum + value;
  if (Array.isArray(sum) && Array.isArray(value)) return sum.map((element, i) => add(element, value[i]));
  if (typeof sum !== "object" || sum === null || ArrayBuffer.isView(sum)) return sum;
  if (typeof value !== "object" || value === null) return sum;
  const fields = value as Record<string, unknown>;
  return Object.fromEntries(Object.entries(sum).map(([name, field]) => [name, add(field, fields[name])]));
}

/** A map of values for each CPU: `get` gives an array by CPU number, `sum` one value. CPUs are all that may ever be there. */
export class PerCpuMap<K, V, In = Given<K>> extends TypedMap<K, V[], In> {
  private readonly one: Codec<V>;
  private readonly isArray: boolean;

  /** `isArray`: keys cannot be removed. */
  constructor(map: KernelMap, key: KeyCodec<K, In>, value: Codec<V>, isArray: boolean = false) {
    super(map, key, slotsCodec(value, map.userValueSize, map.spec.valueSize));
    this.one = value;
    this.isArray = isArray;
  }

  /**
   * The values of all CPUs added up; undefined when there is no such key. Of structs each number is added by itself; texts, bytes and booleans
   * are those of the first CPU.
   */
  sum(key: In): V | undefined {
    const values = this.get(key);
    return values === undefined ? undefined : (values.reduce((sum, value) => add(sum, value) as V) as V);
  }

  /** Keys with their sums, as {@link PerCpuMap.sum}. */
  *sums(): Generator<[K, V], void, undefined> {
    for (const [key, values] of this.entries()) yield [key, values.reduce((sum, value) => add(sum, value) as V)];
  }

  /** Sets one value for all CPUs. */
  setAll(key: In, value: Given<V>, mode: UpdateMode = "any"): boolean {
    const bytes = new Uint8Array(this.kernelMap.userValueSize);
    const one = encodeValue(this.one, value);
    for (let at = 0; at < bytes.length; at += (one.length + 7) & ~7) bytes.set(one, at);
    const flags = { any: UpdateFlags.ANY, noexist: UpdateFlags.NOEXIST, exist: UpdateFlags.EXIST }[mode];
    return this.kernelMap.updateIf(this.encodeKey(key), bytes, flags);
  }

  /** The value of one CPU. */
  getOn(cpu: number, key: In): V | undefined {
    return this.get(key)?.[this.checkCpu(cpu)];
  }

  /**
   * Sets the value of one CPU and leaves the others alone. Linux 7.0; throws UnsupportedError before, where the values of all CPUs can only be
   * written together and what programs count meanwhile would be lost.
   */
  setOn(cpu: number, key: In, value: Given<V>): void {
    const flags = UpdateFlags.CPU + this.checkCpu(cpu) * TWO_32;
    const bytes = encodeValue(this.one, value);
    try {
      this.kernelMap.update(this.encodeKey(key), bytes, flags);
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errnoName !== "EINVAL") throw error;
      const why = "the value of one CPU can be set from Linux 7.0 on (BPF_F_CPU): set those of all";
      throw new UnsupportedError(`map ${this.name}`, why, { cause: error });
    }
  }

  private checkCpu(cpu: number): number {
    const cpus = this.kernelMap.userValueSize / ((this.spec.valueSize + 7) & ~7);
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= cpus)
      throw new RangeError(`CPU ${cpu}: there are ${cpus} possible`);
    return cpu;
  }

  override get size(): number {
    return this.isArray ? this.spec.maxEntries : super.size;
  }

  override delete(key: In): boolean {
    if (!this.isArray) return super.delete(key);
    throw new TypeError(`map ${this.name}: an index of an array cannot be removed: set it to what empty means`);
  }
}
