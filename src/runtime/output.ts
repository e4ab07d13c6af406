/** Where a run writes: a descriptor, in whole batches. Node's streams would copy each batch, buffer without bound, and lose the end at exit. */
import { closeSync, openSync, writeSync } from "node:fs";
import { SkepError } from "../base/index.ts";

/** When what was formatted is written: after each batch of events, when 64 KB are there, or after each event. */
export type Buffering = "line" | "full" | "none";

/** Thrown when nobody reads any more (EPIPE): the run ends quietly. */
export class OutputClosed extends SkepError {
  constructor() {
    super("output-closed", "output: closed by its reader", { exitStatus: 0 });
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));
/** What errno says about a device that takes no more. */
const WRITE_FAILURES: Record<string, string> = {
  ENOSPC: "no space left on the device",
  EDQUOT: "the quota is used up",
  EFBIG: "the file would pass the size limit",
  EIO: "the device failed",
};

/** Writes to a descriptor. */
export class FdOutput {
  private readonly fd: number;
  /** Shown in errors. */
  private readonly name: string;
  private readonly owned: boolean;
  private closed = false;

  constructor(fd: number, name: string, owned = false) {
    this.fd = fd;
    this.name = name;
    this.owned = owned;
  }

  /** Opens a file for writing, emptied. Throws SkepError when that fails. */
  static file(path: string): FdOutput {
    try {
      return new FdOutput(openSync(path, "w"), path, true);
    } catch (cause) {
      throw new SkepError("output", `${path}: cannot be written: ${(cause as Error).message}`, { cause });
    }
  }

  /** Writes all bytes. Throws {@link OutputClosed} when the reader is gone, SkepError when the device is full or broken. */
  write(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      try {
        done += writeSync(this.fd, bytes, done, bytes.length - done);
      } catch (cause) {
        const { code = "EIO" } = cause as NodeJS.ErrnoException;
        if (code === "EAGAIN") {
          // A pipe that somebody made non-blocking: wait for its reader.
          Atomics.wait(sleeper, 0, 0, 1);
          continue;
        }
        if (code === "EPIPE") throw new OutputClosed();
        throw new SkepError("output", `${this.name}: cannot be written: ${WRITE_FAILURES[code] ?? code}`, { cause });
      }
    }
  }

  /** Closes a file that was opened here. */
  close(): void {
    if (this.closed || !this.owned) return;
    this.closed = true;
    closeSync(this.fd);
  }
}
