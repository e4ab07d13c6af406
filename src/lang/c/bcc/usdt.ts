/** `bpf_usdt_readarg`: arguments of static probes, each in a register, in memory or constant, as the probe's note says. */
import type { UsdtRegister } from "../../../object/index.ts";
import type { Expr, FunctionDecl, Stmt } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { CHAR, type CType, INT, UNSIGNED_LONG, integerTypes, pointerTo, shapeOf } from "../types/types.ts";
import {
  U64,
  VOID_POINTER,
  assign,
  binary,
  cast,
  convert,
  declare,
  dereference,
  integer,
  load,
  local,
  statement,
  statements,
  variable,
  voidAddress,
  when,
} from "./build.ts";
import type { BccOptions, BccUsdtPlace } from "./options.ts";
import { readInto } from "./reads.ts";

/** What reading needs of the pass that it is part of. */
export interface UsdtHost {
  readonly diagnostics: Diagnostics;
  readonly options: BccOptions;
  readonly func: FunctionDecl;
}

/** Byte offset of the instruction pointer in `struct pt_regs` (x86-64) and `struct user_pt_regs` (arm64): 16 and 32 words in. */
const INSTRUCTION_POINTERS = { x86_64: 128, arm64: 256 } as const;

/** A register of the context, shifted to the part that is named. */
function register(context: Expr, { offset }: UsdtRegister): Expr {
  return word(context, offset);
}

function word(context: Expr, offset: number): Expr {
  const { location } = context;
  const start = offset & ~7;
  const bytes = cast(context, pointerTo(CHAR), "pointer");
  const at = binary("+", bytes, integer(start, UNSIGNED_LONG, location));
  const value = load(dereference(at, U64));
  if (start === offset) return value;
  return binary(">>", value, integer((offset - start) * 8, INT, location), U64);
}

/** The integer type of a size and sign. */
function typeOf(size: number, signed: boolean): CType {
  return integerTypes.find((type) => type.bits === size * 8 && type.signed === signed) ?? U64;
}

/** Statements that put the argument at one place into `into`, a `u64`. */
function readAt(host: UsdtHost, { argument }: BccUsdtPlace, context: Expr, into: () => Expr, location: number): Stmt[] {
  const type = typeOf(argument.size, argument.isSigned);
  const sized = (value: Expr): Stmt => statement(assign(into(), convert(convert(value, type), U64)));
  switch (argument.kind) {
    case "constant":
      return [sized(integer(argument.value, U64, location))];
    case "register":
      return [sized(register(context, argument.register))];
    case "memory": {
      if (argument.symbol !== undefined) {
        host.diagnostics.error(location, `the argument ${argument.text} is at a symbol, whose address is not known`);
        return [];
      }
      let address: Expr = integer(argument.offset, U64, location);
      if (argument.base !== undefined) address = binary("+", address, register(context, argument.base));
      if (argument.index !== undefined) {
        const index = register(context, argument.index);
        address = binary("+", address, binary("*", index, integer(argument.scale, U64, location)));
      }
      const value = local("value", type, location, integer(0, type, location));
      const read = readInto(
        voidAddress(variable(value, location)),
        integer(argument.size, UNSIGNED_LONG, location),
        convert(address, VOID_POINTER),
        "user",
      );
      return [declare(value), read, sized(load(variable(value, location)))];
    }
    default:
      host.diagnostics.error(location, `the argument ${argument.text} cannot be read: ${argument.reason}`);
      return [];
  }
}

/**
 * Reads argument `index` and stores it to where `to` points, giving 0; or gives its value when there is no `to`. Undefined after an error.
 */
export function readArgument(
  host: UsdtHost,
  call: Expr & { readonly kind: "call" },
  index: number,
  context: Expr,
  to: Expr | undefined,
): Expr | undefined {
  const { location } = call;
  const { name } = host.func;
  const places = host.options.usdtArgument?.(name, index);
  if (places === undefined || places.length === 0) {
    host.diagnostics.error(location, `argument ${index} of the static probes that ${name} is enabled on is not known`, {
      hint: "enable the probe on the function before the program is compiled",
    });
    return undefined;
  }
  const value = local("argument", U64, location, integer(0, U64, location));
  const target = (): Expr => variable(value, location);
  const regs = local("regs", VOID_POINTER, location, convert(context, VOID_POINTER));
  const registers = (): Expr => load(variable(regs, location));
  const body: Stmt[] = [declare(value), declare(regs)];
  for (const place of places) {
    const read = readAt(host, place, registers(), target, location);
    if (place.address === undefined) body.push(...read);
    else {
      const pointer = word(registers(), INSTRUCTION_POINTERS[host.options.arch ?? "x86_64"]);
      body.push(when(binary("==", pointer, integer(place.address, U64, location), INT), read));
    }
  }
  if (to === undefined) return statements(body, load(target()), location);
  let at = to;
  while (at.kind === "cast" && at.cast === "pointer") at = at.operand;
  const shape = shapeOf(at.type);
  const type = shape.kind === "pointer" ? shapeOf(shape.to) : undefined;
  const scalar = type?.kind === "integer" || type?.kind === "pointer" || type?.kind === "bool" || type?.kind === "enum";
  const stored = scalar && shape.kind === "pointer" ? shape.to : U64;
  body.push(statement(assign(dereference(at, stored), convert(load(target()), stored))));
  return statements(body, integer(0, INT, location), location);
}
