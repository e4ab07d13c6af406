/* All sections of struct_ops: with and without a link, created only when asked for. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct dummy_state {
	int value;
};

struct bpf_dummy_ops {
	int (*test_1)(struct dummy_state *state);
	int (*test_2)(struct dummy_state *state, int a1, unsigned short a2, char a3, unsigned long a4);
	int number;
};

SEC("struct_ops/test_1")
int BPF_PROG(one, struct dummy_state *state)
{
	return 1;
}

SEC("struct_ops")
int BPF_PROG(two, struct dummy_state *state, int a1)
{
	return a1;
}

SEC(".struct_ops")
struct bpf_dummy_ops dummy = {
	.test_1 = (void *)one,
	.test_2 = (void *)two,
	.number = 77,
};

SEC(".struct_ops")
struct bpf_dummy_ops dummy_again = {
	.test_2 = (void *)two,
};

SEC(".struct_ops.link")
struct bpf_dummy_ops linked = {
	.test_1 = (void *)one,
};

SEC("?.struct_ops.link")
struct bpf_dummy_ops not_created = {
	.test_1 = (void *)one,
};
