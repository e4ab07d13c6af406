/** What objects ask of a kernel, answered from made-up facts. */
import { describe, expect, test } from "vitest";
import { Btf, BtfBuilder, BtfFuncLinkage } from "../../src/btf/index.ts";
import { ProgType, assemble, encode } from "../../src/isa/index.ts";
import { needsResolving, resolveObject } from "../../src/object/index.ts";
import type { BpfObject, ExternSpec, KconfigExtern, KernelFacts } from "../../src/object/index.ts";
import { kconfigValue } from "../../src/object/kconfig.ts";

const none = new Uint8Array(0);

/** A kernel with these options, symbols and types. */
function facts(
  known: Partial<KernelFacts> & { options?: Record<string, string>; symbols?: Record<string, bigint> } = {},
) {
  return {
    btf: undefined,
    moduleBtfs: () => [],
    kernelOption: (name: string) => known.options?.[name],
    versionCode: 0x06_12_07,
    hasBpfCookie: true,
    hasSyscallWrapper: false,
    symbolAddress: (name: string) => known.symbols?.[name],
    ...known,
  } satisfies KernelFacts;
}

type Shape = KconfigExtern["shape"];

function option(name: string, shape: Shape, size: number, more: Partial<KconfigExtern> = {}): KconfigExtern {
  return { kind: "kconfig", name, typeId: 1, offset: 0, size, shape, signed: false, weak: false, ...more };
}

/** Bytes as hexadecimal text. */
const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");

describe("values of .kconfig", () => {
  test.each([
    ["y", "bool", 1, false, "01"],
    ["n", "bool", 1, false, "00"],
    ["y", "tristate", 4, false, "01 00 00 00"],
    ["m", "tristate", 4, false, "02 00 00 00"],
    ["n", "tristate", 4, false, "00 00 00 00"],
    ["m", "char", 1, true, "6d"],
    ["65", "char", 1, true, "41"],
    ["0x1000", "int", 4, false, "00 10 00 00"],
    ["-1", "int", 4, true, "ff ff ff ff"],
    ["-128", "int", 1, true, "80"],
    ["255", "int", 1, false, "ff"],
    ["010", "int", 2, false, "08 00"],
    ["0xffffffff80000000", "int", 8, true, "00 00 00 80 ff ff ff ff"],
    ['"text"', "char-array", 6, true, "74 65 78 74 00 00"],
    ['"long text"', "char-array", 5, true, "6c 6f 6e 67 00"],
    ['""', "char-array", 2, true, "00 00"],
  ] as const)("%s as %s of %i bytes", (value, shape, size, signed, expected) => {
    const known = facts({ options: { CONFIG_A: value } });
    expect(hex(kconfigValue([option("CONFIG_A", shape, size, { signed })], known, undefined, true))).toBe(expected);
  });

  test.each([
    ["y", "int", 4, false, "its value y wants bool, enum libbpf_tristate or char, not int of 4 bytes"],
    ["m", "bool", 1, false, "its value m wants enum libbpf_tristate or char"],
    ["1", "bool", 1, false, "its value 1 wants an integer, not bool"],
    ["1", "tristate", 4, false, "wants an integer"],
    ["128", "int", 1, true, "value 128 does not fit a signed integer of 1 bytes"],
    ["256", "int", 1, false, "value 256 does not fit an unsigned integer of 1 bytes"],
    ["-1", "int", 4, false, "value -1 does not fit"],
    ["08", "int", 4, false, "wants a number"],
    ["1 2", "int", 4, false, "wants a number"],
    ['"text', "char-array", 8, false, "wants a closing quote"],
    ['"text"', "int", 4, false, "wants an array of char"],
  ] as const)("refuses %s as %s of %i bytes", (value, shape, size, signed, message) => {
    const known = facts({ options: { CONFIG_A: value } });
    expect(() => kconfigValue([option("CONFIG_A", shape, size, { signed })], known, undefined, true)).toThrow(message);
  });

  test("names that are no options", () => {
    const externs = [
      option("LINUX_KERNEL_VERSION", "int", 4),
      option("LINUX_HAS_BPF_COOKIE", "bool", 1, { offset: 4 }),
      option("LINUX_HAS_SYSCALL_WRAPPER", "bool", 1, { offset: 5 }),
      option("LINUX_OF_THE_FUTURE", "int", 2, { offset: 6, weak: true }),
    ];
    expect(hex(kconfigValue(externs, facts(), undefined, true))).toBe("07 12 06 00 01 00 00 00");
    expect(hex(kconfigValue(externs.slice(0, 1), facts(), undefined, false))).toBe("00 06 12 07");
    for (const name of ["LINUX_OF_THE_FUTURE", "OTHER"])
      expect(() => kconfigValue([option(name, "int", 4)], facts(), undefined, true)).toThrow("neither a kernel option");
  });

  test("lines that are given go first, and only what is missing is looked up", () => {
    const closed = facts({
      kernelOption: (name) => {
        throw new Error(`asked for ${name}`);
      },
    });
    const extra = "# comment\nCONFIG_A=1\nCONFIG_A=2\nCONFIG_B=y\n";
    const both = [option("CONFIG_A", "int", 4), option("CONFIG_B", "bool", 1, { offset: 4 })];
    expect(hex(kconfigValue(both, closed, extra, true))).toBe("01 00 00 00 01");
    expect(() => kconfigValue([option("CONFIG_C", "int", 4)], closed, extra, true)).toThrow("asked for CONFIG_C");
    expect(() => kconfigValue(both, closed, "CONFIG_A\n", true)).toThrow("kconfig: line 1: CONFIG_A: no value");
  });

  test("what is not set is zero when weak, an error when not", () => {
    expect(hex(kconfigValue([option("CONFIG_A", "int", 4, { weak: true })], facts(), undefined, true))).toBe(
      "00 00 00 00",
    );
    expect(() => kconfigValue([option("CONFIG_A", "int", 4)], facts(), undefined, true)).toThrow(
      "kernel option CONFIG_A: is not set",
    );
  });
});

