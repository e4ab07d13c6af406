/** What calls give: types that depend on the arguments, and values that are known when the script is compiled. */
import { nearestNames } from "../../../base/index.ts";
import type { CallExpression, Expression, MapExpression } from "../ast.ts";
import { parseInteger } from "../lexer.ts";
import type { FunctionRow } from "../table/functions.ts";
import { isAggregation, NONE, sizeOf, type StackMode, type Type, typeName, U64, U8 } from "../types.ts";
import { describe, text } from "./call-arguments.ts";
import { specialCheck } from "./call-checks.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { checkFormat } from "./formats.ts";
import { parseIpAddress } from "./ip-address.ts";
import { literalSize } from "./operators.ts";
import { asInteger, isLiteralType } from "./promote.ts";
import { didYouMean } from "./reporter.ts";

/** Frames of a stack when the script does not say, and at most (linux: perf_event_max_stack allows more only by sysctl). */
const DEFAULT_FRAMES = 127;
const MAX_FRAMES = 1024;
/** Bytes of the longest text of an errno, and its NUL, rounded up. */
const ERROR_TEXT_SIZE = 64;

/** The result of a call whose arguments are of these types. */
export function callResult(
  c: ExpressionChecker,
  e: CallExpression,
  row: FunctionRow,
  types: readonly Type[],
): Type | undefined {
  if (!specialCheck(c, e, types)) return undefined;
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

/** From this `max_strlen` on, bpftrace leaves no room to tell cut text from text that just fits. */
const UNMARKED_STRLEN = 1024;

function strResult(c: ExpressionChecker, e: CallExpression, first: Type, max: number): Type | undefined {
  const marksCut = max < UNMARKED_STRLEN;
  let size = marksCut ? max + 1 : max;
  const length = e.args[1];
  if (length?.constant !== undefined && typeof length.constant === "bigint") {
    if (length.constant < 0n) return c.error(length.span, `str() cannot use negative length (${length.constant})`);
    if (length.constant + 1n > BigInt(max)) {
      c.warning(
        length.span,
        `length param (${length.constant}) is too long and will be shortened to ${max} bytes (see BPFTRACE_MAX_STRLEN)`,
      );
    } else {
      // The length counts the closing NUL.
      size = Math.max(1, Number(length.constant));
    }
  }
  const argument = e.args[0]!;
  if (typeof argument.constant === "string") {
    size = Math.min(size, literalSize(argument.constant));
    // Cut text is not known by characters, as it is cut by bytes.
    if (size === literalSize(argument.constant)) e.constant = argument.constant;
  } else if (first.kind === "string" || first.kind === "array")
    size = Math.min(size, sizeOf(first) + (first.kind === "array" ? 1 : 0));
  return marksCut && size === max + 1 ? { kind: "string", size, marksCut } : { kind: "string", size };
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
    if (found === "build_id") {
      return of === "kernel"
        ? c.error(word.span, "'build_id' stack mode can only be used for ustack")
        : c.error(
            word.span,
            "not supported by this version of skep yet: stack mode build_id",
            "use raw, or perf, which names the binary",
          );
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
  const symbol = binary?.variable?.(name) ?? binary?.find(name);
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
  if (!binary.isRelocatable) e.constant = symbol.address;
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
    const constant: Expression = { kind: "identifier", name: t.name, span: t.span };
    if (c.isConstantName(t.name)) return c.type(constant);
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
    const word = given?.toLowerCase() ?? (otherwise?.constant === 1n ? "true" : "false");
    if (/^(?:true|1|)$/.test(word)) return literal({ kind: "boolean", value: true, span });
    if (/^(?:false|0)$/.test(word)) return literal({ kind: "boolean", value: false, span });
    return c.error(span, `option --${name}: '${given ?? word}' is not true or false`);
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
