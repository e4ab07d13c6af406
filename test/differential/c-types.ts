/** Types of generated C: scalars with the conversions of the standard, and random structs, packed, with bitfields, with unions. */
import type { Scalar } from "./c-tree.ts";

/** A small deterministic generator (mulberry32). */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** A number from 0 to n - 1. */
  below(n: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** 64 bits, of which often only few differ from their neighbours. */
  word(): bigint {
    const high = BigInt(this.below(2 ** 32));
    const low = BigInt(this.below(2 ** 32));
    const word = (high << 32n) | low;
    switch (this.below(6)) {
      case 0:
        return BigInt(this.below(16));
      case 1:
        return BigInt.asUintN(64, -BigInt(this.below(300)));
      case 2:
        return 1n << BigInt(this.below(64));
      case 3:
        return word >> BigInt(this.below(64));
      default:
        return word;
    }
  }
}

function scalar(name: string, bits: 8 | 16 | 32 | 64, signed: boolean): Scalar {
  return { kind: "scalar", name, bits, signed };
}

export const S8: Scalar = scalar("s8", 8, true);
export const U8: Scalar = scalar("u8", 8, false);
export const S16: Scalar = scalar("s16", 16, true);
export const U16: Scalar = scalar("u16", 16, false);
export const S32: Scalar = scalar("s32", 32, true);
export const U32: Scalar = scalar("u32", 32, false);
export const S64: Scalar = scalar("s64", 64, true);
export const U64: Scalar = scalar("u64", 64, false);
export const BOOL: Scalar = { kind: "scalar", name: "_Bool", bits: 8, signed: false, bool: true };

/** Types of variables, the frequent ones more than once; some under the names of the language. */
export const SCALARS: readonly Scalar[] = [
  S8,
  U8,
  S16,
  U16,
  S32,
  U32,
  S64,
  U64,
  U64,
  S32,
  U32,
  BOOL,
  scalar("char", 8, true),
  scalar("unsigned short", 16, false),
  scalar("long", 64, true),
  scalar("unsigned long", 64, false),
];

/** Types that fields of bits are declared with. */
const BIT_TYPES: readonly Scalar[] = [U32, S32, U32, S32, U64, S64, U16, S16, U8, S8];

/** What an operand of this type is after the integer promotions; `width` of fields of bits. */
export function promoted(type: Scalar, width?: number): Scalar {
  const bits = width ?? type.bits;
  if (type.bits === 64) return type.signed ? S64 : U64;
  if (bits < 32 || type.signed) return S32;
  return U32;
}

/** The usual arithmetic conversions of two promoted types. */
export function common(a: Scalar, b: Scalar): Scalar {
  const bits = Math.max(a.bits, b.bits);
  const isUnsigned = (!a.signed && a.bits === bits) || (!b.signed && b.bits === bits);
  return bits === 64 ? (isUnsigned ? U64 : S64) : isUnsigned ? U32 : S32;
}

/** An array whose length is a power of two, so that a mask keeps an index within. */
export interface ArrayType {
  readonly kind: "array";
  readonly of: Scalar;
  readonly length: number;
}

/** A struct or union. */
export interface Struct {
  readonly kind: "struct";
  readonly name: string;
  readonly isUnion: boolean;
  readonly isPacked: boolean;
  readonly fields: readonly Field[];
  /** At most so many bytes. */
  readonly most: number;
}

/** A member; `width` of fields of bits. Anonymous members have an empty name. */
export interface Field {
  readonly name: string;
  readonly type: Scalar | ArrayType | Struct;
  readonly width?: number;
}

/** Type of a variable. */
export type Aggregate = ArrayType | Struct;

/** Bytes at most. */
export function mostBytes(type: Scalar | Aggregate): number {
  if (type.kind === "scalar") return type.bits / 8;
  return type.kind === "array" ? (type.length * type.of.bits) / 8 : type.most;
}

/** `u32 name[4]`, `struct s name`. */
export function declare(type: Scalar | Aggregate, name: string): string {
  if (type.kind === "scalar") return `${type.name} ${name}`;
  if (type.kind === "array") return `${type.of.name} ${name}[${type.length}]`;
  return `${type.isUnion ? "union" : "struct"} ${type.name} ${name}`;
}

/** A struct with random members; may hold one of `known`. */
export function randomStruct(random: Random, name: string, known: readonly Struct[]): Struct {
  const isPacked = random.chance(25);
  const fields: Field[] = [];
  let most = 0;
  for (let left = 2 + random.below(5), i = 0; left > 0; left--, i++) {
    const field = `${"abcdefgh"[i]}`;
    const kind = random.below(10);
    const inner = known.filter((one) => one.most <= 24);
    if (kind < 4) fields.push({ name: field, type: random.pick(SCALARS) });
    else if (kind < 8) {
      const type = random.pick(BIT_TYPES);
      const width = random.chance(10) ? type.bits : 1 + random.below(type.bits);
      fields.push({ name: field, type, width });
      if (random.chance(10))
        fields.push({ name: "", type, width: random.chance(40) ? 0 : 1 + random.below(type.bits) });
    } else if (kind === 8 || inner.length === 0)
      fields.push({
        name: field,
        type: { kind: "array", of: random.pick(SCALARS.slice(0, 8)), length: random.pick([2, 4]) },
      });
    else fields.push({ name: field, type: random.pick(inner) });
  }
  for (const { type } of fields) most += Math.max(mostBytes(type), isPacked ? 1 : 8);
  return { kind: "struct", name, isUnion: false, isPacked, fields, most };
}

/** A union whose members all cover the same 64 bits, so that each may be read after another was written. */
export function overlayUnion(random: Random, name: string): Struct {
  const views: Field[] = [
    { name: "q", type: U64 },
    { name: "d", type: { kind: "array", of: random.pick([U32, S32]), length: 2 } },
    { name: "h", type: { kind: "array", of: random.pick([U16, S16]), length: 4 } },
    { name: "y", type: { kind: "array", of: random.pick([U8, S8]), length: 8 } },
  ];
  const bits: Field[] = [];
  for (let used = 0, i = 0; used < 64 && i < 8; i++) {
    const type = random.pick([U32, S32, U64, S64, U16, U8]);
    const width = Math.min(1 + random.below(type.bits), 64 - used);
    bits.push({ name: "klmnoprs"[i]!, type, width });
    used += width;
  }
  const isPacked = random.chance(60);
  const anonymous: Struct = { kind: "struct", name: "", isUnion: false, isPacked: true, fields: bits, most: 8 };
  const fields = [views[0]!, ...views.slice(1).filter(() => random.chance(60)), { name: "", type: anonymous }];
  return { kind: "struct", name, isUnion: true, isPacked, fields, most: 8 };
}

function memberLines(struct: Struct, indent: string): string {
  return struct.fields
    .map(({ name, type, width }) => {
      if (type.kind === "struct" && type.name === "")
        return `${indent}struct {\n${memberLines(type, `${indent}\t`)}${indent}}${type.isPacked ? " __attribute__((packed))" : ""};\n`;
      if (width !== undefined) return `${indent}${(type as Scalar).name} ${name}${name && " "}: ${width};\n`;
      return `${indent}${declare(type, name)};\n`;
    })
    .join("");
}

/** The definition of a struct or union. */
export function definition(struct: Struct): string {
  const packed = struct.isPacked ? " __attribute__((packed))" : "";
  return `${struct.isUnion ? "union" : "struct"} ${struct.name} {\n${memberLines(struct, "\t")}}${packed};`;
}
