/** What could be meant by the last word of a script that is being typed: probes of this machine, builtins, functions. */
import { helperNames } from "../isa/index.ts";
import { kernelFeatures, kfuncNames } from "../kernel/linux/index.ts";
import { listProbes } from "../lang/bpftrace/list.ts";
import type { TraceEnvironment } from "../lang/bpftrace/environment.ts";
import { builtinNames } from "../lang/bpftrace/table/builtins.ts";
import { functionNames } from "../lang/bpftrace/table/functions.ts";
import { probeProvider, probeProviderNames } from "../lang/bpftrace/table/probes.ts";

/** The word that is being typed: what a shell replaces. Shell code has the same pattern. */
const LAST_WORD = /[A-Za-z0-9_:*]*$/;

/** Words that continue the last one of a script. Where a probe begins these are probes, inside braces builtins and functions. */
export function scriptCandidates(text: string, environment: TraceEnvironment): string[] {
  const word = LAST_WORD.exec(text)![0];
  // What is in strings and comments does not count.
  const code = text.replace(/"(?:[^"\\]|\\.)*"|\/\/.*|\/\*[^]*?\*\//g, "");
  const depth = code.split("{").length - code.split("}").length;
  if (depth <= 0) return probeCandidates(word, environment);
  const names = [...builtinNames(), ...functionNames().map((name) => `${name}(`)];
  return [...new Set(names)].filter((name) => name.startsWith(word)).toSorted();
}

/** Probes that continue a word, up to their next part: `tracepoint:sch` gives `tracepoint:sched:`. */
export function probeCandidates(word: string, environment: TraceEnvironment): string[] {
  const colon = word.indexOf(":");
  if (colon === -1) {
    return probeProviderNames()
      .map((name) => (probeProvider(name)?.parts.length === 0 ? name : `${name}:`))
      .filter((name) => name.startsWith(word))
      .toSorted();
  }
  const provider = word.slice(0, colon);
  const parts = word.split(":").length;
  const found = new Set<string>();
  for (const line of listProbes(`${word}*${parts === 2 ? ":*" : ""}`, environment, { verbose: false })) {
    // Shown by their whole names, whatever short one was typed.
    const names = line.split(":");
    const candidate = [provider, ...names.slice(1, parts)].join(":") + (names.length > parts ? ":" : "");
    if (candidate.startsWith(word)) found.add(candidate);
  }
  return [...found];
}

/** Names that `skep features` takes and that continue a word: `map/lru` and `lru` give `map/lru_hash` and `lru_hash`, `bpf_lo` helpers and kfuncs. */
export function featureCandidates(word: string): string[] {
  const features = kernelFeatures().map(({ name }) => name);
  // Short ones only once something is typed: else every feature would be there twice.
  const short = word === "" || word.includes("/") ? [] : features.map((name) => name.slice(name.indexOf("/") + 1));
  const calls = word.startsWith("b") ? [...helperNames(), ...(kfuncNames() ?? [])] : [];
  return [...new Set([...features, ...short, ...calls])].filter((name) => name.startsWith(word)).toSorted();
}
