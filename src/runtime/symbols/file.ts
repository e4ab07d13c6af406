/** Files that are read piece by piece: a browser's 200 MB library costs only its symbol table. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { ElfSource } from "../../object/index.ts";

/** An open file. Close it when its tables are read. */
export class FileSource implements ElfSource {
  readonly path: string;
  readonly size: number;
  private fd: number;

  /** Throws the error of open(2). */
  constructor(path: string) {
    this.path = path;
    this.fd = openSync(path, "r");
    this.size = fstatSync(this.fd).size;
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const count = readSync(this.fd, bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return done === length ? bytes : bytes.subarray(0, done);
  }

  /** Gives the descriptor back. Does nothing the second time. */
  close(): void {
    if (this.fd === -1) return;
    closeSync(this.fd);
    this.fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A file of /proc, whose size the kernel does not tell; undefined when it cannot be read. */
export function readProcFile(path: string, sizeHint: number = 1 << 16): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined;
  }
  try {
    let bytes = new Uint8Array(sizeHint);
    let used = 0;
    for (;;) {
      if (used === bytes.length) {
        const grown = new Uint8Array(bytes.length * 2);
        grown.set(bytes);
        bytes = grown;
      }
      const count = readSync(fd, bytes, used, bytes.length - used, null);
      if (count === 0) return bytes.subarray(0, used);
      used += count;
    }
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
