/** Operators of two operands: their types and what they ask of the operands (C11 6.5.5 to 6.5.16). */
import type { BinaryOperator, Expr } from "../ast.ts";
import { isLvalue } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { compatible, isInteger, isScalar } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, INT, LONG, VOID, pointerTo, qualified, qualifiersOf, shapeOf, typeText } from "../types/types.ts";
import {
  assignable,
  cast,
  commonOperands,
  condition,
  constantNumber,
  isNullConstant,
  promote,
  rvalue,
  unqualified,
  noFloating,
} from "./conversions.ts";

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", ">", "<=", ">="]);

/** Makes expressions of operators and operands, and reports those that do not go. */
export class Operators {
  private readonly diagnostics: Diagnostics;

  constructor(diagnostics: Diagnostics) {
    this.diagnostics = diagnostics;
  }

  /** Any operator of {@link precedence}. */
  binary(operator: string, left: Expr, right: Expr, location: number): Expr {
    if (operator === "&&" || operator === "||") {
      const a = condition(this.diagnostics, left);
      const b = condition(this.diagnostics, right);
      return { kind: "logical", operator, left: a, right: b, type: INT, location };
    }
    const op = operator as BinaryOperator;
    const floating = this.floating(op, left, right, location);
    if (floating !== undefined) return floating;
    if (COMPARISONS.has(op)) return this.comparison(op, left, right, location);
    if (op === "+" || op === "-") return this.additive(op, left, right, location);
    if (!this.integers(op, left, right, location)) return this.broken(left, right, location);
    if (op === "<<" || op === ">>") {
      const value = promote(left);
      return { kind: "binary", operator: op, left: value, right: promote(right), type: value.type, location };
    }
    return { kind: "binary", operator: op, ...commonOperands(left, right), location };
  }

  /** Floating-point constants are computed here; nothing else is. */
  private floating(operator: BinaryOperator, left: Expr, right: Expr, location: number): Expr | undefined {
    if (left.kind !== "floating" && right.kind !== "floating") return undefined;
    const a = constantNumber(left);
    const b = constantNumber(right);
    if (a === undefined || b === undefined) return undefined;
    const { type } = left.kind === "floating" ? left : right;
    const made = (value: number): Expr => ({ kind: "floating", value, type, location });
    const truth = (holds: boolean): Expr => ({ kind: "integer", value: holds ? 1n : 0n, type: INT, location });
    switch (operator) {
      case "+":
        return made(a + b);
      case "-":
        return made(a - b);
      case "*":
        return made(a * b);
      case "/":
        return made(a / b);
      case "<":
        return truth(a < b);
      case ">":
        return truth(a > b);
      case "<=":
        return truth(a <= b);
      case ">=":
        return truth(a >= b);
      case "==":
        return truth(a === b);
      case "!=":
        return truth(a !== b);
      default:
        return undefined;
    }
  }

  private integers(operator: string, left: Expr, right: Expr, location: number): boolean {
    const a = rvalue(left);
    const b = rvalue(right);
    if (isInteger(a.type) && isInteger(b.type)) return true;
    const isFloat = [a, b].some((e) => shapeOf(e.type).kind === "float");
    this.diagnostics.error(
      location,
      isFloat ? noFloating.message : `${operator} does not go with ${typeText(a.type)} and ${typeText(b.type)}`,
      { length: operator.length, ...(isFloat ? { hint: noFloating.hint } : {}) },
    );
    return false;
  }

  /** What stands for an expression that was reported: an integer of no consequence. */
  private broken(left: Expr, right: Expr, location: number): Expr {
    return { kind: "comma", left, right: cast(right, INT, "none"), type: INT, location };
  }

