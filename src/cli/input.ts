/** Files that commands read, and what is said of those that cannot be read. */
import { readFileSync, statSync } from "node:fs";
import { UsageError } from "../base/index.ts";

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EISDIR: "is a directory",
  EACCES: "may not be read",
  ENOTDIR: "part of its path is no directory",
};

/** Larger than any source or object. */
const MOST_BYTES = 1 << 28;

let standardInput: Uint8Array | undefined;

/** Bytes of a file, `-` for standard input, which is read once. Throws UsageError that names the command; `hint` follows what is wrong. */
export function readInput(path: string, command: string, hint: string = ""): Uint8Array {
  const fail = (why: string): never => {
    throw new UsageError(`skep ${command}: ${path}: ${why}${hint}`);
  };
  try {
    if (path === "-") return (standardInput ??= readFileSync(0));
    const stat = statSync(path);
    // Some devices have no end. A descriptor of a pipe, as shells give it (/dev/fd/63), is none.
    if (stat.isBlockDevice() || (stat.isCharacterDevice() && !ENDING_DEVICES.has(path))) fail("is a device");
    if (stat.size > MOST_BYTES) fail(`is too large (${Math.ceil(stat.size / 2 ** 20)} MiB)`);
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    const { code = "" } = cause as NodeJS.ErrnoException;
    return fail(READ_FAILURES[code] ?? code);
  }
}

/** Devices that can be read to their end. */
const ENDING_DEVICES: ReadonlySet<string> = new Set(["/dev/null", "/dev/stdin", "/dev/tty"]);

/** The text of a source. Throws UsageError for bytes that are no text. */
export function textOfInput(path: string, bytes: Uint8Array, command: string): string {
  const zero = bytes.indexOf(0);
  if (zero !== -1) throw new UsageError(`skep ${command}: ${path}: is no text: there is a NUL at offset ${zero}`);
  return new TextDecoder().decode(bytes);
}
