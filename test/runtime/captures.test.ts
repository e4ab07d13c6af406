/** Captures: both formats in both byte orders, units of time, and what is damaged. */
import { describe, expect, it } from "vitest";
import { CaptureReader, type CapturedPacket } from "../../src/runtime/captures/read.ts";
import { pcapHead, pcapPacket } from "../../src/runtime/captures/write.ts";

/** Numbers of 16 and 32 bits and bytes, one after the other. */
function pack(little: boolean, ...parts: readonly (readonly [16 | 32, number] | Uint8Array)[]): Uint8Array {
  const out: number[] = [];
  for (const part of parts) {
    if (part instanceof Uint8Array) out.push(...part);
    else {
      const [bits, value] = part as readonly [16 | 32, number];
      const bytes = Array.from({ length: bits / 8 }, (_, i) => Math.floor(value / 256 ** i) & 255);
      out.push(...(little ? bytes : bytes.toReversed()));
    }
  }
  return Uint8Array.from(out);
}

const frame = (n: number): Uint8Array => new Uint8Array(60 + n).fill(n);

function pcap(little: boolean, nanoseconds: boolean): Uint8Array {
  const head = pack(
    little,
    [32, nanoseconds ? 0xa1b2_3c4d : 0xa1b2_c3d4],
    [16, 2],
    [16, 4],
    [32, 0],
    [32, 0],
    [32, 65_535],
    [32, 1],
  );
  const packets = [1, 2, 3].map((n) => pack(little, [32, n], [32, 500], [32, 60 + n], [32, 90], frame(n)));
  return Buffer.concat([head, ...packets]);
}

function block(little: boolean, type: number, body: Uint8Array): Uint8Array {
  const padded = Buffer.concat([body, new Uint8Array((4 - (body.length % 4)) % 4)]);
  return pack(little, [32, type], [32, padded.length + 12], padded, [32, padded.length + 12]);
}

function pcapng(little: boolean): Uint8Array {
  const section = block(
    little,
    0x0a0d_0d0a,
    pack(little, [32, 0x1a2b_3c4d], [16, 1], [16, 0], [32, 0xffff_ffff], [32, 0xffff_ffff]),
  );
  // Nanoseconds by the option if_tsresol.
  const option = pack(little, [16, 9], [16, 1], Uint8Array.from([9, 0, 0, 0]), [16, 0], [16, 0]);
  const links = block(little, 1, pack(little, [16, 1], [16, 0], [32, 0], option));
  const packets = [1, 2, 3].map((n) => {
    const ticks = BigInt(n) * 1_000_000_000n + 500n;
    const time = [[32, Number(ticks >> 32n)] as const, [32, Number(ticks & 0xffff_ffffn)] as const];
    return block(little, 6, pack(little, [32, 0], ...time, [32, 60 + n], [32, 90], frame(n)));
  });
  const other = block(little, 0x0bad, new Uint8Array(8));
  return Buffer.concat([section, links, packets[0]!, other, packets[1]!, packets[2]!]);
}

function read(bytes: Uint8Array): { readonly packets: CapturedPacket[]; readonly reader: CaptureReader } {
  const reader = new CaptureReader("f", (at, n) => bytes.subarray(at, at + n));
  return { packets: [...reader.packets()], reader };
}

describe("captures", () => {
  const files: readonly (readonly [string, Uint8Array, bigint])[] = [
    ["pcap, little-endian", pcap(true, false), 500_000n],
    ["pcap, big-endian", pcap(false, false), 500_000n],
    ["pcap, nanoseconds", pcap(true, true), 500n],
    ["pcapng, little-endian", pcapng(true), 500n],
    ["pcapng, big-endian", pcapng(false), 500n],
  ];
  it.each(files)("%s", (_, bytes, fraction) => {
    const { packets, reader } = read(bytes);
    expect(reader.damage).toBeUndefined();
    expect(reader.linkTypes).toEqual([1]);
    expect(packets.map(({ time }) => time)).toEqual([1n, 2n, 3n].map((n) => n * 1_000_000_000n + fraction));
    expect(packets.map((packet) => [...packet.bytes])).toEqual([1, 2, 3].map((n) => [...frame(n)]));
    expect(packets[0]!.length).toBe(90);
  });

  it.each(files)("%s, cut off anywhere", (_, bytes) => {
    for (let cut = 24; cut < bytes.length; cut++) {
      const { packets, reader } = read(bytes.subarray(0, cut));
      const whole = [1, 2, 3].slice(0, packets.length);
      expect(packets.map((packet) => packet.bytes.length)).toEqual(whole.map((n) => 60 + n));
      expect(packets.length < 3 || reader.damage !== undefined || cut >= bytes.length - 4).toBe(true);
    }
  });

  it("are what the writer writes", () => {
    const bytes = Buffer.concat([pcapHead(), pcapPacket(frame(4), 1_700_000_000_123_456_789n)]);
    const { packets } = read(bytes);
    expect(packets).toHaveLength(1);
    expect(packets[0]!.time).toBe(1_700_000_000_123_456_789n);
    expect([...packets[0]!.bytes]).toEqual([...frame(4)]);
  });

  it("are told from other files, and other links from Ethernet", () => {
    expect(() => read(new TextEncoder().encode("this is some text, and no capture"))).toThrow(
      "neither pcap nor pcapng",
    );
    expect(() => read(new Uint8Array())).toThrow("neither pcap nor pcapng");
    const wifi = pcap(true, false);
    wifi[20] = 105;
    const { reader } = read(wifi);
    expect(() => reader.requireEthernet()).toThrow("link type 105");
  });

  it("with absurd lengths end there", () => {
    const bytes = pcap(true, false);
    bytes.set([0xff, 0xff, 0xff, 0x7f], 24 + 8);
    expect(read(bytes).reader.damage).toEqual({ position: 24, what: "a packet of 2147483647 bytes" });
  });
});
