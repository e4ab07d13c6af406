/** Network interfaces of the namespace that this process is in, as netlink tells of them. /sys may show another namespace's. */
import { SyscallError, UnsupportedError, nearestNames } from "../../base/index.ts";
import { Errno, errnoMeaning, errnoName } from "../errno.ts";
import { Netlink, NetlinkAttributes, NetlinkFlag, NetlinkMessage } from "./netlink.ts";

/** Bytes of `struct ifinfomsg`, and where the index is. */
const IFINFO_SIZE = 16;
const IFINFO_INDEX = 4;

/** Attributes of links, of their XDP programs and of their kind (linux/if_link.h). */
const Attribute = {
  IFNAME: 3,
  LINKINFO: 18,
  XDP: 43,
  INFO_KIND: 1,
  XDP_ATTACHED: 2,
  XDP_PROG_ID: 4,
} as const;

/** How an XDP program is attached: `XDP_ATTACHED_*`. */
const attachedModes = [undefined, "driver", "generic", "offload", "several modes"] as const;

/** A network interface. */
export interface NetworkInterface {
  readonly index: number;
  readonly name: string;
  /** `veth`, `netkit`, `dummy`; empty for devices of hardware and `lo`. */
  readonly kind: string;
  /** The XDP program that runs there, by a link or set by netlink. */
  readonly xdp?: { readonly mode: string; readonly programId: number };
}

function parse(body: Uint8Array): NetworkInterface {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = new NetlinkAttributes(body.subarray(IFINFO_SIZE));
  const xdp = attributes.nested(Attribute.XDP);
  const mode = attachedModes[xdp.number(Attribute.XDP_ATTACHED) ?? 0];
  return {
    index: view.getInt32(IFINFO_INDEX, true),
    name: attributes.string(Attribute.IFNAME) ?? "",
    kind: attributes.nested(Attribute.LINKINFO).string(Attribute.INFO_KIND) ?? "",
    ...(mode === undefined ? {} : { xdp: { mode, programId: xdp.number(Attribute.XDP_PROG_ID) ?? 0 } }),
  };
}

/** All interfaces, by index. Throws SyscallError. */
export function networkInterfaces(): NetworkInterface[] {
  using netlink = new Netlink();
  const header = new Uint8Array(IFINFO_SIZE);
  const result = netlink.request({ type: NetlinkMessage.GETLINK, flags: NetlinkFlag.DUMP, header });
  if (!("answers" in result)) throw requestFailure("list of interfaces", result.errno, result.reason);
  return result.answers.map(({ body }) => parse(body)).toSorted((a, b) => a.index - b.index);
}

/** An interface by name or index. Throws UnsupportedError with near names when there is none; `what` is what wants it. */
export function networkInterface(what: string, device: string | number): NetworkInterface {
  using netlink = new Netlink();
  const header = new Uint8Array(IFINFO_SIZE);
  if (typeof device === "number") new DataView(header.buffer).setInt32(IFINFO_INDEX, device, true);
  const result = netlink.request({
    type: NetlinkMessage.GETLINK,
    header,
    attributes: typeof device === "string" ? [[Attribute.IFNAME, device]] : [],
  });
  if ("answers" in result) {
    const found = result.answers.find(({ type }) => type === NetlinkMessage.NEWLINK);
    if (found !== undefined) return parse(found.body);
  } else if (result.errno !== Errno.ENODEV && result.errno !== Errno.EINVAL && result.errno !== Errno.ERANGE) {
    throw requestFailure(`interface ${device}`, result.errno, result.reason);
  }
  const names = networkInterfaces().map(({ name }) => name);
  const near = typeof device === "string" ? nearestNames(device, names) : [];
  const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `there are ${names.join(", ")}`;
  const noun =
    typeof device === "string" ? `no network interface ${device}` : `no network interface with index ${device}`;
  throw new UnsupportedError(what, `there is ${noun} in this network namespace; ${hint}`);
}

/** The error of a request that netlink refused. */
export function requestFailure(what: string, errno: number, reason: string): SyscallError {
  return new SyscallError(`netlink(${what})`, errno, errnoName(errno), reason === "" ? errnoMeaning(errno) : reason);
}
