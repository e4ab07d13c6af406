/** What the file leaves to the kernel: symbols without a definition, sorted and laid out as libbpf does it. */
import { BtfFuncLinkage, BtfIntEncoding, BtfKind, BtfVarLinkage } from "../../btf/index.ts";
import type { Btf, BtfDataSection, BtfEditor, BtfSectionEntry } from "../../btf/index.ts";
import { ElfSymbolBinding } from "../elf-format.ts";
import type { ExternSpec, KconfigExtern } from "../variables.ts";
import { damagedAt, isExtern } from "./image.ts";
import type { ImageSymbol, ObjectImage } from "./image.ts";

/** Sections of the BTF that the file itself does not have. */
export const KSYMS = ".ksyms";
/** Values of kernel options; also the name of the map that holds them. */
export const KCONFIG = ".kconfig";

/** Bytes of all of `.kconfig`. The longest value of an option is some hundred bytes. */
const KCONFIG_LIMIT = 1 << 20;
/** Bytes that the kernel is told a variable of `.ksyms` has. */
const KSYM_SIZE = 4;
/** Stands in for functions among the variables of `.ksyms`, where the kernel wants only variables. */
const DUMMY_NAME = "dummy_ksym";

/** The externs of a file. */
export interface Externs {
  readonly specs: readonly ExternSpec[];
  /** By the index of the symbol. */
  readonly bySymbol: ReadonlyMap<number, ExternSpec>;
  /** Bytes of `.kconfig`; 0 without. */
  readonly kconfigSize: number;
}

/**
 * Reads all externs and makes their sections such that the kernel takes them: variables of `.ksyms` become integers, functions global.
 * Throws ParseError for what neither kernel nor configuration can give, such as a function of another file.
 */
export function readExterns(image: ObjectImage, btf: Btf | undefined, editor: BtfEditor | undefined): Externs {
  const found = image.symbols.filter((symbol) => isExtern(symbol) && symbol.name !== "");
  if (found.length === 0) return { specs: [], bySymbol: new Map(), kconfigSize: 0 };
  if (btf === undefined || editor === undefined) {
    throw damagedAt(
      image,
      ".symtab",
      0,
      `${found[0]!.name} is not defined, and no BTF says what it is: compile the file with -g`,
    );
  }
  const sectionOf = new Map<number, BtfDataSection>();
  for (const id of btf.idsByKind(BtfKind.DATASEC)) {
    const section = btf.typeById(id) as BtfDataSection;
    for (const { typeId } of section.entries) if (!sectionOf.has(typeId)) sectionOf.set(typeId, section);
  }
  const named = new Map<string, ExternSpec>();
  const alignments = new Map<ExternSpec, number>();
  const symbols: (readonly [symbol: ImageSymbol, name: string])[] = [];
  for (const symbol of found) {
    symbols.push([symbol, symbol.name]);
    if (!named.has(symbol.name)) named.set(symbol.name, readExtern(image, btf, sectionOf, symbol, alignments));
  }
  const { specs, kconfigSize } = placeKconfig([...named.values()], alignments, (what) =>
    damagedAt(image, ".BTF", 0, what),
  );
  for (const spec of specs) named.set(spec.name, spec);
  describeKsyms(image, btf, editor, named);
  describeKconfig(image, btf, editor, named, kconfigSize);
  return { specs, bySymbol: new Map(symbols.map(([symbol, name]) => [symbol.index, named.get(name)!])), kconfigSize };
}