/** Types of an object and of a kernel with a module, with the same things in different order. */
function typesOf(
  order: "object" | "kernel" | "module",
  base?: Uint8Array,
): { bytes: Uint8Array; ids: Record<string, number> } {
  const types = base === undefined ? new BtfBuilder() : BtfBuilder.extending(base);
  const ids: Record<string, number> = {};
  if (order === "kernel") types.int("padding", 8);
  const int = types.int(order === "module" ? "mint" : "int", 4);
  const struct = types.struct(order === "module" ? "of_module" : "thing", 4, [
    { name: "a", typeId: int, bitOffset: 0 },
  ]);
  const pointer = types.pointer(struct);
  const proto = types.funcProto(int, [{ name: "thing", typeId: pointer }]);
  const func = (name: string, protoId = proto): void => {
    ids[name] = types.func(name, protoId, order === "object" ? BtfFuncLinkage.GLOBAL : BtfFuncLinkage.STATIC);
  };
  if (order === "module") {
    func("bpf_of_module");
    ids["module_count"] = types.variable("module_count", int);
  } else {
    func("bpf_do");
    func(
      "bpf_do___late",
      types.funcProto(int, [
        { name: "a", typeId: int },
        { name: "b", typeId: int },
      ]),
    );
    if (order === "object") func("bpf_of_module");
    const isObject = order === "object";
    func("bpf_of_late", isObject ? types.funcProto(int, [{ name: "a", typeId: int }]) : proto);
    const forward = types.pointer(types.forward("thing"));
    func("bpf_declared", isObject ? types.funcProto(int, [{ name: "a", typeId: forward }]) : proto);
    ids["count"] = types.variable("count", int);
  }
  Object.assign(ids, { int, struct, proto });
  return { bytes: types.finish(), ids };
}

