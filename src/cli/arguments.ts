/** Reads command lines by the option tables, as getopt_long(3) does: `-o FILE`, `-oFILE`, `--output FILE`, `--output=FILE`, `-qv`, `--`. */
import { nearestNames, UsageError } from "../base/index.ts";
import type { Option } from "./options.ts";

/** A command line that was understood. */
export interface Arguments {
  /** By long name; switches are `true`, an option given several times keeps its last value. */
  readonly options: ReadonlyMap<string, string | true>;
  /** All values of options that may be given several times, in order. */
  readonly repeated: ReadonlyMap<string, readonly string[]>;
  /** Values of all options that may be given several times, in the order of the command line. */
  readonly ordered?: readonly { readonly name: string; readonly value: string }[];
  /** Words that are no options, in order. */
  readonly operands: readonly string[];
}

/** What the reader says of a word: a negative number is no option. */
const NUMBER = /^-\d/;

/** Reads the words behind a command's name. Options may follow operands; `--` ends them. Throws UsageError with the nearest option. */
export function parseArguments(words: readonly string[], table: readonly Option[], command: string): Arguments {
  const options = new Map<string, string | true>();
  const repeated = new Map<string, string[]>();
  const operands: string[] = [];
  const ordered: { name: string; value: string }[] = [];
  const fail = (message: string): never => {
    throw new UsageError(`skep ${command}: ${message}`);
  };
  const take = (option: Option, shown: string, attached: string | undefined, next: string | undefined): boolean => {
    if (option.value === undefined) {
      if (attached !== undefined) fail(`${shown} takes no value`);
      options.set(option.long, true);
      return false;
    }
    let value = attached;
    let used = false;
    if (value === undefined) {
      if (next === undefined) fail(`${shown} needs a value: ${shown} ${option.value}`);
      value = next;
      used = true;
    }
    if (value !== undefined && option.choices && !isChoice(option, value)) {
      fail(`${shown} ${value}: must be one of ${option.choices.join(", ")}`);
    }
    options.set(option.long, value!);
    if (option.repeats) ordered.push({ name: option.long, value: value! });
    if (option.repeats) repeated.set(option.long, [...(repeated.get(option.long) ?? []), value!]);
    return used;
  };
  for (let i = 0; i < words.length; i++) {
    const word = asCompilersSay(words[i]!, table);
    if (word === "--") {
      operands.push(...words.slice(i + 1));
      break;
    }
    if (word === "-" || !word.startsWith("-") || NUMBER.test(word)) {
      operands.push(word);
      continue;
    }
    if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const name = word.slice(2, equals === -1 ? undefined : equals);
      const option = table.find((row) => row.long === name);
      if (!option) {
        const near = nearestNames(
          name,
          table.filter((row) => !row.hidden).map((row) => row.long),
          1,
        );
        fail(`unknown option --${name}${near.length > 0 ? ` (did you mean --${near[0]}?)` : ""}`);
      }
      if (take(option!, `--${name}`, equals === -1 ? undefined : word.slice(equals + 1), words[i + 1])) i++;
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const option = table.find((row) => row.short === letter);
      if (!option) fail(`unknown option -${letter} (skep ${command} --help lists them)`);
      const rest = option!.value === undefined ? "" : word.slice(at + 1);
      if (take(option!, `-${letter}`, rest === "" ? undefined : rest, words[i + 1])) i++;
      if (option!.value !== undefined) break;
    }
  }
  return { options, repeated, ordered, operands };
}

/** `-include` has one dash in compilers. */
function asCompilersSay(word: string, table: readonly Option[]): string {
  return word === "-include" && table.some((row) => row.long === "include") ? "--include" : word;
}

/** Stages may be joined by commas and have other names; they are checked where they are used. */
function isChoice(option: Option, value: string): boolean {
  return option.choices!.includes(value) || option.long === "debug";
}

/** The text value of an option. */
export function textOption(args: Arguments, name: string): string | undefined {
  const value = args.options.get(name);
  return typeof value === "string" ? value : undefined;
}
