/** What every room may use: errors, byte cursors, "did you mean". */
export {
  type Diagnostic,
  type ExitStatus,
  type LineColumn,
  type SourceText,
  type Span,
  ParseError,
  ScriptError,
  SkepError,
  SyscallError,
  UnsupportedError,
  UsageError,
  VerifierError,
  formatDiagnostic,
  lineColumnAt,
} from "./errors.ts";
export { ByteReader, ByteWriter } from "./bytes.ts";
export { editDistance, nearestNames } from "./suggest.ts";
export { NameStems } from "./name-stems.ts";
export { NameIndex } from "./name-index.ts";
export { type NameSource, StringTable } from "./string-table.ts";
