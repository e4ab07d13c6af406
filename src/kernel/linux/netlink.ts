/**
 * A small client of rtnetlink(7): one request, its answers, and the kernel's own words when it refuses. Messages are
 * `struct nlmsghdr`, a header of their type, and attributes of `{u16 length, u16 type}` padded to 4 bytes.
 */
import { SyscallError, UnsupportedError } from "../../base/index.ts";
import { Errno, errnoMeaning, errnoName } from "../errno.ts";
import { OwnedFd } from "./fd.ts";
import { NativeMemory } from "./memory.ts";
import { syscall3, syscall6 } from "./sys.ts";

/** Types of messages. */
export const NetlinkMessage = {
  ERROR: 2,
  DONE: 3,
  NEWLINK: 16,
  GETLINK: 18,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
} as const;

/** Flags of requests. */
export const NetlinkFlag = {
  REQUEST: 0x1,
  ACK: 0x4,
  /** The kernel answers with what it made. */
  ECHO: 0x8,
  EXCL: 0x200,
  CREATE: 0x400,
  /** All entries. */
  DUMP: 0x300,
} as const;

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
/** The refused request is left out of the answer. */
const NETLINK_CAP_ACK = 10;
/** The answer has attributes. */
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const ERROR_HEADER = 4 + 16;
const HEADER = 16;
/** Above the kernel's largest datagram of a dump (32 KiB). */
const RECEIVE_BYTES = 1 << 17;
const NESTED = 0x8000;

const text = new TextDecoder();
const encoder = new TextEncoder();

/** An attribute to send: a number of 32 bits, text with its NUL, bytes, or attributes inside. */
export type NetlinkAttribute = readonly [
  type: number,
  value: number | string | Uint8Array | readonly NetlinkAttribute[],
];

function align(size: number): number {
  return (size + 3) & ~3;
}

function encodeAttributes(attributes: readonly NetlinkAttribute[]): Uint8Array {
  const pieces = attributes.map(([type, value]) => {
    const nested = Array.isArray(value);
    let bytes: Uint8Array;
    if (typeof value === "number") bytes = new Uint8Array(Uint32Array.of(value).buffer);
    else if (typeof value === "string") bytes = encoder.encode(`${value}\0`);
    else if (value instanceof Uint8Array) bytes = value;
    else bytes = encodeAttributes(value as readonly NetlinkAttribute[]);
    const piece = new Uint8Array(align(4 + bytes.length));
    const view = new DataView(piece.buffer);
    view.setUint16(0, 4 + bytes.length, true);
    view.setUint16(2, nested ? type | NESTED : type, true);
    piece.set(bytes, 4);
    return piece;
  });
  return Buffer.concat(pieces);
}

/** Attributes of a message, by type; of equal types the last. */
export class NetlinkAttributes {
  private readonly found: Map<number, Uint8Array>;

  constructor(bytes: Uint8Array) {
    this.found = new Map();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 4 <= bytes.length;) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > bytes.length) break;
      this.found.set(view.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + length));
      at += align(length);
    }
  }

  /** Text without its NUL. */
  string(type: number): string | undefined {
    const bytes = this.found.get(type);
    return bytes === undefined ? undefined : text.decode(bytes).replace(/\0.*$/s, "");
  }

  /** A number of 8 or 32 bits. */
  number(type: number): number | undefined {
    const bytes = this.found.get(type);
    if (bytes === undefined) return undefined;
    return bytes.length >= 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) : bytes[0];
  }

  /** The attributes inside one. */
  nested(type: number): NetlinkAttributes {
    return new NetlinkAttributes(this.found.get(type) ?? new Uint8Array(0));
  }
}

/** A message of the kernel. */
export interface NetlinkAnswer {
  readonly type: number;
  /** What follows the header: the type's own structure, then attributes. */
  readonly body: Uint8Array;
}

