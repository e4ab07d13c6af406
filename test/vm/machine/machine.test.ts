/** The interpreter and the compiled form of programs: what they compute, and what stops them. */
import { describe, expect, it } from "vitest";
import { PseudoImm64, ProgType, assemble, encode } from "../../../src/isa/index.ts";
import type { BpfObject } from "../../../src/object/index.ts";
import { LinuxKernel } from "../../../src/kernel/linux/linux.ts";
import {
  CompiledProgram,
  Interpreter,
  type Machine,
  VmFault,
  type VmHost,
  VmMemory,
  VmProgram,
  addressOf,
  argument,
  setResult,
} from "../../../src/vm/index.ts";
import { describeWith } from "../../support/needs.ts";
import { OUT_BYTES, Random, randomCode } from "./random-code.ts";

const memory = new VmMemory();
const machines = { interpreter: Interpreter, compiled: CompiledProgram } as const;

function program(text: string): VmProgram {
  return new VmProgram(encode(assemble(text, { dialect: "llvm" })));
}

/** Helper 1 adds its arguments; 2 calls a function of the program with its second argument; 3 says how often it was called. */
function host(): VmHost {
  let calls = 0n;
  return {
    helper(id: number, machine: Machine): boolean {
      const args = [0, 1, 2, 3, 4].map((i) => argument(machine.memory, i));
      if (id === 1)
        setResult(
          machine.memory,
          BigInt.asUintN(
            64,
            args.reduce((a, b) => a + b),
          ),
        );
      else if (id === 2) setResult(machine.memory, machine.callback(args[0]!, [args[1]!]));
      else if (id === 3) setResult(machine.memory, ++calls);
      else return false;
      return true;
    },
    packet: (_, offset, size) => (offset >= 0 && offset + size <= 16 ? 0x1000 * size + offset : undefined),
  };
}

/** Programs, what they return for r1 = address of 64 bytes 0, 1, 2, … and r2 = 64. */
const results: readonly (readonly [name: string, text: string, result: bigint])[] = [
  ["registers begin with the arguments", "r0 = r2\nexit", 64n],
  ["memory is read", "r0 = *(u32 *)(r1 + 4)\nexit", 0x07060504n],
  ["memory is read unaligned", "r0 = *(u64 *)(r1 + 3)\nexit", 0x0a09080706050403n],
  ["helpers get five arguments", "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = -20\ncall 1\nexit", 0xffff_ffff_ffff_fff6n],
  [
    "functions have frames",
    "r1 = 5\n*(u64 *)(r10 - 8) = r1\ncall f\nr1 = *(u64 *)(r10 - 8)\nr0 += r1\nexit\nf: r1 += 1\n*(u64 *)(r10 - 8) = r1\nr0 = r1\nexit",
    11n,
  ],
  ["functions keep r6 to r9", "r6 = 7\ncall f\nr0 = r6\nexit\nf: r6 = 1\nr0 = 2\nexit", 7n],
  [
    "functions get pointers into callers' frames",
    "*(u64 *)(r10 - 8) = 1\nr1 = r10\nr1 += -8\ncall f\nr0 = *(u64 *)(r10 - 8)\nexit\nf: *(u64 *)(r1 + 0) = 9\nr0 = 0\nexit",
    9n,
  ],
  ["loops end", "r0 = 0\nr3 = 100\nl: r0 += r3\nr3 -= 1\nif r3 != 0 goto l\nexit", 5050n],
  [
    "loops over memory",
    "r0 = 0\nr3 = 64\nl: r4 = *(u8 *)(r1 + 0)\nr0 += r4\nr1 += 1\nr3 -= 1\nif r3 != 0 goto l\nexit",
    2016n,
  ],
  [
    "loops in loops",
    "r0 = 0\nr3 = 10\no: r4 = 10\ni: r5 = r1\nr5 += r4\nr5 = *(u8 *)(r5 + 0)\nr0 += r5\nr4 -= 1\nif r4 > 0 goto i\nr3 -= 1\nif r3 > 0 goto o\nexit",
    550n,
  ],
  [
    "loops that change memory",
    "r3 = 8\nr2 = r1\nl: *(u64 *)(r2 + 0) = 1\nr2 += 8\nr3 -= 1\nif r3 != 0 goto l\nr0 = *(u64 *)(r1 + 56)\nexit",
    1n,
  ],
  ["packets are read", "r6 = r1\nr0 = *(u16 *)skb[4]\nexit", 0x2004n],
  ["packets end programs", "r6 = r1\nr0 = *(u32 *)skb[14]\nr0 = 7\nexit", 0n],
  ["may_goto loops end", "r0 = 0\nl: may_goto e\nr0 += 1\nif r0 < 1000 goto l\ne: exit", 1000n],
  ["two loops with one body", "r0 = 0\nif r2 > 5 goto b\na: r0 += 1\nb: r0 += 2\nif r0 < 100 goto a\nexit", 101n],
];

