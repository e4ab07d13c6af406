// Large maps, and a megabyte of data that is written before the programs load.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 100000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64[8]);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 20);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64[4]);
} slots SEC(".maps");

__u64 table[1 << 17] = {1, 2, 3};
const volatile __u64 limits[512] = {7, 8, 9};

SEC("socket")
int count(struct __sk_buff *skb)
{
	__u32 key = skb->len & ((1 << 20) - 1);
	__u64 *value = bpf_map_lookup_elem(&counts, &key);
	if (value)
		*value += limits[skb->len & 511] + table[skb->hash & ((1 << 17) - 1)];
	__u64 flow = skb->hash;
	__u64 *old = bpf_map_lookup_elem(&flows, &flow);
	if (old)
		old[0]++;
	key &= 4095;
	old = bpf_map_lookup_elem(&slots, &key);
	if (old)
		old[skb->protocol & 3]++;
	return 0;
}

char _license[] SEC("license") = "GPL";
