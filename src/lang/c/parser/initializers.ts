/** Initialisers (C11 6.7.9): flattened to places and values, with designators, GNU's ranges and left-out braces. */
import { nearestNames } from "../../../base/index.ts";
import type { Expr, InitialValue, Initializer, VariableDecl } from "../ast.ts";
import { constantInteger, constantValue } from "../constant.ts";
import { type Token, TokenKind } from "../preprocessor/token.ts";
import { compatible } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type Field, type RecordBody, qualified, qualifiersOf, shapeOf, typeText } from "../types/types.ts";
import { type ParserContext, errorAt, nested } from "./context.ts";
import { assignable, elementOf, rvalue } from "./conversions.ts";

/** A step of a designator: a member, or elements. */
type Designator =
  | { readonly kind: "member"; readonly path: readonly Field[]; readonly at: Token }
  | { readonly kind: "elements"; readonly low: number; readonly high: number; readonly at: Token };

/** A part of the object that is being initialised. */
interface Part {
  readonly type: CType;
  /** Bits from the start of the whole object. */
  readonly bitOffset: number;
  readonly bitWidth: number | undefined;
}

/** Elements that one initialiser may name. */
const MOST_ELEMENTS = 1 << 24;
/** Values that ranges may repeat. */
const MOST_VALUES = 1 << 20;

/** Parses initialisers. */
export class InitializerParser {
  private readonly context: ParserContext;
  /** An expression that has been read and belongs to a part further inside. */
  private held: Expr | undefined;

  constructor(context: ParserContext) {
    this.context = context;
  }

  /** Reads the initialiser of a variable, which comes next, and completes the variable's type by it. */
  initialize(variable: VariableDecl): void {
    const { context } = this;
    const heldBefore = this.held;
    this.held = undefined;
    const { location } = context.tokens;
    const values: InitialValue[] = [];
    const shape = shapeOf(variable.type);
    const braces = context.tokens.at("{");
    const aggregate = shape.kind === "array" || shape.kind === "record";
    const whole: Part = { type: variable.type, bitOffset: 0, bitWidth: undefined };
    if (
      shape.kind === "array" &&
      !braces &&
      context.tokens.peek().kind !== TokenKind.STRING &&
      !context.tokens.at("(")
    ) {
      errorAt(context, context.tokens.peek(), "an array is initialised with values in braces");
    }
    if (shape.kind === "record" && shape.contents === undefined) {
      context.diagnostics.error(variable.location, `${typeText(variable.type)} is not defined`);
    }
    const count = nested(context, () =>
      shape.kind === "record" && !braces
        ? this.wholeRecord(whole, values, variable)
        : this.element(whole, values, variable.name),
    );
    if (shape.kind === "array" && shape.count === undefined) {
      variable.type = qualified(
        { kind: "array", of: elementOf(variable.type), count: count ?? 0 },
        qualifiersOf(variable.type),
      );
    }
    let initializer: Initializer;
    if (
      !aggregate ||
      (values.length === 1 && !braces && values[0]!.bitOffset === 0 && values[0]!.value.kind !== "string")
    )
      initializer = {
        kind: "value",
        value: values[0]?.value ?? { kind: "integer", value: 0n, type: variable.type, location },
      };
    else initializer = { kind: "aggregate", values, location };
    variable.initializer = initializer;
    if (variable.storage !== "local") this.checkConstant(initializer, variable);
    this.held = heldBefore;
  }

  /** A struct or union from a value of its own type: without braces there is no other. */
  private wholeRecord(whole: Part, values: InitialValue[], variable: VariableDecl): undefined {
    const { context } = this;
    const value = assignable(
      context.diagnostics,
      context.expressions.assignment(),
      whole.type,
      "initialiser",
      `of ${variable.name}`,
    );
    values.push({ ...whole, value });
  }

  private checkConstant(initializer: Initializer, variable: VariableDecl): void {
    const values = initializer.kind === "value" ? [initializer.value] : initializer.values.map(({ value }) => value);
    for (const value of values) {
      if (value.kind === "string" || value.kind === "compound" || constantValue(value) !== undefined) continue;
      if (value.kind === "cast" && value.operand.kind === "compound") continue;
      this.context.diagnostics.error(value.location, `the initialiser of ${variable.name} is not constant`);
      return;
    }
  }

  /** One part. Gives the number of elements of an array that has none of its own. */
  private element(part: Part, values: InitialValue[], what: string): number | undefined {
    const { tokens } = this.context;
    const shape = shapeOf(part.type);
    if (this.held === undefined && tokens.at("{")) return nested(this.context, () => this.braced(part, values, what));
    if (shape.kind === "array" && isCharacter(shape.of)) {
      const string = this.string();
      if (string !== undefined) return this.characters(part, string, values);
    }
    if (shape.kind === "array" || shape.kind === "record") {
      const expr = this.take();
      if (shape.kind === "record" && compatible(expr.type, part.type)) {
        values.push({ ...part, value: rvalue(expr) });
        return undefined;
      }
      // GNU: an array from a compound literal of its type.
      if (shape.kind === "array" && expr.kind === "compound" && compatible(expr.type, part.type)) {
        const inner = expr.variable.initializer;
        if (inner?.kind === "aggregate")
          values.push(...inner.values.map((v) => ({ ...v, bitOffset: v.bitOffset + part.bitOffset })));
        const type = shapeOf(expr.type);
        return type.kind === "array" ? type.count : undefined;
      }
      this.held = expr;
      return nested(this.context, () => this.parts(part, values, false, [], what));
    }
    values.push({
      ...part,
      value: assignable(this.context.diagnostics, this.take(), part.type, "initialiser", `of ${what}`),
    });
    return undefined;
  }

