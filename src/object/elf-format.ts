/** Numbers of the ELF format that reader and users share. Source: the System V ABI, `elf.h`. */

/** First four bytes: 0x7f, "ELF". */
export const ELF_MAGIC = 0x7f45_4c46;

/** Bytes of each record, by class. */
export const elfRecordSizes = {
  32: { header: 52, section: 40, segment: 32, symbol: 16 },
  64: { header: 64, section: 64, segment: 56, symbol: 24 },
} as const;

/** What a file is (`e_type`). */
export const ElfType = { REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;

/** Machines that Skep may meet (`e_machine`). */
export const ElfMachine = {
  I386: 3,
  MIPS: 8,
  PPC64: 21,
  S390: 22,
  ARM: 40,
  X86_64: 62,
  AARCH64: 183,
  RISCV: 243,
  BPF: 247,
  LOONGARCH: 258,
} as const;

/** What a section holds (`sh_type`). */
export const ElfSectionType = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  HASH: 5,
  DYNAMIC: 6,
  NOTE: 7,
  /** Takes no bytes of the file. */
  NOBITS: 8,
  REL: 9,
  DYNSYM: 11,
  /** Versions of the symbols of `.dynsym`, 16 bits each. */
  GNU_VERDEF: 0x6fff_fffd,
  GNU_VERSYM: 0x6fff_ffff,
} as const;

/** Bits of `sh_flags`. */
export const ElfSectionFlag = { WRITE: 1, ALLOC: 2, EXECINSTR: 4, INFO_LINK: 0x40, COMPRESSED: 0x800 } as const;

/** Section indexes with a meaning of their own. */
export const ElfSectionIndex = {
  /** Undefined: a symbol that another file has. */
  UNDEF: 0,
  /** The first index that is none. */
  LORESERVE: 0xff00,
  ABS: 0xfff1,
  COMMON: 0xfff2,
  /** The real number is elsewhere, being too large. */
  XINDEX: 0xffff,
} as const;

/** What a segment is for (`p_type`). */
export const ElfSegmentType = { LOAD: 1, DYNAMIC: 2, INTERP: 3, NOTE: 4, PHDR: 6, TLS: 7 } as const;

/** Bits of `p_flags`. */
export const ElfSegmentFlag = { EXECUTE: 1, WRITE: 2, READ: 4 } as const;

/** `e_phnum` when the real number of segments is in section 0. */
export const ELF_PHNUM_ELSEWHERE = 0xffff;

/** What a symbol names (low four bits of `st_info`). */
export const ElfSymbolType = {
  NOTYPE: 0,
  OBJECT: 1,
  FUNC: 2,
  SECTION: 3,
  FILE: 4,
  COMMON: 5,
  TLS: 6,
  GNU_IFUNC: 10,
} as const;

/** Who sees a symbol (high four bits of `st_info`). */
export const ElfSymbolBinding = { LOCAL: 0, GLOBAL: 1, WEAK: 2, GNU_UNIQUE: 10 } as const;

/** Types of notes of the owner `GNU`. */
export const ElfGnuNote = { ABI_TAG: 1, BUILD_ID: 3, PROPERTY: 5 } as const;

/** Bit of a symbol's version: it is not the default one. */
export const ELF_VERSION_HIDDEN = 0x8000;

/** Relocations of BPF code (`r_type`). Source: the BPF ABI of LLVM, "LLVM relocations". */
export const ElfBpfRelocation = {
  /** Both immediates of an ld_imm64. */
  R_BPF_64_64: 1,
  /** Eight bytes of data. */
  R_BPF_64_ABS64: 2,
  /** The immediate of a call. */
  R_BPF_64_32: 10,
} as const;

/** Bytes of a relocation without addend, 64-bit class. */
export const ELF64_REL_SIZE = 16;
