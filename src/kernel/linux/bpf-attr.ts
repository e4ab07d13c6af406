/**
 * Byte offsets in `union bpf_attr` and in the info structures of `BPF_OBJ_GET_INFO_BY_FD`, as of Linux 6.18
 * (include/uapi/linux/bpf.h). Pointers are 64 bits wide on every architecture. The kernel accepts a structure longer than the one
 * it knows as long as what it does not know is zero; so each `SIZE` is that of the newest field that Skep sets.
 */

/** `BPF_MAP_CREATE`. */
export const MapCreateAttr = {
  MAP_TYPE: 0,
  KEY_SIZE: 4,
  VALUE_SIZE: 8,
  MAX_ENTRIES: 12,
  MAP_FLAGS: 16,
  INNER_MAP_FD: 20,
  NUMA_NODE: 24,
  /** 16 bytes, Linux 4.15. */
  MAP_NAME: 28,
  BTF_FD: 48,
  BTF_KEY_TYPE_ID: 52,
  BTF_VALUE_TYPE_ID: 56,
  /** struct_ops: the value's type in the kernel's BTF. Linux 5.6. */
  BTF_VMLINUX_VALUE_TYPE_ID: 60,
  /** Linux 5.16. */
  MAP_EXTRA: 64,
  /** struct_ops of modules: their BTF, with `VTYPE_BTF_OBJ_FD`. Linux 6.9. */
  VALUE_TYPE_BTF_OBJ_FD: 72,
  /** With `TOKEN_FD`. Linux 6.9. */
  MAP_TOKEN_FD: 76,
  /** SHA-256 of the program that alone may use the map. Linux 6.18. */
  EXCL_PROG_HASH: 80,
  EXCL_PROG_HASH_SIZE: 88,
  /** Up to `map_extra`: what 5.16 and later know. */
  SIZE: 72,
  /** Up to `map_token_fd`: what 6.9 and later know. */
  SIZE_WITH_TOKEN: 80,
  /** Up to `excl_prog_hash_size`: what 6.18 and later know. */
  SIZE_WITH_EXCL_PROG: 96,
} as const;

/** The element commands; `VALUE` is the next key for `BPF_MAP_GET_NEXT_KEY`. Also `BPF_MAP_FREEZE`. */
export const MapElemAttr = { MAP_FD: 0, KEY: 8, VALUE: 16, FLAGS: 24, SIZE: 32 } as const;

/** The batch commands, Linux 5.6. `COUNT` is read and written. */
export const MapBatchAttr = {
  IN_BATCH: 0,
  OUT_BATCH: 8,
  KEYS: 16,
  VALUES: 24,
  COUNT: 32,
  MAP_FD: 36,
  ELEM_FLAGS: 40,
  FLAGS: 48,
  SIZE: 56,
} as const;

/** `BPF_PROG_LOAD`. */
export const ProgLoadAttr = {
  PROG_TYPE: 0,
  INSN_CNT: 4,
  INSNS: 8,
  LICENSE: 16,
  LOG_LEVEL: 24,
  LOG_SIZE: 28,
  LOG_BUF: 32,
  /** Checked against the running kernel for kprobes before 5.0. */
  KERN_VERSION: 40,
  PROG_FLAGS: 44,
  /** 16 bytes. */
  PROG_NAME: 48,
  PROG_IFINDEX: 64,
  EXPECTED_ATTACH_TYPE: 68,
  PROG_BTF_FD: 72,
  FUNC_INFO_REC_SIZE: 76,
  FUNC_INFO: 80,
  FUNC_INFO_CNT: 88,
  LINE_INFO_REC_SIZE: 92,
  LINE_INFO: 96,
  LINE_INFO_CNT: 104,
  ATTACH_BTF_ID: 108,
  /** Descriptor of a module's BTF (Linux 5.11), or of a program to extend. */
  ATTACH_BTF_OBJ_FD: 112,
  FD_ARRAY: 120,
  /** Written by the kernel since 6.4: bytes that the whole log takes. */
  LOG_TRUE_SIZE: 140,
  /** With `TOKEN_FD`. Linux 6.9. */
  PROG_TOKEN_FD: 144,
  /** Up to `line_info_cnt` and `attach_btf_obj_fd`: what 5.5 and later know. */
  SIZE: 120,
  /** Up to `fd_array`: what 5.14 and later know. */
  SIZE_WITH_FD_ARRAY: 128,
  /** Up to `log_true_size`: what 6.4 and later know. */
  SIZE_WITH_LOG_TRUE_SIZE: 144,
  /** Up to `prog_token_fd`: what 6.9 and later know. */
  SIZE_WITH_TOKEN: 148,
} as const;

/** `BPF_BTF_LOAD`. */
export const BtfLoadAttr = {
  BTF: 0,
  LOG_BUF: 8,
  BTF_SIZE: 16,
  LOG_SIZE: 20,
  LOG_LEVEL: 24,
  /** Linux 6.9, as the token. */
  FLAGS: 32,
  TOKEN_FD: 36,
  SIZE: 28,
  SIZE_WITH_TOKEN: 40,
} as const;

