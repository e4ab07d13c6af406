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
  build: async () => (await import("./build.ts")).buildCommand,
  demo: async () => (await import("./demo.ts")).demoCommand,
  completion: async () => (await import("./shell.ts")).completionCommand,
};

/** Runs a command line (without the program's name); resolves with the exit status. Never throws. */
export async function main(words: readonly string[]): Promise<number> {
  try {
    return await run(words);
  } catch (error) {
    const { text, status } = describeFailure(error, process.stderr.isTTY && !process.env.NO_COLOR);
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
  if (first === "help") return showHelp(rest[0] === undefined ? undefined : findCommand(rest[0]), 0);
  const command = findCommand(first);
  const args = parseArguments(rest, command.options, command.name);
  if (args.options.has("help")) return showHelp(command, 0);
  if (args.options.has("version")) return showVersion();
  const runner = await RUNNERS[command.name]!();
  return runner(args);
}

function findCommand(name: string): Command {
  const command = commandByName(name);
  if (command) return command;
  const near = nearestNames(
    name,
    COMMANDS.map((row) => row.name),
    1,
  );
  const hint =
    near.length > 0
      ? `did you mean skep ${near[0]}?`
      : /[{.]/.test(name)
        ? "to run a script: skep trace"
        : "skep --help lists them";
  throw new UsageError(`skep: no command ${JSON.stringify(name)} (${hint})`);
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
