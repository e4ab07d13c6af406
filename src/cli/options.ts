/** The command line in one table: the argument parser, `--help` and shell completion all read it. */
import { C_OPTIONS } from "./c-options.ts";
import { HELP, OUTPUT } from "./common-options.ts";
import { FEATURES_COMMAND } from "./feature-options.ts";
import { OBJECT_COMMANDS } from "./object-options.ts";

/** One option. */
export interface Option {
  /** Without dashes. The key of its value. */
  readonly long: string;
  /** One letter. */
  readonly short?: string;
  /** Name of its value in help; absent for switches. */
  readonly value?: string;
  /** Switches that make something of the words that are no options: what help calls them. */
  readonly operandHint?: string;
  /** The only values, for checking and completion. */
  readonly choices?: readonly string[];
  /** May be given several times; all values are kept. */
  readonly repeats?: boolean;
  /** What completes the value. */
  readonly completes?: "file" | "directory" | "pid" | "command" | "script";
  readonly help: string;
  /** Accepted so that command lines for bpftrace go on working, and left out of help. */
  readonly hidden?: boolean;
}

/** One command of `skep`. */
export interface Command {
  readonly name: string;
  /** One line in the list of commands. */
  readonly summary: string;
  /** Behind the name, such as `[OPTIONS] FILE`. */
  readonly usage: string;
  /** Paragraphs between usage and options. */
  readonly description: string;
  readonly options: readonly Option[];
  /** Command line and what it does. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** What completes the words that are no options. */
  readonly operands?: "file" | "choice" | "feature";
  readonly operandChoices?: readonly string[];
  /** Commands behind this one's name. */
  readonly subcommands?: readonly Command[];
}

const SCRIPT: Option = {
  long: "execute",
  short: "e",
  value: "SCRIPT",
  completes: "script",
  help: "the script itself instead of a file",
};
const INCLUDES: readonly Option[] = [
  {
    long: "include-dir",
    short: "I",
    value: "DIR",
    completes: "directory",
    hidden: true,
    help: "no headers are read: types come from BTF",
  },
  {
    long: "include",
    value: "FILE",
    completes: "file",
    hidden: true,
    help: "no headers are read: types come from BTF",
  },
];

/** Stages that `-d` shows, with the names that bpftrace gives them. */
export const STAGES: readonly string[] = ["ast", "types", "ir", "optimized", "asm", "verifier", "all"];

/** Other names of stages. */
export const STAGE_ALIASES: Readonly<Record<string, string>> = {
  parse: "ast",
  codegen: "ir",
  "codegen-opt": "optimized",
  dis: "asm",
};

