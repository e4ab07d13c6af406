/** Calls: whether they may stand where they do, whether the arguments fit, and the type of the result. */
import { nearestNames } from "../../../base/index.ts";
import type { CallExpression, Expression, MapExpression } from "../ast.ts";
import { builtin, builtinNames } from "../table/builtins.ts";
import { SIGNALS } from "../table/constants.ts";
import {
  type FunctionArgument,
  functionNames,
  type FunctionRow,
  functionRow,
  functionSignature,
} from "../table/functions.ts";
import {
  type Aggregation,
  type IntType,
  isAggregation,
  NONE,
  sizeOf,
  type StackMode,
  type Type,
  typeName,
  U64,
  U8,
} from "../types.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { literalSize } from "./expressions.ts";
import { parseInteger } from "../lexer.ts";
import { checkFormat } from "./formats.ts";
import { parseIpAddress } from "./ip-address.ts";
import { asInteger, isLiteralType } from "./promote.ts";
import { didYouMean } from "./reporter.ts";

/** Frames of a stack when the script does not say, and at most (linux: perf_event_max_stack allows more only by sysctl). */
const DEFAULT_FRAMES = 127;
const MAX_FRAMES = 1024;
/** Bytes of the longest text of an errno, and its NUL, rounded up. */
const ERROR_TEXT_SIZE = 64;
const MAX_LHIST_BUCKETS = 1000n;

/** The type of a call; undefined while it is not known or after a complaint. */
export function checkCall(c: ExpressionChecker, e: CallExpression): Type | undefined {
  const row = functionRow(e.name);
  if (!row) return builtinCall(c, e);
  c.unit.uses.add(row.name);
  if (!row.supported) {
    e.args.forEach((a) => c.type(a));
    return c.error(
      e.nameSpan,
      `not supported by this version of skep yet: ${e.name}()`,
      row.instead && `use ${row.instead} instead`,
    );
  }
  if (row.unsafe && !c.state.unsafe) {
    c.error(e.span, `${e.name}() is an unsafe function being used in safe mode`, "allow it with --unsafe");
  }
  const { provider } = c.unit;
  if (row.contexts && !row.contexts.includes(provider.context)) {
    return c.error(e.span, `${e.name} can not be used with "${provider.name}" probes`);
  }
  if (row.aggregation) {
    return c.error(e.span, `${e.name}() should be directly assigned to a map`, `write @x = ${functionSignature(row)};`);
  }
  if (!checkCount(c, e, row)) return undefined;
  const types = argumentTypes(c, e, row);
  return types && result(c, e, row, types);
}

/** A builtin written as a call: `pid()`. */
function builtinCall(c: ExpressionChecker, e: CallExpression): Type | undefined {
  const known = builtin(e.name);
  if (known && e.args.length === 0) {
    const expansion: Expression = { kind: "identifier", name: e.name, span: e.span };
    const type = c.type(expansion);
    e.expansion = expansion;
    return type;
  }
  if (known) return c.error(e.span, `${e.name}() requires no arguments (${e.args.length} provided)`);
  e.args.forEach((a) => c.type(a));
  if (!c.state.final) return undefined;
  return c.error(
    e.nameSpan,
    `Unknown function: ${e.name}`,
    didYouMean(nearestNames(e.name, [...functionNames(), ...builtinNames()])),
  );
}

function plural(n: number): string {
  return n === 0 ? "no arguments" : n === 1 ? "one argument" : `${n} arguments`;
}

/** Counts the arguments. */
function checkCount(c: ExpressionChecker, e: CallExpression, row: FunctionRow): boolean {
  const open = row.args.some((a) => a.kind === "rest");
  const least = row.args.filter((a) => !a.optional).length;
  const most = open ? 128 : row.args.length;
  const given = e.args.length + (e.typeArgument ? 1 : 0);
  let message = "";
  if (least === most && given !== least) message = `requires ${plural(least)}`;
  else if (given < least)
    message = least === 1 ? "requires at least one argument" : `requires at least ${least} arguments`;
  else if (given > most) message = most === 1 ? "takes up to one argument" : `takes up to ${plural(most)}`;
  if (message === "") return true;
  for (const a of e.args) if (a.kind !== "map") c.type(a);
  c.error(e.span, `${e.name}() ${message} (${given} provided)`, `write ${functionSignature(row)}`);
  return false;
}

