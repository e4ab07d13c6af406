// Many programs, functions and variables: what linking and relocating costs.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define UNIT(n)                                                                              \
	volatile __u64 variable_##n = n;                                                     \
	__u64 zero_##n[16];                                                                  \
	const volatile __u32 constant_##n = n * 3;                                           \
	static __attribute__((noinline)) __u64 step_##n(__u64 a)                             \
	{                                                                                    \
		variable_##n += a * constant_##n;                                            \
		return variable_##n ^ zero_##n[a & 15];                                      \
	}                                                                                    \
	__attribute__((noinline)) int global_##n(__u32 a)                                    \
	{                                                                                    \
		zero_##n[a & 15] = a;                                                        \
		return step_##n(a) > 7;                                                      \
	}                                                                                    \
	SEC("socket") int program_##n(struct __sk_buff *skb)                                 \
	{                                                                                    \
		return global_##n(skb->len) + (int)step_##n(skb->mark);                      \
	}
#define UNIT8(n) UNIT(n##0) UNIT(n##1) UNIT(n##2) UNIT(n##3) UNIT(n##4) UNIT(n##5) UNIT(n##6) UNIT(n##7)

UNIT8(1) UNIT8(2) UNIT8(3) UNIT8(4) UNIT8(5) UNIT8(6)

char _license[] SEC("license") = "GPL";
