/**
 * Where pointers come from. A pointer that a traced kernel or process gave points to memory that a program cannot read by itself; one to
 * the stack, a map's value, the context or a packet does not. The analysis runs over the checked program before anything is rewritten:
 * what is stored into a variable, a member, a table or a parameter is remembered for all its uses, whatever their order.
 */
import type { Expr, FunctionDecl, Initializer, Stmt, TranslationUnit, VariableDecl } from "../ast.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type Field, type RecordType, shapeOf } from "../types/types.ts";
import { TRACEPOINT_PREFIX } from "./outer.ts";
import { callOf, tableOf } from "./calls.ts";
import { walkStmt } from "./walk.ts";

/**
 * Whose memory it is. `trace`: of the kernel where the pointer is to one of its structs, else it may be either's; `either`: a program that
 * may be attached to the kernel or to processes.
 */
export type Space = "kernel" | "user" | "trace" | "either";

/** What is known of a program's arguments. */
export interface TracedProgram {
  readonly func: FunctionDecl;
  /** Whose memory they point to; undefined where they are not foreign. */
  readonly space: Space | undefined;
  /** They are those of a system call. */
  readonly isSyscall: boolean;
}

/** What a value is: how many times to follow it through memory of the program's own before it is a pointer to foreign memory. */
export interface Provenance {
  readonly level: number;
  readonly space: Space;
}

/** What remembers: a variable or parameter, a member of all records of a type, a function's results, the values of a table. */
type Holder = VariableDecl | Field | FunctionDecl;

/** Helpers that give pointers into the kernel as numbers. */
const sources: Readonly<Record<string, Space>> = {
  bpf_get_current_task: "kernel",
  bpf_get_func_ip: "kernel",
};

/** Helpers that copy foreign memory: what they read may hold foreign pointers. */
const reads: Readonly<Record<string, Space>> = {
  bpf_probe_read: "either",
  bpf_probe_read_kernel: "kernel",
  bpf_probe_read_user: "user",
  bpf_copy_from_user: "user",
};

/** Assignments that change nothing any more end the analysis long before this. */
const MOST_ROUNDS = 20;

/** The provenance of all values of a program. */
export class Provenances {
  private readonly held = new Map<Holder, Provenance>();
  private readonly regsSpace = new Map<FunctionDecl, Space>();
  private readonly functions: readonly FunctionDecl[];
  private current: FunctionDecl | undefined;
  private changed = false;

  constructor(unit: TranslationUnit, programs: readonly TracedProgram[]) {
    this.functions = unit.functions.filter((func) => func.body !== undefined);
    for (const { func, space, isSyscall } of programs) {
      if (space === undefined) continue;
      this.regsSpace.set(func, space);
      const given: Provenance = { level: 0, space: isSyscall ? "user" : space };
      for (const param of func.params.slice(1)) if (mayPoint(param.type)) this.hold(param, given);
    }
    for (let round = 0; round < MOST_ROUNDS; round++) {
      this.changed = false;
      for (const func of this.functions) {
        this.current = func;
        this.statement(func.body!);
      }
      if (!this.changed) break;
    }
    this.current = undefined;
  }

  /** Says in whose body the expressions are that are asked about. */
  enter(func: FunctionDecl): void {
    this.current = func;
  }

  /** What the value of an expression is; undefined for what is not foreign in any way. */
  of(expr: Expr): Provenance | undefined {
    switch (expr.kind) {
      case "variable":
      case "member":
      case "index":
      case "dereference":
        return this.ofLvalue(expr);
      case "cast":
        if (expr.cast === "load") return this.ofLvalue(expr.operand);
        if (expr.cast === "decay") return this.ofAddress(expr.operand);
        return expr.cast === "bool" || expr.cast === "void" ? undefined : this.of(expr.operand);
      case "address":
        return this.ofAddress(expr.operand);
      case "binary":
        return this.ofBinary(expr);
      case "conditional":
        return merge(this.of(expr.then ?? expr.condition), this.of(expr.else));
      case "comma":
        return this.of(expr.right);
      case "assign":
        return expr.operator === undefined ? this.of(expr.value) : this.ofLvalue(expr.target);
      case "step":
        return this.ofLvalue(expr.target);
      case "statements":
        return expr.result === undefined ? undefined : this.of(expr.result);
      case "call":
        return this.ofCall(expr);
      case "builtin": {
        const [first] = expr.args;
        const same = expr.name === "__builtin_preserve_access_index" || expr.name.startsWith("__builtin_expect");
        return same && first !== undefined && first.kind !== "type" ? this.of(first) : undefined;
      }
      default:
        return undefined;
    }
  }

