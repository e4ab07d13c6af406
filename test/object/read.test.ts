import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ParseError, UnsupportedError } from "../../src/base/index.ts";
import { Btf, dumpBtfRaw } from "../../src/btf/index.ts";
import { AttachType, MapFlags, MapType, ProgType } from "../../src/isa/index.ts";
import { nearestSections, readObject, sectionMeaning, sectionPatterns } from "../../src/object/index.ts";
import type { BpfObject, MapSpec, ProgramSpec } from "../../src/object/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";
import { differences, openWithLibbpf } from "../support/libbpf/opened.ts";
import { clang, temporaryDirectory } from "./clang-text.ts";

const read = (name: string, ...flags: string[]): BpfObject =>
  readObject(compileProgram(name, ...flags), { name: `some/where/${name}.bpf.o` });

const map = (object: BpfObject, name: string): MapSpec => object.maps.find((m) => m.name === name)!;
const program = (object: BpfObject, name: string): ProgramSpec => object.programs.find((p) => p.name === name)!;

describeWith(["clang", "libbpf"], "what an object says", () => {
  let all: BpfObject;
  beforeAll(() => {
    all = read("read-all");
  });

  test("license, version and name", () => {
    expect([all.license, all.kernelVersion, all.name, all.byteOrder]).toEqual([
      "Dual BSD/GPL",
      0x60123,
      "read-all",
      "little",
    ]);
  });

  test("maps that BTF describes", () => {
    expect(map(all, "counts")).toMatchObject({
      type: MapType.HASH,
      keySize: 20,
      valueSize: 8,
      maxEntries: 100,
      flags: 1,
    });
    expect(map(all, "counts").pinning).toBe("by-name");
    expect(map(all, "bloom")).toMatchObject({ type: MapType.BLOOM_FILTER, keySize: 0, valueSize: 4, mapExtra: 3n });
    expect(map(all, "near")).toMatchObject({ numaNode: 0, flags: MapFlags.NUMA_NODE });
    expect(map(all, "events")).toMatchObject({ type: MapType.PERF_EVENT_ARRAY, maxEntries: 0 });
    expect(map(all, "first")).not.toHaveProperty("slots");
  });

  test("maps of maps and arrays of programs, with first entries", () => {
    expect(map(all, "outer")).toMatchObject({
      valueSize: 4,
      inner: { name: "outer.inner", type: MapType.ARRAY, maxEntries: 4, flags: MapFlags.INNER_MAP },
      slots: [
        { index: 0, map: "first" },
        { index: 2, map: "second" },
      ],
    });
    expect(map(all, "outer_hash").slots).toEqual([{ index: 1, map: "first" }]);
    expect(map(all, "tails").slots).toEqual([{ index: 1, program: "tail" }]);
  });

  test("sections of data", () => {
    const { MMAPABLE, RDONLY_PROG } = MapFlags;
    const shown = all.maps
      .filter((m) => m.kernelName !== undefined)
      .map((m) => [m.name, m.kernelName, m.flags, m.frozen, m.initialValue?.length]);
    expect(shown).toEqual([
      [".rodata", "read_all.rodata", MMAPABLE | RDONLY_PROG, true, map(all, ".rodata").valueSize],
      [".data", "read_all.data", MMAPABLE, undefined, map(all, ".data").valueSize],
      [".data.custom", ".data.custom", MMAPABLE, undefined, 4],
      [".rodata.fixed", ".rodata.fixed", MMAPABLE | RDONLY_PROG, true, 4],
      // Of a static variable only: nobody may look.
      [".data.lone", ".data.lone", 0, undefined, 4],
      [".bss", "read_all.bss", MMAPABLE, undefined, undefined],
      [".kconfig", "read_al.kconfig", MMAPABLE | RDONLY_PROG, true, undefined],
    ]);
  });

  test("variables", () => {
    const value = (name: string): readonly [string, string, bigint | undefined] => {
      const v = all.variables!.find((variable) => variable.name === name)!;
      const data = map(all, v.map).initialValue;
      if (data === undefined) return [v.map, v.linkage, undefined];
      const view = new DataView(data.buffer, data.byteOffset + v.offset, v.size);
      return [v.map, v.linkage, BigInt(v.size === 8 ? view.getBigInt64(0, true) : view.getInt32(0, true))];
    };
    expect(value("limit")).toEqual([".rodata", "global", 7n]);
    expect(value("started")).toEqual([".data", "global", 5n]);
    expect(value("own_count")).toEqual([".data", "static", 3n]);
    expect(value("hidden")).toEqual([".data", "static", 4n]);
    expect(value("yielding")).toEqual([".data", "weak", 6n]);
    expect(value("custom")).toEqual([".data.custom", "global", 9n]);
    expect(value("fixed")).toEqual([".rodata.fixed", "global", 11n]);
    expect(value("wide")).toEqual([".bss", "global", undefined]);
    const btf = Btf.parse(all.btf!);
    const wide = all.variables!.find((v) => v.name === "wide")!;
    expect([wide.size, btf.sizeOf(wide.typeId)]).toEqual([24, 24]);
    expect(all.variables!.map((v) => v.name)).not.toContain("LICENSE");
  });

  test("options of the kernel, by alignment, size and name", () => {
    const options = all.externs!.flatMap((e) => (e.kind === "kconfig" ? [e] : []));
    expect(options.map((e) => [e.name, e.offset, e.size, e.shape, e.signed, e.weak])).toEqual([
      ["CONFIG_HZ", 0, 8, "int", false, true],
      ["CONFIG_IPV6", 8, 4, "tristate", false, true],
      ["LINUX_KERNEL_VERSION", 12, 4, "int", true, false],
      ["CONFIG_BPF_SYSCALL", 16, 1, "bool", false, true],
      ["CONFIG_ONE_CHAR", 17, 1, "char", true, true],
      ["CONFIG_DEFAULT_HOSTNAME", 18, 16, "char-array", false, true],
    ]);
    expect(map(all, ".kconfig").valueSize).toBe(34);
  });

  test("symbols and functions of the kernel", () => {
    const btf = Btf.parse(all.btf!);
    const others = all.externs!.flatMap((e) =>
      e.kind === "kconfig" ? [] : [[e.kind, e.name, e.weak, btf.kindOf(e.typeId)]],
    );
    expect(others).toEqual([
      ["ksym", "bpf_missing", true, 1],
      ["ksym", "bpf_prog_active", true, 0],
      ["kfunc", "bpf_task_acquire", false, 12],
      ["kfunc", "bpf_task_release", false, 12],
      ["kfunc", "bpf_testmod_test_mod_kfunc", true, 12],
    ]);
    const fork = program(all, "fork").relocations.map((r) => [r.kind, "name" in r ? r.name : r.map]);
    expect(fork).toEqual([
      ["kfunc", "bpf_task_acquire"],
      ["kfunc", "bpf_task_release"],
      ["ksym", "bpf_testmod_test_mod_kfunc"],
      ["kfunc", "bpf_testmod_test_mod_kfunc"],
    ]);
  });

  test("programs in the order of sections and places", () => {
    expect(all.programs.map((p) => [p.name, p.section, p.autoload, p.attach?.kind])).toEqual([
      ["tail", "tracepoint/sched/sched_switch", undefined, "tracepoint"],
      ["first_switch", "tracepoint/sched/sched_switch", undefined, "tracepoint"],
      ["optional", "kprobe/do_unlinkat+0x10", false, "kprobe"],
      ["fork", "tp_btf/task_newtask", undefined, "tracing"],
      ["throws", "raw_tp/sys_enter", undefined, "raw-tracepoint"],
    ]);
  });

  test("functions behind the programs that call them, in depth first", () => {
    const btf = Btf.parse(all.btf!);
    const functions = (name: string): string[] => {
      const { funcInfo } = program(all, name);
      const view = new DataView(funcInfo.buffer, funcInfo.byteOffset, funcInfo.length);
      return Array.from({ length: funcInfo.length / 8 }, (_, i) => btf.nameOf(view.getUint32(i * 8 + 4, true)));
    };
    expect(functions("first_switch")).toEqual(["first_switch", "each", "leaf", "quiet", "shared"]);
    expect(functions("tail")).toEqual(["tail", "shared", "leaf"]);
    expect(functions("optional")).toEqual(["optional", "soft"]);
    // Named by a tag only.
    expect(functions("throws")).toEqual(["throws", "fallback", "leaf"]);
    expect(functions("fork")).toEqual(["fork"]);
  });

  test("hidden functions and variables are static in the types", () => {
    const types = [...dumpBtfRaw(Btf.parse(all.btf!))].map((line) => line.replaceAll(/\[\d+\] |type_id=\d+,? /g, ""));
    expect(types).toContain("FUNC 'quiet' linkage=static");
    expect(types).toContain("FUNC 'shared' linkage=global");
    expect(types).toContain("VAR 'hidden' linkage=static");
    expect(types).toContain("VAR 'dummy_ksym' linkage=global");
  });

  test("CO-RE relocations, with the access read", () => {
    const { coreRelocations } = program(all, "first_switch");
    const btf = Btf.parse(all.btf!);
    expect(coreRelocations!.map((r) => [btf.nameOf(r.typeId), r.access, r.kind])).toEqual([
      ["task_struct", "0:0", 0],
      ["task_struct", "0:1", 2],
    ]);
  });

  test("struct_ops", () => {
    const object = read("read-struct-ops");
    const shown = object.maps.map((m) => ({ ...m.structOps, name: m.name, flags: m.flags, autocreate: m.autocreate }));
    const common = { typeName: "bpf_dummy_ops", typeId: shown[0]!.typeId };
    const one = { offset: 0, member: "test_1", program: "one" };
    const two = { offset: 8, member: "test_2", program: "two" };
    expect(shown).toEqual([
      { ...common, name: "dummy", flags: 0, link: false, functions: [one, two], autocreate: undefined },
      { ...common, name: "dummy_again", flags: 0, link: false, functions: [two], autocreate: undefined },
      { ...common, name: "linked", flags: MapFlags.LINK, link: true, functions: [one], autocreate: undefined },
      { ...common, name: "not_created", flags: MapFlags.LINK, link: true, functions: [one], autocreate: false },
    ]);
    expect(new DataView(map(object, "dummy").initialValue!.buffer).getInt32(16, true)).toBe(77);
    expect(object.programs.map((p) => [p.name, p.type])).toEqual([
      ["one", ProgType.STRUCT_OPS],
      ["two", ProgType.STRUCT_OPS],
    ]);
  });

  test("big-endian objects hold the same code and types", () => {
    for (const name of ["read-all", "read-struct-ops"]) {
      const [little, big] = [read(name), read(name, "-target", "bpfeb")];
      expect(big.byteOrder).toBe("big");
      expect(big.programs).toEqual(little.programs);
      expect([...dumpBtfRaw(Btf.parse(big.btf!))]).toEqual([...dumpBtfRaw(Btf.parse(little.btf!))]);
      const withoutValues = ({ maps }: BpfObject): unknown =>
        maps.map((m) => ({ ...m, initialValue: m.initialValue?.length }));
      expect(withoutValues(big)).toEqual(withoutValues(little));
      expect(big.externs).toEqual(little.externs);
    }
    const v = read("read-all", "-target", "bpfeb");
    const started = v.variables!.find((variable) => variable.name === "started")!;
    const data = map(v, ".data").initialValue!;
    expect(new DataView(data.buffer, data.byteOffset).getInt32(started.offset, false)).toBe(5);
  });

  test("objects without BTF: maps of numbers, symbols tell sizes", () => {
    const object = readObject(clang(legacy, "-g0"), { name: "legacy.o" });
    expect(object.btf).toBeUndefined();
    expect(object.maps.map(({ initialValue, ...m }) => [m, initialValue?.length])).toEqual([
      [{ name: "plain", type: 1, keySize: 4, valueSize: 8, maxEntries: 16, flags: 1 }, undefined],
      [{ name: "array", type: 2, keySize: 4, valueSize: 8, maxEntries: 2, flags: 0 }, undefined],
      [expect.objectContaining({ name: ".data", flags: 0, kernelName: "legacy.data" }), 8],
      [expect.objectContaining({ name: ".bss", flags: 0, kernelName: "legacy.bss" }), undefined],
    ]);
    expect(object.variables).toEqual([
      { name: "number", map: ".data", offset: 0, size: 4, typeId: 0, linkage: "global" },
      { name: "weak_number", map: ".data", offset: 4, size: 4, typeId: 0, linkage: "weak" },
      { name: "nothing", map: ".bss", offset: 0, size: 4, typeId: 0, linkage: "global" },
    ]);
    const relocations = program(object, "run").relocations.map((r) => ("map" in r ? r.map : r.name));
    expect(new Set(relocations)).toEqual(new Set(["plain", "array", ".data", ".bss"]));
    expect(program(object, "run")).toMatchObject({ type: ProgType.SOCKET_FILTER, funcInfo: new Uint8Array(0) });
  });

  test("functions of two names", () => {
    const source = `
      __attribute__((noinline)) int one(int x) { return x * 7; }
      int two(int x) __attribute__((alias("one")));
      __attribute__((section("tc"), used)) int p(void *c) { return one(1) + two((long)c); }`;
    const { code } = program(readObject(clang(source)), "p");
    // Both calls go to the one function behind the program.
    const calls = Array.from({ length: code.length / 8 }, (_, i) => i).filter((i) => code[i * 8] === 0x85);
    const targets = calls.map((i) => i + 1 + new DataView(code.buffer).getInt32(i * 8 + 4, true));
    expect(new Set(targets).size).toBe(1);
    expect(targets).toHaveLength(2);
  });

  test("variables of an arena", () => {
    const object = readObject(clang(arena), { name: "arena.o" });
    expect(map(object, "arena")).toMatchObject({ type: MapType.ARENA, maxEntries: 10, valueSize: 0 });
    expect([...map(object, "arena").initialValue!]).toEqual([3, 0, 0, 0, 4, 0, 0, 0]);
    expect(object.variables!.map((v) => [v.name, v.map, v.offset, v.size])).toEqual([
      ["first", "arena", 0, 4],
      ["second", "arena", 4, 4],
    ]);
    expect(program(object, "p").relocations.map(({ insnIndex: _index, ...r }) => r)).toEqual([
      { kind: "map-value", map: "arena", offset: 0 },
      { kind: "map-value", map: "arena", offset: 4 },
    ]);
  });

  test("iproute2's maps", () => {
    const object = readObject(clang(iproute2, "-g0"), { name: "tc.o" });
    expect(object.maps).toEqual([
      { name: "inner", type: 2, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 },
      {
        name: "outer",
        type: 12,
        keySize: 4,
        valueSize: 4,
        maxEntries: 1,
        flags: 0,
        pinning: "by-name",
        inner: { name: "outer.inner", type: 2, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 },
      },
    ]);
  });
});

