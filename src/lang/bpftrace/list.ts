/** Lists probes, as `skep trace -l` prints them: the text is bpftrace's. */
import { type Btf, BtfKind } from "../../btf/index.ts";
import { UnsupportedError } from "../../base/index.ts";
import { readAttachPoint } from "./attach-point.ts";
import type { TraceEnvironment, TracepointField } from "./environment.ts";
import { HARDWARE_EVENTS, type PerfEventName, probeProvider, SOFTWARE_EVENTS } from "./table/probes.ts";
import { readableFields } from "./tracepoint-types.ts";
import { isPattern, matcher, shownPath } from "./wildcard.ts";

/** How probes are listed. */
export interface ListOptions {
  /** With the arguments of each probe, indented by 4 blanks. */
  readonly verbose?: boolean;
}

/** Providers whose probes can be listed, in the order in which they are. Probes of binaries are listed when a binary is named. */
const LISTED: readonly string[] = [
  "hardware",
  "interval",
  "kprobe",
  "profile",
  "rawtracepoint",
  "software",
  "tracepoint",
];

/** Providers whose second part is a count. */
const COUNTED: ReadonlySet<string> = new Set(["hardware", "software"]);

/** Units that clocks are given in, which are what can be listed of them. */
const CLOCK_UNITS: Readonly<Record<string, readonly string[]>> = {
  interval: ["hz", "ms", "s", "us"],
  profile: ["hz", "ms", "s", "us"],
};

/**
 * Lines for the probes that match a pattern: `tracepoint:sched:*`, `t:*:*open*`, `uprobe:/bin/bash:*`; without a provider the whole
 * name is matched, and text without `*` is looked for anywhere in it. `struct NAME` with `verbose` lists the fields of kernel types.
 */
export function listProbes(pattern: string, env: TraceEnvironment, options: ListOptions = {}): string[] {
  // Several patterns are separated by commas, as in front of a body.
  const several = pattern.split(",").filter((each) => each.trim() !== "");
  if (several.length > 1) return several.flatMap((each) => listProbes(each, env, options));
  const verbose = options.verbose ?? false;
  const named = /^(struct|union|enum)\s+(\S+)$/.exec(pattern.trim());
  if (named) return listTypes(named[1] as "struct" | "union" | "enum", named[2]!, env, verbose);
  const raw = readAttachPoint(pattern.trim(), 0, env.positional);
  const first = raw.provider.text;
  const provider = isPattern(first) || raw.parts.length === 0 ? undefined : probeProvider(first);
  if (provider?.name === "uprobe" || provider?.name === "uretprobe") return listBinaries(provider.name, raw.parts, env);
  // A path behind a pattern of providers is a binary.
  const binary = /^([^:/]*\*[^:/]*):([^:]*\/[^:]*)(?::(.*))?$/.exec(pattern.trim());
  if (binary) {
    const parts = [binary[2]!, binary[3] ?? "*"].map((text) => ({ text }));
    return ["uprobe", "uretprobe"].filter(matcher(binary[1]!)).flatMap((name) => listBinaries(name, parts, env));
  }
  let matches: (name: string) => boolean;
  let providers = LISTED;
  if (provider) {
    providers = [provider.name];
    const parts = raw.parts.map((p) => p.text);
    // Clocks are listed by their units and events by their names, whatever the rate or count is.
    const counted = CLOCK_UNITS[provider.name] ?? COUNTED.has(provider.name);
    if (counted && /^[0-9]/.test(parts[1] ?? "")) parts[1] = "";
    matches = matcher(`${provider.name}:${parts.join(":")}`);
  } else if (raw.parts.length > 0) {
    matches = matcher(pattern.trim());
    providers = LISTED.filter(matcher(first));
  } else {
    const alone = probeProvider(first);
    if (alone && LISTED.includes(alone.name)) {
      providers = [alone.name];
      matches = () => true;
    } else matches = matcher(isPattern(first) || first === "" ? first || "*" : `*${first}*`);
  }
  const out: string[] = [];
  for (const name of providers) list(name, env, matches, verbose, out);
  return out;
}

function list(
  provider: string,
  env: TraceEnvironment,
  matches: (name: string) => boolean,
  verbose: boolean,
  out: string[],
): void {
  switch (provider) {
    case "hardware":
      listEvents("hardware", HARDWARE_EVENTS, matches, out);
      break;
    case "software":
      listEvents("software", SOFTWARE_EVENTS, matches, out);
      break;
    case "tracepoint":
      // By the whole name, in which fib6:... comes before fib:...
      for (const full of tracepoints(env).toSorted()) {
        const name = `tracepoint:${full}`;
        if (!matches(name)) continue;
        out.push(name);
        if (verbose) out.push(...tracepointArguments(env, full));
      }
      break;
    case "rawtracepoint": {
      const events = new Set<string>();
      for (const full of tracepoints(env)) {
        if (!full.startsWith("syscalls:")) events.add(full.slice(full.indexOf(":") + 1));
      }
      for (const event of [...events].toSorted()) {
        const name = `rawtracepoint:${event}`;
        // The kernel has a type for the event where programs can be attached.
        if (!matches(name) || (env.btf && !env.btf.typedefByName(`btf_trace_${event}`))) continue;
        out.push(name);
        if (verbose && env.btf) out.push(...rawArguments(env.btf, event));
      }
      break;
    }
    case "interval":
    case "profile":
      for (const unit of CLOCK_UNITS[provider]!) {
        const name = `${provider}:${unit}:`;
        if (matches(name) || matches(name.slice(0, -1))) out.push(name);
      }
      break;
    case "kprobe":
      if (env.kprobeProblem !== null) break;
      for (const func of env.kernelFunctions() ?? []) if (matches(`kprobe:${func}`)) out.push(`kprobe:${func}`);
      break;
  }
}

