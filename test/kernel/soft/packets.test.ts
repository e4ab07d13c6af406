/** Programs on packets: verdicts, packets afterwards and maps are those of the running kernel's test run. */
import { expect, it } from "vitest";
import { kernelTarget } from "../../../src/compiler/index.ts";
import { LinuxKernel } from "../../../src/kernel/linux/linux.ts";
import type { LinuxProgram } from "../../../src/kernel/linux/programs.ts";
import { type ExecutionMode, SoftKernel, type SoftProgram } from "../../../src/kernel/soft/index.ts";
import { compileC } from "../../../src/lang/c/index.ts";
import { kernelBtf } from "../../../src/kernel/linux/kernel-btf.ts";
import { describeWith } from "../../support/needs.ts";
import { Random } from "../../vm/machine/random-code.ts";

const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");

const prelude = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
char license[] SEC("license") = "GPL";
u64 seen[8];
`;

/** Programs named \`main\`. */
const programs: readonly (readonly [name: string, body: string])[] = [
  [
    "XDP that parses and counts",
    `SEC("xdp") int main(struct xdp_md *ctx) {
       void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; struct ethhdr *eth = data;
       if ((void *)(eth + 1) > end) return XDP_DROP;
       if (eth->h_proto != bpf_htons(0x0800)) { seen[0]++; return XDP_PASS; }
       struct iphdr *ip = (void *)(eth + 1); if ((void *)(ip + 1) > end) return XDP_ABORTED;
       seen[1] += ip->protocol; seen[2] = bpf_ntohl(ip->saddr);
       if (ip->protocol == 17) { struct udphdr *udp = (void *)ip + ip->ihl * 4; if ((void *)(udp + 1) > end) return XDP_DROP; seen[3] = bpf_ntohs(udp->dest); return XDP_TX; }
       return XDP_PASS; }`,
  ],
  [
    "XDP that changes head and tail",
    `SEC("xdp") int main(struct xdp_md *ctx) {
       u64 length = ctx->data_end - ctx->data; seen[0] = length; seen[1] = bpf_xdp_adjust_head(ctx, -16);
       void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; if (data + 16 > end) return XDP_DROP;
       __builtin_memset(data, 0xab, 16); seen[2] = bpf_xdp_adjust_tail(ctx, -4); seen[3] = bpf_xdp_adjust_head(ctx, 4096);
       seen[4] = bpf_xdp_adjust_tail(ctx, -4096); seen[5] = bpf_xdp_get_buff_len(ctx); return XDP_PASS; }`,
  ],
  [
    "XDP that redirects by a map",
    `struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 4); __type(key, u32); __type(value, u32); } devices SEC(".maps");
     SEC("xdp") int main(struct xdp_md *ctx) { seen[0] = bpf_redirect_map(&devices, 9, XDP_PASS); return bpf_redirect_map(&devices, 1, XDP_TX); }`,
  ],
  [
    "XDP that loads and stores bytes",
    `SEC("xdp") int main(struct xdp_md *ctx) {
       u8 buffer[8] = {}; seen[0] = bpf_xdp_load_bytes(ctx, 6, buffer, 6); seen[1] = *(u64 *)buffer;
       for (int i = 0; i < 6; i++) buffer[i] ^= 0x5a; seen[2] = bpf_xdp_store_bytes(ctx, 0, buffer, 6);
       seen[3] = bpf_xdp_load_bytes(ctx, 100000, buffer, 4); return XDP_PASS; }`,
  ],
  [
    "a classifier that rewrites an address and its checksums",
    `SEC("tc") int main(struct __sk_buff *skb) {
       u32 to = bpf_htonl(0x0a000001), from; u16 sum; seen[0] = skb->len; seen[1] = skb->protocol;
       if (bpf_skb_load_bytes(skb, 26, &from, 4)) return 2; seen[2] = from;
       seen[3] = bpf_l3_csum_replace(skb, 24, from, to, 4); seen[4] = bpf_l4_csum_replace(skb, 40, from, to, 0x10 | 0x20 | 4);
       seen[5] = bpf_skb_store_bytes(skb, 26, &to, 4, 0); seen[6] = bpf_csum_diff(&from, 4, &to, 4, 7); skb->mark = 5; skb->cb[1] = 3;
       seen[7] = bpf_skb_load_bytes(skb, 100000, &sum, 2); return 0; }`,
  ],
  [
    "a classifier that reads the packet directly",
    `SEC("tc") int main(struct __sk_buff *skb) {
       void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end; u64 sum = 0;
       for (int i = 0; i < 40; i++) { u8 *p = data + i; if ((void *)(p + 1) > end) break; sum = sum * 31 + *p; *p ^= 1; }
       seen[0] = sum; return sum & 1; }`,
  ],
];

/** Frames: IPv4 with UDP, IPv4 with TCP, another protocol, noise; of several lengths. */
function frames(): Uint8Array[] {
  const random = new Random(5);
  return Array.from({ length: 24 }, (_, n) => {
    const frame = new Uint8Array(42 + random.below(200)).map(() => random.below(256));
    if (n % 4 !== 3) {
      frame.set(n % 4 === 2 ? [0x86, 0xdd] : [0x08, 0x00], 12);
      frame[14] = 0x45;
      frame[23] = n % 4 === 0 ? 17 : 6;
    }
    return frame;
  });
}

const modes: readonly ExecutionMode[] = ["compiled", "interpreted"];

describeWith(["linux", "root", "bpf", "vmlinuxBtf"], "packets beside the running kernel", () => {
  it.each(programs)("%s", (_, body) => {
    const { object } = compileC(
      { name: "packet.bpf.c", text: prelude + body },
      { target: kernelTarget([6, 18]), kernelTypes: kernelBtf(), sameKernel: true },
    );
    using linux = new LinuxKernel();
    for (const mode of modes) {
      using theirs = linux.load(object);
      using soft = new SoftKernel({ mode });
      using ours = soft.load(object);
      for (const frame of frames()) {
        const a = (theirs.program("main") as LinuxProgram).run({ context: frame });
        const b = soft.runPacket(ours.program("main") as SoftProgram, frame);
        expect(b.verdict).toBe(a.returnValue);
        expect(hex(b.packet)).toBe(hex(a.output));
        const value = (loaded: typeof ours): string => hex(loaded.map(".bss").lookup(new Uint8Array(4))!);
        expect(value(ours)).toBe(value(theirs));
      }
    }
  });
});