  /** Whose memory an lvalue is in, when it is foreign: reading it needs a helper. */
  foreign(lvalue: Expr): Space | undefined {
    switch (lvalue.kind) {
      case "member":
        return this.foreign(lvalue.record);
      case "index":
        return shapeOf(lvalue.array.type).kind === "array" ? this.foreign(lvalue.array) : this.pointee(lvalue.array);
      case "dereference":
        return this.pointee(lvalue.operand);
      case "cast":
        // A record that was read whole is the program's own.
        return undefined;
      default:
        return undefined;
    }
  }

  private pointee(pointer: Expr): Space | undefined {
    const found = this.of(pointer);
    if (found?.level !== 0) return undefined;
    const shape = shapeOf(pointer.type);
    return shape.kind === "pointer" ? settled(found.space, shape.to) : found.space;
  }

  private ofLvalue(lvalue: Expr): Provenance | undefined {
    const space = this.foreign(lvalue);
    if (space !== undefined) return mayPoint(lvalue.type) ? { level: 0, space: fromSpace(space) } : undefined;
    switch (lvalue.kind) {
      case "variable":
        return this.held.get(lvalue.variable);
      case "member":
        return this.held.get(lvalue.field) ?? this.ofContext(lvalue) ?? this.ofCopy(lvalue);
      case "index": {
        if (shapeOf(lvalue.array.type).kind === "array") return this.ofLvalue(lvalue.array);
        return lower(this.of(lvalue.array));
      }
      case "dereference":
        return lower(this.of(lvalue.operand));
      default:
        return undefined;
    }
  }

  /** Members of registers and of tracepoints' records point out of the program. */
  private ofContext(lvalue: Expr & { kind: "member" }): Provenance | undefined {
    const record = shapeOf(lvalue.record.type);
    const tag = record.kind === "record" ? (record.tag ?? "") : "";
    const element = shapeOf(lvalue.type);
    const type = element.kind === "array" ? element.of : lvalue.type;
    if (tag.startsWith(TRACEPOINT_PREFIX)) {
      if (shapeOf(type).kind !== "pointer" && sizeOf(type) !== 8) return undefined;
      return element.kind === "array"
        ? undefined
        : { level: 0, space: tag.startsWith(`${TRACEPOINT_PREFIX}syscalls__`) ? "user" : "trace" };
    }
    if (!mayPoint(type)) {
      // Anonymous parts of the registers lead to them.
      return undefined;
    }
    if (tag === "bpf_raw_tracepoint_args") return { level: 0, space: "trace" };
    if (isRegisters(lvalue)) return { level: 0, space: (this.current && this.regsSpace.get(this.current)) ?? "either" };
    return this.isOwnContext(lvalue.record) ? { level: 0, space: "either" } : undefined;
  }

  /** A record that the program itself declares for what a tracepoint hands it. */
  private isOwnContext(record: Expr): boolean {
    const shape = shapeOf(record.type);
    if (record.kind !== "dereference" || shape.kind !== "record" || shape.kernelTypeId !== 0) return false;
    let at = record.operand;
    while (at.kind === "cast") at = at.operand;
    const func = this.current;
    return func !== undefined && this.regsSpace.has(func) && at.kind === "variable" && at.variable === func.params[0];
  }

  /** A pointer within a copy of one of the kernel's structs cannot be to anything but the kernel. */
  private ofCopy(lvalue: Expr & { kind: "member" }): Provenance | undefined {
    let root: Expr = lvalue;
    let isKernel = false;
    while (root.kind === "member" || (root.kind === "index" && shapeOf(root.array.type).kind === "array")) {
      const record = root.kind === "member" ? shapeOf(root.record.type) : undefined;
      if (record?.kind === "record" && record.kernelTypeId !== 0) isKernel = true;
      root = root.kind === "member" ? root.record : root.array;
    }
    const isLocal = root.kind === "variable" && shapeOf(root.type).kind === "record";
    if (!isKernel || !isLocal || shapeOf(lvalue.type).kind !== "pointer") return undefined;
    return { level: 0, space: "trace" };
  }

