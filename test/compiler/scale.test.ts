import { describe, expect, it } from "vitest";
import { addMap, compileModule, createModule, FunctionBuilder, kernelTarget } from "../../src/compiler/index.ts";
import type { KernelTarget, Module } from "../../src/compiler/index.ts";
import { helperByName, MapType, ProgType } from "../../src/isa/index.ts";
import { LinuxKernel } from "../../src/kernel/linux/linux.ts";
import { describeWith } from "../support/needs.ts";

const NEW = kernelTarget([6, 18]);
/** The last kernel without jumps of 32 bits. */
const SHORT_JUMPS = kernelTarget([6, 5]);

const id = (name: string): number => helperByName(name)!.id;

/** What a script of many statements becomes: `statement` builds one, told its number. */
function script(statements: number, statement: (b: FunctionBuilder, n: number) => void): Module {
  const module = createModule("large", "GPL");
  addMap(module, { name: "m", type: MapType.HASH, keySize: 8, valueSize: 8, maxEntries: 65_536, flags: 0 });
  addMap(module, { name: "lost", type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 });
  addMap(module, { name: "ring", type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 1 << 16, flags: 0 });
  const b = new FunctionBuilder(module, {
    name: "large",
    params: [{ name: "ctx", type: "ptr" }],
    result: "i64",
    role: "entry",
    program: { type: ProgType.RAW_TRACEPOINT, expectedAttachType: 0 },
  });
  module.sources.push({ name: "large.bt", text: "statement;\n".repeat(statements) });
  for (let n = 0; n < statements; n++) {
    b.setPosition({ source: 0, line: n + 1, column: 1 });
    statement(b, n);
  }
  b.return(b.const(0));
  return module;
}

/** `@m[n] = n` */
function assign(b: FunctionBuilder, n: number): void {
  const key = b.alloca(8, 8, "key");
  const value = b.alloca(8, 8, "value");
  b.store(key, b.const(n), 64);
  b.store(value, b.const(n), 64);
  b.helper(id("map_update_elem"), [b.mapref("m"), key, value, b.const(0)], "i64");
}

/** `printf("...", n)` */
function print(b: FunctionBuilder, n: number): void {
  const record = b.helper(id("ringbuf_reserve"), [b.mapref("ring"), b.const(16), b.const(0)], "ptr");
  const room = b.block("room");
  const full = b.block("full");
  const end = b.block("end");
  b.branch(b.icmp("ne", record, b.const(0, "ptr")), room, full, "then");
  b.moveTo(room);
  b.store(record, b.const(n), 64);
  b.store(record, b.const(n), 64, { offset: 8 });
  b.helper(id("ringbuf_submit"), [record, b.const(0)], "void");
  b.jump(end);
  b.moveTo(full);
  b.atomic("add", b.mapvalue("lost"), [b.const(1)], 64);
  b.jump(end);
  b.moveTo(end);
}

/** `if (ctx[n] > n) { @m[n] = n }`, the whole script in one `if` around it. */
function nested(b: FunctionBuilder, n: number): void {
  if (n === 0) {
    const inside = b.block("inside");
    const outside = b.block("outside");
    b.branch(b.icmp("ne", b.load(b.param(0), 64), b.const(1)), inside, outside);
    b.moveTo(outside);
    b.return(b.const(0));
    b.moveTo(inside);
  }
  assign(b, n);
}

const KINDS = { assign, print, nested };

function compile(module: Module, target: KernelTarget): number {
  const { programs } = compileModule(module, { target, scratch: true });
  return programs[0]!.code.length / 8;
}

describe("long scripts", () => {
  it("share the stack between statements", () => {
    const module = script(1500, assign);
    // 1,500 keys and values without one byte more than the first needs: else this throws.
    expect(compile(module, NEW)).toBeLessThan(1500 * 12);
    expect(compileModule(module, { target: NEW }).maps.map((m) => m.name)).not.toContain("skep_scratch");
  });

  it.each(Object.entries(KINDS))("take time in proportion to their length: %s", (_name, statement) => {
    const time = (count: number): number => {
      const module = script(count, statement);
      const begun = performance.now();
      compile(module, NEW);
      return performance.now() - begun;
    };
    time(300);
    const short = Math.min(time(300), time(300), time(300));
    // Eight times the length: three times the proportion leaves room for a busy machine, a square would be eight times it.
    expect(time(2400)).toBeLessThan(short * 8 * 3 + 100);
  });

  it("say at their line that a jump is too long for older kernels", () => {
    expect(() => compile(script(4000, nested), SHORT_JUMPS)).toThrow(
      /^large\.bt:1:1: ERROR: this is too long for one jump: kernels before Linux 6\.6 jump over at most 32,767/,
    );
    expect(() => compile(script(2500, print), SHORT_JUMPS)).not.toThrow();
  });
});

describeWith(["linux", "root", "bpf"], "long scripts in the kernel", () => {
  it.each([
    ["assign", 2500, NEW],
    ["print", 2500, NEW],
    ["print", 2500, SHORT_JUMPS],
    ["nested", 2500, NEW],
  ] as const)("%s %i times", (kind, count, target) => {
    const object = compileModule(script(count, KINDS[kind]), { target, scratch: true });
    using kernel = new LinuxKernel();
    using loaded = kernel.load(object);
    loaded.program("large").testRun();
    if (kind === "assign") expect([...loaded.map("m").keys()].length).toBe(count);
  });
});
