/** Statements: assignments, and what conditions and loops ask of their parts. */
import type { Block, CallExpression, Statement } from "../ast.ts";
import { type FunctionRow, functionRow } from "../table/functions.ts";
import { I64, isAggregation, sizeOf, type Type, typeName, U64 } from "../types.ts";
import { checkAggregation } from "./aggregations.ts";
import { ExpressionChecker } from "./expressions.ts";
import { asInteger, isLiteralType, join, literalType, readAs } from "./promote.ts";
import { writtenName } from "./walk.ts";
import type { CheckState, Unit } from "./state.ts";

type Assignment = Extract<Statement, { kind: "assign" }>;
type Declaration = Extract<Statement, { kind: "declare" }>;

/** Times a loop may be unrolled. */
const MAX_UNROLL = 100n;

/** Checks the body of one unit. */
export class StatementChecker {
  private readonly state: CheckState;
  private readonly expressions: ExpressionChecker;
  private loops = 0;

  constructor(state: CheckState, unit: Unit) {
    this.state = state;
    this.expressions = new ExpressionChecker(state, unit);
    this.expressions.statements = (statements) => this.statements(statements);
  }

  /** Checks predicate and body. */
  unit(unit: Unit): void {
    if (unit.predicate) this.expressions.condition(unit.predicate);
    this.block(unit.body);
  }

  private block(block: Block): void {
    this.statements(block.statements);
  }

  private statements(statements: readonly Statement[]): void {
    for (const s of statements) this.statement(s);
  }

  private statement(s: Statement): void {
    const { expressions, state } = this;
    switch (s.kind) {
      case "expression":
        expressions.type(s.expression);
        break;
      case "assign":
        this.assign(s);
        break;
      case "declare":
        this.declare(s);
        break;
      case "if":
        expressions.condition(s.condition);
        this.block(s.then);
        if (s.otherwise && "kind" in s.otherwise) this.statement(s.otherwise);
        else if (s.otherwise) this.block(s.otherwise);
        break;
      case "while":
        expressions.condition(s.condition);
        this.loop(s.body);
        break;
      case "for-map":
        this.forMap(s);
        break;
      case "for-range":
        this.forRange(s);
        break;
      case "unroll": {
        expressions.operand(s.count, "unroll");
        const { constant } = s.count;
        if (typeof constant !== "bigint") {
          if (s.count.type)
            state.error(
              s.count.span,
              "invalid unroll value",
              "the number of rounds must be known when the script is compiled",
            );
        } else if (constant < 1n) state.error(s.count.span, "unroll minimum value is 1");
        else if (constant > MAX_UNROLL)
          state.error(s.count.span, `unroll maximum value is ${MAX_UNROLL}`, "use a loop: for ($i : 0..1000) { }");
        this.loop(s.body);
        break;
      }
      case "return": {
        const type = s.value ? expressions.operand(s.value, "return") : undefined;
        if (type && !asInteger(type)) {
          state.error(s.span, `Probe return values can only be integers. Found ${typeName(type)}`);
        }
        break;
      }
      case "break":
      case "continue":
        if (this.loops === 0) state.error(s.span, `${s.kind} statement is only allowed in loops`);
        break;
      case "block":
        this.block(s.block);
        break;
    }
  }

  private loop(body: Block): void {
    this.loops++;
    this.expressions.loopDepth++;
    this.block(body);
    this.expressions.loopDepth--;
    this.loops--;
  }

  // Assignments

  /** The row of an aggregation that is called here; null for other values. */
  private aggregation(s: Assignment): { call: CallExpression; row: FunctionRow } | null {
    if (s.value.kind !== "call") return null;
    const row = functionRow(s.value.name);
    return row?.aggregation ? { call: s.value, row } : null;
  }

