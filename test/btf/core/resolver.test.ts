import { describe, expect, it } from "vitest";
import { SkepError, UnsupportedError } from "../../../src/base/index.ts";
import {
  Btf,
  BtfBuilder,
  BtfIntEncoding,
  CORE_POISON_HELPER,
  CoreError,
  type CoreInsnRecord,
  CoreKind,
  CoreResolver,
  type LineInfo,
  encodeLineInfo,
  decodeLineInfo,
  essentialName,
  relocateCore,
} from "../../../src/btf/index.ts";
import { assemble, disassemble, encode } from "../../../src/isa/index.ts";

/** Types of a program: what the records of these tests refer to. */
function programTypes(): { bytes: Uint8Array; btf: Btf; id: (name: string) => number; lines: LineInfo[] } {
  const b = new BtfBuilder();
  const [int, uint, u64, u8] = integers(b);
  const array = b.array(int, 4);
  b.struct("task", 40, [
    { name: "pid", typeId: int, bitOffset: 0 },
    { name: "flags", typeId: uint, bitOffset: 32 },
    { name: "time", typeId: u64, bitOffset: 64 },
    { name: "slots", typeId: array, bitOffset: 128 },
    { name: "gone", typeId: int, bitOffset: 256 },
    { name: "mode", typeId: u8, bitOffset: 288 },
  ]);
  b.struct("lost", 4, [{ name: "x", typeId: int, bitOffset: 0 }]);
  b.struct("twice", 4, [{ name: "x", typeId: int, bitOffset: 0 }]);
  b.struct("shape", 4, [{ name: "x", typeId: int, bitOffset: 0 }]);
  b.struct("opaque", 4, [{ name: "x", typeId: int, bitOffset: 0 }]);
  b.struct("far", 4, [{ name: "x", typeId: int, bitOffset: 0 }]);
  b.struct("odd", 4, [{ name: "x", typeId: uint, bitOffset: 0 }]);
  b.struct("bits", 8, [{ name: "x", typeId: uint, bitOffset: 3, bitfieldSize: 5 }]);
  b.enum("color", 4, false, [
    { name: "RED", value: 1n },
    { name: "TOP", value: 0x8000_0000n },
    { name: "BLACK", value: 3n },
  ]);
  const pointer = b.pointer(int);
  const lineInfo = encodeLineInfo(b, [
    { insnIndex: 0, file: "prog.bpf.c", source: "  return t->x;", line: 12, column: 3 },
  ]);
  const bytes = b.finish();
  const btf = Btf.parse(bytes);
  const ids: Record<string, number> = { int, pointer };
  return {
    bytes,
    btf,
    id: (name) => ids[name] ?? btf.findByName(name)!,
    lines: decodeLineInfo(lineInfo, btf.strings),
  };
}

function integers(b: BtfBuilder): [int: number, uint: number, u64: number, u8: number] {
  return [b.int("int", 4, BtfIntEncoding.SIGNED), b.int("uint", 4), b.int("u64", 8), b.int("u8", 1)];
}

function kernelTypes(): Uint8Array {
  const b = new BtfBuilder();
  const [int, uint, u64, u8] = integers(b);
  const three = b.int("u24", 4);
  b.struct("task", 64, [
    { name: "time", typeId: uint, bitOffset: 64 },
    { name: "flags", typeId: u64, bitOffset: 128 },
    { name: "pid", typeId: int, bitOffset: 192 },
    { name: "slots", typeId: b.array(int, 2), bitOffset: 224 },
    { name: "gone_now", typeId: int, bitOffset: 288 },
    { name: "mode", typeId: b.struct("mode", 1, [{ name: "m", typeId: u8, bitOffset: 0 }]), bitOffset: 320 },
  ]);
  b.struct("twice", 8, [{ name: "x", typeId: int, bitOffset: 0 }]);
  b.struct("twice___other", 8, [{ name: "x", typeId: int, bitOffset: 32 }]);
  b.union("shape", 4, [{ name: "x", typeId: int, bitOffset: 0 }]);
  b.forward("opaque");
  b.struct("far", 40_004, [{ name: "x", typeId: int, bitOffset: 320_000 }]);
  b.struct("odd", 16, [{ name: "x", typeId: b.int("u128", 16), bitOffset: 0 }]);
  b.struct("bits", 8, [{ name: "x", typeId: three, bitOffset: 11, bitfieldSize: 5 }]);
  b.enum("color", 4, false, [
    { name: "BLACKER", value: 9n },
    { name: "RED", value: 7n },
    { name: "TOP", value: 0x9000_0000n },
  ]);
  b.struct("loss", 4, [{ name: "x", typeId: int, bitOffset: 0 }]);
  return b.finish();
}

