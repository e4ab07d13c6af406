import { existsSync, mkdirSync, rmdirSync, unlinkSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { type SkepError, UnsupportedError, VerifierError } from "../../../src/base/index.ts";
import { BtfBuilder } from "../../../src/btf/index.ts";
import { MapFlags, MapType, ProgType } from "../../../src/isa/index.ts";
import type { ProgramSpec } from "../../../src/object/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import {
  describeMap,
  describeProg,
  objectIds,
  openById,
  openPinned,
  pinObject,
  translatedCode,
} from "../../../src/kernel/linux/bpf.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { loadBtf } from "../../../src/kernel/linux/bpf-prog.ts";
import { relocate } from "../../../src/kernel/linux/relocate.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeUnless, describeWith, missing } from "../../support/needs.ts";
import { bytesOf, mapSpec, numberOf, object, program } from "./support.ts";

function thrown(body: () => void): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
}

describeWith(["linux", "root", "bpf"], "loading into the running kernel", () => {
  guardLeaks();
  const kernel = openLinuxKernel();

  test("a test run gives the context and takes r0", () => {
    using loaded = kernel.load(
      object([program("sum", "r0 = *(u64 *)(r1 + 0)\nr2 = *(u64 *)(r1 + 8)\nr0 += r2\nexit")]),
    );
    const context = new Uint8Array(96);
    context.set(bytesOf(40, 8));
    context.set(bytesOf(2, 8), 8);
    expect(loaded.program("sum").testRun(context)).toBe(42);
    expect(loaded.program("sum").testRun()).toBe(0);
  });

  test("a packet program runs repeatedly, is timed, and gives its packet back", () => {
    const text = `
      r2 = *(u32 *)(r1 + 0)
      r4 = *(u32 *)(r1 + 4)
      r5 = r2
      r5 += 1
      if r5 > r4 goto out
      r3 = 0x55
      *(u8 *)(r2 + 0) = r3
    out:
      r0 = 2
      exit`;
    using loaded = kernel.load(object([program("xdp", text, { type: ProgType.XDP })]));
    const { returnValue, output, durationNs } = loaded.program("xdp").run({ context: new Uint8Array(64), repeat: 100 });
    expect(returnValue).toBe(2);
    expect(output).toHaveLength(64);
    expect(output[0]).toBe(0x55);
    expect(durationNs).toBeGreaterThanOrEqual(0);
  });

  test("types without a test run say so", () => {
    using loaded = kernel.load(object([program("tp", "r0 = 0\nexit", { type: ProgType.TRACEPOINT })]));
    expect(thrown(() => loaded.program("tp").testRun())).toBeInstanceOf(UnsupportedError);
  });

  test("a map's first value is reached by address", () => {
    const spec = program("value", "r1 = MAP(data)\nr0 = *(u32 *)(r1 + 0)\nexit");
    const relocations = spec.relocations.map(
      (relocation) => ({ kind: "map-value", insnIndex: relocation.insnIndex, map: "data", offset: 4 }) as const,
    );
    const data = mapSpec("data", MapType.ARRAY, { maxEntries: 1, initialValue: bytesOf(0x77n << 32n, 8) });
    using loaded = kernel.load(object([{ ...spec, relocations }], [data]));
    expect(loaded.program("value").testRun()).toBe(0x77);
  });

  test("the verifier's refusal carries its whole log and its sentence", () => {
    const error = thrown(() => kernel.load(object([program("bad", "r0 = *(u64 *)(r1 + 4096)\nexit")])));
    expect(error).toBeInstanceOf(VerifierError);
    expect((error as VerifierError).program).toBe("bad");
    expect((error as VerifierError).message).toMatch(/^program bad: E\w+: .*(4096|ctx|context)/);
    expect((error as VerifierError).log).toContain("processed 1 insns");
  });

  test("a log larger than its first buffer comes whole", () => {
    const many = Array.from({ length: 9000 }, (_, i) => `r2 = ${i}\n*(u64 *)(r10 - ${8 * (1 + (i % 60))}) = r2`).join(
      "\n",
    );
    const error = thrown(() => kernel.load(object([program("long", `${many}\nr0 = *(u64 *)(r1 + 4096)\nexit`)])));
    expect((error as VerifierError).log.length).toBeGreaterThan(1 << 18);
    expect((error as VerifierError).log).toContain("processed 18001 insns");
  });

  test("a log is handed over on success when asked for", () => {
    const logs: [string, string][] = [];
    using loaded = kernel.load(object([program("good", "r0 = 0\nexit")]), {
      log: { level: 2, sink: (name, log) => void logs.push([name, log]) },
    });
    expect(loaded.program("good").info().verifiedInsns).toBe(machine.atLeast(5, 16) ? 2 : 0);
    expect(logs).toHaveLength(1);
    expect(logs[0]![1]).toContain("(b7) r0 = 0");
  });

  test("statistics count runs while they are on", () => {
    using loaded = kernel.load(object([program("p", "r0 = 0\nexit")]));
    const p = loaded.program("p");
    p.testRun();
    expect(p.info().runCount).toBe(0);
    {
      using statistics = kernel.enableStats();
      void statistics;
      for (let i = 0; i < 10; i++) p.testRun();
    }
    expect(p.info().runCount).toBe(10);
    expect(p.info().runTimeNs).toBeGreaterThan(0);
  });

  test("what is not there is named with what is", () => {
    using loaded = kernel.load(object([program("a", "r0 = 0\nexit")], [mapSpec("m", MapType.HASH)]));
    expect(() => loaded.map("n")).toThrow("no map n; it has m");
    expect(() => loaded.program("b")).toThrow("no program b; it has a");
  });

  test("an object with BTF describes its maps", () => {
    const builder = new BtfBuilder();
    const u32 = builder.int("unsigned int", 4);
    const u64 = builder.int("unsigned long", 8);
    const described = mapSpec("described", MapType.HASH, { keyTypeId: u32, valueTypeId: u64 });
    // The kernel checks sizes: with this value's it refuses the BTF, and the map is made without.
    const misdescribed = { ...described, name: "misdescribed", valueSize: 4 };
    using loaded = kernel.load({ ...object([], [described, misdescribed]), btf: builder.finish() });
    expect(describeMap(loaded.map("described").fd.value).btfId).toBeGreaterThan(0);
    expect(describeMap(loaded.map("misdescribed").fd.value).btfId).toBe(0);
    expect(loadBtf(new Uint8Array(24))).toMatchObject({ errno: expect.any(Number) });
  });

  test("a map whose types the kernel refuses is named when the program that uses it fails", () => {
    const builder = new BtfBuilder();
    const u32 = builder.int("unsigned int", 4);
    const map = mapSpec("counts", MapType.HASH, { keyTypeId: u32, valueTypeId: u32 });
    const bad = { ...object([program("bad", "r1 = MAP(counts)\nr0 = r5\nexit")], [map]), btf: builder.finish() };
    expect((thrown(() => kernel.load(bad)) as SkepError).message).toMatch(
      /R5 !read_ok.*\(the kernel took these maps only without the types of their entries: counts \(EINVAL\)\)$/,
    );
  });

  test("BTF that the kernel refuses is no obstacle, and is named when the program fails too", () => {
    const damaged = new Uint8Array(24);
    using loaded = kernel.load({ ...object([program("p", "r0 = 0\nexit")]), btf: damaged });
    expect(loaded.program("p").testRun()).toBe(0);
    const bad = { ...object([program("bad", "r0 = r5\nexit")]), btf: damaged };
    expect((thrown(() => kernel.load(bad)) as SkepError).message).toMatch(
      /R5 !read_ok.*\(the kernel also refused the object's BTF: Invalid magic\)/,
    );
  });

  test("objects are found by id, and described", () => {
    using loaded = kernel.load(
      object([program("a-name, too long for it", "r0 = 1\nexit")], [mapSpec("m", MapType.HASH)]),
    );
    const { id } = loaded.program("a-name, too long for it").info();
    expect([...objectIds("prog")]).toContain(id);
    using found = openById("prog", id)!;
    expect(describeProg(found.value)).toMatchObject({ id, type: ProgType.RAW_TRACEPOINT, name: "a_name__too_lon" });
    expect(translatedCode(found.value)).toHaveLength(16);
    expect(describeMap(loaded.map("m").fd.value)).toMatchObject({
      name: "m",
      keySize: 4,
      valueSize: 8,
      maxEntries: 16,
    });
    expect(openById("prog", 0x7fff_ffff)).toBeUndefined();
  });

  test("a map on a NUMA node, and one that does not exist", () => {
    using loaded = kernel.load(object([], [mapSpec("near", MapType.HASH, { numaNode: 0 })]));
    expect(describeMap(loaded.map("near").fd.value).flags & MapFlags.NUMA_NODE).toBe(MapFlags.NUMA_NODE);
    expect(() => kernel.load(object([], [mapSpec("far", MapType.HASH, { numaNode: 1000 })]))).toThrow(
      /map far\): EINVAL: .*NUMA node 1000 may not exist/,
    );
  });

  test("a map for one program alone", () => {
    const uses = "r0 = 0\nr1 = MAP(own)\nr2 = 5\nexit";
    const own = mapSpec("own", MapType.ARRAY, { exclusiveProgram: "owner" });
    const load = (...programs: ProgramSpec[]): unknown => kernel.load(object(programs, [own]));
    if (!machine.atLeast(6, 18)) {
      expect(() => load(program("owner", uses))).toThrow("map own for program owner alone: needs Linux 6.18");
      return;
    }
    using loaded = kernel.load(object([program("owner", uses)], [own]));
    expect(loaded.program("owner").testRun()).toBe(0);
    expect(() => load(program("owner", uses), program("other", uses.replace("r2 = 5", "r2 = 6")))).toThrow(
      /^program other: /,
    );
    expect(() => load(program("another", uses))).toThrow("a map is for program owner, which it has not");
  });

  test.each([
    ["ARRAY", { keySize: 8 }, "its keys are indexes: they must have 4 bytes"],
    ["PROG_ARRAY", { valueSize: 8 }, "its values are descriptors: they must have 4 bytes"],
    ["RINGBUF", {}, "a ring buffer has neither keys nor values"],
    ["LPM_TRIE", {}, "set BPF_F_NO_PREALLOC"],
    ["TASK_STORAGE", { maxEntries: 0, flags: 1 }, "local storage needs BTF of its key and value"],
    ["HASH", { maxEntries: 0 }, "it needs a number of entries"],
    ["QUEUE", {}, "it has no keys"],
  ] as const)("what the kernel demands of a map of type %s: %o", (type, options, message) => {
    expect(() => kernel.load(object([], [mapSpec("m", MapType[type], options)]))).toThrow(message);
  });

  test("a relocation must be at its instruction", () => {
    const spec = { ...program("p", "r0 = 0\nexit"), relocations: [{ kind: "map", insnIndex: 0, map: "m" } as const] };
    expect(() => relocate(spec, () => 1)).toThrow("relocation of m at instruction 0, which is no ld_imm64");
  });

  describeUnless(missing("vmlinuxBtf"), "kernel functions", () => {
    test("are called by name", () => {
      const text = "call 1\nr0 = 3\nexit";
      const spec = program("k", text, { type: ProgType.SYSCALL, sleepable: true });
      const calling = { ...spec, relocations: [{ kind: "kfunc", insnIndex: 0, name: "vfs_read" } as const] };
      const { code } = relocate(calling, () => 0);
      expect(code[1]! >> 4).toBe(2);
      expect(numberOf(code, 4, 4)).toBeGreaterThan(1);
      const wrong = { ...spec, relocations: [{ kind: "kfunc", insnIndex: 0, name: "vfs_raed" } as const] };
      expect(() => relocate(wrong, () => 0)).toThrow("did you mean vfs_read");
    });
  });

  describeUnless(existsSync("/sys/fs/bpf") ? undefined : "bpffs is not mounted", "pins", () => {
    const directory = `/sys/fs/bpf/skep-test-${process.pid}`;
    afterAll(() => rmdirSync(directory));
    test("outlive their object", () => {
      mkdirSync(directory);
      const path = `${directory}/m`;
      {
        using loaded = kernel.load(object([], [mapSpec("m", MapType.HASH)]));
        pinObject(loaded.map("m").fd.value, path);
      }
      try {
        using again = openPinned(path);
        expect(describeMap(again.value).name).toBe("m");
      } finally {
        unlinkSync(path);
      }
      expect(() => openPinned(path)).toThrow(`bpf(BPF_OBJ_GET, ${path}): ENOENT`);
    });
  });
});
