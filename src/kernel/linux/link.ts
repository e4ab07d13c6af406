/** Attachments to the running kernel. */
import type { AttachSpec } from "../../object/index.ts";
import type { Link } from "../kernel.ts";
import { createIterator } from "./bpf.ts";
import { syscallFailure } from "./diagnose.ts";
import type { OwnedFd } from "./fd.ts";
import { NativeMemory } from "./memory.ts";
import { closeOnThreads, syscall3 } from "./sys.ts";

const READ_BYTES = 1 << 16;

/** The descriptors of an attachment. */
export interface LinkFds {
  /** BPF links, or perf events where the kernel has no links to them: while one is open, the program runs. At least one. */
  readonly holders: readonly OwnedFd[];
  /** Perf events below the links. */
  readonly events: readonly OwnedFd[];
}

/** What keeps one attachment: descriptors, which the kernel closes with the process, and what must be undone besides. */
export class LinuxLink implements Link {
  readonly spec: AttachSpec;
  private readonly fds: LinkFds;
  private readonly undo: (() => void) | undefined;

  /** `undo` runs after all descriptors are closed. */
  constructor(spec: AttachSpec, fds: LinkFds, undo?: () => void) {
    this.spec = spec;
    this.fds = fds;
    this.undo = undo;
  }

  /** First descriptor that holds the program; a BPF link where the kernel has one for this kind. */
  get fd(): OwnedFd {
    return this.fds.holders[0]!;
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
    for (const fd of this.fds.holders) fd.close();
    this.closeRest();
  }

  private closeRest(): void {
    for (const fd of this.fds.events) fd.close();
    this.undo?.();
  }

  /** See `Kernel.detach`. Links that are closed already are passed over. */
  static async detachAll(links: readonly LinuxLink[]): Promise<void> {
    const open = links.filter((link) => !link.fd.isClosed);
    await closeOnThreads(open.flatMap((link) => link.fds.holders.map((fd) => fd.release())));
    // What has to be undone must find its events closed.
    for (const link of open) if (link.undo !== undefined) link.closeRest();
    const rest = open.filter((link) => link.undo === undefined);
    void closeOnThreads(rest.flatMap((link) => link.fds.events.map((fd) => fd.release())));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
