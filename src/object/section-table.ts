/** Names of sections by which loaders tell what a program is: what C programs write in `SEC()`. One table for reader, writer and manual. */
import { AttachType, ProgType } from "../isa/index.ts";

/** What follows a section's name behind a slash. */
export type SectionTarget =
  /** A function of the kernel, with an offset: `do_unlinkat+0x10`. */
  | "kprobe"
  /** Functions of the kernel, with `*` and `?`. */
  | "kprobe-pattern"
  /** A system call: `openat`. */
  | "ksyscall"
  /** A function of a binary: `/bin/sh:main+4`. */
  | "uprobe"
  /** Functions of a binary, with `*` and `?`. */
  | "uprobe-pattern"
  /** A static probe: `/bin/sh:provider:name`. */
  | "usdt"
  /** `sched/sched_switch`. */
  | "tracepoint"
  /** `sched_switch`. */
  | "raw-tracepoint"
  /** A type of the kernel, which the program is loaded with: a function, `module:function`, a tracepoint, an iterator. */
  | "kernel-type"
  /** Functions of the kernel's types, with `*` and `?`. */
  | "function-pattern"
  /** The member of the struct, by libbpf never read. */
  | "struct-ops";

/** One name of a section. */
export interface SectionPattern {
  /** Without what follows a slash. */
  readonly name: string;
  /** `ProgType.*` */
  readonly type: number;
  /** `AttachType.*`, 0 for none. */
  readonly attachType: number;
  /** What may follow; absent: nothing may. */
  readonly target?: SectionTarget;
  /** Runs when the function returns. */
  readonly isReturn?: boolean;
  readonly sleepable?: boolean;
  /** XDP: takes packets in several buffers. */
  readonly frags?: boolean;
  /** Kernels take the program without its attach type too, and old ones only so. */
  readonly attachTypeOptional?: boolean;
  /** Not what the writer chooses: another name means the same. */
  readonly isAlias?: boolean;
  /** First minor version of libbpf 1 that knows it; absent: all. */
  readonly since?: number;
}

/** Attach types of Linux 7, behind those of {@link AttachType}. */
export const LaterAttachType = {
  TRACE_FSESSION: 58,
  TRACE_FENTRY_MULTI: 59,
  TRACE_FEXIT_MULTI: 60,
  TRACE_FSESSION_MULTI: 61,
} as const;

const P = ProgType;
const A = AttachType;
const L = LaterAttachType;

type Options = Omit<SectionPattern, "name" | "type" | "attachType">;

function sec(name: string, type: number, attachType: number = 0, options: Options = {}): SectionPattern {
  return { name, type, attachType, ...options };
}

/** A name, and the same for programs that may sleep; `sleepableSince`: the libbpf that knows the latter. */
function maySleep(
  name: string,
  type: number,
  attachType: number,
  options: Options,
  sleepableSince?: number,
): SectionPattern[] {
  const since = sleepableSince === undefined ? {} : { since: sleepableSince };
  return [
    sec(name, type, attachType, options),
    sec(`${name}.s`, type, attachType, { ...options, ...since, sleepable: true }),
  ];
}

const optional: Options = { attachTypeOptional: true };
const kernelType: Options = { target: "kernel-type" };

