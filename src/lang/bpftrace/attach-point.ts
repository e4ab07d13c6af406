/** Reads attach points, which are text rather than tokens: `uprobe:/usr/lib/*.so:"std::sort"`. */
import type { Span } from "../../base/index.ts";
import { probeProvider } from "./table/probes.ts";

/** A piece of an attach point with its place. */
export interface AttachPointPart {
  /** Quotes removed, positional parameters replaced. */
  readonly text: string;
  readonly span: Span;
}

/** An attach point as it stands in a text. */
export interface RawAttachPoint {
  readonly provider: AttachPointPart;
  readonly parts: readonly AttachPointPart[];
  /** As written, positional parameters replaced. */
  readonly text: string;
  /** Offset behind the last character; that of the start when there is none. */
  readonly end: number;
  readonly problem?: { readonly message: string; readonly span: Span; readonly hint?: string };
}

const BLANK = /\s/;

/** Reads the attach point that starts at an offset: up to a blank, a comma, `{`, or the `/` of a predicate. */
export function readAttachPoint(text: string, start: number, positional: readonly string[]): RawAttachPoint {
  const parts: AttachPointPart[] = [];
  let problem: RawAttachPoint["problem"];
  let takesPath = false;
  let written = "";
  let part = "";
  let partStart = start;
  let at = start;
  const finishPart = (): void => {
    parts.push({ text: part, span: { start: partStart, end: at } });
    if (parts.length === 1) takesPath = probeProvider(part)?.takesPath ?? false;
    written += parts.length === 1 ? part : `:${part}`;
    part = "";
  };
  for (; at < text.length; at++) {
    const c = text[at]!;
    if (c === "{" || c === "}" || c === ";" || c === "," || BLANK.test(c)) break;
    if (c === "/") {
      const partOfPath =
        takesPath && (parts.length === 1 || (parts.length > 1 && (part === "" || part.startsWith("/"))));
      if (!partOfPath) break;
      part += c;
    } else if (c === ":") {
      finishPart();
      partStart = at + 1;
    } else if (c === '"') {
      const close = text.indexOf('"', at + 1);
      const newline = text.indexOf("\n", at);
      if (close === -1 || (newline !== -1 && newline < close)) {
        const end = newline === -1 ? text.length : newline;
        problem ??= { message: "unterminated string", span: { start: at, end }, hint: 'close it with "' };
        part += text.slice(at + 1, end);
        at = end;
        break;
      }
      part += text.slice(at + 1, close);
      at = close;
    } else if (c === "$" && /[0-9#]/.test(text[at + 1] ?? "")) {
      const name = /^(?:#|[0-9]+)/.exec(text.slice(at + 1, at + 12))![0];
      const value = name === "#" ? String(positional.length) : positional[Number(name) - 1];
      if (value === undefined) {
        problem ??= {
          message: `no value for parameter $${name}`,
          span: { start: at, end: at + 1 + name.length },
          hint: "values of $1, $2, ... are given behind the script",
        };
      }
      part += value ?? "";
      at += name.length;
    } else part += c;
  }
  if (at > start) finishPart();
  const provider = parts.shift() ?? { text: "", span: { start, end: start } };
  return { provider, parts, text: written, end: at, ...(problem === undefined ? {} : { problem }) };
}
