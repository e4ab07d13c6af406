/** Types as plain data. Ids are those of the BTF that a type was read from; id 0 is `void`. */
import type { BtfKind } from "./kinds.ts";

interface Head<Kind extends number> {
  readonly id: number;
  readonly kind: Kind;
  /** Empty when anonymous. */
  readonly name: string;
}

/** `void`, id 0. */
export type BtfVoid = Head<typeof BtfKind.UNKN>;

/** An integer, a character or a boolean. */
export interface BtfInt extends Head<typeof BtfKind.INT> {
  /** Bytes. */
  readonly size: number;
  /** Bits that count, at most `size * 8`. */
  readonly bits: number;
  /** Where they start; not 0 only in BTF of old compilers, for bitfields. */
  readonly bitOffset: number;
  /** `BtfIntEncoding.*`, or 0. */
  readonly encoding: number;
}

/** A pointer, a qualifier: what refers to one other type and has no more to say. */
export interface BtfReference extends Head<
  typeof BtfKind.PTR | typeof BtfKind.VOLATILE | typeof BtfKind.CONST | typeof BtfKind.RESTRICT
> {
  readonly typeId: number;
}

/** Another name for a type. */
export interface BtfTypedef extends Head<typeof BtfKind.TYPEDEF> {
  readonly typeId: number;
}

/** An array of `count` elements; multi-dimensional arrays are arrays of arrays. */
export interface BtfArray extends Head<typeof BtfKind.ARRAY> {
  readonly elementTypeId: number;
  readonly indexTypeId: number;
  readonly count: number;
}

/** A field of a struct or union. */
export interface BtfMember {
  /** Empty for anonymous structs and unions. */
  readonly name: string;
  readonly typeId: number;
  /** Bits from the start of the struct or union. */
  readonly bitOffset: number;
  /** Bits of a bitfield; 0 when the member is none. */
  readonly bitfieldSize: number;
}

/** A struct or union with its members. */
export interface BtfComposite extends Head<typeof BtfKind.STRUCT | typeof BtfKind.UNION> {
  /** Bytes. */
  readonly size: number;
  readonly members: readonly BtfMember[];
}

/** One name of an enum. */
export interface BtfEnumValue {
  readonly name: string;
  /** Sign-extended when the enum is signed. */
  readonly value: bigint;
}

/** An enum of either width. */
export interface BtfEnum extends Head<typeof BtfKind.ENUM | typeof BtfKind.ENUM64> {
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  readonly signed: boolean;
  /** Empty for a forward declaration. */
  readonly values: readonly BtfEnumValue[];
}

/** A struct or union declared without a body. */
export interface BtfForward extends Head<typeof BtfKind.FWD> {
  readonly union: boolean;
}

/** A function; `typeId` is its prototype. */
export interface BtfFunc extends Head<typeof BtfKind.FUNC> {
  readonly typeId: number;
  /** `BtfFuncLinkage.*` */
  readonly linkage: number;
}

/** A parameter of a prototype. */
export interface BtfParameter {
  /** Empty in prototypes of pointers. */
  readonly name: string;
  readonly typeId: number;
}

/** What a function takes and returns. */
export interface BtfFuncProto extends Head<typeof BtfKind.FUNC_PROTO> {
  readonly returnTypeId: number;
  /** Without the closing `...`. */
  readonly parameters: readonly BtfParameter[];
  readonly variadic: boolean;
}

/** A global variable. */
export interface BtfVar extends Head<typeof BtfKind.VAR> {
  readonly typeId: number;
  /** `BtfVarLinkage.*` */
  readonly linkage: number;
}

/** Where one variable lies in its section. */
export interface BtfSectionEntry {
  readonly typeId: number;
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** A section of variables, such as `.maps` or `.rodata`. */
export interface BtfDataSection extends Head<typeof BtfKind.DATASEC> {
  /** Bytes. */
  readonly size: number;
  readonly entries: readonly BtfSectionEntry[];
}

/** A floating-point number, which programs may not use but structs hold. */
export interface BtfFloat extends Head<typeof BtfKind.FLOAT> {
  /** Bytes: 2, 4, 8, 12 or 16. */
  readonly size: number;
}

/** `__attribute__((btf_decl_tag("name")))` on a declaration. */
export interface BtfDeclTag extends Head<typeof BtfKind.DECL_TAG> {
  /** The tagged struct, union, function, variable or typedef. */
  readonly typeId: number;
  /** Index of the tagged member or parameter; -1 when the whole declaration is meant. */
  readonly componentIndex: number;
  /** The name is a whole attribute, not a tag. */
  readonly attribute: boolean;
}

/** `__attribute__((btf_type_tag("name")))` on a type, such as the kernel's `__user`. */
export interface BtfTypeTag extends Head<typeof BtfKind.TYPE_TAG> {
  readonly typeId: number;
  /** The name is a whole attribute, not a tag. */
  readonly attribute: boolean;
}

/** Any type; `kind` tells which. */
export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfReference
  | BtfTypedef
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfForward
  | BtfFunc
  | BtfFuncProto
  | BtfVar
  | BtfDataSection
  | BtfFloat
  | BtfDeclTag
  | BtfTypeTag;