/** Types of all arguments; `none` for words and maps. Undefined when one is not known or wrong. */
function argumentTypes(c: ExpressionChecker, e: CallExpression, row: FunctionRow): Type[] | undefined {
  const types: Type[] = [];
  let complete = true;
  for (const [i, argument] of e.args.entries()) {
    const spec = row.args[Math.min(i, row.args.length - 1)] ?? { name: "", kind: "any" as const };
    const type = checkArgument(c, e, argument, spec);
    if (!type) complete = false;
    types.push(type ?? NONE);
  }
  return complete ? types : undefined;
}

/** Type of one argument, checked against what the function takes. */
function checkArgument(
  c: ExpressionChecker,
  call: CallExpression,
  a: Expression,
  spec: FunctionArgument,
): Type | undefined {
  const { name } = call;
  const refuse = (type: Type, what: string, hint?: string): undefined =>
    c.error(a.span, `${name}() only supports ${what} (${describe(type)} provided)`, hint);
  switch (spec.kind) {
    case "word":
      return a.kind === "identifier" ? NONE : c.operand(a, `${name}()`);
    case "map": {
      if (a.kind !== "map") return c.error(a.span, `${name}() expects a map argument`, `write ${name}(@x)`);
      if (a.key) {
        c.key(a);
        return c.error(
          a.span,
          `The map passed to ${name}() should not be indexed by a key`,
          `write ${name}(@${a.name}${name === "has_key" ? ", key" : ""})`,
        );
      }
      return wholeMap(c, a);
    }
    case "map-entry": {
      if (a.kind !== "map") return c.error(a.span, `${name}() expects a map argument`, `write ${name}(@x, key)`);
      if (a.key === null) return wholeMap(c, a);
      c.key(a);
      return c.mapOf(a).value ?? c.undefinedMap(c.mapOf(a), a.span);
    }
    case "map-or-any":
      if (a.kind === "map" && a.key === null) return wholeMap(c, a);
      return c.value(a, `${name}()`);
    case "map-or-stack": {
      if (a.kind === "map" && a.key === null) return wholeMap(c, a);
      const type = c.type(a);
      if (type && type.kind !== "stack") return refuse(type, "maps and stacks");
      return type;
    }
    case "key":
      return keyArgument(c, call, a);
    case "any":
    case "rest":
    case "variable":
    case "type":
      return c.value(a, `${name}()`);
    case "format":
    case "string-literal":
      return textLiteral(c, call, a);
    default:
      break;
  }
  if (spec.kind === "text" && a.kind === "positional") return c.positional(a, true);
  const type = c.operand(a, `${name}()`);
  if (!type) return undefined;
  a.type ??= type;
  switch (spec.kind) {
    case "integer":
      return asInteger(type) ? type : refuse(type, "integer arguments");
    case "integer-literal":
      if (!asInteger(type)) return refuse(type, "integer arguments");
      if (typeof a.constant !== "bigint")
        return c.error(
          a.span,
          `${name}() expects a integer literal (${describe(type)} provided)`,
          "its value must be known when the script is compiled",
        );
      return type;
    case "string":
      return type.kind === "string"
        ? type
        : refuse(
            type,
            "string arguments",
            asInteger(type) || type.kind === "pointer" ? `read it first: ${name}(str(...))` : undefined,
          );
    case "address":
      return asInteger(type) || type.kind === "pointer" || type.kind === "ksym" || type.kind === "usym"
        ? type
        : refuse(type, "integer and pointer arguments");
    case "text":
      if (asInteger(type) || type.kind === "pointer" || type.kind === "string") return type;
      if (type.kind === "array" && sizeOf(type.of) === 1) return type;
      return c.error(
        a.span,
        `${name}() expects a string, integer or a pointer type as first argument (${describe(type)} provided)`,
      );
    case "bytes":
      if (
        asInteger(type) ||
        type.kind === "pointer" ||
        type.kind === "string" ||
        type.kind === "array" ||
        type.kind === "struct"
      )
        return type;
      return c.error(a.span, `${name}() expects an integer, string, or array argument but saw ${describe(type)}`);
    default:
      return type;
  }
}

