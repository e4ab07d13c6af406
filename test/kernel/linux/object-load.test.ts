/** Objects that clang made, loaded into the running kernel: what they ask of it, and what they get. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Btf, BtfKind } from "../../../src/btf/index.ts";
import { MapFlags, MapType, ProgType } from "../../../src/isa/index.ts";
import { codecFor } from "../../../src/runtime/index.ts";
import { readObject } from "../../../src/object/index.ts";
import type { BpfObject, KfuncExtern, MapSpec } from "../../../src/object/index.ts";
import { openLinuxKernel, probeAbility } from "../../../src/kernel/index.ts";
import { attachStructOpsMap } from "../../../src/kernel/linux/attach/struct-ops.ts";
import { describeMap, translatedCode } from "../../../src/kernel/linux/bpf.ts";
import type { LinuxObject } from "../../../src/kernel/linux/load.ts";
import type { LinuxMap } from "../../../src/kernel/linux/maps.ts";
import { openLinuxMap } from "../../../src/kernel/linux/open.ts";
import { planStructOps } from "../../../src/kernel/linux/struct-ops.ts";
import { kernelBtf } from "../../../src/kernel/linux/kernel-btf.ts";
import { probeFeature } from "../../../src/kernel/linux/features.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { guardLeaks } from "../../leaks.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeUnless, describeWith, missing } from "../../support/needs.ts";
import { mapSpec, object as objectOf, program as programOf } from "./support.ts";

const read = (name: string): BpfObject => readObject(compileProgram(name), { name: `${name}.bpf.o` });

/** The object with these programs and no others to be loaded. */
function only(object: BpfObject, ...names: readonly string[]): BpfObject {
  return { ...object, programs: object.programs.map((p) => ({ ...p, autoload: names.includes(p.name) })) };
}

function thrown(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

/** The values of a section's variables, as the object's types have them. */
function variables(loaded: LinuxObject, section: string): Record<string, unknown> {
  const { object } = loaded;
  const btf = Btf.parse(object.btf!);
  const bytes = loaded.map(section).mapMemory();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const inSection = object.variables!.filter(({ map }) => map === section);
  return Object.fromEntries(inSection.map((v) => [v.name, codecFor(btf, v.typeId).read(view, v.offset)]));
}

/** Congestion controls that the kernel knows now. */
const available = (): string => readFileSync("/proc/sys/net/ipv4/tcp_available_congestion_control", "latin1");

/** Some machines forbid programs at functions (EPERM at load); targets are found there all the same. */
const mayTrampoline = (): boolean => probeFeature("fentry").available === true;

/** Why there are no arenas here; undefined when there are. */
function arenaMissing(): string | undefined {
  if (missing("linux", "root", "bpf") !== undefined) return undefined;
  const { answer, evidence } = probeAbility("arena");
  return answer === "yes" ? undefined : `no arenas: ${evidence}`;
}

/** Values of the options that load-externs asks for, where the kernel's own cannot be read. */
const unreadable =
  machine.kernelConfig === undefined
    ? 'CONFIG_HZ=123\nCONFIG_BPF_SYSCALL=y\nCONFIG_BPF=y\nCONFIG_NET=y\nCONFIG_DEFAULT_HOSTNAME="a-longer-one"\nCONFIG_SKEP_NOT_THERE=0\n'
    : "";

const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);
const long = (value: number): Uint8Array => new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);

