/** Errors as the command line shows them. */
import { ScriptError, SkepError, VerifierError } from "../base/index.ts";

/** Where the command line tells the user to report defects. */
const REPORT = "This is a defect of skep, not of the script: please report it with the script and the lines above.";

/** Lines of the verifier's log that are worth showing: the end, where the verdict is. */
const LOG_LINES = 15;

/** Text of an error and the exit status that it asks for. Unexpected errors keep their stack. */
export function describeFailure(error: unknown, colour: boolean): { text: string; status: number } {
  const red = (text: string): string => (colour ? `\u001b[31m${text}\u001b[0m` : text);
  if (error instanceof ScriptError) {
    return { text: colour ? colourDiagnostics(error.message) : error.message, status: error.exitStatus };
  }
  if (error instanceof VerifierError) {
    const lines = error.log.split("\n").filter((line) => line.trim() !== "" && !/^processed \d+ insns/.test(line));
    return {
      text: [
        red(`ERROR: the kernel's verifier refused program ${error.program}: ${verdict(error)}`),
        ...sourcePlace(error),
        "The end of its log:",
        ...lines.slice(-LOG_LINES).map((line) => `  ${line}`),
        REPORT,
      ].join("\n"),
      status: 1,
    };
  }
  if (error instanceof SkepError) return { text: red(`ERROR: ${error.message}`), status: error.exitStatus };
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: `${red("ERROR: skep failed unexpectedly")}\n${stack}\nPlease report it.`, status: 1 };
}

/** What the verifier said, without the class' own prefix. */
function verdict(error: VerifierError): string {
  return error.message.replace(/^program \S+: /, "");
}

/** The last line of the script that the log names before the verdict: `; source @ file:line`, from the program's line information. */
function sourcePlace(error: VerifierError): string[] {
  const places = [...error.log.matchAll(/^; (.*?)(?: @ (\S+:\d+))?$/gm)];
  const last = places.at(-1);
  return last ? [`It was checking${last[2] ? ` ${last[2]}` : ""}: ${last[1]!.trim()}`] : [];
}

function colourDiagnostics(text: string): string {
  return text
    .split("\n")
    .map((line) =>
      /: ERROR: /.test(line)
        ? `\u001b[31m${line}\u001b[0m`
        : /: WARNING: /.test(line)
          ? `\u001b[33m${line}\u001b[0m`
          : /^\s*~+$/.test(line)
            ? `\u001b[32m${line}\u001b[0m`
            : line,
    )
    .join("\n");
}
