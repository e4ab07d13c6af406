/** Parses expressions and types: precedence climbing with C's precedences. */
import type { Span } from "../../base/index.ts";
import type {
  BinaryOperator,
  Block,
  BlockExpression,
  CallExpression,
  Expression,
  IfExpression,
  MapExpression,
  Statement,
  TypeExpression,
  UnaryOperator,
} from "./ast.ts";
import { isBuiltinName } from "./table/builtins.ts";
import { isTypeName } from "./table/type-names.ts";
import { NESTING_LIMIT, TokenReader } from "./token-reader.ts";

const PRECEDENCE: ReadonlyMap<string, number> = new Map([
  ["||", 1],
  ["&&", 2],
  ["|", 3],
  ["^", 4],
  ["&", 5],
  ["==", 6],
  ["!=", 6],
  ["<", 7],
  ["<=", 7],
  [">", 7],
  [">=", 7],
  ["<<", 8],
  [">>", 8],
  ["+", 9],
  ["-", 9],
  ["*", 10],
  ["/", 10],
  ["%", 10],
]);

const UNARY: ReadonlySet<string> = new Set(["-", "!", "~", "*", "&"]);

/** Words that begin a statement, so never a value. */
const STATEMENT_WORDS: ReadonlySet<string> = new Set([
  "else",
  "while",
  "for",
  "unroll",
  "let",
  "return",
  "break",
  "continue",
]);

const TYPE_KEYWORDS: ReadonlySet<string> = new Set(["struct", "union", "enum"]);

/** C's words for basic types; several may stand together. */
const C_TYPE_WORDS: ReadonlySet<string> = new Set(["unsigned", "signed", "long", "short", "int", "char"]);

/** Operands in one chain of operators, or links of `.`, `->` and `[]`: such chains are trees as deep as they are long. */
const CHAIN_LIMIT = 1024;

/** Parses expressions. Statements are the business of the class derived from it. */
export abstract class ExpressionParser extends TokenReader {
  /** Depth of trees that are deeper than {@link NESTING_LIMIT} by their chains. */
  private readonly chainDepth = new WeakMap<Expression, number>();

  /** Parses the statements of a block up to `}`; the last may be a value without a semicolon. */
  protected abstract blockItems(asValue: boolean): { statements: Statement[]; result: Expression | null };

  /** Notes how deep a node's tree is. Returns the node. */
  private deeper<T extends Expression>(expression: T, ...below: readonly (Expression | null)[]): T {
    let depth = 0;
    for (const b of below) if (b) depth = Math.max(depth, this.chainDepth.get(b) ?? 0);
    if (depth > CHAIN_LIMIT) {
      this.error(
        expression.span,
        `expression of more than ${CHAIN_LIMIT} operands`,
        "split it with variables: $x = ...; $y = $x + ...;",
      );
      depth = 0;
    }
    this.chainDepth.set(expression, depth + 1);
    return expression;
  }

  expression(): Expression {
    return this.nested(() => this.ternary(this.binary(1, this.unary())));
  }

  /** An expression whose first operand was read already. */
  protected expressionAfter(first: Expression): Expression {
    return this.ternary(this.binary(1, this.postfix(first)));
  }

  private ternary(condition: Expression): Expression {
    if (!this.is("?")) return condition;
    this.advance();
    const then = this.is(":") ? null : this.expression();
    this.expect(":", ": and what else the value is");
    const otherwise = this.expression();
    const span = { start: condition.span.start, end: otherwise.span.end };
    return this.deeper({ kind: "ternary", condition, then, otherwise, span }, condition, then, otherwise);
  }

  /** True when a `/` here closes a predicate: the block of the probe follows. */
  private closesPredicate(): boolean {
    return this.is("/") && this.peek().text === "{";
  }

  private binary(minimum: number, first: Expression): Expression {
    let left = first;
    for (;;) {
      if (this.token.kind !== "punctuation") return left;
      const precedence = PRECEDENCE.get(this.token.text);
      if (precedence === undefined || precedence < minimum || this.closesPredicate()) return left;
      const operator = this.advance();
      const right = this.nested(() => this.binary(precedence + 1, this.unary()));
      const node: Expression = {
        kind: "binary",
        operator: operator.text as BinaryOperator,
        operatorSpan: { start: operator.start, end: operator.end },
        left,
        right,
        span: { start: left.span.start, end: right.span.end },
      };
      this.deeper(node, left, right);
      left = node;
    }
  }

