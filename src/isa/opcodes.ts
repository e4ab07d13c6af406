/**
 * The numbers that an instruction is made of (RFC 9669 and, for what came later, Linux 6.18's uapi/linux/bpf.h).
 *
 * An instruction is eight bytes: opcode 8 bits, destination register 4, source register 4, offset 16 signed, immediate 32 signed.
 * The opcode's low three bits are its class. Arithmetic and jumps: bit 3 is the source (immediate or register), bits 4 to 7 the
 * operation. Loads and stores: bits 3 and 4 are the size, bits 5 to 7 the mode.
 */

/** Bits 0 to 2 of an opcode (RFC 9669, section 3.3). */
export const Class = {
  /** Loads of constants, and packet access of classic BPF. */
  LD: 0x00,
  LDX: 0x01,
  /** Stores of immediates. */
  ST: 0x02,
  /** Stores of registers, and atomics. */
  STX: 0x03,
  /** 32-bit arithmetic: the destination's upper half becomes zero. */
  ALU: 0x04,
  /** Jumps that compare 64 bits. */
  JMP: 0x05,
  /** Jumps that compare 32 bits. */
  JMP32: 0x06,
  ALU64: 0x07,
} as const;

/** Bit 3 of arithmetic and jumps (RFC 9669, section 4). */
export const Source = {
  /** The immediate, sign-extended to 64 bits. */
  K: 0x00,
  /** The source register. */
  X: 0x08,
} as const;

/** Bits 4 to 7 of classes ALU and ALU64 (RFC 9669, section 4.1). */
export const Alu = {
  ADD: 0x00,
  SUB: 0x10,
  MUL: 0x20,
  /** Division by zero gives 0. Offset 1: signed. */
  DIV: 0x30,
  OR: 0x40,
  AND: 0x50,
  LSH: 0x60,
  RSH: 0x70,
  NEG: 0x80,
  /** Modulo zero leaves the destination as it was. Offset 1: signed. */
  MOD: 0x90,
  XOR: 0xa0,
  /** Offset 8, 16 or 32 with a register: sign-extends that many low bits. */
  MOV: 0xb0,
  ARSH: 0xc0,
  /** Byte order. ALU: to little (source bit 0) or big endian (1). ALU64: unconditional swap. Immediate: 16, 32 or 64 bits. */
  END: 0xd0,
} as const;

/** What the offset of an arithmetic instruction selects. */
export const AluOffset = {
  /** Signed division and modulo (cpu v4, Linux 6.6). */
  SIGNED: 1,
  /** Sign-extending moves (cpu v4, Linux 6.6). */
  SX8: 8,
  SX16: 16,
  SX32: 32,
  /** 64-bit register move between address spaces, the immediate's halves naming them (Linux 6.9). */
  ADDR_SPACE_CAST: 1,
  /** 64-bit register move to this CPU's copy; made by the kernel only, seen in dumps (Linux 6.10). */
  ADDR_PERCPU: -1,
} as const;

/** Bits 4 to 7 of classes JMP and JMP32 (RFC 9669, section 4.3). */
export const Jmp = {
  /** JMP: by the offset. JMP32: by the immediate, `gotol` (cpu v4, Linux 6.6). JMP with a register: `gotox` (Linux 6.19). */
  JA: 0x00,
  JEQ: 0x10,
  JGT: 0x20,
  JGE: 0x30,
  JSET: 0x40,
  JNE: 0x50,
  JSGT: 0x60,
  JSGE: 0x70,
  /** JMP only. */
  CALL: 0x80,
  /** JMP only. */
  EXIT: 0x90,
  JLT: 0xa0,
  JLE: 0xb0,
  JSLT: 0xc0,
  JSLE: 0xd0,
  /** JMP only: `may_goto`, taken when the kernel's budget for the loop is spent (Linux 6.9). */
  JCOND: 0xe0,
} as const;

/** Bits 3 and 4 of loads and stores (RFC 9669, section 5). */
export const Size = {
  /** Four bytes. */
  W: 0x00,
  /** Two bytes. */
  H: 0x08,
  /** One byte. */
  B: 0x10,
  /** Eight bytes. */
  DW: 0x18,
} as const;

/** Bytes of each member of {@link Size}, at its bits shifted right by three. */
export const SIZE_BYTES: readonly [4, 2, 1, 8] = [4, 2, 1, 8];

/** Bits 5 to 7 of loads and stores (RFC 9669, section 5). */
export const Mode = {
  /** Class LD, size DW: a 64-bit immediate in two slots. */
  IMM: 0x00,
  /** Class LD: packet at an immediate offset, network byte order. */
  ABS: 0x20,
  /** Class LD: packet at a register plus an immediate. */
  IND: 0x40,
  MEM: 0x60,
  /** Class LDX: sign-extending load (cpu v4, Linux 6.6). */
  MEMSX: 0x80,
  /** Class STX: atomics. Class ST: a barrier against speculation that only the kernel makes. */
  ATOMIC: 0xc0,
} as const;

/** Immediate of an atomic instruction (RFC 9669, section 5.3). */
export const Atomic = {
  ADD: 0x00,
  OR: 0x40,
  AND: 0x50,
  XOR: 0xa0,
  /** Added to the four above: the source register receives the old value (Linux 5.12). */
  FETCH: 0x01,
  XCHG: 0xe1,
  /** Compares with r0, r0 receives the old value. */
  CMPXCHG: 0xf1,
  /** Any size; the destination register is loaded from the source's address (Linux 6.15). */
  LOAD_ACQ: 0x100,
  /** Any size (Linux 6.15). */
  STORE_REL: 0x110,
} as const;

