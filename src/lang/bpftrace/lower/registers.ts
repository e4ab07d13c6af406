/** `struct pt_regs` of each architecture: where the registers that probes speak of lie. */

/** Byte offsets in `struct pt_regs`. */
export interface RegisterFile {
  /** Integer arguments of a function, first to last. */
  readonly args: readonly number[];
  /** Arguments of a system call, first to last, at its entry. */
  readonly syscallArgs: readonly number[];
  /** Number of the system call, at its entry and exit, and its width in bits. */
  readonly syscallNumber: { readonly offset: number; readonly bits: 32 | 64 };
  readonly result: number;
  readonly ip: number;
  readonly sp: number;
  /** Bytes between the stack pointer and the first argument on the stack at a function's entry. */
  readonly stackArgs: number;
  /** Tells user mode: `(register & mask) == value`. */
  readonly mode: { readonly offset: number; readonly mask: number; readonly user: number };
  /** By the names that `reg()` takes. */
  readonly names: ReadonlyMap<string, number>;
}

function namesOf(layout: readonly (readonly [number, string])[]): Map<string, number> {
  const names = new Map<string, number>();
  for (const [offset, list] of layout) for (const name of list.split(" ")) names.set(name, offset);
  return names;
}

/** arch/x86/include/asm/ptrace.h and the System V calling convention. */
const X86_64: RegisterFile = {
  args: [112, 104, 96, 88, 72, 64],
  syscallArgs: [112, 104, 96, 56, 72, 64],
  syscallNumber: { offset: 120, bits: 64 },
  result: 80,
  ip: 128,
  sp: 152,
  stackArgs: 8,
  mode: { offset: 136, mask: 3, user: 3 },
  names: namesOf([
    [0, "r15"],
    [8, "r14"],
    [16, "r13"],
    [24, "r12"],
    [32, "bp rbp"],
    [40, "bx rbx"],
    [48, "r11"],
    [56, "r10"],
    [64, "r9"],
    [72, "r8"],
    [80, "ax rax"],
    [88, "cx rcx"],
    [96, "dx rdx"],
    [104, "si rsi"],
    [112, "di rdi"],
    [120, "orig_ax orig_rax"],
    [128, "ip rip"],
    [136, "cs"],
    [144, "flags eflags"],
    [152, "sp rsp"],
    [160, "ss"],
  ]),
};

/** arch/arm64/include/asm/ptrace.h and the procedure call standard. */
const AARCH64: RegisterFile = {
  args: [0, 8, 16, 24, 32, 40, 48, 56],
  syscallArgs: [272, 8, 16, 24, 32, 40],
  syscallNumber: { offset: 280, bits: 32 },
  result: 0,
  ip: 256,
  sp: 248,
  stackArgs: 0,
  mode: { offset: 264, mask: 15, user: 0 },
  names: namesOf([
    ...Array.from({ length: 31 }, (_, i): [number, string] => [
      i * 8,
      i === 29 ? "r29 x29 fp" : i === 30 ? "r30 x30 lr" : `r${i} x${i}`,
    ]),
    [248, "sp"],
    [256, "pc ip"],
    [264, "pstate"],
  ]),
};

/** The registers of each architecture that programs run on. */
export const REGISTERS: Readonly<Record<"x86_64" | "aarch64", RegisterFile>> = { x86_64: X86_64, aarch64: AARCH64 };
