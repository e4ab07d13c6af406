/** Strings: literals in memory, comparison, search. */
import { UnsupportedError } from "../../../base/index.ts";
import type { Block, MemBits, Value } from "../../../compiler/ir.ts";
import type { Expression } from "../ast.ts";
import { sizeOf, type Type } from "../types.ts";
import type { Body } from "./body.ts";
import { lowerExpression, typeOf } from "./expressions.ts";
import { writeOperand } from "./memory.ts";
import type { Place } from "./values.ts";
import { direct } from "./values.ts";

const utf8 = new TextEncoder();

/** Bytes of a literal: UTF-8, except that code points below 0x100 of a literal made of such only, given by `\x`, are bytes. */
export function stringBytes(value: string): Uint8Array {
  const codes = [...value].map((c) => c.codePointAt(0)!);
  const raw = codes.some((c) => c > 0x7f) && codes.every((c) => c < 0x100);
  return raw ? Uint8Array.from(codes) : utf8.encode(value);
}

/** The text of an expression that is known now; null when it is not. */
export function literalText(expression: Expression): string | null {
  if (typeof expression.constant === "string") return expression.constant;
  if (expression.kind === "string") return expression.value;
  if (expression.kind === "positional" && expression.resolved?.kind === "string") return expression.resolved.value;
  if (expression.kind === "identifier" && expression.resolved?.kind === "text") return expression.resolved.value;
  if (expression.kind === "comptime") return literalText(expression.operand);
  if (expression.kind === "call") {
    if (expression.expansion) return literalText(expression.expansion);
    const [first] = expression.args;
    if (expression.name === "str" && expression.args.length === 1 && first) return literalText(first);
  }
  return null;
}

/** Little-endian number of some bytes; those behind the end are zero. */
function wordAt(bytes: Uint8Array, at: number, size: number): bigint {
  let word = 0n;
  for (let i = size - 1; i >= 0; i--) word = (word << 8n) | BigInt(bytes[at + i] ?? 0);
  return word;
}

/** Widest access in bytes that an offset and the bytes left allow. */
function chunk(offset: number, left: number): 1 | 2 | 4 | 8 {
  for (const size of [8, 4, 2] as const) if (offset % size === 0 && left >= size) return size;
  return 1;
}

/** Stores a literal with its NUL, cut to `size`; with `zeroTail` the rest of `size` becomes zero. */
export function writeLiteral(
  body: Body,
  value: string,
  size: number,
  to: Value,
  offset: number,
  zeroTail: boolean,
): void {
  const bytes = stringBytes(value).subarray(0, Math.max(0, size - 1));
  writeBytes(body, bytes, Math.min(bytes.length + 1, size), size, to, offset, zeroTail);
}

/** Stores constant bytes: `length` of them at least, up to `size` where whole words are cheaper. */
export function writeBytes(
  body: Body,
  bytes: Uint8Array,
  length: number,
  size: number,
  to: Value,
  offset: number,
  zeroTail: boolean,
): void {
  const { b } = body;
  let at = 0;
  while (at < length) {
    const wanted = length - at > 4 ? 8 : length - at > 2 ? 4 : length - at;
    const step = chunk(offset + at, Math.min(wanted, size - at));
    b.store(to, body.int(wordAt(bytes, at, step)), (step * 8) as MemBits, { offset: offset + at });
    at += step;
  }
  if (zeroTail && at < size) body.zero(to, size - at, offset + at);
}

/** Equality of two strings, as an i1. */
export function compareStrings(body: Body, left: Expression, right: Expression): Value {
  const leftText = literalText(left);
  const rightText = literalText(right);
  if (rightText !== null) return compareLiteral(body, stringPlace(body, left), rightText);
  if (leftText !== null) return compareLiteral(body, stringPlace(body, right), leftText);
  const a = stringPlace(body, left);
  const c = stringPlace(body, right);
  return compareWords(body, a, c);
}

/** A string in the program's own memory, everything behind its NUL zero. */
export function stringPlace(body: Body, expression: Expression): Place {
  const checked = typeOf(expression);
  if (checked.kind === "probe-name") return probeName(body);
  const operand = lowerExpression(body, expression);
  if (operand.form === "place" && operand.access === "direct" && operand.zeroTail) return operand;
  const type = operand.type.kind === "string" ? operand.type : (typeOf(expression) as Type);
  const memory = body.memory(sizeOf(type), "string");
  writeOperand(body, operand, type, memory, 0, true);
  return direct(type, memory, 0, true);
}

