/** C for eBPF: a source file becomes an object, with no compiler and no headers on the machine. */
export { compileC, dialectOf, lowerC, preprocessC } from "./compile.ts";
export type { CCompilation, CCompileOptions, CDialect, CLowered, CompileC } from "./compile.ts";
export { CompileError } from "./diagnostics.ts";
export type { CDiagnostic, Diagnostics, Note } from "./diagnostics.ts";
export type { BccOptions, BccTracepointField, BccUsdtPlace } from "./bcc/options.ts";
export type { BccEvent, BccProgram, BccProgramKind, BccTable, BccUnit } from "./bcc/unit.ts";
export type { Header, HeaderProvider, HeaderRequest } from "./preprocessor/headers.ts";
