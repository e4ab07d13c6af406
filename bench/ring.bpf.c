/* Writes records of 64 bytes at each getppid of one process: what the ring benchmark reads. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct record {
  __u64 sequence;
  __u64 time;
  __u64 payload[6];
};

/* Keeps the type in BTF. */
const volatile struct record example = {};

struct state {
  __u64 pid;
  /* System call to look for, and records to write at each. */
  __u64 call;
  __u64 burst;
  __u64 sent;
  __u64 lost;
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct state);
} states SEC(".maps");

SEC("raw_tp/sys_enter")
int write_records(struct bpf_raw_tracepoint_args *context) {
  __u32 zero = 0;
  struct state *state = bpf_map_lookup_elem(&states, &zero);

  if (state == 0 || context->args[1] != state->call || bpf_get_current_pid_tgid() >> 32 != state->pid) return 0;
  for (int i = 0; i < 64 && i < state->burst; i++) {
    struct record *record = bpf_ringbuf_reserve(&ring, sizeof *record, 0);
    state->sent++;
    if (record == 0) {
      state->lost++;
      continue;
    }
    record->sequence = state->sent;
    record->time = bpf_ktime_get_ns();
    bpf_ringbuf_submit(record, 0);
  }
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
