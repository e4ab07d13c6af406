/**
 * Values as bpftrace's JSON. Integers that a double cannot hold exactly are strings (0.26); text keeps its characters, where bpftrace on
 * x86 writes those above ASCII as `\uffffffc3`, and bytes that are not UTF-8 become U+FFFD, so that every line can be parsed.
 */
import { sizeOf, tupleOffsets } from "../../lang/bpftrace/types.ts";
import type { Type } from "../../lang/bpftrace/types.ts";
import type { FormatContext } from "./context.ts";
import { integerReader, isSigned, register } from "./integer.ts";
import { encodeText, Sink } from "./sink.ts";
import { fieldWriter, textWriter } from "./text.ts";
import type { ValueWriter } from "./text.ts";

const ESCAPES = new Map<number, string>([
  [0x22, '\\"'],
  [0x5c, "\\\\"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x09, "\\t"],
]);
const decoder = new TextDecoder();

/** Appends the bytes `[start, end)` as a JSON string, quotes included. */
export function writeJsonString(sink: Sink, bytes: Uint8Array, start: number, end: number): void {
  sink.byte(0x22);
  for (let at = start; at < end; at++) {
    const value = bytes[at]!;
    if (value >= 0x80) {
      // Not ASCII: what cannot be decoded becomes U+FFFD before the rest is escaped.
      const clean = encodeText(decoder.decode(bytes.subarray(at, end)));
      for (const byte of clean) escapeByte(sink, byte);
      break;
    }
    escapeByte(sink, value);
  }
  sink.byte(0x22);
}

function escapeByte(sink: Sink, value: number): void {
  if (value >= 0x20 && value !== 0x22 && value !== 0x5c) {
    sink.byte(value);
    return;
  }
  sink.text(ESCAPES.get(value) ?? `\\u${value.toString(16).padStart(4, "0")}`);
}

/** A text as a JSON string. */
export function writeJsonText(sink: Sink, text: string): void {
  const bytes = encodeText(text);
  writeJsonString(sink, bytes, 0, bytes.length);
}

/** Appends a 64-bit integer given as halves: as a number, or as a string where a double cannot hold it exactly. */
export function writeJsonInteger(sink: Sink, low: number, high: number, signed: boolean, compat17: boolean): void {
  const asString = !compat17 && !isExact(low, high, signed);
  if (asString) sink.byte(0x22);
  if (signed) sink.i64(low, high);
  else sink.u64(low, high >>> 0);
  if (asString) sink.byte(0x22);
}

function isExact(low: number, high: number, signed: boolean): boolean {
  const top = signed ? ((high | 0) < 0 ? ~high : high | 0) : high >>> 0;
  if (top < 0x20_0000) return true;
  const value = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  const exact = signed ? BigInt.asIntN(64, value) : value;
  return BigInt(Number(exact)) === exact;
}

/** Makes the writer of a type's JSON. */
export function jsonWriter(type: Type, context: FormatContext): ValueWriter {
  const old = context.compat === "0.17";
  switch (type.kind) {
    case "none":
    case "bool":
      return textWriter(type, context);
    case "int":
    case "pointer":
    case "count":
    case "sum":
    case "min":
    case "max": {
      const read = integerReader(type)!;
      const signed = isSigned(type);
      return (sink, _bytes, view, at) => {
        read(view, at);
        writeJsonInteger(sink, register.low, register.high, signed, old);
      };
    }
    case "buffer":
      if (old) return quoted(textWriter(type, context));
      return (sink, _bytes, view, at) => {
        const length = Math.min(view.getUint32(at, true), type.size);
        sink.byte(91);
        for (let i = 0; i < length; i++) {
          if (i > 0) sink.byte(44);
          // Signed, as bpftrace's `char` is.
          const value = view.getInt8(at + 4 + i);
          sink.i64(value, value >> 31);
        }
        sink.byte(93);
      };
    case "array": {
      const item = jsonWriter(type.of, context);
      const step = sizeOf(type.of);
      return (sink, bytes, view, at) => {
        sink.byte(91);
        for (let i = 0; i < type.length; i++) {
          if (i > 0) sink.byte(44);
          item(sink, bytes, view, at + i * step);
        }
        sink.byte(93);
      };
    }
    case "struct":
      return objectWriter(
        type.layout.fields().map((field) => {
          if (field.bitfield) return { name: field.name, write: fieldWriter(field, context, "value") };
          const write = jsonWriter(field.type, context);
          return {
            name: field.name,
            write: (sink, bytes, view, at) => write(sink, bytes, view, at + field.byteOffset),
          };
        }),
      );
    case "tuple": {
      const { offsets } = tupleOffsets(type.items);
      const items = type.items.map((item, i): ValueWriter => {
        const write = jsonWriter(item, context);
        return (sink, bytes, view, at) => write(sink, bytes, view, at + offsets[i]!);
      });
      if (type.names) return objectWriter(items.map((write, i) => ({ name: type.names![i]!, write })));
      return (sink, bytes, view, at) => {
        sink.byte(91);
        for (let i = 0; i < items.length; i++) {
          if (i > 0) sink.byte(44);
          items[i]!(sink, bytes, view, at);
        }
        sink.byte(93);
      };
    }
    default:
      return quoted(textWriter(type, context));
  }
}

function objectWriter(fields: readonly { name: string; write: ValueWriter }[]): ValueWriter {
  const labels = fields.map((field, i) => encodeText(`${i > 0 ? ", " : ""}${JSON.stringify(field.name)}: `));
  return (sink, bytes, view, at) => {
    sink.byte(0x7b);
    for (let i = 0; i < fields.length; i++) {
      sink.append(labels[i]!);
      fields[i]!.write(sink, bytes, view, at);
    }
    sink.byte(0x7d);
  };
}

/** The text of a value as a JSON string. */
function quoted(write: ValueWriter): ValueWriter {
  const scratch = new Sink(256);
  return (sink, bytes, view, at) => {
    scratch.clear();
    write(scratch, bytes, view, at);
    writeJsonString(sink, scratch.bytes, 0, scratch.length);
  };
}
