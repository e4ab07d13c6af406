/** Descriptors of what is known by another name: maps by id, processes by pid, files by path. */
import { openSync } from "node:fs";
import { UnsupportedError } from "../../base/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { describeMap, openById } from "./bpf.ts";
import { syscallFailure } from "./diagnose.ts";
import { Errno } from "../errno.ts";
import { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import { LinuxMap } from "./maps.ts";
import { syscall3 } from "./sys.ts";

/** A map behind a descriptor, which the map then owns; its spec is what the kernel tells, its name what the kernel kept of it. */
export function linuxMapOf(fd: OwnedFd): LinuxMap {
  const { name, type, keySize, valueSize, maxEntries, flags, mapExtra } = describeMap(fd.value);
  const spec: MapSpec = { name, type, keySize, valueSize, maxEntries, flags, ...(mapExtra === 0n ? {} : { mapExtra }) };
  return new LinuxMap(spec, fd, machine.possibleCpus.length);
}

/** Opens a map by its id; undefined when it is gone. The caller closes it. Needs CAP_SYS_ADMIN. */
export function openLinuxMap(id: number): LinuxMap | undefined {
  const fd = openById("map", id);
  return fd === undefined ? undefined : linuxMapOf(fd);
}

/** A descriptor of a process (pidfd_open, Linux 5.3). The caller closes it. Throws SyscallError, ESRCH when there is none. */
export function openPid(pid: number): OwnedFd {
  const fd = syscall3("pidfd_open", pid, 0);
  if (fd === -Errno.ENOSYS) throw new UnsupportedError(`pidfd of process ${pid}`, "needs Linux 5.3");
  if (fd < 0) throw syscallFailure({ call: `pidfd_open(${pid})`, operation: "other", errno: -fd });
  return new OwnedFd(fd, `process ${pid}`);
}

/** `O_PATH`: a descriptor that stands for the file and can neither read nor write it. Opening devices and pipes this way does nothing to them. */
const O_PATH = 0x20_0000;

/** A descriptor that names a file or directory. The caller closes it. Throws Node's error of open(2). */
export function openPath(path: string): OwnedFd {
  return new OwnedFd(openSync(path, O_PATH), `file ${path}`);
}
