/**
 * What programs of BCC's dialect find declared: the macros of tables and programs, and functions that are too small to be the
 * compiler's business. A table is a variable of a struct of its own, whose members `key` and `leaf` give its types and whose
 * function pointers are its methods: C's own rules check their arguments, and calls of them become helpers (methods.ts).
 */

/** Section that makes a variable a table; the kind, and what else `BPF_TABLE` says, is behind it. */
export const TABLE_SECTION = "maps/";
/** Assembler name of functions that the dialect turns into something else. */
export const DIALECT_FUNCTION = "bcc.";
/** Tag of records whose members are read out of packets. */
export const PACKET_TAG = "bcc_packet";

/** Every method, whatever the kind: one that a table has not is reported by name. */
const methods = [
  "_leaf *(*lookup)(const __typeof__(_key) *);",
  "_leaf *(*lookup_or_init)(const __typeof__(_key) *, const __typeof__(_leaf) *);",
  "_leaf *(*lookup_or_try_init)(const __typeof__(_key) *, const __typeof__(_leaf) *);",
  "int (*update)(const __typeof__(_key) *, const __typeof__(_leaf) *);",
  "int (*insert)(const __typeof__(_key) *, const __typeof__(_leaf) *);",
  "int (*delete)(const __typeof__(_key) *);",
  "void (*increment)(_key, ...);",
  "void (*atomic_increment)(_key, ...);",
  "int (*get_stackid)(void *, u64);",
  "void (*call)(void *, int);",
  "int (*perf_submit)(void *, void *, u32);",
  "int (*perf_submit_skb)(void *, u32, void *, u32);",
  "int (*ringbuf_output)(void *, u64, u64);",
  "void *(*ringbuf_reserve)(u64);",
  "void (*ringbuf_submit)(void *, u64);",
  "void (*ringbuf_discard)(void *, u64);",
  "u64 (*ringbuf_query)(u64);",
  "u64 (*perf_read)(int);",
  "int (*perf_counter_value)(int, void *, u32);",
  "int (*check_current_task)(int);",
  "u64 (*redirect_map)(int, int);",
  "int (*push)(const __typeof__(_leaf) *, u64);",
  "int (*pop)(_leaf *);",
  "int (*peek)(_leaf *);",
  "void *(*sk_storage_get)(void *, void *, int);",
  "int (*sk_storage_delete)(void *);",
  "void *(*inode_storage_get)(void *, void *, int);",
  "int (*inode_storage_delete)(void *);",
  "void *(*task_storage_get)(void *, void *, int);",
  "int (*task_storage_delete)(void *);",
  "int (*sock_map_update)(void *, void *, u64);",
  "int (*sock_hash_update)(void *, void *, u64);",
  "int (*msg_redirect_hash)(void *, void *, u64);",
  "int (*sk_redirect_hash)(void *, void *, u64);",
  "void *(*get_local_storage)(u64);",
];

/** `_size` in entries, except for ring buffers: bytes. */
const tableMacro = `#define BPF_F_TABLE(_kind, _key, _leaf, _name, _size, _flags) \\
  struct _name##_table_t { \\
    _key key; \\
    _leaf leaf; \\
    ${methods.join(" \\\n    ")} \\
    unsigned long long max_entries; \\
    unsigned long long flags; \\
  }; \\
  __attribute__((section("${TABLE_SECTION}" _kind), used)) \\
  struct _name##_table_t _name = { .max_entries = (_size), .flags = (_flags) }`;

/** A macro of a family that is chosen by how many arguments there are: `forms[n]` is for the n-th count, the fewest first. */
function overloaded(name: string, most: number, forms: readonly string[]): string {
  const fewest = most - forms.length + 1;
  const params = Array.from({ length: most }, (_, i) => `_${i + 1}`).join(", ");
  const choices = forms.map((_, i) => `${name}${fewest + i}`).toReversed();
  const definitions = forms.map((form, i) => `#define ${name}${fewest + i}${form}`);
  return [
    ...definitions,
    `#define ${name}X(${params}, _chosen, ...) _chosen`,
    `#define ${name}(...) ${name}X(__VA_ARGS__, ${choices.join(", ")}, )(__VA_ARGS__)`,
  ].join("\n");
}