const types = programTypes();
const kernel = Btf.parse(kernelTypes());

function program(text: string): Uint8Array {
  return encode(assemble(text));
}

function resolver(): CoreResolver {
  return new CoreResolver(types.btf, { btf: kernel, modules: () => [] });
}

function record(kind: keyof typeof CoreKind, type: string, access: string, insnIndex = 0): CoreInsnRecord {
  return { insnIndex, kind: CoreKind[kind], typeId: types.id(type), access };
}

/** Assembly before and after one relocation of its first instruction, or the message of a failure. */
const cases: readonly (readonly [
  before: string,
  kind: keyof typeof CoreKind,
  type: string,
  access: string,
  after: string,
])[] = [
  ["r0 = *(u32 *)(r1 + 0)", "FIELD_BYTE_OFFSET", "task", "0:0", "r0 = *(u32 *)(r1 +24)"],
  ["r0 = *(u32 *)(r1 + 4)", "FIELD_BYTE_OFFSET", "task", "0:1", "r0 = *(u64 *)(r1 +16)"],
  ["r0 = *(u64 *)(r1 + 8)", "FIELD_BYTE_OFFSET", "task", "0:2", "r0 = *(u32 *)(r1 +8)"],
  ["*(u64 *)(r1 + 8) = r2", "FIELD_BYTE_OFFSET", "task", "0:2", "*(u32 *)(r1 +8) = r2"],
  ["*(u64 *)(r1 + 8) = 7", "FIELD_BYTE_OFFSET", "task", "0:2", "*(u32 *)(r1 +8) = 7"],
  ["r0 = *(u32 *)(r1 + 40)", "FIELD_BYTE_OFFSET", "task", "1:0", "r0 = *(u32 *)(r1 +88)"],
  ["r0 = *(u32 *)(r1 + 20)", "FIELD_BYTE_OFFSET", "task", "0:3:1", "r0 = *(u32 *)(r1 +32)"],
  ["r2 = 16", "FIELD_BYTE_OFFSET", "task", "0:3", "r2 = 28"],
  ["w2 = 16", "FIELD_BYTE_SIZE", "task", "0:3", "w2 = 8"],
  ["r2 += 40", "TYPE_SIZE", "task", "0", "r2 += 64"],
  ["r2 = 1", "FIELD_EXISTS", "task", "0:4", "r2 = 0"],
  ["r2 = 1", "FIELD_EXISTS", "lost", "0:0", "r2 = 0"],
  ["r2 = 1", "TYPE_EXISTS", "shape", "0", "r2 = 0"],
  ["r2 = 1 ll", "ENUMVAL_VALUE", "color", "0", "r2 = 0x7"],
  ["r2 = 0x80000000 ll", "ENUMVAL_VALUE", "color", "1", "r2 = 0x90000000"],
  ["r2 = 0xffffffff80000000 ll", "ENUMVAL_VALUE", "color", "1", "r2 = 0xffffffff90000000"],
  ["r2 = 1", "ENUMVAL_EXISTS", "color", "2", "r2 = 0"],
  ["r2 <<= 99", "FIELD_LSHIFT_U64", "bits", "0:0", "r2 <<= 48"],
  ["r2 >>= 59", "FIELD_RSHIFT_U64", "bits", "0:0", "r2 >>= 59"],
  [
    "r0 = *(u32 *)(r1 + 32)",
    "FIELD_BYTE_OFFSET",
    "task",
    "0:4",
    "offset of struct task.gone (prog.bpf.c:12: return t->x;): the kernel's struct task has no field gone (near: gone_now)",
  ],
  [
    "r0 = *(u32 *)(r1 + 28)",
    "FIELD_BYTE_OFFSET",
    "task",
    "0:3:3",
    "offset of struct task.slots[3] (prog.bpf.c:12: return t->x;): the kernel's int[2] has no element 3",
  ],
  [
    "r0 = *(u8 *)(r1 + 36)",
    "FIELD_BYTE_OFFSET",
    "task",
    "0:5",
    "offset of struct task.mode (prog.bpf.c:12: return t->x;): the kernel has `struct mode mode`, which cannot be read as the program's `u8 mode`",
  ],
  [
    "r0 = *(u32 *)(r1 + 0)",
    "FIELD_BYTE_OFFSET",
    "lost",
    "0:0",
    "offset of struct lost.x (prog.bpf.c:12: return t->x;): the kernel has no struct lost (near: loss)",
  ],
  [
    "r0 = *(u32 *)(r1 + 0)",
    "FIELD_BYTE_OFFSET",
    "shape",
    "0:0",
    "offset of struct shape.x (prog.bpf.c:12: return t->x;): the kernel has union shape, which is of another kind",
  ],
  [
    "r0 = *(u32 *)(r1 + 0)",
    "FIELD_BYTE_OFFSET",
    "opaque",
    "0:0",
    "offset of struct opaque.x (prog.bpf.c:12: return t->x;): the kernel has only a declaration of struct opaque, without its members",
  ],
  [
    "r2 = 3 ll",
    "ENUMVAL_VALUE",
    "color",
    "2",
    "value of enum color::BLACK (prog.bpf.c:12: return t->x;): the kernel's enum color has no BLACK (near: BLACKER)",
  ],
];

