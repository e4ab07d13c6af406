/**
 * Where a run writes: a descriptor, in whole batches. Node's streams would copy each batch, buffer without bound, and lose the end at exit.
 * Files are written at once; what may block (a pipe whose reader rests, a terminal that is held) is written on another thread, so that
 * signals are seen meanwhile.
 */
import { closeSync, fstatSync, openSync, write, writeSync } from "node:fs";
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

/** What errno says about a path that cannot be opened. */
const OPEN_FAILURES: Record<string, string> = {
  ...WRITE_FAILURES,
  ENOENT: "its directory does not exist",
  ENOTDIR: "part of its path is no directory",
  EISDIR: "it is a directory",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
  ETXTBSY: "it is being executed",
  EMFILE: "too many files are open (ulimit -n)",
};

/** Writes to a descriptor. */
export class FdOutput {
  private readonly fd: number;
  /** Shown in errors. */
  private readonly name: string;
  private readonly owned: boolean;
  private closed = false;
  private blocks: boolean | undefined;

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
      const { code = "" } = cause as NodeJS.ErrnoException;
      throw new SkepError("output", `${path}: cannot be written: ${OPEN_FAILURES[code] ?? (cause as Error).message}`, {
        cause,
      });
    }
  }

  /** True when a write may wait for somebody: pipes, sockets, terminals. */
  get mayBlock(): boolean {
    if (this.blocks === undefined) {
      try {
        const stat = fstatSync(this.fd);
        // Major number 1 holds /dev/null and its like.
        const isDevice = stat.isCharacterDevice() && stat.rdev >> 8 !== 1;
        this.blocks = stat.isFIFO() || stat.isSocket() || isDevice;
      } catch {
        this.blocks = false;
      }
    }
    return this.blocks;
  }

  /** Writes all bytes. Throws {@link OutputClosed} when the reader is gone, SkepError when the device is full or broken. */
  write(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      try {
        done += writeSync(this.fd, bytes, done, bytes.length - done);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "EAGAIN") throw this.failure(cause);
        // A pipe that somebody made non-blocking: wait for its reader.
        Atomics.wait(sleeper, 0, 0, 1);
      }
    }
  }

  /** As {@link write}, on another thread. The bytes must stay as they are until it resolves; one such write at a time. */
  async writeAside(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const from = done;
      try {
        done += await new Promise<number>((resolve, reject) => {
          write(this.fd, bytes, from, bytes.length - from, null, (error, count) =>
            error ? reject(error) : resolve(count),
          );
        });
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "EAGAIN") throw this.failure(cause);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  }

  private failure(cause: unknown): Error {
    const { code = "EIO" } = cause as NodeJS.ErrnoException;
    if (code === "EPIPE") return new OutputClosed();
    return new SkepError("output", `${this.name}: cannot be written: ${WRITE_FAILURES[code] ?? code}`, { cause });
  }

  /** Closes a file that was opened here. */
  close(): void {
    if (this.closed || !this.owned) return;
    this.closed = true;
    closeSync(this.fd);
  }
}
