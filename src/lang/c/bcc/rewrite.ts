/** The pass from BCC's dialect to plain C: tables' methods, the dialect's functions, packets' headers, and reads of foreign memory. */
import type { CompoundStmt, Expr, FunctionDecl, Stmt, VariableDecl } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, INT, UNSIGNED_LONG, shapeOf, typeText } from "../types/types.ts";
import {
  VOID_POINTER,
  addressOf,
  cast,
  convert,
  declare,
  integer,
  load,
  local,
  statements,
  variable,
  voidAddress,
} from "./build.ts";
import { callOf, tableOf } from "./calls.ts";
import { isDialectFunction, lowerFunction } from "./functions.ts";
import { lowerMethod } from "./methods.ts";
import type { BccOptions } from "./options.ts";
import { packetPlace, readPacket, writePacket } from "./packets.ts";
import type { Provenances } from "./provenance.ts";
import { Reads, readInto } from "./reads.ts";
import type { Tables } from "./tables.ts";
import { Rebuilder } from "./walk.ts";

/** What the pass knows of the whole file. */
export interface RewriteHost {
  readonly diagnostics: Diagnostics;
  readonly options: BccOptions;
  readonly tables: Tables;
  readonly provenances: Provenances;
  /** Functions that are programs: nothing may call them. */
  readonly programs: ReadonlySet<FunctionDecl>;
  /** A function of the prelude. */
  own(name: string): FunctionDecl | undefined;
}

/** Rewrites the body of one function. */
export class BodyRewriter extends Rebuilder {
  readonly func: FunctionDecl;
  readonly diagnostics: Diagnostics;
  readonly options: BccOptions;
  private readonly host: RewriteHost;
  private readonly reads: Reads;
  private readonly temporaries: VariableDecl[] = [];

  constructor(func: FunctionDecl, host: RewriteHost) {
    super();
    this.func = func;
    this.host = host;
    this.diagnostics = host.diagnostics;
    this.options = host.options;
    this.reads = new Reads(func);
  }

  /** The new body. */
  body(): CompoundStmt {
    const { func, host } = this;
    host.provenances.enter(func);
    const body = this.statement(func.body!) as CompoundStmt;
    const before = [...this.reads.declarations, ...this.temporaries.map((temporary) => declare(temporary))];
    return before.length === 0 ? body : { ...body, statements: [...before, ...body.statements] };
  }

  own(name: string): FunctionDecl | undefined {
    return this.host.own(name);
  }

  /** The first parameter, which is the program's context where programs hand it on. */
  context(location: number): Expr | undefined {
    const [first] = this.func.params;
    const pointer = first === undefined ? undefined : shapeOf(first.type);
    const to = pointer?.kind === "pointer" ? shapeOf(pointer.to) : undefined;
    if (first !== undefined && to?.kind === "record" && to.tag === "__sk_buff")
      return cast(load(variable(first, location)), VOID_POINTER, "pointer");
    this.diagnostics.error(
      location,
      `the packet is read here, and ${this.func.name} has no struct __sk_buff * as its first parameter`,
    );
    return undefined;
  }

  override statement(stmt: Stmt): Stmt {
    if (stmt.kind !== "compound") return super.statement(stmt);
    return { ...stmt, statements: stmt.statements.flatMap((inner) => this.parts(inner)) };
  }

  /** A record that is read whole goes straight to the variable that it is for. */
  private parts(stmt: Stmt): Stmt[] {
    if (stmt.kind === "declaration" && stmt.variable.initializer?.kind === "value") {
      const { initializer } = stmt.variable;
      const { value } = initializer;
      const space =
        value.kind === "cast" && value.cast === "load" && shapeOf(value.type).kind === "record"
          ? this.host.provenances.foreign(value.operand)
          : undefined;
      if (space !== undefined && value.kind === "cast") {
        const { location } = value;
        const from = addressOf(this.within(value.operand));
        const size = integer(sizeOf(value.type) ?? 0, UNSIGNED_LONG, location);
        stmt.variable.initializer = undefined;
        return [stmt, readInto(voidAddress(variable(stmt.variable, location)), size, from, space)];
      }
    }
    return [this.statement(stmt)];
  }

  override expr(expr: Expr): Expr {
    switch (expr.kind) {
      case "cast":
        if (expr.cast === "decay" && expr.operand.kind === "string") return { ...expr, operand: padded(expr.operand) };
        return expr.cast === "load" ? this.load(expr) : this.within(expr);
      case "call":
        return this.call(expr);
      case "assign":
        return this.assign(expr);
      case "builtin":
        return this.builtin(expr);
      case "step":
        this.checkWrite(expr.target);
        return this.within(expr);
      default:
        return this.within(expr);
    }
  }

  /** An argument that a helper follows: foreign memory is copied to the stack, and the copy handed over. */
  pointer(arg: Expr, to: CType): Expr {
    const { provenances } = this.host;
    const value = this.expr(arg);
    this.checkPointer(arg, to);
    const found = provenances.of(arg);
    if (found?.level !== 0) return value;
    const { location } = arg;
    const copy = local("copy", to, location);
    copy.addressTaken = true;
    this.temporaries.push(copy);
    const size = integer(sizeOf(to) ?? 0, UNSIGNED_LONG, location);
    const read = readInto(voidAddress(variable(copy, location)), size, value, found.space);
    return statements([read], voidAddress(variable(copy, location)), location);
  }

