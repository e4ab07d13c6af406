/** Descriptors of what is named otherwise: processes by pid, files and cgroups by path. */
import { type OwnedFd, openCgroup, openPath, openPid } from "../../kernel/linux/index.ts";

/** What storage can hang on. */
export type StorageTarget = "task" | "inode" | "socket" | "cgroup";

/** Opens a process (number) or a file or directory (path). The caller closes it. Throws SyscallError. */
export function openDescriptor(kind: StorageTarget, name: string | number): OwnedFd {
  if (typeof name === "string") return kind === "cgroup" ? openCgroup("cgroup of a map", name) : openPath(name);
  if (kind === "task") return openPid(name);
  throw new TypeError(`${kind}: a path is wanted, not ${name}`);
}