  private ofAddress(lvalue: Expr): Provenance | undefined {
    const space = this.foreign(lvalue);
    if (space !== undefined) return { level: 0, space };
    const inside = this.ofLvalue(lvalue);
    return inside === undefined ? undefined : { level: inside.level + 1, space: inside.space };
  }

  private ofBinary(expr: Expr & { kind: "binary" }): Provenance | undefined {
    const left = this.of(expr.left);
    if (expr.operator === "&" || expr.operator === "|") return left;
    if (expr.operator !== "+" && expr.operator !== "-") return undefined;
    if (shapeOf(expr.left.type).kind === "pointer")
      return shapeOf(expr.right.type).kind === "pointer" ? undefined : left;
    if (shapeOf(expr.right.type).kind === "pointer") return this.of(expr.right);
    return expr.operator === "-" ? left : (left ?? this.of(expr.right));
  }

  private ofCall(expr: Expr & { kind: "call" }): Provenance | undefined {
    const table = tableOf(expr);
    if (table !== undefined) {
      const inside = table.method.startsWith("lookup") ? this.held.get(table.variable) : undefined;
      return inside === undefined ? undefined : { level: inside.level + 1, space: inside.space };
    }
    const func = callOf(expr);
    if (func === undefined) return undefined;
    const space = func.body === undefined && Object.hasOwn(sources, func.name) ? sources[func.name] : undefined;
    return space === undefined ? this.held.get(func) : { level: 0, space };
  }

  private hold(holder: Holder, provenance: Provenance | undefined): void {
    if (provenance === undefined) return;
    const before = this.held.get(holder);
    const now = merge(before, provenance)!;
    if (before !== undefined && before.level === now.level && before.space === now.space) return;
    this.held.set(holder, now);
    this.changed = true;
  }

  private statement(stmt: Stmt): void {
    walkStmt(stmt, {
      statement: (inner) => {
        if (inner.kind === "declaration") this.initialize(inner.variable, inner.variable.initializer);
        else if (inner.kind === "return" && inner.value !== undefined && this.current !== undefined)
          this.hold(this.current, this.of(inner.value));
      },
      expression: (expr) => this.effects(expr),
    });
  }

  private effects(expr: Expr): void {
    if (expr.kind === "assign" && expr.operator === undefined) {
      this.store(expr.target, this.of(expr.value));
      this.copied(expr.value);
    } else if (expr.kind === "compound") this.initialize(expr.variable, expr.variable.initializer);
    else if (expr.kind === "call") this.call(expr);
  }

  private initialize(variable: VariableDecl, initializer: Initializer | undefined): void {
    if (initializer?.kind === "value") {
      this.hold(variable, this.of(initializer.value));
      this.copied(initializer.value);
    } else if (initializer?.kind === "aggregate") {
      for (const { bitOffset, value } of initializer.values) {
        const provenance = this.of(value);
        if (provenance === undefined) continue;
        const shape = shapeOf(variable.type);
        const field = shape.kind === "record" ? fieldAt(shape, bitOffset) : undefined;
        this.hold(field ?? variable, provenance);
      }
    }
  }

  /** A record that is read whole brings the pointers of its members along. */
  private copied(value: Expr): void {
    const space = value.kind === "cast" && value.cast === "load" ? this.foreign(value.operand) : undefined;
    if (space !== undefined) this.holdMembers(value.type, { level: 0, space: fromSpace(space) });
  }

  /** Pointers in records of the program's own; those of the kernel's records are foreign wherever they are. */
  private holdMembers(type: CType, provenance: Provenance): void {
    const shape = shapeOf(type);
    if (shape.kind !== "record" || shape.kernelTypeId !== 0) return;
    for (const field of shape.contents?.fields ?? []) {
      if (shapeOf(field.type).kind === "pointer") this.hold(field, provenance);
      else this.holdMembers(field.type, provenance);
    }
  }

  /** Remembers what is stored to an lvalue. */
  private store(target: Expr, provenance: Provenance | undefined): void {
    if (provenance === undefined) return;
    switch (target.kind) {
      case "variable":
        this.hold(target.variable, provenance);
        break;
      case "member":
        if (this.foreign(target) === undefined) this.hold(target.field, provenance);
        break;
      case "index":
        if (shapeOf(target.array.type).kind === "array") this.store(target.array, provenance);
        else this.storeBehind(target.array, provenance);
        break;
      case "dereference":
        this.storeBehind(target.operand, provenance);
        break;
      default:
        break;
    }
  }

