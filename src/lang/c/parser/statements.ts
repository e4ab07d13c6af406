/** Statements (C11 6.8), and declarations within them. */
import { nearestNames } from "../../../base/index.ts";
import type { AsmOperand, AsmStmt, CaseStmt, CompoundStmt, Expr, FunctionDecl, Stmt } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import { literalBytes } from "../preprocessor/constants.ts";
import { type Token, TokenKind } from "../preprocessor/token.ts";
import { isInteger, wrapTo } from "../types/compatible.ts";
import { type CType, INT, VOID, shapeOf, typeText } from "../types/types.ts";
import { parseAttributes } from "./attributes.ts";
import { type ParserContext, errorAt, nested } from "./context.ts";
import { assignable, cast, condition, markAddressTaken, promote, rvalue } from "./conversions.ts";
import { keywordOf } from "./declarations.ts";
import type { UnitParser } from "./unit.ts";

interface OpenSwitch {
  readonly type: CType;
  readonly cases: CaseStmt[];
}

/** Parses the bodies of functions. */
export class StatementParser {
  private readonly context: ParserContext;
  private readonly unit: UnitParser;
  private switches: OpenSwitch[] = [];
  private loops = 0;
  private labels = new Map<string, Token>();
  private gotos: { readonly token: Token; readonly label: string }[] = [];
  /** Labels that blocks around here declare by `__label__`, and what they are called in their function. */
  private localLabels: Map<string, string>[] = [];
  private nextLocalLabel = 0;

  constructor(context: ParserContext, unit: UnitParser) {
    this.context = context;
    this.unit = unit;
  }

  /** The body of a function, whose parameters are in scope. */
  body(func: FunctionDecl): CompoundStmt {
    const { context } = this;
    this.switches = [];
    this.loops = 0;
    this.labels = new Map();
    this.gotos = [];
    this.localLabels = [];
    context.currentFunction = func;
    const body = this.compound(false);
    context.currentFunction = undefined;
    for (const { token, label } of this.gotos) {
      if (this.labels.has(label)) continue;
      const near = nearestNames(token.text, [...this.labels.keys()], 1);
      errorAt(
        context,
        token,
        `there is no label ${token.text} in ${func.name}`,
        near[0] === undefined ? {} : { hint: `did you mean ${near[0]}?` },
      );
    }
    return body;
  }

  /** `{ … }`. */
  compound(ownScope: boolean = true): CompoundStmt {
    const { context } = this;
    const { tokens, scopes } = context;
    const open = tokens.next();
    if (ownScope) scopes.enter();
    this.localLabels.push(new Map());
    const statements: Stmt[] = [];
    while (!tokens.at("}")) {
      if (tokens.atEnd) {
        errorAt(context, tokens.peek(), "} is missing at the end of the file", {
          notes: [{ location: open.location, message: "this brace is not closed" }],
        });
        break;
      }
      this.blockItem(statements);
    }
    const end = tokens.next();
    this.localLabels.pop();
    if (ownScope) scopes.leave();
    return { kind: "compound", statements, location: open.location, end: end.location };
  }

  private blockItem(into: Stmt[]): void {
    const { context } = this;
    const { tokens, declarations } = context;
    const token = tokens.peek();
    const word = keywordOf(token);
    if (word === "_Static_assert") this.staticAssert();
    else if (word === "__label__") this.declareLabels();
    else if (word === "__attribute__" && this.isFallthrough()) {
      parseAttributes(context, {});
      tokens.accept(";");
    } else if (
      // Words of statements and labels are looked up nowhere: the kernel's names are many.
      !Object.hasOwn(this.table, word) &&
      !tokens.peek(1).is(":") &&
      (declarations.startsDeclaration(token) || this.misspellsType(token)) &&
      !(word === "__extension__" && !declarations.startsDeclaration(tokens.peek(1)))
    ) {
      for (const variable of this.unit.localDeclaration())
        into.push({ kind: "declaration", variable, location: variable.location });
    } else into.push(this.statement());
  }

  /** `__label__ a, b;`: labels of this block alone, such as macros have that are used twice. */
  private declareLabels(): void {
    const { tokens } = this.context;
    do {
      tokens.next();
      const name = tokens.peek();
      if (name.kind === TokenKind.IDENTIFIER) {
        tokens.next();
        this.localLabels.at(-1)?.set(name.text, `${name.text}.${++this.nextLocalLabel}`);
      } else errorAt(this.context, name, "__label__ needs names of labels");
    } while (tokens.at(","));
    this.semicolon("behind the labels");
  }

  /** What a label is called in its function. */
  private labelName(name: Token): string {
    return this.localLabels.findLast((names) => names.has(name.text))?.get(name.text) ?? name.text;
  }

