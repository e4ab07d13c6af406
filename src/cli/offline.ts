/** An environment without a machine: for scripts that ask nothing of one. */
import type { TraceEnvironment } from "../lang/bpftrace/environment.ts";

/** Linux 6.12 on x86-64 with four CPUs and nothing to look up. */
export function offlineEnvironment(): TraceEnvironment {
  return {
    arch: "x86_64",
    kernelVersion: [6, 12, 0],
    btf: null,
    tracepoints: () => [],
    tracepointFormat: () => undefined,
    kernelFunctions: () => null,
    kprobeProblem: null,
    kernelSymbol: () => undefined,
    binaries: () => [],
    cgroupId: () => undefined,
    positional: [],
    possibleCpus: 4,
    config: new Map(),
  };
}
