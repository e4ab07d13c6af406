/** Expressions (C11 6.5 with GNU's extensions), typed as they are read. */
import { nearestNames } from "../../../base/index.ts";
import { helperFunctionNames, missingNameHint } from "../headers/homes.ts";
import type { Expr, VariableDecl } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import { characterValue, floatingConstant, integerConstant, literalBytes } from "../preprocessor/constants.ts";
import { Token, TokenKind } from "../preprocessor/token.ts";
import { compatible, constantType, isInteger } from "../types/compatible.ts";
import { alignOf, findField, sizeOf } from "../types/layout.ts";
import { findMembers, memberAlias } from "../types/member-aliases.ts";
import {
  CHAR,
  DOUBLE,
  type CType,
  type FunctionType,
  INT,
  type RecordType,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  UNSIGNED_SHORT,
  VOID,
  pointerTo,
  qualified,
  qualifiersOf,
  shapeOf,
  typeText,
} from "../types/types.ts";
import { helperDeclaration } from "../helper-declarations.ts";
import { precedence } from "../precedence.ts";
import { BuiltinCalls, builtinNames, integerOf, isBuiltin, libraryFunctions } from "./builtins.ts";
import { type ParserContext, errorAt, nested } from "./context.ts";
import {
  assignable,
  assignmentOperators,
  cast,
  condition,
  elementOf,
  explicitCast,
  markAddressTaken,
  noFloating,
  promote,
  rvalue,
  unqualified,
} from "./conversions.ts";
import { keywordOf } from "./declarations.ts";
import { Operators } from "./operators.ts";

/** Parses expressions. */
export class ExpressionParser {
  private readonly context: ParserContext;
  private readonly operators: Operators;
  private readonly builtins: BuiltinCalls;

  constructor(context: ParserContext) {
    this.context = context;
    this.operators = new Operators(context.diagnostics);
    this.builtins = new BuiltinCalls(context);
  }

  /** With commas. */
  expression(): Expr {
    const { tokens } = this.context;
    let left = this.assignment();
    for (let comma = tokens.accept(","); comma !== undefined; comma = tokens.accept(",")) {
      const right = rvalue(this.assignment());
      left = { kind: "comma", left: rvalue(left), right, type: right.type, location: comma.location };
    }
    return left;
  }

  /** Without commas: an argument, an initialiser. */
  assignment(): Expr {
    return nested(this.context, () => {
      const target = this.conditional();
      const { tokens } = this.context;
      const token = tokens.peek();
      if (token.kind !== TokenKind.PUNCTUATOR) return target;
      const operator = assignmentOperators[token.text];
      if (operator === undefined && token.text !== "=") return target;
      tokens.next();
      return this.operators.assign(operator, target, this.assignment(), token.location);
    });
  }

  /** Without assignment: what constants are. */
  conditional(): Expr {
    const { tokens } = this.context;
    const test = this.binary(1);
    const question = tokens.accept("?");
    if (question === undefined) return test;
    const then = tokens.at(":") ? undefined : this.expression();
    tokens.expect(":", "behind the first choice of ?:");
    const otherwise = nested(this.context, () => this.conditional());
    return this.operators.conditional(test, then, otherwise, question.location);
  }

  private binary(least: number): Expr {
    const { tokens } = this.context;
    let left = this.castExpression();
    for (;;) {
      const token = tokens.peek();
      const level = token.kind === TokenKind.PUNCTUATOR ? (precedence[token.text] ?? 0) : 0;
      if (level < least) return left;
      tokens.next();
      left = this.operators.binary(token.text, left, this.binary(level + 1), token.location);
    }
  }

  private castExpression(): Expr {
    const { tokens, declarations } = this.context;
    if (!tokens.at("(") || !declarations.startsType(tokens.peek(1))) return nested(this.context, () => this.unary());
    // `({` and `(__extension__ x)` are no types.
    if (tokens.peek(1).text === "__extension__" && !declarations.startsType(tokens.peek(2))) return this.unary();
    const open = tokens.next();
    const type = declarations.typeName();
    tokens.expect(")", "behind the type");
    if (tokens.at("{")) return this.postfix(this.compoundLiteral(type, open));
    const operand = nested(this.context, () => this.castExpression());
    return explicitCast(this.context.diagnostics, operand, type, open.location);
  }

