/**
 * Types of the bpftrace language, and how a value of each lies in memory. One layout serves map keys, map values, event records
 * and the reader in user space: whoever writes a value and whoever prints it ask {@link sizeOf}, {@link alignOf} and {@link tupleOffsets}.
 */

/** Which memory a pointer points into: what may follow it and how. */
export type AddressSpace = "kernel" | "user" | "context" | "none";

/** One field of a struct, union or tracepoint record. */
export interface Field {
  readonly name: string;
  readonly type: Type;
  /** From the start of the struct, through anonymous members. */
  readonly byteOffset: number;
  /** Bit fields: first bit counted from `byteOffset`, and width. The storage to load is `type`. */
  readonly bitfield?: { readonly bitOffset: number; readonly bitSize: number };
  /** Tracepoint `__data_loc` fields: the 32 bits at `byteOffset` hold offset (low 16) and length (high 16) of the data; `rel` for `__rel_loc` (relative to the end of the field). */
  readonly dataLocation?: "abs" | "rel";
}

/** The members of a struct, looked up lazily (kernel BTF has 10,000 of them). */
export interface StructLayout {
  field(name: string): Field | undefined;
  fields(): readonly Field[];
}

/** Integers, `size` in bytes. An enum's values print as names where bpftrace 0.22 and later do. */
export interface IntType {
  readonly kind: "int";
  readonly size: 1 | 2 | 4 | 8;
  readonly signed: boolean;
  /** For enum types: name of the value, or undefined. */
  readonly enum?: { readonly name: string; nameOf(value: bigint): string | undefined };
}

/** A type of the language. */
export type Type =
  | { readonly kind: "none" }
  | IntType
  | { readonly kind: "bool" }
  /** NUL-terminated within `size` bytes; what is behind the NUL is zero in keys and values, undefined in event records. */
  | {
      readonly kind: "string";
      readonly size: number;
      /** Text that fills all of `size` was cut: it is printed with the trailer of the settings. */
      readonly marksCut?: boolean;
    }
  /** u32 length, then up to `size` bytes. */
  | { readonly kind: "buffer"; readonly size: number }
  | { readonly kind: "pointer"; readonly to: Type; readonly space: AddressSpace }
  | { readonly kind: "array"; readonly of: Type; readonly length: number }
  | {
      readonly kind: "struct";
      readonly keyword: "struct" | "union";
      readonly name: string;
      readonly size: number;
      readonly layout: StructLayout;
    }
  /** Items lie one after another, each at its natural alignment. With `names` it is a record. */
  | { readonly kind: "tuple"; readonly items: readonly Type[]; readonly names?: readonly string[] }
  /** u32 address family (2 or 10), then 16 bytes of address in network order. */
  | { readonly kind: "inet" }
  /** i64 stack id (negative: errno); user stacks: then u32 pid, u32 zero. `limit` in frames. */
  | { readonly kind: "stack"; readonly of: "kernel" | "user"; readonly mode: StackMode; readonly limit: number }
  /** u64 address. */
  | { readonly kind: "ksym" }
  /** u64 address, u32 pid, u32 zero. */
  | { readonly kind: "usym" }
  /** u64 nanoseconds since boot (`boot`) or of `clock`, printed by `strftime(format)`. */
  | { readonly kind: "timestamp"; readonly format: string; readonly clock: "boot" | "monotonic" | "tai" | "sw_tai" }
  /** u64 index into the plan's probe names: what the `probe` builtin holds. */
  | { readonly kind: "probe-name" }
  /** Six bytes. */
  | { readonly kind: "mac" }
  /** u64 cgroup id, printed as its path below `filter`. */
  | { readonly kind: "cgroup-path"; readonly filter: string }
  /** u64 uid, printed as its name. */
  | { readonly kind: "username" }
  | Aggregation;

/** How stack frames are printed. */
export type StackMode = "bpftrace" | "perf" | "raw" | "build_id";

