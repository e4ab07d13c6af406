/**
 * printf: a format and the fields of its record become one closure that appends to a sink, with C's meaning of flags, width, precision
 * and length: `%d` prints the low 32 bits of a 64-bit value, as bpftrace does.
 */
import type { FormatPiece } from "../../lang/bpftrace/printf.ts";
import type { RecordField } from "../../lang/bpftrace/plan.ts";
import type { Type } from "../../lang/bpftrace/types.ts";
import { writeBuffer } from "./buffer.ts";
import type { BufferStyle } from "./buffer.ts";
import type { FormatContext } from "./context.ts";
import { integerReader, register } from "./integer.ts";
import { encodeText } from "./sink.ts";
import type { Sink } from "./sink.ts";
import { textWriter } from "./text.ts";
import type { ValueWriter } from "./text.ts";

/** Appends the text of the record that starts at `at`. */
export type RecordWriter = (sink: Sink, bytes: Uint8Array, view: DataView, at: number) => void;

type Conversion = Extract<FormatPiece, { kind: "conversion" }>;

/** Makes the writer of a format. */
export function printfWriter(
  format: readonly FormatPiece[],
  fields: readonly RecordField[],
  context: FormatContext,
): RecordWriter {
  const steps = format.map((piece): RecordWriter => {
    if (piece.kind === "text") {
      const text = encodeText(piece.text);
      if (text.length === 1) {
        const only = text[0]!;
        return (sink) => sink.byte(only);
      }
      return (sink) => sink.append(text);
    }
    return conversionWriter(piece, fields, context);
  });
  // Few pieces are the common case, and an unrolled call is cheaper than a loop over closures.
  const [a, b, c, d] = steps;
  switch (steps.length) {
    case 0:
      return () => {};
    case 1:
      return a!;
    case 2:
      return (sink, bytes, view, at) => {
        a!(sink, bytes, view, at);
        b!(sink, bytes, view, at);
      };
    case 3:
      return (sink, bytes, view, at) => {
        a!(sink, bytes, view, at);
        b!(sink, bytes, view, at);
        c!(sink, bytes, view, at);
      };
    case 4:
      return (sink, bytes, view, at) => {
        a!(sink, bytes, view, at);
        b!(sink, bytes, view, at);
        c!(sink, bytes, view, at);
        d!(sink, bytes, view, at);
      };
    default:
      return (sink, bytes, view, at) => {
        for (let i = 0; i < steps.length; i++) steps[i]!(sink, bytes, view, at);
      };
  }
}

function conversionWriter(piece: Conversion, fields: readonly RecordField[], context: FormatContext): RecordWriter {
  const field = fields[piece.argument];
  if (!field) return () => {};
  const offset = field.offset;
  const body = bodyWriter(piece, field.type, context);
  const width = settingReader(piece.width, piece.widthArgument, fields);
  const precision = settingReader(piece.precision, piece.precisionArgument, fields);
  if (!width && !precision && !piece.plus && !piece.space && !piece.alternate) {
    return (sink, bytes, view, at) => body(sink, bytes, view, at + offset);
  }
  return (sink, bytes, view, at) => {
    const start = sink.length;
    let wanted = width ? width(view, at) : 0;
    let leftAlign = piece.leftAlign;
    if (wanted < 0) {
      leftAlign = true;
      wanted = -wanted;
    }
    const limit = precision ? precision(view, at) : -1;
    body(sink, bytes, view, at + offset);
    const numeric = NUMERIC.has(piece.conversion);
    if (numeric) dressNumber(sink, start, piece, limit);
    else if (limit >= 0 && piece.conversion === "s") sink.length = Math.min(sink.length, start + limit);
    const pad = wanted - (sink.length - start);
    if (pad <= 0) return;
    if (leftAlign) sink.fill(32, pad);
    else if (piece.zeroPad && numeric && limit < 0) sink.insert(prefixEnd(sink, start), 48, pad);
    else sink.insert(start, 32, pad);
  };
}

const NUMERIC = new Set(["d", "i", "u", "o", "x", "X", "p"]);

/** The constant or the field that gives a width or a precision; null when there is none. */
function settingReader(
  constant: number | null,
  argument: number | null,
  fields: readonly RecordField[],
): ((view: DataView, at: number) => number) | null {
  const field = argument === null ? undefined : fields[argument];
  if (field) {
    const read = integerReader(field.type);
    if (read) {
      return (view, at) => {
        read(view, at + field.offset);
        return register.low | 0;
      };
    }
  }
  return constant === null ? null : () => constant;
}

