/* Programs that the verifier refuses for reasons that lie outside of them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct {
	int pid;
	int skep_no_such_field;
} __attribute__((preserve_access_index));

SEC("?raw_tp")
int no_field(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, skep_no_such_field);
}

SEC("?raw_tp")
int guarded_field(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (bpf_core_field_exists(task->skep_no_such_field))
		return BPF_CORE_READ(task, skep_no_such_field);
	return BPF_CORE_READ(task, pid) > 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
} absent SEC(".maps");

SEC("?socket")
int no_map(void *ctx)
{
	int key = 0;
	long *value = bpf_map_lookup_elem(&absent, &key);

	return value ? *value : 0;
}

SEC("?socket")
int bad_access(struct __sk_buff *skb)
{
	int key = skb->len;
	long *value = bpf_map_lookup_elem(&absent, &key);

	return *value; /* not checked */
}
