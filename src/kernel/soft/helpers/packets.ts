/** Helpers on packets. */
import { ProgType } from "../../../isa/index.ts";
import { Errno } from "../../errno.ts";
import { DescriptorArray } from "../maps/array.ts";
import type { Packet } from "../packets.ts";
import type { Helper, HelperCall } from "./call.ts";

/** `XDP_REDIRECT`, `XDP_ABORTED`, `TC_ACT_REDIRECT`, `TC_ACT_SHOT`. */
const XDP_REDIRECT = 4;
const TC_ACT_REDIRECT = 7;
const TC_ACT_SHOT = 2;
/** Flags of `bpf_l3_csum_replace` and `bpf_l4_csum_replace`: the field's size; whether UDP's zero means none, or the field is in the pseudo header. */
const FIELD_MASK = 0xf;
const MARK_MANGLED_0 = 0x20;
const MARK_ENFORCE = 0x40;
/** Most bytes that `bpf_csum_diff` takes (MAX_BPF_STACK of the kernel). */
const MOST_DIFF = 512;

function load(packet: Packet | undefined, call: HelperCall, offset: number, to: number, size: number): number {
  const destination = call.pointer(to, size, true);
  const from = packet?.at(offset, size) ?? -1;
  if (from < 0) {
    call.memory.bytes.fill(0, destination, destination + size);
    return -Errno.EFAULT;
  }
  call.memory.bytes.copyWithin(destination, from, from + size);
  return 0;
}

function store(packet: Packet | undefined, call: HelperCall, offset: number, from: number, size: number): number {
  const source = call.pointer(from, size);
  const to = packet?.at(offset, size) ?? -1;
  if (to < 0) return -Errno.EFAULT;
  call.memory.bytes.copyWithin(to, source, source + size);
  return 0;
}

/** The sum of 16-bit words in one's complement, folded to 16 bits. */
function fold(sum: number): number {
  let s = sum;
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x1_0000);
  return s;
}

/** A number of 32 bits as the sum of its halves. */
function halves(value: number): number {
  return (value & 0xffff) + (value >>> 16);
}

/** Replaces a difference in a checksum (RFC 1624). */
function replaceSum(call: HelperCall, offset: number, change: number, udp: boolean, enforce: boolean): number {
  const at = call.services.packet()?.at(offset, 2) ?? -1;
  if (at < 0) return -Errno.EFAULT;
  const { view } = call.memory;
  const old = view.getUint16(at, true);
  if (udp && !enforce && old === 0) return 0;
  let sum = ~fold((~old & 0xffff) + change) & 0xffff;
  if (udp && sum === 0) sum = 0xffff;
  view.setUint16(at, sum, true);
  return 0;
}

/** `from` out, `to` in: the difference of sums. With size 0, `to` is a difference already. */
function difference(call: HelperCall, size: number): number | undefined {
  const from = call.u32(2);
  const to = call.u32(3);
  switch (size) {
    case 0:
      return from === 0 ? halves(to) : undefined;
    case 2:
      return (~from & 0xffff) + (to & 0xffff);
    case 4:
      return halves(~from >>> 0) + halves(to);
    default:
      return undefined;
  }
}

const redirect: Helper = (call) => {
  const packet = call.services.packet();
  const flags = call.u32(1);
  const isXdp = call.services.programType() === ProgType.XDP;
  // XDP knows no flags, classifiers only BPF_F_INGRESS.
  if (packet === undefined || (flags & ~(isXdp ? 0 : 1)) !== 0) return isXdp ? 0 : TC_ACT_SHOT;
  packet.redirect = { ifindex: call.u32(0), flags };
  return isXdp ? XDP_REDIRECT : TC_ACT_REDIRECT;
};

/** Flags of `bpf_redirect_map`: the low bits are the verdict for an empty entry. */
const MISS_MASK = 0x3;

const redirectMap: Helper = (call) => {
  const map = call.map(0);
  const packet = call.services.packet();
  const index = call.u32(1);
  const flags = call.u32(2);
  const id = map instanceof DescriptorArray ? map.idAt(index) : 0;
  if (packet === undefined || id === 0) return flags & MISS_MASK;
  packet.redirect = { ifindex: id, flags };
  return XDP_REDIRECT;
};

/** By their names without `bpf_`. */
export const packetHelpers: Readonly<Record<string, Helper>> = {
  xdp_adjust_head: (call) => (call.services.packet()?.adjustHead(call.s32(1)) ? 0 : -Errno.EINVAL),
  xdp_adjust_tail: (call) => (call.services.packet()?.adjustTail(call.s32(1)) ? 0 : -Errno.EINVAL),
  xdp_adjust_meta: (call) => (call.services.packet()?.adjustMeta(call.s32(1)) ? 0 : -Errno.EINVAL),
  xdp_get_buff_len: (call) => call.services.packet()?.length ?? 0,
  xdp_load_bytes: (call) => load(call.services.packet(), call, call.u32(1), 2, call.u32(3)),
  xdp_store_bytes: (call) => store(call.services.packet(), call, call.u32(1), 2, call.u32(3)),
  skb_load_bytes: (call) => load(call.services.packet(), call, call.u32(1), 2, call.u32(3)),
  skb_store_bytes: (call) => store(call.services.packet(), call, call.u32(1), 2, call.u32(3)),
  // All of a packet is in one piece.
  skb_pull_data: (call) => (call.u32(1) <= (call.services.packet()?.length ?? 0) ? 0 : -Errno.ENOMEM),
  l3_csum_replace(call) {
    const flags = call.u32(4);
    if ((flags & ~FIELD_MASK) !== 0 || call.u32(1) % 2 !== 0) return -Errno.EINVAL;
    const changed = difference(call, flags & FIELD_MASK);
    return changed === undefined ? -Errno.EINVAL : replaceSum(call, call.u32(1), changed, false, false);
  },
  l4_csum_replace(call) {
    const flags = call.u32(4);
    const known = FIELD_MASK | 0x10 | MARK_MANGLED_0 | MARK_ENFORCE;
    if ((flags & ~known) !== 0 || call.u32(1) % 2 !== 0) return -Errno.EINVAL;
    const changed = difference(call, flags & FIELD_MASK);
    if (changed === undefined) return -Errno.EINVAL;
    return replaceSum(call, call.u32(1), changed, (flags & MARK_MANGLED_0) !== 0, (flags & MARK_ENFORCE) !== 0);
  },
  csum_diff(call) {
    const [fromSize, toSize] = [call.u32(1), call.u32(3)];
    if ((fromSize | toSize) % 4 !== 0 || fromSize + toSize > MOST_DIFF) return -Errno.EINVAL;
    let sum = halves(call.u32(4));
    const add = (index: number, size: number, invert: boolean): void => {
      if (size === 0) return;
      const at = call.pointer(index, size);
      for (let i = 0; i < size; i += 2) {
        const word = call.memory.view.getUint16(at + i, true);
        sum += invert ? ~word & 0xffff : word;
      }
    };
    add(0, fromSize, true);
    add(2, toSize, false);
    return fold(sum);
  },
  redirect,
  redirect_map: redirectMap,
};
