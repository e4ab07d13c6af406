/** Parses scripts: probes, statements, and what stands beside probes. Recovers at statements and probes, so that one run reports several errors. */
import { ScriptError, type SourceText, type Span, nearestNames } from "../../base/index.ts";
import type {
  AttachPoint,
  BinaryOperator,
  Block,
  CDefinition,
  ConfigAssignment,
  Expression,
  FunctionDefinition,
  IfStatement,
  Macro,
  MapDeclaration,
  Probe,
  Script,
  Statement,
  Target,
  TypeExpression,
  VariableExpression,
} from "./ast.ts";
import { readAttachPoint } from "./attach-point.ts";
import { PreprocessorParser } from "./preprocessor-parser.ts";
import { SyntaxFault } from "./token-reader.ts";
import { probeProvider, probeProviderNames } from "./table/probes.ts";

/** What a script is parsed with. */
export interface ParseOptions {
  /** Values of `$1`, `$2`, ..., which attach points may hold. */
  readonly positional?: readonly string[];
}

const COMPOUND: ReadonlySet<string> = new Set(["+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="]);

/** Statements that stand without a semicolon. */
function endsItself(expression: Expression): boolean {
  return expression.kind === "block" || expression.kind === "if";
}

class ScriptParser extends PreprocessorParser {
  private readonly positional: readonly string[];

  constructor(text: string, options: ParseOptions) {
    super(text);
    this.positional = options.positional ?? [];
  }

  script(): Script {
    const preamble: CDefinition[] = [];
    const config: ConfigAssignment[] = [];
    const imports: { path: string; span: Span }[] = [];
    const mapDeclarations: MapDeclaration[] = [];
    const macros: Macro[] = [];
    const functions: FunctionDefinition[] = [];
    const probes: Probe[] = [];
    while (this.token.kind !== "end of file" && !this.exhausted) {
      const before = this.token.start;
      try {
        if (this.is("#")) {
          const line = this.preprocessorLine();
          if (line) preamble.push(line);
        } else if (this.is(";")) this.advance();
        else if (this.isDefinition()) preamble.push(this.cDefinition());
        else if (this.isWord("config") && this.peek().text === "=") config.push(...this.config());
        else if (this.isWord("import") && this.peek().kind === "string") imports.push(this.import());
        else if (this.isWord("let")) mapDeclarations.push(this.mapDeclaration());
        else if (this.isWord("macro") && this.peek().kind === "identifier") macros.push(this.macro());
        else if (this.isWord("fn") && this.peek().kind === "identifier") functions.push(this.functionDefinition());
        else probes.push(this.probe());
      } catch (fault) {
        if (!(fault instanceof SyntaxFault)) throw fault;
        this.skipProbe(before);
      }
    }
    this.endOfPreprocessor();
    const span = { start: 0, end: this.text.length };
    if (probes.length === 0 && macros.length === 0 && functions.length === 0 && this.diagnostics.length === 0) {
      this.error(
        span.end === 0 ? span : { start: span.end, end: span.end },
        "No probes to attach",
        "write a probe: tracepoint:sched:sched_switch { @[comm] = count(); }",
      );
    }
    return { preamble, config, imports, mapDeclarations, macros, functions, probes, span };
  }

