/** `skep features`: the probes of kernel/linux, in text and JSON. */
import { nearestNames, UsageError } from "../base/index.ts";
import { ProgType, helperByName, helperNames } from "../isa/index.ts";
import {
  checkPrivileges,
  featureGroups,
  featuresNamed,
  hasKernelBtf,
  iteratorNames,
  kernelFeatures,
  kfuncNames,
  lsmHookNames,
  machine,
  probeFeatures,
  probeHelper,
  probeKfunc,
  rawTracepointNames,
  reportOf,
  structOpsNames,
} from "../kernel/linux/index.ts";
import type { FeatureGroup, Listed, ProbeAnswer, ProbeVerdict } from "../kernel/linux/index.ts";
import type { Arguments } from "./arguments.ts";
import { writeOut } from "./write.ts";

/** An answer to show. */
interface Row extends ProbeAnswer {
  readonly name: string;
  readonly summary?: string;
  readonly since?: string;
}

/** Rows under a heading. */
interface Section {
  readonly heading: string;
  readonly rows: readonly Row[];
}

const SIGNS: Readonly<Record<ProbeVerdict, string>> = { yes: "yes", no: "no", "cannot tell": "?" };

/** Exit status for answers that were asked for by name. */
const STATUSES: Readonly<Record<ProbeVerdict, number>> = { yes: 0, no: 1, "cannot tell": 3 };

/** Program types that helpers can be asked of. */
const programTypes = Object.entries(ProgType).filter(([name]) => name !== "UNSPEC" && name !== "EXT");

function helperRow(helper: string, typeName: string, type: number): Row {
  return { name: `${typeName.toLowerCase()}`, ...probeHelper(helper, type) };
}

