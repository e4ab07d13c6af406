import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Btf } from "../../../../src/btf/index.ts";
import { BuiltinHeaders } from "../../../../src/lang/c/headers/index.ts";
import { KernelDeclarations } from "../../../../src/lang/c/outer.ts";
import type { HeaderProvider } from "../../../../src/lang/c/preprocessor/headers.ts";
import { KernelTypes } from "../../../../src/lang/c/types/kernel-types.ts";
import { describeWith } from "../../../support/needs.ts";
import { type ParsedUnit, parse } from "../support.ts";

const includes = `
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
`;

/** What libbpf 1.8's headers define, but for the steps of its own macros. */
const exported = `
  BPF_CORE_READ BPF_CORE_READ_BITFIELD BPF_CORE_READ_BITFIELD_PROBED BPF_CORE_READ_INTO BPF_CORE_READ_STR_INTO
  BPF_CORE_READ_USER BPF_CORE_READ_USER_INTO BPF_CORE_READ_USER_STR_INTO BPF_CORE_WRITE_BITFIELD BPF_KPROBE
  BPF_KPROBE_READ_RET_IP BPF_KPROBE_SYSCALL BPF_KRETPROBE BPF_KRETPROBE_READ_RET_IP BPF_KSYSCALL BPF_PRINTK_FMT_MOD
  BPF_PROBE_READ BPF_PROBE_READ_INTO BPF_PROBE_READ_STR_INTO BPF_PROBE_READ_USER BPF_PROBE_READ_USER_INTO
  BPF_PROBE_READ_USER_STR_INTO BPF_PROG BPF_PROG2 BPF_SEQ_PRINTF BPF_SNPRINTF BPF_UPROBE BPF_URETPROBE
  KERNEL_VERSION NULL PT_REGS_FP PT_REGS_FP_CORE PT_REGS_IP PT_REGS_IP_CORE PT_REGS_PARM1 PT_REGS_PARM1_CORE
  PT_REGS_PARM1_CORE_SYSCALL PT_REGS_PARM1_SYSCALL PT_REGS_PARM2 PT_REGS_PARM2_CORE PT_REGS_PARM2_CORE_SYSCALL
  PT_REGS_PARM2_SYSCALL PT_REGS_PARM3 PT_REGS_PARM3_CORE PT_REGS_PARM3_CORE_SYSCALL PT_REGS_PARM3_SYSCALL
  PT_REGS_PARM4 PT_REGS_PARM4_CORE PT_REGS_PARM4_CORE_SYSCALL PT_REGS_PARM4_SYSCALL PT_REGS_PARM5 PT_REGS_PARM5_CORE
  PT_REGS_PARM5_CORE_SYSCALL PT_REGS_PARM5_SYSCALL PT_REGS_PARM6 PT_REGS_PARM6_CORE PT_REGS_PARM6_CORE_SYSCALL
  PT_REGS_PARM6_SYSCALL PT_REGS_PARM7 PT_REGS_PARM7_CORE PT_REGS_PARM7_CORE_SYSCALL PT_REGS_PARM7_SYSCALL
  PT_REGS_PARM8 PT_REGS_PARM8_CORE PT_REGS_RC PT_REGS_RC_CORE PT_REGS_RET PT_REGS_RET_CORE PT_REGS_SP
  PT_REGS_SP_CORE PT_REGS_SYSCALL_REGS SEC __BPF_CORE_READ_H__ __BPF_ENDIAN__ __BPF_HELPERS__ __BPF_TRACING_H__
  __CORE_RELO __PT_FP_REG __PT_IP_REG __PT_PARM1_REG __PT_PARM1_SYSCALL_REG __PT_PARM2_REG __PT_PARM2_SYSCALL_REG
  __PT_PARM3_REG __PT_PARM3_SYSCALL_REG __PT_PARM4_REG __PT_PARM4_SYSCALL_REG __PT_PARM5_REG __PT_PARM5_SYSCALL_REG
  __PT_PARM6_REG __PT_PARM6_SYSCALL_REG __PT_PARM7_REG __PT_PARM7_SYSCALL_REG __PT_PARM8_REG __PT_RC_REG
  __PT_REGS_CAST __PT_RET_REG __PT_SP_REG __TARGET_ARCH_x86 __always_inline __arg_arena __arg_ctx __arg_nonnull
  __arg_nullable __arg_trusted __arg_untrusted __array __bpf_be64_to_cpu __bpf_constant_be64_to_cpu
  __bpf_constant_cpu_to_be64 __bpf_constant_htonl __bpf_constant_htons __bpf_constant_ntohl __bpf_constant_ntohs
  __bpf_cpu_to_be64 __bpf_htonl __bpf_htons __bpf_ntohl __bpf_ntohs __bpf_printk __bpf_unreachable __bpf_vprintk
  __hidden __kconfig __kptr __kptr_untrusted __ksym __noinline __percpu_kptr __type __uint __ulong __uptr __weak
  barrier barrier_var bpf_be64_to_cpu bpf_core_cast bpf_core_enum_value bpf_core_enum_value_exists
  bpf_core_field_exists bpf_core_field_offset bpf_core_field_size bpf_core_read bpf_core_read_str bpf_core_read_user
  bpf_core_read_user_str bpf_core_type_exists bpf_core_type_id_kernel bpf_core_type_id_local bpf_core_type_matches
  bpf_core_type_size bpf_cpu_to_be64 bpf_for bpf_for_each bpf_htonl bpf_htons bpf_ksym_exists bpf_ntohl bpf_ntohs
  bpf_printk bpf_repeat bpf_stream_printk bpf_target_defined bpf_target_x86 container_of likely offsetof unlikely
  BPF_USDT BPF_USDT_MAX_SPEC_CNT BPF_USDT_MAX_IP_CNT BPF_USDT_MAX_ARG_CNT ___bpf_concat ___bpf_apply ___bpf_nth
  ___bpf_narg ___bpf_fill ___type ___arrow ___apply
`;

