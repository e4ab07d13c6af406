/**
 * The memory of programs: one WebAssembly memory that holds stacks, contexts, packets and map values, and beside them, for every eight
 * bytes, a note of what may be touched (as AddressSanitizer does). The address that a program sees is the offset in it: it fits 32 bits, so that the fields of
 * contexts that hold addresses in 32 bits (`data`, `data_end`) are what they seem. Low offsets are nobody's, so that NULL is.
 */
import { SkepError } from "../base/index.ts";
import { type WasmMemory, webAssembly } from "./wasm/api.ts";

/** Upper half of all addresses. */
export const ADDRESS_HIGH = 0;

/** Where helpers find r1 to r5 as pairs of 32-bit halves, and behind them leave r0: an index of {@link VmMemory.words}. */
export const ARGUMENT_WORD = 16;
/** Index of r0's lower half. */
export const RESULT_WORD = 26;
/** Index of the caller's r10, for callbacks: their frames begin below its own. */
export const FRAME_WORD = 28;
/** Bytes where the bounds of a piece of memory are handed over: its address and its length, 64 bits each. */
export const WINDOW_OFFSET = 192;

/** Where the notes begin. */
export const SHADOW_OFFSET = 65_536;

/** What a note says of eight bytes: how many of them, from the first, may be touched; and how. */
export const Shadow = { COUNT: 15, READ: 16, WRITE: 32 } as const;

const PAGE = 65_536;
const DEFAULT_LIMIT = 256 * 1024 * 1024;

/** What memory may be used for. */
export type Access = "read" | "read-write";

/** Memory of a virtual machine. */
export class VmMemory {
  /** Bytes that all objects and notes may take. */
  readonly limit: number;
  readonly memory: WasmMemory;
  /** Views of the whole memory. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Int32Array;
  /** First byte that was never given out. */
  private top: number;
  /** Given back, by size. */
  private readonly free = new Map<number, number[]>();

  /** `limit`: bytes, a multiple of 64 KiB; default 256 MiB. */
  constructor(options: { readonly limit?: number } = {}) {
    this.limit = options.limit ?? DEFAULT_LIMIT;
    if (this.limit % PAGE !== 0 || this.limit < 4 * PAGE || this.limit > 2 ** 31)
      throw new RangeError(`memory of ${this.limit} bytes: must be a multiple of ${PAGE}, from ${4 * PAGE} to 2 GiB`);
    this.top = SHADOW_OFFSET + Math.ceil(this.limit / 8 / PAGE) * PAGE;
    // All at once: what grows gets a new buffer, under the feet of whoever holds a view. Pages that nobody has touched cost nothing.
    this.memory = new webAssembly.Memory({ initial: this.limit / PAGE, maximum: this.limit / PAGE });
    const { buffer } = this.memory;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
  }

  /**
   * Zeroed memory for an object of `size` bytes, at a multiple of 8 with at least 8 forbidden bytes around it; returns its offset.
   * Throws SkepError code `memory` when the limit is reached.
   */
  allocate(size: number, access: Access = "read-write"): number {
    const length = roundUp(size) + 8;
    const again = this.free.get(length)?.pop();
    let at: number;
    if (again !== undefined) {
      at = again;
      this.bytes.fill(0, at, at + length);
    } else {
      at = this.top + 8;
      if (at + length > this.limit) {
        throw new SkepError("memory", `${size} bytes of memory: the virtual machine has ${this.limit} bytes in all`);
      }
      this.top = at + length - 8;
    }
    this.permit(at, size, access);
    return at;
  }

  /** Gives back what {@link allocate} gave; programs can no longer touch it. */
  release(offset: number, size: number): void {
    this.forbid(offset, size);
    const length = roundUp(size) + 8;
    const list = this.free.get(length);
    if (list === undefined) this.free.set(length, [offset]);
    else list.push(offset);
  }

  /** Lets programs touch `size` bytes from an offset that is a multiple of 8. */
  permit(offset: number, size: number, access: Access): void {
    const flags = access === "read" ? Shadow.READ : Shadow.READ | Shadow.WRITE;
    const first = SHADOW_OFFSET + (offset >>> 3);
    this.bytes.fill(flags | 8, first, first + (size >>> 3));
    if (size & 7) this.bytes[first + (size >>> 3)] = flags | (size & 7);
  }

  /** Lets programs touch none of these bytes. */
  forbid(offset: number, size: number): void {
    const first = SHADOW_OFFSET + (offset >>> 3);
    this.bytes.fill(0, first, first + (roundUp(size) >>> 3));
  }

  /** Whether `size` bytes at an offset may all be read, or written. */
  allows(offset: number, size: number, write: boolean): boolean {
    const need = write ? Shadow.WRITE : Shadow.READ;
    if (size < 0 || offset < 0 || offset + size > this.bytes.length) return false;
    for (let at = offset, end = offset + size; at < end; at = (at & ~7) + 8) {
      const note = this.bytes[SHADOW_OFFSET + (at >>> 3)]!;
      if ((note & need) === 0 || Math.min(end - (at & ~7), 8) > (note & Shadow.COUNT)) return false;
    }
    return true;
  }

  /** Offset of an address given as two halves; -1 when it is none. */
  offsetOf(low: number, high: number): number {
    return high === ADDRESS_HIGH ? low >>> 0 : -1;
  }

  /**
   * The object around an offset: as much memory before and behind it as may be touched in this way without a gap. Undefined when not even
   * the byte at the offset may.
   */
  window(offset: number, write: boolean): { readonly start: number; readonly end: number } | undefined {
    if (!this.allows(offset, 1, write)) return undefined;
    const need = (write ? Shadow.WRITE : Shadow.READ) | 8;
    const { bytes, words } = this;
    const full = (granule: number): boolean => (bytes[SHADOW_OFFSET + granule]! & need) === need;
    // Four notes at a time.
    const needs = need * 0x0101_0101;
    const fullWord = (word: number): boolean => (words[SHADOW_OFFSET / 4 + word]! & needs) === needs;
    let first = offset >>> 3;
    let last = first;
    while (full(first - 1)) {
      first--;
      if ((first & 3) === 0) while (fullWord((first >>> 2) - 1)) first -= 4;
    }
    while (full(last)) {
      last++;
      if ((last & 3) === 0) while (fullWord(last >>> 2)) last += 4;
    }
    // The last may have fewer than eight bytes.
    const note = bytes[SHADOW_OFFSET + last]!;
    return { start: first * 8, end: last * 8 + ((note & need & ~8) === 0 ? 0 : note & Shadow.COUNT) };
  }
}

function roundUp(size: number): number {
  return (size + 7) & ~7;
}

/** The address that programs know an offset by. */
export function addressOf(offset: number): bigint {
  return BigInt(offset);
}
