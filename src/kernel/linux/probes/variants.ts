/**
 * The ways in which a program of each type can be loaded at all: the attach types, the kernel's types it is bound to, sleepable or not.
 * What a program may call depends on these, so a question about a type is asked in all of its ways.
 */
import { BtfKind } from "../../../btf/index.ts";
import { AttachType, ProgFlags, ProgType } from "../../../isa/index.ts";
import { hasKernelBtf, kernelBtf } from "../kernel-btf.ts";
import { structOpsVariants } from "./struct-ops.ts";
import { type Trial, codeOf, tryTrial } from "./load.ts";

/** A way to load programs of a type, without its code. */
export interface Variant {
  /** For evidence: empty for a type that has one way only. */
  readonly label: string;
  readonly type: number;
  readonly expectedAttachType?: number;
  readonly sleepable?: boolean;
  /** In the kernel's BTF. */
  readonly target?: { readonly kind: BtfKind; readonly name: string };
  /** Id in the kernel's BTF where it is known already. */
  readonly attachBtfId?: number;
}

/** A variant that this kernel loads. */
export interface ReadyVariant {
  readonly label: string;
  /** Everything but the code. */
  readonly trial: Omit<Trial, "code">;
  /** What a program must return: 0 or 1. */
  readonly returns: number;
}

type AttachName = keyof typeof AttachType;

function attached(type: number, names: readonly AttachName[]): Variant[] {
  return names.map((name) => ({ label: name.toLowerCase(), type, expectedAttachType: AttachType[name] }));
}

function tracing(
  attach: AttachName,
  section: string,
  prefix: string,
  names: readonly string[],
  sleepable = false,
): Variant[] {
  const kind = attach === "TRACE_RAW_TP" ? BtfKind.TYPEDEF : BtfKind.FUNC;
  return names.map((name) => ({
    label: `${section}${sleepable ? ".s" : ""}/${name}`,
    type: attach.startsWith("LSM") ? ProgType.LSM : ProgType.TRACING,
    expectedAttachType: AttachType[attach],
    sleepable,
    target: { kind, name: prefix + name },
  }));
}

/** The functions that the kernel has for tests, and some of those where `bpf_d_path` may be called. */
const tracedFunctions = ["bpf_fentry_test1", "filp_close", "vfs_getattr"];
const modifiable = ["bpf_modify_return_test", "bpf_fentry_test1", "security_file_open", "security_task_alloc"];
const hooks = ["file_open", "bprm_creds_for_exec", "task_alloc", "socket_post_create", "inet_conn_established"];
const cgroupHooks = ["socket_post_create", "socket_bind", "inet_csk_clone", "sk_alloc_security"];

const KPROBE = ProgType.KPROBE;

