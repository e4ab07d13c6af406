/** Types of expressions. Each pass gives every expression the type that is known by then; the last one complains. */
import { nearestNames, type Span } from "../../../base/index.ts";
import type {
  BinaryExpression,
  Expression,
  FieldExpression,
  IdentifierExpression,
  IndexExpression,
  MapExpression,
  PositionalExpression,
  Statement,
  TernaryExpression,
  TupleExpression,
  TypeExpression,
  UnaryExpression,
} from "../ast.ts";
import { PROBE_TEXT } from "../checked.ts";
import { parseInteger } from "../lexer.ts";
import { builtin, builtinNames } from "../table/builtins.ts";
import { syscallConstant } from "../lower/syscalls.ts";
import { headerConstant } from "../table/constants.ts";
import { functionRow } from "../table/functions.ts";
import { type AddressSpace, BOOL, I64, I8, isAggregation, sizeOf, type Type, typeName, U64 } from "../types.ts";
import { builtinType } from "./builtin-types.ts";
import { checkCall } from "./calls.ts";
import { castType } from "./casts.ts";
import { evaluateBinary, evaluateUnary } from "./constants.ts";
import { adapted, integerResult, isComparison, keyProblem, literalSize, pointerResult } from "./operators.ts";
import { asInteger, comparable, isCondition, isLiteralType, join, literalType, readAs, wide } from "./promote.ts";
import { didYouMean } from "./reporter.ts";
import type { CheckState, MapState, Unit } from "./state.ts";

/** Checks the expressions of one body. */
export class ExpressionChecker {
  readonly state: CheckState;
  readonly unit: Unit;
  /** Checks the statements of a block expression; set by the checker of statements. */
  statements: (statements: readonly Statement[]) => void = () => {};
  /** Loops around the place: calls that make no sense in loops ask. */
  loopDepth = 0;

  constructor(state: CheckState, unit: Unit) {
    this.state = state;
    this.unit = unit;
  }

  error(span: Span, message: string, hint?: string): undefined {
    return this.state.error(span, message, hint);
  }

  warning(span: Span, message: string, hint?: string): void {
    this.state.reporter.warning(span, message, hint);
  }

  /** The type of an expression, which is also noted on it; undefined while it is not known. */
  type(e: Expression): Type | undefined {
    const type = this.infer(e);
    if (type) e.type = type;
    return type;
  }

  /** The type of an expression that is used as a value: a name that is none is refused. */
  value(e: Expression, what: string): Type | undefined {
    const type = this.type(e);
    if (type?.kind !== "none") return type;
    return this.error(
      e.span,
      `${what}: this has no value`,
      "a call that only does something can not be used as a value",
    );
  }

  /** The type of a value in expressions: aggregations read as integers where they can. */
  operand(e: Expression, what: string): Type | undefined {
    const type = this.value(e, what);
    if (!type || !isAggregation(type)) return type;
    const read = readAs(type);
    if (read) return read;
    return this.error(
      e.span,
      `${what}: a map of type ${typeName(type)} can not be used as a value`,
      "print it with print(@map)",
    );
  }

  /** A condition of `if`, `while`, `?:`, `!`, `&&` or `||`. */
  condition(e: Expression): void {
    const type = this.type(e);
    if (type && !isCondition(type)) {
      this.error(
        e.span,
        `Invalid condition: ${typeName(type)}`,
        type.kind === "string" ? 'compare it: comm == "name"' : undefined,
      );
    }
  }

  private infer(e: Expression): Type | undefined {
    switch (e.kind) {
      case "integer":
        e.constant = BigInt.asIntN(64, e.value);
        return literalType(e.value);
      case "boolean":
        e.constant = e.value ? 1n : 0n;
        return BOOL;
      case "string":
        e.constant = e.value;
        return { kind: "string", size: literalSize(e.value) };
      case "positional":
        return this.positional(e, false);
      case "identifier":
        return this.identifier(e);
      case "variable":
        return e.resolved && this.state.typed.has(e.resolved) ? e.resolved.type : undefined;
      case "map":
        return this.map(e);
      case "unary":
        return this.unary(e);
      case "increment":
        return this.increment(e);
      case "binary":
        return this.binary(e);
      case "ternary":
        return this.ternary(e);
      case "call":
        return checkCall(this, e);
      case "field":
        return this.field(e);
      case "index":
        return this.index(e);
      case "cast":
        return castType(this, e);
      case "tuple":
        return this.tuple(e);
      case "block":
        this.statements(e.block.statements);
        return this.type(e.result);
      case "if":
        this.condition(e.condition);
        return this.choice(e.span, e.then, e.otherwise);
      case "comptime": {
        const type = this.type(e.operand);
        if (e.operand.constant === undefined) {
          if (type)
            this.error(
              e.span,
              "Unable to resolve comptime expression",
              "its value must be known when the script is compiled",
            );
        } else e.constant = e.operand.constant;
        return type;
      }
    }
  }