  private unary(): Expr {
    const { context } = this;
    const { tokens, diagnostics } = context;
    const token = tokens.peek();
    if (token.kind === TokenKind.IDENTIFIER) {
      const word = keywordOf(token);
      if (word === "sizeof" || word === "_Alignof") return this.sizeOf(word);
      if (word === "__extension__") {
        tokens.next();
        return this.castExpression();
      }
      return this.postfix(this.primary());
    }
    const { location } = token;
    switch (token.kind === TokenKind.PUNCTUATOR ? token.text : "") {
      case "++":
      case "--":
        tokens.next();
        return this.operators.step(
          token.text === "++" ? 1 : -1,
          false,
          nested(this.context, () => this.unary()),
          location,
        );
      case "&":
        tokens.next();
        return this.addressOf(this.castExpression(), location);
      case "*": {
        tokens.next();
        return this.dereference(rvalue(this.castExpression()), location);
      }
      case "+":
      case "-":
      case "~": {
        tokens.next();
        const operand = promote(this.castExpression());
        if (operand.kind === "floating" && token.text !== "~")
          return token.text === "+" ? operand : { ...operand, value: -operand.value };
        if (!isInteger(operand.type)) {
          const isFloat = shapeOf(operand.type).kind === "float";
          diagnostics.error(
            location,
            isFloat ? noFloating.message : `${token.text} does not go with ${typeText(operand.type)}`,
            isFloat ? noFloating : {},
          );
          return integerOf(0n, INT, location);
        }
        if (token.text === "+") return operand;
        return { kind: "unary", operator: token.text as "-" | "~", operand, type: operand.type, location };
      }
      case "!":
        tokens.next();
        return {
          kind: "unary",
          operator: "!",
          operand: condition(diagnostics, this.castExpression(), location),
          type: INT,
          location,
        };
      case "&&":
        tokens.next();
        tokens.next();
        diagnostics.error(location, "eBPF has no jumps to computed places: the address of a label cannot be taken", {
          hint: "choose by switch",
        });
        return cast(integerOf(0n, INT, location), pointerTo(VOID), "integer-to-pointer");
      default:
        return this.postfix(this.primary());
    }
  }

  private addressOf(operand: Expr, location: number): Expr {
    const { diagnostics } = this.context;
    if (shapeOf(operand.type).kind === "function")
      return { ...cast(operand, pointerTo(operand.type), "decay"), location };
    if (!isLvalue(operand)) diagnostics.error(location, "what is behind & has no address");
    else if (operand.kind === "member" && operand.field.bitWidth !== undefined)
      diagnostics.error(location, `${operand.field.name ?? "a bitfield"} is a bitfield: it has no address`);
    markAddressTaken(operand);
    return { kind: "address", operand, type: pointerTo(operand.type), location };
  }

  private dereference(operand: Expr, location: number): Expr {
    const shape = shapeOf(operand.type);
    if (shape.kind === "pointer" && shapeOf(shape.to).kind === "function")
      return operand.kind === "cast" && operand.cast === "decay"
        ? operand.operand
        : { kind: "dereference", operand, type: shape.to, location };
    if (shape.kind === "pointer") return { kind: "dereference", operand, type: shape.to, location };
    this.context.diagnostics.error(location, `* needs a pointer, this is ${typeText(operand.type)}`);
    return { kind: "dereference", operand: cast(operand, pointerTo(INT), "none"), type: INT, location };
  }