/** As libbpf installs them. */
const installed: HeaderProvider = {
  find: ({ name }) => {
    const path = `/usr/include/${name.startsWith("bpf/") || name.includes("/") ? name : `bpf/${name}`}`;
    if (name === "vmlinux.h" || !existsSync(path))
      return new BuiltinHeaders().find({ name, angled: true, from: "", next: false });
    return { path, text: readFileSync(path, "utf8"), system: true };
  },
};

describe("libbpf's headers", () => {
  test.each(exported.trim().split(/\s+/))("%s", (name) => {
    const text = `${includes}#include <bpf/usdt.bpf.h>\n#ifndef ${name}\n#error missing\n#endif`;
    expect(parse(text, new KernelDeclarations(), new BuiltinHeaders()).diagnostics.format()).toBe("");
  });

  test("a header that is not there is named, with one that is", () => {
    const { diagnostics } = parse("#include <bpf/bpf_traicng.h>", undefined, new BuiltinHeaders());
    expect(diagnostics.format()).toContain("there is no header <bpf/bpf_traicng.h>");
    expect(diagnostics.format()).toContain("did you mean bpf/bpf_tracing.h");
  });

  test("registers follow the machine", () => {
    const program = `${includes}unsigned long f(struct pt_regs *ctx) { return PT_REGS_PARM3(ctx) + PT_REGS_RC(ctx); }`;
    const { diagnostics } = parse(program, new KernelDeclarations(), new BuiltinHeaders({ arch: "arm64" }));
    expect(diagnostics.format()).toBe("");
    const chosen = parse(`#define __TARGET_ARCH_arm64 1\n${program}`, new KernelDeclarations(), new BuiltinHeaders());
    expect(chosen.diagnostics.format()).toBe("");
  });

  test("arguments of static probes are laid out as libbpf's", () => {
    const { diagnostics } = parse(
      `${includes}#include <bpf/usdt.bpf.h>
#define at(s, m, o) _Static_assert(__builtin_offsetof(struct s, m) == (o), #m);
_Static_assert(sizeof(struct __bpf_usdt_arg_spec) == 24, "");
at(__bpf_usdt_arg_spec, val_off, 0) at(__bpf_usdt_arg_spec, reg_off, 14)
at(__bpf_usdt_arg_spec, arg_signed, 16) at(__bpf_usdt_arg_spec, arg_bitshift, 17)
at(__bpf_usdt_spec, usdt_cookie, 288) at(__bpf_usdt_spec, arg_cnt, 296) _Static_assert(sizeof(struct __bpf_usdt_spec) == 304, "");
SEC("usdt") int BPF_USDT(probe, int a, void *b, long c) { return a + c + (b != NULL) + bpf_usdt_arg_size(ctx, 0); }`,
      new KernelDeclarations(),
      new BuiltinHeaders(),
    );
    expect(diagnostics.format()).toBe("");
  });
});

