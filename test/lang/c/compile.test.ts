/** From C text to objects: what is in them, and what is said of text that cannot become one. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Btf, BtfFuncLinkage, BtfKind } from "../../../src/btf/index.ts";
import { kernelTarget, printModule } from "../../../src/compiler/index.ts";
import { MapFlags, MapType, ProgType } from "../../../src/isa/index.ts";
import { CompileError, compileC, lowerC, preprocessC } from "../../../src/lang/c/index.ts";
import type { CCompilation, CCompileOptions } from "../../../src/lang/c/index.ts";
import type { BpfObject } from "../../../src/object/index.ts";
import { readObject, writeElf } from "../../../src/object/index.ts";
import { temporaryDirectory } from "../../object/clang-text.ts";
import { describeWith } from "../../support/needs.ts";
import { headersOf } from "./support.ts";

const SEC = "#define SEC(name) __attribute__((section(name), used))\n";
const MAP = `${SEC}#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __ulong(name, val) enum { name##_value = val } name
`;

function compile(text: string, options: CCompileOptions = {}): CCompilation {
  return compileC({ name: "t.c", text }, options);
}

function objectOf(text: string, options: CCompileOptions = {}): BpfObject {
  return compile(text, options).object;
}

/** What is said of a text that does not compile. */
function complaint(text: string, options: CCompileOptions = {}): string {
  try {
    compile(text, options);
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
  return "";
}

describe("programs", () => {
  test("sections say types and places", () => {
    const { programs, license } = objectOf(`${SEC}
SEC("kprobe/do_unlinkat") int a(void *ctx) { return 0; }
SEC("?tp/sched/sched_switch") int b(void *ctx) { return 0; }
SEC("xdp.frags") int c(void *ctx) { return 2; }
char _license[] SEC("license") = "Dual MIT/GPL";`);
    expect(license).toBe("Dual MIT/GPL");
    expect(
      programs.map(({ name, type, section, attach, autoload, flags }) => ({
        name,
        type,
        section,
        attach,
        autoload,
        flags,
      })),
    ).toEqual([
      {
        name: "a",
        type: ProgType.KPROBE,
        section: "kprobe/do_unlinkat",
        attach: { kind: "kprobe", func: "do_unlinkat", offset: 0, isReturn: false },
      },
      {
        name: "b",
        type: ProgType.TRACEPOINT,
        section: "tp/sched/sched_switch",
        attach: { kind: "tracepoint", category: "sched", name: "sched_switch" },
        autoload: false,
      },
      { name: "c", type: ProgType.XDP, section: "xdp.frags", flags: 32 },
    ]);
  });

  test("sections that say no type leave it to the loader", () => {
    const { object, diagnostics, dialect } = compile(
      `#define __section(name) __attribute__((section(name), used))
__section("socket/first") int a(void *ctx) { return 0; }`,
    );
    expect(dialect).toBe("libbpf");
    expect(object.programs).toMatchObject([{ name: "a", type: 0, section: "socket/first" }]);
    expect(diagnostics.format()).toMatch(/t\.c:2:\d+: warning: SEC\("socket\/first"\) says no type/);
  });

  test("functions that take more than they name are inlined", () => {
    const { programs } = objectOf(`${SEC}
static inline __attribute__((format(printf, 1, 2))) void check(const char *format, ...) {}
SEC("socket") int a(int *ctx) { check("%d", *ctx); return 1; }`);
    expect(programs[0]!.funcInfo.length).toBe(8);
    expect(complaint("int f(int x, ...) { return x; }")).toMatch(/f takes any number of arguments/);
  });

  test("functions that others call are subprograms, unused ones are in no program", () => {
    const { programs, btf } = objectOf(`${SEC}
static __attribute__((noinline)) int local(int x) { return x * 3; }
__attribute__((noinline)) int shared(int x) { return local(x) + 1; }
static int unused(int x) { return x; }
SEC("socket") int a(void *ctx) { return shared(1); }
SEC("socket") int b(void *ctx) { return shared(2) + local(3); }`);
    const types = Btf.parse(btf!);
    const linkage = (name: string): number | undefined => {
      const id = types.findByName(name, BtfKind.FUNC);
      const type = id === undefined ? undefined : types.typeById(id);
      return type?.kind === BtfKind.FUNC ? type.linkage : undefined;
    };
    // Static ones may be inlined, global ones never are.
    for (const { funcInfo } of programs) expect(funcInfo.length / 8).toBeGreaterThanOrEqual(2);
    expect(["a", "local", "shared", "unused"].map(linkage)).toEqual([
      BtfFuncLinkage.GLOBAL,
      BtfFuncLinkage.STATIC,
      BtfFuncLinkage.GLOBAL,
      undefined,
    ]);
  });

  test("tags of functions and parameters are in the BTF", () => {
    const types = Btf.parse(
      objectOf(`${SEC}
__attribute__((noinline)) __attribute__((btf_decl_tag("of function")))
int sub(void *ctx __attribute__((btf_decl_tag("arg:ctx")))) { return ctx != 0; }
SEC("socket") int a(void *ctx) { return sub(ctx); }`).btf!,
    );
    const tags = [...types.idsByKind(BtfKind.DECL_TAG)].map((id) => {
      const tag = types.typeById(id);
      return tag.kind === BtfKind.DECL_TAG ? `${tag.name} ${types.nameOf(tag.typeId)} ${tag.componentIndex}` : "";
    });
    expect(tags).toEqual(["of function sub -1", "arg:ctx sub 0"]);
  });

  test("what inlining shows to be constant is constant", () => {
    const { programs } = objectOf(`${SEC}
extern void missing(void);
static inline __attribute__((always_inline)) int call(void *ctx, const unsigned slot) {
  if (!__builtin_constant_p(slot)) __builtin_trap();
  int r;
  asm volatile("r0 = %[slot]" : "=r"(r) : [slot] "i"(slot) : "r0");
  return slot;
}
SEC("socket") int a(void *ctx) { return call(ctx, 5); }`);
    expect(programs[0]!.code[0]).toBe(0xb7);
    const unknown = `${SEC}SEC("socket") int a(int *c) { asm volatile("r0 = %0" :: "i"(*c)); return 0; }`;
    expect(() => objectOf(unknown)).toThrow(/t\.c:2:\d+.*must be constant/);
  });

  test("the version of old programs", () => {
    expect(objectOf(`${SEC}int _version SEC("version") = 0x50400;`).kernelVersion).toBe(0x50400);
  });

  test("line information names the source", () => {
    const { object } = compile(`${SEC}SEC("socket")\nint a(void *ctx) {\n  return 7;\n}`);
    const types = Btf.parse(object.btf!);
    const view = new DataView(object.programs[0]!.lineInfo.buffer);
    expect(types.strings.get(view.getUint32(4, true))).toBe("t.c");
    expect(object.programs[0]!.lineInfo.length).toBeGreaterThan(0);
  });
});

describe("maps", () => {
  test("definitions by types", () => {
    const { maps } = objectOf(`${MAP}
struct key { int a; long b; };
struct { __uint(type, 1); __uint(max_entries, 10); __uint(map_flags, 1); __uint(pinning, 1); __type(key, struct key); __type(value, long); } hash SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 4096); } ring SEC(".maps");
struct { __uint(type, 30); __uint(max_entries, 7); __uint(value_size, 4); __ulong(map_extra, 3); __uint(numa_node, 0); } bloom SEC(".maps");`);
    expect(maps.map(({ keyTypeId: _k, valueTypeId: _v, ...map }) => map)).toEqual([
      {
        name: "hash",
        type: MapType.HASH,
        keySize: 16,
        valueSize: 8,
        maxEntries: 10,
        flags: MapFlags.NO_PREALLOC,
        pinning: "by-name",
      },
      { name: "ring", type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096, flags: 0 },
      {
        name: "bloom",
        type: MapType.BLOOM_FILTER,
        keySize: 0,
        valueSize: 4,
        maxEntries: 7,
        flags: 0,
        mapExtra: 3n,
        numaNode: 0,
      },
    ]);
  });

  test("first entries", () => {
    const { maps } = objectOf(`${MAP}
struct inner { __uint(type, 2); __uint(max_entries, 1); __type(key, int); __type(value, long); };
struct inner one SEC(".maps"), two SEC(".maps");
struct { __uint(type, 12); __uint(max_entries, 3); __type(key, int); __array(values, struct inner); } outer SEC(".maps") = { .values = { &one, [2] = &two } };
SEC("socket") int tail(void *ctx) { return 0; }
struct { __uint(type, 3); __uint(max_entries, 2); __uint(key_size, 4); __array(values, int (void *)); } jumps SEC(".maps") = { .values = { [1] = (void *)&tail } };`);
    const byName = new Map(maps.map((map) => [map.name, map]));
    expect(byName.get("outer")).toMatchObject({
      slots: [
        { index: 0, map: "one" },
        { index: 2, map: "two" },
      ],
      inner: { name: "outer.inner", type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 1 },
    });
    expect(byName.get("jumps")).toMatchObject({ slots: [{ index: 1, program: "tail" }] });
  });

  test("definitions by numbers, as before BTF", () => {
    const { maps } = objectOf(`${SEC}
struct bpf_map_def { unsigned type, key_size, value_size, max_entries, map_flags; };
struct bpf_map_def SEC("maps") counts = { .type = 1, .key_size = 4, .value_size = 8, .max_entries = 100 };
SEC("socket") int a(void *ctx) { int key = 1; return bpf_map_lookup_elem(&counts, &key) != 0; }`);
    expect(maps).toEqual([{ name: "counts", type: 1, keySize: 4, valueSize: 8, maxEntries: 100, flags: 0 }]);
  });
});

describe("variables", () => {
  test("sections, offsets and first values", () => {
    const { maps, variables } = objectOf(`${SEC}
int zero; int counter = 5; const volatile char flag = 1; static long hidden; const int table[3] = { 1, 2, 3 };
long aligned __attribute__((aligned(64))); int named SEC(".data.other") = 9;
SEC("socket") int a(void *ctx) { static int calls; hidden++; return calls++; }`);
    const places = variables!.map(
      ({ name, map, offset, size, linkage }) => `${name} ${map} ${offset}+${size} ${linkage}`,
    );
    expect(places.toSorted()).toEqual([
      "a.calls .bss 8+4 static",
      "aligned .bss 64+8 global",
      "counter .data 0+4 global",
      "flag .rodata 0+1 global",
      "hidden .bss 0+8 static",
      "named .data.other 0+4 global",
      "table .rodata 4+12 global",
      "zero .bss 12+4 global",
    ]);
    const rodata = maps.find((map) => map.name === ".rodata")!;
    expect([...rodata.initialValue!]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
    expect(rodata).toMatchObject({
      frozen: true,
      flags: MapFlags.RDONLY_PROG | MapFlags.MMAPABLE,
      kernelName: "t.rodata",
    });
    expect(maps.find((map) => map.name === ".bss")!.initialValue).toBeUndefined();
  });

  test("static variables that nothing writes are constants", () => {
    const { maps, variables, programs } = objectOf(`${SEC}
static int limit = 7; static int table[3] = { 1, 2, 3 }; static int counted = 1; static volatile int watched = 1; static int given = 1;
void use(void *p);
SEC("socket") int a(int *ctx) {
  counted += table[*ctx & 1];
  bpf_probe_read_kernel(&given, 4, ctx);
  return limit + watched;
}`);
    const places = new Map(variables!.map(({ name, map }) => [name, map]));
    expect(Object.fromEntries(places)).toEqual({
      limit: ".rodata",
      table: ".rodata",
      counted: ".data",
      watched: ".data",
      given: ".data",
    });
    expect(maps.find((map) => map.name === ".rodata")).toMatchObject({ frozen: true, valueSize: 16 });
    const limit = variables!.find(({ name }) => name === "limit")!;
    const isRead = programs[0]!.relocations.some(
      (r) => r.kind === "map-value" && r.map === ".rodata" && r.offset === limit.offset,
    );
    expect(isRead).toBe(limit.offset === variables!.find(({ name }) => name === "table")!.offset);
  });

  test("initialisers become bytes", () => {
    const { maps } = objectOf(`
struct inner { unsigned char a : 3, b : 5; short s; };
union either { char c; int i; };
struct { struct inner in[2]; union either u; char name[6]; const void *null; int tail[]; } v =
  { .in = { { 5, 2, -2 }, { .s = 0x1234 } }, .u.i = -1, .name = "skep", .tail = { 7, 8 } };`);
    const bytes = Buffer.from(maps.find((map) => map.name === ".data")!.initialValue!).toString("hex");
    const parts = [
      "1500feff",
      "00003412",
      "ffffffff",
      "736b65700000",
      "0".repeat(12),
      "0".repeat(16),
      "0700000008000000",
    ];
    expect(bytes).toBe(parts.join(""));
  });

  test("literals are there once", () => {
    const { maps } = objectOf(`${SEC}
int f(const char *s, const char *t);
SEC("socket") int a(void *ctx) { return bpf_trace_printk("hello", 6) + bpf_trace_printk("hello", 6); }`);
    const { initialValue } = maps.find((map) => map.name === ".rodata")!;
    expect(new TextDecoder().decode(initialValue)).toBe("hello\0");
  });
});

describe("externs", () => {
  test("options, variables and functions of the kernel", () => {
    const { externs, maps, programs } = objectOf(`${SEC}
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF __kconfig __weak;
extern const void runqueues __ksym;
extern const int typed __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym;
extern int CONFIG_UNUSED __kconfig;
SEC("socket") int a(void *ctx) {
  bpf_rcu_read_lock();
  return CONFIG_BPF ? LINUX_KERNEL_VERSION : &runqueues != 0 && &typed;
}`);
    expect(externs!.map(({ typeId: _t, ...extern }) => extern)).toEqual([
      { kind: "kconfig", name: "LINUX_KERNEL_VERSION", offset: 0, size: 4, shape: "int", signed: true, weak: false },
      { kind: "kconfig", name: "CONFIG_BPF", offset: 4, size: 1, shape: "bool", signed: false, weak: true },
      { kind: "kfunc", name: "bpf_rcu_read_lock", weak: false },
      { kind: "ksym", name: "runqueues", weak: false },
      { kind: "ksym", name: "typed", weak: true },
    ]);
    expect(maps.find((map) => map.name === ".kconfig")).toMatchObject({ valueSize: 5, frozen: true });
    const offsets = programs[0]!.relocations.flatMap((r) => (r.kind === "map-value" ? [r.offset] : []));
    expect(new Set(offsets)).toEqual(new Set([0, 4]));
  });
});

/** Text, and what is said of it. */
const wrong: readonly (readonly [what: string, text: string, said: RegExp])[] = [
  [
    "an unknown section",
    `SEC("kprob/x") int a(void *c) { return 0; }`,
    /t.c:6:20: error: SEC\("kprob\/x"\) says no type of a program[^]*did you mean SEC\("kprobe\/x"\)/,
  ],
  ["a static program", `SEC("xdp") static int a(void *c) { return 0; }`, /program a is static/],
  [
    "a call of a program",
    `SEC("xdp") int a(void *c) { return 0; } SEC("xdp") int b(void *c) { return a(c); }`,
    /a is a program: programs cannot be called/,
  ],
  [
    "recursion",
    `static int f(int x) { return x ? f(x - 1) : 0; } SEC("xdp") int a(void *c) { return f(3); }`,
    /f calls itself: programs have no recursion/,
  ],
  [
    "recursion of two",
    `static int g(int); static int f(int x) { return g(x); } static int g(int x) { return f(x); } SEC("xdp") int a(void *c) { return f(3); }`,
    /f is called again while it runs, by g/,
  ],
  [
    "a function without a body",
    `int f(int); SEC("xdp") int a(void *c) { return f(3); }`,
    /f is declared and not defined[^]*__ksym/,
  ],
  [
    "a variable without a definition",
    `extern int x; SEC("xdp") int a(void *c) { return x; }`,
    /x is declared and not defined/,
  ],
  [
    "too many arguments",
    `__attribute__((noinline)) int f(int a, int b, int c, int d, int e, int g) { return a; } SEC("xdp") int a(void *c) { return f(1, 2, 3, 4, 5, 6); }`,
    /f takes 6 arguments, registers hold 5/,
  ],
  ["a map without a type", `struct { __uint(max_entries, 1); } m SEC(".maps");`, /map m: no type is given/],
  [
    "an unknown attribute of a map",
    `struct { __uint(type, 1); __uint(max_entrys, 1); } m SEC(".maps");`,
    /map m: unknown attribute "max_entrys"/,
  ],
  ["a static map", `static struct { __uint(type, 2); } m SEC(".maps");`, /map m is static/],
  [
    "an entry that is no program",
    `int f(void *c) { return 0; } struct { __uint(type, 3); __uint(max_entries, 2); __uint(key_size, 4); __array(values, int (void *)); } m SEC(".maps") = { .values = { (void *)&f } };`,
    /map m: entry 0 is no program/,
  ],
  ["an address in data", `int x; int *p = &x;`, /p holds an address/],
  [
    "an unknown section of data",
    `int x SEC("mydata") = 1; SEC("xdp") int a(void *c) { return x; }`,
    /x is in section mydata, which loaders do not read/,
  ],
  [
    "an option of a type that none has",
    `extern struct s { int x; } CONFIG_X __attribute__((section(".kconfig"))); SEC("xdp") int a(void *c) { return CONFIG_X.x; }`,
    /CONFIG_X is of type struct s, which no option of the kernel has/,
  ],
  [
    "a struct of functions with another function",
    `int f(void) { return 0; } struct ops { int (*f)(void); } o SEC(".struct_ops") = { .f = f };`,
    /member f is f, which is no program of SEC\("struct_ops"\)/,
  ],
  [
    "an exception callback that is none",
    `__attribute__((btf_decl_tag("exception_callback:none"))) SEC("xdp") int a(void *c) { return 0; }`,
    /the exception callback none of a is no global function/,
  ],
];

describe("what cannot become an object", () => {
  test.each(wrong)("%s", (_, text, said) => {
    expect(complaint(MAP + text)).toMatch(said);
  });

  test("what exceeds a limit is shown where it is", () => {
    const said = complaint(`${SEC}#define LARGE(n) \\
  char n[600]
SEC("socket") int a(void *c) {
  LARGE(buffer);
  bpf_probe_read_kernel(buffer, 600, c);
  return buffer[3];
}`);
    expect(said).toMatch(/t\.c:4:\d+: error: function a uses 6\d\d bytes of stack, the kernel gives a program 512/);
    expect(said).toMatch(/\n {2}SEC\("socket"\) int a\(void \*c\) \{\n +\^/);
  });

  test("all messages come at once, with their places", () => {
    const said = complaint(
      `${SEC}SEC("xdp") int a(void *c) { return f(c); }\nSEC("kprob") int b(void *c) { return 0; }\nint x = y;`,
    );
    expect(said).toContain("t.c:2:36: error:");
    expect(said).toContain("t.c:4:9: error:");
  });
});

describe("options", () => {
  test("macros and headers that come before the source", () => {
    const headers = headersOf({ "first.h": "#define FROM_HEADER 3\n" });
    const text = preprocessC(
      { name: "t.c", text: "int a = A, b = B, c = FROM_HEADER;\n#ifdef __clang__\nint clang;\n#endif\n" },
      { headers, include: ["first.h"], macros: [{ define: "A" }, { define: "B=2" }, { undefine: "__clang__" }] },
    );
    expect(text.trim()).toBe("int a = 1, b = 2, c = 3;");
  });

  test("headers that were read are told, those of the compiler are not", () => {
    const headers = headersOf({ "own.h": "#define X 1\n" });
    const { includes } = compile('#include "own.h"\n#include <bpf/bpf_helpers.h>\nint x = X;', { headers });
    expect(includes).toEqual(["own.h"]);
  });

  test("the IR can be had", () => {
    const { module } = lowerC({ name: "t.c", text: `${SEC}SEC("xdp") int a(void *c) { return 2; }` });
    expect(printModule(module)).toContain("entry @a");
  });

  test("the register names of arm64", () => {
    const text = "#include <bpf/bpf_tracing.h>\nlong f(struct pt_regs *ctx) { return PT_REGS_PARM1(ctx); }";
    expect(preprocessC({ name: "t.c", text }, { arch: "arm64" })).toMatch(/regs\[0\]/);
  });
});

describeWith(["vmlinuxBtf"], "types of the kernel", () => {
  const kernelTypes = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));
  const text = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
SEC("tp_btf/sched_switch") int a(u64 *ctx) { return ((struct task_struct *)ctx[1])->pid; }`;

  test("accesses are recorded, unless the kernel is the very one", () => {
    const target = kernelTarget([6, 1]);
    expect(objectOf(text, { kernelTypes, target }).programs[0]!.coreRelocations).toHaveLength(1);
    expect(objectOf(text, { kernelTypes, target, sameKernel: true }).programs[0]!.coreRelocations ?? []).toEqual([]);
  });

  test("a task does not bring the kernel's types along", () => {
    expect(objectOf(text, { kernelTypes }).btf!.length).toBeLessThan(40_000);
  });
});

describeWith(["vmlinuxBtf", "bpftool", "bpf"], "libbpf takes the object", () => {
  const kernelTypes = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));

  test.each([
    ["hello.bpf.c", "all programs"],
    ["hello-undeclared.bpf.c", "a helper that nothing declares"],
    ["count.bpf.c", "a map and global variables"],
  ])("test/programs/c/%s: %s", (name) => {
    const { path, remove } = temporaryDirectory();
    const pins = `/sys/fs/bpf/skep-c-${process.pid}`;
    try {
      const source = readFileSync(join(import.meta.dirname, "../../programs/c", name), "utf8");
      const { object } = compileC({ name, text: source }, { kernelTypes });
      const file = join(path, name.replace(/\.c$/, ".o"));
      writeFileSync(file, writeElf(object));
      execFileSync("bpftool", ["prog", "loadall", file, pins], { stdio: "pipe" });
      const skeleton = execFileSync("bpftool", ["gen", "skeleton", file], { encoding: "utf8" });
      for (const { name: program } of object.programs) expect(skeleton).toContain(`struct bpf_program *${program};`);
      expect(readObject(writeElf(object), { name }).programs.map((p) => p.name)).toEqual(
        object.programs.map((p) => p.name),
      );
    } finally {
      rmSync(pins, { recursive: true, force: true });
      remove();
    }
  });
});
