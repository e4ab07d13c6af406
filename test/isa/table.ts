/** Reads test/isa/opcodes.txt: a line for every opcode, `bytes | the kernel's text | clang's text`. */
import { readFileSync } from "node:fs";

/** One line of the table. */
export interface OpcodeCase {
  readonly bytes: Uint8Array;
  readonly kernel: string;
  readonly llvm: string;
}

/** `18 06 00` to bytes. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(
    text
      .trim()
      .split(/\s+/)
      .map((byte) => Number.parseInt(byte, 16)),
  );
}

/** Bytes to `18 06 00`. */
export function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** The whole table. */
export const opcodeCases: readonly OpcodeCase[] = readFileSync(new URL("opcodes.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => {
    // Operators contain no spaces around their bars, so that " | " parts the columns only where it stands three times.
    const [bytes = "", kernel = "", llvm = ""] = line.split(" | ");
    return { bytes: fromHex(bytes), kernel, llvm };
  });
