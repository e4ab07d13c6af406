/** Numbers of DWARF 2 to 5 (dwarfstd.org), those that types and variables need. */

/** `DW_TAG_*`: what an entry describes. */
export const DwarfTag = {
  ARRAY_TYPE: 0x01,
  ENUMERATION_TYPE: 0x04,
  FORMAL_PARAMETER: 0x05,
  MEMBER: 0x0d,
  POINTER_TYPE: 0x0f,
  COMPILE_UNIT: 0x11,
  STRUCTURE_TYPE: 0x13,
  SUBROUTINE_TYPE: 0x15,
  TYPEDEF: 0x16,
  UNION_TYPE: 0x17,
  SUBRANGE_TYPE: 0x21,
  BASE_TYPE: 0x24,
  CONST_TYPE: 0x26,
  ENUMERATOR: 0x28,
  SUBPROGRAM: 0x2e,
  VARIABLE: 0x34,
  VOLATILE_TYPE: 0x35,
  RESTRICT_TYPE: 0x37,
  ATOMIC_TYPE: 0x47,
} as const;

/** `DW_AT_*`: properties of an entry. */
export const DwarfAttribute = {
  NAME: 0x03,
  BYTE_SIZE: 0x0b,
  BIT_OFFSET: 0x0c,
  BIT_SIZE: 0x0d,
  CONST_VALUE: 0x1c,
  UPPER_BOUND: 0x2f,
  COUNT: 0x37,
  DATA_MEMBER_LOCATION: 0x38,
  DECLARATION: 0x3c,
  ENCODING: 0x3e,
  TYPE: 0x49,
  DATA_BIT_OFFSET: 0x6b,
  STR_OFFSETS_BASE: 0x72,
} as const;

/** `DW_FORM_*`: how an attribute's value is written. */
export const DwarfForm = {
  ADDR: 0x01,
  BLOCK2: 0x03,
  BLOCK4: 0x04,
  DATA2: 0x05,
  DATA4: 0x06,
  DATA8: 0x07,
  STRING: 0x08,
  BLOCK: 0x09,
  BLOCK1: 0x0a,
  DATA1: 0x0b,
  FLAG: 0x0c,
  SDATA: 0x0d,
  STRP: 0x0e,
  UDATA: 0x0f,
  REF_ADDR: 0x10,
  REF1: 0x11,
  REF2: 0x12,
  REF4: 0x13,
  REF8: 0x14,
  REF_UDATA: 0x15,
  INDIRECT: 0x16,
  SEC_OFFSET: 0x17,
  EXPRLOC: 0x18,
  FLAG_PRESENT: 0x19,
  STRX: 0x1a,
  ADDRX: 0x1b,
  REF_SUP4: 0x1c,
  STRP_SUP: 0x1d,
  DATA16: 0x1e,
  LINE_STRP: 0x1f,
  REF_SIG8: 0x20,
  IMPLICIT_CONST: 0x21,
  LOCLISTX: 0x22,
  RNGLISTX: 0x23,
  REF_SUP8: 0x24,
  STRX1: 0x25,
  STRX2: 0x26,
  STRX3: 0x27,
  STRX4: 0x28,
  ADDRX1: 0x29,
  ADDRX2: 0x2a,
  ADDRX3: 0x2b,
  ADDRX4: 0x2c,
} as const;

/** `DW_ATE_*`: what the bits of a base type mean. */
export const DwarfEncoding = {
  BOOLEAN: 0x02,
  FLOAT: 0x04,
  SIGNED: 0x05,
  SIGNED_CHAR: 0x06,
} as const;

/** `DW_UT_type` and its split form: units whose header has a signature and an offset more. */
export const DWARF_TYPE_UNITS: ReadonlySet<number> = new Set([0x02, 0x06]);
/** `DW_UT_skeleton`, `DW_UT_split_compile`: units whose header has an id of 8 bytes more. */
export const DWARF_SPLIT_UNITS: ReadonlySet<number> = new Set([0x04, 0x05]);

/** `DW_OP_plus_uconst`, the expression of a distance. */
export const DWARF_PLUS_CONSTANT = 0x23;

/** First four bytes of a unit in the format of 64-bit offsets. */
export const DWARF_64_BIT = 0xffff_ffff;
