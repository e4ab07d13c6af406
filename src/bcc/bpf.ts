/** BCC's `BPF`: a C program that is compiled, loaded, attached and read. */
import { SkepError, type SourceText } from "../base/index.ts";
import { Btf } from "../btf/index.ts";
import { decode, disassemble } from "../isa/index.ts";
import type { MapSpec } from "../object/index.ts";
import { type Kernel, openLinuxKernel } from "../kernel/index.ts";
import type { BccUnit } from "../lang/c/index.ts";
import { listDisassembly } from "../inspect/index.ts";
import { type MapEvents, eventTypes } from "../runtime/index.ts";
import { type BccCompileOptions, compileBcc, listIr, preprocessBcc, readSource } from "./compile.ts";
import { type CompiledBpf, unitOf } from "./compiled.ts";
import { Debug } from "./constants.ts";
import type { LoadLog } from "./loader.ts";
import { Buffers } from "./polling.ts";
import { Probes } from "./probes.ts";
import type { AnyTable } from "./tables/any.ts";
import type { EventHost } from "./tables/events.ts";
import { makeTable } from "./tables/factory.ts";
import type { Table } from "./tables/table.ts";
import { TracePipe, type TraceFields, formatFields, parseTraceLine } from "./trace-pipe.ts";
import type { USDT } from "./usdt/usdt.ts";

/** What a program is made of and how. One of `text`, `srcFile` and `compiled` must be given. */
export interface BpfOptions {
  /** The source. */
  readonly text?: string;
  /** Path of the source; looked for beside the program that runs, too. */
  readonly srcFile?: string;
  /** Path of a header that is read before the source. */
  readonly hdrFile?: string;
  /** A program that was compiled before: no compiler runs. */
  readonly compiled?: CompiledBpf;
  /** As clang takes them: `-D`, `-U`, `-I`, `-isystem`, `-include`. */
  readonly cflags?: readonly string[];
  /** Static probes that are enabled. */
  readonly usdtContexts?: readonly USDT[];
  /** Attach static probes in every process, not in that of their context alone. */
  readonly attachUsdtIgnorePid?: boolean;
  /** `Debug.*`: what is shown on standard error. */
  readonly debug?: number;
  /** Types of the kernel to compile for. Default: the running one's. */
  readonly kernelTypes?: Btf;
  /** The kernel to load into. Default: the running one. */
  readonly kernel?: Kernel;
  /** Where histograms and traces are printed, a line at a time. Default: standard output. */
  readonly print?: (line: string) => void;
}

const printLine = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const say = (text: string): void => {
  process.stderr.write(text.endsWith("\n") ? text : `${text}\n`);
};

/** Everything that a program is made of. */
interface Prepared {
  readonly compiled: CompiledBpf;
  readonly unit: BccUnit;
  readonly kernel: Kernel;
  readonly ownsKernel: boolean;
}

function sourceOf(options: BpfOptions): SourceText {
  const { text, srcFile, compiled } = options;
  const given = [text, srcFile, compiled].filter((one) => one !== undefined).length;
  if (given !== 1) {
    const which =
      given === 0
        ? "one of text, srcFile and compiled must be given"
        : "only one of text, srcFile and compiled may be given";
    throw new SkepError("usage", `BPF: ${which}`, { exitStatus: 2 });
  }
  return srcFile === undefined ? { name: "text", text: text ?? "" } : readSource(srcFile);
}

function compiledOf(options: BpfOptions): CompiledBpf {
  const source = sourceOf(options);
  if (options.compiled !== undefined) return options.compiled;
  const { cflags = [], hdrFile, kernelTypes, usdtContexts = [], debug = 0 } = options;
  const compile: BccCompileOptions = {
    cflags: hdrFile === undefined ? cflags : [...cflags, "-include", hdrFile],
    ...(kernelTypes === undefined ? {} : { kernelTypes }),
    usdtArgument: (fn, index) => {
      const found = usdtContexts.flatMap((usdt) => usdt.argumentPlaces(fn, index) ?? []);
      return found.length === 0 ? undefined : found;
    },
  };
  if ((debug & Debug.PREPROCESSOR) !== 0) say(preprocessBcc(source, compile));
  if ((debug & Debug.IR) !== 0) say(listIr(source, compile));
  const compiled = compileBcc(source, compile);
  const warnings = compiled.diagnostics.format();
  if (warnings !== "") say(warnings);
  if ((debug & Debug.SOURCE) !== 0) say(listDisassembly(compiled.object));
  return compiled;
}

