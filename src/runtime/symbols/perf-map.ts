/** Symbols that runtimes with a JIT write for perf: `/tmp/perf-PID.map`, a line `start size name` a function, in hexadecimal. */
import { readFileSync, statSync } from "node:fs";

/** The functions of one process' file. */
export class PerfMap {
  private readonly starts: bigint[] = [];
  private readonly ends: bigint[] = [];
  private readonly names: string[] = [];
  private readonly path: string;
  private seenSize = -1;

  constructor(path: string) {
    this.path = path;
  }

  /** The function that an address is in. The file is read again when it has grown. */
  lookup(address: bigint): { readonly name: string; readonly offset: number } | undefined {
    return this.find(address) ?? (this.reload() ? this.find(address) : undefined);
  }

  private find(address: bigint): { readonly name: string; readonly offset: number } | undefined {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.starts[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    const index = low - 1;
    if (index < 0 || address >= this.ends[index]!) return undefined;
    return { name: this.names[index]!, offset: Number(address - this.starts[index]!) };
  }

  private reload(): boolean {
    let text: string;
    try {
      const { size } = statSync(this.path);
      if (size === this.seenSize) return false;
      this.seenSize = size;
      text = readFileSync(this.path, "utf8");
    } catch {
      return false;
    }
    const rows: { start: bigint; end: bigint; name: string }[] = [];
    for (const [, start, size, name] of text.matchAll(/^([0-9a-f]+) ([0-9a-f]+) (.+)$/gim)) {
      const from = BigInt(`0x${start}`);
      rows.push({ start: from, end: from + BigInt(`0x${size}`), name: name! });
    }
    // Of code that was compiled twice at one place, the later line is the one that runs.
    rows.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    this.starts.length = this.ends.length = this.names.length = 0;
    for (const row of rows) {
      this.starts.push(row.start);
      this.ends.push(row.end);
      this.names.push(row.name);
    }
    return true;
  }
}