/** Expressions over `struct task_struct *t`, `struct pt_regs *regs`, `struct sock *sk`, and their types. */
const expressions: readonly (readonly [string, string])[] = [
  ["BPF_CORE_READ(t, pid)", "pid_t"],
  ["BPF_CORE_READ(t, mm, pgd)", "pgd_t *"],
  ["BPF_CORE_READ(t, real_parent, real_parent, tgid)", "pid_t"],
  ["BPF_CORE_READ(t, nsproxy, pid_ns_for_children, ns.inum)", "unsigned int"],
  ["BPF_CORE_READ(t, comm)", "char *"],
  ["BPF_CORE_READ(t, se.cfs_rq, nr_queued)", "unsigned int"],
  ["BPF_CORE_READ_USER(t, pid)", "pid_t"],
  ["BPF_PROBE_READ(sk, __sk_common.skc_net.net, ns.inum)", "unsigned int"],
  ["BPF_PROBE_READ_USER(sk, __sk_common.skc_dport)", "__be16"],
  ["BPF_CORE_READ_INTO(&x, t, mm, pgd)", "long"],
  ["BPF_CORE_READ_STR_INTO(&name, t, real_parent, comm)", "long"],
  ["BPF_CORE_READ_USER_STR_INTO(&name, t, comm)", "long"],
  ["BPF_PROBE_READ_INTO(&x, t, mm, pgd)", "long"],
  ["bpf_core_read(&x, sizeof(x), &t->mm)", "long"],
  ["bpf_core_read_str(name, sizeof(name), &t->comm)", "long"],
  ["bpf_core_field_exists(t->mm)", "unsigned int"],
  ["bpf_core_field_exists(struct task_struct, mm)", "unsigned int"],
  ["bpf_core_field_size(struct task_struct, mm)", "unsigned int"],
  ["bpf_core_field_offset(struct task_struct, mm)", "unsigned int"],
  ["bpf_core_type_exists(struct task_struct)", "unsigned int"],
  ["bpf_core_type_size(struct task_struct)", "unsigned int"],
  ["bpf_core_type_matches(struct task_struct)", "unsigned int"],
  ["bpf_core_type_id_kernel(struct task_struct)", "unsigned long"],
  ["bpf_core_type_id_local(struct task_struct)", "unsigned long"],
  ["bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_HASH)", "unsigned long"],
  ["bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_HASH)", "unsigned long"],
  ["BPF_CORE_READ_BITFIELD(t, sched_reset_on_fork)", "unsigned long long"],
  ["BPF_CORE_READ_BITFIELD_PROBED(t, sched_reset_on_fork)", "unsigned long long"],
  ["PT_REGS_PARM1(regs)", "unsigned long"],
  ["PT_REGS_PARM4_SYSCALL(regs)", "unsigned long"],
  ["PT_REGS_PARM6_CORE(regs)", "unsigned long"],
  ["PT_REGS_PARM4_CORE_SYSCALL(regs)", "unsigned long"],
  ["PT_REGS_RC(regs)", "unsigned long"],
  ["PT_REGS_IP_CORE(regs)", "unsigned long"],
  ["PT_REGS_SYSCALL_REGS(regs)", "struct pt_regs *"],
  ["container_of(&t->pid, struct task_struct, pid)", "struct task_struct *"],
  ["offsetof(struct task_struct, pid)", "unsigned long"],
  ['bpf_printk("%d %d", 1, 2)', "long"],
  ['bpf_printk("%d %d %d %d %s", 1, 2, 3, 4, name)', "long"],
  ['BPF_SNPRINTF(name, sizeof(name), "%d %s", 1, name)', "long"],
  ['BPF_SEQ_PRINTF((struct seq_file *)0, "%d", 1)', "long"],
  ["bpf_htons(80)", "int"],
  ["bpf_ntohl(x)", "unsigned int"],
  ["bpf_cpu_to_be64(x)", "unsigned long long"],
  ["bpf_ksym_exists(bpf_iter_num_new)", "int"],
];

