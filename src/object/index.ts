/** What every front end makes and every kernel takes. */
export type { AttachRequest, AttachSpec, LinkAnchor } from "./attach.ts";
export type {
  BpfObject,
  CoreRelocation,
  LocalRecord,
  MapSlot,
  MapSpec,
  ProgramSpec,
  Relocation,
  StructOpsSpec,
} from "./spec.ts";
export type { KernelFacts, ModuleBtf } from "./kernel-facts.ts";
export { nameContextArguments } from "./context-arguments.ts";
export { KCONFIG_MAP, needsResolving, resolveObject } from "./resolve.ts";
export type { ResolveOptions, ResolvedObject, ResolvedSymbol } from "./resolve.ts";
export type { ExternSpec, KconfigExtern, KfuncExtern, KsymExtern, VariableSpec } from "./variables.ts";
export { DebugTypes } from "./dwarf/types.ts";
export type { LocalVariable } from "./dwarf/types.ts";
export type { DwarfSections } from "./dwarf/entries.ts";
export { Elf, symbolTable } from "./elf.ts";
export type { ElfDebugLink, ElfHeader, ElfNote, ElfSection, ElfSegment } from "./elf.ts";
export {
  ElfGnuNote,
  ElfMachine,
  ElfSectionFlag,
  ElfSectionIndex,
  ElfSectionType,
  ElfSegmentFlag,
  ElfSegmentType,
  ElfSymbolBinding,
  ElfSymbolType,
  ElfType,
} from "./elf-format.ts";
export type { ElfSource } from "./elf-source.ts";
export { findVersionedSymbol } from "./elf-versions.ts";
export { ElfSymbolTable } from "./elf-symbols.ts";
export type { ElfSymbol, ElfSymbolHit } from "./elf-symbols.ts";
export { writeElf } from "./elf-write.ts";
export type { WriteElfOptions } from "./elf-write.ts";
export { coreKernelOf, minimalBtfFor, relocateProgram } from "./core-relocate.ts";
export { dataMapName } from "./read/data-maps.ts";
export { KSYMS, placeKconfig } from "./read/externs.ts";
export { LEGACY_MAPS, readLegacyMaps } from "./read/legacy-maps.ts";
export { MAPS, readDefinition as readMapDefinition } from "./read/map-definitions.ts";
export { STRUCT_OPS } from "./read/struct-ops.ts";
export { objectName, readObject } from "./read/read-object.ts";
export type { ReadObjectOptions } from "./read/read-object.ts";
export { LaterAttachType, sectionPatterns } from "./section-table.ts";
export type { SectionPattern, SectionTarget } from "./section-table.ts";
export { nearestSections, sectionMeaning } from "./section-names.ts";
export type { SectionMeaning } from "./section-names.ts";
export { parseUsdtArguments, resolveUsdtArgument, usdtProbes, usdtProgramCounter } from "./usdt.ts";
export type { UsdtArch, UsdtArgument, UsdtArgumentType, UsdtProbe, UsdtRegister } from "./usdt.ts";
export { linkObjects } from "./link/link.ts";
export type { LinkInput, LinkOptions } from "./link/link.ts";
