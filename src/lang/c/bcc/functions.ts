/** Functions that only BCC's dialect has, as what they do. */
import type { Expr, FunctionDecl } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { sizeOf } from "../types/layout.ts";
import { INT, UNSIGNED_INT, UNSIGNED_LONG, UNSIGNED_LONG_LONG, shapeOf } from "../types/types.ts";
import { callFunction, callHelper, cast, convert, integer } from "./build.ts";
import type { BccOptions } from "./options.ts";
import { DIALECT_FUNCTION } from "./prelude.ts";
import { checkFormat } from "./printk.ts";
import { readArgument } from "./usdt.ts";

/** What these functions need of the pass that they are part of. */
export interface FunctionsHost {
  readonly diagnostics: Diagnostics;
  readonly options: BccOptions;
  /** The function that calls. */
  readonly func: FunctionDecl;
  /** A part of the call as it is to be. */
  expr(expr: Expr): Expr;
  /** The context of the program that the calling function is, or is handed. Undefined after an error. */
  context(location: number): Expr | undefined;
  /** A function of the prelude. */
  own(name: string): FunctionDecl | undefined;
}

type Call = Expr & { readonly kind: "call" };

function tracePrintk(host: FunctionsHost, call: Call): Expr {
  const [format, ...rest] = call.args as [Expr, ...Expr[]];
  const { location } = call;
  let at = format;
  while (at.kind === "cast") at = at.operand;
  const args = rest.map((arg) => host.expr(arg));
  if (at.kind !== "string") {
    // As the helper itself is called: a text in memory and its size.
    return callHelper(host.diagnostics, "bpf_trace_printk", [host.expr(format), ...args], location);
  }
  checkFormat(host.diagnostics, at.bytes, args.length, at.location);
  const size = integer(at.bytes.length, UNSIGNED_INT, location);
  return callHelper(host.diagnostics, "bpf_trace_printk", [format, size, ...args], location);
}

/** The value as it was before it became a 64-bit argument. */
function asWritten(arg: Expr): Expr {
  let at = arg;
  while (at.kind === "cast" && at.implicit && (at.cast === "integer" || at.cast === "none")) at = at.operand;
  return at;
}

/** Both checksums: the flags hold the size of what changes. */
function checksum(host: FunctionsHost, call: Call, own: string): Expr {
  const { location } = call;
  const context = host.context(location);
  const func = host.own(own);
  if (context === undefined || func === undefined) return integer(0, INT, location);
  const size = integer(sizeOf(asWritten(call.args[2]!).type) ?? 8, UNSIGNED_LONG_LONG, location);
  const [off, before, after, pseudo] = call.args.map((arg) => host.expr(arg));
  const offset = convert(off!, UNSIGNED_LONG_LONG);
  return callFunction(
    func,
    [context, offset, before!, after!, size, ...(pseudo === undefined ? [] : [pseudo])],
    location,
  );
}

function numCpus({ options }: FunctionsHost, call: Call): Expr {
  return integer(options.onlineCpus ?? 1, INT, call.location);
}

function usdtIndex(host: FunctionsHost, call: Call): number | undefined {
  const index = constantInteger(call.args[0]!);
  if (index === undefined)
    host.diagnostics.error(call.args[0]!.location, "the number of an argument of a static probe must be constant");
  return index === undefined ? undefined : Number(index);
}

function readUsdt(host: FunctionsHost, call: Call): Expr {
  const index = usdtIndex(host, call);
  if (index === undefined) return integer(0, INT, call.location);
  return (
    readArgument(host, call, index, host.expr(call.args[1]!), host.expr(call.args[2]!)) ??
    integer(0, INT, call.location)
  );
}

function readUsdtPointer(host: FunctionsHost, call: Call): Expr {
  const index = usdtIndex(host, call);
  const { location } = call;
  const context = host.expr(call.args[1]!);
  const address = index === undefined ? undefined : readArgument(host, call, index, context, undefined);
  if (address === undefined) return integer(0, INT, location);
  const [buffer, size] = [host.expr(call.args[2]!), host.expr(call.args[3]!)];
  const read = callHelper(
    host.diagnostics,
    "bpf_probe_read_user",
    [buffer, cast(size, UNSIGNED_LONG, "integer"), address],
    location,
  );
  return convert(read, INT);
}

const functions: Readonly<Record<string, (host: FunctionsHost, call: Call) => Expr>> = {
  bpf_trace_printk: tracePrintk,
  incr_cksum_l3: (host, call) => checksum(host, call, "__bcc_checksum_l3"),
  incr_cksum_l4: (host, call) => checksum(host, call, "__bcc_checksum_l4"),
  bpf_num_cpus: numCpus,
  bpf_usdt_readarg: readUsdt,
  bpf_usdt_readarg_p: readUsdtPointer,
};

/** True for a function that {@link lowerFunction} takes. */
export function isDialectFunction(func: FunctionDecl): boolean {
  return func.attributes.assemblerName?.startsWith(DIALECT_FUNCTION) === true;
}

/** A call of one of the dialect's own functions as what it does. */
export function lowerFunction(host: FunctionsHost, call: Call, func: FunctionDecl): Expr {
  const made = functions[func.attributes.assemblerName!.slice(DIALECT_FUNCTION.length)]!(host, call);
  return shapeOf(made.type).kind === "void" ? made : convert(made, call.type);
}
