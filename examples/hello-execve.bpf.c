// Says hello whenever a program is started. It needs no header of libbpf: SEC is its own, and the compiler knows helpers by their names.
// Run it as root: npx skep run examples/hello-execve.bpf.c
#include <linux/bpf.h>

#define SEC(NAME) __attribute__((section(NAME), used))

SEC("tracepoint/syscalls/sys_enter_execve")
int bpf_prog(void *ctx) {
  char msg[] = "Hello, BPF World!";
  bpf_trace_printk(msg, sizeof(msg));
  return 0;
}

char _license[] SEC("license") = "GPL";
