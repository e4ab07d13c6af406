/** Functions of memory and strings that the compiler writes out: copies, fills and comparisons. */
import type { MemBits, Value } from "../../../compiler/index.ts";
import type { Expr } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { alignOf, sizeOf } from "../types/layout.ts";
import { shapeOf } from "../types/types.ts";
import type { Body } from "./body.ts";
import { wide } from "./convert.ts";
import { plainOffset } from "./place.ts";
import { isAggregate } from "./signature.ts";
import { value } from "./values.ts";

type Builtin = Expr & { readonly kind: "builtin" };

/** Comparisons with more pieces than this run as a loop over bytes. */
const MOST_PIECES = 64;
/** Strings that are compared byte by byte. */
const MOST_CHARACTERS = 256;

function lowBit(n: number): number {
  return n & -n;
}

/** What surely divides an address, up to 8. */
export function alignmentOf(pointer: Expr): number {
  const shape = shapeOf(pointer.type);
  if (pointer.kind === "cast") {
    if (pointer.cast === "decay") return placeAlignment(pointer.operand);
    if ((pointer.cast === "pointer" || pointer.cast === "none") && shapeOf(pointer.operand.type).kind === "pointer")
      return alignmentOf(pointer.operand);
  }
  if (pointer.kind === "address") return placeAlignment(pointer.operand);
  return shape.kind === "pointer" ? Math.min(8, alignOf(shape.to)) : 1;
}

function placeAlignment(expr: Expr): number {
  switch (expr.kind) {
    case "variable": {
      const natural = Math.min(8, Math.max(alignOf(expr.type), expr.variable.attributes.align ?? 1));
      const isLocal = expr.variable.storage === "local";
      return isLocal && isAggregate(expr.type) ? Math.max(natural, lowBit(wordBelow(sizeOf(expr.type) ?? 1))) : natural;
    }
    case "member":
      return Math.min(placeAlignment(expr.record), lowBit(Math.floor(expr.field.bitOffset / 8) | 8));
    case "index": {
      const size = sizeOf(expr.type) ?? 1;
      const index = constantInteger(expr.index);
      const within = lowBit((index === undefined ? size : Number(index) * size) | 8);
      const array = shapeOf(expr.array.type).kind === "array" ? placeAlignment(expr.array) : alignmentOf(expr.array);
      return Math.min(array, within);
    }
    case "dereference":
      return alignmentOf(expr.operand);
    case "compound":
      return Math.min(8, alignOf(expr.type));
    default:
      return 1;
  }
}

/** Alignment that aggregates of a size get in the frame. */
function wordBelow(size: number): number {
  return size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
}

/** The bytes of a string constant that a pointer leads to. */
function literalOf(pointer: Expr): Uint8Array | undefined {
  let at = pointer;
  while (at.kind === "cast" && at.cast !== "load") at = at.operand;
  return at.kind === "string" ? at.bytes : undefined;
}

/** One side of a comparison: bytes of memory, or constants. */
type Side = { readonly bytes: Uint8Array } | { readonly base: Value; readonly offset: number };

function sideOf(body: Body, pointer: Expr, size: number): Side {
  const bytes = literalOf(pointer);
  if (bytes !== undefined && bytes.length >= size) return { bytes };
  return plainOffset(value(body, pointer));
}

function pieceOf(body: Body, side: Side, at: number, width: number): Value {
  if ("bytes" in side) {
    let number = 0n;
    for (let i = 0; i < width; i++) number |= BigInt(side.bytes[at + i]!) << BigInt(8 * i);
    return body.b.const(number);
  }
  return body.b.load(side.base, (width * 8) as MemBits, { offset: side.offset + at });
}

/** Cuts a comparison into pieces that both sides' alignments allow. */
function cut(size: number, align: number): { at: number; width: number }[] {
  const pieces: { at: number; width: number }[] = [];
  for (let at = 0; at < size;) {
    let width = align;
    while (width > size - at) width >>= 1;
    pieces.push({ at, width });
    at += width;
  }
  return pieces;
}

function sharedAlignment(a: Expr, b: Expr): number {
  const of = (pointer: Expr): number => (literalOf(pointer) === undefined ? alignmentOf(pointer) : 8);
  return Math.min(of(a), of(b));
}

