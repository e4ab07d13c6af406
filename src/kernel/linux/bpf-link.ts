/** bpf(2) on links: every way in which a program is attached by a descriptor, and without one. */
import { AttachFlags, AttachType, BpfCmd, ProbeMultiFlags } from "../../isa/index.ts";
import type { LinkAnchor } from "../../object/index.ts";
import { bpf, bpfOrThrow } from "./bpf.ts";
import {
  IterLinkInfo,
  LinkCreateAttr,
  LinkDetachAttr,
  LinkUpdateAttr,
  ProgAttachAttr,
  ProgQueryAttr,
  RawTracepointAttr,
} from "./bpf-attr.ts";
import { Errno } from "../errno.ts";
import { OwnedFd } from "./fd.ts";
import { callAttributes } from "./scratch.ts";

const A = LinkCreateAttr;

/** Attaches to a perf event, with what `bpf_get_attach_cookie` answers there. Linux 5.15; returns the descriptor, or the negative errno (EINVAL before). */
export function tryPerfEventLink(progFd: number, perfFd: number, cookie = 0): number {
  const attributes = callAttributes(A.SIZE_PLAIN)
    .u32(A.PROG_FD, progFd)
    .u32(A.TARGET_FD, perfFd)
    .u32(A.ATTACH_TYPE, AttachType.PERF_EVENT)
    .u64(A.PERF_COOKIE, cookie);
  return bpf(BpfCmd.LINK_CREATE, attributes);
}

/**
 * Attaches to a tracepoint by name, or, without a name, a tracing program to what it was loaded for. A cookie needs Linux 6.10. Throws
 * SyscallError.
 */
export function openRawTracepoint(progFd: number, name: string | undefined, what: string, cookie = 0): OwnedFd {
  const size = cookie === 0 ? RawTracepointAttr.SIZE : RawTracepointAttr.SIZE_WITH_COOKIE;
  const attributes = callAttributes(size).u32(RawTracepointAttr.PROG_FD, progFd);
  if (cookie !== 0) attributes.u64(RawTracepointAttr.COOKIE, cookie);
  if (name !== undefined) attributes.string(RawTracepointAttr.NAME, name);
  return new OwnedFd(bpfOrThrow(BpfCmd.RAW_TRACEPOINT_OPEN, attributes, what), `link ${what}`);
}

/** Attaches a tracing program to what it was loaded for, with a cookie. Linux 5.19, of `tp_btf` 6.10. Returns the descriptor, or the negative errno. */
export function tryTracingLink(progFd: number, attachType: number, cookie: number): number {
  const attributes = callAttributes(A.SIZE_PLAIN)
    .u32(A.PROG_FD, progFd)
    .u32(A.ATTACH_TYPE, attachType)
    .u64(A.TRACING_COOKIE, cookie);
  return bpf(BpfCmd.LINK_CREATE, attributes);
}

/** Replaces a function, by its id in the BTF of the program that has it. Linux 5.10. Returns the descriptor, or the negative errno. */
export function tryReplacementLink(progFd: number, targetFd: number, targetBtfId: number): number {
  const attributes = callAttributes(A.SIZE_PLAIN)
    .u32(A.PROG_FD, progFd)
    .u32(A.TARGET_FD, targetFd)
    .u32(A.TARGET_BTF_ID, targetBtfId);
  return bpf(BpfCmd.LINK_CREATE, attributes);
}

/** What an iterator walks; absent members leave it everything. */
export interface IteratorTarget {
  readonly mapFd?: number;
  readonly tid?: number;
  readonly pid?: number;
  readonly cgroupFd?: number;
  /** `CgroupIterOrder.*` */
  readonly order?: number;
}

