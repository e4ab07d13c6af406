/* Functions and types of a module, nf_conntrack, from Linux 6.1 on. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* With a body: one that is only declared is not the kernel's type. */
struct nf_conn {
	unsigned long status;
};
struct bpf_ct_opts___ours {
	int netns_id;
	int error;
	unsigned char l4proto, dir, reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, unsigned int size,
					 struct bpf_ct_opts___ours *options, unsigned int options_size) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

SEC("tc")
int look_up(struct __sk_buff *skb)
{
	struct bpf_ct_opts___ours options = { .netns_id = -1, .l4proto = IPPROTO_TCP };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *connection;

	tuple.ipv4.dport = 1;
	connection = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	if (connection)
		bpf_ct_release(connection);
	return options.error == -2 /* ENOENT */ ? 1 : 2;
}

SEC("fentry/nf_conntrack:nf_conntrack_free")
int BPF_PROG(named)
{
	return 0;
}

SEC("fentry/nf_conntrack_free")
int BPF_PROG(searched)
{
	return 0;
}

SEC("?fentry/nf_conntrack:nf_conntrack_fre")
int BPF_PROG(mistyped)
{
	return 0;
}
