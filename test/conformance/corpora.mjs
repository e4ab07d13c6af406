// What is compiled for comparisons: sources of the corpora with the flags that clang takes.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
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

/** Jobs of each corpus, whose objects go to a directory. @type {Readonly<Record<string, (target: string) => Job[]>>} */
export const corpora = {
  fixtures: fixtureJobs,
  "libbpf-tools": toolJobs,
  selftests: (target) => selftestJobs(target, "6.1", ["bookworm", "bookworm-security"], clang),
  "selftests-6.12": (target) => selftestJobs(target, "6.12", ["trixie", "trixie-security"], newClang()),
};
