// From exec to attached: Skep from C source, the tool of libbpf-tools that was compiled beforehand, and BCC's on the same task.
// npm run bench -- c-startup [ROUNDS] [TOOL...]
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SKEP, median, need, table } from "./lib.mjs";
import { libbpfTools } from "../test/conformance/sources.mjs";

const TOOLS = [
  "tcplife",
  "opensnoop",
  "syscount",
  "exitsnoop",
  "softirqs",
  "biopattern",
  "tcpstates",
  "runqlat",
  "execsnoop",
];

/** Flags without which a tool prints nothing until it is stopped. */
const FLAGS = { runqlat: ["1", "1"], softirqs: ["1", "1"] };
const WAIT_MS = 30_000;
/** A tool's header, which it prints once it is attached; errors are none. */
const HEADER = /\b(PID|TIME|COMM|Tracing|DISK)\b/;

/** Runs a command to the first line that `ready` knows, then stops it; seconds and peak resident MiB until there. */
function startOf(command, args, ready, env = {}) {
  return new Promise((resolve, reject) => {
    const begun = process.hrtime.bigint();
    // On a pseudo-terminal, or else a tool keeps its header until its buffer is full.
    const line = [command, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const child = spawn("script", ["-qfec", line, "/dev/null"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    let said = "";
    let answer;
    const timer = setTimeout(() => child.kill("SIGKILL"), WAIT_MS);
    child.stdout.on("data", (chunk) => {
      said += chunk.toString("latin1");
      if (answer !== undefined || !ready.test(said)) return;
      answer = { wall: Number(process.hrtime.bigint() - begun) / 1e9, rssMib: peakOf(child.pid) };
      child.kill("SIGINT");
      setTimeout(() => child.kill("SIGKILL"), 2000).unref();
    });
    child.once("error", reject);
    child.once("close", () => {
      clearTimeout(timer);
      if (answer === undefined) reject(new Error(said.trim().split("\n").at(-1)?.slice(0, 100) || "said nothing"));
      else resolve(answer);
    });
  });
}

/** Peak resident MiB of the youngest below a process. */
function peakOf(pid) {
  let at = pid;
  for (;;) {
    const child = readFileSync(`/proc/${at}/task/${at}/children`, "utf8").trim().split(" ")[0];
    if (!child) break;
    at = Number(child);
  }
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${at}/status`, "utf8"))?.[1] ?? 0) / 1024;
}

async function side(rounds, command, args, ready, env) {
  const results = [];
  try {
    // The first one warms the file cache.
    for (let round = 0; round <= rounds; round++) {
      const one = await startOf(command, args, ready, env);
      if (round > 0) results.push(one);
    }
  } catch (error) {
    return { why: error.message };
  }
  return { wall: median(results.map(({ wall }) => wall)), rssMib: median(results.map(({ rssMib }) => rssMib)) };
}

const path = (name) => spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();

export async function run(args) {
  need(process.getuid?.() === 0, "root");
  need(existsSync(join(SKEP, "../../dist/bundle/skep.cjs")), "a build (npm run build)");
  need(path("script") !== "", "script (apt-get install bsdutils)");
  const [first = "5", ...only] = args;
  const rounds = Number(first);
  const tree = libbpfTools();
  if (path("syscount-bpfcc") === "") console.log("BCC is left out: it is not installed (apt-get install bpfcc-tools)");
  else if (
    !process.env.BCC_KERNEL_SOURCE &&
    !existsSync(`/lib/modules/${spawnSync("uname", ["-r"], { encoding: "utf8" }).stdout.trim()}/build`)
  )
    console.log(
      "BCC is left out: it needs the headers of this kernel, or prepared ones of another in BCC_KERNEL_SOURCE",
    );
  const rows = [];
  for (const name of only.length > 0 ? only : TOOLS) {
    const flags = FLAGS[name] ?? [];
    const skep = await side(rounds, process.execPath, [SKEP, "run", "-v", join(tree, `${name}.bpf.c`)], /attach/i);
    // Debian has the compiled tools without a suffix, BCC's with one.
    const binary = path(name) || path(`${name}-libbpf`);
    const compiled = binary
      ? await side(rounds, binary, flags, HEADER)
      : { why: "not installed (apt-get install libbpf-tools)" };
    const bcc = path(`${name}-bpfcc`)
      ? await side(rounds, path(`${name}-bpfcc`), flags, HEADER)
      : { why: "not installed" };
    const shown = (one, key, digits) => (one[key] === undefined ? "-" : one[key].toFixed(digits));
    rows.push({
      tool: name,
      "skep s": shown(skep, "wall", 3),
      "compiled s": shown(compiled, "wall", 3),
      "bcc s": shown(bcc, "wall", 3),
      "to bcc": skep.wall && bcc.wall ? (skep.wall / bcc.wall).toFixed(2) : "-",
      "skep MiB": shown(skep, "rssMib", 0),
      "compiled MiB": shown(compiled, "rssMib", 0),
      "bcc MiB": shown(bcc, "rssMib", 0),
    });
    for (const [who, one] of Object.entries({ skep, compiled }))
      if (one.why) console.log(`${name}: ${who}: ${one.why}`);
  }
  console.log(
    `from exec to attached: what a tool says first, medians of ${rounds}, warm file cache; skep compiles the C source of libbpf-tools, "compiled" is Debian's binary of it, bcc its own program of that name`,
  );
  table(rows);
}