const arena = `
struct { int (*type)[33]; int (*max_entries)[10]; } arena __attribute__((section(".maps"), used));
__attribute__((section(".addr_space.1"))) int first = 3, second = 4;
__attribute__((section("syscall"), used)) int p(void *c) { return first + second; }`;

const legacy = `
struct bpf_map_def { unsigned type, key, value, entries, flags; };
__attribute__((section("maps"), used)) struct bpf_map_def plain = { 1, 4, 8, 16, 1 };
__attribute__((section("maps"), used)) struct bpf_map_def array = { 2, 4, 8, 2, 0 };
int number = 3;
__attribute__((weak)) int weak_number = 4;
int nothing;
static void *(*lookup)(void *, const void *) = (void *)1;
__attribute__((section("socket"), used)) int run(void *ctx)
{
  int key = number + weak_number;
  nothing++;
  return lookup(&plain, &key) || lookup(&array, &key);
}`;

const iproute2 = `
struct bpf_elf_map { unsigned type, key, value, entries, flags, id, pinning, inner_id, inner_idx; };
__attribute__((section("maps"), used)) struct bpf_elf_map inner = { 2, 4, 4, 1, 0, 42 };
__attribute__((section("maps"), used)) struct bpf_elf_map outer = { 12, 4, 4, 1, 0, 0, 2, 42 };`;

