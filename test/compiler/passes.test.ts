import { describe, expect, it } from "vitest";
import { checkModule, kernelTarget, parseModule, printFunction } from "../../src/compiler/index.ts";
import type { Func, Module } from "../../src/compiler/index.ts";
import { simplifyCfg } from "../../src/compiler/passes/cfg.ts";
import { removeDead } from "../../src/compiler/passes/dce.ts";
import { removeDeadStores } from "../../src/compiler/passes/dse.ts";
import { fold } from "../../src/compiler/passes/fold.ts";
import { mergeExpressions } from "../../src/compiler/passes/gvn.ts";
import { initialiseInputs } from "../../src/compiler/passes/initialise.ts";
import { inlineCalls } from "../../src/compiler/passes/inline.ts";
import { lower } from "../../src/compiler/passes/lower.ts";
import { hoistInvariants, unrollLoops } from "../../src/compiler/passes/loops.ts";
import { promote } from "../../src/compiler/passes/promote.ts";
import { propagateConstants } from "../../src/compiler/passes/sccp.ts";

const HEAD = `module test license "GPL"
map m type 1 key 8 value 8 entries 1 flags 0
map a type 2 key 4 value 64 entries 1 flags 0
`;

/** A function's body, in and out: lines without indentation, values numbered in order of appearance. */
function body(func: Func): string {
  const text = printFunction(func, { positions: false }).split("\n").slice(1, -1);
  const names = new Map<string, string>();
  return text
    .map((line) =>
      line.trim().replace(/%(\d+)\b/g, (all) => {
        if (!names.has(all)) names.set(all, `%${names.size}`);
        return names.get(all)!;
      }),
    )
    .join("\n");
}

const lines = (text: string): string =>
  text
    .trim()
    .split("\n")
    .map((l) => l.trim())
    .join("\n");

type Pass = (func: Func, module: Module) => unknown;
type Case = readonly [name: string, passes: readonly Pass[], before: string, after: string];

const constant = (text: string): string => `entry:\nreturn ${text}`;
const binary = (op: string, type: string, a: string, b: string): string =>
  type === "i64"
    ? `entry:\n%r = ${op} i64 ${a}, ${b}\nreturn %r`
    : `entry:\n%q = ${op} i32 ${a}, ${b}\n%r = zext i64 %q bits 32\nreturn %r`;