  private take(): Expr {
    const { held } = this;
    this.held = undefined;
    return held ?? this.context.expressions.assignment();
  }

  /** A string that comes next as a whole initialiser, maybe in parentheses. */
  private string(): Expr | undefined {
    if (this.held !== undefined) {
      if (this.held.kind !== "string") return undefined;
      return this.take();
    }
    const { tokens, expressions } = this.context;
    if (tokens.peek().kind !== TokenKind.STRING && !(tokens.at("(") && tokens.peek(1).kind === TokenKind.STRING))
      return undefined;
    const expr = expressions.assignment();
    if (expr.kind === "string") return expr;
    this.held = expr;
    return undefined;
  }

  private characters(part: Part, string: Expr, values: InitialValue[]): number | undefined {
    if (string.kind !== "string") return undefined;
    const shape = shapeOf(part.type);
    const room = shape.kind === "array" ? shape.count : undefined;
    // The closing NUL may be left out where there is no room for it.
    if (room !== undefined && string.bytes.length - 1 > room) {
      this.context.diagnostics.error(
        string.location,
        `the string has ${string.bytes.length - 1} bytes, the array ${room}`,
      );
    }
    values.push({ ...part, value: string });
    return room ?? string.bytes.length;
  }

  private braced(part: Part, values: InitialValue[], what: string): number | undefined {
    const { tokens, diagnostics } = this.context;
    const open = tokens.next();
    const shape = shapeOf(part.type);
    let count: number | undefined;
    if (shape.kind === "array" || shape.kind === "record") {
      if (shape.kind === "array" && isCharacter(shape.of) && tokens.peek().kind === TokenKind.STRING) {
        const string = this.string();
        if (string !== undefined) count = this.characters(part, string, values);
        else count = this.parts(part, values, true, [], what);
        tokens.accept(",");
      } else count = this.parts(part, values, true, [], what);
    } else if (!tokens.at("}")) {
      this.element(part, values, what);
      tokens.accept(",");
      if (!tokens.at("}")) diagnostics.error(tokens.location, `${typeText(part.type)} takes one value`);
    }
    while (!tokens.at("}") && !tokens.atEnd && !tokens.at(";")) tokens.next();
    if (tokens.expect("}", "behind the values") === undefined)
      diagnostics.error(open.location, "the brace is opened here");
    return count;
  }

  /**
   * The parts of an array, struct or union, one after the other. Without braces of its own it ends when it is full, or where the
   * enclosing braces go on. `designators`: where to begin.
   */
  private parts(
    whole: Part,
    values: InitialValue[],
    braces: boolean,
    designators: readonly Designator[],
    what: string,
  ): number | undefined {
    const { tokens, diagnostics } = this.context;
    const shape = shapeOf(whole.type);
    const body = shape.kind === "record" ? shape.contents : undefined;
    const end =
      shape.kind === "array"
        ? (shape.count ?? Infinity)
        : Math.min(body?.fields.length ?? 0, shape.kind === "record" && shape.union ? 1 : Infinity);
    const from = values.length;
    let position = 0;
    let most = 0;
    let pending = designators;
    while (braces ? !tokens.at("}") || this.held !== undefined : true) {
      if (tokens.atEnd && this.held === undefined) break;
      if (braces && this.held === undefined && pending.length === 0) pending = this.designators(whole.type);
      const [first, ...rest] = pending;
      pending = [];
      if (first?.kind === "elements") position = first.low;
      if (first?.kind === "member") {
        // Of a union's members the last that is named counts.
        if (shape.kind === "record" && shape.union) values.length = from;
        this.designatedMember(whole, first, rest, values, what);
        position = body!.fields.indexOf(first.path[0]!) + 1;
        if (shape.kind === "record" && shape.union) position = 1;
      } else if (position >= end) {
        const excess = this.take();
        if (end > 0 || braces)
          diagnostics.warning(excess.location, `${what}: more values than ${typeText(whole.type)} has room for`);
      } else {
        const part =
          shape.kind === "array" ? this.elementPart(whole, position) : this.fieldPart(whole, body!, position);
        const before = values.length;
        if (rest.length > 0) this.parts(part, values, false, rest, what);
        else this.element(part, values, what);
        position++;
        if (first?.kind === "elements" && first.high > first.low) {
          this.repeat(values, before, part, first);
          position = first.high + 1;
        }
      }
      most = Math.max(most, position);
      if (!braces) {
        const next = tokens.peek(1);
        const more = tokens.at(",") && position < end && !next.is("}") && !next.is(".") && !next.is("[");
        if (!more) break;
        tokens.next();
      } else if (tokens.accept(",") === undefined) break;
    }
    return most;
  }

