/** Helpers as functions of C, and the names of integers that their prototypes and the kernel's headers use. */
import { helperByName } from "../../isa/index.ts";
import type { FunctionDecl } from "./ast.ts";
import {
  CHAR,
  type CType,
  type FunctionType,
  INT,
  LONG,
  LONG_LONG,
  type ParameterType,
  type RecordType,
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
} from "./types/types.ts";

function alias(name: string, to: CType): [string, CType] {
  return [name, { kind: "typedef", name, to }];
}

function aligned(name: string, to: CType): [string, CType] {
  return [name, { kind: "typedef", name, to, align: 8 }];
}

/** Names of integers that the kernel's headers have and that helpers take. */
export const integers: ReadonlyMap<string, CType> = new Map([
  alias("__u8", UNSIGNED_CHAR),
  alias("__u16", UNSIGNED_SHORT),
  alias("__u32", UNSIGNED_INT),
  alias("__u64", UNSIGNED_LONG_LONG),
  alias("__s8", SIGNED_CHAR),
  alias("__s16", SHORT),
  alias("__s32", INT),
  alias("__s64", LONG_LONG),
  alias("u8", UNSIGNED_CHAR),
  alias("u16", UNSIGNED_SHORT),
  alias("u32", UNSIGNED_INT),
  alias("u64", UNSIGNED_LONG_LONG),
  alias("s8", SIGNED_CHAR),
  alias("s16", SHORT),
  alias("s32", INT),
  alias("s64", LONG_LONG),
  alias("__be16", UNSIGNED_SHORT),
  alias("__be32", UNSIGNED_INT),
  alias("__be64", UNSIGNED_LONG_LONG),
  alias("__le16", UNSIGNED_SHORT),
  alias("__le32", UNSIGNED_INT),
  alias("__le64", UNSIGNED_LONG_LONG),
  alias("__sum16", UNSIGNED_SHORT),
  alias("__wsum", UNSIGNED_INT),
  // Macros in `<linux/types.h>`: integers at multiples of their size on machines of 32 bits, too.
  aligned("__aligned_u64", UNSIGNED_LONG_LONG),
  aligned("__aligned_s64", LONG_LONG),
  aligned("__aligned_be64", UNSIGNED_LONG_LONG),
  aligned("__aligned_le64", UNSIGNED_LONG_LONG),
]);

const words: ReadonlyMap<string, CType> = new Map<string, CType>([
  ["void", VOID],
  ["char", CHAR],
  ["int", INT],
  ["long", LONG],
  ["unsigned int", UNSIGNED_INT],
  ["unsigned long", UNSIGNED_LONG],
  ...integers,
]);

/**
 * A type of a helper's prototype. What a helper takes by pointer is `void *` unless it is text: the kernel's prototypes name its own
 * structs (`struct sk_buff`) where programs have the user's (`struct __sk_buff`). What it gives is typed.
 */
function prototypeType(text: string, record: ((tag: string) => RecordType | undefined) | undefined): CType {
  const stars = text.split("*").length - 1;
  const isConst = /\bconst\b/.test(text);
  const base = text
    .replace(/\*/g, " ")
    .replace(/\bconst\b/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  let type: CType | undefined = words.get(base);
  if (stars > 0 && base !== "char") type = undefined;
  const tag = /^struct (\w+)$/.exec(base)?.[1];
  type ??= (tag === undefined ? undefined : record?.(tag)) ?? (stars > 0 ? VOID : UNSIGNED_LONG_LONG);
  if (isConst) type = qualified(type, { const: true });
  for (let i = 0; i < stars; i++) type = pointerTo(type);
  return type;
}

/** A helper as a function; undefined when there is none of that name. `record` finds the structs that helpers give pointers to. */
export function helperDeclaration(
  name: string,
  record: (tag: string) => RecordType | undefined,
): FunctionDecl | undefined {
  const helper = name.startsWith("bpf_") ? helperByName(name) : undefined;
  if (helper === undefined) return undefined;
  const { prototype } = helper;
  const open = prototype.indexOf("(");
  const params: ParameterType[] = [];
  for (const text of prototype.slice(open + 1, -1).split(",")) {
    const declaration = text.trim();
    if (declaration === "void" || declaration === "...") continue;
    const param = /^(.*?)(\w+)$/.exec(declaration);
    params.push({ name: param?.[2], type: prototypeType(param?.[1] ?? declaration, undefined) });
  }
  const type: FunctionType = {
    kind: "function",
    result: prototypeType(prototype.slice(0, prototype.indexOf(name)), record),
    params,
    variadic: helper.variadic,
    unprototyped: false,
  };
  return {
    kind: "function",
    name,
    type,
    storage: "extern",
    inline: false,
    location: 0,
    attributes: {},
    params: [],
    body: undefined,
    used: true,
    helper: name,
  };
}
