/**
 * The command of `-c`: it exists, with its pid, before anything is attached, and runs its first instruction only when all is. Between the
 * two it is a program of a hundred bytes that waits for one byte on descriptor 3 and then executes the command in its own place, so that
 * nothing of a shell is in the trace. When that fails it writes errno to the descriptor, which a success closes.
 */
import type { ChildProcess } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { ByteWriter, SkepError, UsageError } from "../base/index.ts";
import { createMemoryFile } from "../kernel/linux/memfd.ts";

/**
 * read(3, below the stack, 1); if 1 byte came: fcntl(3, F_SETFD, FD_CLOEXEC), execve(argv[1], argv + 2, environment), write(3, errno, 4);
 * exit(127). Bytes from `clang -c` of the few lines of assembly that the comments say.
 */
const CODE: Record<string, { readonly machine: number; readonly bytes: string }> = {
  x64: {
    machine: 62,
    bytes:
      "31c0 bf03000000 488d7424c0 ba01000000 0f05 83f801 754c" + // read
      "bf03000000 be02000000 ba01000000 b848000000 0f05" + // fcntl
      "488b7c2410 488d742418 488b0c24 488d54cc10 b83b000000 0f05" + // execve
      "f7d8 894424c0 bf03000000 488d7424c0 ba04000000 b801000000 0f05" + // write
      "bf7f000000 b83c000000 0f05", // exit
  },
  arm64: {
    machine: 183,
    bytes:
      "600080d2 e10301d1 220080d2 e80780d2 010000d4 1f0400f1 81020054" + // read
      "600080d2 410080d2 220080d2 280380d2 010000d4" + // fcntl
      "e00b40f9 e1630091 e20340f9 e26f228b 42400091 a81b80d2 010000d4" + // execve
      "e003004b e00f1cb8 e1030091 600080d2 820080d2 080880d2 010000d4" + // write
      "e00f80d2 a80b80d2 010000d4", // exit
  },
};

const BASE = 0x400000n;
const HEADERS = 64 + 56;

/** An ELF file of one segment with the waiting program. */
function waitingProgram(arch: string): Uint8Array {
  const code = CODE[arch];
  if (!code) throw new SkepError("unsupported", `-c: not on ${arch}`, { exitStatus: 3 });
  const text = Uint8Array.from(code.bytes.replaceAll(" ", "").match(/../g)!, (hex) => Number.parseInt(hex, 16));
  const file = new ByteWriter();
  // e_ident: 64 bits, little-endian, version 1, System V.
  file.bytes(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  file.u16le(2); // ET_EXEC
  file.u16le(code.machine);
  file.u32le(1);
  file.u64le(BASE + BigInt(HEADERS)); // e_entry
  file.u64le(64n); // e_phoff
  file.u64le(0n); // e_shoff
  file.u32le(0);
  for (const half of [64, 56, 1, 0, 0, 0]) file.u16le(half);
  file.u32le(1); // PT_LOAD
  file.u32le(5); // readable, executable
  for (const word of [0n, BASE, BASE, BigInt(HEADERS + text.length), BigInt(HEADERS + text.length), 0x1000n]) {
    file.u64le(word);
  }
  file.bytes(text);
  return file.finish();
}

/** Splits a command line at spaces; quotes and backslashes keep them, as in a shell. Throws UsageError when a quote is left open. */
export function splitCommand(command: string): string[] {
  const words: string[] = [];
  const pattern = /(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/gs;
  let read = 0;
  const gap = (end: number): void => {
    const skipped = command.slice(read, end).trim();
    if (skipped !== "") {
      throw new UsageError(
        `-c: ${command}: ${skipped[0] === "\\" ? "ends in a backslash" : `no closing ${skipped[0]}`}`,
      );
    }
  };
  for (const match of command.matchAll(pattern)) {
    gap(match.index);
    read = match.index + match[0].length;
    words.push(
      match[0].replace(/\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/gs, (_, escaped, double, single) =>
        escaped !== undefined ? escaped : double !== undefined ? double.replace(/\\(["\\$`])/g, "$1") : single,
      ),
    );
  }
  gap(command.length);
  return words;
}

function executablePath(name: string): string {
  const isPath = name.includes("/");
  const candidates = isPath
    ? [name]
    : (process.env.PATH ?? "/usr/bin:/bin").split(":").map((directory) => `${directory || "."}/${name}`);
  let why = isPath ? "no such file" : "no such command (give its path, or one in $PATH)";
  for (const path of candidates) {
    try {
      if (!statSync(path).isFile()) {
        if (isPath) why = "is no file that can be executed";
        continue;
      }
      why = `may not be executed (chmod +x ${path})`;
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  throw new UsageError(`-c: ${name}: ${why}`);
}

/** What errno of execve(2) says about a file that may be executed. */
const EXEC_FAILURES: Record<number, string> = {
  2: "the interpreter that its first line or its ELF header names does not exist",
  7: "its arguments and environment are too long",
  8: "it is no program: a script needs #!/bin/sh as its first line",
  13: "permission denied",
  26: "it is being written",
};

/** How a child ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** Set when the kernel would not execute it. */
  readonly failure?: SkepError;
}

/** A command that waits to be started. */
export class TracedChild {
  readonly pid: number;
  /** Settles when the command ends. */
  readonly ended: Promise<ChildEnd>;
  private readonly child: ChildProcess;
  private isOver = false;

  private constructor(child: ChildProcess, path: string) {
    this.child = child;
    this.pid = child.pid!;
    let failure: SkepError | undefined;
    (child.stdio[3] as Readable)
      .on("error", () => {})
      .on("data", (data: Buffer) => {
        const errno = data.length >= 4 ? data.readInt32LE(0) : 0;
        failure = new SkepError(
          "child",
          `-c: ${path}: cannot be executed: ${EXEC_FAILURES[errno] ?? `errno ${errno}`}`,
        );
      });
    child.once("exit", () => (this.isOver = true));
    // Not at its exit: what it wrote to descriptor 3 may come after.
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal, ...(failure ? { failure } : {}) }));
    });
  }

  /** Makes the process, waiting. Throws UsageError when there is no such command. */
  static prepare(command: string): TracedChild {
    const words = splitCommand(command);
    if (words.length === 0) throw new UsageError("-c: the command is empty");
    const path = executablePath(words[0]!);
    const file = createMemoryFile("skep-child", waitingProgram(process.arch));
    try {
      // Fetched here and not imported: loading it would cost every run without -c two milliseconds.
      const { spawn } = process.getBuiltinModule("node:child_process");
      const child = spawn(`/proc/${process.pid}/fd/${file.value}`, [path, ...words], {
        stdio: ["inherit", "inherit", "inherit", "pipe"],
      });
      // A failure of spawn comes as an event; without pid nothing was made.
      child.on("error", () => {});
      if (child.pid === undefined) throw new SkepError("child", `-c: ${path}: cannot be started`);
      return new TracedChild(child, path);
    } finally {
      file.close();
    }
  }

  /** Lets the command run. */
  start(): void {
    (this.child.stdio[3] as Writable).end("x");
  }

  get isAlive(): boolean {
    return !this.isOver;
  }

  /** Ends the command with SIGTERM when it still runs, as bpftrace does when it ends first. */
  stop(): void {
    if (this.isOver) return;
    this.child.kill("SIGTERM");
    this.child.unref();
    (this.child.stdio[3] as Writable | null)?.destroy();
  }
}
