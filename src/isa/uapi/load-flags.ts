/** Flags of program load, attach, query and test run, under the kernel's names without `BPF_F_`. Complete for Linux 6.18. */

/** `prog_flags` of `BPF_PROG_LOAD`. */
export const ProgFlags = {
  /** The verifier demands aligned access, whatever the machine. */
  STRICT_ALIGNMENT: 0x1,
  /** The verifier allows unaligned access, whatever the machine. */
  ANY_ALIGNMENT: 0x2,
  /** Upper halves of zero-extended registers are filled with random bits, for tests. */
  TEST_RND_HI32: 0x4,
  /** The verifier makes a state at every jump, for tests. */
  TEST_STATE_FREQ: 0x8,
  /** The program may sleep (Linux 5.10). */
  SLEEPABLE: 0x10,
  /** XDP: understands packets in several buffers (Linux 5.18). */
  XDP_HAS_FRAGS: 0x20,
  /** XDP: bound to a device, so that its metadata kfuncs work (Linux 6.3). */
  XDP_DEV_BOUND_ONLY: 0x40,
  /** Broken invariants of register bounds are an error, for tests (Linux 6.8). */
  TEST_REG_INVARIANTS: 0x80,
  /** `prog_token_fd` of the attributes is valid (Linux 6.9). */
  TOKEN_FD: 0x10000,
} as const;

/** `attach_flags` of `BPF_PROG_ATTACH` and `flags` of `BPF_LINK_CREATE`. */
export const AttachFlags = {
  ALLOW_OVERRIDE: 0x1,
  ALLOW_MULTI: 0x2,
  REPLACE: 0x4,
  BEFORE: 0x8,
  AFTER: 0x10,
  ID: 0x20,
  /** Cgroups: run before the programs of child cgroups (Linux 6.15). */
  PREORDER: 0x40,
  LINK: 0x2000,
} as const;

/** `netfilter.flags` of `BPF_LINK_CREATE`. */
export const NetfilterFlags = {
  /** Fragments are put together before the program sees them (Linux 6.6). */
  IP_DEFRAG: 0x1,
} as const;

/** `order` of iterators over cgroups: `enum bpf_cgroup_iter_order`. */
export const CgroupIterOrder = {
  UNSPEC: 0,
  SELF_ONLY: 1,
  DESCENDANTS_PRE: 2,
  DESCENDANTS_POST: 3,
  ANCESTORS_UP: 4,
  /** Not in Linux 6.18. */
  CHILDREN: 5,
} as const;

/** `query_flags` of `BPF_PROG_QUERY`. */
export const QueryFlags = { EFFECTIVE: 0x1 } as const;

/** `flags` of `BPF_PROG_TEST_RUN`. */
export const TestRunFlags = { ON_CPU: 0x1, XDP_LIVE_FRAMES: 0x2, SKB_CHECKSUM_COMPLETE: 0x4 } as const;

/** `kprobe_multi.flags` and `uprobe_multi.flags` of `BPF_LINK_CREATE`. */
export const ProbeMultiFlags = {
  /** Runs when the function returns. */
  RETURN: 0x1,
} as const;

/** `log_level` of `BPF_PROG_LOAD` and `BPF_BTF_LOAD`. */
export const LogLevel = { NONE: 0, LEVEL1: 1, LEVEL2: 2, STATS: 4, FIXED: 8 } as const;

/** `type` of `BPF_ENABLE_STATS`. */
export const StatsType = { RUN_TIME: 0 } as const;

/** `fd_type` that `BPF_TASK_FD_QUERY` answers. */
export const TaskFdType = {
  RAW_TRACEPOINT: 0,
  TRACEPOINT: 1,
  KPROBE: 2,
  KRETPROBE: 3,
  UPROBE: 4,
  URETPROBE: 5,
} as const;

/** Kind of perf event behind a link of type `PERF_EVENT`: `enum bpf_perf_event_type`. */
export const PerfLinkType = {
  UNSPEC: 0,
  UPROBE: 1,
  URETPROBE: 2,
  KPROBE: 3,
  KRETPROBE: 4,
  TRACEPOINT: 5,
  EVENT: 6,
} as const;
