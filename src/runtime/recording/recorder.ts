/** Records events of the running kernel to a file, through a BPF program of its own. */
import { closeSync, openSync, writeSync } from "node:fs";
import { release } from "node:os";
import { SkepError, UnsupportedError, UsageError, nearestNames } from "../../base/index.ts";
import { kernelTarget } from "../../compiler/index.ts";
import type { Kernel, Link, LoadedObject, RingReader } from "../../kernel/kernel.ts";
import { tracefs, tracepointFormat } from "../../kernel/linux/tracefs.ts";
import type { TraceEnvironment } from "../../lang/bpftrace/environment.ts";
import { syscallNumbers } from "../../lang/bpftrace/lower/index.ts";
import { isPattern, matcher } from "../../lang/bpftrace/wildcard.ts";
import { compileC } from "../../lang/c/index.ts";
import { parseTracepointFormat } from "../environment.ts";
import { COMM_OFFSET, ChunkType, MAGIC, type RecordedEvent, encodeChunk, encodeJson } from "./format.ts";
import { MOST_SYSCALLS, type RecordedTracepoint, SYSCALL_ENTER, SYSCALL_EXIT, recorderSource } from "./program.ts";

/** What to record, and where to. */
export interface RecordOptions {
  readonly kernel: Kernel;
  readonly environment: TraceEnvironment;
  /** `tracepoint:sched:*,tracepoint:syscalls:sys_enter_open*`, as in a script. */
  readonly probes: string;
  readonly file: string;
  /** Only events of tasks with these names. */
  readonly comms?: readonly string[];
  /** Bytes of the ring between kernel and file; a power of two. Default 16 MiB. */
  readonly ringBytes?: number;
}

/** How far a recording is. */
export interface RecordProgress {
  readonly events: number;
  readonly bytes: number;
  readonly lost: number;
}

const DEFAULT_RING = 16 << 20;
/** What a damaged byte, or an end in the middle, costs. */
const CHUNK_BYTES = 1 << 17;
/** Milliseconds between two looks at the ring. */
const TURN_MS = 20;
/** Milliseconds after which what is there is written, however little. */
const FLUSH_MS = 1000;

interface Selection {
  readonly events: RecordedEvent[];
  readonly tracepoints: RecordedTracepoint[];
  /** By number: which arguments are texts. */
  readonly enter: Uint8Array;
  readonly exit: Uint8Array;
}

/** The events that patterns name. Throws UsageError for what names none. */
function select(probes: string, environment: TraceEnvironment): Selection {
  const out: Selection = {
    events: [],
    tracepoints: [],
    enter: new Uint8Array(MOST_SYSCALLS),
    exit: new Uint8Array(MOST_SYSCALLS),
  };
  const known = environment.tracepoints();
  const chosen = new Set<string>();
  for (const pattern of probes.split(",").map((text) => text.trim())) {
    const parts = /^(?:t|tracepoint):([^:]+):([^:]+)$/.exec(pattern);
    if (parts === null) {
      throw new UsageError(
        `${pattern || "nothing"}: recorded are tracepoints: tracepoint:CATEGORY:NAME, with * in either`,
      );
    }
    const name = `${parts[1]}:${parts[2]}`;
    const found = isPattern(name) ? known.filter(matcher(name)) : known.includes(name) ? [name] : [];
    if (found.length === 0) {
      const near = nearestNames(name, known, 1)[0];
      throw new UsageError(
        `${pattern}: there is no such tracepoint${near === undefined ? "" : ` (did you mean tracepoint:${near}?)`}`,
      );
    }
    for (const event of found) chosen.add(event);
  }
  const numbers = syscallNumbers(environment.arch);
  let next = 1;
  for (const event of chosen) {
    const [category, name] = event.split(":") as [string, string];
    const text = tracepointFormat(category, name);
    const call = category === "syscalls" ? /^sys_(enter|exit)_(.+)$/.exec(name) : null;
    const number = call === null ? undefined : numbers.get(call[2]!);
    if (call !== null && number !== undefined && number < MOST_SYSCALLS) {
      const isEnter = call[1] === "enter";
      out.events.push({ id: (isEnter ? SYSCALL_ENTER : SYSCALL_EXIT) + number, category, name, format: text });
      if (isEnter) out.enter[number] = 0x80 | textArguments(text);
      else out.exit[number] = 0x80;
      continue;
    }
    // The kernel has its own copy of each record's first fields.
    const id = next++;
    out.events.push({ id, category, name, format: text });
    out.tracepoints.push({ id, category, name, format: parseTracepointFormat(text) });
  }
  return out;
}

