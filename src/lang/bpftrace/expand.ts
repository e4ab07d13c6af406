/** From attach points as written to the places where probes go: wildcards, defaults, and what does not exist here. */
import { nearestNames, type Span, UnsupportedError } from "../../base/index.ts";
import type { AttachPoint } from "./ast.ts";
import type { ProbeTarget, ScriptConfig } from "./checked.ts";
import { didYouMean, type Reporter } from "./checker/reporter.ts";
import type { Binary, BinarySymbol, TraceEnvironment } from "./environment.ts";
import { parseInteger } from "./lexer.ts";
import { tracepointsFor } from "./table/kprobe-hints.ts";
import {
  HARDWARE_EVENTS,
  type PerfEventName,
  type ProbeProvider,
  probeProvider,
  SOFTWARE_EVENTS,
} from "./table/probes.ts";
import { isPattern, matcher, shownPath } from "./wildcard.ts";

type Part = AttachPoint["parts"][number];

/** `PERF_TYPE_*` (linux/perf_event.h). */
const PERF_TYPE_HARDWARE = 0;
const PERF_TYPE_SOFTWARE = 1;

const UNIT_NS: ReadonlyMap<string, bigint> = new Map([
  ["s", 1_000_000_000n],
  ["ms", 1_000_000n],
  ["us", 1000n],
  ["ns", 1n],
]);

/** Expands attach points. Asks the environment only for what the attach points need. */
export class Expander {
  private readonly env: TraceEnvironment;
  private readonly config: ScriptConfig;
  private readonly reporter: Reporter;

  constructor(env: TraceEnvironment, config: ScriptConfig, reporter: Reporter) {
    this.env = env;
    this.config = config;
    this.reporter = reporter;
  }

  /** The targets of an attach point, each once; none when something was reported. */
  expand(point: AttachPoint): ProbeTarget[] {
    const provider = probeProvider(point.provider);
    if (!provider) return [];
    if (!provider.supported) {
      this.error(
        point.providerSpan,
        `not supported by this version of skep yet: ${provider.name}`,
        provider.instead && `use ${provider.instead} instead`,
      );
      return [];
    }
    if (!this.checkParts(point, provider)) return [];
    try {
      return this.targets(point, provider);
    } catch (cause) {
      if (!(cause instanceof UnsupportedError)) throw cause;
      this.reporter.unsupported(point.span, cause.message);
      return [];
    }
  }

  private error(span: Span, message: string, hint?: string): void {
    this.reporter.error(span, message, hint);
  }

  /** Probes that do not exist: an error, a warning or nothing, as `missing_probes` says. */
  private missing(span: Span, message: string, hint?: string): ProbeTarget[] {
    if (this.config.missingProbes === "error") this.error(span, message, hint);
    else if (this.config.missingProbes === "warn") this.reporter.warning(span, message, hint);
    return [];
  }

  private checkParts(point: AttachPoint, provider: ProbeProvider): boolean {
    const least = provider.parts.filter((p) => !p.optional).length;
    const most = provider.parts.length;
    const { length } = point.parts;
    if (length < least || length > most) {
      const wanted = least === most ? `${least}` : `${least} or ${most}`;
      const noun = wanted === "1" ? "argument" : "arguments";
      const requires = wanted === "0" ? "requires no arguments" : `requires ${wanted} ${noun}`;
      this.error(point.span, `${provider.name} probe type ${requires}`, `write ${provider.forms.join(" or ")}`);
      return false;
    }
    // `software:faults:` is how lists write an event without a count.
    const empty = point.parts.find((p, i) => p.text === "" && provider.parts[i]?.kind !== "count");
    if (empty) {
      this.error(point.span, `${provider.name} probe: a part is empty`, `write ${provider.forms.join(" or ")}`);
      return false;
    }
    return true;
  }

