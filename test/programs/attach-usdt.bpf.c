// Arguments of static probes as usdt.bpf.h gives them, kept for each cookie.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

struct seen {
  long runs;
  long count;
  long values[6];
  // Each run in turn, so that the order and every value matter.
  long digest[6];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 16);
  __type(key, __u32);
  __type(value, struct seen);
} results SEC(".maps");

static __always_inline int record(struct pt_regs *ctx) {
  __u32 slot = bpf_usdt_cookie(ctx);
  struct seen *seen = bpf_map_lookup_elem(&results, &slot);
  if (!seen) return 0;
  seen->runs++;
  seen->count = bpf_usdt_arg_cnt(ctx);
  for (int i = 0; i < 6; i++) {
    long value = 0;
    if (bpf_usdt_arg(ctx, i, &value)) value = 0;
    seen->values[i] = value;
    seen->digest[i] = seen->digest[i] * 31 + value;
  }
  return 0;
}

SEC("usdt")
int trace(struct pt_regs *ctx) { return record(ctx); }

// The test's binary is at this path only in the tests that put it there.
SEC("usdt//tmp/skep-usdt-target:skep:plain")
int by_section(struct pt_regs *ctx) { return record(ctx); }

char _license[] SEC("license") = "GPL";
