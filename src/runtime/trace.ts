/**
 * A run of a compiled script: load, BEGIN, attach, events until something ends it, detach, END, the last events, maps. Attachments go with
 * the process however it ends; this module makes the usual ends orderly and quick.
 */
import type { ChildProcess } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { SkepError } from "../base/index.ts";
import type { Kernel, KernelMap, Link, LoadedObject, RingReader } from "../kernel/kernel.ts";
import type { BpfObject } from "../object/index.ts";
import { EVENT_RING, LOST_EVENTS } from "../lang/bpftrace/plan.ts";
import type { EventAction, PlannedMap, PlannedProbe, TracePlan } from "../lang/bpftrace/plan.ts";
import { sizeOf, tupleOffsets } from "../lang/bpftrace/types.ts";
import type { Type } from "../lang/bpftrace/types.ts";
import { attachProbes } from "./attach.ts";
import type { Compat } from "./format/context.ts";
import { LinuxFormatContext } from "./context.ts";
import { printfWriter } from "./format/printf.ts";
import type { RecordWriter } from "./format/printf.ts";
import { encodeText } from "./format/sink.ts";
import { strftime } from "./format/strftime.ts";
import { FdOutput, OutputClosed } from "./output.ts";
import type { Buffering } from "./output.ts";
import { Printer } from "./printer.ts";
import type { OutputFormat } from "./printer.ts";

/** Something that begins once all is attached, and ends the run with its own end: a command, a recording that is replayed. */
export interface Companion {
  start(): void;
  readonly ended: Promise<{ readonly failure?: unknown }>;
  /** Ends it, however far it is. */
  stop(): void;
}

/** How a run prints and when it ends. */
export interface TraceOptions {
  readonly kernel: Kernel;
  readonly object: BpfObject;
  readonly plan: TracePlan;
  /** Where output goes; stdout when absent. */
  readonly output?: FdOutput;
  readonly format?: OutputFormat;
  readonly compat?: Compat;
  readonly buffering?: Buffering;
  /** No announcement of attached probes. */
  readonly quiet?: boolean;
  /** `warnf` is silent. */
  readonly noWarnings?: boolean;
  /** What waits to be started once all is attached; the run ends with it. */
  readonly child?: Companion;
  /** The run ends when this process does. */
  readonly pid?: number;
  /** Verifier's log, wanted even on success. */
  readonly verifierLog?: (program: string, log: string) => void;
  /** Load and attach, then end at once: `--dry-run`. */
  readonly dryRun?: boolean;
}

/** Milliseconds between two looks at the ring: while events come, and at most when none do. */
const BUSY_MS = 1;
const IDLE_MS = 25;
/** A turn that found more than this part of the ring filled is followed by the next at once: a busy machine may be late. */
const BUSY_SHARE = 8;
/** From this pause on, the ring's own wake-up (of `exit`) is waited for besides the timer. */
const WATCH_MS = 4;
/** Records of one turn: signals are seen between two turns. */
const TURN_RECORDS = 50_000;
/** What a command wrote just before its end may be read this much later. */
const SYSTEM_REST_MS = 100;
/** How long recorded commands are still run once the end was asked for. */
const FINAL_COMMANDS_MS = 500;
/** Output is written in the middle of a turn when this much is there. */
const WRITE_BYTES = 1 << 18;
/** Records wait in the ring while the last output is not written yet and this much more is there. */
const WAIT_BYTES = 1 << 20;
/** How often losses, the traced process, and new processes with user stacks are looked for. */
const HOUSEKEEPING_MS = 100;
/** Turns after the end was asked for: a flood of records cannot keep a run alive. */
const FINAL_TURNS = 200;

/** Set by bpftrace's own test suite: print this name once everything is attached. */
const NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

/** What a record's action does. */
type Action = (bytes: Uint8Array, view: DataView, at: number, size: number) => void;

/** Thrown out of a drain to do something that takes its time before the next record. */
const PAUSE = Symbol("pause");

