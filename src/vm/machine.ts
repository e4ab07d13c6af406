/** What running programs and those who run them have between them. */
import { ARGUMENT_WORD, RESULT_WORD, type VmMemory } from "./memory.ts";

/** Number of the helper `bpf_tail_call`, which may not return. */
export const TAIL_CALL = 12;
/** Frames that calls of a program's own functions may take, its first included (MAX_CALL_FRAMES of the kernel). */
export const MAX_FRAMES = 8;
/** Bytes of a frame (MAX_BPF_STACK). */
export const FRAME_BYTES = 512;
/** How often a `may_goto` loop runs before it is left (BPF_MAX_LOOPS of the kernel). */
export const MAX_LOOPS: number = 8 * 1024 * 1024;
/** What programs know their own functions by, as callbacks: this and the function's index. */
export const FUNCTION_BASE: bigint = 0xffff_ffff_a000_0000n;

/** A running program, as helpers see it. */
export interface Machine {
  readonly memory: VmMemory;
  /** The call instruction. */
  readonly slot: number;
  /** Runs one of the program's functions, as helpers with callbacks do; returns its r0. */
  callback(address: bigint, args: readonly bigint[]): bigint;
}

/** Functions outside of programs: helpers by number, kernel functions by BTF id. */
export interface VmHost {
  /**
   * Runs a helper whose arguments are in the memory's words from `ARGUMENT_WORD` on, and leaves r0 at `RESULT_WORD`. False when there is
   * none of this number.
   */
  helper(id: number, machine: Machine): boolean;
  /**
   * `bpf_tail_call`: runs another program in this one's place. True when it has run, with its r0 at `RESULT_WORD`: the calling function
   * then ends with that. Else `RESULT_WORD` is what the helper returns.
   */
  tailCall?(machine: Machine): boolean;
  /** As `helper`, for calls of kernel functions: their BTF id and the index of their module's BTF. */
  kfunc?(id: number, module: number, machine: Machine): boolean;
  /**
   * Bytes of the packet for LD_ABS and LD_IND, as a number in host order; undefined beyond its end, which ends the program with 0. Negative
   * offsets reach what classic BPF called ancillary data.
   */
  packet?(context: bigint, offset: number, size: 1 | 2 | 4): number | undefined;
}

/** A host without any function. */
export const emptyHost: VmHost = { helper: () => false };

/** Argument `index` of the helper that is being called. */
export function argument(memory: VmMemory, index: number): bigint {
  const at = ARGUMENT_WORD + 2 * index;
  return (BigInt(memory.words[at + 1]! >>> 0) << 32n) | BigInt(memory.words[at]! >>> 0);
}

/** Sets the result of the helper that is being called. */
export function setResult(memory: VmMemory, value: bigint): void {
  memory.words[RESULT_WORD] = Number(BigInt.asIntN(32, value));
  memory.words[RESULT_WORD + 1] = Number(BigInt.asIntN(32, value >> 32n));
}

/** Sets the result to a small signed number, such as a negative errno. */
export function setSmallResult(memory: VmMemory, value: number): void {
  memory.words[RESULT_WORD] = value;
  memory.words[RESULT_WORD + 1] = value >> 31;
}
