// A ring of 64-byte records read by Skep and by libbpf in C: what each loses, how much it reads a second and what it costs, by size of the ring and
// by load. The two sides in turn. npm run bench -- ring [ROUNDS] [batches|events]
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, need, table } from "./lib.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

const SIZES = [
  ["256 KiB", 256 << 10],
  ["8 MiB", 8 << 20],
  ["32 MiB", 32 << 20],
];

// [load, records a system call, calls, calls a second (0: as fast as it goes)]. A load without a pace goes faster the more is lost, since a full
// ring is refused faster than a record is written.
const LOADS = [
  ["100,000/s", 1, 150_000, 100_000],
  ["1,000,000/s, bursts of 64", 64, 24_000, 15_625],
  ["4,000,000/s, bursts of 64", 64, 64_000, 62_500],
  ["full speed, one by one", 1, 1_000_000, 0],
];

function sides(directory, how) {
  const object = join(directory, "ring.bpf.o");
  const peer = join(directory, "ring");
  const headers = process.arch === "x64" ? "x86_64-linux-gnu" : "aarch64-linux-gnu";
  execFileSync("clang", [
    "-target",
    "bpf",
    "-g",
    "-O2",
    `-I/usr/include/${headers}`,
    "-c",
    path("ring.bpf.c"),
    "-o",
    object,
  ]);
  execFileSync("cc", ["-O2", "-o", peer, path("ring.c"), "-lbpf"]);
  const answer = (command, args) => {
    const result = spawnSync(command, args, { encoding: "utf8" });
    if (result.status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${result.status}\n${result.stderr}`);
    return JSON.parse(result.stdout);
  };
  return {
    skep: (...args) => answer(process.execPath, [path("ring-reader.mjs"), object, ...args.map(String), peer, how]),
    libbpf: (...args) => answer(peer, [object, ...args.map(String)]),
  };
}

export async function run(args) {
  need(process.getuid?.() === 0, "root");
  need(existsSync(path("../dist/runtime/index.js")), "a build (npm run build)");
  need(spawnSync("clang", ["--version"]).status === 0, "clang (apt-get install clang)");
  need(existsSync("/usr/include/bpf/libbpf.h"), "libbpf's headers (apt-get install libbpf-dev)");
  const rounds = Number(args[0] ?? 5);
  const directory = mkdtempSync(join(tmpdir(), "skep-bench-"));
  const rows = [];
  let worse = 0;
  try {
    const both = sides(directory, args[1] ?? "batches");
    for (const [size, bytes] of SIZES) {
      for (const [load, burst, calls, rate] of LOADS) {
        const results = { skep: [], libbpf: [] };
        for (let i = 0; i < rounds; i++) {
          for (const side of ["skep", "libbpf"]) {
            const result = both[side](bytes, burst, calls, rate);
            if (result.received !== result.sent - result.lost) {
              throw new Error(`${side}: ${result.received} received of ${result.sent} sent and ${result.lost} lost`);
            }
            results[side].push(result);
          }
        }
        const of = (side, value) => median(results[side].map(value));
        const lost = (side) => of(side, (r) => (r.lost / r.sent) * 100);
        const speed = (side) => of(side, (r) => r.received / r.seconds);
        if (lost("skep") > lost("libbpf") + 0.5) worse++;
        rows.push({
          ring: size,
          load,
          "skep lost %": lost("skep").toFixed(2),
          "C lost %": lost("libbpf").toFixed(2),
          "skep read/s": Math.round(speed("skep")).toLocaleString("en"),
          "C read/s": Math.round(speed("libbpf")).toLocaleString("en"),
          ratio: (speed("skep") / speed("libbpf")).toFixed(2),
          "skep ns/record": Math.round(of("skep", (r) => (r.cpu / r.received) * 1e9)),
          "C ns/record": Math.round(of("libbpf", (r) => (r.cpu / r.received) * 1e9)),
        });
      }
    }
    console.log(
      `medians of ${rounds}, the two sides in turn; ns of processor time of the reader; ratio of what was read a second`,
    );
    table(rows);
    if (worse > 0) console.log(`Skep loses more in ${worse} of ${rows.length}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