/** All commands, in the order of help. */
export const COMMANDS: readonly Command[] = [
  {
    name: "trace",
    summary: "run a bpftrace script on the running kernel",
    usage: "[OPTIONS] FILE [ARGUMENTS]  |  [OPTIONS] -e SCRIPT [ARGUMENTS]",
    description:
      "Compiles a bpftrace script, loads it into the running kernel and prints what it sees, until the script calls exit()\n" +
      "or Ctrl-C is pressed; maps are printed at the end. FILE may be - for stdin. ARGUMENTS are $1, $2, ... of the script.",
    options: [
      SCRIPT,
      {
        long: "format",
        short: "f",
        value: "FORMAT",
        choices: ["text", "json"],
        help: "text (default) or json, an object a line",
      },
      { long: "json", help: "the same as -f json" },
      OUTPUT,
      {
        long: "pid",
        short: "p",
        value: "PID",
        completes: "pid",
        help: "trace only this process, and end when it ends",
      },
      {
        long: "command",
        short: "c",
        value: "COMMAND",
        completes: "command",
        help: "run a command once all is attached, and end with it",
      },
      {
        long: "on",
        value: "FILE",
        completes: "file",
        help: "run on events that skep record wrote, instead of the running kernel",
      },
      {
        long: "list",
        short: "l",
        operandHint: "PATTERN",
        help: "list probes that match (with -v their fields) and do nothing else",
      },
      {
        long: "buffering",
        short: "B",
        value: "MODE",
        choices: ["line", "full", "none"],
        help: "write after each batch of events (line), 64 KB (full), each event (none)",
      },
      { long: "quiet", short: "q", help: "do not announce the attached probes" },
      { long: "verbose", short: "v", help: "say what is compiled, loaded and attached" },
      {
        long: "debug",
        short: "d",
        value: "STAGE",
        choices: STAGES,
        help: "show a stage of the compilation and stop: ast, types, ir, optimized, asm; verifier runs on with its log",
      },
      { long: "unsafe", help: "allow system(), signal() and other calls that change the system" },
      { long: "no-warnings", help: "no warnings about the script" },
      { long: "dry-run", help: "load and attach everything, then end" },
      {
        long: "compat",
        value: "VERSION",
        choices: ["0.17", "0.26"],
        help: "print as this release of bpftrace does (default 0.26)",
      },
      { long: "info", help: "show what this machine can do" },
      { long: "version", short: "V", help: "show the version" },
      HELP,
      ...INCLUDES,
      { long: "cmd", value: "COMMAND", hidden: true, completes: "command", help: "another name of --command" },
      { long: "verify-llvm-ir", hidden: true, help: "there is no LLVM" },
      { long: "report-errors", short: "k", hidden: true, help: "accepted" },
      { long: "usdt-file-activation", hidden: true, help: "not supported" },
      { long: "emit-elf", value: "FILE", hidden: true, completes: "file", help: "not supported" },
      { long: "emit-llvm", value: "FILE", hidden: true, completes: "file", help: "there is no LLVM" },
    ],
    operands: "file",
    examples: [
      ["skep trace -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'", "count system calls by process"],
      [
        "skep trace -e 'tracepoint:syscalls:sys_enter_openat { printf(\"%s %s\\n\", comm, str(args.filename)); }'",
        "files as they are opened",
      ],
      ["skep trace -e 'profile:hz:99 { @[kstack] = count(); }'", "where the kernel spends its time"],
      [
        "skep trace -c 'ls /' -e 'tracepoint:syscalls:sys_enter_* /pid == cpid/ { @[probe] = count(); }'",
        "system calls of one command",
      ],
      ["skep trace -l 'tracepoint:sched:*'", "what can be traced"],
      ["skep trace -f json opensnoop.bt", "a script file, a JSON object a line"],
      ["skep trace --on morning.skep -e 'tracepoint:sched:* { @[probe] = count(); }'", "ask a recording"],
    ],
  },
  {
    name: "record",
    summary: "write events of the running kernel to a file, to run scripts on later",
    usage: "-e PROBES -o FILE [OPTIONS]",
    description:
      "Records tracepoints with their arguments, the texts that they point to, the task, CPU and time, through a BPF program, until\n" +
      "Ctrl-C is pressed, the seconds are over or the command ends. skep trace --on FILE then runs any script on what was recorded, as\n" +
      "often as one likes, on any machine and without privileges.",
    options: [
      {
        long: "execute",
        short: "e",
        value: "PROBES",
        help: "tracepoints, separated by commas: tracepoint:CATEGORY:NAME, with * in either",
      },
      { ...OUTPUT, help: "the file to write" },
      { long: "seconds", short: "s", value: "N", help: "end after so many seconds" },
      {
        long: "command",
        short: "c",
        value: "COMMAND",
        completes: "command",
        help: "run a command once recording has begun, and end with it",
      },
      {
        long: "comm",
        value: "NAME",
        repeats: true,
        help: "only events of tasks of this name; may be given several times",
      },
      {
        long: "ring",
        value: "MIB",
        help: "size of the ring between kernel and file in MiB, a power of two (default 16)",
      },
      { long: "quiet", short: "q", help: "say nothing while recording" },
      HELP,
    ],
    examples: [
      ["skep record -e 'tracepoint:sched:*,tracepoint:syscalls:*' -o morning.skep", "scheduling and all system calls"],
      ["skep record -s 10 -e 'tracepoint:block:*' -o disk.skep", "ten seconds of block requests"],
      ["skep record -c 'npm test' -e 'tracepoint:syscalls:sys_enter_open*' -o files.skep", "what a command opens"],
    ],
  },
  {
    name: "build",
    summary: "compile a C source or a script, and show or save what comes out",
    usage: "[OPTIONS] FILE...  |  [OPTIONS] -e SCRIPT",
    description:
      "Compiles C sources (FILE.c, in libbpf's or BCC's dialect; several make one) to an object file that libbpf loads, with no clang\n" +
      "and no headers; or a bpftrace script for the running kernel. Without -o it shows the instructions with the source's lines between\n" +
      "them. Types of the kernel (vmlinux.h) are the running one's, or those of --btf.",
    options: [
      SCRIPT,
      {
        long: "emit",
        value: "STAGE",
        choices: ["preprocessed", "ir", "asm", "object"],
        help: "preprocessed (C only), ir, asm (default), or object: an ELF file that libbpf loads (C: default with -o)",
      },
      OUTPUT,
      ...C_OPTIONS,
      {
        long: "btf",
        value: "FILE",
        completes: "file",
        help: "C: these types of a kernel instead of the running one's",
      },
      {
        long: "kernel",
        value: "VERSION",
        help: "C: the oldest kernel that it is to run on, such as 5.15 (default 5.12)",
      },
      { long: "json", help: "C: errors and warnings as JSON, an object a line" },
      { long: "pid", short: "p", value: "PID", completes: "pid", help: "scripts: trace only this process" },
      { long: "unsafe", help: "scripts: allow system(), signal() and other calls that change the system" },
      { long: "no-warnings", help: "no warnings" },
      HELP,
    ],
    operands: "file",
    examples: [
      ["skep build prog.bpf.c -o prog.o", "an object file, as clang -target bpf -g -O2 -c makes it"],
      ["skep build prog.bpf.c", "its instructions, with the C lines"],
      ["skep build -D DEBUG -I include --emit preprocessed prog.bpf.c", "what the compiler sees"],
      ["skep build -e 'tracepoint:raw_syscalls:sys_enter { @ = count(); }'", "the instructions of a script"],
      ["skep build opensnoop.bt --emit object -o opensnoop.o", "an object file that libbpf loads"],
    ],
  },
  ...OBJECT_COMMANDS,
  FEATURES_COMMAND,
  {
    name: "demo",
    summary: "see it work: five seconds of this machine",
    usage: "[OPTIONS]",
    description:
      "Counts system calls by process and shows files as they are opened, for five seconds, with a little work of its own.",
    options: [{ long: "seconds", value: "N", help: "how long (default 5)" }, HELP],
    examples: [["skep demo", "five seconds"]],
  },
  {
    name: "completion",
    summary: "print a script that completes skep's commands in your shell",
    usage: "bash | zsh | fish",
    description: "Prints shell code; load it from the shell's start file.",
    options: [
      HELP,
      { long: "script", value: "TEXT", hidden: true, help: "words that continue a script; what the shell code calls" },
      { long: "probes", value: "TEXT", hidden: true, help: "probes that continue a name; what the shell code calls" },
      {
        long: "features",
        value: "TEXT",
        hidden: true,
        help: "features that continue a name; what the shell code calls",
      },
    ],
    operands: "choice",
    operandChoices: ["bash", "zsh", "fish"],
    examples: [
      ["source <(skep completion bash)", "in ~/.bashrc"],
      ["skep completion fish > ~/.config/fish/completions/skep.fish", "for fish"],
    ],
  },
];

/** Options before any command. */
export const GLOBAL_OPTIONS: readonly Option[] = [HELP, { long: "version", short: "V", help: "show the version" }];

/** A command by name, among all or among the subcommands of one. */
export function commandByName(name: string, commands: readonly Command[] = COMMANDS): Command | undefined {
  return commands.find((command) => command.name === name);
}
