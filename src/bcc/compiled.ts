/** A compiled program as the API takes it: from the compiler of BCC's dialect, or from any other that makes objects. */
import type { BccProgram, BccProgramKind, BccUnit } from "../lang/c/bcc/unit.ts";
import type { BpfObject } from "../object/index.ts";

/** A program that was compiled before: plain data. */
export interface CompiledBpf {
  /** Maps, types, and a program for each function; the types of programs may be guesses. */
  readonly object: BpfObject;
  /** What BCC's macros and names say beyond that. Without it the names of functions tell how they are attached. */
  readonly bcc?: BccUnit;
}

/** Prefixes of functions that are attached by their names; the longer before those that they begin with. */
const prefixes: readonly (readonly [prefix: string, kind: BccProgramKind])[] = [
  ["kprobe__", "kprobe"],
  ["kretprobe__", "kretprobe"],
  ["tracepoint__", "tracepoint"],
  ["raw_tracepoint__", "raw_tracepoint"],
  ["kfunc__", "kfunc"],
  ["kretfunc__", "kretfunc"],
  ["kmod_ret__", "kmod_ret"],
  ["lsm__", "lsm"],
  ["bpf_iter__", "iter"],
  ["syscall__", "syscall"],
];

/** Kinds that are attached as soon as the program is there. */
const automatic: ReadonlySet<BccProgramKind> = new Set([
  "kprobe",
  "kretprobe",
  "tracepoint",
  "raw_tracepoint",
  "kfunc",
  "kretfunc",
  "lsm",
]);

/** What the name of a function says. */
export function programOfName(name: string): BccProgram {
  const found = prefixes.find(([prefix]) => name.startsWith(prefix));
  const kind = found?.[1] ?? "any";
  let target = found === undefined ? "" : name.slice(found[0].length);
  let module: string | undefined;
  if (kind === "tracepoint") target = target.replace("__", ":");
  if (kind === "kfunc" || kind === "kretfunc" || kind === "kmod_ret") {
    const parts = /^(\w+?)__(.+)$/.exec(target);
    if (parts !== null) {
      if (parts[1] !== "vmlinux") module = parts[1];
      target = parts[2]!;
    }
  }
  return {
    name,
    kind,
    target,
    ...(module === undefined ? {} : { module }),
    autoAttach: automatic.has(kind),
    contextType: "",
    typeIsGuess: true,
  };
}

/** What BCC's dialect says about a program, or what the names of its functions say. */
export function unitOf({ object, bcc }: CompiledBpf): BccUnit {
  return bcc ?? { tables: [], programs: object.programs.map(({ name }) => programOfName(name)) };
}
