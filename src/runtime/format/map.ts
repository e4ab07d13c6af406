/** Maps of a script as bpftrace prints them, in text and JSON. */
import { isAggregation, tupleOffsets } from "../../lang/bpftrace/types.ts";
import type { Type } from "../../lang/bpftrace/types.ts";
import type { PlannedMap } from "../../lang/bpftrace/plan.ts";
import type { KernelMap } from "../../kernel/kernel.ts";
import type { FormatContext } from "./context.ts";
import { makeHistogram, writeHistogramJson, writeHistogramText } from "./histogram.ts";
import { jsonWriter, writeJsonInteger, writeJsonString, writeJsonText } from "./json.ts";
import { EntryReader } from "./map-entries.ts";
import type { Entry } from "./map-entries.ts";
import { Sink } from "./sink.ts";
import { textWriter } from "./text.ts";
import type { ValueWriter } from "./text.ts";

/** A piece of a map's text is handed over when it has this many bytes. */
const PIECE_BYTES = 1 << 18;

/** What of a map is printed, and how. */
export interface MapPrinting {
  readonly json: boolean;
  /** Keeps that many of the last; 0: all. */
  readonly top: number;
  /** Divides the numbers; 0: not given. */
  readonly div: number;
  /** Asked for by name: an empty scalar prints as zero, and not at all at the end of a run. */
  readonly explicit: boolean;
  /** Told when the map holds as many entries as it may. */
  readonly onFull?: () => void;
}

/** How a map of the script is read and written. Make one a map; it holds no kernel resource. */
export class MapPrinter {
  readonly map: PlannedMap;
  private readonly context: FormatContext;
  private readonly textKey: ValueWriter | null;
  private readonly textValue: ValueWriter;
  private readonly jsonValue: ValueWriter;
  private readonly scratch = new Sink(256);
  private readonly reader: EntryReader;
  private readonly kind: Type["kind"];
  private readonly old: boolean;

  constructor(map: PlannedMap, context: FormatContext) {
    this.map = map;
    this.context = context;
    this.reader = new EntryReader(map, context);
    this.kind = map.value.kind;
    this.old = context.compat === "0.17";
    this.textKey = map.key ? textWriter(map.key, context, "key") : null;
    this.textValue = textWriter(map.value, context);
    this.jsonValue = jsonWriter(map.value, context);
  }

  /** Appends all entries. Yields after each piece of them, when the sink may be emptied and other work done. */
  *pieces(sink: Sink, kernelMap: KernelMap, printing: MapPrinting): Generator<void> {
    const entries = this.reader.read(kernelMap, printing.top, printing.explicit);
    if (entries.isFull) printing.onFull?.();
    const by = BigInt(printing.div || 1);
    let from = sink.length;
    const write = printing.json ? this.jsonEntry : this.textEntry;
    if (printing.json) {
      // Nothing for an empty map.
      if (entries.length === 0) return;
      this.openJson(sink);
    }
    for (let i = 0; i < entries.length; i++) {
      write.call(this, sink, entries.at(i), i, by);
      if (sink.length - from > PIECE_BYTES) {
        yield;
        from = sink.length;
      }
    }
    if (printing.json) sink.text(this.map.key ? "}}}\n" : "}}\n");
    else if (this.old) sink.text(this.kind === "avg" || this.kind === "stats" ? "\n\n" : "\n");
  }

  /** Appends all entries as text at once. */
  writeText(sink: Sink, kernelMap: KernelMap, top: number, div: number, explicit: boolean): void {
    drain(this.pieces(sink, kernelMap, { json: false, top, div, explicit }));
  }

  /** Appends all entries as one line of JSON at once. */
  writeJson(sink: Sink, kernelMap: KernelMap, top: number, div: number, explicit: boolean): void {
    drain(this.pieces(sink, kernelMap, { json: true, top, div, explicit }));
  }

  private textEntry(sink: Sink, entry: Entry, index: number, by: bigint): void {
    const { kind, map, old } = this;
    const bars = kind === "hist" || kind === "lhist";
    // Of these 0.17 puts nothing between two entries.
    const glued = old && (kind === "stack" || kind === "ksym" || kind === "usym" || kind === "inet");
    if (old && index > 0 && !glued) sink.byte(10);
    sink.text(map.name);
    if (map.key) {
      sink.byte(91);
      this.writeTextKey(sink, entry);
      sink.byte(93);
    }
    sink.text(bars ? (old ? ": \n" : ":\n") : ": ");
    this.writeTextValue(sink, entry, by);
    if (!old) sink.byte(10);
  }

  private openJson(sink: Sink): void {
    const { kind, map } = this;
    const type = kind === "hist" || kind === "lhist" ? "hist" : kind === "avg" || kind === "stats" ? "stats" : "map";
    sink.text(`{"type": "${type}", "data": {`);
    writeJsonText(sink, map.name);
    sink.text(map.key ? ": {" : ": ");
  }

  private jsonEntry(sink: Sink, entry: Entry, index: number, by: bigint): void {
    if (index > 0) sink.text(", ");
    if (this.map.key) {
      this.writeJsonKey(sink, entry);
      sink.text(": ");
    }
    this.writeJsonValue(sink, entry, by);
  }

