/** The command line's entry. Rooms are loaded when a command needs them: what is imported here is paid for by `skep --version`. */
import { nearestNames, UsageError } from "../base/index.ts";
import { parseArguments } from "./arguments.ts";
import { describeFailure } from "./failure.ts";
import { COMMANDS, commandByName, GLOBAL_OPTIONS } from "./options.ts";
import type { Command } from "./options.ts";
import type { Arguments } from "./arguments.ts";
import { writeError, writeOut } from "./write.ts";

type Runner = (args: Arguments) => Promise<number>;

const RUNNERS: Record<string, () => Promise<Runner>> = {
  trace: async () => (await import("./trace.ts")).traceCommand,
  record: async () => (await import("./record.ts")).recordCommand,
  build: async () => (await import("./build.ts")).buildCommand,
  run: async () => (await import("./run.ts")).runCommand,
  disasm: async () => (await import("./disasm.ts")).disasmCommand,
  "gen types": async () => (await import("./gen.ts")).genTypesCommand,
  "gen vmlinux": async () => (await import("./gen.ts")).genVmlinuxCommand,
  "gen min-btf": async () => (await import("./gen.ts")).genMinBtfCommand,
  features: async () => (await import("./features.ts")).featuresCommand,
  demo: async () => (await import("./demo.ts")).demoCommand,
  completion: async () => (await import("./shell.ts")).completionCommand,
};

/** Runs a command line (without the program's name); resolves with the exit status. Never throws. */
export async function main(words: readonly string[]): Promise<number> {
  try {
    return await run(words);
  } catch (error) {
    const { text, status } = describeFailure(error, process.stderr.isTTY && !process.env.NO_COLOR, words[0] !== "run");
    if (text !== "") writeError(`${text}\n`);
    return status;
  }
}

async function run(words: readonly string[]): Promise<number> {
  const [first, ...rest] = words;
  if (first === undefined || first.startsWith("-")) {
    const { options } = parseArguments(words, GLOBAL_OPTIONS, "");
    if (options.has("version")) return showVersion();
    return showHelp(undefined, first === undefined ? 2 : 0);
  }
  if (first === "help") return showHelp(rest[0] === undefined ? undefined : namedCommand(rest), 0);
  const { command, name, rest: behind } = findCommand(words);
  const args = parseArguments(behind, command.options, name);
  if (args.options.has("help")) return showHelp({ ...command, name }, 0);
  if (args.options.has("version")) return showVersion();
  if (command.subcommands) return showHelp({ ...command, name }, 2);
  const runner = await RUNNERS[name]!();
  return runner(args);
}

function namedCommand(words: readonly string[]): Command {
  const { command, name } = findCommand(words);
  return { ...command, name };
}

/** The command that the first words name, its whole name, and the words behind it. */
function findCommand(words: readonly string[]): { command: Command; name: string; rest: readonly string[] } {
  const [first = "", second] = words;
  const command = commandByName(first) ?? failToFind(first, "skep", COMMANDS);
  if (!command.subcommands || second === undefined || second.startsWith("-")) {
    return { command, name: first, rest: words.slice(1) };
  }
  const inner = commandByName(second, command.subcommands) ?? failToFind(second, `skep ${first}`, command.subcommands);
  return { command: inner, name: `${first} ${second}`, rest: words.slice(2) };
}

function failToFind(name: string, above: string, commands: readonly Command[]): never {
  const near = nearestNames(
    name,
    commands.map((row) => row.name),
    1,
  );
  const hint =
    near.length > 0
      ? `did you mean ${above} ${near[0]}?`
      : name.endsWith(".o")
        ? "to run an object file: skep run"
        : /[{.]/.test(name)
          ? "to run a script: skep trace"
          : `${above} --help lists them`;
  throw new UsageError(`${above}: no command ${JSON.stringify(name)} (${hint})`);
}

async function showVersion(): Promise<number> {
  const { packageVersion } = await import("./version.ts");
  writeOut(`skep ${packageVersion()}\n`);
  return 0;
}

async function showHelp(command: Command | undefined, status: number): Promise<number> {
  const { commandHelp, headingStyle, mainHelp } = await import("./help.ts");
  const stream = status === 0 ? process.stdout : process.stderr;
  const heading = headingStyle(stream.isTTY && !process.env.NO_COLOR);
  const write = status === 0 ? writeOut : writeError;
  write(command ? commandHelp(command, heading) : mainHelp(heading));
  return status;
}
