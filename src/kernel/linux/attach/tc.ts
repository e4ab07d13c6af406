/**
 * Classifiers by netlink, the way before tcx (Linux 6.6): a `bpf` filter in direct-action mode below a `clsact` qdisc, which is made when
 * it is missing. The kernel keeps filters when their process ends. Closing removes the filter, and the qdisc when it was made here and
 * nothing else uses it; what a killed process left is removed by the next one that comes to the device, which knows it by its name.
 */
import { existsSync, statSync } from "node:fs";
import { UnsupportedError } from "../../../base/index.ts";
import { ProgType } from "../../../isa/index.ts";
import { Errno } from "../../errno.ts";
import { LinuxLink } from "../link.ts";
import { Netlink, NetlinkAttributes, NetlinkFlag, NetlinkMessage, type NetlinkAnswer } from "../netlink.ts";
import { networkInterface, requestFailure } from "../network.ts";
import type { LinuxProgram } from "../programs.ts";
import { type SpecOf, builtWithout, withoutLink } from "./common.ts";

/** Offsets in `struct tcmsg`. */
const TcMessage = { IFINDEX: 4, HANDLE: 8, PARENT: 12, INFO: 16, SIZE: 20 } as const;

/** `TC_H_CLSACT`, its own handle, and the parents of its two directions. */
const CLSACT_PARENT = 0xffff_fff1;
const CLSACT_HANDLE = 0xffff_0000;
const parents = { ingress: 0xffff_fff2, egress: 0xffff_fff3 } as const;

/** Attributes of qdiscs and filters, and of `bpf` filters. */
const Attribute = { KIND: 1, OPTIONS: 2, BPF_FD: 6, BPF_NAME: 7, BPF_FLAGS: 8 } as const;
/** `TCA_BPF_FLAG_ACT_DIRECT`: the program's result is the verdict. */
const ACT_DIRECT = 1;

/** `ETH_P_ALL` in network byte order. */
const PROTOCOL_ALL = 0x0300;

/** Filters are named after their process and its namespace of ids: `skep_NAMESPACE_PID:PROGRAM`. */
const OWN_NAME = /^skep_(\d+)_(\d+):/;

function pidNamespace(): string {
  return statSync("/proc/self/ns/pid", { bigint: true }).ino.toString();
}

interface Filter {
  readonly handle: number;
  readonly priority: number;
  readonly name: string;
}

function header(ifindex: number, parent: number, handle = 0, info = 0): Uint8Array {
  const bytes = new Uint8Array(TcMessage.SIZE);
  const view = new DataView(bytes.buffer);
  view.setInt32(TcMessage.IFINDEX, ifindex, true);
  view.setUint32(TcMessage.HANDLE, handle, true);
  view.setUint32(TcMessage.PARENT, parent, true);
  view.setUint32(TcMessage.INFO, info, true);
  return bytes;
}

function filterInfo(priority: number): number {
  return ((priority << 16) | PROTOCOL_ALL) >>> 0;
}

function parseFilter({ body }: NetlinkAnswer): Filter {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = new NetlinkAttributes(body.subarray(TcMessage.SIZE));
  return {
    handle: view.getUint32(TcMessage.HANDLE, true),
    priority: view.getUint32(TcMessage.INFO, true) >>> 16,
    name: attributes.nested(Attribute.OPTIONS).string(Attribute.BPF_NAME) ?? "",
  };
}

function listFilters(netlink: Netlink, ifindex: number, parent: number): Filter[] {
  const result = netlink.request({
    type: NetlinkMessage.GETTFILTER,
    flags: NetlinkFlag.DUMP,
    header: header(ifindex, parent),
  });
  // Each priority comes once more without a handle: the chain's own entry.
  return "answers" in result ? result.answers.map(parseFilter).filter(({ handle }) => handle !== 0) : [];
}

function deleteFilter(netlink: Netlink, ifindex: number, parent: number, { handle, priority }: Filter): void {
  netlink.request({
    type: NetlinkMessage.DELTFILTER,
    header: header(ifindex, parent, handle, filterInfo(priority)),
    attributes: [[Attribute.KIND, "bpf"]],
  });
}

/** Removes filters that processes which are gone left behind. */
function sweep(netlink: Netlink, ifindex: number): void {
  for (const parent of Object.values(parents)) {
    for (const filter of listFilters(netlink, ifindex, parent)) {
      const owner = OWN_NAME.exec(filter.name);
      if (owner?.[1] === pidNamespace() && !existsSync(`/proc/${owner[2]}`))
        deleteFilter(netlink, ifindex, parent, filter);
    }
  }
}

/** Kind of the qdisc at the place of `clsact`. */
function qdiscKind(netlink: Netlink, ifindex: number): string | undefined {
  const result = netlink.request({
    type: NetlinkMessage.GETQDISC,
    // Without it only listeners to all changes are answered.
    flags: NetlinkFlag.ECHO,
    header: header(ifindex, CLSACT_PARENT, CLSACT_HANDLE),
  });
  const answer = "answers" in result ? result.answers[0] : undefined;
  return answer && new NetlinkAttributes(answer.body.subarray(TcMessage.SIZE)).string(Attribute.KIND);
}