  private isDefinition(): boolean {
    const { kind, text } = this.token;
    if (kind !== "identifier") return false;
    if (text === "typedef") return this.peek().kind === "identifier";
    if (text !== "struct" && text !== "union" && text !== "enum") return false;
    return (
      /^\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?[A-Za-z_]\w*\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?[{;]/s.test(
        this.text.slice(this.token.end, this.token.end + 256),
      ) ||
      (text === "enum" && this.peek().text === "{")
    );
  }

  /** A C definition as text, up to its semicolon; the semicolon may be missing after a brace. */
  private cDefinition(): CDefinition {
    const first = this.token;
    const kind = first.text as "struct" | "union" | "enum" | "typedef";
    this.advance();
    let name = "";
    let braces = 0;
    for (;;) {
      if (this.isKind("end of file")) this.unexpected(braces > 0 ? "}" : ";", "a definition ends with };");
      if (this.is("{")) braces++;
      else if (this.is("}")) {
        braces--;
        if (braces < 0) this.unexpected("{");
        if (braces === 0 && kind !== "typedef") {
          this.advance();
          break;
        }
      } else if (braces === 0 && this.is(";")) break;
      else if (braces === 0 && this.token.kind === "identifier" && this.token.text !== "__attribute__") {
        if (name === "" || kind === "typedef") name = this.token.text;
      }
      this.advance();
    }
    while (this.isWord("__attribute__")) {
      this.advance();
      let depth = 0;
      do {
        if (this.is("(")) depth++;
        else if (this.is(")")) depth--;
        else if (this.isKind("end of file")) this.unexpected(")");
        this.advance();
      } while (depth > 0);
    }
    const span = this.spanFrom(first.start);
    this.accept(";");
    return { kind, name, text: this.text.slice(span.start, span.end), span };
  }

  private config(): ConfigAssignment[] {
    this.advance();
    this.expect("=");
    this.expect("{");
    const out: ConfigAssignment[] = [];
    while (!this.is("}")) {
      const key = this.expectIdentifier("name of a setting, or }");
      this.expect("=");
      const { kind, text, value } = this.token;
      if (kind !== "identifier" && kind !== "string" && kind !== "integer") {
        this.unexpected("a value", "values are numbers, strings, true, false, or words such as perf");
      }
      this.advance();
      out.push({
        key: key.text,
        keySpan: { start: key.start, end: key.end },
        value:
          kind === "integer"
            ? value
            : kind === "identifier" && (text === "true" || text === "false")
              ? text === "true"
              : text,
        span: this.spanFrom(key.start),
      });
      if (!this.accept(";") && !this.is("}")) this.unexpected("; or }");
    }
    this.expect("}");
    return out;
  }

  private import(): { path: string; span: Span } {
    const { start } = this.advance();
    const path = this.advance().text;
    const span = this.spanFrom(start);
    this.accept(";");
    return { path, span };
  }

  private mapDeclaration(): MapDeclaration {
    const { start } = this.advance();
    if (this.token.kind !== "map") {
      this.unexpected("a map", "outside of probes let declares maps: let @a = lruhash(100);");
    }
    const name = this.advance().text;
    this.expect("=", "= and a kind of map", "let @a = lruhash(100);");
    const mapKind = this.expectIdentifier("a kind of map: hash, lruhash, percpuhash or percpulruhash").text;
    this.expect("(");
    const maxEntries = this.expectInteger("the largest number of entries").value;
    this.expect(")");
    const span = this.spanFrom(start);
    this.accept(";");
    return { name, mapKind, maxEntries, span };
  }

  private macro(): Macro {
    const { start } = this.advance();
    const name = this.advance().text;
    this.expect("(");
    const params: { sigil: "$" | "@" | ""; name: string; span: Span }[] = [];
    while (!this.is(")")) {
      const { kind } = this.token;
      if (kind !== "variable" && kind !== "map" && kind !== "identifier") this.unexpected("$variable, @map or a name");
      const token = this.advance();
      const sigil = kind === "variable" ? "$" : kind === "map" ? "@" : "";
      params.push({ sigil, name: token.text, span: { start: token.start, end: token.end } });
      if (!this.accept(",") && !this.is(")")) this.unexpected(") or ,");
    }
    this.expect(")");
    const at = this.token.start;
    this.expect("{");
    const { statements, result } = this.nested(() => this.blockItems(true));
    this.expect("}");
    const span = this.spanFrom(at);
    const all: Statement[] =
      result === null ? statements : [...statements, { kind: "expression", expression: result, span: result.span }];
    return { name, params, body: { statements: all, span }, span: this.spanFrom(start) };
  }

  private functionDefinition(): FunctionDefinition {
    const { start } = this.advance();
    const name = this.advance();
    this.expect("(");
    const params: { name: string; type: TypeExpression; span: Span }[] = [];
    while (!this.is(")")) {
      if (this.token.kind !== "variable") this.unexpected("a parameter such as $x: int64");
      const param = this.advance();
      this.expect(":", ": and the type of the parameter");
      const type = this.type();
      params.push({ name: param.text, type, span: this.spanFrom(param.start) });
      if (!this.accept(",") && !this.is(")")) this.unexpected(") or ,");
    }
    this.expect(")");
    const result = this.accept(":") ? this.type() : null;
    const body = this.block();
    const nameSpan = { start: name.start, end: name.end };
    return { name: name.text, nameSpan, params, result, body, span: this.spanFrom(start) };
  }

  // Probes

  private probe(): Probe {
    const { start } = this.token;
    const attachPoints: AttachPoint[] = [];
    do {
      if (attachPoints.length > 0 && (this.is("{") || this.is("/"))) break;
      attachPoints.push(this.attachPoint());
    } while (this.accept(","));
    const pointsEnd = this.previousEnd;
    let predicate: Expression | null = null;
    if (this.accept("/")) {
      predicate = this.expression();
      this.expect("/", "/ to close predicate", this.is("=") ? "compare with ==" : undefined);
    }
    if (!this.is("{")) {
      this.unexpected(
        predicate ? "{" : "{, / or ,",
        this.is("=")
          ? "names for probes are not part of the language"
          : "a probe is written provider:where /condition/ { statements }",
      );
    }
    const body = this.block();
    return { attachPoints, predicate, body, span: { start, end: pointsEnd } };
  }

  /** Attach points are read as text: they hold characters that no token has. */
  private attachPoint(): AttachPoint {
    if (this.token.kind === "end of file") this.unexpected("a probe");
    const { start } = this.token;
    const raw = readAttachPoint(this.text, start, this.positional);
    if (raw.end === start) this.unexpected("a probe", "a probe is written provider:where /condition/ { statements }");
    const provider = probeProvider(raw.provider.text);
    this.lexer.position = raw.end;
    this.previousEnd = raw.end;
    this.token = this.lexer.next();
    if (raw.problem) this.error(raw.problem.span, raw.problem.message, raw.problem.hint);
    if (!provider) {
      const { text } = raw.provider;
      const near = nearestNames(text, probeProviderNames());
      this.error(
        raw.provider.span,
        /^[A-Za-z_]\w*$/.test(text)
          ? `Invalid probe type: ${text}`
          : `syntax error, unexpected ${text || raw.text}, expecting a probe`,
        near.length > 0 ? `did you mean ${near.join(", ")}?` : "probes are listed by skep trace -l",
      );
    }
    return {
      provider: provider?.name ?? raw.provider.text,
      providerSpan: raw.provider.span,
      parts: raw.parts,
      text: raw.text,
      span: { start, end: raw.end },
    };
  }

  /** After a syntax error outside of a block: on to the end of the block that follows, or at least over one token. */
  private skipProbe(before: number): void {
    let depth = 0;
    while (this.token.kind !== "end of file") {
      if (this.is("{")) depth++;
      else if (this.is("}")) {
        depth--;
        if (depth <= 0) {
          this.advance();
          return;
        }
      }
      this.advance();
    }
    if (this.token.start === before) this.advance();
  }

  // Statements

  private block(): Block {
    const { start } = this.token;
    this.expect("{");
    const { statements, result } = this.nested(() => this.blockItems(false));
    if (result !== null) statements.push({ kind: "expression", expression: result, span: result.span });
    if (!this.is("}")) {
      this.unexpected("}", this.token.kind === "end of file" ? "a { was not closed" : undefined);
    }
    this.advance();
    return { statements, span: this.spanFrom(start) };
  }

  protected blockItems(asValue: boolean): { statements: Statement[]; result: Expression | null } {
    const statements: Statement[] = [];
    while (!this.is("}") && this.token.kind !== "end of file" && !this.exhausted) {
      if (this.accept(";")) continue;
      const before = this.token.start;
      try {
        // At the end of a block that is a value, an if is one too.
        const value = asValue && this.isWord("if") ? this.attempt("if value", () => this.lastIf()) : undefined;
        if (value) return { statements, result: value };
        const item = this.statement();
        if (!("kind" in item)) return { statements, result: item.result };
        statements.push(item);
      } catch (fault) {
        if (!(fault instanceof SyntaxFault)) throw fault;
        this.skipStatement(before);
      }
    }
    return { statements, result: null };
  }

  private lastIf(): Expression | undefined {
    const value = this.nested(() => this.ifExpression());
    return this.is("}") ? value : undefined;
  }

  /** After a syntax error in a statement: behind its semicolon, or at the brace that closes the block around it. */
  private skipStatement(before: number): void {
    let depth = 0;
    while (this.token.kind !== "end of file") {
      if (this.is("{")) depth++;
      else if (this.is("}")) {
        if (depth === 0) break;
        depth--;
        if (depth === 0) {
          this.advance();
          return;
        }
      } else if (depth === 0 && this.is(";")) {
        this.advance();
        return;
      }
      this.advance();
    }
    if (this.token.start === before && !this.is("}")) this.advance();
  }

  private endOfStatement(what: string): void {
    if (this.is("}")) return;
    if (!this.is(";")) {
      this.unexpected(`; or }`, this.is("=") ? "only variables and maps may be assigned to" : `end ${what} with ;`);
    }
    this.advance();
  }

  /** One statement, or the value at the end of a block. */
  private statement(): Statement | { result: Expression } {
    const { start, kind, text } = this.token;
    if (kind === "identifier") {
      switch (text) {
        case "if":
          return this.ifStatement(false);
        case "while": {
          this.advance();
          const condition = this.condition();
          const body = this.block();
          return { kind: "while", condition, body, span: this.spanFrom(start) };
        }
        case "for":
          return this.forStatement();
        case "unroll": {
          this.advance();
          const count = this.condition();
          const body = this.block();
          return { kind: "unroll", count, body, span: this.spanFrom(start) };
        }
        case "let":
          return this.declaration();
        case "return": {
          this.advance();
          const value = this.is(";") || this.is("}") ? null : this.expression();
          const span = this.spanFrom(start);
          this.endOfStatement("return");
          return { kind: "return", value, span };
        }
        case "break":
        case "continue": {
          this.advance();
          const span = this.spanFrom(start);
          this.endOfStatement(text);
          return { kind: text, span };
        }
        case "_":
          if (this.peek().text === "=") {
            this.advance();
            this.advance();
            const value = this.expression();
            const span = this.spanFrom(start);
            this.endOfStatement("the statement");
            return { kind: "assign", target: null, op: null, value, span };
          }
      }
    }
    if (this.is("{")) return this.blockStatement();
    const expression = this.expression();
    if (this.is("=") || (this.token.kind === "punctuation" && COMPOUND.has(this.token.text))) {
      return this.assignment(expression);
    }
    if (this.is("}")) return { result: expression };
    const span = this.spanFrom(start);
    if (!endsItself(expression)) this.endOfStatement("the statement");
    return { kind: "expression", expression, span };
  }

  private assignment(left: Expression): Statement {
    const operator = this.advance();
    const value = this.expression();
    const span = this.spanFrom(left.span.start);
    if (left.kind !== "variable" && left.kind !== "map") {
      const fixed = left.kind === "field";
      this.error(
        span,
        fixed
          ? "Tuples and records are immutable once created. Consider creating a new value and assigning it instead."
          : "invalid assignment target",
        fixed ? undefined : "only variables ($x) and maps (@x, @x[key]) may be assigned to",
      );
      this.endOfStatement("the statement");
      return { kind: "expression", expression: value, span };
    }
    this.endOfStatement("the statement");
    const op = operator.text === "=" ? null : (operator.text.slice(0, -1) as BinaryOperator);
    return { kind: "assign", target: left satisfies Target, op, value, span };
  }

  private variable(what: string): VariableExpression {
    if (this.token.kind !== "variable") this.unexpected(what);
    const token = this.advance();
    return { kind: "variable", name: token.text, span: { start: token.start, end: token.end } };
  }

  private declaration(): Statement {
    const { start } = this.advance();
    const variable = this.variable("a variable such as $x");
    const declaredType = this.accept(":") ? this.type() : null;
    const value = this.accept("=") ? this.expression() : null;
    const span = this.spanFrom(start);
    this.endOfStatement("the declaration");
    return { kind: "declare", variable, declaredType, value, span };
  }

  /** `if` as a statement; one whose blocks end in values at the end of a block is read the same way, the values are dropped. */
  private ifStatement(nested: boolean): IfStatement {
    const { start } = this.advance();
    const condition = this.condition();
    const then = this.block();
    let otherwise: Block | IfStatement | null = null;
    if (this.acceptWord("else")) {
      if (this.isWord("if")) otherwise = this.nested(() => this.ifStatement(true));
      else if (this.is("{")) otherwise = this.block();
      else this.unexpected("{ or if after else");
    }
    if (!nested) this.accept(";");
    return { kind: "if", condition, then, otherwise, span: this.spanFrom(start) };
  }

  private forStatement(): Statement {
    const { start } = this.advance();
    const parenthesis = this.accept("(");
    const hint = "loops are written for ($kv : @map) { } and for ($i : 0..10) { }";
    if (this.token.kind !== "variable") this.unexpected("a variable", hint);
    const variable = this.variable("a variable");
    this.expect(":", ": and a map or range", hint);
    const first = this.expression();
    if (this.accept("..")) {
      const end = this.expression();
      if (parenthesis) this.expect(")");
      const body = this.block();
      return { kind: "for-range", variable, start: first, end, body, span: this.spanFrom(start) };
    }
    if (first.kind !== "map" || first.key !== null) {
      this.error(first.span, "Invalid expression type: for loops visit maps and ranges", hint);
    }
    if (parenthesis) this.expect(")", ") or ..");
    const body = this.block();
    const span = this.spanFrom(start);
    if (first.kind !== "map") return { kind: "block", block: body, span };
    return { kind: "for-map", variable, map: { ...first, key: null }, body, span };
  }

  private blockStatement(): Statement | { result: Expression } {
    const { start } = this.token;
    this.advance();
    const { statements, result } = this.nested(() => this.blockItems(false));
    this.expect("}");
    const span = this.spanFrom(start);
    if (result !== null) statements.push({ kind: "expression", expression: result, span: result.span });
    this.accept(";");
    return { kind: "block", block: { statements, span }, span };
  }
}

/**
 * Parses a script. Names are not looked up yet, except those of probe providers.
 * Throws {@link ScriptError} with all syntax errors, at most 30.
 */
export function parseScript(source: SourceText, options: ParseOptions = {}): Script {
  const parser = new ScriptParser(source.text, options);
  const script = parser.script();
  if (parser.diagnostics.length > 0) {
    const sorted = [...parser.diagnostics].sort((a, b) => a.span.start - b.span.start);
    throw new ScriptError(source, sorted);
  }
  return script;
}
