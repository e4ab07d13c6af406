// C for eBPF: instructions of each tool of libbpf-tools, compiled by Skep and by clang -O2 and -Os, and the kernel's own time for an event of
// ten of them under the same workload. npm run bench -- c-codegen [ROUNDS] [TOOL...]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { median, need, table, workload } from "./lib.mjs";
import { corpora } from "../test/conformance/corpora.mjs";
import { SourceError } from "../test/conformance/sources.mjs";
import { importSource } from "../test/support/bundle.mjs";

const CALLS = 200_000;
const getppid = ["perl", ["-e", `syscall(110) for 1..${CALLS}`]];
const opens = ["perl", ["-e", `for (1..${CALLS / 10}) { open(F, "<", "/etc/hostname"); close F }`]];
const stats = ["perl", ["-e", `for (1..${CALLS / 10}) { stat("/etc/hostname") }`]];
const kills = ["perl", ["-e", `for (1..${CALLS / 10}) { kill 0, $$ }`]];
const processes = ["sh", ["-c", "for i in $(seq 500); do /bin/true; done"]];
const switches = [
  "perl",
  [
    "-e",
    `pipe(A,B);pipe(C,D);if(fork){for(1..20000){syswrite B,"x";sysread C,$b,1}}else{for(1..20000){sysread A,$b,1;syswrite D,"x"}}`,
  ],
];

/** Tools that need neither kprobes nor devices, with what makes events for them. */
const WORKLOADS = {
  syscount: getppid,
  opensnoop: opens,
  statsnoop: stats,
  sigsnoop: kills,
  execsnoop: processes,
  exitsnoop: processes,
  runqlat: switches,
  cpudist: switches,
  runqslower: switches,
  softirqs: switches,
  hardirqs: switches,
  offcputime: switches,
  wakeuptime: switches,
  filelife: opens,
};
const MOST_TIMED = 10;

/** clang's object of a source. */
function clangObject(job, level, output) {
  for (const flags of job.variants) {
    const args = [
      "-target",
      "bpf",
      ...flags.map((flag) => (flag === "-O2" ? level : flag)),
      "-w",
      "-c",
      job.source,
      "-o",
      output,
    ];
    if (spawnSync(job.clang, args).status === 0) return readFileSync(output);
  }
  return undefined;
}

export async function run(args) {
  need(process.getuid?.() === 0, "root");
  need(spawnSync("clang", ["--version"]).status === 0, "clang (apt-get install clang)");
  const [first = "5", ...only] = args;
  const rounds = Number(first);
  const directory = mkdtempSync(join(tmpdir(), "skep-bench-c-"));
  try {
    let jobs;
    try {
      jobs = corpora["libbpf-tools"](directory);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      need(false, `the sources of libbpf-tools: ${error.message.split("\n")[0]}`);
    }
    const { attachObject, compileJob, instructionsOf, statistics } = await importSource(
      new URL("c/objects.ts", import.meta.url),
    );
    const rows = [];
    const sums = { ours: 0, o2: 0, os: 0, worst: 0 };
    const objects = new Map();
    for (const job of jobs) {
      const name = basename(job.source, ".bpf.c");
      if (only.length > 0 && !only.includes(name)) continue;
      const ours = compileJob({
        source: job.source,
        directories: [dirname(job.source)],
        systemDirectories: [],
        defines: ["__TARGET_ARCH_x86"],
        include: [],
        btf: "/sys/kernel/btf/vmlinux",
        version: [6, 1],
      });
      const o2 = clangObject(job, "-O2", join(directory, "o2.o"));
      const os = clangObject(job, "-Os", join(directory, "os.o"));
      if (!ours.ok || o2 === undefined) {
        console.log(`${name}: left out: ${ours.ok ? "clang does not compile it" : ours.why}`);
        continue;
      }
      const counts = [ours.instructions, instructionsOf(o2), os === undefined ? 0 : instructionsOf(os)];
      sums.ours += counts[0];
      sums.o2 += counts[1];
      sums.os += counts[2];
      rows.push({
        tool: name,
        skep: counts[0],
        "clang -O2": counts[1],
        "clang -Os": counts[2] || "-",
        "to -O2": (counts[0] / counts[1]).toFixed(2),
        "to -Os": counts[2] ? (counts[0] / counts[2]).toFixed(2) : "-",
      });
      if (name in WORKLOADS) objects.set(name, { skep: ours.object, clang: o2 });
    }
    rows.push({
      tool: `all ${rows.length}`,
      skep: sums.ours,
      "clang -O2": sums.o2,
      "clang -Os": sums.os,
      "to -O2": (sums.ours / sums.o2).toFixed(2),
      "to -Os": (sums.ours / sums.os).toFixed(2),
    });
    console.log("instructions in the object file; functions that several programs call count once");
    table(rows);

    const timed = [];
    const open = statistics();
    try {
      for (const [name, sides] of objects) {
        if (timed.length === MOST_TIMED) break;
        const results = { skep: [], clang: [] };
        try {
          for (let round = 0; round < rounds; round++)
            for (const side of ["skep", "clang"])
              results[side].push(await nsPerRun(attachObject, sides[side], name, WORKLOADS[name]));
        } catch (error) {
          console.log(`${name}: left out: ${error.message.split("\n")[0]}`);
          continue;
        }
        const [skep, clang] = [median(results.skep), median(results.clang)];
        timed.push({
          tool: name,
          "skep ns": skep.toFixed(0),
          "clang -O2 ns": clang.toFixed(0),
          ratio: (skep / clang).toFixed(2),
        });
      }
    } finally {
      open.close();
    }
    console.log(
      `\nmedians of ${rounds}, the two sides in turn; ns: the kernel's time in the tool's programs for one run of one of them`,
    );
    if (timed.length > 0) table(timed);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function nsPerRun(attachObject, bytes, name, [command, args]) {
  const attached = attachObject(bytes, `${name}.bpf.o`);
  try {
    const first = attached.times();
    await workload(command, args);
    const last = attached.times();
    if (last.runs === first.runs) throw new Error("the workload causes no events");
    return (last.ns - first.ns) / (last.runs - first.runs);
  } finally {
    attached.close();
  }
}