/** A kind of value as messages of calls name it. */
function describe(type: Type): string {
  if (type.kind === "int") return "integer";
  if (type.kind === "string" || type.kind === "pointer" || type.kind === "tuple" || type.kind === "array")
    return type.kind;
  return typeName(type);
}

/** A map as a whole: with or without keys, whatever it is. */
function wholeMap(c: ExpressionChecker, a: MapExpression): Type | undefined {
  const map = c.mapOf(a);
  if (!map.value) return c.undefinedMap(map, a.span);
  a.type = map.value;
  return map.value;
}

/** The key in `delete(@m, k)` and `has_key(@m, k)`. */
function keyArgument(c: ExpressionChecker, call: CallExpression, a: Expression): Type | undefined {
  const first = call.args[0];
  const type = c.keyType([a], a.span);
  if (first?.kind !== "map" || !type) return type;
  const map = c.mapOf(first);
  if (first.key !== null) {
    return c.error(a.span, `${call.name}() takes a map and a key`, `write ${call.name}(@${first.name}, key)`);
  }
  if (map.keyed === false) {
    return c.error(
      first.span,
      `call to ${call.name}() expects a map with explicit keys (non-scalar map)`,
      `${map.name} has no keys`,
    );
  }
  if (c.state.useMap(map, true, first.span)) c.state.useKey(map, type, a.span);
  return type;
}

function textLiteral(c: ExpressionChecker, call: CallExpression, a: Expression): Type | undefined {
  const type = a.kind === "positional" ? c.positional(a, true) : c.type(a);
  if (!type) return undefined;
  a.type ??= type;
  if (typeof a.constant === "string") return type;
  const hint = call.name === "printf" ? 'write printf("%s\\n", ...)' : "write it in quotes";
  return c.error(a.span, `${call.name}() expects a string literal (${describe(type)} provided)`, hint);
}

function text(e: Expression | undefined): string {
  return typeof e?.constant === "string" ? e.constant : "";
}

function number(e: Expression | undefined, otherwise: bigint): bigint {
  return typeof e?.constant === "bigint" ? e.constant : otherwise;
}

/** The result of a call whose arguments are of these types. */
function result(c: ExpressionChecker, e: CallExpression, row: FunctionRow, types: readonly Type[]): Type | undefined {
  const special = SPECIAL.get(e.name);
  if (special && !special(c, e, types)) return undefined;
  if (typeof row.result !== "string") {
    if (row.args[0]?.kind === "format") checkFormat(c, e, types);
    return row.result;
  }
  const max = c.state.config.maxStrlen;
  const first = types[0] ?? NONE;
  switch (row.result) {
    case "str":
      return strResult(c, e, first, max);
    case "buf":
      return bufResult(c, e, first, max);
    case "kstack":
    case "ustack":
      return stackResult(c, e, row.result === "kstack" ? "kernel" : "user", types);
    case "ntop":
      return ntopResult(c, e, types);
    case "pton": {
      const bytes = parseIpAddress(text(e.args[0]));
      if (!bytes)
        return c.error(
          e.span,
          `pton() expects a valid IPv4/IPv6 address, got ${text(e.args[0])}`,
          'write pton("127.0.0.1") or pton("::1")',
        );
      e.constant = bytes;
      return { kind: "array", of: U8, length: bytes.length };
    }
    case "bswap": {
      const int = asInteger(first)!;
      return { kind: "int", size: isLiteralType(int) ? 8 : int.size, signed: false };
    }
    case "strftime": {
      const clock = clockOf(e.args[1]);
      return { kind: "timestamp", format: text(e.args[0]), clock };
    }
    case "cgroup-path":
      return { kind: "cgroup-path", filter: text(e.args[1]) };
    case "kptr":
    case "uptr": {
      const space = row.result === "kptr" ? "kernel" : "user";
      return first.kind === "pointer" ? { ...first, space } : { kind: "pointer", to: U8, space };
    }
    case "uaddr":
      return uaddrResult(c, e);
    case "macaddr":
      if ((first.kind === "array" || first.kind === "string") && sizeOf(first) < 6) {
        return c.error(e.span, "macaddr() argument must be at least 6 bytes in size");
      }
      if (e.args[0]!.kind === "string") return c.error(e.span, "macaddr() does not support literal string arguments");
      return { kind: "mac" };
    case "sizeof":
      return sizeofResult(c, e, types);
    case "offsetof":
      return offsetofResult(c, e, types);
    case "strerror":
      return { kind: "string", size: ERROR_TEXT_SIZE };
    case "getopt":
      return getoptResult(c, e);
    case "delete":
      return deleteResult(c, e);
    default:
      return NONE;
  }
}

