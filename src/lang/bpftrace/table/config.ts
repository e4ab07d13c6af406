/** The settings: of the `config` block and of environment variables. One row each. */
import type { ScriptConfig } from "../checked.ts";

/** What a setting may be set to. */
export type ConfigKind =
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  | { readonly kind: "boolean" }
  | { readonly kind: "word"; readonly words: readonly string[] }
  | { readonly kind: "text" };

/** One setting. */
export interface ConfigRow {
  /** As in `config = { ... }`; the environment variable is `BPFTRACE_` and the name in capitals. */
  readonly name: string;
  readonly kind: ConfigKind;
  /** Where the checked script holds it; null: accepted, without meaning here. */
  readonly field: keyof ScriptConfig | null;
  readonly default: string;
  /** The default on kernels before a version. */
  readonly older?: { readonly before: readonly [number, number]; readonly default: string };
  readonly help: string;
}

const UNSTABLE: ConfigKind = { kind: "word", words: ["enable", "warn", "error", "true", "false"] };

function integer(min: number, max: number): ConfigKind {
  return { kind: "integer", min, max };
}

/** Licenses that the kernel counts as compatible with the GPL (include/linux/license.h). */
export const LICENSES: readonly string[] = [
  "GPL",
  "GPL v2",
  "GPL and additional rights",
  "Dual BSD/GPL",
  "Dual MIT/GPL",
  "Dual MPL/GPL",
];

/** All settings. */
export const CONFIG: readonly ConfigRow[] = [
  {
    name: "max_strlen",
    kind: integer(1, 65536),
    field: "maxStrlen",
    default: "1024",
    older: { before: [5, 11], default: "200" },
    help: "bytes of text that str() and buf() read at most, the closing NUL included; 200 before Linux 5.11, where keys of maps have 512 bytes at most",
  },
  {
    name: "max_map_keys",
    kind: integer(1, 0x7fffffff),
    field: "maxMapKeys",
    default: "4096",
    help: "entries of a map at most",
  },
  { name: "max_probes", kind: integer(1, 1_000_000), field: "maxProbes", default: "1024", help: "probes at most" },
  {
    name: "max_cat_bytes",
    kind: integer(1, 1 << 30),
    field: "maxCatBytes",
    default: "10240",
    help: "bytes that cat() prints at most",
  },
  {
    name: "stack_mode",
    kind: { kind: "word", words: ["bpftrace", "perf", "raw", "build_id"] },
    field: "stackMode",
    default: "bpftrace",
    help: "how stacks are printed",
  },
  {
    name: "str_trunc_trailer",
    kind: { kind: "text" },
    field: "strTruncTrailer",
    default: "..",
    help: "put behind text that was cut off",
  },
  {
    name: "missing_probes",
    kind: { kind: "word", words: ["error", "warn", "ignore"] },
    field: "missingProbes",
    default: "error",
    help: "what to do about probes that do not exist",
  },
  {
    name: "print_maps_on_exit",
    kind: { kind: "boolean" },
    field: "printMapsOnExit",
    default: "true",
    help: "print all maps at the end",
  },
  {
    name: "cache_user_symbols",
    kind: { kind: "word", words: ["PER_PID", "PER_PROGRAM", "NONE"] },
    field: "cacheUserSymbols",
    default: "PER_PID",
    help: "for how long symbols of programs are kept",
  },
  {
    name: "license",
    kind: { kind: "text" },
    field: "license",
    default: "GPL",
    help: "license of the program, for the kernel",
  },
  {
    name: "perf_rb_pages",
    kind: integer(0, 1 << 20),
    field: "perfRbPages",
    default: "0",
    help: "pages of the event ring, 0: by need",
  },
  {
    name: "on_stack_limit",
    kind: integer(0, 512),
    field: "onStackLimit",
    default: "32",
    help: "bytes of values that may lie on the stack",
  },
  {
    name: "lazy_symbolication",
    kind: { kind: "boolean" },
    field: "lazySymbolication",
    default: "false",
    help: "look symbols up when they are printed",
  },
  {
    name: "cpp_demangle",
    kind: { kind: "boolean" },
    field: "cppDemangle",
    default: "true",
    help: "print C++ names as written",
  },
  { name: "log_size", kind: integer(1, 1 << 30), field: null, default: "1000000", help: "bytes of the verifier's log" },
  { name: "max_bpf_progs", kind: integer(1, 1_000_000), field: null, default: "1024", help: "programs at most" },
  { name: "show_debug_info", kind: { kind: "boolean" }, field: null, default: "true", help: "file and line in stacks" },
  { name: "use_blazesym", kind: { kind: "boolean" }, field: null, default: "true", help: "no meaning here" },
  {
    name: "max_ast_nodes",
    kind: integer(0, Number.MAX_SAFE_INTEGER),
    field: null,
    default: "0",
    help: "no meaning here",
  },
  { name: "max_type_res_iterations", kind: integer(0, 1000), field: null, default: "0", help: "no meaning here" },
  { name: "unstable_import", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
  { name: "unstable_import_statement", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
  { name: "unstable_macro", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
  { name: "unstable_map_decl", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
  { name: "unstable_tseries", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
  { name: "unstable_typeinfo", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
  { name: "unstable_addr", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
  { name: "unstable_dw_ustack", kind: UNSTABLE, field: null, default: "warn", help: "no meaning here" },
];

const byName = new Map(CONFIG.map((c) => [c.name, c]));

/** A setting by its name as in scripts or in the environment: `max_strlen`, `MAX_STRLEN`, `BPFTRACE_MAX_STRLEN`; `strlen` is bpftrace 0.17's name. */
export function configRow(name: string): ConfigRow | undefined {
  const key = name.toLowerCase().replace(/^bpftrace_/, "");
  return byName.get(OLD_NAMES.get(key) ?? key);
}

/** Names of older versions. */
const OLD_NAMES: ReadonlyMap<string, string> = new Map([
  ["strlen", "max_strlen"],
  ["map_keys_max", "max_map_keys"],
  ["cat_bytes_max", "max_cat_bytes"],
  ["no_cpp_demangle", "cpp_demangle"],
]);

/** Names for suggestions and completion. */
export function configNames(): string[] {
  return CONFIG.map((c) => c.name);
}
