// Instructions of the generated programs, and the kernel's own time in them for the same workload, ten typical scripts.
import { readFileSync, writeFileSync } from "node:fs";
import { SIDES, median, need, needPeer, programs, start, table, workload } from "./lib.mjs";

const CALLS = 200_000;
const getppid = ["perl", ["-e", `syscall(110) for 1..${CALLS}`]];
const reads = ["dd", ["if=/dev/zero", "of=/dev/null", "bs=64", `count=${CALLS}`]];
const opens = ["perl", ["-e", `for (1..${CALLS / 10}) { open(F, "<", "/etc/hostname"); close F }`]];

// [name, script, workload, events that the workload causes]
const CASES = [
  ["@ = count()", "tracepoint:syscalls:sys_enter_getppid { @ = count(); }", getppid, CALLS],
  ["@++", "tracepoint:syscalls:sys_enter_getppid { @++; }", getppid, CALLS],
  ["@[comm] = count()", "tracepoint:syscalls:sys_enter_getppid { @[comm] = count(); }", getppid, CALLS],
  ["@[pid] = count()", "tracepoint:syscalls:sys_enter_getppid { @[pid] = count(); }", getppid, CALLS],
  ["@ = hist(ret)", "tracepoint:syscalls:sys_exit_read { @ = hist(args->ret); }", reads, CALLS],
  ["@ = lhist(ret)", "tracepoint:syscalls:sys_exit_read { @ = lhist(args->ret, 0, 1000, 100); }", reads, CALLS],
  ["comm filter, count", 'tracepoint:syscalls:sys_enter_getppid /comm == "perl"/ { @ = count(); }', getppid, CALLS],
  [
    "read latency",
    "tracepoint:syscalls:sys_enter_read { @s[tid] = nsecs; } tracepoint:syscalls:sys_exit_read /@s[tid]/ { @ns = hist(nsecs - @s[tid]); delete(@s[tid]); }",
    reads,
    CALLS,
  ],
  ["stats by pid", "tracepoint:syscalls:sys_exit_read { @[pid] = stats(args->ret); }", reads, CALLS],
  [
    "printf open",
    'tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args->filename)); }',
    opens,
    CALLS / 10,
  ],
];

const STATS = "/proc/sys/kernel/bpf_stats_enabled";

async function measure(side, script, [command, args], events) {
  const before = new Set(programs().keys());
  const tool = await start(SIDES[side], script);
  const mine = () => [...programs().values()].filter((p) => !before.has(p.id) && p.name !== "BEGIN");
  const first = mine();
  await workload(command, args);
  const last = mine();
  await tool.stop();
  const time = (list) => list.reduce((sum, p) => sum + (p.run_time_ns ?? 0), 0);
  return {
    insns: last.reduce((sum, p) => sum + p.bytes_xlated / 8, 0),
    jited: last.reduce((sum, p) => sum + p.bytes_jited, 0),
    nsPerEvent: (time(last) - time(first)) / events,
  };
}

export async function run(args) {
  needPeer();
  const rounds = Number(args[0] ?? 5);
  const only = args[1];
  const was = readFileSync(STATS, "utf8").trim();
  need(was === "0" || was === "1", STATS);
  writeFileSync(STATS, "1");
  const rows = [];
  try {
    for (const [name, script, load, events] of CASES) {
      if (only && !name.includes(only)) continue;
      const results = { skep: [], bpftrace: [] };
      for (let i = 0; i < rounds; i++) {
        for (const side of ["skep", "bpftrace"]) results[side].push(await measure(side, script, load, events));
      }
      const of = (side, key) => median(results[side].map((r) => r[key]));
      rows.push({
        script: name,
        "skep insns": of("skep", "insns"),
        "bpftrace insns": of("bpftrace", "insns"),
        "insn ratio": (of("skep", "insns") / of("bpftrace", "insns")).toFixed(2),
        "skep ns": of("skep", "nsPerEvent").toFixed(0),
        "bpftrace ns": of("bpftrace", "nsPerEvent").toFixed(0),
        "ns ratio": (of("skep", "nsPerEvent") / of("bpftrace", "nsPerEvent")).toFixed(2),
      });
    }
  } finally {
    writeFileSync(STATS, was);
  }
  console.log(
    `medians of ${rounds}, the two sides in turn; insns after the kernel's rewriting; ns: time in the tool's programs for each event of the workload`,
  );
  table(rows);
}