  private unary(): Expression {
    const { start, kind, text } = this.token;
    if (kind === "punctuation") {
      if (text === "++" || text === "--") {
        this.advance();
        const target = this.nested(() => this.unary());
        if (target.kind !== "variable" && target.kind !== "map") {
          this.error(target.span, `${text} requires a variable or map`, `write ${text}$x or ${text}@x`);
          return target;
        }
        return { kind: "increment", operator: text, prefix: true, target, span: this.spanFrom(start) };
      }
      if (UNARY.has(text)) {
        this.advance();
        const operand = this.nested(() => this.unary());
        const operator = text as UnaryOperator;
        return this.deeper({ kind: "unary", operator, operand, span: this.spanFrom(start) }, operand);
      }
    }
    return this.postfix(this.primary());
  }

  protected postfix(first: Expression): Expression {
    let object = first;
    for (;;) {
      if (this.token.kind !== "punctuation") return object;
      const { text } = this.token;
      const { start } = object.span;
      let node: Expression;
      if (text === "." || text === "->") {
        this.advance();
        // A tuple's item: `$t.0`. A name may be any word, keywords included.
        const name =
          this.isKind("integer") && /^[0-9]+$/.test(this.token.text)
            ? this.advance()
            : this.expectIdentifier("name of a field");
        const nameSpan = { start: name.start, end: name.end };
        node = { kind: "field", object, name: name.text, nameSpan, arrow: text === "->", span: this.spanFrom(start) };
      } else if (text === "[") {
        this.advance();
        const index = this.expression();
        this.expect("]");
        node = { kind: "index", object, index, span: this.spanFrom(start) };
      } else if (text === "++" || text === "--") {
        const operator = this.advance();
        if (object.kind !== "variable" && object.kind !== "map") {
          this.error(
            { start: operator.start, end: operator.end },
            `${text} requires a variable or map`,
            `write $x${text} or @x${text}`,
          );
          return object;
        }
        return { kind: "increment", operator: text, prefix: false, target: object, span: this.spanFrom(start) };
      } else return object;
      this.deeper(node, object);
      object = node;
    }
  }

  private primary(): Expression {
    const { token } = this;
    const { start } = token;
    switch (token.kind) {
      case "integer":
        this.advance();
        return { kind: "integer", value: token.value, text: token.text, span: this.spanFrom(start) };
      case "string":
        this.advance();
        return { kind: "string", value: token.text, span: this.spanFrom(start) };
      case "positional": {
        this.advance();
        const span = this.spanFrom(start);
        if (token.text === "#") return { kind: "positional", index: 0, span };
        const index = Number(token.text);
        if (index < 1 || !Number.isSafeInteger(index)) {
          this.error(span, `param $${token.text} is out of range`, "parameters are numbered from $1");
        }
        return { kind: "positional", index: Math.max(1, index), span };
      }
      case "variable":
        this.advance();
        return { kind: "variable", name: token.text, span: this.spanFrom(start) };
      case "map":
        return this.map();
      case "identifier":
        return this.word();
      case "punctuation":
        if (token.text === "(") return this.nested(() => this.parenthesized());
        if (token.text === "{") return this.nested(() => this.blockExpression());
        break;
      case "end of file":
        break;
    }
    return this.unexpected("", this.expressionHint());
  }

  private expressionHint(): string {
    return this.is("=")
      ? "compare with =="
      : "a value is expected here: a number, a string, $variable, @map, or a builtin such as pid";
  }

  protected map(): MapExpression {
    const token = this.advance();
    if (!this.is("[")) return { kind: "map", name: token.text, key: null, span: this.spanFrom(token.start) };
    this.advance();
    const key = [this.expression()];
    while (this.accept(",")) key.push(this.expression());
    this.expect("]", "] or ,");
    return this.deeper({ kind: "map", name: token.text, key, span: this.spanFrom(token.start) }, ...key);
  }

  private word(): Expression {
    const token = this.token;
    const { text, start } = token;
    if (STATEMENT_WORDS.has(text))
      this.unexpected("a value", `${text} begins a statement; end the one before it with ;`);
    if (text === "if") return this.nested(() => this.ifExpression());
    const after = this.peek();
    const called = after.kind === "punctuation" && after.text === "(";
    if (text === "comptime" && after.text !== ")" && after.text !== ",") {
      this.advance();
      const operand = this.nested(() => this.unary());
      return this.deeper({ kind: "comptime", operand, span: this.spanFrom(start) }, operand);
    }
    this.advance();
    if (text === "true" || text === "false")
      return { kind: "boolean", value: text === "true", span: this.spanFrom(start) };
    const nameSpan = this.spanFrom(start);
    if (called) return this.nested(() => this.call(text, nameSpan));
    if (TYPE_KEYWORDS.has(text)) {
      this.unexpected("a value", `a type stands in a cast, (${text} name *)value, or in sizeof(${text} name)`);
    }
    return { kind: "identifier", name: text, span: nameSpan };
  }

