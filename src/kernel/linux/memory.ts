/** Memory that the kernel reads and writes: mapped, at a constant address, seen through one view. */
import { SyscallError } from "../../base/index.ts";
import { errnoMeaning, errnoName } from "../errno.ts";
import { Mmap, pageSize, syscall3, syscall6, viewMemory } from "./sys.ts";

/** Maps memory, or throws SyscallError. `fd` -1 is anonymous memory. Returns the address. */
export function mapMemory(
  operation: string,
  size: number,
  protection: number,
  flags: number,
  fd = -1,
  offset = 0,
  at = 0,
): number {
  const address = syscall6("mmap", at, size, protection, flags, fd, offset);
  if (address < 0)
    throw new SyscallError(`mmap(${operation}, ${size} bytes)`, -address, errnoName(-address), errnoMeaning(-address));
  return address;
}

/** Anonymous memory of our own. */
export class NativeMemory {
  readonly address: number;
  /** Bytes, rounded up to pages. */
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private freed = false;

  constructor(size: number) {
    const page = pageSize();
    this.size = Math.max(page, Math.ceil(size / page) * page);
    const { PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE } = Mmap;
    this.address = mapMemory("buffer", this.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    const buffer = viewMemory(this.address, this.size);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Gives the memory back. Its views must not be touched afterwards, so no view may have left its owner. */
  free(): void {
    if (this.freed) return;
    this.freed = true;
    syscall3("munmap", this.address, this.size);
  }
}

/**
 * Replaces a mapping that others may still see by empty memory: stale views then read zeros where unmapping would crash the
 * process. It costs address space, no memory. `writable`: what is written there is lost, and does not crash the process either.
 */
export function blankMemory(address: number, size: number, writable: boolean = false): void {
  const { PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_FIXED } = Mmap;
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  mapMemory("blank", size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0, address);
}

/** Writes a number below 2^53, or a bigint, as 64 bits. */
export function setU64(view: DataView, offset: number, value: number | bigint): void {
  if (typeof value === "bigint") {
    view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    return;
  }
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Reads 64 bits as a number; exact below 2^53. */
export function getU64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x1_0000_0000;
}
