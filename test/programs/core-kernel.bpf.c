/* Questions to the types of real kernels: fields that moved, were renamed or became bitfields between 5.10 and 7.2. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

char LICENSE[] SEC("license") = "GPL";

#define core __attribute__((preserve_access_index))

/* Only what is asked about; the rest is the kernel's. */
struct list_head { struct list_head *next, *prev; } core;
struct load_weight { unsigned long weight; u32 inv_weight; } core;
struct sched_avg { u64 last_update_time; unsigned long util_avg; } core;
struct sched_entity { struct load_weight load; u64 vruntime; struct sched_avg avg; } core;
struct nsproxy;
struct pid_namespace;
struct upid { int nr; struct pid_namespace *ns; } core;
struct pid { unsigned int level; struct upid numbers[4]; } core;
struct signal_struct { struct pid *pids[4]; u64 utime; } core;
struct css_set { struct list_head tasks; } core;
struct kernfs_node { const char *name; u64 id; } core;
struct kernfs_node___union { union { u64 id; }; } core;
struct cgroup { struct kernfs_node *kn; int level; } core;
struct task_struct {
	unsigned int flags;
	int on_cpu;
	int prio;
	struct sched_entity se;
	int pid, tgid;
	struct task_struct *real_parent, *group_leader;
	struct list_head children;
	char comm[16];
	struct signal_struct *signal;
	u64 start_time, start_boottime;
	unsigned sched_reset_on_fork : 1, sched_contributes_to_load : 1;
	unsigned in_execve : 1, in_iowait : 1, no_cgroup_migration : 1;
	unsigned int in_memstall : 1;
	struct css_set *cgroups;
} core;
struct task_struct___old { long state; } core;
struct task_struct___new { unsigned int __state; } core;
struct thread_info { unsigned long flags; u32 cpu; } core;
struct task_struct___info { struct thread_info thread_info; unsigned int cpu; } core;
struct qstr { union { struct { u32 hash; u32 len; }; u64 hash_len; }; const unsigned char *name; } core;
struct dentry { struct qstr d_name; struct dentry *d_parent; } core;
struct inode { unsigned short i_mode; unsigned long i_ino; long long i_size; } core;
struct inode___times { struct { s64 tv_sec; } i_ctime; } core;
struct inode___stamps { s64 i_ctime_sec; } core;
struct path { void *mnt; struct dentry *dentry; } core;
struct file { struct path f_path; struct inode *f_inode; unsigned int f_flags; } core;
struct in6_addr { union { u8 u6_addr8[16]; u32 u6_addr32[4]; } in6_u; } core;
struct sock_common {
	union { u64 skc_addrpair; struct { u32 skc_daddr, skc_rcv_saddr; }; };
	union { u32 skc_portpair; struct { u16 skc_dport, skc_num; }; };
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4, skc_reuseport : 1, skc_ipv6only : 1, skc_net_refcnt : 1;
	struct in6_addr skc_v6_daddr;
} core;
struct sock { struct sock_common __sk_common; u16 sk_type, sk_protocol; u8 sk_shutdown; int sk_rcvbuf; } core;
struct sock___bits { unsigned int sk_padding : 1, sk_kern_sock : 1, sk_no_check_tx : 1, sk_protocol : 8, sk_type : 16; } core;
struct tcp_sock { u32 srtt_us, snd_cwnd; u64 bytes_acked; u8 repair : 1, frto : 1; u8 nonagle : 4; } core;
struct sk_buff {
	unsigned int len, data_len;
	u16 protocol;
	u8 cloned : 1, nohdr : 1, pkt_type : 3, ip_summed : 2;
	u16 transport_header, network_header;
	unsigned char *head, *data;
	struct sock *sk;
} core;
struct sk_buff___stamp { u8 mono_delivery_time : 1; } core;
struct sk_buff___type { u8 tstamp_type : 2; } core;
struct request { void *rq_disk; u32 __data_len; unsigned int cmd_flags; } core;
struct request_queue { void *disk; } core;
struct request___rq { void *q; } core;
struct bio { void *bi_bdev; } core;
struct bio___old { void *bi_disk; } core;
struct block_device { u32 bd_dev; u64 bd_start_sect; } core;
struct bpf_map { u32 id; enum bpf_map_type map_type; char name[16]; } core;
struct bpf_prog { u16 jited : 1, gpl_compatible : 1; u32 len; u8 tag[8]; void *bpf_func; } core;
struct mm_struct { struct { unsigned long total_vm; void *pgd; }; } core;
struct vm_area_struct { unsigned long vm_start, vm_end, vm_flags; } core;
struct page { unsigned long flags; union { struct { struct list_head lru; unsigned long index; }; }; } core;
struct trace_event_raw_sched_switch { char prev_comm[16]; int prev_pid; long prev_state; int next_pid; } core;
struct trace_event_raw_block_rq_issue { u32 dev; u64 sector; } core;
struct trace_event_raw_block_rq { u32 dev; u64 sector; } core;
struct rq { unsigned int nr_running; int cpu; u64 clock; } core;
struct cfs_rq { unsigned int nr_running; unsigned int h_nr_running; } core;
struct cfs_rq___queued { unsigned int h_nr_queued; } core;
struct net_device { char name[16]; int ifindex; unsigned int mtu, flags; } core;
struct nf_conn { unsigned long status; } core;
union bpf_iter_link_info___x { struct { u32 map_fd; } map; } core;
struct bpf_iter__task { struct task_struct *task; } core;
struct tcf_result { unsigned long class; } core;
struct no_such_struct { int x; } core;

