/** The limit on locked memory, which BPF memory counted against before Linux 5.11. */
import { machine } from "./machine.ts";
import { callAttributes } from "./scratch.ts";
import { syscall6 } from "./sys.ts";

const RLIMIT_MEMLOCK = 8;
/** `RLIM64_INFINITY` in each half. */
const INFINITE = 0xffff_ffff;

let done = false;

/** Lifts the limit where it counts. Not being allowed to is no error: what then does not fit says so itself. */
export function raiseMemlock(): void {
  if (done) return;
  done = true;
  if (machine.atLeast(5, 11)) return;
  const limit = callAttributes(16).u32(0, INFINITE).u32(4, INFINITE).u32(8, INFINITE).u32(12, INFINITE);
  syscall6("prlimit64", 0, RLIMIT_MEMLOCK, limit.address, 0);
}