function prepare(options: BpfOptions): Prepared {
  const compiled = compiledOf(options);
  return {
    compiled,
    unit: unitOf(compiled),
    kernel: options.kernel ?? openLinuxKernel(),
    ownsKernel: options.kernel === undefined,
  };
}

function logOf(debug: number): LoadLog | undefined {
  const level = (debug & Debug.BPF_REGISTER_STATE) !== 0 ? 2 : (debug & Debug.BPF) !== 0 ? 1 : undefined;
  return level === undefined ? undefined : { level, sink: (program, log) => say(`${program}:\n${log}`) };
}

/**
 * A program in BCC's dialect of C: compiled and loaded when it is made, and its functions attached whose names say where (`kprobe__`,
 * `TRACEPOINT_PROBE`…). Closing takes everything off and frees it, and so does the end of the process, however it comes. Throws
 * CompileError with every message and its place; UnsupportedError for what this machine or user cannot do; VerifierError.
 */
export class BPF extends Probes {
  private readonly btf: Btf | undefined;
  private readonly compiled: CompiledBpf;
  private readonly ownsKernel: boolean;
  private readonly tables = new Map<string, Table>();
  private readonly buffers = new Buffers();
  private readonly printTo: (line: string) => void;
  private readonly host: EventHost;
  private pipe: TracePipe | undefined;
  private isClosed = false;

