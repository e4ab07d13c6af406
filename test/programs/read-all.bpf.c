/* Every kind of section, map, variable, extern and reference between functions that clang 14 writes. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";
__u32 VERSION SEC("version") = 0x60123;

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

/* Maps */

struct key {
	__u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 100);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} counts SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, __u64);
};

struct inner first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &first, [2] = &second },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 3);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__array(values, struct inner);
} outer_hash SEC(".maps") = {
	.values = { [1] = &first },
};

int tail(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__uint(key_size, 4);
	__array(values, int(void *));
} tails SEC(".maps") = {
	.values = { [1] = (void *)&tail },
};

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 64);
	__uint(value_size, 4);
	__uint(map_extra, 3);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NUMA_NODE);
	__uint(numa_node, 0);
	__type(key, int);
	__type(value, int);
} near SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* Variables */

const volatile int limit = 7;
const volatile char name[] = "skep";
int started = 5;
int total;
long long wide[3];
static volatile long own_count = 3;
static volatile int own_zero;
__hidden int hidden = 4;
__weak int yielding = 6;
int custom SEC(".data.custom") = 9;
const volatile int fixed SEC(".rodata.fixed") = 11;
static volatile int lone SEC(".data.lone") = 12;

/* Externs */

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern enum libbpf_tristate CONFIG_IPV6 __kconfig __weak;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig __weak;
extern unsigned long long CONFIG_HZ __kconfig __weak;
extern char CONFIG_ONE_CHAR __kconfig __weak;
extern const void bpf_prog_active __ksym __weak;
extern const int bpf_missing __ksym __weak;
extern void bpf_testmod_test_mod_kfunc(int i) __ksym __weak;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *) __ksym;

/* Functions */

static __noinline int leaf(int x)
{
	own_count += x;
	return x * limit;
}

__noinline int shared(int x)
{
	return leaf(x) + started + custom + hidden + yielding + fixed + lone + own_zero;
}

__hidden __noinline int quiet(int x)
{
	return shared(x) + 1;
}

__weak __noinline int soft(int x)
{
	return x + wide[1];
}

static long each(void *map, struct key *key, __u64 *value, void *ctx)
{
	total += *value + leaf(key->pid);
	return 0;
}

__noinline int fallback(__u64 cookie)
{
	return cookie + leaf(1);
}

SEC("?kprobe/do_unlinkat+0x10")
int optional(void *ctx)
{
	bpf_printk("optional %d", total);
	return soft(1);
}

SEC("tracepoint/sched/sched_switch")
int first_switch(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct key key = { .pid = BPF_CORE_READ(task, pid) };
	__u64 *value;

	bpf_for_each_map_elem(&counts, each, 0, 0);
	value = bpf_map_lookup_elem(&counts, &key);
	if (value)
		*value += quiet(key.pid) + bpf_core_field_exists(task->tgid);
	if (LINUX_KERNEL_VERSION > 5 && CONFIG_BPF_SYSCALL && CONFIG_DEFAULT_HOSTNAME[1] && CONFIG_IPV6 == TRI_YES)
		total += CONFIG_HZ + CONFIG_ONE_CHAR;
	if (&bpf_prog_active)
		total += (long)&bpf_prog_active & 1;
	if (&bpf_missing)
		total++;
	bpf_tail_call(ctx, &tails, 1);
	bpf_map_lookup_elem(&outer, &key);
	bpf_map_lookup_elem(&outer_hash, &key);
	bpf_map_lookup_elem(&near, &key);
	return leaf(total);
}

SEC("tracepoint/sched/sched_switch")
int tail(void *ctx)
{
	bpf_perf_event_output(ctx, &events, 0, wide, sizeof(wide));
	bpf_ringbuf_output(&ring, wide, sizeof(wide), 0);
	bpf_map_push_elem(&bloom, &total, 0);
	return shared(3);
}

SEC("tp_btf/task_newtask")
int BPF_PROG(fork, struct task_struct *task)
{
	struct task_struct *held = bpf_task_acquire(task);

	if (held)
		bpf_task_release(held);
	if (bpf_testmod_test_mod_kfunc)
		bpf_testmod_test_mod_kfunc(1);
	return 0;
}

__attribute__((btf_decl_tag("exception_callback:fallback"))) SEC("raw_tp/sys_enter")
int throws(void *ctx)
{
	return 0;
}