function readExtern(
  image: ObjectImage,
  btf: Btf,
  sectionOf: ReadonlyMap<number, BtfDataSection>,
  symbol: ImageSymbol,
  alignments: Map<ExternSpec, number>,
): ExternSpec {
  const { name } = symbol;
  const fail = (what: string): never => {
    throw damagedAt(image, ".symtab", symbol.index * 24, `${name}: ${what}`);
  };
  const other = "link the object with the one that defines it, or declare it with __ksym or __kconfig";
  const ids = [btf.findByName(name, BtfKind.VAR), btf.findByName(name, BtfKind.FUNC)].filter((id) => id !== undefined);
  const id = ids.length === 0 ? undefined : Math.min(...ids);
  if (id === undefined) return fail(`it is not defined and not described by BTF: ${other}`);
  const type = btf.typeById(id);
  if (type.kind !== BtfKind.VAR && type.kind !== BtfKind.FUNC) return fail("it is no variable and no function");
  const isFunction = type.kind === BtfKind.FUNC;
  const isDeclared = type.linkage === (isFunction ? BtfFuncLinkage.EXTERN : BtfVarLinkage.GLOBAL_EXTERN);
  if (!isDeclared) return fail("the BTF says that it is defined, the table of symbols that it is not");
  const section = sectionOf.get(id)?.name;
  const weak = symbol.binding === ElfSymbolBinding.WEAK;
  if (section === KSYMS) {
    if (isFunction) return { kind: "kfunc", name, typeId: id, weak };
    return { kind: "ksym", name, typeId: btf.stripModifiers(type.typeId), weak };
  }
  if (section !== KCONFIG)
    return fail(`it is not defined${section === undefined ? "" : ` (section ${section})`}: ${other}`);
  if (isFunction) return fail(`a function of ${KCONFIG}, where options stand`);
  const size = btf.sizeOf(type.typeId);
  const alignment = btf.alignOf(type.typeId);
  const shape = kconfigShape(btf, type.typeId);
  if (size === undefined || size === 0 || alignment === undefined || shape === undefined) {
    return fail(
      "of a type that no option has: bool, char, an integer, enum libbpf_tristate or an array of char is wanted",
    );
  }
  const spec: KconfigExtern = { kind: "kconfig", name, typeId: type.typeId, offset: 0, size, ...shape, weak };
  alignments.set(spec, alignment);
  return spec;
}

function kconfigShape(btf: Btf, typeId: number): Pick<KconfigExtern, "shape" | "signed"> | undefined {
  const type = btf.typeById(btf.stripModifiers(typeId));
  switch (type.kind) {
    case BtfKind.INT: {
      if ((type.encoding & BtfIntEncoding.BOOL) !== 0)
        return type.size === 1 ? { shape: "bool", signed: false } : undefined;
      const signed = (type.encoding & BtfIntEncoding.SIGNED) !== 0;
      if (type.size === 1) return { shape: "char", signed };
      return [2, 4, 8].includes(type.size) ? { shape: "int", signed } : undefined;
    }
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
      if (type.name !== "libbpf_tristate" || (type.kind === BtfKind.ENUM && type.size !== 4)) return undefined;
      return { shape: "tristate", signed: false };
    case BtfKind.ARRAY:
      if (type.count === 0 || kconfigShape(btf, type.elementTypeId)?.shape !== "char") return undefined;
      return { shape: "char-array", signed: false };
    default:
      return undefined;
  }
}

/**
 * Places of options in `.kconfig`, as libbpf has them: by falling alignment, then by size, then by name. They stand before the others,
 * which follow by name. `tooLarge` makes the error of options that are longer together than any are.
 */
export function placeKconfig(
  specs: readonly ExternSpec[],
  alignments: ReadonlyMap<ExternSpec, number>,
  tooLarge: (what: string) => Error = (what) => new RangeError(what),
): { readonly specs: ExternSpec[]; readonly kconfigSize: number } {
  const byName = (a: ExternSpec, b: ExternSpec): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const options = specs
    .filter((spec) => spec.kind === "kconfig")
    .toSorted((a, b) => alignments.get(b)! - alignments.get(a)! || a.size - b.size || byName(a, b));
  const others = specs.filter((spec) => spec.kind !== "kconfig").toSorted(byName);
  let end = 0;
  const placed = options.map((option): ExternSpec => {
    const alignment = alignments.get(option)!;
    const offset = Math.ceil(end / alignment) * alignment;
    end = offset + option.size;
    if (end > KCONFIG_LIMIT) {
      throw tooLarge(`option ${option.name} of ${option.size} bytes: all options together may have ${KCONFIG_LIMIT}`);
    }
    return { ...option, offset };
  });
  return { specs: [...placed, ...others], kconfigSize: end };
}

