/** `<bpf/bpf_helpers.h>`: what libbpf's programs declare themselves with. Exports what libbpf 1.8's header does, by the same names. */
import { MOST_ARGUMENTS, byCount, range, unlessDefined } from "../text.ts";

/** `kptr_ref` is what kernels before 6.3 call `kptr`. */
const typeTags: readonly string[] = ["kptr", "kptr_untrusted", "kptr_ref", "percpu_kptr", "uptr"];
const argumentTags: readonly string[] = ["ctx", "nonnull", "nullable", "trusted", "untrusted", "arena"];

const attributes = `
#define SEC(name) __attribute__((section(name), used))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
${unlessDefined("__noinline __attribute__((noinline))")}
${unlessDefined("__weak __attribute__((weak))")}
#define __hidden __attribute__((visibility("hidden")))
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))
${typeTags.map((tag) => `#define __${tag} __attribute__((btf_type_tag("${tag}")))`).join("\n")}
${argumentTags.map((tag) => `#define __arg_${tag} __attribute__((btf_decl_tag("arg:${tag}")))`).join("\n")}
`;

/** Members of map definitions carry numbers as the sizes of arrays that pointers point to, types as what pointers point to. */
const mapMembers = `
#define __uint(name, val) int (*name)[val]
#define __type(name, val) __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]
#define __ulong(name, val) enum { ___bpf_concat(__unique_value, __COUNTER__) = val } name
enum libbpf_pin_type { LIBBPF_PIN_NONE, LIBBPF_PIN_BY_NAME };
enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };
`;

const general = `
${unlessDefined("NULL ((void *)0)")}
${unlessDefined("likely(x) (__builtin_expect(!!(x), 1))")}
${unlessDefined("unlikely(x) (__builtin_expect(!!(x), 0))")}
${unlessDefined("KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))")}
#undef offsetof
#define offsetof(type, member) ((unsigned long)&((type *)0)->member)
#undef container_of
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - offsetof(type, member)))
${unlessDefined('barrier() __asm__ volatile("" ::: "memory")')}
${unlessDefined('barrier_var(var) __asm__ volatile("" : "+r"(var))')}
${unlessDefined("__bpf_unreachable() __builtin_trap()")}
#define bpf_ksym_exists(sym) \\
  ({ _Static_assert(!__builtin_constant_p(!!sym), #sym " should be marked as __weak"); !!sym; })
static __always_inline void bpf_tail_call_static(void *ctx, const void *map, const unsigned int slot)
{
  if (!__builtin_constant_p(slot))
    __bpf_unreachable();
  bpf_tail_call(ctx, (void *)map, slot);
}
`;

const placeholders = range(1, MOST_ARGUMENTS)
  .map((n) => `_${n}`)
  .join(", ");
const counts = range(0, MOST_ARGUMENTS).toReversed().join(", ");

/** Names that programs and other headers count arguments by. */
const counting = `
${unlessDefined("___bpf_concat(a, b) a ## b")}
${unlessDefined("___bpf_apply(fn, n) ___bpf_concat(fn, n)")}
${unlessDefined(`___bpf_nth(_, ${placeholders}, N, ...) N`)}
${unlessDefined(`___bpf_narg(...) ___bpf_nth(_, ##__VA_ARGS__, ${counts})`)}
${byCount("___bpf_fill", MOST_ARGUMENTS, (count) => {
  const names = range(1, count).map((n) => `x${n}`);
  const stores = names.map((name, i) => `(arr)[(p) + ${i}] = ${name};`);
  return count === 0
    ? "(arr, p, x) do {} while (0)"
    : `(${["arr", "p", ...names].join(", ")}) ${stores.join(" ").replace(/;$/, "")}`;
})}
#define ___bpf_fill(arr, args...) ___bpf_apply(___bpf_fill, ___bpf_narg(args))(arr, 0, args)
`;

/** Helpers that take their values as an array of 64-bit words. `call` uses `___fmt` and `___param`. */
function formatted(name: string, params: string, call: string): string {
  return `#define ${name}(${params}fmt, args...) ({ \\
  static const char ___fmt[] = fmt; \\
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \\"-Wint-conversion\\"") \\
  unsigned long long ___param[] = { args }; \\
  _Pragma("GCC diagnostic pop") \\
  ${call}; })`;
}

const printing = `
${formatted("BPF_SEQ_PRINTF", "seq, ", "bpf_seq_printf(seq, ___fmt, sizeof(___fmt), ___param, sizeof(___param))")}
${formatted("BPF_SNPRINTF", "out, out_size, ", "bpf_snprintf(out, out_size, ___fmt, ___param, sizeof(___param))")}
${formatted("__bpf_vprintk", "", "bpf_trace_vprintk(___fmt, sizeof(___fmt), ___param, sizeof(___param))")}
${formatted("bpf_stream_printk", "stream_id, ", "bpf_stream_vprintk(stream_id, ___fmt, ___param, sizeof(___param))")}
#ifdef BPF_NO_GLOBAL_DATA
#define BPF_PRINTK_FMT_MOD
#else
#define BPF_PRINTK_FMT_MOD static const
#endif
#define __bpf_printk(fmt, ...) ({ \\
  BPF_PRINTK_FMT_MOD char ____fmt[] = fmt; \\
  bpf_trace_printk(____fmt, sizeof(____fmt), ##__VA_ARGS__); })
#define ___bpf_pick_printk(...) ___bpf_nth(_, ##__VA_ARGS__, ${range(0, MOST_ARGUMENTS)
  .toReversed()
  .map((count) => (count > 3 ? "__bpf_vprintk" : "__bpf_printk"))
  .join(", ")})
#define bpf_printk(fmt, args...) ___bpf_pick_printk(args)(fmt, ##args)
`;

/**
 * A `for` over an iterator of the kernel: made when the loop begins, given back however it is left. `stem` is the name of its struct;
 * `functions` begins the names of its functions.
 */
function loop(stem: string, functions: string, args: string, step: string): string {
  return `for (struct ${stem} ___it __attribute__((aligned(8), cleanup(${functions}_destroy))), \\
  *___p __attribute__((unused)) = (${functions}_new(&___it${args}), (void)${functions}_destroy, (void *)0); \\
  ${step};)`;
}

const eachStep = "((cur) = bpf_iter_##type##_next(&___it))";
const boundedStep =
  "({ int *___t = bpf_iter_num_next(&___it); (___t && ((i) = *___t, (i) >= (start) && (i) < (end))); })";

const iterators = `
struct bpf_iter_num;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;
${unlessDefined(`bpf_for_each(type, cur, args...) ${loop("bpf_iter_##type", "bpf_iter_##type##", ", ##args", eachStep)}`)}
${unlessDefined(`bpf_for(i, start, end) ${loop("bpf_iter_num", "bpf_iter_num", ", (start), (end)", boundedStep)}`)}
${unlessDefined(`bpf_repeat(N) ${loop("bpf_iter_num", "bpf_iter_num", ", 0, (N)", "bpf_iter_num_next(&___it)")}`)}
`;

/** The header's text. */
export const bpfHelpersHeader: string = `#pragma once
#define __BPF_HELPERS__
#include <bpf/bpf_helper_defs.h>
${counting}${attributes}${mapMembers}${general}${printing}${iterators}`;

/** `<bpf/bpf_helper_defs.h>`: helpers need no declaration here, their prototypes come from the isa room's table. */
export const bpfHelperDefsHeader: string = "#pragma once\n#define __bpf_fastcall\n";
