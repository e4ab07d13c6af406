/** Skep's public API: compile bpftrace scripts, run them on the running kernel, read what they saw. */
export {
  type Diagnostic,
  ParseError,
  ScriptError,
  SkepError,
  type SourceText,
  SyscallError,
  UnsupportedError,
  UsageError,
  VerifierError,
} from "./base/index.ts";
export type { AttachSpec, BpfObject, MapSpec, ProgramSpec } from "./object/index.ts";
export { compileScript } from "./lang/bpftrace/compile.ts";
export type { CompiledScript, CompileScriptOptions } from "./lang/bpftrace/compile.ts";
export type { TraceEnvironment } from "./lang/bpftrace/environment.ts";
export type { TracePlan } from "./lang/bpftrace/plan.ts";
export { openLinuxKernel } from "./kernel/index.ts";
export type { Kernel, KernelMap, KernelProgram, Link, LoadedObject, RingReader } from "./kernel/index.ts";
export { FdOutput, LinuxEnvironment, Symbolizer, TracedChild, TraceSession } from "./runtime/index.ts";
export type { LinuxEnvironmentOptions, TraceOptions } from "./runtime/index.ts";
