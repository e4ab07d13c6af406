/** Which registers hold what, by architecture: members of its `struct pt_regs` (System V AMD64 ABI, AAPCS64, syscall(2)). */

/** Architectures whose registers `PT_REGS_*` can name. */
export type CArch = "x86_64" | "arm64";

/** Registers of an architecture as members of the struct that `struct` names. */
export interface RegisterNames {
  /** `-D__TARGET_ARCH_…` chooses it. */
  readonly macro: string;
  /** The struct with the registers; null for `struct pt_regs` itself. */
  readonly struct: string | null;
  readonly params: readonly string[];
  readonly syscall: readonly string[];
  /** A struct of its own for the first argument of a system call, which is no member of `struct`. */
  readonly syscallFirst?: { readonly struct: string; readonly member: string };
  readonly ret: string;
  readonly fp: string;
  readonly rc: string;
  readonly sp: string;
  readonly ip: string;
  /** The address that a function returns to is in memory, not in `ret`. */
  readonly returnOnStack: boolean;
}

/** By architecture. */
export const registerNames: Readonly<Record<CArch, RegisterNames>> = {
  x86_64: {
    macro: "x86",
    struct: null,
    params: ["di", "si", "dx", "cx", "r8", "r9"],
    syscall: ["di", "si", "dx", "r10", "r8", "r9"],
    ret: "sp",
    fp: "bp",
    rc: "ax",
    sp: "sp",
    ip: "ip",
    returnOnStack: true,
  },
  arm64: {
    macro: "arm64",
    struct: "user_pt_regs",
    params: [0, 1, 2, 3, 4, 5, 6, 7].map((n) => `regs[${n}]`),
    syscall: ["orig_x0", "regs[1]", "regs[2]", "regs[3]", "regs[4]", "regs[5]"],
    syscallFirst: { struct: "pt_regs___arm64", member: "orig_x0" },
    ret: "regs[30]",
    fp: "regs[29]",
    rc: "regs[0]",
    sp: "sp",
    ip: "pc",
    returnOnStack: false,
  },
};
