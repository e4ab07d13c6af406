// Records of types that only functions use: BTF leaves them out, debug information has them.
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

enum kind { FIRST = -1, SECOND = 7 };
typedef unsigned int uid;

struct inner {
  short x;
  char letters[3];
};

union either {
  __u64 whole;
  __u32 halves[2];
};

// What everything is that a member can be.
struct event {
  __u64 ns;
  uid owner;
  enum kind kind;
  int grid[2][3];
  const char *text;
  struct event *next;
  void (*call)(int);
  struct inner inner;
  union either either;
  __u32 low : 5, high : 11;
  bool flag;
  double real;
  struct {
    __s64 nameless;
  };
  volatile long later;
  char comm[16];
};

struct small {
  __u32 a, b, c;
};

struct large {
  __u32 length;
  char text[252];
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} reserved SEC(".maps"), sized SEC(".maps"), two SEC(".maps"), copies SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
} perf SEC(".maps"), values SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct large);
} heap SEC(".maps");

SEC("tp/raw_syscalls/sys_enter")
int writes(void *ctx) {
  struct event *e = bpf_ringbuf_reserve(&reserved, sizeof(*e), 0);
  if (e) {
    e->ns = 1;
    bpf_ringbuf_submit(e, 0);
  }
  struct small some = {1, 2, 3};
  bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &some, sizeof(some));
  bpf_ringbuf_output(&two, &some, sizeof(some), 0);
  struct inner in = {1, "ab"};
  bpf_ringbuf_output(&two, &in, sizeof(in), 0);
  void *bytes = &some;
  bpf_ringbuf_output(&copies,
                     bytes, 12, 0);
  return 0;
}

SEC("tp/raw_syscalls/sys_exit")
int measures(void *ctx) {
  __u32 zero = 0;
  struct large *it = bpf_map_lookup_elem(&heap, &zero);
  if (!it) return 0;
  __u32 length = it->length & 0xff;
  bpf_perf_event_output(ctx, &values, BPF_F_CURRENT_CPU, it, length);
  bpf_ringbuf_output(&sized, "some bytes", 10, 0);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
