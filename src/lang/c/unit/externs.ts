/** What a file leaves to the kernel: options of its configuration, its variables and its functions. */
import { BtfFuncLinkage, btfIdentifier } from "../../../btf/index.ts";
import type { BtfSectionEntry } from "../../../btf/index.ts";
import type { FunctionBuilder, Inst, Value } from "../../../compiler/index.ts";
import { MapFlags, MapType } from "../../../isa/index.ts";
import { KCONFIG_MAP, KSYMS, dataMapName, placeKconfig } from "../../../object/index.ts";
import type { ExternSpec, KconfigExtern, MapSpec } from "../../../object/index.ts";
import type { FunctionDecl, VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { alignOf, sizeOf } from "../types/layout.ts";
import { type CType, shapeOf, typeText } from "../types/types.ts";
import type { BtfTypes } from "./btf-types.ts";

/** Section of options. */
export const KCONFIG_SECTION: string = KCONFIG_MAP;
/** Section of the kernel's variables and functions. */
export const KSYMS_SECTION: string = KSYMS;

/** The externs that code refers to. */
export class Externs {
  private readonly diagnostics: Diagnostics;
  private readonly types: BtfTypes;
  private readonly options = new Map<VariableDecl, KconfigExtern | undefined>();
  private readonly symbols = new Map<string, ExternSpec>();
  /** Addresses of options that code has taken; their places are known when all options are. */
  private readonly references: { readonly inst: Inst; readonly name: string }[] = [];

  constructor(diagnostics: Diagnostics, types: BtfTypes) {
    this.diagnostics = diagnostics;
    this.types = types;
  }

  /** The address of an extern variable of one of the two sections. Undefined after an error. */
  address(variable: VariableDecl, builder: FunctionBuilder): Value | undefined {
    const { name, attributes } = variable;
    if (attributes.section === KSYMS_SECTION) {
      if (!this.symbols.has(name)) {
        const isVoid = shapeOf(variable.type).kind === "void";
        const typeId = isVoid ? 0 : this.types.id(withoutQualifiers(variable.type));
        this.symbols.set(name, { kind: "ksym", name, typeId, weak: attributes.weak === true });
      }
      return builder.ksym(name);
    }
    if (!this.options.has(variable)) this.options.set(variable, this.option(variable));
    if (this.options.get(variable) === undefined) return undefined;
    const inst = builder.mapvalue(KCONFIG_MAP, 0);
    this.references.push({ inst, name });
    return inst;
  }

  /** Takes a function of the kernel that code calls or whose address it takes. */
  func(func: FunctionDecl): void {
    const { name, attributes } = func;
    if (this.symbols.has(name)) return;
    const { funcTypeId } = this.types.func(func, BtfFuncLinkage.GLOBAL);
    this.symbols.set(name, { kind: "kfunc", name, typeId: funcTypeId, weak: attributes.weak === true });
  }

  private option(variable: VariableDecl): KconfigExtern | undefined {
    const { name, type, attributes, location } = variable;
    const shape = optionShape(type);
    const size = sizeOf(type);
    if (shape === undefined || size === undefined || size === 0) {
      this.diagnostics.error(location, `${name} is of type ${typeText(type)}, which no option of the kernel has`, {
        hint: "bool, char, an integer, enum libbpf_tristate or an array of char is wanted",
        length: name.length,
      });
      return undefined;
    }
    const typeId = this.types.id(type);
    return { kind: "kconfig", name, typeId, offset: 0, size, ...shape, weak: attributes.weak === true };
  }

  /** All externs, in the order of libbpf, and the map of options. Corrects the code that refers to these. */
  finish(object: string): { readonly externs: readonly ExternSpec[]; readonly map: MapSpec | undefined } {
    const alignments = new Map<ExternSpec, number>();
    const options: KconfigExtern[] = [];
    for (const [variable, option] of this.options) {
      if (option === undefined) continue;
      options.push(option);
      alignments.set(option, alignOf(variable.type));
    }
    const { specs, kconfigSize } = placeKconfig([...options, ...this.symbols.values()], alignments);
    if (kconfigSize === 0) return { externs: specs, map: undefined };
    const places = new Map<string, number>();
    const entries: BtfSectionEntry[] = [];
    for (const spec of specs) {
      if (spec.kind !== "kconfig") continue;
      places.set(spec.name, spec.offset);
      const typeId = this.types.builder.variable(btfIdentifier(spec.name), spec.typeId);
      entries.push({ typeId, offset: spec.offset, size: spec.size });
    }
    for (const { inst, name } of this.references) inst.offset = places.get(name)!;
    const map: MapSpec = {
      name: KCONFIG_MAP,
      type: MapType.ARRAY,
      keySize: 4,
      valueSize: kconfigSize,
      maxEntries: 1,
      flags: MapFlags.RDONLY_PROG | MapFlags.MMAPABLE,
      valueTypeId: this.types.builder.dataSection(KCONFIG_MAP, kconfigSize, entries),
      frozen: true,
      kernelName: dataMapName(object, KCONFIG_MAP),
    };
    return { externs: specs, map };
  }
}

function withoutQualifiers(type: CType): CType {
  let at = type;
  for (;;) {
    if (at.kind === "typedef") at = at.to;
    else if (at.kind === "qualified" || at.kind === "tagged") at = at.of;
    else return at;
  }
}

/** What an option of the kernel may be. */
function optionShape(type: CType): Pick<KconfigExtern, "shape" | "signed"> | undefined {
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "bool":
      return { shape: "bool", signed: false };
    case "integer":
      if (shape.bits === 8) return { shape: "char", signed: shape.signed };
      return shape.bits === 128 ? undefined : { shape: "int", signed: shape.signed };
    case "enum":
      return shape.tag === "libbpf_tristate" ? { shape: "tristate", signed: false } : undefined;
    case "array":
      return optionShape(shape.of)?.shape === "char" ? { shape: "char-array", signed: false } : undefined;
    default:
      return undefined;
  }
}
