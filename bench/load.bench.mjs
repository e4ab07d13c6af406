// Opening, relocating and loading object files, beside libbpf in C: our own part (all but the time inside BPF_PROG_LOAD), and memory.
// npm run bench -- load [ROUNDS] [OBJECT...]
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, need, table } from "./lib.mjs";

const sources = fileURLToPath(new URL("load/", import.meta.url));
const dist = process.env.SKEP_DIST ?? fileURLToPath(new URL("../dist", import.meta.url));
const NAMES = ["minimal", "core", "maps", "large", "many"];
/** Objects of libbpf-tools, where they were built; those that do not load here are left out. */
const TOOLS = "/var/tmp/skep-conformance/objects/libbpf-tools";
const TOOL_NAMES = ["opensnoop", "biolatency", "tcptop", "execsnoop", "runqlat"];

/** Aims of the project: milliseconds of our own, and MiB above bare Node. */
const AIM = { ownMs: 30, memoryMib: 25 };

function compile(directory) {
  for (const name of NAMES) {
    const output = join(directory, `${name}.bpf.o`);
    execFileSync("clang", [
      "-target",
      "bpf",
      "-g",
      "-O2",
      "-I",
      `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`,
      "-c",
      join(sources, `${name}.bpf.c`),
      "-o",
      output,
    ]);
  }
  execFileSync("cc", ["-O2", "-o", join(directory, "load"), join(sources, "load.c"), "-lbpf", "-ldl"]);
  return NAMES.map((name) => join(directory, `${name}.bpf.o`));
}

function once(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? JSON.parse(stdout) : { failed: stderr.trim().split("\n")[0] ?? "" };
}

export async function run(args) {
  need(process.getuid?.() === 0, "root");
  need(spawnSync("clang", ["--version"]).status === 0, "clang (apt-get install clang)");
  need(existsSync("/usr/include/bpf/libbpf.h"), "libbpf (apt-get install libbpf-dev)");
  need(existsSync(join(dist, "entry/kernel.js")), "a build (npm run build)");
  const [first, ...rest] = args;
  const isCount = /^\d+$/.test(first ?? "");
  const rounds = isCount ? Number(first) : 7;
  const own = isCount ? rest : args;
  const directory = mkdtempSync(join(tmpdir(), "skep-bench-load-"));
  try {
    const fixtures = compile(directory);
    const tools = existsSync(TOOLS)
      ? readdirSync(TOOLS)
          .filter((file) => TOOL_NAMES.includes(file.split(".")[0]))
          .map((file) => join(TOOLS, file))
      : [];
    const objects = own.length > 0 ? own : [...fixtures, ...tools];
    const bare = median(
      Array.from(
        { length: rounds },
        () =>
          once(process.execPath, [
            "-e",
            "console.log(JSON.stringify({ rssMib: process.resourceUsage().maxRSS / 1024 }))",
          ]).rssMib,
      ),
    );
    const rows = [];
    for (const object of objects) {
      const ours = [];
      const theirs = [];
      // The first of each warms the file cache and counts for nothing.
      for (let round = 0; round <= rounds; round++) {
        const us = once(process.execPath, [join(sources, "ours.mjs"), dist, object]);
        const them = once(join(directory, "load"), [object]);
        if (us.failed !== undefined || them.failed !== undefined) {
          console.log(
            `${basename(object)}: left out: ${us.failed === undefined ? "" : `skep: ${us.failed} `}${them.failed === undefined ? "" : "libbpf does not load it"}`,
          );
          break;
        }
        if (round > 0) {
          ours.push(us);
          theirs.push({ ...them, ownMs: them.openMs + them.loadMs - them.verifierMs });
        }
      }
      if (ours.length < rounds) continue;
      const of = (side, key) => median(side.map((result) => result[key]));
      rows.push({
        object: basename(object),
        "skep own ms": of(ours, "ownMs").toFixed(1),
        open: of(ours, "openMs").toFixed(1),
        "other bpf(2)": of(ours, "otherCallsMs").toFixed(1),
        "libbpf own ms": of(theirs, "ownMs").toFixed(1),
        ratio: (of(ours, "ownMs") / of(theirs, "ownMs")).toFixed(2),
        "skep user ms": of(ours, "userMs").toFixed(1),
        "libbpf user ms": of(theirs, "userMs").toFixed(1),
        "verifier ms": of(ours, "verifierMs").toFixed(1),
        "import ms": (of(ours, "importMs") + of(ours, "nativeMs")).toFixed(0),
        "skep MiB": of(ours, "rssMib").toFixed(0),
        "above Node": (of(ours, "rssMib") - bare).toFixed(0),
        "libbpf MiB": of(theirs, "rssMib").toFixed(0),
        aims: of(ours, "ownMs") < AIM.ownMs && of(ours, "rssMib") - bare < AIM.memoryMib ? "met" : "missed",
      });
    }
    console.log(
      `a fresh process each, warm file cache, medians of ${rounds}, the two sides in turn; bare Node ${bare.toFixed(0)} MiB`,
    );
    console.log(
      `own: everything but BPF_PROG_LOAD, other calls of bpf(2) included; user: CPU time in user space, all threads, which a busy machine does not change; aims: own < ${AIM.ownMs} ms, < ${AIM.memoryMib} MiB above Node`,
    );
    if (rows.length > 0) table(rows);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
