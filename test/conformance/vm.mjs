// node test/conformance/vm.mjs KERNEL [CORPUS...]: lets libbpf and Skep load the corpus on a kernel of the test VM (5.10, 6.1, 6.12, 7.2). What they
// did is kept where `compare.mjs --again --kernel vm-KERNEL` looks for it.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { compileReferee, refereePath, watch } from "./observe.mjs";
import { cacheDirectory } from "./sources.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const [kernel = "6.1", ...corpora] = process.argv.slice(2);
const dist = process.env["SKEP_DIST"] ?? join(here, "../../dist");

compileReferee("new");
for (const corpus of corpora.length > 0 ? corpora : ["libbpf-tools"]) {
  const objects = join(cacheDirectory(), "objects", corpus);
  for (const [side, command] of /** @type {const} */ ([
    ["new", refereePath("new")],
    ["skep", `${process.execPath} ${join(here, "ours.mjs")} --dist ${dist}`],
  ])) {
    // In one process, since each start of a process costs an emulated machine seconds.
    const script = [
      `cd ${objects}`,
      `export SKEP_WATCH=/tmp/record SKEP_CGROUP=/sys/fs/cgroup`,
      `unshare --net env LD_PRELOAD=${watch} ${command} *.bpf.o >/tmp/said 2>&1 || tail -5 /tmp/said >&2`,
      `gzip -9 </tmp/record | base64 -w 0`,
    ].join("\n");
    const args = [join(here, "../vm/run.mjs"), "-k", kernel, "-m", "2048", "-t", "1500", "--", "bash", "-c", script];
    const begun = Date.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { maxBuffer: 1 << 28, encoding: "utf8" });
    if (stderr.trim() || status !== 0) console.error(`${kernel} ${side}: status ${status}: ${stderr.trim()}`);
    const record = gunzipSync(Buffer.from(stdout, "base64")).toString();
    const directory = join(cacheDirectory(), "results", `vm-${kernel}`, side, corpus);
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
    const all = readdirSync(objects).filter((name) => name.endsWith(".bpf.o")).length;
    const seconds = Math.round((Date.now() - begun) / 1000);
    console.log(`${kernel}: ${side} answered for ${byObject.size} of ${all} objects of ${corpus} in ${seconds} s`);
  }
}
