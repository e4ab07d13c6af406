/** Flags that bpf(2) and helpers take with maps, under the kernel's names without `BPF_F_`. Complete for Linux 6.18. */

/** `map_flags` of `BPF_MAP_CREATE`. */
export const MapFlags = {
  /** Hash maps: allocate elements on insertion instead of all at once. */
  NO_PREALLOC: 1 << 0,
  /** LRU maps: one LRU list a CPU. */
  NO_COMMON_LRU: 1 << 1,
  /** `numa_node` of the attributes is valid. */
  NUMA_NODE: 1 << 2,
  /** User space may only read. */
  RDONLY: 1 << 3,
  /** User space may only write. */
  WRONLY: 1 << 4,
  /** Stack traces: store build id and offset instead of addresses. */
  STACK_BUILD_ID: 1 << 5,
  /** Hash maps: a hash seed of zero, for tests. */
  ZERO_SEED: 1 << 6,
  /** Programs may only read. */
  RDONLY_PROG: 1 << 7,
  /** Programs may only write. */
  WRONLY_PROG: 1 << 8,
  /** Socket storage: copied to accepted sockets. */
  CLONE: 1 << 9,
  /** Arrays: values can be mapped with mmap(2). */
  MMAPABLE: 1 << 10,
  /** Perf event arrays: events stay when the descriptor that set them is closed. */
  PRESERVE_ELEMS: 1 << 11,
  /** Inner arrays of a map of maps: sizes may differ. */
  INNER_MAP: 1 << 12,
  /** struct_ops maps: registered through a link. */
  LINK: 1 << 13,
  /** `path_fd` of the attributes is valid (`BPF_OBJ_PIN` and `BPF_OBJ_GET`, Linux 6.5). */
  PATH_FD: 1 << 14,
  /** `value_type_btf_obj_fd` of the attributes is valid (Linux 6.9). */
  VTYPE_BTF_OBJ_FD: 1 << 15,
  /** `map_token_fd` of the attributes is valid (Linux 6.9). */
  TOKEN_FD: 1 << 16,
  /** Arenas: SIGSEGV on access to a page that is not allocated (Linux 6.9). */
  SEGV_ON_FAULT: 1 << 17,
  /** Arenas: no conversion of kernel addresses to user addresses (Linux 6.9). */
  NO_USER_CONV: 1 << 18,
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
  USER_STACK: 1 << 8,
  /** stackid only: compare hashes only. */
  FAST_STACK_CMP: 1 << 9,
  /** stackid only: on a collision, the new stack replaces the old one. */
  REUSE_STACKID: 1 << 10,
  /** get_stack only: build id and offset instead of addresses. */
  USER_BUILD_ID: 1 << 11,
} as const;

/** Flags of `bpf_ringbuf_output`, `bpf_ringbuf_submit` and `bpf_ringbuf_discard`. */
export const RingbufFlags = { NO_WAKEUP: 1 << 0, FORCE_WAKEUP: 1 << 1 } as const;

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
