/** What an object's programs print: their formats tell their lines from those of other programs. */
import { helperByName } from "../../isa/index.ts";
import type { BpfObject } from "../../object/index.ts";
import { helperCalls } from "../records/call-arguments.ts";

const utf8 = new TextDecoder();

const printers: ReadonlySet<number> = new Set(
  ["trace_printk", "trace_vprintk"].flatMap((name) => helperByName(name)?.id ?? []),
);

/** One `%` of a format of the kernel: flags, width, precision, length, letter, and the letters behind `%p`. */
const DIRECTIVE = /%(?:%|[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z)?(?:p[a-zA-Z0-9]*|[a-zA-Z]))/g;

/** What tells whether a line is the object's own. */
export interface PrintedFormats {
  /** False: no program prints. */
  readonly any: boolean;
  /** True for lines that a program of the object can have printed; for all lines when a format is not constant. */
  matches(line: string): boolean;
}

/** Formats of all calls of `bpf_printk` in an object. */
export function printedFormats(object: BpfObject): PrintedFormats {
  const values = new Map(object.maps.map(({ name, initialValue }) => [name, initialValue]));
  const patterns: RegExp[] = [];
  let any = false;
  let known = true;
  for (const program of object.programs) {
    for (const { registers } of helperCalls(program, printers)) {
      any = true;
      const place = registers[1];
      const bytes = typeof place === "object" && place.offset !== undefined ? values.get(place.map) : undefined;
      if (bytes === undefined) {
        known = false;
        continue;
      }
      const from = (place as { readonly offset: number }).offset;
      const end = bytes.indexOf(0, from);
      patterns.push(patternOf(utf8.decode(bytes.subarray(from, end === -1 ? undefined : end))));
    }
  }
  return { any, matches: (line) => !known || patterns.some((pattern) => pattern.test(line)) };
}

/** Lines that a format makes. */
export function patternOf(format: string): RegExp {
  const quoted = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const text = format.endsWith("\n") ? format.slice(0, -1) : format;
  let pattern = "";
  let from = 0;
  for (const directive of text.matchAll(DIRECTIVE)) {
    pattern += quoted(text.slice(from, directive.index));
    pattern += directive[0] === "%%" ? "%" : "[^]*";
    from = directive.index + directive[0].length;
  }
  return new RegExp(`^${pattern}${quoted(text.slice(from))}$`);
}