/** One run. Make it, `await run()`, done: everything that was opened is closed. */
export class TraceSession {
  private readonly options: TraceOptions;
  private readonly plan: TracePlan;
  private readonly output: FdOutput;
  private readonly links: Link[] = [];
  private loaded!: LoadedObject;
  private printer!: Printer;
  private context!: LinuxFormatContext;
  private reader: RingReader | undefined;
  private actions: Action[] = [];
  private exitCode = 0;
  /** Set by exit(), a signal, or the end of the traced process. */
  private ending = false;
  /** After exit(): records that follow are not acted upon. */
  private ignoring = false;
  private lostSeen = 0n;
  /** From then on, in milliseconds of `performance.now()`, commands are counted instead of run. */
  private commandsUntil = Infinity;
  private commandsSkipped = 0;
  private failure: unknown;
  private wake: (() => void) | undefined;
  /** Records handed over in this turn. */
  private handled = 0;
  private handledBytes = 0;
  /** From this many bytes a turn on the ring is read again without a pause. */
  private busyBytes = Infinity;
  /** What the last record asked for and takes its time; done before the next. */
  private deferred: (() => Promise<void>) | undefined;
  /** Output on its way to a pipe or terminal. */
  private writing: Promise<void> | undefined;
  /** The command of `system` that runs now. */
  private command: ChildProcess | undefined;
  private readonly stackKeyedMaps: readonly PlannedMap[];
  private readonly probesBySignal = new Map<NodeJS.Signals, PlannedProbe[]>();
  private readonly printerMaps: ReadonlyMap<string, PlannedMap>;

  constructor(options: TraceOptions) {
    this.options = options;
    this.plan = options.plan;
    this.output = options.output ?? new FdOutput(1, "stdout");
    this.stackKeyedMaps = this.plan.maps.filter((map) => map.key !== null && userStackOffset(map.key) !== undefined);
    this.printerMaps = new Map(this.plan.maps.map((map) => [map.name, map]));
  }

  /**
   * Runs to the end; resolves with the exit status that the script asked for (0 without). Throws what loading and attaching
   * throw, and SkepError when output cannot be written. On return nothing is attached.
   */
  async run(): Promise<number> {
    const { kernel, object } = this.options;
    const { verifierLog } = this.options;
    const restoreSignals = this.catchSignals();
    try {
      this.loaded = kernel.load(object, verifierLog ? { log: { level: 1, sink: verifierLog } } : {});
      try {
        this.prepare();
        this.begin();
        this.attach();
        if (!this.options.dryRun) await this.poll();
        await this.detach();
        await this.finish();
      } catch (error) {
        if (!(error instanceof OutputClosed)) throw error;
      } finally {
        // All at once: closing one after the other would take a tenth of a second for each.
        await this.detach();
        this.close();
      }
    } finally {
      restoreSignals();
    }
    return this.exitCode;
  }

  /** Asks a run to end as a signal would: maps are printed. */
  stop(): void {
    this.ending = true;
    this.wake?.();
  }

  private prepare(): void {
    const { plan, loaded } = this;
    this.context = new LinuxFormatContext(plan, {
      compat: this.options.compat ?? "0.26",
      possibleCpus: this.options.kernel.possibleCpus,
      map: (name) => loaded.map(name),
    });
    this.printer = new Printer(this.options.format ?? "text", this.context, this.options.noWarnings);
    if (plan.usesRing) {
      const ring = loaded.map(EVENT_RING);
      this.reader = this.options.kernel.ringReader(ring);
      this.busyBytes = ring.spec.maxEntries / BUSY_SHARE;
      this.actions = plan.events.map((event) => this.action(event));
    }
    const { pid } = this.options;
    if (pid !== undefined && this.namesUserCode()) this.context.symbolizer.sight(pid);
  }

  /** True when addresses of processes may have to be named. */
  private namesUserCode(): boolean {
    const { plan } = this;
    if (plan.stackMaps.some((map) => map.of === "user")) return true;
    const types = plan.maps.flatMap((map) => (map.key ? [map.key, map.value] : [map.value]));
    for (const event of plan.events) {
      if ("fields" in event) types.push(...event.fields.map((field) => field.type));
      if (event.kind === "print-value") types.push(event.field.type);
    }
    return types.some(holdsUserSymbol);
  }

