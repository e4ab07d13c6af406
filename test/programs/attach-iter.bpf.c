// Iterators with something to walk: one line an element.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct seq_file;
struct bpf_iter_meta {
  struct seq_file *seq;
};
struct task_struct {
  int pid;
  int tgid;
};
struct bpf_iter__task {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
};
struct bpf_map;
struct bpf_iter__bpf_map_elem {
  struct bpf_iter_meta *meta;
  struct bpf_map *map;
  void *key;
  void *value;
};
struct kernfs_node {
  unsigned long long id;
};
struct cgroup {
  struct kernfs_node *kn;
};
struct bpf_iter__cgroup {
  struct bpf_iter_meta *meta;
  struct cgroup *cgroup;
};
#pragma clang attribute pop

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task) return 0;
  BPF_SEQ_PRINTF(ctx->meta->seq, "%d %d\n", task->tgid, task->pid);
  return 0;
}

SEC("iter/bpf_map_elem")
int elements(struct bpf_iter__bpf_map_elem *ctx) {
  __u32 *key = ctx->key;
  __u64 *value = ctx->value;
  if (!key || !value) return 0;
  BPF_SEQ_PRINTF(ctx->meta->seq, "%u=%llu\n", *key, *value);
  return 0;
}

SEC("?iter/cgroup")
int cgroups(struct bpf_iter__cgroup *ctx) {
  struct cgroup *cgroup = ctx->cgroup;
  if (!cgroup) return 0;
  BPF_SEQ_PRINTF(ctx->meta->seq, "%llu\n", cgroup->kn->id);
  return 0;
}

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 20000);
  __type(key, __u32);
  __type(value, __u64);
} walked SEC(".maps");

char _license[] SEC("license") = "GPL";
