/** Preprocessor lines of scripts: `#include`, `#define`, and the conditions that decide which lines count. */
import type { Span } from "../../base/index.ts";
import type { CDefinition } from "./ast.ts";
import { ExpressionParser } from "./expression-parser.ts";

/** End of a line, lines continued by a backslash counted as one. */
function endOfDirective(text: string, from: number): number {
  for (let at = from; ;) {
    const newline = text.indexOf("\n", at);
    if (newline === -1) return text.length;
    if (text[newline - 1] !== "\\") return newline;
    at = newline + 1;
  }
}

/** Reads preprocessor lines. What stands between them is the business of the class derived from it. */
export abstract class PreprocessorParser extends ExpressionParser {
  /** Names known to `#ifdef`. Types always come from BTF here, which scripts ask for by this name. */
  private readonly defined = new Set<string>(["BPFTRACE_HAVE_BTF"]);
  /** The open `#if`s. */
  private readonly conditionals: Span[] = [];

  /** A preprocessor line, read as text. The part of a conditional that does not hold is skipped here. */
  protected preprocessorLine(): CDefinition | null {
    const { start } = this.token;
    const end = endOfDirective(this.text, start);
    const text = this.text.slice(start, end).replace(/\\\n/g, " ").trim();
    const span = { start, end };
    this.previousEnd = end;
    this.moveTo(end);
    const include = /^#\s*include\s*[<"]([^>"]+)[>"]/.exec(text);
    if (include) return { kind: "include", name: include[1]!, text, span };
    const define = /^#\s*define\s+([A-Za-z_]\w*)/.exec(text);
    if (define) {
      this.defined.add(define[1]!);
      return { kind: "define", name: define[1]!, text, span };
    }
    const directive = /^#\s*([a-z]+)\s*(.*)$/.exec(text);
    switch (directive?.[1]) {
      case "ifdef":
        this.conditional(span, this.defined.has(directive[2]!));
        return null;
      case "ifndef":
        this.conditional(span, !this.defined.has(directive[2]!));
        return null;
      case "if":
        this.conditional(span, this.preprocessorCondition(directive[2]!, span));
        return null;
      case "else":
      case "elif":
        // Reached from the part that held: the rest does not.
        if (this.conditionals.length === 0) this.error(span, `${text} without #if`);
        else this.skipConditional(false);
        return null;
      case "endif":
        if (this.conditionals.pop() === undefined) this.error(span, "#endif without #if");
        return null;
      case "undef":
        this.defined.delete(directive[2]!);
        return null;
      case "pragma":
        return null;
      default:
        this.error(
          span,
          "invalid preprocessor line",
          "#include <file>, #define NAME value, #ifdef NAME, #else, #endif",
        );
        return null;
    }
  }

  private preprocessorCondition(text: string, span: Span): boolean {
    const match = /^(!\s*)?(?:defined\s*\(?\s*(\w+)\s*\)?|([0-9]+))$/.exec(text.trim());
    if (!match) {
      this.error(span, `condition '${text}' is not supported`, "#if takes 0, 1, defined(NAME) and !defined(NAME)");
      return false;
    }
    const holds = match[2] === undefined ? Number(match[3]) !== 0 : this.defined.has(match[2]);
    return match[1] === undefined ? holds : !holds;
  }

  private conditional(span: Span, holds: boolean): void {
    this.conditionals.push(span);
    if (!holds) this.skipConditional(true);
  }

  /** Skips lines up to the `#endif`, or to the `#else` or `#elif` that holds when `orElse`. */
  private skipConditional(orElse: boolean): void {
    let depth = 0;
    let at = this.previousEnd;
    while (at < this.text.length) {
      const end = endOfDirective(this.text, at);
      const match = /^\s*#\s*(ifdef|ifndef|if|else|elif|endif)\b(.*)$/s.exec(this.text.slice(at, end));
      const name = match?.[1];
      if (name?.startsWith("if")) depth++;
      else if (name === "endif") {
        if (depth === 0) {
          this.conditionals.pop();
          break;
        }
        depth--;
      } else if (name !== undefined && depth === 0 && orElse) {
        if (name === "else" || this.preprocessorCondition(match![2]!, { start: at, end })) {
          this.moveTo(end);
          this.previousEnd = end;
          return;
        }
      }
      at = end + 1;
      if (at >= this.text.length) at = this.text.length;
    }
    const behind = Math.min(this.text.length, endOfDirective(this.text, at));
    this.previousEnd = behind;
    this.moveTo(behind);
  }

  /** At the end of the script: reports a condition that is still open. */
  protected endOfPreprocessor(): void {
    const open = this.conditionals.at(-1);
    if (open) this.error(open, "#if without #endif");
  }
}
