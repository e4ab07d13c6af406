// Runs a loader over objects and reads what it said and what it handed to the kernel.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, newLibbpf } from "./sources.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));

/**
 * @typedef {{ call: string, errno: number, [key: string]: any }} Call
 * @typedef {{ name: string, section: string, type: number, attachType: number, autoload: number, calls: Call[],
 *   loadedAt: number, loaded?: number | string, attached?: number | string, why: string }} Program
 * @typedef {{ opened: number | string, why: string, maps: any[], programs: Map<string, Program>, ended: string }} ObjectResult
 */

const binaries = join(cacheDirectory(), "bin");
/** Path of the compiled watch.c. */
export const watch = join(binaries, "watch.so");

/** Path of a compiled referee. @param {string} referee */
export const refereePath = (referee) => join(binaries, `referee-${referee}`);

/** Compiles the C parts when their sources are newer. @param {string} referee */
export function compileReferee(referee) {
  mkdirSync(binaries, { recursive: true });
  const libbpf = referee === "new" ? newLibbpf() : undefined;
  if (referee === "new" && !libbpf)
    throw new Error("no source of libbpf: SKEP_LIBBPF=PATH names a repository, or -r debian");
  const parts = [
    { source: "watch.c", output: watch, flags: ["-shared", "-fPIC"], libraries: ["-ldl"] },
    {
      source: "referee.c",
      output: refereePath(referee),
      flags: libbpf ? [`-I${libbpf}/usr/include`] : [],
      libraries: libbpf ? [join(libbpf, "usr/lib/libbpf.a"), "-lelf", "-lz"] : ["-lbpf"],
    },
  ];
  for (const { source, output, flags, libraries } of parts) {
    const path = join(here, source);
    if (existsSync(output) && statSync(output).mtimeMs > statSync(path).mtimeMs) continue;
    // Renamed, since another run may be using the one that is there.
    const fresh = `${output}.${process.pid}`;
    const args = ["-O2", "-Wall", ...flags, "-o", fresh, path, ...libraries];
    const { status, stderr } = spawnSync("cc", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`cc ${args.join(" ")}: ${stderr}`);
    renameSync(fresh, output);
  }
}

/** @type {string | undefined} */
let cgroup;

/** A cgroup without processes, for what attaches to one; removed at the end. */
function ownCgroup() {
  const mount = readFileSync("/proc/self/mounts", "utf8").match(/^\S+ (\S+) cgroup2 /m)?.[1];
  if (mount === undefined) return "/sys/fs/cgroup";
  const path = join(mount, `skep-conformance-${process.pid}`);
  mkdirSync(path);
  process.once("exit", () => rmdirSync(path));
  return path;
}

/** @param {readonly string[]} command @param {string} record @returns {Promise<string>} how it ended, empty when well */
export function observe(command, record) {
  rmSync(record, { force: true });
  return new Promise((resolve, reject) => {
    // In a network namespace of its own, so that nothing attached to the loopback interface touches anybody else's packets.
    const child = spawn("unshare", ["--net", "env", `LD_PRELOAD=${watch}`, `SKEP_WATCH=${record}`, ...command], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, SKEP_CGROUP: (cgroup ??= ownCgroup()) },
    });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    const timer = setTimeout(() => child.kill("SIGKILL"), 300_000);
    child.once("error", reject);
    child.once("close", (status, signal) => {
      clearTimeout(timer);
      resolve(status === 0 ? "" : `${signal ?? `status ${status}`} ${stderr.trim().split("\n").at(-1) ?? ""}`);
    });
  });
}

/** @param {string} record @param {string} ended @returns {ObjectResult} */
export function readRecord(record, ended) {
  /** @type {ObjectResult} */
  const result = { opened: "no answer", why: "", maps: [], programs: new Map(), ended };
  /** @type {Program | undefined} */
  let program;
  for (const text of existsSync(record) ? readFileSync(record, "utf8").split("\n").filter(Boolean) : []) {
    const line = JSON.parse(text);
    if ("opened" in line) Object.assign(result, { opened: line.opened, why: line.why ?? "" });
    else if ("map" in line) result.maps.push(line);
    else if ("program" in line) {
      program = { ...line, name: line.program, calls: [], loadedAt: 0, why: "" };
      result.programs.set(line.program, /** @type {Program} */ (program));
    } else if ("call" in line) program?.calls.push(line);
    else if (program && "loaded" in line)
      Object.assign(program, line, { why: line.why || program.why, loadedAt: program.calls.length });
    else if (program) Object.assign(program, line, { why: line.why || program.why });
  }
  return result;
}