/** Events of perf are listed under all their names, with a colon for the count that may follow. */
function listEvents(
  provider: string,
  events: readonly PerfEventName[],
  matches: (name: string) => boolean,
  out: string[],
): void {
  const names = events.flatMap((e) => [e.name, ...e.aliases.filter((a) => !a.startsWith("stalled-"))]);
  for (const name of names.toSorted()) {
    const full = `${provider}:${name}:`;
    if (matches(full) || matches(full.slice(0, -1))) out.push(full);
  }
}

function tracepoints(env: TraceEnvironment): readonly string[] {
  try {
    return env.tracepoints();
  } catch (cause) {
    if (cause instanceof UnsupportedError) return [];
    throw cause;
  }
}

function listBinaries(provider: string, parts: readonly { readonly text: string }[], env: TraceEnvironment): string[] {
  const matches = matcher(parts.length > 1 ? parts.at(-1)!.text || "*" : "*");
  const out: string[] = [];
  for (const binary of env.binaries(parts[0]!.text, env.pid)) {
    const names = new Set(binary.functions().map((f) => f.name));
    const path = shownPath(parts[0]!.text, binary.path);
    for (const name of [...names].toSorted()) if (matches(name)) out.push(`${provider}:${path}:${name}`);
  }
  return out;
}

/** A field as C declares it: `char comm[16]`; dynamic fields as formats write them: `__data_loc char[] filename`. */
function declaration(field: TracepointField): string {
  const array =
    field.ctype.startsWith("__") && /_loc /.test(field.ctype) ? null : /^(.*?)\s*(\[[^\]]*\])$/.exec(field.ctype);
  return array ? `${array[1]} ${field.name}${array[2]}` : `${field.ctype} ${field.name}`;
}

function tracepointArguments(env: TraceEnvironment, full: string): string[] {
  const colon = full.indexOf(":");
  const format = env.tracepointFormat(full.slice(0, colon), full.slice(colon + 1));
  return format ? readableFields(format).map((f) => `    ${declaration(f)}`) : [];
}

function rawArguments(btf: Btf, event: string): string[] {
  const typedef = btf.typedefByName(`btf_trace_${event}`);
  const pointer = typedef && btf.typeById(btf.stripModifiers(typedef.id));
  if (pointer?.kind !== BtfKind.PTR) return [];
  const proto = btf.typeById(btf.stripModifiers(pointer.typeId));
  if (proto.kind !== BtfKind.FUNC_PROTO) return [];
  const tracer = btf.funcByName(`__bpf_trace_${event}`) ?? btf.funcByName(`__traceiter_${event}`);
  const named = tracer && btf.funcProto(tracer.id);
  return proto.parameters.slice(1).map((p, i) => {
    const name = p.name || named?.parameters[i + 1]?.name || `arg${i}`;
    return `    ${cName(btf, p.typeId)} ${name}`;
  });
}

/** A type as C names it, in bpftrace's spelling: `const char *`, `struct sock *`. */
function cName(btf: Btf, id: number): string {
  const type = btf.typeById(id);
  switch (type.kind) {
    case BtfKind.UNKN:
      return "void";
    case BtfKind.PTR:
      return `${cName(btf, type.typeId)} *`;
    case BtfKind.CONST:
      return btf.kindOf(type.typeId) === BtfKind.PTR
        ? `${cName(btf, type.typeId)} const`
        : `const ${cName(btf, type.typeId)}`;
    case BtfKind.VOLATILE:
    case BtfKind.RESTRICT:
    case BtfKind.TYPE_TAG:
      return cName(btf, type.typeId);
    case BtfKind.STRUCT:
      return `struct ${type.name || "<anon>"}`;
    case BtfKind.UNION:
      return `union ${type.name || "<anon>"}`;
    case BtfKind.FWD:
      return `${type.union ? "union" : "struct"} ${type.name}`;
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
      return `enum ${type.name || "<anon>"}`;
    case BtfKind.ARRAY:
      return `${cName(btf, type.elementTypeId)}[${type.count}]`;
    case BtfKind.FUNC_PROTO: {
      const parameters = type.parameters.map((p) => cName(btf, p.typeId)).join(", ");
      return `${cName(btf, type.returnTypeId)} (${parameters})`;
    }
    default:
      return type.name;
  }
}

function listTypes(
  keyword: "struct" | "union" | "enum",
  pattern: string,
  env: TraceEnvironment,
  verbose: boolean,
): string[] {
  const { btf } = env;
  if (!btf || isPattern(pattern)) return [];
  if (keyword === "enum") {
    const type = btf.enumByName(pattern);
    if (!type) return [];
    if (!verbose) return [`enum ${pattern}`];
    return [`enum ${pattern} {`, ...type.values.map((v) => `\t${v.name} = ${v.value},`), "};", ""];
  }
  const type = keyword === "struct" ? btf.structByName(pattern) : btf.unionByName(pattern);
  if (!type) return [];
  if (!verbose) return [`${keyword} ${pattern}`];
  return [`${keyword} ${pattern} {`, ...btf.fields(type.id).map((f) => `\t${cField(btf, f)};`), "};", ""];
}

function cField(
  btf: Btf,
  field: { readonly name: string; readonly typeId: number; readonly bitfieldSize: number },
): string {
  const text = cName(btf, field.typeId);
  const array = /^(.*?)((?:\[[0-9]+\])+)$/.exec(text);
  const bits = field.bitfieldSize ? `: ${field.bitfieldSize}` : "";
  const declared = array ? `${array[1]} ${field.name}${array[2]}` : `${text} ${field.name}`;
  return `${declared.replace(/\* (?=\w+(?:\[|$))/, "*")}${bits}`;
}
