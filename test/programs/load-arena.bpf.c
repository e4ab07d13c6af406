/* Memory that the program and user space share page by page. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, 33 /* BPF_MAP_TYPE_ARENA */);
	__uint(map_flags, 1 << 10 /* BPF_F_MMAPABLE */);
	__uint(max_entries, 16);
} arena SEC(".maps");

extern void *bpf_arena_alloc_pages(void *map, void *addr, unsigned int count, int node, unsigned long flags) __ksym;

unsigned long address;

SEC("syscall")
int allocate(void *ctx)
{
	address = (unsigned long)bpf_arena_alloc_pages(&arena, 0, 2, -1, 0);
	return 0;
}