/** Sign, base prefix and leading zeros of a number that was just written at `start`. */
function dressNumber(sink: Sink, start: number, piece: Conversion, precision: number): void {
  const negative = sink.bytes[start] === 45;
  const digitsAt = start + (negative ? 1 : 0);
  const digits = sink.length - digitsAt;
  const isZero = digits === 1 && sink.bytes[digitsAt] === 48;
  if (precision === 0 && isZero) sink.length = digitsAt;
  else if (precision > digits && piece.conversion !== "p") sink.insert(digitsAt, 48, precision - digits);
  if (piece.alternate && !isZero) {
    if (piece.conversion === "o" && sink.bytes[digitsAt] !== 48) sink.insert(digitsAt, 48, 1);
    if (piece.conversion === "x" || piece.conversion === "X") {
      sink.insert(digitsAt, 48, 2);
      sink.bytes[digitsAt + 1] = piece.conversion.charCodeAt(0);
    }
  }
  if ((piece.conversion === "d" || piece.conversion === "i") && !negative) {
    if (piece.plus) sink.insert(start, 43, 1);
    else if (piece.space) sink.insert(start, 32, 1);
  }
}

/** Where zeros of `%05d` go: behind the sign and the base prefix. */
function prefixEnd(sink: Sink, start: number): number {
  let at = start;
  const first = sink.bytes[at];
  if (first === 45 || first === 43 || first === 32) at++;
  if (sink.bytes[at] === 48 && (sink.bytes[at + 1]! | 0x20) === 0x78) at += 2;
  return at;
}

/** Bits that a length modifier keeps; `p` is an address. */
const LENGTH_BITS: Record<string, number> = { hh: 8, h: 16, "": 32, l: 64, ll: 64, j: 64, z: 64, t: 64 };

function bodyWriter(piece: Conversion, type: Type, context: FormatContext): ValueWriter {
  const { conversion } = piece;
  switch (conversion) {
    case "s":
      return textWriter(type, context);
    case "r":
    case "rx":
    case "rh":
      if (type.kind === "buffer") {
        const { size } = type;
        return (sink, bytes, view, at) => writeBuffer(sink, bytes, view, at, size, conversion satisfies BufferStyle);
      }
      return textWriter(type, context);
    default:
      break;
  }
  const read = integerReader(type);
  // The checker admits integers only; whatever else arrives is printed rather than lost.
  if (!read) return textWriter(type, context);
  const bits = LENGTH_BITS[piece.length] ?? 32;
  switch (conversion) {
    case "c":
      return (sink, _bytes, view, at) => {
        read(view, at);
        sink.byte(register.low & 0xff);
      };
    case "p": {
      const zero = context.compat === "0.17" ? encodeText("(nil)") : encodeText("0");
      return (sink, _bytes, view, at) => {
        read(view, at);
        if (register.low === 0 && register.high === 0) {
          sink.append(zero);
          return;
        }
        sink.byte(48);
        sink.byte(120);
        sink.hex64(register.low, register.high);
      };
    }
    case "d":
    case "i":
      if (bits === 64) {
        return (sink, _bytes, view, at) => {
          read(view, at);
          sink.i64(register.low, register.high);
        };
      } else {
        const shift = 32 - bits;
        return (sink, _bytes, view, at) => {
          read(view, at);
          const value = (register.low << shift) >> shift;
          if (value < 0) {
            sink.byte(45);
            sink.u32(-value);
          } else {
            sink.u32(value);
          }
        };
      }
    default: {
      const mask = bits >= 32 ? 0xffffffff : (1 << bits) - 1;
      const wide = bits === 64;
      if (conversion === "u") {
        return (sink, _bytes, view, at) => {
          read(view, at);
          if (wide) sink.u64(register.low, register.high >>> 0);
          else sink.u32(register.low & mask);
        };
      }
      if (conversion === "o") {
        return (sink, _bytes, view, at) => {
          read(view, at);
          const low = (register.low & mask) >>> 0;
          const high = wide ? register.high >>> 0 : 0;
          sink.text(high === 0 ? low.toString(8) : ((BigInt(high) << 32n) | BigInt(low)).toString(8));
        };
      }
      const upper = conversion === "X";
      return (sink, _bytes, view, at) => {
        read(view, at);
        const from = sink.length;
        sink.hex64((register.low & mask) >>> 0, wide ? register.high : 0);
        if (upper) upperCase(sink, from);
      };
    }
  }
}

function upperCase(sink: Sink, from: number): void {
  for (let i = from; i < sink.length; i++) if (sink.bytes[i]! >= 97) sink.bytes[i]! -= 32;
}