function strResult(c: ExpressionChecker, e: CallExpression, first: Type, max: number): Type | undefined {
  let size = max;
  const length = e.args[1];
  if (length?.constant !== undefined && typeof length.constant === "bigint") {
    if (length.constant < 0n) return c.error(length.span, `str() cannot use negative length (${length.constant})`);
    if (length.constant + 1n > BigInt(max)) {
      c.warning(
        length.span,
        `length param (${length.constant}) is too long and will be shortened to ${max} bytes (see BPFTRACE_MAX_STRLEN)`,
      );
    } else size = Number(length.constant) + 1;
  }
  const argument = e.args[0]!;
  if (typeof argument.constant === "string") size = Math.min(size, literalSize(argument.constant));
  else if (first.kind === "string" || first.kind === "array")
    size = Math.min(size, sizeOf(first) + (first.kind === "array" ? 1 : 0));
  return { kind: "string", size };
}

function bufResult(c: ExpressionChecker, e: CallExpression, first: Type, max: number): Type | undefined {
  const length = e.args[1];
  let size = max;
  if (!length) {
    if (first.kind !== "array" && first.kind !== "string" && first.kind !== "struct") {
      return c.error(
        e.span,
        `buf() expects a length argument for non-array type ${describe(first)}`,
        "write buf(data, length)",
      );
    }
    size = sizeOf(first);
  } else if (typeof length.constant === "bigint") {
    if (length.constant < 0n) return c.error(length.span, `buf() cannot use negative length (${length.constant})`);
    if (length.constant === 0n) return c.error(length.span, "buf() of 0 bytes holds nothing");
    size = length.constant > BigInt(max) ? max : Number(length.constant);
  }
  return { kind: "buffer", size: Math.min(size, max) };
}

const STACK_MODES: readonly StackMode[] = ["bpftrace", "perf", "raw", "build_id"];

function stackResult(
  c: ExpressionChecker,
  e: CallExpression,
  of: "kernel" | "user",
  types: readonly Type[],
): Type | undefined {
  let mode: StackMode = c.state.config.stackMode;
  if (mode === "build_id" && of === "kernel") mode = "raw";
  let limit = DEFAULT_FRAMES;
  const args = [...e.args.entries()];
  const [first] = args[0] ?? [];
  if (first !== undefined && e.args[0]!.kind === "identifier") {
    const word = e.args[0]!;
    const found = word.kind === "identifier" ? STACK_MODES.find((m) => m === word.name) : undefined;
    if (!found) {
      const name = word.kind === "identifier" ? word.name : "";
      return c.error(
        word.span,
        `Invalid stack mode: ${name}`,
        didYouMean(nearestNames(name, STACK_MODES), `modes are ${STACK_MODES.join(", ")}`),
      );
    }
    if (found === "build_id" && of === "kernel") {
      return c.error(word.span, "'build_id' stack mode can only be used for ustack");
    }
    mode = found;
    args.shift();
  } else if (args.length > 1) {
    return c.error(e.args[0]!.span, `${e.name}: expected stack mode as first argument`, `write ${e.name}(perf, 5)`);
  }
  const [at, limitArgument] = args[0] ?? [];
  if (at !== undefined && limitArgument) {
    if (!asInteger(types[at]!) || typeof limitArgument.constant !== "bigint") {
      return c.error(limitArgument.span, `${e.name}() expects a integer literal (${describe(types[at]!)} provided)`);
    }
    if (limitArgument.constant < 1n || limitArgument.constant > BigInt(MAX_FRAMES)) {
      return c.error(
        limitArgument.span,
        `${e.name}([int limit]): limit shouldn't exceed ${MAX_FRAMES}, ${limitArgument.constant} given`,
      );
    }
    limit = Number(limitArgument.constant);
  }
  return { kind: "stack", of, mode, limit };
}

