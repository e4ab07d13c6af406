/** Output of iterator programs: what they wrote with `bpf_seq_printf` and `bpf_seq_write`, read piece by piece. */
import { createIterator } from "./bpf.ts";
import { syscallFailure } from "./diagnose.ts";
import type { OwnedFd } from "./fd.ts";
import { NativeMemory } from "./memory.ts";
import { syscall3 } from "./sys.ts";

const READ_BYTES = 1 << 16;

/** One run of an iterator over everything that its link walks. Whoever holds it closes it; reading to the end does too. */
export class IteratorRun implements AsyncIterable<string> {
  private readonly fd: OwnedFd;
  private readonly memory: NativeMemory;
  private closed = false;

  /** Starts a run of the iterator behind a link's descriptor. Throws SyscallError when it is no link of an iterator. */
  constructor(linkFd: number) {
    this.fd = createIterator(linkFd);
    this.memory = new NativeMemory(READ_BYTES);
  }

  /** The next bytes, a copy; undefined at the end. The program runs while this waits. Throws SyscallError. */
  read(): Uint8Array | undefined {
    if (this.closed) return undefined;
    const count = syscall3("read", this.fd.value, this.memory.address, this.memory.size);
    if (count > 0) return this.memory.bytes.slice(0, count);
    this.close();
    if (count < 0) throw syscallFailure({ call: "read(iterator)", operation: "other", errno: -count });
    return undefined;
  }

  /** Everything that is left, as bytes. */
  bytes(): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (let piece = this.read(); piece !== undefined; piece = this.read()) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  /** Everything that is left, as text. */
  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  /** Lines without their newline; what follows the last newline is a line when it is not empty. */
  *lines(): Generator<string> {
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for (let piece = this.read(); piece !== undefined; piece = this.read()) {
        const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
        rest = lines.pop()!;
        yield* lines;
      }
      rest += decoder.decode();
      if (rest !== "") yield rest;
    } finally {
      this.close();
    }
  }

  /** As {@link lines}; other work of the process gets its turn between the kernel's pieces. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    let turn = performance.now();
    for (const line of this.lines()) {
      yield line;
      if (performance.now() - turn < TURN_MS) continue;
      await new Promise((done) => setImmediate(done));
      turn = performance.now();
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.fd.close();
    this.memory.free();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** How long lines are handed over before others get a turn. */
const TURN_MS = 5;
