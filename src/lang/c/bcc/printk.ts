/** Formats of `bpf_trace_printk`, by the rules of the kernel (`bpf_bprintf_prepare` since 5.13, `bpf_trace_printk` before). */
import type { Diagnostics } from "../diagnostics.ts";

/** Values that the helper takes behind the format. */
const MOST_VALUES = 3;

/** A conversion with flags and width; `%p` has letters behind it that say of what. */
const CONVERSION = /%(%|[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z)?[diuxXcs]|p[A-Za-z0-9]*|[^%]?)/g;
const KNOWN = /^(?:[-+ #0]*\d*(?:hh|h|ll|l|z)?[diuxXcs]|p(?:[KSsxBIi4]|[ku]s|i[46]|I[46]|[A-Za-z0-9]*)?)$/;

/** Warns about formats that the kernel does not take, and values too many or too few. */
export function checkFormat(diagnostics: Diagnostics, bytes: Uint8Array, values: number, location: number): void {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, -1));
  if (values > MOST_VALUES) {
    diagnostics.error(location, `bpf_trace_printk() prints up to ${MOST_VALUES} values, here are ${values}`, {
      hint: "print the rest with another call, or send a struct through BPF_PERF_OUTPUT",
    });
    return;
  }
  let wanted = 0;
  for (const [whole, conversion = ""] of text.matchAll(CONVERSION)) {
    if (conversion === "%") continue;
    wanted++;
    if (!KNOWN.test(conversion)) diagnostics.warning(location, `the kernel knows no conversion ${whole}`);
  }
  if (wanted > values) {
    diagnostics.warning(location, `the format prints ${wanted} values, here are ${values}`);
  } else if (wanted < values) {
    diagnostics.warning(location, `the format prints ${wanted} of ${values} values`);
  }
}