/** Which arguments of a system call are texts, as bits. */
function textArguments(format: string): number {
  let bits = 0;
  for (const field of parseTracepointFormat(format).fields) {
    const index = (field.byteOffset - 16) / 8;
    if (index >= 0 && index < 6 && /^const char \*$/.test(field.ctype.trim())) bits |= 1 << index;
  }
  return bits;
}

/** A recording under way. Make it with {@link Recorder.start}, end it with {@link Recorder.stop}; the file is readable whenever the process ends. */
export class Recorder {
  private readonly kernel: Kernel;
  private readonly loaded: LoadedObject;
  private readonly links: Link[];
  private readonly fd: number;
  private readonly file: string;
  private readonly reader: RingReader;
  private readonly timer: NodeJS.Timeout;
  private readonly comms: readonly Uint8Array[];
  private chunk = new Uint8Array(CHUNK_BYTES * 2);
  private filled = 0;
  /** When the file was last written to, in milliseconds of `performance.now()`. */
  private flushed = performance.now();
  private events = 0;
  private bytes = 0;
  /** Why writing stopped. */
  failure: unknown;

  private constructor(
    kernel: Kernel,
    loaded: LoadedObject,
    links: Link[],
    fd: number,
    file: string,
    comms: readonly string[],
  ) {
    // Names end with a NUL, also those that fill all of their 16 bytes.
    this.comms = comms.map((comm) => new TextEncoder().encode(`${comm.slice(0, 15)}\0`));
    this.kernel = kernel;
    this.loaded = loaded;
    this.links = links;
    this.fd = fd;
    this.file = file;
    this.reader = kernel.ringReader(loaded.map("ring"));
    this.timer = setInterval(() => this.turn(), TURN_MS);
  }

  /** Begins to record. Throws UsageError for wrong patterns, SkepError when the file cannot be written, and what loading and attaching throw. */
  static start(options: RecordOptions): Recorder {
    const { kernel, environment } = options;
    void tracefs();
    const selection = select(options.probes, environment);
    const syscalls = selection.events.some(({ id }) => id >= SYSCALL_ENTER);
    const text = recorderSource(selection.tracepoints, {
      arch: environment.arch,
      syscalls,
      ringBytes: options.ringBytes ?? DEFAULT_RING,
    });
    const [major, minor] = environment.kernelVersion;
    const { object } = compileC(
      { name: "recorder.bpf.c", text },
      { dialect: "libbpf", target: kernelTarget([major, minor]) },
    );
    const maps = object.maps.map((map) => {
      if (map.name !== ".rodata" || map.initialValue === undefined) return map;
      const value = map.initialValue.slice();
      const place = (name: string, bytes: Uint8Array): void => {
        const at = object.variables?.find((variable) => variable.name === name && variable.map === map.name);
        if (at !== undefined) value.set(bytes, at.offset);
      };
      place("own_tgid", new Uint8Array(new Uint32Array([process.pid]).buffer));
      place("wanted_enter", selection.enter);
      place("wanted_exit", selection.exit);
      return { ...map, initialValue: value };
    });
    const fd = openFile(options.file);
    let loaded: LoadedObject | undefined;
    const links: Link[] = [];
    try {
      loaded = kernel.load({ ...object, maps });
      const meta = encodeJson(ChunkType.META, {
        arch: environment.arch,
        kernelVersion: environment.kernelVersion,
        release: release(),
        possibleCpus: environment.possibleCpus,
        startedAt: Date.now(),
        startedNs: String(process.hrtime.bigint()),
        events: selection.events,
      });
      writeAll(fd, MAGIC, options.file);
      writeAll(fd, meta, options.file);
      for (const { id, category, name } of selection.tracepoints)
        links.push(kernel.attach(loaded.program(`record_${id}`), { kind: "tracepoint", category, name }));
      if (syscalls) {
        links.push(kernel.attach(loaded.program("record_enter"), { kind: "raw-tracepoint", name: "sys_enter" }));
        links.push(kernel.attach(loaded.program("record_exit"), { kind: "raw-tracepoint", name: "sys_exit" }));
      }
      return new Recorder(kernel, loaded, links, fd, options.file, options.comms ?? []);
    } catch (error) {
      for (const link of links) link.close();
      loaded?.close();
      closeSync(fd);
      throw error;
    }
  }

