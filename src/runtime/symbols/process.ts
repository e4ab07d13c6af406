/** What is mapped into a process: /proc/PID/maps. */
import { closeSync, openSync, readSync } from "node:fs";
import { readProcFile } from "./file.ts";

/** One executable mapping. */
export interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  /** Of the mapping's first byte in its file. */
  readonly fileOffset: number;
  /** `major:minor inode`: the same file has the same identity in every process; empty for anonymous memory. */
  readonly identity: string;
  /** As the process sees it, or `[vdso]`; empty for anonymous memory. */
  readonly path: string;
  readonly isDeleted: boolean;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ..x. ([0-9a-f]+) (\S+) (\d+)(?:[ \t]+(.*))?$/gm;
const DELETED = " (deleted)";

/** Executable mappings in a maps file's text, ascending. */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const [, start, end, offset, device, inode, name = ""] of text.matchAll(LINE)) {
    // The kernel writes a line break of a file name as \012.
    const path = name.replaceAll("\\012", "\n");
    const isDeleted = path.endsWith(DELETED);
    mappings.push({
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      fileOffset: Number.parseInt(offset!, 16),
      identity: inode === "0" ? "" : `${device} ${inode}`,
      path: isDeleted ? path.slice(0, -DELETED.length) : path,
      isDeleted,
    });
  }
  return mappings;
}

/** Executable mappings of a process; undefined when it is gone. Kernel threads and zombies have none. */
export function readMaps(pid: number): Mapping[] | undefined {
  const bytes = readProcFile(`/proc/${pid}/maps`);
  return bytes && parseMaps(new TextDecoder().decode(bytes));
}

/** The mapping that an address is in. */
export function findMapping(mappings: readonly Mapping[], address: bigint): Mapping | undefined {
  let low = 0;
  let high = mappings.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (mappings[middle]!.start <= address) low = middle + 1;
    else high = middle;
  }
  const found = mappings[low - 1];
  return found && address < found.end ? found : undefined;
}

/** Where a mapping's file can be read from outside: through the process' root, or by the mapping itself when its name is gone. */
export function mappedFilePath(pid: number, mapping: Mapping): string {
  if (mapping.isDeleted) {
    return `/proc/${pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  }
  return `/proc/${pid}/root${mapping.path}`;
}

/** Memory of a process; undefined when it cannot be read. For the vdso, which is in no file. */
export function readProcessMemory(pid: number, start: bigint, end: bigint): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/mem`, "r");
  } catch {
    return undefined;
  }
  try {
    const bytes = new Uint8Array(Number(end - start));
    return readSync(fd, bytes, 0, bytes.length, Number(start)) === bytes.length ? bytes : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