/** `BPF_TOKEN_CREATE`. */
export const TokenCreateAttr = { FLAGS: 0, BPFFS_FD: 4, SIZE: 8 } as const;

/** `BPF_PROG_BIND_MAP`. */
export const ProgBindMapAttr = { PROG_FD: 0, MAP_FD: 4, FLAGS: 8, SIZE: 12 } as const;

/** `BPF_OBJ_PIN` and `BPF_OBJ_GET`. */
export const ObjAttr = { PATHNAME: 0, BPF_FD: 8, FILE_FLAGS: 12, SIZE: 16 } as const;

/** `BPF_PROG_TEST_RUN`. `RETVAL`, `DATA_SIZE_OUT`, `DURATION` and `CTX_SIZE_OUT` are written. */
export const TestRunAttr = {
  PROG_FD: 0,
  RETVAL: 4,
  DATA_SIZE_IN: 8,
  DATA_SIZE_OUT: 12,
  DATA_IN: 16,
  DATA_OUT: 24,
  REPEAT: 32,
  /** Nanoseconds a run, averaged. */
  DURATION: 36,
  CTX_SIZE_IN: 40,
  CTX_SIZE_OUT: 44,
  CTX_IN: 48,
  CTX_OUT: 56,
  FLAGS: 64,
  CPU: 68,
  SIZE: 72,
} as const;

/** `BPF_*_GET_NEXT_ID` and `BPF_*_GET_FD_BY_ID`. */
export const IdAttr = { ID: 0, NEXT_ID: 4, OPEN_FLAGS: 8, SIZE: 12 } as const;

/** `BPF_OBJ_GET_INFO_BY_FD`. `INFO_LEN` is read and written. */
export const InfoAttr = { BPF_FD: 0, INFO_LEN: 4, INFO: 8, SIZE: 16 } as const;

/** `BPF_RAW_TRACEPOINT_OPEN`. */
export const RawTracepointAttr = {
  NAME: 0,
  PROG_FD: 8,
  /** Linux 6.10. */
  COOKIE: 16,
  SIZE: 16,
  SIZE_WITH_COOKIE: 24,
} as const;

/** `BPF_LINK_CREATE`; what follows `FLAGS` depends on the attach type. */
export const LinkCreateAttr = {
  PROG_FD: 0,
  TARGET_FD: 4,
  ATTACH_TYPE: 8,
  FLAGS: 12,
  /** perf_event, Linux 5.15. */
  PERF_COOKIE: 16,
  /** freplace: a function in the BTF of the program behind `TARGET_FD`. */
  TARGET_BTF_ID: 16,
  /** tracing, Linux 5.19. */
  TRACING_COOKIE: 24,
  /** iterators: `union bpf_iter_link_info` and its size. */
  ITER_INFO: 16,
  ITER_INFO_LEN: 24,
  /** netfilter, Linux 6.4. */
  NETFILTER_PF: 16,
  NETFILTER_HOOK: 20,
  /** Signed. */
  NETFILTER_PRIORITY: 24,
  NETFILTER_FLAGS: 28,
  /** tcx, netkit and cgroups: descriptor or, with `BPF_F_ID`, id of the program or link to be placed at. */
  RELATIVE: 16,
  /** kprobe_multi, Linux 5.18. */
  KPROBE_FLAGS: 16,
  KPROBE_COUNT: 20,
  KPROBE_SYMS: 24,
  KPROBE_ADDRS: 32,
  KPROBE_COOKIES: 40,
  /** uprobe_multi, Linux 6.6. */
  UPROBE_PATH: 16,
  UPROBE_OFFSETS: 24,
  UPROBE_REF_CTR_OFFSETS: 32,
  UPROBE_COOKIES: 40,
  UPROBE_COUNT: 48,
  UPROBE_FLAGS: 52,
  UPROBE_PID: 56,
  /** tracing_multi, Linux 7.2: ids of functions in the kernel's BTF. */
  TRACING_IDS: 16,
  TRACING_COOKIES: 24,
  TRACING_COUNT: 32,
  SIZE_PLAIN: 32,
  SIZE_TRACING_MULTI: 40,
  SIZE_KPROBE_MULTI: 48,
  SIZE_UPROBE_MULTI: 64,
} as const;

/** `union bpf_iter_link_info`, what an iterator walks. */
export const IterLinkInfo = {
  MAP_FD: 0,
  CGROUP_ORDER: 0,
  CGROUP_FD: 4,
  TASK_TID: 0,
  TASK_PID: 4,
  SIZE: 16,
} as const;

/** `BPF_LINK_UPDATE`, Linux 5.7. Programs, or maps of struct_ops. */
export const LinkUpdateAttr = { LINK_FD: 0, NEW_FD: 4, FLAGS: 8, OLD_FD: 12, SIZE: 16 } as const;

/** `BPF_LINK_DETACH`, Linux 5.9. */
export const LinkDetachAttr = { LINK_FD: 0, SIZE: 4 } as const;

/** `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`. */
export const ProgAttachAttr = { TARGET_FD: 0, PROG_FD: 4, ATTACH_TYPE: 8, FLAGS: 12, SIZE: 16 } as const;