/** Programs that must be read without a word. */
const programs: readonly (readonly [string, string])[] = [
  [
    "BPF_PROG",
    'SEC("fentry/f") int BPF_PROG(p, struct task_struct *a, int b, long c) { return a->pid + b + c + ctx[0]; }',
  ],
  ["BPF_PROG without arguments", 'SEC("fentry/f") int BPF_PROG(p) { return ctx != NULL; }'],
  [
    "BPF_KPROBE",
    'SEC("kprobe/f") int BPF_KPROBE(p, struct file *a, size_t b, int c, int d, int e) { return a && b + c + d + e; }',
  ],
  ["BPF_KRETPROBE", 'SEC("kretprobe/f") int BPF_KRETPROBE(p, int ret) { return ret; }'],
  ["BPF_UPROBE", 'SEC("uprobe/x:f") int BPF_UPROBE(p, const char *a) { return a != NULL; }'],
  ["BPF_URETPROBE", 'SEC("uretprobe/x:f") int BPF_URETPROBE(p, void *ret) { return ret != NULL; }'],
  ["BPF_KSYSCALL", 'SEC("ksyscall/write") int BPF_KSYSCALL(p, int fd, const void *buf, size_t n) { return fd + n; }'],
  [
    "BPF_KPROBE_SYSCALL",
    'SEC("kprobe/x") int BPF_KPROBE_SYSCALL(p, int fd, int a, int b, int c, int d, int e) { return fd + e; }',
  ],
  [
    "return addresses",
    "int p(struct pt_regs *c) { u64 ip; BPF_KPROBE_READ_RET_IP(ip, c); BPF_KRETPROBE_READ_RET_IP(ip, c); return ip; }",
  ],
  [
    "loops",
    "int p(void) { int i, *v, s = 0; bpf_for(i, 0, 9) s += i; bpf_repeat(3) s++; bpf_for_each(num, v, 0, 5) s += *v; return s; }",
  ],
  [
    "maps",
    'struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } m SEC(".maps"); int p(u32 *k) { return bpf_map_lookup_elem(&m, k) != NULL; }',
  ],
  [
    "maps in maps",
    'struct in { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, int); __type(value, int); __uint(max_entries, 1); } a SEC(".maps"); struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __uint(key_size, 4); __array(values, struct in); } o SEC(".maps") = { .values = { &a } };',
  ],
  [
    "__ulong",
    'struct { __uint(type, BPF_MAP_TYPE_ARENA); __ulong(map_extra, 0x1ull << 44); __uint(max_entries, 1); } m SEC(".maps");',
  ],
  [
    "kconfig and ksyms",
    "extern int LINUX_KERNEL_VERSION __kconfig; extern enum libbpf_tristate CONFIG_X __kconfig __weak; extern const void k __ksym; int p(void) { return LINUX_KERNEL_VERSION > KERNEL_VERSION(5, 4, 0) && CONFIG_X == TRI_YES && &k; }",
  ],
  [
    "argument tags",
    "__weak int p(void *a __arg_ctx, struct task_struct *t __arg_trusted __arg_nullable) { return a && t; }",
  ],
  ["kptr", "struct v { struct task_struct __kptr *t; }; int p(struct v *v) { return v->t != NULL; }"],
  [
    "tail calls",
    'struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4); __uint(value_size, 4); } j SEC(".maps"); SEC("tc") int p(struct __sk_buff *s) { bpf_tail_call_static(s, &j, 1); return 0; }',
  ],
  [
    "bitfields written",
    "int p(struct task_struct *t) { BPF_CORE_WRITE_BITFIELD(t, sched_reset_on_fork, 1); return 0; }",
  ],
  ["barriers", "int p(int x) { barrier(); barrier_var(x); return likely(x) && unlikely(x > 2); }"],
];