/** Makes the qdisc. True when it was not there before. */
function addQdisc(netlink: Netlink, ifindex: number, direction: keyof typeof parents, what: string): boolean {
  const result = netlink.request({
    type: NetlinkMessage.NEWQDISC,
    flags: NetlinkFlag.CREATE | NetlinkFlag.EXCL,
    header: header(ifindex, CLSACT_PARENT, CLSACT_HANDLE),
    attributes: [[Attribute.KIND, "clsact"]],
  });
  if ("answers" in result) return true;
  if (result.errno === Errno.EEXIST) {
    // The kernel would put a filter for egress among those for ingress.
    if (direction === "egress" && qdiscKind(netlink, ifindex) === "ingress") {
      const why =
        "the device has a qdisc ingress, which sees no egress: replace it by clsact (tc qdisc replace dev DEVICE clsact)";
      throw new UnsupportedError(what, why);
    }
    return false;
  }
  if (result.errno === Errno.ENOENT || result.errno === Errno.EOPNOTSUPP) {
    const missing = builtWithout(what, "CONFIG_NET_SCH_INGRESS", "CONFIG_NET_CLS_BPF");
    throw missing ?? new UnsupportedError(what, "the kernel has no clsact (module sch_ingress): modprobe sch_ingress");
  }
  throw requestFailure(`clsact for ${what}`, result.errno, result.reason);
}

function removeQdisc(netlink: Netlink, ifindex: number): void {
  if (Object.values(parents).some((parent) => listFilters(netlink, ifindex, parent).length > 0)) return;
  netlink.request({
    type: NetlinkMessage.DELQDISC,
    header: header(ifindex, CLSACT_PARENT, CLSACT_HANDLE),
    attributes: [[Attribute.KIND, "clsact"]],
  });
}

/** Attaches a classifier by netlink. */
export function attachTc(program: LinuxProgram, spec: SpecOf<"tc">): LinuxLink {
  const what = `tc ${spec.direction} on ${spec.device}`;
  if (program.spec.type !== ProgType.SCHED_CLS)
    throw new TypeError(`${what}: program ${program.spec.name} is of another type (SEC("tc") is wanted)`);
  if (spec.priority !== undefined && (spec.priority < 1 || spec.priority > 0xffff))
    throw new RangeError(`${what}: priority ${spec.priority} is not in 1 to 65535`);
  const { index } = networkInterface(what, spec.device);
  const parent = parents[spec.direction];
  const netlink = new Netlink();
  let made = false;
  try {
    sweep(netlink, index);
    made = addQdisc(netlink, index, spec.direction, what);
    const result = netlink.request({
      type: NetlinkMessage.NEWTFILTER,
      flags: NetlinkFlag.CREATE | NetlinkFlag.EXCL | NetlinkFlag.ECHO,
      header: header(index, parent, spec.handle ?? 0, filterInfo(spec.priority ?? 0)),
      attributes: [
        [Attribute.KIND, "bpf"],
        [
          Attribute.OPTIONS,
          [
            [Attribute.BPF_FD, program.fd.value],
            [Attribute.BPF_NAME, `skep_${pidNamespace()}_${process.pid}:${program.spec.name}`],
            [Attribute.BPF_FLAGS, ACT_DIRECT],
          ],
        ],
      ],
    });
    if (!("answers" in result)) throw filterFailure(what, spec, result.errno, result.reason);
    const answer = result.answers.find(({ type }) => type === NetlinkMessage.NEWTFILTER);
    const filter = answer === undefined ? undefined : parseFilter(answer);
    if (filter === undefined) throw new UnsupportedError(what, "the kernel does not tell what filter it made");
    const fds = withoutLink(program, what, "a filter of tc (links came with tcx, Linux 6.6)", () => {
      try {
        deleteFilter(netlink, index, parent, filter);
        if (made) removeQdisc(netlink, index);
      } finally {
        netlink.close();
      }
    });
    return new LinuxLink(spec, fds);
  } catch (error) {
    if (made) removeQdisc(netlink, index);
    netlink.close();
    throw error;
  }
}

function filterFailure(what: string, spec: SpecOf<"tc">, errno: number, reason: string): Error {
  const cause = requestFailure(`filter for ${what}`, errno, reason);
  if (errno === Errno.EEXIST) {
    const place = `priority ${spec.priority ?? "chosen"}${spec.handle === undefined ? "" : `, handle ${spec.handle}`}`;
    return new UnsupportedError(what, `a filter is there already with ${place}: choose another`, { cause });
  }
  if (errno === Errno.ENOENT) {
    const missing = builtWithout(what, "CONFIG_NET_CLS_BPF");
    const why = "the kernel has no bpf filters (module cls_bpf): modprobe cls_bpf";
    return missing ?? new UnsupportedError(what, why, { cause });
  }
  return cause;
}
