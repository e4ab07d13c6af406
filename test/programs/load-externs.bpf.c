/* What only the kernel knows: its configuration, its symbols and its functions, strong and weak. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_HAS_BPF_COOKIE __kconfig;
extern bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern unsigned long LINUX_HAS_NO_SUCH_THING __kconfig __weak;
extern unsigned long CONFIG_HZ __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_BPF __kconfig;
extern char CONFIG_NET __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[8] __kconfig;
extern int CONFIG_SKEP_NOT_THERE __kconfig __weak;
extern unsigned short CONFIG_SKEP_GIVEN __kconfig __weak;

/* By address. */
extern const void _stext __ksym;
extern const void skep_no_such_symbol __ksym __weak;
/* By type: a per-CPU variable. */
extern const unsigned int cpu_tsc_khz __ksym __weak;
extern const int skep_no_such_variable __ksym __weak;

extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;
extern int skep_no_such_function(int a) __ksym __weak;
/* Another flavour of a function, and one whose shape is not the kernel's. */
extern void bpf_rcu_read_lock___other(int a, int b, int c) __ksym __weak;

struct {
	unsigned int version;
	bool cookie, wrapper, bpf_syscall;
	unsigned long hz;
	enum libbpf_tristate bpf;
	char net;
	char hostname[8];
	long no_thing;
	int not_there;
	unsigned short given;
	const void *text, *no_symbol, *no_variable;
	const void *lock, *no_function, *other_lock;
	bool has_variable;
	int variable;
} seen;

SEC("syscall")
int ask(void *ctx)
{
	seen.version = LINUX_KERNEL_VERSION;
	seen.cookie = LINUX_HAS_BPF_COOKIE;
	seen.wrapper = LINUX_HAS_SYSCALL_WRAPPER;
	seen.no_thing = LINUX_HAS_NO_SUCH_THING;
	seen.hz = CONFIG_HZ;
	seen.bpf_syscall = CONFIG_BPF_SYSCALL;
	seen.bpf = CONFIG_BPF;
	seen.net = CONFIG_NET;
	__builtin_memcpy(seen.hostname, CONFIG_DEFAULT_HOSTNAME, 8);
	seen.not_there = CONFIG_SKEP_NOT_THERE;
	seen.given = CONFIG_SKEP_GIVEN;
	seen.text = &_stext;
	seen.no_symbol = &skep_no_such_symbol;
	seen.no_variable = &skep_no_such_variable;
	seen.lock = &bpf_rcu_read_lock;
	seen.no_function = &skep_no_such_function;
	seen.other_lock = &bpf_rcu_read_lock___other;
	if (bpf_rcu_read_lock && bpf_rcu_read_unlock) {
		bpf_rcu_read_lock();
		bpf_rcu_read_unlock();
	}
	if (skep_no_such_function)
		return skep_no_such_function(1);
	return 7;
}

/* bpftool cannot leave programs out. */
#ifndef ONLY_MANDATORY

/* Needs a kernel whose kallsyms has variables (CONFIG_KALLSYMS_ALL). */
SEC("?syscall")
int variable(void *ctx)
{
	if (&cpu_tsc_khz) {
		unsigned int *khz = bpf_this_cpu_ptr(&cpu_tsc_khz);
		seen.has_variable = true;
		seen.variable = *khz;
	}
	return 3;
}

/* Reaches a call that the kernel does not have. */
SEC("?syscall")
int unguarded(void *ctx)
{
	return skep_no_such_function(2);
}

#endif
