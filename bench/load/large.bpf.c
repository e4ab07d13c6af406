// One program of many thousand instructions.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} sums SEC(".maps");

#define STEP(n)                                             \
	key = (n) & 63;                                     \
	value = bpf_map_lookup_elem(&sums, &key);           \
	if (value) {                                        \
		*value += skb->len * (n) + skb->mark;       \
		hash ^= *value << ((n) & 7);                \
	}
#define STEP4(n) STEP(n) STEP(n + 1) STEP(n + 2) STEP(n + 3)
#define STEP16(n) STEP4(n) STEP4(n + 4) STEP4(n + 8) STEP4(n + 12)
#define STEP64(n) STEP16(n) STEP16(n + 16) STEP16(n + 32) STEP16(n + 48)

SEC("socket")
int large(struct __sk_buff *skb)
{
	__u64 hash = 0, *value;
	__u32 key;
	STEP64(1) STEP64(65) STEP64(129) STEP64(193) STEP64(257) STEP64(321)
	return hash & 1;
}

char _license[] SEC("license") = "GPL";