/** Variants by program type; a type that is not here has one, with no attach type. */
const table: ReadonlyMap<number, () => readonly Variant[]> = new Map<number, () => readonly Variant[]>([
  [
    KPROBE,
    () => [
      { label: "kprobe", type: KPROBE },
      { label: "sleepable uprobe", type: KPROBE, sleepable: true },
      ...attached(KPROBE, ["TRACE_KPROBE_MULTI", "TRACE_UPROBE_MULTI", "TRACE_KPROBE_SESSION", "TRACE_UPROBE_SESSION"]),
    ],
  ],
  [ProgType.CGROUP_SKB, () => attached(ProgType.CGROUP_SKB, ["CGROUP_INET_INGRESS", "CGROUP_INET_EGRESS"])],
  [
    ProgType.CGROUP_SOCK,
    () =>
      attached(ProgType.CGROUP_SOCK, [
        "CGROUP_INET_SOCK_CREATE",
        "CGROUP_INET_SOCK_RELEASE",
        "CGROUP_INET4_POST_BIND",
        "CGROUP_INET6_POST_BIND",
      ]),
  ],
  [ProgType.SOCK_OPS, () => attached(ProgType.SOCK_OPS, ["CGROUP_SOCK_OPS"])],
  [ProgType.CGROUP_DEVICE, () => attached(ProgType.CGROUP_DEVICE, ["CGROUP_DEVICE"])],
  [
    ProgType.CGROUP_SOCK_ADDR,
    () =>
      attached(ProgType.CGROUP_SOCK_ADDR, [
        "CGROUP_INET4_BIND",
        "CGROUP_INET6_BIND",
        "CGROUP_INET4_CONNECT",
        "CGROUP_INET6_CONNECT",
        "CGROUP_UDP4_SENDMSG",
        "CGROUP_UDP6_SENDMSG",
        "CGROUP_UDP4_RECVMSG",
        "CGROUP_UDP6_RECVMSG",
        "CGROUP_INET4_GETPEERNAME",
        "CGROUP_INET6_GETPEERNAME",
        "CGROUP_INET4_GETSOCKNAME",
        "CGROUP_INET6_GETSOCKNAME",
        "CGROUP_UNIX_CONNECT",
        "CGROUP_UNIX_SENDMSG",
        "CGROUP_UNIX_RECVMSG",
        "CGROUP_UNIX_GETPEERNAME",
        "CGROUP_UNIX_GETSOCKNAME",
      ]),
  ],
  [ProgType.CGROUP_SYSCTL, () => attached(ProgType.CGROUP_SYSCTL, ["CGROUP_SYSCTL"])],
  [ProgType.CGROUP_SOCKOPT, () => attached(ProgType.CGROUP_SOCKOPT, ["CGROUP_GETSOCKOPT", "CGROUP_SETSOCKOPT"])],
  [
    ProgType.SK_REUSEPORT,
    () => [
      { label: "", type: ProgType.SK_REUSEPORT },
      ...attached(ProgType.SK_REUSEPORT, ["SK_REUSEPORT_SELECT", "SK_REUSEPORT_SELECT_OR_MIGRATE"]),
    ],
  ],
  [ProgType.SK_LOOKUP, () => attached(ProgType.SK_LOOKUP, ["SK_LOOKUP"])],
  [ProgType.NETFILTER, () => attached(ProgType.NETFILTER, ["NETFILTER"])],
  [ProgType.SYSCALL, () => [{ label: "sleepable", type: ProgType.SYSCALL, sleepable: true }]],
  [
    ProgType.TRACING,
    () => [
      ...tracing("TRACE_RAW_TP", "tp_btf", "btf_trace_", ["sched_switch"]),
      ...tracing("TRACE_FENTRY", "fentry", "", tracedFunctions),
      ...tracing("TRACE_FEXIT", "fexit", "", tracedFunctions),
      ...tracing("MODIFY_RETURN", "fmod_ret", "", modifiable),
      ...tracing("TRACE_ITER", "iter", "bpf_iter_", ["task", "bpf_map", "tcp", "udp"]),
      ...tracing("TRACE_FENTRY", "fentry", "", [...modifiable, "__x64_sys_getpid", "__arm64_sys_getpid"], true),
      ...tracing("MODIFY_RETURN", "fmod_ret", "", modifiable, true),
      ...tracing("TRACE_ITER", "iter", "bpf_iter_", ["task", "bpf_map", "cgroup"], true),
    ],
  ],
  [
    ProgType.LSM,
    () => [
      ...tracing("LSM_MAC", "lsm", "bpf_lsm_", hooks),
      ...tracing("LSM_MAC", "lsm", "bpf_lsm_", hooks, true),
      ...tracing("LSM_CGROUP", "lsm_cgroup", "bpf_lsm_", cgroupHooks),
    ],
  ],
  [ProgType.STRUCT_OPS, structOpsVariants],
]);

/** All ways that a type could be loaded, whether this kernel has them or not. Those of struct_ops are the kernel's own. */
export function variantsOf(type: number): readonly Variant[] {
  return table.get(type)?.() ?? [{ label: "", type }];
}

/** The load that a variant stands for; undefined when the kernel has not what it is bound to. */
export function trialOf(variant: Variant): Omit<Trial, "code"> | undefined {
  let attachBtfId = variant.attachBtfId;
  if (variant.target !== undefined) {
    if (!hasKernelBtf()) return undefined;
    attachBtfId = kernelBtf().findByName(variant.target.name, variant.target.kind);
    if (attachBtfId === undefined) return undefined;
  }
  return {
    type: variant.type,
    expectedAttachType: variant.expectedAttachType,
    flags: variant.sleepable === true ? ProgFlags.SLEEPABLE : 0,
    attachBtfId,
  };
}

/** An empty program that returns a number. */
export function returning(value: number): Uint8Array {
  return codeOf(`r0 = ${value}\nexit`);
}

/** Loads an empty program in this way. The variant ready for use, or the errno of the better of two return values; undefined without a target. */
export function tryVariant(variant: Variant): ReadyVariant | number | undefined {
  const trial = trialOf(variant);
  if (trial === undefined) return undefined;
  let errno = 0;
  // Some hooks allow 0 only, some 1 only.
  for (const returns of [0, 1]) {
    errno = tryTrial({ ...trial, code: returning(returns) });
    if (errno === 0) return { label: variant.label, trial, returns };
  }
  return errno;
}

/** The ways to load programs of a type on this kernel. */
export interface TypeWays {
  readonly ready: readonly ReadyVariant[];
  /** What the kernel refused, or had no target for. */
  readonly refused: readonly { readonly label: string; readonly errno: number | undefined }[];
}

const known = new Map<number, TypeWays>();

/** Tries all ways of a type; what was found is remembered once there is any. */
export function waysOf(type: number): TypeWays {
  const before = known.get(type);
  if (before !== undefined) return before;
  const ready: ReadyVariant[] = [];
  const refused: { label: string; errno: number | undefined }[] = [];
  for (const variant of variantsOf(type)) {
    const result = tryVariant(variant);
    if (typeof result === "object") ready.push(result);
    else refused.push({ label: variant.label, errno: result });
  }
  const ways = { ready, refused };
  if (ready.length > 0) known.set(type, ways);
  return ways;
}
