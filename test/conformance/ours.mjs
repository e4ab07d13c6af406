// What Skep makes of objects, in the same lines as referee.c:
//   SKEP_WATCH=out.jsonl LD_PRELOAD=./watch.so node ours.mjs [--no-attach] [--btf FILE] [--dist DIR] OBJECT...
import { appendFileSync, readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { constants } from "node:os";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { "no-attach": { type: "boolean" }, btf: { type: "string" }, dist: { type: "string" } },
});
const dist = resolve(flags.dist ?? new URL("../../dist", import.meta.url).pathname);
/** @param {string} path */
const built = (path) => import(pathToFileURL(`${dist}/${path}`).href);
const [object, btf, kernels, runtime] = await Promise.all(
  ["object/index.js", "btf/index.js", "kernel/index.js", "runtime/index.js"].map(built),
);

const out = process.env["SKEP_WATCH"] ?? "/dev/stdout";
/** @param {object} line */
const say = (line) => appendFileSync(out, `${JSON.stringify(line)}\n`);

/** Types of map that are made with no entries (perf event arrays, local storage, struct_ops), as in `give_sizes` of referee.c. */
const WITHOUT_ENTRIES = new Set([4, 24, 25, 26, 28, 29, 32]);
const STACK_TRACE = 7;
const RING_BUFFERS = new Set([27, 31]);

const COMMON_SECTIONS = new Set([".data", ".rodata", ".bss", ".kconfig"]);

/** @param {any} map */
function sized(map) {
  const maxEntries =
    map.maxEntries === 0 && !WITHOUT_ENTRIES.has(map.type)
      ? RING_BUFFERS.has(map.type)
        ? 4096
        : 1024
      : map.maxEntries;
  const valueSize = map.type === STACK_TRACE && map.valueSize === 0 ? 127 * 8 : map.valueSize;
  return maxEntries === map.maxEntries && valueSize === map.valueSize ? map : { ...map, maxEntries, valueSize };
}

/** The errno behind an error, or what kind of error it is. @param {any} error @returns {number | string} */
function errorOf(error) {
  for (let at = error; at; at = at.cause) {
    const name = at.errno ?? at.errnoName;
    if (typeof name === "number") return Math.abs(name);
    if (typeof name === "string" && name in constants.errno) return constants.errno[/** @type {"EPERM"} */ (name)];
  }
  return error.code ?? error.name;
}

/** @param {any} error */
const whyOf = (error) => String(error.message).split("\n")[0]?.slice(0, 300) ?? "";

const kernel = new kernels.LinuxKernel();
const coreBtf = flags.btf ? btf.Btf.parse(readFileSync(flags.btf), { section: ".BTF" }) : undefined;

/** @param {any} spec @param {any} program */
function oneProgram(spec, program) {
  let loaded;
  try {
    loaded = kernel.load(
      {
        ...spec,
        maps: spec.maps.map(sized),
        programs: spec.programs.map((/** @type {any} */ other) => ({
          ...other,
          autoload: other.name === program.name,
        })),
      },
      coreBtf ? { coreBtf } : {},
    );
  } catch (error) {
    say({ loaded: errorOf(error), why: whyOf(error) });
    return;
  }
  say({ loaded: 0, why: "" });
  try {
    if (flags["no-attach"]) return;
    const attached = runtime.attachProgram(kernel, loaded, program.name);
    say({ attached: attached.links.length > 0 ? 0 : "nowhere", why: "" });
    attached.close();
  } catch (error) {
    say({ attached: errorOf(error), why: whyOf(error) });
  } finally {
    loaded.close();
  }
}

for (const path of positionals) {
  let spec;
  try {
    spec = object.readObject(readFileSync(path), { name: basename(path) });
  } catch (error) {
    say({ object: basename(path), opened: errorOf(error), why: whyOf(error) });
    continue;
  }
  say({ object: basename(path), opened: 0 });
  for (const map of spec.maps)
    say({
      // libbpf's name of the four common sections is the kernel's.
      map: COMMON_SECTIONS.has(map.name) ? (map.kernelName ?? map.name) : map.name,
      type: map.type,
      key: map.keySize,
      value: map.valueSize,
      entries: map.maxEntries,
      flags: map.flags,
    });
  for (const program of spec.programs) {
    say({
      program: program.name,
      section: program.section,
      type: program.type,
      attachType: program.expectedAttachType,
      autoload: program.autoload === false ? 0 : 1,
    });
    oneProgram(spec, program);
  }
}
