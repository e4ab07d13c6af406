// Wall time and peak memory from exec to exit: an empty script, one tracepoint, and every syscall's tracepoint.
import { SIDES, median, needPeer, table, timed } from "./lib.mjs";

const CASES = [
  ["BEGIN { exit() }", "BEGIN { exit(); }"],
  ["one tracepoint, count by comm", "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); } BEGIN { exit(); }"],
  ["sys_enter_*, count by comm", "tracepoint:syscalls:sys_enter_* { @[comm] = count(); } BEGIN { exit(); }"],
];

export async function run(args) {
  needPeer();
  const rounds = Number(args[0] ?? 5);
  const rows = [];
  for (const [name, script] of CASES) {
    const results = { skep: [], bpftrace: [] };
    for (let i = 0; i < rounds; i++) {
      for (const side of ["skep", "bpftrace"])
        results[side].push(timed(SIDES[side], script, { BPFTRACE_MAX_PROBES: "2000" }));
    }
    const of = (side, key) => median(results[side].map((r) => r[key]));
    rows.push({
      case: name,
      "skep s": of("skep", "wall").toFixed(3),
      "bpftrace s": of("bpftrace", "wall").toFixed(3),
      "time ratio": (of("skep", "wall") / of("bpftrace", "wall")).toFixed(2),
      "skep MiB": of("skep", "rssMib").toFixed(0),
      "bpftrace MiB": of("bpftrace", "rssMib").toFixed(0),
      "memory ratio": (of("skep", "rssMib") / of("bpftrace", "rssMib")).toFixed(2),
    });
  }
  console.log(`medians of ${rounds}, the two sides in turn`);
  table(rows);
}