  /** Remembers what is stored to where a pointer points. */
  private storeBehind(pointer: Expr, provenance: Provenance): void {
    let at = pointer;
    while (at.kind === "cast" && at.cast !== "load" && at.cast !== "decay") at = at.operand;
    if (at.kind === "address") this.store(at.operand, provenance);
    else if (at.kind === "cast" && at.cast === "decay") this.store(at.operand, provenance);
    else if (at.kind === "cast" && this.of(at)?.level !== 0)
      this.store(at.operand, { level: provenance.level + 1, space: provenance.space });
  }

  private call(expr: Expr & { kind: "call" }): void {
    const table = tableOf(expr);
    if (table !== undefined) {
      const value = { update: 1, insert: 1, lookup_or_init: 1, lookup_or_try_init: 1, push: 0 }[table.method];
      if (value !== undefined) this.hold(table.variable, lower(this.of(expr.args[value]!)));
      else if (table.method === "pop" || table.method === "peek") this.storeHeld(expr.args[0]!, table.variable);
      return;
    }
    const func = callOf(expr);
    if (func === undefined) return;
    if (func.body !== undefined)
      expr.args.forEach((arg, i) => {
        const param = func.params[i];
        if (param !== undefined) this.hold(param, this.of(arg));
      });
    else if (Object.hasOwn(reads, func.name) && expr.args.length > 2) this.read(expr.args[0]!, reads[func.name]!);
  }

  private storeHeld(pointer: Expr, holder: VariableDecl): void {
    const inside = this.held.get(holder);
    if (inside !== undefined) this.storeBehind(pointer, inside);
  }

  /** What was copied from foreign memory to where a pointer points holds foreign pointers. */
  private read(to: Expr, space: Space): void {
    let at = to;
    while (at.kind === "cast" && at.cast !== "load" && at.cast !== "decay") at = at.operand;
    if (at.kind !== "address") return;
    const provenance: Provenance = { level: 0, space: fromSpace(space) };
    if (mayPoint(at.operand.type)) this.store(at.operand, provenance);
    else this.holdMembers(at.operand.type, provenance);
  }
}

/** What memory holds that is itself of a space: processes hold their own pointers, the kernel mostly its own. */
function fromSpace(space: Space): Space {
  return space === "kernel" ? "trace" : space;
}

/** The space of what a pointer of a known type points to. */
function settled(space: Space, to: CType): Space {
  for (let at = to; ;) {
    if (at.kind === "tagged") {
      if (at.tag === "user") return "user";
      at = at.of;
    } else if (at.kind === "qualified") at = at.of;
    else if (at.kind === "typedef") at = at.to;
    else {
      if (space !== "trace") return space;
      return at.kind === "record" && at.kernelTypeId !== 0 ? "kernel" : "either";
    }
  }
}

function merge(a: Provenance | undefined, b: Provenance | undefined): Provenance | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return { level: Math.min(a.level, b.level), space: a.space === b.space ? a.space : "either" };
}

/** The value that a pointer of the program's own memory leads to. */
function lower(pointer: Provenance | undefined): Provenance | undefined {
  return pointer === undefined || pointer.level === 0 ? undefined : { level: pointer.level - 1, space: pointer.space };
}

/** Pointers, and numbers that can hold one. */
function mayPoint(type: CType): boolean {
  const shape = shapeOf(type);
  return shape.kind === "pointer" || (shape.kind === "integer" && shape.bits === 64);
}

/** True for a member of `struct pt_regs`, on the way through its unnamed parts too. */
function isRegisters(lvalue: Expr & { kind: "member" }): boolean {
  for (let at: Expr = lvalue; at.kind === "member"; at = at.record) {
    const record = shapeOf(at.record.type);
    if (record.kind !== "record") return false;
    if (record.tag === "pt_regs" || record.tag === "user_pt_regs") return true;
  }
  return false;
}

/** The member at a place of a record, in the records within it too. */
function fieldAt(record: RecordType, bitOffset: number): Field | undefined {
  for (const field of record.contents?.fields ?? []) {
    const size = (sizeOf(field.type) ?? 0) * 8;
    if (bitOffset < field.bitOffset || bitOffset >= field.bitOffset + Math.max(size, 1)) continue;
    const shape = shapeOf(field.type);
    if (shape.kind !== "record") return field;
    return fieldAt(shape, bitOffset - field.bitOffset);
  }
  return undefined;
}