/** `name, key = u64, leaf = u64, size = 10240`. */
function keyedTable(name: string, kind: string, flags: string = "0"): string {
  return overloaded(name, 4, [
    `(_name) BPF_F_TABLE("${kind}", u64, u64, _name, 10240, ${flags})`,
    `(_name, _key) BPF_F_TABLE("${kind}", _key, u64, _name, 10240, ${flags})`,
    `(_name, _key, _leaf) BPF_F_TABLE("${kind}", _key, _leaf, _name, 10240, ${flags})`,
    `(_name, _key, _leaf, _size) BPF_F_TABLE("${kind}", _key, _leaf, _name, _size, ${flags})`,
  ]);
}

/** `name, leaf = u64, size = 10240`. */
function arrayTable(name: string, kind: string): string {
  return overloaded(name, 3, [
    `(_name) BPF_F_TABLE("${kind}", int, u64, _name, 10240, 0)`,
    `(_name, _leaf) BPF_F_TABLE("${kind}", int, _leaf, _name, 10240, 0)`,
    `(_name, _leaf, _size) BPF_F_TABLE("${kind}", int, _leaf, _name, _size, 0)`,
  ]);
}

function queueTable(name: string, kind: string): string {
  return overloaded(name, 4, [
    `(_name, _leaf, _size) BPF_F_TABLE("${kind}", int, _leaf, _name, _size, 0)`,
    `(_name, _leaf, _size, _flags) BPF_F_TABLE("${kind}", int, _leaf, _name, _size, _flags)`,
  ]);
}

/** The table before is known to others too. */
function visible(kind: string): string {
  return `__attribute__((section("${TABLE_SECTION}${kind}"), used)) struct _name##_table_t __##_name`;
}

