/** Attaches to network devices, namespaces and the packet filter. */
import { closeSync, openSync } from "node:fs";
import { UnsupportedError } from "../../../base/index.ts";
import { AttachType, LinkType, NetfilterFlags, ProgType } from "../../../isa/index.ts";
import { queryPrograms, tryNetfilterLink, tryProgAttach, tryProgDetach, tryTargetLink } from "../bpf-link.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { LinuxLink } from "../link.ts";
import { machine } from "../machine.ts";
import { type NetworkInterface, networkInterface } from "../network.ts";
import type { LinuxProgram } from "../programs.ts";
import { type SpecOf, attachFailure, builtWithout, onlyLink, tooOld, withoutLink } from "./common.ts";
import { deviceLinks, findLinks, nameLinks, namePrograms } from "./occupants.ts";

function requireType(program: LinuxProgram, what: string, type: number, section: string): void {
  if (program.spec.type !== type)
    throw new TypeError(`${what}: program ${program.spec.name} is of another type (SEC("${section}") is wanted)`);
}

/** `XDP_FLAGS_*` of modes. */
const xdpModes = { generic: 2, driver: 4, offload: 8 } as const;

/** Attaches to the packets that a network device receives. */
export function attachXdp(program: LinuxProgram, spec: SpecOf<"xdp">): LinuxLink {
  const what = `xdp on ${spec.device}`;
  requireType(program, what, ProgType.XDP, "xdp");
  const { expectedAttachType } = program.spec;
  if (expectedAttachType === AttachType.XDP_DEVMAP || expectedAttachType === AttachType.XDP_CPUMAP)
    throw new TypeError(`${what}: program ${program.spec.name} runs from a map of devices or CPUs: put it in one`);
  const device = networkInterface(what, spec.device);
  const old = tooOld(what, 5, 9, "older kernels attach it by netlink only, where it outlives the process");
  if (old !== undefined) throw old;
  const result = tryTargetLink({
    progFd: program.fd.value,
    target: device.index,
    attachType: AttachType.XDP,
    flags: spec.mode === undefined ? 0 : xdpModes[spec.mode],
  });
  if (result >= 0) return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
  throw xdpFailure(what, spec, networkInterface(what, spec.device), -result);
}

function xdpFailure(what: string, spec: SpecOf<"xdp">, device: NetworkInterface, errno: number): Error {
  const cause = attachFailure(what, errno);
  const { xdp } = device;
  if ((errno === Errno.EBUSY || errno === Errno.EEXIST) && xdp !== undefined) {
    const links = deviceLinks(LinkType.XDP, device.index);
    const who =
      links.length > 0
        ? nameLinks(links)
        : `${namePrograms([xdp.programId])}, attached by netlink (ip link set dev ${device.name} xdp off),`;
    return new UnsupportedError(what, `${who} is there in mode ${xdp.mode}, and a device takes one`, { cause });
  }
  if (errno === Errno.EOPNOTSUPP && spec.mode !== undefined && spec.mode !== "generic") {
    const why = `the driver of ${device.name}${device.kind === "" ? "" : ` (${device.kind})`} cannot run programs in mode ${spec.mode}: use mode generic`;
    return new UnsupportedError(what, why, { cause });
  }
  if (errno === Errno.EINVAL && spec.mode === "offload") {
    return new UnsupportedError(what, "programs for mode offload must be loaded for their device", { cause });
  }
  return cause;
}

const tcxTypes = { ingress: AttachType.TCX_INGRESS, egress: AttachType.TCX_EGRESS } as const;

/** Attaches a classifier to a network device, among others. */
export function attachTcx(program: LinuxProgram, spec: SpecOf<"tcx">): LinuxLink {
  const what = `tcx ${spec.direction} on ${spec.device}`;
  requireType(program, what, ProgType.SCHED_CLS, "tc");
  const device = networkInterface(what, spec.device);
  const old = tooOld(what, 6, 6, "attach it as kind tc");
  if (old !== undefined) throw old;
  const missing = builtWithout(what, "CONFIG_NET_XGRESS");
  if (missing !== undefined) throw missing;
  return deviceLink(program, spec, device, tcxTypes[spec.direction], what);
}

