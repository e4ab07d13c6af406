/** File descriptors with an owner. */
import { SkepError, SyscallError } from "../../base/index.ts";
import { errnoMeaning, errnoName } from "../errno.ts";
import { resourceClosed, resourceOpened } from "./resources.ts";
import { syscall3 } from "./sys.ts";

/** A descriptor of the kernel that this object closes. The kernel closes it when the process ends, however it ends. */
export class OwnedFd {
  /** Shown in errors and by the leak guard, such as `map counts`. */
  readonly what: string;
  private fd: number;

  constructor(fd: number, what: string) {
    this.fd = fd;
    this.what = what;
    resourceOpened(`fd ${fd}`, what);
  }

  /** The number; throws after close. */
  get value(): number {
    if (this.fd < 0) throw new SkepError("closed", `${this.what}: used after it was closed`);
    return this.fd;
  }

  get isClosed(): boolean {
    return this.fd < 0;
  }

  close(): void {
    if (this.fd >= 0) syscall3("close", this.release());
  }

  /** Hands the number over to the caller, who closes it. This object counts as closed. */
  release(): number {
    const fd = this.value;
    this.fd = -1;
    resourceClosed(`fd ${fd}`);
    return fd;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const F_DUPFD_CLOEXEC = 1030;

/** A second descriptor of the same object, with an owner of its own. */
export function duplicateFd(fd: OwnedFd, what: string): OwnedFd {
  const result = syscall3("fcntl", fd.value, F_DUPFD_CLOEXEC, 0);
  if (result < 0) throw new SyscallError(`fcntl(F_DUPFD, ${what})`, -result, errnoName(-result), errnoMeaning(-result));
  return new OwnedFd(result, what);
}
