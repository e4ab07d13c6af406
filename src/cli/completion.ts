/**
 * Shell completion from the option tables. What can stand in a script, and which probes this machine has, the shell asks skep itself
 * (`skep completion --script TEXT`); it replaces the last run of letters, digits and `_:*`.
 */
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

/** As shells see commands: one with subcommands has the options of all of them, and their names as its first operand. */
const commands: readonly Command[] = COMMANDS.map((command) => {
  if (!command.subcommands) return command;
  const options = new Map(
    [...command.options, ...command.subcommands.flatMap((inner) => inner.options)].map((option) => [
      option.long,
      option,
    ]),
  );
  return {
    ...command,
    options: [...options.values()],
    operands: "file",
    operandChoices: command.subcommands.map(({ name }) => name),
  };
});

/** Completion code for a shell. */
export function completionScript(shell: Shell): string {
  return { bash, zsh, fish }[shell]();
}

function bashValue(option: Option): string | undefined {
  if (option.choices) return `COMPREPLY=($(compgen -W "${option.choices.join(" ")}" -- "$cur"))`;
  switch (option.completes) {
    case "file":
      return `COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames`;
    case "directory":
      return `COMPREPLY=($(compgen -d -- "$cur")); compopt -o filenames`;
    case "pid":
      return `COMPREPLY=($(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur"))`;
    case "command":
      return `COMPREPLY=($(compgen -c -- "$cur"))`;
    case "script":
      return `_skep_words --script`;
    default:
      return option.value === undefined ? undefined : "COMPREPLY=()";
  }
}

function bash(): string {
  const branch = (command: Command): string => {
    const values = shown(command.options)
      .map((option) => ({ option, code: bashValue(option) }))
      .filter(({ code }) => code !== undefined)
      .map(({ option, code }) => `        ${spellings(option)}) ${code}; return ;;`);
    const files = `COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames`;
    const choices = `COMPREPLY=($(compgen -W "${command.operandChoices?.join(" ")}" -- "$cur"))`;
    const operand = command.subcommands
      ? `if [[ $at -eq 2 ]]; then ${choices}; else ${files}; fi`
      : command.operands === "file"
        ? files
        : command.operands === "feature"
          ? "_skep_words --features"
          : command.operandChoices
            ? choices
            : "COMPREPLY=()";
    const probes = command.options.some((option) => option.operandHint === "PATTERN")
      ? `elif [[ " \${COMP_WORDS[*]} " =~ " "(-l|--list)" " ]]; then _skep_words --probes\n      `
      : "";
    return `    ${command.name})
      case "$prev" in
${values.join("\n")}
      esac
      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "${words(command.options).join(" ")}" -- "$cur"))
      ${probes}else ${operand}; fi ;;`;
  };
  return `# bash completion of skep
# Words of a script or probes that continue $cur. Of these bash wants what follows the last of its word breaks, of which : is one.
_skep_words() {
  local quote= text=$cur
  case $text in \\'*|\\"*) quote=\${text:0:1} text=\${text:1} ;; esac
  local last=\${text##*[^A-Za-z0-9_:\\*]}
  local head=\${text%"$last"}
  [[ $1 != --script ]] && last=$text head=
  local skip=
  [[ -z $quote && $COMP_WORDBREAKS == *:* && $text == *:* ]] && skip=\${text%:*}:
  local IFS=$'\\n' word
  COMPREPLY=()
  for word in $("\${COMP_WORDS[0]/#\\~/$HOME}" completion "$1" "$head$last" 2>/dev/null); do
    word=$head$word
    COMPREPLY+=("\${word#"$skip"}")
  done
  # Of one word bash would close the quote behind it.
  [[ -n $quote && \${#COMPREPLY[@]} -eq 1 ]] && COMPREPLY+=("\${COMPREPLY[0]} ")
  # A part of a name, or a script that goes on.
  [[ -n $quote || $word == *: ]] && compopt -o nospace 2>/dev/null
  return 0
}

_skep() {
  # The word that is typed, put together again where it was broken at a colon.
  local at=$COMP_CWORD cur=\${COMP_WORDS[COMP_CWORD]}
  while ((at > 1)) && [[ \${COMP_WORDS[at]} == :* || \${COMP_WORDS[at-1]} == *: ]]; do
    ((at--))
    cur=\${COMP_WORDS[at]}$cur
  done
  local prev=\${COMP_WORDS[at-1]}
  if [[ $at -eq 1 ]]; then
    COMPREPLY=($(compgen -W "${[...commands.map((c) => c.name), ...words(GLOBAL_OPTIONS)].join(" ")}" -- "$cur"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${commands.map(branch).join("\n")}
  esac
}
complete -F _skep skep
`;
}

