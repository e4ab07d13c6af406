/** Where names come from that a program uses without having declared them: what to include, or what to use instead. */
import { helperNames } from "../../../isa/index.ts";
import { bpfCoreReadHeader } from "./bpf/core-read.ts";
import { bpfEndianHeader } from "./bpf/endian.ts";
import { bpfHelpersHeader } from "./bpf/helpers.ts";
import { bpfTracingHeader } from "./bpf/tracing.ts";
import { bpfUsdtHeader } from "./bpf/usdt.ts";

/** Headers whose macros programs forget to include. */
const HEADERS: readonly (readonly [name: string, text: () => string])[] = [
  ["bpf/bpf_helpers.h", () => bpfHelpersHeader],
  ["bpf/bpf_tracing.h", () => bpfTracingHeader("x86_64")],
  ["bpf/bpf_core_read.h", () => bpfCoreReadHeader],
  ["bpf/bpf_endian.h", () => bpfEndianHeader],
  ["bpf/usdt.bpf.h", () => bpfUsdtHeader],
];

/** Functions of C's library, and what programs in the kernel have for them. */
const INSTEAD: Readonly<Record<string, string>> = {
  printf: "bpf_printk() prints to the trace pipe",
  fprintf: "bpf_printk() prints to the trace pipe",
  puts: "bpf_printk() prints to the trace pipe",
  sprintf: "BPF_SNPRINTF() formats a text",
  snprintf: "BPF_SNPRINTF() formats a text",
  malloc: "programs keep memory in maps",
  calloc: "programs keep memory in maps",
  free: "programs keep memory in maps",
  memcpy: "__builtin_memcpy() copies a constant size",
  memmove: "__builtin_memmove() copies a constant size",
  memset: "__builtin_memset() fills a constant size",
  memcmp: "__builtin_memcmp() compares a constant size",
  strcmp: "bpf_strncmp() compares with a constant text",
  strncmp: "bpf_strncmp() compares with a constant text",
  time: "bpf_ktime_get_ns() tells nanoseconds since boot",
  getpid: "bpf_get_current_pid_tgid() >> 32 is the process",
  rand: "bpf_get_prandom_u32() is a random number",
};

/** What to do about a name that is not declared; undefined when nothing is known of it. */
export function missingNameHint(name: string): string | undefined {
  if (Object.hasOwn(INSTEAD, name)) return INSTEAD[name];
  if (!/^\w{3,}$/.test(name)) return undefined;
  const definition = new RegExp(`^[ \\t]*#[ \\t]*define[ \\t]+${name}\\b`, "m");
  const header = HEADERS.find(([, text]) => definition.test(text()))?.[0];
  return header === undefined ? undefined : `${name} is a macro of <${header}>: include it`;
}

/** Helpers as programs name them, for suggestions. */
export function helperFunctionNames(): readonly string[] {
  return helperNames().map((name) => (name.startsWith("bpf_") ? name : `bpf_${name}`));
}