function ntopResult(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): Type | undefined {
  const address = types.at(-1)!;
  if (types.length === 2 && !asInteger(types[0]!)) {
    return c.error(
      e.args[0]!.span,
      `ntop() only supports integer arguments (${describe(types[0]!)} provided)`,
      "write ntop(AF_INET, address)",
    );
  }
  if (asInteger(address)) return { kind: "inet" };
  const bytes = address.kind === "struct" || address.kind === "array" || address.kind === "string";
  if (!bytes) {
    return c.error(
      e.span,
      `ntop() expects an integer or array argument, got ${describe(address)}`,
      address.kind === "pointer" ? "dereference it first" : undefined,
    );
  }
  const size = sizeOf(address);
  if (size !== 4 && size !== 16) return c.error(e.span, "ntop() argument must be 4 or 16 bytes in size");
  return { kind: "inet" };
}

/** The clock of a time that is read by `nsecs(...)`. */
function clockOf(e: Expression | undefined): "boot" | "monotonic" | "tai" | "sw_tai" {
  if (e?.kind === "call" && e.name === "nsecs") {
    const word = e.args[0];
    if (word?.kind === "identifier" && (word.name === "monotonic" || word.name === "tai" || word.name === "sw_tai")) {
      return word.name;
    }
  }
  return "boot";
}

function uaddrResult(c: ExpressionChecker, e: CallExpression): Type | undefined {
  const target = c.unit.targets[0];
  if (!target || (target.provider !== "uprobe" && target.provider !== "uretprobe")) return undefined;
  const name = text(e.args[0]);
  const binary = c.state.env.binaries(target.path, c.state.env.pid)[0];
  const symbol = binary?.find(name);
  if (!binary || !symbol) {
    const near =
      c.state.final && binary
        ? nearestNames(
            name,
            binary.functions().map((f) => f.name),
          )
        : [];
    return c.error(e.span, `Could not resolve symbol: ${target.path}:${name}`, didYouMean(near));
  }
  e.constant = symbol.address;
  const size = symbol.size === 1 || symbol.size === 2 || symbol.size === 4 ? symbol.size : 8;
  return { kind: "pointer", to: { kind: "int", size, signed: true }, space: "user" };
}

/** The type that `sizeof` and `offsetof` are about. */
function subject(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): Type | undefined {
  if (!e.typeArgument) return types[0];
  const t = e.typeArgument;
  // A bare name may be a constant.
  if (
    t.kind === "name" &&
    !t.keyword &&
    !c.state.types.byName(t.name, "none") &&
    t.name !== "string" &&
    t.name !== "buffer"
  ) {
    const constant = c.state.types.definitions.constant(t.name);
    if (constant) return constant.kind === "integer" ? U64 : { kind: "string", size: literalSize(constant.value) };
  }
  return c.written(t, c.unit.space);
}

function sizeofResult(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): Type | undefined {
  const type = subject(c, e, types);
  if (!type) return undefined;
  if (isAggregation(type)) return c.error(e.span, `sizeof() is not known for ${typeName(type)}`);
  e.constant = BigInt(sizeOf(type));
  return U64;
}

function offsetofResult(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): Type | undefined {
  let type = subject(c, e, types);
  if (!type) return undefined;
  let offset = 0;
  for (const name of e.fieldPath ?? []) {
    if (type.kind === "pointer" && offset === 0) type = type.to;
    if (type.kind !== "struct") return c.error(e.span, `'${typeName(type)}' is not a C type.`);
    const field = type.layout.field(name);
    if (!field) {
      c.state.types.missingField(type, name, e.span, c.state.reporter);
      return undefined;
    }
    if (field.bitfield) return c.error(e.span, `'${name}' is a bit field, which has no offset in bytes`);
    offset += field.byteOffset;
    ({ type } = field);
  }
  e.constant = BigInt(offset);
  return U64;
}

