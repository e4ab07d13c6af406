/** Objects opened, changed, loaded, attached and watched from TypeScript, on the running kernel. */
import { release } from "node:os";
import { afterEach, expect, test } from "vitest";
import { MapType } from "../../src/isa/index.ts";
import type { BpfObject } from "../../src/object/index.ts";
import { Collection, type Attachment } from "../../src/runtime/collection/collection.ts";
import { open } from "../../src/runtime/collection/open.ts";
import type { Program } from "../../src/runtime/collection/program.ts";
import { RingBufferMap } from "../../src/runtime/readers/rings.ts";
import { LpmTrieMap } from "../../src/runtime/maps/lpm.ts";
import { MapOfMaps } from "../../src/runtime/maps/references.ts";
import { ArrayMap, TypedMap } from "../../src/runtime/maps/typed-map.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";
import { openResources } from "../../src/kernel/linux/resources.ts";
import { guardLeaks } from "../leaks.ts";

/** What `skep gen types` says of test/programs/api.bpf.c, as far as it is used here. */
interface Api {
  programs: Record<"on_getppid" | "on_exit" | "never", Program>;
  maps: {
    events: RingBufferMap<{
      pid: number;
      state: number;
      comm: string;
      at: { x: number; y: number };
      pair: { b: number }[];
    }>;
    points: TypedMap<number, { x: number; y: number }>;
    counts: ArrayMap<bigint>;
  };
  globals: {
    rodata: { min_us: bigint; verbose: boolean; prefix: string; targ_pid: number };
    data: { origin: { x: number; y: number }; last_state: number; table: number[] };
    bss: { total: bigint; hidden: number };
  };
}

const opened: Collection<Api>[] = [];

async function openApi(): Promise<Collection<Api>> {
  const collection = await open<Api>(compileProgram("api"), { name: "api.bpf.o" });
  opened.push(collection);
  return collection;
}

afterEach(() => {
  for (const collection of opened.splice(0)) collection.close();
});

const openDescriptors = (): string[] => openResources().map(({ what }) => what);

/** Calls getppid(2) so often. */
function getppid(times: number): void {
  for (let i = 0; i < times; i++) void process.ppid;
}

describeWith(["clang"], "an object before it is loaded", () => {
  test("has what was read", async () => {
    const { spec, globals, object } = await openApi();
    expect(object.name).toBe("api");
    expect(Object.keys(spec.programs)).toEqual(["on_getppid", "on_exit", "never"]);
    expect(spec.programs.on_getppid.attach).toEqual({
      kind: "tracepoint",
      category: "syscalls",
      name: "sys_enter_getppid",
    });
    expect(spec.maps["events"]).toMatchObject({ type: MapType.RINGBUF, maxEntries: 65536 });
    expect(spec.license).toBe("GPL");
    expect({ ...globals.data }).toEqual({ origin: { x: 1, y: 2 }, last_state: 3, table: [7, 8, 9] });
    expect(globals.rodata.prefix).toBe("skep");
    expect(globals.rodata.min_us).toBe(1n);
  });

  test("first values are set in place", async () => {
    const { globals } = await openApi();
    globals.rodata.min_us = 2n ** 63n;
    globals.rodata.verbose = true;
    globals.rodata.prefix = "other";
    globals.data.table = [1, 2, 3];
    expect([globals.rodata.min_us, globals.rodata.verbose, globals.rodata.prefix]).toEqual([2n ** 63n, true, "other"]);
    expect(globals.data.table).toEqual([1, 2, 3]);
  });

  type Change = (collection: Collection) => unknown;
  test.each<[what: string, change: Change, error: RegExp]>([
    [
      "a name that is nearly right",
      (c) => (c.globals.rodata["min_uss"] = 1n),
      /\.rodata variable min_uss: does not exist \(did you mean min_us\?\)/,
    ],
    [
      "a section that is not there",
      (c) => c.globals["rodat"],
      /section of globals rodat: does not exist \(did you mean rodata\?\)/,
    ],
    [
      "a number where an integer of 64 bits is",
      (c) => (c.globals.rodata["min_us"] = 1.5),
      /variable min_us of \.rodata: .*1\.5/,
    ],
    ["a value that does not fit", (c) => (c.globals.rodata["min_us"] = -1n), /variable min_us of \.rodata/],
    ["a text where a boolean is", (c) => (c.globals.rodata["verbose"] = "yes"), /variable verbose of \.rodata/],
    ["a text that is too long", (c) => (c.globals.rodata["prefix"] = "x".repeat(17)), /variable prefix of \.rodata/],
    ["a whole section", (c) => ((c.globals as Record<string, unknown>)["rodata"] = {}), /globals\.rodata/],
    [
      "a map's size in words",
      (c) => (c.spec.maps["points"]!.maxEntries = "many" as never),
      /map points: maxEntries wants a whole number.*"many"/,
    ],
    [
      "a property that is not there",
      (c) => ((c.spec.maps["points"] as unknown as Record<string, unknown>)["maxEntrys"] = 1),
      /did you mean maxEntries/,
    ],
    [
      "a property that is fixed",
      (c) => ((c.spec.programs["never"] as unknown as Record<string, unknown>)["name"] = "x"),
      /program never: name cannot be changed/,
    ],
    [
      "a program that is not there",
      (c) => c.programs["on_getpid"],
      /program on_getpid: does not exist \(did you mean on_getppid\?\)/,
    ],
    ["a map before the object is loaded", (c) => c.maps["points"], /map points: object api is not loaded yet/],
    [
      "a program before the object is loaded",
      (c) => c.programs["never"]!.testRun(),
      /program never: object api is not loaded yet/,
    ],
  ])("refuses %s", async (_what, change, error) => {
    const collection = (await openApi()) as unknown as Collection;
    expect(() => change(collection)).toThrow(error);
  });

  test("several files are one object", async () => {
    using linked = await open([compileProgram("link-main"), compileProgram("link-other")], { name: "both" });
    expect(linked.name).toBe("both");
    expect(Object.keys(linked.spec.programs)).toContain("first");
    await expect(open([])).rejects.toThrow("an object file or C source is wanted");
  });

  test("files that are not there, or not what the types say", async () => {
    await expect(open("/nonexistent/x.o")).rejects.toThrow("object /nonexistent/x.o: no such file");
    const expects = { programs: ["on_getppid"], maps: ["evnts"] };
    await expect(open(compileProgram("api"), { expects })).rejects.toThrow(
      /evnts.*did you mean events.*skep gen types/,
    );
    await expect(open(compileProgram("api"), { events: { points: "struct point" } })).rejects.toThrow(
      /points: is no ring buffer/,
    );
    await expect(open(compileProgram("api"), { events: { events: "struct evnt" } })).rejects.toThrow(
      /did you mean event\?/,
    );
  });
});