/** All names, in libbpf's order of search; nothing depends on it, as no section fits two of them. */
export const sectionPatterns: readonly SectionPattern[] = [
  sec("socket", P.SOCKET_FILTER),
  sec("sk_reuseport/migrate", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT_OR_MIGRATE),
  sec("sk_reuseport", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT),
  sec("kprobe", P.KPROBE, 0, { target: "kprobe" }),
  sec("kretprobe", P.KPROBE, 0, { target: "kprobe", isReturn: true, isAlias: true }),
  // Of kprobes there is no sleepable name, and the kernel does not tell kprobes from uprobes.
  ...maySleep("uprobe", P.KPROBE, 0, { target: "uprobe", isAlias: true }),
  ...maySleep("uretprobe", P.KPROBE, 0, { target: "uprobe", isReturn: true, isAlias: true }),
  sec("kprobe.multi", P.KPROBE, A.TRACE_KPROBE_MULTI, { target: "kprobe-pattern" }),
  sec("kretprobe.multi", P.KPROBE, A.TRACE_KPROBE_MULTI, { target: "kprobe-pattern", isReturn: true, isAlias: true }),
  sec("kprobe.session", P.KPROBE, A.TRACE_KPROBE_SESSION, { target: "kprobe-pattern", since: 5 }),
  ...maySleep("uprobe.multi", P.KPROBE, A.TRACE_UPROBE_MULTI, { target: "uprobe-pattern", since: 3 }),
  ...maySleep("uretprobe.multi", P.KPROBE, A.TRACE_UPROBE_MULTI, {
    target: "uprobe-pattern",
    isReturn: true,
    isAlias: true,
    since: 3,
  }),
  ...maySleep("uprobe.session", P.KPROBE, A.TRACE_UPROBE_SESSION, { target: "uprobe-pattern", since: 6 }),
  sec("ksyscall", P.KPROBE, 0, { target: "ksyscall", isAlias: true }),
  sec("kretsyscall", P.KPROBE, 0, { target: "ksyscall", isReturn: true, isAlias: true }),
  ...maySleep("usdt", P.KPROBE, 0, { target: "usdt", isAlias: true }, 3),
  sec("tc/ingress", P.SCHED_CLS, A.TCX_INGRESS, { isAlias: true, since: 3 }),
  sec("tc/egress", P.SCHED_CLS, A.TCX_EGRESS, { isAlias: true, since: 3 }),
  sec("tcx/ingress", P.SCHED_CLS, A.TCX_INGRESS, { since: 3 }),
  sec("tcx/egress", P.SCHED_CLS, A.TCX_EGRESS, { since: 3 }),
  sec("tc", P.SCHED_CLS),
  sec("classifier", P.SCHED_CLS, 0, { isAlias: true }),
  sec("action", P.SCHED_ACT),
  sec("netkit/primary", P.SCHED_CLS, A.NETKIT_PRIMARY, { since: 3 }),
  sec("netkit/peer", P.SCHED_CLS, A.NETKIT_PEER, { since: 3 }),
  ...maySleep("tracepoint", P.TRACEPOINT, 0, { target: "tracepoint" }, 8),
  ...maySleep("tp", P.TRACEPOINT, 0, { target: "tracepoint", isAlias: true }, 8),
  ...maySleep("raw_tracepoint", P.RAW_TRACEPOINT, 0, { target: "raw-tracepoint", isAlias: true }, 8),
  ...maySleep("raw_tp", P.RAW_TRACEPOINT, 0, { target: "raw-tracepoint" }, 8),
  sec("raw_tracepoint.w", P.RAW_TRACEPOINT_WRITABLE, 0, { target: "raw-tracepoint", isAlias: true }),
  sec("raw_tp.w", P.RAW_TRACEPOINT_WRITABLE, 0, { target: "raw-tracepoint" }),
  ...maySleep("tp_btf", P.TRACING, A.TRACE_RAW_TP, kernelType, 8),
  ...maySleep("fentry", P.TRACING, A.TRACE_FENTRY, kernelType),
  ...maySleep("fmod_ret", P.TRACING, A.MODIFY_RETURN, kernelType),
  ...maySleep("fexit", P.TRACING, A.TRACE_FEXIT, kernelType),
  ...maySleep("fsession", P.TRACING, L.TRACE_FSESSION, { target: "kernel-type", since: 7 }),
  ...maySleep("fsession.multi", P.TRACING, L.TRACE_FSESSION_MULTI, { target: "function-pattern", since: 8 }),
  ...maySleep("fentry.multi", P.TRACING, L.TRACE_FENTRY_MULTI, { target: "function-pattern", since: 8 }),
  ...maySleep("fexit.multi", P.TRACING, L.TRACE_FEXIT_MULTI, { target: "function-pattern", since: 8 }),
  sec("freplace", P.EXT, 0, kernelType),
  ...maySleep("lsm", P.LSM, A.LSM_MAC, kernelType),
  sec("lsm_cgroup", P.LSM, A.LSM_CGROUP, kernelType),
  ...maySleep("iter", P.TRACING, A.TRACE_ITER, kernelType),
  sec("syscall", P.SYSCALL, 0, { sleepable: true }),
  sec("xdp.frags/devmap", P.XDP, A.XDP_DEVMAP, { frags: true }),
  sec("xdp/devmap", P.XDP, A.XDP_DEVMAP),
  sec("xdp.frags/cpumap", P.XDP, A.XDP_CPUMAP, { frags: true }),
  sec("xdp/cpumap", P.XDP, A.XDP_CPUMAP),
  sec("xdp.frags", P.XDP, A.XDP, { frags: true }),
  sec("xdp", P.XDP, A.XDP, optional),
  sec("perf_event", P.PERF_EVENT),
  sec("lwt_in", P.LWT_IN),
  sec("lwt_out", P.LWT_OUT),
  sec("lwt_xmit", P.LWT_XMIT),
  sec("lwt_seg6local", P.LWT_SEG6LOCAL),
  sec("sockops", P.SOCK_OPS, A.CGROUP_SOCK_OPS, optional),
  sec("sk_skb/stream_parser", P.SK_SKB, A.SK_SKB_STREAM_PARSER, optional),
  sec("sk_skb/stream_verdict", P.SK_SKB, A.SK_SKB_STREAM_VERDICT, optional),
  sec("sk_skb/verdict", P.SK_SKB, A.SK_SKB_VERDICT, { attachTypeOptional: true, since: 4 }),
  sec("sk_skb", P.SK_SKB),
  sec("sk_msg", P.SK_MSG, A.SK_MSG_VERDICT, optional),
  sec("lirc_mode2", P.LIRC_MODE2, A.LIRC_MODE2, optional),
  sec("flow_dissector", P.FLOW_DISSECTOR, A.FLOW_DISSECTOR, optional),
  // Ingress is 0: what has no attach type cannot be told from it, and either may be attached to both directions.
  sec("cgroup_skb/ingress", P.CGROUP_SKB, A.CGROUP_INET_INGRESS, { attachTypeOptional: true, isAlias: true }),
  sec("cgroup_skb/egress", P.CGROUP_SKB, A.CGROUP_INET_EGRESS, optional),
  sec("cgroup/skb", P.CGROUP_SKB),
  sec("cgroup/sock_create", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE, { isAlias: true }),
  sec("cgroup/sock_release", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_RELEASE),
  sec("cgroup/sock", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE, optional),
  sec("cgroup/post_bind4", P.CGROUP_SOCK, A.CGROUP_INET4_POST_BIND),
  sec("cgroup/post_bind6", P.CGROUP_SOCK, A.CGROUP_INET6_POST_BIND),
  sec("cgroup/bind4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_BIND),
  sec("cgroup/bind6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_BIND),
  sec("cgroup/connect4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_CONNECT),
  sec("cgroup/connect6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_CONNECT),
  sec("cgroup/connect_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_CONNECT, { since: 3 }),
  sec("cgroup/sendmsg4", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP4_SENDMSG),
  sec("cgroup/sendmsg6", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP6_SENDMSG),
  sec("cgroup/sendmsg_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_SENDMSG, { since: 3 }),
  sec("cgroup/recvmsg4", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP4_RECVMSG),
  sec("cgroup/recvmsg6", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP6_RECVMSG),
  sec("cgroup/recvmsg_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_RECVMSG, { since: 3 }),
  sec("cgroup/getpeername4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_GETPEERNAME),
  sec("cgroup/getpeername6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_GETPEERNAME),
  sec("cgroup/getpeername_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_GETPEERNAME, { since: 3 }),
  sec("cgroup/getsockname4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_GETSOCKNAME),
  sec("cgroup/getsockname6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_GETSOCKNAME),
  sec("cgroup/getsockname_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_GETSOCKNAME, { since: 3 }),
  sec("cgroup/sysctl", P.CGROUP_SYSCTL, A.CGROUP_SYSCTL),
  sec("cgroup/getsockopt", P.CGROUP_SOCKOPT, A.CGROUP_GETSOCKOPT),
  sec("cgroup/setsockopt", P.CGROUP_SOCKOPT, A.CGROUP_SETSOCKOPT),
  sec("cgroup/dev", P.CGROUP_DEVICE, A.CGROUP_DEVICE, optional),
  ...maySleep("struct_ops", P.STRUCT_OPS, 0, { target: "struct-ops" }, 2),
  sec("sk_lookup", P.SK_LOOKUP, A.SK_LOOKUP),
  sec("netfilter", P.NETFILTER, A.NETFILTER, { since: 3 }),
];