describe.each(Object.entries(machines))("%s", (_, Form) => {
  const run = (text: string, limit?: number, theHost: VmHost = host()): bigint => {
    const at = memory.allocate(64);
    for (let i = 0; i < 64; i++) memory.bytes[at + i] = i;
    const machine = new Form(program(text), memory, theHost);
    try {
      return machine.execute([addressOf(at), 64n], limit);
    } finally {
      machine.close();
      memory.release(at, 64);
    }
  };
  it.each(results)("%s", (_name, text, result) => {
    expect(run(text)).toBe(result);
  });

  it("calls back", () => {
    const text =
      "r1 = f ll\nr2 = 20\ncall 2\nexit\nf: r0 = r1\nr0 += 1\n*(u64 *)(r10 - 8) = r0\nr0 = *(u64 *)(r10 - 8)\nexit";
    const code = encode(assemble(text.replace("f ll", "0 ll"), { dialect: "llvm" }));
    // The load of a function's address: its distance in slots.
    code[1] = (code[1]! & 0x0f) | (PseudoImm64.FUNC << 4);
    new DataView(code.buffer).setInt32(4, 4, true);
    const machine = new Form(new VmProgram(code), memory, host());
    expect(machine.execute([])).toBe(21n);
    machine.close();
  });

  /** Programs, why they are stopped, and at which instruction. */
  const faults: readonly (readonly [text: string, kind: string, slot: number])[] = [
    ["r0 = *(u8 *)(r1 + 64)\nexit", "memory access", 0],
    ["r0 = *(u8 *)(r1 - 1)\nexit", "memory access", 0],
    ["r0 = *(u64 *)(r1 + 60)\nexit", "memory access", 0],
    ["r1 = 0\nr0 = *(u64 *)(r1 + 0)\nexit", "memory access", 1],
    ["r1 = 4096\nr0 = *(u64 *)(r1 + 0)\nexit", "memory access", 1],
    ["r1 = -1 ll\n*(u8 *)(r1 + 0) = 1\nexit", "memory access", 2],
    ["*(u64 *)(r10 + 0) = 1\nexit", "memory access", 0],
    ["r2 = r10\nr2 += -8192\n*(u64 *)(r2 + 0) = 1\nexit", "memory access", 2],
    ["l: r0 = *(u8 *)(r1 + 0)\nr1 += 1\ngoto l", "memory access", 0],
    ["r3 = 100\nl: r0 = *(u8 *)(r1 + 0)\nr1 += 1\nr3 -= 1\nif r3 != 0 goto l\nexit", "memory access", 1],
    ["r3 = 100\nl: *(u16 *)(r1 + 0) = 1\nr1 += 2\nr3 -= 1\nif r3 != 0 goto l\nexit", "memory access", 1],
    ["l: goto l", "fuel", 0],
    ["r0 = 0\nl: r0 += 1\nif r0 != 0 goto l\nexit", "fuel", -1],
    ["f: call f\nexit", "call depth", 0],
    ["call 99\nexit", "unknown helper", 0],
    ["r0 = 1", "unreachable code", -1],
  ];
  it.each(faults)("%j is stopped: %s", (text, kind, slot) => {
    try {
      run(text, 1_000_000);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(VmFault);
      expect((error as VmFault).kind).toBe(kind);
      if (slot >= 0) expect((error as VmFault).slot).toBe(slot);
    }
  });

  it("lets programs only read what is to be read", () => {
    const at = memory.allocate(16, "read");
    const reads = new Form(program("r0 = *(u64 *)(r1 + 8)\nexit"), memory);
    expect(reads.execute([addressOf(at)])).toBe(0n);
    const writes = new Form(program("*(u64 *)(r1 + 8) = 1\nr0 = 0\nexit"), memory);
    expect(() => writes.execute([addressOf(at)])).toThrow("writes 8 bytes");
    const both = new Form(
      program("r3 = 2\nl: r0 = *(u64 *)(r1 + 0)\n*(u64 *)(r1 + 0) = 1\nr1 += 8\nr3 -= 1\nif r3 != 0 goto l\nexit"),
      memory,
    );
    expect(() => both.execute([addressOf(at)])).toThrow("writes 8 bytes");
    for (const machine of [reads, writes, both]) machine.close();
    memory.release(at, 16);
  });
});