function deleteResult(c: ExpressionChecker, e: CallExpression): Type | undefined {
  const map = e.args[0] as MapExpression;
  const state = c.mapOf(map);
  if (e.args.length === 1 && map.key === null && state.keyed === true) {
    return c.error(
      e.span,
      `call to delete() expects a map without explicit keys (scalar map), or a key: ${state.name} has keys`,
      `write delete(${state.name}, key), or clear(${state.name}) for all`,
    );
  }
  if (e.args.length === 1 && map.key === null) c.state.useMap(state, false, map.span);
  return { kind: "bool" };
}

/** `getopt`: stands for a literal of the default's type. Without a default it is whether the option was given. */
function getoptResult(c: ExpressionChecker, e: CallExpression): Type | undefined {
  const name = text(e.args[0]);
  const given = c.state.env.named?.get(name);
  const otherwise = e.args[1];
  const { span } = e;
  const literal = (expansion: Expression): Type | undefined => {
    e.expansion = expansion;
    const type = c.type(expansion);
    if (expansion.constant !== undefined) e.constant = expansion.constant;
    return type;
  };
  if (otherwise && typeof otherwise.constant === "string") {
    return literal({ kind: "string", value: given ?? otherwise.constant, span });
  }
  if (!otherwise || otherwise.type?.kind === "bool") {
    const word = given ?? (otherwise?.constant === 1n ? "true" : "false");
    if (/^(?:true|1|)$/.test(word)) return literal({ kind: "boolean", value: true, span });
    if (/^(?:false|0)$/.test(word)) return literal({ kind: "boolean", value: false, span });
    return c.error(span, `option --${name}: '${word}' is not true or false`);
  }
  if (typeof otherwise.constant !== "bigint") {
    return c.error(
      otherwise.span,
      "getopt() expects a literal as default",
      'write getopt("name", 5), getopt("name", "text") or getopt("name", false)',
    );
  }
  if (given === undefined)
    return literal({ kind: "integer", value: otherwise.constant, text: String(otherwise.constant), span });
  const negative = given.startsWith("-");
  const parsed = parseInteger(negative ? given.slice(1) : given);
  if ("problem" in parsed) return c.error(span, `option --${name}: '${given}' is not a number`);
  const value = negative ? -parsed.value : parsed.value;
  return literal({ kind: "integer", value, text: given, span });
}

/** Checks that concern one function alone. False when the call is wrong. */
const SPECIAL: ReadonlyMap<string, (c: ExpressionChecker, e: CallExpression, types: readonly Type[]) => boolean> =
  new Map<string, (c: ExpressionChecker, e: CallExpression, types: readonly Type[]) => boolean>([
    ["print", checkPrint],
    ["kaddr", checkKaddr],
    ["cgroupid", checkCgroupid],
    ["signal", checkSignal],
    ["reg", checkRegister],
    ["nsecs", (c, e) => checkWord(c, e, ["boot", "monotonic", "tai", "sw_tai"], "timestamp mode")],
    ["pid", (c, e) => checkWord(c, e, ["curr_ns", "init"], "namespace")],
    ["tid", (c, e) => checkWord(c, e, ["curr_ns", "init"], "namespace")],
    [
      "comm",
      (c, e) =>
        e.args.length === 0 ||
        (c.error(
          e.span,
          "not supported by this version of skep yet: comm(pid)",
          "use comm, the name of the current thread",
        ),
        false),
    ],
    ["strncmp", checkStrncmp],
    ["fail", (c, e) => (c.error(e.span, text(e.args[0])), false)],
    ["kfunc_exist", checkKfunc],
    ["is_ptr", (_, e, t) => constantFlag(e, t[0]!.kind === "pointer")],
    ["is_str", (_, e, t) => constantFlag(e, t[0]!.kind === "string")],
    ["is_array", (_, e, t) => constantFlag(e, t[0]!.kind === "array")],
    ["is_integer", (_, e, t) => constantFlag(e, t[0]!.kind === "int")],
    ["is_unsigned_integer", (_, e, t) => constantFlag(e, isUnsigned(t[0]!))],
    ["is_literal", (_, e) => constantFlag(e, /^(?:integer|string|boolean)$/.test(e.args[0]!.kind))],
    [
      "strftime",
      (c, e) =>
        typeof e.args[1]!.constant !== "bigint" ||
        e.args[1]!.constant >= 0n ||
        (c.error(e.args[1]!.span, "strftime() can not use a negative timestamp"), false),
    ],
  ]);

