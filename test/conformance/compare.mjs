// node test/conformance/compare.mjs [OPTION...]: runs libbpf and Skep over the corpus that build.mjs makes, and says where they differ.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { differences, loadOf, loadedInOrder } from "./differences.mjs";
import { compileReferee, observe, readRecord, refereePath } from "./observe.mjs";
import { reasons } from "./reasons.mjs";
import { cacheDirectory } from "./sources.mjs";

const usage = `usage: node test/conformance/compare.mjs [OPTION...] [OBJECT...]

Opens, loads and attaches every program of every object of the corpus, alone, with libbpf and with Skep, and compares verdicts and
what the kernel was handed. Ends with 1 when a difference has no reason in reasons.mjs.

  -c, --corpus NAME    fixtures, libbpf-tools, selftests, selftests-6.12; may be repeated (default all)
  -r, --referee NAME   debian, new: the packaged libbpf, or that of today (default new)
  -d, --dist DIR       built Skep (default: dist)
  -k, --keep           use results of the referee that are there
      --again          use all results that are there: reasons are looked for anew
      --kernel NAME    this kernel, or one of the test VM, such as vm-6.1, as vm.mjs has stored it; may be repeated
  -a, --all            print every difference, those with a reason too
  -o, --output FILE    write the table as Markdown
      --objects DIR    objects of this directory instead of a corpus
      --json           print figures and differences as JSON
      --no-attach      only load
      --show PROGRAM   print both sides' instructions of one program
`;

const here = fileURLToPath(new URL(".", import.meta.url));
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    corpus: {
      type: "string",
      short: "c",
      multiple: true,
      default: ["fixtures", "libbpf-tools", "selftests", "selftests-6.12"],
    },
    referee: { type: "string", short: "r", default: "new" },
    dist: { type: "string", short: "d", default: join(here, "../../dist") },
    keep: { type: "boolean", short: "k", default: false },
    kernel: { type: "string", multiple: true, default: [release()] },
    again: { type: "boolean", default: false },
    all: { type: "boolean", short: "a", default: false },
    output: { type: "string", short: "o" },
    objects: { type: "string" },
    json: { type: "boolean", default: false },
    "no-attach": { type: "boolean", default: false },
    show: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

/**
 * @typedef {import("./observe.mjs").ObjectResult} ObjectResult
 * @typedef {import("./observe.mjs").Program} Program
 * @typedef {import("./differences.mjs").Difference} Difference
 */

