import { describe, expect, it } from "vitest";
import {
  Btf,
  BtfBuilder,
  BtfFuncLinkage,
  BtfIntEncoding,
  BtfKind,
  btfIdentifier,
  decodeFuncInfo,
  decodeLineInfo,
  encodeFuncInfo,
  encodeLineInfo,
  mapTakesBtf,
} from "../../src/btf/index.ts";
import { MapType } from "../../src/isa/index.ts";
import { describeUnless } from "../support/needs.ts";
import { close, createMap, loadBtf, loadProgram, noBpfReason } from "./bpf.ts";

/** Everything that the builder can write, in one BTF. */
function everyKind(): { builder: BtfBuilder; ids: Record<string, number> } {
  const b = new BtfBuilder();
  const int = b.int("int", 4, BtfIntEncoding.SIGNED);
  const u32 = b.int("unsigned int", 4);
  const u64 = b.int("unsigned long long", 8);
  const char = b.int("char", 1, BtfIntEncoding.CHAR);
  const bool = b.int("_Bool", 1, BtfIntEncoding.BOOL);
  const u128 = b.int("unsigned __int128", 16);
  const comm = b.array(char, 16);
  const inner = b.union("", 8, [
    { name: "whole", typeId: u64, bitOffset: 0 },
    { name: "half", typeId: u32, bitOffset: 0 },
  ]);
  const event = b.struct("event_t", 48, [
    { name: "pid", typeId: u32, bitOffset: 0 },
    { name: "low", typeId: u32, bitOffset: 32, bitfieldSize: 3 },
    { name: "rest", typeId: u32, bitOffset: 35, bitfieldSize: 29 },
    { name: "", typeId: inner, bitOffset: 64 },
    { name: "comm", typeId: comm, bitOffset: 128 },
    { name: "ok", typeId: bool, bitOffset: 256 },
  ]);
  const node = b.declareStruct("node");
  b.defineStruct(node, 16, [
    { name: "next", typeId: b.pointer(node), bitOffset: 0 },
    { name: "value", typeId: u64, bitOffset: 64 },
  ]);
  const state = b.enum("state", 4, true, [
    { name: "BAD", value: -1n },
    { name: "GOOD", value: 1n },
  ]);
  const mask = b.enum("mask", 8, false, [{ name: "ALL", value: 0xffff_ffff_ffff_ffffn }]);
  const low = b.enum("low", 8, true, [{ name: "LOWEST", value: -(2n ** 63n) }]);
  const pidT = b.typedef("pid_t", int);
  const qualified = b.constant(b.volatile(pidT));
  const tagged = b.pointer(b.typeTag("user", char));
  const noalias = b.restrict(b.pointer(event));
  const forward = b.forward("elsewhere");
  const double = b.float("double", 8);
  const proto = b.funcProto(int, [{ name: "ctx", typeId: b.pointer() }]);
  const logger = b.funcProto(0, [{ name: "format", typeId: b.pointer(b.constant(char)) }], true);
  const main = b.func("tracepoint_1", proto);
  const bss = b.variable("counter", u64);
  const section = b.dataSection(".bss", 8, [{ typeId: bss, offset: 0, size: 8 }]);
  b.declTag("note", event, 1);
  b.declTag("whole", event);
  return {
    builder: b,
    ids: {
      int, u32, u64, u128, comm, inner, event, node, state, mask, low, pidT, qualified, tagged, noalias,
      forward, double, proto, logger, main, bss, section,
    }, // prettier-ignore
  };
}