  private begin(): void {
    if (this.options.compat === "0.17") this.announce();
    if (this.options.dryRun) {
      this.ignoring = true;
      return;
    }
    for (const probe of this.plan.probes) {
      if (probe.run.when === "begin") this.loaded.program(probe.program).testRun();
    }
  }

  private attach(): void {
    const refused = attachProbes(this.options.kernel, this.loaded, this.plan, this.links);
    if (refused && !this.options.noWarnings) {
      this.printer.warning(`${refused.count} of ${refused.of} matching probes were not attached: ${refused.reason}`);
    }
    if (this.options.compat !== "0.17") this.announce();
    if (process.env[NOTIFY]) {
      if (this.options.compat === "0.17") this.printer.err.text(`${NOTIFY}\n`);
      else this.printer.out.text(`${NOTIFY}\n`);
      this.flush();
    }
    const { child } = this.options;
    if (child && !this.options.dryRun) {
      child.start();
      void child.ended.then(({ failure }) => {
        if (failure !== undefined) this.failure ??= failure;
        this.stop();
      });
    }
  }

  private announce(): void {
    if (this.options.quiet) return;
    this.printer.attached(this.plan.probeCount);
    this.flush();
  }

  /** Handles events until the run is to end. */
  private async poll(): Promise<void> {
    const endsByItself =
      !this.options.child && this.plan.probes.every(({ run }) => run.when === "begin" || run.when === "end");
    let pause = BUSY_MS;
    let nextHousekeeping = performance.now() + HOUSEKEEPING_MS;
    for (;;) {
      const count = await this.turn();
      if (this.ending) return;
      if (endsByItself && count === 0) return;
      const now = performance.now();
      if (now >= nextHousekeeping) {
        this.keepHouse();
        nextHousekeeping = now + HOUSEKEEPING_MS;
        if (this.ending) return;
      }
      if (count >= TURN_RECORDS || this.handledBytes > this.busyBytes) pause = 0;
      else if (count > 0) pause = BUSY_MS;
      else pause = Math.min(Math.max(pause, BUSY_MS) * 2, IDLE_MS);
      await this.sleep(pause);
    }
  }