  constructor(options: BpfOptions | string) {
    const given = typeof options === "string" ? { text: options } : options;
    const prepared = prepare(given);
    const { compiled, unit, kernel, ownsKernel } = prepared;
    super(compiled, unit, kernel, logOf(given.debug ?? 0));
    this.compiled = compiled;
    this.ownsKernel = ownsKernel;
    const { btf } = compiled.object;
    this.btf = btf === undefined ? undefined : Btf.parse(btf);
    this.printTo = given.print ?? printLine;
    this.host = {
      btf: this.btf,
      print: (line) => this.printTo(line),
      addBuffer: (kind, buffer) => this.buffers.add(kind, buffer),
      removeBuffer: (buffer) => this.buffers.remove(buffer),
    };
    try {
      for (const usdt of given.usdtContexts ?? []) {
        for (const probe of usdt.enumerateActiveProbes())
          this.attachUsdt(given.attachUsdtIgnorePid === true ? { ...probe, pid: -1 } : probe);
      }
      for (const program of unit.programs) if (program.autoAttach) this.attachByName(program);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * A table by its name; with a class, of that class. Throws SkepError (`no-table`) with the nearest name, TypeError when it is of another
   * class.
   */
  table<K = unknown, V = unknown>(name: string): AnyTable<K, V>;
  table<T extends Table>(name: string, type: abstract new (...args: never[]) => T): T;
  table(name: string, type?: abstract new (...args: never[]) => Table): Table {
    this.requireOpen(`table ${name}`);
    let table = this.tables.get(name);
    if (table === undefined) {
      const { map, spec } = this.loader.map(name);
      table = makeTable(map, this.typedSpec(name, spec), this.eventsOf(name), this.host);
      this.tables.set(name, table);
    }
    if (type !== undefined && !(table instanceof type))
      throw new TypeError(`table ${name}: is ${(table as object).constructor.name}, not ${type.name}`);
    return table;
  }

  /** As {@link table}. */
  get<K = unknown, V = unknown>(name: string): AnyTable<K, V> {
    return this.table<K, V>(name);
  }

  /** Names of the tables. */
  get tableNames(): string[] {
    return this.loader.tableNames;
  }

  /** Names of the functions that can be attached. */
  get functionNames(): string[] {
    return this.loader.functionNames;
  }

  /** Types of keys and values, which the kernel does not take for every type of maps. */
  private typedSpec(name: string, spec: MapSpec): MapSpec {
    const table = this.unit.tables.find((one) => one.name === name);
    if (table === undefined) return spec;
    const { inner } = spec;
    return {
      ...spec,
      ...(table.keyTypeId === 0 ? {} : { keyTypeId: table.keyTypeId }),
      ...(table.leafTypeId === 0 ? {} : { valueTypeId: table.leafTypeId }),
      ...(inner === undefined || table.inner === undefined ? {} : { inner: this.typedSpec(table.inner, inner) }),
    };
  }

  private eventsOf(name: string): MapEvents | undefined {
    const event = this.unit.tables.find((table) => table.name === name)?.event;
    if (event !== undefined && this.btf !== undefined) {
      const type = { btf: this.btf, typeId: event.typeId, typeName: event.type, size: event.size };
      return { map: name, types: [type], why: "what the program sends" };
    }
    return eventTypes(this.compiled.object, this.btf, {}).find(({ map }) => map === name);
  }

  /** Instructions of a function as bytes, 8 each, before the kernel rewrites them. */
  dumpFunc(fnName: string): Uint8Array {
    return this.loader.known(fnName).spec.code.slice();
  }

  /** Instructions of a function as text. */
  disassembleFunc(fnName: string): string {
    const insns = decode(this.loader.known(fnName).spec.code);
    return `Disassemble of BPF program ${fnName}:\n${disassemble(insns, { index: true, opcode: true }).trimEnd()}`;
  }

  /** Layout of a table's keys and values as text; with `sizeInfo` offsets and sizes in bytes. */
  decodeTable(name: string, options: { readonly sizeInfo?: boolean } = {}): string {
    return this.table(name).layout(options.sizeInfo);
  }

  /**
   * Waits for records of perf buffers that were opened with callbacks, at most so long (milliseconds; negative: for ever), and hands them to
   * the callbacks; resolves with their number. Throws SkepError (`no-buffer`) when none is open.
   */
  perfBufferPoll(timeoutMs: number = -1): Promise<number> {
    return this.buffers.poll("perf", timeoutMs);
  }

  /** Hands over what is in perf buffers now, without waiting; returns the number of records. */
  perfBufferConsume(): number {
    return this.buffers.consume("perf");
  }

  /** As {@link perfBufferPoll}, of ring buffers. */
  ringBufferPoll(timeoutMs: number = -1): Promise<number> {
    return this.buffers.poll("ring", timeoutMs);
  }

  /** As {@link perfBufferConsume}, of ring buffers. */
  ringBufferConsume(): number {
    return this.buffers.consume("ring");
  }

  private tracePipe(): TracePipe {
    this.requireOpen("trace_pipe");
    this.pipe ??= new TracePipe();
    return this.pipe;
  }

  /**
   * The next line of the kernel's `trace_pipe`, where `bpf_trace_printk` of all programs goes; undefined when the program is closed
   * meanwhile, and at once when `nonblocking` and there is none.
   */
  async traceReadline(options: { readonly nonblocking?: boolean } = {}): Promise<string | undefined> {
    const pipe = this.tracePipe();
    return options.nonblocking === true ? pipe.tryLine() : await pipe.line();
  }

  /** The next line in parts. Lines that tell of losses are left out. */
  async traceFields(options: { readonly nonblocking?: boolean } = {}): Promise<TraceFields | undefined> {
    for (;;) {
      const line = await this.traceReadline(options);
      if (line === undefined) return undefined;
      const fields = parseTraceLine(line);
      if (fields !== undefined) return fields;
    }
  }

  /** Lines in parts, until the program is closed or the loop is left: `for await (const [task, pid, cpu, flags, ts, msg] of b.trace())`. */
  async *trace(): AsyncGenerator<TraceFields, void, undefined> {
    for (;;) {
      const fields = await this.traceFields();
      if (fields === undefined) return;
      yield fields;
    }
  }

  /** Prints lines until the program is closed: as they are, or in a format such as `"pid {1}, msg = {5}"`. */
  async tracePrint(format?: string): Promise<void> {
    for (;;) {
      if (format === undefined) {
        const line = await this.traceReadline();
        if (line === undefined) return;
        this.printTo(line);
      } else {
        const fields = await this.traceFields();
        if (fields === undefined) return;
        this.printTo(formatFields(format, fields));
      }
    }
  }

  private requireOpen(what: string): void {
    if (this.isClosed) throw new SkepError("closed", `${what}: used after its program was closed`);
  }

  private free(): void {
    this.isClosed = true;
    this.pipe?.close();
    this.buffers.close();
    for (const table of this.tables.values()) {
      if ("closeBuffer" in table) (table as { closeBuffer(): void }).closeBuffer();
      table.map.close();
    }
    this.loader.close();
    if (this.ownsKernel) this.kernel.close();
  }

  /** Takes everything off, closes buffers and frees what was loaded. Nothing the second time. */
  close(): void {
    if (this.isClosed) return;
    try {
      this.attachments.close();
    } finally {
      this.free();
    }
  }

  /** As {@link close}: BCC has two, and the other one leaves things attached. */
  cleanup(): void {
    this.close();
  }

  /** As {@link close}, all places at once, without waiting for each: much faster where there are many. */
  async end(): Promise<void> {
    if (this.isClosed) return;
    try {
      await this.attachments.end((links) => this.kernel.detach(links));
    } finally {
      this.free();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}
