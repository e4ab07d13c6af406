/** Errors as the command line shows them. */
import { CompileError } from "../lang/c/diagnostics.ts";
import { compileErrorText } from "./c-diagnostics.ts";
import { ScriptError, SkepError, VerifierError } from "../base/index.ts";

/** Where the command line tells the user to report defects. */
const REPORT = "This is a defect of skep, not of the script: please report it with the script and the lines above.";

/** Lines of the verifier's log that are worth showing: the end, where the verdict is. */
const LOG_LINES = 15;

/**
 * Text of an error and the exit status that it asks for. Unexpected errors keep their stack. `compiled`: programs are of our own making, so
 * that the verifier's refusal is our defect.
 */
export function describeFailure(error: unknown, colour: boolean, compiled = true): { text: string; status: number } {
  const red = (text: string): string => (colour ? `\u001b[31m${text}\u001b[0m` : text);
  if (error instanceof ScriptError) {
    return { text: colour ? colourDiagnostics(error.message) : error.message, status: error.exitStatus };
  }
  if (error instanceof CompileError) return { text: compileErrorText(error, colour), status: error.exitStatus };
  if (error instanceof VerifierError) {
    const limit = exceeded(error);
    if (limit) return { text: red(limit), status: 1 };
    const lines = error.log.split("\n").filter((line) => line.trim() !== "" && !/^processed \d+ insns/.test(line));
    return {
      text: [
        red(`ERROR: the kernel's verifier refused program ${error.program}: ${verdict(error)}`),
        // The message may say where already.
        ...(/\(at .+:\d+/.test(verdict(error)) ? [] : sourcePlace(error)),
        "The end of its log:",
        ...lines.slice(-LOG_LINES).map((line) => `  ${line}`),
        ...(compiled ? [REPORT] : []),
      ].join("\n"),
      status: 1,
    };
  }
  if (error instanceof SkepError) return { text: red(`ERROR: ${error.message}`), status: error.exitStatus };
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: `${red("ERROR: skep failed unexpectedly")}\n${stack}\nPlease report it.`, status: 1 };
}

/** What the verifier says of programs that are right but too large, and what to do about it. */
const LIMITS: readonly (readonly [said: RegExp, what: string])[] = [
  [
    /^BPF program is too large\. Processed/m,
    "its verifier walks at most 1,000,000 instructions, those of loops once for each round: make loops shorter, take branches out of them, or split the probe in two",
  ],
  [
    /^The sequence of \d+ jumps is too complex/m,
    "at most 8,192 branches may follow one another (every printf is one): split the probe in two",
  ],
  [
    /^combined stack size of \d+ calls is \d+/m,
    "its functions have 512 bytes of stack together: use smaller strings, or fewer variables",
  ],
  [/cannot be patched due to 16-bit range/, "its jumps reach 32,767 instructions: split the probe in two"],
];

/** The message for a program that exceeds one of the kernel's limits; null for other refusals. */
function exceeded(error: VerifierError): string | null {
  const limit = LIMITS.find(([said]) => said.test(error.log));
  if (!limit) return null;
  const place = lastPlace(error);
  const text = `this is too large for the kernel: ${limit[1]}`;
  if (!place?.where) return `ERROR: program ${error.program}: ${text}`;
  return `${place.where}: ERROR: ${text}\n${place.source}`;
}

/** What the verifier said, without the class' own prefix. */
function verdict(error: VerifierError): string {
  return error.message.replace(/^program \S+: /, "");
}

/** The last line of the script that the log names before the verdict: `; source @ file:line`, from the program's line information. */
function lastPlace(error: VerifierError): { source: string; where: string | undefined } | null {
  const at = error.log.lastIndexOf("\n; ");
  const line = /^; (.*?)(?: @ (\S+:\d+))?$/m.exec(error.log.slice(at === -1 ? 0 : at + 1));
  return line && { source: line[1]!.trim(), where: line[2] };
}

function sourcePlace(error: VerifierError): string[] {
  const last = lastPlace(error);
  return last ? [`It was checking${last.where ? ` ${last.where}` : ""}: ${last.source}`] : [];
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