const tables = [
  tableMacro,
  "#define BPF_TABLE(_kind, _key, _leaf, _name, _size) BPF_F_TABLE(_kind, _key, _leaf, _name, _size, 0)",
  overloaded("BPF_TABLE_PINNED", 7, [
    '(_kind, _key, _leaf, _name, _size, _path) BPF_F_TABLE(_kind ":" _path, _key, _leaf, _name, _size, 0)',
    '(_kind, _key, _leaf, _name, _size, _path, _flags) BPF_F_TABLE(_kind ":" _path, _key, _leaf, _name, _size, _flags)',
  ]),
  `#define BPF_TABLE_PUBLIC(_kind, _key, _leaf, _name, _size) BPF_TABLE(_kind, _key, _leaf, _name, _size); ${visible("export")}`,
  overloaded("BPF_TABLE_SHARED", 6, [
    `(_kind, _key, _leaf, _name, _size) BPF_TABLE(_kind, _key, _leaf, _name, _size); ${visible("shared")}`,
    `(_kind, _key, _leaf, _name, _size, _flags) BPF_F_TABLE(_kind, _key, _leaf, _name, _size, _flags); ${visible("shared")}`,
  ]),
  keyedTable("BPF_HASH", "hash"),
  keyedTable("BPF_PERCPU_HASH", "percpu_hash"),
  keyedTable("BPF_LPM_TRIE", "lpm_trie", "BPF_F_NO_PREALLOC"),
  arrayTable("BPF_ARRAY", "array"),
  arrayTable("BPF_PERCPU_ARRAY", "percpu_array"),
  overloaded("BPF_HISTOGRAM", 3, [
    '(_name) BPF_TABLE("histogram", int, u64, _name, 64)',
    '(_name, _key) BPF_TABLE("histogram", _key, u64, _name, 64)',
    '(_name, _key, _size) BPF_TABLE("histogram", _key, u64, _name, _size)',
  ]),
  "struct bpf_stacktrace { u64 ip[BPF_MAX_STACK_DEPTH]; };",
  '#define BPF_STACK_TRACE(_name, _size) BPF_TABLE("stacktrace", int, struct bpf_stacktrace, _name, _size)',
  '#define BPF_STACK_TRACE_BUILDID(_name, _size) struct _name##_trace_t { struct bpf_stack_build_id trace[BPF_MAX_STACK_DEPTH]; }; \\\n  BPF_F_TABLE("stacktrace", int, struct _name##_trace_t, _name, _size, BPF_F_STACK_BUILD_ID)',
  '#define BPF_PERF_OUTPUT(_name) BPF_TABLE("perf_output", int, u32, _name, 0)',
  '#define BPF_RINGBUF_OUTPUT(_name, _pages) BPF_TABLE("ringbuf", int, u32, _name, (_pages) * 4096)',
  '#define BPF_PERF_ARRAY(_name, _size) BPF_TABLE("perf_array", int, u32, _name, _size)',
  '#define BPF_CGROUP_ARRAY(_name, _size) BPF_TABLE("cgroup_array", int, u32, _name, _size)',
  '#define BPF_PROG_ARRAY(_name, _size) BPF_TABLE("prog", u32, u32, _name, _size)',
  '#define BPF_DEVMAP(_name, _size) BPF_TABLE("devmap", u32, int, _name, _size)',
  '#define BPF_CPUMAP(_name, _size) BPF_TABLE("cpumap", u32, u32, _name, _size)',
  overloaded("BPF_XSKMAP", 3, [
    '(_name, _size) BPF_TABLE("xskmap", u32, int, _name, _size)',
    '(_name, _size, _path) BPF_TABLE("xskmap:" _path, u32, int, _name, _size)',
  ]),
  '#define BPF_ARRAY_OF_MAPS(_name, _inner, _size) BPF_TABLE("array_of_maps$" _inner, int, int, _name, _size)',
  overloaded("BPF_HASH_OF_MAPS", 4, [
    '(_name, _inner) BPF_TABLE("hash_of_maps$" _inner, int, int, _name, 10240)',
    '(_name, _key, _inner) BPF_TABLE("hash_of_maps$" _inner, _key, int, _name, 10240)',
    '(_name, _key, _inner, _size) BPF_TABLE("hash_of_maps$" _inner, _key, int, _name, _size)',
  ]),
  "#define BPF_QUEUESTACK(_kind, _name, _leaf, _size, _flags) BPF_F_TABLE(_kind, int, _leaf, _name, _size, _flags)",
  '#define BPF_QUEUESTACK_PINNED(_kind, _name, _leaf, _size, _flags, _path) BPF_F_TABLE(_kind ":" _path, int, _leaf, _name, _size, _flags)',
  `#define BPF_QUEUESTACK_PUBLIC(_kind, _name, _leaf, _size, _flags) BPF_QUEUESTACK(_kind, _name, _leaf, _size, _flags); ${visible("export")}`,
  `#define BPF_QUEUESTACK_SHARED(_kind, _name, _leaf, _size, _flags) BPF_QUEUESTACK(_kind, _name, _leaf, _size, _flags); ${visible("shared")}`,
  queueTable("BPF_QUEUE", "queue"),
  queueTable("BPF_STACK", "stack"),
  ...["sk", "inode", "task"].map(
    (of) =>
      `#define BPF_${of.toUpperCase()}_STORAGE(_name, _leaf) BPF_F_TABLE("${of}_storage", int, _leaf, _name, 0, BPF_F_NO_PREALLOC)`,
  ),
  '#define BPF_SOCKMAP(_name, _size) BPF_TABLE("sockmap", u32, int, _name, _size)',
  overloaded("BPF_SOCKHASH", 3, [
    '(_name) BPF_TABLE("sockhash", u32, int, _name, 10240)',
    '(_name, _key) BPF_TABLE("sockhash", _key, int, _name, 10240)',
    '(_name, _key, _size) BPF_TABLE("sockhash", _key, int, _name, _size)',
  ]),
  ...["CGROUP_STORAGE", "PERCPU_CGROUP_STORAGE"].map(
    (of) =>
      `#define BPF_${of}(_name, _leaf) BPF_TABLE("${of.toLowerCase()}", struct bpf_cgroup_storage_key, _leaf, _name, 0)`,
  ),
];

/** Up to twelve arguments of a function whose context is an array of words. */
const MOST_ARGUMENTS = 12;

function contextArguments(): string[] {
  const lines = ["#define ___bcc_arguments0() ctx"];
  for (let i = 1; i <= MOST_ARGUMENTS; i++) {
    const before = i === 1 ? "0()" : `${i - 1}(_rest)`;
    lines.push(
      `#define ___bcc_arguments${i}(_first${i === 1 ? "" : ", _rest..."}) ___bcc_arguments${before}, (void *)ctx[${i - 1}]`,
    );
  }
  const counts = Array.from({ length: MOST_ARGUMENTS + 1 }, (_, i) => MOST_ARGUMENTS - i).join(", ");
  const params = Array.from({ length: MOST_ARGUMENTS + 1 }, (_, i) => `_${i}`).join(", ");
  lines.push(
    `#define ___bcc_count_of(${params}, _count, ...) _count`,
    `#define ___bcc_count(...) ___bcc_count_of(_, ##__VA_ARGS__, ${counts})`,
    "#define ___bcc_join(a, b) a##b",
    "#define ___bcc_apply(a, b) ___bcc_join(a, b)",
    "#define ___bcc_arguments(...) ___bcc_apply(___bcc_arguments, ___bcc_count(__VA_ARGS__))(__VA_ARGS__)",
  );
  return lines;
}

