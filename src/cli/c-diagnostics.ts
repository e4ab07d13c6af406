/** What the C compiler says, as the command line shows it: in clang's form, or an object a line. */
import type { CDiagnostic, CompileError, Diagnostics } from "../lang/c/index.ts";

const PAINTS: Readonly<Record<string, string>> = { error: "1;31", warning: "1;35", note: "1;36" };

/** The text of diagnostics with clang's colours: places bold, kinds of messages by severity, carets green. */
export function colourC(text: string): string {
  const paint = (code: string, part: string): string => `\u001b[${code}m${part}\u001b[0m`;
  return text
    .split("\n")
    .map((line) => {
      const [, place, severity, rest] = /^(\S.*?:\d+:\d+: )(error|warning|note): (.*)$/.exec(line) ?? [];
      if (place !== undefined) {
        const message = severity === "note" ? rest! : paint("1", rest!);
        return `${paint("1", place)}${paint(PAINTS[severity!]!, `${severity}:`)} ${message}`;
      }
      return /^\s+\^~*$/.test(line) ? paint("1;32", line) : line;
    })
    .join("\n");
}

/** How many errors and warnings, as the last line of a compiler's output; empty for none. */
export function countLine({ messages }: Diagnostics): string {
  const count = (severity: string): string[] => {
    const found = messages.filter((message) => message.severity === severity).length;
    return found === 0 ? [] : [`${found} ${severity}${found === 1 ? "" : "s"}`];
  };
  const counts = [...count("warning"), ...count("error")];
  return counts.length === 0 ? "" : `${counts.join(" and ")} generated.`;
}

/** A place of a diagnostic, for programs: lines and columns from 1. */
interface JsonPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Messages as JSON, an object a line: `severity`, `message`, `file`, `line`, `column`, `length`, `hint`, `notes`, `macros`. */
export function diagnosticLines({ messages, sources }: Diagnostics): string[] {
  const placeOf = (location: number): JsonPlace => {
    const { path, line, column } = sources.place(location);
    return { file: path, line, column };
  };
  return messages.map(({ severity, message, location, length, hint, notes }: CDiagnostic) =>
    JSON.stringify({
      type: "diagnostic",
      severity,
      message,
      ...placeOf(location),
      length,
      ...(hint === undefined ? {} : { hint }),
      ...(notes.length === 0
        ? {}
        : { notes: notes.map((note) => ({ message: note.message, ...placeOf(note.location) })) }),
      ...macrosOf(sources.backtrace(location), placeOf),
    }),
  );
}

function macrosOf(
  trace: readonly { readonly macro: string; readonly spelling: number }[],
  placeOf: (location: number) => JsonPlace,
): object {
  if (trace.length === 0) return {};
  return { macros: trace.toReversed().map(({ macro, spelling }) => ({ macro, ...placeOf(spelling) })) };
}

/** An error of the compiler as text, with how many there are. */
export function compileErrorText(error: CompileError, colour: boolean): string {
  const text = [error.message, countLine(error.diagnostics)].filter((part) => part !== "").join("\n");
  return colour ? colourC(text) : text;
}
