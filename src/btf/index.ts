/** BTF, the kernel's type information: read, look up, lay out, print, write. */
export { BtfBuilder, btfIdentifier } from "./builder.ts";
export type { BtfMemberSpec } from "./builder.ts";
export { CoreKind, coreKindPhrases } from "./core/kinds.ts";
export { fieldsCompatible, typesCompatible, typesMatch } from "./core/compatible.ts";
export type { CoreKernel, CoreModule } from "./core/candidates.ts";
export { CoreError } from "./core/error.ts";
export { CoreFailure } from "./core/failure.ts";
export { minimalBtf } from "./core/minimal.ts";
export type { CoreObject } from "./core/minimal.ts";
export { essentialName } from "./core/names.ts";
export { CORE_POISON_HELPER, relocateCore } from "./core/patch.ts";
export type { CoreInsnRecord, CoreRelocateOptions, CoreRelocated } from "./core/patch.ts";
export { CoreResolver } from "./core/resolver.ts";
export type { CoreResult } from "./core/resolver.ts";
export { parseCoreSpec, specText } from "./core/spec.ts";
export type { CoreRecord, CoreSpec, CoreStep } from "./core/spec.ts";
export { encodeBtfExt } from "./btf-ext.ts";
export type { BtfExtSection } from "./btf-ext.ts";
export { CORE_RELOCATION_SIZE, decodeBtfExt } from "./btf-ext-read.ts";
export type { BtfExt, BtfExtBlock } from "./btf-ext-read.ts";
export { BtfEditor } from "./editor.ts";
export { Btf } from "./btf.ts";
export type { BtfEnumConstant, BtfParseOptions } from "./btf.ts";
export {
  BTF_HEADER_SIZE,
  BTF_KIND_MAX,
  BTF_MAGIC,
  BTF_MAX_NAME_LENGTH,
  BTF_MAX_VLEN,
  BTF_VERSION,
  BtfFuncLinkage,
  BtfIntEncoding,
  BtfKind,
  BtfVarLinkage,
  btfKindNames,
} from "./kinds.ts";
export { mapTakesBtf } from "./map-types.ts";
export type { BtfField } from "./members.ts";
export {
  decodeFuncInfo,
  decodeLineInfo,
  encodeFuncInfo,
  encodeLineInfo,
  FUNC_INFO_SIZE,
  LINE_INFO_SIZE,
} from "./program-info.ts";
export type { FuncInfo, LineInfo } from "./program-info.ts";
export { printBtfHeader } from "./header.ts";
export type { HeaderOptions } from "./header.ts";
export { BtfMerger } from "./merge.ts";
export type { BtfMergeChoices } from "./merge.ts";
export { printBtfDeclaration, printBtfType } from "./print.ts";
export type { CNames } from "./print.ts";
export { dumpBtfRaw, printBtfRaw } from "./raw.ts";
export { abilitiesUsed, sanitizeBtf } from "./sanitize.ts";
export type { BtfAbility } from "./sanitize.ts";
export { BtfStrings } from "./strings.ts";
export type {
  BtfArray,
  BtfComposite,
  BtfDataSection,
  BtfDeclTag,
  BtfEnum,
  BtfEnumValue,
  BtfFloat,
  BtfForward,
  BtfFunc,
  BtfFuncProto,
  BtfInt,
  BtfMember,
  BtfParameter,
  BtfReference,
  BtfSectionEntry,
  BtfType,
  BtfTypedef,
  BtfTypeTag,
  BtfVar,
  BtfVoid,
} from "./types.ts";
