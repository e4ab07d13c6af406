// One place by several ways, of which a kernel may lack some: what tools choose from in C.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct event {
  __u32 pid;
  char way[12];
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 * 1024);
} events SEC(".maps");

const volatile __u32 targ_pid = 0;

static __always_inline int report(const char *way, unsigned int size) {
  __u32 pid = bpf_get_current_pid_tgid() >> 32;
  if (targ_pid && pid != targ_pid) return 0;
  struct event event = {.pid = pid};
  __builtin_memcpy(event.way, way, size);
  bpf_ringbuf_output(&events, &event, sizeof(event), 0);
  return 0;
}
#define REPORT(way) report(way, sizeof(way))

SEC("kprobe/vfs_statx")
int by_kprobe(struct pt_regs *ctx) {
  return REPORT("kprobe");
}

SEC("fentry/vfs_statx")
int by_fentry(void *ctx) {
  return REPORT("fentry");
}

SEC("fentry/vfs_statx_of_another_kernel")
int by_other(void *ctx) {
  return REPORT("other");
}

SEC("kretprobe/vfs_statx")
int by_return(struct pt_regs *ctx) {
  return REPORT("kretprobe");
}

SEC("tp/raw_syscalls/sys_enter_of_another_kernel")
int by_tracepoint(void *ctx) {
  return REPORT("tracepoint");
}

char LICENSE[] SEC("license") = "GPL";