  // Literals and names

  /** `$1`: a number when it reads as one, else text; `asText` inside of `str()`. */
  positional(e: PositionalExpression, asText: boolean): Type {
    const { positional } = this.state.env;
    if (e.index === 0) {
      const value = BigInt(positional.length);
      e.resolved = { kind: "integer", value };
      e.constant = value;
      return literalType(value);
    }
    const given = positional[e.index - 1];
    if (!asText) {
      const negative = given?.startsWith("-") ?? false;
      const parsed = given === undefined ? { value: 0n } : parseInteger(negative ? given.slice(1) : given);
      if ("value" in parsed) {
        const value = negative ? -parsed.value : parsed.value;
        e.resolved = { kind: "integer", value };
        e.constant = BigInt.asIntN(64, value);
        return literalType(value);
      }
    }
    const value = given ?? "";
    e.resolved = { kind: "string", value };
    e.constant = value;
    return { kind: "string", size: literalSize(value) };
  }

  private identifier(e: IdentifierExpression): Type | undefined {
    const known = builtin(e.name);
    if (known) {
      e.resolved = {
        kind: "builtin",
        name: known.row.name,
        ...(known.index === undefined ? {} : { index: known.index }),
      };
      return builtinType(this, known.row, known.index, e.name, e.span);
    }
    const constant = this.state.types.definitions.constant(e.name);
    if (constant?.kind === "string") {
      e.resolved = { kind: "text", value: constant.value };
      e.constant = constant.value;
      return { kind: "string", size: literalSize(constant.value) };
    }
    if (constant) return this.constant(e, constant.value, constant.type ?? literalType(constant.value));
    const ofKernel = this.state.env.btf?.enumValue(e.name);
    if (ofKernel) {
      const type = this.state.types.btf!.type(ofKernel.typeId, "kernel");
      return this.constant(e, ofKernel.value, type.kind === "int" && type.enum ? type : literalType(ofKernel.value));
    }
    const ofHeader = headerConstant(e.name) ?? syscallConstant(e.name, this.state.env.arch);
    if (ofHeader !== undefined) return this.constant(e, ofHeader, literalType(ofHeader));
    return this.unknownName(e);
  }

  /** True for names of `#define`s, enum constants and header constants. */
  isConstantName(name: string): boolean {
    const { types, env } = this.state;
    return (
      types.definitions.constant(name) !== undefined ||
      env.btf?.enumValue(name) !== undefined ||
      headerConstant(name) !== undefined ||
      syscallConstant(name, env.arch) !== undefined
    );
  }

  private constant(e: IdentifierExpression, value: bigint, type: Type): Type {
    e.resolved = { kind: "constant", value };
    e.constant = BigInt.asIntN(64, value);
    return type;
  }

  private unknownName(e: IdentifierExpression): undefined {
    if (!this.state.final) return undefined;
    const { definitions } = this.state.types;
    const text = definitions.defineText(e.name);
    if (text !== undefined) {
      return this.error(
        e.span,
        `'${e.name}' is defined as '${text}', which is no constant`,
        '#define NAME 42 and #define NAME "text" can be used',
      );
    }
    const near = nearestNames(e.name, [...builtinNames(), ...definitions.constantNames()]);
    const isFunction = functionRow(e.name) !== undefined;
    return this.error(
      e.span,
      `Unknown identifier: '${e.name}'`,
      isFunction
        ? `${e.name} is a function: write ${e.name}(...)`
        : didYouMean(near, "variables are written $name, maps @name"),
    );
  }

  // Maps

  /** The state of a map that an expression names. */
  mapOf(e: MapExpression): MapState {
    return this.state.map(e.name, e.span);
  }

