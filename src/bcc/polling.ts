/** Buffers that are opened with callbacks, and waiting for them. */
import { SkepError } from "../base/index.ts";
import type { OpenBuffer } from "./tables/events.ts";

/** Kinds of buffers, which are polled apart. */
export type BufferKind = "perf" | "ring";

const opened: Readonly<Record<BufferKind, string>> = {
  perf: "b.table(name).openPerfBuffer(callback)",
  ring: "b.table(name).openRingBuffer(callback)",
};

/** The opened buffers of one program. */
export class Buffers {
  private readonly buffers = new Map<OpenBuffer, BufferKind>();
  private readonly waiting = new Map<BufferKind, () => void>();
  private readonly polled = new Set<BufferKind>();

  /** Adds one. */
  add(kind: BufferKind, buffer: OpenBuffer): void {
    this.buffers.set(buffer, kind);
    // Who waits must look at it too.
    this.waiting.get(kind)?.();
  }

  /** Forgets one; its owner closes it. */
  remove(buffer: OpenBuffer): void {
    const kind = this.buffers.get(buffer);
    this.buffers.delete(buffer);
    if (kind !== undefined) this.waiting.get(kind)?.();
  }

  private of(kind: BufferKind): OpenBuffer[] {
    const found = [...this.buffers].filter(([, one]) => one === kind).map(([buffer]) => buffer);
    if (found.length > 0) return found;
    throw new SkepError("no-buffer", `${kind} buffers: none is open: ${opened[kind]} opens one`, { exitStatus: 2 });
  }

  /** Hands what is there to callbacks; returns the number of records. */
  consume(kind: BufferKind): number {
    return this.of(kind).reduce((sum, buffer) => sum + buffer.consume(), 0);
  }

  /**
   * Waits until there are records, at most so long (milliseconds; negative: for ever), and hands them over; returns their number. Ends with 0
   * when the program is closed meanwhile.
   */
  async poll(kind: BufferKind, timeoutMs: number): Promise<number> {
    if (this.polled.has(kind)) throw new SkepError("busy", `${kind} buffers: are polled already`);
    this.of(kind);
    this.polled.add(kind);
    try {
      const end = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs;
      // Timers and signals have their turn between two polls that find records.
      await new Promise((resolve) => setImmediate(resolve));
      while (this.has(kind)) {
        const count = this.consume(kind);
        const left = end - performance.now();
        if (count > 0 || left <= 0) return count;
        await this.wait(kind, left);
      }
      return 0;
    } finally {
      this.polled.delete(kind);
    }
  }

  private has(kind: BufferKind): boolean {
    return [...this.buffers.values()].includes(kind);
  }

  private wait(kind: BufferKind, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancels: (() => void)[] = [];
      const wake = (): void => {
        if (!this.waiting.delete(kind)) return;
        for (const cancel of cancels) cancel();
        resolve();
      };
      this.waiting.set(kind, wake);
      for (const buffer of this.of(kind)) cancels.push(buffer.whenReadable(wake));
      if (ms === Infinity) return;
      const timer = setTimeout(wake, Math.min(ms, 0x7fffffff));
      cancels.push(() => clearTimeout(timer));
    });
  }

  /** Closes all, and ends who waits. */
  close(): void {
    const all = [...this.buffers.keys()];
    this.buffers.clear();
    // What waits lets go of its descriptors before they are closed.
    for (const wake of this.waiting.values()) wake();
    for (const buffer of all) buffer.close();
  }
}
