// A program with something of everything that the library shows: globals of every section, maps, events, enums, bitfields, subprograms.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

typedef __u32 pid_type;

enum state { STATE_IDLE, STATE_BUSY = 3, STATE_DEAD = -1 };

struct point {
  int x, y;
};

struct event {
  __u64 ts;
  pid_type pid;
  enum state state;
  char comm[16];
  __u8 mac[6];
  bool ok;
  unsigned int low : 4;
  unsigned int high : 12;
  struct point at;
  struct {
    int anonymous;
  };
  union {
    __u32 addr4;
    __u8 addr6[16];
  };
  struct {
    short a, b;
  } pair[2];
};

struct node {
  struct node *next;
  void (*callback)(struct node *);
  __s64 value;
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, struct point);
} points SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} hits SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

const volatile __u64 min_us = 1;
const volatile bool verbose = false;
const volatile char prefix[16] = "skep";
const volatile int targ_pid = 0;
__u64 total;
struct point origin = {1, 2};
enum state last_state = STATE_BUSY;
struct node list;
int table[3] = {7, 8, 9};
static volatile int hidden;

// Structs that only functions use have no BTF: this names it.
struct event *unused_event __attribute__((unused));

static __attribute__((noinline)) int count(__u32 index) {
  __u64 *value = bpf_map_lookup_elem(&counts, &index);
  if (value) __sync_fetch_and_add(value, 1);
  return value ? 1 : 0;
}

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_getppid(void *ctx) {
  __u64 id = bpf_get_current_pid_tgid();
  if (targ_pid && id >> 32 != targ_pid) return 0;
  __sync_fetch_and_add(&total, min_us);
  count(1);
  struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) return 0;
  __builtin_memset(e, 0, sizeof(*e));
  e->ts = bpf_ktime_get_ns();
  e->pid = id >> 32;
  e->state = last_state;
  bpf_get_current_comm(e->comm, sizeof(e->comm));
  e->low = 5;
  e->high = 1234;
  e->at = origin;
  e->anonymous = -7;
  e->addr4 = 0x0100007f;
  e->pair[1].b = 4;
  e->ok = verbose;
  bpf_ringbuf_submit(e, 0);
  if (verbose) bpf_printk("%s: getppid of %d", (const char *)prefix, (int)(id >> 32));
  return 0;
}

SEC("raw_tp/sys_exit")
int on_exit(void *ctx) {
  __u32 zero = 0;
  if (targ_pid == 0 || bpf_get_current_pid_tgid() >> 32 != targ_pid) return 0;
  __u64 *value = bpf_map_lookup_elem(&hits, &zero);
  if (value) *value += 1;
  hidden++;
  return 0;
}

SEC("socket")
int never(void *ctx) {
  return 42;
}

char LICENSE[] SEC("license") = "GPL";
