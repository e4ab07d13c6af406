/** BCC's dialect of C, as the compiler takes dialects. */
import type { FunctionDecl, TranslationUnit } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { Dialect, DialectUnit } from "../dialect.ts";
import type { NameTable } from "../names.ts";
import type { OuterDeclarations } from "../parser/scope.ts";
import { tokensToText } from "../preprocessor/token.ts";
import type { CType } from "../types/types.ts";
import { isTable } from "./calls.ts";
import { kernelConfig } from "./config.ts";
import { isDialectFunction } from "./functions.ts";
import type { BccOptions } from "./options.ts";
import { BccDeclarations } from "./outer.ts";
import { lowerParameters } from "./parameters.ts";
import { type BccArch, bccPrelude } from "./prelude.ts";
import { type Program, loadedAs, programOf } from "./programs.ts";
import { protoHeader } from "./proto.ts";
import { Provenances } from "./provenance.ts";
import { BodyRewriter } from "./rewrite.ts";
import { Tables } from "./tables.ts";
import type { BccUnit } from "./unit.ts";

/** What the dialect needs of a compilation. */
export interface BccDialectOptions {
  readonly arch: BccArch;
  /** Handlers of system calls get their registers through the context's first argument. */
  readonly syscallWrapper: boolean;
  readonly machine: BccOptions;
  /** The kernel's names. */
  readonly kernel: OuterDeclarations;
}

/** The license of programs that say none, as BCC has it. */
const DEFAULT_LICENSE = "GPL";

/** The dialect, made for one compilation. */
export function bccDialect(options: BccDialectOptions): Dialect {
  return new BccDialect(options);
}

class BccDialect implements Dialect {
  readonly prelude: string;
  readonly outer: OuterDeclarations;
  private readonly options: BccDialectOptions;

  constructor(options: BccDialectOptions) {
    this.options = options;
    this.prelude = "#include <bcc/helpers.h>";
    this.outer = new BccDeclarations(options.kernel, options.machine);
  }

  header(name: string): string | undefined {
    const { arch, kernel } = this.options;
    if (name === "bcc/helpers.h") return bccPrelude({ ...this.options, config: kernelConfig(kernel, arch) });
    return name === "bcc/proto.h" ? protoHeader : undefined;
  }

  transform(unit: TranslationUnit, diagnostics: Diagnostics, names: NameTable): DialectUnit {
    const programs = unit.functions.filter((func) => isProgramFunction(func, diagnostics)).map(programOf);
    const tables = new Tables(unit.variables, diagnostics);
    const spaces = new Map(programs.map(({ func, space }) => [func, space]));
    for (const func of unit.functions) if (func.body !== undefined && !spaces.has(func)) inlined(func);
    const host = {
      diagnostics,
      options: { ...this.options.machine, arch: this.options.arch },
      tables,
      provenances: new Provenances(unit, programs),
      programs: new Set(programs.map(({ func }) => func)),
      own: (name: string) => unit.functions.find((func) => func.name === name),
    };
    const bodies = unit.functions.flatMap((func) =>
      func.body === undefined ? [] : [{ func, body: new BodyRewriter(func, host).body() }],
    );
    for (const { func, body } of bodies) func.body = body;
    for (const program of programs)
      program.func.body = lowerParameters(program, program.func.body!, {
        ...this.options,
        diagnostics,
        outer: this.outer,
      });
    return {
      unit: {
        ...unit,
        functions: unit.functions.filter((func) => !isDialectFunction(func)),
        variables: unit.variables.filter((variable) => !isTable(variable) || tables.get(variable) !== undefined),
      },
      maps: tables.maps(),
      programs: programs.map((program) => loadedAs(program, diagnostics)),
      license: licenseOf(names),
      describe: (typeId: (type: CType) => number): BccUnit => ({
        tables: tables.describe(typeId),
        programs: programs.map(({ described }: Program) => described),
      }),
    };
  }
}

/** Every function of the source itself that is neither static nor inline is a program. */
function isProgramFunction(func: FunctionDecl, diagnostics: Diagnostics): boolean {
  if (func.body === undefined || func.storage === "static" || func.inline) return false;
  const { sources } = diagnostics;
  return sources.fileAt(sources.origin(func.location)) === sources.files[0];
}

/** What programs call becomes part of them, unless it must not. */
function inlined(func: FunctionDecl): void {
  if (func.attributes.inline === undefined) func.attributes = { ...func.attributes, inline: "always" };
  if (func.storage === "extern") func.storage = "static";
}

/** `#define BPF_LICENSE …` */
function licenseOf(names: NameTable): string {
  const macro = names.intern("BPF_LICENSE").macro;
  const text = macro === undefined ? "" : tokensToText(macro.body).replaceAll('"', "").trim();
  return text === "" ? DEFAULT_LICENSE : text;
}