  private additive(operator: "+" | "-", left: Expr, right: Expr, location: number): Expr {
    const a = rvalue(left);
    const b = rvalue(right);
    const x = shapeOf(a.type);
    const y = shapeOf(b.type);
    if (x.kind === "pointer" && y.kind === "pointer" && operator === "-") {
      if (!compatible(unqualified(x.to), unqualified(y.to)))
        this.diagnostics.error(location, `the difference of ${typeText(a.type)} and ${typeText(b.type)} means nothing`);
      this.elementSize(x.to, location);
      return { kind: "binary", operator, left: a, right: b, type: LONG, location };
    }
    if (x.kind === "pointer" && isInteger(b.type)) {
      this.elementSize(x.to, location);
      return { kind: "binary", operator, left: a, right: promote(b), type: a.type, location };
    }
    if (y.kind === "pointer" && isInteger(a.type) && operator === "+") {
      this.elementSize(y.to, location);
      return { kind: "binary", operator, left: promote(a), right: b, type: b.type, location };
    }
    if (!this.integers(operator, a, b, location)) return this.broken(a, b, location);
    return { kind: "binary", operator, ...commonOperands(a, b), location };
  }

  /** Steps of a pointer to `void` or a function are bytes, as GNU has it. */
  private elementSize(to: CType, location: number): void {
    const { kind } = shapeOf(to);
    if (kind === "void" || kind === "function" || sizeOf(to) !== undefined) return;
    this.diagnostics.error(location, `${typeText(to)} is not defined: how far to step is not known`);
  }

  private comparison(operator: BinaryOperator, left: Expr, right: Expr, location: number): Expr {
    const a = rvalue(left);
    const b = rvalue(right);
    const x = shapeOf(a.type);
    const y = shapeOf(b.type);
    const made = (l: Expr, r: Expr): Expr => ({ kind: "binary", operator, left: l, right: r, type: INT, location });
    if (x.kind === "pointer" && y.kind === "pointer") {
      const loose = x.to.kind === "void" || y.to.kind === "void" || isNullConstant(a) || isNullConstant(b);
      const alike =
        shapeOf(x.to).kind === "void" ||
        shapeOf(y.to).kind === "void" ||
        compatible(unqualified(x.to), unqualified(y.to));
      if (!loose && !alike)
        this.diagnostics.warning(location, `${typeText(a.type)} is compared with ${typeText(b.type)}`, {
          length: operator.length,
          group: "compare-distinct-pointer-types",
        });
      return made(a, cast(b, a.type, "pointer"));
    }
    if (x.kind === "pointer" && isInteger(b.type)) return made(a, this.comparedWithPointer(b, a, location));
    if (y.kind === "pointer" && isInteger(a.type)) return made(this.comparedWithPointer(a, b, location), b);
    if (!this.integers(operator, a, b, location)) return this.broken(a, b, location);
    const common = commonOperands(a, b);
    return made(common.left, common.right);
  }

  private comparedWithPointer(integer: Expr, pointer: Expr, location: number): Expr {
    if (!isNullConstant(integer))
      this.diagnostics.warning(
        location,
        `the pointer ${typeText(pointer.type)} is compared with the integer ${typeText(integer.type)}`,
        { group: "pointer-integer-compare" },
      );
    return cast(integer, pointer.type, "integer-to-pointer");
  }

