/** Buffers as `%r`, `%rx` and `%rh` write them. */
import type { Sink } from "./sink.ts";

/** `r` keeps what ASCII can print and writes the rest as `\x0a`; `rx` writes all as `\x0a`; `rh` as `0a fe`. */
export type BufferStyle = "r" | "rx" | "rh";

/** Appends the buffer at `at`: u32 length, then at most `size` bytes. */
export function writeBuffer(
  sink: Sink,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  size: number,
  style: BufferStyle,
): void {
  const length = Math.min(view.getUint32(at, true), size);
  for (let i = 0; i < length; i++) {
    const value = bytes[at + 4 + i]!;
    if (style === "r" && value >= 32 && value <= 126) {
      sink.byte(value);
    } else if (style === "rh") {
      if (i > 0) sink.byte(32);
      sink.hexByte(value);
    } else {
      sink.byte(92);
      sink.byte(120);
      sink.hexByte(value);
    }
  }
}
