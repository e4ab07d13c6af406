/** Sizes and bounds of the UAPI and of the verifier. */

/** Bytes of a program's stack, `MAX_BPF_STACK`. */
export const MAX_STACK_BYTES: number = 512;

/** Bytes of an object's name with its closing NUL, `BPF_OBJ_NAME_LEN`. */
export const OBJ_NAME_LENGTH: number = 16;

/** Bytes of a program's tag, `BPF_TAG_SIZE`. */
export const TAG_SIZE: number = 8;

/** Instructions of one program, without `CAP_BPF`: `BPF_MAXINSNS`. */
export const MAX_INSNS_UNPRIVILEGED: number = 4096;

/** Instructions that the verifier walks, and the most one program may hold, `BPF_COMPLEXITY_LIMIT_INSNS` (Linux 5.2). */
export const MAX_INSNS_VERIFIED: number = 1_000_000;

/** Nested calls within one program, `MAX_CALL_FRAMES`. */
export const MAX_CALL_FRAMES: number = 8;

/** Tail calls in a row, `MAX_TAIL_CALL_CNT` (Linux 5.16; 32 before). */
export const MAX_TAIL_CALLS: number = 33;

/** Frames of a kernel or user stack, `PERF_MAX_STACK_DEPTH`, the default of `kernel.perf_event_max_stack`. */
export const PERF_MAX_STACK_DEPTH: number = 127;
