/** Names of sections by which libbpf tells a program's type and where to attach it: what C programs write in `SEC()`. */
import { UnsupportedError } from "../base/index.ts";
import { AttachType, ProgType } from "../isa/index.ts";
import type { AttachSpec } from "./attach.ts";
import type { ProgramSpec } from "./spec.ts";

/** One name and what libbpf loads its programs as. */
interface SecName {
  readonly name: string;
  /** `ProgType.*` */
  readonly type: number;
  /** `AttachType.*`, 0 for none. */
  readonly attachType: number;
  /** What else it is known for, besides its name and types. */
  readonly options: SecOptions;
}

interface SecOptions {
  /** The kernel takes programs without an attach type too, and treats them alike. */
  readonly attachTypeMayBeZero?: boolean;
  /** A kernel type follows behind a slash. */
  readonly target?: boolean;
  /** `.s` behind the name makes the program sleepable; `always`: it is without. */
  readonly sleepable?: boolean | "always";
  /** First minor version of libbpf 1 that knows the name; 0 when absent. */
  readonly since?: number;
}

function sec(name: string, type: number, attachType: number = 0, options: SecOptions = {}): SecName {
  return { name, type, attachType, options };
}

const P = ProgType;
const A = AttachType;
const traced: SecOptions = { target: true };
const tracedMaySleep: SecOptions = { target: true, sleepable: true };
const either: SecOptions = { attachTypeMayBeZero: true };

/** For each pair of types one name; of libbpf's synonyms the one its documentation prefers. */
const names: readonly SecName[] = [
  sec("socket", P.SOCKET_FILTER),
  sec("sk_reuseport", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT),
  sec("sk_reuseport/migrate", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT_OR_MIGRATE),
  sec("kprobe", P.KPROBE),
  sec("kprobe.multi", P.KPROBE, A.TRACE_KPROBE_MULTI),
  sec("kprobe.session", P.KPROBE, A.TRACE_KPROBE_SESSION, { since: 5 }),
  sec("uprobe.multi", P.KPROBE, A.TRACE_UPROBE_MULTI, { since: 3, sleepable: true }),
  sec("uprobe.session", P.KPROBE, A.TRACE_UPROBE_SESSION, { since: 6, sleepable: true }),
  sec("tc", P.SCHED_CLS),
  sec("tcx/ingress", P.SCHED_CLS, A.TCX_INGRESS, { since: 3 }),
  sec("tcx/egress", P.SCHED_CLS, A.TCX_EGRESS, { since: 3 }),
  sec("netkit/primary", P.SCHED_CLS, A.NETKIT_PRIMARY, { since: 3 }),
  sec("netkit/peer", P.SCHED_CLS, A.NETKIT_PEER, { since: 3 }),
  sec("action", P.SCHED_ACT),
  sec("tracepoint", P.TRACEPOINT),
  sec("raw_tp", P.RAW_TRACEPOINT),
  sec("raw_tp.w", P.RAW_TRACEPOINT_WRITABLE),
  sec("tp_btf", P.TRACING, A.TRACE_RAW_TP, traced),
  sec("fentry", P.TRACING, A.TRACE_FENTRY, tracedMaySleep),
  sec("fexit", P.TRACING, A.TRACE_FEXIT, tracedMaySleep),
  sec("fmod_ret", P.TRACING, A.MODIFY_RETURN, tracedMaySleep),
  sec("iter", P.TRACING, A.TRACE_ITER, tracedMaySleep),
  sec("freplace", P.EXT, 0, traced),
  sec("lsm", P.LSM, A.LSM_MAC, tracedMaySleep),
  sec("lsm_cgroup", P.LSM, A.LSM_CGROUP, traced),
  sec("syscall", P.SYSCALL, 0, { sleepable: "always" }),
  sec("xdp", P.XDP, A.XDP, either),
  sec("xdp/devmap", P.XDP, A.XDP_DEVMAP),
  sec("xdp/cpumap", P.XDP, A.XDP_CPUMAP),
  sec("perf_event", P.PERF_EVENT),
  sec("lwt_in", P.LWT_IN),
  sec("lwt_out", P.LWT_OUT),
  sec("lwt_xmit", P.LWT_XMIT),
  sec("lwt_seg6local", P.LWT_SEG6LOCAL),
  sec("sockops", P.SOCK_OPS, A.CGROUP_SOCK_OPS, either),
  sec("sk_skb", P.SK_SKB),
  sec("sk_skb/stream_parser", P.SK_SKB, A.SK_SKB_STREAM_PARSER),
  sec("sk_skb/stream_verdict", P.SK_SKB, A.SK_SKB_STREAM_VERDICT),
  sec("sk_skb/verdict", P.SK_SKB, A.SK_SKB_VERDICT, { since: 4 }),
  sec("sk_msg", P.SK_MSG, A.SK_MSG_VERDICT, either),
  sec("sk_lookup", P.SK_LOOKUP, A.SK_LOOKUP),
  sec("lirc_mode2", P.LIRC_MODE2, A.LIRC_MODE2, either),
  sec("flow_dissector", P.FLOW_DISSECTOR, A.FLOW_DISSECTOR, either),
  // Ingress is 0: what has no attach type cannot be told from it, and either may be attached to both directions.
  sec("cgroup/skb", P.CGROUP_SKB),
  sec("cgroup_skb/egress", P.CGROUP_SKB, A.CGROUP_INET_EGRESS),
  sec("cgroup/sock", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE, either),
  sec("cgroup/sock_release", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_RELEASE),
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
  sec("cgroup/dev", P.CGROUP_DEVICE, A.CGROUP_DEVICE, either),
  sec("netfilter", P.NETFILTER, A.NETFILTER, { since: 3 }),
];

