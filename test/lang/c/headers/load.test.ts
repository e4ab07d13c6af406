import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Btf } from "../../../../src/btf/index.ts";
import { kernelTarget } from "../../../../src/compiler/index.ts";
import { LinuxKernel } from "../../../../src/kernel/linux/linux.ts";
import { compileC } from "../../../../src/lang/c/index.ts";
import { describeWith } from "../../../support/needs.ts";

const includes = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/usdt.bpf.h>
char LICENSE[] SEC("license") = "GPL";
`;

/** Programs that use what the headers write, and that the kernel must take. */
const programs: readonly (readonly [name: string, text: string])[] = [
  [
    "arguments of static probes",
    'SEC("usdt") int BPF_USDT(p, int a, void *b, char c) { bpf_printk("%d %p %d %d", a, b, c, bpf_usdt_arg_size(ctx, 1)); return bpf_usdt_cookie(ctx); }',
  ],
  [
    "reads of chains",
    'SEC("raw_tp/sys_enter") int p(void *ctx) { struct task_struct *t = (void *)bpf_get_current_task(); char name[16]; BPF_CORE_READ_STR_INTO(&name, t, real_parent, comm); return BPF_CORE_READ(t, real_parent, real_parent, tgid) + BPF_CORE_READ(t, nsproxy, pid_ns_for_children, ns.inum) + name[0]; }',
  ],
  [
    "bitfields",
    'SEC("raw_tp/sys_enter") int p(void *ctx) { struct task_struct *t = (void *)bpf_get_current_task(); return BPF_CORE_READ_BITFIELD_PROBED(t, sched_reset_on_fork); }',
  ],
  [
    "bitfields by pointer",
    'SEC("tp_btf/sched_switch") int BPF_PROG(p, bool preempt, struct task_struct *prev, struct task_struct *next) { return BPF_CORE_READ_BITFIELD(prev, in_execve) + next->pid; }',
  ],
  [
    "questions about types",
    'SEC("raw_tp/sys_enter") int p(void *ctx) { return bpf_core_field_exists(struct task_struct, mm) + bpf_core_type_size(struct task_struct) + bpf_core_field_offset(struct task_struct, pid) + bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF); }',
  ],
  [
    "printing",
    'SEC("raw_tp/sys_enter") int p(void *ctx) { char out[64]; bpf_printk("a"); bpf_printk("%d", 1); bpf_printk("%d %d %d %d %d", 1, 2, 3, 4, 5); return BPF_SNPRINTF(out, sizeof(out), "%d %s", 7, "x"); }',
  ],
  [
    "loops over numbers",
    'SEC("raw_tp/sys_enter") int p(void *ctx) { int i, sum = 0, *v; bpf_for(i, 0, 100) sum += i; bpf_repeat(10) sum++; bpf_for_each(num, v, 3, 7) sum += *v; return sum; }',
  ],
  [
    "tail calls",
    'int other(void *ctx); struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4); __array(values, int(void *)); } jumps SEC(".maps"); SEC("raw_tp/sys_enter") int p(void *ctx) { bpf_tail_call_static(ctx, &jumps, 1); return 0; }',
  ],
  [
    "numbers of kernel headers",
    '#include <linux/if_ether.h>\n#include <linux/ip.h>\nSEC("xdp") int p(struct xdp_md *ctx) { void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; struct ethhdr *eth = data; if ((void *)(eth + 1) > end) return XDP_DROP; struct iphdr *ip = (void *)(eth + 1); if (eth->h_proto != htons(ETH_P_IP) || (void *)(ip + 1) > end) return XDP_PASS; return ip->protocol == IPPROTO_UDP ? XDP_TX : XDP_PASS; }',
  ],
];

describeWith(["root", "bpf", "vmlinuxBtf"], "programs of the headers, in the kernel", () => {
  const kernelTypes = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));

  test.each(programs)("%s", (_, text) => {
    const { object, diagnostics } = compileC(
      { name: "p.bpf.c", text: includes + text },
      { kernelTypes, target: kernelTarget([6, 12]) },
    );
    expect(diagnostics.format()).toBe("");
    const loaded = new LinuxKernel().load(object);
    loaded.close();
  });
});