describeWith(["vmlinuxBtf"], "programs with libbpf's headers", () => {
  const btf = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));
  const read = (text: string, headers: HeaderProvider): ParsedUnit => {
    const outer = new KernelDeclarations(new KernelTypes(btf));
    return parse(`#define __TARGET_ARCH_x86 1\n${includes}${text}`, outer, headers, (name) => outer.macroValue(name));
  };
  const typed = (text: string, type: string): string =>
    `void f(struct task_struct *t, struct pt_regs *regs, struct sock *sk) { unsigned long x = 0; char name[16];
_Static_assert(__builtin_types_compatible_p(__typeof__(({ __auto_type r = (${text}); r; })), ${type}), ""); }`;

  test.each(expressions)("%s is of type %s", (text, type) => {
    // The name of a member of the run queue changed in Linux 6.15.
    const known = btf.structByName("cfs_rq")?.members.some(({ name }) => name === "nr_queued") === true;
    const program = typed(known ? text : text.replace("nr_queued", "nr_running"), type);
    expect(read(program, new BuiltinHeaders()).diagnostics.format()).toBe("");
  });

  test.each(programs)("%s", (_, text) => {
    expect(read(text, new BuiltinHeaders()).diagnostics.format()).toBe("");
  });

  describeWith(["libbpf"], "read with the headers that libbpf installs", () => {
    test.each(expressions)("%s is of type %s", (text, type) => {
      const known = btf.structByName("cfs_rq")?.members.some(({ name }) => name === "nr_queued") === true;
      const { diagnostics } = read(typed(known ? text : text.replace("nr_queued", "nr_running"), type), installed);
      // Older headers have less.
      const messages = diagnostics.format();
      if (!/is not declared/.test(messages)) expect(messages).toBe("");
    });
  });

  test("records of vmlinux.h record accesses, others do not", () => {
    const outer = new KernelDeclarations(new KernelTypes(btf));
    expect(outer.record(false, "task_struct")!.preserveAccessIndex).toBe(false);
    parse('#include "vmlinux.h"\nstruct mm_struct *m;', outer, new BuiltinHeaders());
    expect(outer.record(false, "task_struct")!.preserveAccessIndex).toBe(true);
    expect(outer.record(false, "mm_struct")!.preserveAccessIndex).toBe(true);
  });

  test("what the chain of a read cannot follow is named", () => {
    const message = (text: string): string =>
      read(`int f(struct task_struct *t) { return ${text}; }`, new BuiltinHeaders()).diagnostics.format();
    expect(message("BPF_CORE_READ(t, mmm, pgd)")).toContain("did you mean mm?");
    expect(message("BPF_CORE_READ(t, pid, pid)")).toContain("a pointer must lead to pid, this is pid_t");
    expect(message("BPF_CORE_READ(t, sched_reset_on_fork)")).toContain("BPF_CORE_READ_BITFIELD_PROBED reads bitfields");
    expect(message("BPF_CORE_READ_INTO(3, t, pid)")).toContain("the first argument must be a pointer, not int");
  });
});
