/** What a program may not exceed, told at the place in the source that does. */
import { SkepError } from "../base/index.ts";
import type { Module, Position } from "./ir.ts";

/** A program is too large for the kernel. Thrown without the source's name, which {@link placeLimit} adds. */
export class LimitError extends SkepError {
  readonly position: Position | null;
  readonly what: string;
  /** `what`: what is too large, and what to do. */
  constructor(position: Position | null, what: string, code: "limit" | "stack" | "asm" = "limit", cause?: unknown) {
    super(code, what, { exitStatus: 1, ...(cause === undefined ? {} : { cause }) });
    this.position = position;
    this.what = what;
  }
}

/** The error with the place in a module's sources in front. */
export function placeLimit(error: LimitError, module: Module): SkepError {
  const place = placeText(error.position, module);
  return place === null ? error : new SkepError(error.code, `${place}: ERROR: ${error.what}`, { cause: error });
}

/** Name, line and column of a position, for messages; null when there is none. */
export function placeText(position: Position | null, module: Module): string | null {
  const source = position && module.sources[position.source];
  return source ? `${source.name}:${position.line}:${position.column}` : null;
}
