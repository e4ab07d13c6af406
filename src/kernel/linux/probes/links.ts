/**
 * Link types: a link is asked for that cannot be, at a descriptor, device or address that does not exist. A kernel that knows the type
 * complains of that; one that does not says EINVAL. Nothing is ever attached to something that others use.
 */
import { BtfKind } from "../../../btf/index.ts";
import { AttachType, BpfCmd, LINK_TYPE_SINCE, LinkType, MapType, ProgType } from "../../../isa/index.ts";
import { bpf } from "../bpf.ts";
import { LinkCreateAttr as A, RawTracepointAttr } from "../bpf-attr.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { hasKernelBtf, kernelBtf } from "../kernel-btf.ts";
import { type Attributes, callAttributes } from "../scratch.ts";
import { type ProbeAnswer, type Requirement, answerOf, missingEnumerator, no, unknown, yes } from "./answer.ts";
import { type Trial, withTrial } from "./load.ts";
import { openMapTrial } from "./map-types.ts";
import { constantOf, linkTypeName } from "./names.ts";
import { probeProgramType } from "./program-types.ts";
import { returning, waysOf } from "./variants.ts";

/** No descriptor and no interface has this number. */
const NONE = 0xffff_ffff;
/** `lo`, which every network namespace has. */
const LOOPBACK = 1;
/** Native XDP, which `lo` cannot do. */
const XDP_FLAGS_DRV_MODE = 4;
/** No protocol family. */
const NFPROTO_NONE = 255;

/** A link that cannot be. */
interface LinkTrial {
  /** For evidence: `to no cgroup`. */
  readonly what: string;
  /** The program, loadable by itself. */
  readonly program: Omit<Trial, "code">;
  readonly attachType: number;
  readonly size?: number;
  fill(attributes: Attributes): Attributes;
  /** What a kernel that knows the type complains of. */
  readonly expected: readonly number[];
}

const noDescriptor = (attributes: Attributes): Attributes => attributes.u32(A.TARGET_FD, NONE);

function attached(type: number, attachType: number): Omit<Trial, "code"> {
  return { type, expectedAttachType: attachType };
}

const multiOffsets = (attributes: Attributes): Attributes =>
  attributes.string(A.UPROBE_PATH, "/").u64s(A.UPROBE_OFFSETS, [1]).u32(A.UPROBE_COUNT, 1);
const multiAddresses = (attributes: Attributes): Attributes => attributes.u32(A.KPROBE_COUNT, 1).u64(A.KPROBE_ADDRS, 1);

/** Links that can be tried so: types of links, and sessions, which are links of the type that they are a kind of. */
export type LinkTrialName =
  | "CGROUP"
  | "NETNS"
  | "XDP"
  | "PERF_EVENT"
  | "KPROBE_MULTI"
  | "KPROBE_SESSION"
  | "NETFILTER"
  | "TCX"
  | "UPROBE_MULTI"
  | "UPROBE_SESSION"
  | "NETKIT"
  | "SOCKMAP";

