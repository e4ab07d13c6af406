// The maps of usdt.bpf.h as libbpf 1.7 lays them out, with an index register, and a program that reads one argument by them.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

struct argument {
  __u64 val_off;
  __u32 arg_type : 8;
  __u16 idx_reg_off : 12;
  __u16 scale_bitshift : 4;
  __u8 reserved : 8;
  short reg_off;
  bool arg_signed;
  char arg_bitshift;
};

struct spec {
  struct argument args[12];
  __u64 usdt_cookie;
  short arg_cnt;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, int);
  __type(value, struct spec);
} __bpf_usdt_specs SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4);
  __type(key, long);
  __type(value, __u32);
} __bpf_usdt_ip_to_spec_id SEC(".maps");

long values[4];
long runs;

SEC("usdt")
int trace(struct pt_regs *ctx) {
  int id = bpf_get_attach_cookie(ctx);
  struct spec *spec = bpf_map_lookup_elem(&__bpf_usdt_specs, &id);
  if (!spec) return 0;
  for (int i = 0; i < 4; i++) {
    struct argument *argument = &spec->args[i];
    __u64 base = 0, index = 0, value = 0;
    bpf_probe_read_kernel(&base, 8, (void *)ctx + argument->reg_off);
    if (argument->arg_type == 3) bpf_probe_read_kernel(&index, 8, (void *)ctx + argument->idx_reg_off);
    bpf_probe_read_user(&value, 8, (void *)(base + (index << argument->scale_bitshift) + argument->val_off));
    values[i] = (long)(value << argument->arg_bitshift) >> argument->arg_bitshift;
  }
  runs++;
  return 0;
}

char _license[] SEC("license") = "GPL";
