/**
 * Captured packets from files: pcap (magic a1b2c3d4 and its variants) and pcapng (IETF draft-ietf-opsawg-pcapng), in either byte order, read
 * as they come. What is damaged ends the reading there.
 */
import { SkepError } from "../../base/index.ts";

/** A packet as it was captured. */
export interface CapturedPacket {
  readonly bytes: Uint8Array;
  /** Length on the wire; more than there are bytes when it was cut. */
  readonly length: number;
  /** Nanoseconds since 1970. */
  readonly time: bigint;
  /** Which interface of the file it came in on, from 0. */
  readonly interfaceIndex: number;
}

/** `LINKTYPE_ETHERNET`. */
export const LINKTYPE_ETHERNET = 1;
/** Packets longer than this are damage. */
const MOST_PACKET = 1 << 24;

/** Where bytes come from: as many as there are, at most as many as wanted. */
export type ReadBytes = (position: number, length: number) => Uint8Array;

/** A capture under way. */
export class CaptureReader {
  /** `LINKTYPE_*` of each interface, as they are seen. */
  readonly linkTypes: number[] = [];
  /** Where and how the file is damaged, once that was seen. */
  damage: { readonly position: number; readonly what: string } | undefined;
  private readonly read: ReadBytes;
  private readonly name: string;
  private readonly first: DataView;

  /** Throws SkepError code `capture` for a file that is none. */
  constructor(name: string, read: ReadBytes) {
    this.name = name;
    this.read = read;
    const head = read(0, 24);
    this.first = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const isKnown = head.length >= 12 && (this.classic() !== undefined || this.first.getUint32(0) === BLOCK_SECTION);
    if (!isKnown) {
      throw new SkepError("capture", `${name}: is neither pcap nor pcapng (tcpdump -w and Wireshark write them)`, {
        exitStatus: 2,
      });
    }
  }

  /** Byte order and unit of time of a pcap file; undefined for others. */
  private classic(): { readonly little: boolean; readonly nanoseconds: boolean } | undefined {
    for (const little of [true, false]) {
      const magic = this.first.getUint32(0, little);
      if (magic === 0xa1b2_c3d4) return { little, nanoseconds: false };
      if (magic === 0xa1b2_3c4d) return { little, nanoseconds: true };
    }
    return undefined;
  }

  /** The packets, in the order of the file. */
  packets(): Generator<CapturedPacket> {
    const classic = this.classic();
    return classic === undefined ? this.pcapng() : this.pcap(classic.little, classic.nanoseconds);
  }

  private broken(position: number, what: string): void {
    this.damage = { position, what };
  }

  private *pcap(little: boolean, nanoseconds: boolean): Generator<CapturedPacket> {
    if (this.first.byteLength < 24) return this.broken(0, "the file ends inside of its head");
    this.linkTypes.push(this.first.getUint32(20, little) & 0x0fff_ffff);
    for (let at = 24; ;) {
      const head = this.read(at, 16);
      if (head.length === 0) return;
      if (head.length < 16) return this.broken(at, "the file ends inside of a packet's head");
      const view = new DataView(head.buffer, head.byteOffset);
      const size = view.getUint32(8, little);
      if (size > MOST_PACKET) return this.broken(at, `a packet of ${size} bytes`);
      const bytes = this.read(at + 16, size);
      if (bytes.length < size) return this.broken(at, "the file ends inside of a packet");
      const fraction = BigInt(view.getUint32(4, little)) * (nanoseconds ? 1n : 1000n);
      const time = BigInt(view.getUint32(0, little)) * 1_000_000_000n + fraction;
      yield { bytes, length: view.getUint32(12, little), time, interfaceIndex: 0 };
      at += 16 + size;
    }
  }

  private *pcapng(): Generator<CapturedPacket> {
    let little = true;
    let interfaces: { readonly resolution: bigint; readonly snap: number }[] = [];
    let base = 0;
    for (let at = 0; ;) {
      const head = this.read(at, 12);
      if (head.length === 0) return;
      if (head.length < 12) return this.broken(at, "the file ends inside of a block's head");
      const view = new DataView(head.buffer, head.byteOffset);
      const type = view.getUint32(0, little);
      if (view.getUint32(0) === BLOCK_SECTION) {
        const order = view.getUint32(8, true);
        if (order !== BYTE_ORDER && view.getUint32(8) !== BYTE_ORDER)
          return this.broken(at, "a section without its byte order");
        little = order === BYTE_ORDER;
        interfaces = [];
        base = this.linkTypes.length;
      }
      const total = view.getUint32(4, little);
      if (total < 12 || total % 4 !== 0 || total > MOST_PACKET) return this.broken(at, `a block of ${total} bytes`);
      const block = this.read(at, total);
      if (block.length < total) return this.broken(at, "the file ends inside of a block");
      const body = new DataView(block.buffer, block.byteOffset + 8, total - 12);
      if (type === BLOCK_INTERFACE && body.byteLength >= 8) {
        this.linkTypes.push(body.getUint16(0, little));
        interfaces.push({ resolution: resolutionOf(body, little), snap: body.getUint32(4, little) });
      } else if (type === BLOCK_PACKET && body.byteLength >= 20) {
        const index = body.getUint32(0, little);
        const from = interfaces[index];
        const size = body.getUint32(12, little);
        if (from === undefined || 20 + size > body.byteLength)
          return this.broken(at, "a packet block that contradicts itself");
        const ticks = (BigInt(body.getUint32(4, little)) << 32n) | BigInt(body.getUint32(8, little));
        const bytes = block.slice(28, 28 + size);
        const time = (ticks * 1_000_000_000n) / from.resolution;
        yield { bytes, length: body.getUint32(16, little), time, interfaceIndex: base + index };
      } else if (type === BLOCK_SIMPLE && body.byteLength >= 4 && interfaces[0] !== undefined) {
        const length = body.getUint32(0, little);
        const size = Math.min(length, body.byteLength - 4, interfaces[0].snap || length);
        yield { bytes: block.slice(12, 12 + size), length, time: 0n, interfaceIndex: base };
      }
      at += total;
    }
  }

  /** Throws SkepError unless all packets so far begin with an Ethernet header. */
  requireEthernet(): void {
    const other = this.linkTypes.find((type) => type !== LINKTYPE_ETHERNET);
    if (other === undefined) return;
    throw new SkepError(
      "capture",
      `${this.name}: packets of link type ${other}: programs see Ethernet frames (link type ${LINKTYPE_ETHERNET})`,
      { exitStatus: 2 },
    );
  }
}

const BLOCK_SECTION = 0x0a0d_0d0a;
const BLOCK_INTERFACE = 1;
const BLOCK_SIMPLE = 3;
const BLOCK_PACKET = 6;
const BYTE_ORDER = 0x1a2b_3c4d;
/** Option `if_tsresol`. */
const OPTION_RESOLUTION = 9;

/** Ticks a second of an interface: by its option, else a million. */
function resolutionOf(body: DataView, little: boolean): bigint {
  for (let at = 8; at + 4 <= body.byteLength;) {
    const code = body.getUint16(at, little);
    const length = body.getUint16(at + 2, little);
    if (code === 0) break;
    if (code === OPTION_RESOLUTION && length >= 1 && at + 4 < body.byteLength) {
      const value = body.getUint8(at + 4);
      return value & 0x80 ? 1n << BigInt(value & 0x7f) : 10n ** BigInt(value);
    }
    at += 4 + ((length + 3) & ~3);
  }
  return 1_000_000n;
}
