/** Sections of data as maps of one value, and the variables in them. */
import { BtfKind, BtfVarLinkage } from "../../btf/index.ts";
import type { Btf, BtfDataSection } from "../../btf/index.ts";
import { MapFlags, MapType } from "../../isa/index.ts";
import { ElfSectionType, ElfSymbolBinding, ElfSymbolType } from "../elf-format.ts";
import type { MapSpec } from "../spec.ts";
import type { VariableSpec } from "../variables.ts";
import { KCONFIG } from "./externs.ts";
import { damagedAt } from "./image.ts";
import type { ImageSection, ObjectImage } from "./image.ts";

/** Section of variables of arenas. */
export const ARENA_DATA = ".addr_space.1";

/** The kernel's limit of names, without the NUL. */
const NAME_LENGTH = 15;
/** Bytes that libbpf leaves for the section's name however short that is. */
const SHORT_SUFFIX = 7;

/** Whether a section becomes a map, and which kind of data it is. */
export function dataKind({ name, type, isCode, size }: ImageSection): "data" | "read-only" | "zero" | undefined {
  const is = (base: string): boolean => name === base || name.startsWith(`${base}.`);
  if (isCode || size === 0) return undefined;
  if (type === ElfSectionType.NOBITS) return is(".bss") ? "zero" : undefined;
  if (type !== ElfSectionType.PROGBITS) return undefined;
  return is(".data") ? "data" : is(".rodata") ? "read-only" : undefined;
}

/**
 * What the kernel calls a section's map: the object's name is before `.data`, `.rodata`, `.bss` and `.kconfig`, as far as it fits with
 * seven characters left for them; names of more dots stand alone. The same as libbpf's, so that tools find it.
 */
export function dataMapName(object: string, section: string): string {
  const suffix = Math.min(Math.max(SHORT_SUFFIX, section.length), NAME_LENGTH);
  const prefix = section.includes(".", 1) ? "" : object.slice(0, NAME_LENGTH - suffix);
  return (prefix + section.slice(0, suffix)).replace(/[^A-Za-z0-9_.]/g, "_");
}

/** The map of a section of data, or of `.kconfig`. */
export function dataMap(
  image: ObjectImage,
  btf: Btf | undefined,
  object: string,
  section: { readonly name: string; readonly size: number; readonly data?: Uint8Array },
  isReadOnly: boolean,
): MapSpec {
  const { name, size, data } = section;
  if (size > 0xffff_ffff) throw damagedAt(image, name, 0, `a section of ${size} bytes, no map has more than 4 GiB`);
  const typeId = btf?.findByName(name);
  const isMappable = btf !== undefined && typeId !== undefined && hasVisibleVariable(btf, typeId);
  return {
    name,
    type: MapType.ARRAY,
    keySize: 4,
    valueSize: size,
    maxEntries: 1,
    flags: (isReadOnly ? MapFlags.RDONLY_PROG : 0) | (isMappable ? MapFlags.MMAPABLE : 0),
    ...(typeId === undefined ? {} : { valueTypeId: typeId }),
    ...(data === undefined ? {} : { initialValue: new Uint8Array(data) }),
    ...(isReadOnly ? { frozen: true } : {}),
    kernelName: dataMapName(object, name),
  };
}

/** Only what somebody may look at is worth mapping: a variable that is not static. */
function hasVisibleVariable(btf: Btf, typeId: number): boolean {
  const type = btf.typeById(typeId);
  if (type.kind !== BtfKind.DATASEC) return false;
  return type.entries.some((entry) => {
    const variable = btf.typeById(entry.typeId);
    return variable.kind === BtfKind.VAR && variable.linkage !== BtfVarLinkage.STATIC;
  });
}

/** The variables of all sections of data: `maps` names the map that holds each, by the section's name. */
export function readVariables(
  image: ObjectImage,
  btf: Btf | undefined,
  maps: ReadonlyMap<string, { readonly map: string; readonly section: ImageSection }>,
): VariableSpec[] {
  const weak = new Set<string>();
  for (const { binding, name } of image.symbols) if (binding === ElfSymbolBinding.WEAK) weak.add(name);
  const out: VariableSpec[] = [];
  for (const [name, { map, section }] of maps) {
    if (name === KCONFIG) continue;
    const id = btf?.findByName(name, BtfKind.DATASEC);
    if (btf === undefined || id === undefined) {
      out.push(...variablesOfSymbols(image, section, map));
      continue;
    }
    for (const { typeId, offset, size } of (btf.typeById(id) as BtfDataSection).entries) {
      const variable = btf.typeById(typeId);
      if (variable.kind !== BtfKind.VAR) continue;
      if (offset + size > section.size) {
        throw damagedAt(
          image,
          section,
          offset,
          `variable ${variable.name} of ${size} bytes: the section ends at ${section.size}`,
        );
      }
      const isStatic = variable.linkage === BtfVarLinkage.STATIC;
      const linkage = isStatic ? "static" : weak.has(variable.name) ? "weak" : "global";
      out.push({ name: variable.name, map, offset, size, typeId: variable.typeId, linkage });
    }
  }
  return out;
}

/** Without BTF, symbols tell where variables are, and not of what type. */
function variablesOfSymbols(image: ObjectImage, section: ImageSection, map: string): VariableSpec[] {
  return image.symbols
    .filter((s) => s.section === section.index && s.type === ElfSymbolType.OBJECT && s.name !== "")
    .toSorted((a, b) => a.value - b.value)
    .map(({ name, value, size, binding }): VariableSpec => {
      if (value + size > section.size) {
        throw damagedAt(
          image,
          section,
          value,
          `variable ${name} of ${size} bytes: the section ends at ${section.size}`,
        );
      }
      const linkage =
        binding === ElfSymbolBinding.LOCAL ? "static" : binding === ElfSymbolBinding.WEAK ? "weak" : "global";
      return { name, map, offset: value, size, typeId: 0, linkage };
    });
}