/** What a word of the command line names: features, a helper, a kernel function. Throws UsageError when it is none of them. */
function sectionsOf(word: string): Section[] {
  const features = featuresNamed(word);
  if (features.length > 0) return [{ heading: "", rows: features.map(reportOf) }];
  if (helperByName(word) !== undefined) {
    const name = `bpf_${word.replace(/^bpf_/, "")}`;
    return [
      { heading: `${name} in programs of type`, rows: programTypes.map(([type, id]) => helperRow(name, type, id)) },
    ];
  }
  const kfunc = word.replace(/^kfunc\//, "");
  if (/^\w+$/.test(kfunc)) {
    const answer = probeKfunc(kfunc);
    if (answer.answer === "yes" || word.startsWith("kfunc/"))
      return [{ heading: "", rows: [{ name: `kfunc/${kfunc}`, ...answer }] }];
  }
  const own = kernelFeatures().map(({ name }) => name.slice(name.indexOf("/") + 1));
  const near = nearestNames(word, [...new Set([...own, ...helperNames()])], 3);
  const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : "skep features lists them";
  throw new UsageError(
    `skep features: no feature, helper or kernel function is called ${JSON.stringify(word)} (${hint})`,
  );
}

/** The answers to words: a helper is there when some program type may call it. */
function verdictOf({ heading, rows }: Section): ProbeVerdict[] {
  const verdicts = rows.map(({ answer }) => answer);
  if (heading === "") return verdicts;
  return [verdicts.includes("yes") ? "yes" : verdicts.includes("cannot tell") ? "cannot tell" : "no"];
}

function line(row: Row, width: number, verbose: boolean): string {
  // What the lack of privileges hides is said once, above all.
  const silent = row.answer === "yes" || (row.answer === "cannot tell" && !verbose && !checkPrivileges().ok);
  const details = [
    silent ? (row.summary ?? "") : (row.reason ?? row.summary ?? ""),
    ...(verbose && row.since !== undefined ? [`since ${row.since}`] : []),
  ].filter((detail) => detail !== "");
  const first = `  ${row.name.padEnd(width)}  ${SIGNS[row.answer].padEnd(3)}  ${details.join("; ")}`.trimEnd();
  return verbose ? `${first}\n  ${" ".repeat(width)}       ${row.evidence}` : first;
}

function text(sections: readonly Section[], verbose: boolean): string {
  return sections
    .map(({ heading, rows }) => {
      const width = Math.max(...rows.map(({ name }) => name.length));
      const lines = rows.map((row) => line(row, width, verbose));
      return [...(heading === "" ? [] : [heading]), ...lines].join("\n");
    })
    .join("\n\n");
}

/** Names in lines of a hundred characters. */
function wrapped(names: readonly string[]): string {
  const lines: string[] = [];
  let last = "";
  for (const name of names) {
    if (last !== "" && last.length + 1 + name.length > 98) {
      lines.push(last);
      last = "";
    }
    last = last === "" ? name : `${last} ${name}`;
  }
  return [...lines, last].map((one) => `  ${one}`).join("\n");
}

function listedNames(list: readonly Listed[]): string[] {
  return list.map(({ name, module }) => (module === undefined ? name : `${module}:${name}`));
}

/** The lists that the kernel's BTF has; empty without BTF. */
function lists(): Record<string, readonly string[]> {
  if (!hasKernelBtf()) return {};
  return {
    "Kernel functions": kfuncNames() ?? [],
    Iterators: listedNames(iteratorNames()),
    "LSM hooks": listedNames(lsmHookNames()),
    "Structs that programs implement": listedNames(structOpsNames()),
    "Raw tracepoints": listedNames(rawTracepointNames()),
  };
}

/** Helpers by program type, and what could not be told. */
function helperMatrix(): Map<string, { readonly yes: string[]; readonly unknown: string[]; reason?: string }> {
  const matrix = new Map<string, { yes: string[]; unknown: string[]; reason?: string }>();
  for (const [name, type] of programTypes) {
    const row: { yes: string[]; unknown: string[]; reason?: string } = { yes: [], unknown: [] };
    for (const helper of helperNames()) {
      const { answer, reason } = probeHelper(helper, type);
      if (answer === "yes") row.yes.push(helper);
      if (answer !== "cannot tell") continue;
      row.unknown.push(helper);
      if (reason !== undefined) row.reason = reason;
    }
    matrix.set(name.toLowerCase(), row);
  }
  return matrix;
}

/** Shown first: what the answers depend on besides the kernel. */
function system(): string[] {
  const privileges = checkPrivileges();
  const lines = [`Linux ${machine.source.release}, ${process.arch}`];
  if (!privileges.ok)
    lines.push(`  Much cannot be told: this process lacks ${privileges.missing}; ${privileges.mend}.`);
  if (machine.lockdown !== "none") lines.push(`  The kernel is locked down (${machine.lockdown}).`);
  return lines;
}

function allGroups(): Section[] {
  const reports = probeFeatures();
  return (Object.keys(featureGroups) as FeatureGroup[]).map((group) => ({
    heading: featureGroups[group],
    rows: reports
      .filter((report) => report.group === group)
      .map((report) => ({ ...report, name: report.name.slice(group.length + 1) })),
  }));
}

/** A section for JSON: its answers, or one of a helper with its program types. */
function plain({ heading, rows }: Section): readonly object[] {
  return heading === "" ? rows : [{ name: heading.split(" ")[0], types: rows }];
}

/** Shows features; resolves with the exit status. */
export async function featuresCommand(args: Arguments): Promise<number> {
  const json = args.options.has("json");
  const verbose = args.options.has("verbose");
  const all = args.options.has("all");
  if (args.operands.length > 0) {
    const sections = args.operands.flatMap(sectionsOf);
    const shown = checkPrivileges().ok ? [text(sections, verbose)] : [...system(), text(sections, verbose)];
    writeOut(`${json ? JSON.stringify({ features: sections.flatMap(plain) }, null, 2) : shown.join("\n")}\n`);
    return Math.max(...sections.flatMap(verdictOf).map((verdict) => STATUSES[verdict]));
  }
  if (json) {
    const helpers = all ? Object.fromEntries([...helperMatrix()].map(([type, row]) => [type, row])) : undefined;
    const more = all ? { helpers, lists: lists() } : {};
    const { release, version } = machine.source;
    writeOut(`${JSON.stringify({ kernel: { release, version }, features: probeFeatures(), ...more }, null, 2)}\n`);
    return 0;
  }
  const parts = [system().join("\n"), text(allGroups(), verbose)];
  if (all) {
    for (const [type, { yes, unknown, reason }] of helperMatrix()) {
      const more = unknown.length === 0 ? "" : `; ${unknown.length} cannot be told: ${reason}`;
      parts.push(`Helpers of ${type}: ${yes.length}${more}${yes.length === 0 ? "" : `\n${wrapped(yes)}`}`);
    }
    for (const [heading, names] of Object.entries(lists()))
      parts.push(`${heading}: ${names.length}${names.length === 0 ? "" : `\n${wrapped(names)}`}`);
  } else if (!verbose) {
    parts.push("skep features --all also lists helpers, kernel functions and places to attach; -v shows the evidence.");
  }
  writeOut(`${parts.join("\n\n")}\n`);
  return 0;
}
