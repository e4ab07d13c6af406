// node test/conformance/vm.mjs KERNEL [CORPUS...]: lets libbpf and Skep load corpora on a kernel of the test VM (5.10, 6.1, 6.12, 7.2). What they
// did is kept where `compare.mjs --kernel vm-KERNEL` looks for it.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileReferee, refereePath, watch } from "./observe.mjs";
import { cacheDirectory } from "./sources.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const [kernel = "6.1", ...wanted] = process.argv.slice(2);
const corpora = wanted.length > 0 ? wanted : ["libbpf-tools"];
const dist = process.env["SKEP_DIST"] ?? join(here, "../../dist");
const timeoutSeconds = 1200;

/** @type {Readonly<Record<string, string>>} */
const sides = {
  new: refereePath("new"),
  skep: `${process.execPath} ${join(here, "ours.mjs")} --dist ${dist}`,
};

compileReferee("new");
// All in one boot, and one process for all objects: every start costs an emulated machine seconds.
const script = [
  "mkdir /tmp/records",
  "export SKEP_CGROUP=/sys/fs/cgroup",
  ...corpora.flatMap((corpus) => [
    `cd ${join(cacheDirectory(), "objects", corpus)}`,
    ...Object.entries(sides).map(
      ([side, command]) =>
        `SKEP_WATCH=/tmp/records/${side}.${corpus} unshare --net env LD_PRELOAD=${watch} ${command} *.bpf.o >/tmp/said 2>&1 || tail -5 /tmp/said >&2`,
    ),
  ]),
  "tar -C /tmp/records -cz . | base64 -w 0",
].join("\n");
const args = [join(here, "../vm/run.mjs"), "-k", kernel, "-m", "2048", "-t", `${timeoutSeconds}`];
const begun = Date.now();
const { status, stdout, stderr } = spawnSync(process.execPath, [...args, "--", "bash", "-c", script], {
  maxBuffer: 1 << 28,
  encoding: "utf8",
});
if (stderr.trim() || status !== 0) console.error(`${kernel}: status ${status}: ${stderr.trim()}`);
const records = mkdtempSync(join(tmpdir(), "skep-conformance-"));
try {
  execFileSync("tar", ["-C", records, "-xz"], { input: Buffer.from(stdout, "base64") });
  for (const name of readdirSync(records)) store(name, readFileSync(join(records, name), "utf8"));
} finally {
  rmSync(records, { recursive: true });
}
console.log(`${kernel}: ${Math.round((Date.now() - begun) / 1000)} s`);

/** Splits what a side said of a corpus into a file an object. @param {string} name @param {string} record */
function store(name, record) {
  const [side = "", corpus = ""] = name.split(".");
  const directory = join(cacheDirectory(), "results", `vm-${kernel}`, side, corpus);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  /** @type {Map<string, string[]>} */
  const byObject = new Map();
  let lines = /** @type {string[]} */ ([]);
  for (const line of record.split("\n").filter(Boolean)) {
    const object = /^\{"object":"([^"]*)\.o"/.exec(line)?.[1];
    if (object !== undefined) byObject.set(object, (lines = []));
    lines.push(line);
  }
  for (const [object, its] of byObject) writeFileSync(join(directory, `${object}.jsonl`), `${its.join("\n")}\n`);
  const all = readdirSync(join(cacheDirectory(), "objects", corpus)).filter((file) => file.endsWith(".bpf.o")).length;
  console.log(`${kernel}: ${side} answered for ${byObject.size} of ${all} objects of ${corpus}`);
}
