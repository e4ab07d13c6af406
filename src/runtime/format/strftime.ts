/**
 * strftime(3) in the C locale, with glibc's flags and widths, in the zone of `TZ`; and bpftrace's additions for fractions of a second.
 */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** Day of the year from 0. */
function yearDay(date: Date): number {
  return Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000,
  );
}

/** ISO 8601 year and week. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()));
  thursday.setUTCDate(thursday.getUTCDate() + 3 - ((thursday.getUTCDay() + 6) % 7));
  const year = thursday.getUTCFullYear();
  return { year, week: 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * 86_400_000)) };
}

/** Offset from UTC in minutes, east positive. */
function zoneOffset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  const digits = String(Math.floor(size / 60) * 100 + (size % 60)).padStart(4, "0");
  return `${minutes < 0 ? "-" : "+"}${digits}`;
}

function zoneName(date: Date): string {
  const named = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" })
    .formatToParts(date)
    .find((part) => part.type === "timeZoneName")?.value;
  return named ?? "UTC";
}

/** A number with the width and padding that the conversion has by itself. */
interface Numeric {
  readonly value: number;
  readonly width: number;
  readonly pad: "0" | " ";
}

type Conversion = (date: Date) => Numeric | string;

const number = (value: number, width: number, pad: "0" | " " = "0"): Numeric => ({ value, width, pad });
const hour12 = (date: Date): number => date.getHours() % 12 || 12;

const CONVERSIONS: Record<string, Conversion> = {
  a: (d) => DAYS[d.getDay()]!.slice(0, 3),
  A: (d) => DAYS[d.getDay()]!,
  b: (d) => MONTHS[d.getMonth()]!.slice(0, 3),
  h: (d) => MONTHS[d.getMonth()]!.slice(0, 3),
  B: (d) => MONTHS[d.getMonth()]!,
  c: (d) => strftime("%a %b %e %H:%M:%S %Y", d),
  C: (d) => number(Math.floor(d.getFullYear() / 100), 2),
  d: (d) => number(d.getDate(), 2),
  D: (d) => strftime("%m/%d/%y", d),
  e: (d) => number(d.getDate(), 2, " "),
  F: (d) => strftime("%Y-%m-%d", d),
  g: (d) => number(isoWeek(d).year % 100, 2),
  G: (d) => number(isoWeek(d).year, 1),
  H: (d) => number(d.getHours(), 2),
  I: (d) => number(hour12(d), 2),
  j: (d) => number(yearDay(d) + 1, 3),
  k: (d) => number(d.getHours(), 2, " "),
  l: (d) => number(hour12(d), 2, " "),
  m: (d) => number(d.getMonth() + 1, 2),
  M: (d) => number(d.getMinutes(), 2),
  n: () => "\n",
  p: (d) => (d.getHours() < 12 ? "AM" : "PM"),
  P: (d) => (d.getHours() < 12 ? "am" : "pm"),
  r: (d) => strftime("%I:%M:%S %p", d),
  R: (d) => strftime("%H:%M", d),
  s: (d) => number(Math.floor(d.getTime() / 1000), 1),
  S: (d) => number(d.getSeconds(), 2),
  t: () => "\t",
  T: (d) => strftime("%H:%M:%S", d),
  u: (d) => number(d.getDay() || 7, 1),
  U: (d) => number(Math.floor((yearDay(d) + 7 - d.getDay()) / 7), 2),
  V: (d) => number(isoWeek(d).week, 2),
  w: (d) => number(d.getDay(), 1),
  W: (d) => number(Math.floor((yearDay(d) + 7 - ((d.getDay() + 6) % 7)) / 7), 2),
  x: (d) => strftime("%m/%d/%y", d),
  X: (d) => strftime("%H:%M:%S", d),
  y: (d) => number(d.getFullYear() % 100, 2),
  Y: (d) => number(d.getFullYear(), 1),
  z: zoneOffset,
  Z: zoneName,
  "%": () => "%",
};

const PATTERN = /%([-_0^#]*)(\d*)[EO]?([a-zA-Z%])/g;

/** Formats a time. What is no conversion stays as it is, as glibc leaves it. */
export function strftime(format: string, date: Date): string {
  return format.replace(PATTERN, (whole, flags: string, widthText: string, letter: string) => {
    const conversion = CONVERSIONS[letter];
    if (!conversion) return whole;
    const result = conversion(date);
    let text: string;
    if (typeof result === "string") {
      text = result.padStart(Number(widthText || 0), flags.includes("0") ? "0" : " ");
    } else {
      const pad = flags.includes("_") ? " " : flags.includes("0") ? "0" : result.pad;
      const width = widthText ? Number(widthText) : flags.includes("-") ? 0 : result.width;
      text = String(result.value).padStart(width, pad);
    }
    if (flags.includes("^")) text = text.toUpperCase();
    // `#` swaps the case of names; of the zone and AM/PM glibc makes it lower.
    if (flags.includes("#")) text = letter === "Z" || letter === "p" ? text.toLowerCase() : text.toUpperCase();
    return text;
  });
}

/**
 * bpftrace's `strftime(format, nsecs)`: `%f` microseconds, and since 0.19 `%k` nanoseconds and `%l` milliseconds. The text of
 * one second is kept, because events come in time order.
 */
export class TimestampFormat {
  private readonly pieces: readonly string[];
  private cachedSecond = -1;
  private cachedTexts: string[] = [];

  constructor(format: string, compat17: boolean) {
    this.pieces = format.split(compat17 ? /(%f)/ : /(%[fkl])/);
  }

  /** Text of a wall clock time in nanoseconds since 1970. */
  format(ns: bigint): string {
    const second = Number(ns / 1_000_000_000n);
    const rest = Number(ns % 1_000_000_000n);
    if (second === 0) return "(?)";
    if (second !== this.cachedSecond) {
      const date = new Date(second * 1000);
      this.cachedTexts = this.pieces.map((piece, i) => (i % 2 === 0 ? strftime(piece, date) : piece));
      this.cachedSecond = second;
    }
    let out = "";
    for (let i = 0; i < this.cachedTexts.length; i++) {
      const text = this.cachedTexts[i]!;
      if (i % 2 === 0) out += text;
      else {
        const digits = String(rest).padStart(9, "0");
        out += text === "%k" ? digits : text === "%f" ? digits.slice(0, 6) : digits.slice(0, 3);
      }
    }
    return out;
  }
}