describeWith(["linux", "root", "bpf", "vmlinuxBtf", "clang"], "objects by clang", () => {
  guardLeaks();
  const kernel = openLinuxKernel();
  afterAll(() => kernel.close());

  describe("externs", () => {
    test("configuration, symbols and functions", () => {
      using loaded = kernel.load(read("load-externs"), { kconfig: `CONFIG_SKEP_GIVEN=0x1234\n${unreadable}` });
      expect(loaded.program("ask").testRun()).toBe(7);
      const { seen } = variables(loaded, ".bss") as { seen: Record<string, unknown> };
      const [major, minor, patch] = machine.kernelVersion;
      const stext = /^([0-9a-f]+) T _stext$/m.exec(readFileSync("/proc/kallsyms", "latin1"))?.[1] ?? "0";
      expect(seen).toMatchObject({
        version: (major << 16) | (minor << 8) | Math.min(255, patch),
        cookie: true,
        bpf_syscall: true,
        hz: BigInt(machine.kernelOption("CONFIG_HZ") ?? "123"),
        bpf: 1,
        net: "y".charCodeAt(0),
        no_thing: 0n,
        not_there: 0,
        given: 0x1234,
        text: BigInt(`0x${stext}`),
        no_symbol: 0n,
        no_variable: 0n,
        no_function: 0n,
        other_lock: 0n,
      });
      expect(seen["lock"] !== 0n).toBe(kernelBtf().findByName("bpf_rcu_read_lock", BtfKind.FUNC) !== undefined);
      const hostname = machine.kernelOption("CONFIG_DEFAULT_HOSTNAME") ?? "a-longer-one";
      expect(seen["hostname"]).toBe(hostname.slice(0, 7));
    });

    test("what is strong and missing is named, with what is near", () => {
      const object = read("load-externs");
      const strong = (name: string, as = name): BpfObject => ({
        ...object,
        externs: object.externs!.map((e) => (e.name === name ? ({ ...e, name: as, weak: false } as KfuncExtern) : e)),
        programs: object.programs.filter((p) => p.name === "nothing"),
      });
      for (const [name, as, message] of [
        ["CONFIG_SKEP_NOT_THERE", undefined, /kernel option CONFIG_SKEP_NOT_THERE: (is not set|the configuration)/],
        ["LINUX_HAS_NO_SUCH_THING", undefined, "extern LINUX_HAS_NO_SUCH_THING in .kconfig: neither a kernel option"],
        ["skep_no_such_symbol", undefined, "kernel symbol skep_no_such_symbol: this kernel has none"],
        ["skep_no_such_variable", "cpu_tsc_kh", /kernel variable cpu_tsc_kh: neither .*did you mean cpu_tsc_khz/],
        [
          "skep_no_such_function",
          "bpf_rcu_read_lokc",
          /kernel function bpf_rcu_read_lokc: .*did you mean bpf_rcu_read_lock/,
        ],
        ["bpf_rcu_read_lock___other", undefined, "the object gives it 3 parameter(s), the kernel's has 0"],
      ] as const) {
        const kconfig = unreadable.replace(/^CONFIG_SKEP_NOT_THERE.*\n/m, "");
        expect(() => kernel.load(strong(name, as), { kconfig }), name).toThrow(message);
      }
    });

    test.each([
      ["CONFIG_HZ=y", /CONFIG_HZ: its value y wants bool, enum libbpf_tristate or char, not int/],
      ['CONFIG_HZ="text"', /wants an array of char/],
      ["CONFIG_HZ=12x", /wants a number/],
      ["CONFIG_BPF_SYSCALL=m", /its value m wants enum libbpf_tristate or char/],
      ["CONFIG_SKEP_GIVEN=65536", /value 65536 does not fit an unsigned integer of 2 bytes/],
      ["CONFIG_SKEP_GIVEN=-1", /value -1 does not fit/],
      ["CONFIG_SKEP_GIVEN=", /kconfig: line 1: CONFIG_SKEP_GIVEN=: no value/],
    ])("an option that does not fit: %s", (kconfig, message) => {
      expect(() => kernel.load(only(read("load-externs")), { kconfig: `${kconfig}\n${unreadable}` })).toThrow(message);
    });

    test("a weak function that is missing is an error where it is called unguarded", () => {
      const error = thrown(() => kernel.load(only(read("load-externs"), "unguarded"), { kconfig: unreadable }));
      expect(error.message).toMatch(
        /kernel function skep_no_such_function is called \(at load-externs.bpf.c:\d+: return skep_no_such_function\(2\);\), and this kernel has none/,
      );
    });

    test("a typed variable of the kernel", () => {
      const load = (): LinuxObject => kernel.load(only(read("load-externs"), "variable"), { kconfig: unreadable });
      if (machine.kernelOption("CONFIG_KALLSYMS_ALL") === "n") {
        expect(load).toThrow(/cpu_tsc_khz.*CONFIG_KALLSYMS_ALL/);
        return;
      }
      using loaded = load();
      expect(loaded.program("variable").testRun()).toBe(3);
      expect(variables(loaded, ".bss")).toMatchObject({ seen: { has_variable: true } });
    });
  });

  describe("maps", () => {
    const pinPath = `/sys/fs/bpf/skep-load-${process.pid}`;
    afterAll(() => rmSync(pinPath, { recursive: true, force: true }));

    test("of all kinds, filled and with globals", () => {
      using loaded = kernel.load(read("load-maps"), { pinPath });
      const spec = (name: string): object => {
        const { type, keySize, valueSize, maxEntries, name: shown } = describeMap(loaded.map(name).fd.value);
        return { type, keySize, valueSize, maxEntries, shown };
      };
      expect(spec("events")).toMatchObject({ type: MapType.PERF_EVENT_ARRAY, maxEntries: kernel.possibleCpus });
      expect(spec("ring")).toMatchObject({ maxEntries: 8192 });
      expect(describeMap(loaded.map("bloom").fd.value).mapExtra).toBe(3n);
      expect(spec(".rodata")).toMatchObject({ shown: "load_map.rodata" });
      expect(describeMap(loaded.map(".bss").fd.value).btfId).toBeGreaterThan(0);
      // Slots: ids of the maps and programs.
      const idAt = (map: string, index: number): number => {
        const value = loaded.map(map).lookup(int(index));
        return value === undefined ? 0 : new DataView(value.buffer).getUint32(0, true);
      };
      expect(idAt("outer", 0)).toBe(describeMap(loaded.map("second").fd.value).id);
      expect(idAt("outer", 1)).toBe(0);
      expect(idAt("outer", 2)).toBe(describeMap(loaded.map("first").fd.value).id);
      expect(idAt("calls", 1)).toBe(loaded.program("tail").info().id);
      loaded.map("hashed").update(int(5), int(loaded.map("first").fd.value));
      expect(idAt("hashed", 5)).toBe(describeMap(loaded.map("first").fd.value).id);

      // What the program wrote is seen at once, and what is written is seen by the program.
      expect(loaded.program("run").testRun()).toBe(5 + 10 + 4);
      expect(variables(loaded, ".bss")).toMatchObject({ sum: 19n });
      expect(loaded.map("second").lookup(int(0))).toEqual(long(42));
      const { offset } = loaded.object.variables!.find(({ name }) => name === "counter")!;
      const data = loaded.map(".data").mapMemory();
      new DataView(data.buffer, data.byteOffset).setInt32(offset, 100, true);
      expect(loaded.program("run").testRun()).toBe(100 + 10 + 5);
    });

    test("of global data: frozen ones are copies, stale views read zeros", () => {
      const loaded = kernel.load(read("load-maps"), { pinPath });
      const rodata = loaded.map(".rodata").mapMemory();
      expect(new DataView(rodata.buffer, rodata.byteOffset).getInt32(0, true)).toBe(10);
      rodata[0] = 99;
      expect(variables(loaded, ".rodata")).toEqual({ limit: 10 });
      const bss = loaded.map(".bss").mapMemory();
      expect(loaded.map(".bss").mapMemory().buffer).toBe(bss.buffer);
      loaded.program("run").testRun();
      expect(bss.some((byte) => byte !== 0)).toBe(true);
      loaded.close();
      expect(bss.some((byte) => byte !== 0)).toBe(false);
      bss[0] = 1;
      expect(() => loaded.map(".bss").mapMemory()).toThrow("used after it was closed");
    });

    test("pinned by name are found again, and must fit", () => {
      const object = read("load-maps");
      {
        using first = kernel.load(object, { pinPath });
        first.program("run").testRun();
      }
      {
        using again = kernel.load(object, { pinPath });
        expect(again.map("load_pinned").lookup(int(11))).toEqual(long(1));
      }
      expect(() => kernel.load(object, { pinPath, maxEntries: new Map([["load_pinned", 16]]) })).toThrow(
        `map load_pinned: the one pinned at ${pinPath}/load_pinned does not fit: it has max_entries 8 instead of 16`,
      );
    });

    test("pins made by a load that fails are taken away", () => {
      const own = `${pinPath}-failed`;
      mkdirSync(own);
      const object = read("load-maps");
      const broken = object.programs.map((p) => (p.name === "jump" ? { ...p, code: p.code.slice(0, 8) } : p));
      expect(() => kernel.load({ ...object, programs: broken }, { pinPath: own })).toThrow();
      rmSync(own, { recursive: true });
      using loaded = kernel.load(
        { ...object, programs: [], maps: object.maps.filter((m) => m.slots === undefined) },
        { pinPath: own },
      );
      expect(loaded.map("load_pinned").lookup(int(11))).toBeUndefined();
      rmSync(own, { recursive: true });
    });

    test("of others are reused and stay theirs", () => {
      const object = read("load-maps");
      using first = kernel.load(object, { pinPath });
      {
        using second = kernel.load(object, { pinPath, reuse: new Map([["first", first.map("first")]]) });
        second.map("first").update(int(0), long(7));
        expect(() => kernel.load(object, { pinPath, reuse: new Map([["bloom", first.map("first")]]) })).toThrow(
          /map bloom: the one given to be reused does not fit: it has type 2 instead of 30, key size 4 instead of 0, /,
        );
      }
      expect(first.map("first").lookup(int(0))).toEqual(long(7));
    });

    test("with entries that name what is not there", () => {
      const object = read("load-maps");
      expect(() => kernel.load(only(object, "run"), { pinPath })).toThrow(
        "map calls: entry 1 names program tail, which was not loaded",
      );
      const maps = object.maps.map((map) => (map.name === "first" ? { ...map, autocreate: false } : map));
      expect(() => kernel.load({ ...object, maps }, { pinPath })).toThrow(
        "map outer: entry 2 names map first, which was not created",
      );
      const shapeless = object.maps.map((map) => {
        const { inner: _, ...rest } = map;
        return rest;
      });
      expect(() => kernel.load({ ...object, maps: shapeless }, { pinPath })).toThrow(
        "map outer: it holds maps, and nothing says what they are like",
      );
    });

    test("that are not created are named where they are used", () => {
      const object = read("load-errors");
      const without = { ...object, maps: object.maps.map((m) => ({ ...m, autocreate: false })) };
      const error = thrown(() => kernel.load(only(without, "no_map")));
      expect(error.message).toMatch(
        /map absent is used \(at load-errors.bpf.c:\d+: .*bpf_map_lookup_elem\(&absent, &key\);\), and it was not created/,
      );
      using loaded = kernel.load(only(without));
      expect(() => loaded.map("absent")).toThrow("map absent was not created");
      expect(() => loaded.program("no_map")).toThrow("program no_map was not loaded");
    });
  });

  describe("refusals", () => {
    test("a field that the kernel lacks", () => {
      const object = read("load-errors");
      expect(thrown(() => kernel.load(only(object, "no_field"))).message).toMatch(
        /struct task_struct\.skep_no_such_field \(.*load-errors.bpf.c:\d+: .*\): the kernel's struct task_struct has no field/,
      );
      using loaded = kernel.load(only(object, "guarded_field"));
      expect(translatedCode(loaded.program("guarded_field").fd.value).length).toBeGreaterThan(0);
    });

    test("a line of C beside the verifier's words", () => {
      const error = thrown(() => kernel.load(only(read("load-errors"), "bad_access")));
      expect(error.message).toMatch(
        /^program bad_access: EACCES: R\d invalid mem access 'map_value_or_null' \(at load-errors.bpf.c:\d+: return \*value;/,
      );
    });

    test("a global function with a tagged context, which kernels before 6.8 know by its type", () => {
      using loaded = kernel.load(read("load-contexts"));
      expect(loaded.program("of_socket").testRun(new Uint8Array(64))).toBe(5);
      expect(loaded.program("of_xdp").testRun(new Uint8Array(64))).toBe(2);
    });

    test("an object for other machines", () => {
      expect(() => kernel.load({ ...read("load-errors"), byteOrder: "big" })).toThrow(
        "compiled for big-endian machines",
      );
    });
  });

  test("struct_ops with a link, before there were any", () => {
    if (machine.atLeast(6, 4)) return;
    expect(() => kernel.load(read("load-struct-ops"))).toThrow("links to struct_ops need Linux 6.4");
  });

  describeUnless(machine.atLeast(6, 4) ? undefined : "links to struct_ops need Linux 6.4", "struct_ops", () => {
    test("laid out as the kernel has it, registered by links", () => {
      using loaded = kernel.load(read("load-struct-ops"));
      expect(loaded.hasProgram("ours_unknown")).toBe(false);
      expect(available()).not.toContain("skep_");
      {
        using plain = attachStructOpsMap(loaded.map("plain"));
        using linked = attachStructOpsMap(loaded.map("linked"));
        // Both by links, where there are any: a map that its value registers would outlive this process.
        expect(plain.noLink).toBeUndefined();
        expect(linked.info()).toMatchObject([
          { type: "struct_ops", mapId: describeMap(loaded.map("linked").fd.value).id },
        ]);
        expect(available()).toMatch(/skep_plain/);
        expect(available()).toMatch(/skep_linked/);
        // The kernel calls the program that closes a congested connection's window: any use will do.
        expect(loaded.program("ours_ssthresh").info().id).toBeGreaterThan(0);
      }
      expect(available()).not.toContain("skep_");
    });

    test("members that the kernel lacks or has otherwise", () => {
      const object = read("load-struct-ops");
      const changed = (change: (map: MapSpec, view: DataView) => MapSpec): BpfObject => ({
        ...object,
        maps: object.maps.map((map) => {
          if (map.name !== "linked") return { ...map, autocreate: map.structOps === undefined };
          const initialValue = map.initialValue!.slice();
          return change({ ...map, initialValue }, new DataView(initialValue.buffer));
        }),
      });
      const numbered = changed((map, view) => {
        view.setInt32(map.initialValue!.length - 8, 5, true);
        return map;
      });
      expect(() => kernel.load(numbered)).toThrow(
        "map linked: member skep_number of struct tcp_congestion_ops___ours: the object sets it, and this kernel has no such member",
      );
      const renamed = changed((map) => ({ ...map, structOps: { ...map.structOps!, typeName: "tcp_congestion_opps" } }));
      expect(() => kernel.load(renamed)).toThrow("did you mean tcp_congestion_ops?");
      const swapped = changed((map) => ({
        ...map,
        structOps: {
          ...map.structOps!,
          functions: map.structOps!.functions.map((f) => ({ ...f, program: "ours_ssthresh" })),
        },
      }));
      expect(() => kernel.load(swapped)).toThrow("program ours_ssthresh already implements another member");
      // Only what a created map uses is loaded.
      using loaded = kernel.load({ ...object, maps: object.maps.map((map) => ({ ...map, autocreate: false })) });
      expect(loaded.hasProgram("ours_ssthresh")).toBe(false);
    });
  });

  describeUnless(arenaMissing(), "arenas", () => {
    test("are shared with the program at one address", () => {
      using loaded = kernel.load(read("load-arena"));
      const arena = loaded.map("arena");
      expect(arena.mapMemory().length).toBe(16 * 4096);
      expect(loaded.program("allocate").testRun()).toBe(0);
      const { address } = variables(loaded, ".bss") as { address: bigint };
      expect(Number(address)).toBeGreaterThanOrEqual(arena.memoryAddress!);
      expect(Number(address)).toBeLessThan(arena.memoryAddress! + 16 * 4096);
      const offset = Number(address) - arena.memoryAddress!;
      arena.mapMemory()[offset] = 5;
      expect(arena.mapMemory()[offset]).toBe(5);
    });

    test("hold variables, which programs reach by address", () => {
      const spec = programOf(
        "sum",
        `r1 = 0 ll
         r1 = addr_space_cast(r1, 0, 1)
         r0 = *(u32 *)(r1 + 0)
         r2 = 7
         *(u32 *)(r1 + 4) = r2
         exit`,
        { type: ProgType.SYSCALL, sleepable: true },
      );
      const relocations = [{ kind: "map-value", insnIndex: 0, map: "arena", offset: 4096 } as const];
      const arena = mapSpec("arena", MapType.ARENA, {
        keySize: 0,
        valueSize: 0,
        maxEntries: 4,
        flags: MapFlags.MMAPABLE,
        initialValue: new Uint8Array(4104).fill(5, 4096, 4097),
      });
      using loaded = kernel.load(objectOf([{ ...spec, relocations }], [arena]));
      expect(loaded.program("sum").testRun()).toBe(5);
      expect([...loaded.map("arena").mapMemory().subarray(4096, 4104)]).toEqual([5, 0, 0, 0, 7, 0, 0, 0]);
      const large = { ...arena, maxEntries: 1 };
      expect(() => kernel.load(objectOf([], [large]))).toThrow(
        "map arena: 4104 bytes of variables do not fit its 1 pages: raise max_entries",
      );
    });

    test("keep first bytes, at the address that they ask for", () => {
      const object = read("load-arena");
      const at = 0x7000_0000_0000n;
      const maps = object.maps.map((map) =>
        map.name === "arena" ? { ...map, mapExtra: at, initialValue: Uint8Array.of(1, 2, 3) } : map,
      );
      using loaded = kernel.load({ ...object, maps });
      expect(loaded.map("arena").memoryAddress).toBe(Number(at));
      expect([...loaded.map("arena").mapMemory().subarray(0, 4)]).toEqual([1, 2, 3, 0]);
      expect(() => kernel.load({ ...object, maps })).toThrow(
        "memory of map arena: something else is at the address that the arena asks for",
      );
    });

    test("have the address again that a closed one had, be they larger or smaller", () => {
      const object = read("load-arena");
      const at = 0x7100_0000_0000n;
      for (const maxEntries of [16, 16, 4, 8, 32]) {
        const maps = object.maps.map((map) => (map.name === "arena" ? { ...map, mapExtra: at, maxEntries } : map));
        using loaded = kernel.load({ ...object, maps });
        const arena = loaded.map("arena");
        expect(arena.memoryAddress).toBe(Number(at));
        expect(arena.mapMemory().length).toBe(maxEntries * 4096);
        expect(loaded.program("allocate").testRun()).toBe(0);
        expect(() => kernel.load({ ...object, maps })).toThrow("something else is at the address");
      }
    });
  });

  describeUnless(
    existsSync("/sys/kernel/btf/nf_conntrack") ? undefined : "module nf_conntrack is not loaded",
    "modules",
    () => {
      test("functions that are called, and functions that are traced", () => {
        using loaded = kernel.load(
          only(read("load-modules"), "look_up", ...(mayTrampoline() ? ["named", "searched"] : [])),
        );
        expect(loaded.program("look_up").testRun(new Uint8Array(64))).toBe(1);
        if (mayTrampoline()) expect(loaded.hasProgram("searched")).toBe(true);
      });

      test("what a module has not", () => {
        expect(() => kernel.load(only(read("load-modules"), "mistyped"))).toThrow(
          "module nf_conntrack has none of that name; did you mean nf_conntrack_free?",
        );
      });
    },
  );

  describe("targets", () => {
    test("LSM hooks, tracepoints, iterators", () => {
      const names = ["switched", "walked", ...(mayTrampoline() ? ["hooked", "hooked_in_cgroup"] : [])];
      using loaded = kernel.load(only(read("load-targets"), ...names));
      for (const name of names) expect(loaded.program(name).info().id, name).toBeGreaterThan(0);
    });

    test("functions of the kernel, of vmlinux by name", () => {
      if (!mayTrampoline()) return;
      using loaded = kernel.load(only(read("load-targets"), "of_vmlinux"));
      expect(loaded.program("of_vmlinux").info().id).toBeGreaterThan(0);
    });

    test("functions of a program", () => {
      const object = read("load-targets");
      using loaded = kernel.load(only(object, "target"));
      const { id } = loaded.program("target").info();
      for (const name of mayTrampoline() ? ["replacement", "watched"] : []) {
        using other = kernel.load(only(object, name), { targetPrograms: new Map([[name, id]]) });
        expect(other.program(name).info().id).toBeGreaterThan(0);
      }
      const lost = only(object, "lost");
      expect(() => kernel.load(lost, { targetPrograms: new Map([["lost", id]]) })).toThrow(
        `program lost: target program ${id}: target has no function no_such_function: it has`,
      );
      expect(() => kernel.load(lost, { targetPrograms: new Map([["lost", 0x7fff_ffff]]) })).toThrow("none of that id");
      expect(() => kernel.load(lost)).toThrow("replaces function no_such_function of a loaded program: say of which");
    });

    test.each([
      ["missing", "kernel function skep_no_such_function: this kernel has none of that name"],
      ["missing_module", "module skep_no_such_module is not loaded, or was built without BTF"],
      ["unsaid", "program unsaid (section fentry): nothing says what it attaches to"],
    ])("that are not there: %s", (name, message) => {
      expect(() => kernel.load(only(read("load-targets"), name))).toThrow(message);
    });
  });

  describeWith(["bpftool"], "beside libbpf, by bpftool", () => {
    const directory = `/sys/fs/bpf/skep-beside-${process.pid}`;
    afterAll(() => rmSync(directory, { recursive: true, force: true }));
    const bpftool = (...args: readonly string[]): string =>
      execFileSync("bpftool", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

    /** What the kernel made of a program, without the numbers of this load. */
    const translated = (...program: readonly string[]): string =>
      bpftool("prog", "dump", "xlated", ...program)
        .replaceAll(/map\[id:\d+\]/g, "map")
        .replaceAll(/0x[0-9a-f]{9,}/g, "address");

    test.each([
      ["load-maps", ["run", "tail", "jump"]],
      ["load-externs", ["ask"]],
    ] as const)("%s: the same instructions", (name, programs) => {
      // libbpf reads the kernel's configuration only where it lies.
      if (name === "load-externs" && unreadable !== "") return;
      const bytes = compileProgram(name, "-DONLY_MANDATORY");
      const scratch = mkdtempSync(join(tmpdir(), "skep-beside-"));
      try {
        const file = join(scratch, "object.o");
        writeFileSync(file, bytes);
        mkdirSync(directory);
        using loaded = kernel.load(readObject(bytes), { pinPath: `${directory}/ours`, kconfig: unreadable });
        bpftool("prog", "loadall", file, `${directory}/libbpf`);
        for (const program of programs) {
          const ours = translated("id", String(loaded.program(program).info().id));
          expect(ours, program).toBe(translated("pinned", `${directory}/libbpf/${program}`));
        }
      } finally {
        rmSync(scratch, { recursive: true });
        rmSync(directory, { recursive: true, force: true });
        rmSync("/sys/fs/bpf/load_pinned", { force: true });
      }
    });

    test("struct_ops: the same value", () => {
      const flags = ["-DONLY_MANDATORY", "-Dtcp_congestion_ops___ours=tcp_congestion_ops"];
      const bytes = compileProgram("load-struct-ops", ...flags);
      const scratch = mkdtempSync(join(tmpdir(), "skep-beside-"));
      /** The value as the kernel gives it back, without state, counter and programs' ids. */
      const valueOf = (map: LinuxMap): Uint8Array => {
        const value = map.lookup(int(0))!;
        for (const { byteOffset } of layout.functions) value.fill(0, byteOffset, byteOffset + 8);
        return value.fill(0, 0, 8);
      };
      const object = readObject(bytes);
      const layout = planStructOps(object)!.layouts.get("plain")!;
      try {
        writeFileSync(join(scratch, "object.o"), bytes);
        bpftool("struct_ops", "register", join(scratch, "object.o"));
        const shown = JSON.parse(bpftool("-j", "struct_ops", "show", "name", "plain"));
        let expected: Uint8Array;
        try {
          using its = openLinuxMap([shown].flat()[0].id)!;
          expected = valueOf(its);
        } finally {
          bpftool("struct_ops", "unregister", "name", "plain");
        }
        using loaded = kernel.load(object);
        using link = attachStructOpsMap(loaded.map("plain"));
        expect(link.isClosed).toBe(false);
        expect(valueOf(loaded.map("plain"))).toEqual(expected);
      } finally {
        rmSync(scratch, { recursive: true });
      }
    });

    test("it shows our variables by their names", () => {
      using loaded = kernel.load(read("load-maps"), { pinPath: `${directory}-named` });
      loaded.program("run").testRun();
      const dump = (name: string): unknown =>
        JSON.parse(bpftool("-j", "map", "dump", "id", String(describeMap(loaded.map(name).fd.value).id)));
      expect(dump(".rodata")).toMatchObject([{ formatted: { value: { ".rodata": [{ limit: 10 }] } } }]);
      expect(dump(".data")).toMatchObject([{ formatted: { value: { ".data": [{ counter: 5 }, { hidden: 4 }] } } }]);
      rmSync(`${directory}-named`, { recursive: true });
    });
  });
});
