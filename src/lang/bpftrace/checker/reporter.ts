/** Collects what is wrong with a script: each complaint once, and no more than can be read. */
import type { Diagnostic, Span } from "../../../base/index.ts";

/** Complaints after which no more are kept. */
const LIMIT = 50;

/** Collects diagnostics. While `muted`, nothing is kept: the passes that find types look at what the last pass will complain about. */
export class Reporter {
  readonly errors: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  muted = false;
  private readonly seen = new Set<string>();

  error(span: Span, message: string, hint?: string): void {
    this.add("error", this.errors, span, message, hint);
  }

  /** What is wrong is this machine, not the script. */
  unsupported(span: Span, message: string, hint?: string): void {
    this.add("error", this.errors, span, message, hint, true);
  }

  warning(span: Span, message: string, hint?: string): void {
    this.add("warning", this.warnings, span, message, hint);
  }

  private add(
    severity: "error" | "warning",
    list: Diagnostic[],
    span: Span,
    message: string,
    hint: string | undefined,
    unsupported = false,
  ): void {
    if (this.muted || list.length >= LIMIT) return;
    const key = `${span.start} ${span.end} ${message}`;
    if (this.seen.has(key)) return;
    this.seen.add(key);
    list.push({
      severity,
      message,
      span,
      ...(hint === undefined ? {} : { hint }),
      ...(unsupported ? { unsupported } : {}),
    });
  }
}

/** `did you mean a, b?`, or the other hint when nothing is near. */
export function didYouMean(near: readonly string[], otherwise?: string): string | undefined {
  return near.length > 0 ? `did you mean ${near.join(", ")}?` : otherwise;
}
