/** bpf(2) on links: every way in which a program is attached by a descriptor. */
import { AttachType, BpfCmd, ProbeMultiFlags } from "../../isa/index.ts";
import { bpf, bpfOrThrow } from "./bpf.ts";
import { LinkCreateAttr, RawTracepointAttr } from "./bpf-attr.ts";
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

/** Attaches to a tracepoint by name, or, without a name, a tracing program to what it was loaded for. Throws SyscallError. */
export function openRawTracepoint(progFd: number, name: string | undefined, what: string): OwnedFd {
  const attributes = callAttributes(RawTracepointAttr.SIZE).u32(RawTracepointAttr.PROG_FD, progFd);
  if (name !== undefined) attributes.string(RawTracepointAttr.NAME, name);
  return new OwnedFd(bpfOrThrow(BpfCmd.RAW_TRACEPOINT_OPEN, attributes, what), `link ${what}`);
}

/** Makes a link of an iterator program. Linux 5.8. */
export function linkIterator(progFd: number, what: string): OwnedFd {
  const attributes = callAttributes(A.SIZE_PLAIN).u32(A.PROG_FD, progFd).u32(A.ATTACH_TYPE, AttachType.TRACE_ITER);
  return new OwnedFd(bpfOrThrow(BpfCmd.LINK_CREATE, attributes, what), `link ${what}`);
}

/** Attaches to many kernel functions, each with its cookie when there are any. Linux 5.18 with FPROBE. */
export function linkKprobeMulti(
  progFd: number,
  funcs: readonly string[],
  isReturn: boolean,
  what: string,
  cookies?: readonly number[],
): OwnedFd {
  const attributes = callAttributes(A.SIZE_KPROBE_MULTI)
    .u32(A.PROG_FD, progFd)
    .u32(A.ATTACH_TYPE, AttachType.TRACE_KPROBE_MULTI)
    .u32(A.KPROBE_FLAGS, isReturn ? ProbeMultiFlags.RETURN : 0)
    .u32(A.KPROBE_COUNT, funcs.length)
    .strings(A.KPROBE_SYMS, funcs);
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
}

/** Attaches to many places of a binary. Linux 6.6. */
export function linkUprobeMulti(progFd: number, target: UprobeMulti, what: string): OwnedFd {
  const attributes = callAttributes(A.SIZE_UPROBE_MULTI)
    .u32(A.PROG_FD, progFd)
    .u32(A.ATTACH_TYPE, AttachType.TRACE_UPROBE_MULTI)
    .string(A.UPROBE_PATH, target.path)
    .u64s(A.UPROBE_OFFSETS, target.fileOffsets)
    .u32(A.UPROBE_COUNT, target.fileOffsets.length)
    .u32(A.UPROBE_FLAGS, target.isReturn ? ProbeMultiFlags.RETURN : 0)
    .u32(A.UPROBE_PID, target.pid ?? 0);
  if (target.refCtrOffsets !== undefined) attributes.u64s(A.UPROBE_REF_CTR_OFFSETS, target.refCtrOffsets);
  return new OwnedFd(bpfOrThrow(BpfCmd.LINK_CREATE, attributes, what), `link ${what}`);
}
