/** The virtual machine: an interpreter, and a compiler to WebAssembly, over one memory that knows what may be touched. */
export { VmFault, faultKinds } from "./fault.ts";
export type { FaultKind } from "./fault.ts";
export { Interpreter } from "./interpreter/interpreter.ts";
export type { Stop } from "./interpreter/interpreter.ts";
export {
  FRAME_BYTES,
  FUNCTION_BASE,
  MAX_FRAMES,
  MAX_LOOPS,
  TAIL_CALL,
  argument,
  emptyHost,
  setResult,
  setSmallResult,
} from "./machine.ts";
export type { Machine, VmHost } from "./machine.ts";
export { ADDRESS_HIGH, ARGUMENT_WORD, RESULT_WORD, VmMemory, addressOf } from "./memory.ts";
export type { Access } from "./memory.ts";
export { VmProgram } from "./program.ts";
export type { ResolveImmediate, VmFunction } from "./program.ts";
export { CompiledProgram } from "./wasm/jit.ts";
