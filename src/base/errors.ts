/**
 * Every error that Skep throws on purpose: a stable code, a message that says what to do, and what caused it.
 * Messages read "noun: what: why (hint)". Callers match on `code` or class, never on text.
 */

/** What the process should exit with: 0 done, 1 the work failed, 2 the call or the script is wrong, 3 this machine or user cannot do it. */
export type ExitStatus = 0 | 1 | 2 | 3;

/** Base class of all errors thrown on purpose. */
export class SkepError extends Error {
  /** Stable identifier, for programs: `"parse"`, `"syscall"`, `"unsupported"`, `"verifier"`, `"usage"`, ... */
  readonly code: string;
  /** Exit status of the command line when this error ends it. */
  readonly exitStatus: ExitStatus;

  constructor(code: string, message: string, options: { cause?: unknown; exitStatus?: ExitStatus } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.exitStatus = options.exitStatus ?? 1;
  }
}

/** A half-open range of a source text, in UTF-16 offsets. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A named source text. */
export interface SourceText {
  /** As shown in messages: a path, or `stdin` for text given with `-e`, as bpftrace names it. */
  readonly name: string;
  readonly text: string;
}

/** A line and column, both from 1. */
export interface LineColumn {
  readonly line: number;
  readonly column: number;
}

/** Line and column of a UTF-16 offset. */
export function lineColumnAt(text: string, offset: number): LineColumn {
  let line = 1;
  let lineStart = 0;
  for (;;) {
    const newline = text.indexOf("\n", lineStart);
    if (newline === -1 || newline >= offset) return { line, column: offset - lineStart + 1 };
    line++;
    lineStart = newline + 1;
  }
}

/** One complaint about a place in a source text. */
export interface Diagnostic {
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly span: Span;
  /** What would be right, shown on its own `HINT:` line. */
  readonly hint?: string;
  /** The script is right, and this machine cannot run it: without other complaints the exit status is 3. */
  readonly unsupported?: boolean;
}

/**
 * Formats one diagnostic as bpftrace does: `name:line:column-column: ERROR: text`, the source line, tildes under the span,
 * then the hint. Tabs of the source line are kept so that the marks stay aligned.
 */
export function formatDiagnostic(source: SourceText, diagnostic: Diagnostic): string {
  const { line, column } = lineColumnAt(source.text, diagnostic.span.start);
  const lineStart = diagnostic.span.start - (column - 1);
  const newline = source.text.indexOf("\n", lineStart);
  const lineText = source.text.slice(lineStart, newline === -1 ? undefined : newline);
  const endOnLine = Math.min(Math.max(diagnostic.span.end, diagnostic.span.start + 1), lineStart + lineText.length + 1);
  const width = Math.max(1, endOnLine - diagnostic.span.start);
  const label = diagnostic.severity === "error" ? "ERROR" : "WARNING";
  const pad = lineText.slice(0, column - 1).replace(/[^\t]/g, " ");
  const out = [
    `${source.name}:${line}:${column}-${column + width}: ${label}: ${diagnostic.message}`,
    lineText,
    pad + "~".repeat(width),
  ];
  if (diagnostic.hint) out.push(`HINT: ${diagnostic.hint}`);
  return out.join("\n");
}

/** A source text that cannot be compiled, with every complaint and its place. */
export class ScriptError extends SkepError {
  readonly source: SourceText;
  readonly diagnostics: readonly Diagnostic[];

  constructor(source: SourceText, diagnostics: readonly Diagnostic[]) {
    const exitStatus = diagnostics.length > 0 && diagnostics.every((d) => d.unsupported) ? 3 : 2;
    super("script", diagnostics.map((d) => formatDiagnostic(source, d)).join("\n"), { exitStatus });
    this.source = source;
    this.diagnostics = diagnostics;
  }
}

/** Malformed binary or text input that no person wrote by hand: names the section and the byte offset. */
export class ParseError extends SkepError {
  readonly section: string;
  /** Byte offset from the start of `section`. */
  readonly byteOffset: number;

  constructor(section: string, byteOffset: number, what: string, options: { cause?: unknown } = {}) {
    super("parse", `${section}: offset ${byteOffset}: ${what}`, { ...options, exitStatus: 2 });
    this.section = section;
    this.byteOffset = byteOffset;
  }
}

/** A system call that failed: what was asked, errno, and the likely reason on this machine. */
export class SyscallError extends SkepError {
  /** What was asked, such as `bpf(BPF_MAP_CREATE)`. */
  readonly operation: string;
  /** Name of errno, such as `EPERM`. */
  readonly errnoName: string;
  readonly errno: number;

  constructor(
    operation: string,
    errno: number,
    errnoName: string,
    why: string,
    options: { cause?: unknown; exitStatus?: ExitStatus } = {},
  ) {
    super("syscall", `${operation}: ${errnoName}${why ? `: ${why}` : ""}`, options);
    this.operation = operation;
    this.errno = errno;
    this.errnoName = errnoName;
  }
}

/** Something that this machine, kernel or user cannot do, with what is missing and what to do about it. */
export class UnsupportedError extends SkepError {
  readonly feature: string;

  constructor(feature: string, why: string, options: { cause?: unknown } = {}) {
    super("unsupported", `${feature}: ${why}`, { ...options, exitStatus: 3 });
    this.feature = feature;
  }
}

/** The kernel's verifier refused a program. `log` is its whole text. */
export class VerifierError extends SkepError {
  readonly program: string;
  readonly log: string;

  constructor(program: string, errnoName: string, log: string, message: string, options: { cause?: unknown } = {}) {
    super("verifier", `program ${program}: ${errnoName}: ${message}`, options);
    this.program = program;
    this.log = log;
  }
}

/** The command line was used wrongly. */
export class UsageError extends SkepError {
  constructor(message: string) {
    super("usage", message, { exitStatus: 2 });
  }
}