/** The name of the probe as text: a program that wants it serves one probe. */
function probeName(body: Body): Place {
  const { name } = body.site.target;
  const size = stringBytes(name).length + 1;
  const memory = body.memory(size, "probe");
  writeLiteral(body, name, size, memory, 0, true);
  return direct({ kind: "string", size }, memory, 0, true);
}

function compareLiteral(body: Body, place: Place, text: string, count = Infinity): Value {
  const { b } = body;
  const size = sizeOf(place.type);
  const bytes = stringBytes(text);
  const length = Math.min(bytes.length + 1, count);
  if (length > size) return b.icmp("eq", body.int(0), body.int(1));
  const pieces: { at: number; step: 1 | 2 | 4 | 8 }[] = [];
  const whole = count === Infinity && place.zeroTail === true;
  for (let at = 0; at < length;) {
    const left = length - at;
    // Zeros behind the NUL may be compared too, where that makes one access of three.
    const wanted = whole && size - at >= 8 && left > 4 ? 8 : whole && size - at >= 4 && left === 3 ? 4 : left;
    const step = chunk(place.offset + at, wanted);
    pieces.push({ at, step });
    at += step;
  }
  return allEqual(
    body,
    pieces.map(({ at, step }) => () => {
      const bits = (step * 8) as MemBits;
      return [b.load(place.base, bits, { offset: place.offset + at }), body.int(wordAt(bytes, at, step))] as const;
    }),
  );
}

/** True when all pairs are equal, tested in order. */
function allEqual(body: Body, pairs: readonly (() => readonly [Value, Value])[]): Value {
  const { b } = body;
  if (pairs.length === 1) return b.icmp("eq", ...pairs[0]!());
  const result = body.cell(body.int(0));
  const end = b.block("end");
  for (const pair of pairs) {
    const next = b.block("same");
    b.branch(b.icmp("eq", ...pair()), next, end);
    b.moveTo(next);
  }
  result.set(body.int(1));
  b.jump(end);
  b.moveTo(end);
  return b.icmp("ne", result.get(), body.int(0));
}

/** Words that are compared without a loop. */
const UNROLLED_WORDS = 8;

function compareWords(body: Body, a: Place, c: Place): Value {
  const { b } = body;
  const size = Math.min(sizeOf(a.type), sizeOf(c.type));
  const aligned = a.offset % 8 === 0 && c.offset % 8 === 0 && size % 8 === 0;
  const step = aligned ? 8 : 1;
  const bits = (step * 8) as MemBits;
  const count = size / step;
  const pairAt = (at: number) => (): readonly [Value, Value] => [
    b.load(a.base, bits, { offset: a.offset + at }),
    b.load(c.base, bits, { offset: c.offset + at }),
  ];
  if (count <= UNROLLED_WORDS) {
    return allEqual(
      body,
      Array.from({ length: count }, (_, i) => pairAt(i * step)),
    );
  }
  const result = body.cell(body.int(1));
  const from = b.ptradd(a.base, a.offset);
  const other = b.ptradd(c.base, c.offset);
  body.countedLoop(body.int(count), (index, stop) => {
    const at = step === 1 ? index : b.binary("shl", index, body.int(3));
    const x = b.load(b.ptradd(from, at), bits);
    const y = b.load(b.ptradd(other, at), bits);
    const differ = b.block("differ");
    const same = b.block("same");
    const next = b.block("next");
    b.branch(b.icmp("ne", x, y), differ, same);
    b.moveTo(differ);
    result.set(body.int(0));
    stop();
    b.moveTo(same);
    // A byte loop ends at the NUL; words are equal to the end when strings are.
    const ended = b.block("ended");
    b.branch(b.icmp("eq", x, body.int(0)), ended, next);
    b.moveTo(ended);
    stop();
    b.moveTo(next);
  });
  return b.icmp("ne", result.get(), body.int(0));
}

