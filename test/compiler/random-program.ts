/** Random IR programs: every operation, nested control flow, memory, maps, subprograms. One seed makes one program. */
import { addMap, constant, createModule, FunctionBuilder } from "../../src/compiler/index.ts";
import type { BinaryOp, Inst, IrType, MemBits, Module, Predicate, Value } from "../../src/compiler/index.ts";
import { helperByName, MapFlags, MapType, ProgType } from "../../src/isa/index.ts";

/** 64-bit words of context that programs read. */
export const CONTEXT_WORDS = 8;
/** Bytes of the map `out` that programs write their results to. */
export const OUT_BYTES = 96;

const BINARY: readonly BinaryOp[] = "add sub mul udiv sdiv urem srem and or xor shl lshr ashr".split(" ") as BinaryOp[];
const PREDICATES: readonly Predicate[] = "eq ne ult ule ugt uge slt sle sgt sge".split(" ") as Predicate[];
const INTERESTING = [
  0,
  1,
  2,
  3,
  7,
  8,
  31,
  32,
  63,
  64,
  127,
  255,
  256,
  1000,
  65535,
  -1,
  -2,
  -8,
  -128,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
];

/** Members of the record that programs fill, copy and read: byte offset and width. */
const RECORD: readonly (readonly [offset: number, bits: MemBits])[] = [
  [0, 64],
  [8, 32],
  [12, 16],
  [14, 8],
  [15, 8],
  [16, 64],
  [24, 32],
  [28, 32],
  [32, 64],
];
const RECORD_BYTES = 40;
/** Bytes of the map `ro`, whose contents are final. */
const RO_BYTES = 64;

/** Inline assembly that programs use, and what it computes: results from inputs. */
export const ASSEMBLY: ReadonlyMap<string, (...inputs: bigint[]) => bigint[]> = new Map([
  ["$0 = $1\n$0 += $2", (a, b) => [a! + b!]],
  ["$0 *= $2; if $0 > 7 goto l1; $0 = 3; l1:", (a, b) => [BigInt.asUintN(64, a! * b!) > 7n ? a! * b! : 3n]],
  ["", (a) => [a!]],
  ["$0 = $2\n$1 = $2\n$1 <<= 3\n${0:w} += ${3:w}", (a, b) => [BigInt.asUintN(32, a! + b!), a! << 3n]],
  ["r1 = $1; r2 = 5; r1 ^= r2; $0 = r1", (a) => [a! ^ 5n]],
]);