  /** Types the key of `@m[k]`, and tells the map of it. */
  key(e: MapExpression): void {
    const map = this.mapOf(e);
    if (e.key === null) {
      this.state.useMap(map, false, e.span);
      return;
    }
    if (!this.state.useMap(map, true, e.span)) {
      e.key.forEach((k) => this.type(k));
      return;
    }
    const type = this.keyType(e.key, e.span);
    if (type) this.state.useKey(map, type, e.span);
  }

  /** The type of a key given as one or several expressions. */
  keyType(keys: readonly Expression[], span: Span): Type | undefined {
    const items: Type[] = [];
    for (const k of keys) {
      const type = this.operand(k, "map key");
      if (type) {
        const problem = keyProblem(type);
        if (problem) this.error(k.span, `Value '${typeName(type)}' cannot be used as a map key.`, problem);
        items.push(type);
      }
    }
    if (items.length < keys.length) return undefined;
    if (items.length === 1) return items[0];
    const tuple: Type = { kind: "tuple", items };
    if (sizeOf(tuple) > 65536)
      return this.error(span, `a map key of ${sizeOf(tuple)} bytes is too large`, "use fewer or shorter keys");
    return tuple;
  }

  private map(e: MapExpression): Type | undefined {
    const map = this.mapOf(e);
    this.key(e);
    if (map.value) return map.value;
    return this.undefinedMap(map, e.span);
  }

  /** Reports a map that nothing is ever assigned to. */
  undefinedMap(map: MapState, span: Span): undefined {
    if (this.state.final && !map.value) this.state.undefinedUses.push({ map, span });
    return undefined;
  }

  // Operators

  private unary(e: UnaryExpression): Type | undefined {
    const { operator } = e;
    if (operator === "&") return this.address(e);
    if (operator === "!") {
      this.condition(e.operand);
      if (typeof e.operand.constant === "bigint") e.constant = e.operand.constant === 0n ? 1n : 0n;
      return BOOL;
    }
    const type = this.operand(e.operand, `operator ${operator}`);
    if (!type) return undefined;
    if (operator === "*") {
      if (type.kind === "pointer") {
        if (type.to.kind !== "none") return type.to;
        return this.error(e.span, "Can not dereference a pointer to void", "cast it first: *(uint64 *)$p");
      }
      if (type.kind === "int") return U64;
      return this.error(e.span, `Can not dereference type '${typeName(type)}'. It is not a pointer.`);
    }
    if (type.kind !== "int" && type.kind !== "bool") {
      return this.error(e.span, `The ${operator} operator can not be used on expressions of type '${typeName(type)}'`);
    }
    if (typeof e.operand.constant === "bigint") {
      e.constant = evaluateUnary(operator, e.operand.constant);
      if (operator === "-" || isLiteralType(type)) return literalType(e.constant);
    }
    return operator === "-" || type.kind === "bool" ? I64 : wide(type);
  }

  private address(e: UnaryExpression): Type | undefined {
    const { operand } = e;
    if (operand.kind !== "variable" && operand.kind !== "map") {
      return this.error(e.span, "address-of operator (&) can only be used on a map or variable");
    }
    const type = this.type(operand);
    return type && { kind: "pointer", to: type, space: "kernel" };
  }

  private increment(e: Expression & { kind: "increment" }): Type | undefined {
    const { target, operator, span } = e;
    if (target.kind === "map") {
      const map = this.mapOf(target);
      this.key(target);
      if (!map.value || map.value.kind === "int") this.state.assignMap(map, literalType(1n), span);
      target.type = map.value ?? I64;
    } else if (target.resolved) {
      const variable = target.resolved;
      if (!this.state.typed.has(variable)) this.state.assignVariable(variable, literalType(1n), span);
      target.type = variable.type;
    }
    const { type } = target;
    if (type && type.kind !== "int" && type.kind !== "pointer") {
      const hint = isAggregation(type)
        ? `${typeName(type)} is changed by its own function: ${target.kind === "map" ? `@${target.name} = count();` : ""}`
        : undefined;
      return this.error(
        span,
        `The ${operator} operator can not be used on expressions of type '${typeName(type)}'`,
        hint,
      );
    }
    return type;
  }