/** What libbpf refuses with the whole object. */
const refused: readonly (readonly [before: string, record: CoreInsnRecord, message: string])[] = [
  ["r2 = 0", record("FIELD_BYTE_OFFSET", "task", "0:9"), "access string 0:9: struct task has no member 9"],
  ["r2 = 0", record("FIELD_BYTE_OFFSET", "task", "0:0:1"), "access string 0:0:1: int at step 2 has no members"],
  ["r2 = 0", record("FIELD_BYTE_OFFSET", "task", "0:3:4"), "access string 0:3:4: element 4 of an array of 4"],
  ["r2 = 0", record("FIELD_BYTE_OFFSET", "task", ""), 'access string "" is no list of numbers between colons'],
  ["r2 = 0", record("FIELD_BYTE_OFFSET", "task", ":0"), 'access string ":0" is no list of numbers between colons'],
  ["r2 = 0", record("FIELD_BYTE_OFFSET", "task", "0:-1"), 'access string "0:-1" is no list of numbers between colons'],
  ["r2 = 0", record("FIELD_BYTE_OFFSET", "task", "0:4294967296"), "access string 0:4294967296: an index is too large"],
  [
    "r2 = 0",
    record("FIELD_BYTE_OFFSET", "task", "0".repeat(65).split("").join(":")),
    "access string of 65 steps, at most 64",
  ],
  ["r2 = 0", record("TYPE_EXISTS", "task", "0:1"), 'access string "0:1" of a type, not "0"'],
  ["r2 = 0", record("ENUMVAL_VALUE", "color", "3"), "access string 3 names no value of enum color"],
  ["r2 = 0", record("ENUMVAL_VALUE", "task", "0"), "access string 0 names no value of struct task"],
  ["r2 = 0", { ...record("TYPE_EXISTS", "task", "0"), kind: 13 }, "kind 13 of relocation is not known: the last is 12"],
  ["r2 = 0", { ...record("TYPE_EXISTS", "task", "0"), typeId: 999 }, "type 999 is not in the object's BTF"],
  ["r2 = 0", record("FIELD_SIGNED", "task", "0:3:1"), "only its offset and size can be asked"],
  ["r2 = 1", record("TYPE_EXISTS", "pointer", "0"), "the type has no name by which the kernel's could be found"],
  [
    "r2 = 5",
    record("FIELD_BYTE_OFFSET", "task", "0:0"),
    "offset of struct task.pid is 0 in the object's own types, and the instruction's immediate is 5",
  ],
  ["r0 = *(u32 *)(r1 + 8)", record("FIELD_BYTE_OFFSET", "task", "0:0"), "the instruction's offset is 8"],
  ["r2 = 5 ll", record("ENUMVAL_VALUE", "color", "0"), "the instruction's constant is 5"],
  ["r2 = r3", record("FIELD_BYTE_OFFSET", "task", "0:0"), "an instruction with opcode 0xbf has no number to relocate"],
  ["call 1", record("FIELD_BYTE_OFFSET", "task", "0:0"), "an instruction with opcode 0x85 has no number to relocate"],
  [
    "r0 = *(u32 *)(r1 + 0)",
    record("FIELD_BYTE_OFFSET", "far", "0:0"),
    "is 40000 in the kernel, and an instruction's offset holds at most 32767",
  ],
  [
    "r0 = *(u32 *)(r1 + 0)",
    record("FIELD_BYTE_OFFSET", "odd", "0:0"),
    "no instruction accesses 16 bytes, the kernel's size",
  ],
  [
    "r0 = *(u8 *)(r1 + 4)",
    record("FIELD_BYTE_OFFSET", "task", "0:1"),
    "the instruction accesses 1 bytes of a field of 4",
  ],
  ["r0 = *(u32 *)(r1 + 0)", record("FIELD_BYTE_OFFSET", "task", "0:0", 7), "the program ends at instruction 2"],
  [
    "r0 = *(u32 *)(r1 + 0)",
    record("FIELD_BYTE_OFFSET", "twice", "0:0"),
    `offset of struct twice.x: ambiguous: the kernel has 2 types of this name, and they differ: struct twice (type ${kernel.findByName("twice")} of vmlinux) says 0 (bit 0); struct twice___other (type ${kernel.findByName("twice___other")} of vmlinux) says 4 (bit 32)`,
  ],
];