  private targets(point: AttachPoint, provider: ProbeProvider): ProbeTarget[] {
    const { parts } = point;
    switch (provider.name) {
      case "begin":
      case "end":
        return [{ provider: provider.name, name: provider.name }];
      case "self":
        return this.self(parts);
      case "interval":
      case "profile":
        return this.timer(point, provider.name);
      case "tracepoint":
        return this.tracepoint(point);
      case "rawtracepoint":
        return this.rawTracepoint(point);
      case "software":
        return this.perfEvent(point, "software", PERF_TYPE_SOFTWARE, SOFTWARE_EVENTS);
      case "hardware":
        return this.perfEvent(point, "hardware", PERF_TYPE_HARDWARE, HARDWARE_EVENTS);
      case "kprobe":
      case "kretprobe":
        return this.kprobe(point, provider.name);
      case "uprobe":
      case "uretprobe":
        return this.uprobe(point, provider.name);
      default:
        return [];
    }
  }

  private self(parts: readonly Part[]): ProbeTarget[] {
    const [kind, signal] = parts;
    if (kind?.text !== "signal")
      this.error(kind!.span, `self:${kind!.text} is not a probe`, "write self:signal:SIGUSR1");
    else if (signal?.text !== "SIGUSR1") {
      this.error(
        signal!.span,
        `${signal!.text} is not supported`,
        "the tracer listens to SIGUSR1: self:signal:SIGUSR1",
      );
    } else return [{ provider: "self", signal: "SIGUSR1", name: "self:signal:SIGUSR1" }];
    return [];
  }

  private timer(point: AttachPoint, provider: "interval" | "profile"): ProbeTarget[] {
    const [unit, count] = point.parts as [Part, Part | undefined];
    const name = `${provider}:${point.parts.map((p) => p.text).join(":")}`;
    const hint = `write ${provider}:hz:99, ${provider}:ms:100 or ${provider}:1s`;
    if (!count || count.text === "") {
      // A duration such as 100ms; nanoseconds without a unit.
      const parsed = parseInteger(unit.text);
      if ("problem" in parsed) this.error(unit.span, `Invalid duration: ${unit.text}`, hint);
      else if (parsed.value === 0n) this.error(unit.span, `${provider} of 0 is not possible`, hint);
      else return [{ provider, name, periodNs: Number(parsed.value) }];
      return [];
    }
    const parsed = /^[0-9]/.test(count.text) ? parseInteger(count.text) : { problem: "" };
    if ("problem" in parsed) {
      this.error(count.span, `Invalid rate of ${provider} probe: ${count.text}`, hint);
      return [];
    }
    if (parsed.value === 0n || parsed.value > 1n << 53n) {
      this.error(count.span, `Rate of ${provider} probe is out of range: ${count.text}`, hint);
      return [];
    }
    if (unit.text === "hz") return [{ provider, name, frequencyHz: Number(parsed.value) }];
    const ns = UNIT_NS.get(unit.text);
    if (ns === undefined || unit.text === "ns") {
      this.error(
        unit.span,
        `Invalid unit of ${provider} probe: ${unit.text}`,
        didYouMean(nearestNames(unit.text, ["hz", "s", "ms", "us"]), "units are hz, s, ms, us"),
      );
      return [];
    }
    return [{ provider, name, periodNs: Number(parsed.value * ns) }];
  }

  private tracepoint(point: AttachPoint): ProbeTarget[] {
    const [category, event] = point.parts as [Part, Part];
    const target = (c: string, e: string): ProbeTarget => ({
      provider: "tracepoint",
      category: c,
      event: e,
      name: `tracepoint:${c}:${e}`,
    });
    if (!isPattern(category.text) && !isPattern(event.text)) {
      if (this.env.tracepointFormat(category.text, event.text)) return [target(category.text, event.text)];
      return this.missing(
        point.span,
        `tracepoint not found: ${category.text}:${event.text}`,
        this.tracepointHint(category.text, event.text),
      );
    }
    const inCategory = matcher(category.text);
    const isEvent = matcher(event.text);
    const out: ProbeTarget[] = [];
    for (const full of this.env.tracepoints()) {
      const colon = full.indexOf(":");
      const c = full.slice(0, colon);
      const e = full.slice(colon + 1);
      if (inCategory(c) && isEvent(e)) out.push(target(c, e));
    }
    if (out.length > 0) return out;
    return this.missing(
      point.span,
      `No matches for tracepoint:${category.text}:${event.text}`,
      this.tracepointHint(category.text.replaceAll("*", ""), event.text.replaceAll("*", "")),
    );
  }