function isUnsigned(type: Type): boolean {
  return type.kind === "int" && !(type as IntType).signed;
}

function constantFlag(e: CallExpression, value: boolean): boolean {
  e.constant = value ? 1n : 0n;
  return true;
}

function checkPrint(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): boolean {
  const value = e.args[0]!;
  if (value.kind === "map" && value.key === null) {
    for (const argument of e.args.slice(1)) {
      if (typeof argument.constant === "bigint" && argument.constant < 0n) {
        c.error(argument.span, "print() takes a top and a div that are not negative");
        return false;
      }
    }
    if (typeof e.args[2]?.constant === "bigint" && e.args[2].constant === 0n) {
      c.error(e.args[2].span, "print() can not divide by 0");
      return false;
    }
    return true;
  }
  if (e.args.length > 1) {
    c.error(
      e.span,
      "Non-map print() only takes 1 argument, 2 found".replace("2", String(e.args.length)),
      "top and div are for maps: print(@x, 5)",
    );
    return false;
  }
  const type = types[0]!;
  if (isAggregation(type) && value.kind !== "map") {
    c.error(e.span, `${typeName(type)} type passed to print() is not printable`);
    return false;
  }
  return true;
}

function checkKaddr(c: ExpressionChecker, e: CallExpression): boolean {
  const name = text(e.args[0]);
  const address = c.state.env.kernelSymbol(name);
  if (address !== undefined) {
    e.constant = BigInt.asIntN(64, address);
    return true;
  }
  c.error(
    e.span,
    `Failed to resolve kernel symbol: ${name}`,
    "symbols are in /proc/kallsyms; those of variables only in kernels built with CONFIG_KALLSYMS_ALL",
  );
  return false;
}

function checkCgroupid(c: ExpressionChecker, e: CallExpression): boolean {
  const path = text(e.args[0]);
  const id = c.state.env.cgroupId(path);
  if (id !== undefined) {
    e.constant = BigInt.asIntN(64, id);
    return true;
  }
  c.error(e.span, `cgroup not found: ${path}`, "give a directory under /sys/fs/cgroup");
  return false;
}

function checkSignal(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): boolean {
  const argument = e.args[0]!;
  if (typeof argument.constant === "string") {
    const name = argument.constant.toUpperCase();
    const value = SIGNALS[name.startsWith("SIG") ? name : `SIG${name}`];
    if (value === undefined) {
      const near = nearestNames(name, Object.keys(SIGNALS));
      c.error(
        argument.span,
        `${argument.constant} is not a valid signal`,
        didYouMean(near, "signals are listed by kill -l"),
      );
      return false;
    }
    e.constant = BigInt(value);
    return true;
  }
  if (!asInteger(types[0]!)) {
    c.error(
      argument.span,
      `signal() only supports string literals and integers (${describe(types[0]!)} provided)`,
      'write signal("KILL")',
    );
    return false;
  }
  if (typeof argument.constant === "bigint") {
    if (argument.constant < 1n || argument.constant > 64n) {
      c.error(argument.span, `${argument.constant} is not a valid signal, allowed range: [1,64]`);
      return false;
    }
    e.constant = argument.constant;
  }
  return true;
}

/** Registers by the names that bpftrace gives them. */
const REGISTER_NAMES: Readonly<Record<"x86_64" | "aarch64", readonly string[]>> = {
  x86_64: [
    "r15",
    "r14",
    "r13",
    "r12",
    "bp",
    "bx",
    "r11",
    "r10",
    "r9",
    "r8",
    "ax",
    "cx",
    "dx",
    "si",
    "di",
    "orig_ax",
    "ip",
    "cs",
    "flags",
    "sp",
    "ss",
  ],
  aarch64: [...Array.from({ length: 31 }, (_, i) => `r${i}`), "lr", "sp", "pc", "pstate"],
};

