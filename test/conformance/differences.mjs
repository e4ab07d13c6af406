// Where two loaders differ on one program.

/**
 * @typedef {import("./observe.mjs").Program} Program
 * @typedef {import("./observe.mjs").Call} Call
 */

/**
 * The last time that the program itself was handed to the kernel; of several whose names begin alike, the one with these instructions.
 * @param {Program} program @param {string} [insns] @returns {Call | undefined}
 */
export function loadOf(program, insns) {
  const name = program.name.slice(0, 15);
  const loads = program.calls.filter(({ call, name: called }) => call === "prog_load" && called === name);
  return loads.findLast((load) => load["insns"] === insns) ?? loads.at(-1);
}

/** What the kernel got, field by field. */
const FIELDS = [
  "type",
  "attachType",
  "flags",
  "attachBtfId",
  "attachOther",
  "license",
  "funcInfo",
  "lineInfo",
  "insns",
];

/**
 * @typedef {{ what: string, ours: string, theirs: string }} Difference
 * @param {Program} ours @param {Program} theirs @returns {Difference[]}
 */
export function differences(ours, theirs) {
  /** @type {Difference[]} */
  const found = [];
  /** @param {string} what @param {unknown} a @param {unknown} b */
  const check = (what, a, b) => {
    if (a !== b) found.push({ what, ours: String(a), theirs: String(b) });
  };
  const loads = (/** @type {Program} */ { loaded }) => (loaded === 0 ? "yes" : "no");
  const attaches = (/** @type {Program} */ { attached }) =>
    attached === undefined ? "not tried" : attached === 0 ? "yes" : "no";
  for (const field of /** @type {const} */ (["section", "type", "attachType", "autoload"]))
    check(`opened: ${field}`, ours[field], theirs[field]);
  check("loads", loads(ours), loads(theirs));
  const mine = loadOf(ours);
  const its = loadOf(theirs, mine?.["insns"]);
  check("handed to the kernel", mine !== undefined, its !== undefined);
  if (mine && its) {
    for (const field of FIELDS) {
      if (field === "insns") {
        if (mine[field] !== its[field]) found.push(instructionDifference(mine[field], its[field]));
      } else check(field, mine[field], its[field]);
    }
    if (ours.loaded !== 0 && theirs.loaded !== 0) check("errno", mine.errno, its.errno);
    check("maps", JSON.stringify(sorted(mine["maps"])), JSON.stringify(sorted(its["maps"])));
  }
  if (ours.loaded === 0 && theirs.loaded === 0) check("attaches", attaches(ours), attaches(theirs));
  if (ours.attached === 0 && theirs.attached === 0) check("attached by", attachCalls(ours), attachCalls(theirs));
  return found;
}

/**
 * The programs of a whole object that were handed over, in order, each once however often it was tried.
 * @param {Program} program @param {ReadonlySet<string>} names of the object's programs, as the kernel sees them
 */
export function loadedInOrder({ calls }, names) {
  const texts = calls
    .filter(({ call, name }) => call === "prog_load" && names.has(name))
    .map((load) => `${load["name"]} ${load["insns"].length / 16}${load.errno === 0 ? "" : " refused"}`);
  return texts.filter((text, index) => text !== texts[index - 1]).join(", ");
}

/** @param {any[]} maps */
const sorted = (maps) => maps.toSorted((a, b) => (a.name < b.name ? -1 : 1));

/** What attached a program, each call once, CPUs and files beside; two calls that do the same are called by one name. @param {Program} program */
function attachCalls({ calls, loadedAt }) {
  const lines = calls
    .slice(loadedAt)
    .filter(({ call, errno }) => errno === 0 && call !== "map_create" && call !== "prog_load")
    .map((full) => {
      const { errno: _errno, ...call } = full;
      // A program that names its own target is attached by opening a raw tracepoint without a name, or by a link of its attach type.
      const isTracing = call.call === "raw_tracepoint_open" ? !call["name"] : TRACING.has(call["attachType"]);
      if (isTracing) return "tracing link";
      // Tracepoints and probes fire every time, whatever the period says.
      if (call.call === "perf_event_open" && call["type"] !== 0 && call["type"] !== 1) delete call["period"];
      return JSON.stringify(call);
    });
  return [...new Set(lines)].toSorted().join(" ");
}

/** `BPF_TRACE_RAW_TP`, `FENTRY`, `FEXIT`, `MODIFY_RETURN`, `LSM_MAC`, `FSESSION`. */
const TRACING = new Set([23, 24, 25, 26, 27, 58]);

/** @param {string} ours @param {string} theirs @returns {Difference} */
function instructionDifference(ours, theirs) {
  const [a, b] = [ours, theirs].map((hex) => hex.match(/.{16}/g) ?? []);
  if (a?.length !== b?.length) return { what: "instructions", ours: `${a?.length}`, theirs: `${b?.length}` };
  const at = (a ?? []).findIndex((insn, index) => insn !== b?.[index]);
  const count = (a ?? []).filter((insn, index) => insn !== b?.[index]).length;
  return { what: `instruction ${at} (${count} differ)`, ours: a?.[at] ?? "", theirs: b?.[at] ?? "" };
}