  private sizeOf(word: string): Expr {
    const { context } = this;
    const { tokens, declarations } = context;
    const token = tokens.next();
    let type: CType;
    if (tokens.at("(") && declarations.startsType(tokens.peek(1))) {
      const open = tokens.next();
      type = declarations.typeName();
      tokens.expect(")", `behind ${token.text}(`);
      if (tokens.at("{")) ({ type } = this.postfix(this.compoundLiteral(type, open)));
    } else ({ type } = this.unary());
    if (word === "_Alignof") return integerOf(BigInt(this.alignment(type, token)), UNSIGNED_LONG, token.location);
    const { kind } = shapeOf(type);
    // GNU: what has no size has one byte.
    const size = kind === "void" || kind === "function" ? 1 : sizeOf(type);
    if (size === undefined) errorAt(context, token, `${typeText(type)} is not defined: its size is not known`);
    return integerOf(BigInt(size ?? 0), UNSIGNED_LONG, token.location);
  }

  /** Alignment of a type in bytes; reports types that have none. */
  alignment(type: CType, at: Token): number {
    const { kind } = shapeOf(type);
    if (kind === "record" && sizeOf(type) === undefined) errorAt(this.context, at, `${typeText(type)} is not defined`);
    return alignOf(type);
  }

  private postfix(first: Expr): Expr {
    const { tokens } = this.context;
    let expr = first;
    for (;;) {
      const token = tokens.peek();
      if (token.kind !== TokenKind.PUNCTUATOR) return expr;
      switch (token.text) {
        case "[": {
          tokens.next();
          const index = nested(this.context, () => this.expression());
          tokens.expect("]", "behind the index");
          expr = this.index(expr, index, token.location);
          break;
        }
        case "(":
          tokens.next();
          expr = nested(this.context, () => this.call(expr, token));
          break;
        case ".":
        case "->":
          tokens.next();
          expr = this.member(expr, token.text === "->", tokens.next(), token);
          break;
        case "++":
        case "--":
          tokens.next();
          expr = this.operators.step(token.text === "++" ? 1 : -1, true, expr, token.location);
          break;
        default:
          return expr;
      }
    }
  }

  private index(a: Expr, b: Expr, location: number): Expr {
    // `3[array]` is `array[3]`.
    const [array, index] = isInteger(a.type) ? [b, a] : [a, b];
    const shape = shapeOf(array.type);
    const at = promote(index);
    if (!isInteger(at.type)) this.context.diagnostics.error(index.location, `${typeText(index.type)} is no index`);
    if (shape.kind === "array" && isLvalue(array))
      return { kind: "index", array, index: at, type: elementOf(array.type), location };
    const pointer = rvalue(array);
    const to = shapeOf(pointer.type);
    if (to.kind !== "pointer") {
      this.context.diagnostics.error(location, `[] needs an array or a pointer, this is ${typeText(array.type)}`);
      return this.dereference(cast(pointer, pointerTo(INT), "none"), location);
    }
    if (sizeOf(to.to) === undefined && shapeOf(to.to).kind !== "void")
      this.context.diagnostics.error(location, `${typeText(to.to)} is not defined: how far to step is not known`);
    return { kind: "index", array: pointer, index: at, type: to.to, location };
  }

  /** What comes next, a member's name with what may follow it, of what a pointer points to. */
  memberOf(pointer: Expr): Expr {
    return this.postfix(this.member(pointer, true, this.context.tokens.next()));
  }

  private member(base: Expr, arrow: boolean, name: Token, operator: Token = name): Expr {
    const { context } = this;
    let record = base;
    const shape = shapeOf(base.type);
    if (arrow) {
      const pointer = rvalue(base);
      const to = shapeOf(pointer.type);
      if (to.kind !== "pointer") {
        errorAt(
          context,
          operator,
          `-> needs a pointer, this is ${typeText(base.type)}`,
          shape.kind === "record" ? { hint: "use . instead" } : {},
        );
        return integerOf(0n, INT, name.location);
      }
      record = { kind: "dereference", operand: pointer, type: to.to, location: name.location };
    } else if (shape.kind === "pointer") {
      errorAt(context, operator, `. needs a struct or union, this is the pointer ${typeText(base.type)}`, {
        hint: "use -> instead",
      });
      return integerOf(0n, INT, name.location);
    }
    const type = shapeOf(record.type);
    if (type.kind !== "record") {
      errorAt(context, operator, `${typeText(record.type)} has no members`);
      return integerOf(0n, INT, name.location);
    }
    const body = type.contents;
    if (body === undefined) {
      const hint = context.scopes.whyNoRecord(type.tag);
      errorAt(context, operator, `${typeText(type)} is declared, but not defined`, hint === undefined ? {} : { hint });
      return integerOf(0n, INT, name.location);
    }
    const found = findField(body, name.text);
    if (found === undefined) {
      const alias = this.aliased(record, type, name);
      if (alias !== undefined) return alias;
      const near = nearestNames(
        name.text,
        body.fields.flatMap((field) => field.name ?? []),
        1,
      );
      errorAt(
        context,
        name,
        `${typeText(type)} has no member ${name.text}`,
        near[0] === undefined ? {} : { hint: `did you mean ${near[0]}?` },
      );
      return integerOf(0n, INT, name.location);
    }
    let expr = record;
    for (const field of found.path) {
      const { const: isConst, volatile } = qualifiersOf(expr.type);
      expr = {
        kind: "member",
        record: expr,
        field,
        type: qualified(field.type, { const: isConst, volatile }),
        location: name.location,
      };
    }
    return expr;
  }

