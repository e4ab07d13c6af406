// Programs at functions of the kernel, for kernels that have kprobes, trampolines and LSM. Each counts in a slot of its own; where a
// cookie can be asked for, it is kept. Only what the process `watched` does counts.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 32);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps"), cookies SEC(".maps");

int watched;

static __always_inline int seen(__u32 slot, __u64 cookie) {
  if ((int)(bpf_get_current_pid_tgid() >> 32) != watched) return 0;
  __u64 *count = bpf_map_lookup_elem(&counts, &slot);
  if (count) __sync_fetch_and_add(count, 1);
  if (cookie) bpf_map_update_elem(&cookies, &slot, &cookie, BPF_ANY);
  return 1;
}

SEC("?kprobe/vfs_open")
int kprobe(struct pt_regs *ctx) { return seen(0, bpf_get_attach_cookie(ctx)), 0; }
SEC("?kretprobe/vfs_open")
int kretprobe(struct pt_regs *ctx) { return seen(1, bpf_get_attach_cookie(ctx)), 0; }
SEC("?ksyscall/getppid")
int ksyscall(struct pt_regs *ctx) { return seen(2, 0), 0; }
SEC("?kretsyscall/getppid")
int kretsyscall(struct pt_regs *ctx) { return seen(3, 0), 0; }
SEC("?fentry/vfs_open")
int fentry(__u64 *ctx) { return seen(4, 0), 0; }
SEC("?fexit/vfs_open")
int fexit(__u64 *ctx) { return seen(5, 0), 0; }
SEC("?fentry/vfs_open")
int fentry_cookie(__u64 *ctx) { return seen(6, bpf_get_attach_cookie(ctx)), 0; }
// Refuses, so that who asked can tell.
SEC("?fmod_ret/security_task_setnice")
int fmod_ret(__u64 *ctx) { return seen(7, 0) ? -1 : 0; }
SEC("?lsm/task_setnice")
int lsm(__u64 *ctx) { return seen(8, 0) ? -1 : 0; }
SEC("?lsm_cgroup/socket_bind")
int lsm_cgroup(__u64 *ctx) {
  __u32 slot = 9;
  __u64 *count = bpf_map_lookup_elem(&counts, &slot);
  if (count) __sync_fetch_and_add(count, 1);
  return 1;
}
SEC("?kprobe.multi/vfs_ope?")
int kprobe_multi(struct pt_regs *ctx) { return seen(11, bpf_get_attach_cookie(ctx)), 0; }
SEC("?kprobe.session/vfs_ope?")
int kprobe_session(struct pt_regs *ctx) { return seen(12, 0), 0; }
SEC("?kprobe")
int pattern(struct pt_regs *ctx) { return seen(13, 0), 0; }
SEC("?uprobe.session/libc.so.6:getppid")
int uprobe_session(struct pt_regs *ctx) { return seen(14, 0), 0; }
SEC("?uprobe.multi/libc.so.6:getppi?")
int uprobe_multi(struct pt_regs *ctx) { return seen(15, 0), 0; }
SEC("?uprobe/libc.so.6:getppid")
int uprobe(struct pt_regs *ctx) { return seen(16, 0), 0; }
SEC("?raw_tp/sys_enter")
int raw_tp(__u64 *ctx) { return seen(17, bpf_get_attach_cookie(ctx)), 0; }
SEC("?raw_tp/sys_enter")
int raw_tp_plain(__u64 *ctx) { return seen(18, 0), 0; }
SEC("?kprobe/nonexistent_function")
int missing(struct pt_regs *ctx) { return 0; }
SEC("?tracepoint/syscalls/sys_enter_getppid")
int tracepoint(void *ctx) { return seen(19, bpf_get_attach_cookie(ctx)), 0; }

// Replaced by `replacement`.
__attribute__((noinline)) int verdict(struct xdp_md *ctx) {
  volatile int result = XDP_PASS;
  return result;
}
SEC("?xdp")
int target(struct xdp_md *ctx) { return verdict(ctx); }
SEC("?freplace/verdict")
int replacement(struct xdp_md *ctx) { return XDP_TX; }

SEC("?xdp")
int xdp(struct xdp_md *ctx) {
  __u32 slot = 20;
  __u64 *count = bpf_map_lookup_elem(&counts, &slot);
  if (count) __sync_fetch_and_add(count, 1);
  return XDP_DROP;
}
SEC("?tc")
int classifier(struct __sk_buff *skb) {
  __u32 slot = 21;
  __u64 *count = bpf_map_lookup_elem(&counts, &slot);
  if (count) __sync_fetch_and_add(count, 1);
  return 0;
}
SEC("?netkit/primary")
int netkit(struct __sk_buff *skb) { return 0; }
SEC("?cgroup_skb/egress")
int cgroup_skb(struct __sk_buff *skb) {
  __u32 slot = 22;
  __u64 *count = bpf_map_lookup_elem(&counts, &slot);
  if (count) __sync_fetch_and_add(count, 1);
  return 1;
}
SEC("?netfilter")
int netfilter(void *ctx) { return 1; }
SEC("?sk_msg")
int sk_msg(void *ctx) { return 1; }
struct {
  __uint(type, BPF_MAP_TYPE_SOCKMAP);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

char _license[] SEC("license") = "GPL";
