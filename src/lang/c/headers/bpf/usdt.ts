/**
 * `<bpf/usdt.bpf.h>`: arguments of static probes in user programs. Names and layouts of its maps are those of libbpf 1.8, for whoever
 * attaches the program (our runtime, libbpf) fills them.
 */
import { byCount, range, MOST_ARGUMENTS } from "../text.ts";

/** Memory of a probe's argument, brought to its width: what follows the registers' values. */
const settings = `
#ifndef BPF_USDT_MAX_SPEC_CNT
#define BPF_USDT_MAX_SPEC_CNT 256
#endif
#ifndef BPF_USDT_MAX_IP_CNT
#define BPF_USDT_MAX_IP_CNT (4 * BPF_USDT_MAX_SPEC_CNT)
#endif
#define BPF_USDT_MAX_ARG_CNT ${MOST_ARGUMENTS}
`;

const layout = `
enum __bpf_usdt_arg_type { BPF_USDT_ARG_CONST, BPF_USDT_ARG_REG, BPF_USDT_ARG_REG_DEREF, BPF_USDT_ARG_SIB };
struct __bpf_usdt_arg_spec {
  __u64 val_off;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  enum __bpf_usdt_arg_type arg_type : 8;
  __u16 idx_reg_off : 12;
  __u16 scale_bitshift : 4;
  __u8 __reserved : 8;
#else
  __u8 __reserved : 8;
  __u16 idx_reg_off : 12;
  __u16 scale_bitshift : 4;
  enum __bpf_usdt_arg_type arg_type : 8;
#endif
  short reg_off;
  _Bool arg_signed;
  char arg_bitshift;
};
struct __bpf_usdt_spec {
  struct __bpf_usdt_arg_spec args[BPF_USDT_MAX_ARG_CNT];
  __u64 usdt_cookie;
  short arg_cnt;
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, BPF_USDT_MAX_SPEC_CNT);
  __type(key, int);
  __type(value, struct __bpf_usdt_spec);
} __bpf_usdt_specs SEC(".maps") __weak;
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BPF_USDT_MAX_IP_CNT);
  __type(key, long);
  __type(value, __u32);
} __bpf_usdt_ip_to_spec_id SEC(".maps") __weak;
extern const _Bool LINUX_HAS_BPF_COOKIE __kconfig;
`;

/** ESRCH 3: this place has no entry. ENOENT 2: it has fewer arguments. EINVAL 22: its kind is not known here. */
const functions = `
static __always_inline int __bpf_usdt_spec_id(struct pt_regs *ctx)
{
  if (LINUX_HAS_BPF_COOKIE)
    return bpf_get_attach_cookie(ctx);
  long ip = PT_REGS_IP(ctx);
  int *id = bpf_map_lookup_elem(&__bpf_usdt_ip_to_spec_id, &ip);
  return id ? *id : -3;
}
static __always_inline struct __bpf_usdt_spec *___bpf_usdt_spec(struct pt_regs *ctx)
{
  int id = __bpf_usdt_spec_id(ctx);
  return id < 0 ? (void *)0 : bpf_map_lookup_elem(&__bpf_usdt_specs, &id);
}
__weak __hidden int bpf_usdt_arg_cnt(struct pt_regs *ctx)
{
  struct __bpf_usdt_spec *spec = ___bpf_usdt_spec(ctx);
  return spec ? spec->arg_cnt : -3;
}
static __always_inline int bpf_usdt_arg_size(struct pt_regs *ctx, __u64 arg_num)
{
  struct __bpf_usdt_spec *spec = ___bpf_usdt_spec(ctx);
  if (!spec)
    return -3;
  if (arg_num >= BPF_USDT_MAX_ARG_CNT)
    return -2;
  barrier_var(arg_num);
  if (arg_num >= spec->arg_cnt)
    return -2;
  return (unsigned int)(64 - spec->args[arg_num].arg_bitshift) / 8;
}
__weak __hidden int bpf_usdt_arg(struct pt_regs *ctx, __u64 arg_num, long *res)
{
  struct __bpf_usdt_spec *spec;
  struct __bpf_usdt_arg_spec *arg;
  unsigned long val, index = 0;
  int err;
  *res = 0;
  spec = ___bpf_usdt_spec(ctx);
  if (!spec)
    return -3;
  if (arg_num >= BPF_USDT_MAX_ARG_CNT)
    return -2;
  barrier_var(arg_num);
  if (arg_num >= spec->arg_cnt)
    return -2;
  arg = &spec->args[arg_num];
  if (arg->arg_type > BPF_USDT_ARG_SIB)
    return -22;
  if (arg->arg_type == BPF_USDT_ARG_CONST) {
    val = arg->val_off;
  } else {
    err = bpf_probe_read_kernel(&val, sizeof(val), (void *)ctx + arg->reg_off);
    if (err)
      return err;
    if (arg->arg_type != BPF_USDT_ARG_REG) {
      if (arg->arg_type == BPF_USDT_ARG_SIB) {
        err = bpf_probe_read_kernel(&index, sizeof(index), (void *)ctx + arg->idx_reg_off);
        if (err)
          return err;
        val += index << arg->scale_bitshift;
      }
      err = bpf_probe_read_user(&val, sizeof(val), (void *)val + arg->val_off);
      if (err)
        return err;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
      val >>= arg->arg_bitshift;
#endif
    }
  }
  val <<= arg->arg_bitshift;
  *res = arg->arg_signed ? (unsigned long)((long)val >> arg->arg_bitshift) : val >> arg->arg_bitshift;
  return 0;
}
__weak __hidden long bpf_usdt_cookie(struct pt_regs *ctx)
{
  struct __bpf_usdt_spec *spec = ___bpf_usdt_spec(ctx);
  return spec ? spec->usdt_cookie : 0;
}
`;

const argument = (n: number): string => `({ long ___x; bpf_usdt_arg(ctx, ${n - 1}, &___x); ___x; })`;

/** The header's text. */
export const bpfUsdtHeader: string = `#pragma once
#define __USDT_BPF_H__
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
${settings}${layout}${functions}
${byCount("___bpf_usdt_args", MOST_ARGUMENTS, (count) => `(args...) ${["ctx", ...range(1, count).map(argument)].join(", ")}`)}
#define ___bpf_usdt_args(args...) ___bpf_apply(___bpf_usdt_args, ___bpf_narg(args))(args)
#define BPF_USDT(name, args...) \\
name(struct pt_regs *ctx); \\
static __always_inline __typeof__(name(0)) ____##name(struct pt_regs *ctx, ##args); \\
__typeof__(name(0)) name(struct pt_regs *ctx) { return ____##name(___bpf_usdt_args(args)); } \\
static __always_inline __typeof__(name(0)) ____##name(struct pt_regs *ctx, ##args)
`;
