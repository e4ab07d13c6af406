/** What requests in names become, and what they say when they cannot. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AttachType, MapType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { type AttachRequest, type AttachSpec, Elf, type ProgramSpec } from "../../../src/object/index.ts";
import {
  type AttachMachine,
  attachProgram,
  findBinary,
  placeWanted,
  resolveAttachRequest,
} from "../../../src/runtime/attachment/index.ts";
import { bytesOf, mapSpec, numberOf, object, program } from "../../kernel/linux/support.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";

/** A machine of our own: kernel 6.18, or an older one, with these functions. */
function machineOf(version: readonly [number, number] = [6, 18]): AttachMachine {
  const names = [
    "vfs_read",
    "vfs_write",
    "vfs_open",
    "vfs_read.cold",
    "do_exit",
    "__x64_sys_openat",
    "__x64_sys_open",
    "__x64_sys_read",
  ];
  return {
    arch: "x86_64",
    atLeast: (major, minor) => version[0] > major || (version[0] === major && version[1] >= minor),
    traceableFunctions: () => [
      ...names.map((name) => ({ name })),
      { name: "vfs_read" },
      { name: "vfs_mod", module: "mod" },
    ],
    kernelFunctions: () => new Set(names),
    hasCookies: true,
    kprobesMissing: undefined,
  };
}

const probe: ProgramSpec = program("p", "r0 = 0\nexit", { type: ProgType.KPROBE });
const of = (expectedAttachType: number): ProgramSpec => ({ ...probe, expectedAttachType });
const classifier: ProgramSpec = { ...probe, type: ProgType.SCHED_CLS };
const { TRACE_KPROBE_MULTI, TRACE_KPROBE_SESSION } = AttachType;

