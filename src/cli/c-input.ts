/** C sources that commands are given. */
import type { SourceText } from "../base/index.ts";
import { CompileError } from "../lang/c/index.ts";
import type { CCompilation } from "../lang/c/index.ts";
import { compileSources, type CSourceOptions, lackOfTypes } from "../runtime/c-source.ts";
import { colourC, compileErrorText, diagnosticLines } from "./c-diagnostics.ts";
import { writeError } from "./write.ts";

/** How what the compiler says is shown. */
export interface SayOptions {
  /** An object a line. */
  readonly json?: boolean;
  readonly warnings?: boolean;
}

/** Whether a file is called as C sources are. */
export function isCName(path: string): boolean {
  return /\.[ch]$/i.test(path);
}

/** What only C has, for sources that come without a name. */
const C_TEXT =
  /^\s*#\s*(?:include|define|pragma|if)|\bSEC\s*\(|\bBPF_(?:HASH|ARRAY|TABLE|PERF_OUTPUT|RINGBUF_OUTPUT)\s*\(|\bstruct pt_regs\b/m;

/** Whether text is C and no script. */
export function looksLikeC(text: string): boolean {
  return C_TEXT.test(text);
}

/** Whether standard error takes colours. */
export function hasColour(): boolean {
  return process.stderr.isTTY && !process.env.NO_COLOR;
}

/** Compiles sources to one object, and says what the compiler warns of. Throws CompileError, which {@link sayCompileError} shows. */
export function compileInputs(
  sources: readonly SourceText[],
  options: CSourceOptions,
  say: SayOptions = {},
): CCompilation {
  try {
    const compilation = compileSources(sources, options);
    if (say.warnings !== false) sayDiagnostics(compilation, say.json === true);
    return compilation;
  } catch (error) {
    const lack = error instanceof CompileError ? lackOfTypes(error, options) : undefined;
    if (lack !== undefined && error instanceof CompileError) {
      error.message += `\nnote: ${lack}: give --btf FILE, the types of the kernel that it is for`;
    }
    throw error;
  }
}

function sayDiagnostics({ diagnostics }: CCompilation, json: boolean): void {
  if (diagnostics.messages.length === 0) return;
  if (json)
    writeError(
      diagnosticLines(diagnostics)
        .map((line) => `${line}\n`)
        .join(""),
    );
  else {
    const text = diagnostics.format();
    writeError(`${hasColour() ? colourC(text) : text}\n`);
  }
}

/** Shows the errors of a source on standard error; returns the exit status. */
export function sayCompileError(error: CompileError, json: boolean): number {
  if (json)
    writeError(
      diagnosticLines(error.diagnostics)
        .map((line) => `${line}\n`)
        .join(""),
    );
  else writeError(`${compileErrorText(error, hasColour())}\n`);
  return error.exitStatus;
}
