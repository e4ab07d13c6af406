/** Attach types: asked about at a place that does not exist, or loaded where the kernel checks them at load. */
import { ATTACH_TYPE_SINCE, AttachType, BpfCmd, ProgType } from "../../../isa/index.ts";
import { bpf } from "../bpf.ts";
import { ProgAttachAttr, ProgQueryAttr } from "../bpf-attr.ts";
import { checkPrivileges } from "../diagnose.ts";
import { Errno } from "../../errno.ts";
import { hasKernelBtf } from "../kernel-btf.ts";
import { callAttributes } from "../scratch.ts";
import {
  type ProbeAnswer,
  type Requirement,
  answerOf,
  missingEnumerator,
  no,
  reasonOf,
  unknown,
  yes,
} from "./answer.ts";
import { tryTrial, withTrial } from "./load.ts";
import { type LinkTrialName, linkRequirement, tryLink } from "./links.ts";
import { attachTypeName, constantOf } from "./names.ts";
import { probeProgramType } from "./program-types.ts";
import { returning, variantsOf, waysOf } from "./variants.ts";

/** No descriptor has this number. */
const NONE = 0xffff_ffff;

type Way =
  /** `BPF_PROG_QUERY` at a descriptor that does not exist. */
  | { readonly by: "query" }
  /** `BPF_PROG_ATTACH` to a descriptor that does not exist. */
  | { readonly by: "attach"; readonly type: number }
  | { readonly by: "link"; readonly link: LinkTrialName; readonly option?: string }
  /** The kernel checks it when the program is loaded. */
  | { readonly by: "load"; readonly type: number }
  /** Loaded against something of the kernel's BTF. */
  | { readonly by: "target"; readonly type: number }
  /** With programs of this type. */
  | { readonly by: "type"; readonly type: number };

const ways: Readonly<Partial<Record<keyof typeof AttachType, Way>>> = {
  SK_SKB_STREAM_PARSER: { by: "attach", type: ProgType.SK_SKB },
  SK_SKB_STREAM_VERDICT: { by: "attach", type: ProgType.SK_SKB },
  SK_SKB_VERDICT: { by: "attach", type: ProgType.SK_SKB },
  SK_MSG_VERDICT: { by: "attach", type: ProgType.SK_MSG },
  LIRC_MODE2: { by: "query" },
  FLOW_DISSECTOR: { by: "query" },
  SK_LOOKUP: { by: "query" },
  TRACE_RAW_TP: { by: "target", type: ProgType.TRACING },
  TRACE_FENTRY: { by: "target", type: ProgType.TRACING },
  TRACE_FEXIT: { by: "target", type: ProgType.TRACING },
  MODIFY_RETURN: { by: "target", type: ProgType.TRACING },
  TRACE_ITER: { by: "target", type: ProgType.TRACING },
  LSM_MAC: { by: "target", type: ProgType.LSM },
  LSM_CGROUP: { by: "target", type: ProgType.LSM },
  XDP: { by: "link", link: "XDP" },
  XDP_DEVMAP: { by: "load", type: ProgType.XDP },
  XDP_CPUMAP: { by: "load", type: ProgType.XDP },
  SK_REUSEPORT_SELECT: { by: "load", type: ProgType.SK_REUSEPORT },
  SK_REUSEPORT_SELECT_OR_MIGRATE: { by: "load", type: ProgType.SK_REUSEPORT },
  PERF_EVENT: { by: "link", link: "PERF_EVENT" },
  TRACE_KPROBE_MULTI: { by: "link", link: "KPROBE_MULTI", option: "KPROBE_MULTI" },
  TRACE_KPROBE_SESSION: { by: "link", link: "KPROBE_SESSION", option: "KPROBE_MULTI" },
  TRACE_UPROBE_MULTI: { by: "link", link: "UPROBE_MULTI", option: "UPROBE_MULTI" },
  TRACE_UPROBE_SESSION: { by: "link", link: "UPROBE_SESSION", option: "UPROBE_MULTI" },
  STRUCT_OPS: { by: "type", type: ProgType.STRUCT_OPS },
  NETFILTER: { by: "link", link: "NETFILTER", option: "NETFILTER" },
  TCX_INGRESS: { by: "link", link: "TCX", option: "TCX" },
  TCX_EGRESS: { by: "link", link: "TCX", option: "TCX" },
  NETKIT_PRIMARY: { by: "link", link: "NETKIT", option: "NETKIT" },
  NETKIT_PEER: { by: "link", link: "NETKIT", option: "NETKIT" },
};

