/**
 * Symbols of the kernel and its modules from /proc/kallsyms: 120,000 lines, kept as the file's bytes, one Float64Array of addresses and one
 * Uint32Array of name offsets. Read when the first address is asked for.
 */
import { readProcFile } from "./file.ts";

/** What was found at or before an address. */
export interface KernelSymbol {
  readonly name: string;
  /** Bytes from the symbol's start. */
  readonly offset: number;
  /** Name of the module that it belongs to; undefined for the kernel itself. */
  readonly module: string | undefined;
}

const decoder = new TextDecoder("latin1");
/** Where a line's name begins: behind 16 digits, a blank, the type and a blank. */
const NAME_OFFSET = 19;
/** Names that are looked for one by one before an index is made of all. */
const FEW_SEARCHES = 64;
/** Kernel addresses less this are exact as numbers on every 64-bit architecture. */
const BASE_HIGH = 0xffff0000;

/** Types of data symbols, which no return address is in: bcc skips the same. */
const DATA = new Set([..."bBdDrRA"].map((letter) => letter.charCodeAt(0)));

/** Distance of a kernel address from the start of the upper half, exact; negative for other addresses. */
function distance(high: number, low: number): number {
  return (high - BASE_HIGH) * 0x1_0000_0000 + low;
}

/** The symbols of /proc/kallsyms. */
export class Kallsyms {
  private readonly bytes: Uint8Array;
  private readonly addresses: Float64Array;
  /** Where each name starts in `bytes`. */
  private readonly names: Uint32Array;
  private byName: Map<string, bigint> | undefined;
  private searches = 0;

  /** Takes the text of the file. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    let addresses = new Float64Array(Math.max(16, Math.ceil(bytes.length / 32)));
    let names = new Uint32Array(addresses.length);
    let count = 0;
    let sorted = true;
    let at = 0;
    while (at + 19 < bytes.length) {
      let high = 0;
      let low = 0;
      for (let i = 0; i < 8; i++) high = high * 16 + hexDigit(bytes[at + i]!);
      for (let i = 8; i < 16; i++) low = low * 16 + hexDigit(bytes[at + i]!);
      const type = bytes[at + 17]!;
      if (high >= BASE_HIGH && !DATA.has(type)) {
        if (count === addresses.length) {
          addresses = grow(addresses, new Float64Array(count * 2));
          names = grow(names, new Uint32Array(count * 2));
        }
        const place = distance(high, low);
        if (count > 0 && place < addresses[count - 1]!) sorted = false;
        addresses[count] = place;
        names[count] = at + 19;
        count++;
      }
      const end = bytes.indexOf(10, at + 19);
      if (end === -1) break;
      at = end + 1;
    }
    this.addresses = addresses.slice(0, count);
    this.names = names.slice(0, count);
    if (!sorted) this.sort();
  }

  /** Reads the running kernel's; null when it hides addresses (kernel.kptr_restrict) or cannot be read. */
  static read(path = "/proc/kallsyms"): Kallsyms | null {
    const bytes = readProcFile(path, 8 << 20);
    if (!bytes) return null;
    const symbols = new Kallsyms(bytes);
    return symbols.count > 0 ? symbols : null;
  }

  /** Number of symbols. */
  get count(): number {
    return this.addresses.length;
  }

  /** The last symbol at or before an address; undefined below the first. */
  lookup(address: bigint): KernelSymbol | undefined {
    const wanted = distance(Number(address >> 32n), Number(address & 0xffffffffn));
    let low = 0;
    let high = this.addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.addresses[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    return { ...this.symbolAt(low - 1), offset: wanted - this.addresses[low - 1]! };
  }

  /** Address of a symbol by name; undefined when there is none. Data symbols too, where the kernel lists them. */
  find(name: string): bigint | undefined {
    if (this.byName === undefined && ++this.searches <= FEW_SEARCHES) return this.search(name);
    this.byName ??= this.allByName();
    return this.byName.get(name);
  }

  /** Looks through the text: a few milliseconds, where an index of all names would take forty megabytes. */
  private search(name: string): bigint | undefined {
    const { bytes } = this;
    if (/\s/.test(name)) return undefined;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const wanted = Buffer.from(` ${name}`, "latin1");
    for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) {
      const end = text[at + wanted.length];
      if (end !== undefined && end > 32) continue;
      const start = text.lastIndexOf(10, at) + 1;
      // The name's blank, not that before the type.
      if (at - start !== NAME_OFFSET - 1) continue;
      return BigInt(`0x${decoder.decode(text.subarray(start, start + 16))}`);
    }
    return undefined;
  }

  private allByName(): Map<string, bigint> {
    const found = new Map<string, bigint>();
    for (const line of decoder.decode(this.bytes).split("\n")) {
      const [address, , symbol] = line.split(/[ \t]/, 3);
      if (symbol !== undefined && !found.has(symbol)) found.set(symbol, BigInt(`0x${address}`));
    }
    return found;
  }

  /** Names of functions, in the order of addresses. */
  functionNames(): string[] {
    return Array.from(this.names, (_, i) => this.nameAt(i));
  }

  private nameAt(index: number): string {
    return this.symbolAt(index).name;
  }

  private symbolAt(index: number): { readonly name: string; readonly module: string | undefined } {
    const start = this.names[index]!;
    let end = start;
    while (end < this.bytes.length && this.bytes[end]! > 32) end++;
    const name = decoder.decode(this.bytes.subarray(start, end));
    // Of modules: a tab and the module in brackets.
    if (this.bytes[end] !== 9) return { name, module: undefined };
    const line = this.bytes.indexOf(10, end);
    const module = decoder.decode(this.bytes.subarray(end + 1, line === -1 ? this.bytes.length : line)).trim();
    return { name, module: module.replace(/^\[|\]$/g, "") };
  }

  private sort(): void {
    const order = Array.from(this.addresses.keys()).toSorted(
      (a, b) => this.addresses[a]! - this.addresses[b]! || a - b,
    );
    const addresses = this.addresses.slice();
    const names = this.names.slice();
    order.forEach((from, to) => {
      this.addresses[to] = addresses[from]!;
      this.names[to] = names[from]!;
    });
  }
}

function hexDigit(code: number): number {
  return code <= 57 ? code - 48 : (code | 0x20) - 87;
}

function grow<T extends Float64Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
