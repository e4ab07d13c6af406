/** What the lowering of function bodies asks of the file they are in: addresses of what is not theirs, types, functions. */
import type { Func, FunctionBuilder, KernelTarget, Module, Position, Value } from "../../../compiler/index.ts";
import type { FunctionDecl, VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { CType, FunctionType, RecordType } from "../types/types.ts";

/** What a call by name reaches. */
export type Callee =
  /** A helper of the kernel, by its number. */
  | { readonly kind: "helper"; readonly id: number }
  /** A function of the kernel by its name. */
  | { readonly kind: "kfunc"; readonly name: string; readonly weak: boolean }
  /** A function of this file, whose body is or will be lowered. */
  | { readonly kind: "function"; readonly func: Func }
  /** Reads packet bytes (`llvm.bpf.load.*`, BCC's `load_byte`). */
  | { readonly kind: "packet-load"; readonly bits: 8 | 16 | 32 };

/** The file around a function body. */
export interface UnitContext {
  readonly module: Module;
  readonly diagnostics: Diagnostics;
  readonly target: KernelTarget;
  /** Line and column in the module's sources; null for what comes with the compiler. */
  position(location: number): Position | null;
  /** The type in the object's BTF. */
  typeId(type: CType): number;
  /**
   * Address of a global, static or extern variable: a byte of a map of data, a map (`mapref`), a kernel symbol. Reports an error and gives
   * null's address for what has none.
   */
  address(variable: VariableDecl, builder: FunctionBuilder, location: number): Value;
  /** Address of constant bytes, shared with equal ones. */
  literal(bytes: Uint8Array, align: number, builder: FunctionBuilder): Value;
  /** What a function is; a body that is reached for the first time is lowered later. Undefined after an error. */
  callee(func: FunctionDecl, location: number): Callee | undefined;
  /** Address of a function, for callbacks and kernel symbols. */
  functionAddress(func: FunctionDecl, builder: FunctionBuilder, location: number): Value;
  /** True when accesses to this record's members are to be recorded for CO-RE; false when its layout is the target kernel's own. */
  recordsCore(record: RecordType): boolean;
}

/** How a C function is called in IR: aggregates by address, an aggregate result through a first parameter. */
export interface Signature {
  readonly type: FunctionType;
  readonly params: readonly { readonly name: string; readonly type: "i32" | "i64" | "ptr"; readonly of: CType }[];
  readonly result: "void" | "i32" | "i64" | "ptr";
  /** The first parameter is where the result goes. */
  readonly resultByAddress: boolean;
}