  /** True for a name that is nothing, with another name behind it: a declaration was meant. */
  private misspellsType(token: Token): boolean {
    const { scopes, tokens } = this.context;
    return (
      token.name !== undefined &&
      tokens.peek(1).kind === TokenKind.IDENTIFIER &&
      keywordOf(tokens.peek(1)) !== "asm" &&
      scopes.find(token.name) === undefined
    );
  }

  private isFallthrough(): boolean {
    const { tokens } = this.context;
    return ["fallthrough", "__fallthrough__"].includes(tokens.peek(3).text);
  }

  statement(): Stmt {
    return nested(this.context, () => this.read());
  }

  private read(): Stmt {
    const { context } = this;
    const { tokens } = context;
    const token = tokens.peek();
    const { location } = token;
    if (token.is("{")) return this.compound();
    if (token.is(";")) {
      tokens.next();
      return { kind: "empty", location };
    }
    if (token.is("}") || token.kind === TokenKind.END) {
      errorAt(
        context,
        token,
        token.kind === TokenKind.END
          ? "a statement is missing at the end of the file"
          : "a statement is missing before }",
      );
      return { kind: "empty", location };
    }
    if (token.kind === TokenKind.IDENTIFIER) {
      const word = keywordOf(token);
      if (tokens.peek(1).is(":") && word !== "default") return this.label();
      if (Object.hasOwn(this.table, word)) return this.table[word]!();
    }
    const expr = context.expressions.expression();
    this.semicolon("behind the expression");
    return { kind: "expression", expr: expr.kind === "statements" ? expr : this.discarded(expr), location };
  }

  private discarded(expr: Expr): Expr {
    return shapeOf(expr.type).kind === "array" ? expr : rvalue(expr);
  }

  private semicolon(where: string): void {
    const { tokens } = this.context;
    if (tokens.expect(";", where) === undefined) tokens.recover();
  }

  private readonly table: Readonly<Record<string, () => Stmt>> = {
    if: () => this.ifStatement(),
    while: () => this.whileStatement(),
    do: () => this.doStatement(),
    for: () => this.forStatement(),
    switch: () => this.switchStatement(),
    case: () => this.caseStatement(),
    default: () => this.caseStatement(),
    break: () => this.jump("break"),
    continue: () => this.jump("continue"),
    goto: () => this.gotoStatement(),
    return: () => this.returnStatement(),
    asm: () => this.asmStatement(),
  };

  private parenthesized(word: Token): Expr {
    const { tokens, expressions } = this.context;
    tokens.expect("(", `behind ${word.text}`);
    const expr = expressions.expression();
    tokens.expect(")", `behind the condition of ${word.text}`);
    return expr;
  }

  private ifStatement(): Stmt {
    const { tokens, diagnostics } = this.context;
    const word = tokens.next();
    const test = condition(diagnostics, this.parenthesized(word));
    const then = this.statement();
    const otherwise = tokens.accept("else") === undefined ? undefined : this.statement();
    return { kind: "if", condition: test, then, else: otherwise, location: word.location };
  }

  private takeUnroll(): boolean {
    const { unroll } = this.context;
    this.context.unroll = false;
    return unroll;
  }

  private loopBody(): Stmt {
    this.loops++;
    const switches = this.switches;
    const body = this.statement();
    this.switches = switches;
    this.loops--;
    return body;
  }

  private whileStatement(): Stmt {
    const { tokens, diagnostics } = this.context;
    const word = tokens.next();
    const unroll = this.takeUnroll();
    const test = condition(diagnostics, this.parenthesized(word));
    return { kind: "while", condition: test, body: this.loopBody(), location: word.location, unroll };
  }

  private doStatement(): Stmt {
    const { tokens, diagnostics } = this.context;
    const word = tokens.next();
    const unroll = this.takeUnroll();
    const body = this.loopBody();
    tokens.expect("while", "behind the body of do");
    const test = condition(diagnostics, this.parenthesized(word));
    this.semicolon("behind do … while");
    return { kind: "do", condition: test, body, location: word.location, unroll };
  }

  private forStatement(): Stmt {
    const { context } = this;
    const { tokens, scopes, expressions, declarations, diagnostics } = context;
    const word = tokens.next();
    const unroll = this.takeUnroll();
    tokens.expect("(", "behind for");
    scopes.enter();
    const initial: Stmt[] = [];
    if (tokens.accept(";") === undefined) {
      if (declarations.startsDeclaration(tokens.peek())) {
        for (const variable of this.unit.localDeclaration())
          initial.push({ kind: "declaration", variable, location: variable.location });
      } else {
        const expr = expressions.expression();
        initial.push({ kind: "expression", expr: this.discarded(expr), location: expr.location });
        tokens.expect(";", "behind the start of for");
      }
    }
    const test = tokens.at(";") ? undefined : condition(diagnostics, expressions.expression());
    tokens.expect(";", "behind the condition of for");
    const step = tokens.at(")") ? undefined : this.discarded(expressions.expression());
    tokens.expect(")", "behind the head of for");
    const body = this.loopBody();
    scopes.leave();
    return { kind: "for", initial, condition: test, step, body, location: word.location, unroll };
  }

