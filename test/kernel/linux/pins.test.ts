/** Pins of maps, programs and links: made, found again by bpftool and by path, taken away. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MapType, ProgType } from "../../../src/isa/index.ts";
import {
  openLinuxKernel,
  openPinnedLink,
  openPinnedMap,
  openPinnedProgram,
  pinPathOf,
  unpin,
} from "../../../src/kernel/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeUnless, describeWith, missing } from "../../support/needs.ts";
import { bytesOf, mapSpec, object, program } from "./support.ts";

test.each([
  ["counts", undefined, "/sys/fs/bpf/counts"],
  ["counts", "/sys/fs/bpf/mine/", "/sys/fs/bpf/mine/counts"],
  [".rodata", "/x", "/x/_rodata"],
] as const)("map %s in %s goes to %s", (name, directory, path) => {
  expect(pinPathOf(name, directory)).toBe(path);
});

const mounted = existsSync("/sys/fs/bpf") ? undefined : "bpffs is not mounted";

describeUnless(missing("linux", "root", "bpf") ?? mounted, "pins", () => {
  guardLeaks();
  const kernel = openLinuxKernel();
  const directory = `/sys/fs/bpf/skep-pins-${process.pid}`;
  beforeAll(() => void mkdirSync(directory));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("a map outlives its object, in directories that were not there", () => {
    const path = `${directory}/of/mine/counts`;
    {
      using loaded = kernel.load(object([], [mapSpec("counts", MapType.HASH)]));
      loaded.map("counts").update(bytesOf(1, 4), bytesOf(5, 8));
      loaded.map("counts").pin(path);
      expect(() => loaded.map("counts").pin(path)).toThrow(`pin ${path}: something is pinned there already`);
    }
    {
      using again = openPinnedMap(path);
      expect(again.spec).toMatchObject({ name: "counts", keySize: 4, valueSize: 8, maxEntries: 16 });
      expect(again.lookup(bytesOf(1, 4))).toEqual(bytesOf(5, 8));
    }
    expect(() => openPinnedProgram(path)).toThrow(`${path}: a map is pinned there, not a program`);
    unpin(path);
    expect(() => openPinnedMap(path)).toThrow("ENOENT");
    expect(() => unpin(path)).toThrow(`unpin ${path}: ENOENT`);
  });

  test("a frozen map comes back as one", () => {
    const path = `${directory}/frozen`;
    const spec = mapSpec("data", MapType.ARRAY, {
      maxEntries: 1,
      flags: 1 << 10,
      initialValue: bytesOf(9, 8),
      frozen: true,
    });
    using loaded = kernel.load(object([], [spec]));
    loaded.map("data").pin(path);
    using again = openPinnedMap(path);
    expect(again.mapMemory()).toEqual(bytesOf(9, 8));
    unpin(path);
  });

  test("a program", () => {
    const path = `${directory}/seven`;
    {
      using loaded = kernel.load(
        object([program("seven", "r0 = 7\nexit", { type: ProgType.SYSCALL, sleepable: true })]),
      );
      loaded.program("seven").pin(path);
    }
    using again = openPinnedProgram(path);
    expect(again.testRun()).toBe(7);
    unpin(path);
  });

  test("a link stays attached", () => {
    const path = `${directory}/link`;
    {
      using loaded = kernel.load(object([program("p", "r0 = 0\nexit")]));
      using link = kernel.attach(loaded.program("p"), { kind: "raw-tracepoint", name: "sched_switch" });
      link.pin(path);
    }
    {
      using again = openPinnedLink(path);
      expect(again.info()).toMatchObject([{ type: "raw_tracepoint", name: "sched_switch" }]);
    }
    unpin(path);
  });

  test("elsewhere than on a bpffs", () => {
    using loaded = kernel.load(object([], [mapSpec("m", MapType.HASH)]));
    const map = loaded.map("m");
    expect(() => map.pin("/tmp/skep-no-pin")).toThrow("pin /tmp/skep-no-pin: /tmp is on no bpffs");
    expect(() => map.pin("/proc/skep/no-pin")).toThrow("its directory cannot be made");
    expect(() => map.pin(`${directory}/a.b`)).toThrow("names in a bpffs have no dots");
    expect(() => unpin("/etc/passwd")).toThrow("this is on no bpffs");
  });

  describeWith(["bpftool"], "beside bpftool", () => {
    test("it finds ours, and we its", () => {
      const [ours, its] = [`${directory}/ours`, `${directory}/its`];
      using loaded = kernel.load(object([], [mapSpec("m", MapType.HASH)]));
      loaded.map("m").pin(ours);
      const shown = JSON.parse(execFileSync("bpftool", ["-j", "map", "show", "pinned", ours], { encoding: "utf8" }));
      expect(shown).toMatchObject({ name: "m", bytes_key: 4, bytes_value: 8, max_entries: 16 });
      execFileSync("bpftool", ["map", "pin", "id", String(shown.id), its]);
      using again = openPinnedMap(its);
      again.update(bytesOf(3, 4), bytesOf(4, 8));
      expect(loaded.map("m").lookup(bytesOf(3, 4))).toEqual(bytesOf(4, 8));
      unpin(ours);
      unpin(its);
    });
  });
});