  private elementPart(whole: Part, index: number): Part {
    const type = elementOf(whole.type);
    return { type, bitOffset: whole.bitOffset + index * 8 * (sizeOf(type) ?? 0), bitWidth: undefined };
  }

  private fieldPart(whole: Part, body: RecordBody, index: number): Part {
    return this.partOf(whole, body.fields[index]!);
  }

  private partOf(whole: Part, field: Field): Part {
    return { type: field.type, bitOffset: whole.bitOffset + field.bitOffset, bitWidth: field.bitWidth };
  }

  private designatedMember(
    whole: Part,
    designator: Designator & { kind: "member" },
    rest: readonly Designator[],
    values: InitialValue[],
    what: string,
  ): void {
    let part = whole;
    for (const field of designator.path) part = this.partOf(part, field);
    if (rest.length > 0) this.parts(part, values, false, rest, what);
    else this.element(part, values, what);
  }

  private repeat(values: InitialValue[], from: number, part: Part, range: Designator & { kind: "elements" }): void {
    const pattern = values.slice(from);
    const step = 8 * (sizeOf(part.type) ?? 0);
    const times = range.high - range.low;
    if (pattern.length * times > MOST_VALUES) {
      errorAt(this.context, range.at, `a range may make ${MOST_VALUES} values`);
      return;
    }
    for (let i = 1; i <= times; i++) {
      for (const value of pattern) values.push({ ...value, bitOffset: value.bitOffset + i * step });
    }
  }

  /** Designators that come next, with their `=`; empty when there are none. */
  private designators(type: CType): Designator[] {
    const { tokens } = this.context;
    const designators: Designator[] = [];
    let at = type;
    // Old GNU style: `member: value`.
    if (tokens.peek().kind === TokenKind.IDENTIFIER && tokens.peek(1).is(":")) {
      const member = this.memberDesignator(at, tokens.next());
      tokens.next();
      return member === undefined ? [] : [member];
    }
    while (tokens.at(".") || tokens.at("[")) {
      if (tokens.accept(".") !== undefined) {
        const member = this.memberDesignator(at, tokens.next());
        if (member === undefined) return [];
        designators.push(member);
        at = member.path.at(-1)!.type;
      } else {
        const elements = this.elementDesignator(at);
        if (elements === undefined) return [];
        designators.push(elements);
        at = elementOf(at);
      }
    }
    if (designators.length > 0 && tokens.accept("=") === undefined && !designators.every((d) => d.kind === "elements"))
      tokens.expect("=", "behind the designator");
    return designators;
  }

  private memberDesignator(type: CType, name: Token): (Designator & { kind: "member" }) | undefined {
    const shape = shapeOf(type);
    const body = shape.kind === "record" ? shape.contents : undefined;
    const path = body === undefined ? undefined : pathTo(body, name.text);
    if (path !== undefined) return { kind: "member", path, at: name };
    const near =
      body === undefined
        ? []
        : nearestNames(
            name.text,
            body.fields.flatMap((field) => field.name ?? []),
            1,
          );
    errorAt(
      this.context,
      name,
      `${typeText(type)} has no member ${name.text}`,
      near[0] === undefined ? {} : { hint: `did you mean ${near[0]}?` },
    );
    const { tokens } = this.context;
    if (tokens.accept("=") !== undefined) this.held = undefined;
    return undefined;
  }

  private elementDesignator(type: CType): (Designator & { kind: "elements" }) | undefined {
    const { tokens, expressions, diagnostics } = this.context;
    const open = tokens.next();
    const low = expressions.conditional();
    const high = tokens.accept("...") === undefined ? low : expressions.conditional();
    tokens.expect("]", "behind the index");
    const from = constantInteger(low);
    const to = constantInteger(high);
    const shape = shapeOf(type);
    if (shape.kind !== "array") errorAt(this.context, open, `${typeText(type)} is no array`);
    else if (from === undefined || to === undefined)
      diagnostics.error(low.location, "an index of an initialiser is constant");
    else if (from < 0n || to < from || to >= BigInt(shape.count ?? MOST_ELEMENTS))
      diagnostics.error(low.location, `${typeText(type)} has no element ${from < 0n || to < from ? from : to}`);
    else return { kind: "elements", low: Number(from), high: Number(to), at: open };
    tokens.accept("=");
    return undefined;
  }
}

function isCharacter(type: CType): boolean {
  const shape = shapeOf(type);
  return shape.kind === "integer" && shape.bits === 8;
}

/** The way to a member, through anonymous ones. */
function pathTo(body: RecordBody, name: string): readonly Field[] | undefined {
  for (const field of body.fields) {
    if (field.name === name) return [field];
    if (field.name !== undefined) continue;
    const inner = shapeOf(field.type);
    const path = inner.kind === "record" && inner.contents !== undefined ? pathTo(inner.contents, name) : undefined;
    if (path !== undefined) return [field, ...path];
  }
  return undefined;
}
