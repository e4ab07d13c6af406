/** Static probes of a program that we compile, traced by an object with libbpf's usdt.bpf.h: what it sees, beside libbpf. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import type { LinuxLink } from "../../../src/kernel/linux/link.ts";
import type { LinuxObject } from "../../../src/kernel/linux/load.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { type BpfObject, readObject } from "../../../src/object/index.ts";
import { LinuxAttachMachine, attachProgram } from "../../../src/runtime/attachment/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeWith } from "../../support/needs.ts";

const programs = fileURLToPath(new URL("../../programs/", import.meta.url));
const ROUNDS = 5;
const PROBES = ["none", "plain", "sizes", "memory", "twice", "guarded"];

describeWith(["linux", "root", "bpf", "uprobes", "clang", "gcc", "libbpf", "sdt"], "static probes", () => {
  guardLeaks();
  const kernel = openLinuxKernel();
  let directory = "";
  let target = "";
  let plainTarget = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "skep-usdt-"));
    target = join(directory, "usdt");
    plainTarget = join(directory, "usdt0");
    execFileSync("gcc", ["-O2", "-o", target, join(programs, "attach-usdt.c")]);
    execFileSync("gcc", ["-O0", "-no-pie", "-s", "-o", plainTarget, join(programs, "attach-usdt.c")]);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const source = (name = "attach-usdt"): BpfObject => readObject(compileProgram(name));
  const load = (object: BpfObject): LinuxObject =>
    kernel.load({ ...object, programs: object.programs.filter(({ name }) => name === "trace") });

  function run(binary: string, rounds = ROUNDS): string {
    return spawnSync(binary, [String(rounds)], { encoding: "utf8" }).stdout.trim();
  }

  /** A slot as the referee prints it. */
  function line(loaded: LinuxObject, name: string, slot: number): string {
    const value = loaded.map("results").lookup(new Uint8Array(Uint32Array.of(slot).buffer))!;
    const words = new BigInt64Array(value.buffer, value.byteOffset, value.byteLength / 8);
    const values = Array.from({ length: 6 }, (_, i) => `${words[2 + i]}:${words[8 + i]}`);
    return [name, words[0], words[1], ...values].join(" ");
  }

  test.each([
    ["position-independent, optimised", () => target, PROBES.filter((name) => name !== "memory")],
    ["at a fixed address, not optimised, without symbols", () => plainTarget, PROBES],
  ])("a program %s: the same as libbpf", (_, binary, names) => {
    const referee = join(directory, "referee");
    execFileSync("gcc", ["-o", referee, join(programs, "attach-usdt-referee.c"), "-lbpf"]);
    const object = join(directory, "usdt.bpf.o");
    writeFileSync(object, compileProgram("attach-usdt"));
    const pairs = names.flatMap((name, slot) => [name, String(slot)]);
    const theirs = spawnSync(referee, [object, binary(), "skep", ...pairs], { encoding: "utf8" });
    expect(theirs.stderr).toBe("");
    using loaded = load(source());
    const attached = names.map((name, slot) =>
      attachProgram(kernel, loaded, "trace", { kind: "usdt", path: binary(), provider: "skep", name, cookie: slot }),
    );
    // The guarded probe is passed while its semaphore is up: the program prints it.
    expect(run(binary())).toBe("1");
    const ours = names.map((name, slot) => line(loaded, name, slot));
    for (const each of attached) each.close();
    expect(`1\n${ours.join("\n")}\n`).toBe(theirs.stdout);
    expect(run(binary())).toBe("0");
    expect(names.map((name, slot) => line(loaded, name, slot))).toEqual(ours);
  });

  test("symbols beside the program counter and index registers are read, where the object knows them", () => {
    using loaded = load(source("attach-usdt-sib"));
    using attached = attachProgram(kernel, loaded, "trace", {
      kind: "usdt",
      path: target,
      provider: "skep",
      name: "memory",
    });
    expect(attached.links).toHaveLength(1);
    run(target);
    const variables = source("attach-usdt-sib").variables!;
    const bss = loaded.map(".bss").lookup(new Uint8Array(4))!;
    const at = (name: string): number => variables.find((each) => each.name === name)!.offset / 8;
    const words = new BigInt64Array(bss.buffer, bss.byteOffset, bss.byteLength / 8);
    const first = at("values");
    expect(words[at("runs")]).toBe(BigInt(ROUNDS));
    // global_value, table[4], index + 1, 1000 + 4
    expect([...words.subarray(first, first + 4)]).toEqual([-77n, 14n, 5n, 1004n]);
  });

  test("an object with the older usdt.bpf.h is told what it lacks", () => {
    using loaded = load(source());
    const attach = (): unknown =>
      attachProgram(kernel, loaded, "trace", { kind: "usdt", path: target, provider: "skep", name: "memory" });
    expect(attach).toThrow(
      "are indexed, which the object's usdt.bpf.h does not know: compile it with that of libbpf 1.7",
    );
  });

  test("many probes in one link, where the kernel has it", () => {
    if (!machine.atLeast(6, 10)) return;
    using loaded = load(source());
    using attached = attachProgram(kernel, loaded, "trace", {
      kind: "usdt",
      path: target,
      provider: "skep",
      name: "twice",
      cookie: 3,
    });
    expect(attached.links).toHaveLength(1);
    const [link] = attached.links as readonly LinuxLink[];
    const [info] = link!.info();
    expect(info).toMatchObject({ type: "uprobe_multi", path: target, isReturn: false, pid: 0 });
    expect(info!.type === "uprobe_multi" && info!.places.map(({ cookie }) => cookie)).toEqual([0n, 1n]);
    expect(info!.type === "uprobe_multi" && info!.places.every(({ refCtrOffset }) => refCtrOffset > 0n)).toBe(true);
    run(target);
    expect(line(loaded, "twice", 3)).toMatch(/^twice 10 2 12:/);
  });

  test("one process only", async () => {
    using loaded = load(source());
    const script = `read; exec ${target} 3`;
    const followed = spawn("bash", ["-c", script], { stdio: ["pipe", "ignore", "inherit"] });
    using attached = attachProgram(
      kernel,
      loaded,
      "trace",
      { kind: "usdt", path: target, provider: "skep", name: "plain", cookie: 2 },
      { pid: followed.pid! },
    );
    expect(attached.request).toMatchObject({ pid: followed.pid });
    run(target, 7);
    expect(line(loaded, "plain", 2)).toMatch(/^plain 0 /);
    const ended = once(followed, "exit");
    followed.stdin.end("\n");
    await ended;
    expect(line(loaded, "plain", 2)).toMatch(/^plain 3 3 2:/);
  });

  test("without cookies probes are known by their address", async () => {
    const object = source();
    const noCookies: BpfObject = {
      ...object,
      programs: object.programs.filter(({ name }) => name === "trace"),
    };
    // As on a kernel before 5.15: LINUX_HAS_BPF_COOKIE is false.
    using loaded = kernel.load(noCookies, { kconfig: "LINUX_HAS_BPF_COOKIE=n" });
    const old = new LinuxAttachMachine();
    Object.defineProperty(old, "hasCookies", { value: false });
    const place = { kind: "usdt", path: plainTarget, provider: "skep", name: "plain", cookie: 1 } as const;
    expect(() => attachProgram(kernel, loaded, "trace", { ...place, path: target }, { machine: old })).toThrow(
      "without which a library is followed in one process only: give a pid",
    );
    const attached = attachProgram(kernel, loaded, "trace", place, { machine: old });
    expect(loaded.map("__bpf_usdt_ip_to_spec_id").keys()).toHaveLength(1);
    attached.close();
    expect(loaded.map("__bpf_usdt_ip_to_spec_id").keys()).toHaveLength(0);
  });

  test("by the section's name", () => {
    const object = source();
    using loaded = kernel.load({ ...object, programs: object.programs.filter(({ name }) => name === "by_section") });
    const attach = (): unknown => attachProgram(kernel, loaded, "by_section");
    expect(attach).toThrow("usdt /tmp/skep-usdt-target:skep:plain: /tmp/skep-usdt-target: there is no such file");
    copyFileSync(target, "/tmp/skep-usdt-target");
    try {
      using attached = attachProgram(kernel, loaded, "by_section");
      expect(attached.links).toHaveLength(1);
      run("/tmp/skep-usdt-target");
      expect(line(loaded, "plain", 0)).toMatch(/^plain 5 3 4:/);
    } finally {
      rmSync("/tmp/skep-usdt-target");
    }
  });

  test.each([
    ["another probe", "plane", /usdt .*usdt:skep:plane: .* has no such static probe; did you mean skep:plain/],
    ["nothing near", "zzz", /has no such static probe; it has skep:/],
  ])("%s is told so", (_, name, message) => {
    using loaded = load(source());
    expect(() =>
      attachProgram(kernel, loaded, "trace", { kind: "usdt", path: target, provider: "skep", name }),
    ).toThrow(message);
  });

  test("a file without probes, and a map that is full", () => {
    using loaded = load(source());
    expect(() =>
      attachProgram(kernel, loaded, "trace", { kind: "usdt", path: "ls", provider: "a", name: "b" }),
    ).toThrow(/\/bin\/ls has no static probes/);
    const object = source();
    using small = kernel.load(
      { ...object, programs: object.programs.filter(({ name }) => name === "trace") },
      { maxEntries: new Map([["__bpf_usdt_specs", 1]]) },
    );
    using one = attachProgram(kernel, small, "trace", { kind: "usdt", path: target, provider: "skep", name: "plain" });
    expect(one.links).toHaveLength(1);
    expect(() =>
      attachProgram(kernel, small, "trace", { kind: "usdt", path: target, provider: "skep", name: "sizes" }),
    ).toThrow("map __bpf_usdt_specs has 1 entries, and all are taken: define BPF_USDT_MAX_SPEC_CNT larger");
    one.close();
    attachProgram(kernel, small, "trace", { kind: "usdt", path: target, provider: "skep", name: "sizes" }).close();
  });
});
