/* A TCP congestion control by the kernel's struct as of long ago, with a member that no kernel has. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct sock;
struct tcp_congestion_ops___ours {
#ifndef ONLY_MANDATORY
	void (*skep_unknown)(struct sock *sk);
#endif
	unsigned int (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, unsigned int ack, unsigned int acked);
	unsigned int (*undo_cwnd)(struct sock *sk);
	unsigned int flags;
	char name[16];
	void *owner;
#ifndef ONLY_MANDATORY
	int skep_number;
#endif
};

int calls;

SEC("struct_ops")
unsigned int BPF_PROG(ours_ssthresh, struct sock *sk)
{
	calls++;
	return 5;
}

SEC("struct_ops")
void BPF_PROG(ours_cong_avoid, struct sock *sk, unsigned int ack, unsigned int acked)
{
}

SEC("struct_ops")
unsigned int BPF_PROG(ours_undo_cwnd, struct sock *sk)
{
	return 9;
}

/* libbpf 1.1 has neither members that the kernel lacks nor links, and takes the struct's name as it is. */
#ifndef ONLY_MANDATORY

/* Only for the member that kernels lack: never loaded. */
SEC("struct_ops")
void BPF_PROG(ours_unknown, struct sock *sk)
{
}

#endif

SEC(".struct_ops")
struct tcp_congestion_ops___ours plain = {
#ifndef ONLY_MANDATORY
	.skep_unknown = (void *)ours_unknown,
#endif
	.ssthresh = (void *)ours_ssthresh,
	.cong_avoid = (void *)ours_cong_avoid,
	.undo_cwnd = (void *)ours_undo_cwnd,
	.name = "skep_plain",
};

#ifndef ONLY_MANDATORY
SEC(".struct_ops.link")
struct tcp_congestion_ops___ours linked = {
	.ssthresh = (void *)ours_ssthresh,
	.cong_avoid = (void *)ours_cong_avoid,
	.undo_cwnd = (void *)ours_undo_cwnd,
	.name = "skep_linked",
};
#endif