  private tracepointHint(category: string, event: string): string | undefined {
    const all = this.env.tracepoints();
    const inCategory = all.filter((t) => t.startsWith(`${category}:`));
    if (inCategory.length === 0) {
      // An event may be known by another category, which is the better help.
      const elsewhere = all.filter((t) => t.endsWith(`:${event}`));
      if (elsewhere.length > 0) return didYouMean(elsewhere.slice(0, 3).map((t) => `tracepoint:${t}`));
      const categories = new Set(all.map((t) => t.slice(0, t.indexOf(":"))));
      return didYouMean(
        nearestNames(`${category}:${event}`, all).map((t) => `tracepoint:${t}`),
        didYouMean(nearestNames(category, categories), "list them with skep trace -l 'tracepoint:*'"),
      );
    }
    const near = nearestNames(
      event,
      inCategory.map((t) => t.slice(category.length + 1)),
    );
    return didYouMean(
      near.map((e) => `tracepoint:${category}:${e}`),
      `list them with skep trace -l 'tracepoint:${category}:*'`,
    );
  }

  private rawTracepoint(point: AttachPoint): ProbeTarget[] {
    const part = point.parts.at(-1)!;
    const module = point.parts.length === 2 ? point.parts[0]! : null;
    if (module && !matcher(module.text)("vmlinux")) {
      this.error(
        module.span,
        `raw tracepoints of modules are not supported by this version of skep yet: ${module.text}`,
        "write rawtracepoint:EVENT",
      );
      return [];
    }
    const target = (event: string): ProbeTarget => ({
      provider: "rawtracepoint",
      event,
      name: `rawtracepoint:${event}`,
    });
    const { btf } = this.env;
    if (!isPattern(part.text) && btf?.typedefByName(`btf_trace_${part.text}`)) return [target(part.text)];
    const events = this.rawTracepointNames();
    const matches = events.filter(matcher(part.text));
    if (matches.length > 0) return matches.map(target);
    return this.missing(
      point.span,
      isPattern(part.text) ? `No matches for rawtracepoint:${part.text}` : `raw tracepoint not found: ${part.text}`,
      didYouMean(nearestNames(part.text.replaceAll("*", ""), events).map((e) => `rawtracepoint:${e}`)),
    );
  }

  /** Events of all categories but those that only perf makes of system calls. */
  private rawTracepointNames(): string[] {
    const names = new Set<string>();
    for (const full of this.env.tracepoints()) {
      if (!full.startsWith("syscalls:")) names.add(full.slice(full.indexOf(":") + 1));
    }
    return [...names].toSorted();
  }

  private perfEvent(
    point: AttachPoint,
    provider: "software" | "hardware",
    perfType: number,
    events: readonly PerfEventName[],
  ): ProbeTarget[] {
    const [event, count] = point.parts as [Part, Part | undefined];
    const found = events.find((e) => e.name === event.text || e.aliases.includes(event.text));
    if (!found) {
      const names = events.flatMap((e) => [e.name, ...e.aliases]);
      this.error(
        event.span,
        `Invalid event of ${provider} probe: ${event.text}`,
        didYouMean(nearestNames(event.text, names), `events are ${events.map((e) => e.name).join(", ")}`),
      );
      return [];
    }
    let period = found.defaultPeriod;
    if (count && count.text !== "") {
      const parsed = parseInteger(count.text);
      if ("problem" in parsed || parsed.value === 0n || parsed.value > 1n << 53n) {
        this.error(
          count.span,
          `Invalid count of ${provider} probe: ${count.text}`,
          `write ${provider}:${event.text}:${period}`,
        );
        return [];
      }
      period = Number(parsed.value);
    }
    const name = `${provider}:${event.text}:${count ? count.text : ""}`;
    return [{ provider, perfType, config: found.config, period, name }];
  }

