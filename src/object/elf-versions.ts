/** Versions of dynamic symbols (`.gnu.version`, `.gnu.version_d`): which of several functions of one name `name@VERSION` is. */
import { ParseError } from "../base/index.ts";
import type { Elf } from "./elf.ts";
import { ELF_VERSION_HIDDEN, ElfSectionIndex, ElfSectionType } from "./elf-format.ts";
import type { ElfSymbol } from "./elf-symbols.ts";

/** Offsets in `Elfxx_Verdef` and `Elfxx_Verdaux`, equal in both classes. */
const VERDEF = { NUMBER: 4, AUX: 12, NEXT: 16, SIZE: 20 } as const;
const VERDAUX_SIZE = 8;

/**
 * A defined symbol by a name with a version: `memcpy@GLIBC_2.2.5`, or `memcpy@@GLIBC_2.14` for the one that programs are linked to today.
 * A name without version is found as by {@link Elf.findSymbol}. Throws {@link ParseError} for damaged tables.
 */
export function findVersionedSymbol(elf: Elf, text: string): ElfSymbol | undefined {
  const match = /^(.+?)(@@?)([^@]+)$/.exec(text);
  // Static symbol tables spell the version out.
  const exact = elf.findSymbol(text);
  if (match === null || exact !== undefined) return exact;
  const [, name = "", sign, version] = match;
  const symbols = elf.symbolSection(".dynsym");
  const numbers = elf.sections.find((section) => section.type === ElfSectionType.GNU_VERSYM);
  if (symbols === undefined || numbers === undefined) return undefined;
  const table = elf.sectionData(numbers);
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const names = versionNames(elf);
  for (const index of symbols.find(name)) {
    if (index * 2 + 2 > table.length) continue;
    const number = view.getUint16(index * 2, !elf.header.bigEndian);
    if (sign === "@@" && (number & ELF_VERSION_HIDDEN) !== 0) continue;
    const symbol = symbols.symbol(index);
    if (symbol.sectionIndex !== ElfSectionIndex.UNDEF && names.get(number & ~ELF_VERSION_HIDDEN) === version)
      return symbol;
  }
  return undefined;
}

/** Names of the versions that a file defines, by number. */
function versionNames(elf: Elf): Map<number, string> {
  const found = new Map<number, string>();
  const section = elf.sections.find((each) => each.type === ElfSectionType.GNU_VERDEF);
  const strings = section === undefined ? undefined : elf.sections[section.link];
  if (section === undefined || strings === undefined) return found;
  const bytes = elf.sectionData(section);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = elf.sectionData(strings);
  const little = !elf.header.bigEndian;
  for (let at = 0; ;) {
    if (at + VERDEF.SIZE > bytes.length)
      throw new ParseError(`${elf.name}: ${section.name}`, at, "a version is cut short");
    const aux = at + view.getUint32(at + VERDEF.AUX, little);
    if (aux + VERDAUX_SIZE > bytes.length)
      throw new ParseError(`${elf.name}: ${section.name}`, at, "the name of a version is outside of the section");
    const start = view.getUint32(aux, little);
    const end = text.indexOf(0, start);
    if (end === -1)
      throw new ParseError(`${elf.name}: ${section.name}`, aux, "the name of a version is outside of the names");
    found.set(view.getUint16(at + VERDEF.NUMBER, little), new TextDecoder().decode(text.subarray(start, end)));
    const next = view.getUint32(at + VERDEF.NEXT, little);
    if (next === 0) return found;
    // Each is behind the one before it, so that this ends.
    if (next < VERDEF.SIZE)
      throw new ParseError(`${elf.name}: ${section.name}`, at, `versions overlap: the next is at ${next}`);
    at += next;
  }
}