/** The kernel knows no externs: it is told of variables, one an entry. */
function describeKsyms(image: ObjectImage, btf: Btf, editor: BtfEditor, named: ReadonlyMap<string, ExternSpec>): void {
  const id = btf.findByName(KSYMS, BtfKind.DATASEC);
  if (id === undefined) return;
  const { entries } = btf.typeById(id) as BtfDataSection;
  let int: number | undefined;
  let dummy: { readonly id: number; readonly name: number } | undefined;
  const intId = (): number => (int ??= find32BitInt(btf) ?? editor.appendInt("int"));
  const dummyVariable = (): { readonly id: number; readonly name: number } => {
    if (dummy !== undefined) return dummy;
    const name = editor.string(DUMMY_NAME);
    return (dummy = { id: editor.append(BtfKind.VAR, name, intId(), [BtfVarLinkage.GLOBAL_ALLOCATED]), name });
  };
  const described = entries.map(({ typeId }, i): BtfSectionEntry => {
    const type = btf.typeById(typeId);
    if (!named.has(type.name))
      throw damagedAt(image, ".BTF", 0, `${type.name || `type ${typeId}`} is in ${KSYMS}, and no symbol has its name`);
    if (type.kind === BtfKind.FUNC) {
      nameParameters(btf, editor, type.typeId, dummyVariable().name);
      editor.setLinkage(typeId, BtfFuncLinkage.GLOBAL);
      return { typeId: dummyVariable().id, offset: i * KSYM_SIZE, size: KSYM_SIZE };
    }
    if (type.kind !== BtfKind.VAR)
      throw damagedAt(image, ".BTF", 0, `type ${typeId} in ${KSYMS} is no variable and no function`);
    editor.setLinkage(typeId, BtfVarLinkage.GLOBAL_ALLOCATED);
    editor.wordsOf(typeId)[2] = intId();
    return { typeId, offset: i * KSYM_SIZE, size: KSYM_SIZE };
  });
  editor.setDataSection(id, entries.length * KSYM_SIZE, described);
}

/** The kernel wants names for the parameters of functions that are not extern. */
function nameParameters(btf: Btf, editor: BtfEditor, protoId: number, name: number): void {
  const proto = btf.typeById(protoId);
  if (proto.kind !== BtfKind.FUNC_PROTO) return;
  const words = editor.wordsOf(protoId);
  for (const [i, parameter] of proto.parameters.entries()) {
    if (parameter.name === "" && parameter.typeId !== 0) words[3 + i * 2] = name;
  }
}

function find32BitInt(btf: Btf): number | undefined {
  for (const id of btf.idsByKind(BtfKind.INT)) {
    const type = btf.typeById(id);
    if (type.kind === BtfKind.INT && type.bits === 32) return id;
  }
  return undefined;
}

function describeKconfig(
  image: ObjectImage,
  btf: Btf,
  editor: BtfEditor,
  named: ReadonlyMap<string, ExternSpec>,
  size: number,
): void {
  const id = btf.findByName(KCONFIG, BtfKind.DATASEC);
  if (id === undefined || size === 0) return;
  const { entries } = btf.typeById(id) as BtfDataSection;
  const described = entries.map((entry): BtfSectionEntry => {
    const name = btf.nameOf(entry.typeId);
    const spec = named.get(name);
    if (spec?.kind !== "kconfig")
      throw damagedAt(image, ".BTF", 0, `${name} is in ${KCONFIG}, and no symbol has its name`);
    editor.setLinkage(entry.typeId, BtfVarLinkage.GLOBAL_ALLOCATED);
    return { ...entry, offset: spec.offset };
  });
  editor.setDataSection(id, size, described);
}
