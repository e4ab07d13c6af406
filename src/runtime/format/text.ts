/** Values as bpftrace writes them for people: one closure a type, made once, that appends a value's text to a sink. */
import { tupleOffsets, sizeOf } from "../../lang/bpftrace/types.ts";
import type { Field, Type } from "../../lang/bpftrace/types.ts";
import type { FormatContext } from "./context.ts";
import { integerReader, isSigned, register } from "./integer.ts";
import { formatIpv4, formatIpv6, formatMac } from "./inet.ts";
import { writeBuffer } from "./buffer.ts";
import { TimestampFormat } from "./strftime.ts";
import { endOfString, encodeText } from "./sink.ts";
import type { Sink } from "./sink.ts";

/** Appends the value at `at` to a sink. `view` covers `bytes`. */
export type ValueWriter = (sink: Sink, bytes: Uint8Array, view: DataView, at: number) => void;

/** Where a value stands: 0.17 indents stacks and writes integers and records of keys in its own way. */
export type Place = "value" | "key";

const AF_INET = 2;
const AF_INET6 = 10;
const TRUE = encodeText("true");
const FALSE = encodeText("false");
const NULL = encodeText("null");

/** Makes the writer of a type's text. */
export function textWriter(type: Type, context: FormatContext, place: Place = "value"): ValueWriter {
  const old = context.compat === "0.17";
  switch (type.kind) {
    case "none":
      return (sink) => sink.append(NULL);
    case "bool":
      if (old) return (sink, bytes, _view, at) => sink.byte(48 + (bytes[at] === 0 ? 0 : 1));
      return (sink, bytes, _view, at) => sink.append(bytes[at] === 0 ? FALSE : TRUE);
    case "int": {
      const names = type.enum;
      // 0.17 reads integers of keys as signed, whatever their type.
      const signed = type.signed || (old && place === "key");
      const read = integerReader(signed ? { kind: "int", size: type.size, signed } : type)!;
      const decimal: ValueWriter = signed
        ? (sink, _bytes, view, at) => {
            read(view, at);
            sink.i64(register.low, register.high);
          }
        : (sink, _bytes, view, at) => {
            read(view, at);
            sink.u64(register.low, register.high);
          };
      if (!names || old) return decimal;
      return (sink, bytes, view, at) => {
        const name = names.nameOf(enumValue(type, view, at));
        if (name === undefined) decimal(sink, bytes, view, at);
        else sink.text(name);
      };
    }
    case "string": {
      const size = type.size;
      if (old || !type.marksCut)
        return (sink, bytes, _view, at) => sink.copy(bytes, at, endOfString(bytes, at, at + size));
      const trailer = encodeText(context.strTruncTrailer);
      return (sink, bytes, _view, at) => {
        const end = endOfString(bytes, at, at + size);
        sink.copy(bytes, at, end);
        if (end >= at + size - 1) sink.append(trailer);
      };
    }
    case "buffer":
      return (sink, bytes, view, at) => writeBuffer(sink, bytes, view, at, type.size, "r");
    case "pointer":
      if (old && place === "value") return int64Writer;
      return (sink, _bytes, view, at) => {
        sink.byte(48);
        sink.byte(120);
        sink.hex64(view.getUint32(at, true), view.getUint32(at + 4, true));
      };
    case "array": {
      const item = textWriter(type.of, context, place);
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
      return recordWriter(
        type.layout.fields().map((field) => ({ name: field.name, write: fieldWriter(field, context, place) })),
        old && place === "key",
      );
    case "tuple": {
      const { offsets } = tupleOffsets(type.items);
      const items = type.items.map((item, i): ValueWriter => {
        const write = textWriter(item, context, place);
        return (sink, bytes, view, at) => write(sink, bytes, view, at + offsets[i]!);
      });
      if (type.names)
        return recordWriter(
          items.map((write, i) => ({ name: type.names![i]!, write })),
          false,
        );
      return (sink, bytes, view, at) => {
        sink.byte(40);
        for (let i = 0; i < items.length; i++) {
          if (i > 0) {
            sink.byte(44);
            sink.byte(32);
          }
          items[i]!(sink, bytes, view, at);
        }
        sink.byte(41);
      };
    }
    case "inet":
      return (sink, bytes, view, at) => {
        const family = view.getUint32(at, true);
        if (family === AF_INET) sink.text(formatIpv4(bytes, at + 4));
        else if (family === AF_INET6) sink.text(formatIpv6(bytes, at + 4));
      };
    case "mac":
      return (sink, bytes, _view, at) => sink.text(formatMac(bytes, at));
    case "stack":
      return stackWriter(type, context, old && place === "key" ? 4 : 8);
    case "ksym":
      return (sink, _bytes, view, at) => sink.text(context.kernelSymbol(view.getBigUint64(at, true), false));
    case "usym":
      return (sink, _bytes, view, at) =>
        sink.text(context.userSymbol(view.getBigUint64(at, true), view.getUint32(at + 8, true), false, false));
    case "timestamp": {
      const format = new TimestampFormat(type.format, old);
      const sinceBoot = type.clock === "boot";
      return (sink, _bytes, view, at) => {
        const ns = view.getBigUint64(at, true);
        sink.text(format.format(sinceBoot ? ns + context.bootTimeNs() : ns));
      };
    }
    case "cgroup-path":
      return (sink, _bytes, view, at) => sink.text(context.cgroupPath(view.getBigUint64(at, true), type.filter));
    case "username":
      return (sink, _bytes, view, at) => sink.text(context.userName(view.getUint32(at, true)));
    case "probe-name": {
      const names = context.probeNames.map(encodeText);
      return (sink, _bytes, view, at) => {
        const name = names[view.getUint32(at, true)];
        if (name) sink.append(name);
      };
    }
    default:
      return isSigned(type) ? int64Writer : uint64Writer;
  }
}

const int64Writer: ValueWriter = (sink, _bytes, view, at) =>
  sink.i64(view.getUint32(at, true), view.getUint32(at + 4, true));
const uint64Writer: ValueWriter = (sink, _bytes, view, at) =>
  sink.u64(view.getUint32(at, true), view.getUint32(at + 4, true));

function enumValue(type: Type & { kind: "int" }, view: DataView, at: number): bigint {
  integerReader(type)!(view, at);
  const value = (BigInt(register.high >>> 0) << 32n) | BigInt(register.low >>> 0);
  return type.signed ? BigInt.asIntN(64, value) : value;
}

/** Fields of a struct: bit fields are cut out of their storage, all else is written by its type. */
export function fieldWriter(field: Field, context: FormatContext, place: Place): ValueWriter {
  const offset = field.byteOffset;
  if (field.bitfield) {
    const { bitOffset, bitSize } = field.bitfield;
    const size = sizeOf(field.type);
    return (sink, bytes, _view, at) => {
      let storage = 0n;
      for (let i = size - 1; i >= 0; i--) storage = (storage << 8n) | BigInt(bytes[at + offset + i]!);
      const value = (storage >> BigInt(bitOffset)) & ((1n << BigInt(bitSize)) - 1n);
      // Without a sign, as scripts read bit fields.
      sink.text(String(value));
    };
  }
  const write = textWriter(field.type, context, place);
  return (sink, bytes, view, at) => write(sink, bytes, view, at + offset);
}

function recordWriter(fields: readonly { name: string; write: ValueWriter }[], compact: boolean): ValueWriter {
  const [open, close, separator, assign] = compact ? ["{", "}", ",", "="] : ["{ ", " }", ", ", " = "];
  const labels = fields.map((field, i) => encodeText(`${i > 0 ? separator : ""}.${field.name}${assign}`));
  const opening = encodeText(fields.length > 0 ? open! : "{");
  const closing = encodeText(fields.length > 0 ? close! : "}");
  return (sink, bytes, view, at) => {
    sink.append(opening);
    for (let i = 0; i < fields.length; i++) {
      sink.append(labels[i]!);
      fields[i]!.write(sink, bytes, view, at);
    }
    sink.append(closing);
  };
}

/** Stacks: a line break, then a line a frame. A stack that could not be recorded has no frames. */
function stackWriter(type: Type & { kind: "stack" }, context: FormatContext, indent: number): ValueWriter {
  const padding = " ".repeat(indent);
  const old = context.compat === "0.17";
  return (sink, _bytes, view, at) => {
    const id = view.getInt32(at, true);
    const pid = type.of === "user" ? view.getUint32(at + 8, true) : 0;
    const addresses = id < 0 ? null : context.stackAddresses(type.of, type.limit, id);
    if (!addresses && old) return;
    sink.byte(10);
    for (const address of addresses ?? []) {
      const perf = type.mode === "perf";
      if (type.mode === "raw" || type.mode === "build_id") {
        sink.text(address.toString(16));
      } else {
        const symbol =
          type.of === "kernel" ? context.kernelSymbol(address, true) : context.userSymbol(address, pid, true, perf);
        sink.text(perf ? `\t${address.toString(16)} ${symbol}` : padding + symbol);
      }
      sink.byte(10);
    }
  };
}
