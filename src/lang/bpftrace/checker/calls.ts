/** Calls: whether they may stand where they do, and whether the arguments fit. */
import { nearestNames } from "../../../base/index.ts";
import type { CallExpression, Expression, MapExpression } from "../ast.ts";
import { builtin, builtinNames } from "../table/builtins.ts";
import {
  type FunctionArgument,
  functionNames,
  type FunctionRow,
  functionRow,
  functionSignature,
} from "../table/functions.ts";
import { NONE, sizeOf, type Type } from "../types.ts";
import { describe } from "./call-arguments.ts";
import { callResult } from "./call-results.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { asInteger } from "./promote.ts";
import { didYouMean } from "./reporter.ts";

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
  return types && callResult(c, e, row, types);
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
export function checkCount(c: ExpressionChecker, e: CallExpression, row: FunctionRow): boolean {
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
export function argumentTypes(c: ExpressionChecker, e: CallExpression, row: FunctionRow): Type[] | undefined {
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
      if (a.kind === "map" && a.key === null) {
        if (c.mapOf(a).keyed !== false) return wholeMap(c, a);
        return c.error(
          a.span,
          `call to ${name}() expects a map with explicit keys (non-scalar map)`,
          `@${a.name} has no keys`,
        );
      }
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
      c.noteProbeText(type);
      return type.kind === "string" || type.kind === "probe-name"
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
