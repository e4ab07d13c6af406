/** Directories of cgroup2. */
import { closeSync, constants, openSync, statfsSync } from "node:fs";
import { UnsupportedError } from "../../../base/index.ts";
import { OwnedFd } from "../fd.ts";
import { machine } from "../machine.ts";

/** `f_type` of cgroup2 (linux: CGROUP2_SUPER_MAGIC). */
const CGROUP2_MAGIC = 0x6367_7270;

/** Where cgroup2 is mounted, the usual place first. */
export function cgroupMounts(): string[] {
  const places: string[] = [];
  const mounts = machine.source.read("/proc/self/mounts");
  for (const line of (mounts === undefined ? "" : new TextDecoder().decode(mounts)).split("\n")) {
    const [, place, type] = line.split(" ");
    if (type === "cgroup2" && place !== undefined) places.push(place.replaceAll("\\040", " "));
  }
  return places.toSorted((a, b) => a.length - b.length);
}

/** Opens a cgroup by the path of its directory; the caller closes it. Throws UnsupportedError when it is none of cgroup2. */
export function openCgroup(what: string, path: string): OwnedFd {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such directory" : `cannot be opened (${code})`;
    throw new UnsupportedError(what, `cgroup ${path}: ${why}${mountHint()}`, { cause });
  }
  if (statfsSync(path).type !== CGROUP2_MAGIC) {
    closeSync(fd);
    throw new UnsupportedError(what, `${path} is no directory of cgroup2, version 1 has no programs${mountHint()}`);
  }
  return new OwnedFd(fd, `cgroup ${path}`);
}

function mountHint(): string {
  const [mount] = cgroupMounts();
  return mount === undefined
    ? "; cgroup2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup"
    : `; cgroup2 is mounted at ${mount}`;
}