/** Makes a link of an iterator program. Linux 5.8; tasks and cgroups 6.1. */
export function linkIterator(progFd: number, what: string, target: IteratorTarget = {}): OwnedFd {
  const attributes = callAttributes(A.SIZE_PLAIN).u32(A.PROG_FD, progFd).u32(A.ATTACH_TYPE, AttachType.TRACE_ITER);
  if (Object.keys(target).length > 0) {
    const { view } = attributes.u32(A.ITER_INFO_LEN, IterLinkInfo.SIZE).output(A.ITER_INFO, IterLinkInfo.SIZE);
    if (target.mapFd !== undefined) view.setUint32(IterLinkInfo.MAP_FD, target.mapFd, true);
    if (target.order !== undefined) view.setUint32(IterLinkInfo.CGROUP_ORDER, target.order, true);
    if (target.cgroupFd !== undefined) view.setUint32(IterLinkInfo.CGROUP_FD, target.cgroupFd, true);
    if (target.tid !== undefined) view.setUint32(IterLinkInfo.TASK_TID, target.tid, true);
    if (target.pid !== undefined) view.setUint32(IterLinkInfo.TASK_PID, target.pid, true);
  }
  return new OwnedFd(bpfOrThrow(BpfCmd.LINK_CREATE, attributes, what), `link ${what}`);
}

/** Attaches a tracing program to many functions by their ids in the kernel's BTF, each with its cookie when there are any. Linux 7.2. */
export function linkTracingMulti(
  progFd: number,
  target: { readonly attachType: number; readonly btfIds: readonly number[]; readonly cookies?: readonly number[] },
  what: string,
): OwnedFd {
  const attributes = callAttributes(A.SIZE_TRACING_MULTI)
    .u32(A.PROG_FD, progFd)
    .u32(A.ATTACH_TYPE, target.attachType)
    .u32s(A.TRACING_IDS, target.btfIds)
    .u32(A.TRACING_COUNT, target.btfIds.length);
  if (target.cookies !== undefined) attributes.u64s(A.TRACING_COOKIES, target.cookies);
  return new OwnedFd(bpfOrThrow(BpfCmd.LINK_CREATE, attributes, what), `link ${what}`);
}

/** Many functions of the kernel, by names or by addresses. */
export interface KprobeMulti {
  readonly funcs: readonly string[];
  /** Instead of `funcs`. */
  readonly addresses?: readonly bigint[];
  readonly isReturn: boolean;
  readonly cookies?: readonly number[];
  /** `AttachType.TRACE_KPROBE_MULTI`, or of sessions. */
  readonly attachType: number;
}

/** Attaches to many kernel functions, each with its cookie when there are any. Linux 5.18 with FPROBE; sessions 6.10. */
export function linkKprobeMulti(progFd: number, target: KprobeMulti, what: string): OwnedFd {
  const { funcs, addresses, cookies } = target;
  const attributes = callAttributes(A.SIZE_KPROBE_MULTI)
    .u32(A.PROG_FD, progFd)
    .u32(A.ATTACH_TYPE, target.attachType)
    .u32(A.KPROBE_FLAGS, target.isReturn ? ProbeMultiFlags.RETURN : 0)
    .u32(A.KPROBE_COUNT, (addresses ?? funcs).length);
  if (addresses === undefined) attributes.strings(A.KPROBE_SYMS, funcs);
  else attributes.u64s(A.KPROBE_ADDRS, addresses);
  if (cookies !== undefined) attributes.u64s(A.KPROBE_COOKIES, cookies);
  return new OwnedFd(bpfOrThrow(BpfCmd.LINK_CREATE, attributes, what), `link ${what}`);
}

/** Many places of one binary. */
export interface UprobeMulti {
  readonly path: string;
  /** File offsets in bytes. */
  readonly fileOffsets: readonly number[];
  /** File offsets of USDT semaphores, 0 for none; as long as `fileOffsets`. */
  readonly refCtrOffsets?: readonly number[];
  readonly isReturn: boolean;
  /** Every process when absent. */
  readonly pid?: number;
  /** As long as `fileOffsets`. */
  readonly cookies?: readonly number[];
  /** `AttachType.TRACE_UPROBE_MULTI`, or of sessions. */
  readonly attachType: number;
}