/** Attaches to a netkit device. */
export function attachNetkit(program: LinuxProgram, spec: SpecOf<"netkit">): LinuxLink {
  const what = `netkit ${spec.device}`;
  requireType(program, what, ProgType.SCHED_CLS, "netkit/primary");
  const { expectedAttachType } = program.spec;
  if (expectedAttachType !== AttachType.NETKIT_PRIMARY && expectedAttachType !== AttachType.NETKIT_PEER)
    throw new TypeError(
      `${what}: program ${program.spec.name} was not loaded for netkit (SEC("netkit/primary") or peer)`,
    );
  const missing = tooOld(what, 6, 7) ?? builtWithout(what, "CONFIG_NETKIT");
  if (missing !== undefined) throw missing;
  const device = networkInterface(what, spec.device);
  if (device.kind !== "netkit") {
    const kind = device.kind === "" ? "no netkit device" : `a ${device.kind} device`;
    throw new UnsupportedError(what, `${device.name} is ${kind}: attach to tcx instead`);
  }
  return deviceLink(program, spec, device, expectedAttachType, what);
}

function deviceLink(
  program: LinuxProgram,
  spec: SpecOf<"tcx"> | SpecOf<"netkit">,
  device: NetworkInterface,
  attachType: number,
  what: string,
): LinuxLink {
  const result = tryTargetLink({
    progFd: program.fd.value,
    target: device.index,
    attachType,
    anchor: spec.anchor,
  });
  if (result >= 0) return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
  const errno = -result;
  const cause = attachFailure(what, errno);
  const there = queryPrograms(device.index, attachType);
  const list =
    there === undefined || there.ids.length === 0 ? "nobody is there" : `there is ${namePrograms(there.ids)}`;
  if (spec.anchor !== undefined && (errno === Errno.ENOENT || errno === Errno.EDOM || errno === Errno.EINVAL)) {
    throw new UnsupportedError(what, `the anchor ${anchorText(spec.anchor)} is not at this hook: ${list}`, { cause });
  }
  if (errno === Errno.EBUSY || errno === Errno.ERANGE)
    throw new UnsupportedError(what, `the hook has 63 programs, the most that it takes: ${list}`, { cause });
  if (errno === Errno.EEXIST) throw new UnsupportedError(what, `this program is there already: ${list}`, { cause });
  if (errno === Errno.EACCES && spec.kind === "netkit")
    throw new UnsupportedError(what, "programs go to the primary device of a pair, not to its peer", { cause });
  throw cause;
}

function anchorText(anchor: NonNullable<SpecOf<"tcx">["anchor"]>): string {
  if (!("programId" in anchor) && !("linkId" in anchor)) return anchor.place;
  return `${anchor.place} ${"linkId" in anchor ? `link ${anchor.linkId}` : `program ${anchor.programId}`}`;
}

/** `NFPROTO_*` that the kernel lets programs attach to, by name. */
const families: ReadonlyMap<number, string> = new Map([
  [2, "ipv4"],
  [10, "ipv6"],
]);
const hooks = ["prerouting", "input", "forward", "output", "postrouting"] as const;

