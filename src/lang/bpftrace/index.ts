/** The bpftrace language: parse and check scripts, list probes, and the tables of what there is. */
export type { AttachPoint, Block, Expression, Probe, Script, Statement, TypeExpression, Variable } from "./ast.ts";
export { checkScript, defaultConfig } from "./check.ts";
export type { CheckOptions } from "./check.ts";
export type { CheckedProgram, CheckedScript, MapInfo, ProbeTarget, ScriptConfig } from "./checked.ts";
export type { Binary, BinarySymbol, TraceEnvironment, TracepointField, TracepointFormat } from "./environment.ts";
export { listProbes } from "./list.ts";
export type { ListOptions } from "./list.ts";
export { parseScript } from "./parser.ts";
export type { ParseOptions } from "./parser.ts";
export type { EventAction, PlannedMap, PlannedProbe, TracePlan } from "./plan.ts";
export { parseFormat } from "./printf.ts";
export type { FormatPiece, FormatProblem } from "./printf.ts";
export { builtin, builtinNames, BUILTINS } from "./table/builtins.ts";
export type { Builtin } from "./table/builtins.ts";
export { CONFIG, configNames, configRow } from "./table/config.ts";
export type { ConfigRow } from "./table/config.ts";
export { ERRNO, headerConstant, SIGNALS } from "./table/constants.ts";
export { functionNames, functionRow, FUNCTIONS, functionSignature } from "./table/functions.ts";
export type { FunctionArgument, FunctionRow } from "./table/functions.ts";
export {
  HARDWARE_EVENTS,
  PROBE_PROVIDERS,
  probeProvider,
  probeProviderNames,
  SOFTWARE_EVENTS,
} from "./table/probes.ts";
export type { ProbeProvider } from "./table/probes.ts";
export { alignOf, isAggregation, sizeOf, tupleOffsets, typeName } from "./types.ts";
export type { Aggregation, Field, StructLayout, Type } from "./types.ts";
