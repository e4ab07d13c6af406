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
const [isa, object, btf, kernels, runtime] = await Promise.all(
  ["isa/index.js", "object/index.js", "btf/index.js", "kernel/index.js", "runtime/index.js"].map(built),
);

const out = process.env["SKEP_WATCH"] ?? "/dev/stdout";
/** @param {object} line */
const say = (line) => appendFileSync(out, `${JSON.stringify(line)}\n`);

/** Types of map that are made with no entries (perf event arrays, local storage, struct_ops), as in `give_sizes` of referee.c. */
const WITHOUT_ENTRIES = new Set([4, 19, 21, 24, 26, 28, 29, 32]);
const STACK_TRACE = 7;
const STRUCT_OPS = 26;
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

const { CGROUP_SKB, CGROUP_SOCK, SOCK_OPS, CGROUP_DEVICE, CGROUP_SOCK_ADDR, CGROUP_SYSCTL, CGROUP_SOCKOPT } =
  isa.ProgType;
const CGROUP_TYPES = new Set([
  CGROUP_SKB,
  CGROUP_SOCK,
  SOCK_OPS,
  CGROUP_DEVICE,
  CGROUP_SOCK_ADDR,
  CGROUP_SYSCTL,
  CGROUP_SOCKOPT,
]);
const LOOPBACK = 1;

/** A place for programs of types whose sections say none, as in `attach` of referee.c. @param {any} program */
function placeOf({ type, expectedAttachType }) {
  const { ProgType, AttachType } = isa;
  if (CGROUP_TYPES.has(type)) return { kind: "cgroup", path: process.env["SKEP_CGROUP"] ?? "/sys/fs/cgroup" };
  if (type === ProgType.XDP && (expectedAttachType === AttachType.XDP || expectedAttachType === 0))
    return { kind: "xdp", device: LOOPBACK };
  if (type === ProgType.FLOW_DISSECTOR || type === ProgType.SK_LOOKUP) return { kind: "netns" };
  if (type === ProgType.SCHED_CLS && expectedAttachType === AttachType.TCX_INGRESS)
    return { kind: "tcx", device: LOOPBACK, direction: "ingress" };
  if (type === ProgType.SCHED_CLS && expectedAttachType === AttachType.TCX_EGRESS)
    return { kind: "tcx", device: LOOPBACK, direction: "egress" };
  if (type === ProgType.NETFILTER) return { kind: "netfilter", family: 2, hook: 0, priority: -128 };
  return undefined;
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

/**
 * Loads, then attaches by `attach`.
 * @param {any} spec @param {(loaded: any) => { close(): void }} [attach]
 */
function loadAndAttach(spec, attach) {
  let loaded;
  try {
    loaded = kernel.load({ ...spec, maps: spec.maps.map(sized) }, coreBtf ? { coreBtf } : {});
  } catch (error) {
    say({ loaded: errorOf(error), why: whyOf(error) });
    return;
  }
  say({ loaded: 0, why: "" });
  try {
    if (!attach || flags["no-attach"]) return;
    attach(loaded).close();
    say({ attached: 0, why: "" });
  } catch (error) {
    say({ attached: errorOf(error), why: whyOf(error) });
  } finally {
    loaded.close();
  }
}

/** @param {any} spec @param {any} program */
function oneProgram(spec, program) {
  const programs = spec.programs.map((/** @type {any} */ other) => ({
    ...other,
    autoload: other.name === program.name,
  }));
  loadAndAttach({ ...spec, programs }, (loaded) =>
    runtime.attachProgram(kernel, loaded, program.name, placeOf(program)),
  );
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
      // libbpf's name of the four common sections, and of all that begin zeroed, is the kernel's.
      map: COMMON_SECTIONS.has(map.name) || map.name.startsWith(".bss.") ? (map.kernelName ?? map.name) : map.name,
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
  say({ program: "(all)", section: "", type: 0, attachType: 0, autoload: 1 });
  loadAndAttach(spec);
  for (const map of spec.maps) {
    if (map.type !== STRUCT_OPS) continue;
    say({ program: `struct_ops ${map.name}`, section: "", type: 0, attachType: 0, autoload: 1 });
    loadAndAttach(spec, (loaded) => kernel.attachStructOps(loaded.map(map.name)));
  }
}
