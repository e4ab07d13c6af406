/** Memory of maps that user space and programs share: values of mmapable arrays, and arenas. */
import { SyscallError, UnsupportedError } from "../../base/index.ts";
import { MapFlags, MapType } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { Errno } from "../errno.ts";
import { blankMemory, mapMemory } from "./memory.ts";
import { Mmap, pageSize, viewMemory } from "./sys.ts";

const reasons: ReadonlyMap<number, string> = new Map([
  [Errno.ENODEV, "this kernel cannot map the memory of maps (Linux 5.5)"],
  [Errno.EPERM, "the map is frozen: it can be read, not written"],
  [Errno.EEXIST, "something else is at the address that the arena asks for (map_extra): leave it 0, or take another"],
  [Errno.EBUSY, "the arena is mapped at another address already, by this process or another"],
  [Errno.ENOTSUPP, "its values hold what only the kernel may touch, such as locks or timers"],
]);

/** Bytes of a map's mapping, whole pages. */
export function mappedSize(spec: MapSpec): number {
  const page = pageSize();
  if (spec.type === MapType.ARENA) return spec.maxEntries * page;
  return Math.ceil((((spec.valueSize + 7) & ~7) * spec.maxEntries) / page) * page;
}

/** Ranges at addresses that arenas asked for, closed and blank: the next arena there may have them. */
const vacated: { readonly start: number; readonly end: number }[] = [];

/**
 * Whether nothing is in a range but what closed arenas left behind. Then the gaps between those are taken, so that nobody else comes there
 * before the range is mapped as a whole.
 */
function isVacated(start: number, end: number): boolean {
  const { PROT_NONE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE } = Mmap;
  const inside = vacated
    .filter((range) => range.start < end && range.end > start)
    .toSorted((a, b) => a.start - b.start);
  if (inside.length === 0) return false;
  let at = start;
  for (const range of [...inside, { start: end, end }]) {
    if (range.start > at) {
      const size = Math.min(range.start, end) - at;
      try {
        mapMemory("gap", size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0, at);
      } catch {
        return false;
      }
      vacated.push({ start: at, end: at + size });
    }
    at = Math.max(at, range.end);
  }
  return true;
}

/** Takes a range that is in use again out of the vacated ones. */
function settle(start: number, end: number): void {
  for (const range of vacated.splice(0)) {
    if (range.start < start) vacated.push({ start: range.start, end: Math.min(range.end, start) });
    if (range.end > end) vacated.push({ start: Math.max(range.start, end), end: range.end });
  }
}

/**
 * A mapping of a map's memory. When closed, memory of our own takes its place: views that are still held read zeros, and what is written
 * to them is lost, where unmapping would crash the process. That costs address space, and no memory for pages not written to. An arena
 * that later asks for the same address gets it: such old views then see the new arena.
 */
export class SharedMapMemory {
  /** Address in this process; arenas have the same in programs. */
  readonly address: number;
  /** The whole mapping. */
  readonly bytes: Uint8Array;
  private readonly isPlaced: boolean;
  private closed = false;

  /** `fd` is the map's; `at` is where an arena must be, 0 for anywhere. Throws UnsupportedError when the map cannot be mapped. */
  constructor(spec: MapSpec, fd: number, at: number = 0) {
    const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_FIXED, MAP_FIXED_NOREPLACE } = Mmap;
    const size = mappedSize(spec);
    this.isPlaced = at !== 0;
    if ((spec.flags & MapFlags.MMAPABLE) === 0) {
      throw new UnsupportedError(
        `memory of map ${spec.name}`,
        "the map was not created for mmap(2): set BPF_F_MMAPABLE (arrays, Linux 5.5)",
      );
    }
    try {
      const place = at === 0 ? 0 : isVacated(at, at + size) ? MAP_FIXED : MAP_FIXED_NOREPLACE;
      const flags = MAP_SHARED | place;
      this.address = mapMemory(`map ${spec.name}`, size, PROT_READ | PROT_WRITE, flags, fd, 0, at);
    } catch (error) {
      const why = error instanceof SyscallError ? reasons.get(error.errno) : undefined;
      if (why === undefined) throw error;
      throw new UnsupportedError(`memory of map ${spec.name}`, why, { cause: error });
    }
    this.bytes = new Uint8Array(viewMemory(this.address, size));
    if (this.isPlaced) settle(at, at + size);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    blankMemory(this.address, this.bytes.length, true);
    if (this.isPlaced) vacated.push({ start: this.address, end: this.address + this.bytes.length });
  }
}