/** Source register of a 64-bit immediate load: what its value means (RFC 9669, section 5.4). */
export const PseudoImm64 = {
  /** The number itself. */
  NONE: 0,
  /** First slot: a map's descriptor. */
  MAP_FD: 1,
  /** First slot: a map's descriptor. Second slot: byte offset in its first value (Linux 5.2). */
  MAP_VALUE: 2,
  /** First slot: BTF id of a kernel variable. Second slot: descriptor of a module's BTF, or 0 (Linux 5.10). */
  BTF_ID: 3,
  /** First slot: distance to a subprogram, in instructions from the next one (Linux 5.13). */
  FUNC: 4,
  /** First slot: index in `fd_array` (Linux 5.14). */
  MAP_IDX: 5,
  /** First slot: index in `fd_array`. Second slot: byte offset in the map's first value (Linux 5.14). */
  MAP_IDX_VALUE: 6,
} as const;

/** Source register of a call (RFC 9669, section 4.3.1). */
export const PseudoCall = {
  /** A helper, the immediate is its number. */
  HELPER: 0,
  /** A subprogram, the immediate is the distance from the next instruction. */
  LOCAL: 1,
  /** A kernel function, the immediate is its BTF id, the offset an index into `fd_array` for modules (Linux 5.13). */
  KFUNC: 2,
} as const;

/** Registers by their role. */
export const Reg = {
  /** Result. */
  R0: 0,
  /** First argument, the context at entry. r1 to r5 do not survive a call. */
  R1: 1,
  R2: 2,
  R3: 3,
  R4: 4,
  R5: 5,
  /** r6 to r9 survive calls. */
  R6: 6,
  R7: 7,
  R8: 8,
  R9: 9,
  /** End of the stack, read only. */
  R10: 10,
} as const;

/** Bytes of an instruction slot. */
export const INSN_SIZE: number = 8;

/** Opcode of the only instruction with two slots. */
export const LD_IMM64: number = Class.LD | Size.DW | Mode.IMM;

/** What an opcode does, one form for each way of printing and checking it. */
export type OpcodeForm =
  | "alu-imm"
  | "alu-reg"
  | "neg"
  | "endian"
  | "bswap"
  | "ld-imm64"
  | "ld-abs"
  | "ld-ind"
  | "load"
  | "load-sx"
  | "store-imm"
  | "store-reg"
  | "atomic"
  | "nospec"
  | "goto"
  | "gotol"
  | "gotox"
  | "may-goto"
  | "jump-imm"
  | "jump-reg"
  | "call"
  | "callx"
  | "exit";

const conditions: readonly number[] = [
  Jmp.JEQ,
  Jmp.JGT,
  Jmp.JGE,
  Jmp.JSET,
  Jmp.JNE,
  Jmp.JSGT,
  Jmp.JSGE,
  Jmp.JLT,
  Jmp.JLE,
  Jmp.JSLT,
  Jmp.JSLE,
];

function buildForms(): (OpcodeForm | undefined)[] {
  const forms = Array.from<OpcodeForm | undefined>({ length: 256 });
  for (const cls of [Class.ALU, Class.ALU64]) {
    for (const op of Object.values(Alu)) {
      if (op === Alu.NEG || op === Alu.END) continue;
      forms[cls | op | Source.K] = "alu-imm";
      forms[cls | op | Source.X] = "alu-reg";
    }
    forms[cls | Alu.NEG] = "neg";
  }
  forms[Class.ALU | Alu.END | Source.K] = "endian";
  forms[Class.ALU | Alu.END | Source.X] = "endian";
  forms[Class.ALU64 | Alu.END] = "bswap";
  for (const cls of [Class.JMP, Class.JMP32]) {
    for (const op of conditions) {
      forms[cls | op | Source.K] = "jump-imm";
      forms[cls | op | Source.X] = "jump-reg";
    }
  }
  forms[Class.JMP | Jmp.JA] = "goto";
  forms[Class.JMP | Jmp.JA | Source.X] = "gotox";
  forms[Class.JMP32 | Jmp.JA] = "gotol";
  forms[Class.JMP | Jmp.JCOND] = "may-goto";
  forms[Class.JMP | Jmp.CALL] = "call";
  forms[Class.JMP | Jmp.CALL | Source.X] = "callx";
  forms[Class.JMP | Jmp.EXIT] = "exit";
  for (const size of Object.values(Size)) {
    forms[Class.LDX | Mode.MEM | size] = "load";
    if (size !== Size.DW) {
      forms[Class.LDX | Mode.MEMSX | size] = "load-sx";
      forms[Class.LD | Mode.ABS | size] = "ld-abs";
      forms[Class.LD | Mode.IND | size] = "ld-ind";
    }
    forms[Class.ST | Mode.MEM | size] = "store-imm";
    forms[Class.STX | Mode.MEM | size] = "store-reg";
    forms[Class.STX | Mode.ATOMIC | size] = "atomic";
  }
  forms[Class.ST | Mode.ATOMIC] = "nospec";
  forms[LD_IMM64] = "ld-imm64";
  return forms;
}

/** The form of each of the 256 opcodes, undefined where Linux 6.18 knows none. */
export const OPCODE_FORMS: readonly (OpcodeForm | undefined)[] = buildForms();