/** Attaches to many places of a binary. Linux 6.6; sessions 6.13. */
export function linkUprobeMulti(progFd: number, target: UprobeMulti, what: string): OwnedFd {
  const attributes = callAttributes(A.SIZE_UPROBE_MULTI)
    .u32(A.PROG_FD, progFd)
    .u32(A.ATTACH_TYPE, target.attachType)
    .string(A.UPROBE_PATH, target.path)
    .u64s(A.UPROBE_OFFSETS, target.fileOffsets)
    .u32(A.UPROBE_COUNT, target.fileOffsets.length)
    .u32(A.UPROBE_FLAGS, target.isReturn ? ProbeMultiFlags.RETURN : 0)
    .u32(A.UPROBE_PID, target.pid ?? 0);
  if (target.refCtrOffsets !== undefined) attributes.u64s(A.UPROBE_REF_CTR_OFFSETS, target.refCtrOffsets);
  if (target.cookies !== undefined) attributes.u64s(A.UPROBE_COOKIES, target.cookies);
  return new OwnedFd(bpfOrThrow(BpfCmd.LINK_CREATE, attributes, what), `link ${what}`);
}

/** A link to something that has a descriptor or an index: a cgroup, a namespace, a map, a network interface. */
export interface TargetLink {
  readonly progFd: number;
  /** Descriptor, or index of a network interface. */
  readonly target: number;
  /** `AttachType.*` */
  readonly attachType: number;
  readonly flags?: number;
  readonly anchor?: LinkAnchor | undefined;
}

/** Flags and id that say where among others a program runs. */
export function anchorAttributes(anchor: LinkAnchor | undefined): {
  readonly flags: number;
  readonly relative: number;
} {
  if (anchor === undefined) return { flags: 0, relative: 0 };
  const { BEFORE, AFTER, ID, LINK } = AttachFlags;
  // Nothing named: before all, behind all.
  if (!("programId" in anchor) && !("linkId" in anchor))
    return { flags: anchor.place === "head" ? BEFORE : AFTER, relative: 0 };
  const side = anchor.place === "before" ? BEFORE : AFTER;
  if ("linkId" in anchor) return { flags: side | ID | LINK, relative: anchor.linkId };
  return { flags: side | ID, relative: anchor.programId };
}

/** Makes a link. Returns its descriptor, or the negative errno. */
export function tryTargetLink(link: TargetLink): number {
  const { flags, relative } = anchorAttributes(link.anchor);
  const attributes = callAttributes(A.SIZE_PLAIN)
    .u32(A.PROG_FD, link.progFd)
    .u32(A.TARGET_FD, link.target)
    .u32(A.ATTACH_TYPE, link.attachType)
    .u32(A.FLAGS, (link.flags ?? 0) | flags)
    .u32(A.RELATIVE, relative);
  return bpf(BpfCmd.LINK_CREATE, attributes);
}

/** A hook of the packet filter. */
export interface NetfilterHook {
  /** `NFPROTO_*` */
  readonly family: number;
  /** `NF_INET_*` */
  readonly hook: number;
  readonly priority: number;
  /** `NetfilterFlags.*` */
  readonly flags: number;
}

/** Attaches to the packet filter. Linux 6.4. Returns the descriptor, or the negative errno. */
export function tryNetfilterLink(progFd: number, hook: NetfilterHook): number {
  const attributes = callAttributes(A.SIZE_PLAIN)
    .u32(A.PROG_FD, progFd)
    .u32(A.ATTACH_TYPE, AttachType.NETFILTER)
    .u32(A.NETFILTER_PF, hook.family)
    .u32(A.NETFILTER_HOOK, hook.hook)
    .u32(A.NETFILTER_PRIORITY, hook.priority)
    .u32(A.NETFILTER_FLAGS, hook.flags);
  return bpf(BpfCmd.LINK_CREATE, attributes);
}

/** Registers a struct_ops map. Linux 6.4; the map is made with `BPF_F_LINK`. Returns the descriptor, or the negative errno. */
export function tryStructOpsLink(mapFd: number): number {
  const attributes = callAttributes(A.SIZE_PLAIN).u32(A.PROG_FD, mapFd).u32(A.ATTACH_TYPE, AttachType.STRUCT_OPS);
  return bpf(BpfCmd.LINK_CREATE, attributes);
}