  private kprobe(point: AttachPoint, provider: "kprobe" | "kretprobe"): ProbeTarget[] {
    const part = point.parts.at(-1)!;
    const given = point.parts.length === 2 ? point.parts[0]! : null;
    const module = given?.text === "vmlinux" ? null : given;
    const { kprobeProblem } = this.env;
    const written = /^(.*?)(?:\+(0[xX][0-9a-fA-F]+|[0-9]+))?$/.exec(part.text)!;
    const func = written[1]!;
    const offset = written[2] === undefined ? 0 : Number(written[2]);
    if (kprobeProblem !== null) {
      const near = tracepointsFor(func.replaceAll("*", ""), provider === "kretprobe", this.tracepointsOrNone());
      this.reporter.unsupported(
        point.span,
        `${provider} can not be used here: ${kprobeProblem}`,
        near.length > 0
          ? `the nearest tracepoint${near.length > 1 ? "s are" : " is"} ${near.map((t) => `tracepoint:${t}`).join(", ")}`
          : "list tracepoints with skep trace -l 'tracepoint:*'",
      );
      return [];
    }
    if (provider === "kretprobe" && offset !== 0) {
      this.error(
        part.span,
        "Offset not allowed for kretprobes",
        "a kretprobe is on the return of the function: kretprobe:FUNCTION",
      );
      return [];
    }
    const target = (f: string): ProbeTarget => ({
      provider,
      func: f,
      offset,
      ...(module ? { module: module.text } : {}),
      name: `${provider}:${module ? `${module.text}:` : ""}${f}${offset ? `+${offset}` : ""}`,
    });
    const functions = this.env.kernelFunctions(module?.text);
    if (!isPattern(func)) {
      if (functions === null || functions.includes(func)) return [target(func)];
      return this.untraceable(point, provider, func, module?.text, functions);
    }
    if (functions === null) {
      this.error(
        part.span,
        `${provider}:${func}: the kernel does not tell which functions can be traced`,
        "name the functions one by one; the list is in available_filter_functions of tracefs",
      );
      return [];
    }
    const matches = functions.filter(matcher(func));
    if (matches.length === 0) return this.missing(point.span, `No matches for ${provider}:${func}`);
    return matches.map((f) => ({ ...target(f), matched: true }));
  }

  private untraceable(
    point: AttachPoint,
    provider: string,
    func: string,
    module: string | undefined,
    functions: readonly string[],
  ): ProbeTarget[] {
    if (module !== undefined) {
      if (functions.length === 0)
        return this.missing(point.span, `no kernel module is loaded that has functions to trace: ${module}`);
      const near = nearestNames(func, functions).map((f) => `${provider}:${module}:${f}`);
      return this.missing(
        point.span,
        `kernel function not found or not traceable in ${module}: ${func}`,
        didYouMean(near),
      );
    }
    if (this.env.kernelSymbol(func) !== undefined) {
      const why = "the kernel has it, and refuses probes on it (notrace, or part of the kernel's own tracing)";
      return this.missing(point.span, `kernel function not traceable: ${func}`, `${why}; trace what calls it`);
    }
    const near = nearestNames(func, functions).map((f) => `${provider}:${f}`);
    return this.missing(point.span, `kernel function not found or not traceable: ${func}`, didYouMean(near));
  }

  private tracepointsOrNone(): readonly string[] {
    try {
      return this.env.tracepoints();
    } catch (cause) {
      if (cause instanceof UnsupportedError) return [];
      throw cause;
    }
  }

  private uprobe(point: AttachPoint, provider: "uprobe" | "uretprobe"): ProbeTarget[] {
    const path = point.parts[0]!;
    const part = point.parts.at(-1)!;
    const language = point.parts.length === 3 ? point.parts[1]! : null;
    if (language && language.text !== "cpp") {
      this.error(
        language.span,
        `Invalid language: ${language.text}`,
        'only cpp stands there: uprobe:BINARY:cpp:"name"',
      );
      return [];
    }
    const binaries = this.env.binaries(path.text, this.env.pid);
    if (binaries.length === 0) {
      return this.missing(path.span, `uprobe target file '${path.text}' does not exist or is not executable`);
    }
    const out: ProbeTarget[] = [];
    for (const binary of binaries) {
      const found = this.symbols(binary, part, language !== null, provider, binaries.length > 1);
      for (const { symbol, address, fileOffset } of found) {
        out.push({
          provider,
          path: binary.path,
          symbol,
          address,
          fileOffset,
          name: `${provider}:${shownPath(path.text, binary.path)}:${symbol}`,
        });
      }
    }
    if (out.length > 0 || this.reporter.errors.length > 0) return out;
    return this.missing(part.span, `No matches for ${point.text}`);
  }

