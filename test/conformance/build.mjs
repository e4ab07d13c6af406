// node test/conformance/build.mjs [--only NAME]: builds the corpus of BPF objects that Skep is compared with libbpf on: the programs of
// libbpf-tools and of kernels' selftests, and our own, compiled by clang into the cache (SKEP_CONFORMANCE, ~/.cache/skep-conformance).
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { corpora } from "./corpora.mjs";
import { cacheDirectory } from "./sources.mjs";

/** @typedef {import("./corpora.mjs").Job} Job */

/** @param {string} command @param {readonly string[]} args @returns {Promise<{ status: number | null, stderr: string }>} */
function compile(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, stderr }));
  });
}

/** @param {Job} job @returns {Promise<string | undefined>} why there is no object */
async function build({ source, object, clang: command, variants }) {
  if (existsSync(object) && statSync(object).mtimeMs > statSync(source).mtimeMs) return undefined;
  let reason = "";
  for (const flags of variants) {
    const { status, stderr } = await compile(command, [
      "-target",
      "bpf",
      ...flags,
      "-w",
      "-c",
      source,
      "-o",
      `${object}.part`,
    ]);
    if (status === 0) {
      spawnSync("llvm-strip", ["-g", `${object}.part`]);
      copyFileSync(`${object}.part`, object);
      rmSync(`${object}.part`);
      return undefined;
    }
    reason ||= stderr.split("\n").find((line) => /error:/.test(line)) ?? stderr.slice(0, 200);
  }
  return reason.replace(/^.*?error: /, "");
}

const only = process.argv[2] === "--only" ? process.argv[3] : undefined;

for (const [name, jobsOf] of Object.entries(corpora)) {
  if (only && only !== name) continue;
  const target = join(cacheDirectory(), "objects", name);
  mkdirSync(target, { recursive: true });
  const jobs = jobsOf(target);
  /** @type {Record<string, string>} */
  const refused = {};
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      const reason = await build(job);
      if (reason !== undefined) refused[basename(job.source)] = reason;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  writeFileSync(join(cacheDirectory(), `${name}.refused.json`), `${JSON.stringify(refused, null, 2)}\n`);
  console.log(
    `${name}: ${jobs.length - Object.keys(refused).length} of ${jobs.length} sources compiled into ${target}`,
  );
}
