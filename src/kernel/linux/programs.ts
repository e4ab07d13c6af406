/** Programs of the running kernel. */
import type { ProgramSpec } from "../../object/index.ts";
import type { KernelProgram, ProgramInfo } from "../kernel.ts";
import { describeProg } from "./bpf.ts";
import { type TestRunRequest, type TestRunResult, testRunProg } from "./bpf-prog.ts";
import type { OwnedFd } from "./fd.ts";
import { pin } from "./pins.ts";

/** A loaded program. Links hold it on their own: it may be closed while attached. */
export class LinuxProgram implements KernelProgram {
  readonly spec: ProgramSpec;
  /** Owned by this program. */
  readonly fd: OwnedFd;

  constructor(spec: ProgramSpec, fd: OwnedFd) {
    this.spec = spec;
    this.fd = fd;
  }

  testRun(context?: Uint8Array): number {
    return this.run(context === undefined ? {} : { context }).returnValue;
  }

  /** As `testRun`, with repetition, and with the time and output that the kernel gives back. */
  run(request: TestRunRequest = {}): TestRunResult {
    return testRunProg(this.fd.value, this.spec.name, this.spec.type, request);
  }

  info(): ProgramInfo {
    const { id, tag, runTimeNs, runCount, recursionMisses, translatedBytes, jitedBytes, verifiedInsns } = describeProg(
      this.fd.value,
    );
    return {
      id,
      tag,
      runTimeNs,
      runCount,
      recursionMisses,
      translatedInsns: translatedBytes / 8,
      jitedBytes,
      verifiedInsns,
    };
  }

  /** Keeps the program beyond this process under a path of a bpffs. Throws SkepError when that is taken, UnsupportedError when it is no bpffs. */
  pin(path: string): void {
    pin(this.fd, path);
  }

  close(): void {
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
