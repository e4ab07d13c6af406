// One printf per event: the highest steady rate that each side takes without losing an event, and what is lost at full speed,
// with event buffers of the same size in all.
import { cpus } from "node:os";
import { SIDES, median, needPeer, start, table, workload } from "./lib.mjs";

const SCRIPT =
  'tracepoint:syscalls:sys_enter_getppid /comm == "skepload"/ { printf("%s %d %d\\n", comm, pid, nsecs); }';
const PAGES_PER_CPU = 64;

/** A perl program named skepload that makes `rate` getppid calls a second (0: as fast as it can) for `seconds`. */
function load(rate, seconds) {
  const total = rate * seconds;
  const paced = `
    use Time::HiRes qw(time);
    $0 = "skepload"; open(my $f, ">", "/proc/self/comm"); print $f "skepload"; close $f;
    my ($t, $n) = (time, 0);
    while ($n < ${total}) {
      my $due = int((time - $t) * ${rate}); $due = ${total} if $due > ${total};
      while ($n < $due) { syscall(110); $n++ }
    }`;
  const full = `open(my $f, ">", "/proc/self/comm"); print $f "skepload"; close $f; syscall(110) for 1..${rate}`;
  return ["perl", ["-e", seconds === 0 ? full : paced]];
}

async function measure(side, rate, seconds) {
  const env = { BPFTRACE_PERF_RB_PAGES: String(side === "skep" ? PAGES_PER_CPU * cpus().length : PAGES_PER_CPU) };
  const tool = await start(SIDES[side], SCRIPT, env, "/dev/null");
  const started = process.hrtime.bigint();
  await workload(...load(rate, seconds));
  const took = Number(process.hrtime.bigint() - started) / 1e9;
  const { stdout, stderr, bytes } = await tool.stop();
  const lost = [...(stdout + stderr).matchAll(/Lost (\d+) events/g)].reduce((sum, m) => sum + Number(m[1]), 0);
  const line = stdout.match(/skepload \d+ \d+\n/)?.[0].length ?? 0;
  return { lost, received: line ? Math.round(bytes / line) : 0, took };
}

export async function run(args) {
  needPeer();
  const rounds = Number(args[0] ?? 5);
  const offers = [50_000, 100_000, 200_000, 300_000, 400_000, 600_000, 800_000];
  // A side that slows the traced process down gets fewer events than were offered: what counts is the rate that arrived.
  const best = { skep: [], bpftrace: [] };
  for (let i = 0; i < rounds; i++) {
    for (const side of ["skep", "bpftrace"]) {
      let top = 0;
      for (const rate of offers) {
        const { lost, received, took } = await measure(side, rate, 1);
        if (lost > 0) break;
        top = Math.max(top, received / took);
        if (received / took < rate * 0.6) break;
      }
      best[side].push(top);
    }
  }
  const full = { skep: [], bpftrace: [] };
  for (let i = 0; i < rounds; i++) {
    for (const side of ["skep", "bpftrace"]) full[side].push(await measure(side, 1_000_000, 0));
  }
  const rows = ["skep", "bpftrace"].map((side) => ({
    side,
    "events/s without loss": Math.round(median(best[side])),
    "at full speed: calls/s": Math.round(1_000_000 / median(full[side].map((r) => r.took))),
    "lost of 1,000,000": median(full[side].map((r) => r.lost)),
    "ns per call": Math.round((median(full[side].map((r) => r.took)) * 1e9) / 1_000_000),
  }));
  console.log(
    `medians of ${rounds}, the two sides in turn; ${PAGES_PER_CPU} pages of event buffer a CPU on both; ratio of rates without loss: ${(median(best.skep) / Math.max(1, median(best.bpftrace))).toFixed(1)}`,
  );
  table(rows);
}