/** A small deterministic generator (mulberry32). */
class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0;
  }
  below(n: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

/** Makes the program of a seed: entry `main`, maps `out` (array) and `table` (hash). */
export function randomProgram(seed: number): Module {
  const random = new Random(seed);
  const module: Module = { ...createModule(`random${seed}`), constantMaps: new Set(["ro"]) };
  const array = { keySize: 4, valueSize: OUT_BYTES, maxEntries: 1, flags: 0 };
  addMap(module, { name: "out", type: MapType.ARRAY, ...array });
  addMap(module, { name: "table", type: MapType.HASH, keySize: 12, valueSize: 16, maxEntries: 64, flags: 0 });
  const initialValue = Uint8Array.from({ length: RO_BYTES }, () => random.below(4) * random.below(100));
  const fixed = { ...array, flags: MapFlags.RDONLY_PROG, frozen: true };
  addMap(module, { name: "ro", type: MapType.ARRAY, ...fixed, valueSize: RO_BYTES, initialValue });
  module.sources.push({ name: "random", text: `seed ${seed}\n` });
  const callees: FunctionBuilder[] = [];
  for (let i = random.below(3); i > 0; i--) {
    const b = new FunctionBuilder(module, {
      name: `sub${i}`,
      params: [
        { name: "a", type: "i64" },
        { name: "b", type: random.chance(50) ? "i64" : "i32" },
      ],
      result: random.chance(70) ? "i64" : "i32",
      role: "static",
      ...(random.chance(30) ? { inline: random.chance(50) ? ("always" as const) : ("never" as const) } : {}),
    });
    new Body(b, random, [], false).write(2 + random.below(4));
    callees.push(b);
  }
  const many = new FunctionBuilder(module, {
    name: "many",
    params: [..."abcdefg"].map((name) => ({ name, type: "i64" as const })),
    result: "i64",
    role: "static",
    inline: "always",
  });
  new Body(many, random, [], false).write(1 + random.below(3));
  callees.push(many);
  const main = new FunctionBuilder(module, {
    name: "main",
    params: [{ name: "ctx", type: "ptr" }],
    result: "i64",
    role: "entry",
    program: { type: ProgType.RAW_TRACEPOINT, expectedAttachType: 0 },
  });
  new Body(main, random, callees, true).write(4 + random.below(10));
  return module;
}

class Body {
  private readonly b: FunctionBuilder;
  private readonly random: Random;
  private readonly callees: readonly FunctionBuilder[];
  private readonly isMain: boolean;
  private readonly variables: { at: Inst; bits: MemBits }[] = [];
  private readonly memory: Inst;
  private readonly records: readonly [Inst, Inst];
  private depth = 0;
  private inLoop = 0;
  private budget = 60;

  constructor(b: FunctionBuilder, random: Random, callees: readonly FunctionBuilder[], isMain: boolean) {
    this.b = b;
    this.random = random;
    this.callees = callees;
    this.isMain = isMain;
    b.setPosition({ source: 0, line: 1, column: 1 });
    for (let i = 2 + random.below(5); i > 0; i--) {
      const bits = random.pick<MemBits>([8, 16, 32, 64, 64, 64]);
      const at = b.alloca(bits / 8, (bits / 8) as 1, `v${i}`);
      b.store(at, b.const(random.pick(INTERESTING)), bits);
      this.variables.push({ at, bits });
    }
    this.memory = b.alloca(64, 8, "memory");
    b.memset(this.memory, random.chance(60) ? 0 : 0xa5, 64);
    this.records = [b.alloca(RECORD_BYTES, 8, "record"), b.alloca(RECORD_BYTES, 8, "other")];
    for (const record of this.records) b.memset(record, 0, RECORD_BYTES);
  }

  write(statements: number): void {
    for (let i = 0; i < statements; i++) this.statement();
    const { b } = this;
    if (!this.isMain) {
      const value = this.value(b.func.result, 2);
      b.return(value);
      return;
    }
    const out = b.mapvalue("out");
    this.variables.forEach((v, i) => {
      b.store(out, b.load(v.at, v.bits, { signed: this.random.chance(30) }), 64, { offset: i * 8 });
    });
    b.memcpy(out, this.memory, 32, { offset: 64, fromOffset: this.random.below(5) * 8 });
    b.return(this.value("i64", 2));
  }

  private statement(): void {
    const { b, random } = this;
    if (this.budget-- <= 0) return;
    if (random.chance(25)) return random.chance(70) ? this.record() : this.assembly();
    const kind = random.below(this.isMain ? 15 : 10);
    if (kind < 4) {
      const v = random.pick(this.variables);
      const type: IrType = v.bits === 64 || random.chance(50) ? "i64" : "i32";
      b.store(v.at, this.value(type, 3), v.bits);
    } else if (kind < 6 && this.depth < 3) this.conditional();
    else if (kind === 6 && this.depth < 3 && this.inLoop < 2) this.loop();
    else if (kind === 7) {
      const bits = random.pick<MemBits>([8, 16, 32, 64]);
      const offset = random.below(64 / (bits / 8)) * (bits / 8);
      b.store(this.memory, this.value("i64", 2), bits, { offset });
    } else if (kind === 8) {
      // A variable index, bounded by a mask.
      const index = b.binary("and", this.value("i64", 2), b.const(7));
      const at = b.ptradd(this.memory, b.binary("shl", index, b.const(3)));
      if (random.chance(50)) b.store(at, this.value("i64", 2), 64);
      else
        b.store(random.pick(this.variables.filter((v) => v.bits === 64).concat(this.variables)).at, b.load(at, 8), 8);
    } else if (kind === 9) {
      if (random.chance(50))
        b.memset(this.memory, random.chance(70) ? 0 : 0xff, 1 + random.below(24), random.below(40));
      else
        b.memcpy(this.memory, this.memory, 8 * (1 + random.below(2)), {
          offset: 8 * random.below(3),
          fromOffset: 8 * (5 + random.below(2)),
        });
    } else if (kind === 10 || kind === 11) this.table();
    else if (kind === 12) {
      const bits = random.pick<32 | 64>([32, 64]);
      const op = random.pick(["add", "and", "or", "xor", "xchg"] as const);
      const value = this.value(bits === 64 ? "i64" : "i32", 2);
      const old = b.atomic(op, b.mapvalue("out", 56), [value], bits, { fetch: random.chance(40) });
      if (old.type !== "void") b.store(random.pick(this.variables).at, old, 8);
    } else if (kind === 13 && this.callees.length > 0) {
      const callee = random.pick(this.callees);
      const args = callee.func.params.map((p) => this.value(p.type, 2));
      b.store(random.pick(this.variables).at, b.call(callee.func, args), 8);
    }
  }

  private record(): void {
    const { b, random } = this;
    const [record, other] = random.chance(50) ? this.records : ([this.records[1], this.records[0]] as const);
    const [offset, bits] = random.pick(RECORD);
    const kind = random.below(8);
    if (kind < 3) {
      const value = random.chance(40) ? b.const(random.pick(INTERESTING)) : this.value("i64", 2);
      b.store(record, value, bits, { offset });
    } else if (kind === 3) {
      b.store(random.pick(this.variables).at, b.load(record, bits, { offset, signed: random.chance(30) }), 8);
    } else if (kind === 4) {
      const whole = random.chance(60);
      const from = whole ? 0 : 8 * random.below(3);
      b.memcpy(record, other, whole ? RECORD_BYTES : 8 + 4 * random.below(3), { offset: from, fromOffset: from });
    } else if (kind === 5) b.memset(record, random.chance(80) ? 0 : 0x5a, RECORD_BYTES);
    else if (kind === 6) b.memcpy(this.memory, record, RECORD_BYTES, { offset: 8 * random.below(4) });
    else {
      const size = random.pick([4, 7, 16, 24]);
      b.memcpy(record, b.mapvalue("ro", random.below(2) * 4), size, { offset: 8, fromOffset: random.below(24) });
    }
  }

  private assembly(): void {
    const { b, random } = this;
    const kind = random.below(ASSEMBLY.size);
    const template = [...ASSEMBLY.keys()][kind]!;
    const i64 = { type: "i64" } as const;
    const input = (): Value => this.value("i64", 2);
    const register = "register" as const;
    const common = { template, clobbers: [], memory: false, volatile: random.chance(50) };
    const small = b.const(random.below(100));
    const asm = [
      () => b.asm({ ...common, outputs: [{ ...i64, early: true }], inputs: [register, register] }, [input(), input()]),
      () => b.asm({ ...common, outputs: [{ ...i64, tied: 0 }], inputs: [register, "immediate"] }, [input(), small]),
      () => b.asm({ ...common, outputs: [{ ...i64, tied: 0 }], inputs: [register] }, [input()]),
      () => {
        const outputs = [{ type: "i32", early: true } as const, { ...i64, early: true }];
        return b.asm({ ...common, outputs, inputs: [register, register] }, [input(), input()]);
      },
      () => b.asm({ ...common, outputs: [i64], inputs: [register], clobbers: [1, 2] }, [input()]),
    ][kind]!();
    const results = asm.asm!.outputs.map((_, i) => b.asmresult(asm, i));
    for (const result of results) b.store(random.pick(this.variables).at, result, 8);
    if (results.length === 1 && asm.asm!.outputs[0]!.type === "i64") b.store(this.memory, results[0]!, 64);
  }

  private conditional(): void {
    const { b, random } = this;
    const then = b.block("then");
    const otherwise = random.chance(60) ? b.block("else") : null;
    const after = b.block("after");
    let condition: Value = this.condition();
    if (random.chance(25)) {
      // Short-circuit "and" through a variable, as front ends write it.
      const flag = b.alloca(1, 1, "flag");
      const second = b.block("second");
      const join = b.block("join");
      b.store(flag, b.zext(condition, 1), 8);
      b.branch(condition, second, join);
      b.moveTo(second);
      b.store(flag, b.zext(this.condition(), 1), 8);
      b.jump(join);
      b.moveTo(join);
      condition = b.icmp("ne", b.load(flag, 8), b.const(0));
    }
    b.branch(condition, then, otherwise ?? after, random.chance(30) ? "then" : undefined);
    this.depth++;
    b.moveTo(then);
    for (let i = random.below(3); i >= 0; i--) this.statement();
    if (this.isMain && random.chance(8)) b.return(this.value("i64", 1));
    b.jump(after);
    if (otherwise) {
      b.moveTo(otherwise);
      for (let i = random.below(2); i >= 0; i--) this.statement();
      b.jump(after);
    }
    this.depth--;
    b.moveTo(after);
  }

  private loop(): void {
    const { b, random } = this;
    const counter = b.alloca(8, 8, "i");
    const head = b.block("head");
    const body = b.block("body");
    const after = b.block("done");
    b.store(counter, b.const(0), 64);
    b.jump(head);
    b.moveTo(head);
    b.branch(b.icmp("ult", b.load(counter, 64), b.const(1 + random.below(4))), body, after);
    b.moveTo(body);
    this.depth++;
    this.inLoop++;
    for (let i = random.below(2); i >= 0; i--) this.statement();
    this.inLoop--;
    this.depth--;
    b.store(counter, b.binary("add", b.load(counter, 64), b.const(1)), 64);
    b.jump(head);
    b.moveTo(after);
  }

  private table(): void {
    const { b, random } = this;
    const key = b.alloca(12, 8, "key");
    b.store(key, b.binary("and", this.value("i64", 2), b.const(3)), 64);
    b.store(key, b.const(random.below(2)), 32, { offset: 8 });
    const map = b.mapref("table");
    const kind = random.below(3);
    if (kind === 0) {
      const value = b.alloca(16, 8, "value");
      b.store(value, this.value("i64", 2), 64);
      b.store(value, this.value("i64", 2), 64, { offset: 8 });
      b.helper(helperByName("map_update_elem")!.id, [map, key, value, b.const(0)]);
      return;
    }
    const found = b.helper(helperByName("map_lookup_elem")!.id, [map, key], "ptr");
    const hit = b.block("hit");
    const after = b.block("looked");
    b.branch(b.icmp("eq", found, constant(0, "ptr")), after, hit, "else");
    b.moveTo(hit);
    if (kind === 1) b.atomic("add", found, [this.value("i64", 1)], 64, { offset: 8 });
    else
      b.store(
        random.pick(this.variables).at,
        b.load(found, 8, { offset: random.below(16), signed: random.chance(50) }),
        8,
      );
    b.jump(after);
    b.moveTo(after);
  }

  private condition(): Value {
    const type: IrType = this.random.chance(60) ? "i64" : "i32";
    return this.b.icmp(this.random.pick(PREDICATES), this.value(type, 2), this.value(type, 2));
  }

  private value(type: IrType, depth: number): Value {
    const { b, random } = this;
    if (depth <= 0 || random.chance(20)) {
      const kind = random.below(3);
      if (kind === 0) return constant(random.pick(INTERESTING), type);
      if (kind === 1 && this.isMain) {
        const word = b.load(b.param(0), 64, { offset: 8 * random.below(CONTEXT_WORDS) });
        return type === "i32" ? b.trunc(word) : word;
      }
      if (kind === 1) {
        if (random.chance(20)) {
          const bits = random.pick<MemBits>(type === "i32" ? [8, 16, 32] : [8, 16, 32, 64]);
          const offset = random.below(RO_BYTES - 7);
          return b.load(b.mapvalue("ro"), bits, {
            offset: offset - (offset % (bits / 8)),
            type,
            signed: random.chance(30),
          });
        }
        const p = b.param(random.below(2));
        if (p.type === type) return p;
        return type === "i32" ? b.trunc(p) : b.zext(p, 32);
      }
      const v = random.pick(this.variables);
      const narrow = v.bits === 64 && type === "i32";
      const load = b.load(v.at, v.bits, { signed: random.chance(30), type: narrow ? "i64" : (type as "i32" | "i64") });
      return narrow ? b.trunc(load) : load;
    }
    const pick = random.below(12);
    const other: IrType = type === "i32" ? "i64" : "i32";
    if (pick < 6) return b.binary(random.pick(BINARY), this.value(type, depth - 1), this.value(type, depth - 1));
    if (pick === 6) return b.select(this.condition(), this.value(type, depth - 1), this.value(type, depth - 1));
    if (pick === 7) return b.zext(this.condition(), 1, type as "i32");
    if (pick === 8) {
      const source = this.value(random.chance(50) ? type : other, depth - 1);
      return random.chance(50)
        ? b.zext(source, random.pick([8, 16, 32] as const), type as "i32")
        : b.sext(source, random.pick([8, 16, 32] as const), type as "i32");
    }
    if (pick === 9)
      return type === "i32" ? b.trunc(this.value("i64", depth - 1)) : b.zext(this.value("i32", depth - 1), 32);
    if (pick === 10)
      return b.bswap(
        this.value(type, depth - 1),
        random.pick(type === "i32" ? ([16, 32] as const) : ([16, 32, 64] as const)),
      );
    return b.binary("and", this.value(type, depth - 1), constant(random.pick([1, 7, 255, 65535]), type));
  }
}