/** Whether two ranges of memory differ, as `i1`; undefined for what is not such a question or has no constant size. */
export function memoryDiffers(body: Body, expr: Builtin): Value | undefined {
  if (expr.name !== "__builtin_memcmp") return undefined;
  const [a, b, count] = expr.args as [Expr, Expr, Expr];
  const size = constantInteger(count);
  if (size === undefined) return undefined;
  const pieces = size > BigInt(MOST_PIECES * 8) ? [] : cut(Number(size), sharedAlignment(a, b));
  if (size > 0n && (pieces.length === 0 || pieces.length > MOST_PIECES)) return undefined;
  const left = sideOf(body, a, Number(size));
  const right = sideOf(body, b, Number(size));
  body.at(expr.location);
  let all: Value = body.b.const(0);
  for (const { at, width } of pieces) {
    const x = pieceOf(body, left, at, width);
    const y = pieceOf(body, right, at, width);
    if (pieces.length === 1) return body.b.icmp("ne", x, y);
    const difference = body.b.binary("xor", x, y);
    all = at === 0 ? difference : body.b.binary("or", all, difference);
  }
  return body.b.icmp("ne", all, body.b.const(0));
}

/** Runs code for each number below a count, in order. */
function eachByte(body: Body, count: Value, run: (index: Value) => void): void {
  const { b } = body;
  const counter = body.slot("i64", "byte");
  body.storeSlot(counter, b.const(0));
  const head = b.block("bytes");
  const inside = b.block("byte");
  const after = b.block("after");
  b.jump(head);
  b.moveTo(head);
  b.branch(b.icmp("ult", body.loadSlot(counter, "i64"), count), inside, after);
  b.moveTo(inside);
  const index = body.loadSlot(counter, "i64");
  run(index);
  body.storeSlot(counter, b.binary("add", index, b.const(1)));
  b.jump(head);
  b.moveTo(after);
}

/** `memcmp` as a number: the first byte that differs decides. */
function memcmp(body: Body, expr: Builtin): Value {
  const { b } = body;
  const [first, second, count] = expr.args as [Expr, Expr, Expr];
  const size = constantInteger(count);
  const result = body.slot("i32", "order");
  const after = b.block("compared");
  const pieces =
    size !== undefined && size <= BigInt(MOST_PIECES * 8) ? cut(Number(size), sharedAlignment(first, second)) : [];
  if (size === 0n || (pieces.length > 0 && pieces.length <= MOST_PIECES)) {
    const left = sideOf(body, first, Number(size));
    const right = sideOf(body, second, Number(size));
    body.at(expr.location);
    body.storeSlot(result, b.const(0, "i32"));
    for (const { at, width } of pieces) {
      const x = pieceOf(body, left, at, width);
      const y = pieceOf(body, right, at, width);
      differAt(body, x, y, width, result, after);
    }
  } else {
    const left = value(body, first);
    const right = value(body, second);
    const length = wide(body, value(body, count), false);
    body.at(expr.location);
    body.storeSlot(result, b.const(0, "i32"));
    eachByte(body, length, (index) => {
      const x = b.load(b.ptradd(left, index), 8);
      const y = b.load(b.ptradd(right, index), 8);
      differAt(body, x, y, 1, result, after);
    });
  }
  b.jump(after);
  b.moveTo(after);
  return body.loadSlot(result, "i32");
}

/** Leaves with -1 or 1 when two pieces differ: the lowest address decides, so that they are compared with their bytes swapped. */
function differAt(
  body: Body,
  x: Value,
  y: Value,
  width: number,
  result: Value,
  after: Parameters<Body["b"]["jump"]>[0],
): void {
  const { b } = body;
  const differ = b.block("differ");
  const same = b.block("same");
  b.branch(b.icmp("ne", x, y), differ, same);
  b.moveTo(differ);
  const swapped = (v: Value): Value => (width === 1 ? v : b.bswap(v, (width * 8) as 16 | 32 | 64));
  const less = b.icmp("ult", swapped(x), swapped(y));
  body.storeSlot(result, b.select(less, b.const(-1, "i32"), b.const(1, "i32")));
  b.jump(after);
  b.moveTo(same);
}

/** `strcmp` and `strncmp`, written out byte by byte where a constant bounds them. */
function strcmp(body: Body, expr: Builtin): Value {
  const { b } = body;
  const [first, second, count] = expr.args as [Expr, Expr, Expr | undefined];
  const literals = [literalOf(first), literalOf(second)].filter((bytes) => bytes !== undefined);
  const bounds = literals.map((bytes) => bytes.indexOf(0) + 1);
  if (count !== undefined) {
    const limit = constantInteger(count);
    if (limit !== undefined) bounds.push(Number(limit));
  }
  const most = Math.min(...bounds);
  const result = body.slot("i32", "order");
  if (most > MOST_CHARACTERS) {
    const name = expr.name.replace("__builtin_", "");
    body.error(
      expr.location,
      `${name} needs a constant that bounds it: a string in quotes or a length up to ${MOST_CHARACTERS}`,
      {
        hint: "bpf_strncmp compares with a constant string of any length",
      },
    );
    return b.const(0, "i32");
  }
  const left = sideOf(body, first, Math.min(most, literalOf(first)?.length ?? 0));
  const right = sideOf(body, second, Math.min(most, literalOf(second)?.length ?? 0));
  body.at(expr.location);
  body.storeSlot(result, b.const(0, "i32"));
  const after = b.block("compared");
  for (let i = 0; i < most; i++) {
    const x = pieceOf(body, left, i, 1);
    const y = pieceOf(body, right, i, 1);
    differAt(body, x, y, 1, result, after);
    const more = b.block("more");
    // Behind the end of both nothing is read.
    b.branch(b.icmp("eq", x.kind === "const" ? x : y, b.const(0)), after, more);
    b.moveTo(more);
  }
  b.jump(after);
  b.moveTo(after);
  return body.loadSlot(result, "i32");
}

