/**
 * Where tokens come from. A location is one number: a character of a file, as its index in all files laid end to end; or a token
 * that a macro's expansion made, which stands for two locations: where it is spelled, and where the macro was named.
 */
import type { LineColumn, SourceText } from "../../base/index.ts";

/** A file of the compilation, real or virtual, once for each time it is included. */
export class SourceFile {
  /** As the user would open it. */
  readonly path: string;
  /** Contents as they are. */
  readonly original: string;
  /** Contents without the line ends that a backslash hides. */
  readonly text: string;
  /** Location of its first character. */
  readonly base: number;
  /** Location of the `#include` that brought it here; undefined for the main file and what comes with the compiler. */
  readonly includedAt: number | undefined;
  /** Header of the compiler itself or of the kernel: no warnings from there. */
  readonly system: boolean;
  /** Offsets in `text` before which characters were taken out, ascending, and how many up to there. */
  private readonly splices: readonly { readonly at: number; readonly removed: number }[];
  private lineStarts: number[] | undefined;
  /** `#line`: from this offset of `text` on, lines count from `line`, in a file of that name. */
  readonly renames: { readonly offset: number; readonly line: number; readonly path: string }[] = [];

  constructor(path: string, original: string, base: number, includedAt: number | undefined, system: boolean) {
    this.path = path;
    this.original = original;
    this.base = base;
    this.includedAt = includedAt;
    this.system = system;
    const { text, splices } = splice(original);
    this.text = text;
    this.splices = splices;
  }

  /** Offset in the file as it is, of an offset in `text`. */
  originalOffset(offset: number): number {
    let low = 0;
    let high = this.splices.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.splices[middle]!.at <= offset) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? offset : offset + this.splices[low - 1]!.removed;
  }

  /** Location of a line and column from 1, as {@link lineColumn} gives them. */
  locationAt({ line, column }: LineColumn): number {
    this.lineStarts ??= startsOfLines(this.original);
    const original = (this.lineStarts[line - 1] ?? 0) + column - 1;
    const before = this.splices.findLast((s) => s.at + s.removed <= original);
    return this.base + Math.min(this.text.length, original - (before?.removed ?? 0));
  }

  /** Line and column from 1, of an offset in `text`. */
  lineColumn(offset: number): LineColumn {
    const at = this.originalOffset(offset);
    this.lineStarts ??= startsOfLines(this.original);
    const starts = this.lineStarts;
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return { line: low, column: at - starts[low - 1]! + 1 };
  }
}

function startsOfLines(text: string): number[] {
  const starts = [0];
  for (let i = text.indexOf("\n"); i !== -1; i = text.indexOf("\n", i + 1)) starts.push(i + 1);
  return starts;
}

/** Takes out backslashes at line ends with what follows them (spaces between are forgiven, as GCC and clang do). */
function splice(original: string): { text: string; splices: { at: number; removed: number }[] } {
  const splices: { at: number; removed: number }[] = [];
  if (!original.includes("\\\n") && !/\\[ \t\r\f\v]+\n/.test(original)) return { text: original, splices };
  let text = "";
  let from = 0;
  let removed = 0;
  for (const match of original.matchAll(/\\[ \t\r\f\v]*\n/g)) {
    text += original.slice(from, match.index);
    from = match.index + match[0].length;
    removed += match[0].length;
    splices.push({ at: text.length, removed });
  }
  return { text: text + original.slice(from), splices };
}

/** One expansion of a macro. */
export interface Expansion {
  readonly macro: string;
  /** Location of the macro's name where it was used; itself of an expansion when that was inside another macro. */
  readonly at: number;
}

/** A place as people read it. */
export interface Place extends LineColumn {
  readonly file: SourceFile;
  /** As `#line` says, else the file's. */
  readonly path: string;
  /** Offset in the file as it is. */
  readonly offset: number;
}

/** Locations of expansions start here: no compilation has so many characters. */
const EXPANSIONS = 2 ** 31;

/** All files and expansions of a compilation. */
export class SourceMap {
  readonly files: SourceFile[] = [];
  private nextBase = 1;
  private readonly spellings: number[] = [];
  private readonly expansions: Expansion[] = [];

  /** Adds a file's contents. */
  add(
    path: string,
    text: string,
    options: { readonly includedAt?: number; readonly system?: boolean } = {},
  ): SourceFile {
    const file = new SourceFile(path, text, this.nextBase, options.includedAt, options.system === true);
    // One more than it has, so that its end is a location too.
    this.nextBase += file.text.length + 1;
    this.files.push(file);
    return file;
  }

  /** Location of a token that an expansion made of one spelled at `spelling`. */
  expanded(spelling: number, expansion: Expansion): number {
    this.spellings.push(spelling);
    this.expansions.push(expansion);
    return EXPANSIONS + this.spellings.length - 1;
  }

  /** The file that holds a location, which is of no expansion. */
  fileAt(location: number): SourceFile {
    let low = 0;
    let high = this.files.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.files[middle]!.base <= location) low = middle + 1;
      else high = middle;
    }
    return this.files[Math.max(0, low - 1)]!;
  }

  /** The place behind a token of some characters; the token's own when an expansion made it. */
  behind(location: number, length: number): number {
    return location >= EXPANSIONS ? location : location + length;
  }

  /** Where a token's characters are, in a file. */
  spelling(location: number): number {
    let at = location;
    while (at >= EXPANSIONS) at = this.spellings[at - EXPANSIONS]!;
    return at;
  }

  /** Where a reader finds the cause: of an expansion, the outermost macro's name in a file. */
  origin(location: number): number {
    let at = location;
    while (at >= EXPANSIONS) at = this.expansions[at - EXPANSIONS]!.at;
    return at;
  }

  /** The expansions that made a token, innermost first. */
  backtrace(location: number): { readonly macro: string; readonly spelling: number }[] {
    const trace: { macro: string; spelling: number }[] = [];
    for (let at = location; at >= EXPANSIONS;) {
      const { macro, at: next } = this.expansions[at - EXPANSIONS]!;
      trace.push({ macro, spelling: this.spelling(at) });
      at = next;
    }
    return trace;
  }

  /** File, line and column of a location: of its origin when it is of an expansion. */
  place(location: number): Place {
    const at = this.origin(location);
    const file = this.fileAt(at);
    const offset = at - file.base;
    const { line, column } = file.lineColumn(offset);
    const rename = file.renames.findLast((r) => r.offset <= offset);
    if (rename === undefined) return { file, path: file.path, line, column, offset: file.originalOffset(offset) };
    return {
      file,
      path: rename.path,
      line: rename.line + line - file.lineColumn(rename.offset).line,
      column,
      offset: file.originalOffset(offset),
    };
  }

  /** A file as messages and line records take it. */
  sourceText(file: SourceFile): SourceText {
    return { name: file.path, text: file.original };
  }
}
