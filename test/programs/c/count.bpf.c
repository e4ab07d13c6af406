/* Counts system calls: a map, variables of every section, a subprogram. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

const volatile int wanted = 0;
long total;
int step = 1;

static __noinline long add(__u64 *value)
{
	__sync_fetch_and_add(value, step);
	return *value;
}

SEC("raw_tp/sys_enter")
int count(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 zero = 0, *value;

	if (wanted && pid != wanted)
		return 0;
	value = bpf_map_lookup_elem(&counts, &pid);
	if (!value) {
		bpf_map_update_elem(&counts, &pid, &zero, BPF_NOEXIST);
		return 0;
	}
	total += add(value);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
