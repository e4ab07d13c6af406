/** A program of the software kernel. */
import { SkepError } from "../../base/index.ts";
import type { ProgramSpec } from "../../object/index.ts";
import {
  ADDRESS_HIGH,
  ARGUMENT_WORD,
  CompiledProgram,
  Interpreter,
  type VmHost,
  type VmMemory,
  type VmProgram,
  addressOf,
} from "../../vm/index.ts";
import type { KernelProgram, ProgramInfo } from "../kernel.ts";

/** Instructions that one run may take, unless told otherwise: more than the kernel's verifier lets through without loops. */
export const DEFAULT_FUEL: number = 1_000_000_000;

const FUEL = BigInt(DEFAULT_FUEL);

/** Which form programs are run in. */
export type ExecutionMode = "compiled" | "interpreted";

/** A loaded program: can be run any number of times. */
export class SoftProgram implements KernelProgram {
  readonly spec: ProgramSpec;
  readonly id: number;
  readonly code: VmProgram;
  private readonly memory: VmMemory;
  private readonly host: VmHost;
  private readonly mode: ExecutionMode;
  private readonly onClose: () => void;
  private machine: CompiledProgram | Interpreter | undefined;
  private runs = 0;
  private nanoseconds = 0;
  /** Run times are counted. */
  timed = false;
  private closed = false;
  private busy = false;

  constructor(
    spec: ProgramSpec,
    id: number,
    code: VmProgram,
    memory: VmMemory,
    host: VmHost,
    mode: ExecutionMode,
    onClose: () => void,
  ) {
    this.spec = spec;
    this.id = id;
    this.code = code;
    this.memory = memory;
    this.host = host;
    this.mode = mode;
    this.onClose = onClose;
  }

  /**
   * Runs the program on a context whose address is in the memory of the kernel, and returns r0. Throws VmFault when it does what no verified
   * program does. A program that is running already, as when one fires a hook of its own, is skipped: 0, as in the kernel.
   */
  run(context: bigint): bigint {
    if (this.closed) throw new SkepError("closed", `program ${this.spec.name}: is closed`);
    if (this.busy) return 0n;
    this.machine ??=
      this.mode === "compiled"
        ? new CompiledProgram(this.code, this.memory, this.host)
        : new Interpreter(this.code, this.memory, this.host);
    this.busy = true;
    const begin = this.timed ? performance.now() : 0;
    try {
      return this.machine.execute([context], DEFAULT_FUEL);
    } finally {
      this.busy = false;
      if (this.timed) {
        this.runs++;
        this.nanoseconds += (performance.now() - begin) * 1e6;
      }
    }
  }

  /** As {@link run}, with the context at an offset of the kernel's memory and nothing to return. */
  runAt(context: number): void {
    const { machine } = this;
    if (!(machine instanceof CompiledProgram) || this.busy || this.timed || this.closed) {
      this.run(addressOf(context));
      return;
    }
    const { words } = this.memory;
    words[ARGUMENT_WORD] = context;
    words[ARGUMENT_WORD + 1] = ADDRESS_HIGH;
    machine.refuel(FUEL);
    this.busy = true;
    try {
      machine.run();
    } finally {
      this.busy = false;
    }
  }

  /** Runs it in the place of another, on that one's context, with a stack of its own: as often as tail calls do, also when it is running. */
  replace(context: bigint): bigint {
    const machine =
      this.mode === "compiled"
        ? new CompiledProgram(this.code, this.memory, this.host)
        : new Interpreter(this.code, this.memory, this.host);
    try {
      return machine.execute([context], DEFAULT_FUEL);
    } finally {
      machine.close();
    }
  }

  testRun(context: Uint8Array = new Uint8Array()): number {
    const size = Math.max(context.length, 8);
    const at = this.memory.allocate(size);
    try {
      this.memory.bytes.set(context, at);
      return Number(BigInt.asUintN(32, this.run(addressOf(at))));
    } finally {
      this.memory.release(at, size);
    }
  }

  info(): ProgramInfo {
    return {
      id: this.id,
      tag: "",
      runTimeNs: Math.round(this.nanoseconds),
      runCount: this.runs,
      recursionMisses: 0,
      translatedInsns: this.spec.code.length / 8,
      jitedBytes: this.machine instanceof CompiledProgram ? this.machine.moduleBytes : 0,
      verifiedInsns: 0,
    };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.machine?.close();
    this.onClose();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