const CASES: readonly Case[] = [
  ["adds constants", [fold], binary("add", "i64", "2", "-5"), constant("-3")],
  ["wraps at 32 bits", [fold], binary("mul", "i32", "65536", "65536"), constant("0")],
  ["divides by zero to 0", [fold], binary("udiv", "i64", "7", "0"), constant("0")],
  ["remainder by zero is the dividend", [fold], binary("srem", "i64", "-7", "0"), constant("-7")],
  ["shifts by the low bits of the amount", [fold], binary("shl", "i64", "1", "65"), constant("2")],
  [
    "lowest number by -1 wraps",
    [fold],
    binary("sdiv", "i64", "-9223372036854775808", "-1"),
    constant("-9223372036854775808"),
  ],
  [
    "multiplication by a power becomes a shift",
    [fold],
    "entry:\n%x = load i64 [%ctx] bits 64\n%r = mul i64 8, %x\nreturn %r",
    "entry:\n%0 = load i64 [%ctx] bits 64\n%1 = shl i64 %0, 3\nreturn %1",
  ],
  [
    "chains of constants join",
    [fold, removeDead],
    "entry:\n%x = load i64 [%ctx] bits 64\n%y = add i64 %x, 3\n%r = sub i64 %y, 5\nreturn %r",
    "entry:\n%0 = load i64 [%ctx] bits 64\n%1 = add i64 %0, -2\nreturn %1",
  ],
  [
    "a mask of what a load clears goes",
    [fold, removeDead],
    "entry:\n%x = load i64 [%ctx] bits 8\n%r = and i64 %x, 255\nreturn %r",
    "entry:\n%0 = load i64 [%ctx] bits 8\nreturn %0",
  ],
  [
    "a mask stays where only we could know its idleness: the verifier forgets shifts by unknown amounts",
    [fold],
    "entry:\n%x = load i64 [%ctx] bits 8\n%y = load i64 [%ctx + 8] bits 64\n%z = lshr i64 %x, %y\n%r = and i64 %z, 255\nreturn %r",
    "entry:\n%0 = load i64 [%ctx] bits 8\n%1 = load i64 [%ctx + 8] bits 64\n%2 = lshr i64 %0, %1\n%3 = and i64 %2, 255\nreturn %3",
  ],
  [
    "a load that feeds a sign extension extends by itself",
    [fold],
    "entry:\n%x = load i64 [%ctx] bits 32\n%r = sext i64 %x bits 32\nreturn %r",
    "entry:\n%0 = load i64 [%ctx] bits 32 signed\nreturn %0",
  ],
  [
    "a variable becomes a value, joined by a phi",
    [promote],
    `entry:
     %v = alloca 8 align 8
     store [%v] 1 bits 64
     %c = icmp eq ptr %ctx, null
     branch %c, a, b
     a:
     store [%v] 2 bits 64
     jump b
     b:
     %r = load i64 [%v] bits 64
     return %r`,
    `entry:
     %0 = alloca 8 align 8
     %1 = icmp eq ptr %ctx, null
     branch %1, a, b
     a:
     jump b
     b:
     %2 = phi i64 [entry: 1], [a: 2]
     return %2`,
  ],
  [
    "a variable whose address goes to a helper stays in memory",
    [promote],
    `entry:
     %v = alloca 8 align 8
     store [%v] 1 bits 64
     %m = mapref @m
     %r = helper i64 map_delete_elem(%m, %v)
     return %r`,
    `entry:
     %0 = alloca 8 align 8
     store [%0] 1 bits 64
     %1 = mapref @m
     %2 = helper i64 map_delete_elem(%1, %0)
     return %2`,
  ],
  [
    "a loop's constant is found through its phi, and its branch goes one way",
    [propagateConstants, simplifyCfg],
    `entry:
     jump head
     head:
     %x = phi i64 [entry: 1], [body: %y]
     %c = icmp eq i64 %x, 1
     branch %c, body, out
     body:
     %y = mul i64 %x, 1
     jump head
     out:
     return 0`,
    `entry:
     jump body
     body:
     jump body`,
  ],
  [
    "short-circuit and: each half goes straight to its end",
    [promote, fold, removeDead, simplifyCfg, fold, removeDead],
    `entry:
     %f = alloca 1 align 1
     %x = load i64 [%ctx] bits 64
     %c = icmp ugt i64 %x, 5
     store [%f] 0 bits 8
     branch %c, second, join
     second:
     %y = load i64 [%ctx + 8] bits 64
     %d = icmp ugt i64 %y, 6
     %z = zext i64 %d bits 1
     store [%f] %z bits 8
     jump join
     join:
     %l = load i64 [%f] bits 8
     %e = icmp ne i64 %l, 0
     branch %e, yes, no
     yes:
     %m = mapref @m
     %r = helper i64 map_delete_elem(%m, %ctx)
     return %r
     no:
     return 0`,
    `entry:
     %0 = load i64 [%ctx] bits 64
     %1 = icmp ugt i64 %0, 5
     branch %1, second, no
     second:
     %2 = load i64 [%ctx + 8] bits 64
     %3 = icmp ugt i64 %2, 6
     branch %3, yes, no
     yes:
     %4 = mapref @m
     %5 = helper i64 map_delete_elem(%4, %ctx)
     return %5
     no:
     return 0`,
  ],
  [
    "a diamond of values selects",
    [simplifyCfg],
    `entry:
     %x = load i64 [%ctx] bits 64
     %c = icmp ugt i64 %x, 5
     branch %c, a, b
     a:
     jump j
     b:
     jump j
     j:
     %r = phi i64 [a: 1], [b: %x]
     return %r`,
    `entry:
     %0 = load i64 [%ctx] bits 64
     %1 = icmp ugt i64 %0, 5
     %2 = select i64 %1, 1, %0
     return %2`,
  ],
  [
    "equal expressions merge; a condition is known on its sides",
    [mergeExpressions, simplifyCfg],
    `entry:
     %x = load i64 [%ctx] bits 64
     %c = icmp eq i64 %x, 0
     branch %c, a, b
     a:
     return 1
     b:
     %y = load i64 [%ctx] bits 64
     %d = icmp ne i64 %y, 0
     branch %d, e, a2
     a2:
     return 2
     e:
     return 3`,
    `entry:
     %0 = load i64 [%ctx] bits 64
     %1 = icmp eq i64 %0, 0
     branch %1, a, e
     a:
     return 1
     e:
     return 3`,
  ],
  [
    "a map's value is read again behind a store that may change it, not behind one to the frame",
    [mergeExpressions],
    `entry:
     %k = alloca 8 align 8
     %p = mapvalue @a
     %q = load ptr [%ctx] bits 64
     %x = load i64 [%p] bits 64
     store [%k] 5 bits 64
     %y = load i64 [%p] bits 64
     store [%q] 5 bits 64
     %z = load i64 [%p] bits 64
     %s = add i64 %x, %y
     %r = add i64 %s, %z
     return %r`,
    `entry:
     %0 = alloca 8 align 8
     %1 = mapvalue @a
     %2 = load ptr [%ctx] bits 64
     %3 = load i64 [%1] bits 64
     store [%0] 5 bits 64
     store [%2] 5 bits 64
     %4 = load i64 [%1] bits 64
     %5 = add i64 %3, %3
     %6 = add i64 %5, %4
     return %6`,
  ],
  [
    "one call tells the pid twice",
    [mergeExpressions],
    `entry:
     %x = helper i64 get_current_pid_tgid()
     %y = helper i64 get_current_pid_tgid()
     %r = sub i64 %x, %y
     return %r`,
    `entry:
     %0 = helper i64 get_current_pid_tgid()
     %1 = sub i64 %0, %0
     return %1`,
  ],
  [
    "a store that is overwritten before the helper reads goes",
    [removeDeadStores],
    `entry:
     %k = alloca 8 align 8
     memset [%k] 0 size 8
     store [%k] 5 bits 64
     %m = mapref @m
     %r = helper i64 map_delete_elem(%m, %k)
     store [%k] 6 bits 64
     return %r`,
    `entry:
     %0 = alloca 8 align 8
     store [%0] 5 bits 64
     %1 = mapref @m
     %2 = helper i64 map_delete_elem(%1, %0)
     return %2`,
  ],
  [
    "padding that a helper reads is zeroed",
    [initialiseInputs],
    `entry:
     %k = alloca 8 align 8
     store [%k] 5 bits 32
     %m = mapref @m
     %r = helper i64 map_delete_elem(%m, %k)
     return %r`,
    `entry:
     %0 = alloca 8 align 8
     store [%0 + 4] 0 bits 32
     store [%0] 5 bits 32
     %1 = mapref @m
     %2 = helper i64 map_delete_elem(%1, %0)
     return %2`,
  ],
  [
    "memory a helper fills needs no zeroing",
    [initialiseInputs],
    `entry:
     %k = alloca 16 align 8
     %e = helper i64 get_current_comm(%k, 16)
     %r = load i64 [%k] bits 64
     return %r`,
    `entry:
     %0 = alloca 16 align 8
     %1 = helper i64 get_current_comm(%0, 16)
     %2 = load i64 [%0] bits 64
     return %2`,
  ],
  [
    "a copy takes the widest pieces that both sides' alignment allows",
    [(f, m) => lower(f, m, kernelTarget([6, 18]))],
    `entry:
     %k = alloca 16 align 8
     memcpy [%k] [%ctx + 4] size 11
     return 0`,
    `entry:
     %0 = alloca 16 align 8
     %1 = load i64 [%ctx + 4] bits 32
     store [%0] %1 bits 32
     %2 = load i64 [%ctx + 8] bits 32
     store [%0 + 4] %2 bits 32
     %3 = load i64 [%ctx + 12] bits 16
     store [%0 + 8] %3 bits 16
     %4 = load i64 [%ctx + 14] bits 8
     store [%0 + 10] %4 bits 8
     return 0`,
  ],
  [
    "a loop of three rounds is written out and computed",
    [unrollLoops, propagateConstants, simplifyCfg, fold, removeDead, simplifyCfg],
    `entry:
     jump head
     head:
     %i = phi i64 [entry: 0], [body: %j]
     %s = phi i64 [entry: 5], [body: %t]
     %c = icmp ult i64 %i, 3
     branch %c, body, out
     body:
     %t = add i64 %s, %i
     %j = add i64 %i, 1
     jump head
     out:
     return %s`,
    `entry:
     return 8`,
  ],
  [
    "what a loop multiplies by and never changes is computed before it",
    [hoistInvariants],
    `entry:
     jump head
     head:
     %i = phi i64 [entry: 0], [body: %j]
     %n = load i64 [%ctx + 8] bits 64
     %c = icmp ult i64 %i, %n
     branch %c, body, out
     body:
     %j = add i64 %i, 1
     jump head
     out:
     return %i`,
    `entry:
     %0 = load i64 [%ctx + 8] bits 64
     jump head
     head:
     %1 = phi i64 [entry: 0], [body: %2]
     %3 = icmp ult i64 %1, %0
     branch %3, body, out
     body:
     %2 = add i64 %1, 1
     jump head
     out:
     return %1`,
  ],
  [
    "without sdiv a signed division works on magnitudes",
    [(f, m) => lower(f, m, kernelTarget([5, 10]))],
    "entry:\n%x = load i64 [%ctx] bits 64\n%r = sdiv i64 %x, 10\nreturn %r",
    `entry:
     %0 = load i64 [%ctx] bits 64
     %1 = ashr i64 %0, 63
     %2 = xor i64 %0, %1
     %3 = sub i64 %2, %1
     %4 = udiv i64 %3, 10
     %5 = xor i64 %4, %1
     %6 = sub i64 %5, %1
     return %6`,
  ],
];

describe("passes", () => {
  it.each(CASES)("%s", (_name, passes, before, after) => {
    const module = parseModule(`${HEAD}entry @f(%ctx: ptr) -> i64 type 17 attach 0 {\n${before}\n}\n`);
    checkModule(module);
    for (const pass of passes) {
      pass(module.funcs[0]!, module);
      checkModule(module);
    }
    expect(body(module.funcs[0]!)).toBe(lines(after));
  });

  it("inlines a small subprogram and drops it", () => {
    const module = parseModule(`${HEAD}static @abs(%x: i64) -> i64 {
      entry:
      %n = icmp slt i64 %x, 0
      branch %n, neg, pos
      neg:
      %m = sub i64 0, %x
      return %m
      pos:
      return %x
      }
      entry @f(%ctx: ptr) -> i64 type 17 attach 0 {
      entry:
      %x = load i64 [%ctx] bits 64
      %r = call i64 @abs(%x)
      return %r
      }
      `);
    inlineCalls(module, "profitable");
    checkModule(module);
    expect(module.funcs.map((f) => f.name)).toEqual(["f"]);
    expect(body(module.funcs[0]!)).toContain("= phi i64 [abs.neg: %2], [abs.pos: %0]");
  });
});
