/** Types of a tracepoint's fields, which its format has as text, as types of C. */
import { sizeOf } from "../types/layout.ts";
import type { OuterDeclarations } from "../parser/scope.ts";
import {
  BOOL,
  CHAR,
  type CType,
  INT,
  LONG,
  LONG_LONG,
  SHORT,
  SIGNED_CHAR,
  UNSIGNED_CHAR,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  UNSIGNED_LONG_LONG,
  UNSIGNED_SHORT,
  VOID,
  pointerTo,
  qualified,
} from "../types/types.ts";
import type { BccTracepointField } from "./options.ts";

/** Integers by how many `long`s they have, or their word. */
const integers: Readonly<Record<string, readonly [signed: CType, unsigned: CType]>> = {
  char: [CHAR, UNSIGNED_CHAR],
  short: [SHORT, UNSIGNED_SHORT],
  int: [INT, UNSIGNED_INT],
  long: [LONG, UNSIGNED_LONG],
  "long long": [LONG_LONG, UNSIGNED_LONG_LONG],
};

/** The words of an integer type, in any order; undefined for other words. */
function integerOf(words: readonly string[]): CType | undefined {
  const known = new Set(["signed", "unsigned", "char", "short", "int", "long"]);
  if (words.length === 0 || words.some((word) => !known.has(word))) return undefined;
  const longs = words.filter((word) => word === "long").length;
  const base = words.includes("char")
    ? "char"
    : words.includes("short")
      ? "short"
      : longs === 2
        ? "long long"
        : longs === 1
          ? "long"
          : "int";
  if (base === "char" && words.includes("signed")) return SIGNED_CHAR;
  return integers[base]![words.includes("unsigned") ? 1 : 0];
}

function bySize(size: number, signed: boolean): CType | undefined {
  const found = { 1: "char", 2: "short", 4: "int", 8: "long long" }[size];
  return found === undefined ? undefined : found === "char" && signed ? SIGNED_CHAR : integers[found]![signed ? 0 : 1];
}

function named(words: readonly string[], outer: OuterDeclarations): CType | undefined {
  const [first = "", tag = ""] = words;
  if (first === "struct" || first === "union") return outer.record(first === "union", tag);
  if (first === "enum") return outer.enumeration(tag);
  if (first === "void") return VOID;
  if (first === "bool" || first === "_Bool") return BOOL;
  const integer = integerOf(words);
  if (integer !== undefined || words.length !== 1) return integer;
  const binding = outer.ordinary(first);
  return binding?.kind === "typedef" ? binding.type : undefined;
}

/** The type of a declaration without a name; undefined for words that mean nothing here. */
function typeOf(text: string, outer: OuterDeclarations): CType | undefined {
  let base = text.replace(/\b(?:__rcu|__percpu|__iomem|volatile|restrict|__restrict)\b/g, " ");
  const isUser = /\b__user\b/.test(base);
  base = base.replace(/\b__user\b/g, " ");
  const stars = base.split("*").length - 1;
  const isConst = /\bconst\b[^*]*(?:\*|$)/.test(base);
  const words = base
    .replace(/\*/g, " ")
    .replace(/\bconst\b/g, " ")
    .split(/\s+/)
    .filter((word) => word !== "");
  let type = named(words, outer) ?? (stars > 0 ? VOID : undefined);
  if (type === undefined) return undefined;
  if (isConst) type = qualified(type, { const: true });
  if (isUser) type = { kind: "tagged", tag: "user", of: type };
  for (let i = 0; i < stars; i++) type = pointerTo(type);
  return type;
}

/** The type of a field: what its text says where that has the size that the format says, else bytes. */
export function fieldType(field: BccTracepointField, outer: OuterDeclarations): CType {
  const { ctype, size, signed } = field;
  const array = /^(.*?)\s*\[[^\]]*\]$/.exec(ctype.trim());
  if (array !== null) {
    const of = typeOf(array[1]!, outer);
    const each = of === undefined ? undefined : sizeOf(of);
    if (of !== undefined && each !== undefined && each > 0 && size % each === 0)
      return { kind: "array", of, count: size / each };
    return { kind: "array", of: CHAR, count: size };
  }
  const type = typeOf(ctype, outer);
  if (type !== undefined && sizeOf(type) === size) return type;
  return bySize(size, signed) ?? { kind: "array", of: UNSIGNED_CHAR, count: size };
}
