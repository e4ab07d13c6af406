// Records for perf buffers: one of a type that the object has, one that nothing describes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair {
  int a, b;
};

struct pair *unused_pair __attribute__((unused));

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __type(key, int);
  __type(value, int);
} typed SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
} plain SEC(".maps");

const volatile int targ_pid = 0;

SEC("tp/syscalls/sys_enter_getppid")
int on_getppid(void *ctx) {
  struct pair pair = {1, 2};
  struct {
    int a, b;
    char text[4];
  } local = {1, 2, "abc"};
  if (targ_pid && bpf_get_current_pid_tgid() >> 32 != targ_pid) return 0;
  bpf_perf_event_output(ctx, &typed, BPF_F_CURRENT_CPU, &pair, sizeof(pair));
  bpf_perf_event_output(ctx, &plain, BPF_F_CURRENT_CPU, &local, sizeof(local));
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