  private symbols(
    binary: Binary,
    part: Part,
    cpp: boolean,
    provider: "uprobe" | "uretprobe",
    several: boolean,
  ): { symbol: string; address: bigint; fileOffset: number }[] {
    const { text, span } = part;
    if (/^(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text)) {
      const address = BigInt(text);
      const fileOffset = binary.fileOffsetOf(address);
      if (fileOffset !== undefined) return [{ symbol: text, address, fileOffset }];
      this.missing(span, `no code at address ${text} of ${binary.path}`);
      return [];
    }
    const written = cpp ? null : /^(.+)\+(0[xX][0-9a-fA-F]+|[0-9]+)$/.exec(text);
    const name = written ? written[1]! : text;
    const offset = written ? Number(written[2]) : 0;
    if (written && provider === "uretprobe") {
      this.error(span, "uretprobes can not be attached at function offset", "write uretprobe:BINARY:FUNCTION");
      return [];
    }
    const entry = (s: BinarySymbol): { symbol: string; address: bigint; fileOffset: number } => ({
      symbol: offset ? `${s.name}+${offset}` : s.name,
      address: s.address + BigInt(offset),
      fileOffset: s.fileOffset + offset,
    });
    if (cpp) {
      const isNamed = cppMatcher(name);
      const found = binary.functions().filter((s) => isNamed(s.name));
      if (found.length === 0) this.missing(span, `no C++ function '${name}' in ${binary.path}`);
      return unique(found).map(entry);
    }
    if (isPattern(name)) {
      const matches = matcher(name);
      return unique(binary.functions().filter((s) => matches(s.name))).map(entry);
    }
    const symbol = binary.find(name);
    if (!symbol) {
      if (!several) {
        this.missing(
          span,
          `Could not resolve symbol: ${binary.path}:${name}`,
          didYouMean(
            nearestNames(
              name,
              binary.functions().map((s) => s.name),
            ),
            binary.functions().length === 0
              ? "the binary has no symbols: give an address, uprobe:BINARY:0x1234"
              : undefined,
          ),
        );
      }
      return [];
    }
    if (offset !== 0 && symbol.size !== 0 && offset >= symbol.size) {
      this.error(span, `Offset outside the function bounds ('${name}' size is ${symbol.size})`);
      return [];
    }
    return [entry(symbol)];
  }
}

/** One symbol a place: aliases of a function would count each call several times. */
function unique(symbols: readonly BinarySymbol[]): BinarySymbol[] {
  const seen = new Set<number>();
  return symbols.filter((s) => !seen.has(s.fileOffset) && seen.add(s.fileOffset));
}

/**
 * A test for mangled names (Itanium C++ ABI) of a function written as `f` or `ns::f`, parameters not looked at. `*` stands for any name.
 */
function cppMatcher(name: string): (mangled: string) => boolean {
  const plain = name.replace(/\(.*$/s, "").trim();
  const names = plain.split("::").filter((p) => p !== "");
  if (names.some(isPattern)) {
    const isName = matcher(plain);
    return (mangled) => {
      const parts = mangledNames(mangled);
      return parts !== null && isName(parts.join("::"));
    };
  }
  const encoded = names.map((p) => `${p.length}${p}`).join("");
  if (names.length === 1) return (mangled) => mangled.startsWith(`_Z${encoded}`) || mangled.startsWith(`_ZL${encoded}`);
  return (mangled) => /^_ZNK?/.test(mangled) && mangled.replace(/^_ZNK?/, "").startsWith(`${encoded}E`);
}

/** The names in a mangled name that has no templates; null for others. */
function mangledNames(mangled: string): string[] | null {
  let rest = mangled.replace(/^_Z(?:NK?|L)?/, "");
  if (rest === mangled) return null;
  const out: string[] = [];
  for (;;) {
    const match = /^([0-9]+)/.exec(rest);
    if (!match) break;
    const length = Number(match[1]);
    out.push(rest.slice(match[1]!.length, match[1]!.length + length));
    rest = rest.slice(match[1]!.length + length);
    if (!mangled.startsWith("_ZN")) break;
  }
  return out.length > 0 ? out : null;
}
