// What the benchmarks share: running a tool, peak memory, medians, tables.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const SKEP = fileURLToPath(new URL("../bin/skep.js", import.meta.url));

/** The two sides: how each is called with a script. */
export const SIDES = {
  skep: { command: process.execPath, args: [SKEP, "trace"], env: {} },
  bpftrace: { command: "bpftrace", args: [], env: {} },
};

/** Ends the benchmark with a reason when something it needs is not there. */
export function need(condition, what) {
  if (condition) return;
  console.error(`this benchmark needs ${what}`);
  process.exit(3);
}

/** Checks root and the peer. */
export function needPeer() {
  need(process.getuid?.() === 0, "root");
  need(spawnSync("bpftrace", ["-V"]).status === 0, "bpftrace (apt-get install bpftrace)");
  need(existsSync("/usr/bin/time"), "GNU time (apt-get install time)");
  need(existsSync(fileURLToPath(new URL("../dist/bundle/skep.cjs", import.meta.url))), "a build (npm run build)");
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const mid = sorted.length >> 1;
  return sorted.length % 2 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
}

/** Runs a command to its end; wall seconds, peak resident MiB, CPU seconds, output. */
export function timed(side, script, env = {}) {
  const dir = mkdtempSync(join(tmpdir(), "skep-bench-"));
  try {
    const out = join(dir, "time");
    const started = process.hrtime.bigint();
    const result = spawnSync("/usr/bin/time", ["-f", "%M %U %S", "-o", out, side.command, ...side.args, "-e", script], {
      env: { ...process.env, ...side.env, ...env },
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    const wall = Number(process.hrtime.bigint() - started) / 1e9;
    if (result.status !== 0) throw new Error(`${side.command}: exit ${result.status}\n${result.stderr}`);
    const [rss, user, system] = readFileSync(out, "utf8").trim().split("\n").at(-1).split(" ").map(Number);
    return { wall, rssMib: rss / 1024, cpu: user + system, stdout: result.stdout };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Starts a tool and resolves once it says that it is attached. `stop()` sends SIGINT and resolves with its output. */
export async function start(side, script, env = {}, stdoutPath = null) {
  const child = spawn(side.command, [...side.args, "-e", script], {
    env: { ...process.env, ...side.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  let bytes = 0;
  const chunks = [];
  const attached = new Promise((resolve, reject) => {
    const look = () => {
      if (/Attach(?:ing|ed) \d+ probe/.test(stdout.slice(0, 4096)) || /Attach(?:ing|ed) \d+ probe/.test(stderr))
        resolve();
    };
    child.stdout.on("data", (chunk) => {
      bytes += chunk.length;
      if (stdoutPath) chunks.push(chunk);
      if (stdout.length < 1 << 16) stdout += chunk.toString("latin1");
      look();
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
      look();
    });
    child.on("exit", (code) => reject(new Error(`${side.command} ended with ${code}: ${stderr}`)));
    child.on("error", reject);
  });
  const exited = new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
  await attached;
  // bpftrace announces before it attaches.
  await sleep(side === SIDES.bpftrace ? 700 : 200);
  return {
    pid: child.pid,
    child,
    get stdout() {
      return stdout;
    },
    async stop() {
      child.kill("SIGINT");
      const end = await Promise.race([exited, sleep(60_000).then(() => null)]);
      if (end === null) {
        child.kill("SIGKILL");
        await exited;
      }
      if (stdoutPath) writeFileSync(stdoutPath, Buffer.concat(chunks));
      return { stdout, stderr, bytes, ...end };
    },
  };
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Programs loaded now, by id. */
export function programs() {
  const list = JSON.parse(execFileSync("bpftool", ["-j", "prog", "show"], { encoding: "utf8", maxBuffer: 1 << 28 }));
  return new Map(list.map((p) => [p.id, p]));
}

/** Runs a workload to its end. */
export function workload(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "ignore" });
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${command}: exit ${code}`))));
  });
}

/** Prints rows of equal keys as a table. */
export function table(rows) {
  const keys = Object.keys(rows[0]);
  const width = keys.map((k) => Math.max(k.length, ...rows.map((r) => String(r[k]).length)));
  const line = (cells) =>
    cells.map((c, i) => (i === 0 ? String(c).padEnd(width[i]) : String(c).padStart(width[i]))).join("  ");
  console.log(line(keys));
  for (const row of rows) console.log(line(keys.map((k) => row[k])));
}
