/** Iterators: what they walk, and reading what they write. */
import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { describeMap } from "../../../src/kernel/linux/bpf.ts";
import type { LinuxObject } from "../../../src/kernel/linux/load.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { type AttachSpec, readObject } from "../../../src/object/index.ts";
import { attachProgram } from "../../../src/runtime/attachment/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { cgroupMissing, useCgroup } from "../../support/cgroup.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeUnless, describeWith, missing } from "../../support/needs.ts";

const needs = ["linux", "root", "bpf", "clang", "libbpf", "vmlinuxBtf"] as const;

function load(...names: string[]): LinuxObject {
  const object = readObject(compileProgram("attach-iter"));
  const programs = object.programs.map((each) => ({ ...each, autoload: names.includes(each.name) }));
  return openLinuxKernel().load({ ...object, programs });
}

function lines(loaded: LinuxObject, program: string, spec: AttachSpec): string[] {
  using link = openLinuxKernel().attach(loaded.program(program), spec);
  using run = link.iterate();
  return [...run.lines()];
}

describeWith(needs, "iterators over tasks and maps", () => {
  guardLeaks();
  const kernel = openLinuxKernel();
  let loaded: LinuxObject;
  beforeAll(() => void (loaded = load("tasks", "elements")));
  afterAll(() => loaded.close());

  test("all tasks, one process, one thread", () => {
    const { pid } = process;
    const all = lines(loaded, "tasks", { kind: "tracing" });
    expect(all).toContain(`${pid} ${pid}`);
    expect(all.filter((line) => !/^\d+ \d+$/.test(line))).toEqual([]);
    expect(lines(loaded, "tasks", { kind: "iterator" }).length).toBeGreaterThan(10);
    if (!machine.atLeast(6, 1)) return;
    const own = lines(loaded, "tasks", { kind: "iterator", pid });
    expect(own.length).toBeGreaterThan(1);
    expect(own.every((line) => line.startsWith(`${pid} `))).toBe(true);
    expect(lines(loaded, "tasks", { kind: "iterator", tid: pid })).toEqual([`${pid} ${pid}`]);
    using link = kernel.attach(loaded.program("tasks"), { kind: "iterator", tid: pid });
    expect(link.info()).toEqual([expect.objectContaining({ type: "iter", target: "task", tid: pid, pid: 0 })]);
  });

  test("elements of a map: whole, in pieces, and while others work", async () => {
    const map = loaded.map("walked");
    const key = new Uint8Array(4);
    const value = new Uint8Array(8);
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      new DataView(key.buffer).setUint32(0, i, true);
      new DataView(value.buffer).setBigUint64(0, BigInt(i) * 3n, true);
      map.update(key, value);
    }
    const mapId = describeMap(map.fd.value).id;
    using link = kernel.attach(loaded.program("elements"), { kind: "iterator", mapId });
    expect(link.info()).toEqual([expect.objectContaining({ type: "iter", target: "bpf_map_elem", mapId })]);
    const expected = Array.from({ length: count }, (_, i) => `${i}=${i * 3}`).toSorted();
    {
      using run = link.iterate();
      expect(run.text().trimEnd().split("\n").toSorted()).toEqual(expected);
      expect(run.read()).toBeUndefined();
    }
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const found: string[] = [];
    using run = link.iterate();
    for await (const line of run) found.push(line);
    clearInterval(timer);
    expect(found.toSorted()).toEqual(expected);
    expect(turns).toBeGreaterThan(0);
    // Leaving early gives everything back.
    using left = link.iterate();
    for (const line of left.lines()) if (line.startsWith("7")) break;
    expect(left.read()).toBeUndefined();
  });

  test("by the section's name, and of one process", async () => {
    using all = attachProgram(kernel, loaded, "tasks");
    expect(all.info()).toMatchObject([{ type: "iter", target: "task" }]);
    const found: string[] = [];
    for await (const line of all.iterate()) found.push(line);
    expect(found).toContain(`${process.pid} ${process.pid}`);
    if (!machine.atLeast(6, 1)) return;
    using own = attachProgram(kernel, loaded, "tasks", undefined, { pid: process.pid });
    using run = own.iterate();
    expect([...run.lines()].every((line) => line.startsWith(`${process.pid} `))).toBe(true);
    own.update(loaded.program("tasks"));
  });

  test.each<[string, string, AttachSpec, string]>([
    [
      "a map that is not there",
      "elements",
      { kind: "iterator", mapId: 0x7fff_ffff },
      "iterator bpf_map_elem: there is no map with id 2147483647",
    ],
    ["elements of nothing", "elements", { kind: "iterator" }, "iterator bpf_map_elem: say what it walks: a map's id"],
    ["elements of nothing, by the section", "elements", { kind: "tracing" }, "say what it walks: a map's id"],
    [
      "a task that is not there",
      "tasks",
      { kind: "iterator", tid: 0x3fff_ffff },
      "iterator task: there is no task 1073741823",
    ],
    [
      "a map and a task",
      "tasks",
      { kind: "iterator", tid: 1, mapId: 1 },
      "iterator task: walks one of a map, a task or a cgroup",
    ],
    [
      "a thread and a process",
      "tasks",
      { kind: "iterator", tid: 1, pid: 1 },
      "walks one thread or one process, not both",
    ],
    ["an order of nothing", "tasks", { kind: "iterator", order: "children" }, "an order goes with a cgroup"],
  ])("%s is told so", (_, program, spec, message) => {
    expect(() => kernel.attach(loaded.program(program), spec)).toThrow(message);
  });
});

describeUnless(
  missing(...needs) ??
    cgroupMissing() ??
    (machine.atLeast(6, 1) ? undefined : "iterators over cgroups came with Linux 6.1"),
  "iterators over cgroups",
  () => {
    guardLeaks();
    const cgroup = useCgroup();

    test("every order", () => {
      using loaded = load("cgroups");
      mkdirSync(`${cgroup}/child`);
      mkdirSync(`${cgroup}/child/leaf`);
      const idOf = (path: string): string => String(statSync(path, { bigint: true }).ino);
      try {
        const [top, child, leaf] = ["", "/child", "/child/leaf"].map((path) => idOf(cgroup + path));
        const walk = (path: string, order?: "self-only" | "descendants-post" | "ancestors-up"): string[] =>
          lines(loaded, "cgroups", { kind: "iterator", cgroup: path, ...(order === undefined ? {} : { order }) });
        expect(walk(cgroup)).toEqual([top, child, leaf]);
        expect(walk(cgroup, "descendants-post")).toEqual([leaf, child, top]);
        expect(walk(cgroup, "self-only")).toEqual([top]);
        expect(walk(`${cgroup}/child/leaf`, "ancestors-up").slice(0, 3)).toEqual([leaf, child, top]);
        using link = openLinuxKernel().attach(loaded.program("cgroups"), {
          kind: "iterator",
          cgroup,
          order: "self-only",
        });
        expect(link.info()).toEqual([
          expect.objectContaining({
            type: "iter",
            target: "cgroup",
            cgroupId: statSync(cgroup, { bigint: true }).ino,
            order: 1,
          }),
        ]);
      } finally {
        rmdirSync(`${cgroup}/child/leaf`);
        rmdirSync(`${cgroup}/child`);
      }
    });
  },
);