describe("CO-RE relocations", () => {
  it.each(cases)("%s; %s of %s %s", (before, kind, type, access, after) => {
    const code = program(`${before}\nexit`);
    const result = relocateCore(code, [record(kind, type, access)], resolver(), { lines: () => types.lines });
    const [failure] = result.unresolved;
    if (failure === undefined) {
      expect(disassemble(result.code).split("\n")[0]).toBe(after);
      return;
    }
    expect(failure.message).toBe(after);
    const call = `85000000${Buffer.from(Int32Array.of(CORE_POISON_HELPER).buffer).toString("hex")}`;
    expect(Buffer.from(result.code).toString("hex")).toBe(call.repeat(code.length / 8 - 1) + "9500000000000000");
  });

  it.each(refused)("refuses %s %o", (before, wrong, message) => {
    const relocate = (): unknown =>
      relocateCore(program(`${before}\nexit`), [wrong], resolver(), { lines: () => types.lines, program: "p" });
    expect(relocate).toThrow(CoreError);
    expect(relocate).toThrow(
      `program p: instruction ${wrong.insnIndex} (prog.bpf.c:12: return t->x;): CO-RE relocation: `,
    );
    expect(relocate).toThrow(message);
  });

  it("leaves the code it was given alone", () => {
    const code = program("r2 = 0\nexit");
    const before = code.slice();
    expect(relocateCore(code, [], resolver()).code).toBe(code);
    relocateCore(code, [record("FIELD_BYTE_OFFSET", "task", "0:0")], resolver());
    expect(code).toEqual(before);
  });

  it("keeps the ids of local types as the object has them, on a kernel without BTF too", () => {
    const without = new CoreResolver(types.btf, { btf: undefined, modules: () => [] });
    const id = types.id("task");
    expect(without.resolve(record("TYPE_ID_LOCAL", "task", "0")).value).toBe(BigInt(id));
    expect(() => without.resolve(record("TYPE_EXISTS", "task", "0"))).toThrow(UnsupportedError);
  });
});

