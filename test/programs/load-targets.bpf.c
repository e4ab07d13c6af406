/* Programs that are loaded against something by its types: functions of the kernel, and of another program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

__attribute__((noinline)) int replaceable(struct xdp_md *ctx)
{
	volatile int answer = 1;
	return answer;
}

SEC("xdp")
int target(struct xdp_md *ctx)
{
	return replaceable(ctx);
}

SEC("?freplace/replaceable")
int replacement(struct xdp_md *ctx)
{
	return 3;
}

SEC("?fentry/target")
int BPF_PROG(watched, void *xdp)
{
	return 0;
}

SEC("?freplace/no_such_function")
int lost(struct xdp_md *ctx)
{
	return 3;
}

SEC("fentry/vmlinux:bpf_fentry_test1")
int BPF_PROG(of_vmlinux, int a)
{
	return 0;
}

SEC("lsm/file_open")
int BPF_PROG(hooked, void *file)
{
	return 0;
}

SEC("lsm_cgroup/socket_create")
int BPF_PROG(hooked_in_cgroup, int family)
{
	return 1;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched)
{
	return 0;
}

SEC("iter/bpf_map")
int walked(void *ctx)
{
	return 0;
}

SEC("?fentry/skep_no_such_function")
int BPF_PROG(missing)
{
	return 0;
}

SEC("?fentry/skep_no_such_module:f")
int BPF_PROG(missing_module)
{
	return 0;
}

SEC("?fentry")
int BPF_PROG(unsaid)
{
	return 0;
}