describe("requests on a machine of our own", () => {
  const kprobe = (func: string, more: object = {}): AttachSpec => ({
    kind: "kprobe",
    func,
    offset: 0,
    isReturn: false,
    ...more,
  });
  test.each<[string, ProgramSpec, AttachRequest, AttachSpec[]]>([
    ["a place", probe, { kind: "netns" }, [{ kind: "netns" }]],
    [
      "a function",
      probe,
      { kind: "kprobe", func: "f", offset: 4, isReturn: true },
      [kprobe("f", { offset: 4, isReturn: true })],
    ],
    [
      "a function for many",
      of(TRACE_KPROBE_MULTI),
      { kind: "kprobe", func: "f", offset: 0, isReturn: true, cookie: 3 },
      [{ kind: "kprobe-multi", funcs: ["f"], isReturn: true, cookies: [3] }],
    ],
    [
      "a pattern, one by one",
      probe,
      { kind: "kprobe-pattern", pattern: "vfs_*e", isReturn: false, cookie: 1 },
      [kprobe("vfs_write", { cookie: 1 })],
    ],
    [
      "a pattern with ?",
      probe,
      { kind: "kprobe-pattern", pattern: "vfs_?e??", isReturn: true },
      [kprobe("vfs_read", { isReturn: true })],
    ],
    [
      "a pattern at once",
      of(TRACE_KPROBE_MULTI),
      { kind: "kprobe-pattern", pattern: "vfs_*", isReturn: false },
      [
        {
          kind: "kprobe-multi",
          funcs: ["vfs_read", "vfs_write", "vfs_open", "vfs_read.cold", "vfs_mod"],
          isReturn: false,
        },
      ],
    ],
    [
      "a pattern of sessions with cookies",
      of(TRACE_KPROBE_SESSION),
      { kind: "kprobe-pattern", pattern: "*exit", isReturn: false, cookie: 9 },
      [{ kind: "kprobe-multi", funcs: ["do_exit"], isReturn: false, cookies: [9] }],
    ],
    [
      "a pattern that is a name",
      probe,
      { kind: "kprobe-pattern", pattern: "nowhere", isReturn: false },
      [kprobe("nowhere")],
    ],
    [
      "a system call",
      probe,
      { kind: "ksyscall", syscall: "openat", isReturn: true, cookie: 5 },
      [kprobe("__x64_sys_openat", { isReturn: true, cookie: 5 })],
    ],
    [
      "a handler of a system call as old kernels called it",
      probe,
      { kind: "kprobe", func: "sys_openat", offset: 4, isReturn: false, cookie: 5 },
      [kprobe("__x64_sys_openat", { offset: 4, cookie: 5 })],
    ],
    [
      "one as another architecture calls it, at many places",
      of(TRACE_KPROBE_MULTI),
      { kind: "kprobe", func: "__arm64_sys_read", offset: 0, isReturn: true },
      [{ kind: "kprobe-multi", funcs: ["__x64_sys_read"], isReturn: true }],
    ],
    [
      "one that this kernel has not: its own to refuse",
      probe,
      { kind: "kprobe", func: "sys_nothing", offset: 0, isReturn: false },
      [kprobe("sys_nothing")],
    ],
    [
      "a classifier",
      classifier,
      { kind: "tc", device: "lo", direction: "egress" },
      [{ kind: "tcx", device: "lo", direction: "egress" }],
    ],
    [
      "a filter with a priority",
      classifier,
      { kind: "tc", device: "lo", direction: "egress", priority: 2 },
      [{ kind: "tc", device: "lo", direction: "egress", priority: 2 }],
    ],
  ])("%s", (_, spec, request, places) => {
    expect(resolveAttachRequest(spec, request, machineOf())).toEqual(places);
  });

  test("older kernels: no tcx, no functions of modules in one link", () => {
    const old = machineOf([6, 5]);
    const filter: AttachRequest = { kind: "tc", device: "lo", direction: "ingress" };
    expect(resolveAttachRequest(classifier, filter, old)).toEqual([filter]);
    const pattern: AttachRequest = { kind: "kprobe-pattern", pattern: "vfs_*d", isReturn: false };
    expect(resolveAttachRequest(of(TRACE_KPROBE_MULTI), pattern, old)).toMatchObject([
      { funcs: ["vfs_read", "vfs_read.cold"] },
    ]);
    expect(resolveAttachRequest(probe, pattern, old)).toHaveLength(3);
  });

  test.each<[string, AttachRequest, string]>([
    [
      "no function of a pattern",
      { kind: "kprobe-pattern", pattern: "vfs_reed*", isReturn: false },
      "kprobe vfs_reed*: no function of this kernel that can be traced matches; near are vfs_read",
    ],
    [
      "no system call",
      { kind: "ksyscall", syscall: "opnat", isReturn: false },
      "ksyscall opnat: this kernel has no such system call; did you mean openat",
    ],
    [
      "no binary",
      { kind: "uprobe-symbol", path: "/nonexistent/x", func: "f", offset: 0, isReturn: false },
      "uprobe /nonexistent/x:f: /nonexistent/x: there is no such file",
    ],
    [
      "no program of a name",
      { kind: "uprobe-symbol", path: "skep-none", func: "f", offset: 3, isReturn: false },
      "uprobe skep-none:f+3: no skep-none in PATH and the linker's cache: give its path",
    ],
    [
      "no library of a name",
      { kind: "uprobe-pattern", path: "libskep-none.so.1", pattern: "f*", isReturn: true },
      "uretprobe libskep-none.so.1:f*: no libskep-none.so.1 in LD_LIBRARY_PATH, the linker's cache and the usual directories: give its path",
    ],
    [
      "no ELF file",
      { kind: "uprobe-symbol", path: "/etc/hostname", func: "f", offset: 0, isReturn: false },
      "uprobe /etc/hostname:f: /etc/hostname is no ELF file",
    ],
  ])("%s is told so", (_, request, message) => {
    expect(() => resolveAttachRequest(probe, request, machineOf())).toThrow(message);
  });

  test("a kernel that lists nothing to trace has functions all the same, or says that it tells none", () => {
    const pattern: AttachRequest = { kind: "kprobe-pattern", pattern: "do_*", isReturn: false };
    const mute = { ...machineOf(), traceableFunctions: () => undefined };
    expect(resolveAttachRequest(probe, pattern, mute)).toMatchObject([{ func: "do_exit" }]);
    const hidden = { ...mute, kernelFunctions: () => new Set<string>() };
    expect(() => resolveAttachRequest(probe, pattern, hidden)).toThrow(
      "kprobe do_*: this kernel tells no names of functions",
    );
    const without = { ...machineOf(), kprobesMissing: "this kernel has none" };
    expect(() => resolveAttachRequest(probe, pattern, without)).toThrow("kprobe do_*: this kernel has none");
  });

  test.each<[string, number, number, string]>([
    [
      "xdp",
      ProgType.XDP,
      0,
      'its section xdp does not say where it goes; give a network device: { kind: "xdp", device: "eth0" }',
    ],
    [
      "cgroup/connect4",
      ProgType.CGROUP_SOCK_ADDR,
      AttachType.CGROUP_INET4_CONNECT,
      'give a cgroup: { kind: "cgroup", path: "/sys/fs/cgroup" }',
    ],
    [
      "kprobe.multi",
      ProgType.KPROBE,
      TRACE_KPROBE_MULTI,
      'give functions: { kind: "kprobe-pattern", pattern: "vfs_*", isReturn: false }',
    ],
    ["kprobe", ProgType.KPROBE, 0, 'give a function: { kind: "kprobe"'],
    ["syscall", ProgType.SYSCALL, 0, "syscall programs run when they are asked to: use testRun"],
    ["xdp/devmap", ProgType.XDP, AttachType.XDP_DEVMAP, "are attached by putting their descriptor into the map"],
    [
      "netkit/peer",
      ProgType.SCHED_CLS,
      AttachType.NETKIT_PEER,
      'give a netkit device: { kind: "netkit", device: "nk0" }',
    ],
  ])("SEC(%s) without a place says what to give", (section, type, expectedAttachType, message) => {
    expect(placeWanted({ ...probe, section, type, expectedAttachType })).toContain(message);
  });

  test("every program type has something to say", () => {
    const mute = Object.entries(ProgType).filter(
      ([, type]) => !placeWanted({ ...probe, type, section: "x" }).match(/; give|attach|testRun/),
    );
    // Their sections always name a place, or they are loaded for one.
    expect(mute.map(([name]) => name)).toEqual(["UNSPEC", "TRACING", "LSM"]);
  });
});