/** What is asked. */
export interface NetlinkRequest {
  /** `NetlinkMessage.*` */
  readonly type: number;
  /** `NetlinkFlag.*`; REQUEST and ACK are added. */
  readonly flags?: number;
  /** The type's own structure. */
  readonly header: Uint8Array;
  readonly attributes?: readonly NetlinkAttribute[];
}

/** What came back: the answers, or the kernel's refusal. */
export type NetlinkResult =
  | { readonly errno: 0; readonly answers: readonly NetlinkAnswer[] }
  | { readonly errno: number; readonly reason: string };

/** A socket to the kernel's network configuration, of the network namespace that the process is in when it is made. */
export class Netlink {
  private readonly fd: OwnedFd;
  private readonly memory: NativeMemory;
  private sequence = 0;

  /** Throws UnsupportedError when the kernel has none, SyscallError else. */
  constructor() {
    const fd = syscall3("socket", AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
    if (fd === -Errno.EAFNOSUPPORT)
      throw new UnsupportedError("network configuration", "this kernel has no netlink (CONFIG_NET)");
    if (fd < 0) throw new SyscallError("socket(AF_NETLINK)", -fd, errnoName(-fd), errnoMeaning(-fd));
    this.fd = new OwnedFd(fd, "netlink socket");
    this.memory = new NativeMemory(RECEIVE_BYTES);
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK]) {
      this.memory.view.setUint32(0, 1, true);
      // Kernels before 4.12 do without reasons.
      syscall6("setsockopt", fd, SOL_NETLINK, option, this.memory.address, 4);
    }
  }

  /** Sends a request and reads until the kernel is done with it. */
  request(request: NetlinkRequest): NetlinkResult {
    const { bytes, view, address } = this.memory;
    const attributes = encodeAttributes(request.attributes ?? []);
    const headerEnd = HEADER + align(request.header.length);
    const size = headerEnd + attributes.length;
    const sequence = ++this.sequence;
    const isDump = ((request.flags ?? 0) & NetlinkFlag.DUMP) === NetlinkFlag.DUMP;
    bytes.fill(0, 0, size);
    view.setUint32(0, size, true);
    view.setUint16(4, request.type, true);
    view.setUint16(6, (request.flags ?? 0) | NetlinkFlag.REQUEST | (isDump ? 0 : NetlinkFlag.ACK), true);
    view.setUint32(8, sequence, true);
    bytes.set(request.header, HEADER);
    bytes.set(attributes, headerEnd);
    const sent = syscall6("sendto", this.fd.value, address, size, 0);
    if (sent < 0) return { errno: -sent, reason: "" };
    const answers: NetlinkAnswer[] = [];
    for (;;) {
      const received = syscall6("recvfrom", this.fd.value, address, this.memory.size, 0);
      if (received === -Errno.EINTR) continue;
      if (received < 0) return { errno: -received, reason: "" };
      for (let at = 0; at + HEADER <= received;) {
        const length = view.getUint32(at, true);
        if (length < HEADER || at + length > received) break;
        const type = view.getUint16(at + 4, true);
        const isOurs = view.getUint32(at + 8, true) === sequence;
        if (isOurs && type === NetlinkMessage.DONE) return { errno: 0, answers };
        if (isOurs && type === NetlinkMessage.ERROR) {
          const errno = -view.getInt32(at + HEADER, true);
          if (errno === 0) return { errno: 0, answers };
          const flags = view.getUint16(at + 6, true);
          return { errno, reason: flags & NLM_F_ACK_TLVS ? this.reason(at, length) : "" };
        }
        if (isOurs) answers.push({ type, body: bytes.slice(at + HEADER, at + length) });
        at += align(length);
      }
    }
  }

  private reason(at: number, length: number): string {
    const attributes = this.memory.bytes.slice(at + HEADER + ERROR_HEADER, at + length);
    return new NetlinkAttributes(attributes).string(NLMSGERR_ATTR_MSG) ?? "";
  }

  close(): void {
    if (this.fd.isClosed) return;
    this.fd.close();
    this.memory.free();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