  private binary(e: BinaryExpression): Type | undefined {
    const { operator, left, right } = e;
    if (operator === "&&" || operator === "||") {
      this.condition(left);
      this.condition(right);
      this.fold(e);
      return BOOL;
    }
    const a = this.operand(left, `operator ${operator}`);
    const b = this.operand(right, `operator ${operator}`);
    if (!a || !b) return isComparison(operator) ? BOOL : undefined;
    return this.binaryType(e, a, b);
  }

  /** The type of `left operator right`. */
  binaryType(e: BinaryExpression, a: Type, b: Type): Type | undefined {
    const { operator, left, right } = e;
    const comparison = isComparison(operator);
    const intA = asInteger(a);
    const intB = asInteger(b);
    if (intA && intB) {
      this.fold(e);
      // A literal is of the sign of what it meets, for whoever computes with it.
      if (isLiteralType(intA) && !isLiteralType(intB)) left.type = adapted(intA, intB);
      if (isLiteralType(intB) && !isLiteralType(intA)) right.type = adapted(intB, intA);
      if (comparison) return BOOL;
      if (typeof e.constant === "bigint")
        return isLiteralType(intA) && isLiteralType(intB)
          ? literalType(e.constant)
          : wide(integerResult(operator, intA, intB));
      if ((operator === "/" || operator === "%") && right.constant === 0n) {
        return this.error(e.span, `division by zero`, "in the kernel it gives 0; guard it with an if");
      }
      return integerResult(operator, intA, intB);
    }
    if (a.kind === "pointer" || b.kind === "pointer") return pointerResult(this, e, a, b);
    if (comparison && (operator === "==" || operator === "!=")) {
      if (a.kind === "array" && b.kind === "array") {
        if (a.length !== b.length) return this.error(e.span, "Only arrays of same size support comparison operators.");
        return BOOL;
      }
      this.noteProbeText(a);
      this.noteProbeText(b);
      if (comparable(a, b)) return BOOL;
    } else if (a.kind === b.kind) {
      return this.error(
        e.span,
        `The ${operator} operator can not be used on expressions of types ${typeName(a)}, ${typeName(b)}`,
      );
    }
    const other = a.kind === "string" ? right : b.kind === "string" ? left : undefined;
    const isAddress = other !== undefined && (intA ?? intB) !== undefined && other.constant === undefined;
    const hint = isAddress ? "text is read from an address by str()" : undefined;
    return this.error(
      e.span,
      `Type mismatch for '${operator}': comparing '${typeName(a)}' with '${typeName(b)}'`,
      hint,
    );
  }

  /** Notes that the probe's name is used as text, which makes each place a program of its own. */
  noteProbeText(type: Type): void {
    if (type.kind === "probe-name") this.unit.uses.add(PROBE_TEXT);
  }

  private fold(e: BinaryExpression): void {
    const { left, right } = e;
    if (typeof left.constant !== "bigint" || typeof right.constant !== "bigint") return;
    const unsigned = (x: Expression): boolean => x.type?.kind === "int" && !x.type.signed;
    const value = evaluateBinary(e.operator, left.constant, right.constant, unsigned(left) || unsigned(right));
    if (value !== undefined) e.constant = value;
  }

  private ternary(e: TernaryExpression): Type | undefined {
    this.condition(e.condition);
    const condition = e.condition.constant;
    if (typeof condition === "bigint") {
      const chosen = condition !== 0n ? (e.then ?? e.condition) : e.otherwise;
      const type = this.choice(e.span, e.then ?? e.condition, e.otherwise);
      if (chosen.constant !== undefined) e.constant = chosen.constant;
      return type;
    }
    return this.choice(e.span, e.then ?? e.condition, e.otherwise);
  }

  private choice(span: Span, then: Expression, otherwise: Expression): Type | undefined {
    const a = this.type(then);
    const b = this.type(otherwise);
    if (!a || !b) return a ?? b;
    const left = readAs(a) ?? a;
    const right = readAs(b) ?? b;
    const joined = join(left, right);
    if (joined && !isAggregation(joined)) return joined;
    return this.error(
      span,
      `Ternary operator must return the same type: have '${typeName(a)}' and '${typeName(b)}'`,
      "both sides are to be of one type",
    );
  }

  // Structure