/** `strncmp(a, b, n)`: 0 when the first `n` bytes, up to a NUL, are equal, else 1. */
export function compareStart(body: Body, left: Expression, right: Expression, count: number): Value {
  const { b } = body;
  const leftText = literalText(left);
  const rightText = literalText(right);
  const text = rightText ?? leftText;
  if (text !== null) {
    const place = stringPlace(body, rightText === null ? right : left);
    const length = Math.min(stringBytes(text).length + 1, count);
    if (length <= sizeOf(place.type)) return differs(body, compareLiteral(body, place, text, count));
    return body.int(1);
  }
  const a = stringPlace(body, left);
  const c = stringPlace(body, right);
  const result = body.cell(body.int(0));
  const size = Math.min(count, sizeOf(a.type), sizeOf(c.type));
  const from = b.ptradd(a.base, a.offset);
  const other = b.ptradd(c.base, c.offset);
  body.countedLoop(body.int(size), (index, stop) => {
    const x = b.load(b.ptradd(from, index), 8);
    const y = b.load(b.ptradd(other, index), 8);
    const differ = b.block("differ");
    const same = b.block("same");
    const ended = b.block("ended");
    const next = b.block("next");
    b.branch(b.icmp("ne", x, y), differ, same);
    b.moveTo(differ);
    result.set(body.int(1));
    stop();
    b.moveTo(same);
    b.branch(b.icmp("eq", x, body.int(0)), ended, next);
    b.moveTo(ended);
    stop();
    b.moveTo(next);
  });
  return result.get();
}

function differs(body: Body, equal: Value): Value {
  return body.b.binary("xor", body.flag(equal), body.int(1));
}

/** Pairs of positions that a verifier without `may_goto` follows one by one. */
const FOLLOWED_PAIRS = 20_000;

/**
 * Index of the first occurrence of a needle, or -1. One loop walks both strings: on a mismatch the start moves on by one and the
 * needle begins anew. Positions are masked before they are compared with a string's size, so that the comparison bounds the index
 * alone: bounds that rose with every round would keep the verifier from seeing that rounds are alike.
 * @throws UnsupportedError for two long strings on kernels that follow loops to the end.
 */
export function findString(body: Body, haystack: Expression, needle: Expression): Value {
  const { b } = body;
  const h = stringPlace(body, haystack);
  const n = stringPlace(body, needle);
  const hSize = sizeOf(h.type);
  const nSize = sizeOf(n.type);
  if (!body.canLoosen && hSize * nSize > FOLLOWED_PAIRS) {
    throw new UnsupportedError(
      "search in long text",
      `${body.script.place(haystack.span)}: searching ${hSize} bytes for ${nSize} needs Linux 6.9 (shorten one: str(p, 64))`,
    );
  }
  const hStart = b.ptradd(h.base, h.offset);
  const nStart = b.ptradd(n.base, n.offset);
  const result = body.cell(body.int(-1));
  const zero = body.canLoosen ? body.unknownZero() : body.int(0);
  const start = body.cell(zero);
  const matched = body.cell(zero);
  const [head, inNeedle, success, compare, inHay, more, same, miss, next, end] = [
    "search",
    "needle",
    "success",
    "compare",
    "haystack",
    "more",
    "same",
    "miss",
    "next",
    "found",
  ].map((name) => b.block(name)) as [Block, Block, Block, Block, Block, Block, Block, Block, Block, Block];
  b.jump(head);
  b.moveTo(head);
  const j = matched.get();
  const needleAt = b.binary("and", j, body.int(maskFor(nSize)));
  b.branch(b.icmp("ult", needleAt, body.int(nSize)), inNeedle, success);
  b.moveTo(inNeedle);
  const wanted = b.load(b.ptradd(nStart, needleAt), 8);
  b.branch(b.icmp("eq", wanted, body.int(0)), success, compare);
  b.moveTo(success);
  result.set(start.get());
  b.jump(end);
  b.moveTo(compare);
  const hayAt = b.binary("and", b.binary("add", start.get(), j), body.int(maskFor(hSize)));
  b.branch(b.icmp("ult", hayAt, body.int(hSize)), inHay, end);
  b.moveTo(inHay);
  const have = b.load(b.ptradd(hStart, hayAt), 8);
  b.branch(b.icmp("eq", have, body.int(0)), end, more);
  b.moveTo(more);
  b.branch(b.icmp("eq", have, wanted), same, miss);
  b.moveTo(same);
  matched.set(b.binary("add", j, body.int(1)));
  b.jump(next);
  b.moveTo(miss);
  matched.set(body.int(0));
  start.set(b.binary("add", start.get(), body.int(1)));
  b.jump(next);
  b.moveTo(next);
  body.backEdge(head, end);
  b.moveTo(end);
  return result.get();
}

/** Bits that hold every number up to and including `size`. */
function maskFor(size: number): number {
  return 2 ** (Math.floor(Math.log2(size)) + 1) - 1;
}