/** Uprobes may sleep under a name of their own only: `kprobe.s` is none. */
const sleepableProbe: SecName = sec("uprobe", ProgType.KPROBE, 0, { sleepable: true });

/** What libbpf reads as a function of the kernel, with an offset behind it. */
const KERNEL_SYMBOL = /^[A-Za-z0-9_.]+$/;

/**
 * The section that makes libbpf load the program as what it is. `attach`: the one place where it is attached, which becomes part of the
 * name where libbpf knows how to write it; undefined leaves attaching to the program's user.
 *
 * Throws {@link UnsupportedError} when libbpf 1.`libbpfMinor` has no name for it, TypeError when a target is missing.
 */
export function secName(program: ProgramSpec, attach: AttachSpec | undefined, libbpfMinor: number): string {
  const found = find(program);
  if (found === undefined) {
    throw unsupported(program, `no section name of libbpf stands for type ${typeText(program)}`);
  }
  const { options } = found;
  let { name } = found;
  const since = options.since ?? 0;
  if (program.sleepable === true && options.sleepable !== "always") {
    if (options.sleepable !== true) throw unsupported(program, `no section name of libbpf makes ${name} sleepable`);
    name += ".s";
  }
  if (since > libbpfMinor) {
    throw unsupported(program, `section ${name} is known from libbpf 1.${since} on, the file is for 1.${libbpfMinor}`);
  }
  if (options.target === true) {
    if (program.attachTo === undefined || program.attachTo === "") {
      throw new TypeError(`program ${program.name}: type ${typeText(program)} needs attachTo, the name of its target`);
    }
    return `${name}/${program.attachTo}`;
  }
  return attach === undefined ? name : attachedName(name, attach);
}

function find(program: ProgramSpec): SecName | undefined {
  const { type, expectedAttachType, sleepable } = program;
  if (sleepable === true && type === ProgType.KPROBE && expectedAttachType === 0) return sleepableProbe;
  const ofType = names.filter((n) => n.type === type);
  return (
    ofType.find((n) => n.attachType === expectedAttachType) ??
    (expectedAttachType === 0 ? ofType.find((n) => n.options.attachTypeMayBeZero === true) : undefined)
  );
}

/** Uprobes stay bare: libbpf's text for them needs a function's name, and a place is a file offset here. */
function attachedName(name: string, attach: AttachSpec): string {
  if (name === "tracepoint" && attach.kind === "tracepoint") return `${name}/${attach.category}/${attach.name}`;
  if (name.startsWith("raw_tp") && attach.kind === "raw-tracepoint") return `${name}/${attach.name}`;
  if (name === "kprobe" && attach.kind === "uprobe") return attach.isReturn ? "uretprobe" : "uprobe";
  if (name === "kprobe" && attach.kind === "kprobe") {
    const probe = attach.isReturn ? "kretprobe" : "kprobe";
    if (!KERNEL_SYMBOL.test(attach.func)) return probe;
    return `${probe}/${attach.func}${attach.offset === 0 ? "" : `+${attach.offset}`}`;
  }
  if (name === "uprobe.s" && attach.kind === "uprobe" && attach.isReturn) return "uretprobe.s";
  if (name === "kprobe.multi" && attach.kind === "kprobe-multi" && attach.isReturn) return "kretprobe.multi";
  if (name.startsWith("uprobe.multi") && attach.kind === "uprobe-multi" && attach.isReturn)
    return `uret${name.slice(1)}`;
  return name;
}

function typeText(program: ProgramSpec): string {
  const nameOf = (table: Readonly<Record<string, number>>, value: number): string =>
    Object.entries(table).find(([, number]) => number === value)?.[0] ?? String(value);
  const attachType = program.expectedAttachType;
  return (
    nameOf(ProgType, program.type) + (attachType === 0 ? "" : ` with attach type ${nameOf(AttachType, attachType)}`)
  );
}

function unsupported(program: ProgramSpec, why: string): UnsupportedError {
  return new UnsupportedError(`program ${program.name} in an object file`, why);
}