  private assign(s: Assignment): void {
    const { target, value } = s;
    const { expressions, state } = this;
    if (!target) {
      expressions.type(value);
      return;
    }
    if (target.kind === "map") {
      const aggregation = s.op === null ? this.aggregation(s) : null;
      if (aggregation) {
        expressions.key(target);
        const type = checkAggregation(expressions, aggregation.call, aggregation.row);
        if (type) {
          state.assignMap(expressions.mapOf(target), type, s.span);
          target.type = expressions.mapOf(target).value ?? type;
        } else if (state.final) expressions.mapOf(target).failed = true;
        return;
      }
    }
    const type = s.op === null ? expressions.type(value) : this.compound(s, s.op);
    if (target.kind === "map") {
      expressions.key(target);
      if (type) this.assignMap(s, type);
      else if (state.final) expressions.mapOf(target).failed = true;
      const stored = expressions.mapOf(target).value;
      if (stored) target.type = stored;
    } else if (type) {
      this.assignVariable(s, type);
      if (target.resolved) target.type = target.resolved.type;
    }
  }

  /** The type of `target op value`. */
  private compound(s: Assignment, op: NonNullable<Assignment["op"]>): Type | undefined {
    const { target, value } = s;
    const { expressions, state } = this;
    const right = expressions.operand(value, `operator ${op}=`);
    let left: Type | undefined;
    if (target?.kind === "map") {
      expressions.key(target);
      const map = expressions.mapOf(target);
      if (map.value && isAggregation(map.value)) {
        return state.error(
          s.span,
          `Type mismatch for ${map.name}: trying to assign value of type '${right ? typeName(right) : "int64"}' when map already contains a value of type '${typeName(map.value)}'`,
          `${typeName(map.value)} is changed by its own function`,
        );
      }
      // A map that is only ever added to starts at 0.
      left = map.value ?? literalType(1n);
    } else if (target?.resolved) left = state.typed.has(target.resolved) ? target.resolved.type : literalType(1n);
    if (!left || !right || !target) return undefined;
    const node = {
      kind: "binary",
      operator: op,
      operatorSpan: s.span,
      left: target,
      right: value,
      span: s.span,
    } as const;
    return expressions.binaryType(node, left, right);
  }

  private assignMap(s: Assignment, type: Type): void {
    const { expressions, state } = this;
    if (s.target?.kind !== "map") return;
    const map = expressions.mapOf(s.target);
    const problem = this.unassignable(type, "a map");
    if (problem) {
      map.failed = true;
      state.error(s.span, problem);
      return;
    }
    const read = readAs(type);
    if (isAggregation(type)) {
      // A number read from an aggregation may be kept where numbers are, but it does not make a map of numbers by itself.
      if (read && map.value && !isAggregation(map.value) && asInteger(map.value)) {
        state.assignMap(map, read, s.span);
        return;
      }
      map.failed = true;
      if (map.value || state.final) {
        const name = type.kind;
        state.error(
          s.span,
          `Map value '${typeName(type)}' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. \`${map.name} = ${name}(...);\`.`,
          read && s.value.kind === "map"
            ? `Add a cast to integer if you want the value of the aggregate, e.g. \`${map.name} = (int64)@${s.value.name};\`.`
            : undefined,
        );
      }
      return;
    }
    state.assignMap(map, type, s.span);
  }

  private unassignable(type: Type, to: string): string | undefined {
    if (type.kind === "none") return `Value 'void' cannot be assigned to ${to}.`;
    if (type.kind === "struct" && type.size > 4096) {
      return `Value '${typeName(type)}' of ${type.size} bytes cannot be assigned to ${to}.`;
    }
    return undefined;
  }

  private assignVariable(s: Assignment | Declaration, type: Type): void {
    const { state } = this;
    const target = s.kind === "assign" ? s.target : s.variable;
    if (target?.kind !== "variable" || !target.resolved) return;
    const variable = target.resolved;
    const problem = this.unassignable(type, "a scratch variable");
    if (problem) {
      state.error(s.span, problem);
      return;
    }
    const read = readAs(type) ?? type;
    if (isAggregation(read)) {
      state.error(
        s.span,
        `Value '${typeName(type)}' cannot be assigned to a scratch variable.`,
        "print the map with print(@map)",
      );
      return;
    }
    const declared = state.declared.get(variable);
    if (declared) this.assignDeclared(s, declared, read);
    else state.assignVariable(variable, read, s.span);
  }

