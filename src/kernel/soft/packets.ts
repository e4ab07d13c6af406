/** Packets in the memory of programs, and the contexts through which programs see them: `struct xdp_md` and `struct __sk_buff`. */
import { ProgType } from "../../isa/index.ts";
import type { VmMemory } from "../../vm/index.ts";

/** Room in front of a packet (XDP_PACKET_HEADROOM of the kernel). */
const HEADROOM = 256;
/** Room behind a packet that programs may grow it into. */
const TAILROOM = 256;
/** Bytes of an Ethernet header: no XDP program may make a packet shorter. */
export const ETHERNET_HEADER = 14;
/** What the kernel keeps at the start of the headroom while a packet is redirected (`struct xdp_frame`). */
const FRAME_HEADER = 40;
/** Most bytes of metadata in front of a packet. */
const MOST_META = 255;

/** Offsets in the contexts. */
const Xdp = { DATA: 0, DATA_END: 4, DATA_META: 8, INGRESS_IFINDEX: 12, SIZE: 24 } as const;
const Skb = {
  LEN: 0,
  PROTOCOL: 16,
  INGRESS_IFINDEX: 36,
  IFINDEX: 40,
  DATA: 76,
  DATA_END: 80,
  DATA_META: 140,
  WIRE_LEN: 160,
  SIZE: 192,
} as const;

/** What else a packet comes with. */
export interface PacketOptions {
  /** Index of the interface that it came in on. */
  readonly ifindex?: number;
  /** Programs that see packets from the network header on (socket filters of the kernel's test run, cgroups): bytes to skip. */
  readonly skip?: number;
}

/** A packet that a program runs on. */
export class Packet {
  private readonly memory: VmMemory;
  private readonly buffer: number;
  private readonly bufferBytes: number;
  private readonly isXdp: boolean;
  /** Offset of the context. */
  readonly context: number;
  private readonly contextBytes: number;
  private start: number;
  private end: number;
  private meta: number;
  /** Where `bpf_redirect` sends it. */
  redirect: { readonly ifindex: number; readonly flags: number } | undefined;

  constructor(memory: VmMemory, programType: number, bytes: Uint8Array, options: PacketOptions = {}) {
    this.memory = memory;
    this.isXdp = programType === ProgType.XDP;
    this.bufferBytes = HEADROOM + ((bytes.length + 7) & ~7) + TAILROOM;
    this.buffer = memory.allocate(this.bufferBytes);
    this.contextBytes = this.isXdp ? Xdp.SIZE : Skb.SIZE;
    this.context = memory.allocate(this.contextBytes, this.isXdp ? "read" : "read-write");
    this.start = this.buffer + HEADROOM + (options.skip ?? 0);
    this.end = this.buffer + HEADROOM + bytes.length;
    this.meta = this.start;
    memory.bytes.set(bytes, this.buffer + HEADROOM);
    const { view } = memory;
    const ifindex = options.ifindex ?? 1;
    if (this.isXdp) view.setUint32(this.context + Xdp.INGRESS_IFINDEX, ifindex, true);
    else {
      view.setUint32(this.context + Skb.INGRESS_IFINDEX, ifindex, true);
      view.setUint32(this.context + Skb.IFINDEX, ifindex, true);
      // The EtherType, in network order as the kernel has it.
      if (bytes.length >= ETHERNET_HEADER)
        view.setUint32(this.context + Skb.PROTOCOL, bytes[12]! | (bytes[13]! << 8), true);
    }
    this.expose();
  }

  /** Gives the memory back. */
  close(): void {
    this.memory.release(this.buffer, this.bufferBytes);
    this.memory.release(this.context, this.contextBytes);
  }

  /** Bytes from the first that programs see. */
  get length(): number {
    return this.end - this.start;
  }

  /** Offset of the first byte. */
  get data(): number {
    return this.start;
  }

  /** A copy of the packet as it is now. */
  bytes(): Uint8Array {
    return this.memory.bytes.slice(this.start, this.end);
  }

  /** Lets the program touch the packet and nothing around it, up to seven bytes in front that share a note with its first. */
  private expose(): void {
    const { memory, buffer } = this;
    memory.forbid(buffer, this.bufferBytes);
    const from = this.meta & ~7;
    memory.permit(from, this.end - from, "read-write");
    const { isXdp, context } = this;
    const { view } = memory;
    const fields = isXdp ? Xdp : Skb;
    view.setUint32(context + fields.DATA, this.start, true);
    view.setUint32(context + fields.DATA_END, this.end, true);
    view.setUint32(context + fields.DATA_META, this.meta, true);
    if (!isXdp) {
      view.setUint32(context + Skb.LEN, this.length, true);
      view.setUint32(context + Skb.WIRE_LEN, this.length, true);
    }
  }

  /** `bpf_xdp_adjust_head`: false when there is no room, or too little is left. */
  adjustHead(by: number): boolean {
    const start = this.start + by;
    const metaBytes = this.start - this.meta;
    if (start < this.buffer + FRAME_HEADER + metaBytes || start > this.end - ETHERNET_HEADER) return false;
    if (metaBytes > 0) this.memory.bytes.copyWithin(start - metaBytes, this.meta, this.start);
    this.start = start;
    this.meta = start - metaBytes;
    this.expose();
    return true;
  }

  /** `bpf_xdp_adjust_tail`; what is added is zero. */
  adjustTail(by: number): boolean {
    const end = this.end + by;
    if (end > this.buffer + this.bufferBytes || end < this.start + ETHERNET_HEADER) return false;
    if (by > 0) this.memory.bytes.fill(0, this.end, end);
    this.end = end;
    this.expose();
    return true;
  }

  /** `bpf_xdp_adjust_meta`: at most 255 bytes, in fours. */
  adjustMeta(by: number): boolean {
    const meta = this.meta + by;
    if (meta < this.buffer + FRAME_HEADER || meta > this.start) return false;
    if ((this.start - meta) % 4 !== 0 || this.start - meta > MOST_META) return false;
    this.meta = meta;
    this.expose();
    return true;
  }

  /** Offset of bytes of the packet; -1 when they are not all in it. */
  at(offset: number, size: number): number {
    return offset < 0 || size < 0 || offset + size > this.length ? -1 : this.start + offset;
  }
}