  private call(name: string, nameSpan: Span): CallExpression {
    this.expect("(");
    const args: Expression[] = [];
    let typeArgument: TypeExpression | undefined;
    let fieldPath: string[] | undefined;
    const takesType = name === "sizeof" || name === "offsetof" || name === "typeof" || name === "typeinfo";
    if (takesType) {
      typeArgument = this.attempt("type", () => this.typeArgument());
      if (typeArgument === undefined) args.push(this.expression());
      if (name === "offsetof") {
        this.expect(",", ", and the name of a field", "write offsetof(struct NAME, FIELD)");
        fieldPath = [this.expectIdentifier("name of a field").text];
        while (this.accept(".")) fieldPath.push(this.expectIdentifier("name of a field").text);
      }
    } else if (!this.is(")")) {
      do {
        // Type functions such as is_ptr(typeof(x)) take types where others take values.
        args.push(this.expression());
      } while (this.accept(",") && !this.is(")"));
    }
    this.expect(")", takesType ? ")" : ") or ,");
    const span = this.spanFrom(nameSpan.start);
    const call: CallExpression = {
      kind: "call",
      name,
      nameSpan,
      args,
      span,
      ...(typeArgument === undefined ? {} : { typeArgument }),
      ...(fieldPath === undefined ? {} : { fieldPath }),
    };
    return this.deeper(call, ...args);
  }

  /** A type alone between a parenthesis and `)` or `,`; undefined when it is an expression. */
  private typeArgument(): TypeExpression | undefined {
    if (!this.isKind("identifier") || isBuiltinName(this.token.text)) return undefined;
    const type = this.type();
    return this.is(")") || this.is(",") ? type : undefined;
  }

  private parenthesized(): Expression {
    const { start } = this.token;
    const cast = this.attempt("cast", () => this.castType());
    if (cast !== undefined) {
      const operand = this.nested(() => this.unary());
      return this.deeper({ kind: "cast", target: cast, operand, span: this.spanFrom(start) }, operand);
    }
    this.expect("(");
    if (this.accept(")")) return { kind: "tuple", items: [], span: this.spanFrom(start) };
    if (this.token.kind === "identifier") {
      const after = this.peek();
      if (after.kind === "punctuation" && after.text === "=" && !isBuiltinName(this.token.text))
        return this.record(start);
    }
    const first = this.expression();
    if (this.accept(")")) return this.deeper({ ...first, span: this.spanFrom(start) }, first);
    const items = [first];
    while (this.accept(",")) {
      if (this.is(")")) break;
      items.push(this.expression());
    }
    this.expect(")", ") or ,", this.is("=") ? "compare with ==" : undefined);
    return this.deeper({ kind: "tuple", items, span: this.spanFrom(start) }, ...items);
  }

  private record(start: number): Expression {
    const items: Expression[] = [];
    const names: string[] = [];
    do {
      if (this.is(")")) break;
      const name = this.expectIdentifier("name of a field");
      this.expect("=", "= and the value of the field");
      if (names.includes(name.text)) {
        this.error({ start: name.start, end: name.end }, `Named argument list already contains name: ${name.text}`);
      }
      names.push(name.text);
      items.push(this.expression());
    } while (this.accept(","));
    this.expect(")", ") or ,");
    return this.deeper({ kind: "tuple", items, names, span: this.spanFrom(start) }, ...items);
  }

  /** `(type)` before a value; undefined when the parenthesis holds a value. */
  private castType(): TypeExpression | undefined {
    this.expect("(");
    if (!this.isKind("identifier")) return undefined;
    const first = this.token.text;
    const certain = TYPE_KEYWORDS.has(first) || isTypeName(first) || C_TYPE_WORDS.has(first) || first === "const";
    if (first === "typeof" ? this.peek().text !== "(" : isBuiltinName(first)) return undefined;
    const type = this.type();
    if (!this.accept(")")) return undefined;
    if (this.isKind("end of file")) return undefined;
    if (!this.isKind("punctuation")) return type;
    // `(NAME) - 1` with an unknown name is a subtraction; `(uint64) -1` is a cast.
    if (this.is("(") || this.is("~") || this.is("!")) return type;
    return (certain || type.kind === "pointer" || type.kind === "array") && UNARY.has(this.token.text)
      ? type
      : undefined;
  }