  /** A member that kernel headers name by a macro: the one that it stands for. */
  private aliased(record: Expr, type: RecordType, name: Token): Expr | undefined {
    const alias = memberAlias(type.tag, name.text);
    if (alias === undefined || findMembers(type, alias) === undefined) return undefined;
    const { kind, location, flags } = name;
    let expr = record;
    for (const word of alias) {
      // A number is an index.
      if (/^\d/.test(word)) expr = this.index(expr, integerOf(BigInt(word), INT, location), location);
      else expr = this.member(expr, false, new Token(kind, word, location, flags));
    }
    return expr;
  }

  private call(callee: Expr, open: Token): Expr {
    const { context } = this;
    const { tokens, diagnostics } = context;
    const args: Expr[] = [];
    let close = tokens.accept(")");
    if (close === undefined) {
      do args.push(this.assignment());
      while (tokens.accept(",") !== undefined);
      close = tokens.expect(")", "behind the arguments");
    }
    const value = rvalue(callee);
    const pointer = shapeOf(value.type);
    const type = pointer.kind === "pointer" ? shapeOf(pointer.to) : undefined;
    if (type?.kind !== "function") {
      diagnostics.error(open.location, `${typeText(callee.type)} is no function`);
      return integerOf(0n, INT, open.location);
    }
    const name =
      callee.kind === "function"
        ? callee.func.name
        : callee.kind === "variable"
          ? callee.variable.name
          : ((callee.kind === "member" ? callee.field.name : undefined) ?? "the function");
    return {
      kind: "call",
      callee: value,
      args: this.checkedArguments(name, type, args, callee, close?.location ?? open.location),
      type: unqualified(type.result),
      location: callee.location,
    };
  }

  private checkedArguments(name: string, type: FunctionType, args: readonly Expr[], callee: Expr, end: number): Expr[] {
    const { diagnostics } = this.context;
    const { params, variadic, unprototyped } = type;
    const fits = unprototyped || (variadic ? args.length >= params.length : args.length === params.length);
    if (!fits) {
      const notes =
        callee.kind === "function" && callee.func.location > 0
          ? [{ location: callee.func.location, message: `${name} is declared here` }]
          : [];
      // At the first that is too much, or where one is missing.
      diagnostics.error(
        args[params.length]?.location ?? end,
        `${name} takes ${variadic ? "at least " : ""}${params.length} argument${params.length === 1 ? "" : "s"}, here are ${args.length}`,
        { notes },
      );
    }
    return args.map((arg, i) => {
      const param = params[i];
      return param === undefined
        ? promote(arg)
        : assignable(diagnostics, arg, param.type, "argument", `${i + 1} of ${name}`);
    });
  }