const programs = [
  "#define TRACEPOINT_PROBE(category, event) \\\n  int tracepoint__##category##__##event(struct tracepoint__##category##__##event *args)",
  "#define RAW_TRACEPOINT_PROBE(event) int raw_tracepoint__##event(struct bpf_raw_tracepoint_args *ctx)",
  ...contextArguments(),
  `#define BPF_PROG(name, args...) \\
  int name(unsigned long long *ctx); \\
  __attribute__((always_inline)) static int ____##name(unsigned long long *ctx, ##args); \\
  int name(unsigned long long *ctx) { \\
    _Pragma("GCC diagnostic push") \\
    _Pragma("GCC diagnostic ignored \\"-Wint-conversion\\"") \\
    return ____##name(___bcc_arguments(args)); \\
    _Pragma("GCC diagnostic pop") \\
  } \\
  static int ____##name(unsigned long long *ctx, ##args)`,
  "#define KFUNC_PROBE(event, args...) BPF_PROG(kfunc__vmlinux__##event, ##args)",
  "#define KRETFUNC_PROBE(event, args...) BPF_PROG(kretfunc__vmlinux__##event, ##args)",
  "#define MODULE_KFUNC_PROBE(module, event, args...) BPF_PROG(kfunc__##module##__##event, ##args)",
  "#define MODULE_KRETFUNC_PROBE(module, event, args...) BPF_PROG(kretfunc__##module##__##event, ##args)",
  "#define KMOD_RET(event, args...) BPF_PROG(kmod_ret__##event, ##args)",
  "#define LSM_PROBE(event, args...) BPF_PROG(lsm__##event, ##args)",
  "#define BPF_ITER(target) int bpf_iter__##target(struct bpf_iter__##target *ctx)",
  `#define TP_DATA_LOC_READ_CONST(dst, field, length) do { \\
    unsigned short __offset = args->data_loc_##field & 0xFFFF; \\
    bpf_probe_read((void *)dst, length, (char *)args + __offset); \\
  } while (0)`,
  `#define TP_DATA_LOC_READ(dst, field) do { \\
    unsigned short __offset = args->data_loc_##field & 0xFFFF; \\
    unsigned short __length = args->data_loc_##field >> 16; \\
    bpf_probe_read((void *)dst, __length, (char *)args + __offset); \\
  } while (0)`,
  `#define TP_DATA_LOC_READ_STR(dst, field, length) do { \\
    unsigned short __offset = args->data_loc_##field & 0xFFFF; \\
    bpf_probe_read_str((void *)dst, length, (char *)args + __offset); \\
  } while (0)`,
];

const registersX86: readonly string[] = ["di", "si", "dx", "cx", "r8", "r9"];
const registersArm: readonly string[] = ["regs[0]", "regs[1]", "regs[2]", "regs[3]", "regs[4]", "regs[5]"];

/** Registers by what they hold for the program, as members of `struct pt_regs`. */
interface Registers {
  readonly params: readonly string[];
  /** Fourth argument of a system call. */
  readonly syscallFourth: string;
  readonly RET: string;
  readonly FP: string;
  readonly RC: string;
  readonly SP: string;
  readonly IP: string;
}

const registers: Readonly<Record<BccArch, Registers>> = {
  x86_64: { params: registersX86, syscallFourth: "r10", RET: "sp", FP: "bp", RC: "ax", SP: "sp", IP: "ip" },
  arm64: {
    params: registersArm,
    syscallFourth: "regs[3]",
    RET: "regs[30]",
    FP: "regs[29]",
    RC: "regs[0]",
    SP: "sp",
    IP: "pc",
  },
};

/** Machines whose registers are known. */
export type BccArch = "x86_64" | "arm64";

/** Members of `struct pt_regs` that hold the first arguments of a function, or of a system call. */
export function parameterRegisters(arch: BccArch, syscall: boolean): readonly string[] {
  const { params, syscallFourth } = registers[arch];
  return syscall ? params.map((register, i) => (i === 3 ? syscallFourth : register)) : params;
}

