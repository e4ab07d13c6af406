// node test/conformance/c-report.mjs [-o FILE]: what became of the corpora that c-build.mjs compiled and compare.mjs and vm.mjs loaded, beside the
// objects of clang: what compiles, and whether the kernel says the same of each program. Ends with 1 when a difference has no reason.
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { importSource } from "../support/bundle.mjs";
import { readRecord } from "./observe.mjs";
import { compileReasons, verdictReasons } from "./c-reasons.mjs";
import { cacheDirectory } from "./sources.mjs";

const { values: options } = parseArgs({ options: { output: { type: "string", short: "o" } } });
const { instructionsOf } = await importSource(new URL("c-compile.ts", import.meta.url));

/** Corpora as c-build.mjs names them, and the one of clang's objects. */
const CORPORA = /** @type {const} */ ([
  { name: "fixtures-c", clang: "fixtures", title: "fixtures: our own programs" },
  { name: "libbpf-tools-c", clang: "libbpf-tools", title: "libbpf-tools" },
  {
    name: "libbpf-tools-c-vmlinux",
    clang: "libbpf-tools",
    title: "libbpf-tools, with the real vmlinux.h and libbpf's headers",
  },
  { name: "selftests-c", clang: "selftests", title: "selftests of Linux 6.1" },
]);

/** @type {string[]} */
const page = [];
let unexplained = 0;

/** @param {string} kernel @param {string} corpus @returns {Map<string, import("./observe.mjs").ObjectResult>} */
function records(kernel, corpus) {
  const directory = join(cacheDirectory(), "results", kernel, "new", corpus);
  if (!existsSync(directory)) return new Map();
  return new Map(
    readdirSync(directory)
      .filter((file) => file.endsWith(".jsonl"))
      .map((file) => [file.replace(/\.jsonl$/, ""), readRecord(join(directory, file), "")]),
  );
}

/** @param {string} kernel */
const nameOf = (kernel) => kernel.replace(/^vm-(.*)$/, "$1 (Debian)");

for (const { name, clang, title } of CORPORA) {
  const path = join(cacheDirectory(), `${name}.json`);
  if (!existsSync(path)) continue;
  /** @type {Record<string, { clang: boolean, ok: boolean, why: string, ms: number, instructions: number }>} */
  const compiled = JSON.parse(readFileSync(path, "utf8"));
  const sources = Object.entries(compiled).filter(([, one]) => one.clang);
  const done = sources.filter(([, one]) => one.ok);
  const ms = done.map(([, one]) => one.ms).toSorted((a, b) => a - b);
  page.push(`## ${title}`, "");
  page.push(
    `${done.length} of ${sources.length} sources that clang compiles compile (${((100 * done.length) / sources.length).toFixed(1)} %); median ${ms[ms.length >> 1]} ms a source.`,
    "",
  );
  console.log(`${name}: ${done.length} of ${sources.length} compile`);
  const refused = sources.filter(([, one]) => !one.ok);
  if (refused.length > 0) {
    page.push("| Source | Error | Reason |", "|---|---|---|");
    for (const [source, { why }] of refused) {
      const reason = compileReasons.find((entry) => entry.source.test(source) && entry.why.test(why))?.reason ?? "";
      if (!reason) {
        unexplained++;
        console.log(`${source}: ${why}`);
      }
      page.push(`| ${source} | ${cell(why.replace(/^\S*\/(?=[\w.]+:\d)/, ""))} | ${reason} |`);
    }
    page.push("");
  }
  verdicts(name, clang);
  if (name === "libbpf-tools-c") instructions(compiled);
}

/** @param {string} text */
function cell(text) {
  return text.replace(/\|/g, "\\|").slice(0, 160);
}