/** What only a map may hold. All are per CPU. */
export type Aggregation =
  /** u64. */
  | { readonly kind: "count" }
  /** i64 or u64. */
  | { readonly kind: "sum"; readonly signed: boolean }
  /** i64 or u64 value, u64 1 when set. */
  | { readonly kind: "min"; readonly signed: boolean }
  | { readonly kind: "max"; readonly signed: boolean }
  /** u64 count, i64 or u64 total. */
  | { readonly kind: "avg"; readonly signed: boolean }
  | { readonly kind: "stats"; readonly signed: boolean }
  /** Power-of-two buckets, each split in 2^bits. */
  | { readonly kind: "hist"; readonly bits: number }
  | { readonly kind: "lhist"; readonly min: number; readonly max: number; readonly step: number }
  | {
      readonly kind: "tseries";
      readonly intervalNs: number;
      readonly intervals: number;
      readonly aggregate: "none" | "avg" | "max" | "min" | "sum";
      readonly signed: boolean;
    };

/** No value. */
export const NONE: Type = { kind: "none" };
/** Truth values. */
export const BOOL: Type = { kind: "bool" };
/** Unsigned integers of 8 bits. */
export const U8: IntType = { kind: "int", size: 1, signed: false };
/** Unsigned integers of 16 bits. */
export const U16: IntType = { kind: "int", size: 2, signed: false };
/** Unsigned integers of 32 bits. */
export const U32: IntType = { kind: "int", size: 4, signed: false };
/** Unsigned integers of 64 bits. */
export const U64: IntType = { kind: "int", size: 8, signed: false };
/** Signed integers of 8 bits. */
export const I8: IntType = { kind: "int", size: 1, signed: true };
/** Signed integers of 16 bits. */
export const I16: IntType = { kind: "int", size: 2, signed: true };
/** Signed integers of 32 bits. */
export const I32: IntType = { kind: "int", size: 4, signed: true };
/** Signed integers of 64 bits. */
export const I64: IntType = { kind: "int", size: 8, signed: true };

/** True for types that only a map may hold. */
export function isAggregation(type: Type): type is Aggregation {
  switch (type.kind) {
    case "count":
    case "sum":
    case "min":
    case "max":
    case "avg":
    case "stats":
    case "hist":
    case "lhist":
    case "tseries":
      return true;
    default:
      return false;
  }
}

/** Bytes of a value in keys, values and records. Histograms: the size of one bucket (how many there are is the map's business). */
export function sizeOf(type: Type): number {
  switch (type.kind) {
    case "none":
      return 0;
    case "int":
      return type.size;
    case "bool":
      return 1;
    case "string":
      return type.size;
    case "buffer":
      return 4 + type.size;
    case "pointer":
      return 8;
    case "array":
      return sizeOf(type.of) * type.length;
    case "struct":
      return type.size;
    case "tuple": {
      const { size } = tupleOffsets(type.items);
      return size;
    }
    case "inet":
      return 20;
    case "stack":
      return type.of === "kernel" ? 8 : 16;
    case "ksym":
      return 8;
    case "usym":
      return 16;
    case "timestamp":
    case "cgroup-path":
    case "username":
    case "probe-name":
      return 8;
    case "mac":
      return 6;
    case "count":
    case "sum":
      return 8;
    case "min":
    case "max":
    case "avg":
    case "stats":
      return 16;
    case "hist":
    case "lhist":
      return 8;
    case "tseries":
      return 24;
  }
}

/** Alignment of a value in keys, values and records: 1, 2, 4 or 8. */
export function alignOf(type: Type): number {
  switch (type.kind) {
    case "none":
    case "bool":
    case "string":
    case "mac":
      return 1;
    case "int":
      return type.size;
    case "buffer":
    case "inet":
      return 4;
    case "array":
      return alignOf(type.of);
    case "struct":
      return type.size % 8 === 0 ? 8 : type.size % 4 === 0 ? 4 : type.size % 2 === 0 ? 2 : 1;
    case "tuple":
      return type.items.reduce((most, item) => Math.max(most, alignOf(item)), 1);
    default:
      return 8;
  }
}