describeWith(["clang", "gcc", "libbpf"], "the same as libbpf reads", () => {
  const directory = temporaryDirectory();
  afterAll(() => directory.remove());

  const names = [
    "read-all",
    "read-struct-ops",
    "core-kernel",
    "api",
    "load-externs",
    "load-maps",
    "load-errors",
    "load-targets",
  ];
  test.each(names)("%s", (name) => {
    const path = join(directory.path, `${name}.bpf.o`);
    const bytes = compileProgram(name);
    writeFileSync(path, bytes);
    const [opened] = openWithLibbpf([path]);
    expect(opened?.open).toBe(0);
    // libbpf 1.1 knows neither sections with links nor functions for exceptions.
    const unknown = [/^maps: .*linked/, /^code of throws/];
    const found = differences(readObject(bytes, { name: path }), opened!);
    expect(found.filter((line) => !unknown.some((u) => u.test(line)))).toEqual([]);
  });

  test("every name of a section", () => {
    const known = sectionPatterns.filter((p) => (p.since ?? 0) <= 1);
    const targets = known.map((p) => (p.target === undefined ? p.name : `${p.name}/a/b:c:d`));
    const source = [...targets, ...known.map((p) => p.name), "nothing", "kprobes", "xdp/other", "tc/other/x"]
      .map((section, i) => `__attribute__((section("${section}"), used)) int p${i}(void *ctx) { return 0; }`)
      .join("\n");
    const path = join(directory.path, "sections.o");
    const bytes = clang(source);
    writeFileSync(path, bytes);
    expect(differences(readObject(bytes, { name: path }), openWithLibbpf([path])[0]!)).toEqual([]);
  });
});