describe("both forms", () => {
  it("agree on random programs", () => {
    const out = memory.allocate(OUT_BYTES);
    for (let seed = 1; seed <= 300; seed++) {
      const code = new VmProgram(randomCode(seed, 60, 1 + (seed % 6)), { resolve: () => addressOf(out) });
      const seen = Object.values(machines).map((Form) => {
        memory.bytes.fill(0, out, out + OUT_BYTES);
        const machine = new Form(code, memory);
        machine.execute([], 100_000);
        machine.close();
        return Buffer.from(memory.bytes.slice(out, out + OUT_BYTES)).toString("hex");
      });
      expect(seen[1], `seed ${seed}`).toBe(seen[0]);
    }
    memory.release(out, OUT_BYTES);
  });

  it("stop what no verifier has seen, without harm", () => {
    const at = memory.allocate(64);
    for (let seed = 1; seed <= 2000; seed++) {
      const random = new Random(seed);
      const bytes = new Uint8Array(8 * (1 + random.below(24)));
      for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
      // Opcodes that exist, registers that exist: most of such programs begin to run.
      const opcodes = [0x07, 0x0f, 0x61, 0x63, 0x79, 0x7b, 0xdb, 0x15, 0x1d, 0x05, 0x85, 0x95, 0xb7, 0xbf, 0x18];
      for (let i = 0; i < bytes.length; i += 8) {
        bytes[i] = random.pick(opcodes);
        bytes[i + 1] = random.below(10) | (random.below(11) << 4);
        if (bytes[i] === 0xdb) bytes.set([random.pick([0, 1, 0x40, 0xe1, 0xf1]), 0, 0, 0], i + 4);
        if (random.below(2) === 0) bytes.set([random.below(20), random.below(2) === 0 ? 0 : 255], i + 2);
      }
      let code: VmProgram;
      try {
        code = new VmProgram(bytes);
      } catch (error) {
        expect(error).toHaveProperty("code", "parse");
        continue;
      }
      for (const Form of Object.values(machines)) {
        const machine = new Form(code, memory, host());
        try {
          machine.execute([addressOf(at), 64n], 10_000);
        } catch (error) {
          expect(error, `seed ${seed}`).toBeInstanceOf(VmFault);
        }
        machine.close();
      }
    }
    memory.release(at, 64);
  });
});

describeWith(["linux", "root", "bpf"], "random programs on the running kernel", () => {
  it("compute what the virtual machine computes", () => {
    using kernel = new LinuxKernel();
    const out = memory.allocate(OUT_BYTES);
    for (let seed = 1; seed <= 150; seed++) {
      const code = randomCode(seed, 24, 1 + (seed % 2));
      const at = code.length / 8 - (2 + 9 + 16 + 2);
      const object: BpfObject = {
        license: "GPL",
        maps: [{ name: "out", type: 2, keySize: 4, valueSize: OUT_BYTES, maxEntries: 1, flags: 0 }],
        programs: [
          {
            name: "main",
            type: ProgType.SYSCALL,
            expectedAttachType: 0,
            sleepable: true,
            code,
            relocations: [{ kind: "map-value", insnIndex: at, map: "out", offset: 0 }],
            funcInfo: new Uint8Array(),
            lineInfo: new Uint8Array(),
          },
        ],
      };
      const loaded = kernel.load(object);
      loaded.program("main").testRun(new Uint8Array(8));
      const theirs = Buffer.from(loaded.map("out").lookup(new Uint8Array(4))!).toString("hex");
      loaded.close();
      memory.bytes.fill(0, out, out + OUT_BYTES);
      const machine = new CompiledProgram(new VmProgram(code, { resolve: () => addressOf(out) }), memory);
      machine.execute([], 100_000);
      machine.close();
      expect(Buffer.from(memory.bytes.slice(out, out + OUT_BYTES)).toString("hex"), `seed ${seed}`).toBe(theirs);
    }
  });
});
