/**
 * What a dialect adds to C: text before the source, headers, names, and a pass between the parser and lowering that turns its constructs
 * into plain C. Lowering knows nothing of dialects.
 */
import type { AttachRequest, MapSpec } from "../../object/index.ts";
import type { FunctionDecl, TranslationUnit, VariableDecl } from "./ast.ts";
import type { BccUnit } from "./bcc/unit.ts";
import type { Diagnostics } from "./diagnostics.ts";
import type { NameTable } from "./names.ts";
import type { OuterDeclarations } from "./parser/scope.ts";
import type { CType } from "./types/types.ts";

/** A map that a variable stands for: its address is the map. */
export interface DialectMap {
  readonly variable: VariableDecl;
  /** Without type ids. */
  readonly spec: MapSpec;
  /** Types for the object's BTF; absent where the kernel takes none. */
  readonly key?: CType;
  readonly value?: CType;
}

/** A function that is a program. Functions that are not listed are subprograms or, when nothing calls them, nothing. */
export interface DialectProgram {
  readonly func: FunctionDecl;
  /** `ProgType.*` */
  readonly type: number;
  /** `AttachType.*`, 0 when the type has none. */
  readonly expectedAttachType: number;
  /** As in ProgramSpec. */
  readonly attachTo?: string;
  readonly attach?: AttachRequest;
  readonly section?: string;
}

/** A program without the dialect's constructs. */
export interface DialectUnit {
  readonly unit: TranslationUnit;
  readonly maps: readonly DialectMap[];
  readonly programs: readonly DialectProgram[];
  readonly license: string;
  /** What users of the dialect need beside the object; `typeId` gives types their place in its BTF. */
  describe(typeId: (type: CType) => number): BccUnit;
}

/** A dialect, made for one compilation. */
export interface Dialect {
  /** Read before the source, behind the macros of the target; its headers are found by {@link Dialect.header}. */
  readonly prelude: string;
  /** Text of a header of the dialect. */
  header(name: string): string | undefined;
  /** Names that are there without being declared, those of the kernel among them. */
  readonly outer: OuterDeclarations;
  /** Between parser and lowering; errors go to the diagnostics. `names` has the macros as they are at the end of the file. */
  transform(unit: TranslationUnit, diagnostics: Diagnostics, names: NameTable): DialectUnit;
}
