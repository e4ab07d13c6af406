/** Maps, programs and links opened where they are pinned: what the kernel tells of them takes the place of their specs. */
import { readFileSync } from "node:fs";
import { SkepError } from "../../base/index.ts";
import { describeLink, describeMap, describeProg, openPinned } from "./bpf.ts";
import type { OwnedFd } from "./fd.ts";
import { LinuxLink } from "./link.ts";
import { LinuxMap } from "./maps.ts";
import { machine } from "./machine.ts";
import { linuxMapOf } from "./open.ts";
import { LinuxProgram } from "./programs.ts";

/** Opens a path and checks what is there by asking for its information. */
function openAs<T>(path: string, noun: string, describe: (fd: number) => unknown, make: (fd: OwnedFd) => T): T {
  const fd = openPinned(path);
  try {
    const kind = pinnedKind(fd.value);
    if (kind !== undefined && kind !== noun)
      throw new SkepError("pinned", `${path}: a ${kind} is pinned there, not a ${noun}`);
    describe(fd.value);
    return make(fd);
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** `map`, `program` or `link`, by the fields of its entry in /proc; undefined when that cannot be read. */
function pinnedKind(fd: number): string | undefined {
  const info = fdInfo(fd);
  if (info === undefined) return undefined;
  if (/^link_type:/m.test(info)) return "link";
  if (/^map_type:/m.test(info)) return "map";
  return /^prog_type:/m.test(info) ? "program" : undefined;
}

function fdInfo(fd: number): string | undefined {
  try {
    return readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
  } catch {
    return undefined;
  }
}

/** Opens a pinned map. The caller closes it. Throws SyscallError, SkepError (`pinned`) when something else is pinned there. */
export function openPinnedMap(path: string): LinuxMap {
  return openAs(path, "map", describeMap, (fd) => {
    // A frozen map must not be mapped to be written.
    const isFrozen = /^frozen:\s*1$/m.test(fdInfo(fd.value) ?? "");
    if (!isFrozen) return linuxMapOf(fd);
    const { name, type, keySize, valueSize, maxEntries, flags } = describeMap(fd.value);
    const spec = { name, type, keySize, valueSize, maxEntries, flags, frozen: true };
    return new LinuxMap(spec, fd, machine.possibleCpus.length);
  });
}

/** Opens a pinned program; the code of its spec is empty. The caller closes it. Throws as {@link openPinnedMap} does. */
export function openPinnedProgram(path: string): LinuxProgram {
  const none = new Uint8Array(0);
  return openAs(path, "program", describeProg, (fd) => {
    const { name, type } = describeProg(fd.value);
    const nothing = { code: none, relocations: [], funcInfo: none, lineInfo: none };
    return new LinuxProgram({ name, type, expectedAttachType: 0, ...nothing }, fd);
  });
}

/** Opens a pinned link. Closing it leaves it attached for as long as it is pinned. Throws as {@link openPinnedMap} does. */
export function openPinnedLink(path: string): LinuxLink {
  return openAs(path, "link", describeLink, (fd) => {
    return new LinuxLink({ kind: "pinned", path }, { holders: [fd], events: [] });
  });
}
