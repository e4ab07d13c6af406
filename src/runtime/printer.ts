/** Everything that a run prints beside the text of values: events, maps, announcements, in text or JSON, of either release of bpftrace. */
import type { EventAction, PlannedMap, ScriptPlace } from "../lang/bpftrace/plan.ts";
import type { KernelMap } from "../kernel/kernel.ts";
import type { FormatContext } from "./format/context.ts";
import { jsonWriter, writeJsonString, writeJsonText } from "./format/json.ts";
import { MapPrinter } from "./format/map.ts";
import { printfWriter } from "./format/printf.ts";
import type { RecordWriter } from "./format/printf.ts";
import { encodeText, endOfString, Sink } from "./format/sink.ts";
import { textWriter } from "./format/text.ts";

/** Text for people, or one JSON object a line. */
export type OutputFormat = "text" | "json";

/** Types of JSON messages. */
type MessageType = "printf" | "time" | "join" | "cat" | "syscall";

/** Formats a run's output into one sink for stdout and one for stderr; who owns them writes them. */
export class Printer {
  readonly out: Sink = new Sink();
  readonly err: Sink = new Sink(1024);
  readonly context: FormatContext;
  private readonly json: boolean;
  private readonly old: boolean;
  private readonly scratch = new Sink(4096);
  private readonly maps = new Map<string, MapPrinter>();
  private readonly fullMaps = new Set<string>();
  private readonly noWarnings: boolean;

  constructor(format: OutputFormat, context: FormatContext, noWarnings = false) {
    this.noWarnings = noWarnings;
    this.json = format === "json";
    this.old = context.compat === "0.17";
    this.context = context;
  }

  /** A writer for records of a printf. */
  printf(action: EventAction & { readonly kind: "printf" | "debugf" }): RecordWriter {
    const write = printfWriter(action.format, action.fields, this.context);
    if (!this.json) return write;
    const opening = encodeText('{"type": "printf", "data": ');
    const { scratch } = this;
    return (sink, bytes, view, at) => {
      scratch.clear();
      write(scratch, bytes, view, at);
      sink.append(opening);
      writeJsonString(sink, scratch.bytes, 0, scratch.length);
      sink.byte(0x7d);
      sink.byte(0x0a);
    };
  }

  /** A writer for records of errorf and warnf: a message with its place on stderr, in JSON on stdout. */
  complaint(action: EventAction & { readonly kind: "errorf" | "warnf" }): RecordWriter {
    const write = printfWriter(action.format, action.fields, this.context);
    const label = action.kind === "errorf" ? "ERROR" : "WARNING";
    return (_sink, bytes, view, at) => {
      const { scratch } = this;
      scratch.clear();
      write(scratch, bytes, view, at);
      if (this.json) {
        this.out.text(`{"type": "${action.kind}", "msg": `);
        writeJsonString(this.out, scratch.bytes, 0, scratch.length);
        const place: ScriptPlace = action.place ?? { file: "", line: 0, column: 0, endColumn: 0 };
        this.out.text(', "filename": ');
        writeJsonText(this.out, place.file);
        this.out.text(`, "line": ${place.line}, "col": ${place.column}}\n`);
        return;
      }
      const { place } = action;
      if (place) this.err.text(`${place.file}:${place.line}:${place.column}-${place.endColumn}: `);
      this.err.text(`${label}: `);
      const end = scratch.length > 0 && scratch.bytes[scratch.length - 1] === 10 ? scratch.length - 1 : scratch.length;
      this.err.copy(scratch.bytes, 0, end);
      this.err.byte(10);
    };
  }

  /** A writer for records of `print(value)`. */
  value(action: EventAction & { readonly kind: "print-value" }): RecordWriter {
    const { type, offset } = action.field;
    if (!this.json) {
      const write = textWriter(type, this.context);
      return (sink, bytes, view, at) => {
        write(sink, bytes, view, at + offset);
        sink.byte(10);
      };
    }
    const write = jsonWriter(type, this.context);
    const opening = encodeText('{"type": "value", "data": ');
    return (sink, bytes, view, at) => {
      sink.append(opening);
      write(sink, bytes, view, at + offset);
      sink.byte(0x7d);
      sink.byte(0x0a);
    };
  }

