/**
 * Attributes of one system call. A block of native memory is reused from call to call: `callAttributes` empties it, the call's
 * structures, inputs and outputs are laid out in it one after the other, and what the kernel wrote is copied out before the
 * next call. Calls are synchronous, so no two are ever under way at once.
 */
import { NativeMemory, setU64 } from "./memory.ts";

const BLOCK_BYTES = 1 << 16;
const encoder = new TextEncoder();

let block: NativeMemory | undefined;
let used = 0;
/** Blocks of what did not fit, freed at the next call. */
let extra: NativeMemory[] = [];

/** A piece of native memory that belongs to the call being made. */
export interface NativeSpan {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** A zeroed span, aligned to 8 bytes, valid until the next {@link callAttributes}. */
function allocate(size: number): NativeSpan {
  block ??= new NativeMemory(BLOCK_BYTES);
  let memory = block;
  let start = used;
  if (start + size > memory.size) {
    memory = new NativeMemory(size);
    extra.push(memory);
    start = 0;
  } else {
    used = (start + size + 7) & ~7;
    memory.bytes.fill(0, start, start + size);
  }
  const buffer = memory.bytes.buffer;
  return {
    address: memory.address + start,
    bytes: new Uint8Array(buffer, start, size),
    view: new DataView(buffer, start, size),
  };
}

/** A zeroed structure being filled by field offsets, with the buffers that it points to. */
export class Attributes {
  readonly address: number;
  readonly size: number;
  readonly view: DataView;
  private readonly bytes: Uint8Array;

  /** Use {@link callAttributes}. */
  constructor(size: number) {
    const span = allocate(size);
    this.address = span.address;
    this.size = size;
    this.view = span.view;
    this.bytes = span.bytes;
  }

  u16(offset: number, value: number): this {
    this.view.setUint16(offset, value, true);
    return this;
  }
  u32(offset: number, value: number): this {
    this.view.setUint32(offset, value, true);
    return this;
  }
  u64(offset: number, value: number | bigint): this {
    setU64(this.view, offset, value);
    return this;
  }
  /** A name held in the structure itself, cut to `room` bytes with its NUL. */
  name(offset: number, room: number, text: string): this {
    this.bytes.set(encoder.encode(text).subarray(0, room - 1), offset);
    return this;
  }
  /** A pointer to a copy of these bytes. */
  input(offset: number, bytes: Uint8Array): this {
    const span = allocate(bytes.length);
    span.bytes.set(bytes);
    return this.u64(offset, span.address);
  }
  /** A pointer to a NUL-terminated copy of this text. */
  string(offset: number, text: string): this {
    return this.input(offset, encoder.encode(`${text}\0`));
  }
  /** A pointer to zeroed memory that the kernel fills; copy what is wanted before the next call. */
  output(offset: number, size: number): NativeSpan {
    const span = allocate(size);
    this.u64(offset, span.address);
    return span;
  }
  /** A pointer to an array of pointers to these texts. */
  strings(offset: number, texts: readonly string[]): this {
    const table = allocate(texts.length * 8);
    texts.forEach((text, i) => {
      const bytes = encoder.encode(`${text}\0`);
      const span = allocate(bytes.length);
      span.bytes.set(bytes);
      setU64(table.view, i * 8, span.address);
    });
    return this.u64(offset, table.address);
  }
  /** A pointer to an array of 32-bit numbers. */
  u32s(offset: number, values: readonly number[]): this {
    const span = allocate(values.length * 4);
    values.forEach((value, i) => span.view.setUint32(i * 4, value, true));
    return this.u64(offset, span.address);
  }
  /** A pointer to an array of 64-bit numbers. */
  u64s(offset: number, values: readonly (number | bigint)[]): this {
    const span = allocate(values.length * 8);
    values.forEach((value, i) => setU64(span.view, i * 8, value));
    return this.u64(offset, span.address);
  }
}

/** Starts a call: forgets the last one's memory and returns a zeroed structure of `size` bytes. */
export function callAttributes(size: number): Attributes {
  used = 0;
  if (extra.length > 0) {
    for (const memory of extra) memory.free();
    extra = [];
  }
  return new Attributes(size);
}
