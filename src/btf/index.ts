/** BTF, the kernel's type information: read, look up, lay out, print, write. */
export { BtfBuilder, btfIdentifier } from "./builder.ts";
export type { BtfMemberSpec } from "./builder.ts";
export { CoreKind } from "./core/kinds.ts";
export { encodeBtfExt } from "./btf-ext.ts";
export type { BtfExtSection } from "./btf-ext.ts";
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
export { printBtfDeclaration, printBtfType } from "./print.ts";
export { dumpBtfRaw, printBtfRaw } from "./raw.ts";
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
