/** What a program may not exceed, told at the place in the source that does. */
import { SkepError } from "../base/index.ts";
import type { Module, Position } from "./ir.ts";

/** A program is too large for the kernel. Thrown without the source's name, which {@link placeLimit} adds. */
export class LimitError extends SkepError {
  readonly position: Position | null;
  readonly what: string;
  /** `what`: what is too large, and what to do. */
  constructor(position: Position | null, what: string, code: "limit" | "stack" = "limit") {
    super(code, what, { exitStatus: 1 });
    this.position = position;
    this.what = what;
  }
}

/** The error with the place in a module's sources in front. */
export function placeLimit(error: LimitError, module: Module): SkepError {
  const { position, what } = error;
  const source = position && module.sources[position.source];
  if (!position || !source) return error;
  return new SkepError(error.code, `${source.name}:${position.line}:${position.column}: ERROR: ${what}`, {
    exitStatus: 1,
    cause: error,
  });
}
