/** Formats of printf and its like against the arguments behind them. */
import type { CallExpression } from "../ast.ts";
import { type FormatPiece, parseFormat } from "../printf.ts";
import type { Type } from "../types.ts";
import { typeName } from "../types.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { asInteger } from "./promote.ts";

type Conversion = Extract<FormatPiece, { kind: "conversion" }>;

/** What `%s` prints. */
const AS_TEXT: ReadonlySet<Type["kind"]> = new Set<Type["kind"]>([
  "string",
  "ksym",
  "usym",
  "inet",
  "username",
  "stack",
  "timestamp",
  "probe-name",
  "mac",
  "cgroup-path",
  "bool",
]);

/** The conversions of a kind of argument, for hints. */
function fitting(type: Type): string {
  if (AS_TEXT.has(type.kind)) return "%s";
  if (type.kind === "buffer") return "%r";
  if (type.kind === "pointer") return "%p or %x";
  if (type.kind === "int") return type.signed ? "%d" : "%u";
  return "%d";
}

function describe(type: Type): string {
  if (type.kind === "int") return "integer";
  return type.kind === "string" || type.kind === "pointer" || type.kind === "buffer" ? type.kind : typeName(type);
}

/** What a conversion wants, where the argument is not that; undefined when it fits. */
function mismatch(piece: Conversion, type: Type): string | undefined {
  switch (piece.conversion) {
    case "s":
      if (AS_TEXT.has(type.kind) || (type.kind === "int" && type.enum)) return undefined;
      if (type.kind === "array" && type.of.kind === "int" && type.of.size === 1) return undefined;
      return "string";
    case "r":
    case "rx":
    case "rh":
      return type.kind === "buffer" ? undefined : "buffer";
    default:
      if (asInteger(type) || type.kind === "pointer") return undefined;
      if (
        (piece.conversion === "x" || piece.conversion === "X" || piece.conversion === "p") &&
        (type.kind === "ksym" || type.kind === "usym")
      ) {
        return undefined;
      }
      return piece.conversion === "p" ? "pointer" : "integer";
  }
}

/** Checks the format of a call and its arguments; `types` are those of all arguments, the format's first. */
export function checkFormat(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): void {
  const format = e.args[0]!;
  if (typeof format.constant !== "string") return;
  const { pieces, argumentCount, problem } = parseFormat(format.constant);
  if (problem) {
    c.error(format.span, `${e.name}: ${problem.message}`, "a percent sign itself is written %%");
    return;
  }
  const given = types.length - 1;
  if (given !== argumentCount) {
    const word = given < argumentCount ? "Not enough" : "Too many";
    c.error(e.span, `${e.name}: ${word} arguments for format string (${given} supplied, ${argumentCount} expected)`);
    return;
  }
  for (const piece of pieces) {
    if (piece.kind !== "conversion") continue;
    for (const at of [piece.widthArgument, piece.precisionArgument]) {
      if (at !== null && !asInteger(types[at + 1]!)) {
        c.error(
          e.args[at + 1]!.span,
          `${e.name}: * expects a value of type integer (${describe(types[at + 1]!)} supplied)`,
        );
      }
    }
    const type = types[piece.argument + 1]!;
    const wanted = mismatch(piece, type);
    if (wanted === undefined) continue;
    const hint =
      wanted === "string" && (type.kind === "pointer" || type.kind === "int")
        ? "text is read from an address by str(); numbers are printed by %d, %u or %x"
        : `it is printed by ${fitting(type)}`;
    c.error(
      e.span,
      `${e.name}: %${piece.conversion} specifier expects a value of type ${wanted} (${describe(type)} supplied)`,
      hint,
    );
  }
}
