/** What the kernel that will run the code understands. */

/** Version and instruction set of the kernel a program is compiled for. */
export interface KernelTarget {
  /** Major and minor, such as `[6, 1]`. */
  readonly version: readonly [number, number];
  /** Instruction set: v2 has all comparisons, v3 32-bit jumps, v4 sign extension, signed division and long jumps. */
  readonly cpu: "v1" | "v2" | "v3" | "v4";
  /** `may_goto` is understood (kernel 6.9). */
  readonly mayGoto: boolean;
  /** Signed division of the lowest number by -1 is defined (kernel 6.12); older kernels with v4 fault on it. */
  readonly safeSignedDivision: boolean;
  /** Atomics that return the old value (kernel 5.12). */
  readonly atomicFetch: boolean;
  /** A `BPF_ST` into the context is accepted (kernel 6.3). */
  readonly storeImmToContext: boolean;
}

function atLeast(version: readonly [number, number], major: number, minor: number): boolean {
  return version[0] > major || (version[0] === major && version[1] >= minor);
}

/** The target of a kernel version: v4 from 6.6, v3 from 5.1, v2 from 4.14. Measured features override what the version implies. */
export function kernelTarget(version: readonly [number, number], measured: Partial<KernelTarget> = {}): KernelTarget {
  return {
    version,
    cpu: atLeast(version, 6, 6) ? "v4" : atLeast(version, 5, 1) ? "v3" : atLeast(version, 4, 14) ? "v2" : "v1",
    mayGoto: atLeast(version, 6, 9),
    safeSignedDivision: atLeast(version, 6, 12),
    atomicFetch: atLeast(version, 5, 12),
    storeImmToContext: atLeast(version, 6, 3),
    ...measured,
  };
}

/** The oldest kernel that Skep supports: what is compiled when no kernel is named. */
export const DEFAULT_TARGET: KernelTarget = kernelTarget([5, 10]);