  /** What is handed over must have all the bytes that the map takes. */
  private checkPointer(arg: Expr, to: CType): void {
    let at = arg;
    while (at.kind === "cast" && (at.cast === "pointer" || at.cast === "none")) at = at.operand;
    if (at.kind !== "address" && !(at.kind === "cast" && at.cast === "decay")) return;
    const [given, wanted] = [sizeOf(at.operand.type) ?? 0, sizeOf(to) ?? 0];
    if (given >= wanted || given === 0) return;
    this.diagnostics.error(
      arg.location,
      `the table takes ${typeText(to)}, ${wanted} bytes: this is ${typeText(at.operand.type)}, ${given} bytes`,
    );
  }

  private load(expr: Expr & { kind: "cast" }): Expr {
    const { operand, type } = expr;
    const packet = packetPlace(operand);
    if (packet !== undefined) {
      const context = this.context(expr.location);
      const get = this.own("__bcc_packet_get");
      if (context === undefined || get === undefined) return integer(0, INT, expr.location);
      return convert(readPacket(packet, this.expr(packet.base), context, get), type);
    }
    const space = this.host.provenances.foreign(operand);
    if (space === undefined) return this.within(expr);
    return this.reads.value(this.within(operand), type, space);
  }

  /** Writing needs memory of the program's own; the verifier would only say that some register holds no pointer. */
  private checkWrite(target: Expr): void {
    if (this.host.provenances.foreign(target) === undefined) return;
    this.diagnostics.warning(
      target.location,
      "this is memory of the kernel or of a process: programs cannot write there",
      {
        hint: "copy the struct to a variable and change the copy",
      },
    );
  }

  private assign(expr: Expr & { kind: "assign" }): Expr {
    this.checkWrite(expr.target);
    const packet = packetPlace(expr.target);
    if (packet !== undefined && expr.operator === undefined) {
      const context = this.context(expr.location);
      const put = this.own("__bcc_packet_put");
      if (context === undefined || put === undefined) return integer(0, INT, expr.location);
      return writePacket(packet, this.expr(packet.base), context, put, this.expr(expr.value));
    }
    return this.within(expr);
  }

  private call(expr: Expr & { kind: "call" }): Expr {
    const method = tableOf(expr);
    if (method !== undefined) {
      const table = this.host.tables.get(method.variable);
      if (table !== undefined) return lowerMethod(this, expr, method, table);
      this.diagnostics.error(expr.location, `${method.variable.name} is no table with methods`);
      return integer(0, INT, expr.location);
    }
    const func = callOf(expr);
    if (func !== undefined) {
      if (isDialectFunction(func)) return lowerFunction(this, expr, func);
      if (this.host.programs.has(func)) {
        this.diagnostics.error(
          expr.location,
          `${func.name} is a program, as every function is that is not static: it cannot be called`,
          {
            length: func.name.length,
            hint: "declare it static",
            notes: [{ location: func.location, message: "it is defined here" }],
          },
        );
      }
    }
    return this.within(expr);
  }

  /** Copies of foreign memory are reads. */
  private builtin(expr: Expr & { kind: "builtin" }): Expr {
    const isCopy = /^__builtin_mem(?:cpy|move)(?:_inline)?$/.test(expr.name);
    const [to, from, size] = expr.args;
    if (isCopy && to !== undefined && from !== undefined && size !== undefined) {
      if (to.kind !== "type" && from.kind !== "type" && size.kind !== "type") {
        const found = this.host.provenances.of(from);
        if (found?.level === 0) return this.copy(expr, to, from, size, found.space);
      }
    }
    return this.within(expr);
  }

  private copy(
    expr: Expr & { kind: "builtin" },
    to: Expr,
    from: Expr,
    size: Expr,
    space: Parameters<typeof readInto>[3],
  ): Expr {
    const { location } = expr;
    const target = local("to", VOID_POINTER, location, convert(this.expr(to), VOID_POINTER));
    const value = (): Expr => load(variable(target, location));
    const bytes = constantInteger(size) === undefined ? this.expr(size) : size;
    const read = readInto(value(), bytes, this.expr(from), space);
    const result = shapeOf(expr.type).kind === "void" ? undefined : value();
    return statements([declare(target), read], result, location);
  }
}

/** Programs copy names of fixed size out of shorter texts: what is behind a text is zero as far as such copies go. */
const TEXT_ROOM = 32;

function padded(text: Expr & { kind: "string" }): Expr {
  if (text.bytes.length >= TEXT_ROOM) return text;
  const bytes = new Uint8Array(TEXT_ROOM);
  bytes.set(text.bytes);
  const shape = shapeOf(text.type);
  return { ...text, bytes, type: shape.kind === "array" ? { ...shape, count: TEXT_ROOM } : text.type };
}
