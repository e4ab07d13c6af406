/** Flags that bpf(2) and helpers take with maps, under the kernel's names without `BPF_F_`. Complete for Linux 6.18. */

/** `map_flags` of `BPF_MAP_CREATE`. */
export const MapFlags = {
  /** Hash maps: allocate elements on insertion instead of all at once. */
  NO_PREALLOC: 0x1,
  /** LRU maps: one LRU list a CPU. */
  NO_COMMON_LRU: 0x2,
  /** `numa_node` of the attributes is valid. */
  NUMA_NODE: 0x4,
  /** User space may only read. */
  RDONLY: 0x8,
  /** User space may only write. */
  WRONLY: 0x10,
  /** Stack traces: store build id and offset instead of addresses. */
  STACK_BUILD_ID: 0x20,
  /** Hash maps: a hash seed of zero, for tests. */
  ZERO_SEED: 0x40,
  /** Programs may only read. */
  RDONLY_PROG: 0x80,
  /** Programs may only write. */
  WRONLY_PROG: 0x100,
  /** Socket storage: copied to accepted sockets. */
  CLONE: 0x200,
  /** Arrays: values can be mapped with mmap(2). */
  MMAPABLE: 0x400,
  /** Perf event arrays: events stay when the descriptor that set them is closed. */
  PRESERVE_ELEMS: 0x800,
  /** Inner arrays of a map of maps: sizes may differ. */
  INNER_MAP: 0x1000,
  /** struct_ops maps: registered through a link. */
  LINK: 0x2000,
  /** `path_fd` of the attributes is valid (`BPF_OBJ_PIN` and `BPF_OBJ_GET`, Linux 6.5). */
  PATH_FD: 0x4000,
  /** `value_type_btf_obj_fd` of the attributes is valid (Linux 6.9). */
  VTYPE_BTF_OBJ_FD: 0x8000,
  /** `map_token_fd` of the attributes is valid (Linux 6.9). */
  TOKEN_FD: 0x10000,
  /** Arenas: SIGSEGV on access to a page that is not allocated (Linux 6.9). */
  SEGV_ON_FAULT: 0x20000,
  /** Arenas: no conversion of kernel addresses to user addresses (Linux 6.9). */
  NO_USER_CONV: 0x40000,
  /** Ring buffers: new records push old ones out (Linux 6.19). */
  RB_OVERWRITE: 0x80000,
} as const;

/** `flags` of map update, from user space and from programs. */
export const UpdateFlags = {
  /** Create or replace. */
  ANY: 0,
  /** Create only: EEXIST when the key is there. */
  NOEXIST: 1,
  /** Replace only: ENOENT when the key is missing. */
  EXIST: 2,
  /** Take the value's spin lock (`BPF_F_LOCK`); also for lookup from user space. */
  LOCK: 4,
  /** Per-CPU maps: the value of the CPU in the high 32 bits; also for lookup (Linux 7.0). */
  CPU: 8,
  /** Per-CPU maps: one value for all CPUs (Linux 7.0). */
  ALL_CPUS: 16,
} as const;

/** Flags of `bpf_perf_event_output` and `bpf_perf_event_read`: a CPU number, or this one. 64-bit on the wire. */
export const PerfEventFlags = {
  INDEX_MASK: 0xffffffffn,
  CURRENT_CPU: 0xffffffffn,
  /** Length of context appended after the sample, bits 32 to 51. */
  CTXLEN_MASK: 0xfffff_00000000n,
} as const;

/** Flags of `bpf_get_stackid` and `bpf_get_stack`. */
export const StackFlags = {
  /** Number of frames to leave out, low eight bits. */
  SKIP_FIELD_MASK: 0xff,
  USER_STACK: 0x100,
  /** stackid only: compare hashes only. */
  FAST_STACK_CMP: 0x200,
  /** stackid only: on a collision, the new stack replaces the old one. */
  REUSE_STACKID: 0x400,
  /** get_stack only: build id and offset instead of addresses. */
  USER_BUILD_ID: 0x800,
} as const;

/** Flags of `bpf_ringbuf_output`, `bpf_ringbuf_submit` and `bpf_ringbuf_discard`. */
export const RingbufFlags = { NO_WAKEUP: 0x1, FORCE_WAKEUP: 0x2 } as const;

/** What `bpf_ringbuf_query` answers. */
export const RingbufQuery = { AVAIL_DATA: 0, RING_SIZE: 1, CONS_POS: 2, PROD_POS: 3 } as const;

/** Bits of the 32-bit length word that starts each ring buffer record; the rest is the length in bytes. */
export const RingbufHeader = {
  /** Still being written. */
  BUSY_BIT: 0x8000_0000,
  /** Thrown away by the program. */
  DISCARD_BIT: 0x4000_0000,
  LENGTH_MASK: 0x3fff_ffff,
  /** Bytes of the header: length and page offset. */
  SIZE: 8,
} as const;