  /** Waits for a pause, the ring's wake-up or {@link stop}. */
  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (ms === 0) {
        setImmediate(resolve);
        return;
      }
      let unwatch: (() => void) | undefined;
      const done = (): void => {
        this.wake = undefined;
        clearTimeout(timer);
        unwatch?.();
        resolve();
      };
      const timer = setTimeout(done, ms);
      if (ms >= WATCH_MS && this.reader) unwatch = this.reader.onReadable(done);
      this.wake = done;
    });
  }

  /** Handles what the ring holds now and writes what came of it. Returns the number of records. */
  private async turn(): Promise<number> {
    this.handled = 0;
    this.handledBytes = 0;
    while (this.reader && this.handled < TURN_RECORDS) {
      try {
        this.reader.drain(this.handle, TURN_RECORDS - this.handled);
      } catch (error) {
        if (error !== PAUSE) throw error;
      }
      const { deferred } = this;
      if (!deferred) break;
      this.deferred = undefined;
      await deferred();
      if (this.isCutShort()) break;
    }
    if (this.failure !== undefined) throw this.failure;
    if (this.handled > 0) this.flushBatch();
    return this.handled;
  }

  private readonly handle = (bytes: Uint8Array, view: DataView, at: number, size: number): void => {
    this.handled++;
    this.handledBytes += size;
    if (this.ignoring || size < 4) return;
    const action = this.actions[view.getUint32(at, true)];
    if (!action) return;
    action(bytes, view, at, size);
    if (this.printer.out.length > WRITE_BYTES) {
      this.flush();
      if (this.printer.out.length > WAIT_BYTES) this.deferred ??= this.breathe;
    }
    if (this.deferred) throw PAUSE;
  };

  /** Between two pieces of something long: writes, waits for what reads too slowly, and lets signals in. */
  private readonly breathe = async (): Promise<void> => {
    this.flush();
    if (!this.writing) await new Promise((resolve) => setImmediate(resolve));
    while (this.writing && this.printer.out.length > 0 && !this.isCutShort()) {
      await Promise.race([this.writing, this.asked()]);
      this.flush();
    }
  };

  /** True when the end was asked for and things are still attached: they come off before a slow reader is waited for. */
  private isCutShort(): boolean {
    return this.ending && this.links.length > 0;
  }

  /** Resolves when the end is asked for while something is attached. */
  private asked(): Promise<void> {
    return new Promise((resolve) => {
      if (this.links.length > 0) this.wake = resolve;
    });
  }

  private action(event: EventAction): Action {
    const { printer } = this;
    const { out } = printer;
    const perEvent = this.options.buffering === "none";
    const print =
      (write: RecordWriter): Action =>
      (bytes, view, at) => {
        write(out, bytes, view, at);
        if (perEvent) this.deferred = this.breathe;
      };
    switch (event.kind) {
      case "printf":
      case "debugf":
        return print(printer.printf({ ...event, kind: event.kind }));
      case "errorf":
      case "warnf": {
        if (event.kind === "warnf" && this.options.noWarnings) return () => {};
        return print(printer.complaint({ ...event, kind: event.kind }));
      }
      case "print-value":
        return print(printer.value(event));
      case "join":
        return print(printer.join(event));
      case "system": {
        const write = printfWriter(event.format, event.fields, this.context);
        return (bytes, view, at) => {
          if (performance.now() > this.commandsUntil) {
            this.commandsSkipped++;
            return;
          }
          const command = printer.formatted(write, bytes, view, at);
          this.deferred = () => this.system(command);
        };
      }
      case "cat": {
        const write = printfWriter(event.format, event.fields, this.context);
        return (bytes, view, at) => {
          const path = printer.formatted(write, bytes, view, at);
          const content = readStart(path, this.plan.config.maxCatBytes);
          if (content) printer.text("cat", content);
          else printer.error(`failed to open file '${path}' (${whyUnreadable(path)})`);
        };
      }
      case "print-map":
        return () => {
          this.deferred = () => this.printMap(this.plannedMap(event.map), event.top, event.div, true);
        };
      case "print-map-entry":
        return (bytes, _view, at) => {
          const key = event.key
            ? bytes.slice(at + event.key.offset, at + event.key.offset + sizeOf(event.key.type))
            : undefined;
          printer.mapEntry(this.plannedMap(event.map), this.kernelMap(event.map), key);
        };
      case "clear":
        return () => this.kernelMap(event.map).clear();
      case "zero":
        return () => zero(this.kernelMap(event.map));
      case "time":
        return () => printer.text("time", encodeText(strftime(event.format, new Date())));
      case "exit":
        return (_bytes, view, at) => {
          if (event.codeOffset !== null) this.exitCode = view.getInt32(at + event.codeOffset, true) & 0xff;
          this.ending = true;
          this.ignoring = true;
        };
    }
  }

  private async printMap(map: PlannedMap, top: number, div: number, explicit: boolean): Promise<void> {
    for (const _ of this.printer.map(map, this.loaded.map(map.kernelMap), top, div, explicit)) await this.breathe();
  }

  /**
   * Runs a command of `system` to its end; records wait meanwhile, as in bpftrace. What it leaves running in the background is not waited
   * for. A signal that ends this run ends the command, too.
   */
  private async system(command: string): Promise<void> {
    await this.settle();
    // Fetched here and not imported: loading it would cost every run two milliseconds.
    const { spawn } = process.getBuiltinModule("node:child_process");
    const child = spawn("sh", ["-c", command], { stdio: ["inherit", "pipe", "inherit"] });
    this.command = child;
    const json = this.options.format === "json";
    const pieces: Buffer[] = [];
    child.stdout.on("data", (data: Buffer) => {
      if (json) {
        pieces.push(data);
      } else {
        this.printer.piece(data);
        this.flush();
      }
    });
    const problem = await new Promise<Error | undefined>((resolve) => {
      child.once("error", resolve);
      child.once("close", () => resolve(undefined));
      child.once("exit", () => setTimeout(resolve, SYSTEM_REST_MS, undefined).unref());
    });
    this.command = undefined;
    child.stdout.removeAllListeners("data").destroy();
    if (problem) this.printer.warning(`system: ${command}: ${problem.message}`);
    this.printer.text("syscall", json ? Buffer.concat(pieces) : new Uint8Array(0));
  }

  private plannedMap(name: string): PlannedMap {
    const map = this.printerMaps.get(name);
    if (!map) throw new SkepError("internal", `map ${name}: not in the plan`);
    return map;
  }

  private kernelMap(name: string): KernelMap {
    return this.loaded.map(this.plannedMap(name).kernelMap);
  }

  /** What is looked at now and then: losses, whether the traced process lives, which processes' stacks are in maps. */
  private keepHouse(): void {
    this.reportLost();
    const { pid, child } = this.options;
    if (pid !== undefined && !child && !isAlive(pid)) this.ending = true;
    for (const map of this.stackKeyedMaps) {
      const offset = userStackOffset(map.key!)!;
      for (const key of this.loaded.map(map.kernelMap).keys()) {
        this.context.symbolizer.sight(new DataView(key.buffer, key.byteOffset).getUint32(offset, true));
      }
    }
    this.flushBatch();
  }

  private reportLost(): void {
    if (!this.plan.usesRing) return;
    let total = 0n;
    for (const { value } of this.loaded.map(LOST_EVENTS).entries()) {
      const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
      for (let at = 0; at + 8 <= value.length; at += 8) total += view.getBigUint64(at, true);
    }
    if (total > this.lostSeen) this.printer.lost(total - this.lostSeen);
    this.lostSeen = total;
  }

  private async detach(): Promise<void> {
    if (this.links.length > 0) await this.options.kernel.detach(this.links.splice(0));
  }

  /** What was recorded before the end was asked for is shown, unless exit() ended the run; then END runs, and maps are printed. */
  private async finish(): Promise<void> {
    this.commandsUntil = performance.now() + FINAL_COMMANDS_MS;
    await this.drainAll();
    if (!this.options.dryRun) {
      this.ignoring = false;
      for (const probe of this.plan.probes) {
        if (probe.run.when === "end") this.loaded.program(probe.program).testRun();
      }
    }
    await this.drainAll();
    this.reportLost();
    if (this.commandsSkipped > 0) this.printer.warning(`${this.commandsSkipped} recorded system() calls were not run`);
    if (this.lostSeen > 0n) this.printer.totalLost(this.lostSeen);
    this.printer.end();
    if (this.plan.config.printMapsOnExit && !this.options.dryRun) {
      for (const map of this.plan.maps) {
        await this.printMap(map, 0, 0, false);
        if (this.printer.out.length > WRITE_BYTES) await this.breathe();
      }
    }
    await this.settle();
  }

  private async drainAll(): Promise<void> {
    for (let i = 0; i < FINAL_TURNS && (await this.turn()) > 0; i++);
  }

  /** Writes at the end of a batch, unless the user wants full buffers. */
  private flushBatch(): void {
    if (this.options.buffering === "full" && this.printer.out.length < 1 << 16) return;
    this.flush();
  }

  /** Writes what is there: at once to files, else beside, when what was written before has arrived. Never waits. */
  private flush(): void {
    if (this.writing) return;
    const { out, err } = this.printer;
    if (!this.output.mayBlock && !STDERR.mayBlock) {
      // Cleared first: what fails to be written would fail again.
      const text = out.view();
      const complaints = err.view();
      out.clear();
      err.clear();
      if (text.length > 0) this.output.write(text);
      if (complaints.length > 0) STDERR.write(complaints);
      return;
    }
    if (out.length === 0 && err.length === 0) return;
    const text = out.take();
    const complaints = err.take();
    this.writing = this.writeAside(text, complaints)
      .catch((error: unknown) => {
        this.failure ??= error;
        this.stop();
      })
      .finally(() => {
        this.writing = undefined;
        out.giveBack(text);
        err.giveBack(complaints);
      });
  }

  private async writeAside(text: Uint8Array, complaints: Uint8Array): Promise<void> {
    if (text.length > 0) await this.output.writeAside(text);
    if (complaints.length > 0) await STDERR.writeAside(complaints);
  }

  /** Resolves when all output is written. */
  private async settle(): Promise<void> {
    this.flush();
    while (this.writing) {
      await this.writing;
      if (this.failure !== undefined) throw this.failure;
      this.flush();
    }
  }

  /** SIGINT, SIGTERM and SIGHUP end the run, a second one at once; signals that the script probes run its programs. */
  private catchSignals(): () => void {
    const handlers: [NodeJS.Signals, () => void][] = [];
    const on = (signal: NodeJS.Signals, handler: () => void): void => {
      process.on(signal, handler);
      handlers.push([signal, handler]);
    };
    const end = (signal: NodeJS.Signals): void => {
      // The terminal sends SIGINT to the command, too; the others reach only this process.
      if (signal !== "SIGINT" || this.ending) this.command?.kill("SIGTERM");
      if (!this.ending) {
        this.stop();
        return;
      }
      // As the signal itself ends a process: an orderly exit would wait for a write that nobody reads.
      for (const [name, handler] of handlers) process.off(name, handler);
      this.options.child?.stop();
      process.kill(process.pid, signal);
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) on(signal, () => end(signal));
    for (const probe of this.plan.probes) {
      if (probe.run.when !== "signal") continue;
      const name = probe.run.signal.toUpperCase();
      const signal = (name.startsWith("SIG") ? name : `SIG${name}`) as NodeJS.Signals;
      const probes = this.probesBySignal.get(signal) ?? [];
      probes.push(probe);
      this.probesBySignal.set(signal, probes);
    }
    for (const [signal, probes] of this.probesBySignal) {
      on(signal, () => {
        for (const { program } of probes) this.loaded.program(program).testRun();
        this.wake?.();
      });
    }
    return () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
  }

  private close(): void {
    for (const link of this.links.splice(0)) link.close();
    this.options.child?.stop();
    this.reader?.close();
    this.loaded.close();
  }
}