/** @param {string} kernel @param {string} corpus @param {string} side */
function resultsDirectory(kernel, corpus, side) {
  const directory = join(cacheDirectory(), "results", kernel, side, corpus);
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** @param {string} kernel @param {string} corpus @param {string} path @returns {Promise<{ ours: ObjectResult, theirs: ObjectResult }>} */
async function compareObject(kernel, corpus, path) {
  const name = basename(path).replace(/\.o$/, "");
  const flags = options["no-attach"] ? ["--no-attach"] : [];
  const their = join(resultsDirectory(kernel, corpus, options.referee), `${name}.jsonl`);
  const our = join(resultsDirectory(kernel, corpus, "skep"), `${name}.jsonl`);
  const isStored = options.again || kernel !== release();
  const theirEnd =
    isStored || (options.keep && existsSync(their))
      ? ""
      : await observe([refereePath(options.referee), ...flags, path], their);
  const ourEnd = isStored
    ? ""
    : await observe([process.execPath, join(here, "ours.mjs"), ...flags, "--dist", options.dist, path], our);
  return { ours: readRecord(our, ourEnd), theirs: readRecord(their, theirEnd) };
}

/**
 * @typedef {{ kernel: string, corpus: string, object: string, program: string, difference: Difference, reason: string | undefined, why: string }} Row
 * @typedef {Record<"objects" | "theirWhole" | "ourWhole" | "programs" | "theirs" | "ours" | "theirAttached" | "ourAttached" | "same", number>} Figures
 */

/** @param {string} kernel @param {string} corpus @returns {Promise<{ figures: Figures, rows: Row[] }>} */
async function compareCorpus(kernel, corpus) {
  const directory = options.objects ?? join(cacheDirectory(), "objects", corpus);
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith(".bpf.o")) : [];
  if (names.length === 0) throw new Error(`${directory}: no objects; run node test/conformance/build.mjs`);
  const queue = names
    .filter((name) => positionals.length === 0 || positionals.some((wanted) => name.startsWith(wanted)))
    .map((name) => join(directory, name));
  /** @type {Figures} */
  const figures = {
    objects: 0,
    theirWhole: 0,
    ourWhole: 0,
    programs: 0,
    theirs: 0,
    ours: 0,
    theirAttached: 0,
    ourAttached: 0,
    same: 0,
  };
  /** @type {Row[]} */
  const rows = [];
  const one = async (/** @type {string} */ path) => {
    const object = basename(path);
    const { ours, theirs } = await compareObject(kernel, corpus, path);
    figures.objects++;
    /** @param {string} program @param {Difference} difference @param {string} why @param {string} [section] */
    const row = (program, difference, why, section = "") => {
      const reason = reasons.find(
        (entry) =>
          entry.what.test(difference.what) &&
          (!entry.object || entry.object.test(object)) &&
          (!entry.referee || entry.referee === options.referee) &&
          (!entry.section || entry.section.test(section)) &&
          (!entry.program || entry.program.test(program)) &&
          (!entry.why || entry.why.test(why)) &&
          (!entry.kernel || entry.kernel.test(kernel)),
      )?.reason;
      rows.push({ kernel, corpus, object, program, difference, reason, why });
    };
    for (const [side, result] of /** @type {const} */ ([
      ["Skep", ours],
      [`libbpf`, theirs],
    ]))
      if (result.ended) row("", { what: `${side} ended with ${result.ended}`, ours: "", theirs: "" }, result.ended);
    if ((ours.opened === 0) !== (theirs.opened === 0))
      row(
        "",
        { what: "opens", ours: String(ours.opened), theirs: String(theirs.opened) },
        `${ours.why} | ${theirs.why}`,
      );
    if (ours.opened === 0 && theirs.opened === 0) {
      const [mine, its] = [ours, theirs].map(({ maps }) => new Map(maps.map((map) => [map.map, JSON.stringify(map)])));
      for (const name of new Set([...(its?.keys() ?? []), ...(mine?.keys() ?? [])])) {
        const [a = "absent", b = "absent"] = [mine?.get(name), its?.get(name)];
        if (a !== b) row(name, { what: "map", ours: a, theirs: b }, "");
      }
    }
    for (const name of new Set([...theirs.programs.keys(), ...ours.programs.keys()])) {
      const [mine, its] = [ours.programs.get(name), theirs.programs.get(name)];
      const isWhole = name === "(all)" || name.startsWith("struct_ops ");
      if (isWhole) {
        if (mine?.loaded === 0) figures.ourWhole++;
        if (its?.loaded === 0) figures.theirWhole++;
      } else {
        figures.programs++;
        if (mine?.loaded === 0) figures.ours++;
        if (its?.loaded === 0) figures.theirs++;
        if (mine?.attached === 0) figures.ourAttached++;
        if (its?.attached === 0) figures.theirAttached++;
      }
      if (!mine || !its) {
        if (ours.opened === 0 && theirs.opened === 0)
          row(name, { what: "program", ours: mine ? "there" : "absent", theirs: its ? "there" : "absent" }, "");
        continue;
      }
      if (options.show === name) show(mine, its);
      const found = differences(mine, its);
      if (name === "(all)") {
        const kernelNames = new Set([...theirs.programs.keys()].map((program) => program.slice(0, 15)));
        const [a, b] = [mine, its].map((whole) => loadedInOrder(whole, kernelNames));
        if (a !== b) found.push({ what: "order of programs", ours: a ?? "", theirs: b ?? "" });
      }
      if (found.length === 0 && !isWhole) figures.same++;
      for (const difference of found) row(name, difference, `${mine.why} | ${its.why}`, mine.section);
    }
  };
  const worker = async () => {
    for (let path = queue.shift(); path; path = queue.shift()) await one(path);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return { figures, rows: rows.toSorted((a, b) => (a.object + a.program < b.object + b.program ? -1 : 1)) };
}

/** @param {Program} ours @param {Program} theirs */
function show(ours, theirs) {
  const [a, b] = [ours, theirs].map((program) => (loadOf(program)?.["insns"] ?? "").match(/.{16}/g) ?? []);
  for (let at = 0; at < Math.max(a?.length ?? 0, b?.length ?? 0); at++) {
    const [mine = "-".repeat(16), its = "-".repeat(16)] = [a?.[at], b?.[at]];
    console.log(`${String(at).padStart(5)}  ${mine}  ${its}${mine === its ? "" : "  <"}`);
  }
  for (const [name, program] of /** @type {const} */ ([
    ["Skep", ours],
    ["libbpf", theirs],
  ]))
    for (const call of program.calls) console.log(name, JSON.stringify({ ...call, insns: undefined }));
}

async function main() {
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  compileReferee(options.referee);
  /** @type {string[]} */
  const page = [];
  let unexplained = 0;
  for (const corpus of options.objects === undefined ? options.corpus : [basename(options.objects)]) {
    /** @type {Map<string, Row[]>} */
    const explained = new Map();
    page.push(`## ${corpus}`, "");
    page.push(
      "| Linux | objects | libbpf loads | Skep | programs | libbpf loads | Skep | libbpf attaches | Skep | no difference |",
    );
    page.push("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (const kernel of options.kernel) {
      // On machines of the test VM only some were run.
      if (kernel !== release() && !existsSync(join(cacheDirectory(), "results", kernel, "skep", corpus))) continue;
      const { figures, rows } = await compareCorpus(kernel, corpus);
      if (options.json) {
        console.log(JSON.stringify({ corpus, figures, rows }));
        continue;
      }
      const { objects, theirWhole, ourWhole, programs, theirs, ours, theirAttached, ourAttached, same } = figures;
      const whole = [objects, theirWhole, ourWhole];
      const each = [programs, theirs, ours, theirAttached, ourAttached, same];
      page.push(`| ${[nameOf(kernel), ...whole, ...each].join(" | ")} |`);
      console.log(
        `${corpus} on Linux ${nameOf(kernel)}: ${objects} objects, of which libbpf loads ${theirWhole}, Skep ${ourWhole} whole; ${programs} programs: libbpf loads ${theirs}, Skep ${ours}; libbpf attaches ${theirAttached}, Skep ${ourAttached}; ${same} without any difference`,
      );
      const open = rows.filter(({ reason }) => reason === undefined);
      unexplained += open.length;
      for (const row of rows)
        if (row.reason !== undefined) explained.set(row.reason, [...(explained.get(row.reason) ?? []), row]);
      for (const { object, program, difference, reason, why } of options.all ? rows : open) {
        const { what, ours: mine, theirs: its } = difference;
        const because = reason === undefined ? "" : ` [${reason}]`;
        console.log(`${object} ${program}: ${what}: Skep ${mine}, libbpf ${its}${because} (${why})`);
      }
    }
    page.push("");
    if (explained.size > 0) page.push("| Difference | Linux | Programs | Of |", "|---|---|--:|---|");
    for (const [reason, of] of explained) {
      const objects = [...new Set(of.map(({ object }) => object.replace(/\.bpf\.o$/, "")))];
      const named = objects.slice(0, 6).join(", ") + (objects.length > 6 ? ` and ${objects.length - 6} more` : "");
      const kernels = [...new Set(of.map(({ kernel }) => nameOf(kernel)))];
      const where = kernels.length === options.kernel.length ? "all" : kernels.join(", ");
      const count = new Set(of.map(({ object, program }) => `${object}:${program}`)).size;
      page.push(`| ${reason} | ${where} | ${count} | ${named} |`);
    }
    page.push("");
  }
  if (options.json) return 0;
  if (options.output) writeFileSync(options.output, `${intro()}\n${page.join("\n").trimEnd()}\n`);
  console.log(unexplained === 0 ? "no difference without a reason" : `${unexplained} differences without a reason`);
  return unexplained === 0 ? 0 : 1;
}

/** @param {string} kernel */
const nameOf = (kernel) => kernel.replace(/^vm-(.*)$/, "$1 (Debian)");

function intro() {
  return `# Objects: libbpf and Skep

Made by \`npm run conformance\`; do not edit. Each program of each object was opened, loaded alone and attached where its section says, by
libbpf (${options.referee === "new" ? "built from its repository" : "Debian's 1.1"}) and by Skep. Where a section says no place, programs for network devices, network namespaces
and cgroups were attached to the loopback device, a new namespace and a new cgroup. Compared are the verdicts and, where a program was
handed to the kernel, every instruction after relocation, its type, attach type, flags and BTF target, function and line records, the
maps that it uses with the first contents of those that hold data, and the calls that attached it. Whole objects were
loaded besides, and struct_ops maps registered.

fixtures are our own programs, in \`test/programs/fixtures\`, which cover what objects can hold and are compared in every run of the tests;
libbpf-tools are the tools of bcc, and selftests those of Linux 6.1 and 6.12, compiled by Debian's clang 14, the last by clang 19.
Kernels of Debian ran in the test VM.
`;
}

process.exitCode = await main();
