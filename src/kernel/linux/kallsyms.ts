/** Names of kernel functions: which exist, and which can be probed. */
import { machine } from "./machine.ts";
import { tracefs } from "./tracefs.ts";

const text = new TextDecoder();

/** Functions of the kernel and its modules, from /proc/kallsyms; empty when it is hidden. */
export function kernelFunctions(): Set<string> {
  const names = new Set<string>();
  const bytes = machine.source.read("/proc/kallsyms");
  if (bytes === undefined) return names;
  for (const match of text.decode(bytes).matchAll(/^\S+ [tTwW] (\S+)/gm)) names.add(match[1]!);
  return names;
}

/** Functions that ftrace can probe; undefined when this kernel does not list them. */
export function traceableFunctions(): Set<string> | undefined {
  const bytes = machine.source.read(`${tracefs()}/available_filter_functions`);
  if (bytes === undefined) return undefined;
  const names = new Set<string>();
  for (const line of text.decode(bytes).split("\n")) {
    const end = line.indexOf(" ");
    if (line !== "") names.add(end === -1 ? line : line.slice(0, end));
  }
  return names;
}

/** True when the function is on the kernel's list of those that must not be probed. */
export function isBlacklisted(name: string): boolean {
  const bytes = machine.source.read("/sys/kernel/debug/kprobes/blacklist");
  return bytes !== undefined && new RegExp(`\\t${name.replace(/[^\w.]/g, "")}$`, "m").test(text.decode(bytes));
}
