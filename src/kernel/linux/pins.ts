/** Pins: names in a bpffs under which maps, programs and links outlive the process that made them. */
import { existsSync, mkdirSync, statfsSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { SkepError, SyscallError, UnsupportedError } from "../../base/index.ts";
import { openPinned, pinObject } from "./bpf.ts";
import { Errno } from "../errno.ts";
import type { OwnedFd } from "./fd.ts";

/** Where a bpffs is mounted by convention. */
export const DEFAULT_PIN_PATH = "/sys/fs/bpf";

/** `BPF_FS_MAGIC`. */
const BPF_FS_MAGIC = 0xcafe4a11;

/**
 * Pins an object at a path, whose directories are made where they are missing. Throws SkepError (`pinned`) when something is there already,
 * UnsupportedError when the path is on no bpffs.
 */
export function pin(fd: OwnedFd, path: string): void {
  const directory = dirname(path);
  try {
    makeDirectory(directory);
  } catch (cause) {
    throw new UnsupportedError(
      `pin ${path}`,
      `its directory cannot be made: ${(cause as Error).message}${mountHint(path)}`,
      { cause },
    );
  }
  if (!isBpffs(directory)) {
    throw new UnsupportedError(
      `pin ${path}`,
      `${directory} is on no bpffs: choose a path below ${DEFAULT_PIN_PATH}, or mount -t bpf bpf DIRECTORY`,
    );
  }
  try {
    pinObject(fd.value, path);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.errno === Errno.EEXIST) {
      throw new SkepError(
        "pinned",
        `pin ${path}: something is pinned there already: unpin it first, or take another path`,
        {
          cause: error,
        },
      );
    }
    // bpffs takes no dots in names: it keeps them for itself.
    if (error.errno === Errno.EPERM && path.slice(directory.length).includes("."))
      error.message += " (names in a bpffs have no dots)";
    throw error;
  }
}

/** With its parents. Not by `recursive`, which never ends in a file system that has no mkdir(2) and answers ENOENT. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function mountHint(path: string): string {
  return path.startsWith(`${DEFAULT_PIN_PATH}/`) && !isBpffs(DEFAULT_PIN_PATH)
    ? ` (is it mounted? mount -t bpf bpf ${DEFAULT_PIN_PATH})`
    : "";
}

function isBpffs(directory: string): boolean {
  try {
    return statfsSync(directory).type === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

/** Takes a pin away; the object lives on while others hold it. Throws SkepError (`pinned`) when the path is on no bpffs or has no pin. */
export function unpin(path: string): void {
  if (!isBpffs(dirname(path))) throw new SkepError("pinned", `unpin ${path}: this is on no bpffs`);
  try {
    unlinkSync(path);
  } catch (cause) {
    throw new SkepError("pinned", `unpin ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Opens what is pinned at a path; undefined when nothing is. The caller closes it. */
export function openPinIfThere(path: string): OwnedFd | undefined {
  try {
    return openPinned(path);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === Errno.ENOENT) return undefined;
    throw error;
  }
}

/** Where a map that is pinned by its name goes. */
export function pinPathOf(name: string, directory: string = DEFAULT_PIN_PATH): string {
  return `${directory.replace(/\/+$/, "")}/${name.replaceAll(".", "_")}`;
}