typedef int pid_t;
typedef struct { int counter; } core atomic_t;
typedef struct { s64 counter; } core atomic64_t;
typedef int (*notifier_fn_t)(void *, unsigned long, void *);
typedef u32 dev_t;
typedef struct { u32 val; } core kuid_t;

enum pid_type { PIDTYPE_PID = 9, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID, PIDTYPE_MAX };
enum node_states { N_POSSIBLE = 8, N_MEMORY };
enum tcp_ca_event { CA_EVENT_LOSS = 77 };
enum zone_type { ZONE_DMA = 40, ZONE_NORMAL, ZONE_MOVABLE, __MAX_NR_ZONES };
enum bpf_func_id___x { BPF_FUNC_loop___x = 1000, BPF_FUNC_map_lookup_elem___x, BPF_FUNC_none___x, BPF_FUNC_cgrp_storage_get___x };
enum kvm_only { KVM_ONLY = 1 };
/* An enum of 64 bits in later kernels. */
enum perf_callchain_context { PERF_CONTEXT_HV = 5, PERF_CONTEXT_MAX = 6 };
enum work_bits { WORK_STRUCT_PENDING_BIT = 33, WORK_OFFQ_LEFT };

#define FIELD(name, type, field) \
	SEC("socket") int size_##name(void *ctx) { type *p = ctx; return bpf_core_field_size(p->field); } \
	SEC("socket") int exists_##name(void *ctx) { type *p = ctx; return bpf_core_field_exists(p->field); } \
	SEC("socket") int offset_##name(void *ctx) { type *p = ctx; \
		return __builtin_preserve_field_info(p->field, BPF_FIELD_BYTE_OFFSET); }
#define NUMBER(name, type, field) \
	FIELD(name, type, field) \
	SEC("socket") int load_##name(void *ctx) { type *p = ctx; return (int)p->field; } \
	SEC("socket") int signed_##name(void *ctx) { type *p = ctx; \
		return __builtin_preserve_field_info(p->field, BPF_FIELD_SIGNED); } \
	SEC("socket") int shifts_##name(void *ctx) { type *p = ctx; \
		return __builtin_preserve_field_info(p->field, BPF_FIELD_LSHIFT_U64) + \
		       __builtin_preserve_field_info(p->field, BPF_FIELD_RSHIFT_U64); }
#define BITS(name, type, field) \
	FIELD(name, type, field) \
	SEC("socket") int signed_##name(void *ctx) { type *p = ctx; \
		return __builtin_preserve_field_info(p->field, BPF_FIELD_SIGNED); } \
	SEC("socket") int bits_##name(void *ctx) { type *q = ctx; return BPF_CORE_READ_BITFIELD(q, field); }
