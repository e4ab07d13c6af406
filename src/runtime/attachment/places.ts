/** What to say when neither a program's section nor its user says where it goes: by type, with an example that can be copied. */
import { AttachType, ProgType } from "../../isa/index.ts";
import type { ProgramSpec } from "../../object/index.ts";

/** By `ProgType.*`: what is wanted, and how it is said. */
const wanted: ReadonlyMap<number, string> = new Map([
  [
    ProgType.KPROBE,
    `a function: { kind: "kprobe", func: "vfs_read", offset: 0, isReturn: false }, or of a binary: { kind: "uprobe-symbol", path: "/bin/bash", func: "readline", offset: 0, isReturn: false }`,
  ],
  [ProgType.TRACEPOINT, `a tracepoint: { kind: "tracepoint", category: "sched", name: "sched_switch" }`],
  [ProgType.RAW_TRACEPOINT, `a tracepoint: { kind: "raw-tracepoint", name: "sched_switch" }`],
  [ProgType.RAW_TRACEPOINT_WRITABLE, `a tracepoint: { kind: "raw-tracepoint", name: "nbd_send_request" }`],
  [ProgType.PERF_EVENT, `an event: { kind: "perf-event", type: 1, config: 0, frequencyHz: 99 } samples the CPU clock`],
  [ProgType.XDP, `a network device: { kind: "xdp", device: "eth0" }`],
  [ProgType.SCHED_CLS, `a network device: { kind: "tc", device: "eth0", direction: "ingress" }`],
  [ProgType.NETFILTER, `a hook: { kind: "netfilter", family: 2, hook: 1, priority: 0 } is input of IPv4`],
  [ProgType.FLOW_DISSECTOR, `a network namespace: { kind: "netns" } is that of this process`],
  [ProgType.SK_LOOKUP, `a network namespace: { kind: "netns" } is that of this process`],
  [ProgType.SK_SKB, `a sockmap: { kind: "sockmap", mapId: 1 }`],
  [ProgType.SK_MSG, `a sockmap: { kind: "sockmap", mapId: 1 }`],
  [ProgType.LIRC_MODE2, `a receiver: { kind: "lirc", path: "/dev/lirc0" }`],
  [ProgType.SOCKET_FILTER, `a socket: { kind: "socket", fd: 3 }`],
  [ProgType.SK_REUSEPORT, `a socket: { kind: "socket", fd: 3, reuseport: true }, or a map of the group`],
  [ProgType.EXT, `a function of a loaded program: { kind: "freplace", programId: 1, func: "name" }`],
  ...[
    ProgType.CGROUP_SKB,
    ProgType.CGROUP_SOCK,
    ProgType.CGROUP_SOCK_ADDR,
    ProgType.CGROUP_SOCKOPT,
    ProgType.CGROUP_SYSCTL,
    ProgType.CGROUP_DEVICE,
    ProgType.SOCK_OPS,
  ].map((type) => [type, `a cgroup: { kind: "cgroup", path: "/sys/fs/cgroup" }`] as const),
]);

/** By `AttachType.*`, before what the type says. */
const wantedByAttachType: ReadonlyMap<number, string> = new Map([
  [AttachType.LSM_CGROUP, `a cgroup: { kind: "cgroup", path: "/sys/fs/cgroup" }`],
  [AttachType.NETKIT_PRIMARY, `a netkit device: { kind: "netkit", device: "nk0" }`],
  [AttachType.NETKIT_PEER, `a netkit device: { kind: "netkit", device: "nk0" }`],
  [AttachType.TCX_INGRESS, `a network device: { kind: "tcx", device: "eth0", direction: "ingress" }`],
  [AttachType.TCX_EGRESS, `a network device: { kind: "tcx", device: "eth0", direction: "egress" }`],
  [AttachType.TRACE_KPROBE_MULTI, `functions: { kind: "kprobe-pattern", pattern: "vfs_*", isReturn: false }`],
  [AttachType.TRACE_KPROBE_SESSION, `functions: { kind: "kprobe-pattern", pattern: "vfs_*", isReturn: false }`],
  [
    AttachType.TRACE_UPROBE_MULTI,
    `functions: { kind: "uprobe-pattern", path: "/bin/bash", pattern: "read*", isReturn: false }`,
  ],
  [
    AttachType.TRACE_UPROBE_SESSION,
    `functions: { kind: "uprobe-pattern", path: "/bin/bash", pattern: "read*", isReturn: false }`,
  ],
]);

/** Attach types of tracing programs for many functions at once (`fentry.multi`), which are not among those known here. */
const FIRST_MULTI_ATTACH_TYPE = 59;

/** By `ProgType.*`: why nothing can be said. */
const unattached: ReadonlyMap<number, string> = new Map([
  [ProgType.SYSCALL, "syscall programs run when they are asked to: use testRun"],
  [ProgType.STRUCT_OPS, "struct_ops programs are attached by their map: use attachStructOps"],
  [ProgType.SCHED_ACT, "actions of tc are attached by tc(8)"],
  ...[ProgType.LWT_IN, ProgType.LWT_OUT, ProgType.LWT_XMIT, ProgType.LWT_SEG6LOCAL].map(
    (type) => [type, "programs of routes are attached by ip-route(8), encap bpf"] as const,
  ),
]);

/** A sentence on what the user of a program must say, for an error. */
export function placeWanted(program: ProgramSpec): string {
  const { type, expectedAttachType, section } = program;
  if (expectedAttachType === AttachType.XDP_DEVMAP || expectedAttachType === AttachType.XDP_CPUMAP)
    return "programs of device and CPU maps are attached by putting their descriptor into the map";
  if (type === ProgType.TRACING && expectedAttachType >= FIRST_MULTI_ATTACH_TYPE)
    return `nothing says which functions; give { kind: "tracing-pattern", pattern: "vfs_*" }`;
  const place = unattached.get(type);
  if (place !== undefined) return place;
  const named =
    section === undefined ? "nothing says where it goes" : `its section ${section} does not say where it goes`;
  const answer =
    (expectedAttachType === 0 ? undefined : wantedByAttachType.get(expectedAttachType)) ?? wanted.get(type);
  return answer === undefined ? named : `${named}; give ${answer}`;
}
