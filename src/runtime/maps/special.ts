/** Arenas and struct_ops maps. */
import { pageSize } from "../../kernel/linux/index.ts";
import type { Codec, Given } from "../values/codec.ts";
import { MapHandle } from "./base.ts";

/** Memory that programs and this process share, at one address. Linux 6.9. */
export class ArenaMap extends MapHandle {
  /** The whole arena, live. Touching a page gives the arena that page. After {@link MapHandle.close} it reads zeros. */
  get bytes(): Uint8Array {
    return this.linuxMap("memory").mapMemory();
  }

  /** As {@link ArenaMap.bytes}, for numbers. */
  get view(): DataView {
    const { bytes } = this;
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Address of the first byte, in this process and in pointers of programs. */
  get address(): bigint {
    const map = this.linuxMap("memory");
    map.mapMemory();
    return BigInt(map.memoryAddress ?? 0);
  }

  /** Bytes of a page. */
  get pageSize(): number {
    return pageSize();
  }

  /** Bytes that the arena can grow to. */
  get size(): number {
    return this.spec.maxEntries * pageSize();
  }

  /** Offset in {@link ArenaMap.bytes} of what a program's pointer points at. Throws RangeError for pointers elsewhere. */
  offsetOf(pointer: bigint): number {
    // Programs keep 32 bits of a pointer, the arena begins at a multiple of 4 GiB or is no larger.
    const offset = Number(BigInt.asUintN(32, pointer - this.address));
    if (offset >= this.size) throw new RangeError(`pointer 0x${pointer.toString(16)}: outside of arena ${this.name}`);
    return offset;
  }

  /** A codec's value at an offset. */
  read<T>(codec: Codec<T>, offset: number): T {
    return codec.read(this.view, offset);
  }

  /** Writes a value at an offset. Programs may read half of it meanwhile. */
  write<T>(codec: Codec<T>, offset: number, value: Given<T>): void {
    codec.write(this.view, offset, value);
  }
}

/** States of `enum bpf_struct_ops_state`, by number. */
const states = ["initialised", "in use", "being freed", "ready"] as const;

/** A set of programs that implement an interface of the kernel. Attached by a link, or by its value. Linux 5.6. */
export class StructOpsMap extends MapHandle {
  private common(): DataView {
    const key = new Uint8Array(this.spec.keySize);
    const bytes = this.kernelMap.lookup(key) ?? new Uint8Array(8);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where the set is in its life: `"ready"` has a value, and is the kernel's while it has a link; `"in use"` is registered by its value. */
  get state(): (typeof states)[number] | "unknown" {
    return states[this.common().getUint32(4, true)] ?? "unknown";
  }

  /** How many in the kernel use it. */
  get references(): number {
    return this.common().getUint32(0, true);
  }

  /** Takes the set out of the kernel when it was registered by its value. Throws SyscallError for one that is attached by links: close these. */
  unregister(): boolean {
    return this.kernelMap.delete(new Uint8Array(this.spec.keySize));
  }
}
