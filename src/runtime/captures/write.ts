/** Packets to a pcap file: little-endian, nanoseconds. */
import { LINKTYPE_ETHERNET } from "./read.ts";

const MOST_BYTES = 262_144;

/** What a pcap file of Ethernet frames begins with. */
export function pcapHead(): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(0, 0xa1b2_3c4d, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, MOST_BYTES, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return new Uint8Array(view.buffer);
}

/** A packet with its head. `time`: nanoseconds since 1970. */
export function pcapPacket(bytes: Uint8Array, time: bigint): Uint8Array {
  const out = new Uint8Array(16 + bytes.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, Number(time / 1_000_000_000n), true);
  view.setUint32(4, Number(time % 1_000_000_000n), true);
  view.setUint32(8, bytes.length, true);
  view.setUint32(12, bytes.length, true);
  out.set(bytes, 16);
  return out;
}
