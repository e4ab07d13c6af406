// The least that is of use: one program, no map.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tracepoint/syscalls/sys_enter_getpid")
int minimal(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
