/** Formats of `printf`, `system` and `cat`, parsed once: the checker matches them with arguments, the runtime prints by them. */

/** A piece of a format: literal text, or one conversion that takes the argument `argument`. */
export type FormatPiece =
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind: "conversion";
      readonly argument: number;
      readonly leftAlign: boolean;
      readonly plus: boolean;
      readonly space: boolean;
      readonly alternate: boolean;
      readonly zeroPad: boolean;
      /** `*` takes it from the argument before: then `widthArgument` is its index. */
      readonly width: number | null;
      readonly widthArgument: number | null;
      readonly precision: number | null;
      readonly precisionArgument: number | null;
      /** `hh h l ll j z t` or empty. */
      readonly length: string;
      /** `d i u o x X c s p r`, and `rx`, `rh` for buffers. */
      readonly conversion: string;
      /** Offset of the `%` in the format. */
      readonly at: number;
    };

/** A format that cannot be parsed: where and why. */
export interface FormatProblem {
  readonly at: number;
  readonly message: string;
}

const CONVERSION =
  /%(?<flags>[-+ #0]*)(?<width>\*|\d+)?(?:\.(?<precision>\*|\d*))?(?<length>hh|h|ll|l|j|z|t)?(?<conversion>rx|rh|[diouxXcspr])/y;

/** Splits a format into pieces. Arguments are numbered from 0 in the order in which they are taken. */
export function parseFormat(format: string): {
  pieces: FormatPiece[];
  argumentCount: number;
  problem: FormatProblem | null;
} {
  const pieces: FormatPiece[] = [];
  let text = "";
  let argument = 0;
  let at = 0;
  const flush = (): void => {
    if (text) pieces.push({ kind: "text", text });
    text = "";
  };
  while (at < format.length) {
    const percent = format.indexOf("%", at);
    if (percent === -1) {
      text += format.slice(at);
      break;
    }
    text += format.slice(at, percent);
    if (format[percent + 1] === "%") {
      text += "%";
      at = percent + 2;
      continue;
    }
    CONVERSION.lastIndex = percent;
    const match = CONVERSION.exec(format);
    if (!match?.groups) {
      return {
        pieces,
        argumentCount: argument,
        problem: { at: percent, message: `unknown conversion "${format.slice(percent, percent + 2)}"` },
      };
    }
    flush();
    const { flags = "", width, precision, length = "", conversion = "" } = match.groups;
    const widthArgument = width === "*" ? argument++ : null;
    const precisionArgument = precision === "*" ? argument++ : null;
    pieces.push({
      kind: "conversion",
      argument: argument++,
      leftAlign: flags.includes("-"),
      plus: flags.includes("+"),
      space: flags.includes(" "),
      alternate: flags.includes("#"),
      zeroPad: flags.includes("0"),
      width: width === undefined || width === "*" ? null : Number(width),
      widthArgument,
      precision: precision === undefined || precision === "*" ? null : Number(precision || "0"),
      precisionArgument,
      length,
      conversion,
      at: percent,
    });
    at = percent + match[0].length;
  }
  flush();
  return { pieces, argumentCount: argument, problem: null };
}
