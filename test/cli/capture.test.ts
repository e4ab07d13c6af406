/** `skep run PROGRAM --pcap FILE`, as a user without privileges runs it. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CaptureReader } from "../../src/runtime/captures/read.ts";
import { pcapHead, pcapPacket } from "../../src/runtime/captures/write.ts";
import { bundleCli } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "skep-capture-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let entry: string;
beforeAll(async () => {
  entry = await bundleCli();
  chmodSync(folder, 0o777);
}, 60_000);

const SOURCE = `#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
const volatile __u32 cut = 4;
SEC("xdp") int filter(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > end) return XDP_ABORTED;
  __u32 key = eth->h_proto == bpf_htons(ETH_P_IP);
  __u64 *count = bpf_map_lookup_elem(&counts, &key);
  if (count) __sync_fetch_and_add(count, 1);
  if (!key) return XDP_DROP;
  bpf_xdp_adjust_tail(ctx, -(int)cut);
  return XDP_PASS;
}
SEC("tc") int other(struct __sk_buff *skb) { return skb->len > 64 ? 2 : 0; }
char license[] SEC("license") = "GPL";
`;

function skep(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const uid = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  return spawnSync(process.execPath, [entry, ...args], { ...uid, cwd: folder, encoding: "utf8" });
}

it("runs a program on packets, says its verdicts and maps, and writes what passes", () => {
  writeFileSync(join(folder, "prog.bpf.c"), SOURCE);
  const frames = [0x0800, 0x0806, 0x0800].map((type, n) => {
    const bytes = new Uint8Array(60 + n * 10).fill(n);
    bytes.set([type >> 8, type & 255], 12);
    return pcapPacket(bytes, BigInt(n) * 1_000_000_000n);
  });
  writeFileSync(join(folder, "in.pcap"), Buffer.concat([pcapHead(), ...frames]));
  const run = skep("run", "prog.bpf.c", "--pcap", "in.pcap", "-w", "out.pcap", "--only", "filter", "--set", "cut=6");
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
  expect(run.stdout).toMatch(/^PASS +2 packets +140 bytes\nDROP +1 packets +70 bytes\n/);
  expect(run.stdout).toMatch(/\[0\] = 1\n\s*\[1\] = 2/);
  const written = readFileSync(join(folder, "out.pcap"));
  const reader = new CaptureReader("out", (at, n) => written.subarray(at, at + n));
  expect([...reader.packets()].map(({ bytes, time }) => [bytes.length, time])).toEqual([
    [54, 0n],
    [74, 2_000_000_000n],
  ]);
  const tc = skep("run", "prog.bpf.c", "--pcap", "in.pcap", "--only", "other", "--json", "--no-maps");
  expect(tc.stdout).toBe(
    '{"type":"verdict","verdict":2,"name":"SHOT","packets":2,"bytes":150}\n{"type":"verdict","verdict":0,"name":"OK","packets":1,"bytes":60}\n',
  );
}, 30_000);

it("says what is wrong", () => {
  writeFileSync(join(folder, "prog.bpf.c"), SOURCE);
  writeFileSync(join(folder, "in.pcap"), pcapHead());
  const cases: readonly (readonly [args: string[], status: number, message: RegExp])[] = [
    [["run", "prog.bpf.c", "--pcap", "in.pcap"], 2, /choose one program with --only: filter, other/],
    [["run", "prog.bpf.c", "--pcap", "in.pcap", "--only", "nothing"], 2, /nothing: no program for packets/],
    [["run", "prog.bpf.c", "--pcap", "missing", "--only", "filter"], 2, /missing: ENOENT/],
    [["run", "prog.bpf.c", "--pcap", "prog.bpf.c", "--only", "filter"], 2, /neither pcap nor pcapng/],
    [["run", "prog.bpf.c", "--pcap", "in.pcap", "--only", "filter", "-w", "/no/dir"], 1, /\/no\/dir: ENOENT/],
  ];
  for (const [args, status, message] of cases) {
    const run = skep(...args);
    expect(run.stderr).toMatch(message);
    expect(run.status).toBe(status);
  }
}, 60_000);
