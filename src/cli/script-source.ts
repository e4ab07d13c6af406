/** Where a script comes from: `-e`, a file, or stdin; and the words that are left for it. */
import { UsageError } from "../base/index.ts";
import type { SourceText } from "../base/index.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { readInput, textOfInput } from "./input.ts";

/** A script and its `$1 ...`. */
export interface ScriptInput {
  readonly source: SourceText;
  readonly positional: readonly string[];
}

/** Reads the script that a command line names. Throws UsageError when it names none or one that cannot be read. */
export function readScript(args: Arguments, command: string): ScriptInput {
  const text = textOption(args, "execute");
  // bpftrace calls what comes by -e "stdin" in its messages.
  if (text !== undefined) return { source: { name: "stdin", text }, positional: args.operands };
  const [file, ...positional] = args.operands;
  if (file === undefined) {
    throw new UsageError(
      `skep ${command}: no script: give a FILE, - for stdin, or -e 'SCRIPT' (skep ${command} --help)`,
    );
  }
  const hint = /[{}]/.test(file) ? " (is it a script? then give it with -e)" : "";
  const content = textOfInput(file, readInput(file, command, hint), command);
  return { source: { name: file === "-" ? "stdin" : file, text: content }, positional };
}