const trials: Readonly<Record<LinkTrialName, LinkTrial>> = {
  CGROUP: {
    what: "to no cgroup",
    program: attached(ProgType.CGROUP_SKB, AttachType.CGROUP_INET_INGRESS),
    attachType: AttachType.CGROUP_INET_INGRESS,
    fill: noDescriptor,
    expected: [Errno.EBADF],
  },
  NETNS: {
    what: "to no network namespace",
    program: { type: ProgType.FLOW_DISSECTOR },
    attachType: AttachType.FLOW_DISSECTOR,
    fill: noDescriptor,
    expected: [Errno.EBADF],
  },
  XDP: {
    what: "in native mode to the loopback device",
    program: attached(ProgType.XDP, AttachType.XDP),
    attachType: AttachType.XDP,
    fill: (attributes) => attributes.u32(A.TARGET_FD, LOOPBACK).u32(A.FLAGS, XDP_FLAGS_DRV_MODE),
    expected: [Errno.EOPNOTSUPP],
  },
  PERF_EVENT: {
    what: "to no perf event",
    program: { type: ProgType.TRACEPOINT },
    attachType: AttachType.PERF_EVENT,
    fill: noDescriptor,
    expected: [Errno.EBADF],
  },
  // Addresses that cannot be read: a kernel with FPROBE says EFAULT, one without EOPNOTSUPP, an older one EINVAL.
  KPROBE_MULTI: {
    what: "to functions at a bad address",
    program: attached(ProgType.KPROBE, AttachType.TRACE_KPROBE_MULTI),
    attachType: AttachType.TRACE_KPROBE_MULTI,
    size: A.SIZE_KPROBE_MULTI,
    fill: multiAddresses,
    expected: [Errno.EFAULT],
  },
  KPROBE_SESSION: {
    what: "to functions at a bad address, as a session",
    program: attached(ProgType.KPROBE, AttachType.TRACE_KPROBE_SESSION),
    attachType: AttachType.TRACE_KPROBE_SESSION,
    size: A.SIZE_KPROBE_MULTI,
    fill: multiAddresses,
    expected: [Errno.EFAULT],
  },
  NETFILTER: {
    what: "to no protocol family",
    program: attached(ProgType.NETFILTER, AttachType.NETFILTER),
    attachType: AttachType.NETFILTER,
    fill: (attributes) => attributes.u32(A.NETFILTER_PF, NFPROTO_NONE),
    expected: [Errno.EAFNOSUPPORT],
  },
  TCX: {
    what: "to no device",
    program: { type: ProgType.SCHED_CLS },
    attachType: AttachType.TCX_INGRESS,
    fill: noDescriptor,
    expected: [Errno.ENODEV],
  },
  // A directory is no binary.
  UPROBE_MULTI: {
    what: "to places in a directory",
    program: attached(ProgType.KPROBE, AttachType.TRACE_UPROBE_MULTI),
    attachType: AttachType.TRACE_UPROBE_MULTI,
    size: A.SIZE_UPROBE_MULTI,
    fill: multiOffsets,
    expected: [Errno.EBADF],
  },
  UPROBE_SESSION: {
    what: "to places in a directory, as a session",
    program: attached(ProgType.KPROBE, AttachType.TRACE_UPROBE_SESSION),
    attachType: AttachType.TRACE_UPROBE_SESSION,
    size: A.SIZE_UPROBE_MULTI,
    fill: multiOffsets,
    expected: [Errno.EBADF],
  },
  NETKIT: {
    what: "to no device",
    program: { type: ProgType.SCHED_CLS },
    attachType: AttachType.NETKIT_PRIMARY,
    fill: noDescriptor,
    expected: [Errno.ENODEV],
  },
  SOCKMAP: {
    what: "to no map of sockets",
    program: { type: ProgType.SK_MSG },
    attachType: AttachType.SK_MSG_VERDICT,
    fill: noDescriptor,
    expected: [Errno.EBADF],
  },
};

/** Asks for a link that cannot be. */
export function tryLink(name: LinkTrialName, requirement: Requirement): ProbeAnswer {
  const { what, program, attachType, fill, expected, size = A.SIZE_PLAIN } = trials[name];
  let made = false;
  const errno = withTrial({ ...program, code: returning(0) }, (fd) => {
    made = true;
    const attributes = callAttributes(size).u32(A.PROG_FD, fd).u32(A.ATTACH_TYPE, attachType);
    const result = bpf(BpfCmd.LINK_CREATE, fill(attributes));
    if (result >= 0) new OwnedFd(result, "probing link").close();
    return Math.max(0, -result);
  });
  if (!made) return answerOf(errno, "loading a program for the link", requirement);
  const asked = `a link ${what}`;
  const answer = answerOf(errno, asked, requirement);
  return expected.includes(errno) ? yes(`${answer.evidence}, so the kernel knows such links`) : answer;
}

function openRawTracepoint(type: number, trial: Omit<Trial, "code">, name: string | undefined): number {
  return withTrial({ ...trial, type, code: returning(0) }, (fd) => {
    const attributes = callAttributes(RawTracepointAttr.SIZE).u32(RawTracepointAttr.PROG_FD, fd);
    if (name !== undefined) attributes.string(RawTracepointAttr.NAME, name);
    const result = bpf(BpfCmd.RAW_TRACEPOINT_OPEN, attributes);
    if (result >= 0) new OwnedFd(result, "probing link").close();
    return Math.max(0, -result);
  });
}

function rawTracepointLink(requirement: Requirement): ProbeAnswer {
  const errno = openRawTracepoint(ProgType.RAW_TRACEPOINT, { type: ProgType.RAW_TRACEPOINT }, "skep_no_tracepoint");
  const answer = answerOf(errno, "a raw tracepoint that does not exist", requirement);
  if (errno !== Errno.ENOENT) return answer;
  // Before 5.8 the descriptor was there, and no link behind it.
  if (!hasKernelBtf())
    return unknown(
      answer.evidence,
      "only the kernel's BTF, which it does not give, tells links from the older descriptors",
    );
  return yes(answer.evidence);
}