  private primary(): Expr {
    const { context } = this;
    const { tokens } = context;
    const token = tokens.next();
    switch (token.kind) {
      case TokenKind.NUMBER:
        return this.number(token);
      case TokenKind.CHARACTER: {
        const constant = characterValue(token.text);
        if ("problem" in constant) errorAt(context, token, constant.problem);
        const type = token.text.startsWith("u") ? UNSIGNED_SHORT : token.text.startsWith("U") ? UNSIGNED_INT : INT;
        return integerOf("problem" in constant ? 0n : constant.value, type, token.location);
      }
      case TokenKind.STRING:
        return this.string(token);
      case TokenKind.IDENTIFIER:
        return this.identifier(token);
      case TokenKind.PUNCTUATOR:
        if (token.text === "(") {
          if (tokens.at("{")) return this.statementExpression(token);
          const inner = nested(context, () => this.expression());
          tokens.expect(")", "behind the expression");
          return inner;
        }
        break;
      default:
        break;
    }
    const what =
      token.kind === TokenKind.END
        ? "an expression is missing at the end of the file"
        : `an expression is missing before ${token.text}`;
    errorAt(
      context,
      token,
      token.kind === TokenKind.OTHER && /["']/.test(token.text) ? `${token.text} has no partner on its line` : what,
    );
    return integerOf(0n, INT, token.location);
  }

  private number(token: Token): Expr {
    const constant = integerConstant(token.text);
    const floating = "problem" in constant ? floatingConstant(token.text) : undefined;
    if (floating !== undefined) return { kind: "floating", value: floating, type: DOUBLE, location: token.location };
    if ("problem" in constant) {
      const { at = 0, problem } = constant;
      const location = this.context.diagnostics.sources.behind(token.location, at);
      this.context.diagnostics.error(location, problem, { length: token.text.length - at });
      return integerOf(0n, INT, token.location);
    }
    const { value, unsigned, longs, decimal } = constant;
    return integerOf(value, constantType(value, unsigned, longs, decimal), token.location);
  }

  private string(first: Token): Expr {
    const { tokens } = this.context;
    const pieces: Uint8Array[] = [];
    for (let token: Token = first; ; token = tokens.next()) {
      if (/^[LuU]"/.test(token.text))
        errorAt(this.context, token, "wide strings mean nothing to the kernel", { hint: "leave the prefix out" });
      const bytes = literalBytes(token.text);
      if ("problem" in bytes) errorAt(this.context, token, bytes.problem);
      else pieces.push(bytes);
      if (tokens.peek().kind !== TokenKind.STRING) break;
    }
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const bytes = new Uint8Array(length + 1);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return { kind: "string", bytes, type: { kind: "array", of: CHAR, count: length + 1 }, location: first.location };
  }

  private identifier(token: Token): Expr {
    const { context } = this;
    const { scopes, tokens } = context;
    const { text, location } = token;
    if (text === "_Generic") return this.generic(token);
    if (text === "__func__" || text === "__FUNCTION__" || text === "__PRETTY_FUNCTION__") {
      const bytes = new TextEncoder().encode(`${context.currentFunction?.name ?? ""}\0`);
      return {
        kind: "string",
        bytes,
        type: { kind: "array", of: qualified(CHAR, { const: true }), count: bytes.length },
        location,
      };
    }
    if (isBuiltin(text)) return this.builtins.call(token);
    const found = scopes.find(token.name!);
    if (found === undefined || (found.kind === "function" && found.body === undefined)) {
      // What C's library is without: declared or not, the compiler's own.
      if (libraryFunctions.has(text) && tokens.at("("))
        return this.builtins.call(new Token(token.kind, `__builtin_${text}`, location, token.flags));
    }
    if (found === undefined) return this.unknown(token);
    switch (found.kind) {
      case "constant":
        return { kind: "integer", value: found.value, type: found.type, location, enumerator: text };
      case "variable":
        found.used = true;
        return { kind: "variable", variable: found, type: found.type, location };
      case "function":
        found.used = true;
        return { kind: "function", func: found, type: found.type, location };
      case "typedef":
        errorAt(context, token, `${text} is a type, here a value is wanted`);
        tokens.recover();
        return integerOf(0n, INT, location);
    }
  }

  private unknown(token: Token): Expr {
    const { context } = this;
    const { text, location } = token;
    const helper = helperDeclaration(text, (tag) => {
      const found = context.scopes.findTag(context.names.intern(tag), "struct");
      return found?.kind === "record" ? found : undefined;
    });
    if (helper !== undefined) {
      context.scopes.declareInFile(token.name!, helper);
      return { kind: "function", func: helper, type: helper.type, location };
    }
    const isCall = context.tokens.at("(");
    const macro = isCall ? context.scopes.outerMacro(text) : undefined;
    if (macro !== undefined && context.tokens.expand(token, macro)) return this.unary();
    const candidates = [
      ...context.scopes.names(),
      ...context.scopes.nearestOutside(text),
      ...(isCall ? [...builtinNames(), ...helperFunctionNames()] : []),
    ];
    // One or two letters are near to everything.
    const near = text.length < 3 ? [] : nearestNames(text, candidates, isCall ? 3 : 1);
    // What is called is rather a function than a constant in capitals.
    const best = near.find((name) => name !== name.toUpperCase() || text === text.toUpperCase()) ?? near[0];
    const hint = missingNameHint(text) ?? (best === undefined ? undefined : `did you mean ${best}?`);
    errorAt(context, token, `${text} is not declared`, hint === undefined ? {} : { hint });
    // Said once: declared as something harmless from here on.
    const variable: VariableDecl = {
      kind: "variable",
      name: text,
      type: INT,
      storage: "extern",
      location,
      attributes: {},
      initializer: undefined,
      addressTaken: false,
      used: true,
    };
    if (!isCall) context.scopes.declareInFile(token.name!, variable);
    else {
      const type: FunctionType = { kind: "function", result: INT, params: [], variadic: false, unprototyped: true };
      const func = {
        kind: "function",
        name: text,
        type,
        storage: "extern",
        inline: false,
        location,
        attributes: {},
        params: [],
        body: undefined,
        used: true,
      } as const;
      context.scopes.declareInFile(token.name!, func);
      return { kind: "function", func, type, location };
    }
    return { kind: "variable", variable, type: INT, location };
  }

  private generic(word: Token): Expr {
    const { context } = this;
    const { tokens, declarations } = context;
    tokens.expect("(", "behind _Generic");
    const subject = rvalue(this.assignment()).type;
    let chosen: Expr | undefined;
    let otherwise: Expr | undefined;
    while (tokens.accept(",") !== undefined) {
      if (tokens.accept("default") !== undefined) {
        tokens.expect(":", "behind default");
        otherwise = this.assignment();
        continue;
      }
      const type = declarations.typeName();
      tokens.expect(":", "behind the type");
      const value = this.assignment();
      if (chosen === undefined && compatible(type, subject)) chosen = value;
    }
    tokens.expect(")", "behind the choices of _Generic");
    const result = chosen ?? otherwise;
    if (result !== undefined) return result;
    errorAt(context, word, `_Generic has no choice for ${typeText(subject)}`);
    return integerOf(0n, INT, word.location);
  }

  private statementExpression(open: Token): Expr {
    const { context } = this;
    if (context.currentFunction === undefined) errorAt(context, open, "({ }) outside of a function");
    const body = nested(context, () => context.statements.compound());
    context.tokens.expect(")", "behind ({ }");
    const statements = body.statements.slice();
    let last = statements.pop();
    // Labels before the value stay, in front of nothing.
    for (; last?.kind === "label"; last = last.statement)
      statements.push({ ...last, statement: { kind: "empty", location: last.location } });
    if (last?.kind !== "expression")
      return { kind: "statements", body, result: undefined, type: VOID, location: open.location };
    const result = rvalue(last.expr);
    return {
      kind: "statements",
      body: { ...body, statements },
      result,
      type: result.type,
      location: open.location,
    };
  }

  private compoundLiteral(type: CType, open: Token): Expr {
    const { context } = this;
    const variable: VariableDecl = {
      kind: "variable",
      name: `(literal ${context.nextAnonymous++})`,
      type,
      storage: context.currentFunction === undefined ? "static" : "local",
      location: open.location,
      attributes: {},
      initializer: undefined,
      addressTaken: true,
      used: true,
    };
    context.initializers.initialize(variable);
    return { kind: "compound", variable, type: variable.type, location: open.location };
  }
}
