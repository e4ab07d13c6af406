/** Memory of maps that user space and programs share: values of mmapable arrays, and arenas. */
import { SyscallError, UnsupportedError } from "../../base/index.ts";
import { MapFlags, MapType } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { Errno } from "./errno.ts";
import { blankMemory, mapMemory } from "./memory.ts";
import { Mmap, pageSize, viewMemory } from "./sys.ts";

const reasons: ReadonlyMap<number, string> = new Map([
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

/**
 * A mapping of a map's memory. When closed, memory of our own takes its place: views that are still held read zeros, and what is written
 * to them is lost, where unmapping would crash the process. That costs address space, and no memory for pages not written to.
 */
export class SharedMapMemory {
  /** Address in this process; arenas have the same in programs. */
  readonly address: number;
  /** The whole mapping. */
  readonly bytes: Uint8Array;
  private closed = false;

  /** `fd` is the map's; `at` is where an arena must be, 0 for anywhere. Throws UnsupportedError when the map cannot be mapped. */
  constructor(spec: MapSpec, fd: number, at: number = 0) {
    const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_FIXED_NOREPLACE } = Mmap;
    const size = mappedSize(spec);
    if ((spec.flags & MapFlags.MMAPABLE) === 0) {
      throw new UnsupportedError(
        `memory of map ${spec.name}`,
        "the map was not created for mmap(2): set BPF_F_MMAPABLE (arrays, Linux 5.5)",
      );
    }
    try {
      const flags = MAP_SHARED | (at === 0 ? 0 : MAP_FIXED_NOREPLACE);
      this.address = mapMemory(`map ${spec.name}`, size, PROT_READ | PROT_WRITE, flags, fd, 0, at);
    } catch (error) {
      const why = error instanceof SyscallError ? reasons.get(error.errno) : undefined;
      if (why === undefined) throw error;
      throw new UnsupportedError(`memory of map ${spec.name}`, why, { cause: error });
    }
    this.bytes = new Uint8Array(viewMemory(this.address, size));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    blankMemory(this.address, this.bytes.length, true);
  }
}