  /** A type as written: `struct x *`, `uint64[4]`, `string[64]`, `unsigned int`, `typeof(e)`. */
  protected type(): TypeExpression {
    while (this.isWord("const") || this.isWord("volatile")) this.advance();
    const { start } = this.token;
    let type: TypeExpression;
    if (this.isWord("typeof") && this.peek().text === "(") {
      this.advance();
      this.advance();
      const inner = this.attempt("type", () => this.typeArgument());
      const expression = inner === undefined ? this.expression() : null;
      this.expect(")");
      if (expression === null) type = inner!;
      else type = { kind: "typeof", expression, span: this.spanFrom(start) };
    } else {
      const first = this.expectIdentifier("name of a type");
      if (TYPE_KEYWORDS.has(first.text)) {
        const keyword = first.text as "struct" | "union" | "enum";
        const name = this.expectIdentifier(`name of a ${keyword}`);
        type = { kind: "name", name: name.text, keyword, size: null, span: this.spanFrom(start) };
      } else {
        let name = first.text;
        if (C_TYPE_WORDS.has(name)) {
          while (this.token.kind === "identifier" && C_TYPE_WORDS.has(this.token.text))
            name += ` ${this.advance().text}`;
        }
        type = { kind: "name", name, keyword: null, size: null, span: this.spanFrom(start) };
      }
    }
    let suffixes = 0;
    for (;;) {
      while (this.isWord("const") || this.isWord("volatile")) this.advance();
      if (++suffixes > NESTING_LIMIT) this.unexpected(") after so many * and []");
      if (this.accept("*")) type = { kind: "pointer", to: type, span: this.spanFrom(start) };
      else if (this.is("[")) {
        this.advance();
        const length = this.is("]") ? 0n : this.expectInteger("length of the array").value;
        this.expect("]");
        const span = this.spanFrom(start);
        const sized = type.kind === "name" && type.keyword === null && /^(?:string|buffer|inet)$/.test(type.name);
        if (sized && type.kind === "name" && type.size === null) type = { ...type, size: length, span };
        else type = { kind: "array", of: type, length, span };
      } else return type;
    }
  }

  /** `{ ...; value }` used as a value. */
  private blockExpression(): BlockExpression {
    const { start } = this.token;
    this.expect("{");
    const { statements, result } = this.blockItems(true);
    const closing = this.expect("}");
    const block: Block = { statements, span: this.spanFrom(start) };
    if (result === null) {
      this.error(
        { start: closing.start, end: closing.end },
        "a block used as a value must end with an expression",
        "leave out the last semicolon: { $x = 1; $x + 1 }",
      );
      return {
        kind: "block",
        block,
        result: { kind: "integer", value: 0n, text: "0", span: block.span },
        span: block.span,
      };
    }
    return { kind: "block", block, result, span: block.span };
  }

  /** A condition, in parentheses or not, before a block. */
  protected condition(): Expression {
    // The parentheses are read here, so that `(name) {` is no cast of a block.
    if (!this.is("(")) return this.expression();
    return this.nested(() => {
      const { start } = this.token;
      const cast = this.attempt("condition", () => {
        const type = this.castType();
        return type !== undefined && !this.is("{") ? type : undefined;
      });
      if (cast !== undefined) {
        const operand = this.unary();
        return this.expressionAfter({ kind: "cast", target: cast, operand, span: this.spanFrom(start) });
      }
      this.expect("(");
      const inner = this.expression();
      if (!this.is(")")) this.unexpected(")", this.is("=") ? "compare with ==" : undefined);
      this.advance();
      const whole = this.deeper({ ...inner, span: this.spanFrom(start) }, inner);
      return this.is("{") ? whole : this.expressionAfter(whole);
    });
  }

  protected ifExpression(): IfExpression {
    const { start } = this.token;
    this.advance();
    const condition = this.condition();
    const then = this.blockExpression();
    if (!this.acceptWord("else")) {
      this.unexpected("else", "an if that is used as a value needs an else with a value");
    }
    const otherwise = this.isWord("if") ? this.nested(() => this.ifExpression()) : this.blockExpression();
    return { kind: "if", condition, then, otherwise, span: this.spanFrom(start) };
  }
}