/** Attaches to a hook of the packet filter. */
export function attachNetfilter(program: LinuxProgram, spec: SpecOf<"netfilter">): LinuxLink {
  const family = families.get(spec.family);
  const hook = hooks[spec.hook];
  const what = `netfilter ${family ?? spec.family} ${hook ?? spec.hook}, priority ${spec.priority}`;
  requireType(program, what, ProgType.NETFILTER, "netfilter");
  if (family === undefined) throw new RangeError(`${what}: family is 2 (NFPROTO_IPV4) or 10 (NFPROTO_IPV6)`);
  if (hook === undefined) throw new RangeError(`${what}: hook is 0 (prerouting) to 4 (postrouting)`);
  const missing =
    tooOld(what, 6, 4) ??
    (spec.defragment === true ? tooOld(`${what} with defragmentation`, 6, 6) : undefined) ??
    builtWithout(what, "CONFIG_NETFILTER_BPF_LINK");
  if (missing !== undefined) throw missing;
  const result = tryNetfilterLink(program.fd.value, {
    family: spec.family,
    hook: spec.hook,
    priority: spec.priority,
    flags: spec.defragment === true ? NetfilterFlags.IP_DEFRAG : 0,
  });
  if (result >= 0) return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
  const cause = attachFailure(what, -result);
  if (result === -Errno.EBUSY) {
    const links = findLinks(
      LinkType.NETFILTER,
      (info) =>
        info.type === "netfilter" &&
        info.family === spec.family &&
        info.hook === spec.hook &&
        info.priority === spec.priority,
    );
    const who = links.length > 0 ? nameLinks(links) : "another program";
    throw new UnsupportedError(what, `${who} has this priority, which only one may have: choose another`, { cause });
  }
  if (result === -Errno.ERANGE || result === -Errno.EOPNOTSUPP || result === -Errno.EINVAL) {
    const why =
      spec.defragment === true
        ? "priorities with defragmentation are above -400 (NF_IP_PRI_CONNTRACK_DEFRAG), and the kernel's own, the lowest and the highest, are nobody's"
        : "the kernel keeps this priority for itself, or does not know the hook of this family";
    throw new UnsupportedError(what, why, { cause });
  }
  throw cause;
}

/** Attaches to a network namespace. */
export function attachNetns(program: LinuxProgram, spec: SpecOf<"netns">): LinuxLink {
  const what = `network namespace ${spec.path ?? "of this process"}`;
  const isDissector = program.spec.type === ProgType.FLOW_DISSECTOR;
  if (!isDissector) requireType(program, what, ProgType.SK_LOOKUP, "sk_lookup");
  const attachType = isDissector ? AttachType.FLOW_DISSECTOR : AttachType.SK_LOOKUP;
  const old = isDissector ? undefined : tooOld(`sk_lookup in ${what}`, 5, 9);
  if (old !== undefined) throw old;
  let target: number;
  try {
    target = openSync(spec.path ?? "/proc/thread-self/ns/net", "r");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UnsupportedError(what, code === "ENOENT" ? "there is no such file" : `cannot be opened (${code})`, {
      cause,
    });
  }
  try {
    if (isDissector && !machine.atLeast(5, 8)) {
      if (spec.path !== undefined) throw tooOld(`flow dissectors of other namespaces (${what})`, 5, 8)!;
      return attachDissector(program, spec, what);
    }
    const result = tryTargetLink({ progFd: program.fd.value, target, attachType });
    if (result >= 0) return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
    const cause = attachFailure(what, -result);
    const there = queryPrograms(target, attachType);
    const who = there === undefined || there.ids.length === 0 ? "another program" : namePrograms(there.ids);
    if (result === -Errno.EBUSY || result === -Errno.EEXIST || result === -Errno.E2BIG) {
      const most = isDissector ? "takes one" : "takes 64";
      throw new UnsupportedError(what, `${who} is there, or in the first namespace, and a namespace ${most}`, {
        cause,
      });
    }
    if (result === -Errno.EINVAL && there === undefined)
      throw new UnsupportedError(what, "that file is no network namespace", { cause });
    throw cause;
  } finally {
    closeSync(target);
  }
}

/** Flow dissectors before Linux 5.8: of the namespace of this process, and left there when it is killed. */
function attachDissector(program: LinuxProgram, spec: SpecOf<"netns">, what: string): LinuxLink {
  const attachType = AttachType.FLOW_DISSECTOR;
  const result = tryProgAttach({ target: 0, progFd: program.fd.value, attachType });
  if (result < 0) throw attachFailure(what, -result);
  const fds = withoutLink(program, what, "the namespace itself, before Linux 5.8", () => {
    tryProgDetach({ target: 0, progFd: fds.holders[0]!.value, attachType });
  });
  return new LinuxLink(spec, fds);
}