describe("names of sections", () => {
  test("libbpf's 116, each once", () => {
    expect(sectionPatterns).toHaveLength(116);
    expect(new Set(sectionPatterns.map((p) => p.name)).size).toBe(116);
  });

  const cases: readonly (readonly [section: string, attach: unknown])[] = [
    ["kprobe", undefined],
    ["kprobe/do_unlinkat", { kind: "kprobe", func: "do_unlinkat", offset: 0, isReturn: false }],
    ["kprobe/do_unlinkat+0x10", { kind: "kprobe", func: "do_unlinkat", offset: 16, isReturn: false }],
    ["kprobe/do_unlinkat+010", { kind: "kprobe", func: "do_unlinkat", offset: 8, isReturn: false }],
    ["kprobe/a.isra.0", { kind: "kprobe", func: "a.isra.0", offset: 0, isReturn: false }],
    ["kretprobe/vfs_read", { kind: "kprobe", func: "vfs_read", offset: 0, isReturn: true }],
    ["kretprobe/vfs_read+4", /returns have no offset/],
    ["kprobe/+4", /no function/],
    ["kprobe.multi/tcp_*", { kind: "kprobe-pattern", pattern: "tcp_*", isReturn: false }],
    ["kretprobe.multi/?cp_send", { kind: "kprobe-pattern", pattern: "?cp_send", isReturn: true }],
    ["kprobe.session/tcp_*", { kind: "kprobe-pattern", pattern: "tcp_*", isReturn: false }],
    ["ksyscall/openat", { kind: "ksyscall", syscall: "openat", isReturn: false }],
    ["kretsyscall/openat", { kind: "ksyscall", syscall: "openat", isReturn: true }],
    ["uprobe//bin/sh:main", { kind: "uprobe-symbol", path: "/bin/sh", func: "main", offset: 0, isReturn: false }],
    [
      "uprobe.s/libc.so.6:malloc+0x4",
      { kind: "uprobe-symbol", path: "libc.so.6", func: "malloc", offset: 4, isReturn: false },
    ],
    ["uprobe/a:b+c", { kind: "uprobe-symbol", path: "a", func: "b+c", offset: 0, isReturn: false }],
    ["uretprobe/a:b+4", /returns have no offset/],
    ["uprobe//bin/sh", /PATH:FUNCTION/],
    ["uprobe.multi/libc.so.6:mem*", { kind: "uprobe-pattern", path: "libc.so.6", pattern: "mem*", isReturn: false }],
    ["uretprobe.multi/a:b", { kind: "uprobe-pattern", path: "a", pattern: "b", isReturn: true }],
    ["usdt//bin/x:prov:name", { kind: "usdt", path: "/bin/x", provider: "prov", name: "name" }],
    ["usdt//bin/x:prov", /PATH:PROVIDER:NAME/],
    ["tp/sched/sched_switch", { kind: "tracepoint", category: "sched", name: "sched_switch" }],
    ["tracepoint/sched", /CATEGORY\/NAME/],
    ["raw_tp/sys_enter", { kind: "raw-tracepoint", name: "sys_enter" }],
    ["raw_tracepoint.w/x", { kind: "raw-tracepoint", name: "x" }],
    ["fentry/do_unlinkat", { kind: "tracing" }],
    ["fentry", undefined],
    ["lsm/file_open", { kind: "tracing" }],
    ["lsm_cgroup/socket_bind", undefined],
    ["iter/task", { kind: "tracing" }],
    ["xdp", undefined],
    ["cgroup/connect4", undefined],
    ["struct_ops/init", undefined],
  ];
  test.each(cases)("%s", (section, expected) => {
    const said = sectionMeaning(section);
    if (expected instanceof RegExp)
      expect([said?.attach, said?.problem]).toEqual([undefined, expect.stringMatching(expected)]);
    else expect([said?.attach, said?.problem]).toEqual([expected, undefined]);
  });

  test("what may have been meant", () => {
    expect(nearestSections("tracepiont/sched/sched_switch")).toEqual(["tracepoint"]);
    expect(nearestSections("xdp/mine")[0]).toBe("xdp");
    expect(nearestSections("cgroup/conect4")[0]).toBe("cgroup/connect4");
    expect(nearestSections("qqqqqqqq")).toEqual([]);
  });

  test("flags and types", () => {
    expect(sectionMeaning("xdp.frags/devmap")).toMatchObject({
      expectedAttachType: AttachType.XDP_DEVMAP,
      flags: 0x20,
    });
    expect(sectionMeaning("fmod_ret.s/x")).toMatchObject({ sleepable: true, attachTo: "x" });
    expect(sectionMeaning("syscall")).toMatchObject({ type: ProgType.SYSCALL, sleepable: true });
    expect(sectionMeaning("sockops")).toMatchObject({ attachTypeOptional: true });
    expect(sectionMeaning("fentry/mod:func")).toMatchObject({ attachTo: "mod:func" });
    expect(["", "kprobes", "xdp/x", "tc/x", "/kprobe"].map((name) => sectionMeaning(name))).toEqual(
      Array(5).fill(undefined),
    );
  });
});

