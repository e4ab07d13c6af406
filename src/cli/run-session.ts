/** A loaded object while `skep run` watches it: records and printed lines as they come, maps at the end. */
import { UnsupportedError } from "../base/index.ts";
import { Btf } from "../btf/index.ts";
import { AttachType, MapType } from "../isa/index.ts";
import type { Kernel } from "../kernel/index.ts";
import { LinuxLink } from "../kernel/linux/index.ts";
import type { Attachment, Collection } from "../runtime/collection/collection.ts";
import { isEventMap } from "../runtime/records/event-types.ts";
import { type PrintedFormats, printedFormats } from "../runtime/collection/printed-formats.ts";
import { type FdOutput, OutputClosed } from "../runtime/output.ts";
import { PrintkReader, type PrintedLine } from "../runtime/printk.ts";
import type { EventReader } from "../runtime/readers/event-reader.ts";
import { PerfEventArrayMap, RingBufferMap } from "../runtime/readers/rings.ts";
import { isAlive } from "../runtime/trace.ts";
import { isShown, mapText, recordLines } from "./run-format.ts";

/** How a session prints and when it ends. */
export interface RunOptions {
  readonly output: FdOutput;
  /** A line about the run itself. */
  readonly say: (text: string) => void;
  readonly json: boolean;
  /** Print the maps at the end. */
  readonly maps: boolean;
  readonly seconds?: number;
  /** The run ends with this process. */
  readonly pid?: number;
}

/** Records of one turn: signals are seen between two turns. */
const TURN_RECORDS = 4096;
/** Turns after the end: a flood of records cannot keep a run alive. */
const FINAL_TURNS = 64;
/** Pages of each CPU's perf buffer. */
const PERF_PAGES = 128;
/** How often losses and the traced process are looked for. */
const LOOK_MS = 100;

/** Something that lines come from. */
interface Source {
  /** Lines that are there, at most some thousands. */
  read(): string[];
  /** Calls back once when there may be more; returns what cancels it. */
  wait(callback: () => void): () => void;
  /** What was lost so far. */
  lost(): number;
  readonly name: string;
  lostSeen: number;
  close(): void;
}

/** See the file's comment. Make it, `prepare`, `openReaders`, `run`, `close`. */
export class RunSession {
  private readonly collection: Collection;
  private readonly kernel: Kernel;
  private readonly options: RunOptions;
  private readonly btf: Btf | undefined;
  private readonly formats: PrintedFormats;
  private readonly sources: Source[] = [];
  private readonly cancels = new Set<() => void>();
  private ended = false;
  private readonly onEnd: (() => void)[] = [];
  private failure: unknown;
  private readonly encoder = new TextEncoder();

  constructor(collection: Collection, kernel: Kernel, options: RunOptions) {
    this.collection = collection;
    this.kernel = kernel;
    this.options = options;
    const { btf } = collection.object;
    this.btf = btf === undefined ? undefined : Btf.parse(btf);
    this.formats = printedFormats(collection.object);
  }

  /** What must be there before the object is loaded. */
  prepare(): void {
    if (!this.formats.any) return;
    try {
      const reader = new PrintkReader(this.kernel);
      this.sources.push({
        name: "bpf_printk",
        lostSeen: 0,
        read: () => {
          const lines: string[] = [];
          reader.drain((line) => {
            if (this.formats.matches(line.text)) lines.push(this.printed(line));
          });
          return lines;
        },
        wait: (callback) => {
          const stop = reader.onReadable(() => {
            stop();
            callback();
          });
          return stop;
        },
        lost: () => reader.lost,
        close: () => reader.close(),
      });
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      this.options.say(`bpf_printk output cannot be shown: ${error.message}`);
    }
  }

  private printed({ text, pid, tid, comm, cpu, timeNs }: PrintedLine): string {
    return this.options.json
      ? `{"type":"printk","text":${JSON.stringify(text)},"pid":${pid},"tid":${tid},"comm":${JSON.stringify(comm)},"cpu":${cpu},"time_ns":${timeNs}}`
      : text;
  }

  /** Readers of all ring buffers and perf buffers of the loaded object. */
  openReaders(): void {
    for (const spec of this.collection.object.maps) {
      if (!isEventMap(spec) || this.collection.spec.maps[spec.name]?.autocreate === false) continue;
      const events = this.collection.eventsOf(spec.name)!;
      const map = this.collection.map(spec.name);
      const decode = recordLines(events, this.options.json);
      let reader: EventReader<string>;
      if (map instanceof RingBufferMap) reader = map.reader({}, decode);
      else if (map instanceof PerfEventArrayMap) {
        // Without a writer it holds counters, which are no records.
        if (events.types.length === 0 && events.why === NO_WRITER) continue;
        reader = map.reader({ pagesPerCpu: PERF_PAGES }, decode);
      } else continue;
      const names = events.types.map(({ typeName }) => typeName).join(" or ");
      if (events.types.length === 0 && events.why !== NO_WRITER) {
        this.options.say(
          `${spec.name}: records are shown as bytes: ${events.why} (--event ${spec.name}='struct NAME')`,
        );
      } else if (names !== "" && events.why !== "its value type" && events.why !== "as asked for") {
        this.options.say(`${spec.name}: records are taken for ${names}: ${events.why}`);
      }
      this.sources.push({
        name: spec.name,
        lostSeen: 0,
        read: () => reader.read(TURN_RECORDS),
        wait: (callback) => reader.whenReadable(callback),
        lost: () => (spec.type === MapType.PERF_EVENT_ARRAY ? (reader.lost ?? 0) : 0),
        close: () => reader.close(),
      });
    }
  }

