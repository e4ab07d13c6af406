// Reads of the kernel's structs that are relocated to the running kernel, and events in a ring.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct {
	unsigned long total_vm;
	unsigned long start_brk;
};
struct nsproxy {
	void *uts_ns;
};
struct cred {
	unsigned int securebits;
};
struct signal_struct {
	int nr_threads;
};
struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	int prio;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct nsproxy *nsproxy;
	const struct cred *cred;
	struct signal_struct *signal;
	char comm[16];
};
#pragma clang attribute pop

struct event {
	int pid, tgid, parent, prio, threads;
	unsigned int flags, securebits;
	unsigned long total_vm, start_brk;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static __always_inline int record(struct task_struct *task)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->pid = BPF_CORE_READ(task, pid);
	e->tgid = BPF_CORE_READ(task, tgid);
	e->parent = BPF_CORE_READ(task, real_parent, tgid);
	e->prio = BPF_CORE_READ(task, prio);
	e->flags = BPF_CORE_READ(task, flags);
	e->threads = BPF_CORE_READ(task, signal, nr_threads);
	e->securebits = BPF_CORE_READ(task, cred, securebits);
	e->total_vm = BPF_CORE_READ(task, mm, total_vm);
	e->start_brk = BPF_CORE_READ(task, mm, start_brk);
	bpf_core_read_str(e->comm, sizeof(e->comm), &task->comm);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	return record((struct task_struct *)ctx->args[0]);
}

SEC("raw_tracepoint/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return record((struct task_struct *)ctx->args[0]);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, _Bool preempt, struct task_struct *prev, struct task_struct *next)
{
	return next->pid > 0 && bpf_core_field_exists(next->comm) ? 0 : prev->prio > 1000;
}

char _license[] SEC("license") = "GPL";