  private field(e: FieldExpression): Type | undefined {
    const object = this.type(e.object);
    if (!object) return undefined;
    const of = object.kind === "pointer" ? object.to : object;
    if (of.kind === "tuple" && object.kind === "tuple") return this.tupleItem(e, of);
    if (of.kind !== "struct") {
      return this.error(
        e.nameSpan,
        `Can not access field '${e.name}' on expression of type '${typeName(object)}'`,
        asInteger(object) ? "cast it first: ((struct NAME *)arg0).field" : undefined,
      );
    }
    const field = of.layout.field(e.name);
    if (!field) {
      if (!this.state.final) return undefined;
      if (this.unit.args && of.layout === this.unit.args.layout && e.name.startsWith("common_")) {
        return this.error(
          e.nameSpan,
          "BPF does not support accessing common tracepoint fields",
          "use builtins instead: pid, cpu",
        );
      }
      if (of.size === 0 && of.layout.fields().length === 0) {
        return this.error(
          e.nameSpan,
          `Unknown struct/union: '${of.keyword} ${of.name}'`,
          "the kernel's BTF does not have it: define it at the top of the script",
        );
      }
      this.state.types.missingField(of, e.name, e.nameSpan, this.state.reporter);
      return undefined;
    }
    e.resolved = field;
    if (field.type.kind === "none") {
      return this.error(e.nameSpan, `field '${e.name}' is of a type that programs can not hold`);
    }
    return field.type;
  }

  private tupleItem(e: FieldExpression, tuple: Type & { kind: "tuple" }): Type | undefined {
    const index = tuple.names ? tuple.names.indexOf(e.name) : /^[0-9]+$/.test(e.name) ? Number(e.name) : -1;
    const item = tuple.items[index];
    if (item) return item;
    if (tuple.names) {
      return this.error(
        e.nameSpan,
        `Record does not contain a field named '${e.name}'`,
        didYouMean(nearestNames(e.name, tuple.names), `fields are ${tuple.names.join(", ")}`),
      );
    }
    return this.error(
      e.nameSpan,
      index === -1
        ? `Can not access field '${e.name}' on expression of type '${typeName(tuple)}'`
        : `Invalid tuple index: ${index}. Found ${tuple.items.length} elements in tuple.`,
      "items of tuples are .0, .1, ...",
    );
  }

  private index(e: IndexExpression): Type | undefined {
    const object = this.type(e.object);
    const index = this.operand(e.index, "array index");
    if (!object || !index) return undefined;
    if (!asInteger(index) || (typeof e.index.constant === "bigint" && e.index.constant < 0n)) {
      return this.error(
        e.index.span,
        `The array index operator [] only accepts non-negative integer indices. Got: ${typeName(index)}`,
      );
    }
    const at = typeof e.index.constant === "bigint" ? Number(e.index.constant) : undefined;
    switch (object.kind) {
      case "array":
        if (at !== undefined && object.length > 0 && at >= object.length) {
          return this.error(e.span, `the index ${at} is out of bounds for array of size ${object.length}`);
        }
        return object.of;
      case "string":
        if (at !== undefined && at >= object.size) {
          return this.error(e.span, `the index ${at} is out of bounds for array of size ${object.size}`);
        }
        return I8;
      case "pointer":
        if (sizeOf(object.to) > 0) return object.to;
        return this.error(
          e.span,
          "The array index operator [] cannot be used on a pointer to an unsized type (void *).",
          "cast it first: ((uint64 *)$p)[1]",
        );
      case "tuple": {
        const item = at === undefined ? undefined : object.items[at];
        if (item) return item;
        return this.error(
          e.span,
          at === undefined
            ? "a tuple's index must be a literal"
            : `Invalid tuple index: ${at}. Found ${object.items.length} elements in tuple.`,
        );
      }
      default:
        return this.error(
          e.span,
          `The array index operator [] can only be used on arrays, pointers, and tuples, found ${typeName(object)}.`,
        );
    }
  }

  private tuple(e: TupleExpression): Type | undefined {
    const items: Type[] = [];
    for (const item of e.items) {
      const type = this.operand(item, "tuple");
      if (type) items.push(type);
    }
    if (items.length < e.items.length) return undefined;
    return e.names ? { kind: "tuple", items, names: e.names } : { kind: "tuple", items };
  }

  // Casts

  /** A type that the script wrote. */
  written(t: TypeExpression, space: AddressSpace): Type | undefined {
    return this.state.types.resolve(t, space, this.state.reporter, (w) => this.type(w.expression));
  }
}
