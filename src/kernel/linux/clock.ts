/** The kernel's clocks, exact to the nanosecond: Node has none since boot. */
import { NativeMemory } from "./memory.ts";
import { syscall3 } from "./sys.ts";

/** `CLOCK_*` of include/uapi/linux/time.h. */
export const Clock = { REALTIME: 0, MONOTONIC: 1, BOOTTIME: 7, TAI: 11 } as const;

/** Reads a clock: nanoseconds. Undefined when the kernel has no such clock. */
export function clockNs(clock: number): bigint | undefined {
  const memory = new NativeMemory(16);
  try {
    if (syscall3("clock_gettime", clock, memory.address) < 0) return undefined;
    return memory.view.getBigInt64(0, true) * 1_000_000_000n + memory.view.getBigInt64(8, true);
  } finally {
    memory.free();
  }
}

/** What the wall clock showed at boot, in nanoseconds since 1970: adding it to a time since boot gives a date. */
export function bootTimeNs(): bigint {
  let best = 0n;
  let narrowest: bigint | undefined;
  // Between the two readings of the one clock lies that of the other: the narrowest of some tries is the truest.
  for (let i = 0; i < 5; i++) {
    const before = clockNs(Clock.BOOTTIME) ?? 0n;
    const wall = clockNs(Clock.REALTIME) ?? 0n;
    const after = clockNs(Clock.BOOTTIME) ?? 0n;
    if (narrowest === undefined || after - before < narrowest) {
      narrowest = after - before;
      best = wall - (before + after) / 2n;
    }
  }
  return best;
}
