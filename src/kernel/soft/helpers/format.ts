/** The format strings of `bpf_trace_printk` and `bpf_snprintf` (bstr_printf of the kernel, and what bpf_bprintf_prepare lets through). */

/** An argument: its 64 bits, and how to read text at it. */
export interface FormatArguments {
  next(): bigint;
  /** Text at an address of kernel or user memory; undefined when it cannot be read. */
  text(address: bigint): string | undefined;
}

const DIRECTIVE = /%(?:%|([-+ #0]*)(\d*)(?:\.(\d+))?(ll|l|hh|h|z)?([diuxXocsp][a-zA-Z0-9]*))/g;

/** A text with its directives replaced. Undefined for a directive that the kernel refuses. */
export function formatText(format: string, args: FormatArguments): string | undefined {
  let refused = false;
  const out = format.replace(
    DIRECTIVE,
    (all, flags: string, width: string, precision: string | undefined, size: string | undefined, what: string) => {
      if (all === "%%") return "%";
      const value = args.next();
      const kind = what[0]!;
      // Letters behind %p name a kind of pointer; behind others they are text.
      const rest = kind === "p" ? "" : what.slice(1);
      let body: string;
      if (kind === "s")
        body = (args.text(value) ?? "(null)").slice(0, precision === undefined ? undefined : Number(precision));
      else if (kind === "p") {
        if (what === "pks" || what === "pus") body = args.text(value) ?? "";
        else body = BigInt.asUintN(64, value).toString(16).padStart(16, "0");
      } else if (kind === "c") body = String.fromCharCode(Number(value & 0xffn));
      else body = number(value, kind, size, flags, precision);
      return pad(body, flags, width === "" ? 0 : Number(width), /[diuxXo]/.test(kind)) + rest;
    },
  );
  if (/%(?![%\S])/.test(format)) refused = true;
  return refused ? undefined : out;
}

function number(
  value: bigint,
  kind: string,
  size: string | undefined,
  flags: string,
  precision: string | undefined,
): string {
  const bits = size === "ll" || size === "l" || size === "z" ? 64 : size === "h" ? 16 : size === "hh" ? 8 : 32;
  const isSigned = kind === "d" || kind === "i";
  const n = isSigned ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  const radix = kind === "x" || kind === "X" ? 16 : kind === "o" ? 8 : 10;
  let digits = (n < 0n ? -n : n).toString(radix);
  if (precision !== undefined) digits = digits.padStart(Number(precision), "0");
  if (flags.includes("#") && n !== 0n) digits = radix === 16 ? `0x${digits}` : radix === 8 ? `0${digits}` : digits;
  if (kind === "X") digits = digits.toUpperCase();
  const sign = n < 0n ? "-" : !isSigned ? "" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  return sign + digits;
}

function pad(body: string, flags: string, width: number, isNumber: boolean): string {
  if (body.length >= width) return body;
  if (flags.includes("-")) return body.padEnd(width);
  if (!isNumber || !flags.includes("0")) return body.padStart(width);
  const [, lead = "", digits = ""] = /^([-+ ]?(?:0[xX])?)(.*)$/.exec(body)!;
  return lead + digits.padStart(width - lead.length, "0");
}