  /** How much was written. */
  get progress(): RecordProgress {
    const value = this.loaded.map(".bss").lookup(new Uint8Array(4))!;
    const lost = this.loaded.object.variables!.find(({ name }) => name === "lost")!;
    const view = new DataView(value.buffer, value.byteOffset);
    return { events: this.events, bytes: this.bytes, lost: Number(view.getBigUint64(lost.offset, true)) };
  }

  private add(data: Uint8Array, offset: number, size: number): void {
    if (!this.wants(data, offset)) return;
    if (this.filled + size > this.chunk.length) this.flush();
    this.chunk.set(data.subarray(offset, offset + size), this.filled);
    this.filled += size;
    this.events++;
    if (this.filled >= CHUNK_BYTES) this.flush();
  }

  /** Whether an event is of a task with one of the names. */
  private wants(data: Uint8Array, offset: number): boolean {
    const at = offset + COMM_OFFSET;
    return this.comms.length === 0 || this.comms.some((comm) => comm.every((byte, i) => data[at + i] === byte));
  }

  private flush(): void {
    this.flushed = performance.now();
    if (this.filled === 0) return;
    const chunk = encodeChunk(ChunkType.EVENTS, this.chunk.subarray(0, this.filled));
    this.filled = 0;
    writeAll(this.fd, chunk, this.file);
    this.bytes += chunk.length;
  }

  private turn(): void {
    if (this.failure !== undefined) return;
    try {
      this.reader.drain((data, _view, offset, size) => this.add(data, offset, size));
      // What a killed recorder loses is a second at most.
      if (performance.now() - this.flushed > FLUSH_MS) this.flush();
    } catch (error) {
      this.failure = error;
      clearInterval(this.timer);
    }
  }

  /** Ends it: nothing is attached any more, and the file is whole. Throws what went wrong while writing. */
  async stop(): Promise<RecordProgress> {
    clearInterval(this.timer);
    await this.kernel.detach(this.links);
    this.turn();
    const progress = this.progress;
    try {
      if (this.failure === undefined) {
        this.flush();
        writeAll(this.fd, encodeJson(ChunkType.END, { events: this.events, lost: progress.lost }), this.file);
      }
    } finally {
      closeSync(this.fd);
      this.reader.close();
      this.loaded.close();
    }
    if (this.failure !== undefined) throw this.failure;
    return { ...progress, bytes: this.bytes };
  }
}

function openFile(file: string): number {
  try {
    return openSync(file, "w", 0o600);
  } catch (error) {
    throw new SkepError("output", `${file}: ${(error as Error).message}`, { cause: error });
  }
}

function writeAll(fd: number, bytes: Uint8Array, file: string): void {
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
  } catch (error) {
    throw new SkepError("output", `${file}: ${(error as Error).message}: what was written before can be replayed`, {
      cause: error,
    });
  }
}

/** True for kernels whose events can be recorded: with a ring buffer for programs (5.8). Throws UnsupportedError else. */
export function requireRecording(version: readonly [number, number, number]): void {
  if (version[0] < 5 || (version[0] === 5 && version[1] < 8))
    throw new UnsupportedError("skep record", `needs Linux 5.8, and this is ${version.join(".")}`);
}