  /** A writer for records of `join`. Items end at the first empty one. */
  join(action: EventAction & { readonly kind: "join" }): RecordWriter {
    const separator = encodeText(action.separator);
    return (sink, bytes, view, at) => {
      const target = this.json ? this.scratch : sink;
      this.scratch.clear();
      const count = view.getUint32(at + action.countOffset, true);
      for (let i = 0; i < count; i++) {
        const from = at + action.itemsOffset + i * action.itemSize;
        const end = endOfString(bytes, from, from + action.itemSize);
        if (end === from) break;
        if (i > 0) target.append(separator);
        target.copy(bytes, from, end);
      }
      if (this.json) this.message("join", this.scratch);
      else sink.byte(10);
    };
  }

  /** A piece of the text of a command that still runs; only in text, where pieces need no brackets. */
  piece(text: Uint8Array): void {
    this.out.append(text);
  }

  /** Text that was made outside: the output of commands, files, the time. */
  text(type: MessageType, text: Uint8Array): void {
    if (this.json) {
      this.out.text(`{"type": "${type}", "data": `);
      writeJsonString(this.out, text, 0, text.length);
      this.out.text("}\n");
      return;
    }
    this.out.append(text);
    if (type === "syscall" && !this.old) this.out.byte(10);
  }

  /** The formatted text of an action that is not printed itself, such as the command of `system`. */
  formatted(write: RecordWriter, bytes: Uint8Array, view: DataView, at: number): string {
    this.scratch.clear();
    write(this.scratch, bytes, view, at);
    return this.scratch.toString();
  }

  private message(type: MessageType, text: Sink): void {
    this.out.text(`{"type": "${type}", "data": `);
    writeJsonString(this.out, text.bytes, 0, text.length);
    this.out.text("}\n");
  }

  /** All entries of a map, piece by piece: between two the sink may be emptied. `explicit`: asked for by `print(@map)`, not at the end of the run. */
  *map(map: PlannedMap, kernelMap: KernelMap, top: number, div: number, explicit: boolean): Generator<void> {
    const { json } = this;
    const onFull = (): void => this.full(map.name, kernelMap.spec.maxEntries);
    yield* this.mapPrinter(map).pieces(this.out, kernelMap, { json, top, div, explicit, onFull });
  }

  /** Says once of each map that it holds as many entries as it may: what came later was not recorded. */
  private full(name: string, entries: number): void {
    if (this.noWarnings || this.fullMaps.has(name)) return;
    this.fullMaps.add(name);
    this.warning(
      `map ${name}: full: it holds ${entries} entries, the most that it may; later keys are missing ` +
        `(config = { max_map_keys = ${entries * 4} }, or BPFTRACE_MAX_MAP_KEYS)`,
    );
  }

  /** One entry of a map, for `print(@map[key])`. */
  mapEntry(map: PlannedMap, kernelMap: KernelMap, key: Uint8Array | undefined): void {
    this.mapPrinter(map).writeEntry(this.out, kernelMap, key, this.json);
  }

  private mapPrinter(map: PlannedMap): MapPrinter {
    let printer = this.maps.get(map.name);
    if (!printer) {
      printer = new MapPrinter(map, this.context);
      this.maps.set(map.name, printer);
    }
    return printer;
  }

  /** The banner: on stderr once attached, or with 0.17 on stdout before. */
  attached(count: number): void {
    if (this.json) {
      this.out.text(
        this.old
          ? `{"type": "attached_probes", "data": {"probes": ${count}}}\n`
          : `{"type": "attached_probes", "count": ${count}, "data": {"probes": ${count}}}\n`,
      );
      return;
    }
    const probes = count === 1 ? "probe" : "probes";
    if (this.old) this.out.text(`Attaching ${count} ${probes}...\n`);
    else this.err.text(`Attached ${count} ${probes}\n`);
  }

  /** Events that found the ring full since the last such line. */
  lost(count: bigint): void {
    if (this.json) {
      this.out.text(
        this.old
          ? `{"type": "lost_events", "data": {"events": ${count}}}\n`
          : `{"type": "lost_events", "count": ${count}, "data": {"events": ${count}}}\n`,
      );
      return;
    }
    (this.old ? this.out : this.err).text(`Lost ${count} events\n`);
  }

  /** How many were lost in all. */
  totalLost(count: bigint): void {
    if (!this.old) this.err.text(`WARNING: Total lost event count: ${count}\n`);
  }

  /** What went wrong while handling an event; the run goes on. */
  warning(text: string): void {
    this.err.text(`WARNING: ${text}\n`);
  }

  /** What an event asked for and could not be done; the run goes on. */
  error(text: string): void {
    this.err.text(`ERROR: ${text}\n`);
  }

  /** Two empty lines before the maps of the end; 0.17 prints them in JSON too. */
  end(): void {
    if (!this.json || this.old) this.out.text("\n\n");
  }
}
