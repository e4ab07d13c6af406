/** Programs of `skep/bcc` on the running kernel: attaching and detaching, symbols, traces, what the machine has, and what goes wrong. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  BPF,
  Debug,
  PerfSWConfig,
  PerfType,
  USDT,
  XDPFlags,
  compileBcc,
  getOnlineCpus,
  getPossibleCpus,
  syscallName,
  tcpFlagsText,
  tcpStateName,
} from "../../src/bcc/index.ts";
import { parseCflags } from "../../src/bcc/cflags.ts";
import { programOfName } from "../../src/bcc/compiled.ts";
import { formatFields, parseTraceLine } from "../../src/bcc/trace-pipe.ts";
import { AttachType } from "../../src/isa/index.ts";
import { kprobesMissing } from "../../src/kernel/linux/index.ts";
import { guardLeaks } from "../leaks.ts";
import { cgroupMissing, useCgroup } from "../support/cgroup.ts";
import { sendPackets, useNetworkNamespace } from "../support/netns.ts";
import { describeUnless, describeWith, missing } from "../support/needs.ts";

const needs = ["linux", "root", "bpf", "tracefs", "vmlinuxBtf"] as const;

function ask(count = 1): void {
  for (let i = 0; i < count; i++) getPriority(0);
}

const COUNT = `
BPF_ARRAY(counts, u64, 4);
static inline void seen(int index) {
  if (bpf_get_current_pid_tgid() >> 32 == OWN_PID) counts.atomic_increment(index);
}
`;
const own = [`-DOWN_PID=${process.pid}`];

describeWith(needs, "attaching", () => {
  guardLeaks();

  test("by the names of functions", () => {
    const text = `${COUNT}
      TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) { seen(0); return 0; }
      int tracepoint__syscalls__sys_exit_getpriority(void *ctx) { seen(1); return 0; }
      RAW_TRACEPOINT_PROBE(sys_enter) { if (ctx->args[1] == 140) seen(2); return 0; }
      int unattached(void *ctx) { seen(3); return 0; }`;
    using b = new BPF({ text, cflags: own });
    const counts = b.table<number, bigint>("counts");
    counts.clear();
    ask(3);
    const seen = process.arch === "x64" ? 3n : expect.any(BigInt);
    expect(counts.values()).toEqual([3n, 3n, seen, 0n]);
    expect(b.numOpenTracepoints()).toBe(2);
    expect(b.functionNames.length).toBe(4);
  });

  test("tracepoints by name and by pattern, and taking them off", () => {
    const text = `${COUNT} int on_any(void *ctx) { seen(0); return 0; } int on_one(void *ctx) { seen(1); return 0; }`;
    using b = new BPF({ text, cflags: own });
    const counts = b.table<number, bigint>("counts");
    b.attachTracepoint({ tpRe: "syscalls:sys_(enter|exit)_getpriority$", fnName: "on_any" });
    b.attachTracepoint({ tp: "syscalls:sys_enter_getpriority", fnName: "on_one" });
    expect(b.numOpenTracepoints()).toBe(2);
    ask(2);
    expect(counts.values().slice(0, 2)).toEqual([4n, 2n]);
    b.detachTracepoint({ tp: "syscalls:sys_enter_getpriority", fnName: "on_any" });
    b.detachTracepoint({ tp: "syscalls:sys_exit_getpriority" });
    counts.clear();
    ask(2);
    expect(counts.values().slice(0, 2)).toEqual([0n, 2n]);
    expect(() => b.detachTracepoint({ tp: "syscalls:sys_enter_getprioritx" })).toThrow(
      "tracepoint syscalls:sys_enter_getprioritx: is not attached (did you mean syscalls:sys_enter_getpriority?)",
    );
    expect(() => b.attachTracepoint({ tp: "sched_switch", fnName: "on_one" })).toThrow(
      "a category and a name are wanted",
    );
    expect(() => b.attachTracepoint({ tp: "sched:sched_swich", fnName: "on_one" })).toThrow(
      "did you mean sched:sched_switch",
    );
    expect(() => b.attachTracepoint({ tpRe: "nothing:.*", fnName: "on_one" })).toThrow(
      "nothing of this machine matches",
    );
    expect(() => b.attachTracepoint({ tp: "sched:sched_switch", fnName: "on_on" })).toThrow(
      "function on_on: the program has none of that name (did you mean on_one",
    );
  });

  test("raw tracepoints", () => {
    using b = new BPF({
      text: `${COUNT} int on_enter(struct bpf_raw_tracepoint_args *ctx) { seen(0); return 0; }`,
      cflags: own,
    });
    b.attachRawTracepoint({ tp: "sys_enter", fnName: "on_enter" });
    expect(() => b.attachRawTracepoint({ tp: "sys_enter", fnName: "on_enter" })).toThrow("is attached already");
    ask();
    expect(b.table<number, bigint>("counts").get(0)).toBeGreaterThan(0n);
    b.detachRawTracepoint({ tp: "sys_enter" });
    expect(() => b.detachRawTracepoint({ tp: "sys_enter" })).toThrow("nothing of its kind is attached");
  });

  test("samples", () => {
    using b = new BPF({
      text: `${COUNT} int on_sample(struct bpf_perf_event_data *ctx) { seen(0); return 0; }`,
      cflags: own,
    });
    const counts = b.table<number, bigint>("counts");
    const event = { evType: PerfType.SOFTWARE, evConfig: PerfSWConfig.CPU_CLOCK };
    b.attachPerfEvent({ ...event, fnName: "on_sample", sampleFreq: 997 });
    for (const end = performance.now() + 200; performance.now() < end;);
    expect(counts.get(0)).toBeGreaterThan(5n);
    b.detachPerfEvent(event);
    b.attachPerfEvent({ ...event, fnName: "on_sample", samplePeriod: 1_000_000, cpu: 0 });
    b.detachPerfEvent(event);
    expect(() => b.attachPerfEvent({ ...event, fnName: "on_sample" })).toThrow("either samplePeriod or sampleFreq");
  });

  test("functions of libraries, by name, pattern and address", () => {
    const text = `${COUNT}
      int on_entry(struct pt_regs *ctx) { seen(0); return 0; }
      int on_return(struct pt_regs *ctx) { seen(1); return 0; }`;
    using b = new BPF({ text, cflags: own });
    const counts = b.table<number, bigint>("counts");
    b.attachUprobe({ name: "c", sym: "getpriority", fnName: "on_entry" });
    b.attachUretprobe({ name: "c", sym: "getpriority", fnName: "on_return", pid: process.pid });
    expect(b.numOpenUprobes()).toBe(2);
    ask(3);
    expect(counts.values().slice(0, 2)).toEqual([3n, 3n]);
    b.detachUprobe({ name: "c", sym: "getpriority" });
    b.detachUretprobe({ name: "c", sym: "getpriority", pid: process.pid });
    const [[, addr]] = BPF.getUserFunctionsAndAddresses("c", "getpriority$") as [[string, bigint]];
    b.attachUprobe({ name: "c", addr, fnName: "on_entry" });
    counts.clear();
    ask();
    expect(counts.get(0)).toBe(1n);
    b.detachUprobe({ name: "c", addr });
    b.attachUprobe({ name: "c", symRe: "(get|set)priority$", fnName: "on_entry" });
    expect(b.numOpenUprobes()).toBe(2);
    expect(() => b.attachUprobe({ name: "c", sym: "getpriorty", fnName: "on_entry" })).toThrow("getpriority");
    expect(() => b.attachUprobe({ name: "no_such_thing", sym: "x", fnName: "on_entry" })).toThrow(
      "there is no library libno_such_thing and no program no_such_thing",
    );
    expect(() => b.attachUprobe({ name: "c", fnName: "on_entry" })).toThrow("sym, symRe or addr must be given");
    expect(() => b.attachUprobe({ name: "c", addr: 1, fnName: "on_entry" })).toThrow("has no code at that address");
  });

  test("kprobes say what this kernel lacks", () => {
    using b = new BPF({ text: "int on_call(void *ctx) { return 0; }" });
    const lacks = kprobesMissing();
    if (lacks === undefined) {
      expect(() => b.attachKprobe({ event: "no_such_function_x", fnName: "on_call" })).toThrow("no such function");
      return;
    }
    expect(() => b.attachKprobe({ event: "sys_clone", fnName: "on_call" })).toThrow(lacks);
    expect(() => b.attachKretprobe({ event: "vfs_read", fnName: "on_call" })).toThrow(lacks);
    expect(() => b.attachKprobe({ eventRe: "vfs_.*", fnName: "on_call" })).toThrow(lacks);
    expect(() => b.attachKprobe({ fnName: "on_call" })).toThrow("event or eventRe must be given");
    expect(() => b.detachKprobe({ event: "vfs_read" })).toThrow("kprobe vfs_read: is not attached");
    expect(b.numOpenKprobes()).toBe(0);
  });

  test("nothing is left when a program that cannot be attached is made", () => {
    const text = `TRACEPOINT_PROBE(sched, sched_switch) { return 0; } int tracepoint__sched__no_such(void *ctx) { return 0; }`;
    expect(() => new BPF({ text })).toThrow("sched:no_such");
  });

  test("everything comes off at once", async () => {
    const text = `${COUNT} int on_any(void *ctx) { seen(0); return 0; }`;
    const b = new BPF({ text, cflags: own });
    b.attachTracepoint({ tpRe: "syscalls:sys_enter_(get|set)(pid|uid|gid|priority)$", fnName: "on_any" });
    const started = performance.now();
    await b.end();
    await b.end();
    expect(performance.now() - started).toBeLessThan(5000);
    expect(() => b.loadFunc("on_any", BPF.TRACEPOINT)).toThrow("used after its program was closed");
  });

  test("one function, one type", () => {
    using b = new BPF({ text: "int fn(void *ctx) { return 0; }" });
    const fn = b.loadFunc("fn", BPF.TRACEPOINT);
    expect(b.loadFunc("fn", BPF.TRACEPOINT)).toBe(fn);
    expect([fn.name, fn.type, fn.fd > 2]).toEqual(["fn", BPF.TRACEPOINT, true]);
    expect(() => b.loadFunc("fn", BPF.XDP)).toThrow("function fn: was loaded as TRACEPOINT, and cannot be XDP too");
  });

  test("all functions as one type", () => {
    using b = new BPF({ text: "int one(void *ctx) { return 0; } int two(void *ctx) { return 1; }" });
    expect(b.loadFuncs(BPF.SOCKET_FILTER).map(({ name }) => name)).toEqual(["one", "two"]);
  });
});

describeWith([...needs, "iproute2"], "packets", () => {
  guardLeaks();
  useNetworkNamespace();

  const text = `
    BPF_ARRAY(counts, u64, 2);
    int on_xdp(struct xdp_md *ctx) { counts.atomic_increment(0); return XDP_PASS; }
    int on_packet(struct __sk_buff *skb) { counts.atomic_increment(1); return 64; }`;

  test("XDP", () => {
    using b = new BPF({ text });
    const fn = b.loadFunc("on_xdp", BPF.XDP);
    b.attachXdp("v1", fn, XDPFlags.SKB_MODE);
    sendPackets(3);
    expect(b.table<number, bigint>("counts").get(0)).toBeGreaterThanOrEqual(3n);
    expect(() => b.attachXdp("v1", fn)).toThrow("a device takes one");
    b.attachXdp("v1", fn, XDPFlags.SKB_MODE | XDPFlags.REPLACE);
    b.removeXdp("v1");
    expect(() => b.removeXdp("v1")).toThrow("xdp v1: is not attached");
  });

  test("raw sockets", () => {
    using b = new BPF({ text });
    const fn = b.loadFunc("on_packet", BPF.SOCKET_FILTER);
    b.attachRawSocket(fn, "v1");
    sendPackets(2);
    expect(b.table<number, bigint>("counts").get(1)).toBeGreaterThanOrEqual(2n);
    expect(fn.sock).toBeGreaterThan(2);
    expect(() => b.attachRawSocket(fn, "v7")).toThrow("no network interface v7");
    const xdp = b.loadFunc("on_xdp", BPF.XDP);
    expect(() => b.attachRawSocket(xdp, "v1")).toThrow(
      "function on_xdp: was loaded as XDP, and SOCKET_FILTER is wanted",
    );
  });
});

describeUnless(missing(...needs) ?? cgroupMissing(), "cgroups", () => {
  guardLeaks();
  const cgroup = useCgroup();

  test("functions of cgroups", () => {
    using b = new BPF({ text: "int on_skb(struct __sk_buff *skb) { return 1; }" });
    const fn = b.loadFunc("on_skb", BPF.CGROUP_SKB, AttachType.CGROUP_INET_INGRESS);
    b.attachFunc(fn, cgroup, AttachType.CGROUP_INET_INGRESS, 2);
    b.detachFunc(fn, cgroup, AttachType.CGROUP_INET_INGRESS);
    expect(() => b.detachFunc(fn, cgroup, AttachType.CGROUP_INET_INGRESS)).toThrow("is not attached");
    expect(() => b.attachFunc(fn, 9999, AttachType.CGROUP_INET_INGRESS)).toThrow("9999 is no open descriptor");
    expect(() => b.attachFunc(fn, cgroup, AttachType.XDP)).toThrow("there is no place of this kind");
  });
});

describeWith(needs, "traces", () => {
  guardLeaks();

  test("lines, in parts and in a format", async () => {
    const text = `TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
      if (bpf_get_current_pid_tgid() >> 32 == OWN_PID) bpf_trace_printk("marker %d\\n", args->who);
      return 0;
    }`;
    const printed: string[] = [];
    using b = new BPF({ text, cflags: own, print: (line) => void printed.push(line) });
    expect(await b.traceFields({ nonblocking: true })).toSatisfy(
      (fields) => fields === undefined || fields.length === 6,
    );
    // Whoever else reads the pipe takes lines away: again until one is ours.
    const again = setInterval(() => ask(), 20);
    for await (const [task, pid, cpu, flags, ts, msg] of b.trace()) {
      if (msg !== "marker 0") continue;
      expect([task.length > 0, pid > 0, cpu >= 0, flags.length >= 4, ts > 0]).toEqual([true, true, true, true, true]);
      break;
    }
    const printing = b.tracePrint("{5} of {1}");
    while (!printed.some((line) => /^marker 0 of \d+$/.test(line)))
      await new Promise((resolve) => setTimeout(resolve, 10));
    clearInterval(again);
    b.close();
    await printing;
  });

  test("lines of the kernel's form", () => {
    expect(parseTraceLine("            bash-1234    [001] d..31 12345.678901: bpf_trace_printk: hello: world")).toEqual(
      ["bash", 1234, 1, "d..31", 12345.678901, "hello: world"],
    );
    expect(parseTraceLine(" a name-with-dsh-1 (    1) [010] .... 1.5: 0x1: x")).toEqual([
      "a name-with-dsh",
      1,
      10,
      "....",
      1.5,
      "x",
    ]);
    expect(parseTraceLine("CPU:1 [LOST 3 EVENTS]")).toBeUndefined();
    expect(parseTraceLine("")).toBeUndefined();
    expect(formatFields("pid {1}, {{{5}}} {}", ["a", 2, 0, "f", 1, "m"])).toBe("pid 2, {m} a");
    expect(() => formatFields("{6}", ["a"])).toThrow("{6}: a line has fields 0 to 0");
  });
});

describeWith(needs, "what the machine has", () => {
  test("symbols", () => {
    const address = BPF.ksymname("bpf_prog_load");
    expect(address).toBeGreaterThan(0n);
    expect(BPF.ksym(address)).toBe("bpf_prog_load");
    expect(BPF.ksym(address + 16n, { showModule: true, showOffset: true })).toBe("bpf_prog_load+0x10 [kernel]");
    expect(BPF.sym(address, -1)).toBe("bpf_prog_load");
    expect(BPF.ksym(1)).toBe("[unknown]");
    expect(BPF.ksymname("no_such_symbol_at_all")).toBe(-1n);
    expect(BPF.sym(1n, process.pid, { showModule: true, showOffset: true })).toBe("[unknown]");
  });

  test("types", () => {
    expect(BPF.kernelStructHasField("task_struct", "pid")).toBe(true);
    expect(BPF.kernelStructHasField("task_struct", "no_such_member")).toBe(false);
    expect(BPF.kernelStructHasField("no_such_struct", "pid")).toBe(false);
    expect(BPF.kernelEnumHasVal("bpf_attach_type", "BPF_MODIFY_RETURN")).toBe(true);
    expect(BPF.kernelEnumHasVal("bpf_attach_type", "BPF_NO_SUCH")).toBe(false);
  });

  test("tracepoints", () => {
    expect(BPF.tracepointExists("sched", "sched_switch")).toBe(true);
    expect(BPF.tracepointExists("sched", "sched_swap")).toBe(false);
    expect(BPF.tracepointExists("..", "sched")).toBe(false);
    expect(BPF.getTracepoints("sched:sched_process_e(xec|xit)$").toSorted()).toEqual([
      "sched:sched_process_exec",
      "sched:sched_process_exit",
    ]);
  });

  test("system calls", () => {
    const prefix = process.arch === "arm64" ? "__arm64_sys_" : "__x64_sys_";
    expect(BPF.getSyscallPrefix()).toBe(prefix);
    expect(BPF.getSyscallFnname("clone")).toBe(`${prefix}clone`);
    expect(BPF.fixSyscallFnname("sys_clone")).toBe(`${prefix}clone`);
    expect(BPF.fixSyscallFnname("vfs_read")).toBe("vfs_read");
  });

  test("support", () => {
    expect(BPF.supportRawTracepoint()).toBe(true);
    for (const answer of [BPF.supportKfunc(), BPF.supportLsm(), BPF.supportFmodRet()])
      expect(typeof answer).toBe("boolean");
    expect(BPF.getProbeLimit()).toBe(1000);
    expect(BPF.monotonicTime()).toBeGreaterThan(0n);
  });

  test("binaries", () => {
    expect(BPF.findLibrary("c")).toMatch(/libc\.so/);
    expect(BPF.findLibrary("no_such_library")).toBeUndefined();
    expect(BPF.findExe("bash")).toMatch(/\/bash$/);
    expect(BPF.getUserFunctions("c", "getpriority$").has("getpriority")).toBe(true);
    expect(() => BPF.getUserFunctions("/etc/hostname", ".*")).toThrow("is no ELF file");
  });
});

describeWith([...needs, "gcc", "sdt"], "static probes", () => {
  guardLeaks();
  let directory: string;
  let path: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "skep-bcc-usdt-"));
    path = join(directory, "probed");
    writeFileSync(
      `${path}.c`,
      `#include <sys/sdt.h>
       #include <unistd.h>
       #include <stdio.h>
       __attribute__((noinline)) static void pass(int i, long long wide, const char *text) {
         DTRACE_PROBE3(shop, sold, i, wide, text);
       }
       int main(void) {
         puts("ready"); fflush(stdout);
         char byte; read(0, &byte, 1);
         for (int i = 1; i <= 5; i++) pass(i * 10, 1ll << 40, "a text");
         DTRACE_PROBE(shop, closed);
         return 0;
       }`,
    );
    execFileSync("gcc", ["-O2", "-o", path, `${path}.c`]);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const text = `
    struct sale_t { int count; long long wide; char text[16]; };
    BPF_RINGBUF_OUTPUT(sales, 4);
    BPF_ARRAY(closed, u64, 1);
    int on_sold(struct pt_regs *ctx) {
      struct sale_t sale = {};
      u64 address = 0;
      bpf_usdt_readarg(1, ctx, &sale.count);
      bpf_usdt_readarg(2, ctx, &sale.wide);
      bpf_usdt_readarg(3, ctx, &address);
      bpf_probe_read_user_str(&sale.text, sizeof(sale.text), (void *)address);
      sales.ringbuf_output(&sale, sizeof(sale), 0);
      return 0;
    }
    int on_closed(struct pt_regs *ctx) { closed.atomic_increment(0); return 0; }`;

  const expected = [10, 20, 30, 40, 50].map((count) => ({ count, wide: 1n << 40n, text: "a text" }));

  function salesOf(b: BPF): unknown[] {
    const sales = b.table("sales");
    const seen: unknown[] = [];
    sales.openRingBuffer((_, data) => void seen.push(sales.event(data)));
    b.ringBufferConsume();
    sales.closeBuffer();
    return seen;
  }

  test("of a binary, with arguments", () => {
    const usdt = new USDT({ path });
    usdt.enableProbe("sold", "on_sold");
    usdt.enableProbe("shop:closed", "on_closed");
    using b = new BPF({ text, usdtContexts: [usdt] });
    spawnSync(path, { input: "x" });
    expect(salesOf(b)).toEqual(expected);
    expect(b.table<number, bigint>("closed").get(0)).toBe(1n);
  });

  test("of a process", async () => {
    const child = spawn(path, { stdio: ["pipe", "pipe", "ignore"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const usdt = new USDT({ pid: child.pid! });
    usdt.enableProbe("sold", "on_sold");
    using b = new BPF({ text, usdtContexts: [usdt] });
    // Another process is not seen.
    spawnSync(path, { input: "x" });
    expect(salesOf(b)).toEqual([]);
    child.stdin.end("x");
    await new Promise((resolve) => child.once("close", resolve));
    expect(salesOf(b)).toEqual(expected);
  });

  test("are listed", () => {
    const usdt = new USDT({ path });
    expect(usdt.enumerateProbes().map(String)).toEqual(["shop:sold [sema 0x0]", "shop:closed [sema 0x0]"]);
    const [sold] = usdt.enumerateProbes();
    expect([sold!.numLocations, sold!.numArguments, sold!.shortName()]).toEqual([1, 3, "shop:sold"]);
    expect(String(sold!.getLocation(0))).toMatch(/probed 0x[0-9a-f]+$/);
    expect(String(sold!.getLocation(0).getArgument(0))).toMatch(/^4 signed {3}bytes @ \w+/);
    expect(() => sold!.getLocation(1)).toThrow(RangeError);
    expect(() => sold!.getLocation(0).getArgument(3)).toThrow(RangeError);
    expect(usdt.getProbeArgCtype("sold", 1)).toBe("int32_t");
  });

  test("readers of arguments as C", () => {
    const usdt = new USDT({ path });
    usdt.enableProbe("sold", "on_sold");
    expect(usdt.getText()).toMatch(
      /^static __always_inline int _bpf_readarg_on_sold_1\(struct pt_regs \*ctx, void \*dest, size_t len\) \{\n {2}if \(len != sizeof\(int32_t\)\) return -1;\n/,
    );
    // They are C that compiles.
    expect(() =>
      compileBcc({
        name: "text",
        text: `${usdt.getText()}\nint fn(struct pt_regs *ctx) { int v = 0; _bpf_readarg_on_sold_1(ctx, &v, sizeof(v)); return v; }`,
      }),
    ).not.toThrow();
  });

  test("what goes wrong", () => {
    expect(() => new USDT({})).toThrow("either a pid or the path of a binary must be given");
    expect(() => new USDT({ path: "/no/such/file" })).toThrow("there is no such binary");
    expect(() => new USDT({ path: "/bin/true" })).toThrow("there are none");
    const usdt = new USDT({ path });
    expect(() => usdt.enableProbe("sol", "on_sold")).toThrow("did you mean sold");
    usdt.enableProbe("sold", "on_sold");
    expect(() => usdt.enableProbe("sold", "on_sold")).toThrow("is enabled already");
    expect(() => new BPF({ text: "int other(void *ctx) { return 0; }", usdtContexts: [usdt] })).toThrow(
      "function on_sold: the program has none of that name",
    );
  });
});

describeWith([...needs, "gcc", "sdt"], "static probes of several places", () => {
  guardLeaks();
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "skep-bcc-places-"));
    writeFileSync(
      join(directory, "places.c"),
      `#define _SDT_HAS_SEMAPHORES 1
       #include <sys/sdt.h>
       #include <unistd.h>
       #include <stdio.h>
       unsigned short shop_sold_semaphore __attribute__((section(".probes")));
       __attribute__((noinline)) static void one(long *at) { DTRACE_PROBE1(shop, sold, at[3]); }
       __attribute__((noinline)) static void two(long value) { DTRACE_PROBE1(shop, sold, value); }
       int main(void) {
         long many[4] = { 0, 0, 0, 33 };
         puts("ready"); fflush(stdout);
         char byte; read(0, &byte, 1);
         if (shop_sold_semaphore) { one(many); two(44); DTRACE_PROBE1(shop, sold, 55); }
         return 0;
       }`,
    );
    for (const [name, flag] of [
      ["pie", "-pie"],
      ["fixed", "-no-pie"],
    ] as const)
      execFileSync(
        "gcc",
        ["-O2", flag, "-fPIE", "-o", name, "places.c"].filter((one) => flag === "-pie" || one !== "-fPIE"),
        {
          cwd: directory,
        },
      );
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const text = `
    BPF_HASH(sold, long, u64);
    int on_sold(struct pt_regs *ctx) {
      long value = 0;
      bpf_usdt_readarg(1, ctx, &value);
      sold.increment(value);
      return 0;
    }`;
  const all = [
    [33n, 1n],
    [44n, 1n],
    [55n, 1n],
  ];

  test("of a program at a fixed address", () => {
    const usdt = new USDT({ path: join(directory, "fixed") });
    usdt.enableProbe("sold", "on_sold");
    expect(usdt.enumerateProbes()[0]!.numLocations).toBe(3);
    using b = new BPF({ text, usdtContexts: [usdt] });
    spawnSync(join(directory, "fixed"), { input: "x" });
    expect(b.table("sold").items().toSorted()).toEqual(all);
  });

  test("of a process of a program that may be anywhere", async () => {
    const child = spawn(join(directory, "pie"), { stdio: ["pipe", "pipe", "ignore"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const usdt = new USDT({ pid: child.pid!, path: join(directory, "pie") });
    usdt.enableProbe("sold", "on_sold");
    using b = new BPF({ text, usdtContexts: [usdt] });
    child.stdin.end("x");
    await new Promise((resolve) => child.once("close", resolve));
    expect(b.table("sold").items().toSorted()).toEqual(all);
  });

  test("of such a program in any process", () => {
    const usdt = new USDT({ path: join(directory, "pie") });
    usdt.enableProbe("sold", "on_sold");
    expect(() => new BPF({ text, usdtContexts: [usdt] })).toThrow("give a pid");
  });
});

describeWith(needs, "programs", () => {
  guardLeaks();

  test("shown while they are made", () => {
    const said: string[] = [];
    const write = vi.spyOn(process.stderr, "write").mockImplementation((piece) => said.push(String(piece)) > 0);
    try {
      const debug = Debug.PREPROCESSOR | Debug.IR | Debug.SOURCE | Debug.BPF;
      using b = new BPF({ text: "#define SEVEN 7\nint fn(void *ctx) { return SEVEN; }", debug });
      b.loadFunc("fn", BPF.SOCKET_FILTER);
    } finally {
      write.mockRestore();
    }
    const all = said.join("");
    for (const part of [/int fn\(void \*ctx\) *\{ *return 7; *\}/, /@fn\(/, /r0 = 7/, /processed 2 insns/])
      expect(all).toMatch(part);
  });

  test("as instructions", () => {
    using b = new BPF({ text: "int fn(void *ctx) { return 7; }" });
    expect(b.disassembleFunc("fn")).toMatch(
      /^Disassemble of BPF program fn:\n {3}0: \(b[47]\) [rw]0 = 7\n {3}1: \(95\) exit$/,
    );
    expect(b.dumpFunc("fn").length).toBe(16);
    expect(() => b.dumpFunc("fm")).toThrow("did you mean fn");
  });

  test("compiled before", () => {
    const compiled = compileBcc({ name: "text", text: "BPF_HASH(counts, u32, u64); int fn(void *ctx) { return 0; }" });
    const data = structuredClone({ object: compiled.object, bcc: compiled.bcc! });
    using b = new BPF({ compiled: data });
    b.table<number, bigint>("counts").set(1, 2n);
    expect(b.table<number, bigint>("counts").items()).toEqual([[1, 2n]]);
  });

  test("from files, with a header and flags", () => {
    const directory = mkdtempSync(join(tmpdir(), "skep-bcc-files-"));
    try {
      writeFileSync(join(directory, "own.h"), "#define ANSWER 42\n");
      writeFileSync(join(directory, "first.h"), "#define FIRST 1\n");
      writeFileSync(
        join(directory, "prog.c"),
        `#include "own.h"\nint fn(void *ctx) { return ANSWER + FIRST + MORE; }\n`,
      );
      using b = new BPF({
        srcFile: join(directory, "prog.c"),
        hdrFile: join(directory, "first.h"),
        cflags: ["-DMORE=7", "-Wno-everything", "-I", directory],
      });
      expect(b.loadFunc("fn", BPF.SOCKET_FILTER).program.testRun(new Uint8Array(64))).toBe(50);
    } finally {
      rmSync(directory, { recursive: true });
    }
    expect(() => new BPF({ srcFile: "no-such-file.c" })).toThrow("source no-such-file.c: there is no such file");
  });

  test("what goes wrong", () => {
    expect(() => new BPF({})).toThrow("one of text, srcFile and compiled must be given");
    expect(() => new BPF({ text: "", srcFile: "x.c" })).toThrow("only one of");
    expect(() => new BPF("int fn(void *ctx) { return nothing; }")).toThrow(/text:1:\d+: error: .*nothing/);
    expect(() => new BPF({ text: "", cflags: ["--unknown"] })).toThrow("cflags: --unknown is not known");
    expect(() => new BPF({ text: "", cflags: ["-D"] })).toThrow("cflags: -D wants a value");
    using b = new BPF("int fn(struct __sk_buff *skb) { for (;;) {} return 0; }");
    expect(() => b.loadFunc("fn", BPF.SOCKET_FILTER)).toThrow();
  });
});

describe("names", () => {
  test("of system calls", () => {
    expect([syscallName(process.arch === "arm64" ? 64 : 1), syscallName(9999)]).toEqual(["write", "[unknown: 9999]"]);
    if (process.arch === "x64") expect([syscallName(5), syscallName(59)]).toEqual(["fstat", "execve"]);
  });

  test("of TCP", () => {
    expect([tcpStateName(1), tcpStateName(12), tcpStateName(0), tcpStateName(13)]).toEqual([
      "ESTABLISHED",
      "NEW_SYN_RECV",
      "0",
      "13",
    ]);
    expect([tcpFlagsText(0x12), tcpFlagsText(0), tcpFlagsText(0xff)]).toEqual([
      "SYN|ACK",
      "",
      "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR",
    ]);
  });

  test("of CPUs", () => {
    expect(getPossibleCpus()).toEqual(expect.arrayContaining(getOnlineCpus()));
  });
});

describe("flags", () => {
  test("of the compiler's command line", () => {
    expect(
      parseCflags([
        "-DA",
        "-D",
        "B=2",
        "-UC",
        "-Iinc",
        "-isystem",
        "sys",
        "-include",
        "x.h",
        "-Wall",
        "-O2",
        "-w",
        "-std=gnu11",
      ]),
    ).toEqual({
      macros: [{ define: "A" }, { define: "B=2" }, { undefine: "C" }],
      include: ["x.h"],
      directories: ["inc"],
      systemDirectories: ["sys"],
    });
  });
});

describe("names of functions", () => {
  test.each([
    ["kprobe__vfs_read", "kprobe", "vfs_read", true],
    ["kretprobe____x64_sys_clone", "kretprobe", "__x64_sys_clone", true],
    ["tracepoint__sched__sched_switch", "tracepoint", "sched:sched_switch", true],
    ["raw_tracepoint__sys_enter", "raw_tracepoint", "sys_enter", true],
    ["kfunc__vmlinux__vfs_read", "kfunc", "vfs_read", true],
    ["kmod_ret__vmlinux__security_file_open", "kmod_ret", "security_file_open", false],
    ["lsm__bpf", "lsm", "bpf", true],
    ["syscall__execve", "syscall", "execve", false],
    ["on_anything", "any", "", false],
  ])("%s", (name, kind, target, autoAttach) => {
    expect(programOfName(name)).toMatchObject({ kind, target, autoAttach });
  });

  test("of modules", () => {
    expect(programOfName("kfunc__nf_conntrack__nf_ct_get")).toMatchObject({
      module: "nf_conntrack",
      target: "nf_ct_get",
    });
  });
});
