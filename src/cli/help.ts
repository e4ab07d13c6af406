/** Help texts, made from the option tables. */
import { commandByName, COMMANDS, GLOBAL_OPTIONS } from "./options.ts";
import type { Command, Option } from "./options.ts";

const WIDTH = 100;

/** Bold on a terminal, plain elsewhere. */
export type Heading = (text: string) => string;

/** Escape codes for headings when `colour` is true. */
export function headingStyle(colour: boolean): Heading {
  return colour ? (text) => `\u001b[1m${text}\u001b[0m` : (text) => text;
}

function flags(option: Option): string {
  const value = option.value ? ` ${option.value}` : option.operandHint ? ` [${option.operandHint}]` : "";
  return `${option.short ? `-${option.short}, ` : "    "}--${option.long}${value}`;
}

function wrap(text: string, indent: number, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width - indent) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.join(`\n${" ".repeat(indent)}`);
}

function optionLines(options: readonly Option[]): string {
  const shown = options.filter((option) => !option.hidden);
  const column = Math.max(...shown.map((option) => flags(option).length)) + 4;
  return shown.map((option) => `  ${flags(option).padEnd(column - 2)}${wrap(option.help, column, WIDTH)}`).join("\n");
}

function commandLines(commands: readonly Command[]): string[] {
  const column = Math.max(...commands.map((command) => command.name.length)) + 4;
  return commands.map((command) => `  ${command.name.padEnd(column - 2)}${command.summary}`);
}

/** `skep --help` */
export function mainHelp(heading: Heading): string {
  return [
    "skep: eBPF for TypeScript. Compiles bpftrace scripts and C without LLVM, and runs them and object files on the running kernel.",
    "",
    `${heading("Usage:")} skep COMMAND [OPTIONS] ...`,
    "",
    heading("Commands:"),
    ...commandLines(COMMANDS),
    "",
    heading("Options:"),
    optionLines(GLOBAL_OPTIONS),
    "",
    heading("Examples:"),
    ...[...COMMANDS[0]!.examples.slice(0, 3), ...(commandByName("run")?.examples.slice(0, 1) ?? [])].map(
      ([line, what]) => `  # ${what}\n  ${line}`,
    ),
    "",
    "Exit status: 0 done, 1 the work failed, 2 the call or the script is wrong, 3 this machine or user cannot do it.",
    "skep COMMAND --help tells more.",
    "",
  ].join("\n");
}

/** `skep COMMAND --help` */
export function commandHelp(command: Command, heading: Heading): string {
  const usages = command.usage.split("  |  ").map((usage) => `skep ${command.name} ${usage}`);
  return [
    `${heading("Usage:")} ${usages.join("\n       ")}`,
    "",
    command.description,
    "",
    ...(command.subcommands ? [heading("Commands:"), ...commandLines(command.subcommands), ""] : []),
    heading("Options:"),
    optionLines(command.options),
    "",
    heading("Examples:"),
    ...command.examples.map(([line, what]) => `  # ${what}\n  ${line}`),
    "",
  ].join("\n");
}
