/* A global function that takes the context of programs of different types. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifndef __arg_ctx
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#endif

char LICENSE[] SEC("license") = "GPL";

__attribute__((noinline)) int fourth_word(int unused, void *ctx __arg_ctx)
{
	return ctx ? ((volatile unsigned int *)ctx)[3] : unused;
}

SEC("socket")
int of_socket(struct __sk_buff *skb)
{
	return 5 + fourth_word(1, skb); /* queue_mapping */
}

SEC("xdp")
int of_xdp(struct xdp_md *xdp)
{
	return fourth_word(2, xdp) ? 2 : 1; /* ingress_ifindex */
}
