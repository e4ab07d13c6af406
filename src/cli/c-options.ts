/** Options for C sources, of all commands that take them. */
import { UsageError } from "../base/index.ts";
import type { CSourceOptions } from "../runtime/c-source.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import type { Option } from "./options.ts";

/** What compilers of C take: `-I -D -U --include --dialect -O`. */
export const C_OPTIONS: readonly Option[] = [
  {
    long: "include-dir",
    short: "I",
    value: "DIR",
    completes: "directory",
    repeats: true,
    help: "C: look for headers here (may be given several times)",
  },
  {
    long: "define",
    short: "D",
    value: "NAME[=VALUE]",
    repeats: true,
    help: "C: define a macro (may be given several times)",
  },
  {
    long: "undefine",
    short: "U",
    value: "NAME",
    repeats: true,
    help: "C: undefine a macro (may be given several times)",
  },
  {
    long: "include",
    value: "FILE",
    completes: "file",
    repeats: true,
    help: "C: read a header before the source (may be given several times)",
  },
  {
    long: "dialect",
    value: "DIALECT",
    choices: ["libbpf", "bcc"],
    help: "C: libbpf's (SEC, maps as structs) or bcc's (BPF_HASH); by default what the source uses",
  },
  { long: "optimize", short: "O", value: "LEVEL", choices: ["0", "1", "2", "s", "3"], help: "C: how much (default 2)" },
];

/** `-O` of compilers, as levels of ours. */
const levels: Readonly<Record<string, 0 | 1 | 2>> = { 0: 0, 1: 1, 2: 2, s: 2, 3: 2 };

/** The options as the compiler takes them. Throws UsageError for names of macros that are none. */
export function cSourceOptions(args: Arguments, command: string): CSourceOptions {
  const macros = (args.ordered ?? []).flatMap(({ name, value }) => {
    if (name !== "define" && name !== "undefine") return [];
    if (!/^[A-Za-z_]\w*(?:\([^)]*\))?(?:=[^]*)?$/.test(value)) {
      const shown = name === "define" ? "-D" : "-U";
      throw new UsageError(`skep ${command}: ${shown} ${value}: the name of a macro is wanted, such as ${shown} DEBUG`);
    }
    return [name === "define" ? { define: value } : { undefine: value }];
  });
  const dialect = textOption(args, "dialect");
  const level = textOption(args, "optimize");
  return {
    directories: args.repeated.get("include-dir") ?? [],
    macros,
    include: args.repeated.get("include") ?? [],
    ...(dialect === undefined ? {} : { dialect: dialect as "libbpf" | "bcc" }),
    ...(level === undefined ? {} : { optimize: levels[level]! }),
  };
}

/** `5.15` as a version of the kernel. */
export function versionOption(args: Arguments, option: string, command: string): [number, number] | undefined {
  const text = textOption(args, option);
  if (text === undefined) return undefined;
  const [, major, minor] = /^(\d+)\.(\d+)(?:\..*)?$/.exec(text) ?? [];
  if (major === undefined) {
    throw new UsageError(`skep ${command}: --${option} ${text}: a version of Linux is wanted, such as 5.15`);
  }
  return [Number(major), Number(minor)];
}
