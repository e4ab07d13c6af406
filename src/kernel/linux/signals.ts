/** Signals kept away from a system call. */
import { NativeMemory } from "./memory.ts";
import { syscall6 } from "./sys.ts";

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** Bytes of the kernel's `sigset_t`: 64 signals. */
const SET_BYTES = 8;

/** All signals, and the mask that was there before. */
let masks: NativeMemory | undefined;

/**
 * Makes calls during which no signal reaches this thread; those that came meanwhile are delivered afterwards. For calls that give up when
 * one waits: the verifier says EAGAIN, and under a profiler, whose signals come every millisecond, a program of more than a millisecond
 * would never be verified. (SIGKILL and SIGSTOP cannot be kept away.)
 */
export function withoutSignals<T>(body: () => T): T {
  masks ??= new NativeMemory(2 * SET_BYTES);
  masks.bytes.fill(0xff, 0, SET_BYTES);
  const before = masks.address + SET_BYTES;
  if (syscall6("rt_sigprocmask", SIG_BLOCK, masks.address, before, SET_BYTES) < 0) return body();
  try {
    return body();
  } finally {
    syscall6("rt_sigprocmask", SIG_SETMASK, before, 0, SET_BYTES);
  }
}
