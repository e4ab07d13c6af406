/** Every number of the BTF format that reader and writer share. Source: `include/uapi/linux/btf.h`. */

/** First two bytes of BTF and of BTF.ext, in the byte order of everything that follows. */
export const BTF_MAGIC = 0xeb9f;
/** The only version there is. */
export const BTF_VERSION = 1;
/** Bytes of `struct btf_header` as all kernels up to 7.2 write it. */
export const BTF_HEADER_SIZE = 24;
/** Bytes of a header that also says where the layout of kinds is, for readers that are older than a kind. */
export const BTF_LAYOUT_HEADER_SIZE = 32;
/** Bytes of a record of that layout: those that follow the head of a type once, those for each of vlen, two of flags. */
export const BTF_LAYOUT_RECORD_SIZE = 4;
/** Largest number of members, parameters, values or entries of one type that all kernels read; newer ones read 24 bits. */
export const BTF_MAX_VLEN = 0xffff;
/** The kernel refuses names longer than this (`KSYM_NAME_LEN` minus the NUL; 127 before 6.1). */
export const BTF_MAX_NAME_LENGTH = 511;

/** Kinds of types. Members are named as the kernel names them (`BTF_KIND_STRUCT` is `BtfKind.STRUCT`). */
export const BtfKind = {
  /** Type id 0, `void`. Never stored. */
  UNKN: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  /** Values of 32 bits. */
  ENUM: 6,
  /** A struct or union whose body is elsewhere. */
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  /** Kernel 5.13. */
  FLOAT: 16,
  /** Kernel 5.16. */
  DECL_TAG: 17,
  /** Kernel 5.17. */
  TYPE_TAG: 18,
  /** Values of 64 bits. Kernel 6.0. */
  ENUM64: 19,
} as const;
/** One of {@link BtfKind}'s numbers. */
export type BtfKind = (typeof BtfKind)[keyof typeof BtfKind];

/** The largest kind that has a name here. */
export const BTF_KIND_MAX = 19;

/** Names of kinds, by number, as `bpftool btf dump format raw` prints them. */
export const btfKindNames: readonly string[] = Object.keys(BtfKind);

/** Bits of an integer's encoding. At most one is set in BTF that the kernel accepts. */
export const BtfIntEncoding = { SIGNED: 1, CHAR: 2, BOOL: 4 } as const;

/** Linkage of a function: `static`, `global` or `extern`. */
export const BtfFuncLinkage = { STATIC: 0, GLOBAL: 1, EXTERN: 2 } as const;

/** Linkage of a variable: `static`, allocated in a section (`global`), or `extern`. */
export const BtfVarLinkage = { STATIC: 0, GLOBAL_ALLOCATED: 1, GLOBAL_EXTERN: 2 } as const;

/**
 * The second word of every type. Bits 0-23 count what follows (`vlen`), bits 24-30 are the kind; before kernels described the
 * layout of kinds, only 0-15 and 24-28 were used, the others 0. Bit 31 is the kind flag: struct and union: members carry bitfield
 * sizes; enum: values are signed; forward: it is a union; tags: they are attributes (kernel 6.15).
 */
export const BtfInfo = { VLEN_MASK: 0xff_ffff, KIND_SHIFT: 24, KIND_MASK: 0x7f, KIND_FLAG: 0x8000_0000 } as const;

/** 32-bit words of the common head of a type: name offset, info, then size or type id. */
export const BTF_TYPE_WORDS = 3;

/** Words that follow the head of a type of this kind: `fixed` once, and `each` times vlen. By kind number. */
export const btfTrailingWords: readonly { readonly fixed: number; readonly each: number }[] = [
  { fixed: 0, each: 0 }, // UNKN
  { fixed: 1, each: 0 }, // INT: encoding << 24 | bit offset << 16 | bits
  { fixed: 0, each: 0 }, // PTR
  { fixed: 3, each: 0 }, // ARRAY: element type, index type, count
  { fixed: 0, each: 3 }, // STRUCT: name, type, offset
  { fixed: 0, each: 3 }, // UNION: name, type, offset
  { fixed: 0, each: 2 }, // ENUM: name, value
  { fixed: 0, each: 0 }, // FWD
  { fixed: 0, each: 0 }, // TYPEDEF
  { fixed: 0, each: 0 }, // VOLATILE
  { fixed: 0, each: 0 }, // CONST
  { fixed: 0, each: 0 }, // RESTRICT
  { fixed: 0, each: 0 }, // FUNC: linkage is in vlen
  { fixed: 0, each: 2 }, // FUNC_PROTO: name, type
  { fixed: 1, each: 0 }, // VAR: linkage
  { fixed: 0, each: 3 }, // DATASEC: type, offset, size
  { fixed: 0, each: 0 }, // FLOAT
  { fixed: 1, each: 0 }, // DECL_TAG: component index
  { fixed: 0, each: 0 }, // TYPE_TAG
  { fixed: 0, each: 3 }, // ENUM64: name, low half, high half
];
