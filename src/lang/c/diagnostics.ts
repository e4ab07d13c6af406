/** What the compiler has to say about C: errors, warnings and the notes that explain them. */
import { SkepError } from "../../base/index.ts";
import type { SourceMap } from "./source-map.ts";

/** A further place that explains a message. */
export interface Note {
  readonly location: number;
  readonly message: string;
}

/** One message with its place. */
export interface CDiagnostic {
  readonly severity: "error" | "warning";
  readonly location: number;
  /** Characters that the caret underlines. */
  readonly length: number;
  readonly message: string;
  /** What would be right. */
  readonly hint?: string;
  readonly notes: readonly Note[];
}

/** How a message is given besides its text. */
export interface MessageOptions {
  readonly length?: number;
  readonly hint?: string;
  readonly notes?: readonly Note[];
  /** Of warnings: what clang calls their group, so that `#pragma GCC diagnostic ignored "-W…"` finds them. */
  readonly group?: string;
}

/** Errors after which the rest would be noise. */
const MOST_ERRORS = 20;
/** Macros of a backtrace that are shown. */
const MOST_MACROS = 6;

/** The messages of one compilation. */
export class Diagnostics {
  readonly sources: SourceMap;
  readonly messages: CDiagnostic[] = [];
  private errors = 0;
  private ignored: ReadonlySet<string> = new Set();
  private readonly ignoredBefore: ReadonlySet<string>[] = [];

  constructor(sources: SourceMap) {
    this.sources = sources;
  }

  get errorCount(): number {
    return this.errors;
  }

  /** Adds an error. Throws {@link CompileError} when there are too many to be of use. */
  error(location: number, message: string, options: MessageOptions = {}): void {
    // One place is wrong in one way: what follows from it is not said again.
    const last = this.messages.at(-1);
    if (last?.severity === "error" && last.location === location) return;
    this.add("error", location, message, options);
    if (++this.errors >= MOST_ERRORS) throw new CompileError(this);
  }

  /** Adds an error and gives up. */
  fatal(location: number, message: string, options: MessageOptions = {}): never {
    this.add("error", location, message, options);
    this.errors++;
    throw new CompileError(this);
  }

  /** Adds a warning, unless it is about a header of the system. */
  warning(location: number, message: string, options: MessageOptions = {}): void {
    if (options.group !== undefined && this.ignored.has(options.group)) return;
    // Neither about a header itself nor about what its macros wrote.
    const { sources } = this;
    if (sources.fileAt(sources.origin(location)).system || sources.fileAt(sources.spelling(location)).system) return;
    this.add("warning", location, message, options);
  }

  /** `#pragma GCC diagnostic`: `push`, `pop`, or what becomes of a group of warnings from here on. */
  pragma(action: string, group: string = ""): void {
    if (action === "push") this.ignoredBefore.push(this.ignored);
    else if (action === "pop") this.ignored = this.ignoredBefore.pop() ?? this.ignored;
    else {
      const ignored = new Set(this.ignored);
      if (action === "ignored") ignored.add(group);
      else ignored.delete(group);
      this.ignored = ignored;
    }
  }

  private add(severity: CDiagnostic["severity"], location: number, message: string, options: MessageOptions): void {
    const { length = 1, hint, notes = [] } = options;
    this.messages.push({ severity, location, length, message, notes, ...(hint === undefined ? {} : { hint }) });
  }

  /** Throws {@link CompileError} when there were errors. */
  throwIfErrors(): void {
    if (this.errors > 0) throw new CompileError(this);
  }

  /** All messages as text, in the form of C compilers: place, message, the line, a caret, notes. */
  format(): string {
    return this.messages.map((message) => this.formatOne(message)).join("\n");
  }

  private formatOne(message: CDiagnostic): string {
    const lines = this.includeTrace(message.location);
    lines.push(this.placed(message.location, message.severity, message.message, message.length));
    if (message.hint !== undefined) lines.push(`  ${message.hint}`);
    const trace = this.sources.backtrace(message.location).toReversed();
    for (const { macro, spelling } of trace.slice(0, MOST_MACROS)) {
      lines.push(this.placed(spelling, "note", `expanded from macro '${macro}'`, 1));
    }
    if (trace.length > MOST_MACROS) lines.push(`  and from ${trace.length - MOST_MACROS} more macros`);
    for (const note of message.notes) lines.push(this.placed(note.location, "note", note.message, 1));
    return lines.join("\n");
  }

  private includeTrace(location: number): string[] {
    const lines: string[] = [];
    let file = this.sources.place(location).file;
    while (file.includedAt !== undefined) {
      const place = this.sources.place(file.includedAt);
      lines.push(`In file included from ${place.path}:${place.line}:`);
      file = place.file;
    }
    return lines.toReversed();
  }

  private placed(location: number, severity: string, message: string, length: number): string {
    const { file, path, line, column, offset } = this.sources.place(location);
    const start = offset - (column - 1);
    const end = file.original.indexOf("\n", offset);
    const text = file.original.slice(start, end === -1 ? undefined : end).trimEnd();
    if (text.trim() === "") return `${path}:${line}:${column}: ${severity}: ${message}`;
    const room = Math.max(1, Math.min(length, text.length - (column - 1)));
    // Tabs stay tabs before the caret, so that it stands below what it points at.
    const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
    return `${path}:${line}:${column}: ${severity}: ${message}\n  ${text}\n  ${indent}^${"~".repeat(room - 1)}`;
  }
}

/** C that cannot be compiled. The message is all diagnostics as text. */
export class CompileError extends SkepError {
  readonly diagnostics: Diagnostics;

  constructor(diagnostics: Diagnostics) {
    super("c", diagnostics.format(), { exitStatus: 2 });
    this.diagnostics = diagnostics;
  }
}
