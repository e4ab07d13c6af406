/** Attachments to the running kernel. */
import type { AttachSpec } from "../../object/index.ts";
import type { Link } from "../kernel.ts";
import { createIterator } from "./bpf.ts";
import { syscallFailure } from "./diagnose.ts";
import type { OwnedFd } from "./fd.ts";
import { NativeMemory } from "./memory.ts";
import { syscall3 } from "./sys.ts";

const READ_BYTES = 1 << 16;

/** What keeps one attachment: descriptors, which the kernel closes with the process, and what must be undone besides. */
export class LinuxLink implements Link {
  readonly spec: AttachSpec;
  private readonly fds: readonly OwnedFd[];
  private readonly undo: (() => void) | undefined;

  /** `fds` are closed in order; `undo` runs after them. */
  constructor(spec: AttachSpec, fds: readonly OwnedFd[], undo?: () => void) {
    this.spec = spec;
    this.fds = fds;
    this.undo = undo;
  }

  /** First descriptor: the BPF link, or the perf event where the kernel has no links for it. */
  get fd(): OwnedFd {
    return this.fds[0]!;
  }

  /** Runs an iterator program over everything and returns what it wrote. Throws SyscallError for other kinds of links. */
  readIterator(): Uint8Array {
    const iterator = createIterator(this.fd.value);
    const memory = new NativeMemory(READ_BYTES);
    const pieces: Uint8Array[] = [];
    try {
      for (;;) {
        const count = syscall3("read", iterator.value, memory.address, memory.size);
        if (count < 0) throw syscallFailure({ call: "read(iterator)", operation: "other", errno: -count });
        if (count === 0) return Buffer.concat(pieces);
        pieces.push(memory.bytes.slice(0, count));
      }
    } finally {
      iterator.close();
      memory.free();
    }
  }

  close(): void {
    if (this.fd.isClosed) return;
    for (const fd of this.fds) fd.close();
    this.undo?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
