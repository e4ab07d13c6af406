/* Reads orders that user space put into a ring. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct order {
  __u64 amount;
  char note[16];
};

struct totals {
  __u64 count;
  __u64 sum;
};

/* Keeps the type, which only the callback uses, in the object's BTF. */
const volatile struct order example = {};

struct {
  __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
  __uint(max_entries, 4096);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct totals);
} totals SEC(".maps");

static long add(struct bpf_dynptr *record, void *context) {
  __u32 zero = 0;
  struct totals *all = bpf_map_lookup_elem(&totals, &zero);
  struct order order;

  if (all == 0 || bpf_dynptr_read(&order, sizeof order, record, 0, 0) != 0 || order.note[0] != 'b') return 0;
  all->count++;
  all->sum += order.amount;
  return 0;
}

SEC("raw_tp")
int drain(void *context) {
  return bpf_user_ringbuf_drain(&ring, add, 0, 0);
}

char LICENSE[] SEC("license") = "GPL";
