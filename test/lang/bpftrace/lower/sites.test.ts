/** Which programs a script becomes and where they are attached. */
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { helperById, ProgType } from "../../../../src/isa/index.ts";
import { syscallNumbers } from "../../../../src/lang/bpftrace/lower/index.ts";
import { describeWith, missing } from "../../../support/needs.ts";
import { lowered } from "./harness.ts";

const TYPE_NAMES = new Map(Object.entries(ProgType).map(([name, number]) => [number as number, name]));

/** One line a program: its type, its attachments, and how many probes of the script they serve. */
function plan(script: string, options: { pid?: number; version?: readonly [number, number] } = {}): string[] {
  const { module, plan: traced } = lowered(script, options);
  return module.funcs
    .filter((f) => f.program)
    .map((f) => {
      const probes = traced.probes.filter((p) => p.program === f.name);
      const runs = probes.map(({ run }) => {
        if (run.when !== "attached") return run.when;
        const { attach } = run;
        if (attach.kind === "perf-event") return `perf-event ${attach.period ?? `${attach.frequencyHz}hz`}`;
        return "name" in attach ? `${attach.kind} ${attach.name}` : attach.kind;
      });
      const names = probes.reduce((sum, p) => sum + p.names.length, 0);
      return `${TYPE_NAMES.get(f.program!.type)} ${runs.join(", ")} (${names})`;
    });
}

/** Names of the helpers that a script's programs call. */
function helpers(script: string, options: { pid?: number; version?: readonly [number, number] } = {}): string[] {
  const { module } = lowered(script, options);
  const insts = module.funcs.flatMap((f) => f.blocks.flatMap((block) => block.insts));
  return [...new Set(insts.filter((i) => i.op === "helper").map((i) => helperById(i.helper!)!.name))];
}

const COUNT = "{ @ = count(); }";
const ROWS: readonly (readonly [string, readonly string[]])[] = [
  ["BEGIN { print(1); } END { print(2); }", ["RAW_TRACEPOINT begin (1)", "RAW_TRACEPOINT end (1)"]],
  [`tracepoint:syscalls:sys_enter_openat ${COUNT}`, ["RAW_TRACEPOINT raw-tracepoint sys_enter (1)"]],
  [
    `tracepoint:syscalls:sys_enter_openat,tracepoint:syscalls:sys_exit_openat ${COUNT}`,
    ["RAW_TRACEPOINT raw-tracepoint sys_enter (1)", "RAW_TRACEPOINT raw-tracepoint sys_exit (1)"],
  ],
  ["tracepoint:syscalls:sys_enter_openat { @[kstack] = count(); }", ["TRACEPOINT tracepoint sys_enter_openat (1)"]],
  [`tracepoint:sched:sched_switch ${COUNT}`, ["RAW_TRACEPOINT raw-tracepoint sched_switch (1)"]],
  ["tracepoint:sched:sched_switch { @[args.next_pid] = count(); }", ["TRACEPOINT tracepoint sched_switch (1)"]],
  [
    `tracepoint:sched:sched_switch,tracepoint:sched:sched_wakeup ${COUNT}`,
    ["RAW_TRACEPOINT raw-tracepoint sched_switch, raw-tracepoint sched_wakeup (2)"],
  ],
  ["rawtracepoint:sched_switch { @[arg0] = count(); }", ["RAW_TRACEPOINT raw-tracepoint sched_switch (1)"]],
  ["rawtracepoint:sched_switch { @[args.next.pid] = count(); }", ["TRACING tracing (1)"]],
  [`profile:hz:99 ${COUNT}`, ["PERF_EVENT perf-event 99hz (1)"]],
  [`interval:ms:10 ${COUNT}`, ["PERF_EVENT perf-event 10000000 (1)"]],
  [`interval:hz:10 ${COUNT}`, ["PERF_EVENT perf-event 100000000 (1)"]],
  ["BEGIN { print(elapsed); }", ["RAW_TRACEPOINT begin (0)", "RAW_TRACEPOINT begin (1)"]],
];

describeWith(["linux", "root", "tracefs", "vmlinuxBtf"], "programs of a script", () => {
  test.each(ROWS)("%s", (script, expected) => {
    expect(plan(script)).toEqual(expected);
  });

  test("all system calls share one program a side", () => {
    const count = readdirSync("/sys/kernel/tracing/events/syscalls").filter((e) => e.startsWith("sys_enter_")).length;
    expect(plan("tracepoint:syscalls:sys_* { @[probe] = count(); }")).toEqual([
      `RAW_TRACEPOINT raw-tracepoint sys_enter (${count})`,
      `RAW_TRACEPOINT raw-tracepoint sys_exit (${count})`,
    ]);
  });

  test("a traced process filters tracepoints by pid, not timers", () => {
    expect(helpers(`tracepoint:syscalls:sys_enter_read ${COUNT}`, { pid: 1 })).toContain("bpf_get_current_pid_tgid");
    expect(helpers(`interval:s:1 ${COUNT}`, { pid: 1 })).not.toContain("bpf_get_current_pid_tgid");
  });

  test("older kernels read registers by address", () => {
    const script = "tracepoint:syscalls:sys_enter_openat { @[str(args.filename, 64)] = count(); }";
    expect(helpers(script, { version: [5, 10] })).toContain("bpf_probe_read_kernel");
    expect(helpers(script, { version: [5, 15] })).toContain("bpf_task_pt_regs");
  });

  test("what the kernel lacks is said with the place", () => {
    expect(() => lowered("BEGIN { @a[1] = 1; for ($kv : @a) { print($kv); } }", { version: [5, 10] })).toThrow(
      /bpf_for_each_map_elem: stdin:1:\d+: this needs Linux 5\.13, the kernel is 5\.10/,
    );
  });
});

describeWith(["linux", "tracefs"], "numbers of system calls", () => {
  test.skipIf(missing("root"))("every event of this kernel has one", () => {
    const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
    const events = readdirSync("/sys/kernel/tracing/events/syscalls").filter((e) => e.startsWith("sys_enter_"));
    const numbers = syscallNumbers(arch);
    expect(events.filter((e) => !numbers.has(e.slice("sys_enter_".length)))).toEqual([]);
  });
});