describeWith(["linux", "root", "bpf", "tracefs", "clang"], "an object in the kernel", () => {
  guardLeaks();

  test("as the manual shows it", async () => {
    const before = openDescriptors();
    {
      using obj = await open<Api>(compileProgram("api"), { name: "api.bpf.o" });
      obj.globals.rodata.min_us = 100n;
      obj.globals.rodata.targ_pid = process.pid;
      await obj.load();
      const links = await obj.attach();
      expect(links.map((link) => ("program" in link ? link.program : "")).toSorted()).toEqual([
        "on_exit",
        "on_getppid",
      ]);
      getppid(3);
      expect(obj.globals.bss.total).toBe(300n);
      expect(obj.maps.counts.get(1)).toBe(3n);
      const seen = [];
      for await (const event of obj.maps.events) {
        seen.push(event);
        if (seen.length === 3) break;
      }
      expect(seen[2]).toMatchObject({ pid: process.pid, state: 3, at: { x: 1, y: 2 }, pair: [{ b: 0 }, { b: 4 }] });
    }
    expect(openDescriptors()).toEqual(before);
  });

  test("variables are the memory that programs see", async () => {
    const obj = await openApi();
    obj.globals.rodata.targ_pid = process.pid;
    await (await obj.load()).attach();
    getppid(1);
    expect(obj.globals.bss.total).toBe(1n);
    obj.globals.bss.total = 1000n;
    obj.globals.data.last_state = 0;
    getppid(1);
    expect(obj.globals.bss.total).toBe(1001n);
    expect(() => (obj.globals.rodata.min_us = 2n)).toThrow(/constant once the object is loaded/);
    expect(() => (obj.spec.maps["points"]!.maxEntries = 2)).toThrow(/change the spec before load/);
  });

  test("the spec decides what is loaded and attached", async () => {
    const obj = await openApi();
    obj.globals.rodata.targ_pid = process.pid;
    obj.spec.programs.on_exit.autoload = false;
    obj.spec.programs.on_getppid.autoattach = false;
    obj.spec.maps["points"]!.maxEntries = 2;
    await obj.load();
    expect(await obj.attach()).toEqual([]);
    expect(() => obj.programs.on_exit.info()).toThrow(/on_exit was not loaded/);
    obj.maps.points.set(1, { x: 1, y: 1 });
    obj.maps.points.set(2, { x: 2, y: 2 });
    expect(() => obj.maps.points.set(3, { x: 3, y: 3 })).toThrow(/points/);
    using link = obj.programs.on_getppid.attach({ kind: "tracepoint", category: "syscalls", name: "sys_enter_getuid" });
    expect(obj.links).toEqual([link]);
    process.getuid!();
    expect(obj.globals.bss.total).toBe(1n);
    link.close();
    expect(obj.links).toEqual([]);
    process.getuid!();
    expect(obj.globals.bss.total).toBe(1n);
  });

  test("programs run without being attached, and tell of themselves", async () => {
    const obj = await openApi();
    await obj.load();
    expect(obj.programs.never.testRun()).toBe(42);
    expect(obj.programs.never.run({ repeat: 10 }).returnValue).toBe(42);
    expect(obj.programs.never.info()).toMatchObject({ runCount: 0, translatedInsns: 2 });
    expect(() => obj.programs.never.attach()).toThrow(/program never/);
  });

  test("maps by name and class", async () => {
    const obj = await openApi();
    await obj.load();
    expect(obj.map("counts", ArrayMap)).toBe(obj.maps.counts);
    expect(() => obj.map("counts", RingBufferMap)).toThrow(/counts: is ArrayMap, not RingBufferMap/);
    expect(() => obj.map("count")).toThrow(/did you mean counts/);
    expect(obj.map(".bss").spec.type).toBe(MapType.ARRAY);
    expect(obj.eventsOf("events")).toMatchObject({
      types: [{ typeName: "struct event", size: 80 }],
      why: "named at api.bpf.c:94",
    });
  });

  test("maps of many kinds, and what the kernel fills in", async () => {
    using obj = await open(compileProgram("gen"), { name: "gen" });
    expect(() => obj.globals["kconfig"]!["LINUX_KERNEL_VERSION"]).toThrow(/known once the object is loaded/);
    await obj.load();
    const [major = 0, minor = 0] = release().split(".").map(Number);
    expect(Number(obj.globals["kconfig"]!["LINUX_KERNEL_VERSION"]) >> 8).toBe((major << 8) | minor);
    expect(() => (obj.globals["kconfig"]!["LINUX_KERNEL_VERSION"] = 1)).toThrow(
      /comes from the kernel's configuration/,
    );
    // The type that a ring buffer declares is that of its records; the kernel itself takes none.
    expect(obj.eventsOf("ring")).toMatchObject({ types: [{ typeName: "struct tree" }], why: "its value type" });
    expect(obj.map("ring", RingBufferMap).ringBytes).toBe(4096);
    const routes = obj.map("routes", LpmTrieMap<number>);
    routes.set("10.0.0.0/8", 1);
    expect(routes.get("10.1.2.3/32")).toBe(1);
    const maps = obj.map("maps", MapOfMaps<number, TypedMap<number, { class: number }>>);
    maps.set(1, obj.map("inner"));
    obj.map("inner", TypedMap<number, { class: number }>).set(5, { class: 6 });
    using inner = maps.get(1);
    expect(inner?.get(5)?.class).toBe(6);
  });

  test("use after the end", async () => {
    const obj = await openApi();
    await obj.load();
    const [link] = (await obj.attach()) as [Attachment];
    const { points } = obj.maps;
    obj.close();
    obj.close();
    expect(() => points.get(1)).toThrow(/closed/);
    expect(() => obj.maps.points).toThrow(/map points: used after object api was closed/);
    expect(() => obj.globals.bss.total).toThrow(/used after the object was closed/);
    expect(() => obj.programs.never.testRun()).toThrow(/used after object api was closed/);
    await expect(obj.load()).rejects.toThrow(/used after/);
    await expect(obj.attach()).rejects.toThrow(/used after/);
    link.close();
    const total = obj.links;
    expect(total).toEqual([]);
  });

  test("a loop over events ends when the object is closed", async () => {
    const obj = await openApi();
    await obj.load();
    setTimeout(() => obj.close(), 50);
    const events: unknown[] = [];
    for await (const event of obj.maps.events) events.push(event);
    expect(events).toEqual([]);
  });

  test("await using detaches all places at once", async () => {
    const before = openDescriptors();
    {
      await using obj = await open<Api>(compileProgram("api"), { name: "api.bpf.o" });
      await obj.load();
      await obj.attach();
    }
    expect(openDescriptors()).toEqual(before);
  });

  test("a load that fails leaves nothing, and may be tried again", async () => {
    const before = openDescriptors();
    const obj = await openApi();
    const { maxEntries } = obj.spec.maps["points"]!;
    obj.spec.maps["points"]!.maxEntries = 0;
    await expect(obj.load()).rejects.toThrow(/points/);
    expect(openDescriptors()).toEqual(before);
    obj.spec.maps["points"]!.maxEntries = maxEntries;
    await obj.load();
    expect(obj.isLoaded).toBe(true);
    await expect(obj.load()).rejects.toThrow(/is loaded already/);
  });

  test("attaching is all or nothing", async () => {
    const object: BpfObject = (await openApi()).object;
    const obj = new Collection<Api>(object);
    opened.push(obj);
    // Others call getppid(2), too.
    obj.globals.rodata.targ_pid = process.pid;
    obj.spec.programs.on_exit.attach = { kind: "raw-tracepoint", name: "no_such_tracepoint" };
    await obj.load();
    await expect(obj.attach()).rejects.toThrow(/no_such_tracepoint/);
    expect(obj.links).toEqual([]);
    getppid(1);
    expect(obj.globals.bss.total).toBe(0n);
  });
});
