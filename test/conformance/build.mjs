// node test/conformance/build.mjs [--only NAME]: builds the corpus of BPF objects that Skep is compared with libbpf on: the programs of
// libbpf-tools and of kernels' selftests, and our own, compiled by clang into the cache (SKEP_CONFORMANCE, ~/.cache/skep-conformance).
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, kernelHeader, kernelSource, libbpfTools, newClang, newLibbpf } from "./sources.mjs";
import { kernel } from "../vm/kernel.mjs";

/**
 * @typedef {{ source: string, object: string, clang: string, variants: readonly (readonly string[])[] }} Job
 * `variants`: flags, tried one after the other until clang takes the file.
 */

const clang = process.env["CLANG"] ?? "clang";

/** Directories that a clang looks into for the machine it runs on; a BPF target has none of its own. @param {string} command */
function systemIncludes(command) {
  const { stderr } = spawnSync(command, ["-v", "-E", "-"], { input: "", encoding: "utf8" });
  return [...stderr.matchAll(/^ (\/\S+)$/gm)].map((match) => match[1] ?? "");
}

/** Prototypes of kernel functions, which bpftool puts into vmlinux.h only since 7.5. */
const KFUNCS = `#include <vmlinux.h>
#define SKEP_KFUNC __attribute__((weak, section(".ksyms")))
extern struct task_struct *bpf_task_from_pid(s32 pid) SKEP_KFUNC;
extern void bpf_task_release(struct task_struct *p) SKEP_KFUNC;
`;

/** Jobs of libbpf-tools, with the flags of its Makefile. @param {string} target @returns {Job[]} */
function toolJobs(target) {
  const tree = libbpfTools();
  const system = systemIncludes(clang).flatMap((path) => ["-idirafter", path]);
  const headers = kernelHeader(release(), "/sys/kernel/btf/vmlinux");
  const libbpf = newLibbpf();
  const kfuncs = join(cacheDirectory(), "kfuncs.h");
  writeFileSync(kfuncs, KFUNCS);
  return readdirSync(tree)
    .filter((name) => name.endsWith(".bpf.c"))
    .map((name) => ({
      source: join(tree, name),
      object: join(target, name.replace(/\.c$/, ".o")),
      clang,
      variants: [[], ["-include", kfuncs]].map((more) => [
        "-g",
        "-O2",
        "-D__TARGET_ARCH_x86",
        ...(name === "softirqs.bpf.c" ? ["-mcpu=v3"] : []),
        `-I${headers}`,
        ...(libbpf ? [`-I${libbpf}/usr/include`] : []),
        ...system,
        ...more,
      ]),
    }));
}

/**
 * Jobs of the selftests of a kernel: with its types, else with those of the running one.
 * @param {string} target @param {string} series @param {readonly string[]} suites @param {string} compiler @returns {Job[]}
 */
function selftestJobs(target, series, suites, compiler) {
  const tree = kernelSource(series, suites);
  const tests = join(tree, "tools/testing/selftests/bpf");
  const includes = join(tests, "generated");
  // libbpf's headers of the same tree; the definitions of helpers are generated from the UAPI header, and the newest fit all.
  mkdirSync(join(includes, "bpf"), { recursive: true });
  for (const name of readdirSync(join(tree, "tools/lib/bpf")).filter((file) => file.endsWith(".h")))
    copyFileSync(join(tree, "tools/lib/bpf", name), join(includes, "bpf", name));
  const libbpf = series === "6.1" ? undefined : newLibbpf();
  const helpers = libbpf ? join(libbpf, "usr/include/bpf") : "/usr/include/bpf";
  copyFileSync(join(helpers, "bpf_helper_defs.h"), join(includes, "bpf/bpf_helper_defs.h"));
  const headers = [kernelHeader(series, kernel(series).vmlinux), kernelHeader(release(), "/sys/kernel/btf/vmlinux")];
  const system = systemIncludes(compiler).flatMap((path) => ["-idirafter", path]);
  return readdirSync(join(tests, "progs"))
    .filter((name) => name.endsWith(".c") && !name.startsWith("btf_dump_test_case_"))
    .map((name) => ({
      source: join(tests, "progs", name),
      object: join(target, name.replace(/\.c$/, ".bpf.o")),
      clang: compiler,
      variants: headers.map((header) => [
        "-g",
        "-O2",
        "-mcpu=v3",
        "-mlittle-endian",
        "-D__TARGET_ARCH_x86",
        "-DENABLE_ATOMICS_TESTS",
        "-Wno-compare-distinct-pointer-types",
        ...(/test_l4lb_noinline|test_xdp_noinline/.test(name) ? ["-fno-inline"] : []),
        `-I${header}`,
        `-I${includes}`,
        `-I${tests}`,
        `-I${tree}/tools/include/uapi`,
        ...system,
      ]),
    }));
}

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

/** Jobs of our own programs. @param {string} target @returns {Job[]} */
function fixtureJobs(target) {
  const sources = fileURLToPath(new URL("../programs/fixtures/", import.meta.url));
  const system = systemIncludes(clang).flatMap((path) => ["-idirafter", path]);
  return readdirSync(sources)
    .filter((name) => name.endsWith(".bpf.c"))
    .map((name) => ({
      source: join(sources, name),
      object: join(target, name.replace(/\.c$/, ".o")),
      clang,
      variants: [["-g", "-O2", "-mcpu=v3", "-D__TARGET_ARCH_x86", ...system]],
    }));
}

/** @type {Readonly<Record<string, (target: string) => Job[]>>} */
const corpora = {
  fixtures: fixtureJobs,
  "libbpf-tools": toolJobs,
  selftests: (target) => selftestJobs(target, "6.1", ["bookworm", "bookworm-security"], clang),
  "selftests-6.12": (target) => selftestJobs(target, "6.12", ["trixie", "trixie-security"], newClang()),
};
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