function registerMacros(arch: BccArch, wrapped: boolean): string[] {
  const of = registers[arch];
  const lines: string[] = [];
  for (const syscall of [false, true]) {
    parameterRegisters(arch, syscall).forEach((register, i) =>
      lines.push(`#define PT_REGS_PARM${i + 1}${syscall ? "_SYSCALL" : ""}(x) ((x)->${register})`),
    );
  }
  for (const name of ["RET", "FP", "RC", "SP", "IP"] as const)
    lines.push(`#define PT_REGS_${name}(x) ((x)->${of[name]})`);
  lines.push(`#define PT_REGS_SYSCALL_CTX(x) ${wrapped ? "((struct pt_regs *)PT_REGS_PARM1(x))" : "(x)"}`);
  return lines;
}

/** Functions that the dialect makes into something else. */
const dialectFunctions = [
  ["int", "bpf_trace_printk", "const char *fmt, ..."],
  ["int", "incr_cksum_l3", "void *off, u64 before, u64 after"],
  ["int", "incr_cksum_l4", "void *off, u64 before, u64 after, u64 flags"],
  ["int", "bpf_num_cpus", "void"],
  ["int", "bpf_usdt_readarg", "int argc, void *ctx, void *arg"],
  ["int", "bpf_usdt_readarg_p", "int argc, void *ctx, void *buf, u64 len"],
] as const;

const functions = `
unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long off) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long off) asm("llvm.bpf.load.word");
static inline u64 load_dword(void *skb, u64 off) { return ((u64)load_word(skb, off) << 32) | load_word(skb, off + 4); }
static inline void bpf_store_byte(void *skb, u64 off, u64 val) { u8 b = val; bpf_skb_store_bytes(skb, off, &b, 1, 0); }
static inline void bpf_store_half(void *skb, u64 off, u64 val) { u16 h = __builtin_bswap16(val); bpf_skb_store_bytes(skb, off, &h, 2, 0); }
static inline void bpf_store_word(void *skb, u64 off, u64 val) { u32 w = __builtin_bswap32(val); bpf_skb_store_bytes(skb, off, &w, 4, 0); }
static inline void bpf_store_dword(void *skb, u64 off, u64 val) { u64 d = __builtin_bswap64(val); bpf_skb_store_bytes(skb, off, &d, 8, 0); }
static inline u16 bpf_ntohs(u16 val) { return __builtin_bswap16(val); }
static inline u32 bpf_ntohl(u32 val) { return __builtin_bswap32(val); }
static inline u64 bpf_ntohll(u64 val) { return __builtin_bswap64(val); }
static inline u16 bpf_htons(u16 val) { return __builtin_bswap16(val); }
static inline u32 bpf_htonl(u32 val) { return __builtin_bswap32(val); }
static inline u64 bpf_htonll(u64 val) { return __builtin_bswap64(val); }
/* Bits of a packet: from bit "at" of the byte at "off", counted from the most significant one. */
static inline u64 __bcc_packet_get(void *skb, u64 off, u64 at, u64 bits)
{
  u64 end = at + bits;
  if (end <= 8)
    return load_byte(skb, off) >> (8 - end) & MASK(bits);
  if (end <= 16)
    return load_half(skb, off) >> (16 - end) & MASK(bits);
  if (end <= 32)
    return load_word(skb, off) >> (32 - end) & MASK(bits);
  return load_dword(skb, off) >> (64 - end) & MASK(bits);
}
static inline void __bcc_packet_put(void *skb, u64 off, u64 at, u64 bits, u64 val)
{
  u64 end = at + bits;
  if (end <= 8)
    bpf_store_byte(skb, off, bits == 8 ? val : (load_byte(skb, off) & ~(MASK(bits) << (8 - end))) | (val & MASK(bits)) << (8 - end));
  else if (end <= 16)
    bpf_store_half(skb, off, bits == 16 ? val : (load_half(skb, off) & ~(MASK(bits) << (16 - end))) | (val & MASK(bits)) << (16 - end));
  else if (end <= 32)
    bpf_store_word(skb, off, bits == 32 ? val : (load_word(skb, off) & ~(MASK(bits) << (32 - end))) | (val & MASK(bits)) << (32 - end));
  else
    bpf_store_dword(skb, off, bits == 64 ? val : (load_dword(skb, off) & ~(MASK(bits) << (64 - end))) | (val & MASK(bits)) << (64 - end));
}
/* A value of "size" bytes in the order of the network. */
static inline u64 __bcc_to_network(u64 val, u64 size)
{
  return size == 2 ? __builtin_bswap16(val) : size == 4 ? __builtin_bswap32(val) : size == 8 ? __builtin_bswap64(val) : val;
}
static inline int __bcc_checksum_l3(void *skb, u64 off, u64 before, u64 after, u64 size)
{
  return bpf_l3_csum_replace(skb, off, __bcc_to_network(before, size), __bcc_to_network(after, size), size);
}
static inline int __bcc_checksum_l4(void *skb, u64 off, u64 before, u64 after, u64 size, u64 pseudo)
{
  return bpf_l4_csum_replace(skb, off, __bcc_to_network(before, size), __bcc_to_network(after, size), (pseudo & 1) << 4 | size);
}
/* The position of the highest bit that is set; 0 for 0. */
static inline unsigned int bpf_log2(unsigned int v)
{
  unsigned int at = (v > 0xFFFF) << 4;
  v >>= at;
  unsigned int step = (v > 0xFF) << 3;
  v >>= step;
  at |= step;
  step = (v > 0xF) << 2;
  v >>= step;
  at |= step;
  step = (v > 0x3) << 1;
  v >>= step;
  return at | step | (v >> 1);
}
/* One more than that: slots of histograms. */
static inline unsigned int bpf_log2l(unsigned long v)
{
  unsigned int high = v >> 32;
  return high ? bpf_log2(high) + 33 : bpf_log2(v) + 1;
}
`;