/**
 * Puts another program, or another struct_ops map, in the place of a link's. With `oldFd` only when that one is there (EPERM otherwise).
 * Linux 5.7. Throws SyscallError.
 */
export function updateLink(linkFd: number, newFd: number, what: string, oldFd?: number): void {
  const attributes = callAttributes(LinkUpdateAttr.SIZE)
    .u32(LinkUpdateAttr.LINK_FD, linkFd)
    .u32(LinkUpdateAttr.NEW_FD, newFd);
  if (oldFd !== undefined) attributes.u32(LinkUpdateAttr.FLAGS, AttachFlags.REPLACE).u32(LinkUpdateAttr.OLD_FD, oldFd);
  bpfOrThrow(BpfCmd.LINK_UPDATE, attributes, what);
}

/** Takes a link's program off its place while the link stays open. Linux 5.9; not all kinds can (EOPNOTSUPP). Returns 0 or the negative errno. */
export function tryDetachLink(linkFd: number): number {
  return bpf(BpfCmd.LINK_DETACH, callAttributes(LinkDetachAttr.SIZE).u32(LinkDetachAttr.LINK_FD, linkFd));
}

/** An attachment without a link: it stays when the process ends, until it is detached or its target is gone. */
export interface PlainAttachment {
  readonly target: number;
  readonly progFd: number;
  /** `AttachType.*` */
  readonly attachType: number;
  /** `AttachFlags.*` */
  readonly flags?: number;
}

/** Attaches without a link. Returns 0 or the negative errno. */
export function tryProgAttach(attachment: PlainAttachment): number {
  const P = ProgAttachAttr;
  const attributes = callAttributes(P.SIZE)
    .u32(P.TARGET_FD, attachment.target)
    .u32(P.PROG_FD, attachment.progFd)
    .u32(P.ATTACH_TYPE, attachment.attachType)
    .u32(P.FLAGS, attachment.flags ?? 0);
  return bpf(BpfCmd.PROG_ATTACH, attributes);
}

/** Undoes {@link tryProgAttach}. Returns 0 or the negative errno. */
export function tryProgDetach(attachment: PlainAttachment): number {
  const P = ProgAttachAttr;
  const attributes = callAttributes(P.SIZE)
    .u32(P.TARGET_FD, attachment.target)
    .u32(P.PROG_FD, attachment.progFd)
    .u32(P.ATTACH_TYPE, attachment.attachType);
  return bpf(BpfCmd.PROG_DETACH, attributes);
}

const QUERIED_PROGRAMS = 64;

/** Programs at a hook, and its `AttachFlags`. */
export interface QueriedPrograms {
  readonly flags: number;
  /** Ids in the order in which they run; the first 64. */
  readonly ids: readonly number[];
}

/** Programs attached to a cgroup, a namespace, an interface, a sockmap or a receiver; undefined when the kernel does not tell. */
export function queryPrograms(target: number, attachType: number, queryFlags = 0): QueriedPrograms | undefined {
  const Q = ProgQueryAttr;
  const attributes = callAttributes(Q.SIZE)
    .u32(Q.TARGET, target)
    .u32(Q.ATTACH_TYPE, attachType)
    .u32(Q.QUERY_FLAGS, queryFlags)
    .u32(Q.PROG_COUNT, QUERIED_PROGRAMS);
  const ids = attributes.output(Q.PROG_IDS, QUERIED_PROGRAMS * 4);
  const result = bpf(BpfCmd.PROG_QUERY, attributes);
  if (result < 0 && result !== -Errno.ENOSPC) return undefined;
  const count = Math.min(attributes.view.getUint32(Q.PROG_COUNT, true), QUERIED_PROGRAMS);
  return {
    flags: attributes.view.getUint32(Q.ATTACH_FLAGS, true),
    ids: Array.from({ length: count }, (_, i) => ids.view.getUint32(i * 4, true)),
  };
}