  /** A value for a variable whose type was declared. */
  private assignDeclared(s: Assignment | Declaration, declared: Type, type: Type): void {
    const { state } = this;
    const target = s.kind === "assign" ? s.target! : s.variable;
    const mismatch = (hint?: string): void => {
      state.error(
        s.span,
        `Type mismatch for $${writtenName(target.name)}: trying to assign value of type '${typeName(type)}' when variable already contains a value of type '${typeName(declared)}'`,
        hint,
      );
    };
    const int = asInteger(type);
    if (declared.kind === "int" && int) {
      const constant = s.value?.constant;
      if (typeof constant === "bigint") {
        const bits = declared.size * 8;
        const fits =
          (declared.signed ? BigInt.asIntN(bits, constant) : BigInt.asIntN(64, BigInt.asUintN(bits, constant))) ===
          constant;
        if (!fits) mismatch(`${constant} does not fit into ${typeName(declared)}`);
      } else if (int.size > declared.size && !isLiteralType(int)) {
        mismatch(`cast it: (${typeName(declared)})...`);
      }
      return;
    }
    if (declared.kind === "bool" && int) return;
    const joined = join(declared, type);
    if (joined === null) mismatch("cast it, or use another variable");
    else if (declared.kind === "string" && sizeOf(type) > sizeOf(declared)) {
      mismatch(
        `the text may have ${sizeOf(type)} bytes: declare string[${sizeOf(type)}], or cut it with (string[${sizeOf(declared)}])`,
      );
    }
  }

  private declare(s: Declaration): void {
    const { expressions, state } = this;
    const variable = s.variable.resolved;
    if (s.declaredType && variable) {
      const type = expressions.written(s.declaredType, expressions.unit.space);
      if (type && (type.kind === "none" || isAggregation(type))) {
        state.error(s.declaredType.span, `Invalid variable declaration type: ${typeName(type)}`);
      } else if (type && !state.typed.has(variable)) {
        state.declared.set(variable, type);
        state.typed.add(variable);
        variable.type = type;
        state.changed = true;
      }
    }
    if (s.value) {
      const type = expressions.type(s.value);
      if (type) this.assignVariable(s, type);
    }
    if (variable) s.variable.type = variable.type;
  }

  // Loops

  private forMap(s: Extract<Statement, { kind: "for-map" }>): void {
    const { expressions, state } = this;
    const map = expressions.mapOf(s.map);
    if (map.keyed === false) {
      state.error(s.map.span, `${map.name} has no explicit keys (scalar map), and cannot be used for iteration`);
    } else if (map.value && map.key) {
      s.map.type = map.value;
      const read = readAs(map.value) ?? map.value;
      if (isAggregation(read)) {
        state.error(
          s.map.span,
          `Loop expression does not support type: ${typeName(map.value)}`,
          "print the map with print(@map)",
        );
      } else if (s.variable.resolved) {
        const { resolved } = s.variable;
        const type: Type = { kind: "tuple", items: [map.key, read] };
        // The types of the map may still grow; the variable is of this loop alone.
        if (!state.typed.has(resolved)) state.changed = true;
        else if (join(resolved.type, type) !== resolved.type) state.changed ||= !sameItems(resolved.type, type);
        state.typed.add(resolved);
        resolved.type = type;
        s.variable.type = type;
      }
    } else expressions.undefinedMap(map, s.map.span);
    this.loop(s.body);
  }

  private forRange(s: Extract<Statement, { kind: "for-range" }>): void {
    const { expressions, state } = this;
    const types = [s.start, s.end].map((e, i): Type | undefined => {
      const type = expressions.operand(e, "range");
      if (!type || asInteger(type)) return type;
      return state.error(e.span, `Loop range requires an integer for the ${i === 0 ? "start" : "end"} value`);
    });
    if (s.variable.resolved) {
      const unsigned = types.some((t) => t?.kind === "int" && t.size === 8 && !t.signed);
      state.assignVariable(s.variable.resolved, unsigned ? U64 : I64, s.variable.span);
      s.variable.type = s.variable.resolved.type;
    }
    this.loop(s.body);
  }
}

function sameItems(a: Type, b: Type): boolean {
  return a.kind === "tuple" && b.kind === "tuple" && a.items.every((item, i) => item === b.items[i]);
}