const STDERR = new FdOutput(2, "stderr");

/** Offset of the pid of a user stack or symbol in a key; undefined when it has none. */
function userStackOffset(type: Type, at = 0): number | undefined {
  if ((type.kind === "stack" && type.of === "user") || type.kind === "usym") return at + 8;
  if (type.kind !== "tuple") return undefined;
  const { offsets } = tupleOffsets(type.items);
  for (const [i, item] of type.items.entries()) {
    const found = userStackOffset(item, at + offsets[i]!);
    if (found !== undefined) return found;
  }
  return undefined;
}

function holdsUserSymbol(type: Type): boolean {
  return type.kind === "usym" || (type.kind === "tuple" && type.items.some(holdsUserSymbol));
}

/** False when a process is gone or has ended and waits for its parent. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  const stat = readStart(`/proc/${pid}/stat`, 512);
  // The state is the letter behind the name in parentheses.
  return stat === undefined || !/\) [ZX]/.test(new TextDecoder().decode(stat));
}

/** Why a file cannot be read, in errno's words. */
function whyUnreadable(path: string): string {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "No such file or directory";
    return code === "EACCES" ? "Permission denied" : (code ?? "it cannot be opened");
  }
  return "Is a directory";
}

/** At most `limit` bytes of a file; undefined when it cannot be read. */
function readStart(path: string, limit: number): Uint8Array | undefined {
  let fd: number;
  try {
    // Not blocking: a pipe without a writer, or a log that waits for its next line, would stop the run.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  const bytes = new Uint8Array(limit);
  let used = 0;
  try {
    while (used < limit) {
      const count = readSync(fd, bytes, used, limit - used, null);
      if (count === 0) break;
      used += count;
    }
    return bytes.subarray(0, used);
  } catch {
    return used > 0 ? bytes.subarray(0, used) : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Sets the values of all entries to zero and keeps the keys. */
function zero(map: KernelMap): void {
  const value = new Uint8Array(map.userValueSize);
  for (const key of map.keys()) map.update(key, value);
}
