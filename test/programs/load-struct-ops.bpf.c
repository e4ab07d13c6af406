/* A TCP congestion control by the kernel's struct as of long ago, with a member that no kernel has. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct sock;
struct tcp_congestion_ops___ours {
	void (*skep_unknown)(struct sock *sk);
	unsigned int (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, unsigned int ack, unsigned int acked);
	unsigned int (*undo_cwnd)(struct sock *sk);
	unsigned int flags;
	char name[16];
	void *owner;
	int skep_number;
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

/* Only for the member that kernels lack: never loaded. */
SEC("struct_ops")
void BPF_PROG(ours_unknown, struct sock *sk)
{
}

SEC(".struct_ops")
struct tcp_congestion_ops___ours plain = {
	.skep_unknown = (void *)ours_unknown,
	.ssthresh = (void *)ours_ssthresh,
	.cong_avoid = (void *)ours_cong_avoid,
	.undo_cwnd = (void *)ours_undo_cwnd,
	.name = "skep_plain",
};

SEC(".struct_ops.link")
struct tcp_congestion_ops___ours linked = {
	.ssthresh = (void *)ours_ssthresh,
	.cong_avoid = (void *)ours_cong_avoid,
	.undo_cwnd = (void *)ours_undo_cwnd,
	.name = "skep_linked",
};
