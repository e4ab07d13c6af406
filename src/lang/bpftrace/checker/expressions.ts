/** Types of expressions. Each pass gives every expression the type that is known by then; the last one complains. */
import { nearestNames, type Span } from "../../../base/index.ts";
import type {
  BinaryExpression,
  CastExpression,
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
import { parseInteger } from "../lexer.ts";
import { builtin, type Builtin, builtinNames, type BuiltinRule } from "../table/builtins.ts";
import { headerConstant } from "../table/constants.ts";
import { functionRow } from "../table/functions.ts";
import { PROBE_PROVIDERS } from "../table/probes.ts";
import {
  type AddressSpace,
  BOOL,
  I64,
  I8,
  type IntType,
  isAggregation,
  NONE,
  sizeOf,
  type Type,
  typeName,
  U64,
} from "../types.ts";
import { checkCall } from "./calls.ts";
import { evaluateBinary, evaluateUnary } from "./constants.ts";
import { asInteger, comparable, isCondition, isLiteralType, join, literalType, readAs, wide } from "./promote.ts";
import { didYouMean } from "./reporter.ts";
import type { CheckState, MapState, Unit } from "./state.ts";

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);

/** Bytes of `char[]` literals: UTF-8, code points given as bytes one each, and the NUL. */
export function literalSize(text: string): number {
  let size = 1;
  for (const c of text) {
    const code = c.codePointAt(0)!;
    size += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return size;
}

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
        return this.cast(e);
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
        name: known.index === undefined ? e.name : known.row.name,
        ...(known.index === undefined ? {} : { index: known.index }),
      };
      return this.builtin(known.row, known.index, e.name, e.span);
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
    const ofHeader = headerConstant(e.name);
    if (ofHeader !== undefined) return this.constant(e, ofHeader, literalType(ofHeader));
    return this.unknownName(e);
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

  /** A builtin's type. Notes its use, refuses it where it means nothing. */
  builtin(row: Builtin, index: number | undefined, name: string, span: Span): Type | undefined {
    this.unit.uses.add(row.name);
    if (!row.supported) {
      return this.error(
        span,
        `not supported by this version of skep yet: ${name}`,
        row.instead && `use ${row.instead} instead`,
      );
    }
    const { provider } = this.unit;
    if (row.contexts && !row.contexts.includes(provider.context)) {
      return this.error(
        span,
        `The ${name} builtin can only be used with ${providersOf(row)} probes (${provider.name} used here)`,
        provider.context === "none" ? undefined : this.argumentHint(row.name),
      );
    }
    if (typeof row.type !== "string") return row.type;
    return this.ruled(row.type, index, name, span);
  }

  private argumentHint(name: string): string | undefined {
    const { context } = this.unit.provider;
    if (name === "args" && (context === "registers" || context === "user-registers"))
      return "arguments are arg0, arg1, ... here";
    if (name === "arg" && context === "tracepoint") return "fields are args.NAME here; list them with skep trace -lv";
    if (name === "retval" && context === "tracepoint")
      return "what a system call returned is args.ret in tracepoint:syscalls:sys_exit_*";
    return undefined;
  }

  private ruled(rule: BuiltinRule, index: number | undefined, name: string, span: Span): Type | undefined {
    const { unit, state } = this;
    switch (rule) {
      case "args": {
        const { args } = unit;
        if (!args)
          return this.error(
            span,
            `${unit.provider.name}: the arguments are not known`,
            "the kernel's BTF does not tell their types: use arg0, arg1, ...",
          );
        return { kind: "struct", keyword: "struct", name: args.name, size: args.size, layout: args.layout };
      }
      case "arg":
        if (index !== undefined && index > 9) {
          return this.error(span, `${name} doesn't exist`, "arguments are arg0 to arg9");
        }
        if (unit.provider.name === "kretprobe" || unit.provider.name === "uretprobe") {
          return this.error(
            span,
            `The ${name} builtin can only be used at the start of a function (${unit.provider.name} used here)`,
            `keep it: ${unit.provider.name.replace("ret", "")}:... { @arg[tid] = ${name}; }`,
          );
        }
        return U64;
      case "unsigned-arg":
        return U64;
      case "retval":
        if (unit.provider.name === "kretprobe" || unit.provider.name === "uretprobe") return U64;
        return this.error(
          span,
          `The ${name} builtin can only be used with kretprobe, uretprobe and fexit probes (${unit.provider.name} used here)`,
          `write ${unit.provider.name.replace("probe", "retprobe")}:...`,
        );
      case "func":
        return unit.provider.context === "user-registers" ? { kind: "usym" } : { kind: "ksym" };
      case "ctx":
        return { kind: "pointer", to: this.contextType(), space: "context" };
      case "curtask": {
        const task = state.types.named("struct", "task_struct", "kernel");
        return task ? { kind: "pointer", to: task, space: "kernel" } : U64;
      }
      case "kstack":
      case "ustack": {
        const of = rule === "kstack" ? "kernel" : "user";
        const mode = state.config.stackMode === "build_id" && of === "kernel" ? "raw" : state.config.stackMode;
        return { kind: "stack", of, mode, limit: 127 };
      }
    }
  }

  private contextType(): Type {
    const { context } = this.unit.provider;
    const name =
      context === "registers" || context === "user-registers"
        ? "pt_regs"
        : context === "perf-event"
          ? "bpf_perf_event_data"
          : undefined;
    return (name && this.state.types.named("struct", name, "kernel")) || NONE;
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
    if (!a || !b) return COMPARISONS.has(operator) ? BOOL : undefined;
    return this.binaryType(e, a, b);
  }

  /** The type of `left operator right`. */
  binaryType(e: BinaryExpression, a: Type, b: Type): Type | undefined {
    const { operator, left, right } = e;
    const comparison = COMPARISONS.has(operator);
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
    if (a.kind === "pointer" || b.kind === "pointer") return this.pointerResult(e, a, b);
    if (comparison && (operator === "==" || operator === "!=")) {
      if (a.kind === "array" && b.kind === "array") {
        if (a.length !== b.length) return this.error(e.span, "Only arrays of same size support comparison operators.");
        return BOOL;
      }
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

  private fold(e: BinaryExpression): void {
    const { left, right } = e;
    if (typeof left.constant !== "bigint" || typeof right.constant !== "bigint") return;
    const unsigned = (x: Expression): boolean => x.type?.kind === "int" && !x.type.signed;
    const value = evaluateBinary(e.operator, left.constant, right.constant, unsigned(left) || unsigned(right));
    if (value !== undefined) e.constant = value;
  }

  private pointerResult(e: BinaryExpression, a: Type, b: Type): Type | undefined {
    const { operator } = e;
    const comparison = COMPARISONS.has(operator);
    if (a.kind === "pointer" && b.kind === "pointer") {
      if (comparison) {
        if (join(a, b) === null) {
          this.warning(e.span, `comparison of distinct pointer types: ${typeName(a)}, ${typeName(b)}`);
        }
        return BOOL;
      }
      if (operator === "-") return I64;
    } else {
      const other = a.kind === "pointer" ? b : a;
      const pointer = a.kind === "pointer" ? a : b;
      if (asInteger(other)) {
        if (comparison) return BOOL;
        if (operator === "+" || (operator === "-" && a.kind === "pointer")) return pointer;
        // Bits of an address, such as a tag, are an integer's.
        if (operator === "&" || operator === "|" || operator === "%" || operator === ">>") return U64;
      }
    }
    return this.error(
      e.span,
      `The ${operator} operator can not be used on expressions of types ${typeName(a)}, ${typeName(b)}`,
      "cast the pointer first: (uint64)$p",
    );
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

  private cast(e: CastExpression): Type | undefined {
    const from = this.operand(e.operand, "cast");
    if (!from) {
      // The type may be wrong too, and be said so in the same run.
      const type = this.written(e.target, this.unit.space);
      return type && type.kind !== "array" ? type : undefined;
    }
    const space =
      from.kind === "pointer" && from.space !== "none" && from.space !== "context" ? from.space : this.unit.space;
    const to = this.written(e.target, space);
    if (!to) return undefined;
    const refuse = (hint?: string): undefined =>
      this.error(e.span, `Cannot cast from "${typeName(from)}" to "${typeName(to)}"`, hint);
    const intFrom = asInteger(from);
    switch (to.kind) {
      case "int":
      case "bool":
        if (intFrom || from.kind === "pointer") {
          if (typeof e.operand.constant === "bigint") e.constant = truncate(e.operand.constant, to);
          return to;
        }
        if (from.kind === "array" || (from.kind === "struct" && from.size <= 8)) {
          if (sizeOf(from) === sizeOf(to)) return to;
          return refuse(`the sizes differ: ${sizeOf(from)} and ${sizeOf(to)} bytes`);
        }
        if (from.kind === "ksym" || from.kind === "usym" || from.kind === "username" || from.kind === "timestamp")
          return to;
        return refuse(from.kind === "string" ? "text is not read as a number" : undefined);
      case "pointer":
        if (intFrom || from.kind === "pointer") return to;
        if (from.kind === "array" || from.kind === "string" || from.kind === "struct") return to;
        return refuse();
      case "string":
        if (from.kind === "string" || from.kind === "pointer" || from.kind === "array") return to;
        return refuse("text is read from an address by str()");
      case "buffer":
        if (from.kind === "buffer") return to;
        return refuse("bytes are read by buf()");
      case "array":
        return this.arrayCast(from, to, refuse);
      case "struct":
        if (from.kind === "struct" && from.name === to.name) return to;
        return refuse(`a cast makes a pointer: (${to.keyword} ${to.name} *)`);
      case "tuple":
        return join(from, to) ? to : refuse();
      default:
        return from.kind === to.kind ? to : refuse();
    }
  }

  private arrayCast(from: Type, to: Type & { kind: "array" }, refuse: (hint?: string) => undefined): Type | undefined {
    const size = sizeOf(from);
    if (!asInteger(from) && from.kind !== "array" && from.kind !== "string") return refuse();
    const each = sizeOf(to.of);
    if (to.length === 0) {
      if (each === 0 || size % each !== 0) return refuse(`${size} bytes do not make whole elements of ${each} bytes`);
      return { kind: "array", of: to.of, length: size / each };
    }
    if (isLiteralType(from) || size === each * to.length) return to;
    return refuse(`the sizes differ: ${size} and ${each * to.length} bytes`);
  }
}

function truncate(value: bigint, to: IntType | { readonly kind: "bool" }): bigint {
  if (to.kind === "bool") return value === 0n ? 0n : 1n;
  const bits = to.size * 8;
  return to.signed ? BigInt.asIntN(bits, value) : BigInt.asIntN(64, BigInt.asUintN(bits, value));
}

/** A literal's type beside another integer: of 64 bits and the other's sign. */
function adapted(literal: IntType, other: IntType): IntType {
  return other.signed ? literal : U64;
}

/** Arithmetic is in 64 bits. It is signed when a side is; differences are, as they may be negative; shifts take the sign of what they shift. */
function integerResult(operator: string, a: IntType, b: IntType): IntType {
  if (isLiteralType(a) && isLiteralType(b)) return literalType(1n << 40n);
  if (operator === "-") return I64;
  if (operator === "<<" || operator === ">>") return wide(isLiteralType(a) ? I64 : a);
  const signed = isLiteralType(a) ? b.signed : isLiteralType(b) ? a.signed : a.signed || b.signed;
  return signed ? I64 : U64;
}

/** Why values of a type cannot be keys; undefined when they can. */
function keyProblem(type: Type): string | undefined {
  if (type.kind === "none") return "it has no value";
  if (type.kind === "timestamp" || type.kind === "cgroup-path") return "it can only be printed";
  if (type.kind === "struct" && type.size > 4096) return "it is too large: use one of its fields";
  return undefined;
}

/** Names of the supported providers in which a builtin means something, for messages: arguments at the start of functions, results at the end. */
function providersOf(row: Builtin): string {
  const names = PROBE_PROVIDERS.filter((p) => {
    if (!p.supported || !row.contexts?.includes(p.context)) return false;
    const isReturn = p.name.includes("ret");
    return row.name === "retval" ? isReturn : row.name === "arg" ? !isReturn : true;
  }).map((p) => p.name);
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "other");
}