  private switchStatement(): Stmt {
    const { tokens, diagnostics } = this.context;
    const word = tokens.next();
    let value = promote(this.parenthesized(word));
    if (!isInteger(value.type)) {
      diagnostics.error(value.location, `switch needs an integer, this is ${typeText(value.type)}`);
      value = cast(value, INT, "none");
    }
    const open: OpenSwitch = { type: value.type, cases: [] };
    this.switches = [...this.switches, open];
    const body = this.statement();
    this.switches = this.switches.slice(0, -1);
    return { kind: "switch", value, body, cases: open.cases, location: word.location };
  }

  private caseStatement(): Stmt {
    const { context } = this;
    const { tokens, expressions, diagnostics } = context;
    const word = tokens.next();
    const open = this.switches.at(-1);
    if (open === undefined) errorAt(context, word, `${word.text} outside of a switch`);
    let range: CaseStmt["range"];
    if (word.text === "case") {
      const low = expressions.conditional();
      const high = tokens.accept("...") === undefined ? low : expressions.conditional();
      const from = constantInteger(low);
      const to = constantInteger(high);
      if (from === undefined || to === undefined) diagnostics.error(low.location, "a case needs a constant");
      const type = open?.type ?? low.type;
      range = { low: wrapTo(from ?? 0n, type), high: wrapTo(to ?? 0n, type) };
      if (range.high < range.low) diagnostics.warning(low.location, "this range of a case is empty");
      const twice = open?.cases.find(
        (other) => other.range !== undefined && other.range.low <= range!.high && range!.low <= other.range.high,
      );
      if (twice !== undefined && from !== undefined)
        diagnostics.error(low.location, `case ${from} is there already`, {
          notes: [{ location: twice.location, message: "it is here" }],
        });
    } else {
      const twice = open?.cases.find((other) => other.range === undefined);
      if (twice !== undefined)
        errorAt(context, word, "a switch has one default", {
          notes: [{ location: twice.location, message: "it is here" }],
        });
    }
    tokens.expect(":", `behind ${word.text}`);
    const made = { kind: "case" as const, range, statement: undefined as unknown as Stmt, location: word.location };
    open?.cases.push(made);
    // C23: a label may end a block or stand before a declaration.
    made.statement = this.labelled(word);
    return made;
  }

  private labelled(word: Token): Stmt {
    const { tokens, declarations } = this.context;
    if (tokens.at("}") || declarations.startsDeclaration(tokens.peek()))
      return { kind: "empty", location: word.location };
    return this.statement();
  }

  private label(): Stmt {
    const { context } = this;
    const { tokens } = context;
    const name = tokens.next();
    tokens.next();
    parseAttributes(context, {});
    const label = this.labelName(name);
    const before = this.labels.get(label);
    if (before !== undefined)
      errorAt(context, name, `label ${name.text} is there already`, {
        notes: [{ location: before.location, message: "it is here" }],
      });
    this.labels.set(label, name);
    return { kind: "label", label, statement: this.labelled(name), location: name.location };
  }

  private jump(kind: "break" | "continue"): Stmt {
    const { tokens } = this.context;
    const word = tokens.next();
    const inside = kind === "break" ? this.loops > 0 || this.switches.length > 0 : this.loops > 0;
    if (!inside) errorAt(this.context, word, `${kind} outside of a loop${kind === "break" ? " or switch" : ""}`);
    this.semicolon(`behind ${kind}`);
    return { kind, location: word.location };
  }

  private gotoStatement(): Stmt {
    const { context } = this;
    const { tokens } = context;
    const word = tokens.next();
    const name = tokens.next();
    if (name.kind !== TokenKind.IDENTIFIER)
      errorAt(
        context,
        name,
        name.is("*") ? "eBPF has no jumps to computed places" : "goto needs a label",
        name.is("*") ? { hint: "choose by switch" } : {},
      );
    else this.gotos.push({ token: name, label: this.labelName(name) });
    this.semicolon("behind goto");
    return { kind: "goto", label: this.labelName(name), location: word.location };
  }