/* Elements of arrays have no signs and shifts. */
#define ELEMENT(name, type, field) \
	FIELD(name, type, field) \
	SEC("socket") int load_##name(void *ctx) { type *p = ctx; return (int)p->field; }
#define POINTER(name, type, field) \
	FIELD(name, type, field) \
	SEC("socket") int load_##name(void *ctx) { type *p = ctx; return (int)(long)p->field; }

NUMBER(flags, struct task_struct, flags)
NUMBER(on_cpu, struct task_struct, on_cpu)
NUMBER(vruntime, struct task_struct, se.vruntime)
NUMBER(weight, struct task_struct, se.load.weight)
NUMBER(util, struct task_struct, se.avg.util_avg)
NUMBER(pid, struct task_struct, pid)
NUMBER(tgid, struct task_struct, tgid)
POINTER(parent, struct task_struct, real_parent)
POINTER(next_child, struct task_struct, children.next)
FIELD(comm, struct task_struct, comm)
ELEMENT(comm_4, struct task_struct, comm[4])
POINTER(signal, struct task_struct, signal)
POINTER(signal_pid, struct signal_struct, pids[2])
NUMBER(start_boottime, struct task_struct, start_boottime)
BITS(reset_on_fork, struct task_struct, sched_reset_on_fork)
BITS(contributes, struct task_struct, sched_contributes_to_load)
BITS(in_iowait, struct task_struct, in_iowait)
BITS(in_memstall, struct task_struct, in_memstall)
NUMBER(state_old, struct task_struct___old, state)
NUMBER(state_new, struct task_struct___new, __state)
NUMBER(info_cpu, struct task_struct___info, thread_info.cpu)
NUMBER(cpu, struct task_struct___info, cpu)
NUMBER(level, struct pid, numbers[0].nr)
NUMBER(level_3, struct pid, numbers[3].nr)
NUMBER(kn_id, struct kernfs_node, id)
NUMBER(kn_union, struct kernfs_node___union, id)
NUMBER(name_len, struct dentry, d_name.len)
NUMBER(name_hash, struct dentry, d_name.hash_len)
NUMBER(mode, struct inode, i_mode)
NUMBER(isize, struct inode, i_size)
NUMBER(ctime, struct inode___times, i_ctime.tv_sec)
NUMBER(ctime_sec, struct inode___stamps, i_ctime_sec)
POINTER(dentry, struct file, f_path.dentry)
NUMBER(f_flags, struct file, f_flags)
NUMBER(daddr, struct sock, __sk_common.skc_daddr)
NUMBER(dport, struct sock, __sk_common.skc_dport)
NUMBER(sk_state, struct sock, __sk_common.skc_state)
BITS(reuse, struct sock, __sk_common.skc_reuse)
BITS(ipv6only, struct sock, __sk_common.skc_ipv6only)
FIELD(v6, struct sock, __sk_common.skc_v6_daddr.in6_u.u6_addr32)
ELEMENT(v6_2, struct sock, __sk_common.skc_v6_daddr.in6_u.u6_addr32[2])
NUMBER(sk_type, struct sock, sk_type)
NUMBER(sk_protocol, struct sock, sk_protocol)
BITS(sk_type_bits, struct sock___bits, sk_type)
BITS(sk_kern, struct sock___bits, sk_kern_sock)
NUMBER(srtt, struct tcp_sock, srtt_us)
BITS(repair, struct tcp_sock, repair)
BITS(nonagle, struct tcp_sock, nonagle)
NUMBER(skb_len, struct sk_buff, len)
NUMBER(skb_protocol, struct sk_buff, protocol)
BITS(cloned, struct sk_buff, cloned)
BITS(pkt_type, struct sk_buff, pkt_type)
BITS(ip_summed, struct sk_buff, ip_summed)
BITS(mono, struct sk_buff___stamp, mono_delivery_time)
BITS(tstamp_type, struct sk_buff___type, tstamp_type)
NUMBER(data_len, struct request, __data_len)
POINTER(rq_disk, struct request, rq_disk)
POINTER(rq_queue, struct request___rq, q)
POINTER(bi_bdev, struct bio, bi_bdev)
POINTER(bi_disk, struct bio___old, bi_disk)
NUMBER(bd_dev, struct block_device, bd_dev)
NUMBER(map_type, struct bpf_map, map_type)
FIELD(map_name, struct bpf_map, name)
BITS(jited, struct bpf_prog, jited)
BITS(gpl, struct bpf_prog, gpl_compatible)
NUMBER(total_vm, struct mm_struct, total_vm)
NUMBER(vm_flags, struct vm_area_struct, vm_flags)
NUMBER(page_flags, struct page, flags)
NUMBER(page_index, struct page, index)
NUMBER(prev_state, struct trace_event_raw_sched_switch, prev_state)
NUMBER(issue, struct trace_event_raw_block_rq_issue, sector)
NUMBER(block_rq, struct trace_event_raw_block_rq, sector)
NUMBER(rq_running, struct rq, nr_running)
NUMBER(rq_clock, struct rq, clock)
NUMBER(h_running, struct cfs_rq, h_nr_running)
NUMBER(h_queued, struct cfs_rq___queued, h_nr_queued)
NUMBER(ifindex, struct net_device, ifindex)
NUMBER(mtu, struct net_device, mtu)
NUMBER(nf_status, struct nf_conn, status)
NUMBER(no_such, struct no_such_struct, x)
NUMBER(counter, atomic_t, counter)
NUMBER(counter64, atomic64_t, counter)
NUMBER(uid, kuid_t, val)

