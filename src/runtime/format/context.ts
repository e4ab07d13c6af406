/** What formatting asks of its surroundings: symbols, names, clocks and stacks of the machine that was traced. */

/** Which release of bpftrace is followed to the byte: the current one (0.26), or 0.17, which Debian 12 ships. */
export type Compat = "0.26" | "0.17";

/** Everything that a value cannot say by itself. Implementations cache: the same address is asked for again and again. */
export interface FormatContext {
  readonly compat: Compat;
  /** Appended to strings that fill their room, `..` unless configured. */
  readonly strTruncTrailer: string;
  /** What values of type `probe-name` index. */
  readonly probeNames: readonly string[];
  readonly possibleCpus: number;
  /** Kernel symbol of an address, with `+offset` when wanted; hexadecimal when there is none. */
  kernelSymbol(address: bigint, withOffset: boolean): string;
  /** Symbol of an address of a process. `perf` appends the module in parentheses. */
  userSymbol(address: bigint, pid: number, withOffset: boolean, perf: boolean): string;
  /** Addresses of a recorded stack, innermost first; null when the id is not known. */
  stackAddresses(of: "kernel" | "user", limit: number, id: number): readonly bigint[] | null;
  /** Name of a user id; empty when it has none. */
  userName(uid: number): string;
  /** Paths of a cgroup in the hierarchies that match `filter`, as bpftrace joins them. */
  cgroupPath(id: bigint, filter: string): string;
  /** Nanoseconds of the wall clock at boot. */
  bootTimeNs(): bigint;
}