function strlen(body: Body, expr: Builtin): Value {
  const [text] = expr.args as [Expr];
  const bytes = literalOf(text);
  if (bytes !== undefined) return body.b.const(bytes.indexOf(0));
  body.error(expr.location, "strlen is known for strings in quotes only: the verifier wants loops to have an end", {
    hint: "helpers such as bpf_probe_read_kernel_str give the length of what they read",
  });
  return body.b.const(0);
}

function memcpy(body: Body, expr: Builtin): Value {
  const { b } = body;
  const [to, from, count] = expr.args as [Expr, Expr, Expr];
  const target = value(body, to);
  const source = value(body, from);
  const size = constantInteger(count);
  if (size === undefined) {
    const length = wide(body, value(body, count), false);
    body.at(expr.location);
    copyBytes(body, target, source, length, expr.name === "__builtin_memmove");
    return target;
  }
  body.at(expr.location);
  if (size === 0n) return target;
  const there = plainOffset(target);
  const here = plainOffset(source);
  if (expr.name !== "__builtin_memmove") {
    b.memcpy(there.base, here.base, Number(size), { offset: there.offset, fromOffset: here.offset });
    return target;
  }
  const between = b.alloca(Number(size), 8, "moved");
  b.memcpy(between, here.base, Number(size), { fromOffset: here.offset });
  b.memcpy(there.base, between, Number(size), { offset: there.offset });
  return target;
}

/** Copies a number of bytes that only the running program knows. */
function copyBytes(body: Body, target: Value, source: Value, length: Value, mayOverlap: boolean): void {
  const { b } = body;
  const one = (index: Value): void => {
    b.store(b.ptradd(target, index), b.load(b.ptradd(source, index), 8), 8);
  };
  if (!mayOverlap) {
    eachByte(body, length, one);
    return;
  }
  const forwards = b.block("forwards");
  const backwards = b.block("backwards");
  const after = b.block("moved");
  b.branch(b.icmp("ule", b.ptrtoint(target, true), b.ptrtoint(source, true)), forwards, backwards);
  b.moveTo(forwards);
  eachByte(body, length, one);
  b.jump(after);
  b.moveTo(backwards);
  eachByte(body, length, (index) => one(b.binary("sub", b.binary("sub", length, b.const(1)), index)));
  b.jump(after);
  b.moveTo(after);
}

function memset(body: Body, expr: Builtin): Value {
  const { b } = body;
  const [to, byte, count] =
    expr.name === "__builtin_bzero"
      ? [expr.args[0] as Expr, undefined, expr.args[1] as Expr]
      : (expr.args as [Expr, Expr, Expr]);
  const target = value(body, to);
  const constant = byte === undefined ? 0n : constantInteger(byte);
  const size = constantInteger(count);
  if (size !== undefined && constant !== undefined) {
    body.at(expr.location);
    const { base, offset } = plainOffset(target);
    if (size > 0n) b.memset(base, Number(constant & 0xffn), Number(size), offset);
    return target;
  }
  const fill = b.zext(byte === undefined ? b.const(0, "i32") : value(body, byte), 8);
  const align = alignmentOf(to);
  if (size !== undefined && size <= MOST_PIECES * align) {
    body.at(expr.location);
    const { base, offset } = plainOffset(target);
    const word = b.binary("mul", fill, b.const(0x0101_0101_0101_0101n));
    for (const { at, width } of cut(Number(size), align))
      b.store(base, word, (width * 8) as MemBits, { offset: offset + at });
    return target;
  }
  const length = wide(body, value(body, count), false);
  body.at(expr.location);
  eachByte(body, length, (index) => {
    b.store(b.ptradd(target, index), fill, 8);
  });
  return target;
}

/** Lowerings by the builtin's name. */
export const memoryBuiltins: Readonly<Record<string, (body: Body, expr: Builtin) => Value>> = {
  __builtin_memcpy: memcpy,
  __builtin_memcpy_inline: memcpy,
  __builtin_memmove: memcpy,
  __builtin_memset: memset,
  __builtin_memset_inline: memset,
  __builtin_bzero: memset,
  __builtin_memcmp: memcmp,
  __builtin_strcmp: strcmp,
  __builtin_strncmp: strcmp,
  __builtin_strlen: strlen,
};
