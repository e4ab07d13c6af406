/** The compiler: intermediate representation, passes, code generation. */
export { addMap, constant, createModule, FunctionBuilder, signedValue } from "./builder.ts";
export type { FunctionOptions } from "./builder.ts";
export { checkFunction, checkModule, IrError } from "./check.ts";
export { compileModule, prepareModule, references } from "./compile.ts";
export type { CompiledFunction, CompileOptions, OptimizeLevel } from "./compile.ts";
export type {
  AsmCode,
  AtomicOp,
  BinaryOp,
  Block,
  Const,
  CoreAccess,
  Func,
  Inst,
  IrType,
  MemBits,
  Module,
  Op,
  Param,
  Position,
  Predicate,
  ProgramDecl,
  Terminator,
  Value,
} from "./ir.ts";
export { parseModule } from "./parse.ts";
export { LimitError } from "./limits.ts";
export { printFunction, printInst, printModule } from "./print.ts";
export { SCRATCH_MAP } from "./passes/scratch.ts";
export { emitStage, objectText } from "./stages.ts";
export type { Stage } from "./stages.ts";
export { DEFAULT_TARGET, kernelTarget } from "./target.ts";
export type { KernelTarget } from "./target.ts";