/** Attaching to the function that the kernel keeps for tests, which does nothing. */
function tracingLink(requirement: Requirement): ProbeAnswer {
  const target = hasKernelBtf() ? kernelBtf().findByName("bpf_fentry_test1", BtfKind.FUNC) : undefined;
  if (target === undefined) return no("the kernel's BTF has no function bpf_fentry_test1 to try it at", requirement);
  const trial = { type: ProgType.TRACING, expectedAttachType: AttachType.TRACE_FENTRY, attachBtfId: target };
  return answerOf(
    openRawTracepoint(ProgType.TRACING, trial, undefined),
    "attaching to the entry of bpf_fentry_test1",
    requirement,
  );
}

function iteratorLink(requirement: Requirement): ProbeAnswer {
  const way = waysOf(ProgType.TRACING).ready.find(({ label }) => label === "iter/task");
  if (way === undefined) return answerOf(Errno.EINVAL, "loading an iterator of tasks", requirement);
  const errno = withTrial({ ...way.trial, code: returning(way.returns) }, (fd) => {
    const result = bpf(
      BpfCmd.LINK_CREATE,
      callAttributes(A.SIZE_PLAIN).u32(A.PROG_FD, fd).u32(A.ATTACH_TYPE, AttachType.TRACE_ITER),
    );
    if (result >= 0) new OwnedFd(result, "probing link").close();
    return Math.max(0, -result);
  });
  return answerOf(errno, "a link of an iterator over tasks", requirement);
}

/** The kernel answers EINVAL both for maps it cannot register and for attach types that it does not know, so BTF decides. */
function structOpsLink(requirement: Requirement): ProbeAnswer {
  const types = probeProgramType(ProgType.STRUCT_OPS);
  if (types.answer !== "yes") return types;
  return (
    missingEnumerator("BPF_STRUCT_OPS", requirement) ??
    yes("BPF_STRUCT_OPS is in the kernel's BTF, and programs of the type load")
  );
}

/** Before 6.10 sk_msg programs had no links, and the kernel looks at the map first on later ones only. */
function sockmapLink(requirement: Requirement): ProbeAnswer {
  const map = openMapTrial({ type: MapType.SOCKMAP });
  if (typeof map === "number") return answerOf(map, "creating a map of sockets", requirement);
  map.close();
  return tryLink("SOCKMAP", requirement);
}

const special: ReadonlyMap<number, (requirement: Requirement) => ProbeAnswer> = new Map([
  [LinkType.RAW_TRACEPOINT, rawTracepointLink],
  [LinkType.TRACING, tracingLink],
  [LinkType.ITER, iteratorLink],
  [LinkType.STRUCT_OPS, structOpsLink],
  [LinkType.SOCKMAP, sockmapLink],
]);

const options: Readonly<Record<string, readonly string[]>> = {
  CGROUP: ["CONFIG_CGROUP_BPF"],
  KPROBE_MULTI: ["CONFIG_FPROBE"],
  UPROBE_MULTI: ["CONFIG_UPROBES"],
  NETFILTER: ["CONFIG_NETFILTER_BPF_LINK"],
  TCX: ["CONFIG_NET_XGRESS"],
  NETKIT: ["CONFIG_NETKIT"],
  TRACING: ["CONFIG_DEBUG_INFO_BTF"],
};

/** What links of a type need. */
export function linkRequirement(constant: string | undefined): Requirement {
  return constant === undefined ? {} : { since: LINK_TYPE_SINCE[constant], options: options[constant] ?? [] };
}

/** Does the kernel make links of this type (`LinkType.*`)? */
export function probeLinkType(linkType: number): ProbeAnswer {
  const constant = constantOf(LinkType, linkType);
  const requirement = linkRequirement(constant);
  if (constant !== undefined) {
    const absent = missingEnumerator(`BPF_LINK_TYPE_${constant}`, requirement);
    if (absent !== undefined) return absent;
  }
  const own = special.get(linkType);
  if (own !== undefined) return own(requirement);
  if (constant !== undefined && Object.hasOwn(trials, constant)) return tryLink(constant as LinkTrialName, requirement);
  return unknown(`link type ${linkTypeName(linkType)}`, "no probe for a link type of this number");
}