  private returnStatement(): Stmt {
    const { context } = this;
    const { tokens, diagnostics, currentFunction } = context;
    const word = tokens.next();
    const result = currentFunction?.type.result ?? VOID;
    const isVoid = shapeOf(result).kind === "void";
    let value: Expr | undefined;
    if (!tokens.at(";")) {
      const expr = context.expressions.expression();
      if (isVoid && shapeOf(expr.type).kind !== "void")
        diagnostics.warning(expr.location, `${currentFunction?.name ?? "the function"} returns nothing`);
      value = isVoid
        ? cast(rvalue(expr), VOID, "void")
        : assignable(diagnostics, expr, result, "result", `of ${currentFunction?.name ?? ""}`);
    } else if (!isVoid)
      errorAt(
        context,
        word,
        `${currentFunction?.name ?? "the function"} returns ${typeText(result)}: a value is missing`,
      );
    this.semicolon("behind return");
    return { kind: "return", value, location: word.location };
  }

  /** `_Static_assert(condition, "text");`, wherever declarations may be. */
  staticAssert(): void {
    const { context } = this;
    const { tokens, expressions, diagnostics } = context;
    const word = tokens.next();
    tokens.expect("(", `behind ${word.text}`);
    const test = expressions.conditional();
    let text = "";
    if (tokens.accept(",") !== undefined) text = this.texts();
    tokens.expect(")", `behind the text of ${word.text}`);
    this.semicolon(`behind ${word.text}()`);
    const value = constantInteger(test);
    if (value === undefined) diagnostics.error(test.location, "an assertion at compile time needs a constant");
    else if (value === 0n)
      diagnostics.error(word.location, text === "" ? "the assertion does not hold" : text, {
        length: word.text.length,
      });
  }

  /** Strings that come next, as one text. */
  texts(): string {
    const { context } = this;
    const { tokens } = context;
    let text = "";
    if (tokens.peek().kind !== TokenKind.STRING) errorAt(context, tokens.peek(), "a string is missing here");
    while (tokens.peek().kind === TokenKind.STRING) {
      const token = tokens.next();
      const bytes = literalBytes(token.text);
      if ("problem" in bytes) errorAt(context, token, bytes.problem);
      else text += new TextDecoder().decode(bytes);
    }
    return text;
  }

  private asmStatement(): Stmt {
    const { tokens } = this.context;
    const word = tokens.next();
    const made = this.asm(word);
    this.semicolon("behind asm()");
    return made;
  }

  /** Inline assembly; its word has been read. */
  asm(word: Token): AsmStmt {
    const { context } = this;
    const { tokens } = context;
    let isVolatile = false;
    let goto = false;
    for (;;) {
      const next = keywordOf(tokens.peek());
      if (next === "volatile") isVolatile = true;
      else if (next === "goto") goto = true;
      else if (next !== "inline") break;
      tokens.next();
    }
    tokens.expect("(", "behind asm");
    let template = this.texts();
    const outputs = tokens.accept(":") === undefined ? [] : this.asmOperands(true);
    const inputs = tokens.accept(":") === undefined ? [] : this.asmOperands(false);
    const clobbers: string[] = [];
    if (tokens.accept(":") !== undefined && !tokens.at(")") && !tokens.at(":")) {
      do clobbers.push(this.texts());
      while (tokens.accept(",") !== undefined);
    }
    const labels: string[] = [];
    if (goto && tokens.accept(":") !== undefined) {
      do {
        const token = tokens.next();
        const label = this.labelName(token);
        this.gotos.push({ token, label });
        labels.push(label);
        if (label !== token.text) template = template.replaceAll(`%l[${token.text}]`, `%l[${label}]`);
      } while (tokens.accept(",") !== undefined);
    }
    tokens.expect(")", "behind the operands of asm");
    return {
      kind: "asm",
      template,
      outputs,
      inputs,
      clobbers,
      labels,
      volatile: isVolatile || outputs.length === 0,
      location: word.location,
    };
  }

  private asmOperands(output: boolean): AsmOperand[] {
    const { context } = this;
    const { tokens, expressions } = context;
    const operands: AsmOperand[] = [];
    // `::` leaves the first list out.
    while (tokens.at("[") || tokens.peek().kind === TokenKind.STRING) {
      let name: string | undefined;
      if (tokens.accept("[") !== undefined) {
        name = tokens.next().text;
        tokens.expect("]", "behind the operand's name");
      }
      const constraint = this.texts();
      tokens.expect("(", "behind the constraint");
      const expr = expressions.expression();
      tokens.expect(")", "behind the operand");
      if (output && !isLvalue(expr))
        context.diagnostics.error(expr.location, "an output of asm must be something to write to");
      if (/[mo]/.test(constraint)) markAddressTaken(expr);
      operands.push({ name, constraint, expr: output || /m/.test(constraint) ? expr : rvalue(expr) });
      if (tokens.accept(",") === undefined) break;
    }
    return operands;
  }
}