describe("written BTF", () => {
  it("is read back as it was given", () => {
    const { builder, ids } = everyKind();
    const btf = Btf.parse(builder.finish());
    expect(btf.typeCount).toBe(builder.typeCount + 1);
    expect(btf.structByName("event_t")).toEqual({
      id: ids["event"],
      kind: BtfKind.STRUCT,
      name: "event_t",
      size: 48,
      members: [
        { name: "pid", typeId: ids["u32"], bitOffset: 0, bitfieldSize: 0 },
        { name: "low", typeId: ids["u32"], bitOffset: 32, bitfieldSize: 3 },
        { name: "rest", typeId: ids["u32"], bitOffset: 35, bitfieldSize: 29 },
        { name: "", typeId: ids["inner"], bitOffset: 64, bitfieldSize: 0 },
        { name: "comm", typeId: ids["comm"], bitOffset: 128, bitfieldSize: 0 },
        { name: "ok", typeId: btf.findByName("_Bool"), bitOffset: 256, bitfieldSize: 0 },
      ],
    });
    expect(btf.memberPath(ids["event"]!, "half")).toMatchObject({ bitOffset: 64, typeId: ids["u32"] });
    expect(btf.memberPath(ids["event"]!, "comm[3]")).toMatchObject({ bitOffset: 128 + 24 });
    expect(btf.memberPath(ids["event"]!, "comm[16]")).toBeUndefined();
    expect(btf.memberPath(ids["event"]!, "rest")).toMatchObject({ bitOffset: 35, bitfieldSize: 29 });
    expect(btf.enumValue("BAD")).toEqual({ typeId: ids["state"], value: -1n });
    expect(btf.enumValue("ALL")?.value).toBe(0xffff_ffff_ffff_ffffn);
    expect(btf.enumValue("LOWEST")?.value).toBe(-(2n ** 63n));
    expect(btf.sizeOf(ids["qualified"]!)).toBe(4);
    expect(btf.stripModifiers(ids["qualified"]!)).toBe(ids["int"]);
    expect(btf.funcProto(ids["main"]!)).toMatchObject({ returnTypeId: ids["int"], variadic: false });
    expect(btf.funcProto(ids["logger"]!)).toMatchObject({ variadic: true, parameters: [{ name: "format" }] });
    expect(btf.alignOf(ids["event"]!)).toBe(8);
    expect(btf.sizeOf(ids["forward"]!)).toBeUndefined();
    expect(btf.typeById(ids["node"]!)).toMatchObject({ kind: BtfKind.STRUCT, name: "node", size: 16 });
  });

  it("stores equal types and strings once", () => {
    const { builder, ids } = everyKind();
    const before = builder.finish();
    expect(builder.int("unsigned int", 4)).toBe(ids["u32"]);
    expect(builder.array(builder.int("char", 1, BtfIntEncoding.CHAR), 16)).toBe(ids["comm"]);
    expect(builder.pointer(ids["event"]!)).toBe(builder.pointer(ids["event"]!));
    expect(builder.string("event_t")).toBe(builder.string("event_t"));
    expect(builder.finish()).toEqual(before);
    expect(builder.int("unsigned int", 4, BtfIntEncoding.SIGNED)).not.toBe(ids["u32"]);
  });

  it("refuses what the kernel would refuse", () => {
    const b = new BtfBuilder();
    const u32 = b.int("u32", 4);
    expect(() => b.typedef("two words", u32)).toThrow(/two words/);
    expect(() => b.int("u24", 3)).toThrow(RangeError);
    expect(() => b.pointer(99)).toThrow(/no type 99/);
    expect(() => b.struct("s", 4, [{ name: "a", typeId: u32, bitOffset: 64 }])).toThrow(/bit 64 of 4 bytes/);
    expect(() => b.enum("e", 4, false, [{ name: "A", value: -1n }])).toThrow(/does not fit/);
    expect(() => b.dataSection(".x", 4, [{ typeId: u32, offset: 2, size: 4 }])).toThrow(/2\+4 of 4/);
    expect(() => b.defineStruct(u32, 4, [])).toThrow(/no declared struct/);
    expect(() => b.string("a\0b")).toThrow(/NUL/);
  });

  it.each([
    ["tracepoint:syscalls:sys_enter_open", "tracepoint_syscalls_sys_enter_open"],
    ["1st", "_1st"],
    ["", "_"],
    ["größe", "gr__e"],
  ])("%j becomes the identifier %j", (text, identifier) => {
    expect(btfIdentifier(text)).toBe(identifier);
  });
});

describe("program records", () => {
  it("are read back", () => {
    const b = new BtfBuilder();
    const lines = [
      { insnIndex: 0, file: "stdin", source: "BEGIN { exit() }", line: 1, column: 9 },
      { insnIndex: 2, file: "stdin", source: "END { }", line: 2, column: 1 },
    ];
    const bytes = encodeLineInfo(b, lines);
    expect(decodeLineInfo(bytes, Btf.parse(b.finish()).strings)).toEqual(lines);
    expect(decodeFuncInfo(encodeFuncInfo([{ insnIndex: 0, typeId: 7 }]))).toEqual([{ insnIndex: 0, typeId: 7 }]);
    expect(() => encodeFuncInfo([{ insnIndex: 1, typeId: 1 }, { insnIndex: 1, typeId: 1 }])).toThrow(/must ascend/); // prettier-ignore
    expect(() => decodeFuncInfo(new Uint8Array(9))).toThrow(/records of 8/);
  });

  it("keep what is too large for the format at its limits", () => {
    const b = new BtfBuilder();
    const bytes = encodeLineInfo(b, [{ insnIndex: 0, file: "f", source: "", line: 2 ** 23, column: 5000 }]);
    expect(decodeLineInfo(bytes, Btf.parse(b.finish()).strings)[0]).toMatchObject({ line: 2 ** 22 - 1, column: 1023 });
  });
});

