/**
 * What holds an attached program: `enum bpf_link_type`. Complete for Linux 6.18.
 */
export const LinkType = {
  UNSPEC: 0,
  RAW_TRACEPOINT: 1,
  TRACING: 2,
  CGROUP: 3,
  ITER: 4,
  NETNS: 5,
  XDP: 6,
  PERF_EVENT: 7,
  KPROBE_MULTI: 8,
  STRUCT_OPS: 9,
  NETFILTER: 10,
  TCX: 11,
  UPROBE_MULTI: 12,
  NETKIT: 13,
  SOCKMAP: 14,
} as const;

/** One of the numbers of {@link LinkType}. */
export type LinkType = (typeof LinkType)[keyof typeof LinkType];
