/** Recorded events on the software kernel: every hook fires as it did, with the time, the task and the memory of then. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { constants, gunzipSync } from "node:zlib";
import { SkepError } from "../../base/index.ts";
import type { Attached, SoftKernel } from "../../kernel/soft/index.ts";
import type { TraceEnvironment, TracepointFormat } from "../../lang/bpftrace/environment.ts";
import { parseTracepointFormat } from "../environment.ts";
import { EVENT_HEAD, PIECE_HEAD, PieceKind, RecordingReader, setTask } from "./format.ts";

/** Packed files are unpacked in memory: larger ones are to be unpacked before. */
const MOST_UNPACKED = 1 << 30;

/** A file of recorded events, open; gzip(1) may have packed it. */
export class Recording {
  readonly reader: RecordingReader;
  readonly name: string;
  private readonly fd: number;
  private closed = false;

  /** Throws SkepError when the file cannot be read or is no recording. */
  constructor(file: string) {
    this.name = file;
    try {
      this.fd = openSync(file, "r");
    } catch (error) {
      throw new SkepError("recording", `${file}: ${(error as Error).message}`, { cause: error, exitStatus: 2 });
    }
    try {
      if (fstatSync(this.fd).isDirectory())
        throw new SkepError("recording", `${file}: is a directory`, { exitStatus: 2 });
      const packed = isGzip(this.fd) ? unpack(file) : undefined;
      this.reader = new RecordingReader(file, (position, length) => {
        if (packed !== undefined) return packed.subarray(position, position + length);
        const bytes = new Uint8Array(length);
        let got = 0;
        for (let n = 1; got < length && n > 0; got += n)
          n = readSync(this.fd, bytes, got, length - got, position + got);
        return bytes.subarray(0, got);
      });
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  close(): void {
    if (!this.closed) closeSync(this.fd);
    this.closed = true;
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

function isGzip(fd: number): boolean {
  const start = new Uint8Array(2);
  readSync(fd, start, 0, 2, 0);
  return start[0] === 0x1f && start[1] === 0x8b;
}

/** A recording that gzip(1) has packed: as much of it as is whole. */
function unpack(file: string): Uint8Array {
  try {
    return gunzipSync(readFileSync(file), { maxOutputLength: MOST_UNPACKED, finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    throw new SkepError("recording", `${file}: cannot be unpacked: ${(error as Error).message}`, {
      cause: error,
      exitStatus: 2,
    });
  }
}

/** What scripts ask of their surroundings, answered by a recording. */
export function recordedEnvironment(
  recording: Recording,
  positional: readonly string[] = [],
  config: ReadonlyMap<string, string> = new Map(),
): TraceEnvironment {
  const { meta } = recording.reader;
  const formats = new Map<string, TracepointFormat>();
  const texts = new Map(meta.events.map((event) => [`${event.category}:${event.name}`, event.format]));
  return {
    arch: meta.arch,
    kernelVersion: meta.kernelVersion,
    btf: null,
    hasBtf: false,
    tracepoints: () => [...texts.keys()].toSorted(),
    tracepointFormat(category, name) {
      const key = `${category}:${name}`;
      const text = texts.get(key);
      if (text !== undefined && !formats.has(key)) formats.set(key, parseTracepointFormat(text));
      return formats.get(key);
    },
    kernelFunctions: () => null,
    kprobeProblem: "a recording holds tracepoints only",
    kernelSymbol: () => undefined,
    binaries: () => [],
    cgroupId: () => undefined,
    eachSyscall: true,
    positional,
    possibleCpus: meta.possibleCpus,
    config,
  };
}

/** Most bytes of a record with what belongs to it. */
const MOST_RECORD = 65_536 + 8;

/** Fires recorded events. */
export class Replayer {
  private readonly kernel: SoftKernel;
  private readonly recording: Recording;
  private readonly context: number;
  /** Hooks by the event's number. */
  private readonly hooks = new Map<number, readonly string[]>();
  /** What is attached to each event, until that changes. */
  private readonly attached = new Map<number, readonly Attached[]>();
  private generation = -1;
  private count = 0;
  private stopped = false;

  constructor(kernel: SoftKernel, recording: Recording) {
    this.kernel = kernel;
    this.recording = recording;
    this.context = kernel.memory.allocate(MOST_RECORD);
    for (const { id, category, name } of recording.reader.meta.events) {
      // Programs that need nothing of a record hang on the tracepoint itself.
      this.hooks.set(id, [`tracepoint:${category}:${name}`, `raw_tracepoint:${name}`]);
    }
  }

  /** Events that were fired so far. */
  get events(): number {
    return this.count;
  }

  /** Ends {@link run} before the next event. */
  stop(): void {
    this.stopped = true;
  }

  /**
   * Fires all events in the order of their times within a chunk, as the recorder got them. `breathe` is awaited between chunks, so that
   * what programs sent is read before their rings are full.
   */
  async run(breathe: () => Promise<void>, turnEvents: number = 2000): Promise<void> {
    for (const bytes of this.recording.reader.eventChunks()) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let at = 0, turn = 0; at + EVENT_HEAD <= bytes.length && !this.stopped; turn++) {
        const size = view.getUint16(at, true);
        if (size < EVENT_HEAD || at + size > bytes.length) break;
        this.fire(bytes, view, at, size);
        at += size;
        if (turn % turnEvents === turnEvents - 1) await breathe();
      }
      await breathe();
      if (this.stopped) return;
    }
  }

  private fire(bytes: Uint8Array, view: DataView, at: number, size: number): void {
    this.count++;
    const id = view.getUint16(at + 2, true);
    const { kernel, context } = this;
    const { environment, memory } = kernel;
    environment.now = view.getBigUint64(at + 24, true);
    kernel.tick();
    if (this.generation !== kernel.generation) {
      this.attached.clear();
      this.generation = kernel.generation;
    }
    let attached = this.attached.get(id);
    if (attached === undefined) {
      attached = (this.hooks.get(id) ?? []).flatMap((hook) => kernel.attachedTo(hook));
      this.attached.set(id, attached);
    }
    if (attached.length === 0) return;
    environment.cpu = view.getUint16(at + 20, true);
    setTask(environment, bytes, view, at);
    const record = view.getUint16(at + 22, true);
    memory.bytes.set(bytes.subarray(at + EVENT_HEAD, at + EVENT_HEAD + record), context);
    const pieces: { readonly address: bigint; readonly bytes: Uint8Array }[] = [];
    let piece = at + EVENT_HEAD + ((record + 7) & ~7);
    while (piece + PIECE_HEAD <= at + size) {
      const length = view.getUint32(piece + 8, true);
      const from = piece + PIECE_HEAD;
      if (from + length > at + size) break;
      const contents = bytes.subarray(from, from + length);
      const address = view.getBigUint64(piece, true);
      if (view.getUint32(piece + 12, true) === PieceKind.MEMORY) pieces.push({ address, bytes: contents });
      else if (Number(address) + length <= MOST_RECORD) memory.bytes.set(contents, context + Number(address));
      piece = from + ((length + 7) & ~7);
    }
    kernel.foreignMemory = pieces;
    for (const { program, cookie } of attached) {
      environment.cookie = cookie;
      program.runAt(context);
    }
  }
}

/** A replay as what a run of a script accompanies: it begins when all is attached, and the run ends when the recording does. */
export class ReplayCompanion {
  readonly ended: Promise<{ readonly failure?: unknown }>;
  private readonly kernel: SoftKernel;
  private readonly replayer: Replayer;
  private resolve!: (end: { readonly failure?: unknown }) => void;

  constructor(kernel: SoftKernel, replayer: Replayer) {
    this.kernel = kernel;
    this.replayer = replayer;
    this.ended = new Promise((resolve) => (this.resolve = resolve));
  }

  start(): void {
    this.replayer
      .run(() => this.breathe())
      .then(
        () => this.resolve({}),
        (failure: unknown) => this.resolve({ failure }),
      );
  }

  stop(): void {
    this.replayer.stop();
  }

  /** Lets the run see signals and read what the programs sent. */
  private async breathe(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.kernel.ringShare() > MOST_RING_SHARE) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The replay waits while a ring is fuller than this part. */
const MOST_RING_SHARE = 0.25;
