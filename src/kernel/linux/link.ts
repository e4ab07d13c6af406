/** Attachments to the running kernel. */
import { SkepError, UnsupportedError } from "../../base/index.ts";
import type { AttachSpec } from "../../object/index.ts";
import type { Link } from "../kernel.ts";
import { tryDetachLink, updateLink } from "./bpf-link.ts";
import { syscallFailure } from "./diagnose.ts";
import { Errno } from "../errno.ts";
import type { OwnedFd } from "./fd.ts";
import { IteratorRun } from "./iterator.ts";
import { type LinkInfo, linkInfo } from "./link-info.ts";
import type { LinuxMap } from "./maps.ts";
import type { LinuxProgram } from "./programs.ts";
import { pin } from "./pins.ts";
import { closeOnThreads } from "./sys.ts";

/** The descriptors of an attachment. */
export interface LinkFds {
  /** BPF links, or what else holds the attachment where the kernel has no links for it: while one is open, the program runs. At least one. */
  readonly holders: readonly OwnedFd[];
  /** Perf events below the links. */
  readonly events: readonly OwnedFd[];
  /** Why `holders` are no BPF links, such as `a perf event before Linux 5.15`; absent when they are. */
  readonly noLink?: string;
  /** Takes the program off where no descriptor does; runs before the descriptors are closed. */
  readonly takeOff?: () => void;
}

/** What keeps one attachment: descriptors, which the kernel closes with the process, and what must be undone besides. */
export class LinuxLink implements Link {
  readonly spec: AttachSpec;
  private readonly fds: LinkFds;
  private readonly undo: (() => void) | undefined;

  /** `undo` runs after all descriptors are closed. */
  constructor(spec: AttachSpec, fds: LinkFds, undo?: () => void) {
    this.spec = spec;
    this.fds = fds;
    this.undo = undo;
  }

  /** First descriptor that holds the program; a BPF link where the kernel has one for this kind. */
  get fd(): OwnedFd {
    return this.fds.holders[0]!;
  }

  get isClosed(): boolean {
    return this.fd.isClosed;
  }

  /** Why this attachment is no BPF link, which could be updated and pinned; undefined when it is one. */
  get noLink(): string | undefined {
    return this.fds.noLink;
  }

  /** What the kernel tells of the links, one for each of {@link LinkFds.holders}; empty when they are no links. */
  info(): LinkInfo[] {
    if (this.isClosed) throw new SkepError("closed", `link ${this.spec.kind}: used after it was closed`);
    return this.fds.noLink === undefined ? this.fds.holders.map((fd) => linkInfo(fd.value)) : [];
  }

  /**
   * Puts another program in the place of the one that runs, without a moment between them (`BPF_LINK_UPDATE`, Linux 5.7). It must be of
   * the same type. `expected`: only when that program is the one that runs there. Struct_ops links take a map. Throws UnsupportedError
   * for places whose program the kernel cannot exchange, SyscallError else.
   */
  update(to: LinuxProgram | LinuxMap, expected?: LinuxProgram | LinuxMap): void {
    const what = `${this.spec.kind}, ${to.spec.name}`;
    this.requireLink("update");
    try {
      for (const fd of this.fds.holders) updateLink(fd.value, to.fd.value, what, expected?.fd.value);
    } catch (error) {
      if ((error as { errno?: number }).errno !== Errno.EINVAL || canUpdate.has(this.spec.kind)) throw error;
      const why = "the kernel cannot exchange the program of this kind of link: attach the new one, then close the old";
      throw new UnsupportedError(`update of ${this.spec.kind}`, why, { cause: error });
    }
  }

  /**
   * Takes the program off its place; the link stays open, and what is pinned stays, without effect (`BPF_LINK_DETACH`, Linux 5.9). Throws
   * UnsupportedError for kinds of links that only end by being closed.
   */
  detach(): void {
    this.requireLink("detach");
    for (const fd of this.fds.holders) {
      const result = tryDetachLink(fd.value);
      if (result >= 0) continue;
      if (result === -Errno.EOPNOTSUPP || result === -Errno.ENOTSUPP) {
        const why = "the kernel takes this kind of link off only when it is closed, and unpinned where it is pinned";
        throw new UnsupportedError(`detach of ${this.spec.kind}`, why);
      }
      throw syscallFailure({ call: `bpf(BPF_LINK_DETACH, ${this.spec.kind})`, operation: "other", errno: -result });
    }
  }

  /**
   * Keeps the attachment beyond this process under a path of a bpffs: closing this link then leaves it attached. Throws UnsupportedError for
   * attachments that are no BPF links or that are several, SkepError when something is pinned there.
   */
  pin(path: string): void {
    this.requireLink("pin");
    if (this.fds.holders.length > 1) {
      const why = `it is ${this.fds.holders.length} links, and a path names one: attach to one place at a time`;
      throw new UnsupportedError(`pin of ${this.spec.kind}`, why);
    }
    pin(this.fd, path);
  }

  private requireLink(what: string): void {
    const { noLink } = this.fds;
    if (noLink !== undefined)
      throw new UnsupportedError(`${what} of ${this.spec.kind}`, `there is no link: it is held by ${noLink}`);
  }

  /** Starts a run of an iterator. Whoever holds it closes it. Throws SyscallError for other kinds of links. */
  iterate(): IteratorRun {
    return new IteratorRun(this.fd.value);
  }

  /** Runs an iterator program over everything and returns what it wrote. Throws SyscallError for other kinds of links. */
  readIterator(): Uint8Array {
    using run = this.iterate();
    return run.bytes();
  }

  close(): void {
    if (this.fd.isClosed) return;
    try {
      this.fds.takeOff?.();
    } finally {
      for (const fd of this.fds.holders) fd.close();
      this.closeRest();
    }
  }

  private closeRest(): void {
    for (const fd of this.fds.events) fd.close();
    this.undo?.();
  }

  /** See `Kernel.detach`. Links that are closed already are passed over. */
  static async detachAll(links: readonly LinuxLink[]): Promise<void> {
    const open = links.filter((link) => !link.fd.isClosed);
    for (const link of open) link.fds.takeOff?.();
    await closeOnThreads(open.flatMap((link) => link.fds.holders.map((fd) => fd.release())));
    // What has to be undone must find its events closed.
    for (const link of open) if (link.undo !== undefined) link.closeRest();
    const rest = open.filter((link) => link.undo === undefined);
    void closeOnThreads(rest.flatMap((link) => link.fds.events.map((fd) => fd.release())));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Kinds of which EINVAL is not the kernel's way to say that it has no update. */
const canUpdate: ReadonlySet<AttachSpec["kind"]> = new Set([
  "xdp",
  "tcx",
  "netkit",
  "cgroup",
  "netns",
  "sockmap",
  "iterator",
  "struct-ops",
  "pinned",
]);