describe("symbols", () => {
  const own = typesOf("object");
  const kernel = typesOf("kernel");
  const module = typesOf("module", kernel.bytes);
  const btf = Btf.parse(kernel.bytes);
  const known = facts({
    btf,
    moduleBtfs: () => [{ name: "mod", btf: Btf.parse(module.bytes) }],
    symbols: { start: 0xffff_ffff_8100_0000n },
  });
  const object = (...externs: ExternSpec[]): BpfObject => ({
    license: "GPL",
    programs: [],
    maps: [],
    btf: own.bytes,
    externs,
  });
  const kfunc = (name: string, weak = false): ExternSpec => ({
    kind: "kfunc",
    name,
    typeId: own.ids[name] ?? own.ids["bpf_do"]!,
    weak,
  });
  const ksym = (name: string, typeId: number, weak = false): ExternSpec => ({ kind: "ksym", name, typeId, weak });

  test.each([
    ["an address", ksym("start", 0), { kind: "address", address: 0xffff_ffff_8100_0000n }],
    ["no address", ksym("nowhere", 0, true), { kind: "missing" }],
    ["a variable", ksym("count", own.ids["int"]!), { kind: "btf", id: kernel.ids["count"] }],
    [
      "a variable of a module",
      ksym("module_count", own.ids["int"]!),
      { kind: "btf", id: module.ids["module_count"], module: "mod" },
    ],
    ["no variable", ksym("number", own.ids["int"]!, true), { kind: "missing" }],
    ["a function", kfunc("bpf_do"), { kind: "btf", id: kernel.ids["bpf_do"] }],
    ["a function of a module", kfunc("bpf_of_module"), { kind: "btf", id: module.ids["bpf_of_module"], module: "mod" }],
    ["a function of another shape", kfunc("bpf_do___late", true), { kind: "missing" }],
    ["no function", kfunc("bpf_undo", true), { kind: "missing" }],
  ])("%s", (_, extern, expected) => {
    expect(resolveObject(object(extern), known).symbols.get(extern.name)).toEqual(expected);
  });

  test.each([
    [ksym("nowhere", 0), "kernel symbol nowhere: this kernel has none"],
    [ksym("cout", own.ids["int"]!), "kernel variable cout: neither this kernel's types nor those of its modules"],
    [ksym("cout", own.ids["int"]!), "did you mean count?"],
    [ksym("count", own.ids["struct"]!, true), "the object declares struct thing, the kernel has int int"],
    [kfunc("bpf_od"), "did you mean bpf_do"],
    [kfunc("bpf_do___late"), "the object gives it 2 parameter(s), the kernel's has 1"],
    [kfunc("bpf_of_late"), "parameter thing is int in the object and struct thing * in the kernel"],
    [
      kfunc("bpf_declared"),
      "parameter thing is struct thing * in both, and one of them only declares it: give the struct a body",
    ],
  ])("%o is refused: %s", (extern, message) => {
    expect(() => resolveObject(object(extern), known)).toThrow(message);
  });

  test("types are asked for only when something has a type", () => {
    expect(resolveObject(object(ksym("start", 0)), { ...known, btf: undefined }).symbols.size).toBe(1);
    expect(() => resolveObject(object(kfunc("bpf_do")), { ...known, btf: undefined })).toThrow("CONFIG_DEBUG_INFO_BTF");
    const { btf: _, ...without } = object(kfunc("bpf_do"));
    expect(() => resolveObject(without, known)).toThrow("compile it with -g");
  });

  test("an object that asks nothing is left alone", () => {
    const plain: BpfObject = {
      license: "GPL",
      maps: [],
      programs: [
        {
          name: "p",
          type: ProgType.SOCKET_FILTER,
          expectedAttachType: 0,
          code: encode(assemble("r0 = 0\nexit")),
          relocations: [],
          funcInfo: none,
          lineInfo: none,
        },
      ],
    };
    expect(needsResolving(plain)).toBe(false);
    expect(resolveObject(plain, known).object.programs[0]).toBe(plain.programs[0]);
    expect(needsResolving(object(ksym("start", 0)))).toBe(true);
  });

  test(".kconfig is filled in a copy", () => {
    const map = { name: ".kconfig", type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0, frozen: true };
    const given = { ...object(option("CONFIG_A", "int", 4, { offset: 4 })), maps: [map] };
    const { object: filled } = resolveObject(given, facts({ options: { CONFIG_A: "7" } }));
    expect(hex(filled.maps[0]!.initialValue!)).toBe("00 00 00 00 07 00 00 00");
    expect(given.maps[0]).not.toHaveProperty("initialValue");
  });
});
