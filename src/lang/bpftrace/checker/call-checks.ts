/** Checks of calls that concern one function alone. */
import { nearestNames } from "../../../base/index.ts";
import type { CallExpression } from "../ast.ts";
import { SIGNALS } from "../table/constants.ts";
import { isAggregation, type Type, typeName } from "../types.ts";
import { describe, number, text } from "./call-arguments.ts";
import type { ExpressionChecker } from "./expressions.ts";
import { asInteger } from "./promote.ts";
import { didYouMean } from "./reporter.ts";

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
  return type.kind === "int" && !type.signed;
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

/** Runs the check of a function that has one of its own. False when the call is wrong. */
export function specialCheck(c: ExpressionChecker, e: CallExpression, types: readonly Type[]): boolean {
  return SPECIAL.get(e.name)?.(c, e, types) ?? true;
}
