import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { AttachType, MapType, ProgType } from "../../../src/isa/index.ts";
import { type LinuxKernel, openLinuxKernel } from "../../../src/kernel/index.ts";
import { probeFeature } from "../../../src/kernel/linux/features.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { PerfSoftware, PerfType } from "../../../src/kernel/linux/perf.ts";
import { tracepointNames } from "../../../src/kernel/linux/tracefs.ts";
import { type AttachSpec, Elf } from "../../../src/object/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeUnless, describeWith, missing } from "../../support/needs.ts";
import { type ProgramOptions, bytesOf, mapSpec, numberOf, object, program } from "./support.ts";

/** Adds one to the array map `counts`, index 0, whatever the context. */
const count = `
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

const counts = mapSpec("counts", MapType.ARRAY, { maxEntries: 1 });

/** How often the program ran between attaching, `load` and detaching. */
function hits(kernel: LinuxKernel, options: ProgramOptions, spec: AttachSpec, load: () => void): number {
  using loaded = kernel.load(object([program("count", count, options)], [counts]));
  const read = (): number => numberOf(loaded.map("counts").lookup(bytesOf(0, 4))!);
  {
    using link = kernel.attach(loaded.program("count"), spec);
    // Attached for as long as the link lives, with or without the program's own descriptor.
    expect(link.spec).toBe(spec);
    load();
  }
  const after = read();
  load();
  expect(read()).toBe(after);
  return after;
}

const libc = "/lib/x86_64-linux-gnu/libc.so.6";

function offsetIn(path: string, name: string): number {
  const elf = Elf.parse(readFileSync(path));
  const symbol = elf.findSymbol(name);
  const offset = symbol === undefined ? undefined : elf.virtualToFileOffset(symbol.value);
  if (offset === undefined) throw new Error(`${path} has no ${name}`);
  return offset;
}

/** Hides a dynamic event source, as kernels before 4.17 have none. */
function withoutEventSource(name: string, body: () => void): void {
  const { files } = machine as unknown as { readonly files: Map<string, string | undefined> };
  const path = `/sys/bus/event_source/devices/${name}/type`;
  const before = machine.file(path);
  files.set(path, undefined);
  try {
    body();
  } finally {
    files.set(path, before);
  }
}

function openOften(): void {
  for (let i = 0; i < 50; i++) statSync("/");
  for (let i = 0; i < 50; i++) readFileSync("/dev/null");
}

function burn(): void {
  const end = performance.now() + 300;
  while (performance.now() < end);
}

const tracing = (attachTo: string): ProgramOptions => ({
  type: ProgType.TRACING,
  expectedAttachType: AttachType.TRACE_RAW_TP,
  attachTo,
});

describeWith(["linux", "root", "bpf", "tracefs"], "attachments to the running kernel", () => {
  guardLeaks();
  const kernel = openLinuxKernel();

  test.each<[string, ProgramOptions, AttachSpec]>([
    [
      "tracepoint",
      { type: ProgType.TRACEPOINT },
      { kind: "tracepoint", category: "syscalls", name: "sys_enter_openat" },
    ],
    ["raw tracepoint", { type: ProgType.RAW_TRACEPOINT }, { kind: "raw-tracepoint", name: "sys_enter" }],
    ["tp_btf", tracing("sys_enter"), { kind: "tracing" }],
  ])("%s", (_, options, spec) => {
    expect(hits(kernel, options, spec, openOften)).toBeGreaterThanOrEqual(50);
  });

  test("perf event: samples of every CPU's clock", () => {
    const spec: AttachSpec = {
      kind: "perf-event",
      type: PerfType.SOFTWARE,
      config: PerfSoftware.CPU_CLOCK,
      frequencyHz: 199,
    };
    const found = hits(kernel, { type: ProgType.PERF_EVENT }, spec, burn);
    expect(found).toBeGreaterThan(30);
    expect(found).toBeLessThan(400);
  });

  test("perf event: every fault of one process", () => {
    const spec: AttachSpec = {
      kind: "perf-event",
      type: PerfType.SOFTWARE,
      config: PerfSoftware.PAGE_FAULTS,
      period: 1,
      pid: process.pid,
    };
    const touch = (): void => void Buffer.alloc(8 << 20, 1);
    // A huge page at a time, where the kernel gives such.
    expect(hits(kernel, { type: ProgType.PERF_EVENT }, spec, touch)).toBeGreaterThan(0);
  });

  test("many places are left at once", async () => {
    using loaded = kernel.load(object([program("count", count, { type: ProgType.TRACEPOINT })], [counts]));
    const names = tracepointNames("syscalls").filter((name) => /^sys_enter_(open|stat|newstat|read)/.test(name));
    const links = names.map((name) =>
      kernel.attach(loaded.program("count"), { kind: "tracepoint", category: "syscalls", name }),
    );
    openOften();
    await kernel.detach(links);
    const read = (): number => numberOf(loaded.map("counts").lookup(bytesOf(0, 4))!);
    const before = read();
    expect(before).toBeGreaterThan(100);
    openOften();
    expect(read()).toBe(before);
    await kernel.detach(links);
    for (const link of links) link.close();
  });

  test("an iterator is read whole", () => {
    const write = `
      r6 = *(u64 *)(r1 + 8)
      if r6 == 0 goto out
      r2 = *(u64 *)(r1 + 0)
      r1 = *(u64 *)(r2 + 0)
      r2 = 0x0a70616d
      *(u32 *)(r10 - 4) = r2
      r2 = r10
      r2 += -4
      r3 = 4
      call bpf_seq_write#127
    out:
      r0 = 0
      exit`;
    const options: ProgramOptions = {
      type: ProgType.TRACING,
      expectedAttachType: AttachType.TRACE_ITER,
      attachTo: "bpf_map",
    };
    using loaded = kernel.load(object([program("iter", write, options)], [counts]));
    using link = kernel.attach(loaded.program("iter"), { kind: "tracing" });
    expect(new TextDecoder().decode(link.readIterator())).toMatch(/^(map\n)+$/);
    expect(() => {
      using other = kernel.load(object([program("count", count, { type: ProgType.TRACEPOINT })], [counts]));
      using tracepoint = kernel.attach(other.program("count"), {
        kind: "tracepoint",
        category: "sched",
        name: "sched_switch",
      });
      tracepoint.readIterator();
    }).toThrow("bpf(BPF_ITER_CREATE)");
  });

  test.each<[string, ProgramOptions, AttachSpec, string]>([
    [
      "a tracepoint that is not",
      { type: ProgType.TRACEPOINT },
      { kind: "tracepoint", category: "sched", name: "sched_swich" },
      "tracepoint sched:sched_swich: this kernel has no such tracepoint; did you mean sched:sched_switch",
    ],
    [
      "a category that is not",
      { type: ProgType.TRACEPOINT },
      { kind: "tracepoint", category: "syscal", name: "sys_enter_openat" },
      "tracepoint syscal:sys_enter_openat: this kernel has no category syscal; did you mean syscalls:sys_enter_openat?",
    ],
    [
      "a raw tracepoint that is not",
      { type: ProgType.RAW_TRACEPOINT },
      { kind: "raw-tracepoint", name: "sched_swich" },
      "raw tracepoint sched_swich: this kernel has none of that name; did you mean sched_switch",
    ],
    [
      "a file that is not",
      { type: ProgType.KPROBE },
      { kind: "uprobe", path: "/nowhere", fileOffset: 0, isReturn: false },
      "uprobe /nowhere:0x0: there is no such file",
    ],
    [
      "a process that is not",
      { type: ProgType.KPROBE },
      { kind: "uprobe", path: libc, fileOffset: 64, isReturn: false, pid: 0x3f_ffff },
      `uprobe ${libc}:0x40: there is no process 4194303`,
    ],
    [
      "a program of another type",
      { type: ProgType.SOCKET_FILTER },
      { kind: "tracepoint", category: "sched", name: "sched_switch" },
      "tracepoint sched:sched_switch",
    ],
    [
      "too fast a clock",
      { type: ProgType.PERF_EVENT },
      { kind: "perf-event", type: PerfType.SOFTWARE, config: PerfSoftware.CPU_CLOCK, frequencyHz: 100_000_000 },
      "kernel.perf_event_max_sample_rate allows",
    ],
  ])("%s", (_, options, spec, message) => {
    using loaded = kernel.load(object([program("count", count, options)], [counts]));
    expect(() => kernel.attach(loaded.program("count"), spec)).toThrow(message);
  });

  test("a kernel type that is not", () => {
    const wrong = program("count", count, tracing("sched_swich"));
    expect(() => kernel.load(object([wrong], [counts]))).toThrow(
      "raw tracepoint sched_swich: this kernel has none of that name; did you mean sched_switch",
    );
  });
});

describeWith(["linux", "root", "bpf", "uprobes"], "attachments to user space", () => {
  guardLeaks();
  const kernel = openLinuxKernel();
  const runTrue = (): void => void spawnSync("true");

  test.each([
    ["uprobe", false],
    ["uretprobe", true],
  ])("%s in every process", (_, isReturn) => {
    const spec: AttachSpec = { kind: "uprobe", path: libc, fileOffset: offsetIn(libc, "getenv"), isReturn };
    const found = hits(kernel, { type: ProgType.KPROBE }, spec, () => void spawnSync("date"));
    expect(found).toBeGreaterThan(0);
  });

  test.each([
    ["uprobe", false],
    ["uretprobe", true],
  ])("%s on a kernel without the event source, through tracefs", (_, isReturn) => {
    const spec: AttachSpec = { kind: "uprobe", path: libc, fileOffset: offsetIn(libc, "getenv"), isReturn };
    withoutEventSource("uprobe", () => {
      expect(hits(kernel, { type: ProgType.KPROBE }, spec, () => void spawnSync("date"))).toBeGreaterThan(0);
    });
    expect(readFileSync("/sys/kernel/tracing/uprobe_events", "utf8")).not.toContain(`skep_${process.pid}/`);
  });

  test("uprobe in one process only", () => {
    const inUs = (name: string): AttachSpec => ({
      kind: "uprobe",
      path: libc,
      fileOffset: offsetIn(libc, name),
      isReturn: false,
      pid: process.pid,
    });
    expect(hits(kernel, { type: ProgType.KPROBE }, inUs("malloc"), runTrue)).toBeGreaterThan(0);
    // The spawned child is another process: it calls execvp, we do not.
    expect(hits(kernel, { type: ProgType.KPROBE }, inUs("execvp"), runTrue)).toBe(0);
  });

  describeUnless(
    missing("root") ?? (probeFeature("uprobe_multi").available ? undefined : "needs Linux 6.6"),
    "many",
    () => {
      test("places at once", () => {
        const spec: AttachSpec = {
          kind: "uprobe-multi",
          path: libc,
          fileOffsets: ["getenv", "malloc", "free"].map((name) => offsetIn(libc, name)),
          isReturn: false,
        };
        const options = { type: ProgType.KPROBE, expectedAttachType: AttachType.TRACE_UPROBE_MULTI };
        expect(hits(kernel, options, spec, () => void spawnSync("date"))).toBeGreaterThan(3);
      });
    },
  );
});

const kprobes = missing("kprobes");

describeUnless(
  missing("linux", "root", "bpf") ?? (kprobes === undefined ? "this kernel has kprobes" : undefined),
  "without kprobes",
  () => {
    guardLeaks();

    test.each<[string, AttachSpec]>([
      ["kprobe vfs_open", { kind: "kprobe", func: "vfs_open", offset: 0, isReturn: false }],
      ["kretprobe vfs_open", { kind: "kprobe", func: "vfs_open", offset: 0, isReturn: true }],
      ["kprobe of 1 functions", { kind: "kprobe-multi", funcs: ["vfs_open"], isReturn: false }],
    ])("%s says what the kernel lacks, and what is near", (what, spec) => {
      const kernel = openLinuxKernel({ alternative: (func) => `tracepoint near ${func}` });
      using loaded = kernel.load(object([program("count", count, { type: ProgType.KPROBE })], [counts]));
      expect(() => kernel.attach(loaded.program("count"), spec)).toThrow(
        `${what}: this kernel was built without kprobes (CONFIG_KPROBES is not set); tracepoint near vfs_open`,
      );
    });
  },
);

describeWith(["linux", "root", "bpf", "uprobes", "clang"], "a probe with a semaphore", () => {
  guardLeaks();

  test("is counted by the kernel while attached", () => {
    const directory = mkdtempSync(join(tmpdir(), "skep-usdt-"));
    try {
      const source = `
        __attribute__((section(".probes"))) volatile unsigned short semaphore = 0;
        __attribute__((noinline)) void place(void) { __asm__ volatile("nop"); }
        int main(void) { place(); return semaphore; }`;
      const path = join(directory, "a");
      const made = spawnSync("clang", ["-x", "c", "-", "-o", path], { input: source, encoding: "utf8" });
      expect(made.stderr).toBe("");
      const kernel = openLinuxKernel();
      const elf = Elf.parse(readFileSync(path));
      const section = elf.sections.find(({ name }) => name === ".probes")!;
      const status = (): number | null => spawnSync(path).status;
      expect(status()).toBe(0);
      const spec: AttachSpec = {
        kind: "uprobe",
        path,
        fileOffset: offsetIn(path, "place"),
        isReturn: false,
        refCtrOffset: Number(section.offset),
      };
      const found = hits(kernel, { type: ProgType.KPROBE }, spec, () => void status());
      expect(found).toBe(1);
      using loaded = kernel.load(object([program("count", count, { type: ProgType.KPROBE })], [counts]));
      {
        using link = kernel.attach(loaded.program("count"), spec);
        void link;
        expect(status()).toBe(1);
      }
      expect(status()).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describeUnless(missing("linux", "root", "bpf", "kprobes"), "kprobes", () => {
  guardLeaks();
  const kernel = openLinuxKernel();

  test.each([
    ["entry", false],
    ["return", true],
  ])("%s of a function", (_, isReturn) => {
    const spec: AttachSpec = { kind: "kprobe", func: "do_sys_openat2", offset: 0, isReturn };
    expect(hits(kernel, { type: ProgType.KPROBE }, spec, openOften)).toBeGreaterThanOrEqual(50);
  });

  test.each([
    ["entry", false],
    ["return", true],
  ])("%s of a function on a kernel without the event source, through tracefs", (_, isReturn) => {
    const spec: AttachSpec = { kind: "kprobe", func: "do_sys_openat2", offset: 0, isReturn };
    withoutEventSource("kprobe", () => {
      expect(hits(kernel, { type: ProgType.KPROBE }, spec, openOften)).toBeGreaterThanOrEqual(50);
      using loaded = kernel.load(object([program("count", count, { type: ProgType.KPROBE })], [counts]));
      expect(() => kernel.attach(loaded.program("count"), { ...spec, func: "do_sys_opanat2" })).toThrow(
        "did you mean do_sys_openat2",
      );
    });
    expect(readFileSync("/sys/kernel/tracing/kprobe_events", "utf8")).not.toContain(`skep_${process.pid}/`);
  });

  describeUnless(
    missing("linux", "root", "bpf") ?? (probeFeature("kprobe_multi").available ? undefined : "needs FPROBE"),
    "many",
    () => {
      test("functions at once", () => {
        const spec: AttachSpec = { kind: "kprobe-multi", funcs: ["do_sys_openat2", "vfs_statx"], isReturn: false };
        const options = { type: ProgType.KPROBE, expectedAttachType: AttachType.TRACE_KPROBE_MULTI };
        expect(hits(kernel, options, spec, openOften)).toBeGreaterThanOrEqual(100);
      });
    },
  );

  test("a function that is not", () => {
    using loaded = kernel.load(object([program("count", count, { type: ProgType.KPROBE })], [counts]));
    const spec: AttachSpec = { kind: "kprobe", func: "do_sys_opanat2", offset: 0, isReturn: false };
    expect(() => kernel.attach(loaded.program("count"), spec)).toThrow("did you mean do_sys_openat2");
  });
});
