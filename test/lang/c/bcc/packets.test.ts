/** `<bcc/proto.h>` in the kernel: members of headers, read and written through the packet. */
import { afterAll, expect, test } from "vitest";
import { ProgType } from "../../../../src/isa/index.ts";
import { kernelBtf } from "../../../../src/kernel/linux/index.ts";
import { LinuxKernel } from "../../../../src/kernel/linux/linux.ts";
import { describeWith } from "../../../support/needs.ts";
import { compile } from "./support.ts";

/** Ethernet, IPv4 and UDP with four bytes of contents. */
const packet = Uint8Array.from(
  `021122334455 02aabbccddee 0800
   45 b8 0020 1234 4000 40 11 dead 0a000001 0a000002
   3039 0035 000c 0000 01020304`.match(/[0-9a-f]{2}/g)!,
  (byte) => Number.parseInt(byte, 16),
);

const CURSOR = `#include <bcc/proto.h>
#define HEADERS u8 *cursor = 0; \\
  struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet)); \\
  struct ip_t *ip = cursor_advance(cursor, sizeof(*ip)); \\
  struct udp_t *udp = cursor_advance(cursor, sizeof(*udp));
`;

/** A body and what it returns; what a program writes, it reads again. */
const reads: readonly (readonly [string, number])[] = [
  ["return ethernet->type;", 0x0800],
  ["return ethernet->dst == 0x021122334455ull;", 1],
  ["return ethernet->src >> 16;", 0x02aabbcc],
  ["return ip->ver * 16 + ip->hlen;", 0x45],
  ["return ip->df * 2 + ip->mf;", 2],
  ["return ip->ttl * 256 + ip->nextp;", 0x4011],
  ["return ip->dst;", 0x0a000002],
  ["return udp->dport;", 53],
  ["return udp->sport == 12345 ? udp->length : 0;", 12],
  ["return load_word(skb, 42);", 0x01020304],
  ["return load_dword(skb, 38) >> 48;", 12],
];

const writes: readonly (readonly [string, number])[] = [
  ["udp->dport = 8080; return udp->dport;", 8080],
  ["ip->ttl = 3; return ip->ttl * 256 + ip->nextp;", 0x0311],
  ["ip->ver = 6; return ip->ver * 16 + ip->hlen;", 0x65],
  ["ip->dst = 0x01020304; return ip->dst;", 0x01020304],
  ["ethernet->src = 0xa1b2c3d4e5ull; return ethernet->src & 0xffffffff;", 0xb2c3d4e5],
  ["u16 was = ip->tlen; ip->tlen = 64; incr_cksum_l3((void *)24, was, (u16)64); return ip->hchecksum;", 0xde8d],
];

describeWith(["linux", "root", "bpf", "vmlinuxBtf"], "packets", () => {
  const kernel = new LinuxKernel();
  afterAll(() => kernel.close());
  test.each([...reads, ...writes])("%s %i", (body, expected) => {
    const text = `${CURSOR}int prog(struct __sk_buff *skb) { HEADERS ${body} }`;
    const { object } = compile(text, { kernelTypes: kernelBtf(), sameKernel: true });
    // The type is a guess: whoever loads the program says which. Test runs hand classifiers the packet with its Ethernet header.
    const programs = object.programs.map((program) => ({ ...program, type: ProgType.SCHED_CLS }));
    const loaded = kernel.load({ ...object, programs });
    try {
      expect(loaded.program("prog").testRun(packet)).toBe(expected);
    } finally {
      loaded.close();
    }
  });
});
