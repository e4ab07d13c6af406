/** What all parts of lowering share while the body of one function is lowered. */
import type { Block, FunctionBuilder, IrType, Position, Value } from "../../../compiler/index.ts";
import type { FunctionDecl, VariableDecl } from "../ast.ts";
import type { MessageOptions } from "../diagnostics.ts";
import { alignOf, sizeOf } from "../types/layout.ts";
import { type CType, shapeOf } from "../types/types.ts";
import type { Signature, UnitContext } from "./context.ts";
import { Scopes } from "./scopes.ts";
import { isAggregate, signatureOf } from "./signature.ts";

/** Where `break` and `continue` go, and which scopes they leave. */
export interface Breakable {
  readonly onBreak: Block;
  /** Undefined for switches. */
  readonly onContinue: Block | undefined;
  /** Number of clean-ups that are open around the statement. */
  readonly depth: number;
}

/** The function that is being lowered. */
export class Body {
  readonly b: FunctionBuilder;
  readonly context: UnitContext;
  readonly decl: FunctionDecl;
  readonly signature: Signature;
  readonly scopes: Scopes;
  /** Innermost last. */
  readonly breakables: Breakable[] = [];
  /** Depth of `__builtin_preserve_access_index`: every access is recorded there. */
  region = 0;
  /** Variables without an initialiser that are read somewhere, with the first place; and those that something is put into. */
  readonly firstReads: Map<VariableDecl, number> = new Map();
  readonly written: Set<VariableDecl> = new Set();
  private readonly addresses = new Map<VariableDecl, Value>();
  private readonly positions = new Map<number, Position | null>();

  constructor(decl: FunctionDecl, builder: FunctionBuilder, context: UnitContext) {
    this.decl = decl;
    this.b = builder;
    this.context = context;
    this.signature = signatureOf(decl.type);
    this.scopes = new Scopes(decl);
  }

  /** What is built next comes from this place. */
  at(location: number): void {
    let position = this.positions.get(location);
    if (position === undefined) this.positions.set(location, (position = this.context.position(location)));
    // What comes with the compiler has no place of its own: it belongs to the statement around it.
    if (position !== null) this.b.setPosition(position);
  }

  error(location: number, message: string, options: MessageOptions = {}): void {
    this.context.diagnostics.error(location, message, options);
  }

  warn(location: number, message: string, group: string, options: MessageOptions = {}): void {
    this.context.diagnostics.warning(location, message, { ...options, group });
  }

  /** A variable for a value that comes from several places; `promote` makes SSA of it. */
  slot(type: IrType, name: string): Value {
    const size = type === "i32" ? 4 : 8;
    return this.b.alloca(size, size, name);
  }

  loadSlot(slot: Value, type: IrType): Value {
    return this.b.load(slot, type === "i32" ? 32 : 64, { type });
  }

  storeSlot(slot: Value, value: Value): void {
    this.b.store(slot, value, value.type === "i32" ? 32 : 64);
  }

  /** Memory for an object of a type. */
  memory(type: CType, name: string, atLeast: number = 1): Value {
    const size = Math.max(1, sizeOf(type) ?? 1);
    const natural = Math.max(atLeast, Math.min(8, alignOf(type)));
    // What is copied and zeroed word by word is aligned so.
    const align = isAggregate(type) ? Math.max(natural, size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1) : natural;
    return this.b.alloca(size, align, name);
  }

  /** Address of a variable of this function. */
  local(variable: VariableDecl): Value {
    let address = this.addresses.get(variable);
    if (address === undefined) {
      address = this.memory(variable.type, variable.name, Math.min(8, variable.attributes.align ?? 1));
      this.addresses.set(variable, address);
    }
    return address;
  }

  /** Gives a variable its address. */
  place(variable: VariableDecl, address: Value): void {
    this.addresses.set(variable, address);
  }

  /** Bytes of a type that is complete. */
  size(type: CType): number {
    const size = sizeOf(type);
    if (size !== undefined) return size;
    // GNU: steps of pointers to these are bytes.
    const { kind } = shapeOf(type);
    return kind === "void" || kind === "function" ? 1 : 0;
  }
}
