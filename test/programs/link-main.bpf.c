/* One of two files that are linked: each uses what the other defines. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct shared {
	long count;
	struct shared *next;
	char name[8];
};

/* Of the other file */
extern int elsewhere;
extern long far[2] SEC(".bss");
extern int other(int x, struct shared *s);
extern struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct shared);
} theirs SEC(".maps");

/* For the other file */
int here = 3;
const volatile int tuned = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, long);
} ours SEC(".maps");

struct one {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
};

struct one inner SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, struct one);
} outer SEC(".maps") = {
	.values = { [1] = &inner },
};

/* Defined in both */
__weak int preferred = 10;

__weak int choose(int x)
{
	return x + 10;
}

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern const int skep_missing __ksym __weak;

static volatile int own = 7;

static __noinline int helper(int x)
{
	own += x;
	return own;
}

static long each(void *map, int *key, long *value, void *ctx)
{
	return helper(*key) & 1;
}

__noinline int mine(int x)
{
	return helper(x) + here;
}

SEC("raw_tp/sys_enter")
int first(void *ctx)
{
	int key = 1;
	struct shared *s = bpf_map_lookup_elem(&theirs, &key);

	if (!s)
		return 0;
	bpf_for_each_map_elem(&ours, each, 0, 0);
	s->count += other(elsewhere + far[1] + preferred, s) + choose(tuned);
	if (LINUX_KERNEL_VERSION > 1 && CONFIG_BPF_SYSCALL && &skep_missing)
		s->count++;
	return mine(1);
}