  /** Prints until something ends the run, then detaches and prints what is left and the maps. Resolves with the exit status. */
  async run(attached: readonly Attachment[], dryRun: boolean): Promise<number> {
    const stopSignals = this.catchSignals();
    try {
      if (!dryRun) await this.printIterators(attached);
      const isOnlyIterators = attached.length > 0 && attached.every((one) => this.isIterator(one));
      if (!dryRun && !isOnlyIterators) await this.watch();
      await this.collection.detach(attached);
      for (let turn = 0; turn < FINAL_TURNS && !dryRun; turn++) {
        const lines = this.sources.flatMap((source) => source.read());
        if (lines.length === 0) break;
        await this.write(lines);
      }
      await this.sayLost();
      if (this.failure !== undefined) throw this.failure;
      if (this.options.maps && !dryRun) await this.printMaps();
      return 0;
    } catch (error) {
      if (error instanceof OutputClosed) return 0;
      throw error;
    } finally {
      stopSignals();
    }
  }

  private async watch(): Promise<void> {
    const { seconds, pid } = this.options;
    const timer = seconds === undefined ? undefined : setTimeout(() => this.end(), seconds * 1000);
    const look = setInterval(() => {
      if (pid !== undefined && !isAlive(pid)) this.end();
      this.sayLost().catch((error: unknown) => this.fail(error));
    }, LOOK_MS);
    try {
      const ended = new Promise<void>((resolve) => (this.ended ? resolve() : this.onEnd.push(resolve)));
      await Promise.all([ended, ...this.sources.map((source) => this.pump(source))]);
    } finally {
      clearTimeout(timer);
      clearInterval(look);
    }
  }

  /** Prints what comes from a source until the run ends. */
  private async pump(source: Source): Promise<void> {
    try {
      while (!this.ended) {
        const lines = source.read();
        if (lines.length > 0) {
          await this.write(lines);
          await new Promise((resolve) => setImmediate(resolve));
          continue;
        }
        await new Promise<void>((resolve) => {
          const done = (): void => {
            this.cancels.delete(cancelled);
            resolve();
          };
          const cancelled = (): void => {
            cancel();
            done();
          };
          this.cancels.add(cancelled);
          const cancel = source.wait(done);
        });
      }
    } catch (error) {
      this.fail(error);
    }
  }

  private writing: Promise<void> = Promise.resolve();

  /** Writes lines behind what is being written. Sources wait, so that a slow reader fills rings, not the memory. */
  private write(lines: readonly string[]): Promise<void> {
    const bytes = this.encoder.encode(`${lines.join("\n")}\n`);
    const { output } = this.options;
    this.writing = this.writing.then(() => (output.mayBlock ? output.writeAside(bytes) : output.write(bytes)));
    return this.writing;
  }

  private fail(error: unknown): void {
    this.failure ??= error;
    this.end();
  }

  private end(): void {
    this.ended = true;
    for (const resolve of this.onEnd.splice(0)) resolve();
    for (const cancel of this.cancels) cancel();
  }

  private async sayLost(): Promise<void> {
    for (const source of this.sources) {
      const lost = source.lost() - source.lostSeen;
      if (lost <= 0) continue;
      source.lostSeen += lost;
      if (this.options.json) await this.write([`{"type":"lost","map":${JSON.stringify(source.name)},"count":${lost}}`]);
      else
        this.options.say(
          `Lost ${lost} ${lost === 1 ? "record" : "records"} of ${source.name}: they came faster than they were read`,
        );
    }
  }

  private isIterator(one: Attachment): boolean {
    return "program" in one && this.collection.program(one.program).spec.expectedAttachType === AttachType.TRACE_ITER;
  }

  private async printIterators(attached: readonly Attachment[]): Promise<void> {
    for (const one of attached) {
      if (!this.isIterator(one)) continue;
      for (const link of "links" in one ? one.links : [one]) {
        if (!(link instanceof LinuxLink)) continue;
        const bytes = link.readIterator();
        if (bytes.length === 0) continue;
        const text = new TextDecoder().decode(bytes);
        if (!this.options.json) await this.write([text.endsWith("\n") ? text.slice(0, -1) : text]);
        else if ("program" in one) {
          await this.write([
            `{"type":"iterator","program":${JSON.stringify(one.program)},"text":${JSON.stringify(text)}}`,
          ]);
        }
      }
    }
  }

  private async printMaps(): Promise<void> {
    for (const spec of this.collection.object.maps) {
      if (!isShown(spec) || this.collection.spec.maps[spec.name]?.autocreate === false) continue;
      const { kernelMap } = this.collection.map(spec.name);
      const text = mapText(kernelMap, this.btf, this.options.json);
      await this.write([this.options.json ? text.trimEnd() : `\n${text.trimEnd()}`]);
    }
  }

  /** SIGINT, SIGTERM and SIGHUP end the run, a second one at once. */
  private catchSignals(): () => void {
    const handlers: [NodeJS.Signals, () => void][] = [];
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const handler = (): void => {
        if (!this.ended) {
          this.end();
          return;
        }
        for (const [name, one] of handlers) process.off(name, one);
        process.kill(process.pid, signal);
      };
      process.on(signal, handler);
      handlers.push([signal, handler]);
    }
    return () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
  }

  close(): void {
    for (const source of this.sources.splice(0)) source.close();
  }
}

/** Why a map has no types of records when nothing writes to it. */
const NO_WRITER = "no program writes to it";
