/** The kernel's `trace_pipe`, where `bpf_trace_printk` goes: lines of all programs of the machine, each given to one reader. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { SkepError, UnsupportedError } from "../base/index.ts";
import { tracefs } from "../kernel/linux/index.ts";
import { type Readiness, readiness } from "../kernel/linux/sys.ts";

/** A line in parts: as Python's tuple, in this order. */
export type TraceFields = readonly [task: string, pid: number, cpu: number, flags: string, ts: number, msg: string];

const READ_BYTES = 1 << 16;
/** Columns that the kernel gives to a task's name. */
const TASK_COLUMNS = 16;

/** A line in parts; undefined for lines that are none of programs (losses of the buffer). */
export function parseTraceLine(line: string): TraceFields | undefined {
  if (line.startsWith("CPU:")) return undefined;
  const task = line.slice(0, TASK_COLUMNS).trimStart();
  const rest = line.slice(TASK_COLUMNS + 1);
  const end = rest.indexOf(":");
  // Kernels that note the group of a thread put it in parentheses.
  const words = rest
    .slice(0, end === -1 ? 0 : end)
    .replace(/\(\s*[-\d]*\)/, "")
    .trim()
    .split(/\s+/);
  if (words.length !== 4) return undefined;
  const [pid, cpu, flags, ts] = words as [string, string, string, string];
  const message = rest.slice(end + 1);
  const colon = message.indexOf(":");
  const fields: TraceFields = [
    task,
    Number(pid),
    Number(cpu.slice(1, -1)),
    flags,
    Number(ts),
    message.slice(colon + 2),
  ];
  return Number.isNaN(fields[1]) || Number.isNaN(fields[2]) || Number.isNaN(fields[4]) ? undefined : fields;
}

/**
 * Fills a format of Python: `{0}` and `{}` are fields, `{{` a brace. Throws SkepError (`format`) for a field that there is not.
 */
export function formatFields(format: string, fields: readonly (string | number)[]): string {
  let next = 0;
  return format.replace(/\{\{|\}\}|\{(\d*)\}/g, (mark, index: string | undefined) => {
    if (index === undefined) return mark[0]!;
    const at = index === "" ? next++ : Number(index);
    const field = fields[at];
    if (field === undefined) {
      throw new SkepError(
        "format",
        `format ${JSON.stringify(format)}: {${at}}: a line has fields 0 to ${fields.length - 1}`,
        {
          exitStatus: 2,
        },
      );
    }
    return String(field);
  });
}

/** An open `trace_pipe`. Close it after reading. */
export class TracePipe {
  private readonly fd: number;
  private readonly ready: Readiness;
  private readonly bytes = Buffer.alloc(READ_BYTES);
  private rest = "";
  private readonly decoder = new TextDecoder();
  private readonly lines: string[] = [];
  private wake: (() => void) | undefined;
  private closed = false;

  /** Throws UnsupportedError when it may not be read. */
  constructor() {
    const path = `${tracefs()}/trace_pipe`;
    try {
      this.fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      const { code = "" } = cause as NodeJS.ErrnoException;
      const why = code === "EACCES" ? "may only be read by root" : `cannot be opened (${code})`;
      throw new UnsupportedError("trace_pipe", `${path} ${why}`, { cause });
    }
    this.ready = readiness(this.fd, "readable");
  }

  /** The next line if there is one now, without its line break. */
  tryLine(): string | undefined {
    if (this.closed) throw new SkepError("closed", "trace_pipe: read after it was closed");
    if (this.lines.length === 0) this.fill();
    return this.lines.shift();
  }

  private fill(): void {
    let count: number;
    try {
      count = readSync(this.fd, this.bytes, 0, READ_BYTES, null);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return;
      throw error;
    }
    if (count === 0) return;
    const parts = (this.rest + this.decoder.decode(this.bytes.subarray(0, count), { stream: true })).split("\n");
    this.rest = parts.pop() ?? "";
    this.lines.push(...parts.map((line) => line.trimEnd()));
  }

  /** The next line, waited for; undefined when the pipe is closed meanwhile. */
  async line(): Promise<string | undefined> {
    if (this.wake !== undefined) throw new SkepError("busy", "trace_pipe: two readers wait for its next line");
    for (;;) {
      if (this.closed) return undefined;
      const line = this.tryLine();
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        this.ready.wait(resolve);
      });
      this.wake = undefined;
    }
  }

  /** Gives the descriptor back, and ends who waits. Nothing the second time. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.ready.close();
    closeSync(this.fd);
    this.wake?.();
  }
}