/** `BPF_PROG_QUERY`. `PROG_COUNT` is read and written. */
export const ProgQueryAttr = {
  TARGET: 0,
  ATTACH_TYPE: 4,
  QUERY_FLAGS: 8,
  ATTACH_FLAGS: 12,
  PROG_IDS: 16,
  PROG_COUNT: 24,
  SIZE: 32,
} as const;

/** `BPF_ITER_CREATE`. */
export const IterCreateAttr = { LINK_FD: 0, FLAGS: 4, SIZE: 8 } as const;

/** `BPF_ENABLE_STATS`. */
export const EnableStatsAttr = { TYPE: 0, SIZE: 4 } as const;

/** `struct bpf_prog_info`. */
export const ProgInfo = {
  TYPE: 0,
  ID: 4,
  /** 8 bytes. */
  TAG: 8,
  JITED_PROG_LEN: 16,
  XLATED_PROG_LEN: 20,
  JITED_PROG_INSNS: 24,
  XLATED_PROG_INSNS: 32,
  /** Nanoseconds since boot. */
  LOAD_TIME: 40,
  CREATED_BY_UID: 48,
  NR_MAP_IDS: 52,
  MAP_IDS: 56,
  /** 16 bytes. */
  NAME: 64,
  BTF_ID: 128,
  RUN_TIME_NS: 192,
  RUN_CNT: 200,
  /** Linux 5.12. */
  RECURSION_MISSES: 208,
  /** Linux 5.16. */
  VERIFIED_INSNS: 216,
  SIZE: 232,
} as const;

/** `struct bpf_map_info`. */
export const MapInfo = {
  TYPE: 0,
  ID: 4,
  KEY_SIZE: 8,
  VALUE_SIZE: 12,
  MAX_ENTRIES: 16,
  MAP_FLAGS: 20,
  /** 16 bytes. */
  NAME: 24,
  BTF_ID: 64,
  BTF_KEY_TYPE_ID: 68,
  BTF_VALUE_TYPE_ID: 72,
  /** Linux 5.16. */
  MAP_EXTRA: 80,
  SIZE: 88,
} as const;

/** `struct bpf_btf_info`. */
export const BtfInfo = { BTF: 0, BTF_SIZE: 8, ID: 12, NAME: 16, NAME_LEN: 24, KERNEL_BTF: 28, SIZE: 32 } as const;

/** `struct bpf_link_info`: what all kinds share, then a part for each kind. Names are given room by the caller; lengths are read and written. */
export const LinkInfo = {
  TYPE: 0,
  ID: 4,
  PROG_ID: 8,
  RAW_TP_NAME: 16,
  RAW_TP_NAME_LEN: 24,
  RAW_TP_COOKIE: 32,
  TRACING_ATTACH_TYPE: 16,
  TRACING_TARGET_OBJ_ID: 20,
  TRACING_TARGET_BTF_ID: 24,
  TRACING_COOKIE: 32,
  CGROUP_ID: 16,
  CGROUP_ATTACH_TYPE: 24,
  ITER_TARGET_NAME: 16,
  ITER_TARGET_NAME_LEN: 24,
  ITER_MAP_ID: 28,
  ITER_CGROUP_ID: 32,
  ITER_CGROUP_ORDER: 40,
  ITER_TASK_TID: 32,
  ITER_TASK_PID: 36,
  NETNS_INO: 16,
  /** Of network namespaces, tcx, netkit and sockmaps. */
  ATTACH_TYPE: 20,
  /** Of XDP, tcx and netkit. */
  IFINDEX: 16,
  /** Of struct_ops and sockmaps. */
  MAP_ID: 16,
  NETFILTER_PF: 16,
  NETFILTER_HOOK: 20,
  NETFILTER_PRIORITY: 24,
  NETFILTER_FLAGS: 28,
  KPROBE_ADDRS: 16,
  KPROBE_COUNT: 24,
  KPROBE_FLAGS: 28,
  KPROBE_MISSED: 32,
  KPROBE_COOKIES: 40,
  UPROBE_PATH: 16,
  UPROBE_OFFSETS: 24,
  UPROBE_REF_CTR_OFFSETS: 32,
  UPROBE_COOKIES: 40,
  UPROBE_PATH_SIZE: 48,
  UPROBE_COUNT: 52,
  UPROBE_FLAGS: 56,
  UPROBE_PID: 60,
  PERF_TYPE: 16,
  /** Name of the file, function or tracepoint, by type. */
  PERF_NAME: 24,
  PERF_NAME_LEN: 32,
  PERF_OFFSET: 36,
  PERF_UPROBE_COOKIE: 40,
  PERF_UPROBE_REF_CTR_OFFSET: 48,
  PERF_KPROBE_ADDR: 40,
  PERF_KPROBE_MISSED: 48,
  PERF_KPROBE_COOKIE: 56,
  PERF_TRACEPOINT_COOKIE: 40,
  PERF_EVENT_CONFIG: 24,
  PERF_EVENT_TYPE: 32,
  PERF_EVENT_COOKIE: 40,
  SIZE: 64,
} as const;
