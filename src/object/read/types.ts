/** Mends in the compiler's BTF what only the linked file tells: places of variables, sizes of their sections, what is hidden. */
import { BtfFuncLinkage, BtfKind, BtfVarLinkage } from "../../btf/index.ts";
import type { Btf, BtfDataSection, BtfEditor } from "../../btf/index.ts";
import { ElfSymbolBinding, ElfSymbolType } from "../elf-format.ts";
import type { CodeFunction } from "./code.ts";
import { KCONFIG, KSYMS } from "./externs.ts";
import { damagedAt, sectionNamed } from "./image.ts";
import type { ImageSymbol, ObjectImage } from "./image.ts";

/**
 * Gives sections of variables their sizes and variables their offsets: compilers leave both 0 where a symbol tells. Variables that are
 * hidden become static.
 */
export function fixDataSections(image: ObjectImage, btf: Btf, editor: BtfEditor): void {
  let variables: ReadonlyMap<string, ImageSymbol> | undefined;
  for (const id of btf.idsByKind(BtfKind.DATASEC)) {
    const section = btf.typeById(id) as BtfDataSection;
    if (section.name === KSYMS || section.name === KCONFIG) continue;
    variables ??= globalVariables(image);
    fixDataSection(image, btf, editor, section, variables);
  }
}

function globalVariables(image: ObjectImage): Map<string, ImageSymbol> {
  const out = new Map<string, ImageSymbol>();
  for (const symbol of image.symbols) {
    const { type, binding, name } = symbol;
    if (type === ElfSymbolType.OBJECT && binding !== ElfSymbolBinding.LOCAL && !out.has(name)) out.set(name, symbol);
  }
  return out;
}

function fixDataSection(
  image: ObjectImage,
  btf: Btf,
  editor: BtfEditor,
  { id, name, size, entries }: BtfDataSection,
  variables: ReadonlyMap<string, ImageSymbol>,
): void {
  // Files that were linked before have everything in place.
  const isPlaced = size !== 0;
  const found = sectionNamed(image, name);
  const actual = isPlaced ? size : (found?.size ?? 0);
  if (actual === 0)
    throw damagedAt(image, ".BTF", 0, `it describes variables in section ${name}, which the file does not have`);
  if (actual > 0xffff_ffff) throw damagedAt(image, name, 0, `a section of ${actual} bytes, no map has more than 4 GiB`);
  const fixed = entries.map((entry) => {
    const variable = btf.typeById(entry.typeId);
    if (variable.kind !== BtfKind.VAR)
      throw damagedAt(image, ".BTF", 0, `section ${name}: entry ${entry.typeId} is no variable`);
    if (variable.linkage !== BtfVarLinkage.GLOBAL_ALLOCATED) return entry;
    const symbol = variables.get(variable.name);
    if (symbol === undefined)
      throw damagedAt(image, ".BTF", 0, `section ${name}: variable ${variable.name} has no symbol`);
    if (symbol.isHidden) editor.setLinkage(entry.typeId, BtfVarLinkage.STATIC);
    // In files that bpftool linked, the entry of what was declared before it was defined is at the place of the declaration.
    if (symbol.value > actual)
      throw damagedAt(image, name, symbol.value, `variable ${variable.name}: the section ends at ${actual}`);
    return { ...entry, offset: symbol.value };
  });
  editor.setDataSection(id, actual, fixed);
}

/** Makes hidden functions static: the verifier then looks at them anew at each call, with all it knows there. */
export function hideFunctions(functions: readonly CodeFunction[], btf: Btf, editor: BtfEditor): void {
  for (const { isSubprogram, isGlobal, isHidden, name } of functions) {
    if (!isSubprogram || !isGlobal || !isHidden) continue;
    const id = btf.findAllByName(name, BtfKind.FUNC).find((func) => {
      const type = btf.typeById(func);
      return type.kind === BtfKind.FUNC && type.linkage === BtfFuncLinkage.GLOBAL;
    });
    if (id !== undefined) editor.setLinkage(id, BtfFuncLinkage.STATIC);
  }
}