/** Where the items of a tuple lie, and the size of the whole, padded to its alignment. */
export function tupleOffsets(items: readonly Type[]): { offsets: number[]; size: number } {
  const offsets: number[] = [];
  let at = 0;
  let align = 1;
  for (const item of items) {
    const a = alignOf(item);
    if (a > align) align = a;
    at = Math.ceil(at / a) * a;
    offsets.push(at);
    at += sizeOf(item);
  }
  return { offsets, size: Math.ceil(at / align) * align };
}

/** Number of buckets of a `hist(n, bits)`: negatives, zero and small exact values, then 2^bits an octave up to 2^64. */
export function histBuckets(bits: number): number {
  const sub = 1 << bits;
  // Bucket 0: negative; 1 to sub: the exact values 0 .. sub-1 ... then one group of `sub` for each octave from 2^bits to 2^63.
  return 1 + sub + (64 - bits) * sub;
}

/** Number of buckets of an `lhist`: below, one a step, above. */
export function lhistBuckets(min: number, max: number, step: number): number {
  return Math.ceil((max - min) / step) + 2;
}

/** The type as bpftrace writes it in messages: `int64`, `string[64]`, `struct task_struct *`. */
export function typeName(type: Type): string {
  switch (type.kind) {
    case "int":
      return type.enum?.name ? `enum ${type.enum.name}` : `${type.signed ? "" : "u"}int${type.size * 8}`;
    case "string":
      return `string[${type.size}]`;
    case "buffer":
      return `buffer[${type.size}]`;
    case "pointer":
      return `${typeName(type.to)} *`;
    case "array":
      return `${typeName(type.of)}[${type.length}]`;
    case "struct":
      return `${type.keyword} ${type.name}`;
    case "tuple":
      return `(${type.items.map((t, i) => (type.names ? `${type.names[i]}=${typeName(t)}` : typeName(t))).join(",")})`;
    case "none":
      return "void";
    case "stack":
      return type.of === "kernel" ? "kstack" : "ustack";
    case "mac":
      return "mac_address";
    case "cgroup-path":
      return "cgroup_path";
    case "count":
    case "sum":
    case "min":
    case "max":
    case "avg":
    case "stats":
    case "hist":
    case "lhist":
    case "tseries":
      return `${type.kind}_t`;
    default:
      return type.kind;
  }
}

/** Structural equality, as map keys and assignments compare types. */
export function sameType(a: Type, b: Type): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind) return false;
  switch (a.kind) {
    case "int":
      return b.kind === "int" && a.size === b.size && a.signed === b.signed;
    case "string":
    case "buffer":
      return (b.kind === "string" || b.kind === "buffer") && a.size === b.size;
    case "pointer":
      return b.kind === "pointer" && sameType(a.to, b.to);
    case "array":
      return b.kind === "array" && a.length === b.length && sameType(a.of, b.of);
    case "struct":
      return b.kind === "struct" && a.keyword === b.keyword && a.name === b.name;
    case "tuple":
      return (
        b.kind === "tuple" && a.items.length === b.items.length && a.items.every((t, i) => sameType(t, b.items[i]!))
      );
    case "stack":
      return b.kind === "stack" && a.of === b.of && a.mode === b.mode && a.limit === b.limit;
    case "hist":
      return b.kind === "hist" && a.bits === b.bits;
    case "lhist":
      return b.kind === "lhist" && a.min === b.min && a.max === b.max && a.step === b.step;
    case "tseries":
      return (
        b.kind === "tseries" &&
        a.intervalNs === b.intervalNs &&
        a.intervals === b.intervals &&
        a.aggregate === b.aggregate
      );
    case "sum":
    case "min":
    case "max":
    case "avg":
    case "stats":
      return "signed" in b && a.signed === b.signed;
    default:
      return true;
  }
}