/** What the prelude depends on. */
export interface PreludeOptions {
  readonly arch: BccArch;
  /** Handlers of system calls get `struct pt_regs *` (kernel 4.17 on x86-64, 4.19 on arm64). */
  readonly syscallWrapper: boolean;
  /** Options of the kernel's configuration that are set. */
  readonly config: readonly string[];
}

/** Where the kernel's half of the addresses begins with four and five levels of page tables (x86-64). */
const PAGE_OFFSETS = [
  "#define __PAGE_OFFSET_BASE_L4 0xffff888000000000UL",
  "#define __PAGE_OFFSET_BASE_L5 0xff11000000000000UL",
  "#define PAGE_OFFSET __PAGE_OFFSET_BASE_L4",
];

/** The declarations of the dialect as C. */
export function bccPrelude({ arch, syscallWrapper, config }: PreludeOptions): string {
  return [
    "#pragma once",
    "#define __BPF_HELPERS_H",
    '#define __BCC_PROTO_PACKET __attribute__((packed)) __attribute__((btf_decl_tag("' + PACKET_TAG + '")))',
    "#define BPF_PACKET_HEADER __BCC_PROTO_PACKET",
    "#ifndef NULL\n#define NULL ((void *)0)\n#endif",
    "#ifndef __always_inline\n#define __always_inline inline __attribute__((always_inline))\n#endif",
    "#ifdef PERF_MAX_STACK_DEPTH\n#define BPF_MAX_STACK_DEPTH PERF_MAX_STACK_DEPTH\n#else\n#define BPF_MAX_STACK_DEPTH 127\n#endif",
    ...config.map((option) => `#define ${option} 1`),
    ...(arch === "x86_64" ? PAGE_OFFSETS : []),
    ...(syscallWrapper ? ["#define CONFIG_ARCH_HAS_SYSCALL_WRAPPER 1"] : []),
    "#define CUR_CPU_IDENTIFIER BPF_F_CURRENT_CPU",
    ...tables,
    ...programs,
    ...registerMacros(arch, syscallWrapper),
    "#define lock_xadd(ptr, val) ((void)__sync_fetch_and_add(ptr, val))",
    "#define cursor_advance(_cursor, _len) ({ void *_at = _cursor; _cursor += _len; _at; })",
    "#define BCC_SEC(NAME) __attribute__((section(NAME), used))",
    "#define MASK(_n) ((_n) < 64 ? (1ull << (_n)) - 1 : ((u64)-1LL))",
    "#define BCC_PROBE_READ(dst, src, read) read(dst, sizeof(*(dst)), src)",
    ...dialectFunctions.map(
      ([result, name, params]) => `${result} ${name}(${params}) asm("${DIALECT_FUNCTION}${name}");`,
    ),
    functions,
  ].join("\n");
}
