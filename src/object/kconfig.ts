/** Fills the map `.kconfig`: the values of kernel options and of libbpf's `LINUX_*` names, in the shapes that the object declares. */
import { SkepError, UnsupportedError } from "../base/index.ts";
import type { KernelFacts } from "./kernel-facts.ts";
import type { KconfigExtern } from "./variables.ts";

/** Names that are no options: what libbpf fills in itself. */
const virtualNames: Readonly<Record<string, (facts: KernelFacts) => bigint>> = {
  LINUX_KERNEL_VERSION: (facts) => BigInt(facts.versionCode),
  LINUX_HAS_BPF_COOKIE: (facts) => (facts.hasBpfCookie ? 1n : 0n),
  LINUX_HAS_SYSCALL_WRAPPER: (facts) => (facts.hasSyscallWrapper ? 1n : 0n),
};

/** `enum libbpf_tristate`. */
const tristate: Readonly<Record<string, number>> = { n: 0, y: 1, m: 2 };

const encoder = new TextEncoder();

/**
 * The first value of `.kconfig`. `extra` holds lines `CONFIG_NAME=value` that go before the kernel's own configuration. Options
 * that are not set leave zeros where the extern is weak.
 *
 * Throws UnsupportedError for a strong extern that this kernel has no value for, SkepError (`extern`) when a value does not fit what
 * the object declares, or a line of `extra` is no assignment.
 */
export function kconfigValue(
  externs: readonly KconfigExtern[],
  facts: KernelFacts,
  extra: string | undefined,
  littleEndian: boolean,
): Uint8Array {
  const size = externs.reduce((end, { offset, size: bytes }) => Math.max(end, offset + bytes), 0);
  const value = new Uint8Array(size);
  const given = extra === undefined ? new Map<string, string>() : parseOptions(extra);
  for (const extern of externs) {
    const room = value.subarray(extern.offset, extern.offset + extern.size);
    const place = new Place(extern, room, littleEndian);
    if (extern.name.startsWith("CONFIG_")) {
      const text = given.get(extern.name) ?? facts.kernelOption(extern.name);
      if (text !== undefined) place.setOption(text);
      else if (!extern.weak) throw unset(extern.name);
      continue;
    }
    const virtual = virtualNames[extern.name];
    if (virtual !== undefined) {
      place.setNumber(virtual(facts), extern.name);
    } else if (!extern.name.startsWith("LINUX_") || !extern.weak) {
      const known = Object.keys(virtualNames).join(", ");
      throw new SkepError(
        "extern",
        `extern ${extern.name} in .kconfig: neither a kernel option (CONFIG_*) nor one of ${known}`,
        { exitStatus: 2 },
      );
    }
  }
  return value;
}

function unset(name: string): UnsupportedError {
  return new UnsupportedError(
    `kernel option ${name}`,
    "is not set in this kernel's configuration, and the object needs it (declare it __weak to get 0 instead)",
  );
}

/** Lines `CONFIG_NAME=value`; other lines are passed over, as in a `.config`. */
function parseOptions(text: string): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const [index, line] of text.split("\n").entries()) {
    if (!line.startsWith("CONFIG_")) continue;
    const equals = line.indexOf("=");
    const value = line.slice(equals + 1).trimEnd();
    if (equals === -1 || value === "") {
      throw new SkepError("extern", `kconfig: line ${index + 1}: ${line}: no value (write CONFIG_NAME=value)`, {
        exitStatus: 2,
      });
    }
    // The first one counts, as for libbpf.
    if (!options.has(line.slice(0, equals))) options.set(line.slice(0, equals), value);
  }
  return options;
}

/** Where one extern's value goes. */
class Place {
  private readonly extern: KconfigExtern;
  private readonly bytes: Uint8Array;
  private readonly littleEndian: boolean;

  constructor(extern: KconfigExtern, bytes: Uint8Array, littleEndian: boolean) {
    this.extern = extern;
    this.bytes = bytes;
    this.littleEndian = littleEndian;
  }

  private mismatch(value: string, wanted: string): SkepError {
    const { name, shape, size } = this.extern;
    return new SkepError("extern", `extern ${name}: its value ${value} wants ${wanted}, not ${shape} of ${size} bytes`);
  }

  /** Text of an option as in `.config`. */
  setOption(text: string): void {
    const answer = tristate[text[0]!];
    if (answer !== undefined) this.setTristate(text[0]!, answer);
    else if (text.startsWith('"')) this.setText(text);
    else this.setInteger(text);
  }

  private setTristate(letter: string, answer: number): void {
    const { shape } = this.extern;
    if (shape === "bool") {
      if (letter === "m") throw this.mismatch("m", "enum libbpf_tristate or char");
      this.write(BigInt(answer));
    } else if (shape === "tristate") {
      this.write(BigInt(answer));
    } else if (shape === "char") {
      this.write(BigInt(letter.charCodeAt(0)));
    } else {
      throw this.mismatch(letter, "bool, enum libbpf_tristate or char");
    }
  }

  private setText(text: string): void {
    if (this.extern.shape !== "char-array") throw this.mismatch(text, "an array of char");
    if (text.length < 2 || !text.endsWith('"')) throw this.mismatch(text, "a closing quote");
    // Cut to leave room for the NUL, as libbpf does.
    this.bytes.set(encoder.encode(text.slice(1, -1)).subarray(0, this.extern.size - 1));
  }

  private setInteger(text: string): void {
    if (!/^[-+]?(0[xX][0-9a-fA-F]+|[1-9]\d*|0[0-7]*)$/.test(text)) throw this.mismatch(text, "a number");
    if (this.extern.shape !== "int" && this.extern.shape !== "char") throw this.mismatch(text, "an integer");
    const digits = text.replace(/^[-+]/, "");
    // A leading 0 is octal for strtoull(3), which reads these values for libbpf.
    const magnitude = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
    this.setNumber(text.startsWith("-") ? -magnitude : magnitude, text);
  }

  /** A number that must fit; `text` is how it was written. */
  setNumber(value: bigint, text: string): void {
    const { name, shape, size, signed } = this.extern;
    if (shape === "tristate" || shape === "char-array") throw this.mismatch(text, "an integer, char or bool");
    if (shape === "bool" && (value < 0n || value > 1n)) throw this.mismatch(String(value), "an integer");
    const bits = BigInt(size * 8);
    const [least, beyond] = signed ? [-(1n << (bits - 1n)), 1n << (bits - 1n)] : [0n, 1n << bits];
    // Eight bytes take any 64 bits, whatever their sign.
    if (size < 8 && (value < least || value >= beyond)) {
      throw new SkepError(
        "extern",
        `extern ${name}: value ${text} does not fit ${signed ? "a signed" : "an unsigned"} integer of ${size} bytes`,
      );
    }
    this.write(value);
  }

  private write(value: bigint): void {
    const { size } = this.extern;
    for (let i = 0; i < size; i++) {
      const byte = Number((value >> BigInt(8 * i)) & 0xffn);
      this.bytes[this.littleEndian ? i : size - 1 - i] = byte;
    }
  }
}
