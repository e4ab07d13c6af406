// The C of Debian's BCC tools, through our compiler and the kernel's verifier:
//   node test/conformance/bcc-tools.mjs [--kernel 6.1] [TOOL...]   takes the C that each tool would compile on a kernel (this one, or one of the
//                                                                  test VM), compiles it and loads each program; results go to the cache
//   node test/conformance/bcc-tools.mjs --report                   writes docs/conformance-bcc.md from the results
// Needs python3, apt and dpkg; nothing is installed. SKEP_DIST names a build other than ../../dist.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { deserialize, serialize } from "node:v8";
import { cacheDirectory, once } from "./sources.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = process.env["SKEP_DIST"] ?? join(here, "../../dist");
/** @param {string} path */
const built = (path) => import(pathToFileURL(join(dist, path)).href);

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernel: { type: "string" },
    report: { type: "boolean" },
    /** Within the VM: loads what was compiled outside. */
    load: { type: "string" },
    verbose: { type: "boolean" },
  },
});
const name = flags.kernel === undefined ? "here" : `vm-${flags.kernel}`;
const results = join(cacheDirectory(), "results", "bcc-tools");

/** Arguments of tools that do nothing without. @type {Readonly<Record<string, readonly string[]>>} */
const toolArguments = {
  argdist: ["-C", "p::__kmalloc(size_t size):size_t:size"],
  biolatpcts: ["8:0"],
  dbslower: ["mysql", "-p", "1"],
  dbstat: ["mysql", "-p", "1"],
  deadlock: ["--binary", "/bin/sh", "1"],
  dirtop: ["-d", "/tmp"],
  funccount: ["vfs_read"],
  funcinterval: ["vfs_read"],
  funclatency: ["vfs_read"],
  funcslower: ["vfs_read"],
  inject: ["kmalloc", "(true)"],
  mysqld_qslower: ["1"],
  netqtop: ["-n", "lo"],
  stackcount: ["vfs_read"],
  trace: ['p::do_sys_openat2(int dfd, const char *filename) "%s", filename'],
  ttysnoop: ["/dev/tty"],
  ucalls: ["-l", "python", "1"],
  uflow: ["-l", "java", "1"],
  ugc: ["-l", "java", "1"],
  uobjnew: ["-l", "java", "1"],
  uthreads: ["-l", "java", "1"],
};

/** Tools that hold no program for the kernel. @type {Readonly<Record<string, string>>} */
const withoutC = {
  bpflist: "lists programs, has none",
  tplist: "lists tracepoints, has no program",
};

/** Tools whose C is a file of its own, which Debian's package leaves out: found where SKEP_BCC_SOURCES says, a directory such as BCC's `tools`. */
const inFiles = ["deadlock", "netqtop"];

/** What a kernel answers. @typedef {{ btf: string, modules: string, kallsyms: string, events: string, version: readonly [number, number, number], kfunc: boolean }} Facts */
/** A program that a tool attaches. @typedef {{ kind: string, func: string, event: string }} Attachment */
/** What a tool hands over. @typedef {{ text: string, cflags: string[], attach: Attachment[], usdt: { func: string }[] }} Unit */
/** @typedef {{ tool: string, stage: "no C" | "text" | "compile" | "load" | "loads", programs?: number, loaded?: number, why?: string }} Outcome */

/** Modules whose types tools need. */
const modules = ["nfs"];

/** Debian's packages, unpacked. */
function packages() {
  return once("bcc-tools", (directory) => {
    for (const wanted of ["bpfcc-tools", "python3-bpfcc"]) {
      const got = spawnSync("apt-get", ["download", wanted], { cwd: directory, encoding: "utf8" });
      if (got.status !== 0) throw new Error(`apt-get download ${wanted}: ${got.stderr.trim()}`);
    }
    for (const file of readdirSync(directory).filter((found) => found.endsWith(".deb")))
      spawnSync("dpkg", ["-x", file, "."], { cwd: directory, stdio: "inherit" });
  });
}

