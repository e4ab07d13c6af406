// Programs whose places their user must name: a device, a cgroup, a function of a binary.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
} unsized SEC(".maps");

SEC("xdp")
int pass(struct xdp_md *ctx) {
  if (ctx->data_end - ctx->data == 14 + 20 + 8 + 321) bpf_printk("packet of %d", (int)(ctx->data_end - ctx->data));
  return XDP_PASS;
}

SEC("tc")
int classify(struct __sk_buff *skb) {
  if (skb->len == 14 + 20 + 8 + 321) bpf_printk("classified %d", skb->len);
  return 0;
}

SEC("cgroup/connect4")
int connect(struct bpf_sock_addr *ctx) {
  return 1;
}

SEC("uprobe")
int called(void *ctx) {
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