  /** `condition ? then : else`; `then` is undefined for `?:`. */
  conditional(test: Expr, then: Expr | undefined, otherwise: Expr, location: number): Expr {
    const value = condition(this.diagnostics, test);
    const a = rvalue(then ?? value);
    const b = rvalue(otherwise);
    const made = (x: Expr, y: Expr, type: CType): Expr => ({
      kind: "conditional",
      condition: value,
      then: then === undefined ? (x === a ? undefined : x) : x,
      else: y,
      type,
      location,
    });
    const x = shapeOf(a.type);
    const y = shapeOf(b.type);
    if (isInteger(a.type) && isInteger(b.type)) {
      const common = commonOperands(a, b);
      return made(common.left, common.right, common.type);
    }
    if (x.kind === "void" || y.kind === "void") return made(cast(a, VOID, "void"), cast(b, VOID, "void"), VOID);
    if (x.kind === "pointer" && isNullConstant(b)) return made(a, cast(b, a.type, "integer-to-pointer"), a.type);
    if (y.kind === "pointer" && isNullConstant(a)) return made(cast(a, b.type, "integer-to-pointer"), b, b.type);
    if (x.kind === "pointer" && y.kind === "pointer") {
      const type = this.commonPointer(x.to, y.to, location);
      return made(cast(a, type, "pointer"), cast(b, type, "pointer"), type);
    }
    if (x.kind === "pointer" && isInteger(b.type)) {
      this.diagnostics.warning(location, `one side of ?: is the pointer ${typeText(a.type)}, the other an integer`);
      return made(a, cast(b, a.type, "integer-to-pointer"), a.type);
    }
    if (y.kind === "pointer" && isInteger(a.type)) {
      this.diagnostics.warning(location, `one side of ?: is the pointer ${typeText(b.type)}, the other an integer`);
      return made(cast(a, b.type, "integer-to-pointer"), b, b.type);
    }
    if (compatible(a.type, b.type)) return made(a, b, a.type);
    this.diagnostics.error(location, `?: cannot choose between ${typeText(a.type)} and ${typeText(b.type)}`);
    return made(a, cast(b, a.type, "none"), a.type);
  }

  private commonPointer(a: CType, b: CType, location: number): CType {
    const qualifiers = { ...qualifiersOf(a) };
    const others = qualifiersOf(b);
    qualifiers.const ||= others.const;
    qualifiers.volatile ||= others.volatile;
    let to = a;
    if (shapeOf(a).kind === "void" || shapeOf(b).kind === "void") to = VOID;
    else if (!compatible(unqualified(a), unqualified(b))) {
      this.diagnostics.warning(location, `?: chooses between pointers to ${typeText(a)} and to ${typeText(b)}`);
      to = VOID;
    }
    return pointerTo(qualified(to, qualifiers));
  }

  /** `=` and, with an operator, `+=` and its like. */
  assign(operator: BinaryOperator | undefined, target: Expr, value: Expr, location: number): Expr {
    this.checkTarget(target, location);
    const type = unqualified(target.type);
    if (operator === undefined) {
      const converted = assignable(this.diagnostics, value, type, "assignment");
      return { kind: "assign", operator, target, value: converted, computeType: type, type, location };
    }
    // Checked as the operation that it stands for.
    const computed = this.binary(operator, rvalue(target), value, location);
    if (computed.kind !== "binary") return computed;
    const shape = shapeOf(type);
    if (shape.kind === "pointer" && shapeOf(computed.type).kind !== "pointer")
      this.diagnostics.error(location, `${operator}= does not go with ${typeText(type)}`);
    return { kind: "assign", operator, target, value: computed.right, computeType: computed.left.type, type, location };
  }

  /** `++` and `--`. */
  step(by: 1 | -1, postfix: boolean, target: Expr, location: number): Expr {
    this.checkTarget(target, location);
    const shape = shapeOf(target.type);
    if (!isScalar(target.type) || shape.kind === "float")
      this.diagnostics.error(location, `${by > 0 ? "++" : "--"} does not go with ${typeText(target.type)}`);
    else if (shape.kind === "pointer") this.elementSize(shape.to, location);
    return { kind: "step", by, postfix, target, type: unqualified(target.type), location };
  }

  private checkTarget(target: Expr, location: number): void {
    if (!isLvalue(target)) this.diagnostics.error(location, "what stands on the left cannot be assigned to");
    else if (shapeOf(target.type).kind === "array") this.diagnostics.error(location, "an array cannot be assigned to");
    else if (qualifiersOf(target.type).const)
      this.diagnostics.error(location, `what stands on the left is const: ${typeText(target.type)}`);
  }
}