/** Verdicts of the kernels on both compilers' objects. @param {string} name @param {string} clang */
function verdicts(name, clang) {
  /** @type {string[]} */
  const rows = [];
  const kernels = [release(), "vm-5.10", "vm-6.1", "vm-6.12", "vm-7.2"].filter(
    (kernel) => records(kernel, name).size > 0,
  );
  if (kernels.length === 0) return;
  page.push(
    "| Linux | programs of both | clang's load | ours load | same verdict | clang's attach | ours attach |",
    "|---|--:|--:|--:|--:|--:|--:|",
  );
  for (const kernel of kernels) {
    const theirs = records(kernel, clang);
    let [programs, itsLoaded, ourLoaded, same, itsAttached, ourAttached] = [0, 0, 0, 0, 0, 0];
    for (const [object, ours] of records(kernel, name)) {
      const its = theirs.get(object);
      if (its === undefined) continue;
      for (const program of new Set([...its.programs.keys(), ...ours.programs.keys()])) {
        if (program === "(all)" || program.startsWith("struct_ops ")) continue;
        const [a, b] = [ours.programs.get(program), its.programs.get(program)];
        programs++;
        if (b?.loaded === 0) itsLoaded++;
        if (a?.loaded === 0) ourLoaded++;
        if (b?.attached === 0) itsAttached++;
        if (a?.attached === 0) ourAttached++;
        if ((a?.loaded === 0) === (b?.loaded === 0)) {
          same++;
          continue;
        }
        const who = a?.loaded === 0 ? "ours loads" : "clang's loads";
        const why = (a?.loaded === 0 ? b?.why : a?.why) ?? "absent";
        const reason = verdictReasons.find(
          (entry) => entry.who === who && entry.object.test(object) && (!entry.program || entry.program.test(program)),
        )?.reason;
        if (reason === undefined) {
          unexplained++;
          console.log(`${name} on ${kernel}: ${object} ${program}: ${who}: ${why}`);
        }
        rows.push(
          `| ${object.replace(/\.bpf$/, "")} | ${program} | ${nameOf(kernel)} | ${who} | ${reason ?? cell(why)} |`,
        );
      }
    }
    page.push(
      `| ${nameOf(kernel)} | ${programs} | ${itsLoaded} | ${ourLoaded} | ${same} | ${itsAttached} | ${ourAttached} |`,
    );
    console.log(
      `${name} on ${kernel}: ${programs} programs, clang's load ${itsLoaded}, ours ${ourLoaded}, same verdict ${same}; attach ${itsAttached}, ours ${ourAttached}`,
    );
  }
  page.push("");
  if (rows.length > 0)
    page.push("| Object | Program | Linux | Difference | Reason |", "|---|---|---|---|---|", ...rows, "");
}

/** Instructions in each tool's file. @param {Record<string, { instructions: number, ms: number }>} compiled */
function instructions(compiled) {
  page.push("| Tool | instructions, clang -O2 | ours | ratio | ms |", "|---|--:|--:|--:|--:|");
  let [all, own] = [0, 0];
  for (const [source, { instructions: mine, ms }] of Object.entries(compiled)) {
    const object = join(cacheDirectory(), "objects/libbpf-tools", source.replace(/\.c$/, ".o"));
    const its = instructionsOf(readFileSync(object));
    all += its;
    own += mine;
    page.push(`| ${source.replace(/\.bpf\.c$/, "")} | ${its} | ${mine} | ${(mine / its).toFixed(2)} | ${ms} |`);
  }
  page.push(`| all | ${all} | ${own} | ${(own / all).toFixed(2)} | |`, "");
  console.log(`instructions: clang -O2 ${all}, ours ${own}, ratio ${(own / all).toFixed(3)}`);
}

const intro = `# C: clang and Skep

Made by \`npm run conformance:c\`; do not edit. Sources of three corpora, compiled by Debian's clang 14 (-O2) and by Skep with no header
on the machine: \`vmlinux.h\`, the kernel's and libbpf's headers are Skep's own. Both objects were loaded program by program by libbpf of
today. Objects that Skep wrote are loaded by Skep as by libbpf (\`compare.mjs -c libbpf-tools-c\`), which is no part of this page.
`;
if (options.output) writeFileSync(options.output, `${intro}\n${page.join("\n").trimEnd()}\n`);
console.log(unexplained === 0 ? "no difference without a reason" : `${unexplained} differences without a reason`);
process.exitCode = unexplained === 0 ? 0 : 1;