function checkRegister(c: ExpressionChecker, e: CallExpression): boolean {
  const name = text(e.args[0]);
  const names = REGISTER_NAMES[c.state.env.arch];
  if (names.includes(name)) return true;
  c.error(
    e.args[0]!.span,
    `'${name}' is not a valid register on this architecture (${c.state.env.arch})`,
    didYouMean(nearestNames(name, names), `registers are ${names.join(", ")}`),
  );
  return false;
}

function checkWord(c: ExpressionChecker, e: CallExpression, words: readonly string[], what: string): boolean {
  const [word] = e.args;
  if (!word || (word.kind === "identifier" && words.includes(word.name))) return true;
  const name = word.kind === "identifier" ? word.name : undefined;
  c.error(
    word.span,
    name === undefined ? `${e.name}() expects a ${what}` : `Invalid ${what}: ${name}`,
    didYouMean(nearestNames(name ?? "", words), `write one of ${words.join(", ")}`),
  );
  return false;
}

function checkStrncmp(c: ExpressionChecker, e: CallExpression): boolean {
  const length = e.args[2]!;
  if (number(length, 1n) > 0n) return true;
  c.error(length.span, `Builtin strncmp requires a positive length (${number(length, 0n)} provided)`);
  return false;
}

function checkKfunc(c: ExpressionChecker, e: CallExpression): boolean {
  return constantFlag(e, c.state.env.btf?.funcByName(text(e.args[0])) !== undefined);
}

/** `count()` and its like where they may stand: as the value of an assignment to a map. */
export function checkAggregation(c: ExpressionChecker, e: CallExpression, row: FunctionRow): Aggregation | undefined {
  c.unit.uses.add(row.name);
  if (!row.supported) {
    e.args.forEach((a) => c.type(a));
    return c.error(
      e.nameSpan,
      `not supported by this version of skep yet: ${e.name}()`,
      row.instead && `use ${row.instead} instead`,
    );
  }
  if (!checkCount(c, e, row)) return undefined;
  const types = argumentTypes(c, e, row);
  if (!types) return undefined;
  const first = types[0];
  const int = first && asInteger(first);
  const type = aggregationType(c, e, int?.signed ?? false);
  if (type) e.type = type;
  return type;
}

function aggregationType(c: ExpressionChecker, e: CallExpression, signed: boolean): Aggregation | undefined {
  switch (e.name) {
    case "count":
      return { kind: "count" };
    case "sum":
    case "min":
    case "max":
    case "avg":
    case "stats":
      return { kind: e.name, signed };
    case "hist": {
      const bits = number(e.args[1], 0n);
      if (bits < 0n || bits > 5n) return c.error(e.args[1]!.span, `hist: bits ${bits} must be 0..5`);
      return { kind: "hist", bits: Number(bits) };
    }
    case "lhist": {
      const [, minimum, maximum, width] = e.args;
      const min = number(minimum, 0n);
      const max = number(maximum, 0n);
      const step = number(width, 0n);
      if (step < 1n) return c.error(e.span, `lhist() step must be >= 1 (${step} provided)`);
      if (min < 0n) return c.error(e.span, "lhist() min must be non-negative");
      if (min >= max) {
        return c.error(e.span, `lhist() min must be less than max (provided min ${min} and max ${max})`);
      }
      if (max - min < step) {
        return c.error(
          e.span,
          `lhist() step is too large for the given range (provided step ${step} for range ${max - min})`,
        );
      }
      const buckets = (max - min + step - 1n) / step;
      if (buckets > MAX_LHIST_BUCKETS) {
        return c.error(
          e.span,
          `lhist() too many buckets, must be <= ${MAX_LHIST_BUCKETS} (would need ${buckets})`,
          `a step of ${(max - min + MAX_LHIST_BUCKETS - 1n) / MAX_LHIST_BUCKETS} would do`,
        );
      }
      return { kind: "lhist", min: Number(min), max: Number(max), step: Number(step) };
    }
    default:
      return undefined;
  }
}