/** @returns {Facts} */
function factsHere() {
  const [major = 0, minor = 0, patch = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8")
    .split(/[.-]/)
    .map(Number);
  return {
    btf: "/sys/kernel/btf/vmlinux",
    modules: "/sys/kernel/btf",
    kallsyms: "/proc/kallsyms",
    events: "/sys/kernel/tracing/events",
    version: [major, minor, patch],
    kfunc: false,
  };
}

/** Runs a script in the VM. @param {string} script @param {number} seconds */
function inVm(script, seconds) {
  const args = [join(here, "../vm/run.mjs"), "-k", flags.kernel ?? "", "-m", "2048", "-t", String(seconds)];
  for (const module of modules) args.push("-M", module);
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, "--", "bash", "-c", script], {
    maxBuffer: 1 << 29,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the VM ended with ${status}: ${stderr.trim().split("\n").slice(-5).join("\n")}`);
  return stdout;
}

/** @returns {Facts} */
function factsOfVm() {
  const directory = once(`facts-${flags.kernel}`, (made) => {
    const script = [
      "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null",
      "mkdir -p /tmp/facts/modules && cd /tmp/facts && cp /sys/kernel/btf/* modules && mv modules/vmlinux btf && cp /proc/kallsyms kallsyms && uname -r > release",
      "mkdir events && cd /sys/kernel/tracing/events && cp --parents */*/format /tmp/facts/events",
      "tar -C /tmp/facts -cz . | base64 -w 0",
    ].join("\n");
    spawnSync("tar", ["-C", made, "-xz"], { input: Buffer.from(inVm(script, 300), "base64") });
  });
  const [major = 0, minor = 0, patch = 0] = readFileSync(join(directory, "release"), "utf8").split(/[.-]/).map(Number);
  const of = (/** @type {string} */ file) => join(directory, file);
  return {
    btf: of("btf"),
    modules: of("modules"),
    kallsyms: of("kallsyms"),
    events: of("events"),
    version: [major, minor, patch],
    kfunc: true,
  };
}

/** The C that a tool would compile on a kernel. @param {string} path @param {Facts} facts @returns {Unit[] | string} */
function unitsOf(path, facts) {
  const tool = basename(path).replace(/-bpfcc$/, "");
  const python = join(packages(), "usr/lib/python3/dist-packages");
  const { stdout, stderr } = spawnSync(
    "python3",
    [join(here, "bcc-stub.py"), python, facts.btf, path, ...(toolArguments[tool] ?? [])],
    {
      encoding: "utf8",
      timeout: 30_000,
      maxBuffer: 1 << 28,
      input: "",
      env: {
        ...process.env,
        BCC_STUB_KALLSYMS: facts.kallsyms,
        BCC_STUB_EVENTS: facts.events,
        BCC_STUB_SOURCES: process.env["SKEP_BCC_SOURCES"] ?? "",
        ...(facts.kfunc ? { BCC_STUB_KFUNC: "1" } : {}),
      },
    },
  );
  const last = stdout.trim().split("\n").at(-1) ?? "";
  if (!last.startsWith("{")) return stderr.trim().split("\n").at(-1) ?? "it says nothing";
  const { units } = JSON.parse(last);
  return units.length > 0 ? units : (stderr.trim().split("\n").at(-1) ?? "it ends before BPF()");
}

/** Types of programs by how BCC's Python attaches them. @type {Readonly<Record<string, string>>} */
const typeByAttachment = {
  kprobe: "KPROBE",
  kretprobe: "KPROBE",
  uprobe: "KPROBE",
  uretprobe: "KPROBE",
  tracepoint: "TRACEPOINT",
  raw_tracepoint: "RAW_TRACEPOINT",
  perf_event: "PERF_EVENT",
};

/** The first error of a message, on one line. @param {any} error */
function shortly(error) {
  const first = error?.diagnostics?.messages.find((/** @type {any} */ { severity }) => severity === "error");
  const said =
    first === undefined
      ? String(error?.message ?? error).split("\n")[0]
      : `${first.message}${first.hint ? `: ${first.hint}` : ""}`;
  const text = (said ?? "").replaceAll(/\s+/g, " ");
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** @param {Facts} facts */
async function compiler(facts) {
  const [{ compileC }, { Btf }, { kernelTarget }, { ProgType }, { parseTracepointFormat }] = await Promise.all(
    ["lang/c/index.js", "btf/index.js", "compiler/index.js", "isa/index.js", "runtime/environment.js"].map(built),
  );
  const kernelTypes = Btf.parse(readFileSync(facts.btf));
  const [major, minor] = facts.version;
  const moduleTypes = () =>
    readdirSync(facts.modules)
      .filter((module) => module !== "vmlinux")
      .map((module) => Btf.parse(readFileSync(join(facts.modules, module)), { base: kernelTypes }));
  const target = kernelTarget([major, minor]);
  /** A register, for arguments of probes of programs that are not there. */
  const place = {
    argument: {
      kind: "register",
      register: { name: "rdi", offset: 112 },
      size: 8,
      isSigned: false,
      isFloat: false,
      text: "8@%rdi",
    },
  };
  return (/** @type {string} */ tool, /** @type {Unit} */ unit) => {
    const macros = unit.cflags.filter((flag) => flag.startsWith("-D")).map((flag) => ({ define: flag.slice(2) }));
    const { object, bcc } = compileC(
      { name: `${tool}.c`, text: unit.text },
      {
        kernelTypes,
        dialect: "bcc",
        macros,
        target,
        sameKernel: true,
        kernelVersion: facts.version,
        bcc: {
          onlineCpus: 2,
          moduleTypes,
          usdtArgument: () => [place],
          tracepointFields: (/** @type {string} */ category, /** @type {string} */ event) => {
            const path = join(facts.events, category, event, "format");
            return existsSync(path) ? parseTracepointFormat(readFileSync(path, "utf8")).fields : undefined;
          },
        },
      },
    );
    const types = new Map(
      unit.attach.map(({ kind, func, event }) => [func, kind === "load" ? event : typeByAttachment[kind]]),
    );
    // What a tool attaches by itself or lets BCC attach; the rest it only compiles.
    const used = new Set([...types.keys(), ...unit.usdt.map(({ func }) => func)]);
    for (const program of bcc.programs) if (program.autoAttach) used.add(program.name);
    return {
      ...object,
      programs: object.programs
        .filter((/** @type {any} */ { name: of }) => used.has(of))
        .map((/** @type {any} */ program) => {
          const type = types.get(program.name);
          return type === undefined || !(type in ProgType) ? program : { ...program, type: ProgType[type] };
        }),
    };
  };
}

/** Loads each program of objects, one by one. @param {readonly { tool: string, objects: readonly any[] }[]} compiled @returns {Promise<Outcome[]>} */
async function load(compiled) {
  const { LinuxKernel } = await built("kernel/index.js");
  const kernel = new LinuxKernel();
  return compiled.map(({ tool, objects }) => {
    let [programs, loaded, why] = [0, 0, ""];
    for (const object of objects) {
      for (const program of object.programs) {
        programs++;
        const alone = object.programs.map((/** @type {any} */ other) => ({
          ...other,
          autoload: other.name === program.name,
        }));
        try {
          kernel.load({ ...object, programs: alone }).close();
          loaded++;
        } catch (error) {
          why ||= shortly(error);
        }
      }
    }
    return { tool, stage: loaded === programs ? "loads" : "load", programs, loaded, ...(why ? { why } : {}) };
  });
}

/** @param {Outcome} outcome */
function say({ tool, stage, programs, loaded, why }) {
  console.log(
    `${stage.padEnd(8)} ${tool.padEnd(16)} ${programs === undefined ? "" : `${loaded}/${programs} `}${why ?? ""}`,
  );
}

async function survey() {
  const facts = flags.kernel === undefined ? factsHere() : factsOfVm();
  const compile = await compiler(facts);
  const folder = join(packages(), "usr/sbin");
  const tools = readdirSync(folder).filter((file) =>
    readFileSync(join(folder, file), "utf8").startsWith("#! /usr/bin/python3"),
  );
  /** @type {Outcome[]} */
  const outcomes = [];
  /** @type {{ tool: string, objects: any[] }[]} */
  const compiled = [];
  for (const file of tools) {
    const tool = file.replace(/-bpfcc$/, "");
    if (positionals.length > 0 && !positionals.includes(tool)) continue;
    if (withoutC[tool] !== undefined) {
      outcomes.push({ tool, stage: "no C", why: withoutC[tool] });
      continue;
    }
    if (inFiles.includes(tool) && process.env["SKEP_BCC_SOURCES"] === undefined) {
      outcomes.push({ tool, stage: "no C", why: `the package lacks its ${tool}.c` });
      continue;
    }
    const units = unitsOf(join(folder, file), facts);
    if (typeof units === "string") {
      outcomes.push({ tool, stage: "text", why: units });
      continue;
    }
    try {
      compiled.push({ tool, objects: units.map((unit) => compile(tool, unit)) });
    } catch (error) {
      if (flags.verbose) console.error(error instanceof Error ? error.message : error);
      outcomes.push({ tool, stage: "compile", why: shortly(error) });
    }
  }
  if (flags.kernel === undefined) outcomes.push(...(await load(compiled)));
  else {
    const file = join(cacheDirectory(), `bcc-tools-${name}.bin`);
    writeFileSync(file, serialize(compiled));
    const said = inVm(`SKEP_DIST=${dist} node ${join(here, "bcc-tools.mjs")} --load ${file}`, 1200);
    outcomes.push(...JSON.parse(said.trim().split("\n").at(-1) ?? "[]"));
    rmSync(file);
  }
  outcomes.sort((a, b) => (a.tool < b.tool ? -1 : 1));
  for (const outcome of outcomes) say(outcome);
  const good = outcomes.filter(({ stage }) => stage === "loads").length;
  console.log(`${name}: ${good} of ${outcomes.length} tools compile and load whole`);
  if (positionals.length > 0) return;
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, `${name}.json`), JSON.stringify({ release: facts.version.join("."), outcomes }));
}

/** A cell of the table. @param {Outcome | undefined} outcome */
function cell(outcome) {
  if (outcome === undefined) return "";
  const { stage, programs, loaded } = outcome;
  if (stage === "loads" || stage === "load") return `${loaded} of ${programs}`;
  return stage === "no C" ? "–" : stage === "text" ? "gives no C" : "does not compile";
}

function report() {
  const files = readdirSync(results)
    .filter((file) => file.endsWith(".json"))
    .toSorted();
  /** @type {{ name: string, release: string, outcomes: Outcome[] }[]} */
  const kernels = files.map((file) => ({
    name: basename(file, ".json"),
    ...JSON.parse(readFileSync(join(results, file), "utf8")),
  }));
  const tools = [...new Set(kernels.flatMap(({ outcomes }) => outcomes.map(({ tool }) => tool)))].toSorted();
  const of = (/** @type {string} */ tool) =>
    kernels.map(({ outcomes }) => outcomes.find((outcome) => outcome.tool === tool));
  const withC = tools.filter((tool) => of(tool).some((outcome) => outcome?.stage !== "no C"));
  const good = withC.filter((tool) => of(tool).some((outcome) => outcome?.stage === "loads"));
  const title = (/** @type {{ name: string, release: string }} */ { name: which, release }) =>
    which === "here" ? `Linux ${release}` : `Linux ${release} in the VM`;
  const reasons = (/** @type {string} */ tool) => {
    const said = kernels.flatMap(({ release }, i) => {
      const why = of(tool)[i]?.why;
      return why === undefined ? [] : [{ release, why: why.replaceAll("|", "\\|") }];
    });
    if (new Set(said.map(({ why }) => why)).size === 1 && said.length === kernels.length) return said[0]?.why ?? "";
    return said.map(({ release, why }) => `${release}: ${why}`).join("<br>");
  };
  const text = [
    "# BCC's tools, compiled by Skep",
    "",
    "<!-- Written by `node test/conformance/bcc-tools.mjs --report`. -->",
    "",
    `The C within the ${tools.length} Python tools of Debian's \`bpfcc-tools\`, as each tool hands it to \`BPF()\`, unmodified and with no kernel headers`,
    `installed: **${good.length} of the ${withC.length} that hold C compile and load whole** on at least one of two kernels. The kernel here has neither`,
    "kprobes nor fentry; the one in the VM has both. The table counts programs: those that the kernel's verifier takes, as the type that the tool",
    "attaches them as, of those that the tool has.",
    "",
    `| Tool | ${kernels.map(title).join(" | ")} | Why not |`,
    `|---|${kernels.map(() => "---|").join("")}---|`,
    ...tools.map((tool) => `| ${tool} | ${of(tool).map(cell).join(" | ")} | ${reasons(tool)} |`),
    "",
  ].join("\n");
  writeFileSync(join(here, "../../docs/conformance-bcc.md"), text);
  console.log(`${good.length} of ${withC.length} (${tools.length} tools)`);
}

if (flags.report) report();
else if (flags.load !== undefined)
  console.log(`\n${JSON.stringify(await load(deserialize(readFileSync(flags.load))))}`);
else await survey();
