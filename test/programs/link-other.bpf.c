/* The other of two files that are linked. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct shared {
	long count;
	struct shared *next;
	char name[8];
};

int elsewhere = 20;
long far[2];

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct shared);
} theirs SEC(".maps");

/* Of the first file */
extern int here;
extern int mine(int x);
extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, long);
} ours SEC(".maps");

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned int CONFIG_HZ __kconfig __weak;

int preferred = 30;
static volatile int own = 9;

int choose(int x)
{
	return x + preferred;
}

static __noinline int helper(int x)
{
	own -= x;
	return own;
}

__noinline int other(int x, struct shared *s)
{
	if (!s)
		return 0;
	return helper(x) + s->count;
}

SEC("raw_tp/sys_exit")
int second(void *ctx)
{
	int key = here;
	long *value = bpf_map_lookup_elem(&ours, &key);

	if (value)
		*value += mine(LINUX_KERNEL_VERSION + CONFIG_HZ);
	return choose(own);
}

SEC("raw_tp/sys_enter")
int third(void *ctx)
{
	return helper(3);
}
