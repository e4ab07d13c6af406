/** Shell completion from the option tables and the language's tables. */
import { COMMANDS, GLOBAL_OPTIONS } from "./options.ts";
import type { Command, Option } from "./options.ts";

/** Shells that completion is made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A shell's name. */
export type Shell = (typeof SHELLS)[number];

const shown = (options: readonly Option[]): readonly Option[] => options.filter((option) => !option.hidden);
const words = (options: readonly Option[]): string[] =>
  shown(options).flatMap((option) => [`--${option.long}`, ...(option.short ? [`-${option.short}`] : [])]);
const spellings = (option: Option): string =>
  [`--${option.long}`, ...(option.short ? [`-${option.short}`] : [])].join("|");

/** Completion code for a shell. `providers` are the names of probes, which complete `-l`. */
export function completionScript(shell: Shell, providers: readonly string[]): string {
  return { bash, zsh, fish }[shell](providers);
}

function bashValue(option: Option, providers: readonly string[]): string | undefined {
  if (option.choices) return `COMPREPLY=($(compgen -W "${option.choices.join(" ")}" -- "$cur"))`;
  switch (option.completes) {
    case "file":
      return `COMPREPLY=($(compgen -f -- "$cur"))`;
    case "directory":
      return `COMPREPLY=($(compgen -d -- "$cur"))`;
    case "pid":
      return `COMPREPLY=($(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur"))`;
    case "command":
      return `COMPREPLY=($(compgen -c -- "$cur"))`;
    case "probe":
      return `COMPREPLY=($(compgen -W "${providers.map((name) => `${name}:`).join(" ")}" -- "$cur")); compopt -o nospace`;
    default:
      return option.value === undefined ? undefined : "COMPREPLY=()";
  }
}

function bash(providers: readonly string[]): string {
  const branch = (command: Command): string => {
    const values = shown(command.options)
      .map((option) => ({ option, code: bashValue(option, providers) }))
      .filter(({ code }) => code !== undefined)
      .map(({ option, code }) => `        ${spellings(option)}) ${code}; return ;;`);
    const operand =
      command.operands === "file"
        ? `COMPREPLY=($(compgen -f -- "$cur"))`
        : command.operandChoices
          ? `COMPREPLY=($(compgen -W "${command.operandChoices.join(" ")}" -- "$cur"))`
          : "COMPREPLY=()";
    return `    ${command.name})
      case "$prev" in
${values.join("\n")}
      esac
      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "${words(command.options).join(" ")}" -- "$cur"))
      else ${operand}; fi ;;`;
  };
  return `# bash completion of skep
_skep() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W "${[...COMMANDS.map((c) => c.name), ...words(GLOBAL_OPTIONS)].join(" ")}" -- "$cur"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${COMMANDS.map(branch).join("\n")}
  esac
}
complete -F _skep skep
`;
}

const zshQuote = (text: string): string => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, "\\$&");

function zsh(providers: readonly string[]): string {
  const action = (option: Option): string => {
    if (option.value === undefined) return "";
    const what = option.choices
      ? `(${option.choices.join(" ")})`
      : ({
          file: "_files",
          directory: "_files -/",
          pid: "_pids",
          command: "_command_names -e",
          probe: `(${providers.map((name) => `${name}\\:`).join(" ")})`,
        }[option.completes as string] ?? "");
    return `:${zshQuote(option.value)}:${what}`;
  };
  const line = (option: Option): string[] => {
    const rest = `[${zshQuote(option.help)}]${action(option)}`;
    return [`'--${option.long}${rest}'`, ...(option.short ? [`'-${option.short}${rest}'`] : [])];
  };
  const operands = (command: Command): string =>
    command.operands === "file"
      ? " '*:file:_files'"
      : command.operandChoices
        ? ` '1:shell:(${command.operandChoices.join(" ")})'`
        : "";
  return `#compdef skep
_skep() {
  if (( CURRENT == 2 )); then
    local -a commands=(${COMMANDS.map((c) => `'${c.name}:${zshQuote(c.summary)}'`).join(" ")})
    _describe command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${COMMANDS.map((c) => `    ${c.name}) _arguments -s ${shown(c.options).flatMap(line).join(" ")}${operands(c)} ;;`).join("\n")}
  esac
}
compdef _skep skep
`;
}

function fish(providers: readonly string[]): string {
  const quote = (text: string): string => `'${text.replace(/['\\]/g, "\\$&")}'`;
  const values = (option: Option): string => {
    if (option.choices) return ` -x -a ${quote(option.choices.join(" "))}`;
    switch (option.completes) {
      case "file":
      case "directory":
        return " -r -F";
      case "pid":
        return " -x -a '(__fish_complete_pids)'";
      case "command":
        return " -x -a '(__fish_complete_command)'";
      case "probe":
        return ` -x -a ${quote(providers.map((name) => `${name}:`).join(" "))}`;
      default:
        return option.value === undefined ? "" : " -x";
    }
  };
  const lines = ["# fish completion of skep", "complete -c skep -f"];
  for (const command of COMMANDS) {
    lines.push(`complete -c skep -n __fish_use_subcommand -a ${command.name} -d ${quote(command.summary)}`);
    const when = `-n '__fish_seen_subcommand_from ${command.name}'`;
    for (const option of shown(command.options)) {
      const short = option.short ? ` -s ${option.short}` : "";
      lines.push(`complete -c skep ${when}${short} -l ${option.long}${values(option)} -d ${quote(option.help)}`);
    }
    if (command.operands === "file") lines.push(`complete -c skep ${when} -F`);
    if (command.operandChoices) lines.push(`complete -c skep ${when} -a ${quote(command.operandChoices.join(" "))}`);
  }
  return `${lines.join("\n")}\n`;
}