describe("types of modules", () => {
  const module = (offset: number): Btf => {
    const b = new BtfBuilder();
    b.struct("lost", 16, [{ name: "x", typeId: b.int("int", 4, BtfIntEncoding.SIGNED), bitOffset: offset }]);
    b.struct("task", 16, []);
    // Split BTF has its base's ids and strings below its own; alone it is BTF as any other.
    return Btf.parse(b.finish());
  };

  it("are looked at when vmlinux has none of the name", () => {
    let asked = 0;
    const modules = (): { name: string; btf: Btf }[] => {
      asked++;
      return [{ name: "a", btf: module(32) }];
    };
    const at = new CoreResolver(types.btf, { btf: kernel, modules });
    expect(at.resolve(record("TYPE_SIZE", "task", "0")).value).toBe(64n);
    expect(asked).toBe(0);
    expect(at.resolve(record("FIELD_BYTE_OFFSET", "lost", "0:0")).value).toBe(4n);
    expect(at.resolve(record("TYPE_SIZE", "lost", "0")).value).toBe(16n);
    expect(asked).toBe(1);
  });

  it("that differ are named", () => {
    const modules = [
      { name: "a", btf: module(32) },
      { name: "b", btf: module(64) },
    ];
    const at = new CoreResolver(types.btf, { btf: kernel, modules: () => modules });
    expect(() => at.resolve(record("FIELD_BYTE_OFFSET", "lost", "0:0"))).toThrow(
      /struct lost \(type \d+ of module a\) says 4 \(bit 32\); struct lost \(type \d+ of module b\) says 8 \(bit 64\)/,
    );
  });
});

describe("names without flavour", () => {
  it.each([
    ["task_struct", "task_struct"],
    ["task_struct___old", "task_struct"],
    ["a___b___c", "a___b"],
    ["a____b", "a____b"],
    ["___a", "___a"],
    ["a___", "a___"],
    ["a___b", "a"],
    ["a___b____c", "a"],
    ["a___b___", "a"],
    ["", ""],
  ])("%s is %s", (name, essential) => {
    expect(essentialName(name)).toBe(essential);
  });

  it("are found whatever lies beside them", () => {
    const b = new BtfBuilder();
    const names: string[] = [];
    for (let i = 0; i < 300; i++) {
      const name = `${"x".repeat(1 + (i % 7))}${"_".repeat(i % 6)}${"y".repeat(i % 5)}${"_".repeat(i % 4)}${i}`;
      names.push(name);
      b.struct(name, 4, []);
    }
    const btf = Btf.parse(b.finish());
    for (const essential of new Set(names.map(essentialName))) {
      const local = new BtfBuilder();
      const typeId = local.struct(`${essential}___mine`, 4, []);
      const at = new CoreResolver(Btf.parse(local.finish()), { btf, modules: () => [] });
      const found = at.candidatesFor({ typeId, access: "0", kind: CoreKind.TYPE_EXISTS }).map((c) => c.typeId);
      const wanted = essentialName(`${essential}___mine`);
      expect(found).toEqual(names.flatMap((name, i) => (essentialName(name) === wanted ? [i + 1] : [])));
    }
  });
});

describe("damaged types", () => {
  it("end in an error or in a result, never otherwise", { timeout: 60_000 }, () => {
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const [localBytes, kernelBytes] = [types.bytes, kernelTypes()];
    const code = program("r2 = 0 ll\nexit");
    const kinds = Object.values(CoreKind);
    const rounds = Number(process.env["SKEP_FUZZ_ROUNDS"] ?? 300);
    let results = 0;
    for (let round = 0; round < rounds; round++) {
      const damage = (bytes: Uint8Array): Uint8Array => {
        const copy = bytes.slice();
        for (let n = random(4); n > 0; n--) copy[24 + random(copy.length - 24)] = random(256);
        return copy;
      };
      try {
        const local = Btf.parse(damage(localBytes));
        const at = new CoreResolver(local, { btf: Btf.parse(damage(kernelBytes)), modules: () => [] });
        for (const kind of kinds) {
          for (const access of ["0", "0:0", "0:3:1", "1:2", "2"]) {
            const typeId = random(local.typeCount + 1);
            try {
              const { unresolved } = relocateCore(code, [{ insnIndex: 0, kind, typeId, access }], at);
              for (const failure of unresolved) expect(failure.message).not.toBe("");
              results++;
            } catch (error) {
              if (!(error instanceof SkepError)) throw error;
            }
          }
        }
      } catch (error) {
        if (!(error instanceof SkepError)) throw error;
      }
    }
    expect(results).toBeGreaterThan(rounds);
  });
});