#define TYPE(name, type) \
	SEC("socket") int type_exists_##name(void *ctx) { return bpf_core_type_exists(type); } \
	SEC("socket") int type_size_##name(void *ctx) { return bpf_core_type_size(type); } \
	SEC("socket") int type_local_##name(void *ctx) { return bpf_core_type_id_local(type); } \
	SEC("socket") int type_kernel_##name(void *ctx) { return bpf_core_type_id_kernel(type); } \
	SEC("tc") int matches_##name(void *ctx) { return bpf_core_type_exists(type); }
TYPE(task, struct task_struct)
TYPE(list, struct list_head)
TYPE(upid, struct upid)
TYPE(qstr, struct qstr)
TYPE(in6, struct in6_addr)
TYPE(iter, union bpf_iter_link_info___x)
TYPE(iter_task, struct bpf_iter__task)
TYPE(no_such, struct no_such_struct)
TYPE(issue, struct trace_event_raw_block_rq_issue)
TYPE(block, struct trace_event_raw_block_rq)
TYPE(pid_t, pid_t)
TYPE(atomic, atomic_t)
TYPE(notifier, notifier_fn_t)
TYPE(dev, dev_t)
TYPE(u64, u64)
TYPE(pid_type, enum pid_type)
TYPE(zone, enum zone_type)
TYPE(func, enum bpf_func_id___x)
TYPE(work, enum work_bits)
TYPE(gone, enum kvm_only)
TYPE(result, struct tcf_result)

#define VALUE(name, type, constant) \
	SEC("socket") int has_##name(void *ctx) { return bpf_core_enum_value_exists(type, constant); } \
	SEC("socket") int value_##name(void *ctx) { return (int)bpf_core_enum_value(type, constant); }
VALUE(tgid_type, enum pid_type, PIDTYPE_TGID)
VALUE(max_type, enum pid_type, PIDTYPE_MAX)
VALUE(memory, enum node_states, N_MEMORY)
VALUE(loss, enum tcp_ca_event, CA_EVENT_LOSS)
VALUE(dma, enum zone_type, ZONE_DMA)
VALUE(movable, enum zone_type, ZONE_MOVABLE)
VALUE(loop, enum bpf_func_id___x, BPF_FUNC_loop___x)
VALUE(lookup, enum bpf_func_id___x, BPF_FUNC_map_lookup_elem___x)
VALUE(none, enum bpf_func_id___x, BPF_FUNC_none___x)
VALUE(cgrp, enum bpf_func_id___x, BPF_FUNC_cgrp_storage_get___x)
VALUE(pending, enum work_bits, WORK_STRUCT_PENDING_BIT)
VALUE(hv, enum perf_callchain_context, PERF_CONTEXT_HV)
VALUE(context, enum perf_callchain_context, PERF_CONTEXT_MAX)
VALUE(kvm, enum kvm_only, KVM_ONLY)