describeWith(["clang"], "objects that are refused", () => {
  const HEAD = `
#define SEC(x) __attribute__((section(x), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
`;
  const cases: readonly (readonly [name: string, source: string, message: RegExp])[] = [
    [
      "a static program",
      `SEC("xdp") static int p(void *c) { return 0; }`,
      /xdp: offset 0: program p is static: programs must be global/,
    ],
    [
      "a function of another file",
      `extern int other(int); SEC("xdp") int p(void *c) { return other(1); }`,
      /other: it is not defined: link the object with the one that defines it/,
    ],
    [
      "a variable of another file",
      `extern int other; SEC("xdp") int p(void *c) { return other; }`,
      /other: it is not defined/,
    ],
    [
      "a call into another section",
      `SEC("tc") __attribute__((noinline)) int q(int x) { return x * 7; } SEC("xdp") int p(void *c) { return q((long)c); }`,
      /xdp: offset \d+: function p, instruction \d: calls q of section tc: functions that programs call must be in .text/,
    ],
    [
      "an unknown attribute",
      `struct { __uint(type, 1); __uint(max_entires, 1); } m SEC(".maps");`,
      /\.maps: offset 0: map m: unknown attribute "max_entires"; known are type, max_entries/,
    ],
    ["no type", `struct { __uint(max_entries, 1); } m SEC(".maps");`, /map m: no type is given/],
    [
      "two sizes",
      `struct { __uint(type, 1); __uint(key_size, 4); __type(key, long); } m SEC(".maps");`,
      /map m: attribute key: 8 bytes, said to be 4 before/,
    ],
    ["a type as number", `struct { __type(type, int); } m SEC(".maps");`, /map m: attribute type: a number is wanted/],
    ["odd pinning", `struct { __uint(type, 1); __uint(pinning, 3); } m SEC(".maps");`, /attribute pinning: 3, not/],
    [
      "a static map",
      `static struct { __uint(type, 1); } m SEC(".maps"); SEC("xdp") int p(void *c) { return (long)&m; }`,
      /map m: it is static or hidden/,
    ],
    [
      "values of a hash",
      `struct i { __uint(type, 2); }; struct { __uint(type, 1); __array(values, struct i); } m SEC(".maps");`,
      /attribute values: only maps of maps and arrays of programs have it/,
    ],
    [
      "maps of maps of maps",
      `struct i { __uint(type, 2); }; struct j { __uint(type, 12); __array(values, struct i); };
       struct { __uint(type, 12); __array(values, struct j); } m SEC(".maps");`,
      /inner map: attribute values: maps of maps of maps do not exist/,
    ],
    [
      "an option of no type that options have",
      `extern double CONFIG_X SEC(".kconfig"); SEC("xdp") int p(void *c) { return *(int *)&CONFIG_X; }`,
      /CONFIG_X: of a type that no option has/,
    ],
    [
      "BTF that is missing",
      `-g0 struct { __uint(type, 1); } m SEC(".maps");`,
      /\.maps: offset 0: its maps are described by BTF, which the file has not/,
    ],
    [
      "an arena's variables without an arena",
      `SEC(".addr_space.1") int a = 1;`,
      /variables of an arena, and no map is one/,
    ],
    [
      "two arenas",
      `SEC(".addr_space.1") int a = 1; struct { __uint(type, 33); } m SEC(".maps"), n SEC(".maps");`,
      /two arenas, m and n/,
    ],
    [
      "a struct_ops function that is no such program",
      `struct ops { int (*f)(void *); }; SEC("xdp") int p(void *c) { return 0; } SEC(".struct_ops") struct ops o = { p };`,
      /struct o: member f is p, which is no program of SEC\("struct_ops"\)/,
    ],
    [
      "an exception callback that is none",
      `__attribute__((btf_decl_tag("exception_callback:x"))) SEC("xdp") int p(void *c) { return 0; }`,
      /program p: its exception callback x is no function of .text/,
    ],
  ];
  test.each(cases)("%s", (_, source, message) => {
    const isBare = source.startsWith("-g0 ");
    const bytes = clang(HEAD + (isBare ? source.slice(4) : source), ...(isBare ? ["-g0"] : []));
    expect(() => readObject(bytes)).toThrow(ParseError);
    expect(() => readObject(bytes)).toThrow(message);
  });

  test("jumps by tables", () => {
    const table = `SEC(".jumptables") long table[2] = { 1, 2 }; SEC("tc") int p(void *c) { return table[(long)c & 1]; }`;
    expect(() => readObject(clang(HEAD + table))).toThrow(UnsupportedError);
    expect(() => readObject(clang(HEAD + table))).toThrow(/function p: jumps by a table .*-fno-jump-tables/);
  });

  test("other files", () => {
    const refusal = (bytes: Uint8Array): unknown => {
      try {
        return readObject(bytes, { name: "x" });
      } catch (error) {
        return error instanceof ParseError || error instanceof UnsupportedError ? error.message : error;
      }
    };
    expect(refusal(new Uint8Array(0))).toMatch(/x: offset 0: no ELF file/);
    expect(refusal(new TextEncoder().encode("BC\xc0\xde"))).toMatch(/no ELF file/);
    expect(refusal(Uint8Array.of(0x42, 0x43, 0xc0, 0xde))).toMatch(/LLVM bitcode/);
    expect(refusal(clang("int x;", "-target", "x86_64"))).toMatch(/offset 18: object for machine X86_64, not BPF/);
    expect(refusal(clang("int x;").subarray(0, 300))).toMatch(/x: offset \d+: .*file ends at 300/);
  });
});