  /** Appends the value of one entry, as `print(@map[key])` does, with a line break. Undefined key: the scalar. */
  writeEntry(sink: Sink, kernelMap: KernelMap, key: Uint8Array | undefined, json: boolean): void {
    const entry = this.reader.lookup(kernelMap, key);
    if (json) {
      sink.text('{"type": "value", "data": ');
      this.writeJsonValue(sink, entry, 1n);
      sink.text("}\n");
    } else {
      this.writeTextValue(sink, entry, 1n);
      sink.byte(10);
    }
  }

  private writeTextKey(sink: Sink, entry: Entry): void {
    const start = sink.length;
    this.textKey!(sink, entry.keys, entry.keysView, entry.keyAt);
    // Parts of a key stand without the parentheses of the tuple that they are; so does any text in parentheses.
    if (
      sink.length - start >= 2 &&
      sink.bytes[start] === 40 &&
      sink.bytes[sink.length - 1] === 41 &&
      (this.context.compat !== "0.17" || this.map.key!.kind === "tuple")
    ) {
      sink.bytes.copyWithin(start, start + 1, sink.length - 1);
      sink.length -= 2;
    }
  }

  /** Keys of JSON are text, their parts joined without spaces. */
  private writeJsonKey(sink: Sink, entry: Entry): void {
    const { scratch } = this;
    scratch.clear();
    const key = this.map.key!;
    if (key.kind === "tuple" && !key.names) {
      const { offsets } = tupleOffsets(key.items);
      key.items.forEach((item, i) => {
        if (i > 0) scratch.byte(44);
        this.compactWriter(item)(scratch, entry.keys, entry.keysView, entry.keyAt + offsets[i]!);
      });
    } else {
      this.compactWriter(key)(scratch, entry.keys, entry.keysView, entry.keyAt);
    }
    writeJsonString(sink, scratch.bytes, 0, scratch.length);
  }

  private readonly compactWriters = new Map<Type, ValueWriter>();

  /** The text of a part of a key, with no spaces between the items of nested tuples and records; spaces of strings stay. */
  private compactWriter(type: Type): ValueWriter {
    let writer = this.compactWriters.get(type);
    if (!writer) {
      const write = textWriter(type, this.context, "key");
      writer = write;
      if (type.kind === "tuple" && !type.names) {
        const { offsets } = tupleOffsets(type.items);
        const items = type.items.map((item) => this.compactWriter(item));
        writer = (sink, bytes, view, at) => {
          sink.byte(40);
          items.forEach((item, i) => {
            if (i > 0) sink.byte(44);
            item(sink, bytes, view, at + offsets[i]!);
          });
          sink.byte(41);
        };
      } else if (type.kind === "struct" || type.kind === "tuple") {
        const inner = new Sink(128);
        writer = (sink, bytes, view, at) => {
          inner.clear();
          write(inner, bytes, view, at);
          sink.text(inner.toString().replaceAll(" ", ""));
        };
      }
      this.compactWriters.set(type, writer);
    }
    return writer;
  }

  private divided(value: bigint, by: bigint): bigint {
    return by === 1n ? value : value / by;
  }

  private writeTextValue(sink: Sink, entry: Entry, by: bigint): void {
    const type = this.map.value;
    switch (type.kind) {
      case "hist":
      case "lhist": {
        const histogram = makeHistogram(type, entry.buckets, by, this.context.compat);
        if (histogram) writeHistogramText(sink, histogram);
        return;
      }
      case "stats": {
        const average = this.divided(entry.number, this.context.compat === "0.17" ? 1n : by);
        sink.text(
          this.context.compat === "0.17"
            ? `count ${entry.count}, average ${average}, total ${entry.total}`
            : `{ .count = ${entry.count}, .average = ${average}, .total = ${entry.total} }`,
        );
        return;
      }
      case "int":
        if (type.enum) break;
        sink.text(String(this.divided(entry.number, by)));
        return;
      default:
        if (!isAggregation(type)) break;
        sink.text(String(this.divided(entry.number, by)));
        return;
    }
    this.textValue(sink, entry.values, entry.valuesView, entry.valueAt);
  }

  private writeJsonValue(sink: Sink, entry: Entry, by: bigint): void {
    const type = this.map.value;
    const old = this.context.compat === "0.17";
    const integer = (value: bigint): void =>
      writeJsonInteger(sink, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn), value < 0n, old);
    switch (type.kind) {
      case "hist":
      case "lhist":
        writeHistogramJson(sink, makeHistogram(type, entry.buckets, by, this.context.compat), this.context.compat);
        return;
      case "stats":
        sink.text('{"count": ');
        integer(entry.count);
        sink.text(', "average": ');
        integer(this.divided(entry.number, old ? 1n : by));
        sink.text(', "total": ');
        integer(entry.total);
        sink.text("}");
        return;
      case "int":
        integer(this.divided(entry.number, by));
        return;
      default:
        if (!isAggregation(type)) break;
        integer(this.divided(entry.number, by));
        return;
    }
    this.jsonValue(sink, entry.values, entry.valuesView, entry.valueAt);
  }
}

function drain(pieces: Generator<void>): void {
  while (!pieces.next().done);
}
