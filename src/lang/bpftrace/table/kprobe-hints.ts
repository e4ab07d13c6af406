/** Tracepoints that tell what a kprobe on a kernel function would: for kernels without kprobes. */
import { nearestNames } from "../../../base/index.ts";

/** A pattern of functions, and the tracepoints to try; `$1` is what its first group matched. */
const HINTS: readonly (readonly [RegExp, ...(readonly string[])])[] = [
  [/^(?:__x64_|__ia32_|__arm64_|ksys_|__se_|__do_)?sys_(\w+)$/, "syscalls:sys_enter_$1", "syscalls:sys_enter_new$1"],
  [
    /^(?:do_sys_open|do_sys_openat2|do_filp_open|vfs_open|path_openat)$/,
    "syscalls:sys_enter_openat",
    "syscalls:sys_enter_open",
  ],
  [/^vfs_(?:stat|statx|fstat|fstatat|getattr)\w*$/, "syscalls:sys_enter_newfstatat", "syscalls:sys_enter_statx"],
  [/^vfs_create$/, "syscalls:sys_enter_openat"],
  [/^(?:__)?vfs_(\w+?)v?$/, "syscalls:sys_enter_$1"],
  [/^(?:do_|__do_)?(?:execve|execveat|bprm_execve)\w*$/, "syscalls:sys_enter_execve", "sched:sched_process_exec"],
  [/^(?:kernel_clone|_?do_fork|copy_process)$/, "sched:sched_process_fork"],
  [/^do_exit$/, "sched:sched_process_exit"],
  [/^do_nanosleep|hrtimer_nanosleep$/, "syscalls:sys_enter_clock_nanosleep", "syscalls:sys_enter_nanosleep"],
  [/^(?:finish_task_switch|__schedule|schedule)(?:\.\w+)*$/, "sched:sched_switch"],
  [/^(?:try_to_wake_up|ttwu_do_wakeup|wake_up_new_task)$/, "sched:sched_wakeup", "sched:sched_wakeup_new"],
  [/^oom_kill_process$/, "oom:mark_victim"],
  [/^tcp_(?:v4_|v6_)?connect$/, "sock:inet_sock_set_state", "tcp:tcp_probe"],
  [/^inet_csk_accept$/, "sock:inet_sock_set_state"],
  [/^tcp_set_state$/, "sock:inet_sock_set_state"],
  [/^tcp_retransmit_skb|__tcp_retransmit_skb$/, "tcp:tcp_retransmit_skb"],
  [/^tcp_drop(?:_reason)?$/, "skb:kfree_skb"],
  [/^tcp_(?:sendmsg|push)\w*$/, "sock:sock_send_length", "syscalls:sys_enter_sendto"],
  [/^tcp_(?:recvmsg|cleanup_rbuf)\w*$/, "sock:sock_recv_length", "syscalls:sys_enter_recvfrom"],
  [/^tcp_\w*$/, "sock:inet_sock_set_state", "tcp:tcp_retransmit_skb"],
  [/^udp_(?:sendmsg|recvmsg)\w*$/, "syscalls:sys_enter_sendto", "syscalls:sys_enter_recvfrom"],
  [/^(?:__)?kfree_skb\w*$/, "skb:kfree_skb"],
  [/^(?:__)?netif_receive_skb\w*$/, "net:netif_receive_skb"],
  [/^(?:__)?dev_queue_xmit\w*$/, "net:net_dev_queue"],
  [/^icmp\w*$/, "icmp:icmp_send"],
  [/^blk_(?:mq_start_request|start_request)|blk_account_io_start\w*$/, "block:block_rq_issue", "block:block_io_start"],
  [
    /^blk_(?:mq_end_request|account_io_done|account_io_completion)\w*$/,
    "block:block_rq_complete",
    "block:block_io_done",
  ],
  [/^submit_bio\w*$/, "block:block_bio_queue"],
  [/^(?:handle_mm_fault|do_user_addr_fault|exc_page_fault|do_page_fault)$/, "exceptions:page_fault_user"],
  [/^(?:__)?alloc_pages\w*$/, "kmem:mm_page_alloc"],
  [/^(?:__)?kmalloc\w*$/, "kmem:kmalloc"],
  [/^kfree$/, "kmem:kfree"],
  [/^kmem_cache_alloc\w*$/, "kmem:kmem_cache_alloc"],
  [/^shrink_node\w*|try_to_free_pages$/, "vmscan:mm_vmscan_direct_reclaim_begin"],
  [/^swap_read(?:page|_folio)$/, "exceptions:page_fault_user"],
  [/^(?:do_mmap|vm_mmap_pgoff|ksys_mmap_pgoff)$/, "syscalls:sys_enter_mmap"],
  [/^(?:do_unlinkat|vfs_unlink)$/, "syscalls:sys_enter_unlinkat"],
  [/^(?:do_renameat2|vfs_rename)$/, "syscalls:sys_enter_renameat2", "syscalls:sys_enter_rename"],
  [/^(?:do_mkdirat|vfs_mkdir)$/, "syscalls:sys_enter_mkdirat"],
  [/^(?:security_socket_|__sys_)(\w+)$/, "syscalls:sys_enter_$1"],
  [/^(?:do_send_sig_info|__send_signal_locked|send_signal_locked)$/, "signal:signal_generate"],
  [/^cap_capable$/, "capability:cap_capable"],
  [/^(?:handle_irq_event\w*|__handle_irq_event_percpu)$/, "irq:irq_handler_entry"],
  [/^(?:do_softirq|__do_softirq|handle_softirqs)$/, "irq:softirq_entry"],
  [/^worker_thread|process_one_work$/, "workqueue:workqueue_execute_start"],
  [/^md_flush_request$/, "block:block_rq_issue"],
  [/^(xfs|ext4|btrfs|nfs)_\w+$/, "$1:$1_file_read", "syscalls:sys_enter_read"],
];

/**
 * Tracepoints of this kernel (`category:event`) that come nearest to a kernel function, best first; at most 3.
 * `available` are those of the kernel.
 */
export function tracepointsFor(func: string, returns: boolean, available: readonly string[]): string[] {
  const known = new Set(available);
  const out: string[] = [];
  for (const [pattern, ...candidates] of HINTS) {
    const match = pattern.exec(func);
    if (!match) continue;
    for (const candidate of candidates) {
      let name = candidate.replaceAll("$1", match[1] ?? "");
      if (returns) name = name.replace(":sys_enter_", ":sys_exit_");
      if (known.has(name) && !out.includes(name)) out.push(name);
    }
    if (out.length > 0) return out.slice(0, 3);
  }
  const byEvent = new Map<string, string>();
  for (const full of available) byEvent.set(full.slice(full.indexOf(":") + 1), full);
  return nearestNames(func.replace(/^_+/, ""), byEvent.keys()).map((event) => byEvent.get(event)!);
}
