/** What the checker hands to lowering: every attach point expanded to concrete targets, every name resolved, every expression typed. */
import type { Diagnostic, SourceText } from "../../base/index.ts";
import type { Block, Expression, FunctionDefinition, Probe, Variable } from "./ast.ts";
import type { StructLayout, Type } from "./types.ts";

/** A concrete place where a probe fires. `name` is the full probe string, as the `probe` builtin prints it. */
export type ProbeTarget = { readonly name: string } & (
  | { readonly provider: "begin" | "end" }
  | { readonly provider: "self"; readonly signal: string }
  /** `periodNs` for time units, `frequencyHz` for `hz:`. */
  | { readonly provider: "interval" | "profile"; readonly periodNs?: number; readonly frequencyHz?: number }
  | { readonly provider: "tracepoint"; readonly category: string; readonly event: string }
  | { readonly provider: "rawtracepoint"; readonly event: string }
  /** `PERF_TYPE_*`/config and the number of events between two samples. */
  | {
      readonly provider: "software" | "hardware";
      readonly perfType: number;
      readonly config: number;
      readonly period: number;
    }
  | {
      readonly provider: "kprobe" | "kretprobe";
      readonly func: string;
      readonly offset: number;
      readonly module?: string;
      /** Found by a pattern: the kernel may turn out to forbid it. */
      readonly matched?: true;
    }
  | {
      readonly provider: "uprobe" | "uretprobe";
      readonly path: string;
      readonly symbol: string;
      /** Virtual address in the binary, for `func` and symbolisation. */
      readonly address: bigint;
      readonly fileOffset: number;
      /** Found by a pattern: the kernel may turn out to refuse it. */
      readonly matched?: true;
    }
);

/** Among what a program uses: the name of its probe as text, not only to print it. */
export const PROBE_TEXT = "probe as text";

/** A map of the script. */
export interface MapInfo {
  /** With `@`. */
  readonly name: string;
  /** Type of the key: null for a scalar map. Several keys are one tuple. */
  readonly key: Type | null;
  readonly value: Type;
  /** From `let @m = lruhash(N)`; null decides by use. */
  readonly declared: { readonly kind: string; readonly maxEntries: number } | null;
}

/** One probe body with the targets that share it. Bodies whose types depend on the target (`args`) are checked once a target on their own copy of the tree. */
export interface CheckedProgram {
  readonly probe: Probe;
  readonly targets: readonly ProbeTarget[];
  readonly predicate: Expression | null;
  readonly body: Block;
  readonly variables: readonly Variable[];
  /** Fields of `args`: a tracepoint's record, or a BTF function prototype's parameters; null when not used. */
  readonly args: { readonly name: string; readonly layout: StructLayout } | null;
  /** Names of the builtins and functions that the body uses. */
  readonly uses: ReadonlySet<string>;
}

/** Settings of the `config` block and the environment, resolved. */
export interface ScriptConfig {
  /** Bytes, closing NUL included. */
  readonly maxStrlen: number;
  readonly maxMapKeys: number;
  readonly maxProbes: number;
  readonly maxCatBytes: number;
  readonly stackMode: "bpftrace" | "perf" | "raw" | "build_id";
  readonly strTruncTrailer: string;
  readonly missingProbes: "error" | "warn" | "ignore";
  readonly printMapsOnExit: boolean;
  readonly cacheUserSymbols: "PER_PID" | "PER_PROGRAM" | "NONE";
  readonly license: string;
  /** Bytes of the event ring; 0 lets the runtime choose. */
  readonly perfRbPages: number;
  readonly onStackLimit: number;
  readonly lazySymbolication: boolean;
  readonly cppDemangle: boolean;
}

/** A script that compiles. */
export interface CheckedScript {
  readonly source: SourceText;
  readonly config: ScriptConfig;
  readonly maps: ReadonlyMap<string, MapInfo>;
  readonly programs: readonly CheckedProgram[];
  readonly functions: readonly {
    readonly definition: FunctionDefinition;
    readonly params: readonly Variable[];
    readonly result: Type;
    readonly variables: readonly Variable[];
  }[];
  readonly warnings: readonly Diagnostic[];
}
