/** A program of an opened object. */
import { SkepError } from "../../base/index.ts";
import type { KernelProgram, ProgramInfo } from "../../kernel/index.ts";
import { LinuxProgram, type OwnedFd, type TestRunRequest, type TestRunResult } from "../../kernel/linux/index.ts";
import type { AttachRequest } from "../../object/index.ts";
import type { AttachedProgram, AttachOptions } from "../attachment/index.ts";
import type { EditableProgram } from "./spec.ts";

/** What a program asks of the object that it belongs to. */
export interface ProgramHost {
  /** Throws SkepError when the object is not loaded, or closed. */
  loadedProgram(name: string): KernelProgram;
  attachProgram(name: string, request: AttachRequest | undefined, options: AttachOptions): AttachedProgram;
}

/** A program: its spec before the object is loaded, the kernel's program afterwards. */
export class Program {
  readonly name: string;
  /** What may be changed before `load()`. */
  readonly spec: EditableProgram;
  private readonly host: ProgramHost;

  constructor(name: string, spec: EditableProgram, host: ProgramHost) {
    this.name = name;
    this.spec = spec;
    this.host = host;
  }

  /** The kernel's program. Throws SkepError (`not-loaded`, `no-program`, `closed`) when there is none. */
  get kernelProgram(): KernelProgram {
    return this.host.loadedProgram(this.name);
  }

  /** Its descriptor, such as maps of programs and libraries of other kinds want it. It stays the object's to close. */
  get fd(): OwnedFd {
    return this.linuxProgram("descriptor").fd;
  }

  private linuxProgram(what: string): LinuxProgram {
    const program = this.kernelProgram;
    if (program instanceof LinuxProgram) return program;
    throw new SkepError(
      "unsupported",
      `program ${this.name}: ${what}: only programs of the running Linux kernel have it`,
      {
        exitStatus: 3,
      },
    );
  }

  /**
   * Attaches it to `request`, or else to where its section says. It is detached when the result or the object is closed. Throws
   * SkepError (`no-place`) when nobody says where, UnsupportedError when this machine cannot, SyscallError else.
   */
  attach(request?: AttachRequest, options: AttachOptions = {}): AttachedProgram {
    return this.host.attachProgram(this.name, request, options);
  }

  /** Runs it once in the kernel, without attaching it; returns r0. */
  testRun(context?: Uint8Array): number {
    return this.kernelProgram.testRun(context);
  }

  /** As {@link testRun}, with packets in and out, repetition and time. */
  run(request: TestRunRequest = {}): TestRunResult {
    return this.linuxProgram("test run").run(request);
  }

  /** What the kernel tells of it. Times and counts need statistics, see `Kernel.enableStats`. */
  info(): ProgramInfo {
    return this.kernelProgram.info();
  }

  /** Keeps the program beyond this process under a path of a bpffs. */
  pin(path: string): void {
    this.linuxProgram("pin").pin(path);
  }
}