/** Options of attach types that have no link type of their own to tell. */
const ownOptions: Readonly<Partial<Record<keyof typeof AttachType, readonly string[]>>> = {
  LIRC_MODE2: ["CONFIG_BPF_LIRC_MODE2"],
  LSM_MAC: ["CONFIG_BPF_LSM"],
  LSM_CGROUP: ["CONFIG_BPF_LSM", "CONFIG_CGROUP_BPF"],
  SK_SKB_STREAM_PARSER: ["CONFIG_BPF_STREAM_PARSER"],
  SK_SKB_STREAM_VERDICT: ["CONFIG_NET_SOCK_MSG"],
  SK_SKB_VERDICT: ["CONFIG_NET_SOCK_MSG"],
  SK_MSG_VERDICT: ["CONFIG_NET_SOCK_MSG"],
};

/** Where the kernel takes a program of any attach type, and no errno tells: only its BTF does. */
const uncheckedAtLoad: ReadonlySet<number> = new Set([
  AttachType.XDP_DEVMAP,
  AttachType.XDP_CPUMAP,
  AttachType.SK_REUSEPORT_SELECT,
  AttachType.SK_REUSEPORT_SELECT_OR_MIGRATE,
]);

function badDescriptor(errno: number, what: string, requirement: Requirement): ProbeAnswer {
  return errno === Errno.EBADF
    ? yes(`${what}: EBADF, so the kernel knows the attach type`)
    : answerOf(errno, what, requirement);
}

function query(attachType: number, name: string, requirement: Requirement): ProbeAnswer {
  const attributes = callAttributes(ProgQueryAttr.SIZE)
    .u32(ProgQueryAttr.TARGET, NONE)
    .u32(ProgQueryAttr.ATTACH_TYPE, attachType);
  const errno = Math.max(0, -bpf(BpfCmd.PROG_QUERY, attributes));
  return badDescriptor(errno, `asking what is attached as ${name} to no descriptor`, requirement);
}

function attach(attachType: number, type: number, name: string, requirement: Requirement): ProbeAnswer {
  const errno = withTrial({ type, expectedAttachType: attachType, code: returning(0) }, (fd) => {
    const attributes = callAttributes(ProgAttachAttr.SIZE)
      .u32(ProgAttachAttr.TARGET_FD, NONE)
      .u32(ProgAttachAttr.PROG_FD, fd)
      .u32(ProgAttachAttr.ATTACH_TYPE, attachType);
    return Math.max(0, -bpf(BpfCmd.PROG_ATTACH, attributes));
  });
  return badDescriptor(errno, `attaching as ${name} to no map`, requirement);
}

function target(attachType: number, type: number, name: string, requirement: Requirement): ProbeAnswer {
  const own = variantsOf(type).filter((variant) => variant.expectedAttachType === attachType);
  const labels = new Set(own.map(({ label }) => label));
  const { ready, refused } = waysOf(type);
  const found = ready.find(({ label }) => labels.has(label));
  if (found !== undefined) return yes(`loading a program for ${found.label}: success`);
  const errnos = refused
    .filter(({ label }) => labels.has(label))
    .flatMap(({ errno }) => (errno === undefined ? [] : [errno]));
  const errno = errnos.includes(Errno.EPERM) ? Errno.EPERM : errnos[0];
  const what = `loading a program for ${name}`;
  if (errno !== undefined) return answerOf(errno, what, requirement);
  return hasKernelBtf()
    ? no(`${what}: the kernel's BTF has nothing that it could attach to`, requirement)
    : no(`${what}: needs the kernel's BTF, which it does not give`, requirement);
}

/** Does the kernel know this attach type (`AttachType.*`), and can this machine use it? */
export function probeAttachType(attachType: number): ProbeAnswer {
  const constant = constantOf(AttachType, attachType) as keyof typeof AttachType | undefined;
  const name = attachTypeName(attachType);
  if (constant === undefined) return query(attachType, name, {});
  const way = ways[constant] ?? { by: "query" };
  const option = way.by === "link" ? way.option : constant.startsWith("CGROUP") ? "CGROUP" : undefined;
  const own = ownOptions[constant];
  const requirement: Requirement = {
    ...(own === undefined ? linkRequirement(option) : { options: own }),
    since: ATTACH_TYPE_SINCE[constant],
  };
  const absent = missingEnumerator(`BPF_${constant}`, requirement);
  if (absent !== undefined) return absent;
  switch (way.by) {
    case "query":
      return query(attachType, name, requirement);
    case "attach":
      return attach(attachType, way.type, name, requirement);
    case "link":
      return tryLink(way.link, requirement);
    case "target":
      return target(attachType, way.type, name, requirement);
    case "type":
      return probeProgramType(way.type);
    case "load": {
      const what = `loading a program for ${name}`;
      const answer = answerOf(
        tryTrial({ type: way.type, expectedAttachType: attachType, code: returning(0) }),
        what,
        requirement,
      );
      if (answer.answer === "yes" && !hasKernelBtf() && uncheckedAtLoad.has(attachType))
        return unknown(answer.evidence, "the kernel takes any number there, and has no BTF to look in");
      return answer;
    }
    default:
      return unknown(name, checkPrivileges().ok ? "no probe" : reasonOf(Errno.EPERM));
  }
}