describeUnless(noBpfReason(), "the kernel", () => {
  it("accepts BTF of every kind", () => {
    const result = loadBtf(everyKind().builder.finish());
    close(result.fd);
    expect(result.errno, result.log).toBe(0);
  });

  it.each<[string, number, (b: BtfBuilder) => [keyId: number, keySize: number, valueId: number, valueSize: number], number]>([
    ["array of u64 by u32", 2, (b) => [b.int("u32", 4), 4, b.int("u64", 8), 8], 0],
    ["hash of struct by struct", 1, (b) => {
      const u64 = b.int("u64", 8);
      const key = b.struct("key", 16, [{ name: "a", typeId: u64, bitOffset: 0 }, { name: "b", typeId: u64, bitOffset: 64 }]);
      return [key, 16, b.struct("value", 8, [{ name: "count", typeId: u64, bitOffset: 0 }]), 8];
    }, 0],
    ["hash by char array", 1, (b) => [b.array(b.int("char", 1, BtfIntEncoding.CHAR), 16), 16, b.int("u64", 8), 8], 0],
    ["per-CPU array of array", 6, (b) => [b.int("u32", 4), 4, b.array(b.int("u64", 8), 32), 256], 0],
    ["section as array value", 2, (b) => {
      const variable = b.variable("x", b.int("u64", 8));
      return [0, 4, b.dataSection(".rodata", 8, [{ typeId: variable, offset: 0, size: 8 }]), 8];
    }, 0],
    ["array key that is no 32-bit int", 2, (b) => [b.array(b.int("char", 1), 4), 4, b.int("u64", 8), 8], 22],
    ["value of another size", 1, (b) => [b.int("u32", 4), 4, b.int("u64", 8), 4], 22],
  ])("map: %s", (_name, type, build, errno) => {
    const b = new BtfBuilder();
    const [keyTypeId, keySize, valueTypeId, valueSize] = build(b);
    const btf = loadBtf(b.finish());
    expect(btf.errno, btf.log).toBe(0);
    const map = createMap({ type, keySize, valueSize, maxEntries: 1, btfFd: btf.fd, keyTypeId, valueTypeId });
    close(map.fd);
    close(btf.fd);
    expect(map.errno).toBe(errno);
  }); // prettier-ignore

  it("refuses types of just the maps that mapTakesBtf names", () => {
    const b = new BtfBuilder();
    const [u32, u64] = [b.int("u32", 4), b.int("u64", 8)];
    const btf = loadBtf(b.finish());
    const answered: string[] = [];
    for (const [name, type] of Object.entries(MapType)) {
      for (const [keySize, valueSize] of [
        [4, 4],
        [4, 8],
        [0, 8],
      ] as const) {
        const map = { type, keySize, valueSize, maxEntries: 4, flags: type === MapType.LPM_TRIE ? 1 : 0 };
        const plain = createMap({ ...map, btfFd: 0, keyTypeId: 0, valueTypeId: 0 });
        close(plain.fd);
        if (plain.fd < 0) continue;
        const valueTypeId = valueSize === 8 ? u64 : u32;
        const typed = createMap({ ...map, btfFd: btf.fd, keyTypeId: keySize === 0 ? 0 : u32, valueTypeId });
        close(typed.fd);
        answered.push(name);
        expect(typed.fd >= 0, `${name}: errno ${typed.errno}`).toBe(mapTakesBtf(type));
      }
    }
    close(btf.fd);
    expect(answered).toContain("HASH");
    expect(answered).toContain("STACK_TRACE");
  });

  it("shows our source lines in the verifier's log", () => {
    const b = new BtfBuilder();
    const proto = b.funcProto(b.int("int", 4, BtfIntEncoding.SIGNED), [{ name: "ctx", typeId: b.pointer() }]);
    const funcInfo = encodeFuncInfo([{ insnIndex: 0, typeId: b.func("probe_1", proto, BtfFuncLinkage.GLOBAL) }]);
    const lineInfo = encodeLineInfo(b, [
      { insnIndex: 0, file: "one.bt", source: "tracepoint:sched:sched_switch { @ = 0; }", line: 1, column: 33 },
      { insnIndex: 1, file: "one.bt", source: "  return;", line: 2, column: 3 },
    ]);
    const btf = loadBtf(b.finish());
    const code = Uint8Array.from([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
    const program = loadProgram({ code, btfFd: btf.fd, funcInfo, lineInfo });
    close(program.fd);
    close(btf.fd);
    expect(program.log).toContain("; tracepoint:sched:sched_switch { @ = 0; } @ one.bt:1");
    expect(program.log).toContain("; return; @ one.bt:2");
    expect(program.errno).toBe(0);
  });
});
