/** A file as an object: what it defines, placed and described, around the bodies of its functions. */
import { BtfBuilder } from "../../../btf/index.ts";
import { createModule } from "../../../compiler/index.ts";
import type { FunctionBuilder, KernelTarget, Module, Position, ProgramDecl, Value } from "../../../compiler/index.ts";
import type { LocalRecord } from "../../../object/index.ts";
import { MapType } from "../../../isa/index.ts";
import type { FunctionDecl, TranslationUnit, VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { BccUnit } from "../bcc/unit.ts";
import type { DialectMap, DialectUnit } from "../dialect.ts";
import type { Callee, UnitContext } from "../lower/context.ts";
import { lowerBody } from "../lower/function.ts";
import type { SourceFile } from "../source-map.ts";
import type { CType, RecordType } from "../types/types.ts";
import { BtfTypes } from "./btf-types.ts";
import { type DataItem, DataSections, isDataSection } from "./data.ts";
import { Externs, KCONFIG_SECTION, KSYMS_SECTION } from "./externs.ts";
import { Functions } from "./functions.ts";
import { localRecords } from "./local-records.ts";
import { MapVariables, isMapSection, isStructOpsSection } from "./maps.ts";
import { isProgram, isStructOpsProgram, licenseText, programDecl, versionNumber } from "./programs.ts";

/** What decides how a file becomes an object. */
export interface UnitOptions {
  /** The object's name: before the names of maps of data in the kernel. */
  readonly name: string;
  readonly target: KernelTarget;
  /** The kernel's types are those of the kernel that will run the object. */
  readonly sameKernel: boolean;
  /** Structs of variables of functions are described, too. */
  readonly localTypes?: boolean;
  /** What a dialect has made of the file; absent: sections say all. */
  readonly dialect?: DialectUnit;
}

/** A file whose bodies are lowered. */
export interface LoweredUnit {
  readonly module: Module;
  readonly btf: BtfBuilder;
  readonly kernelVersion: number | undefined;
  readonly bcc: BccUnit | undefined;
  /** Of the module's sources, in their order. */
  readonly files: readonly SourceFile[];
  readonly locals: readonly LocalRecord[] | undefined;
}

/** Lowers a file. Errors are among the diagnostics; the module is to be used only without any. */
export function lowerUnit(unit: TranslationUnit, diagnostics: Diagnostics, options: UnitOptions): LoweredUnit {
  return new Unit(unit, diagnostics, options).lower();
}

class Unit implements UnitContext {
  readonly module: Module;
  readonly diagnostics: Diagnostics;
  readonly target: KernelTarget;
  private readonly unit: TranslationUnit;
  private readonly options: UnitOptions;
  private readonly types = new BtfTypes(new BtfBuilder());
  private readonly data: DataSections;
  private readonly maps: MapVariables;
  private readonly externs: Externs;
  private readonly functions: Functions;
  private readonly sourceIndexes = new Map<SourceFile, number>();
  private readonly dialectMaps: ReadonlyMap<VariableDecl, DialectMap>;
  private readonly dialectPrograms: ReadonlyMap<FunctionDecl, ProgramDecl> | undefined;
  private kernelVersion: number | undefined;

  constructor(unit: TranslationUnit, diagnostics: Diagnostics, options: UnitOptions) {
    this.unit = unit;
    this.diagnostics = diagnostics;
    this.options = options;
    this.target = options.target;
    const { dialect } = options;
    this.dialectMaps = new Map(dialect?.maps.map((map) => [map.variable, map]));
    this.dialectPrograms =
      dialect === undefined ? undefined : new Map(dialect.programs.map(({ func, ...decl }) => [func, decl]));
    this.module = createModule(options.name, dialect?.license ?? this.license());
    const { types, module } = this;
    this.data = new DataSections(diagnostics, module);
    this.externs = new Externs(diagnostics, types);
    this.maps = new MapVariables({
      diagnostics,
      types,
      isProgram: (func, structOps) => (structOps ? isStructOpsProgram(func) : this.isProgram(func)),
    });
    this.functions = new Functions({
      module,
      diagnostics,
      types,
      externs: this.externs,
      isProgram: (func) => this.isProgram(func),
      program: (func) => this.dialectPrograms?.get(func) ?? programDecl(func, diagnostics),
      find: (name) => unit.functions.find((func) => func.name === name),
      lower: (func, builder) => lowerBody(func, builder, this),
    });
  }

  lower(): LoweredUnit {
    // The order of definitions decides where data is.
    const tentative: VariableDecl[] = [];
    for (const item of this.definitions()) {
      if (item.kind === "function") this.functions.define(item);
      else if (item.initializer === undefined && item.attributes.section === undefined) tentative.push(item);
      else this.define(item);
    }
    for (const variable of tentative) this.define(variable);
    this.functions.finish();
    this.finish();
    const bcc = this.options.dialect?.describe((type) => this.types.id(type));
    const locals = this.options.localTypes === true ? localRecords(this.unit, this.types) : undefined;
    const files = [...this.sourceIndexes.keys()];
    return { module: this.module, btf: this.types.builder, kernelVersion: this.kernelVersion, bcc, locals, files };
  }

  private isProgram(func: FunctionDecl): boolean {
    return this.dialectPrograms === undefined ? isProgram(func) : this.dialectPrograms.has(func);
  }

  /** What the file defines for others, in the order of the text. */
  private definitions(): (FunctionDecl | VariableDecl)[] {
    const { sources } = this.diagnostics;
    const order = (location: number): number[] => {
      const places: number[] = [];
      let at: number | undefined = sources.origin(location);
      while (at !== undefined) {
        places.unshift(at);
        const included: number | undefined = sources.fileAt(at).includedAt;
        at = included === undefined ? undefined : sources.origin(included);
      }
      return places;
    };
    const items = [
      ...this.unit.functions
        .filter(
          (func) => this.isProgram(func) || (func.body !== undefined && func.storage === "extern" && !func.inline),
        )
        .map((func) => ({ item: func, at: order(func.body!.location) })),
      ...this.unit.variables
        .filter(({ storage, attributes }) => storage === "global" || (storage === "static" && attributes.used === true))
        .map((variable) => ({ item: variable, at: order(variable.location) })),
    ];
    return items.toSorted((a, b) => compare(a.at, b.at)).map(({ item }) => item);
  }

  private license(): string {
    const variable = this.unit.variables.find((v) => v.attributes.section === "license" && v.storage !== "extern");
    if (variable === undefined) return "";
    const text = licenseText(variable);
    if (text === undefined) this.diagnostics.error(variable.location, "the license is no constant text");
    return text ?? "";
  }

  private define(variable: VariableDecl): void {
    const { section } = variable.attributes;
    if (section === "license") return;
    if (section === "version") {
      this.kernelVersion = versionNumber(variable);
      if (this.kernelVersion === undefined)
        this.diagnostics.error(variable.location, "the version is no constant number of 32 bits");
    } else this.place(variable);
  }

  /** Finds out what a variable is: data, or the map of a name. Undefined after an error. */
  private place(variable: VariableDecl): DataItem | string | undefined {
    const { name, attributes, storage, location } = variable;
    const { section } = attributes;
    const dialectMap = this.dialectMaps.get(variable);
    if (dialectMap !== undefined) return dialectMap.spec.name;
    if (section !== undefined && (isMapSection(section) || isStructOpsSection(section))) {
      if (storage !== "extern") {
        this.maps.add(variable);
        return name;
      }
      this.diagnostics.error(location, `map ${name} is declared and not defined`, { length: name.length });
      return undefined;
    }
    if (storage === "extern") {
      this.diagnostics.error(location, `${name} is declared and not defined`, {
        length: name.length,
        hint: "declare it with __ksym when it is the kernel's, with __kconfig when it is an option",
      });
      return undefined;
    }
    if (section !== undefined && !isDataSection(section)) {
      this.diagnostics.error(location, `${name} is in section ${section}, which loaders do not read`, {
        length: name.length,
        hint: "sections of variables are .data, .rodata and .bss, and .data.NAME and so on; maps are in .maps",
      });
      return undefined;
    }
    return this.data.variable(variable);
  }

  position(location: number): Position | null {
    const { sources } = this.diagnostics;
    const at = sources.origin(location);
    const file = sources.fileAt(at);
    if (file.system) return null;
    let source = this.sourceIndexes.get(file);
    if (source === undefined) {
      source = this.module.sources.push(sources.sourceText(file)) - 1;
      this.sourceIndexes.set(file, source);
    }
    return { source, ...file.lineColumn(at - file.base) };
  }

  typeId(type: CType): number {
    return this.types.id(type);
  }

  address(variable: VariableDecl, builder: FunctionBuilder, location: number): Value {
    const { section } = variable.attributes;
    if (variable.storage === "extern" && (section === KCONFIG_SECTION || section === KSYMS_SECTION))
      return this.externs.address(variable, builder) ?? builder.const(0, "ptr");
    if (section !== undefined && isStructOpsSection(section)) {
      this.diagnostics.error(
        location,
        `${variable.name} is a struct of functions: the kernel holds it, programs do not`,
      );
      return builder.const(0, "ptr");
    }
    const place = this.place(variable);
    if (place === undefined) return builder.const(0, "ptr");
    return typeof place === "string" ? builder.mapref(place) : this.data.address(place, builder);
  }

  literal(bytes: Uint8Array, align: number, builder: FunctionBuilder): Value {
    return this.data.address(this.data.literal(bytes, align), builder);
  }

  callee(func: FunctionDecl, location: number): Callee | undefined {
    return this.functions.callee(func, location);
  }

  functionAddress(func: FunctionDecl, builder: FunctionBuilder, location: number): Value {
    const target = this.functions.target(func, location);
    if (target === undefined) return builder.const(0, "ptr");
    return target === "kernel" ? builder.ksym(func.name) : builder.funcref(target.name);
  }

  recordsCore(record: RecordType): boolean {
    return record.preserveAccessIndex && !(this.options.sameKernel && record.kernelTypeId !== 0);
  }

  /** Describes maps, variables and externs, now that all are known. */
  private finish(): void {
    const { name } = this.options;
    const maps = this.maps.finish();
    const arenas = maps.filter((map) => map.type === MapType.ARENA);
    const kconfig = this.externs.finish(name);
    const data = this.data.finish(name, this.types, arenas[0]?.name);
    const { arena } = data;
    if (arena !== undefined && arenas.length !== 1) {
      const variable = this.unit.variables.find((v) => v.attributes.addressSpace !== undefined);
      const what = arenas.length === 0 ? "no map is one" : `${arenas.length} maps are: a file can have one`;
      this.diagnostics.error(variable?.location ?? 0, `variables of an arena, and ${what}`);
    }
    const filled = maps.map((map) =>
      arena !== undefined && map === arenas[0] ? { ...map, initialValue: arena } : map,
    );
    const isStructOps = (type: number): boolean => type === MapType.STRUCT_OPS;
    this.module.maps.push(
      ...[...this.dialectMaps.values()].map(({ spec, key, value }) => ({
        ...spec,
        ...(key === undefined ? {} : { keyTypeId: this.types.id(key) }),
        ...(value === undefined ? {} : { valueTypeId: this.types.id(value) }),
      })),
      ...filled.filter((map) => !isStructOps(map.type)),
      ...data.maps,
      ...(kconfig.map === undefined ? [] : [kconfig.map]),
      ...filled.filter((map) => isStructOps(map.type)),
    );
    const { module } = this;
    const constantMaps = new Set(data.maps.filter((map) => map.frozen === true).map((map) => map.name));
    Object.assign(module, { constantMaps, variables: data.variables, externs: kconfig.externs });
  }
}

/** Orders places within files that include each other. */
function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
