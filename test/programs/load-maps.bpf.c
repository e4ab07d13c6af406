/* Maps of every kind that needs more than its creation. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &second, [2] = &first },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct inner);
} hashed SEC(".maps");

int tail(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(int));
	__array(values, int(void *));
} calls SEC(".maps") = {
	.values = { [1] = (void *)&tail },
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, int);
	__type(value, int);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__type(value, int);
	__uint(map_extra, 3);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, long);
} storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, long);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} load_pinned SEC(".maps");

const volatile int limit = 10;
int counter = 5;
static long hidden = 3;
long sum;
int large[2000];

SEC("syscall")
int tail(void *ctx)
{
	sum += 1000;
	return 99;
}

SEC("syscall")
int run(void *ctx)
{
	int key = 0;
	void *map = bpf_map_lookup_elem(&outer, &key);
	long *value;

	if (map) {
		value = bpf_map_lookup_elem(map, &key);
		if (value)
			*value = 42;
	}
	key = 11;
	long one = 1;
	bpf_map_update_elem(&load_pinned, &key, &one, BPF_ANY);
	hidden++;
	large[1999] = limit;
	sum = counter + limit + hidden;
	return (int)sum;
}

SEC("socket")
int jump(struct __sk_buff *skb)
{
	return 1;
}