/** Adds the cookie to `counts`. */
const count = `
  r6 = r1
  r1 = 0
  *(u32 *)(r10 - 4) = r1
  r2 = r10
  r2 += -4
  r1 = MAP(counts)
  call bpf_map_lookup_elem#1
  if r0 == 0 goto out
  r1 = 1
  lock *(u64 *)(r0 + 0) += r1
out:
  r0 = 0
  exit`;

describeWith(["linux", "root", "bpf", "uprobes", "gcc"], "functions of binaries", () => {
  guardLeaks();
  const kernel = openLinuxKernel();
  const counts = mapSpec("counts", MapType.ARRAY, { maxEntries: 1 });
  let directory = "";
  let library = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "skep-request-"));
    library = join(directory, "libskep-request.so");
    const versions = join(directory, "versions");
    writeFileSync(versions, "SKEP_1 { global: skep_*; };\nSKEP_2 { } SKEP_1;\n");
    const source = fileURLToPath(new URL("../../programs/attach-request.c", import.meta.url));
    execFileSync("gcc", [
      "-shared",
      "-fPIC",
      "-O1",
      "-fno-lto",
      `-Wl,--version-script=${versions}`,
      "-o",
      library,
      source,
    ]);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const at = (func: string, isReturn = false, offset = 0): AttachRequest => ({
    kind: "uprobe-symbol",
    path: library,
    func,
    offset,
    isReturn,
  });
  const offsetOf = (request: AttachRequest): number => {
    const [place] = resolveAttachRequest(probe, request, machineOf());
    return place!.kind === "uprobe" ? place!.fileOffset : -1;
  };

  test("versions choose among functions of a name", () => {
    const elf = Elf.parse(new Uint8Array(execFileSync("cat", [library])));
    const offset = (name: string): number => elf.virtualToFileOffset(elf.findSymbol(name)!.value)!;
    const [old, current] = [offset("old_call"), offset("new_call")];
    expect(old).not.toBe(current);
    expect(offsetOf(at("skep_call@SKEP_1"))).toBe(old);
    expect(offsetOf(at("skep_call@SKEP_2"))).toBe(current);
    expect(offsetOf(at("skep_call@@SKEP_2"))).toBe(current);
    expect(offsetOf(at("skep_call"))).toBe(current);
    expect(() => offsetOf(at("skep_call@@SKEP_1"))).toThrow("has no function skep_call@@SKEP_1");
    // Without its static symbols only the dynamic table tells.
    const stripped = join(directory, "stripped.so");
    execFileSync("strip", ["-o", stripped, library]);
    expect(offsetOf({ ...at("skep_call@SKEP_1"), path: stripped } as AttachRequest)).toBe(old);
    expect(offsetOf({ ...at("skep_call"), path: stripped } as AttachRequest)).toBe(current);
  });

  test("offsets and addresses", () => {
    const start = offsetOf(at("skep_one"));
    expect(offsetOf(at("skep_one", false, 2))).toBe(start + 2);
    const elf = Elf.parse(new Uint8Array(execFileSync("cat", [library])));
    expect(offsetOf(at("", false, Number(elf.findSymbol("skep_one")!.value)))).toBe(start);
    expect(() => offsetOf(at("skep_one", false, 4000))).toThrow(/skep_one has \d+ bytes: the offset is outside of it/);
    expect(() => offsetOf(at("skep_one", true, 2))).toThrow("no offset with uretprobes");
    expect(() => offsetOf(at("", false, 0x7fffffff))).toThrow("has no code at that address");
    expect(() => offsetOf(at("skep_on"))).toThrow("has no function skep_on; did you mean skep_one");
    expect(() => offsetOf(at("skep_variable"))).toThrow(/skep_variable of .* is no function/);
  });

  test("libraries by name: of LD_LIBRARY_PATH, then of the linker", () => {
    const before = process.env["LD_LIBRARY_PATH"];
    process.env["LD_LIBRARY_PATH"] = directory;
    try {
      expect(findBinary("test", "libskep-request.so", "x86_64")).toBe(library);
    } finally {
      if (before === undefined) delete process.env["LD_LIBRARY_PATH"];
      else process.env["LD_LIBRARY_PATH"] = before;
    }
    expect(findBinary("test", "libc.so.6", process.arch === "x64" ? "x86_64" : "aarch64")).toMatch(
      /^\/.*\/libc\.so\.6$/,
    );
    expect(findBinary("test", "bash", "x86_64")).toMatch(/\/bash$/);
  });

  test("patterns: each place once, one by one or in one link", () => {
    const request: AttachRequest = { kind: "uprobe-pattern", path: library, pattern: "skep_*o*", isReturn: true };
    const places = resolveAttachRequest(probe, request, machineOf());
    const multi = resolveAttachRequest(of(AttachType.TRACE_UPROBE_MULTI), request, machineOf());
    expect(places).toHaveLength(2);
    expect(multi).toEqual([
      {
        kind: "uprobe-multi",
        path: library,
        isReturn: true,
        fileOffsets: places.map((place) => (place.kind === "uprobe" ? place.fileOffset : -1)),
      },
    ]);
    expect(() =>
      resolveAttachRequest(probe, { ...request, pattern: "nothing*" } as AttachRequest, machineOf()),
    ).toThrow("no function of");
  });

  test.each<[string, AttachRequest]>([
    ["by symbol", { kind: "uprobe-symbol", path: "libc.so.6", func: "getppid", offset: 0, isReturn: false }],
    ["by pattern", { kind: "uprobe-pattern", path: "libc.so.6", pattern: "getppi?", isReturn: false }],
    ["when it returns", { kind: "uprobe-symbol", path: "libc.so.6", func: "getppid", offset: 0, isReturn: true }],
  ])("attached %s: counts calls of one process", (_, request) => {
    using loaded = kernel.load(object([program("count", count, { type: ProgType.KPROBE })], [counts]));
    using attached = attachProgram(kernel, loaded, "count", request, { pid: process.pid });
    expect(attached.refused).toBeUndefined();
    for (let i = 0; i < 5; i++) expect(process.ppid).toBeGreaterThan(0);
    const calls = (): number => numberOf(loaded.map("counts").lookup(bytesOf(0, 4))!);
    expect(calls()).toBe(5);
    spawnSync("bash", ["-c", "echo $PPID"]);
    expect(calls()).toBe(5);
    attached.close();
    expect(process.ppid).toBeGreaterThan(0);
    expect(calls()).toBe(5);
  });

  test("nobody says where: an error that says what to give", () => {
    using loaded = kernel.load(
      object([program("count", count, { type: ProgType.KPROBE, section: "uprobe" })], [counts]),
    );
    expect(() => attachProgram(kernel, loaded, "count")).toThrow(
      expect.objectContaining({
        code: "no-place",
        exitStatus: 2,
        message: expect.stringContaining(
          "program count: its section uprobe does not say where it goes; give a function",
        ) as string,
      }),
    );
  });
});