const zshQuote = (text: string): string => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, "\\$&");

function zsh(): string {
  const action = (option: Option): string => {
    if (option.value === undefined) return "";
    const what = option.choices
      ? `(${option.choices.join(" ")})`
      : ({
          file: "_files",
          directory: "_files -/",
          pid: "_pids",
          command: "_command_names -e",
          // The space keeps _arguments from adding options of compadd.
          script: " _skep_words --script",
        }[option.completes as string] ?? "");
    return `:${zshQuote(option.value)}:${what}`;
  };
  const line = (option: Option): string[] => {
    const rest = `[${zshQuote(option.help)}]${action(option)}`;
    return [`'--${option.long}${rest}'`, ...(option.short ? [`'-${option.short}${rest}'`] : [])];
  };
  const operands = (command: Command): string =>
    command.subcommands
      ? ` '1:kind:(${command.operandChoices?.join(" ")})' '*:file:_files'`
      : command.operands === "file"
        ? " '*:file:_skep_operand'"
        : command.operands === "feature"
          ? " '*:feature: _skep_words --features'"
          : command.operandChoices
            ? ` '1:shell:(${command.operandChoices.join(" ")})'`
            : "";
  return `#compdef skep
# Words of a script or probes that continue what is typed.
_skep_words() {
  local text=$PREFIX
  [[ $1 == --script ]] && compset -P '*[^A-Za-z0-9_:\\*]'
  local -a found
  found=(\${(f)"$(skep completion $1 "$text" 2>/dev/null)"})
  # A part of a name goes on, and so does a script.
  compadd -S '' -- $found
}

_skep_operand() {
  if (( $words[(I)(-l|--list)] )); then _skep_words --probes; else _files; fi
}

_skep() {
  if (( CURRENT == 2 )); then
    local -a commands=(${commands.map((c) => `'${c.name}:${zshQuote(c.summary)}'`).join(" ")})
    _describe command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${commands.map((c) => `    ${c.name}) _arguments -s ${shown(c.options).flatMap(line).join(" ")}${operands(c)} ;;`).join("\n")}
  esac
}
compdef _skep skep
`;
}

function fish(): string {
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
      case "script":
        return " -x -a '(__skep_words --script)'";
      default:
        return option.value === undefined ? "" : " -x";
    }
  };
  const lines = [
    "# fish completion of skep",
    "# Words of a script or probes that continue what is typed.",
    "function __skep_words",
    "  set -l text (commandline -ct | string collect)",
    `  set text (string replace -r '^["\\']' '' -- $text | string collect)`,
    "  set -l head ''",
    "  test $argv[1] = --script; and set head (string replace -r '[A-Za-z0-9_:*]*$' '' -- $text | string collect)",
    '  for word in (skep completion $argv[1] "$text" 2>/dev/null)',
    '    echo -- "$head$word"',
    "  end",
    "end",
    "complete -c skep -f",
  ];
  for (const command of commands) {
    lines.push(`complete -c skep -n __fish_use_subcommand -a ${command.name} -d ${quote(command.summary)}`);
    const when = `-n '__fish_seen_subcommand_from ${command.name}'`;
    for (const option of shown(command.options)) {
      const short = option.short ? ` -s ${option.short}` : "";
      lines.push(`complete -c skep ${when}${short} -l ${option.long}${values(option)} -d ${quote(option.help)}`);
    }
    const list = "__fish_contains_opt -s l list";
    if (command.options.some((option) => option.operandHint === "PATTERN")) {
      lines.push(
        `complete -c skep -n '__fish_seen_subcommand_from ${command.name}; and ${list}' -a '(__skep_words --probes)'`,
      );
    }
    if (command.operands === "file") {
      lines.push(`complete -c skep -n '__fish_seen_subcommand_from ${command.name}; and not ${list}' -F`);
    }
    if (command.operands === "feature") lines.push(`complete -c skep ${when} -a '(__skep_words --features)'`);
    if (command.operandChoices) lines.push(`complete -c skep ${when} -a ${quote(command.operandChoices.join(" "))}`);
  }
  return `${lines.join("\n")}\n`;
}
